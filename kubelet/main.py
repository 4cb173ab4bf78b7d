"""The kubelet's process: settings, NATS, and one node or many hollow ones.

1. One connection serves all nodes, unless `secrets` gives nodes logins of their own.
   Even then each node is answered in its own inbox: control answers nowhere else.
2. A message that cannot be read is counted and logged; nothing else happens.
3. TERM or INT: the pods are stopped within their grace (unless `keep_pods`), then the
   process ends. A refused login or a folder in use end it with `Permanent`.
"""

import asyncio
import logging
import secrets as entropy
import signal
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

import msgspec

from adapters import cancelling, collector, nats_wire
from adapters.nats_wire import Msg
from domain import errors, podspec, protocol
from kubelet import agent, hollow_runtime, lifecycle, logs_service, node, runtime

SYNC_TIMEOUT: Final = 60.0
"""As long as the longest wait before the next try (agent.SYNC_RETRY_LIMIT): what a
control that is late says is still the answer, as long as nothing newer was asked."""
WATCH_SECONDS: Final = 0.2
PAYLOAD_SLACK: Final = 4096
FLUSH_EVERY: Final = 16

_log = logging.getLogger(__name__)


class KubeletSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a kubelet is told. Durations in seconds.

    With `nodes` > 0 the process is that many hollow nodes, `<prefix>0` and on, and
    `node` is not used. `secrets` (login → secret, as `node-worker-1`) gives nodes that
    are in it a connection of their own; `user` and `secret` serve the others.
    `cpu`, `memory` and `pods` override what the runtime finds.
    """

    node: str = ""
    url: str = "nats://127.0.0.1:4222"
    user: str = ""
    secret: str = ""
    secrets: dict[str, str] = {}
    data: Path = Path(".rollbook/kubelet")
    runtime: Literal["process", "hollow"] = "process"
    nodes: int = 0
    prefix: str = "hollow-"
    hollow: hollow_runtime.HollowSettings = hollow_runtime.HollowSettings()
    images: tuple[Path, ...] = ()
    heartbeat: float = agent.HEARTBEAT
    report_interval: float = agent.REPORT_INTERVAL
    backoff_cap: float = 300.0
    stop_grace_max: float = 30.0
    keep_pods: bool = False
    cpu: str = ""
    memory: str = ""
    pods: str = ""
    labels: dict[str, str] = {}
    taints: tuple[podspec.Taint, ...] = ()

    def names(self) -> tuple[str, ...]:
        """The nodes of this process."""
        if self.nodes:
            return tuple(f"{self.prefix}{number}" for number in range(self.nodes))
        return (self.node,)


async def run(
    settings: KubeletSettings,
    *,
    stop: asyncio.Event | None = None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Runs until `stop` is set (default: TERM or INT). Then nothing is left running.

    `ready` is called once, when every node has its first full list.

    Raises `Permanent` if it makes no sense to go on, `Transient` if there is no broker.
    """
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    kubelet = Kubelet(settings)
    try:
        await kubelet.start()
        await kubelet.serve(stop, ready)
    finally:
        await kubelet.close()


class Kubelet:
    """The nodes of this process and their connections."""

    def __init__(self, settings: KubeletSettings) -> None:
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.nodes: dict[str, node.Node] = {}
        self._clock = node.Clock()
        self._links: list[_Link] = []
        self._services: list[logs_service.LogsService] = []
        self._opened: list[node.Node] = []

    async def start(self) -> None:
        """Connects, opens the runtimes, subscribes, and asks for the first lists."""
        shared: _Link | None = None
        for name in self.settings.names():
            login = nats_wire.node_login(name)
            if login in self.settings.secrets:
                link = await self._connect(login, self.settings.secrets[login])
            else:
                if shared is None:
                    shared = await self._connect(
                        self.settings.user, self.settings.secret
                    )
                link = shared
            await self._start_node(name, link)

    async def serve(
        self, stop: asyncio.Event, ready: Callable[[], None] | None = None
    ) -> None:
        """Works until `stop`; raises what ended any part of it before."""
        jobs = [asyncio.create_task(each.run()) for each in self.nodes.values()]
        for link in self._links:
            jobs.append(asyncio.create_task(link.watch()))
            jobs.append(asyncio.create_task(link.write()))
        if ready is not None:
            jobs.append(asyncio.create_task(self._tell_ready(ready)))
        waiter = asyncio.create_task(stop.wait())
        try:
            while not waiter.done():
                running = [job for job in jobs if not job.done()]
                await asyncio.wait(
                    [waiter, *running], return_when=asyncio.FIRST_COMPLETED
                )
                for job in jobs:
                    if job.done():
                        job.result()
            await self._stop_nodes()
        finally:
            await cancelling.end(waiter, *jobs)

    async def close(self) -> None:
        """Whatever happened before: no pod, no connection, no task is left."""
        await self._stop_nodes()
        for service in self._services:
            await service.close()
        for link in self._links:
            await link.close()

    # --- helpers -------------------------------------------------------------------

    async def _stop_nodes(self) -> None:
        opened, self._opened = self._opened, []
        await asyncio.gather(
            *(
                each.stop(
                    keep_pods=self.settings.keep_pods,
                    grace_max=self.settings.stop_grace_max,
                )
                for each in opened
            )
        )

    async def _tell_ready(self, ready: Callable[[], None]) -> None:
        for each in self.nodes.values():
            await each.synced.wait()
        collector.settle()
        ready()

    async def _connect(self, user: str, secret: str) -> "_Link":
        counters = nats_wire.Counters()
        client = await nats_wire.connect(
            self.settings.url, user, secret, f"kubelet {user}", counters=counters
        )
        link = _Link(user, client, counters, self.nodes, self.counters)
        self._links.append(link)
        return link

    async def _start_node(self, name: str, link: "_Link") -> None:
        settings = self.settings
        ports = self._runtime(name)
        await ports.open()
        machine = agent.Agent(
            node_info(ports.node_info(), name, settings),
            entropy.token_hex(8),
            agent.AgentSettings(
                heartbeat=settings.heartbeat, report_interval=settings.report_interval
            ),
        )
        options = lifecycle.LifecycleSettings(
            backoff_cap=settings.backoff_cap, notes=ports.name != "hollow"
        )
        each = node.Node(name, machine, ports, link, self._clock, options)
        self.nodes[name] = each
        self._opened.append(each)
        service = logs_service.LogsService(
            ports, _finder(each), link.publish, self._clock
        )
        self._services.append(service)
        await link.serve(each, service)

    def _runtime(self, name: str) -> runtime.Runtime:
        settings = self.settings
        if settings.nodes or settings.runtime == "hollow":
            return hollow_runtime.HollowRuntime(name, settings.hollow, self._clock)
        from kubelet import process_runtime  # aiohttp is not for hollow nodes

        return process_runtime.ProcessRuntime(
            name,
            settings.data,
            image_folders=settings.images,
            keep_pods=settings.keep_pods,
        )


def node_info(
    found: protocol.NodeInfo, name: str, settings: KubeletSettings
) -> protocol.NodeInfo:
    """What the runtime found, with the settings' overrides and the usual labels."""
    override = {
        "cpu": settings.cpu, "memory": settings.memory, "pods": settings.pods
    }  # fmt: skip
    room = {
        kind: override.get(kind) or amount for kind, amount in found.capacity.items()
    }
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": found.operating_system,
        "kubernetes.io/arch": found.architecture,
    }
    try:
        version = metadata.version("rollbook")
    except metadata.PackageNotFoundError:
        version = "unknown"
    return msgspec.structs.replace(
        found,
        capacity=room,
        allocatable=room,
        labels={**labels, **settings.labels},
        kubelet_version=f"rollbook-{version}",
        taints=settings.taints,
    )


class _Link:
    """One connection and the nodes that use it; implements `node.Wire`."""

    def __init__(
        self,
        login: str,
        client: nats_wire.Client,
        counters: nats_wire.Counters,
        nodes: dict[str, node.Node],
        totals: Counter[str],
    ) -> None:
        self._login = login
        self._client = client
        self._counters = counters
        self._nodes = nodes
        self._totals = totals
        self._mine: list[node.Node] = []
        self._outbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._encode = msgspec.json.Encoder().encode
        self._assignments = msgspec.json.Decoder(protocol.Assignment)
        self._replies = msgspec.json.Decoder(protocol.SyncReply)
        self._published = 0
        self._asked: dict[str, asyncio.Future[Msg]] = {}
        self._questions = 0

    async def serve(self, each: node.Node, service: logs_service.LogsService) -> None:
        """Subscribes for one node, then lets it sync."""
        self._mine.append(each)

        async def on_assignment(message: Msg) -> None:
            try:
                each.on_assignment(self._assignments.decode(message.data))
            except msgspec.MsgspecError as error:
                self._bad("assignment", error)

        async def on_logs(message: Msg) -> None:
            service.accept(message)

        await self._client.subscribe(
            nats_wire.assign_subject(each.name), cb=on_assignment
        )
        await self._client.subscribe(
            nats_wire.node_subject(each.name, "logs"), cb=on_logs
        )
        if self._plays(each.name):
            inbox = nats_wire.inbox_prefix(nats_wire.node_login(each.name))
            await self._client.subscribe(f"{inbox}.>", cb=self._on_answer)
        await self._client.flush()  # the sync must not overtake the subscription
        each.on_connected()

    def send_report(self, name: str, report: protocol.Report) -> None:
        """See `node.Wire`."""
        data = self._encode(report)
        if len(data) > self._client.max_payload - PAYLOAD_SLACK:
            self._totals["report without notes"] += 1
            bare = [msgspec.structs.replace(pod, notes=()) for pod in report.pods]
            data = self._encode(msgspec.structs.replace(report, pods=tuple(bare)))
        self._outbox.put_nowait((nats_wire.report_subject(name), data))

    def send_sync(self, name: str, attempt: int, request: protocol.SyncRequest) -> None:
        """See `node.Wire`."""
        task = asyncio.get_running_loop().create_task(
            self._sync(name, attempt, request)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """For logs: waits for the wire now and then, so that memory stays bounded."""
        await self._client.publish(subject, data, headers=headers)
        self._published += 1
        if self._published % FLUSH_EVERY == 0:
            await self._client.flush()

    async def write(self) -> None:
        """Publishes what the nodes have to report."""
        while True:
            subject, data = await self._outbox.get()
            try:
                await self._client.publish(subject, data)
            except nats_wire.TROUBLE as error:
                self._totals["report not sent"] += 1  # it will be repeated
                _log.debug("report not sent: %s", error)

    async def watch(self) -> None:
        """Tells the nodes when the connection is lost and when it is back.

        Raises `Permanent` when the broker has ended it for good.
        """
        connected, reconnects = True, self._counters.reconnects
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._client.is_closed:
                raise errors.Permanent(
                    "the NATS server has closed the connection for good: does it still "
                    "know this node?"
                )
            back = self._counters.reconnects != reconnects
            reconnects = self._counters.reconnects
            if connected and (back or not self._client.is_connected):
                connected = False
                for each in self._mine:
                    each.on_connection_lost()
            if not connected and self._client.is_connected:
                connected = True
                for each in self._mine:
                    each.on_connected()

    async def close(self) -> None:
        """Ends the connection."""
        await cancelling.end(*self._tasks)
        await nats_wire.close(self._client)

    async def _sync(
        self, name: str, attempt: int, request: protocol.SyncRequest
    ) -> None:
        each = self._nodes[name]
        try:
            reply = await self._ask(name, self._encode(request))
            each.on_sync_reply(attempt, self._replies.decode(reply.data))
        except nats_wire.TROUBLE as error:
            each.on_sync_failed(attempt, "")
            _log.debug("sync of %s: %s", name, error)
        except msgspec.MsgspecError as error:
            self._bad("sync reply", error)
            each.on_sync_failed(attempt, str(error))

    async def _ask(self, name: str, data: bytes) -> Msg:
        subject = nats_wire.sync_subject(name)
        if not self._plays(name):
            return await self._client.request(subject, data, timeout=SYNC_TIMEOUT)
        self._questions += 1
        inbox = nats_wire.inbox_prefix(nats_wire.node_login(name))
        reply = f"{inbox}.{self._questions}"
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._asked[reply] = answer
        try:
            await self._client.publish(subject, data, reply=reply)
            async with asyncio.timeout(SYNC_TIMEOUT):
                found = await answer
            if not found.data:  # so the broker says that nobody listens
                raise ConnectionError(f"nobody answers at {subject}")
            return found
        finally:
            del self._asked[reply]

    async def _on_answer(self, message: Msg) -> None:
        answer = self._asked.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _plays(self, name: str) -> bool:
        """Whether this connection is not the node's own, whose inbox it has anyway."""
        return self._login != nats_wire.node_login(name)

    def _bad(self, what: str, error: Exception) -> None:
        self._totals[f"unreadable {what}"] += 1
        _log.warning("a message was left out: unreadable %s: %s", what, error)


def _finder(each: node.Node) -> logs_service.Find:
    def find(namespace: str, name: str) -> protocol.PodStatus | None:
        for status in each.agent.statuses():
            if status.namespace == namespace and status.name == name:
                return status
        return None

    return find
