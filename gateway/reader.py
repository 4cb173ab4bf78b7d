"""The committed log, folded for readers: the state that every answer is made from.

1. Readers see whole steps only. Appends are atomic, so a log that is read up to its
   last position ends at a step's end; on a long way there the fold stops between two
   timestamps, never inside one (all events of a step share theirs).
2. Folding never starves answers: the loop runs after each page. The store is asked in
   one thread of the reader's own.
3. An event that cannot be read or folded is set aside, with its reason and an alarm;
   its place in the log is not, and the events behind it are folded.
4. What wakes the reader is only a hint: the store says what there is, and it is asked
   at least every `POLL_SECONDS`.
5. A log that has gone back is another one: the reader starts anew.
"""

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import msgspec

from adapters.eventlog import EventLog, Row
from domain import catalogue, command, errors, names
from domain.catalogue import Unreadable
from domain.events import Recorded
from domain.protocol import Answer, Pulse
from projections.cluster import Cluster
from projections.happenings import Happenings

PAGE_ROWS: Final = 2_000
POLL_SECONDS: Final = 1.0
ANSWERS_KEPT: Final = 10_000
UNREADABLE_KEPT: Final = 1_000

T = TypeVar("T")
Item = Recorded | Unreadable
_PULSE: Final = msgspec.json.Decoder(Pulse)
_log = logging.getLogger(__name__)


class Reader:
    """One log's fold; every method runs in one loop, and none blocks it."""

    def __init__(
        self,
        log: EventLog,
        *,
        page_rows: int = PAGE_ROWS,
        answers_kept: int = ANSWERS_KEPT,
    ) -> None:
        self._source = log
        self._page_rows = page_rows
        self._answers_kept = answers_kept
        self._thread = ThreadPoolExecutor(1, "reader")
        self._folding = asyncio.Lock()
        self._woken = asyncio.Event()
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._tickets = itertools.count()
        self.committed = 0
        """The store's last position, when it was last asked."""
        self.control_heard_at = 0.0
        """When the writer was last heard, seconds since the epoch; 0 for never."""
        self.control_counters: dict[str, int] = {}
        """What the writer has refused or dropped since its start."""
        self.restarts = 0
        """How often the log had gone back (rule 5)."""
        self._begin()

    def _begin(self) -> None:
        self.cluster = Cluster()
        self.happenings = Happenings()
        self.unreadable: deque[Unreadable] = deque(maxlen=UNREADABLE_KEPT)
        self.unreadable_count = 0
        self._answers: dict[str, Answer] = {}

    # --- questions ------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Everything up to here is folded, and it is the end of a step."""
        return self.cluster.position

    async def wait_for(self, position: int, seconds: float) -> bool:
        """Whether `position` is folded, at the latest after `seconds`."""
        if self.position >= position:
            return True
        self.wake()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (position, next(self._tickets), future))
        await asyncio.wait([future], timeout=seconds)
        if future.done():
            return True
        future.cancel()
        self._waiters = [held for held in self._waiters if not held[2].done()]
        heapq.heapify(self._waiters)
        return False

    async def answer_to(self, command_id: str) -> Answer | None:
        """What the command was answered, or None while the log has nothing of it.

        Raises `Transient` where the store cannot be asked.
        """
        known = self._answers.get(command_id)
        if known is not None:
            return known
        stream = names.command_key(command_id)
        rows = await self.ask(lambda log: log.read_stream(stream, limit=1))
        found = _decode(rows[0]) if rows else None
        if not isinstance(found, Recorded):
            return None
        self._remember(found)
        return self._answers.get(command_id)

    async def ask(self, question: Callable[[EventLog], T]) -> T:
        """The store's answer to a question that blocks, asked in its thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, question, self._source)

    # --- the fold -------------------------------------------------------------------

    def hear(self, data: bytes, now: float) -> None:
        """A pulse of the writer: it lives, and there may be something new."""
        try:
            pulse = _PULSE.decode(data)
        except msgspec.MsgspecError:
            _log.warning("what came as a pulse of control is none")
            return
        self.control_heard_at = now
        if pulse.counters:
            self.control_counters = pulse.counters
        self.wake()

    def wake(self) -> None:
        """There may be something new: `follow` looks at once."""
        self._woken.set()

    async def follow(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Catches up whenever it is woken, and every `poll_seconds`; never returns.

        A store that is away is asked again. Raises `Permanent` where it is damaged.
        """
        while True:
            try:
                await self.catch_up()
            except errors.Transient as error:
                _log.warning("the store does not answer: %s", error)
                await asyncio.sleep(error.delay)
                continue
            try:
                async with asyncio.timeout(poll_seconds):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def catch_up(self) -> int:
        """Afterwards all that was committed before is folded; returns the position.

        Raises `Transient` or `Permanent` from the store; what is folded stays folded.
        """
        async with self._folding:
            self._woken.clear()
            last = await self.ask(lambda log: log.last_position())
            if last < self.position:
                _log.error(
                    "the log has gone back from %d to %d: starting anew",
                    self.position,
                    last,
                )
                self._begin()
                self.restarts += 1
            self.committed = last
            await self._fold_up_to(last)
        return self.position

    async def _fold_up_to(self, last: int) -> None:
        """Page by page; the events of an unfinished step wait for the next page.

        Asking for a page is when the loop runs (rule 2).
        """
        waiting: list[Item] = []
        read = self.position
        while read < last:
            rows = await self._page(read, min(self._page_rows, last - read))
            if not rows:
                raise errors.Transient(f"the store has no position {read + 1} yet")
            read = rows[-1].position
            waiting += [_decode(row) for row in rows]
            if read < last:
                whole = _whole_steps(waiting)
                ready, waiting = waiting[:whole], waiting[whole:]
            else:
                ready, waiting = waiting, []
            self._fold(ready)

    async def _page(self, after: int, limit: int) -> list[Row]:
        return await self.ask(lambda log: log.read(after, limit))

    def _fold(self, items: Sequence[Item]) -> None:
        """Afterwards these whole steps are folded and settled; nothing is raised."""
        cluster, evolve = self.cluster, self.happenings.evolve
        fold = cluster.fold
        for item in items:
            if isinstance(item, Unreadable):
                self._set_aside(item)
                continue
            try:
                if item.timestamp != cluster.timestamp:
                    self._settle()
                    cluster.timestamp = item.timestamp
                evolve(item, fold(item), cluster)
            except Exception as error:  # an alarm, never the end of the fold (rule 3)
                why = f"{type(error).__name__}: {error}"
                self._set_aside(
                    Unreadable(item.position, item.stream, item.event.TOPIC, why)
                )
                continue
            if item.stream.startswith("command/"):
                self._remember(item)
        self._settle()
        self._release()

    def _settle(self) -> None:
        try:
            self.cluster.settle()
        except Exception:  # what earlier events that were set aside left behind
            _log.exception("conditions at %d are not certain", self.position)

    def _set_aside(self, item: Unreadable) -> None:
        """Rule 3: its place is passed, whatever of it was folded before it failed."""
        self.unreadable.append(item)
        self.unreadable_count += 1
        self.cluster.position = max(self.cluster.position, item.position)
        _log.error("set aside: position %d (%s): %s", *item[:2], item.why)

    def _remember(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, command.CommandAccepted | command.CommandRejected):
            answers = self._answers
            answers[event.answer.id] = event.answer
            if len(answers) > self._answers_kept:
                del answers[next(iter(answers))]

    def _release(self) -> None:
        """Whoever waited for a position that is folded now goes on."""
        while self._waiters and self._waiters[0][0] <= self.position:
            future = heapq.heappop(self._waiters)[2]
            if not future.done():
                future.set_result(None)

    async def close(self) -> None:
        """Afterwards the log is closed; other calls are then refused."""
        await self.ask(lambda log: log.close())
        self._thread.shutdown()


def _decode(row: Row) -> Item:
    try:
        return catalogue.decode(*row)
    except Exception as error:  # Permanent, or whatever an upcast made of bad data
        return Unreadable(row.position, row.stream, row.topic, str(error))


def _whole_steps(items: Sequence[Item]) -> int:
    """How many of `items` surely belong to steps that are complete."""
    end = len(items)
    last: float | None = None
    while end:
        item = items[end - 1]
        if isinstance(item, Recorded):
            if last is not None and item.timestamp != last:
                break
            last = item.timestamp
        end -= 1
    return end
