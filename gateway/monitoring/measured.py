"""What a measurement comes to: a number, or why there is none; and the counts of both.

A number is finite. What is not (NaN of a division by zero, an infinity) is a reason:
nothing may be decided by it.
"""

import math
from collections import Counter
from collections.abc import Mapping

from adapters.histogram import Histogram

ERROR_CHARS = 300


class Unmeasured(Exception):
    """There is no number; the text is one line and says why."""

    def __init__(self, why: str) -> None:
        text = " ".join(why.split())
        super().__init__(text[:ERROR_CHARS])


def finite(value: object, what: str = "the value") -> float:
    """The number that `value` is or spells. Raises `Unmeasured` for any other."""
    try:
        found = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        raise Unmeasured(f"{what} is no number: {str(value)[:80]!r}") from None
    if not math.isfinite(found):
        raise Unmeasured(f"{what} is {found}, which is no number to decide by")
    return found


class Numbers:
    """Counted since the process began; read by a scrape."""

    def __init__(self) -> None:
        self.unready = "the broker was not reached yet"
        self.done: Counter[tuple[str, str]] = Counter()
        """By what was done (`prometheus`, `scrape`, …) and `ok` or `failed`."""
        self.published: Counter[str] = Counter()
        """By `metric`, `measurement` or `check`."""
        self.seconds: Mapping[str, Histogram] = {
            what: Histogram()
            for what in ("prometheus", "scrape", "metric", "check", "command", "watch")
        }
