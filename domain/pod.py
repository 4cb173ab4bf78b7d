"""A pod: one run of a template on one node.

1. A pod is bound to one node, once, and never moves (S8).
2. Its name is unique for ever: a generated name encodes the position of its event.
3. Terminating is a stage, not a phase: from the request on the pod counts for
   nothing (spec 4.3), and only its node's last word or its node's end removes it.
4. The phase never leaves Succeeded or Failed (spec 4.1).
5. Readiness is timed by the writer's clock, when it hears of it: a node's clock may
   jump (spec 4.2: a flip resets the time).
6. A template is not copied into its pods: `template` is the position of the event
   that holds it, the pod's own event where the pod brought its own.
7. The owners that its manifest named are not its state either: few pods have any, and
   projections/references.py keeps those.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from domain import active_check, owners, podspec
from domain.events import Event, Recorded, next_stage
from domain.plans.replicas import parse_deletion_cost
from domain.protocol import PodObservation, PodPhase

DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
BY_TAINT: Final = "DeletionByTaintManager"
"""The reason of a termination because of a node's taint (spec 4.6)."""

# --- commands ---------------------------------------------------------------------


class CreatePod(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Run this pod, by itself."""

    manifest: dict[str, object]


class ApplyPod(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Run this pod, or change in it what may change in a pod (spec 1.7)."""

    manifest: dict[str, object]


class ReplacePod(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Put this manifest in the place of the pod; few fields may change (spec 1.7).

    Refused as a conflict if it carries a resourceVersion that is not current.
    """

    manifest: dict[str, object]


class SetPodImage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Run these images in this pod: container name (or `*`) to image. The containers
    whose image that changes are ended, and run anew by their node (spec 1.7)."""

    images: dict[str, str]


class DeletePod(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """End this pod gracefully; `grace` overrides the pod's own seconds (spec 4.3)."""

    grace: int | None = None
    uid: str = ""


class EvictPod(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """End this pod because its node is being drained."""

    grace: int | None = None


# --- events -----------------------------------------------------------------------


class PodCreated(Event, frozen=True, kw_only=True):
    """The pod exists and waits for a node."""

    TOPIC = "pod.created.v1"
    uid: str
    template: int = 0
    owner: str = ""
    owner_uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    own: podspec.PodTemplateSpec | None = None


class PodScheduled(Event, frozen=True, kw_only=True):
    """The pod is bound to `node`."""

    TOPIC = "pod.scheduled.v1"
    node: str


class PodUnschedulable(Event, frozen=True, kw_only=True):
    """No node fits; `message` counts the nodes by what they lack."""

    TOPIC = "pod.unschedulable.v1"
    message: str


class PodReported(Event, frozen=True, kw_only=True):
    """Its node saw it change; this is all that the node knows of it."""

    TOPIC = "pod.reported.v1"
    incarnation: int
    sequence: int
    seen: PodObservation


class PodBecameAvailable(Event, frozen=True, kw_only=True):
    """It has been ready for `seconds`, its ReplicaSet's minReadySeconds of then."""

    TOPIC = "pod.became-available.v1"
    seconds: int


class PodTerminationRequested(Event, frozen=True, kw_only=True):
    """The pod shall end; `why` is one sentence for people."""

    TOPIC = "pod.termination-requested.v1"
    why: str
    reason: str
    grace: float = 30.0


class PodRemoved(Event, frozen=True, kw_only=True):
    """Nothing is left of the pod."""

    TOPIC = "pod.removed.v1"
    why: str = ""


class PodFailed(Event, frozen=True, kw_only=True):
    """The pod was given up without a word from its node (spec 4.8)."""

    TOPIC = "pod.failed.v1"
    reason: str
    message: str


class PodAdopted(Event, frozen=True, kw_only=True):
    """A ReplicaSet whose selector matches took the pod over (spec 3.3)."""

    TOPIC = "pod.adopted.v1"
    owner: str
    owner_uid: str


class PodReleased(Event, frozen=True, kw_only=True):
    """Its ReplicaSet let it go: the labels no longer match (spec 3.3)."""

    TOPIC = "pod.released.v1"


class PodLabelled(Event, frozen=True, kw_only=True):
    """The pod's labels are these now."""

    TOPIC = "pod.labelled.v1"
    labels: dict[str, str]


class PodAnnotated(Event, frozen=True, kw_only=True):
    """The pod's annotations are these now."""

    TOPIC = "pod.annotated.v1"
    annotations: dict[str, str]


class PodOwnersChanged(Event, frozen=True, kw_only=True):
    """The owners that a manifest named are these now (domain/owners.py, rule 2)."""

    TOPIC = "pod.owners-changed.v1"
    references: owners.References


class PodConfigured(Event, frozen=True, kw_only=True):
    """The pod runs by `own` from now on; only what may change in a pod is other."""

    TOPIC = "pod.configured.v1"
    own: podspec.PodTemplateSpec


# --- state and transition table ---------------------------------------------------

ABSENT: Final = "absent"
PENDING: Final = "pending"
BOUND: Final = "bound"
TERMINATING: Final = "terminating"

_METADATA: Final[tuple[type[Event], ...]] = (
    PodLabelled,
    PodAnnotated,
    PodAdopted,
    PodReleased,
    PodOwnersChanged,
    PodConfigured,
)

TRANSITIONS: Final[dict[str, dict[type[Event], str]]] = {
    ABSENT: {PodCreated: PENDING},
    PENDING: {
        PodScheduled: BOUND,
        PodUnschedulable: PENDING,
        PodTerminationRequested: TERMINATING,
        PodRemoved: ABSENT,
        **dict.fromkeys(_METADATA, PENDING),
    },
    BOUND: {
        PodReported: BOUND,
        PodBecameAvailable: BOUND,
        active_check.PodChecked: BOUND,
        PodTerminationRequested: TERMINATING,
        PodFailed: BOUND,
        PodRemoved: ABSENT,
        **dict.fromkeys(_METADATA, BOUND),
    },
    TERMINATING: {
        PodReported: TERMINATING,
        PodTerminationRequested: TERMINATING,
        PodFailed: TERMINATING,
        PodRemoved: ABSENT,
        **dict.fromkeys(_METADATA, TERMINATING),
    },
}


ENDED: Final = ("Succeeded", "Failed")
"""The phases of a pod whose containers have ended for good."""


class Pod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A pod as the log tells it; `labels` and `annotations` are None while they are
    those of its template."""

    namespace: str
    name: str
    uid: str
    stage: str
    created_at: float
    version: int
    position: int
    template: int
    owner: str = ""
    owner_uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_cost: int = 0
    node: str = ""
    scheduled_at: float = 0.0
    unschedulable: str = ""
    phase: PodPhase = "Pending"
    ready: bool = False
    ready_at: float = 0.0
    """When readiness last changed, either way; 0 while it never did."""
    ready_seconds: int = 0
    """The minReadySeconds that it is known to have been ready for."""
    restarts: int = 0
    check_failed: str = ""
    """Why its active check holds it back; empty while it does not."""
    seen: PodObservation | None = None
    deletion_at: float = 0.0
    """When the termination was asked for; 0 while it was not."""
    grace: float = 0.0
    termination: str = ""
    disrupted: bool = False
    """A taint of its node has ended it: its condition DisruptionTarget (spec 4.6)."""

    @property
    def key(self) -> str:
        """The stream of the pod."""
        return f"pod/{self.namespace}/{self.name}"

    @property
    def terminal(self) -> bool:
        """Its containers have ended for good."""
        return self.phase in ENDED

    @property
    def active(self) -> bool:
        """It counts for its ReplicaSet: not terminal and not terminating."""
        return self.stage != TERMINATING and not self.terminal


# --- decide -----------------------------------------------------------------------


def grace_of(pod: Pod, asked: int | None, own: float) -> float:
    """The seconds that a deletion grants (spec 4.3): at once for a pod without a node
    or at its end; a negative wish is 1."""
    if not pod.node or pod.terminal:
        return 0.0
    if asked is None:
        return own
    return 1.0 if asked < 0 else float(asked)


def terminate(
    pod: Pod, *, why: str, reason: str, grace: float, now: float
) -> list[Event]:
    """The events that end `pod`; a second request can only shorten the first.

    A pod that no node holds, or that is to go at once, is removed at once.
    """
    if pod.stage == TERMINATING:
        ends_at = pod.deletion_at + pod.grace
        if now + grace >= ends_at:
            return []
    request = PodTerminationRequested(why=why, reason=reason, grace=grace)
    if not pod.node:
        return [request, PodRemoved(why="it was never bound to a node")]
    if pod.terminal:
        return [request, PodRemoved(why="its containers had ended")]
    return [request]


def deletion_cost(annotations: dict[str, str] | None) -> int:
    """What the annotation says of how late the pod shall be ended (spec 3.6)."""
    return parse_deletion_cost((annotations or {}).get(DELETION_COST, ""))


# --- evolve -----------------------------------------------------------------------

_replace: Final = msgspec.structs.replace
_TEMPLATES: Final = (PodCreated, PodConfigured)
"""The events that may bring a specification along."""


def template_in(event: Event) -> podspec.PodTemplateSpec | None:
    """The specification that an event of a pod brings along, if it brings one."""
    return event.own if isinstance(event, _TEMPLATES) else None


def evolve(pod: Pod | None, recorded: Recorded) -> Pod | None:
    """The pod after the event; None when nothing is left of it.

    Raises `IllegalTransition`, and changes nothing, where the table has no entry.
    """
    event = recorded.event
    kind = type(event)
    if pod is None:
        stage = next_stage(TRANSITIONS, ABSENT, kind)
        assert isinstance(event, PodCreated)
        return _created(recorded, event, stage)
    stage = TRANSITIONS[pod.stage].get(kind) or next_stage(TRANSITIONS, pod.stage, kind)
    if stage == ABSENT:
        return None
    if (frequent := _FREQUENT.get(kind)) is not None:
        return frequent(pod, recorded, event, stage)
    return _replace(
        pod,
        stage=stage,
        version=recorded.version,
        position=recorded.position,
        **_change(pod, recorded),
    )


def _created(recorded: Recorded, event: PodCreated, stage: str) -> Pod:
    _, namespace, name = recorded.stream.split("/", 2)
    return Pod(
        namespace=sys.intern(namespace),
        name=name,
        uid=event.uid,
        stage=stage,
        created_at=recorded.timestamp,
        version=recorded.version,
        position=recorded.position,
        template=event.template or recorded.position,
        owner=sys.intern(event.owner),
        owner_uid=sys.intern(event.owner_uid),
        labels=event.labels,
        annotations=event.annotations,
        deletion_cost=deletion_cost(event.annotations) if event.annotations else 0,
    )


def _change(pod: Pod, recorded: Recorded) -> dict[str, object]:
    event = recorded.event
    match event:
        case PodUnschedulable():
            return {"unschedulable": event.message}
        case PodBecameAvailable():
            return {"ready_seconds": event.seconds}
        case active_check.PodChecked(passing=passing, detail=why):
            said = pod.seen is not None and pod.seen.ready and pod.phase == "Running"
            checked = {
                "ready": passing and said,
                "check_failed": "" if passing else why,
            }
            if checked["ready"] == pod.ready:
                return checked
            return {**checked, "ready_at": recorded.timestamp, "ready_seconds": 0}
        case PodFailed():
            return {
                "phase": "Failed",
                "ready": False,
                "seen": PodObservation(
                    phase="Failed", reason=event.reason, message=event.message
                ),
            }
        case PodAdopted():
            return {"owner": event.owner, "owner_uid": event.owner_uid}
        case PodReleased():
            return {"owner": "", "owner_uid": ""}
        case PodOwnersChanged():
            return {}
        case PodConfigured():
            return {"template": recorded.position}
        case PodLabelled():
            return {"labels": event.labels}
        case PodAnnotated():
            return {
                "annotations": event.annotations,
                "deletion_cost": deletion_cost(event.annotations),
            }
        case _:
            raise AssertionError(f"{type(event).__name__} is in the table, not here")


def _runs(seen: PodObservation | None) -> int:
    """How often any container was restarted: of each one, not of the one that leads."""
    if seen is None:
        return 0
    return sum(
        each.restarts for held in (seen.containers, seen.init_containers)
        for each in held
    )  # fmt: skip


def _scheduled(pod: Pod, recorded: Recorded, event: PodScheduled, stage: str) -> Pod:
    return _replace(
        pod,
        stage=stage,
        version=recorded.version,
        position=recorded.position,
        node=sys.intern(event.node),
        scheduled_at=recorded.timestamp,
        unschedulable="",
    )


def _reported(pod: Pod, recorded: Recorded, event: PodReported, stage: str) -> Pod:
    seen = event.seen
    phase = pod.phase if pod.terminal else seen.phase
    ready = seen.ready and phase == "Running" and not pod.check_failed
    restarts = 0
    for container in seen.containers:
        if container.restarts > restarts:
            restarts = container.restarts
    ready_at, ready_seconds = pod.ready_at, pod.ready_seconds
    # A restart between two reports is a flip that nobody saw (spec 8.2, mistake 27).
    if ready != pod.ready or (ready and _runs(seen) > _runs(pod.seen)):
        ready_at, ready_seconds = recorded.timestamp, 0
    return _replace(
        pod,
        stage=stage,
        version=recorded.version,
        position=recorded.position,
        phase=phase,
        seen=seen,
        ready=ready,
        ready_at=ready_at,
        ready_seconds=ready_seconds,
        restarts=restarts,
    )


def _ending(
    pod: Pod, recorded: Recorded, event: PodTerminationRequested, stage: str
) -> Pod:
    now = recorded.timestamp
    first = pod.deletion_at or now
    return _replace(
        pod,
        stage=stage,
        version=recorded.version,
        position=recorded.position,
        deletion_at=first,
        grace=now + event.grace - first,
        termination=event.why,
        disrupted=pod.disrupted or event.reason == BY_TAINT,
    )


_FREQUENT: Final[dict[type[Event], Callable[[Pod, Recorded, Any, str], Pod]]] = {
    PodScheduled: _scheduled,
    PodReported: _reported,
    PodTerminationRequested: _ending,
}
"""Most of a log: these build the pod at once, the others by way of `_change`."""
