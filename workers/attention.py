"""Whether the writer could hear: a process that stood still has heard nobody.

1. A machine that is suspended, moved or overloaded stops a process for longer than a
   node may be silent. When it goes on its timers are due, and what nodes have said
   meanwhile is not read yet, or was never said: the same machine may be theirs.
2. The loop turns at least every `TURN_SECONDS` unless something holds it. A lapse of
   a quarter of the nodes' grace, and a second at least, counts as standing still.
"""

import asyncio
from collections.abc import Callable
from typing import Final

TURN_SECONDS: Final = 0.25
LAPSE_SECONDS: Final = 1.0
PART_OF_GRACE: Final = 0.25


class Attention:
    """`run` is a task of the process; `now` is the clock that silence is judged by."""

    def __init__(self, now: Callable[[], float], grace: float) -> None:
        self._now = now
        self._limit = max(LAPSE_SECONDS, grace * PART_OF_GRACE)
        self._turned_at = now()
        self._lapsed = False

    async def run(self) -> None:
        """Turns until it is cancelled."""
        while True:
            self._turn()
            await asyncio.sleep(TURN_SECONDS)

    def lapsed(self) -> bool:
        """Whether the process stood still since this was asked last."""
        self._turn()  # whoever asks may be the first to run again
        found, self._lapsed = self._lapsed, False
        return found

    def _turn(self) -> None:
        now = self._now()
        if now - self._turned_at > self._limit:
            self._lapsed = True
        self._turned_at = now
