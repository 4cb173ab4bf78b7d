"""What nodes are told: messages that fit, and those that can wait for the next one.

1. Half of all assignments would only confirm a report. Nobody waits for that (a
   kubelet repeats itself after a second at the earliest), so it is held back for
   `HOLD_SECONDS`; what a node is told meanwhile takes it along. With 50,000 pods on
   1,000 nodes that saves every third message of a rolling update.
2. What was held back is still true when it is said: what is in the store stays there.
3. While the writer is behind (steps end at their bound, or are large ones and the next
   inputs wait) a node is told of pods when there are `WORTH` of them, or after as long.
   With 1,000 nodes a step has one or two for each, and a message costs all who handle
   it more than a pod does. The pods would wait for the writer anyway, and longer.
"""

import time
from collections.abc import Iterator
from typing import Final

import msgspec

from domain.protocol import Assignment, Live, SyncReply
from workers.outbox import Step

SLACK: Final = 4096
"""Bytes of a message that the content leaves free."""
_ENCODER: Final = msgspec.json.Encoder()
HOLD_SECONDS: Final = 0.4
"""Well below the second after which a kubelet repeats what is not confirmed."""
LOOK_SECONDS: Final = 0.1
WORTH: Final = 8
"""So many pods are worth a message of their own, however busy the writer is."""
LARGE: Final = 4
"""A step is a large one from this part of its bound on."""


class Held:
    """What the nodes are yet to be told, by node, and since when.

    `bound` is that of a step's events. `behind`: the writer has more to decide at once
    (rule 3).
    """

    def __init__(self, bound: int) -> None:
        self.behind = False
        self._bound = bound
        self._by_node: dict[str, tuple[float, Assignment]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_node)

    def look(self, outcome: Step, waits: bool) -> float:
        """Afterwards it is known whether the writer is behind, by the step that is to
        be spoken of and by whether the next one's inputs wait; the time now."""
        large = LARGE * len(outcome.events) >= self._bound
        self.behind = outcome.more or (waits and large)
        return time.monotonic()

    def add(self, node: str, assignment: Assignment, now: float) -> list[Assignment]:
        """What is to be said to the node now, in order; nothing where it can wait."""
        said: list[Assignment] = []
        since, told = self._by_node.pop(node, (now, None))
        if told is not None and _continues(told, assignment):
            assignment = _joined(told, assignment)
        elif told is not None:
            said.append(told)
            since = now
        pods = len(assignment.run) + len(assignment.stop)
        if not assignment.resync and (not pods or (self.behind and pods < WORTH)):
            self._by_node[node] = since, assignment
            return said
        return [*said, assignment]

    def late(self, now: float) -> list[str]:
        """The nodes that have waited long enough: where there are pods to tell of, only
        as long as the writer is behind."""
        return [
            node
            for node, (since, held) in self._by_node.items()
            if since + HOLD_SECONDS <= now
            or (not self.behind and (held.run or held.stop))
        ]

    def nodes(self) -> list[str]:
        """Those for which something is held back."""
        return [*self._by_node]

    def pop(self, node: str) -> Assignment | None:
        """What was held back for the node. One at a time: as long as it is not said,
        what the node is told meanwhile must join it, and not overtake it."""
        return self._by_node.pop(node, (0.0, None))[1]


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


def _joined(told: Assignment, later: Assignment) -> Assignment:
    """Both as one. What runs is said before what stops, and a pod that runs once is
    not asked to run after it was asked to stop: their order does not matter."""
    return msgspec.structs.replace(
        later,
        from_position=told.from_position,
        confirmed=told.confirmed + later.confirmed,
        templates={**told.templates, **later.templates},
        run=told.run + later.run,
        stop=told.stop + later.stop,
    )
