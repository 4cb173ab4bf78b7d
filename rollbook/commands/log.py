"""`log`: the events of the log themselves, from the first on."""

import csv
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from domain import queries, times
from rollbook import durations, exporting, telling
from rollbook.client import Cluster
from rollbook.commands import common, flags, options, verify
from rollbook.failures import Failure

CSV_COLUMNS: Final = (
    "position",
    "at",
    "stream",
    "version",
    "type",
    "actor",
    "cause",
    "command",
    "words",
    "event",
)
_FORMATS: Final = ("table", "wide", "json", "csv", "parquet")


@click.command(cls=flags.Command)
@click.argument(
    "what",
    required=False,
    default="",
    metavar="[KIND/NAME | KIND]",
    shell_complete=common.complete_objects,
)
@click.option(
    "--since",
    default="",
    metavar="WHEN",
    help="5m ago, an RFC 3339 time, or a position.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="EVENT",
    help="Only these: PodCreated; give it several times.",
)
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Then print each that is committed, until Ctrl-C.",
)
@click.option(
    "-o",
    "--output",
    default="table",
    metavar="FORMAT",
    help="table, wide (the facts as JSON), json (an object a line), csv or parquet.",
)
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="Write it to this file, which appears when it is complete.",
)
@common.past
@options.namespaced
def log(
    what: str,
    since: str,
    types: tuple[str, ...],
    follow: bool,
    output: str,
    file: Path | None,
    at: queries.Moment | None,
) -> None:
    """Print the events of the log: position, time, who, what, in words.

    Also those of an object that is gone.

    \b
    Examples:
      rollbook log deployment/nginx
      rollbook log pods --since 5m --type PodCreated
      rollbook log --since 1h --at 30m
      rollbook log -f -o json
      rollbook log deployment/nginx -o csv
      rollbook log -o parquet --to log.parquet
    """
    if output not in _FORMATS:
        raise Failure(common.bad_format(output, ",".join(_FORMATS[1:])))
    if follow:
        common.only_now(at, "--follow")
    if follow and (file is not None or output == "parquet"):
        raise Failure("error: --follow never ends, so no file would be complete")
    names = [name for each in types for name in each.split(",") if name]

    async def work(cluster: Cluster) -> None:
        await cluster.recorded(what, at)
        after = await start(cluster, since)
        rows = (
            cluster.events(what, after=after, types=names)
            if follow
            else cluster.log(what, after=after, types=names, at=at)
        )
        tell = verify.progress() if file is not None else None
        end = (await cluster.status()).position if tell is not None else 0
        header = _csv(CSV_COLUMNS) if output == "csv" else ""
        form = None if output == "parquet" else _form(output)
        with exporting.begun(form, header, file) as sink:
            async for row in rows:
                sink.add(row)
                if tell is not None and not row.position % exporting.TELL_EVERY:
                    tell(row.position, end)
        if tell is not None:
            tell(end, end)

    common.run(work)


async def start(cluster: Cluster, since: str) -> int:
    """The position behind which the events are wanted.

    A time is looked for by halving: times grow with positions, and a log is long.
    """
    if not since:
        return 0
    if since.isdecimal():
        return max(0, int(since) - 1)
    moment = durations.parse_moment(since, time.time())
    low, high = 0, (await cluster.status()).position
    while low < high:
        middle = (low + high) // 2
        at = await _time_after(cluster, middle, high)
        if at is not None and at < moment:
            low = middle + 1
        else:
            high = middle
    return low


async def _time_after(cluster: Cluster, position: int, until: int) -> float | None:
    """When the first event behind `position` happened."""
    page = await cluster.ask(
        "log",
        queries.LogQuery(after=position, until=until, limit=1),
        queries.LogAnswer,
    )
    return times.parse(page.events[0].at) if page.events else None


def _form(output: str) -> Callable[[queries.LogRow], str]:
    """How a row is printed; one that tells rows remembers those before."""
    match output:
        case "json":
            return json_line
        case "wide":
            return wide_line
        case "csv":
            teller = telling.Teller()
            return lambda row: csv_line(row, teller.tell(row))
        case _:
            teller = telling.Teller()
            return lambda row: line(row, teller.tell(row))


def line(row: queries.LogRow, words: str) -> str:
    """One event for people, in words."""
    return f"{row.position:<7} {row.at}  {row.actor:<22} {row.type:<27} {words}"


def csv_line(row: queries.LogRow, words: str) -> str:
    """One event as a line of CSV (RFC 4180), the fact as JSON in the last cell."""
    fact = msgspec.json.format(bytes(row.event), indent=-1).decode()
    return _csv(
        (
            str(row.position),
            row.at,
            row.stream,
            str(row.version),
            row.type,
            row.actor,
            str(row.cause),
            row.command,
            words,
            fact,
        )
    )


def _csv(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def wide_line(row: queries.LogRow) -> str:
    """One event with its stream and cause: what it says stands behind as JSON."""
    said = msgspec.json.format(bytes(row.event), indent=-1).decode()
    cause = f" cause={row.cause}" if row.cause else ""
    text = (
        f"{row.position:<7} {row.at}  {row.actor:<22} {row.stream}  {row.type}{cause}"
    )
    return text if said == "{}" else f"{text} {said}"


def json_line(row: queries.LogRow) -> str:
    """One event as JSON on one line."""
    return msgspec.json.format(msgspec.json.encode(row), indent=-1).decode()
