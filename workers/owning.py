"""Objects whose owners are gone, for which their manifest named owners (spec 1.2).

1. An object is deleted when none of its owners is there any more. While one is there
   the references to those that are gone are taken away, and nothing else happens.
2. An owner of a kind that is not kept here is taken to be there (domain/owners.py).
3. What a controller here controls is that controller's to collect: it is released
   instead where another owner is left (`has_other_owner`).
"""

from domain import events, owners, pod, replicaset
from domain.metadata import OwnerReference
from domain.pod import Pod
from domain.replicaset import ReplicaSet
from workers.state import State


def collect(state: State, key: str, cause: int) -> None:
    """Afterwards every owner that the object names is there, or the object goes."""
    held = _held(state, key)
    named = state.cluster.desired.references.of(key)
    if held is None or not named or held.owner or _is_ending(held):
        return
    present = tuple(each for each in named if _exists(state, held.namespace, each))
    if present == named:
        return
    event: events.Event
    if isinstance(held, ReplicaSet):
        actor = events.DEPLOYMENT_CONTROLLER
        event = replicaset.ReplicaSetOwnersChanged(references=present)
        if not present:
            event = replicaset.ReplicaSetDeleted(why="its owners were deleted")
        state.emit(key, event, actor=actor, cause=cause)
        return
    actor = events.REPLICASET_CONTROLLER
    if present:
        event = pod.PodOwnersChanged(references=present)
        state.emit(key, event, actor=actor, cause=cause)
        return
    own = state.cluster.desired.templates[held.template].grace
    for event in pod.terminate(
        held,
        why="its owners were deleted",
        reason="Deleted",
        grace=pod.grace_of(held, None, own),
        now=state.now,
    ):
        state.emit(key, event, actor=events.POD_COLLECTOR, cause=cause)


def has_other_owner(state: State, held: ReplicaSet | Pod) -> bool:
    """An owner beside its controller is there, so that it outlives that (rule 3)."""
    named = state.cluster.desired.references.of(held.key)
    others = owners.released(named, held.owner_uid)
    return any(_exists(state, held.namespace, each) for each in others)


def _held(state: State, key: str) -> ReplicaSet | Pod | None:
    found = state.cluster.desired.replicasets.get(key)
    return found or state.cluster.actual.pods.get(key)


def _is_ending(held: ReplicaSet | Pod) -> bool:
    return held.stage in (pod.TERMINATING, replicaset.DELETING)


def _exists(state: State, namespace: str, reference: OwnerReference) -> bool:
    key = owners.key_of(reference, namespace)
    return key is None or state.cluster.uid_of(key) == reference.uid
