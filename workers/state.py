"""What the writer knows, and the one place where an event is made.

1. `State.emit` seals a fact with its place in the log, folds it, and marks what must
   be looked at because of it. Nobody else appends.
2. What is not in the log is volatile and may be forgotten at any time: when a node
   was last heard, what is dirty, the chain of assignments. A restart marks all dirty.
3. A mark remembers the position that caused it. A wish (somebody asked for something)
   is a better cause than an observation, so it is not overwritten by one.
"""

from collections.abc import Callable
from typing import Final

from domain import (
    active_check,
    analysis,
    analysis_run,
    autoscaler,
    deployment,
    ids,
    labels,
    names,
    node,
    plain,
    pod,
    replicaset,
)
from domain.events import Event, Recorded
from domain.plans import garbage, node_health
from domain.pod import Pod
from domain.protocol import Answer, AutoscalerReading, NodeUsage
from projections.cluster import Cluster
from workers import autoscalers, metrics
from workers.marks import Gone, Heard, Marks
from workers.settings import Settings as Settings
from workers.timers import Timers

ANSWERS_REMEMBERED: Final = 50_000
"""So many answers are kept for a repetition that arrives before its commit."""


class State:
    """Everything that a step needs and changes."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.cluster = Cluster()
        self.timers = Timers()
        self.heard: dict[str, Heard] = {}
        self.answers: dict[str, Answer] = {}
        self.chain: dict[str, tuple[int, float]] = {}
        """The position that each node was told last, and when."""
        self.health = node_health.Health()
        self.missing: dict[str, float] = {}
        """Since when nodes that pods are bound to are not there any more."""
        self.metrics = metrics.Metrics(self.settings.measurements)
        self.autoscalers = autoscalers.Autoscalers()
        self.gone = Gone()
        self.measured: list[NodeUsage] = []
        self.readings: list[AutoscalerReading] = []
        """What nodes said of usage, and autoscalers saw, to be published."""
        self.counters: dict[str, int] = {}
        self.commands: dict[tuple[str, str], int] = {}
        """What became of commands, by verb and result, since the start."""
        self.completed: list[float] = []
        """How many seconds this step's complete rollouts took."""
        self.now = 0.0
        self.events: list[Recorded] = []
        self.left: list[tuple[Recorded, Pod]] = []
        """The removals of this step, each with the pod as it was."""
        self.dirty_deployments = Marks()
        self.dirty_replicasets = Marks()
        self.lacking = Marks()
        """ReplicaSets that create pods, after all those that end some (S7)."""
        self.dependents = Marks()
        """Objects that a manifest named owners for: one of these may be gone."""
        self.dirty_nodes = Marks()
        self.dirty_namespaces = Marks()
        """Namespaces that are on their way out."""
        self.leaving: dict[str, dict[str, None]] = {}
        """What is left in these, by the namespace's name (workers/namespaces.py)."""
        self.place_cause = 0
        """The position because of which waiting pods are tried again; 0: none."""

    # --- events ---------------------------------------------------------------------

    def emit(
        self,
        stream: str,
        event: Event,
        *,
        actor: str,
        cause: int,
        command_id: str = "",
        known_version: int = 0,
    ) -> Recorded:
        """Afterwards the event is in this step's list, folded, and has marked.

        `known_version` is the last version of a stream of which the state has nothing
        (the name was used long ago), as the store has it.
        """
        known = self.cluster.version_of(stream) or self.gone.last(stream, known_version)
        recorded = Recorded(
            self.cluster.position + 1,
            stream,
            known + 1,
            self.now,
            actor,
            cause,
            command_id,
            event,
        )
        self.events.append(recorded)
        before = self.cluster.fold(recorded)
        if before is not None and stream not in self.cluster.actual.pods:
            self.left.append((recorded, before))
            self.gone.add(stream, recorded.version)
        mark(self, recorded, before)
        return recorded

    def replay(self, recorded: Recorded) -> None:
        """Folds an event of the store at a start; marks come afterwards (`wake`)."""
        self.cluster.fold(recorded)

    def uid_after(self, events: int) -> str:
        """The uid of an object that is created when so many events have come first."""
        return ids.uid_at(self.cluster.uid, self.cluster.position + 1 + events)

    def count(self, what: str, number: int = 1) -> None:
        """Counts something that is refused or out of order."""
        self.counters[what] = self.counters.get(what, 0) + number

    def remember(self, answer: Answer) -> None:
        """Keeps an answer for a repetition of its command (S3)."""
        self.answers[answer.id] = answer
        if len(self.answers) > ANSWERS_REMEMBERED:
            del self.answers[next(iter(self.answers))]

    @property
    def dirty(self) -> bool:
        """Something must still be looked at."""
        return bool(
            self.dirty_namespaces
            or self.dependents
            or self.dirty_deployments
            or self.dirty_replicasets
            or self.lacking
            or self.dirty_nodes
            or (self.place_cause and self.cluster.actual.waiting)
        )

    def wake(self, now: float) -> None:
        """After a replay: everything is looked at once, and every alarm is set."""
        self.now = now
        self.health = node_health.Health(restarted_at=now)
        cluster = self.cluster
        for owner in cluster.desired.deployments.values():
            self.dirty_deployments.add(owner.key, owner.position)
        for held in cluster.desired.replicasets.values():
            self.dirty_replicasets.add(held.key, held.position)
            if held.owner and held.owner not in cluster.desired.deployments:
                self.dirty_deployments.add(held.owner, held.position)
        for scaler in cluster.plain.of(autoscaler.KIND):
            arm_autoscaler(self, scaler.key)
        for key in cluster.plain.terminating:
            self.dirty_namespaces.add(key, cluster.plain.objects[key].position)
        for key in cluster.desired.references.by_object:
            self.dependents.add(key, cluster.position)
        for use in cluster.actual.node_list:
            self.heard.setdefault(use.name, Heard())
            self.dirty_nodes.add(use.node.key, use.node.position)
            self.timers.set("count", use.name, now + self.settings.count_reports_every)
            self.timers.set("heartbeat", use.name, now)
        for state in cluster.actual.pods.values():
            if state.owner and state.owner not in cluster.desired.replicasets:
                self.dirty_replicasets.add(state.owner, state.position)
            if state.ready:
                arm_availability(self, state)
        if cluster.actual.stranded:
            self.timers.set("collect", "", now)
        self.timers.set("checked", "", now)
        self.place_cause = cluster.position


# --- marks ------------------------------------------------------------------------


def mark(state: State, recorded: Recorded, before: Pod | None) -> None:
    """Marks what must be looked at because of `recorded`: the table below."""
    handler = _MARKS.get(type(recorded.event))
    if handler is not None:
        handler(state, recorded, before)
    if state.leaving:
        _leaving(state, recorded)


def arm_availability(state: State, held: Pod) -> None:
    """Sets the alarm for the end of the pod's minReadySeconds (spec 3.1)."""
    owner = state.cluster.desired.replicasets.get(held.owner)
    if owner is not None and held.ready_seconds < owner.min_ready_seconds:
        at = held.ready_at + owner.min_ready_seconds
        state.timers.set("available", held.key, at)


def arm_autoscaler(state: State, key: str) -> None:
    """Sets the alarm for the autoscaler's next turn."""
    at = autoscalers.next_look(key, state.now, state.settings.autoscale_every)
    state.timers.set("autoscale", key, at)


def _object_created(state: State, recorded: Recorded, _before: Pod | None) -> None:
    if recorded.stream.startswith(f"{autoscaler.KIND}/"):
        arm_autoscaler(state, recorded.stream)


def _deployment(state: State, recorded: Recorded, _before: Pod | None) -> None:
    state.dirty_deployments.add(recorded.stream, recorded.position, wish=True)


def _measured(state: State, recorded: Recorded, _before: Pod | None) -> None:
    state.dirty_deployments.add(recorded.stream, recorded.position)


def _deployment_gone(state: State, recorded: Recorded, before: Pod | None) -> None:
    _deployment(state, recorded, before)
    _owner_gone(state, recorded)


def _owner_gone(state: State, recorded: Recorded) -> None:
    """Whoever named the object as owner may have none any more."""
    for key in state.cluster.desired.references.dependents_of(recorded.stream):
        state.dependents.add(key, recorded.position)


def _owned_anew(state: State, recorded: Recorded) -> None:
    """Its owners are others now, and perhaps not there."""
    if recorded.stream in state.cluster.desired.references.by_object:
        state.dependents.add(recorded.stream, recorded.position)


def _replicaset(state: State, recorded: Recorded, _before: Pod | None) -> None:
    position = recorded.position
    state.dirty_replicasets.add(recorded.stream, position, wish=True)
    held = state.cluster.desired.replicasets.get(recorded.stream)
    if held is not None and held.owner:
        state.dirty_deployments.add(held.owner, position)


def _replicaset_created(state: State, recorded: Recorded, _: Pod | None) -> None:
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


def _replicaset_configured(state: State, recorded: Recorded, _: Pod | None) -> None:
    """Ready pods may have to wait for longer now, or no longer."""
    _replicaset(state, recorded, None)
    for held in state.cluster.actual.pods_of(recorded.stream):
        if held.ready:
            arm_availability(state, held)


def _replicaset_failed(state: State, recorded: Recorded, _before: Pod | None) -> None:
    """Its Deployment's status changes; it is not tried again by that alone."""
    held = state.cluster.desired.replicasets.get(recorded.stream)
    if held is not None and held.owner:
        state.dirty_deployments.add(held.owner, recorded.position)


def _replicaset_left(state: State, recorded: Recorded, _before: Pod | None) -> None:
    """Who owns it, or could own it, must look: it was released or labelled anew."""
    _replicaset(state, recorded, None)
    _, namespace, _ = recorded.stream.split("/", 2)
    prefix = f"deployment/{namespace}/"
    for key in state.cluster.desired.deployments:
        if key.startswith(prefix):
            state.dirty_deployments.add(key, recorded.position)
    _owned_anew(state, recorded)


def _replicaset_gone(state: State, recorded: Recorded, before: Pod | None) -> None:
    _replicaset_left(state, recorded, before)
    _owner_gone(state, recorded)


def _pod_counts(state: State, recorded: Recorded, before: Pod | None) -> None:
    after = state.cluster.actual.pods.get(recorded.stream)
    held = after or before
    assert held is not None, "the event of a pod has a pod before or after it"
    if not held.owner:
        return
    state.dirty_replicasets.add(held.owner, recorded.position)
    owner = state.cluster.desired.replicasets.get(held.owner)
    if owner is not None and owner.owner:
        state.dirty_deployments.add(owner.owner, recorded.position)


def _pod_created(state: State, recorded: Recorded, before: Pod | None) -> None:
    state.place_cause = recorded.position
    _pod_counts(state, recorded, before)
    if pod.template_in(recorded.event) is not None:
        _wake_adopters(state, recorded)


def _wake_adopters(state: State, recorded: Recorded) -> None:
    """A pod that nobody owns wakes every ReplicaSet that selects it (spec 3.1)."""
    actual, desired = state.cluster.actual, state.cluster.desired
    held = actual.pods.get(recorded.stream)
    if held is None or held.owner or not held.active:
        return
    values = actual.labels_of(held)
    for key, found in desired.replicasets.items():
        if found.namespace == held.namespace and desired.selects(found, values):
            state.dirty_replicasets.add(key, recorded.position)


def _pod_configured(state: State, recorded: Recorded, _before: Pod | None) -> None:
    """It may tolerate more now: where it waits, and where it would be evicted."""
    held = state.cluster.actual.pods.get(recorded.stream)
    if held is not None and held.node:
        state.dirty_nodes.add(names.node_key(held.node), recorded.position)
    state.place_cause = recorded.position


def _pod_reported(state: State, recorded: Recorded, before: Pod | None) -> None:
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


def _crashed(state: State, recorded: Recorded, held: Pod) -> None:
    """A rollout may be rolled back for its crashes, where that is asked for."""
    owner = state.cluster.desired.owner_of(held.owner)
    if owner is not None and analysis.policy(owner.annotations).crashes is not None:
        state.dirty_deployments.add(owner.key, recorded.position)


def _pod_gone(state: State, recorded: Recorded, before: Pod | None) -> None:
    state.metrics.forget_pod(recorded.stream)
    _pod_counts(state, recorded, before)
    if before is not None and before.node:
        _room(state, recorded, before)
    if state.cluster.desired.references.dependents:
        _owner_gone(state, recorded)


def _pod_moved(state: State, recorded: Recorded, before: Pod | None) -> None:
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


def _room(state: State, recorded: Recorded, _before: Pod | None) -> None:
    """Room may have appeared: pods that wait are tried again."""
    state.place_cause = recorded.position


def _node(state: State, recorded: Recorded, _before: Pod | None) -> None:
    state.place_cause = recorded.position
    state.dirty_nodes.add(recorded.stream, recorded.position)


def _node_tainted(state: State, recorded: Recorded, before: Pod | None) -> None:
    """A taint may evict pods, or say that the node is out of service for good."""
    _node(state, recorded, before)
    state.timers.set("collect", "", state.now)


def _node_unready(state: State, recorded: Recorded, _before: Pod | None) -> None:
    state.dirty_nodes.add(recorded.stream, recorded.position)
    state.timers.set("collect", "", state.now)
    use = state.cluster.actual.nodes.get(recorded.stream.partition("/")[2])
    if use is None:
        return
    for key in use.siblings:
        held = state.cluster.desired.replicasets.get(key)
        if held is not None and held.owner:
            state.dirty_deployments.add(held.owner, recorded.position)


def _node_removed(state: State, recorded: Recorded, _before: Pod | None) -> None:
    state.timers.set("collect", "", state.now + state.settings.orphan_grace)
    _owner_gone(state, recorded)


def _namespace_leaves(state: State, recorded: Recorded, _: Pod | None) -> None:
    """One that is on its way out was asked to go, or has lost a finalizer."""
    if recorded.stream not in state.cluster.plain.terminating:
        return
    state.dirty_namespaces.add(recorded.stream, recorded.position, wish=True)


def _leaving(state: State, recorded: Recorded) -> None:
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


Handler = Callable[[State, Recorded, Pod | None], None]

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
