"""Instants as text: RFC 3339 in UTC, with microseconds where they are kept.

Inside, an instant is a float of seconds since the epoch on a microsecond grid; the
grid makes the way to text and back exact. All events of a step share an instant, so
the last conversion is remembered in each direction.
"""

from datetime import UTC, datetime
from functools import lru_cache


def grid(seconds: float) -> float:
    """The nearest instant of the microsecond grid."""
    return round(seconds * 1e6) / 1e6


@lru_cache(maxsize=64)
def rfc3339(seconds: float) -> str:
    """`2026-11-23T06:18:47.000123Z`: exact for an instant of the grid."""
    micros = round(seconds * 1e6)
    whole, fraction = divmod(micros, 1_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:06d}Z"


@lru_cache(maxsize=1024)
def rfc3339_seconds(seconds: float) -> str:
    """`2026-11-23T06:18:47Z`: Kubernetes' `metav1.Time`, cut to whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=64)
def parse(text: str) -> float:
    """The instant of an RFC 3339 text; raises ValueError where it is none."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f'"{text}" has no time zone: write it as RFC 3339, with Z')
    whole = moment.replace(microsecond=0)
    seconds = int(whole.timestamp())
    return (seconds * 1_000_000 + moment.microsecond) / 1e6
