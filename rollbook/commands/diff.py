"""`diff`: what differs between two moments, object by object, field by field."""

from collections.abc import Iterator, Sequence
from typing import Final

import click
import msgspec

from domain import queries
from rollbook import moments, printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import find_kind

DIFFERENT_EXIT: Final = 1
_MARKS: Final = {"added": "+", "removed": "-", "changed": "~"}
_COLORS: Final = {
    "+": "green",
    "-": "red",
    "~": "yellow",
    "created": "green",
    "deleted": "red",
}


@click.command(cls=flags.Command)
@click.argument("before", type=moments.WHEN, metavar="A")
@click.argument("after", type=moments.WHEN, metavar="B")
@click.argument(
    "what",
    default="",
    metavar="[TYPE/NAME]",
    shell_complete=common.complete_objects,
)
@click.option(
    "-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace."
)
@click.option("--exit-code", is_flag=True, help="Exit status 1 if anything differs.")
@click.option(
    "-o", "--output", default="table", metavar="FORMAT", help="table, json or yaml."
)
@options.namespaced
@click.pass_context
def diff(
    ctx: click.Context,
    before: queries.Moment,
    after: queries.Moment,
    what: str,
    everywhere: bool,
    exit_code: bool,
    output: str,
) -> None:
    """Show what differs between the moments A and B.

    These are objects that were created, deleted or changed, and of those which fields.
    A moment is a position of the log, a time, how long ago, or `now`. Fields are those
    of `get -o yaml`; the resourceVersion is left out.

    \b
    Examples:
      rollbook diff 10m now
      rollbook diff 1200 1234 deployment/nginx
      rollbook diff '2026-11-23 06:00' '2026-11-23 06:30' -A -o json
    """
    if output not in ("table", "json", "yaml"):
        raise Failure(common.bad_format(output, "json,yaml"))
    color = printing.is_terminal() and options.color(ctx)

    async def work(cluster: Cluster) -> bool:
        namespace = "" if everywhere and not what else None
        found = await cluster.diff(before, after, what or None, namespace=namespace)
        if output == "json":
            printing.say(printing.as_json(found))
        elif output == "yaml":
            printing.write(printing.as_yaml(_plain(found)).encode())
        else:
            for line in lines(found, everywhere=everywhere):
                printing.say(colored(line) if color else line)
            if not found:
                printing.talk("No differences found.")
        return bool(found)

    if common.run(work) and exit_code:
        ctx.exit(DIFFERENT_EXIT)


def lines(
    found: Sequence[queries.ObjectDifference], *, everywhere: bool = False
) -> Iterator[str]:
    """A line for each object, and below it one for each field that differs."""
    for each in found:
        kind = find_kind(each.kind)
        place = f"{each.namespace}/" if everywhere and each.namespace else ""
        qualified = kind.qualified if kind is not None else each.kind
        yield f"{qualified}/{place}{each.name} {each.change}"
        for field in each.fields:
            yield f"  {_field(field)}"


def colored(line: str) -> str:
    """The line in the colour of its mark, or of what became of its object."""
    word = line.split()[0] if line.startswith("  ") else line.rpartition(" ")[2]
    color = _COLORS.get(word)
    return click.style(line, fg=color) if color else click.style(line, bold=True)


def _field(field: queries.FieldDifference) -> str:
    old, new = _value(field.before), _value(field.after)
    if old is None:
        return f"{_MARKS['added']} {field.path}: {new}"
    if new is None:
        return f"{_MARKS['removed']} {field.path}: {old}"
    return f"{_MARKS['changed']} {field.path}: {old} → {new}"


def _value(raw: msgspec.Raw) -> str | None:
    """A text without quotes where it is a plain word, all else as JSON on one line."""
    value = msgspec.json.decode(raw)
    if value is None:
        return None
    if isinstance(value, str) and value and value.isprintable():
        return value
    return bytes(raw).decode()


def _plain(found: Sequence[queries.ObjectDifference]) -> object:
    return msgspec.json.decode(msgspec.json.encode(found))
