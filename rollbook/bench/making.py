"""A long log, made in one process by the shipped writer's steps: nothing is simulated
but the nodes.

1. Deployments are rolled out again and again. Hollow nodes report each pod ready, or
   gone, one step after they were told of it.
2. Each step is sealed and appended as control does it.
"""

import itertools
from collections.abc import Iterator
from typing import Final

import msgspec

from adapters import eventlog
from domain import protocol, seals, times
from workers import committing
from workers.decisions import Target
from workers.intake import CommandInput, Founding, Input, ReportInput, SyncInput
from workers.outbox import Step
from workers.state import State
from workers.step import step

PODS_PER_DEPLOYMENT: Final = 500
_START: Final = 1_700_000_000.0
_encode = msgspec.json.Encoder().encode


def write(log: eventlog.EventLog, events: int, *, pods: int, nodes: int) -> None:
    """Afterwards the empty `log` has at least so many events of so many pods."""
    _Writer(log, pods, nodes).write(events)


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


class _Writer:
    """The writer and its nodes, until the log is long enough."""

    def __init__(self, log: eventlog.EventLog, pods: int, nodes: int) -> None:
        self._log = log
        self._last = 0
        self._digest = seals.BEGINNING
        self._now = _START
        self._state = State()
        room = 2 * pods // nodes + 10
        self._nodes = {
            name: _Node(name, room) for name in (f"worker-{n}" for n in range(nodes))
        }
        self._replicas = min(pods, PODS_PER_DEPLOYMENT)
        self._names = [f"app-{n}" for n in range(max(1, pods // PODS_PER_DEPLOYMENT))]
        self._numbers = itertools.count(1)

    def write(self, events: int) -> None:
        """Afterwards the log has at least so many events."""
        self._take([Founding(uid="benchmark", version="0")])
        for reply, answer in self._take([n.hello() for n in self._nodes.values()]):
            self._nodes[reply].incarnation = answer.incarnation
        self._settle()
        for name in self._names:
            manifest = _manifest(name, self._replicas)
            self._take([self._command(name, "create", {"manifest": manifest})])
            self._settle()
        for image in itertools.count(2):
            for name in self._names:
                if self._last >= events:
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
        rows, tracking = committing.rows_of(done)
        sealed = [seals.seal(self._digest, rows)] if rows else []
        self._log.append(rows, tracking, sealed)
        for seal in sealed:
            self._last, self._digest = seal.last, seal.digest

    def _command(self, name: str, verb: str, body: object) -> CommandInput:
        sent = protocol.CommandMessage(
            id=f"c{next(self._numbers)}", body=msgspec.Raw(_encode(body))
        )
        target = Target(namespace="default", kind="deployment", name=name, verb=verb)
        return CommandInput(user="admin", target=target, subject="", data=_encode(sent))


def _manifest(name: str, replicas: int) -> dict[str, object]:
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
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
        },
    }
