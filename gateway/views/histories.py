"""The revisions of a Deployment, each with its template as kubectl prints it."""

from typing import Final

import msgspec

from domain import deployment, podspec, queries
from gateway.views import described
from gateway.views.scene import Scene
from projections.rollouts import Revision

USER: Final = "user/"
ROW_BYTES: Final = 512
"""What a row needs besides its texts, at most."""


def rows(
    at: Scene, held: deployment.Deployment, bytes_max: int
) -> tuple[queries.RevisionRow, ...]:
    """Every revision that the Deployment ever had, oldest first (S10).

    Where all together would have more than `bytes_max`, the oldest ones come without
    their templates.
    """
    rollout = at.cluster.rollouts.by_key.get(held.key)
    if rollout is None:
        return ()
    found: list[queries.RevisionRow] = []
    room = bytes_max - sum(ROW_BYTES + len(e.cause) for e in rollout.revisions)
    for each in reversed(rollout.revisions):
        row = _row(at, held, each)
        room -= len(row.template.encode()) * 11 // 10
        found.append(row if room > 0 else msgspec.structs.replace(row, template=""))
    return tuple(reversed(found))


def _row(
    at: Scene, held: deployment.Deployment, revision: Revision
) -> queries.RevisionRow:
    desired = at.cluster.desired
    key = f"replicaset/{held.namespace}/{revision.replicaset}"
    mine = desired.replicasets.get(key)
    present = mine is not None and mine.owner_uid == held.uid
    facts = desired.templates.get(revision.template)
    template = facts.template if facts is not None else podspec.PodTemplateSpec()
    written = None
    if mine is not None and present:
        cause = mine.annotations.get(deployment.CHANGE_CAUSE)
        # Spec 6.4: what the ReplicaSet carries is shown with its template; what it
        # carries of another revision is not.
        if cause and cause == revision.cause:
            written = (deployment.CHANGE_CAUSE, cause)
    return queries.RevisionRow(
        revision=revision.revision,
        cause=revision.cause,
        when=revision.started_at,
        who=revision.who.removeprefix(USER),
        from_=revision.origin,
        result=revision.result,
        replicaset=revision.replicaset,
        present=present,
        position=revision.position,
        template=described.template_text(template, written),
    )
