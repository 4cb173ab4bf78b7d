"""The long operations: `create`, `roll`, `undo`, `mixed`, `million`.

`create`, `roll` and `undo` are one story on one system: what comes before the first
that was asked for is carried out, but not reported.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final

from domain.protocol import Answer
from rollbook.bench import session as sessions
from rollbook.bench.results import Outcome
from rollbook.bench.session import Session

NAME: Final = "bench"
TARGET: Final = f"deployment/{NAME}"
STORY: Final = ("create", "roll", "undo")
MILLION_DEPLOYMENT: Final = 1_000
"""Pods of each Deployment of `million`: C1M's shape."""
MIXTURE: Final = ((250, 0.25), (30, 0.25), (5, 0.5))
"""Sizes of the Deployments of `mixed`, and their share of the pods."""
_AT_ONCE: Final = 20
"""Commands that wait for their answers at the same time."""
_SEED: Final = 7


async def story(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """`create`, `roll`, `undo` up to the last that is in `names`."""
    cluster = session.cluster
    asking: dict[str, Callable[[], Awaitable[Answer]]] = {
        "create": lambda: cluster.create(sessions.manifest(NAME, pods)),
        "roll": lambda: cluster.set_image(TARGET, {"web": "web:2"}),
        "undo": lambda: cluster.undo(TARGET),
    }
    last = max((STORY.index(name) for name in names if name in STORY), default=0)
    session.wanted[sessions.key(NAME)] = pods
    for name in STORY[: last + 1]:
        outcome = await session.measure(
            name, pods, _rollout(session, asking[name]), whole=True
        )
        if name in names or outcome.problems:
            yield outcome
        if outcome.stopped:
            return


def _rollout(
    session: Session, ask: Callable[[], Awaitable[Answer]]
) -> Callable[[], Awaitable[dict[str, float]]]:
    async def act() -> dict[str, float]:
        begun = asyncio.get_running_loop().time()
        answer = await ask()
        answered = asyncio.get_running_loop().time() - begun
        await session.completed(NAME, answer.revision)
        return {"answered": answered * 1000}

    return act


async def million(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """Deployments of 1,000 pods each, all created at once."""
    del names
    sizes = _split(pods, MILLION_DEPLOYMENT)

    async def act() -> dict[str, float]:
        await create(session, sizes)
        for name in sizes:
            await session.completed(name, 1)
        return {}

    yield sessions.tenths(await session.measure("million", pods, act, whole=True))


async def mixed(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """Large and small Deployments: all created, all scaled, all deleted."""
    del names
    dice = random.Random(_SEED)  # noqa: S311  # a load, not a secret
    sizes = {
        f"mixed-{size}-{number}": size
        for size, share in MIXTURE
        for number in range(max(1, round(pods * share / size)))
    }
    order = list(sizes)
    dice.shuffle(order)
    scaled = {
        name: max(1, round(sizes[name] * dice.uniform(0.5, 1.5))) for name in order
    }

    async def creating() -> dict[str, float]:
        await create(session, {name: sizes[name] for name in order})
        await session.all_available()
        return {}

    async def scaling() -> dict[str, float]:
        session.wanted |= {sessions.key(name): scaled[name] for name in order}
        await _each(order, lambda name: session.cluster.scale(
            f"deployment/{name}", scaled[name]
        ))  # fmt: skip
        await session.all_available()
        return {}

    async def deleting() -> dict[str, float]:
        session.wanted.clear()
        await _each(order, lambda name: session.cluster.delete(f"deployment/{name}"))
        await session.all_available()
        return {}

    changed = sum(abs(scaled[name] - sizes[name]) for name in order)
    for phase, count, act in (
        ("mixed create", sum(sizes.values()), creating),
        ("mixed scale", changed, scaling),
        ("mixed delete", sum(scaled.values()), deleting),
    ):
        outcome = await session.measure(phase, count, act, whole=True)
        yield outcome
        if outcome.stopped:
            return


async def create(session: Session, sizes: dict[str, int]) -> None:
    """Creates a Deployment of each size; afterwards all commands are answered."""
    session.wanted |= {sessions.key(name): count for name, count in sizes.items()}
    await _each(
        sizes,
        lambda name: session.cluster.create(sessions.manifest(name, sizes[name])),
    )


async def load(session: Session, pods: int) -> list[str]:
    """Fills the cluster with so many pods, which nobody measures; the Deployments.

    Raises `Stalled`.
    """
    sizes = _split(pods, MILLION_DEPLOYMENT)
    async with session.within(pods, "filling the cluster"):
        await create(session, sizes)
        for name in sizes:
            await session.completed(name, 1)
    await session.quiet()
    session.audit.advance()
    return list(sizes)


def _split(pods: int, size: int) -> dict[str, int]:
    """Deployments of `size` pods, and one of what is left."""
    counts = [size] * (pods // size) + ([pods % size] if pods % size else [])
    return {f"load-{number}": count for number, count in enumerate(counts)}


async def _each(names: Iterable[str], ask: Callable[[str], Awaitable[Answer]]) -> None:
    """Sends a command for each, a bounded number at a time."""
    waiting = list(names)[::-1]

    async def work() -> None:
        while waiting:
            await ask(waiting.pop())

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(work())
