"""The screen of `replay`: one picture at a time, on the terminal's second screen.

1. A picture fits: what there is no room for is counted, lines that are too long are
   cut, and a window that changes its size is drawn anew.
2. Afterwards the terminal is as it was, with the last picture below.
"""

import asyncio
import contextlib
import signal
from types import TracebackType
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from domain import times
from rollbook import screen_replay
from rollbook.screen_replay import Picture

_STYLES: Final = {
    "●": "green",
    "◐": "yellow",
    "○": "bright_black",
    "✕": "red",
    "✔": "blue",
    "!": "bold red",
}
_AROUND: Final = 5
"""Lines of a screen that hold neither rows nor words."""


class Screen:
    """Draws pictures; to be used within `with`, in a running loop."""

    def __init__(self, *, color: bool, console: Console | None = None) -> None:
        self._console = console or Console(no_color=not color, highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._picture: Picture | None = None
        self._pause = ""

    def __enter__(self) -> "Screen":
        """The second screen is shown."""
        self._live.__enter__()
        with contextlib.suppress(NotImplementedError, AttributeError):
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGWINCH, self._draw)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Rule 2."""
        with contextlib.suppress(NotImplementedError, AttributeError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGWINCH)
        self._live.__exit__(kind, error, trace)
        if self._picture is not None:
            self._console.print(_whole(self._picture), soft_wrap=True)

    def show(self, picture: Picture) -> None:
        """Afterwards this picture is on the screen."""
        self._picture, self._pause = picture, ""
        self._draw()

    def pause(self, told: str) -> None:
        """Afterwards it is told below the picture that nothing happened for a while."""
        self._pause = told
        self._draw()

    def _draw(self) -> None:
        if self._picture is not None:
            self._live.update(self._drawn(self._picture), refresh=True)

    def _drawn(self, picture: Picture) -> Group:
        room = max(2, self._console.height - _AROUND)
        rows = _first(picture.rows, max(1, room // 2), "ReplicaSets")
        words = _last(picture.words, room - len(rows))
        lines = [_head(picture), *(_marked(f"  {row}") for row in rows), Text()]
        lines += [Text(f"  {each}") for each in words]
        lines += [Text(self._pause and f"  {self._pause}", "dim")]
        lines += [Text(screen_replay.MARKS, "dim")]
        for each in lines:
            each.no_wrap, each.overflow = True, "ellipsis"
        return Group(*lines)


def _whole(picture: Picture) -> Group:
    rows = [_marked(f"  {row}") for row in picture.rows]
    words = [Text(f"    {each}") for each in picture.words]
    return Group(_head(picture), *rows, *words)


def _head(picture: Picture) -> Text:
    return Text(f"position {picture.position}  {times.rfc3339(picture.at)}", "bold")


def _first(rows: tuple[str, ...], most: int, what: str) -> list[str]:
    if len(rows) <= most:
        return [*rows]
    return [*rows[: most - 1], f"… {len(rows) - most + 1} more {what}"]


def _last(words: tuple[str, ...], most: int) -> list[str]:
    if len(words) <= most:
        return [*words]
    left = len(words) - most + 1
    return [f"… {left} more before these", *words[left:]]


def _marked(row: str) -> Text:
    """The row with its marks in their colours."""
    found = Text(row)
    for index, character in enumerate(row):
        if character in _STYLES:
            found.stylize(_STYLES[character], index, index + 1)
    return found
