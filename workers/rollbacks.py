"""The rollback that an annotation asks for: a legacy way to undo (spec 2.2, 2.5).

1. A Deployment that carries the annotation with a number goes back to that revision, 0
   being the one before, as soon as it is neither paused nor being deleted.
2. The annotation is taken away by that, whatever came of it: it never asks twice.
3. A template that was changed at the same time is a revision first, which is what
   "the one before" is counted from.
4. The Deployment's annotations are those of the revision's ReplicaSet again, as far as
   it is still there, and as far as a ReplicaSet has them (spec 2.5).
"""

import re
from typing import Final, Literal

from domain import deployment, events
from domain.deployment import Deployment
from domain.errors import Rejected
from domain.plans import history, rollout
from workers import revisions as known
from workers.state import State

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_INT64: Final = range(-(2**63), 2**63)

_NO_LAST: Final = "Unable to find last revision."
_NO_SUCH: Final = "Unable to find the revision to rollback to."


def carry_out(state: State, owner: Deployment, cause: int) -> bool:
    """Afterwards nothing asks for a rollback that can be carried out now.

    Returns whether something was done: the Deployment must then be looked at again.
    """
    asked = _asked(owner)
    if asked is None or owner.spec.paused:
        return False
    new = state.cluster.desired.new_replicaset(owner)
    # One that was adopted has no revision, or a former one, before it is given its own.
    if new is None or not new.revision or new.revision != owner.revision:
        return False
    revisions = known.revisions(state, owner.key)
    kept = {
        key: value
        for key, value in owner.annotations.items()
        if key != deployment.ROLLBACK_TO
    }
    found: events.Event
    try:
        target = history.rollback_target(revisions, asked, deployment=owner.name)
    except Rejected:
        message = _NO_SUCH if asked else _NO_LAST
        found = _declined("DeploymentRollbackRevisionNotFound", message)
    else:
        template = revisions[target]
        if template == owner.template:
            found = _declined(
                "DeploymentRollbackTemplateUnchanged",
                "The rollback revision contains the same template as current "
                f'deployment "{owner.name}"',
            )
        else:
            found = deployment.DeploymentRolledBack(
                to_revision=target, template=template
            )
            kept = _restored(state, owner, target, kept)
    for event in (found, deployment.DeploymentAnnotated(annotations=kept)):
        actor = events.DEPLOYMENT_CONTROLLER
        state.emit(owner.key, event, actor=actor, cause=cause)
    return True


def _asked(owner: Deployment) -> int | None:
    """The revision that the annotation asks for; None where it asks for none."""
    text = owner.annotations.get(deployment.ROLLBACK_TO, "")
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number in _INT64 else None


def _declined(
    reason: Literal[
        "DeploymentRollbackRevisionNotFound", "DeploymentRollbackTemplateUnchanged"
    ],
    message: str,
) -> deployment.DeploymentRollbackDeclined:
    return deployment.DeploymentRollbackDeclined(reason=reason, message=message)


def _restored(
    state: State, owner: Deployment, revision: int, kept: dict[str, str]
) -> dict[str, str]:
    """Rule 4; they stay as they are where the ReplicaSet is gone."""
    for held in state.cluster.desired.replicasets_of(owner):
        if revision == held.revision or revision in held.former_revisions:
            own = {key: kept[key] for key in kept if key in rollout.NOT_COPIED}
            return own | held.annotations
    return kept
