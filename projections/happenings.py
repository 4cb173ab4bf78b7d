"""What happened, for people: the lines of `get events`, as a pure fold of the log.

1. A line follows from one event and the state around it; the words are Kubernetes'
   (spec 2.15, 3.9, 4.4, 4.6). Events that Kubernetes says nothing of make no line.
2. Lines are never folded into one and never expire by time: the newest `KEPT` are
   there, and those before them are in the log itself.
3. A pod's end is told when it is asked for (`Killing`), not when its node says the
   same again: the node's word may be lost with the pod, and would be a second line.
4. Lines have no influence on anything.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from domain import (
    active_check,
    autoscaler,
    deployment,
    events,
    names,
    node,
    pod,
    replicaset,
)
from domain.events import Event, Recorded
from domain.pod import Pod
from projections import (
    happening,
    happenings_autoscalers,
    happenings_checks,
    happenings_nodes,
)
from projections.cluster import Cluster
from projections.happening import Happening as Happening
from projections.happening import Type

KEPT: Final = 100_000
EVICTED: Final = "DeletionByTaintManager"
"""The reason of a termination because of a node's taint (spec 4.6)."""


class Happenings:
    """The newest lines, in order of arrival; `evolve` is all that changes them."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lines: deque[Happening] = deque(maxlen=kept)
        self._by_object: dict[tuple[str, str, str], deque[Happening]] = {}
        """Of the lines up to `_indexed`, some of which may have gone meanwhile."""
        self._indexed = -1
        self._entries = 0
        """How many were put into the index since it was empty."""

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Happening]:
        return iter(self._lines)

    def of(self, kind: str, namespace: str, name: str) -> list[Happening]:
        """The lines about one object, oldest first; `kind` as in `Deployment`."""
        self._index()
        mine = self._by_object.get((kind, namespace, name))
        if mine is None:
            return []
        oldest = self._lines[0].number
        while mine and mine[0].number < oldest:
            mine.popleft()
        return [*mine]

    def at(self, position: int) -> list[Happening]:
        """The lines of the event at `position`, which no later event follows."""
        found: list[Happening] = []
        for line in reversed(self._lines):
            if line.position != position:
                break
            found.append(line)
        found.reverse()
        return found

    def evolve(
        self, recorded: Recorded, before_pod: Pod | None, cluster: Cluster
    ) -> None:
        """Afterwards the lines of the event are here (see `lines`)."""
        handler = _LINES.get(type(recorded.event))
        if handler is not None:
            self._lines.extend(handler(recorded, before_pod, cluster))

    def _add(self, line: Happening) -> None:
        self._lines.append(line)

    def _index(self) -> None:
        """Afterwards all lines are in the index. It is made when somebody asks: to
        keep it up with each line took a sixth of the fold."""
        if self._entries > 2 * len(self._lines):
            # Most of it is about lines that have gone.
            self._by_object.clear()
            self._indexed, self._entries = -1, 0
        fresh: list[Happening] = []
        for line in reversed(self._lines):
            if line.number <= self._indexed:
                break
            fresh.append(line)
        for line in reversed(fresh):
            key = (line.kind, line.namespace, line.name)
            self._by_object.setdefault(key, deque()).append(line)
        if fresh:
            self._indexed = fresh[0].number
            self._entries += len(fresh)


def lines(
    recorded: Recorded, before_pod: Pod | None, cluster: Cluster
) -> list[Happening]:
    """The lines that the event makes.

    `cluster` has folded the event; `before_pod` is what that fold returned.
    """
    handler = _LINES.get(type(recorded.event))
    return handler(recorded, before_pod, cluster) if handler is not None else []


# --- about Deployments and ReplicaSets --------------------------------------------


def _rolled_back(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    """Of one that the controller carried out alone: who asks is told in the answer."""
    event = recorded.event
    assert isinstance(event, deployment.DeploymentRolledBack)
    if recorded.actor != events.DEPLOYMENT_CONTROLLER:
        return []
    name = recorded.stream.rpartition("/")[2]
    message = f'Rolled back deployment "{name}" to revision {event.to_revision}'
    return _about_rollback(recorded, cluster, "DeploymentRollback", message, "Normal")


def _rollback_declined(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    event = recorded.event
    assert isinstance(event, deployment.DeploymentRollbackDeclined)
    return _about_rollback(recorded, cluster, event.reason, event.message, "Warning")


def _about_rollback(
    recorded: Recorded, cluster: Cluster, reason: str, message: str, type_: Type
) -> list[Happening]:
    held = cluster.desired.deployments.get(recorded.stream)
    if held is None:
        return []
    line = happening.line(
        recorded,
        reason=reason,
        message=message,
        about=("Deployment", held.namespace, held.name, held.uid),
        source="deployment-controller",
        type_=type_,
    )
    return [line]


def _replicaset_created(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    event = recorded.event
    assert isinstance(event, replicaset.ReplicaSetCreated)
    if not event.owner or not event.replicas:
        return []
    return _scaling(recorded, cluster, "up", 0, event.replicas)


def _replicaset_scaled(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    event = recorded.event
    assert isinstance(event, replicaset.ReplicaSetScaled)
    by_controller = recorded.actor == events.DEPLOYMENT_CONTROLLER
    if event.before == event.after or not by_controller:
        return []
    direction = "up" if event.after > event.before else "down"
    return _scaling(recorded, cluster, direction, event.before, event.after)


def _replicaset_failed(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    event = recorded.event
    assert isinstance(event, replicaset.ReplicaSetFailed)
    held = cluster.desired.replicasets.get(recorded.stream)
    if held is None:
        return []
    doing = "creating" if event.reason == "FailedCreate" else "deleting"
    line = happening.line(
        recorded,
        reason=event.reason,
        message=f"Error {doing}: {event.message}",
        about=("ReplicaSet", held.namespace, held.name, held.uid),
        source="replicaset-controller",
        type_="Warning",
    )
    return [line]


def _scaling(
    recorded: Recorded, cluster: Cluster, direction: str, before: int, after: int
) -> list[Happening]:
    held = cluster.desired.replicasets.get(recorded.stream)
    if held is None or not held.owner:
        return []
    _, namespace, owner = names.split_key(held.owner)
    line = happening.line(
        recorded,
        reason="ScalingReplicaSet",
        message=f"Scaled {direction} replica set {held.name} from {before} to {after}",
        about=("Deployment", namespace, owner, held.owner_uid),
        source="deployment-controller",
    )
    return [line]


def _pod_created(
    recorded: Recorded, _before: Pod | None, _cluster: Cluster
) -> list[Happening]:
    event = recorded.event
    assert isinstance(event, pod.PodCreated)
    if not event.owner:
        return []
    name = recorded.stream.rpartition("/")[2]
    return [_about_owner(recorded, event.owner, event.owner_uid, "Create", name)]


def _about_owner(
    recorded: Recorded, owner: str, owner_uid: str, what: str, name: str
) -> Happening:
    _, namespace, replicaset_name = owner.split("/", 2)
    return happening.line(
        recorded,
        reason=f"Successful{what}",
        message=f"{what}d pod: {name}",
        about=("ReplicaSet", namespace, replicaset_name, owner_uid),
        source="replicaset-controller",
    )


# --- about pods -------------------------------------------------------------------


def _pod_scheduling(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    event = recorded.event
    held = cluster.actual.pods.get(recorded.stream)
    if held is None:
        return []
    if isinstance(event, pod.PodScheduled):
        to = f"{held.namespace}/{held.name} to {event.node}"
        return [
            _by_scheduler(recorded, held, "Scheduled", f"Successfully assigned {to}")
        ]
    assert isinstance(event, pod.PodUnschedulable)
    return [_by_scheduler(recorded, held, "FailedScheduling", event.message, "Warning")]


def _by_scheduler(
    recorded: Recorded, held: Pod, reason: str, message: str, type_: Type = "Normal"
) -> Happening:
    return happening.about_pod(
        recorded,
        held,
        reason=reason,
        message=message,
        source="default-scheduler",
        type_=type_,
    )


def _pod_reported(
    recorded: Recorded, before: Pod | None, _cluster: Cluster
) -> list[Happening]:
    event = recorded.event
    assert isinstance(event, pod.PodReported)
    notes = event.seen.notes
    if not notes or before is None:
        return []
    ending = before.stage == pod.TERMINATING
    return [
        happening.about_pod(
            recorded,
            before,
            reason=note.reason,
            message=note.message,
            source="kubelet",
            type_="Warning" if note.warning else "Normal",
            host=before.node,
            container=note.container,
            index=index,
        )
        for index, note in enumerate(notes)
        if not (ending and note.message.startswith("Stopping container "))
    ]


def _pod_terminating(
    recorded: Recorded, before: Pod | None, cluster: Cluster
) -> list[Happening]:
    event = recorded.event
    assert isinstance(event, pod.PodTerminationRequested)
    if before is None or before.stage == pod.TERMINATING:
        return []
    found: list[Happening] = []
    if event.reason == EVICTED:
        found.append(
            happenings_nodes.about_eviction(recorded, before, "Marking for deletion")
        )
    by_controller = recorded.actor == events.REPLICASET_CONTROLLER
    if by_controller and _is_kept(cluster, before.owner):
        found.append(
            _about_owner(
                recorded, before.owner, before.owner_uid, "Delete", before.name
            )
        )
    return [*found, *_killing(recorded, before, cluster, len(found))]


def _is_kept(cluster: Cluster, key: str) -> bool:
    """The ReplicaSet goes on, so that what it ends it is too many by; the end of what
    a deletion takes with it makes no line (spec 3.9)."""
    held = cluster.desired.replicasets.get(key)
    if held is None or held.stage == replicaset.DELETING:
        return False
    owner = cluster.desired.owner_of(key)
    return owner is None or owner.stage != deployment.DELETING


def _killing(
    recorded: Recorded, before: Pod, cluster: Cluster, first: int
) -> list[Happening]:
    """Rule 3; nobody stops anything on a node that is not heard."""
    use = cluster.actual.nodes.get(before.node)
    facts = cluster.desired.templates.get(before.template)
    if use is None or not use.ready or facts is None or before.terminal:
        return []
    return [
        happening.about_pod(
            recorded,
            before,
            reason="Killing",
            message=f"Stopping container {container.name}",
            source="kubelet",
            host=before.node,
            container=container.name,
            index=index,
        )
        for index, container in enumerate(facts.template.spec.containers, first)
    ]


# --- the table ---------------------------------------------------------------------

Handler = Callable[[Recorded, Pod | None, Cluster], list[Happening]]

_LINES: Final[dict[type[Event], Handler]] = {
    deployment.DeploymentRolledBack: _rolled_back,
    deployment.DeploymentRollbackDeclined: _rollback_declined,
    replicaset.ReplicaSetCreated: _replicaset_created,
    replicaset.ReplicaSetScaled: _replicaset_scaled,
    replicaset.ReplicaSetFailed: _replicaset_failed,
    pod.PodCreated: _pod_created,
    pod.PodScheduled: _pod_scheduling,
    pod.PodUnschedulable: _pod_scheduling,
    pod.PodReported: _pod_reported,
    active_check.PodChecked: happenings_checks.checked,
    pod.PodTerminationRequested: _pod_terminating,
    autoscaler.AutoscalerRescaled: happenings_autoscalers.rescaled,
    autoscaler.AutoscalerConditionsChanged: happenings_autoscalers.changed,
    node.NodeRegistered: happenings_nodes.registered,
    node.NodeBecameReady: happenings_nodes.ready,
    node.NodeBecameUnready: happenings_nodes.unready,
    node.NodeChanged: happenings_nodes.changed,
    node.NodeSpared: happenings_nodes.relieved,
    node.NodeTainted: happenings_nodes.relieved,
    node.NodeRemoved: happenings_nodes.removed,
}
