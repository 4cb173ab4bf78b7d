"""`replay`: watch it happen again, at a chosen speed."""

import asyncio
from collections.abc import Callable
from typing import Final

import click

from domain import queries, times
from rollbook import moments, printing, screen_replay
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.commands.log import start
from rollbook.screen_replay import Picture

WORDS_MAX: Final = 12
"""So many words of one step are shown on a terminal."""


class Speed(click.ParamType[float]):
    """`10` is ten times as fast as it was; `max` does not wait at all (0)."""

    name = "speed"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The factor, or 0 for `max`."""
        if isinstance(value, float):
            return value  # click converts twice
        if value == "max":
            return 0.0
        try:
            found = float(str(value))
        except ValueError:
            found = 0.0
        if not 0.0 < found < float("inf"):
            self.fail(f'"{value}" is not a speed: write 1, 10, 0.5 or max', param, ctx)
        return found


@click.command(cls=flags.Command)
@click.argument(
    "what",
    required=False,
    default="",
    metavar="[TYPE/NAME]",
    shell_complete=common.complete_objects,
)
@click.option(
    "--from", "since", default="", metavar="WHEN", help="Where it begins: 1h, a time…"
)
@click.option(
    "--to", type=moments.WHEN, default=None, metavar="WHEN", help="Where it ends."
)
@click.option(
    "--speed",
    type=Speed(),
    default="10",
    show_default=True,
    metavar="N",
    help="So many times as fast as it was; max does not wait.",
)
@options.namespaced
def replay(what: str, since: str, to: queries.Moment | None, speed: float) -> None:
    """Watch it happen again: pods as marks, and beside them what happens in words.

    Nothing is changed: the log is read and folded here. Ctrl-C ends it.

    \b
    Examples:
      rollbook replay deployment/nginx --from 1h --speed 60
      rollbook replay --from 1200 --to 1300 --speed max
    """
    terminal = printing.is_terminal()
    color = options.color(click.get_current_context())

    async def work(cluster: Cluster) -> None:
        stream = cluster.reference(what).key if what else ""
        first = await start(cluster, since) + 1
        printing.talk(screen_replay.MARKS)
        if not terminal:
            await _play(cluster, stream, first, to, speed, _say)
            return
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        console = Console(no_color=not color)
        with Live(console=console, auto_refresh=False) as live:

            def draw(picture: Picture) -> None:
                live.update(Text("\n".join(lines(picture, WORDS_MAX))), refresh=True)

            await _play(cluster, stream, first, to, speed, draw)

    common.run(work)


def lines(picture: Picture, words_max: int = 0) -> list[str]:
    """A picture as lines of text; with `words_max` its last so many words."""
    words = picture.words[-words_max:] if words_max else picture.words
    left = len(picture.words) - len(words)
    head = f"position {picture.position}  {times.rfc3339(picture.at)}"
    found = [head, *(f"  {row}" for row in picture.rows)]
    if left:
        found.append(f"    … {left} more before these")
    return [*found, *(f"    {each}" for each in words)]


async def _play(
    cluster: Cluster,
    stream: str,
    first: int,
    to: queries.Moment | None,
    speed: float,
    show: Callable[[Picture], None],
) -> None:
    """Shows the pictures from position `first` on, as far apart as they were."""
    replayed = screen_replay.Replay(stream)
    before = 0.0

    async def shown(picture: Picture | None) -> None:
        nonlocal before
        if picture is None or picture.position < first:
            return
        if before and speed:
            await asyncio.sleep((picture.at - before) / speed)
        before = picture.at
        show(picture)

    async for row in cluster.log(at=to):
        await shown(replayed.take(row))
    await shown(replayed.finish())


def _say(picture: Picture) -> None:
    for each in lines(picture):
        printing.say(each)
