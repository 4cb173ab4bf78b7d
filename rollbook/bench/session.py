"""What every scenario stands on: a running system, a client, and eyes on its log.

1. The driver is one Python client on one NATS connection, in this process.
2. A measurement ends when this process has seen the fact in the *committed* log. It is
   told of each commit by `rollbook.committed`, which control publishes anyway, and then
   reads the store. For long operations it reads the Deployments' own streams only, a
   handful of rows, because whatever it does takes a core from the rest.
3. The whole log is read and checked after each scenario, while nothing is measured.
4. Every wait has a deadline. What was reached by then is reported.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

import msgspec

from adapters import eventstore, nats_wire
from adapters.eventlog import EventLog
from domain import catalogue, deployment, pod
from rollbook import client
from rollbook.bench import audit as audits
from rollbook.bench import system
from rollbook.bench.results import Outcome

POD_CPU_MILLI: Final = 100
POD_MEMORY: Final = 64 * 1024**2
PATIENCE_SECONDS: Final = 60.0
SLOWEST: Final = 1_000.0
"""Pods per second below which an operation is given up."""
_LOOK_SECONDS: Final = 0.25
_QUIET_SECONDS: Final = 0.4
_QUIET_CORES: Final = 0.15
_QUIET_CORES_PER_NODE: Final = 0.0002
_COMPARED_MAX: Final = 2_000
"""So many Deployments are asked for at the api and compared; each has a status."""
_TENTHS: Final = 10

Say = Callable[[str], None]


class Stalled(Exception):
    """A deadline has passed; the text says what was waited for."""


def key(name: str) -> str:
    """The stream of a Deployment of the benchmark."""
    return f"deployment/default/{name}"


def manifest(name: str, replicas: int) -> dict[str, object]:
    """A Deployment: one container with requests, rolling update 25 %/25 %."""
    requests = {"cpu": f"{POD_CPU_MILLI}m", "memory": str(POD_MEMORY)}
    container = {
        "name": "web",
        "image": "web:1",
        "ports": [{"containerPort": 80}],
        "resources": {"requests": requests},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container]},
            },
        },
    }


class Commits:
    """Wakes one waiter at each commit that control tells of."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    async def heard(self, message: nats_wire.Msg) -> None:
        """A subscription's callback."""
        del message
        self._news.set()

    async def next(self) -> None:
        """Returns after the next commit, or after a while without one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._news.wait()
        self._news.clear()


class Session:
    """A system, its log and a client, for the scenarios of one run."""

    def __init__(
        self,
        running: system.System,
        log: EventLog,
        cluster: client.Cluster,
        commits: Commits,
        say: Say,
        deadline: float,
    ) -> None:
        self.system = running
        self.log = log
        self.cluster = cluster
        self.commits = commits
        self.say = say
        self.deadline = deadline
        """Seconds for each phase; 0 goes by the number of pods."""
        self.audit = audits.Audit(log, cpu_milli=POD_CPU_MILLI, memory=POD_MEMORY)
        self.wanted: dict[str, int] = {}
        """By Deployment (its stream): how many pods were asked for."""
        self.record: Callable[[str], contextlib.AbstractAsyncContextManager[None]] = (
            lambda _name: contextlib.nullcontext()
        )
        """What surrounds each measured phase: a profiler, or nothing."""
        self._told_problems = 0
        self._versions: dict[str, int] = {}

    # --- the life of a measurement ----------------------------------------------------

    async def measure(
        self,
        scenario: str,
        pods: int,
        act: Callable[[], Awaitable[Mapping[str, float]]],
        *,
        whole: bool = False,
    ) -> Outcome:
        """Runs `act`, and takes the figures around it; then the log is checked.

        `act` returns figures of its own. `whole`: its seconds and its rate are figures
        too. A deadline ends it with what was reached.
        """
        before, position = self.system.cpu(), self.log.last_position()
        figures: dict[str, float] = {}
        stopped, wall = "", time.time()
        begun = time.perf_counter()
        try:
            async with self.record(scenario):
                async with self.within(pods, scenario):
                    figures |= await act()
                seconds = time.perf_counter() - begun
            if whole:
                figures |= {"seconds": seconds, "rate": pods / seconds}
        except Stalled as error:
            stopped = str(error)
        await self.quiet()
        after = self.system.cpu()
        self.audit.advance()
        cpu = {role: after[role] - before[role] for role in after}
        memory = self.system.peak_memory()
        used = sum(cpu[role] for role in system.SYSTEM)
        figures["memory_bytes"] = float(sum(memory[role] for role in system.SYSTEM))
        events = self.audit.position - position
        if whole and not stopped:
            # Each pod that is replaced is a life: one is born, and one has ended.
            life = "cpu_per_life" if scenario in ("roll", "undo") else "cpu_per_pod"
            figures[life] = used / pods * 1000
            figures["events_per_pod"] = events / pods
        if stopped:
            stopped += f"; {sum(g.available for g in self.audit.groups.values()):,} "
            stopped += f"of {sum(self.wanted.values()):,} pods were available"
        return Outcome(
            scenario=scenario,
            pods=pods,
            nodes=self.system.shape.nodes,
            figures=figures,
            cpu=cpu,
            memory=memory,
            events=events,
            points=tuple(self.audit.course(wall)),
            problems=tuple(await self._check(stopped)),
            stopped=stopped,
        )

    async def _check(self, stopped: str) -> list[str]:
        """The log up to here, what was asked for, and what the api says."""
        found = self.audit.problems[self._told_problems :]
        self._told_problems = len(self.audit.problems)
        found += [f"{name} ended" for name in self._unexpected_ends()]
        if stopped:
            return [*found, f"not finished: {stopped}"]
        found += self.audit.settled(self.wanted)
        if len(self.wanted) <= _COMPARED_MAX:
            self.cluster.position = max(self.cluster.position, self.audit.position)
            try:
                told = await self.cluster.list("deployments")
            except Exception as error:  # a failed check, whatever it is
                return [*found, f"the api did not answer: {error}"]
            found += self.audit.compare(told)
        return found

    def _unexpected_ends(self) -> list[str]:
        expected = "apart" if self.audit.losses else ""
        return [name for name in self.system.ended() if name != expected]

    # --- waiting ----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def within(self, pods: int, what: str) -> AsyncIterator[None]:
        """Raises `Stalled` where the block takes longer than its deadline."""
        seconds = self.deadline or PATIENCE_SECONDS + pods / SLOWEST
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise Stalled(f"{what} took longer than {seconds:.0f} s") from None

    async def completed(self, name: str, revision: int) -> None:
        """Returns once the log says that this revision is complete."""
        stream = key(name)
        while True:
            for row in self.log.read_stream(stream, self._versions.get(stream, 0)):
                self._versions[stream] = row.version
                event = catalogue.decode(*row).event
                if (
                    isinstance(event, deployment.RolloutCompleted)
                    and event.revision >= revision
                ):
                    return
            await self.commits.next()

    async def all_available(self) -> None:
        """Returns once there is exactly what was asked for, as the log says."""
        while True:
            self.audit.advance()
            groups = self.audit.groups
            if (
                all(
                    name in groups
                    and groups[name].active == groups[name].available == count
                    for name, count in self.wanted.items()
                )
                and len(self.audit.pods) == self._held()
            ):
                return
            await self.commits.next()

    def _held(self) -> int:
        lost = sum(
            each.terminating
            and not self.audit.nodes[each.node].ready
            for each in self.audit.pods.values()
            if each.node
        )  # fmt: skip
        return sum(self.wanted.values()) + lost

    async def replaced(self, position: int) -> tuple[int, str]:
        """Position and stream of the first PodCreated behind `position`."""
        while True:
            for row in self.log.read(position, 1_000):
                position = row.position
                if row.topic == pod.PodCreated.TOPIC:
                    return position, row.stream
            await self.commits.next()

    async def nodes_ready(self) -> None:
        """Returns once every node is ready."""
        nodes = self.system.shape.nodes
        async with self.within(nodes, "all nodes being ready"):
            while True:
                self.audit.advance()
                if self.audit.ready_nodes == nodes:
                    break
                await self.commits.next()
        await self.quiet()

    async def quiet(self) -> None:
        """Returns once the log stands still and the processes do too: what readers and
        the relay still had to do is done, and belongs to what came before."""
        allowed = _QUIET_CORES + _QUIET_CORES_PER_NODE * self.system.shape.nodes
        with contextlib.suppress(Stalled):
            async with self.within(sum(self.wanted.values()), "quiet"):
                while True:
                    position, before = self.log.last_position(), self.system.cpu()
                    await asyncio.sleep(_QUIET_SECONDS)
                    after = self.system.cpu()
                    used = sum(after.values()) - sum(before.values())
                    if (
                        self.log.last_position() == position
                        and used < allowed * _QUIET_SECONDS
                    ):
                        return


def tenths(outcome: Outcome) -> Outcome:
    """With the rate of each tenth of the pods, and the last one as a share of the
    first."""
    reached: list[float] = []
    for point in outcome.points:
        while len(reached) < _TENTHS and (
            point.available >= (len(reached) + 1) * outcome.pods / _TENTHS
        ):
            reached.append(point.at)
    starts = [0.0, *reached]
    rates = tuple(
        outcome.pods / _TENTHS / max(end - begin, 1e-6)
        for begin, end in zip(starts, reached, strict=False)
    )
    figures = dict(outcome.figures)
    if len(rates) == _TENTHS:
        figures["tail"] = rates[-1] / rates[0] * 100
    return msgspec.structs.replace(outcome, tenths=rates, figures=figures)


@contextlib.asynccontextmanager
async def opened(
    running: system.System, say: Say, deadline: float
) -> AsyncIterator[Session]:
    """A session on a system that runs; its nodes are ready."""
    with contextlib.closing(eventstore.open_log(running.store, read_only=True)) as log:
        async with client.connect_to(
            running.context(system.USER), seconds=PATIENCE_SECONDS
        ) as cluster:
            commits = Commits()
            await cluster.client.subscribe(nats_wire.COMMITTED, cb=commits.heard)
            await cluster.client.flush()
            session = Session(running, log, cluster, commits, say, deadline)
            await session.nodes_ready()
            yield session
