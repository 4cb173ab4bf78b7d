"""Pods as real containers on one node: `containers`.

1. The engine is first asked by itself, one pod after the other: what it takes to make
   and start the two containers of a pod, and, when the kernel has ended one, until it
   says so. That is the least that anybody can do on it.
2. Then the same pods are a Deployment. A pod's start is counted from the moment in
   which it was given to the node to the moment in which the log says that it runs; the
   pods are made one at a time first, so that the two can be compared, and then at once.
3. A container is ended by the kernel, not by the engine: from there until the log says
   so.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from adapters import engine, engine_answers
from domain import catalogue, pod
from kubelet import agent, container_pause
from rollbook.bench import results
from rollbook.bench import session as sessions
from rollbook.bench.results import Outcome
from rollbook.bench.session import Session
from rollbook.bench.system import Failure

SINGLES: Final = 6
_ENDED: Final = "rollbook-bench"
_POLL_SECONDS: Final = 0.001


class Bare(NamedTuple):
    """What the engine takes by itself, in seconds."""

    starts: list[float]
    ends: list[float]


async def containers(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """The engine alone; pods one at a time; ends; all pods at once."""
    del names
    client = engine.Engine(session.system.shape.engine)
    singles = min(SINGLES, pods)
    try:
        image = await _image(client)

        async def one_by_one() -> dict[str, float]:
            bare = await _bare(client, image, singles)
            started, ended = [], []
            for number in range(singles):
                name = f"single-{number}"
                started += await _start(session, name, image, 1)
                await asyncio.sleep(2 * agent.REPORT_INTERVAL)  # its turn is over
                ended.append(await _end(session, client, name))
                await session.all_available()
            least = results.quantiles(bare.starts).p50
            ours = results.quantiles(started).p50
            return {
                **results.percentiles("engine_start", bare.starts),
                **results.percentiles("start", started),
                "start_share": (ours / least - 1) * 100,
                **results.percentiles("engine_end", bare.ends),
                **results.percentiles("end", ended),
            }

        yield await session.measure("containers", singles, one_by_one)

        async def at_once() -> dict[str, float]:
            return results.percentiles(
                "start", await _start(session, "together", image, pods)
            )

        yield await session.measure("containers-at-once", pods, at_once, whole=True)
    finally:
        await client.close()


def manifest(name: str, image: str, replicas: int) -> dict[str, object]:
    """A Deployment of infra containers' own program: nothing starts faster."""
    found = sessions.manifest(name, replicas)
    spec = found["spec"]
    assert isinstance(spec, dict), "it has one"
    (container,) = spec["template"]["spec"]["containers"]
    container |= {"image": image, "imagePullPolicy": "Never"}
    return found


def address() -> str:
    """The engine that is measured. Raises `Failure` without one."""
    found = engine.candidates(os.environ)
    if not found:
        raise Failure(
            "no container engine has a socket here: start Docker or Podman, or name "
            "its socket in DOCKER_HOST"
        )
    return found[0][0]


# --- the engine alone -------------------------------------------------------------


async def _image(client: engine.Engine) -> str:
    version = await client.version()
    name = container_pause.image_name(version.arch)
    if await client.image(name) is None:
        await client.load(container_pause.archive(version.arch))
    return name


async def _bare(client: engine.Engine, image: str, count: int) -> Bare:
    found = Bare([], [])
    for number in range(count):
        made: list[str] = []
        try:
            begun = time.perf_counter()
            host: dict[str, object] = {"NetworkMode": "bridge", "IpcMode": "shareable"}
            for part in ("infra", "web"):
                body = {"Image": image, "HostConfig": host}
                made.append(await client.create(f"{_ENDED}-{number}-{part}", body))
                await client.start(made[-1])
                joined = f"container:{made[0]}"
                host = {"NetworkMode": joined, "IpcMode": joined}
            found.starts.append(time.perf_counter() - begun)
            begun = await _kill(client, made[1])
            await _ended(client, made[1])
            found.ends.append(time.time() - begun)
        finally:
            for each in reversed(made):
                await client.remove(each)
    return found


async def _ended(client: engine.Engine, identity: str) -> None:
    while True:
        found = await client.inspect(identity)
        if found is None or not found.state.running:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _kill(client: engine.Engine, identity: str) -> float:
    """Seconds since the epoch when the container's process was killed, by the kernel.

    Raises `Failure` where the engine's processes are not this machine's.
    """
    found = await client.inspect(identity)
    state = found.state if found else engine_answers.State()
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(state.pid)
        try:
            with open(f"/proc/{state.pid}/cgroup") as groups:  # noqa: ASYNC230  # /proc
                ours = identity in groups.read()
            if ours:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                return time.time()
        finally:
            os.close(descriptor)
    raise Failure("the processes of this engine's containers are not to be seen here")


# --- pods -------------------------------------------------------------------------


async def _start(session: Session, name: str, image: str, count: int) -> list[float]:
    """Seconds from being given to the node until the log says that it runs, of each
    pod of a new Deployment."""
    position = session.log.last_position()
    session.wanted[sessions.key(name)] = count
    await session.cluster.create(manifest(name, image, count))
    given: dict[str, float] = {}
    found: dict[str, float] = {}
    while len(found) < count:
        for row in session.log.read(position, 1_000):
            position = row.position
            recorded = catalogue.decode(*row)
            match recorded.event:
                case pod.PodScheduled():
                    given[recorded.stream] = recorded.timestamp
                case pod.PodReported() as said if _running(said):
                    found.setdefault(recorded.stream, recorded.timestamp)
        if len(found) < count:
            await session.commits.next()
    await session.completed(name, 1)
    return [found[key] - given[key] for key in found]


async def _end(session: Session, client: engine.Engine, name: str) -> float:
    """Seconds from the end of a pod's container until this process has read of it in
    the log."""
    position = session.log.last_position()
    identity = ""
    for each in await client.list("io.kubernetes.container.name=web"):
        marks = each.labels or {}
        if marks["io.kubernetes.pod.name"].startswith(f"{name}-") and each.running:
            identity = each.id
    killed = await _kill(client, identity)
    while True:
        for row in session.log.read(position, 1_000):
            position = row.position
            recorded = catalogue.decode(*row)
            if isinstance(recorded.event, pod.PodReported):
                return time.time() - killed
        await session.commits.next()


def _running(said: pod.PodReported) -> bool:
    return said.seen.phase == "Running"
