"""`why`: the chain of causes, from an object's last change to what began it."""

import click

from domain import queries, times
from rollbook import durations, printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import EVENT, find_kind

_FORMATS = ("table", "wide", "json", "yaml")
_CELLS = 5
_WISH = "it served what had been asked for by then:"


@click.command(cls=flags.Command)
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="TYPE/NAME | POSITION",
    shell_complete=common.complete_objects,
)
@click.option(
    "--all", "everything", is_flag=True, help="Every change, not only the telling ones."
)
@click.option(
    "--limit",
    default=20,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=1),
    help="With --all: so many changes, the newest.",
)
@click.option("--uid", default="", help="Which of several objects that had this name.")
@click.option(
    "-o",
    "--output",
    default="table",
    metavar="FORMAT",
    help="table, wide (with absolute times and types), json or yaml.",
)
@common.past
@options.namespaced
def why(
    words: tuple[str, ...],
    everything: bool,
    limit: int,
    uid: str,
    output: str,
    at: queries.Moment | None,
) -> None:
    """Tell why an object is as it is, waits, or is gone.

    Each line is an event of the log, the newest first; below it stands its cause, down
    to what a person typed, a node reported or the clock did.

    \b
    Examples:
      rollbook why pod/web-7d9c5-x2k4p
      rollbook why deployment/web
      rollbook why node/worker-1 --all --limit 50
      rollbook why pod/web-7d9c5-x2k4p --at 10m
      rollbook why 1234
    """
    if output not in _FORMATS:
        raise Failure(common.bad_format(output, ",".join(_FORMATS[1:])))
    target = asked_about(words)

    async def work(cluster: Cluster) -> None:
        found = await cluster.why(target, uid=uid, all=everything, limit=limit, at=at)
        match output:
            case "json":
                printing.say(printing.as_json(found))
            case "yaml":
                printing.write(printing.as_yaml(found).encode())
            case _:
                for each in lines(found, wide=output == "wide"):
                    printing.say(each)

    common.run(work)


def asked_about(words: tuple[str, ...]) -> str | int:
    """The object (`TYPE/NAME`) or the position that is meant. Raises `Failure`."""
    text = "/".join(words)
    kind, slash, name = text.partition("/")
    if text.isdecimal():
        return int(text)
    if slash and name.isdecimal() and find_kind(kind) == EVENT:
        return int(name)
    if len(words) > 2 or find_kind(kind) == EVENT:
        raise Failure(
            f'error: "{" ".join(words)}" is not one object: write TYPE/NAME, for '
            "example pod/web-1, or a position of the log"
        )
    return text


def lines(found: queries.WhyAnswer, *, wide: bool = False) -> list[str]:
    """The answer for people."""
    told = [found.sentence, *(f"  - {each}" for each in found.waits)]
    width = _widths(found, wide)
    for chain in found.chains:
        if told:
            told.append("")
        if chain.title:
            told.append(chain.title)
        told += _chain(chain, found.now, width, wide)
    if found.earlier:
        told += ["", "others that had this name (--uid tells of one):"]
        told += [f"  {_life(each)}" for each in found.earlier]
    if found.more:
        told += ["", "there are more changes: --all tells them, --limit how many"]
    return told


# --- how a chain is laid out ------------------------------------------------------


def _widths(found: queries.WhyAnswer, wide: bool) -> list[int]:
    rows = [
        _cells(link, found.now, wide)
        for chain in found.chains
        for link in (*chain.links, *chain.shared, *chain.wish)
    ]
    return [max((len(row[i]) for row in rows), default=0) for i in range(_CELLS)]


def _chain(
    chain: queries.WhyChain, now: float, width: list[int], wide: bool
) -> list[str]:
    def row(link: queries.WhyLink, depth: int) -> str:
        arrow = "  " * (depth - 1) + "↳ because " if depth else ""
        return f"  {_padded(_cells(link, now, wide), width)}{arrow}{link.words}"

    blank = "  " + _padded(("",) * _CELLS, width)
    told = [row(link, depth) for depth, link in enumerate(chain.links)]
    below = "  " * (len(chain.links) - 1) + "↳ "
    if chain.shared:
        told[1:1] = [row(link, 0) for link in chain.shared]
    if chain.joins:
        told.append(f"{blank}{below}because of position {chain.joins}, told above")
    if chain.open:
        told.append(f"{blank}{below}it goes on: rollbook why {chain.open}")
    if chain.wish:
        told.append(f"{blank}{_WISH}")
        told += [row(link, depth) for depth, link in enumerate(chain.wish)]
    return told


def _cells(link: queries.WhyLink, now: float, wide: bool) -> tuple[str, ...]:
    ago = durations.age(times.parse(link.at), now)
    at, kind = (link.at, link.type) if wide else ("", "")
    return str(link.position), at, ago, link.actor, kind


def _padded(cells: tuple[str, ...], width: list[int]) -> str:
    return "".join(
        f"{cell:<{size}}  " for cell, size in zip(cells, width, strict=True) if size
    )


def _life(each: queries.WhyLife) -> str:
    created = f"created at {each.created}" if each.created else "created before"
    ended = f", ended at {each.ended}" if each.ended else ""
    return f"{each.uid or 'of an unknown uid'}: {created}{ended}"
