"""The simulated cluster with faults of every kind; it counts each that it injects.

1. Commands go over a wire that delivers at least once: they are repeated, delayed and
   reordered, and delivered again until control has answered.
2. Control crashes before the commit (with what was pipelined behind it), in it, after
   it, or when half was said. The store may leave an append in doubt, and the shipped
   `Control._append` has to find out.
3. A control that was paused and replaced may wake up: it hears what the new one hears,
   and it must be refused by the store (S12).
4. Clocks: a wall that is set a day ahead counts at the next start of a process.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from adapters.memory_log import MemoryLog
from domain import protocol, times
from domain.errors import Conflict, Permanent
from kubelet.hollow_runtime import HollowSettings
from projections.cluster import Cluster
from tests.simulation import active_checks, measuring
from tests.simulation.disk import DiskLog, DiskStore, Unsynced
from tests.simulation.hollow_node import NEVER, USAGE_EVERY, HollowNode
from tests.support.cluster import (
    TICK,
    Crash,
    SimCluster,
)
from tests.support.simulated_node import SimNode
from tests.support.watching import WatchedState, Watcher
from workers import committing
from workers.control import Control, ControlSettings
from workers.decisions import Target
from workers.intake import CommandInput, Founding, Input, SyncInput
from workers.outbox import Step
from workers.state import Settings, State
from workers.step import step as take_step

_CONTROL: Final = ControlSettings(nats_url="", user="", secret="", store_url="")
REDELIVERY: Final = 2.0
"""Seconds after which a command that was not acknowledged is delivered again."""


class Sent(NamedTuple):
    """A command on its way; the broker has it until it is decided."""

    target: Target
    data: bytes
    id: str
    at: float


class Zombie(NamedTuple):
    """A control that was paused, and replaced meanwhile."""

    state: State
    control: Control


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """How bad wires are: the share of messages that each fault meets."""

    lose: float = 0.2
    delay: float = 0.2
    repeat: float = 0.2
    reorder: float = 0.5


class World(SimCluster):
    """See the docstring of this file."""

    def __init__(
        self,
        nodes: int,
        *,
        allocatable: dict[str, str],
        settings: Settings,
        hollow: HollowSettings,
        watchers: Sequence[Watcher],
    ) -> None:
        self.disk = DiskStore()
        self.hollow = hollow
        self.weather = Weather()
        self.calm_at = 0.0
        self.unanswered: dict[str, Sent] = {}
        """Commands that the broker holds, by id."""
        self.submitted: dict[str, Sent] = {}
        """Every command with a readable id that was ever sent."""
        self.zombie: Zombie | None = None
        self.refusals = 0
        """Appends of replaced writers that the store has refused."""
        self.silenced = 0
        """Steps of replaced writers without an event, of which nothing was said."""
        self.doomed = 0
        """Steps still to be computed that will not be committed."""
        self.unsynced: Unsynced = "lost"
        self.delivered: Counter[str] = Counter()
        self.loads = measuring.Loads()
        self.monitor = measuring.Monitor()
        self.checker = active_checks.ActiveMonitor()
        self._checks: list[Input] = []
        """Its words that are on their way."""
        self.lies: dict[str, str] = {}
        """How nodes are wrong about what their pods use."""
        self.metric_fault = ""
        self._metric_at = NEVER
        self._measurements: list[Input] = []
        """Words of the monitor that are on their way."""
        self.steady_at = 0
        """The position since which loads and wires are steady; 0 while they are not."""
        super().__init__(
            nodes,
            allocatable=allocatable,
            settings=settings,
            watchers=watchers,
            healthy=False,
        )

    # --- control and its store ------------------------------------------------------

    def _open_log(self) -> MemoryLog:
        self.store = self.disk
        log = DiskLog(self.disk)
        self.control = Control(_CONTROL, log)
        """The shipped shell around the step, of which the commit is used here."""
        self.control.committed = len(self.disk.rows)
        return log

    def _append(self, done: Step) -> None:
        assert self.control._secure(done), "the one writer may speak"

    def _next_crash(self) -> Crash | None:
        if self.doomed:
            # One step is on its way to disk and one waits: neither arrives.
            self.doomed -= 1
            self.crash_next = "before commit"
        return self.crash_next

    def _take(self, inputs: Sequence[Input]) -> Step | None:
        if self.doomed > 1:
            self.doomed -= 1
            self.state.watchers = ()
            take_step(self.state, inputs, self.now)
            return None
        crash = self._next_crash()
        self.crash_next = crash
        if crash is not None:
            self.injected[f"control crashes {crash}"] += 1
        done = super()._take(inputs)
        if done is not None:
            self._acknowledge(done)
        return done

    def _tear(self, done: Step) -> None:
        log = self._log
        assert isinstance(log, DiskLog), "it was opened here"
        if done.events:
            log.write(*committing.rows_of(done))
            self.injected[f"unsynced transaction {self.unsynced}"] += 1
            self.disk.crash(self.unsynced)

    def _restart(self, before: Cluster | None) -> None:
        self.doomed = 0
        self.disk.doubt = None
        super()._restart(before)
        for id_, sent in self.unanswered.items():
            self.unanswered[id_] = sent._replace(at=0.0)

    def crash_control(self) -> None:
        """See `SimCluster.crash_control`; what was not committed is lost with it."""
        ahead = self.cluster.position != len(self.log)
        self._restart(None if ahead else self.state.cluster)

    def cut_power(self) -> None:
        """The machine of control and of its store stops: what was synced is there."""
        self.injected["power cut of control"] += 1
        self.disk.crash("lost")
        self.crash_control()

    def doubt(self, written: bool) -> None:
        """The next append ends without anybody knowing how."""
        self.disk.doubt = "written" if written else "not written"
        self.injected[f"append in doubt, {self.disk.doubt}"] += 1

    def jump_wall(self, seconds: float) -> None:
        """Control is killed and starts on a wall that was set; nodes notice nothing.

        A wall that was set back shows nothing: control's clock is never behind its log.
        """
        self.injected["wall clock of control jumps"] += 1
        if seconds > 0:
            self.now = times.grid(self.now + seconds)
            self.calm_at += seconds
            for node in self.nodes.values():
                if isinstance(node, HollowNode):
                    node.skew -= seconds
        self.crash_control()

    # --- two controls ---------------------------------------------------------------

    def replace_control(self) -> None:
        """Control is paused, its lock is lost, and another one takes over."""
        if self.cluster.position != len(self.log):
            self.crash_control()  # it was about to lose what it has not committed
        self.injected["control paused and replaced"] += 1
        self.zombie = Zombie(self.state, self.control)
        self.disk.writer = None
        self.state = WatchedState(self.settings, self.watchers)
        self._log = MemoryLog()  # what `_restart` closes; the old handle stays open
        self._restart(self.zombie.state.cluster)

    def _wake_zombie(self, inputs: Sequence[Input]) -> None:
        """The old control hears what the new one hears, and must be refused.

        The shipped one stops as soon as it is. Here it goes on until it has tried to
        append, so that what it would only say is looked at again and again.
        """
        zombie = self.zombie
        if zombie is None or len(self.log) == zombie.state.cluster.position:
            return
        self._feed_zombie(zombie, self._questions(zombie))
        if self.zombie is not None:
            self._feed_zombie(zombie, inputs)

    def _questions(self, zombie: Zombie) -> list[Input]:
        """Nodes that it knows ask for their lists: it could answer without an event."""
        known = zombie.state.cluster.actual.nodes
        found: list[Input] = []
        for name, node in self.nodes.items():
            boot = node.agent.boot_id
            if name in known and known[name].node.boot_id == boot:
                asked = protocol.SyncRequest(boot_id=boot, node=node.info)
                data = msgspec.json.encode(asked)
                found.append(SyncInput(node=name, data=data, reply=f"{name}|0"))
        return found

    def _feed_zombie(self, zombie: Zombie, inputs: Sequence[Input]) -> None:
        state = zombie.state
        if isinstance(state, WatchedState):
            state.watchers = ()
        length = len(self.log)
        done = take_step(state, inputs, max(self.now, times.grid(state.now + TICK)))
        silent = not done.events and not done.tracking
        if silent and not (done.answers or done.syncs or done.assignments):
            return
        try:
            spoken = zombie.control._secure(done)
        except (Conflict, Permanent):
            spoken = False
            self.silenced += silent
            self.refusals += not silent
        assert not spoken, "nothing that a replaced writer says is sent (S12)"
        assert len(self.log) == length, "what is refused leaves nothing (S12)"
        if not silent:
            self.zombie = None

    # --- commands -------------------------------------------------------------------

    def submit(
        self,
        kind: str,
        name: str,
        verb: str,
        body: object | None = None,
        *,
        id_: str = "",
        dry_run: bool = False,
    ) -> None:
        """A user's command is on the broker; nothing is awaited."""
        target = Target(namespace="default", kind=kind, name=name, verb=verb)
        asked = {} if body is None else body
        item = self.command_input(target, asked, id_=id_, dry_run=dry_run)
        id_ = id_ or msgspec.json.decode(item.data, type=protocol.CommandMessage).id
        sent = Sent(target, item.data, id_, 0.0)
        if not dry_run:
            self.submitted.setdefault(id_, sent)
        self.unanswered[id_] = sent

    def _acknowledge(self, done: Step) -> None:
        for _, answer in done.answers:
            self.unanswered.pop(answer.id, None)

    def _other_inputs(self) -> list[Input]:
        """The commands that arrive now."""
        arrived: list[Input] = []
        for id_, sent in self.unanswered.items():
            if sent.at > self.now:
                continue
            self.unanswered[id_] = sent._replace(at=self.now + REDELIVERY)
            fates = self._fates([sent], "command")
            arrived += [self._delivered(each) for each in fates]
        return arrived + self._measured()

    # --- measurements ---------------------------------------------------------------

    def measure(self) -> None:
        """From now on kubelets measure, and somebody publishes the metric."""
        if self._metric_at == NEVER:
            self._metric_at = self.now
            for node in self.nodes.values():
                self._samples(node)

    def _samples(self, node: SimNode) -> None:
        assert isinstance(node, HollowNode), "there are no others"
        node.sample = self._sample
        node.sample_at = self.now + USAGE_EVERY * (len(node.name) % 7) / 7

    def _sample(self, node: HollowNode) -> protocol.Usage | None:
        how = self.lies.get(node.name, "true")
        self.delivered["sample of usage"] += 1
        if how != "true":
            self.injected[f"usage: {how}"] += 1
        nodes = [each for each in self.nodes.values() if isinstance(each, HollowNode)]
        share = {
            name: self.loads.share(name, nodes, self.now) for name in self.loads.of
        }
        return measuring.usage(node, share, how)

    def _measured(self) -> list[Input]:
        """What the monitor and the publisher of the metric say now."""
        self._measurements += self.monitor.say(self.cluster, self.now)
        arrived: list[Input] = []
        if self._measurements:
            arrived += self._fates(self._measurements, "measurement")
        self._checks += self.checker.say(self.cluster, self.now)
        if self._checks:
            arrived += self._fates(self._checks, "active check")
        if self._metric_at <= self.now:
            self._metric_at = self.now + USAGE_EVERY
            load = self.loads.of.get("web")
            if load is not None and self.metric_fault != "nothing":
                said = measuring.published(
                    load.at(self.now), self.metric_fault, self.now
                )
                arrived += self._fates([said], "metric")
        return arrived

    def steady(self) -> None:
        """Loads do not change any more, and everybody measures and tells the truth."""
        self.loads.freeze(self.now)
        self.lies.clear()
        self.metric_fault = ""
        self.monitor.how = "good"
        self.steady_at = self.cluster.position

    def _delivered(self, sent: Sent) -> CommandInput:
        return self.redelivered(sent.target, sent.data, sent.id)

    # --- wires ----------------------------------------------------------------------

    def _new_node(self, name: str, allocatable: dict[str, str]) -> SimNode:
        node = HollowNode(name, allocatable, self.hollow, self.is_broken)
        if self._metric_at != NEVER:
            self._samples(node)
        return node

    def step(self, *inputs: Input) -> Step | None:
        """See `SimCluster.step`; a control that was replaced hears it as well."""
        done = super().step(*inputs)
        heard = [each for each in inputs if not isinstance(each, Founding)]
        if heard:
            self._wake_zombie(heard)
        return done

    def bad_weather(self, seed: int, seconds: float, weather: Weather) -> None:
        """For so many seconds wires are bad."""
        self.faults = Random(seed)
        self.weather = weather
        self.calm_at = self.now + seconds

    def calm(self) -> None:
        """Wires are good again, nobody else writes, and the store is in no doubt."""
        super().calm()
        self.zombie = None
        if self.cluster.position != len(self.log):
            self._restart(None)
        self.doomed = 0
        self.disk.doubt = None

    def round(self, end: float, *, progress: bool = True) -> None:
        """See `SimCluster.round`; bad weather ends when its time has come."""
        if self.faults is not None and self.now >= self.calm_at:
            self.faults = None
        if self.unanswered:
            end = min(end, max(self.now, self._redelivery()))
        said_at = min(
            self._metric_at,
            self.monitor.next_at(self.cluster),
            self.checker.next_at(self.cluster),
        )
        if said_at < end:
            end = max(self.now, said_at)
        super().round(end, progress=progress)

    def _redelivery(self) -> float:
        return min(sent.at for sent in self.unanswered.values())

    def _fates(self, wire: list[Any], what: str) -> list[Any]:
        self.delivered[what] += len(wire)
        dice, bad = self.faults, self.weather
        if dice is None:
            arrived = wire[:]
            wire.clear()
            return arrived
        arrived, delayed = [], []
        for message in wire:
            fate = dice.random()
            if fate < bad.lose:
                self.injected[f"{what} lost"] += 1
            elif fate < bad.lose + bad.delay:
                self.injected[f"{what} delayed"] += 1
                delayed.append(message)
            elif fate < bad.lose + bad.delay + bad.repeat:
                self.injected[f"{what} repeated"] += 1
                arrived += [message, message]
            else:
                arrived.append(message)
        wire[:] = delayed
        if len(arrived) > 1 and dice.random() < bad.reorder:
            self.injected[f"{what} reordered"] += 1
            dice.shuffle(arrived)
        return arrived
