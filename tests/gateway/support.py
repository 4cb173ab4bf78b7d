"""Logs that the shipped writer has made, and readers of them."""

import itertools
from collections.abc import Iterable

import msgspec

from adapters.eventlog import Row
from adapters.memory_log import MemoryLog, MemoryStore
from domain import protocol, queries
from gateway.reader import Reader
from gateway.service import Service
from gateway.views.scene import Scene, Templates
from tests.support.cluster import SimCluster, manifest
from workers.intake import ReportInput

WAIT_SECONDS = 60.0
"""A guard against hanging, never something that a test measures."""


class Written:
    """A store in memory, and the one writer that appends a simulation's log to it."""

    def __init__(self, sim: SimCluster | None = None) -> None:
        self.store = MemoryStore()
        self.writer = MemoryLog(self.store)
        if sim is not None:
            self.append(sim)

    def append(self, sim: SimCluster) -> None:
        """Afterwards everything that the simulation has committed is in the store."""
        self.add(sim.log)

    def add(self, rows: Iterable[Row]) -> None:
        """Appends those of `rows` that are not in the store yet."""
        last = self.writer.last_position()
        new = [row for row in rows if row.position > last]
        if new:
            self.writer.append(new)

    def reader(self, **settings: int) -> Reader:
        """A reader of the store that has not folded anything yet."""
        return Reader(MemoryLog(self.store, read_only=True), **settings)

    async def folded(self, **settings: int) -> Reader:
        """A reader that has folded everything."""
        reader = self.reader(**settings)
        await reader.catch_up()
        return reader


def scene_of(reader: Reader, now: float) -> Scene:
    """What views see of a reader's state at `now`."""
    return Scene(reader.cluster, reader.happenings, Templates(), now)


async def ask(service: Service, verb: str, question: object) -> dict[str, object]:
    """The answer as plain JSON, so that what is on the wire is what is checked."""
    data = await service.answer(verb, msgspec.json.encode(question))
    return msgspec.json.decode(data, type=dict[str, object])


async def table(
    service: Service, asked: queries.GetQuery
) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows of one page."""
    data = await service.answer("get", msgspec.json.encode(asked))
    found = msgspec.json.decode(data, type=queries.GetAnswer)
    assert found.error is None, found.error
    return (
        [column.name for column in found.columns],
        [list(row.cells) for row in found.rows],
    )


def report(sim: SimCluster, node: str, *pods: protocol.PodStatus) -> None:
    """The node reports these pods, and control takes it up."""
    incarnation = sim.cluster.actual.nodes[node].node.incarnation
    said = protocol.Report(
        incarnation=incarnation, sequence=next(_sequences), pods=pods
    )
    sim.step(ReportInput(node=node, data=msgspec.json.encode(said)))


_sequences = itertools.count(1_000_000)
"""Above whatever the simulated kubelets have counted to."""


ROOM = {"cpu": "64", "memory": "64Gi", "pods": "110"}


def two_namespaces() -> SimCluster:
    """Deployments `b` and `a` in `default`, `a` in `other`; pods on two nodes."""
    sim = SimCluster(nodes=2, allocatable=ROOM)
    for namespace, name, replicas in (
        ("default", "b", 3),
        ("other", "a", 1),
        ("default", "a", 2),
    ):
        body = {"manifest": manifest(name, replicas=replicas)}
        sim.ask("deployment", name, "create", body, namespace=namespace)
    sim.settle()
    return sim


async def service_of(sim: SimCluster) -> Service:
    """A service that has folded everything."""
    reader = await Written(sim).folded()
    return Service(reader, now=lambda: sim.now, wait_seconds=0.01)
