"""What is seen while it runs: one living line on a terminal, plain lines elsewhere."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

import click
from rich.console import Console
from rich.status import Status

from rollbook.bench.results import FIGURES, Outcome
from rollbook.bench.session import Session

_TICK_SECONDS: Final = 0.5
_LINE_SECONDS: Final = 15.0
_HEADLINES: Final = (
    "rate", "seconds", "tail", "ready_p99", "answered_p99", "committed_p99",
    "again_p99", "replaced", "control_ready", "api_ready", "idle_cores", "replay_rate",
    "at_pod_p99", "at_deployment_full_p99", "at_whole_p99", "verify_rate",
    "history_page_p99", "sealed_30",
)  # fmt: skip


class Show:
    """Says on standard error what happens."""

    def __init__(self, *, color: bool) -> None:
        self._console = Console(stderr=True, no_color=not color)
        self._status: Status | None = None

    def say(self, text: str) -> None:
        """One line that stays."""
        if self._console.is_terminal:
            self._console.print(text, markup=False, highlight=False)
        else:
            click.echo(text, err=True)

    def outcome(self, outcome: Outcome) -> None:
        """The line of a scenario that has ended."""
        parts = [
            f"{FIGURES[name].label} {outcome.figures[name]:{FIGURES[name].form}} "
            f"{FIGURES[name].unit}".strip()
            for name in _HEADLINES
            if name in outcome.figures
        ]
        verdict = "log ok" if not outcome.problems else f"WRONG: {outcome.problems[0]}"
        self.say(f"  {outcome.scenario}: {'; '.join([*parts, verdict])}")

    @contextlib.asynccontextmanager
    async def busy(self, text: str) -> AsyncIterator[None]:
        """Shows that something takes its time."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(text) as self._status:
            yield
        self._status = None

    @contextlib.asynccontextmanager
    async def following(self, session: Session) -> AsyncIterator[None]:
        """Shows how far the log is, for as long as the block lasts."""
        async with self.busy("measuring"):
            ticking = asyncio.create_task(self._tick(session))
            try:
                yield
            finally:
                ticking.cancel()
                await asyncio.gather(ticking, return_exceptions=True)

    async def _tick(self, session: Session) -> None:
        begun = said = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            text = f"{session.log.last_position():,} events after {now - begun:,.0f} s"
            if self._status is not None:
                self._status.update(text)
            elif now - said >= _LINE_SECONDS:
                said = now
                self.say(f"  … {text}")
