"""How long a container waits before it is tried again (spec 4.4).

1. The first failure does not wait; it arms a back-off of `INITIAL` seconds.
2. Each further failure waits the armed time, counted from the moment of the failure;
   the next attempt doubles it, up to `cap`.
3. A failure more than `FORGIVEN` after the back-off was last advanced starts afresh,
   whatever `cap` is.

Image pulls use the same numbers, with rule 1 read as: the first failed pull waits
`INITIAL` (there is no attempt that is free).
"""

from typing import Final

INITIAL: Final = 10.0
CAP: Final = 300.0
FORGIVEN: Final = 600.0


class Backoff:
    """The back-off of one key: one container's restarts, or one image's pulls."""

    __slots__ = ("_advanced_at", "cap", "delay")

    def __init__(self, cap: float = CAP) -> None:
        self.cap = cap
        self.delay = 0.0
        self._advanced_at = 0.0

    def ready_at(self, failed_at: float) -> float:
        """When an attempt may be made after a failure at `failed_at`."""
        if not self.delay or failed_at - self._advanced_at > FORGIVEN:
            return failed_at
        return failed_at + self.delay

    def advance(self, now: float, *, failed_at: float) -> None:
        """An attempt is made `now`: the wait after the next failure is longer."""
        expired = failed_at - self._advanced_at > FORGIVEN
        if not self.delay or expired:
            self.delay = min(INITIAL, self.cap)
        else:
            self.delay = min(self.delay * 2, self.cap)
        self._advanced_at = now


def go_duration(seconds: float) -> str:
    """`seconds` as Kubernetes' messages print it: 10s, 1m20s, 5m0s, 1h0m0s.

    Below a second the unit is ms, as in `250ms`; fractions keep what they need.
    """
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{_trim(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{_trim(rest)}s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _trim(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")
