"""What each event makes it necessary to look at: the table at the end.

1. A handler looks at the event and at what the pod was before it, and marks; it decides
   nothing and appends nothing (`State.emit` does).
2. An alarm is set here where an event is what begins the time that it ends.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from domain import (
    active_check,
    analysis,
    analysis_run,
    autoscaler,
    deployment,
    labels,
    names,
    node,
    plain,
    pod,
    replicaset,
)
from domain.events import Event, Recorded
from domain.plans import garbage
from domain.pod import Pod
from workers import autoscalers

if TYPE_CHECKING:
    from workers.state import State


def mark(state: "State", recorded: Recorded, before: Pod | None) -> None:
    """Marks what must be looked at because of `recorded`: the table below."""
    handler = _MARKS.get(type(recorded.event))
    if handler is not None:
        handler(state, recorded, before)
    if state.leaving:
        _leaving(state, recorded)


def arm_availability(state: "State", held: Pod) -> None:
    """Sets the alarm for the end of the pod's minReadySeconds (spec 3.1)."""
    owner = state.cluster.desired.replicasets.get(held.owner)
    if owner is not None and held.ready_seconds < owner.min_ready_seconds:
        at = held.ready_at + owner.min_ready_seconds
        state.timers.set("available", held.key, at)


def arm_autoscaler(state: "State", key: str) -> None:
    """Sets the alarm for the autoscaler's next turn."""
    at = autoscalers.next_look(key, state.now, state.settings.autoscale_every)
    state.timers.set("autoscale", key, at)


def _object_created(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    if recorded.stream.startswith(f"{autoscaler.KIND}/"):
        arm_autoscaler(state, recorded.stream)


def _deployment(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    state.dirty_deployments.add(recorded.stream, recorded.position, wish=True)


def _measured(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    state.dirty_deployments.add(recorded.stream, recorded.position)


def _deployment_gone(state: "State", recorded: Recorded, before: Pod | None) -> None:
    _deployment(state, recorded, before)
    _owner_gone(state, recorded)


def _owner_gone(state: "State", recorded: Recorded) -> None:
    """Whoever named the object as owner may have none any more."""
    for key in state.cluster.desired.references.dependents_of(recorded.stream):
        state.dependents.add(key, recorded.position)


def _owned_anew(state: "State", recorded: Recorded) -> None:
    """Its owners are others now, and perhaps not there."""
    if recorded.stream in state.cluster.desired.references.by_object:
        state.dependents.add(recorded.stream, recorded.position)


def _replicaset(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    position = recorded.position
    state.dirty_replicasets.add(recorded.stream, position, wish=True)
    held = state.cluster.desired.replicasets.get(recorded.stream)
    if held is not None and held.owner:
        state.dirty_deployments.add(held.owner, position)


def _replicaset_created(state: "State", recorded: Recorded, _: Pod | None) -> None:
    """One that nobody owns wakes whoever may adopt it (spec 2.1)."""
    _replicaset(state, recorded, None)
    desired = state.cluster.desired
    held = desired.replicasets.get(recorded.stream)
    if held is None or held.owner:
        return
    for key, owner in desired.deployments.items():
        if owner.namespace == held.namespace and labels.matches(
            owner.spec.selector, held.labels
        ):
            state.dirty_deployments.add(key, recorded.position)


def _replicaset_configured(state: "State", recorded: Recorded, _: Pod | None) -> None:
    """Ready pods may have to wait for longer now, or no longer."""
    _replicaset(state, recorded, None)
    for held in state.cluster.actual.pods_of(recorded.stream):
        if held.ready:
            arm_availability(state, held)


def _replicaset_failed(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    """Its Deployment's status changes; it is not tried again by that alone."""
    held = state.cluster.desired.replicasets.get(recorded.stream)
    if held is not None and held.owner:
        state.dirty_deployments.add(held.owner, recorded.position)


def _replicaset_left(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    """Who owns it, or could own it, must look: it was released or labelled anew."""
    _replicaset(state, recorded, None)
    _, namespace, _ = recorded.stream.split("/", 2)
    prefix = f"deployment/{namespace}/"
    for key in state.cluster.desired.deployments:
        if key.startswith(prefix):
            state.dirty_deployments.add(key, recorded.position)
    _owned_anew(state, recorded)


def _replicaset_gone(state: "State", recorded: Recorded, before: Pod | None) -> None:
    _replicaset_left(state, recorded, before)
    _owner_gone(state, recorded)


def _pod_counts(state: "State", recorded: Recorded, before: Pod | None) -> None:
    after = state.cluster.actual.pods.get(recorded.stream)
    held = after or before
    assert held is not None, "the event of a pod has a pod before or after it"
    if not held.owner:
        return
    state.dirty_replicasets.add(held.owner, recorded.position)
    owner = state.cluster.desired.replicasets.get(held.owner)
    if owner is not None and owner.owner:
        state.dirty_deployments.add(owner.owner, recorded.position)


def _pod_created(state: "State", recorded: Recorded, before: Pod | None) -> None:
    state.place_cause = recorded.position
    _pod_counts(state, recorded, before)
    if pod.template_in(recorded.event) is not None:
        _wake_adopters(state, recorded)


def _wake_adopters(state: "State", recorded: Recorded) -> None:
    """A pod that nobody owns wakes every ReplicaSet that selects it (spec 3.1)."""
    actual, desired = state.cluster.actual, state.cluster.desired
    held = actual.pods.get(recorded.stream)
    if held is None or held.owner or not held.active:
        return
    values = actual.labels_of(held)
    for key, found in desired.replicasets.items():
        if found.namespace == held.namespace and desired.selects(found, values):
            state.dirty_replicasets.add(key, recorded.position)


def _pod_configured(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    """It may tolerate more now: where it waits, and where it would be evicted."""
    held = state.cluster.actual.pods.get(recorded.stream)
    if held is not None and held.node:
        state.dirty_nodes.add(names.node_key(held.node), recorded.position)
    state.place_cause = recorded.position


def _pod_reported(state: "State", recorded: Recorded, before: Pod | None) -> None:
    after = state.cluster.actual.pods.get(recorded.stream)
    if before is None or after is None:
        return
    if after.ready and after.ready_at != before.ready_at:
        arm_availability(state, after)
    if after.restarts:
        _crashed(state, recorded, after)
    if (after.ready, after.phase, after.ready_at) != (
        before.ready,
        before.phase,
        before.ready_at,
    ):
        _pod_counts(state, recorded, before)
        if after.terminal and not before.terminal:
            _room(state, recorded, before)
            if len(state.cluster.actual.ended) > garbage.TERMINATED_MAX:
                state.timers.set("collect", "", state.now + garbage.PERIOD)


def _crashed(state: "State", recorded: Recorded, held: Pod) -> None:
    """A rollout may be rolled back for its crashes, where that is asked for."""
    owner = state.cluster.desired.owner_of(held.owner)
    if owner is not None and analysis.policy(owner.annotations).crashes is not None:
        state.dirty_deployments.add(owner.key, recorded.position)


def _pod_gone(state: "State", recorded: Recorded, before: Pod | None) -> None:
    state.metrics.forget_pod(recorded.stream)
    _pod_counts(state, recorded, before)
    if before is not None and before.node:
        _room(state, recorded, before)
    if state.cluster.desired.references.dependents:
        _owner_gone(state, recorded)


def _pod_moved(state: "State", recorded: Recorded, before: Pod | None) -> None:
    """Adopted, released, labelled or of other owners: both ReplicaSets look, and
    whoever may adopt."""
    if before is not None and before.owner:
        state.dirty_replicasets.add(before.owner, recorded.position)
        left = state.cluster.desired.replicasets.get(before.owner)
        if left is not None and left.owner:
            state.dirty_deployments.add(left.owner, recorded.position)
    _pod_counts(state, recorded, before)
    after = state.cluster.actual.pods.get(recorded.stream)
    if after is not None and after.ready:
        arm_availability(state, after)  # it may have rung while nobody owned the pod
    _wake_adopters(state, recorded)
    _owned_anew(state, recorded)


def _room(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    """Room may have appeared: pods that wait are tried again."""
    state.place_cause = recorded.position


def _node(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    state.place_cause = recorded.position
    state.dirty_nodes.add(recorded.stream, recorded.position)


def _node_tainted(state: "State", recorded: Recorded, before: Pod | None) -> None:
    """A taint may evict pods, or say that the node is out of service for good."""
    _node(state, recorded, before)
    state.timers.set("collect", "", state.now)


def _node_unready(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    state.dirty_nodes.add(recorded.stream, recorded.position)
    state.timers.set("collect", "", state.now)
    use = state.cluster.actual.nodes.get(recorded.stream.partition("/")[2])
    if use is None:
        return
    for key in use.siblings:
        held = state.cluster.desired.replicasets.get(key)
        if held is not None and held.owner:
            state.dirty_deployments.add(held.owner, recorded.position)


def _node_removed(state: "State", recorded: Recorded, _before: Pod | None) -> None:
    state.timers.set("collect", "", state.now + state.settings.orphan_grace)
    _owner_gone(state, recorded)


def _namespace_leaves(state: "State", recorded: Recorded, _: Pod | None) -> None:
    """One that is on its way out was asked to go, or has lost a finalizer."""
    if recorded.stream not in state.cluster.plain.terminating:
        return
    state.dirty_namespaces.add(recorded.stream, recorded.position, wish=True)


def _leaving(state: "State", recorded: Recorded) -> None:
    """Keeps `State.leaving` true; the namespace is looked at when something new is in
    it, something of which nobody is the owner any more, or nothing."""
    _, _, rest = recorded.stream.partition("/")
    namespace, slash, _ = rest.partition("/")
    left = state.leaving.get(namespace)
    if left is None or not slash:
        return
    known = recorded.stream in left
    if state.cluster.held(recorded.stream) is None:
        left.pop(recorded.stream, None)
        if left:
            return
    else:
        left[recorded.stream] = None
        freed = (pod.PodReleased, replicaset.ReplicaSetReleased)
        if known and not isinstance(recorded.event, freed):
            return
    key = names.namespace_key(namespace)
    state.dirty_namespaces.add(key, recorded.position)


Handler = Callable[["State", Recorded, Pod | None], None]

_MARKS: Final[dict[type[Event], Handler]] = {
    deployment.DeploymentCreated: _deployment,
    deployment.DeploymentTemplateChanged: _deployment,
    deployment.DeploymentRolledBack: _deployment,
    deployment.DeploymentScaled: _deployment,
    deployment.DeploymentConfigured: _deployment,
    deployment.DeploymentPaused: _deployment,
    deployment.DeploymentResumed: _deployment,
    deployment.DeploymentAnnotated: _deployment,
    deployment.DeploymentDeletionRequested: _deployment,
    deployment.DeploymentDeleted: _deployment_gone,
    deployment.HashCollided: _deployment,
    deployment.RolloutCompleted: _deployment,
    deployment.RolloutStalled: _measured,
    **dict.fromkeys(analysis_run.EVENTS, _deployment),
    analysis_run.MeasurementTaken: _measured,
    replicaset.ReplicaSetCreated: _replicaset_created,
    replicaset.ReplicaSetScaled: _replicaset,
    replicaset.ReplicaSetRevised: _replicaset,
    replicaset.ReplicaSetConfigured: _replicaset_configured,
    replicaset.ReplicaSetTemplateChanged: _replicaset,
    replicaset.ReplicaSetFailed: _replicaset_failed,
    replicaset.ReplicaSetRecovered: _replicaset_failed,
    replicaset.ReplicaSetAdopted: _replicaset,
    replicaset.ReplicaSetReleased: _replicaset_left,
    replicaset.ReplicaSetOwnersChanged: _replicaset_left,
    replicaset.ReplicaSetLabelled: _replicaset_left,
    replicaset.ReplicaSetDeletionRequested: _replicaset,
    replicaset.ReplicaSetDeleted: _replicaset_gone,
    pod.PodCreated: _pod_created,
    **dict.fromkeys((pod.PodReported, active_check.PodChecked), _pod_reported),
    pod.PodBecameAvailable: _pod_counts,
    pod.PodTerminationRequested: _pod_counts,
    **dict.fromkeys((pod.PodRemoved, pod.PodFailed), _pod_gone),
    pod.PodAdopted: _pod_moved,
    pod.PodReleased: _pod_moved,
    pod.PodOwnersChanged: _pod_moved,
    pod.PodLabelled: _pod_moved,
    pod.PodConfigured: _pod_configured,
    node.NodeRegistered: _node,
    node.NodeChanged: _node,
    node.NodeBecameReady: _node,
    node.NodeUncordoned: _node,
    node.NodeLabelled: _node,
    node.NodeTainted: _node_tainted,
    node.NodeBecameUnready: _node_unready,
    node.NodeRemoved: _node_removed,
    plain.ObjectCreated: _object_created,
    plain.ObjectDeletionRequested: _namespace_leaves,
    plain.ObjectReplaced: _namespace_leaves,
}
