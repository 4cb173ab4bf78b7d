"""The writer's clock: UTC that never goes back and never jumps.

1. It starts at the wall's time, or just after the last event where the wall is behind
   it, and from then on follows the monotonic clock alone. A wall that is set a day
   ahead or back changes nothing before the next start.
2. Each reading is greater than the one before, on a grid of microseconds.
"""

import time
from typing import Final, Protocol

from domain import times

TICK: Final = 1e-6


class Clock(Protocol):
    """Where the writer's time comes from."""

    def now(self) -> float:
        """Seconds since the epoch; greater than every reading before."""


class MonotoneClock:
    """The clock of rules 1 and 2; `after` is the last timestamp of the log."""

    def __init__(self, after: float = 0.0) -> None:
        self._last = after
        self._base = max(time.time(), after + TICK) - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch; greater than every reading before."""
        reading = times.grid(self._base + time.monotonic())
        if reading <= self._last:
            reading = times.grid(self._last + TICK)
        self._last = reading
        return reading
