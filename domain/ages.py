"""Ages as kubectl prints them (spec 6.1)."""

from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY


def human(seconds: float) -> str:
    """`119s`, `2m5s`, `3h10m`, `2d3h`, …: whole seconds, cut toward zero."""
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


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    """Two units; the second is left out where it is zero."""
    first, rest = divmod(whole, large)
    second = rest // small
    text = f"{first}{large_unit}"
    return f"{text}{second}{small_unit}" if second else text
