"""A process of many hollow kubelets: each speaks the real protocol as a real one does.

1. One connection for all nodes of the process, with a login that may do what these
   nodes may; an agent, a pod lifecycle and a heartbeat for each node.
2. A line `die <node> <uid>` on standard input ends a pod that nobody asked to end, as a
   crash would; the kubelet then reports what it sees.
3. It says `ready`, and ends on TERM, with its supervisor, or with its standard input.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from adapters import nats_wire, parentage
from kubelet import hollow_runtime, node
from kubelet import main as kubelets

_GC: Final = (50_000, 50, 1_000)
"""Of hundreds of thousands of small objects that live long, and hardly any cycles."""


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes `<name>-0` to `<name>-<nodes - 1>`, each with room for `room` pods."""

    url: str
    name: str
    secret: str
    nodes: int
    room: int
    heartbeat: float
    usage: float = 0.0


def node_names(name: str, nodes: int) -> list[str]:
    """The nodes that the process of this name plays."""
    return [f"{name}-{number}" for number in range(nodes)]


def main() -> None:
    """Runs the nodes of the settings in the file that the command line names."""
    settings = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=HostSettings)
    parentage.end_with_supervisor(os.environ)
    gc.set_threshold(*_GC)
    asyncio.run(_run(settings))


async def _run(settings: HostSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    told = kubelets.KubeletSettings(
        url=settings.url,
        user=nats_wire.node_login(settings.name),
        secret=settings.secret,
        nodes=settings.nodes,
        prefix=f"{settings.name}-",
        hollow=hollow_runtime.HollowSettings(
            cpu=str(settings.room), memory=f"{settings.room}Gi", pods=str(settings.room)
        ),
        heartbeat=settings.heartbeat,
        usage_interval=settings.usage,
        keep_pods=True,  # nothing of a hollow pod is left behind
    )
    kubelet = kubelets.Kubelet(told)
    obeying: asyncio.Task[None] | None = None
    try:
        await kubelet.start()
        obeying = asyncio.create_task(_obey(kubelet, stop))
        await kubelet.serve(stop, _ready)
    finally:
        if obeying is not None:
            obeying.cancel()
            await asyncio.gather(obeying, return_exceptions=True)
        await kubelet.close()


def _ready() -> None:
    gc.collect()
    gc.freeze()  # thousands of agents that live as long as the process
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def _obey(kubelet: kubelets.Kubelet, stop: asyncio.Event) -> None:
    """Rule 2, until the input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    clock = node.Clock()
    while line := await reader.readline():
        with contextlib.suppress(ValueError, KeyError):
            _, name, uid = line.decode().split()
            kubelet.nodes[name].pods.stop(clock(), uid, 0.0)
    stop.set()
