"""A whole cluster in memory around the shipped step: control, kubelets, wires, a log.

1. Deterministic: a clock that only tests move, wires that deliver when told, and a
   `random.Random` of a given seed where a test wants faults.
2. The log is what a store would hold: encoded events, appended a step at a time or
   not at all. `crash_control` throws the state away and rebuilds it from there.
3. `Watcher`s look on: see tests/support/watching.py.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, Final, Literal

import msgspec

from adapters.memory_log import MemoryLog, MemoryStore
from domain import command, protocol, times
from domain.events import Event, Recorded
from projections.cluster import Cluster
from tests.support.simulated_node import SimNode
from tests.support.watching import WatchedState, Watcher
from workers import committing, loading
from workers.decisions import Target
from workers.intake import CommandInput, Founding, Input, ReportInput, SyncInput
from workers.outbox import Step
from workers.state import Settings
from workers.step import step as take_step

START: Final = 1_700_000_000.0
TICK: Final = 0.001
QUIET: Final = 45.0
"""Seconds without an event after which nothing moves any more: more than two
heartbeats and every retry of a kubelet."""
PATIENCE: Final = 2_000
"""Rounds after which a cluster that still moves does not settle."""

MORE_MAX: Final = 20
"""Steps after which what one input has caused does not come to an end."""

Crash = Literal["before commit", "in commit", "before saying", "half said"]
LOST: Final = ("before commit", "in commit")
"""Crashes after which nothing of the step has happened."""
_encode = msgspec.json.Encoder().encode


class SimCluster:
    """See the docstring of this file."""

    def __init__(
        self,
        nodes: int = 3,
        *,
        allocatable: dict[str, str] | None = None,
        settings: Settings | None = None,
        watchers: Sequence[Watcher] = (),
        healthy: bool = True,
    ) -> None:
        self.now = START
        self.settings = settings or Settings()
        self.watchers = watchers
        self.allocatable = allocatable or {"cpu": "4", "memory": "8Gi", "pods": "110"}
        self.store = MemoryStore()
        self._log = self._open_log()
        self.events: list[Recorded] = []
        """The events of the log, as they were when they were committed."""
        self.store_answers: dict[str, protocol.Answer] = {}
        self.said: list[protocol.Answer] = []
        """Every answer that was sent to a user."""
        self.log = self.store.rows
        self.broken: set[str] = set()
        """Images whose pods do not get ready."""
        self.faults: Random | None = None
        """Where it is set, wires drop, repeat, delay and reorder."""
        self.crash_next: Crash | None = None
        self.injected: Counter[str] = Counter()
        """The faults that have happened; who injects one counts it."""
        self.harm: list[tuple[str, int]] = []
        """What happens next to the stream of events, and how much of it that meets."""
        self.restarts = 0
        self.steps: list[Step] = []
        self._commands = 0
        self._quiet_since = self.now
        self.state = WatchedState(self.settings, watchers)
        self.nodes: dict[str, SimNode] = {}
        while not self.log:  # a control that finds an empty log founds the cluster
            self.step(Founding(uid="simulated", version="0"))
        for _ in range(nodes):
            self.add_node()
        if healthy:
            self.settle()

    # --- control --------------------------------------------------------------------

    def step(self, *inputs: Input) -> Step | None:
        """One step of control over `inputs`, committed and said, and what follows it.

        None where control crashed before it had said anything.
        """
        self.now = times.grid(self.now + TICK)
        done = self._take(inputs)
        for _ in range(MORE_MAX):
            if done is None or not done.more:
                return done
            self.now = times.grid(self.now + TICK)
            done = self._take(())
        raise AssertionError(f"one input causes more than {MORE_MAX} steps")

    def _take(self, inputs: Sequence[Input]) -> Step | None:
        """One step, which may be the one in which control crashes."""
        crash, self.crash_next = self._next_crash(), None
        if crash in LOST:
            self.state.watchers = ()  # what was not committed has not happened
        done = take_step(self.state, inputs, self.now)
        if crash in LOST:
            if crash == "in commit":
                self._tear(done)
            self._restart(None)
            return None
        self._commit(done)
        if crash == "half said":
            self._say(done, half=True)
        if crash is not None:
            self._restart(self.state.cluster)
            return None
        self._say(done)
        return done

    def _next_crash(self) -> Crash | None:
        """How this step ends, where it does not end well."""
        return self.crash_next

    def _tear(self, done: Step) -> None:
        """The store was writing this step when control was killed: nothing of it."""

    def crash_control(self) -> None:
        """The process is killed and started again: only the log is left."""
        self._restart(self.state.cluster)

    def _restart(self, before: Cluster | None) -> None:
        self.restarts += 1
        self.now = times.grid(self.now + TICK)
        self._log.close()
        self._log = self._open_log()
        self.state = WatchedState(self.settings, self.watchers)
        loading.load(self.state, self._log)
        self.state.wake(self.now)
        if before is not None:
            for watcher in self.watchers:
                watcher.after_restart(self, before)
        self._announce()

    def _open_log(self) -> MemoryLog:
        return MemoryLog(self.store)

    def _announce(self) -> None:
        """As control does when it starts: every node is told to ask for its list."""
        for name, use in self.cluster.actual.nodes.items():
            told = protocol.Assignment(
                from_position=-1,
                to_position=-1,
                incarnation=use.node.incarnation,
                resync=True,
            )
            self._assign(name, told)

    def _commit(self, done: Step) -> None:
        self._append(done)
        for recorded in done.events:
            event = recorded.event
            if isinstance(event, command.CommandAccepted | command.CommandRejected):
                self.store_answers[event.answer.id] = event.answer
        self.events += done.events
        self.steps.append(done)
        if any(not _is_bookkeeping(recorded) for recorded in done.events):
            self._quiet_since = self.now
        for watcher in self.watchers:
            watcher.after_step(self, done)

    def _append(self, done: Step) -> None:
        self._log.append(*committing.rows_of(done))

    def _say(self, done: Step, *, half: bool = False) -> None:
        """In the order of workers/control.py; only the first half if `half`."""
        count = len(done.answers) + len(done.syncs) + len(done.assignments)
        rest = (count + 1) // 2 if half else count
        self.said += [answer for _, answer in done.answers[:rest]]
        rest -= len(done.answers)
        for reply, answer in done.syncs[: max(rest, 0)]:
            name, _, attempt = reply.partition("|")
            if self.nodes[name].connected:
                self.nodes[name].replies.append((int(attempt), _encode(answer)))
        rest -= len(done.syncs)
        for name, assignment in [*done.assignments.items()][: max(rest, 0)]:
            self._assign(name, assignment)

    def _assign(self, name: str, assignment: protocol.Assignment) -> None:
        node = self.nodes.get(name)
        if node is not None and node.connected:
            data = _encode(assignment)
            node.down.append(data)
            node.received.append(data)

    # --- commands -------------------------------------------------------------------

    def command_input(
        self, target: Target, body: object, *, id_: str = "", **message: Any
    ) -> CommandInput:
        """A command as it arrives; the id is a new one unless it is given."""
        self._commands += 1
        sent = protocol.CommandMessage(
            id=id_ or f"command-{self._commands}",
            body=msgspec.Raw(_encode(body)),
            **message,
        )
        return self.redelivered(target, _encode(sent), sent.id)

    def redelivered(self, target: Target, data: bytes, id_: str) -> CommandInput:
        """These bytes as control receives them now, with what its store knows."""
        at = target
        last = self._log.read_stream(target.key, limit=1, descending=True)
        return CommandInput(
            user="admin",
            target=target,
            subject=f"rollbook.cmd.admin.{at.namespace}.{at.kind}.{at.name}.{at.verb}",
            data=data,
            reply="inbox",
            known=self.store_answers.get(id_),
            known_version=last[0].version if last else 0,
        )

    def ask(
        self,
        kind: str,
        name: str,
        verb: str,
        body: object | None = None,
        *,
        namespace: str = "default",
        **message: Any,
    ) -> protocol.Answer:
        """Sends a command and takes the step that decides it; asks again after a
        crash, with the same id, as a client does."""
        target = Target(namespace=namespace, kind=kind, name=name, verb=verb)
        item = self.command_input(target, {} if body is None else body, **message)
        done = self.step(item)
        if done is None:
            id_ = msgspec.json.decode(item.data, type=protocol.CommandMessage).id
            done = self.step(self.redelivered(target, item.data, id_))
        assert done is not None, "one crash, one repetition"
        return self.said[-1]

    # --- nodes and wires ------------------------------------------------------------

    def add_node(self, allocatable: dict[str, str] | None = None) -> SimNode:
        """A new node that has just started."""
        name = f"worker-{len(self.nodes) + 1}"
        node = self._new_node(name, allocatable or self.allocatable)
        self.nodes[node.name] = node
        node.connect(self.now)
        return node

    def _new_node(self, name: str, allocatable: dict[str, str]) -> SimNode:
        return SimNode(name, allocatable)

    def pump(self) -> bool:
        """Every message that is on a wire is delivered, or meets its fault.

        Returns whether there was one.
        """
        inputs: list[Input] = self._other_inputs()
        moved = False
        for name, node in self.nodes.items():
            for attempt, request in self._fates(node.syncs, "sync"):
                reply = f"{name}|{attempt}"
                inputs.append(SyncInput(node=name, data=request, reply=reply))
            reports = self._fates(node.up, "report")
            inputs += [ReportInput(node=name, data=data) for data in reports]
        if self.faults is not None:
            self.faults.shuffle(inputs)
        if inputs:
            moved = True
            self.step(*inputs)
        for node in self.nodes.values():
            for attempt, data in self._fates(node.replies, "list"):
                moved = True
                node.answer_sync(self.now, attempt, data)
            for data in self._fates(node.down, "assignment"):
                moved = True
                node.assign(self.now, data)
        return moved

    def calm(self) -> None:
        """Wires are good again; what was lost on them stays lost."""
        self.faults = None

    def _other_inputs(self) -> list[Input]:
        """What arrives besides the words of nodes."""
        return []

    def _fates(self, wire: list[Any], _what: str) -> list[Any]:
        """What arrives of a wire's messages; what is delayed stays on it."""
        if self.faults is None:
            arrived = wire[:]
            wire.clear()
            return arrived
        arrived, delayed = [], []
        for message in wire:
            fate = self.faults.random()
            if fate < 0.2:
                continue
            if fate < 0.4:
                delayed.append(message)
            else:
                arrived += [message] if fate < 0.8 else [message, message]
        wire[:] = delayed
        if self.faults.random() < 0.5:
            arrived.reverse()
        return arrived

    def is_broken(self, image: str) -> bool:
        """Pods of this image do not get ready."""
        return image in self.broken

    def progress(self, limit: int | None = None) -> int:
        """Up to `limit` pods move on, in the order of nodes; returns how many did."""
        moved = 0
        for node in self.nodes.values():
            pending = node.pending(self.is_broken)
            if limit is not None:
                pending = pending[: limit - moved]
            node.progress(self.now, pending, self.is_broken)
            moved += len(pending)
        return moved

    # --- time -----------------------------------------------------------------------

    def jump(self, seconds: float) -> None:
        """The clock moves on while nobody is doing anything."""
        self.now = times.grid(self.now + seconds)

    def run_for(self, seconds: float, *, progress: bool = True) -> None:
        """Time passes and everybody does what is due."""
        end = self.now + seconds
        while self.now < end:
            self.round(end, progress=progress)

    def settle(self) -> None:
        """Runs until nothing has moved for `QUIET` seconds."""
        self._quiet_since = self.now
        for _ in range(PATIENCE):
            self.round(self._quiet_since + QUIET)
            if self.now >= self._quiet_since + QUIET and not self.state.dirty:
                return
        raise AssertionError(f"it does not settle in {PATIENCE} rounds")

    def round(self, end: float, *, progress: bool = True) -> None:
        """Delivers, lets pods move on, and else lets time pass up to `end`."""
        moved = self.pump()
        if progress:
            moved |= bool(self.progress())
        for node in self.nodes.values():
            node.tick(self.now)
        if moved or any(node.up or node.syncs for node in self.nodes.values()):
            return
        wakes = [node.next_at for node in self.nodes.values() if node.alive]
        alarm = self.state.timers.next_at()
        wakes += [alarm] if alarm is not None else []
        self.now = times.grid(max(self.now + TICK, min([end, *wakes])))
        if self.state.dirty or (alarm is not None and alarm <= self.now):
            self.step()

    def close(self) -> None:
        """Afterwards nobody looks on, and nothing is left open."""
        for watcher in self.watchers:
            watcher.close()

    # --- questions ------------------------------------------------------------------

    @property
    def cluster(self) -> Cluster:
        """What control knows."""
        return self.state.cluster

    def sizes(self, name: str, namespace: str = "default") -> dict[str, int]:
        """The sizes of a Deployment's ReplicaSets by the image of their template."""
        owner = self.cluster.desired.deployments[f"deployment/{namespace}/{name}"]
        templates = self.cluster.desired.templates
        return {
            templates[held.template].template.spec.containers[0].image: held.replicas
            for held in self.cluster.desired.replicasets_of(owner)
        }

    def kinds(self, since: int = 0) -> list[str]:
        """The names of the events after position `since`."""
        return [type(each.event).__name__ for each in self.events[since:]]

    def of(self, kind: type[Event], since: int = 0) -> list[Recorded]:
        """The events of a kind after position `since`."""
        return [each for each in self.events[since:] if isinstance(each.event, kind)]


def _is_bookkeeping(recorded: Recorded) -> bool:
    return type(recorded.event).__name__ == "ReportsCounted"


def manifest(
    name: str = "web", image: str = "app:1", replicas: int = 3, **spec: Any
) -> dict[str, object]:
    """A Deployment with one container that asks for a tenth of a core."""
    container = {
        "name": "main",
        "image": image,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
            **spec,
        },
    }


def rolling(surge: int | str, unavailable: int | str) -> dict[str, object]:
    """The strategy of a rolling update with these limits."""
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
    }
