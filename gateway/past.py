"""The states of the past: what `at` asks for, found without disturbing the present.

1. Every position since the first can be asked for. A position in the middle of a step
   is answered for exactly that position; a time is answered for the last step at or
   before it.
2. One object is folded from the streams that it is made of (past_folding.py), a list
   from the nearest state that is known: a snapshot, or a state that was asked for
   before. Those are kept as long as `memory` bytes are enough for them.
3. Nothing of this is done in the loop: objects are folded in `THREADS` threads and
   whole clusters in one, so that neither waits for the other. Who asks for what is
   just being folded waits for that fold.
4. A log that has gone back is another one: what is known of the first is forgotten.
5. Of a Deployment or a ReplicaSet at the end of a step no pod is folded where the
   reader has recorded what it counted (past_timelines.py), and in the middle of one
   only the pods that the step speaks of (past_steps.py). Every other position costs a
   fold of the pods that it ever had.
"""

import asyncio
import functools
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

from adapters.archive_segment import Damaged
from adapters.eventlog import EventLog
from domain import errors, queries, times
from domain.errors import Rejected
from gateway import differences, past_folding, past_steps
from gateway.past_families import Families
from gateway.past_folding import Folded, Part
from gateway.past_timelines import Timelines

THREADS: Final = 2
MEMORY_BYTES: Final = 256 * 1024 * 1024
PARTS_KEPT: Final = 64
TOUCHED_KEPT: Final = 8
PART_PODS_MAX: Final = 500
"""An object with more pods than these in its part is not kept."""
FAMILY_PODS_MAX: Final = 10_000
"""From so many pods on, gone ones included, the whole cluster is folded sooner."""
CLOCKS_SECONDS: Final = 60.0
"""So far the asker's clock may go before ours."""
FOLLOW_SECONDS: Final = 2.0
_POD_BYTES: Final = 2_000
_LINE_BYTES: Final = 800
_OTHER_BYTES: Final = 4_000
_RECORDED: Final = frozenset({"deployment", "replicaset"})

T = TypeVar("T")
_log = logging.getLogger(__name__)


class At(NamedTuple):
    """A moment: the position of the log, and the time that ages are counted to."""

    position: int
    now: float


class Past:
    """States of one log's past; its methods run in one loop, and none blocks it."""

    def __init__(
        self,
        log: EventLog,
        *,
        memory: int = MEMORY_BYTES,
        timelines: Timelines | None = None,
    ) -> None:
        """`timelines` is what a fold of the same log has seen, in the same loop."""
        self._log = log
        self._timelines = timelines if timelines is not None else Timelines()
        self.recorded = 0
        """How many objects were answered from the timelines."""
        self._memory = memory
        self._objects = ThreadPoolExecutor(THREADS, "past-object")
        self._clusters = ThreadPoolExecutor(1, "past-cluster")
        self._index = ThreadPoolExecutor(1, "past-index")
        self._closed = False
        self._forget()

    def _forget(self) -> None:
        self._families = Families()
        self._wholes: OrderedDict[int, Folded] = OrderedDict()
        self._parts: OrderedDict[tuple[str, int, Part], Folded] = OrderedDict()
        self._running: dict[Hashable, asyncio.Task[Folded]] = {}
        self._touched: OrderedDict[tuple[int, int], list[str]] = OrderedDict()
        self._last = 0

    # --- moments --------------------------------------------------------------------

    async def locate(self, moment: queries.Moment, now: float) -> At:
        """The place in the log that is meant.

        Raises `Rejected` for one that is not there, and says which are.
        """
        found, last = await self._in(self._objects, self._located, moment, now)
        if last < self._last:
            self._forget()
        self._last = last
        return found

    def _located(self, moment: queries.Moment, now: float) -> tuple[At, int]:
        last = self._log.last_position()
        if (moment.position is None) == (moment.time is None):
            raise Rejected(
                "BadRequest", "at: give either a position or a time, one of both"
            )
        if not last:
            raise Rejected("BadRequest", "at: nothing has happened yet: no log to read")
        if moment.position is not None:
            position = moment.position
            if not 1 <= position <= last:
                raise self._outside(f"at.position: {position}", last)
            return At(position, self._time_of(position)), last
        assert moment.time is not None
        when = times.grid(moment.time)
        ends = max(now, self._time_of(last)) + CLOCKS_SECONDS
        if not self._time_of(1) <= when <= ends:
            raise self._outside(f"at.time: {_shown(when)}", last)
        return At(self._last_before(when, last), when), last

    def _outside(self, what: str, last: int) -> Rejected:
        begin, end = _shown(self._time_of(1)), _shown(self._time_of(last))
        return Rejected(
            "BadRequest",
            f"{what} is outside the log, which goes from position 1 ({begin}) to "
            f"position {last} ({end}): ask for a moment in between",
        )

    def _last_before(self, when: float, last: int) -> int:
        """The last position whose event is not later, by halving: times grow."""
        low, high = 1, last
        while low < high:
            middle = (low + high + 1) // 2
            if self._time_of(middle) <= when:
                low = middle
            else:
                high = middle - 1
        return low

    def _time_of(self, position: int) -> float:
        """When the event happened; that of the one before, where it cannot be read."""
        while position:
            rows = self._log.read(position - 1, 1)
            recorded = past_folding.decoded(rows[0]) if rows else None
            if recorded is not None:
                return recorded.timestamp
            position -= 1
        return 0.0

    # --- states ---------------------------------------------------------------------

    async def whole(self, position: int) -> Folded:
        """The whole cluster at `position`, which is one of the log."""
        known = self._wholes.get(position)
        if known is not None:
            self._wholes.move_to_end(position)
            return known
        return await self._shared(position, lambda: self._fold_whole(position))

    async def part(self, key: str, position: int, wanted: Part) -> Folded:
        """The object `key` at `position`, with what surrounds it; see `Part`.

        What else is in that state is not to be looked at.
        """
        if position in self._wholes:
            return await self.whole(position)
        known = self._parts.get((key, position, wanted))
        if known is not None:
            self._parts.move_to_end((key, position, wanted))
            return known
        asked = (key, position, wanted)
        return await self._shared(asked, lambda: self._fold_part(*asked))

    async def _fold_whole(self, position: int) -> Folded:
        before = [each for each in self._wholes if each <= position]
        known = self._wholes[max(before)] if before else None
        found = await self._in(
            self._clusters, past_folding.whole, self._log, position, known
        )
        self._wholes[position] = found
        while len(self._wholes) > 1 and self._used() > self._memory:
            self._wholes.popitem(last=False)
        return found

    async def _fold_part(self, key: str, position: int, wanted: Part) -> Folded:
        families = self._families
        found = await self._recorded(key, position, wanted)
        if found is not None:
            self._keep((key, position, wanted), found)
            return found
        if wanted in ("status", "described"):
            return await self.part(key, position, "all")
        await self._in(self._objects, families.catch_up, self._log, position)
        if self._is_large(key, position, wanted):
            return await self.whole(position)
        found = await self._in(
            self._objects, past_folding.part, self._log, families, key, position, wanted
        )
        if len(found.cluster.actual.pods) <= PART_PODS_MAX:
            self._keep((key, position, wanted), found)
        return found

    async def _recorded(self, key: str, position: int, wanted: Part) -> Folded | None:
        """The object from what was recorded of it (rule 5); None where it is not."""
        kind = key.partition("/")[0]
        if wanted not in past_folding.RECORDED or kind not in _RECORDED:
            return None
        told = wanted == "described"
        if told and kind != "deployment":
            return None  # what is told of a ReplicaSet is about its pods
        step = await self._in(self._objects, past_steps.step_at, self._log, position)
        if step is None:
            return None
        seen = self._timelines.seen(key, step.before)
        if seen is None:
            return None
        families = self._families if told or step.rows else None
        if families is not None:
            await self._in(self._objects, families.catch_up, self._log, position)
        if step.rows:
            assert families is not None
            work = functools.partial(past_steps.inside, told=told)
            found = await self._in(
                self._objects, work, self._log, families, key, step, seen
            )
        else:
            found = await self._in(
                self._objects,
                past_folding.recorded,
                self._log,
                families,
                key,
                position,
                seen,
            )
        self.recorded += found is not None
        return found

    def _keep(self, asked: tuple[str, int, Part], found: Folded) -> None:
        self._parts[asked] = found
        if len(self._parts) > PARTS_KEPT:
            self._parts.popitem(last=False)

    def _is_large(self, key: str, position: int, wanted: Part) -> bool:
        kind = key.partition("/")[0]
        if wanted == "revisions" or kind not in ("deployment", "replicaset"):
            return False
        mine = self._families.replicasets_of(key) if kind == "deployment" else [key]
        living = wanted == "counts"
        pods = self._families.pods_of(mine, position, living=living)
        return len(pods) > FAMILY_PODS_MAX

    def _used(self) -> int:
        """About how many bytes the clusters that are kept take."""
        return sum(_size(each) for each in self._wholes.values())

    async def _shared(
        self, asked: Hashable, work: Callable[[], Awaitable[Folded]]
    ) -> Folded:
        """The result of `work`, which is done once for all who ask for it meanwhile."""
        task = self._running.get(asked)
        if task is None:
            running = self._running

            async def done() -> Folded:
                try:
                    return await work()
                finally:
                    running.pop(asked, None)

            task = running[asked] = asyncio.create_task(done())
        return await asyncio.shield(task)

    async def touched(self, after: int, until: int) -> list[str]:
        """The objects with events behind `after` up to `until`."""
        known = self._touched.get((after, until))
        if known is None:
            work = differences.touched
            known = await self._in(self._clusters, work, self._log, after, until)
            self._touched[after, until] = known
            if len(self._touched) > TOUCHED_KEPT:
                self._touched.popitem(last=False)
        return known

    async def _in(
        self, pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: object
    ) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)

    # --- keeping up -----------------------------------------------------------------

    async def follow(self, seconds: float = FOLLOW_SECONDS) -> None:
        """Reads the index of families on while nobody asks; never returns.

        It takes a third of the time at most, so that others are not held up.
        """
        told = ""
        while True:
            try:
                last = await self._in(self._index, self._log.last_position)
                catch_up = self._families.catch_up
                await self._in(self._index, catch_up, self._log, last, self._pause)
            except errors.Transient:
                pass  # it is asked again
            except Damaged as error:  # whoever asks for the past is told the same
                if str(error) != told:
                    _log.error("the past is not known: %s", error)
                told = str(error)
            await asyncio.sleep(seconds)

    async def index(self) -> None:
        """Afterwards the index of families is that of the whole log."""
        last = await self._in(self._index, self._log.last_position)
        await self._in(self._index, self._families.catch_up, self._log, last)

    def _pause(self, took: float) -> None:
        if self._closed:
            raise errors.Transient("the past is closed")
        time.sleep(2 * took)

    def close(self) -> None:
        """Afterwards no thread works on; what waits is refused."""
        self._closed = True
        for pool in (self._objects, self._clusters, self._index):
            pool.shutdown(wait=True, cancel_futures=True)


def _size(held: Folded) -> int:
    desired = held.cluster.desired
    others = len(desired.replicasets) + len(desired.deployments)
    return (
        len(held.cluster.actual.pods) * _POD_BYTES
        + len(held.happenings) * _LINE_BYTES
        + others * _OTHER_BYTES
    )


def _shown(seconds: float) -> str:
    """The time; as seconds where no calendar has it."""
    try:
        return times.rfc3339(seconds)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} seconds since the epoch"
