"""What nodes are told: messages that fit, and those that can wait for the next one.

1. Half of all assignments would only confirm a report. Nobody waits for that (a
   kubelet repeats itself after a second at the earliest), so it is held back for
   `HOLD_SECONDS`; what a node is told meanwhile takes it along. With 50,000 pods on
   1,000 nodes that saves every third message of a rolling update.
2. What was held back is still true when it is said: a report that is in the store
   stays there.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from domain.protocol import Assignment, Live, SyncReply

SLACK: Final = 4096
"""Bytes of a message that the content leaves free."""
_ENCODER: Final = msgspec.json.Encoder()
HOLD_SECONDS: Final = 0.1


class Held:
    """What the nodes are yet to be told, by node."""

    def __init__(self) -> None:
        self._by_node: dict[str, Assignment] = {}

    def __bool__(self) -> bool:
        return bool(self._by_node)

    def add(self, node: str, assignment: Assignment) -> list[Assignment]:
        """What is to be said to the node now, in order; nothing where it can wait."""
        told = self._by_node.pop(node, None)
        now = [] if told is None else [told]
        if told is not None and _continues(told, assignment):
            now = []
            assignment = msgspec.structs.replace(
                assignment,
                from_position=told.from_position,
                confirmed=told.confirmed + assignment.confirmed,
            )
        if _only_confirms(assignment):
            self._by_node[node] = assignment
            return now
        return [*now, assignment]

    def pop(self) -> tuple[str, Assignment]:
        """A node and what was held back for it. One at a time: as long as it is not
        said, what the node is told meanwhile must join it, and not overtake it."""
        return self._by_node.popitem()


def fitting(message: Assignment | SyncReply, room: int) -> bytes:
    """The message in at most `room` bytes.

    In the place of an assignment that is longer the node is told to sync. In the place
    of a full list (of about 5,000 pods) it is told why: the full report with which it
    would have to answer does not fit into a message either.
    """
    data = _ENCODER.encode(message)
    if len(data) <= room:
        return data
    if isinstance(message, Assignment):
        shorter = msgspec.structs.replace(
            message, run=(), stop=(), templates={}, resync=True
        )
        return _ENCODER.encode(shorter)
    pods = len(message.run) + len(message.stop)
    why = f"the list of the node's {pods} pods does not fit into a message"
    return _ENCODER.encode(SyncReply(position=0, incarnation=0, error=why))


def live(said: Live, room: int) -> Iterator[bytes]:
    """The message, in as many parts as it takes; what does not fit by itself (the
    usage of 5,000 pods on one node) is left out."""
    data = _ENCODER.encode(said)
    usage, readings = said.usage, said.autoscalers
    if len(data) <= room:
        yield data
    elif len(usage) > 1 or len(readings) > 1 or (usage and readings):
        half, part = len(usage) // 2, len(readings) // 2
        if len(usage) <= 1 and len(readings) <= 1:
            half, part = 0, 1
        yield from live(Live(usage=usage[:half], autoscalers=readings[:part]), room)
        yield from live(Live(usage=usage[half:], autoscalers=readings[part:]), room)


def _continues(told: Assignment, later: Assignment) -> bool:
    return (
        told.to_position == later.from_position
        and told.incarnation == later.incarnation
    )


def _only_confirms(assignment: Assignment) -> bool:
    return not (assignment.run or assignment.stop or assignment.resync)
