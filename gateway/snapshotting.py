"""A reader's snapshots: written in a thread of their own, beside its fold.

1. One at a time, when it is due (projections/nearest.py). The thread rests as long as
   it works, so that the loop runs.
2. One that cannot be kept is an alarm and nothing else.
3. Who ends in good order leaves a snapshot of where it stood, if that spares the next
   start more than it takes now. Then the thread hurries, and gives up in the end.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from adapters.eventlog import EventLog
from domain import errors
from projections import nearest, snapshots
from projections.cluster import Cluster

CLOSING_SECONDS: Final = 25.0
"""Whoever ends a process has more patience than this (rule 3)."""
_log = logging.getLogger(__name__)

Cutting = Callable[[], snapshots.Cut]
"""Makes a cut of a state that is at the end of a step."""


class _Saved(NamedTuple):
    position: int
    bytes: int
    seconds: float
    busy: float
    """Seconds of the processor."""


class Saver:
    """The snapshots of one reader; its methods run in one loop, and none blocks it."""

    def __init__(self, log: EventLog) -> None:
        self._source = log
        self._thread = ThreadPoolExecutor(1, "snapshots")
        self._pace = _Pace()
        self._closing = False
        self.saving: asyncio.Future[_Saved] | None = None
        """What is being written now."""
        self.failed = 0
        """How many could not be kept."""
        self._cost = 0.0
        self.start(0)

    def start(self, position: int) -> None:
        """The state is another one; what was kept of it last, if anything, is that at
        `position`."""
        self._cut_at = self._saved_at = position
        self._cut_when = time.monotonic()

    def consider(self, cluster: Cluster, cut: Cutting) -> None:
        """Begins a snapshot of `cluster`, at the end of a step, if it is time."""
        if self.saving is not None:
            return
        seconds = time.monotonic() - self._cut_when
        behind = cluster.position - self._cut_at
        if nearest.is_due(cluster, behind, seconds, self._cost):
            self._begin(cut())

    async def close(self, cluster: Cluster, cut: Cutting | None) -> None:
        """Afterwards nothing is written any more, and rule 3 was done; `cut` is None
        where `cluster` is no start for others.

        If the caller is cancelled meanwhile, that is carried out at the end: who ends
        a task asks again and again (adapters/cancelling.py).
        """
        self._closing = True
        until, hurried = time.monotonic() + CLOSING_SECONDS, False
        former = self._saved_at if self.saving is None else self._cut_at
        behind = nearest.is_worth_it(cluster, cluster.position - former)
        last = cut if behind else None
        if self.saving is not None:
            # It is given up where it is of no use, or another one takes its place.
            useful = nearest.is_worth_it(cluster, self._cut_at - self._saved_at)
            self._pace.hurry(until if useful and last is None else 0.0)
            hurried |= await _ended(self.saving)
        if last is not None:
            self._pace.hurry(until)
            hurried |= await _ended(self._begin(last()))
        self._thread.shutdown()
        if hurried:
            raise asyncio.CancelledError

    def _begin(self, made: snapshots.Cut) -> asyncio.Future[_Saved]:
        self._cut_at, self._cut_when = made.header.position, time.monotonic()
        self.saving = asyncio.get_running_loop().run_in_executor(
            self._thread, _save, self._source, made, self._pace
        )
        self.saving.add_done_callback(self._taken)
        return self.saving

    def _taken(self, saving: asyncio.Future[_Saved]) -> None:
        self.saving = None
        error = saving.exception()
        if error is None:
            done = saving.result()
            self._cost, self._saved_at = done.busy, done.position
            _log.info(
                "snapshot at position %d: %d bytes, written in %.1f s, %.1f s of work",
                *done,
            )
        elif not self._closing:
            self.failed += 1
            _log.warning("no snapshot at position %d: %s", self._cut_at, error)


class _Pace:
    """How a snapshot is written: at leisure, or, once in a hurry, up to a time."""

    def __init__(self) -> None:
        self._hurry = threading.Event()
        self._until = math.inf

    def hurry(self, until: float) -> None:
        """From now on without a rest, and not beyond `until` of the monotonic clock."""
        self._until = until
        self._hurry.set()

    def rest(self, seconds: float) -> None:
        """Waits so long, or not at all; raises `Transient` when it is too late."""
        if self._hurry.wait(seconds) and time.monotonic() >= self._until:
            raise errors.Transient("the reader is being closed")


def _save(log: EventLog, made: snapshots.Cut, pace: _Pace) -> _Saved:
    """Rules 1 and 3; raises `Transient` where it is given up."""
    begun, busy = time.monotonic(), time.thread_time()
    parts: list[bytes] = []
    worked = begun
    for part in snapshots.frames(made):
        parts.append(part)
        pace.rest(time.monotonic() - worked)
        worked = time.monotonic()
    data = snapshots.whole(parts)
    position = made.header.position
    log.save_snapshot(snapshots.NAME, position, snapshots.version(), data)
    took, busy = time.monotonic() - begun, time.thread_time() - busy
    return _Saved(position, len(data), took, busy)


async def _ended(work: asyncio.Future[_Saved]) -> bool:
    """Afterwards it is done; whether the caller was cancelled meanwhile."""
    hurried = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            hurried = True
    return hurried
