"""Durations counted in buckets, as plain integers: the hot paths pay two additions.

Nothing is imported for it and nothing is locked: one task or thread observes, and a
scrape reads numbers that at worst are one observation apart.
"""

from bisect import bisect_left
from typing import Final

FAST: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds in seconds for work of one process: 100 µs to 10 s."""
SLOW: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds in seconds for what waits for pods: a second to an hour."""


class Histogram:
    """How many observations fell under which bound, and their sum."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: tuple[float, ...] = FAST) -> None:
        self.bounds = bounds
        self.total = 0.0
        """The sum of all observations, in seconds."""
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Afterwards the duration is counted; a bound belongs to the bucket below."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """The cumulative counts by upper bound, as text; the last one is +Inf."""
        found: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip(self.bounds, self._counts, strict=False):
            running += count
            found.append((str(bound), running))
        found.append(("+Inf", running + self._counts[-1]))
        return found
