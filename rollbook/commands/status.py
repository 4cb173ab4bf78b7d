"""`status`, `context`, `version`, `api-resources`: about the system itself."""

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

import click

from adapters import context as contexts
from domain import errors, queries
from rollbook import conditions, durations, health, printing, references, settings
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import NODE

_CONTROL_SILENCE_SECONDS = 30.0
_HEADERS = ("PROCESS", "STATUS", "POSITION", "LAG", "DETAIL")
_RESOURCE_HEADERS: Final = ("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND")


class Line(NamedTuple):
    """One process: how it is, how far it is, how many events it is behind."""

    process: str
    well: bool
    position: str = "-"
    lag: str = "-"
    detail: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        word = "ok" if self.well else "failing"
        return (self.process, word, self.position, self.lag, self.detail)


@click.command(cls=flags.Command)
@click.option(
    "--process",
    default="",
    metavar="NAME",
    help="Only control, api or kubelet/NODE, by its own sign of life.",
)
@click.option(
    "-o", "--output", default="table", metavar="FORMAT", help="table or json."
)
@options.everywhere
@click.pass_context
def status(ctx: click.Context, process: str, output: str) -> None:
    """Show each process, its position and its lag; exit status 0 only if all is well.

    \b
    Examples:
      rollbook status
      rollbook status --process=api && echo fine
    """
    if output not in ("table", "json"):
        raise Failure(common.bad_format(output, "json"))
    lines = _own_pulse(ctx, process) if process else None
    if lines is None:
        lines = [each for each in _ask() if not process or each.process == process]
    if not lines:
        raise Failure(f'error: there is no process "{process}"')
    if output == "json":
        printing.say(printing.as_json([each._asdict() for each in lines]))
    else:
        rows = [each.cells for each in lines]
        for text in printing.table(_HEADERS, rows):
            printing.say(text.rstrip())
    ctx.exit(0 if all(each.well for each in lines) else 1)


def _own_pulse(ctx: click.Context, process: str) -> list[Line] | None:
    """The sign of life beside the context, or None where there is no such file."""
    file = options.context_file(ctx) or settings.text(os.environ, settings.CONTEXT)
    if not file:
        return None
    try:
        pulse = health.read(Path(file).expanduser().parent, process)
    except errors.Permanent as error:
        found = contexts.load_context(file, os.environ)
        if not contexts_of_a_part(found.user):
            return None  # a person's context: the cluster is asked
        return [Line(process, well=False, detail=str(error))]
    why = health.complaint(pulse, time.time())
    return [Line(process, not why, str(pulse.position), str(pulse.lag), why)]


def contexts_of_a_part(user: str) -> bool:
    """Whether this login is that of a process, which may ask no questions."""
    from adapters import nats_subjects

    return nats_subjects.is_reserved_login(user)


def _ask() -> list[Line]:
    async def work(cluster: Cluster) -> list[Line]:
        answer = await cluster.status()
        nodes = await cluster.list(NODE)
        return processes(answer, nodes, time.time())

    return common.run(work)


def processes(
    answer: queries.StatusAnswer, nodes: tuple[Object, ...], now: float
) -> list[Line]:
    """Every process that the api knows of, from its answer and the nodes."""
    silence = now - answer.control_heard_at
    heard = bool(answer.control_heard_at) and silence < _CONTROL_SILENCE_SECONDS
    last = (
        f"heard {durations.human(max(silence, 0))} ago"
        if answer.control_heard_at
        else "never heard"
    )
    lag = max(0, answer.committed - answer.position)
    started = durations.human(now - answer.started_at) if answer.started_at else "?"
    detail = f"up {started}"
    if answer.unreadable:
        detail += f", {answer.unreadable} events set aside"
    lines = [
        Line("control", heard, str(answer.committed), "0", last),
        Line("api", not answer.unreadable, str(answer.position), str(lag), detail),
    ]
    for node in nodes:
        ready = conditions.condition(node, "Ready")
        well = conditions.text_at(ready, "status") == "True"
        words = "" if well else conditions.text_at(ready, "message") or "not ready"
        name = conditions.text_at(node, "metadata", "name")
        lines.append(Line(f"kubelet/{name}", well, detail=words))
    return lines


@click.command(cls=flags.Command)
@options.everywhere
@click.pass_context
def context(ctx: click.Context) -> None:
    """Show which cluster this talks to, and as whom; never the secret.

    \b
    Examples:
      rollbook context
    """
    found = contexts.load_context(options.context_file(ctx), os.environ)
    rows = [("nats", found.nats_url), ("user", found.user)]
    rows += [("api", found.api_address), ("data", found.data_folder)]
    for name, value in rows:
        printing.say(f"{name + ':':<6}{value or printing.NONE}")


@click.command(cls=flags.Command)
def version() -> None:
    """Print the version.

    \b
    Examples:
      rollbook version
    """
    printing.say(version_text())


def version_text() -> str:
    """The name and the version of what is installed."""
    from importlib import metadata

    return f"rollbook {metadata.version('rollbook')}"


@click.command("api-resources", cls=flags.Command)
@click.option("--no-headers", is_flag=True, help="Rows only.")
def api_resources(no_headers: bool) -> None:
    """List the types of objects, with what each of them may be called.

    \b
    Examples:
      rollbook api-resources
    """
    rows = [
        (
            kind.plural,
            kind.short,
            kind.api_version,
            str(kind.namespaced).lower(),
            kind.title,
        )
        for kind in sorted(references.KINDS, key=lambda kind: kind.plural)
    ]
    headers = None if no_headers else _RESOURCE_HEADERS
    for line in printing.table(headers, rows):
        printing.say(line)
