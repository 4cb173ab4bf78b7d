"""`replay`: watch it happen again at a chosen speed, or with another spec."""

import asyncio
from collections.abc import Callable
from typing import Final

import click

from domain import ages, queries, times
from rollbook import beginnings, moments, printing, screen_replay, stores
from rollbook.client import Cluster
from rollbook.commands import common, flags, options, what_if
from rollbook.commands.log import start
from rollbook.screen_replay import Picture

PAUSE_MAX: Final = 2.0
"""Seconds: a longer pause is cut to this, and told."""

Show = Callable[[Picture], None]
Pause = Callable[[str], None]


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
    "--from",
    "since",
    default="",
    metavar="WHEN",
    help="Where it begins: 1h ago, a time, or a position.",
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
@click.option(
    "--what-if",
    "patch",
    default="",
    metavar="PATCH|FILE",
    help="Simulate instead what would have happened to the Deployment with this "
    "merge patch (JSON, YAML, or a file of one) from --from on, and compare.",
)
@click.option(
    "-o", "--output", default="", metavar="FORMAT", help="With --what-if: json or yaml."
)
@options.namespaced
def replay(
    what: str,
    since: str,
    to: queries.Moment | None,
    speed: float,
    patch: str,
    output: str,
) -> None:
    """Watch it happen again: pods as marks, and below them what happens in words.

    Nothing is changed: the log is read and folded here. Pauses of more than 2 s are
    cut to that, and told. Ctrl-C ends it.

    With --what-if nothing is drawn: the log is forked in memory where --from says, the
    patch is applied there, and the shipped controllers play on, with pods that start
    and end as quickly as they did. A table compares what was recorded with that
    simulation, and with one without the patch, which shows the error of the model.

    \b
    Examples:
      rollbook replay deployment/nginx --from 1h --speed 60
      rollbook replay --from 1200 --to 1300 --speed max
      rollbook replay deployment/nginx --from 1200 --what-if \\
        '{"spec":{"strategy":{"rollingUpdate":{"maxSurge":"50%"}}}}'
    """
    if patch:
        what_if.run(what, since=since, to=to, patch=patch, output=output)
        return
    if output:
        raise click.UsageError("--output is for --what-if")
    ctx = click.get_current_context()
    drawn = printing.is_terminal() and speed > 0.0
    store = stores.of_file(options.context_file(ctx))

    async def work(cluster: Cluster) -> None:
        stream = cluster.reference(what).key if what else ""
        await cluster.recorded(stream)
        player = _Player(cluster, stream, await start(cluster, since) + 1, to, speed)
        if drawn:
            from rollbook import drawing  # rich is slow to import

            with drawing.Screen(color=options.color(ctx)) as screen:
                await player.play(store, screen.show, screen.pause)
        else:
            printing.talk(screen_replay.MARKS)
            await player.play(store, _say, printing.say)

    common.run(work)


def lines(picture: Picture) -> list[str]:
    """A picture as lines of text."""
    head = f"position {picture.position}  {times.rfc3339(picture.at)}"
    rows = [f"  {row}" for row in picture.rows]
    return [head, *rows, *(f"    {each}" for each in picture.words)]


class _Player:
    """Shows the pictures from position `first` on, as far apart as they were."""

    def __init__(
        self,
        cluster: Cluster,
        stream: str,
        first: int,
        to: queries.Moment | None,
        speed: float,
    ) -> None:
        self._cluster = cluster
        self._stream = stream
        self._first = first
        self._to = to
        self._speed = speed
        self._before = 0.0

    async def play(self, store: str, show: Show, pause: Pause) -> None:
        """All of them, one after the other; `pause` is told of each that is cut."""
        begun = await beginnings.before(self._cluster, self._first, store)
        replayed = screen_replay.Replay(self._stream, begun)
        async for row in self._cluster.log(after=begun.position, at=self._to):
            await self._shown(replayed.take(row), show, pause)
        await self._shown(replayed.finish(), show, pause)

    async def _shown(self, picture: Picture | None, show: Show, pause: Pause) -> None:
        if picture is None or picture.position < self._first:
            return
        if self._before and self._speed:
            seconds = picture.at - self._before
            if seconds / self._speed > PAUSE_MAX:
                pause(f"({ages.human(seconds)} pause)")
            await asyncio.sleep(min(seconds / self._speed, PAUSE_MAX))
        self._before = picture.at
        show(picture)


def _say(picture: Picture) -> None:
    for each in lines(picture):
        printing.say(each)
