"""The Kubernetes API under load: `api`.

1. Clients are connections of this process, over TLS on loopback: each asks, reads the
   whole answer, and asks again. One Python process plays all of them, so that at 64
   clients it takes its share of the machine.
2. `get` is one Deployment, `list` all pods of the cluster as JSON, `patch` a strategic
   merge patch that sets an annotation, each client's on a Deployment of its own: each
   is a command that is committed before it is answered.
3. The time of an event on a watch begins with the time that the event bears in the
   log, which is before its commit.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import aiohttp
import msgspec

from domain import catalogue
from rollbook.bench import results, rollouts, system
from rollbook.bench import session as sessions
from rollbook.bench.results import Outcome
from rollbook.bench.session import Session

CLIENTS: Final = (1, 16, 64)
SECONDS: Final = 3.0
SECONDS_SMALL: Final = 0.5
"""Each kind of request, at each number of clients, for so long."""
EVENTS: Final = 300
EVENTS_PER_SECOND: Final = 30.0
_NAMESPACE: Final = "default"
_DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments"
_PODS: Final = f"/api/v1/namespaces/{_NAMESPACE}/pods"
_PATCH: Final = {"Content-Type": "application/strategic-merge-patch+json"}

Ask = Callable[[int], Awaitable[None]]
"""One request of this client, until its answer is read."""


class _Metadata(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion", default="")


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Event(msgspec.Struct):
    object: _Object


_EVENT: Final = msgspec.json.Decoder(_Event)


async def api(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """On a cluster with `pods` pods: requests a second, and how soon a watch knows."""
    del names
    await rollouts.load(session, pods)
    async with session.within(pods, "a Deployment for each client"):
        await rollouts.create(session, {_name(n): 1 for n in range(max(CLIENTS))})
        await session.all_available()
    small = pods < 1_000

    async def act() -> dict[str, float]:
        found: dict[str, float] = {}
        seconds = SECONDS_SMALL if small else SECONDS
        async with _connected(session.system) as client:
            for verb, ask in _requests(client).items():
                for clients in CLIENTS:
                    found |= await _loaded(f"{verb}_{clients}", ask, clients, seconds)
            count = EVENTS // 10 if small else EVENTS
            told = await _events(session, client, count)
        return found | results.percentiles("told", told)

    yield await session.measure("api", pods, act)


def _name(client: int) -> str:
    return f"client-{client}"


@contextlib.asynccontextmanager
async def _connected(running: system.System) -> AsyncIterator[aiohttp.ClientSession]:
    """As many connections as are asked for, each kept open."""
    connector = aiohttp.TCPConnector(limit=0, ssl=running.api_trust())
    async with aiohttp.ClientSession(
        running.api_url,
        connector=connector,
        headers={"Authorization": f"Bearer {running.api_token()}"},
        timeout=aiohttp.ClientTimeout(total=sessions.PATIENCE_SECONDS),
        read_bufsize=2**20,
    ) as client:
        yield client


def _requests(client: aiohttp.ClientSession) -> dict[str, Ask]:
    """What is asked, by the name of its figures."""
    numbers = itertools.count()

    async def get(number: int) -> None:
        await _answered(client.get(f"{_DEPLOYMENTS}/{_name(number)}"))

    async def listed(number: int) -> None:
        del number
        await _answered(client.get(_PODS))

    async def patch(number: int) -> None:
        await _answered(_annotated(client, number, next(numbers)))

    return {"get": get, "list": listed, "patch": patch}


def _annotated(
    client: aiohttp.ClientSession, number: int, value: int
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
    body = {"metadata": {"annotations": {"benchmark": str(value)}}}
    path = f"{_DEPLOYMENTS}/{_name(number)}"
    return client.patch(path, data=msgspec.json.encode(body), headers=_PATCH)


async def _answered(
    asked: contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse],
) -> bytes:
    """The body. Raises `system.Failure` for what is no success."""
    async with asked as answer:
        body = await answer.read()
        if answer.status != 200:
            raise system.Failure(f"{answer.url.path}: {answer.status} {body[:200]!r}")
        return body


async def _loaded(
    name: str, ask: Ask, clients: int, seconds: float
) -> dict[str, float]:
    """Requests a second, and how long one takes, with so many clients at once."""
    found: list[float] = []

    async def work(number: int) -> None:
        while (begun := time.perf_counter()) < ends_at:
            await ask(number)
            found.append(time.perf_counter() - begun)

    for number in range(clients):
        await ask(number)  # the connection is open, and the answer cached if it ever is
    begun = time.perf_counter()
    ends_at = begun + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(work(number))
    rate = len(found) / (time.perf_counter() - begun)
    return {f"{name}_rate": rate, **results.percentiles(name, found)}


async def _events(
    session: Session, client: aiohttp.ClientSession, count: int
) -> list[float]:
    """Patches at a steady rate: from the event's time in the log until it is read on a
    watch. Raises `system.Failure` where the watch ends."""
    before = session.log.last_position()
    seen: dict[int, float] = {}
    params = {"watch": "1", "resourceVersion": str(before)}
    async with client.get(
        _DEPLOYMENTS, params=params, timeout=aiohttp.ClientTimeout(total=None)
    ) as watch:

        async def follow() -> None:
            async for line in watch.content:
                now = time.time()
                event = _EVENT.decode(line)
                seen[int(event.object.metadata.resource_version)] = now
                if len(seen) == count:
                    return
            raise system.Failure("the watch has ended")

        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            begun = time.perf_counter()
            for number in range(count):
                due = begun + number / EVENTS_PER_SECOND
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                asked = _annotated(client, number % max(CLIENTS), -1 - number)
                await _answered(asked)
    times: dict[int, float] = {}
    position = before
    while rows := session.log.read(position, 1_000):
        position = rows[-1].position
        times |= {row.position: catalogue.decode(*row).timestamp for row in rows}
    return [now - times[version] for version, now in seen.items()]
