"""How quickly a long log is folded, and what a snapshot saves of that.

    python benchmarks/replay.py [--events N] [--pods N] [--nodes N] [--store FILE]

1. The log is written by the shipped writer's steps, in process: Deployments are rolled
   out again and again, and hollow nodes report each pod ready, or gone, one step after
   they were told of it. The store is SQLite; one that has enough events is used again.
2. What is measured is the shipped code of a start. Nothing runs beside it.
3. Each figure is of one run: this is to compare two versions on one machine.
"""

import argparse
import itertools
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from adapters import eventlog, eventstore
from domain import catalogue, protocol, times
from projections import snapshots
from projections.cluster import Cluster
from workers import loading
from workers.decisions import Target
from workers.intake import CommandInput, Founding, Input, ReportInput, SyncInput
from workers.outbox import Step
from workers.state import State
from workers.step import step

EVENTS: Final = 1_000_000
PODS: Final = 50_000
NODES: Final = 500
PODS_PER_DEPLOYMENT: Final = 500
_START: Final = 1_700_000_000.0
_encode = msgspec.json.Encoder().encode


class _Node:
    """A node whose pods do at once what they are told; it reports in one piece."""

    def __init__(self, name: str, room: int) -> None:
        self.name = name
        self.incarnation = 0
        self._sequence = 0
        self._said: list[protocol.PodStatus] = []
        self._position = 0
        self._info = protocol.NodeInfo(
            capacity={}, allocatable={"cpu": "999", "memory": "9Ti", "pods": str(room)}
        )

    def hello(self) -> SyncInput:
        """Its first word."""
        asked = protocol.SyncRequest(boot_id="first", node=self._info)
        return SyncInput(node=self.name, data=_encode(asked), reply=self.name)

    def told(self, assignment: protocol.Assignment) -> None:
        """It has followed at once."""
        self._position = assignment.to_position
        self._said += [_status(each, ready=True) for each in assignment.run]
        self._said += [_status(each, ready=False) for each in assignment.stop]

    def report(self, *, heartbeat: bool) -> Iterator[ReportInput]:
        """What is to be said, if there is anything."""
        if not self._said and not heartbeat:
            return
        self._sequence += 1
        said = protocol.Report(
            incarnation=self.incarnation,
            sequence=self._sequence,
            position=self._position,
            pods=tuple(self._said),
        )
        self._said.clear()
        yield ReportInput(node=self.name, data=_encode(said))


def _status(
    pod: protocol.PodRun | protocol.PodStop, *, ready: bool
) -> protocol.PodStatus:
    container = protocol.ContainerStatus(
        name="main",
        state="running" if ready else "terminated",
        ready=ready,
        started_at=_START,
        container_id=f"hollow://{pod.uid}",
    )
    return protocol.PodStatus(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        phase="Running",
        ready=ready,
        ip="10.1.2.3",
        started_at=_START,
        containers=(container,),
        removed=not ready,
    )


class Writer:
    """The writer and its nodes, until the log is long enough."""

    def __init__(self, log: eventlog.EventLog, pods: int, nodes: int) -> None:
        self._log = log
        self._now = _START
        self._state = State()
        room = 2 * pods // nodes + 10
        self._nodes = {
            name: _Node(name, room) for name in (f"worker-{n}" for n in range(nodes))
        }
        self._names = [f"app-{n}" for n in range(max(1, pods // PODS_PER_DEPLOYMENT))]
        self._numbers = itertools.count(1)

    def write(self, events: int) -> None:
        """Afterwards the log has at least so many events."""
        self._take([Founding(uid="benchmark", version="0")])
        for reply, answer in self._take([n.hello() for n in self._nodes.values()]):
            self._nodes[reply].incarnation = answer.incarnation
        self._settle()
        for name in self._names:
            self._take([self._command(name, "create", {"manifest": _manifest(name)})])
            self._settle()
        for image in itertools.count(2):
            for name in self._names:
                if self._log.last_position() >= events:
                    return
                images = {"images": {"main": f"app:{image}"}}
                self._take([self._command(name, "set-image", images)])
                self._settle()

    def _settle(self) -> None:
        """Rounds until nothing is said any more."""
        for beat in itertools.count():
            heard: list[Input] = [
                said
                for node in self._nodes.values()
                for said in node.report(heartbeat=beat == 0)
            ]
            if not heard:
                return
            self._take(heard)

    def _take(self, inputs: list[Input]) -> list[tuple[str, protocol.SyncReply]]:
        found: list[tuple[str, protocol.SyncReply]] = []
        more = True
        while more:
            self._now = times.grid(self._now + 0.5)
            done = step(self._state, inputs, self._now)
            assert "commands_rejected" not in self._state.counters, done.events[0]
            self._append(done)
            found += done.syncs
            for name, assignment in done.assignments.items():
                self._nodes[name].told(assignment)
            inputs, more = [], done.more
        return found

    def _append(self, done: Step) -> None:
        rows = [
            eventlog.Row(
                each.position,
                each.stream,
                each.version,
                each.event.TOPIC,
                catalogue.encode(each),
            )
            for each in done.events
        ]
        tracking = [eventlog.Tracking(*item) for item in done.tracking.items()]
        self._log.append(rows, tracking)

    def _command(self, name: str, verb: str, body: object) -> CommandInput:
        sent = protocol.CommandMessage(
            id=f"c{next(self._numbers)}", body=msgspec.Raw(_encode(body))
        )
        target = Target(namespace="default", kind="deployment", name=name, verb=verb)
        return CommandInput(user="admin", target=target, subject="", data=_encode(sent))


def _manifest(name: str) -> dict[str, object]:
    container = {
        "name": "main",
        "image": "app:1",
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": PODS_PER_DEPLOYMENT,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
        },
    }


# --- what is measured -------------------------------------------------------------


def measure(store: str) -> Iterator[str]:
    """One line for each figure."""
    log = eventstore.open_log(store)
    last = log.last_position()
    held = log.load_snapshot(snapshots.NAME, snapshots.version())
    while held is not None:
        log.discard_snapshot(snapshots.NAME, held[0], snapshots.version())
        held = log.load_snapshot(snapshots.NAME, snapshots.version())

    begun = time.perf_counter()
    rows = [row for at in range(0, last, loading.PAGE) for row in _page(log, at)]
    read = time.perf_counter() - begun
    events = [catalogue.decode(*row) for row in rows]
    decoded = time.perf_counter() - begun - read
    del rows
    cluster = Cluster()
    begun = time.perf_counter()
    for recorded in events:
        cluster.fold(recorded)
    cluster.settle()
    folded = time.perf_counter() - begun
    del events
    yield _rate("read", last, read)
    yield _rate("decode", last, decoded)
    yield _rate("fold", last, folded)

    state, seconds = State(), time.perf_counter()
    loading.load(state, log)
    yield _rate("a start without a snapshot", last, time.perf_counter() - seconds)

    begun = time.perf_counter()
    made = snapshots.cut(cluster)
    cut = time.perf_counter() - begun
    data = snapshots.whole(snapshots.frames(made))
    encoded = time.perf_counter() - begun
    begun = time.perf_counter()
    snapshots.decode(data)
    seconds = time.perf_counter() - begun
    pods = len(cluster.actual.pods)
    yield f"snapshot of {pods} pods: {len(data)} bytes"
    yield f"  cut {cut:.3f} s, cut and encode {encoded:.2f} s, decode {seconds:.2f} s"

    log.save_snapshot(snapshots.NAME, last, snapshots.version(), data)
    begun = time.perf_counter()
    state = State()
    loading.load(state, log)
    yield f"a start with a snapshot at its end: {time.perf_counter() - begun:.2f} s"
    begun = time.perf_counter()
    state.wake(_START * 2)
    yield f"  and the writer's wake: {time.perf_counter() - begun:.2f} s"
    log.close()


def _page(log: eventlog.EventLog, after: int) -> list[eventlog.Row]:
    return log.read(after, loading.PAGE)


def _rate(what: str, events: int, seconds: float) -> str:
    return f"{what}: {events} events in {seconds:.2f} s, {events / seconds:,.0f}/s"


def main() -> None:
    """Writes the log, unless it is there, and prints the figures."""
    parser = argparse.ArgumentParser(description="How quickly a log is folded.")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--pods", type=int, default=PODS)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--store", type=pathlib.Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.store or pathlib.Path(folder) / "log.db"
        store = f"sqlite://{path.absolute()}"
        log = eventstore.open_log(store)
        if log.last_position() < asked.events:
            assert not log.last_position(), "this log is another's: name a new file"
            begun = time.perf_counter()
            Writer(log, asked.pods, asked.nodes).write(asked.events)
            written = time.perf_counter() - begun
            print(_rate("written", log.last_position(), written), flush=True)
        log.close()
        for line in measure(store):
            print(line, flush=True)


if __name__ == "__main__":
    main()
