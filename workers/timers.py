"""What is due when: a heap of alarms that is rebuilt from the state at a start.

An alarm says only that something must be looked at; what follows from it is decided
from the state, and recorded as an event, so that a replay needs no clock. An alarm
set twice rings at the earlier time; one that rings for nothing costs one look.
"""

import heapq
from typing import Literal

Kind = Literal[
    "autoscale",
    "available",
    "checked",
    "progress",
    "steps",
    "heartbeat",
    "evict",
    "collect",
    "count",
]


class Timers:
    """Alarms by (kind, key); times are seconds on the writer's clock."""

    def __init__(self) -> None:
        self._due: dict[tuple[Kind, str], float] = {}
        self._heap: list[tuple[float, Kind, str]] = []

    def set(self, kind: Kind, key: str, at: float) -> None:
        """Afterwards the alarm rings at `at`, or earlier if it was set earlier."""
        was = self._due.get((kind, key))
        if was is not None and was <= at:
            return
        self._due[kind, key] = at
        heapq.heappush(self._heap, (at, kind, key))

    def due(self, now: float) -> list[tuple[Kind, str]]:
        """The alarms that ring at or before `now`, in order; they are over then."""
        rung: list[tuple[Kind, str]] = []
        while self._heap and self._heap[0][0] <= now:
            at, kind, key = heapq.heappop(self._heap)
            if self._due.get((kind, key)) == at:
                del self._due[kind, key]
                rung.append((kind, key))
        return rung

    def next_at(self) -> float | None:
        """When the next alarm rings; None while none is set."""
        while self._heap:
            at, kind, key = self._heap[0]
            if self._due.get((kind, key)) == at:
                return at
            heapq.heappop(self._heap)
        return None
