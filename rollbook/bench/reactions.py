"""How quickly it answers and repairs: `latency`, `reaction`, `node-loss`."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec

from adapters import nats_wire
from domain import catalogue, pod, protocol
from rollbook.bench import endurance, results, rollouts, system
from rollbook.bench import session as sessions
from rollbook.bench.results import Outcome
from rollbook.bench.session import Session

SINGLES: Final = 100
SINGLES_PER_SECOND: Final = 5.0
COMMANDS: Final = 2_000
COMMANDS_PER_SECOND: Final = 100.0
DEATHS: Final = 50
_PODS_PER_DEATH: Final = 10


async def latency(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """On a cluster with `pods` pods: small Deployments, then small commands."""
    del names
    loaded = await rollouts.load(session, pods)
    # A small benchmark has a small sample: 100 Deployments on 50,000 pods.
    share = min(1.0, max(pods, 500) / 5_000)

    async def act() -> dict[str, float]:
        ready = await _singles(session, round(SINGLES * share))
        answered = await _commands(session, loaded, round(COMMANDS * share))
        return {
            **results.percentiles("ready", ready),
            **results.percentiles("answered", answered),
        }

    yield await session.measure("latency", pods, act)


async def _singles(session: Session, count: int) -> list[float]:
    """One-replica Deployments at a steady rate: from sending the command until a
    subscriber of events has seen the pod Ready."""
    sent: dict[str, float] = {}
    found: dict[str, float] = {}
    all_seen = asyncio.Event()

    async def heard(message: nats_wire.Msg) -> None:
        name = message.subject.split(".")[4].rpartition("-")[0].rpartition("-")[0]
        if name in sent and name not in found and b'"ready":true' in message.data:
            found[name] = time.perf_counter() - sent[name]
            if len(found) == count:
                all_seen.set()

    subject = nats_wire.event_subject("default", "pod", "x", "PodReported")
    client = session.cluster.client
    subscription = await client.subscribe(subject.replace(".x.", ".*."), cb=heard)
    await client.flush()

    async def create(number: int) -> None:
        name = f"single-{number}"
        session.wanted[sessions.key(name)] = 1
        sent[name] = time.perf_counter()
        await session.cluster.create(sessions.manifest(name, 1))

    await _steadily(count, SINGLES_PER_SECOND, create)
    await all_seen.wait()
    await subscription.unsubscribe()
    return list(found.values())


async def _commands(session: Session, loaded: list[str], count: int) -> list[float]:
    """Small commands at a steady rate, whether or not the last one is answered."""
    found: list[float] = []

    async def annotate(number: int) -> None:
        begun = time.perf_counter()
        await session.cluster.annotate(
            f"deployment/{loaded[number % len(loaded)]}",
            {"benchmark": str(number)},
            overwrite=True,
        )
        found.append(time.perf_counter() - begun)

    await _steadily(count, COMMANDS_PER_SECOND, annotate)
    return found


async def _steadily(
    count: int, rate: float, act: Callable[[int], Awaitable[None]]
) -> None:
    """Starts `act` `rate` times a second, and waits for all."""
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            group.create_task(_awaited(act(number)))


async def _awaited(what: Awaitable[None]) -> None:
    await what


async def reaction(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """Pods end that nobody asked to end, one after the other.

    The moment in which the kubelet tells of it is heard on the wire itself, with
    control's login: what the kubelet needs to notice is a figure of its own.
    """
    del names
    await rollouts.load(session, pods)
    context = session.system.context(system.CONTROL)
    ear = await nats_wire.connect(
        context.nats_url, context.user, context.secret, "rollbook bench"
    )
    reports = _Reports()
    try:
        await ear.subscribe(endurance.REPORTS, cb=reports.heard)
        await ear.flush()

        async def act() -> dict[str, float]:
            keys = list(session.audit.pods)
            count = max(1, min(DEATHS, len(keys) // _PODS_PER_DEATH))
            times = [
                await _death(session, reports, keys[index * len(keys) // count])
                for index in range(count)
            ]
            noticed, committed, again = zip(*times, strict=True)
            return {
                **results.percentiles("noticed", noticed),
                **results.percentiles("committed", committed),
                **results.percentiles("again", again),
            }

        yield await session.measure("reaction", pods, act)
    finally:
        await nats_wire.close(ear)


class _Reports:
    """Hears every report, and when one says that a pod is gone."""

    def __init__(self) -> None:
        self.gone: dict[str, float] = {}
        self.news = asyncio.Event()
        self._decoder = msgspec.json.Decoder(protocol.Report)

    async def heard(self, message: nats_wire.Msg) -> None:
        """A subscription's callback."""
        if b'"removed":true' not in message.data:
            return
        now = time.perf_counter()
        for status in self._decoder.decode(message.data).pods:
            if status.removed:
                self.gone.setdefault(status.uid, now)
        self.news.set()

    async def of(self, uid: str) -> float:
        """When the end of this pod was told."""
        while uid not in self.gone:
            self.news.clear()
            await self.news.wait()
        return self.gone[uid]


async def _death(
    session: Session, reports: _Reports, key: str
) -> tuple[float, float, float]:
    """Seconds: death to wire, wire to commit, death to the replacement Ready."""
    victim = session.audit.pods[key]
    position = session.log.last_position()
    begun = time.perf_counter()
    await session.system.host(victim.node).tell(f"die {victim.node} {victim.uid}")
    position, replacement = await session.replaced(position)
    committed = time.perf_counter()
    told = await reports.of(victim.uid)
    await _ready(session, position, replacement)
    return told - begun, committed - told, time.perf_counter() - begun


async def _ready(session: Session, position: int, stream: str) -> None:
    """Returns once this pod is Ready in the log."""
    while True:
        for row in session.log.read(position, 1_000):
            position = row.position
            if row.stream == stream and row.topic == pod.PodReported.TOPIC:
                event = catalogue.decode(*row).event
                if isinstance(event, pod.PodReported) and event.seen.ready:
                    return
        await session.commits.next()


async def node_loss(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """The process of one large node is killed; its pods are replaced elsewhere.

    One, because nodes are given up at a bounded rate, one in ten seconds: of many,
    that rate would be measured and not the system (spec 4.5).
    """
    del names
    await rollouts.load(session, pods)
    audit = session.audit
    lost = {f"apart-{number}" for number in range(session.system.shape.apart)}
    dead = sum(each.node in lost for each in audit.pods.values())

    async def act() -> dict[str, float]:
        audit.losses = True
        killed = time.time()
        await session.system.end("apart", signal.SIGKILL)
        while len(audit.unready_at) < len(lost):
            await session.commits.next()
            audit.advance()
        await session.all_available()
        seconds = time.time() - audit.unready_at[0]
        return {
            "detected": audit.unready_at[0] - killed,
            "replaced": seconds,
            "rate": dead / seconds,
        }

    yield await session.measure("node-loss", dead, act)
