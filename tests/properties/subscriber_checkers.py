"""L6: who listens sees every event once, in order, in whole steps, and can resume.

1. `Copies` runs the shipped relay and publisher over a simulated broker. The relay is
   handed what was committed, as control does, and now and then nothing, so that it has
   to read the store. Control is killed with its relay, and the relay of a writer that
   was replaced goes on beside the new one. A subscriber follows the stream by its
   bookmark, the last position.
2. `WholeSteps` runs the shipped reader, woken by pulses that get lost, over a store
   that is away now and then.
3. `Bookmarks` asks the shipped `log` question, and goes on where each answer ends.
4. All run in loops whose time is the simulation's (tests/support/simulated_loop.py).
"""

import asyncio
import zlib
from random import Random
from typing import Any, Final

import msgspec

from adapters.memory_log import MemoryLog
from adapters.nats_publisher import EventPublisher
from domain import catalogue, errors, queries
from domain.protocol import Pulse
from gateway import logreading
from gateway.reader import Reader
from tests.properties.checking import Checker
from tests.properties.log_checkers import compare
from tests.support import simulated_broker
from tests.support.cluster import START, SimCluster
from tests.support.simulated_broker import Broker, Stored
from tests.support.simulated_loop import Inline, SimulatedLoop
from workers import committing
from workers.outbox import Step
from workers.relay import Relay

PAGE: Final = 7
"""Rows that a reader folds at a time; smaller than many steps."""
PATIENCE: Final = 200.0
"""Seconds in which a healed broker has everything: more than its duplicate window."""
WAIT: Final = 5.0
UNHANDED: Final = 0.2
"""The share of commits after which a relay is woken and handed nothing."""
FOREVER: Final = 1 << 30
_NAMES: Final = {kind.TOPIC: kind.__name__ for kind in catalogue.EVENTS}


class _Head(msgspec.Struct):
    """What every message of EVENTS begins with."""

    position: int
    stream: str
    version: int
    type: str


_HEAD: Final = msgspec.json.Decoder(_Head)


class Subscriber:
    """Follows the stream; what it has lost is read from the log."""

    def __init__(self) -> None:
        self.sums: list[int] = []
        """Of each event, in order: as many as its bookmark says."""
        self.asked = 0
        """Events that were not in the stream any more."""
        self._created = 0
        self._sequence = 0

    def forget(self) -> None:
        """It starts again, and has kept nothing but what it has seen."""
        self._created = self._sequence = 0

    def read(self, broker: Broker, log: MemoryLog) -> None:
        """Afterwards it has seen what the stream holds."""
        if broker.messages is None:
            return
        if broker.created != self._created or broker.last < self._sequence:
            self._created, self._sequence = broker.created, 0
        fresh = []
        for message in reversed(broker.messages):
            if message.sequence <= self._sequence:
                break
            fresh.append(message)
        self._sequence = broker.last
        for message in reversed(fresh):
            if message.position <= len(self.sums):
                continue  # it is told again after a loss
            lost = log.read(len(self.sums), message.position - len(self.sums) - 1)
            self.asked += len(lost)
            self.sums += [zlib.crc32(row.state[1:]) for row in lost]
            size = len(log.read(message.position - 1, 1)[0].state) - 1
            self.sums.append(zlib.crc32(message.data[-size:]))


class Copies(Checker):
    """The stream EVENTS is an exact copy of the log, whatever happens to the broker."""

    id = "L6"
    kind = "liveness"

    def __init__(self) -> None:
        super().__init__()
        self.loop = SimulatedLoop()
        self.broker = Broker(self.loop.time)
        self._subscriber = Subscriber()
        self._relay: tuple[Relay, asyncio.Task[None]] | None = None
        self._former: tuple[Relay, asyncio.Task[None]] | None = None
        self._dice = Random("broker")
        self._handing = Random("handing")
        self._restarts = -1
        self._looked = 0

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """The relay is woken; then everybody does what can be done."""
        if self._restarts != sim.restarts:
            self._restart(sim)
        self._harm(sim)
        if step.events and self._relay is not None:
            rows, _ = committing.rows_of(step)
            handed = self._handing.random() >= UNHANDED
            self._relay[0].wake(rows if handed else ())
        if self._former is not None:
            if getattr(sim, "zombie", None) is None:
                self._former[1].cancel()
                self._former = None
            else:
                self._former[0].wake()
        self._look(sim)

    def _harm(self, sim: SimCluster) -> None:
        """What meets the cluster's wires meets those of the broker."""
        self.broker.dice = self._dice if sim.faults is not None else None
        for how, number in sim.harm:
            sim.injected[how] += 1
            if how == "broker away":
                self.broker.go_away(float(number))
            else:
                self.broker.harm(how, number)
        sim.harm.clear()

    def _restart(self, sim: SimCluster) -> None:
        """Control was killed with its relay, or replaced while its relay went on."""
        self._restarts = sim.restarts
        before, self._relay = self._relay, None
        replaced = getattr(sim, "zombie", None) is not None
        if before is not None and replaced and self._former is None:
            self._former = before
        elif before is not None:
            before[1].cancel()
        log = MemoryLog(sim.store, read_only=True)
        relay = Relay(log, EventPublisher(simulated_broker.connect(self.broker)))
        self._relay = relay, self.loop.create_task(relay.run())
        if sim.restarts % 5 == 4:
            self._subscriber.forget()

    def _look(self, sim: SimCluster) -> None:
        self.loop.run_until_idle(sim.now - START)
        assert self._relay is not None, "it was started before"
        for each in (self._relay, self._former):
            if each is not None and each[1].done():
                each[1].result()
        for stored in self.broker.journal[self._looked :]:
            self.reached += 1
            _check_stored(sim, stored)
        self._looked = len(self.broker.journal)
        self._subscriber.read(self.broker, MemoryLog(sim.store, read_only=True))

    def at_rest(self, sim: SimCluster) -> None:
        """A last event; the broker is well; everything comes to everybody."""
        self.broker.heal()
        sim.injected.update(self.broker.injected)
        self.broker.injected.clear()
        sim.ask("deployment", "nobody", "scale", {"replicas": 1})
        now = until = sim.now - START
        while not self._complete(sim) and now < until + PATIENCE:
            now += 0.5
            self.loop.run_until_idle(now)
        self._look(sim)
        assert self._complete(sim), "the stream ends with the last event"
        seen = self._subscriber
        assert seen.sums == [zlib.crc32(row.state[1:]) for row in sim.log], (
            "a subscriber has seen every event, once, in order"
        )
        assert self.broker.harmed or not seen.asked, "nobody has harmed the stream"

    def _complete(self, sim: SimCluster) -> bool:
        held = self.broker.messages
        return bool(held) and held is not None and held[-1].position == len(sim.log)

    def close(self) -> None:
        """Ends what runs in the loop."""
        self.loop.close()


def _check_stored(sim: SimCluster, stored: Stored) -> None:
    """A message continues the stream, and says what the log says."""
    message, before, harmed = stored
    row = sim.log[message.position - 1]
    if before is not None:
        assert message.position == before + 1, (
            f"EVENTS goes from position {before} to {message.position}"
        )
    else:
        assert message.position == 1 or harmed, "a new stream begins with the log"
    head = _HEAD.decode(message.data)
    wanted = (row.position, row.stream, row.version, _NAMES[row.topic])
    assert msgspec.structs.astuple(head) == wanted, "it says which event it is"
    assert message.data.endswith(row.state[1:]), "it says what the log says"
    kind, _, rest = row.stream.partition("/")
    namespace, _, name = rest.rpartition("/")
    assert message.subject.split(".")[-1] == _NAMES[row.topic], "its type is there"
    if kind != "command" and "." not in name and namespace:
        place = f"rollbook.event.{namespace}.{kind}.{name}."
        assert message.subject.startswith(place), "its subject names its object"


class WholeSteps(Checker):
    """The reader shows ends of steps only, never goes back, and misses nothing."""

    id = "L6"
    kind = "liveness"

    def __init__(self) -> None:
        super().__init__()
        self.loop = SimulatedLoop()
        self._dice: Random | None = Random("whole steps")
        self._ends = {0}
        self._shown = 0
        self._pulses: list[bytes] = []
        self._reader: Reader | None = None
        self._following: asyncio.Task[None] | None = None
        self._waits: list[asyncio.Task[None]] = []

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """The writer says how far it is; that may be lost, repeated or late."""
        if self._reader is None or self._strikes(0.01):
            self._start(sim)
        reader = self._reader
        assert reader is not None, "it was started just now"
        if step.events:
            self._ends.add(step.position)
            self._pulses.append(msgspec.json.encode(Pulse(position=step.position)))
            if not self._strikes(0.2):
                reader.hear(self._pulses[-1], sim.now)
            if self._strikes(0.1) and self._dice is not None:
                reader.hear(self._dice.choice(self._pulses), sim.now)
        for _, answer in step.answers:
            waiting = self._read_own_write(reader, answer.position)
            self._waits.append(self.loop.create_task(waiting))
        self._look(sim)

    def _start(self, sim: SimCluster) -> None:
        """A gateway starts; what the one before has folded is gone with it."""
        if self._following is not None:
            self._following.cancel()
        log = MemoryLog(sim.store, read_only=True)
        self._reader = Reader(log, page_rows=PAGE)
        self._reader._thread = Inline(self._asked)
        self._shown = 0
        self._following = self.loop.create_task(self._reader.follow())

    def _asked(self) -> None:
        """The store is asked; between two questions others may look at the reader."""
        self._show()
        if self._strikes(0.02):
            raise errors.Transient("the store is away", delay=0.2)

    def _show(self) -> None:
        assert self._reader is not None, "it asks"
        at = self._reader.position
        assert at in self._ends, f"position {at}, in the middle of a step, is shown"
        assert at >= self._shown, "what was shown is taken back"
        self.reached += at > self._shown
        self._shown = at

    async def _read_own_write(self, reader: Reader, position: int) -> None:
        """Who waits for the position of an answer finds it folded."""
        if await reader.wait_for(position, WAIT):
            assert reader.position >= position, "it is folded"

    def _look(self, sim: SimCluster) -> None:
        self.loop.run_until_idle(sim.now - START)
        self._show()
        assert self._following is not None, "it was started before"
        if self._following.done():
            self._following.result()
        for each in [task for task in self._waits if task.done()]:
            self._waits.remove(each)
            each.result()

    def _strikes(self, share: float) -> bool:
        return self._dice is not None and self._dice.random() < share

    def at_rest(self, sim: SimCluster) -> None:
        """The store is there, and nobody says anything: it is asked all the same."""
        dice, self._dice = self._dice, None
        for seconds in range(1, 5):
            self.loop.run_until_idle(sim.now - START + seconds)
        self._look(sim)
        assert self._reader is not None, "it was started before"
        assert self._reader.position == len(sim.log), "a lost pulse costs a second"
        assert not self._waits, "nobody waits for ever"
        compare(self._reader.cluster, sim.cluster)
        self._dice = dice

    def close(self) -> None:
        """Ends what runs in the loop."""
        self.loop.close()


class Bookmarks(Checker):
    """An answer to `log` says how far it has looked; from there it goes on."""

    id = "L6"
    kind = "liveness"

    def __init__(self) -> None:
        super().__init__()
        self._dice = Random("bookmarks")
        asked = queries.LogQuery
        self._questions = [
            asked(),
            asked(stream="pod/default/"),
            asked(types=("PodCreated", "ReplicaSetScaled")),
            asked(stream="deployment/default/web"),
        ]
        self._seen: list[list[int]] = [[] for _ in self._questions]

    def after_step(self, sim: SimCluster, _step: Step, /) -> None:
        """One of the followers asks for a little more."""
        self._ask(sim, self._dice.randrange(len(self._questions)), small=True)

    def _ask(self, sim: SimCluster, which: int, *, small: bool) -> None:
        dice, asked = self._dice, self._questions[which]
        limit = dice.choice((1, 3, 20)) if small else 0
        asked = msgspec.structs.replace(asked, limit=limit)
        room = dice.choice((1, 2_000, FOREVER)) if small else FOREVER
        log = MemoryLog(sim.store, read_only=True)
        found = logreading.answer(log, asked, len(sim.log), room)
        assert found.last >= asked.after, "a bookmark does not go back"
        for shown in found.events:
            self.reached += 1
            row: Any = sim.log[shown.position - 1]
            wanted = (row.stream, row.version, _NAMES[row.topic])
            assert (shown.stream, shown.version, shown.type) == wanted
            assert asked.after < shown.position <= found.last, "between two bookmarks"
        self._seen[which] += [shown.position for shown in found.events]
        self._questions[which] = msgspec.structs.replace(asked, after=found.last)

    def at_rest(self, sim: SimCluster) -> None:
        """What was told from bookmark to bookmark is what there is."""
        for which, asked in enumerate(self._questions):
            for _ in range(len(sim.log)):
                self._ask(sim, which, small=False)
                if self._questions[which].after == len(sim.log):
                    break
            wanted = [
                row.position
                for row in sim.log
                if (
                    row.stream.startswith(asked.stream)
                    if asked.stream.endswith("/")
                    else asked.stream in ("", row.stream)
                )
                and (not asked.types or _NAMES[row.topic] in asked.types)
            ]
            assert self._seen[which] == wanted, "each once, in order, without a gap"


SUITE: Final[tuple[type[Checker], ...]] = (Copies, WholeSteps, Bookmarks)
