"""The change cause that a ReplicaSet shows: that of the revision which it is.

kubectl reads the history of a Deployment from its ReplicaSets, and what it calls
CHANGE-CAUSE from an annotation of theirs. Kubernetes copies that annotation from the
Deployment whenever a revision starts, so that one change's words stay with all that
follow it. Here each revision has its own: what was written for that very change, or
else what was changed.
"""

from domain.deployment import CHANGE_CAUSE
from domain.replicaset import ReplicaSet
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


def shown(at: Scene, held: ReplicaSet, document: JSON) -> JSON:
    """The ReplicaSet's document with that cause; itself where there is none."""
    cause = of(at, held)
    metadata = document["metadata"]
    assert isinstance(metadata, dict), "every object has metadata"
    if not cause:
        return document
    annotations = {**metadata.get("annotations", {}), CHANGE_CAUSE: cause}
    return {**document, "metadata": {**metadata, "annotations": annotations}}
