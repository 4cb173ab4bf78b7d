"""The change cause that a ReplicaSet shows: that of the revision which it is.

kubectl reads the history of a Deployment from its ReplicaSets, and what it calls
CHANGE-CAUSE from an annotation of theirs. Kubernetes copies that annotation from the
Deployment whenever a revision starts, so that one change's words stay with all that
follow it. Here each revision has its own: what was written for that very change, or
else what was changed.
"""

from domain.deployment import CHANGE_CAUSE
from domain.replicaset import ReplicaSet
from gateway.views import replicasets
from gateway.views.scene import JSON, Scene


def of(at: Scene, held: ReplicaSet) -> str:
    """The cause of the revision that `held` runs; "" for one that runs none."""
    rollout = at.cluster.rollouts.by_key.get(held.owner)
    if rollout is None or not held.revision:
        return ""
    revision = rollout.find(held.revision)
    if revision is None or revision.replicaset != held.name:
        return ""
    return revision.cause


def document(at: Scene, held: ReplicaSet) -> JSON:
    """The apps/v1 object, with that cause where there is one."""
    found = replicasets.document(at, held)
    cause, metadata = of(at, held), found["metadata"]
    assert isinstance(metadata, dict), "every object has metadata"
    if cause:
        known = metadata.get("annotations", {})
        metadata["annotations"] = {**known, CHANGE_CAUSE: cause}
    return found
