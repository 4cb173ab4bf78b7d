"""The kubelet's process: settings, NATS, and one node or many hollow ones.

1. One connection serves all nodes, unless `secrets` gives nodes logins of their own.
   Even then each node is answered in its own inbox: control answers nowhere else.
2. TERM or INT: the pods are stopped within their grace, unless `keep_pods`: then they
   run on, and the next life of the kubelet goes on with them. Then the process ends. A
   refused login or a folder in use end it with `Permanent`.
"""

import asyncio
import logging
import secrets as entropy
import signal
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from adapters import cancelling, collector, exposing, nats_wire
from domain import podspec, protocol
from kubelet import (
    agent,
    container_settings,
    hollow_runtime,
    lifecycle,
    logs_service,
    memory,
    node,
    runtimes,
    sessions,
    wire,
)

if TYPE_CHECKING:
    from adapters.exposition import Board

USAGE_INTERVAL: Final = 15.0

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
    runtime: Literal["process", "container", "hollow"] = "process"
    engine: str = ""
    """The container engine's address; "" looks for one (adapters/engine.py)."""
    rules: container_settings.Rules = container_settings.Rules()
    """What containers may do to this machine."""
    nodes: int = 0
    prefix: str = "hollow-"
    hollow: hollow_runtime.HollowSettings = hollow_runtime.HollowSettings()
    images: tuple[Path, ...] = ()
    heartbeat: float = agent.HEARTBEAT
    report_interval: float = agent.REPORT_INTERVAL
    usage_interval: float = USAGE_INTERVAL
    """How often it is sampled what pods use; 0: never."""
    backoff_cap: float = 300.0
    stop_grace_max: float = 30.0
    keep_pods: bool = False
    """Whether pods run on when the kubelet ends; its next life goes on with them."""
    supervisor: int = 0
    """The process that starts this one again; without `keep_pods` pods end with it."""
    cpu: str = ""
    memory: str = ""
    pods: str = ""
    labels: dict[str, str] = {}
    taints: tuple[podspec.Taint, ...] = ()
    metrics_listen: str = "127.0.0.1"
    metrics_port: int = 0
    """0 serves no metrics."""

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

    def board() -> "Board":
        from kubelet import exposition

        return exposition.board(kubelet.nodes, kubelet.counters)

    try:
        place = settings.metrics_listen, settings.metrics_port
        async with exposing.shown(*place, board):
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
        self._links: list[wire.Link] = []
        self._services: list[logs_service.LogsService | sessions.SessionsService] = []
        self._opened: list[node.Node] = []

    async def start(self) -> None:
        """Connects, opens the runtimes, subscribes, and asks for the first lists."""
        shared: wire.Link | None = None
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
        if self.settings.usage_interval:
            measuring = node.measure_all(
                self.nodes, self.settings.usage_interval, self.counters
            )
            jobs.append(asyncio.create_task(measuring))
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

    async def _connect(self, user: str, secret: str) -> wire.Link:
        counters = nats_wire.Counters()
        client = await nats_wire.connect(
            self.settings.url, user, secret, f"kubelet {user}", counters=counters
        )
        link = wire.Link(user, client, counters, self.nodes, self.counters)
        self._links.append(link)
        return link

    async def _start_node(self, name: str, link: wire.Link) -> None:
        settings = self.settings
        ports = runtimes.make(settings, name, self._clock)
        await ports.open()
        machine = agent.Agent(
            node_info(ports.node_info(), name, settings),
            entropy.token_hex(8),
            agent.AgentSettings(
                heartbeat=settings.heartbeat, report_interval=settings.report_interval
            ),
        )
        options = lifecycle.LifecycleSettings(
            backoff_cap=settings.backoff_cap,
            notes=ports.name != "hollow",
            chores=ports.name != "hollow",
        )
        kept = memory.Memory(settings.data / "statuses.json")
        each = node.Node(
            name, machine, ports, link, self._clock, options,
            kept if options.chores else None,
            lambda: node_info(ports.node_info(), name, settings),
            ends_at_once=ports.name == "container",
        )  # fmt: skip
        if options.chores:
            from kubelet import chores  # aiohttp is not for hollow nodes

            each.pods.chores = chores.Chores(ports, link, each.on_fact)
        self.nodes[name] = each
        self._opened.append(each)
        logs = logs_service.LogsService(ports, _finder(each), link.publish, self._clock)
        streams = sessions.SessionsService(ports, _finder(each), link.send, self._clock)
        self._services += [logs, streams]
        each.adopt()
        await link.serve(each, logs, streams)


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
        labels={**found.labels, **labels, **settings.labels},
        kubelet_version=f"rollbook-{version}",
        taints=(*found.taints, *settings.taints),
    )


def _finder(each: node.Node) -> logs_service.Find:
    def find(namespace: str, name: str) -> protocol.PodStatus | None:
        for status in each.agent.statuses():
            if status.namespace == namespace and status.name == name:
                return status
        return None

    return find
