"""The load: one Deployment is created, updated, rolled back, and its pods are killed.

1. The driver is one Python client on one NATS connection, in this process.
2. A measurement ends when this process has seen the fact in the *committed* log. It is
   told of each commit by `rollbook.committed`, which control publishes anyway, and then
   reads the store by position. For the long operations it reads the Deployment's own
   stream only, a handful of rows, because whatever it does takes a core from the rest.
3. The whole log is read and checked after each scenario, while nothing is measured.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from adapters import context as contexts
from adapters import eventstore, nats_wire
from adapters.eventlog import EventLog
from benchmarks import system
from benchmarks.audit import Audit
from benchmarks.results import Operation, Quantiles, Run, Sizes, quantiles
from benchmarks.system import Failure
from domain import catalogue, deployment, errors, pod, protocol
from domain.protocol import Answer
from rollbook import client, processes

NAME: Final = "bench"
TARGET: Final = f"deployment/{NAME}"
STREAM: Final = f"deployment/default/{NAME}"
POD_CPU_MILLI: Final = 100
POD_MEMORY: Final = 64 * 1024**2
PODS_PER_NODE: Final = 110
SURGE: Final = 4
"""25 %: one more pod for each four (rounded up), and one fewer available."""

PATIENCE_SECONDS: Final = 60.0
"""Guards against hanging; no figure depends on it."""
_LOOK_SECONDS: Final = 0.25
_QUIET_SECONDS: Final = 0.4
_QUIET_CORES: Final = 0.15
_IDLE_SECONDS: Final = 3.0
_COMMANDS: Final = 200
_DEATHS: Final = 50
_PODS_PER_DEATH: Final = 10
_FORGED_SEQUENCE: Final = 1_000_000_000
"""Greater than that of any report which the node's own kubelet has sent."""

Say = Callable[[str], None]


def manifest(pods: int) -> dict[str, object]:
    """The Deployment: one container with requests, rolling update 25 %/25 %."""
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
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "replicas": pods,
            "selector": {"matchLabels": {"app": NAME}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {"containers": [container]},
            },
        },
    }


def run(folder: Path, pods: int, nodes: int, store: str, say: Say) -> Run:
    """Everything that is measured, on a fresh system that is gone afterwards.

    Raises `Failure` when something that must happen does not.
    """
    with system.running(folder, nodes, store) as running:
        try:
            with contextlib.closing(_open(running.store)) as log:
                audit = Audit(log, cpu_milli=POD_CPU_MILLI, memory=POD_MEMORY)
                result = asyncio.run(_measure(running, log, audit, pods, say))
        except (Failure, TimeoutError, errors.RollbookError) as error:
            raise Failure(f"{error}\n{running.trouble()}") from error
    sizes = msgspec.structs.replace(
        result.sizes, store=running.store_bytes(), relay=running.events_bytes()
    )
    return msgspec.structs.replace(result, sizes=sizes)


async def _measure(
    running: system.System, log: EventLog, audit: Audit, pods: int, say: Say
) -> Run:
    where = contexts.load_context(str(running.context), {})
    async with (
        client.connect_to(where, seconds=PATIENCE_SECONDS) as cluster,
        _commits(cluster) as commits,
    ):
        load = _Load(running, log, audit, cluster, commits, pods, say)
        return await load.run()


class _Commits:
    """Wakes one waiter at each commit that control tells of."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    async def heard(self, message: nats_wire.Msg) -> None:
        del message
        self._news.set()

    async def next(self) -> None:
        """Returns after the next commit, or after a while without one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._news.wait()
        self._news.clear()


@contextlib.asynccontextmanager
async def _commits(cluster: client.Cluster) -> AsyncIterator[_Commits]:
    commits = _Commits()
    subscription = await cluster.client.subscribe(nats_wire.COMMITTED, cb=commits.heard)
    await cluster.client.flush()
    yield commits
    await subscription.unsubscribe()


class _Load:
    """The scenarios on one system, one after the other."""

    def __init__(
        self,
        running: system.System,
        log: EventLog,
        audit: Audit,
        cluster: client.Cluster,
        commits: _Commits,
        pods: int,
        say: Say,
    ) -> None:
        self._system = running
        self._log = log
        self._audit = audit
        self._cluster = cluster
        self._commits = commits
        self._pods = pods
        self._tell = say
        self._problems: list[str] = []
        self._revision = 0
        self._version = 0
        self._deaths = 0

    async def run(self) -> Run:
        """All scenarios in their order; the log is checked after each."""
        await self._nodes_ready()
        operations = {}
        cluster = self._cluster
        for name, ask in (
            ("create", lambda: cluster.create(manifest(self._pods))),
            ("roll", lambda: cluster.set_image(TARGET, {"web": "web:2"})),
            ("undo", lambda: cluster.undo(TARGET)),
        ):
            operations[name] = await self._operation(name, ask)
        latencies = {}
        for name, measure in (
            ("command", self._commands),
            ("delete", self._deletions),
            ("death", self._deaths_of_pods),
        ):
            found = await measure()
            await self._quiet()
            self._check(name)
            latencies[name] = found
            self._say(name, f"p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms")
        idle = await self._idle()
        self._problems += [f"{name} ended" for name in self._system.restarted()]
        return Run(
            pods=self._pods,
            nodes=self._system.nodes,
            operations=operations,
            latencies=latencies,
            idle=idle,
            peak_memory=self._system.peak_memory(),
            sizes=Sizes(
                store=0,
                relay=0,
                created=self._audit.created,
                events=self._audit.position,
            ),
            problems=self._problems,
        )

    # --- the long operations --------------------------------------------------------

    async def _operation(
        self, name: str, ask: Callable[[], Awaitable[Answer]]
    ) -> Operation:
        """From the command until RolloutCompleted was seen in the committed log."""
        if name != "create":
            surge, unavailable = -(-self._pods // SURGE), self._pods // SURGE
            self._audit.bounds(self._pods - unavailable, self._pods + surge)
        before, position = self._system.cpu(), self._audit.position
        begun = time.perf_counter()
        answer = await ask()
        answered = time.perf_counter() - begun
        await self._completed(answer.revision)
        seconds = time.perf_counter() - begun
        await self._quiet()
        after = self._system.cpu()
        self._revision = answer.revision
        self._check(name)
        self._audit.unbounded()
        found = Operation(
            name=name,
            pods=self._pods,
            seconds=seconds,
            answered=answered,
            cpu={key: after[key] - before[key] for key in after},
            events=self._audit.position - position,
        )
        self._say(name, f"{found.rate:,.0f} pods/s ({seconds:.2f} s)")
        return found

    async def _completed(self, revision: int) -> None:
        async with self._patience(f"the completion of revision {revision}"):
            while True:
                for row in self._log.read_stream(STREAM, self._version):
                    self._version = row.version
                    event = catalogue.decode(*row).event
                    if (
                        isinstance(event, deployment.RolloutCompleted)
                        and event.revision == revision
                    ):
                        return
                await self._commits.next()

    # --- latencies ------------------------------------------------------------------

    async def _commands(self) -> Quantiles:
        """Small commands, one after the other, each until its answer."""
        found = []
        for number in range(_COMMANDS):
            begun = time.perf_counter()
            await self._cluster.annotate(
                TARGET, {"benchmark": str(number)}, overwrite=True
            )
            found.append(time.perf_counter() - begun)
        return quantiles(found)

    async def _deletions(self) -> Quantiles:
        """`delete pod`, each until its replacement's PodCreated was seen committed."""
        found = []
        for key in self._victims():
            position = self._log.last_position()
            begun = time.perf_counter()
            asking = asyncio.create_task(
                self._cluster.delete(key.replace("pod/default/", "pod/"), grace=1)
            )
            await self._replaced(position)
            found.append(time.perf_counter() - begun)
            await asking
            await self._ready_again()
        return quantiles(found)

    async def _deaths_of_pods(self) -> Quantiles:
        """A node's report that a pod is gone, each until the replacement's commit.

        Nothing makes a chosen hollow pod die, so the report is published here, with the
        login of the pod's node, in the words of its kubelet. `_begin_anew` then sets
        the node's real kubelet right again, which knows nothing of this death.
        """
        found = []
        for key in self._victims():
            seen = self._audit.pods[key]
            async with self._as_node(seen.node) as node:
                position = self._log.last_position()
                report = self._last_word(key, seen.node, seen.uid)
                begun = time.perf_counter()
                await node.publish(nats_wire.report_subject(seen.node), report)
                await self._replaced(position)
                found.append(time.perf_counter() - begun)
                await self._begin_anew(node, seen.node)
            await self._ready_again()
        return quantiles(found)

    def _victims(self) -> list[str]:
        """Some pods, evenly spread over those that exist."""
        self._audit.advance()
        keys = list(self._audit.pods)
        count = min(_DEATHS, -(-len(keys) // _PODS_PER_DEATH))
        return [keys[index * len(keys) // count] for index in range(count)]

    async def _replaced(self, position: int) -> None:
        """Returns once a PodCreated behind `position` is in the store."""
        async with self._patience("the replacement of a pod"):
            while True:
                for row in self._log.read(position, 1_000):
                    position = row.position
                    if row.topic == pod.PodCreated.TOPIC:
                        return
                await self._commits.next()

    async def _ready_again(self) -> None:
        """Returns once all pods are there and available, and none is on its way out."""
        async with self._patience("all pods being available again"):
            while True:
                self._audit.advance()
                pods = self._audit.pods.values()
                if len(pods) == self._pods and all(each.available for each in pods):
                    return
                await self._commits.next()

    @contextlib.asynccontextmanager
    async def _as_node(self, name: str) -> AsyncIterator[nats_wire.Client]:
        login = nats_wire.node_login(name)
        path = processes.role_context(self._system.folder, login)
        own = contexts.load_context(str(path), {})
        connection = await nats_wire.connect(
            own.nats_url, own.user, own.secret, "rollbook benchmark"
        )
        try:
            yield connection
        finally:
            await nats_wire.close(connection)

    def _last_word(self, key: str, node: str, uid: str) -> bytes:
        _, namespace, name = key.split("/")
        self._deaths += 1
        status = protocol.PodStatus(
            namespace=namespace, name=name, uid=uid, phase="Failed", removed=True
        )
        return msgspec.json.encode(
            protocol.Report(
                incarnation=self._audit.nodes[node].incarnation,
                sequence=_FORGED_SEQUENCE + self._deaths,
                pods=(status,),
            )
        )

    async def _begin_anew(self, connection: nats_wire.Client, node: str) -> None:
        """Afterwards the node's kubelet has fetched its list, in a life of its own.

        A sync by another boot ends the incarnation whose reports were overtaken here.
        A report of that incarnation then makes control tell the kubelet to sync.
        """
        room = self._audit.nodes[node]
        request = protocol.SyncRequest(boot_id=uuid.uuid4().hex, node=room.info)
        answer = await connection.request(
            nats_wire.sync_subject(node),
            msgspec.json.encode(request),
            timeout=PATIENCE_SECONDS,
        )
        granted = msgspec.json.decode(answer.data, type=protocol.SyncReply).incarnation
        late = protocol.Report(incarnation=granted - 1, sequence=_FORGED_SEQUENCE)
        await connection.publish(
            nats_wire.report_subject(node), msgspec.json.encode(late)
        )
        async with self._patience(f"the kubelet of {node} to sync again"):
            # Look before waiting: it may have been committed already, and an idle
            # system commits nothing more.
            self._audit.advance()
            while room.incarnation <= granted:
                await self._commits.next()
                self._audit.advance()

    # --- around them ----------------------------------------------------------------

    async def _nodes_ready(self) -> None:
        async with self._patience("all nodes being ready"):
            while True:
                self._audit.advance()
                nodes = self._audit.nodes.values()
                if len(nodes) == self._system.nodes and all(n.ready for n in nodes):
                    break
                await self._commits.next()
        await self._quiet()

    async def _quiet(self) -> None:
        """Returns once the log stands still and the processes do too: what readers and
        the relay still had to do is done, and belongs to what came before."""
        async with self._patience("quiet"):
            while True:
                position, before = self._log.last_position(), self._system.cpu()
                await asyncio.sleep(_QUIET_SECONDS)
                after = self._system.cpu()
                used = sum(after.values()) - sum(before.values())
                if (
                    self._log.last_position() == position
                    and used < _QUIET_CORES * _QUIET_SECONDS
                ):
                    return

    async def _idle(self) -> dict[str, float]:
        before, begun = self._system.cpu(), time.perf_counter()
        await asyncio.sleep(_IDLE_SECONDS)
        after, seconds = self._system.cpu(), time.perf_counter() - begun
        return {key: (after[key] - before[key]) / seconds for key in after}

    def _check(self, what: str) -> None:
        """The log is right up to here, and the counts are what they must be."""
        known = len(self._audit.problems)
        self._audit.advance()
        found = self._audit.problems[known:]
        found += self._audit.final(self._pods, self._revision)
        self._problems += [f"after {what}: {problem}" for problem in found]

    def _say(self, what: str, text: str) -> None:
        self._tell(f"{self._pods:,} pods: {what} {text}")

    @contextlib.asynccontextmanager
    async def _patience(self, what: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield
        except TimeoutError:
            raise Failure(f"waited {PATIENCE_SECONDS:.0f} s for {what}") from None


def _open(store: str) -> EventLog:
    return eventstore.open_log(store, read_only=True)


def check_store(store: str) -> str:
    """Why `store` cannot be measured on; "" if it can."""
    if store.startswith("memory:"):
        return "--store memory: is not shared by processes: name a database"
    # A database in which nothing was created yet is the best one.
    with contextlib.suppress(errors.Transient), contextlib.closing(_open(store)) as log:
        if log.last_position():
            return f"--store {store} holds a log already: name an empty database"
    return ""
