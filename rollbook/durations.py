"""Durations as people write and read them: `1h30m`, `2d3h`."""

import re
from typing import Final

from domain import times
from domain.ages import age, human
from rollbook.failures import Failure

__all__ = ["age", "human", "parse", "parse_moment"]

_UNITS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_PART: Final = r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)"
_PARTS: Final = re.compile(_PART)
_WHOLE: Final = re.compile(rf"(-?)((?:{_PART})+)")


def parse(text: str) -> float:
    """The seconds of `30s`, `1h2m3s`, `1.5h`, `2d`; a bare `0` needs no unit.

    Raises `Failure` that says what is accepted.
    """
    if text in ("0", "-0", "+0"):
        return 0.0
    found = _WHOLE.fullmatch(text)
    if found is None:
        raise Failure(
            f'error: invalid duration "{text}": write a number with a unit, for '
            "example 30s, 5m, 1h30m"
        )
    total = sum(float(n) * _UNITS[unit] for n, unit in _PARTS.findall(found[2]))
    return -total if found[1] else total


def parse_moment(text: str, now: float) -> float:
    """The instant of a duration ago (`5m`) or of an RFC 3339 time.

    Raises `Failure` that says what is accepted.
    """
    if _WHOLE.fullmatch(text):
        return now - parse(text)
    try:
        return times.parse(text)
    except ValueError:
        raise Failure(
            f'error: "{text}" is not a time: write how long ago (5m, 1h30m) or RFC '
            "3339 (2026-11-23T06:18:47Z)"
        ) from None
