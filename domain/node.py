"""A node: a machine whose kubelet runs pods.

1. A node registers itself by a sync; nobody else creates one.
2. Each start of its kubelet (a boot) is granted the next incarnation; reports of an
   older one are refused, whatever any clock says.
3. Ready is what the kubelet says while it is heard; Unknown once it is not heard for
   the grace time (spec 4.5). When a node turns unready its pods turn unready with it,
   at once and by the same event (spec 4.6).
4. Heartbeats are not events: `ReportsCounted` accounts for those that said nothing.
5. A cordoned node takes no new pods and keeps those that it has.
"""

from typing import Final, Literal

import msgspec

from domain import podspec, times
from domain.events import Event, Recorded, next_stage
from domain.protocol import NodeInfo

UNSCHEDULABLE_TAINT: Final = "node.kubernetes.io/unschedulable"
NOT_READY_TAINT: Final = "node.kubernetes.io/not-ready"
UNREACHABLE_TAINT: Final = "node.kubernetes.io/unreachable"
ENGINE_TAINT: Final = "rollbook/engine-unavailable"
"""The kubelet's word that its container engine fails; the value says how."""
CONDITION_TAINTS: Final = (UNSCHEDULABLE_TAINT, NOT_READY_TAINT, UNREACHABLE_TAINT)

# --- commands ---------------------------------------------------------------------


class CordonNode(msgspec.Struct, frozen=True, kw_only=True):
    """Let no new pod be bound to the node."""


class UncordonNode(msgspec.Struct, frozen=True, kw_only=True):
    """Let pods be bound to the node again."""


class ReplaceNode(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Make labels, annotations, taints and `unschedulable` what this manifest says.

    Refused as a conflict if it carries a resourceVersion that is not current. What the
    kubelet says of its node is the kubelet's, and is not changed by this.
    """

    manifest: dict[str, object]


class DeleteNode(msgspec.Struct, frozen=True, kw_only=True):
    """Forget the node; its pods are given up."""


class TaintNode(msgspec.Struct, frozen=True, kw_only=True):
    """Give the node these taints, all of them, in place of those it has."""

    taints: tuple[podspec.Taint, ...]


# --- events -----------------------------------------------------------------------


class NodeRegistered(Event, frozen=True, kw_only=True):
    """A kubelet of this name synced for the first time."""

    TOPIC = "node.registered.v1"
    uid: str
    boot_id: str
    incarnation: int
    info: NodeInfo


class NodeChanged(Event, frozen=True, kw_only=True):
    """The kubelet started anew (a new incarnation) or describes the node otherwise."""

    TOPIC = "node.changed.v1"
    boot_id: str
    incarnation: int
    info: NodeInfo


class NodeBecameReady(Event, frozen=True, kw_only=True):
    """The kubelet is heard and well."""

    TOPIC = "node.became-ready.v1"


class NodeBecameUnready(Event, frozen=True, kw_only=True):
    """The kubelet was not heard for the grace time, or says that it is not well."""

    TOPIC = "node.became-unready.v1"
    status: Literal["Unknown", "False"]
    reason: str
    message: str


class NodeLost(Event, frozen=True, kw_only=True):
    """Its pods' tolerations have begun to run out: they are being replaced."""

    TOPIC = "node.lost.v1"


class NodeSpared(Event, frozen=True, kw_only=True):
    """It is not lost any more, though not heard: no node is, so the fault is ours."""

    TOPIC = "node.spared.v1"


class NodeCordoned(Event, frozen=True, kw_only=True):
    """The node takes no new pods."""

    TOPIC = "node.cordoned.v1"


class NodeUncordoned(Event, frozen=True, kw_only=True):
    """The node takes pods again."""

    TOPIC = "node.uncordoned.v1"


class NodeLabelled(Event, frozen=True, kw_only=True):
    """The labels that users gave the node, on top of its own, are these now."""

    TOPIC = "node.labelled.v1"
    labels: dict[str, str]


class NodeAnnotated(Event, frozen=True, kw_only=True):
    """The node's annotations are these now."""

    TOPIC = "node.annotated.v1"
    annotations: dict[str, str]


class NodeTainted(Event, frozen=True, kw_only=True):
    """The taints that users gave the node are these now."""

    TOPIC = "node.tainted.v1"
    taints: tuple[podspec.Taint, ...]


class NodeRemoved(Event, frozen=True, kw_only=True):
    """The node is forgotten."""

    TOPIC = "node.removed.v1"


class ReportsCounted(Event, frozen=True, kw_only=True):
    """These reports were received and said nothing new.

    `count` of them lie between `first_sequence` and `last_sequence`.
    """

    TOPIC = "node.reports-counted.v1"
    incarnation: int
    first_sequence: int
    last_sequence: int
    count: int


_HEALTH: Final = (
    NodeRegistered,
    NodeChanged,
    NodeBecameReady,
    NodeBecameUnready,
    NodeLost,
    NodeSpared,
)

# --- state and transition table ---------------------------------------------------

ABSENT: Final = "absent"
STARTING: Final = "starting"
READY: Final = "ready"
UNREADY: Final = "unready"

_ANY: Final[tuple[type[Event], ...]] = (
    NodeChanged,
    NodeCordoned,
    NodeUncordoned,
    NodeLabelled,
    NodeAnnotated,
    NodeTainted,
    ReportsCounted,
)

TRANSITIONS: Final[dict[str, dict[type[Event], str]]] = {
    ABSENT: {NodeRegistered: STARTING, ReportsCounted: ABSENT},
    STARTING: {
        NodeBecameReady: READY,
        NodeBecameUnready: UNREADY,
        NodeRemoved: ABSENT,
        **dict.fromkeys(_ANY, STARTING),
    },
    READY: {
        NodeBecameUnready: UNREADY,
        NodeRemoved: ABSENT,
        **dict.fromkeys(_ANY, READY),
    },
    UNREADY: {
        NodeBecameReady: READY,
        NodeBecameUnready: UNREADY,
        NodeLost: UNREADY,
        NodeSpared: UNREADY,
        NodeRemoved: ABSENT,
        **dict.fromkeys(_ANY, UNREADY),
    },
}


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node as the log tells it; what it has left is the projection's business."""

    name: str
    uid: str
    stage: str
    created_at: float
    version: int
    position: int
    boot_id: str
    incarnation: int
    info: NodeInfo
    cordoned: bool = False
    labels: dict[str, str] = {}
    """What users set; the kubelet's own labels are in `info`."""
    annotations: dict[str, str] = {}
    taints: tuple[podspec.Taint, ...] = ()
    """What users set; those of the condition are derived."""
    status: Literal["True", "False", "Unknown"] = "Unknown"
    reason: str = ""
    message: str = ""
    changed_at: float = 0.0
    """When `status` last changed."""
    lost_at: float = 0.0
    """Since when its pods are given up after what they tolerate; 0 while not."""
    shed: tuple[podspec.Taint, ...] = ()
    """The NoExecute taints, and that of its engine, that its last event took away."""
    health_position: int = 0
    """The last event that said how the node is, or changed what pods are evicted for:
    what becomes of its pods has that cause, not a label and no count of reports."""

    @property
    def key(self) -> str:
        """The stream of the node."""
        return f"node/{self.name}"

    @property
    def ready(self) -> bool:
        """Pods may be bound to it, as far as its health is concerned."""
        return self.stage == READY

    def all_labels(self) -> dict[str, str]:
        """The kubelet's labels, the users' over them, and the host name."""
        return {**self.kubelet_labels(), **self.labels}

    def kubelet_labels(self) -> dict[str, str]:
        """The labels that the node has by itself."""
        return {"kubernetes.io/hostname": self.name, **self.info.labels}

    def all_taints(self) -> tuple[podspec.Taint, ...]:
        """The users' and the kubelet's taints and those of its condition."""
        derived: list[podspec.Taint] = []
        if self.cordoned:
            derived.append(podspec.Taint(key=UNSCHEDULABLE_TAINT, effect="NoSchedule"))
        if self.stage == UNREADY:
            key = UNREACHABLE_TAINT if self.status == "Unknown" else NOT_READY_TAINT
            derived.append(podspec.Taint(key=key, effect="NoSchedule"))
            if self.lost_at:
                derived.append(podspec.Taint(key=key, effect="NoExecute"))
        elif self.stage == STARTING:
            derived.append(podspec.Taint(key=NOT_READY_TAINT, effect="NoSchedule"))
        return (*self.info.taints, *self.taints, *derived)

    def no_execute_taints(self) -> tuple[podspec.Taint, ...]:
        """The taints that pods are evicted for."""
        return tuple(t for t in self.all_taints() if t.effect == "NoExecute")


# --- decide -----------------------------------------------------------------------


def decide(
    node: Node,
    command: CordonNode | UncordonNode | DeleteNode | TaintNode,
    now: float,
) -> list[Event]:
    """The events that carry the command out; none where it is so already.

    A NoExecute taint remembers when it was set: pods tolerate it from then on (4.7).
    Taints that the kubelet set or that follow from the condition are not users' to
    give: whoever sends back all that it has seen gives nothing twice.
    """
    match command:
        case CordonNode():
            return [] if node.cordoned else [NodeCordoned()]
        case UncordonNode():
            return [NodeUncordoned()] if node.cordoned else []
        case TaintNode():
            taints = tuple(
                _timed(taint, node, now)
                for taint in command.taints
                if taint.key not in CONDITION_TAINTS and taint not in node.info.taints
            )
            return [] if taints == node.taints else [NodeTainted(taints=taints)]
        case DeleteNode():
            return [NodeRemoved()]


def _timed(taint: podspec.Taint, node: Node, now: float) -> podspec.Taint:
    """The taint with the time at which it was first set."""
    same = (taint.key, taint.value, taint.effect)
    for held in node.taints:
        if (held.key, held.value, held.effect) == same:
            return held
    if taint.effect != "NoExecute":
        return taint
    return msgspec.structs.replace(taint, time_added=times.rfc3339(now))


def register(
    node: Node | None, *, boot_id: str, info: NodeInfo, uid: str, former: int = 0
) -> list[Event]:
    """The events of a sync: a new node, a new incarnation of a known one, a changed
    description, or none when this boot has said the same before (rule 2).

    `former` is the last incarnation of a node of this name that was removed: numbers
    go on behind it, or reports of its former life would be believed.
    """
    if node is None:
        first = NodeRegistered(
            uid=uid, boot_id=boot_id, incarnation=former + 1, info=info
        )
        return [first]
    if node.boot_id != boot_id:
        return [
            NodeChanged(boot_id=boot_id, incarnation=node.incarnation + 1, info=info)
        ]
    if node.info != info:
        return [NodeChanged(boot_id=boot_id, incarnation=node.incarnation, info=info)]
    return []


# --- evolve -----------------------------------------------------------------------


def evolve(node: Node | None, recorded: Recorded) -> Node | None:
    """The node after the event; None once it is forgotten.

    Raises `IllegalTransition`, and changes nothing, where the table has no entry.
    """
    event = recorded.event
    stage = next_stage(TRANSITIONS, node.stage if node else ABSENT, type(event))
    if node is None:
        if not isinstance(event, NodeRegistered):
            return None
        return Node(
            name=recorded.stream.split("/", 1)[1],
            uid=event.uid,
            stage=stage,
            created_at=recorded.timestamp,
            version=recorded.version,
            position=recorded.position,
            boot_id=event.boot_id,
            incarnation=event.incarnation,
            info=event.info,
            changed_at=recorded.timestamp,
            reason="NodeStatusNeverUpdated",
            message="Kubelet never posted node status.",
            health_position=recorded.position,
        )
    if stage == ABSENT:
        return None
    after = msgspec.structs.replace(
        node,
        stage=stage,
        version=recorded.version,
        position=recorded.position,
        **_change(event, recorded.timestamp),
    )
    held, left = node.no_execute_taints(), after.no_execute_taints()
    engine = (taint for taint in node.info.taints if taint.key == ENGINE_TAINT)
    gone = (t for t in engine if t not in after.info.taints)
    shed = (*(taint for taint in held if taint not in left), *gone)
    told = isinstance(event, _HEALTH) or held != left
    if shed == node.shed and not told:
        return after
    position = recorded.position if told else node.health_position
    return msgspec.structs.replace(after, shed=shed, health_position=position)


def _change(event: Event, now: float) -> dict[str, object]:
    match event:
        case NodeChanged():
            return {
                "boot_id": event.boot_id,
                "incarnation": event.incarnation,
                "info": event.info,
            }
        case NodeBecameReady():
            return {
                "status": "True",
                "reason": "KubeletReady",
                "message": "kubelet is posting ready status",
                "changed_at": now,
                "lost_at": 0.0,
            }
        case NodeBecameUnready():
            return {
                "status": event.status,
                "reason": event.reason,
                "message": event.message,
                "changed_at": now,
            }
        case NodeLost():
            return {"lost_at": now}
        case NodeSpared():
            return {"lost_at": 0.0}
        case NodeCordoned():
            return {"cordoned": True}
        case NodeUncordoned():
            return {"cordoned": False}
        case NodeLabelled():
            return {"labels": event.labels}
        case NodeAnnotated():
            return {"annotations": event.annotations}
        case NodeTainted():
            return {"taints": event.taints}
        case ReportsCounted():
            return {}
        case _:
            raise AssertionError(f"{type(event).__name__} is in the table, not here")
