"""`log`: the events of the log themselves, from the first on."""

import time

import click
import msgspec

from domain import queries, times
from rollbook import durations, printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure


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
    help="table, or json: one object a line.",
)
@options.namespaced
def log(
    what: str, since: str, types: tuple[str, ...], follow: bool, output: str
) -> None:
    """Print the events of the log: position, time, who, what.

    \b
    Examples:
      rollbook log deployment/nginx
      rollbook log pods --since 5m --type PodCreated
      rollbook log -f -o json
    """
    if output not in ("table", "json"):
        raise Failure(common.bad_format(output, "json"))
    names = [name for each in types for name in each.split(",") if name]

    async def work(cluster: Cluster) -> None:
        after = await start(cluster, since)
        read = cluster.events if follow else cluster.log
        async for row in read(what, after=after, types=names):
            printing.say(json_line(row) if output == "json" else line(row))

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


def line(row: queries.LogRow) -> str:
    """One event for people: what it says stands behind its name, as JSON."""
    said = msgspec.json.format(bytes(row.event), indent=-1).decode()
    cause = f" cause={row.cause}" if row.cause else ""
    text = (
        f"{row.position:<7} {row.at}  {row.actor:<22} {row.stream}  {row.type}{cause}"
    )
    return text if said == "{}" else f"{text} {said}"


def json_line(row: queries.LogRow) -> str:
    """One event as JSON on one line."""
    return msgspec.json.format(msgspec.json.encode(row), indent=-1).decode()
