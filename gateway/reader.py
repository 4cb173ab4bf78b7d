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
6. It starts from the newest snapshot that its log stands behind, and takes snapshots
   for the starts that come, its own and the writer's: cut between two steps, and
   written in their own time (snapshotting.py). A last one is taken at the end.
"""

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

import msgspec

from adapters.eventlog import EventLog, Row
from domain import catalogue, command, errors, names
from domain.catalogue import Unreadable
from domain.events import Recorded
from domain.pod import Pod
from domain.protocol import Answer, Pulse
from gateway.live_readings import LiveReadings
from gateway.past_timelines import MOVING, Timelines
from gateway.snapshotting import Saver
from projections import nearest, snapshots
from projections.cluster import Cluster
from projections.happenings import Happenings
from projections.managed import ENDS, ManagedFields

PAGE_ROWS: Final = 2_000
POLL_SECONDS: Final = 1.0
ANSWERS_KEPT: Final = 10_000
UNREADABLE_KEPT: Final = 1_000

T = TypeVar("T")
Item = Recorded | Unreadable
_KEPT: Final = ENDS | {command.CommandAccepted, command.CommandRejected}
"""The events that more is kept of than what the fold makes of them."""
_PULSE: Final = msgspec.json.Decoder(Pulse)
_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Who follows the fold; nothing that it does may raise."""

    def start(self, position: int) -> None:
        """Another state, at the end of a step: what was told before is void."""

    def before(self, recorded: Recorded, cluster: Cluster) -> None:
        """The event is about to be folded."""

    def after(
        self, recorded: Recorded, before_pod: Pod | None, at: Cluster, told: Happenings
    ) -> None:
        """The event is folded; `before_pod` is its pod as it was."""

    def step_ended(self, cluster: Cluster, happenings: Happenings) -> None:
        """All events of the step are folded, and the state is settled."""


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
        self.snapshots_refused = 0
        """How many snapshots were damaged, or not of this log."""
        self._saver = Saver(log)
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
        self.live = LiveReadings()
        """What is measured now; whoever is connected lets it hear."""
        self.restarts = 0
        """How often the log had gone back (rule 5)."""
        self.observer: Observer | None = None
        """Is told of each event and each step that is folded from now on."""
        self.timelines = Timelines()
        """What the fold sees of Deployments and ReplicaSets, for who asks later."""
        self._begin()

    def _begin(self) -> None:
        self.cluster = Cluster()
        self.happenings = Happenings()
        self.managed = ManagedFields()
        self.unreadable: deque[Unreadable] = deque(maxlen=UNREADABLE_KEPT)
        self.unreadable_count = 0
        self._answers: dict[str, Answer] = {}
        self._started = False
        self._spoilt = False
        """Something could not be folded: this state is no start for others."""
        self._unread_at = 0
        """The position of the last event that could not be read."""
        self._saver.start(0)

    # --- questions ------------------------------------------------------------------

    @property
    def log(self) -> EventLog:
        """The log that is read; its calls block."""
        return self._source

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
            last, rows = await self.ask(self._newest)
            if last < self.position:
                _log.error(
                    "the log has gone back from %d to %d: starting anew",
                    self.position,
                    last,
                )
                self._begin()
                self.restarts += 1
                if self.observer is not None:
                    self.observer.start(0)
            self.committed = last
            if self._started:
                await self._fold_up_to(last, rows)
            else:
                await self._start(last)
            self._take_snapshot()
        return self.position

    async def _start(self, last: int) -> None:
        """Rule 6; the log is folded from the newest snapshot on."""
        found = await self.ask(nearest.find)
        self.snapshots_refused += len(found.refused)
        for why in found.refused:
            _log.error("%s", why)
        if found.cluster is not None:
            rest = snapshots.decode_rest(found.data)
            self.cluster, self.happenings = found.cluster, rest.happenings
            self.managed = rest.managed
            self.unreadable.extend(rest.set_aside)
            self.unreadable_count = self.cluster.unreadable
            self._saver.start(self.position)
        self._started = True
        lines = snapshots.decode_lines(found.data) if found.data else None
        if lines is not None:
            self.timelines.restore(lines, self.cluster)
        else:
            self.timelines.start(self.cluster)
        begin = self.position
        await self._fold_up_to(last)
        _log.info(
            "the state is at position %d: the snapshot at %d and %d events behind it",
            self.position,
            begin,
            self.position - begin,
        )

    def _newest(self, log: EventLog) -> tuple[int, list[Row]]:
        """The last position, and the first page of what is not folded yet: one way to
        the store's thread and back for a small step, and not two."""
        last = log.last_position()
        if not self._started or last <= self.position:
            return last, []
        return last, log.read(self.position, min(self._page_rows, last - self.position))

    async def _fold_up_to(self, last: int, first: Sequence[Row] = ()) -> None:
        """Page by page, of which `first` is the first where it is given; the events of
        an unfinished step wait for the next page.

        Asking for a page is when the loop runs (rule 2).
        """
        waiting: list[Item] = []
        read = self.position
        while read < last:
            rows = first or await self._page(read, min(self._page_rows, last - read))
            first = ()
            if not rows:
                raise errors.Transient(f"the store has no position {read + 1} yet")
            read = rows[-1].position
            waiting += _decode_all(rows)
            if read < last:
                whole = _whole_steps(waiting)
                ready, waiting = waiting[:whole], waiting[whole:]
            else:
                ready, waiting = waiting, []
            self._fold(ready)
            self._take_snapshot()

    async def _page(self, after: int, limit: int) -> list[Row]:
        return await self.ask(lambda log: log.read(after, limit))

    def _fold(self, items: Sequence[Item]) -> None:
        """Afterwards these whole steps are folded and settled; nothing is raised."""
        cluster, evolve = self.cluster, self.happenings.evolve
        fold = cluster.fold
        observer, timelines = self.observer, self.timelines
        note, touch = timelines.note, timelines.touch
        for item in items:
            if isinstance(item, Unreadable):
                self._set_aside(item)
                continue
            try:
                if item.timestamp != cluster.timestamp:
                    self._settle()
                    cluster.timestamp = item.timestamp
                if observer is not None:
                    observer.before(item, cluster)
                was = fold(item)
                if was is not None and type(item.event) not in MOVING:
                    touch(was.owner)  # most of a log
                else:
                    note(item, was, cluster)
                evolve(item, was, cluster)
                if observer is not None:
                    observer.after(item, was, cluster, self.happenings)
            except Exception as error:  # an alarm, never the end of the fold (rule 3)
                why = f"{type(error).__name__}: {error}"
                self._spoilt = True
                self.timelines.stop()
                self._set_aside(
                    Unreadable(item.position, item.stream, item.event.TOPIC, why)
                )
                continue
            if type(item.event) in _KEPT:
                self._remember(item)
                self.managed.evolve(item)
        self._settle()
        self._release()

    def _settle(self) -> None:
        try:
            self.cluster.settle()
        except Exception:  # what earlier events that were set aside left behind
            _log.exception("conditions at %d are not certain", self.position)
            self.timelines.stop()
        self.timelines.step_ended(self.cluster)
        if self.observer is not None:
            self.observer.step_ended(self.cluster, self.happenings)

    def _set_aside(self, item: Unreadable) -> None:
        """Rule 3: its place is passed, whatever of it was folded before it failed."""
        self.unreadable.append(item)
        self.unreadable_count += 1
        if item.version:
            self.cluster.skip(item.position, item.stream, item.version)
            self._unread_at = item.position
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

    # --- snapshots ------------------------------------------------------------------

    @property
    def snapshots_failed(self) -> int:
        """How many snapshots could not be kept."""
        return self._saver.failed

    def _take_snapshot(self) -> None:
        """Begins one if it is time; between two steps (rule 6)."""
        if self._is_certain():
            self._saver.consider(self.cluster, self._cut)

    def _is_certain(self) -> bool:
        """Nothing failed, and the event that the state ends with is known: that is how
        its log is recognised."""
        return not self._spoilt and self.position != self._unread_at

    def _cut(self) -> snapshots.Cut:
        return snapshots.cut(
            self.cluster,
            self.happenings,
            self.unreadable,
            self.managed,
            self.timelines.kept(),
        )

    async def close(self) -> None:
        """Afterwards the log is closed; other calls are then refused.

        A last snapshot is taken where it is worth it. If the caller is
        cancelled meanwhile, that is carried out at the end.
        """
        last = self._cut if self._is_certain() else None
        try:
            await self._saver.close(self.cluster, last)
        finally:
            self._thread.submit(self._source.close).result()
            self._thread.shutdown()


def _decode_all(rows: Sequence[Row]) -> list[Item]:
    decode = catalogue.decode
    try:
        return [decode(*row) for row in rows]
    except Exception:  # one of them: see `_decode`
        return [_decode(row) for row in rows]


def _decode(row: Row) -> Item:
    try:
        return catalogue.decode(*row)
    except Exception as error:  # Permanent, or whatever an upcast made of bad data
        return Unreadable(row.position, row.stream, row.topic, str(error), row.version)


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
