"""`top`: what pods and nodes use now."""

import math
from collections.abc import Sequence
from typing import Final, Literal

import click
import msgspec

from domain import quantities, queries
from rollbook import conditions, printing
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import NODE, POD, parse_kind

_MEBIBYTE: Final = 1024 * 1024
_UNKNOWN: Final = "<unknown>"
Order = Literal["", "cpu", "memory"]


@click.command(cls=flags.Command)
@click.argument("kind", metavar="pods | nodes", shell_complete=common.complete_objects)
@click.argument(
    "name", required=False, default="", shell_complete=common.complete_names
)
@click.option("-l", "--selector", default="", help="Those with such labels.")
@click.option(
    "-A", "--all-namespaces", "everywhere", is_flag=True, help="Of every namespace."
)
@click.option("--containers", is_flag=True, help="Each container of the pods.")
@click.option("--no-headers", is_flag=True, help="Only the rows.")
@click.option(
    "--sort-by",
    "order",
    type=click.Choice(["", "cpu", "memory"]),
    default="",
    help="The largest first; by name otherwise.",
)
@options.namespaced
def top(
    kind: str,
    name: str,
    selector: str,
    everywhere: bool,
    containers: bool,
    no_headers: bool,
    order: Order,
) -> None:
    """Show the CPU and memory that pods or nodes use.

    A core is 1000m. It is the average of the last seconds, and nothing is known of
    what has only just started; what a node uses is what its pods use.

    \b
    Examples:
      rollbook top pods -l app=nginx --containers
      rollbook top nodes --sort-by=memory
    """
    wanted = parse_kind(kind)
    if wanted not in (POD, NODE):
        raise Failure(f'error: top knows pods and nodes, not "{kind}"')
    if name and selector:
        raise Failure("error: only one of NAME or --selector can be provided")

    async def work(cluster: Cluster) -> None:
        question = queries.UsageQuery(
            kind="node" if wanted == NODE else "pod",
            namespace="" if wanted == NODE or everywhere else cluster.namespace,
            name=name,
            selector=selector,
        )
        rows = _sorted(await _rows(cluster, question), order)
        if not rows:
            raise Failure("error: metrics not available yet")
        if wanted == NODE:
            nodes = await cluster.list(NODE, selector=selector)
            headers, cells = _of_nodes(rows, nodes, name)
        else:
            headers, cells = _of_pods(rows, everywhere=everywhere, each=containers)
        for line in printing.table(None if no_headers else headers, cells):
            printing.say(line)

    common.run(work)


async def _rows(
    cluster: Cluster, question: queries.UsageQuery
) -> list[queries.UsageRow]:
    """All pages."""
    rows: list[queries.UsageRow] = []
    while True:
        answer = await cluster.ask("usage", question, queries.UsageAnswer)
        rows += answer.rows
        if not answer.continue_:
            return rows
        question = msgspec.structs.replace(question, continue_=answer.continue_)


def _sorted(rows: Sequence[queries.UsageRow], order: Order) -> list[queries.UsageRow]:
    match order:
        case "cpu":
            return sorted(rows, key=lambda row: (-row.cpu, row.namespace, row.name))
        case "memory":
            return sorted(rows, key=lambda row: (-row.memory, row.namespace, row.name))
        case _:
            return sorted(rows, key=lambda row: (row.namespace, row.name))


def _of_pods(
    rows: Sequence[queries.UsageRow], *, everywhere: bool, each: bool
) -> tuple[list[str], list[list[str]]]:
    headers = ["NAMESPACE"] if everywhere else []
    headers += ["POD", "NAME"] if each else ["NAME"]
    headers += ["CPU(cores)", "MEMORY(bytes)"]
    lines: list[list[str]] = []
    for row in rows:
        start = [row.namespace, row.name] if everywhere else [row.name]
        if each:
            lines += [
                [*start, one.name, cores(one.cpu), mebibytes(one.memory)]
                for one in row.containers
            ]
        else:
            lines.append([*start, cores(row.cpu), mebibytes(row.memory)])
    return headers, lines


def _of_nodes(
    rows: Sequence[queries.UsageRow], nodes: Sequence[Object], name: str
) -> tuple[list[str], list[list[str]]]:
    """Nodes of which nothing is known come last, as unknown."""
    headers = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    room = {
        conditions.text_at(each, "metadata", "name"): conditions.map_at(
            each, "status", "allocatable"
        )
        for each in nodes
    }
    lines = [
        [
            row.name,
            cores(row.cpu),
            _share(row.cpu / 1e9, room.get(row.name, {}).get("cpu")),
            mebibytes(row.memory),
            _share(row.memory, room.get(row.name, {}).get("memory")),
        ]
        for row in rows
    ]
    known = {row.name for row in rows}
    lines += [
        [each, *[_UNKNOWN] * 4]
        for each in sorted(room)
        if each not in known and name in ("", each)
    ]
    return headers, lines


def cores(nanocores: int) -> str:
    """Thousandths of a core, rounded up as kubectl does."""
    return f"{math.ceil(nanocores / 1_000_000)}m"


def mebibytes(count: int) -> str:
    """Whole mebibytes."""
    return f"{count // _MEBIBYTE}Mi"


def _share(used: float, room: object) -> str:
    try:
        whole = float(quantities.parse(str(room)))
    except ValueError:
        return _UNKNOWN
    return f"{int(used / whole * 100)}%" if whole else _UNKNOWN
