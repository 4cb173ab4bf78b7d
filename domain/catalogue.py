"""Every event that may stand in the log: its topic, how to write and how to read it.

1. Decoding goes by this list only. Nothing in the store is resolved to an import
   path, and a topic that is not here is set aside, never guessed.
2. A new version of an event is a new class with a new topic; the old class stays,
   and `UPCASTS` turns it into the new one when it is read.
3. What is stored is one JSON document per event: the envelope's `at` (RFC 3339),
   `actor`, `cause`, `command`, and the fact under `event`.

If you add an event: its class in the file of its object, its row in that object's
transition table, this list, and its golden line in tests/domain/golden.jsonl, which
`python tests/domain/golden.py --add` appends.
"""

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from domain import (
    active_check,
    analysis_run,
    autoscaler,
    command,
    deployment,
    node,
    plain,
    pod,
    replicaset,
    times,
)
from domain.errors import Permanent
from domain.events import Event, Recorded

EVENTS: Final[tuple[type[Event], ...]] = (
    command.ClusterFounded,
    command.CommandAccepted,
    command.CommandRejected,
    deployment.DeploymentCreated,
    deployment.DeploymentTemplateChanged,
    deployment.DeploymentRolledBack,
    deployment.DeploymentRollbackDeclined,
    deployment.DeploymentScaled,
    deployment.DeploymentConfigured,
    deployment.DeploymentPaused,
    deployment.DeploymentResumed,
    deployment.DeploymentAnnotated,
    deployment.DeploymentLabelled,
    deployment.DeploymentDeletionRequested,
    deployment.DeploymentDeleted,
    deployment.RevisionStarted,
    deployment.RolloutCompleted,
    deployment.RolloutStalled,
    deployment.RevisionTagged,
    deployment.RevisionUntagged,
    deployment.HashCollided,
    *analysis_run.EVENTS,
    replicaset.ReplicaSetCreated,
    replicaset.ReplicaSetScaled,
    replicaset.ReplicaSetRevised,
    replicaset.ReplicaSetConfigured,
    replicaset.ReplicaSetTemplateChanged,
    replicaset.ReplicaSetFailed,
    replicaset.ReplicaSetRecovered,
    replicaset.ReplicaSetAdopted,
    replicaset.ReplicaSetReleased,
    replicaset.ReplicaSetOwnersChanged,
    replicaset.ReplicaSetLabelled,
    replicaset.ReplicaSetAnnotated,
    replicaset.ReplicaSetDeletionRequested,
    replicaset.ReplicaSetDeleted,
    pod.PodCreated,
    pod.PodScheduled,
    pod.PodUnschedulable,
    pod.PodReported,
    pod.PodBecameAvailable,
    active_check.PodChecked,
    pod.PodTerminationRequested,
    pod.PodRemoved,
    pod.PodFailed,
    pod.PodAdopted,
    pod.PodReleased,
    pod.PodOwnersChanged,
    pod.PodLabelled,
    pod.PodAnnotated,
    pod.PodConfigured,
    node.NodeRegistered,
    node.NodeChanged,
    node.NodeBecameReady,
    node.NodeBecameUnready,
    node.NodeLost,
    node.NodeSpared,
    node.NodeCordoned,
    node.NodeUncordoned,
    node.NodeLabelled,
    node.NodeAnnotated,
    node.NodeTainted,
    node.NodeRemoved,
    node.ReportsCounted,
    plain.ObjectCreated,
    plain.ObjectReplaced,
    plain.ObjectDeletionRequested,
    plain.ObjectDeleted,
    autoscaler.AutoscalerRescaled,
    autoscaler.AutoscalerConditionsChanged,
)

UPCASTS: Final[dict[type[Event], Callable[[Event], Event]]] = {}

E = TypeVar("E", bound=Event)


class Stored(msgspec.Struct, Generic[E], frozen=True, gc=False, omit_defaults=True):
    """One event as the store keeps it."""

    at: str
    actor: str
    event: E
    cause: int = 0
    command: str = ""


class Unreadable(NamedTuple):
    """An event that cannot be read, set aside: where it stands and why."""

    position: int
    stream: str
    topic: str
    why: str
    version: int = 0
    """Its place in the stream; 0 where it was read and could not be folded."""


_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final[dict[str, msgspec.json.Decoder[Stored[Event]]]] = {
    kind.TOPIC: msgspec.json.Decoder(Stored[kind])  # type: ignore[valid-type]  # the type is a value here, one decoder per topic
    for kind in EVENTS
}
assert len(_DECODERS) == len(EVENTS), "two events share a topic"


def encode(recorded: Recorded) -> bytes:
    """The document that the store keeps for `recorded`."""
    return _ENCODER.encode(
        Stored(
            at=times.rfc3339(recorded.timestamp),
            actor=recorded.actor,
            event=recorded.event,
            cause=recorded.cause,
            command=recorded.command_id,
        )
    )


def decode(
    position: int, stream: str, version: int, topic: str, state: bytes
) -> Recorded:
    """The event that `encode` wrote, brought to its newest version.

    Raises `Permanent` where the topic is unknown or the document is not its.
    """
    decoder = _DECODERS.get(topic)
    if decoder is None:
        raise Permanent(
            f"position {position} of the log holds an event of the unknown topic "
            f'"{topic}": it was written by a newer version of Rollbook'
        )
    try:
        stored = decoder.decode(state)
        at = times.parse(stored.at)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Permanent(
            f"position {position} of the log ({stream}, {topic}) cannot be read: "
            f"{error}"
        ) from error
    event: Event = stored.event
    while UPCASTS and (upcast := UPCASTS.get(type(event))) is not None:
        event = upcast(event)
    return Recorded(
        position,
        stream,
        version,
        at,
        stored.actor,
        stored.cause,
        stored.command,
        event,
    )
