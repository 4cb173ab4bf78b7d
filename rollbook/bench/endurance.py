"""What idleness, a start and a kill cost: `idle`, `restart`, `kill`."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from adapters import nats_wire
from rollbook.bench import rollouts, system
from rollbook.bench import session as sessions
from rollbook.bench.results import Outcome
from rollbook.bench.session import Session

IDLE_SECONDS: Final = 30.0
IDLE_SECONDS_SMALL: Final = 3.0
REPORTS: Final = "rollbook.report.*"
_IDLE_LARGE: Final = 1_000
_LISTEN_SECONDS: Final = 10.0
_KILL_EVENTS_PER_POD: Final = 1.5
"""In the middle of a create: it takes three events for each pod."""


async def idle(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """Nodes with heartbeats, and nobody who wants anything."""
    del names
    if pods:
        await rollouts.load(session, pods)
    large = session.system.shape.nodes >= _IDLE_LARGE
    seconds = IDLE_SECONDS if large else IDLE_SECONDS_SMALL
    found: dict[str, float] = {}

    async def act() -> dict[str, float]:
        before, position = session.system.cpu(), session.log.last_position()
        await asyncio.sleep(seconds)
        after, written = session.system.cpu(), session.log.last_position() - position
        found.update({role: after[role] - before[role] for role in after})
        return {
            "idle_cores": sum(found[role] for role in system.SYSTEM) / seconds,
            "idle_events": float(written),
            "heartbeats": await _heartbeats(session),
        }

    outcome = await session.measure("idle", pods, act)
    cores = {role: used / seconds for role, used in found.items()}
    yield msgspec.structs.replace(outcome, cpu=cores)


async def _heartbeats(session: Session) -> float:
    """How many reports a second there are: an idle cluster is not a dead one. They are
    counted after the measurement, which does not pay for it."""
    context = session.system.context(system.CONTROL)
    ear = await nats_wire.connect(
        context.nats_url, context.user, context.secret, "rollbook bench"
    )
    count = 0

    async def heard(message: nats_wire.Msg) -> None:
        nonlocal count
        del message
        count += 1

    try:
        await ear.subscribe(REPORTS, cb=heard)
        await ear.flush()
        count, begun = 0, time.perf_counter()
        await asyncio.sleep(_LISTEN_SECONDS)
        return count / (time.perf_counter() - begun)
    finally:
        await nats_wire.close(ear)


async def restart(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """Control and api start on the log that is there; one is made if none is."""
    del names
    if not session.wanted:
        await rollouts.load(session, pods)

    async def act() -> dict[str, float]:
        await session.system.end(system.API)
        await session.system.end(system.CONTROL)
        return {
            "control_ready": await session.system.begin(system.CONTROL),
            "api_ready": await session.system.begin(system.API),
        }

    yield await session.measure("restart", pods, act)


async def kill(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """Control is killed in the middle of a create, and started again."""
    del names
    session.wanted[sessions.key(rollouts.NAME)] = pods
    first = session.log.last_position()

    async def act() -> dict[str, float]:
        manifest = sessions.manifest(rollouts.NAME, pods)
        asking = asyncio.create_task(session.cluster.create(manifest))
        try:
            while session.log.last_position() - first < pods * _KILL_EVENTS_PER_POD:
                await session.commits.next()
            await session.system.end(system.CONTROL, signal.SIGKILL)
            ready = await session.system.begin(system.CONTROL)
            answer = await asking
        finally:
            asking.cancel()
        await session.completed(rollouts.NAME, answer.revision)
        return {"control_ready": ready}

    yield await session.measure("kill", pods, act, whole=True)
