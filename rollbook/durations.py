"""Durations as people write and read them: `1h30m`, `2d3h`."""

import re
from typing import Final

from domain import times
from rollbook.failures import Failure

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY

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


def human(seconds: float) -> str:
    """The age that kubectl prints, whole seconds cut toward zero (spec 6.1)."""
    whole = int(seconds)
    if whole < 0:
        return "0s" if whole == -1 else "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def age(moment: float, now: float) -> str:
    """The age of what happened at `moment`; `<unknown>` for no moment at all (0)."""
    return human(now - moment) if moment else "<unknown>"


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


def _two(seconds: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    """`NmSs`, without the second part where it is 0."""
    count, rest = divmod(seconds, large)
    rest //= small
    return f"{count}{large_unit}{rest}{small_unit}" if rest else f"{count}{large_unit}"
