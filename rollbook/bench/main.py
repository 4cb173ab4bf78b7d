"""From what was typed to a table, files and an exit status."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Final

import click
import msgspec

from adapters import eventstore
from domain import errors
from rollbook.bench import flames, machine, plot, progress, report, runner, system
from rollbook.bench.results import Outcome
from rollbook.failures import Failure

DEFAULT: Final = ("create", "roll", "undo")
_INTERRUPTED: Final = 130


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed."""

    names: tuple[str, ...] = ()
    pods: tuple[int, ...] = ()
    nodes: int = 0
    runs: int = 1
    quick: bool = False
    data: Path | None = None
    keep: bool = False
    store: str = ""
    deadline: float = 0.0
    profile: Path | None = None
    json: Path | None = None
    svg: Path | None = None
    require: bool = False
    color: bool = True


def run(wish: Wish) -> int:
    """Measures, prints, writes the files; the exit status.

    Raises `Failure` for a wish that would end in a hang or in a wrong figure.
    """
    options = _options(wish)
    show = progress.Show(color=wish.color)
    told = machine.described(wish.data if wish.data and wish.data.is_dir() else None)
    begun = time.monotonic()
    try:
        outcomes = asyncio.run(_until_told(options, show))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _INTERRUPTED
    found = report.Report(
        machine=told,
        settings=_settings(options),
        seconds=time.monotonic() - begun,
        outcomes=tuple(outcomes),
    )
    click.echo(report.text(found))
    if wish.json is not None:
        wish.json.write_bytes(report.json(found))
    if wish.svg is not None:
        wish.svg.write_text(plot.svg(found.outcomes))
    if wish.profile is not None:
        for listing in sorted(wish.profile.glob("*.txt")):
            click.echo("\n" + listing.read_text())
    return int(report.wrong(found) or (wish.require and report.slow(found)))


async def _until_told(options: runner.Options, show: progress.Show) -> list[Outcome]:
    """All outcomes; TERM ends it as Ctrl-C does, and nothing is left behind."""
    task = asyncio.current_task()
    assert task is not None, "it runs in one"
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await runner.run(options, show)


def _options(wish: Wish) -> runner.Options:
    names = wish.names or DEFAULT
    if "all" in names:
        names = tuple(name for name in runner.SCENARIOS if name not in runner.APART)
    for name in names:
        if name not in runner.SCENARIOS:
            known = ", ".join(runner.SCENARIOS)
            raise Failure(f"error: there is no scenario {name!r}: name some of {known}")
    if wish.profile is not None:
        try:
            flames.program()
        except system.Failure as error:
            raise Failure(f"error: {error}") from None
    options = runner.Options(
        names=names,
        pods=wish.pods,
        nodes=wish.nodes,
        runs=wish.runs,
        quick=wish.quick,
        data=wish.data,
        keep=wish.keep,
        store=wish.store,
        deadline=wish.deadline,
        profile=wish.profile,
    )
    try:
        runner.jobs(options)
    except system.Failure as error:
        raise Failure(f"error: {error}") from None
    if wish.store and (why := _unfit(wish.store)):
        raise Failure(f"error: {why}")
    return options


def _unfit(store: str) -> str:
    """Why `store` cannot be measured on; "" if it can."""
    if store.startswith("memory:"):
        return "--store memory: is not shared by processes: name a database"
    # A database in which nothing was created yet is the best one.
    with (
        contextlib.suppress(errors.Transient),
        contextlib.closing(eventstore.open_log(store, read_only=True)) as log,
    ):
        if log.last_position():
            return f"--store {store} holds a log already: name an empty database"
    return ""


def _settings(options: runner.Options) -> dict[str, str]:
    store = options.store.partition(":")[0] or "sqlite"
    durable = "WAL, synchronous=FULL" if store == "sqlite" else "its own settings"
    return {
        "store": f"{store} ({durable})",
        "runs": str(options.runs),
        "processes": "nats-server with permissions, control, api, hollow kubelets "
        f"(up to {system.NODES_PER_HOST:,} nodes in each)",
    }
