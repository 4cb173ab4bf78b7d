"""The scenarios about a long log: who reads it, and what is paid to keep it.

1. `replay`, `past` and `verify` work on the log that the scenarios before them left,
   once their system has ended, or on one that is made for them (making.py).
2. Each is measured in a process of its own, one after the other: what one has loaded
   costs the next one nothing.
3. `history` and `sealing` make what they measure; a log is nothing to them.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from adapters import eventstore
from domain.errors import Permanent
from rollbook import beside
from rollbook.bench import making, readings, revisions, sealed, system
from rollbook.verdicts import Report

EVENTS: Final = 1_000_000
QUICK_EVENTS: Final = 20_000
QUICK_REVISIONS: Final = 200
_QUICK_SHARE: Final = 0.02
Figures = dict[str, float]
_REPORT: Final = msgspec.json.Decoder(Report)


class Place(NamedTuple):
    """Where the log is, and how much is asked of it."""

    store: str
    folder: Path
    quick: bool = False


class Measured(NamedTuple):
    """What came of a scenario; `problems` is what was wrong."""

    figures: Figures
    problems: tuple[str, ...] = ()


async def make(place: Place, pods: int, nodes: int) -> None:
    """Afterwards there is a log of many events of so many pods."""
    events = QUICK_EVENTS if place.quick else EVENTS
    await _apart(_make, place.store, events, pods, nodes)


async def measure(name: str, place: Place) -> Measured:
    """One of `SCENARIOS`. Raises `Permanent` where it cannot be done."""
    return await SCENARIOS[name](place)


async def _replay(place: Place) -> Measured:
    return Measured(await _apart(readings.replay, place.store))


async def _past(place: Place) -> Measured:
    asked = (20, 3) if place.quick else (readings.QUESTIONS, readings.QUESTIONS_WHOLE)
    return Measured(await _apart(readings.past, place.store, *asked))


async def _history(place: Place) -> Measured:
    asked = (QUICK_REVISIONS, 20) if place.quick else ()
    return Measured(await _apart(revisions.history, *asked))


async def _sealing(place: Place) -> Measured:
    share = _QUICK_SHARE if place.quick else 1.0
    return Measured(await _apart(sealed.sealing, str(place.folder), share))


async def _verify(place: Place) -> Measured:
    """The command as it is typed; no context, so that no cluster is asked."""
    command = system.processes_script()
    nowhere = str(place.folder / "no-context.toml")
    command += ["verify", "--context", nowhere, "--store", place.store, "-o", "json"]
    begun = time.perf_counter()
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, complained = await child.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    seconds = time.perf_counter() - begun
    try:
        report = _REPORT.decode(said)
    except msgspec.MsgspecError:
        raise Permanent(f"verify says: {complained.decode().strip()}") from None
    figures = {
        "verify_rate": report.events / seconds,
        "verify_check_rate": report.events / max(report.check_seconds, 1e-6),
        "verify_fold_rate": report.events / max(report.fold_seconds, 1e-6),
    }
    failed = [each for each in report.verdicts if each.status == "failed"]
    return Measured(figures, tuple(f"{each.name}: {each.text}" for each in failed))


SCENARIOS: Final[dict[str, Callable[[Place], Awaitable[Measured]]]] = {
    "replay": _replay,
    "past": _past,
    "verify": _verify,
    "history": _history,
    "sealing": _sealing,
}
NEED_A_LOG: Final = frozenset({"replay", "past", "verify"})


async def _apart(work: Callable[..., Any], *arguments: object) -> Any:
    """What `work` gives, in a process of its own that ends with this task."""
    with beside.begun(work, *arguments) as result:
        return await asyncio.to_thread(result)


def _make(store: str, events: int, pods: int, nodes: int) -> None:
    with contextlib.closing(eventstore.open_log(store)) as log:
        making.write(log, events, pods=pods, nodes=nodes)
