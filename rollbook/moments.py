"""WHEN, as people write it: a position, a time, or how long ago.

1. `1234` is a position of the log. `now` and `5m`, `1h30m`, `2d` (ago) are counted from
   the asker's clock, once for a whole command.
2. A time is RFC 3339, with or without a fraction: `2026-11-23T06:18:47.25Z`. Without a
   zone it is local time; seconds, or the time of day, may be left out: the day begins
   at midnight. A local time that the clocks show twice, or never, is refused.
3. A time of day alone, `03:12`, is the last one that has been: today's, or yesterday's.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from domain import queries, times
from rollbook import durations
from rollbook.failures import Failure

When = str | int | datetime | queries.Moment
"""What the client takes for a moment: text as rule 1 and 2 say, a position, a time."""

NOW: Final = "now"
FORMS: Final = (
    "write a position (1234), a time (2026-11-23T06:18:47Z, or 2026-11-23 06:18 or "
    "06:18 in local time) or how long ago (5m, 1h30m, 2d)"
)
_POSITION: Final = re.compile(r"-?\d+", re.ASCII)
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_TIME_OF_DAY: Final = re.compile(
    r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?", re.ASCII
)


def parse(when: When, now: float) -> queries.Moment:
    """The moment that is meant, as the question carries it.

    Raises `Failure` that says what is accepted. Whether the log has such a moment is
    known to who answers.
    """
    if isinstance(when, queries.Moment):
        return when
    if isinstance(when, datetime):
        return queries.Moment(time=_instant(when, str(when)))
    text = str(when).strip()
    if _POSITION.fullmatch(text):
        return queries.Moment(position=_position(text))
    if text.lower() == NOW:
        return queries.Moment(time=times.grid(now))
    if _TIME.fullmatch(text):
        return queries.Moment(time=_instant(_read(text), text))
    if _TIME_OF_DAY.fullmatch(text):
        return queries.Moment(time=_last(text, now))
    try:
        age = durations.parse(text)
    except Failure:
        raise Failure(f'error: "{when}" is not a moment: {FORMS}') from None
    if age < 0:
        raise Failure(f'error: "{when}" has not come yet: {FORMS}')
    return queries.Moment(time=times.grid(now - age))


class WhenType(click.ParamType[queries.Moment]):
    """The same for a command line: what is no moment is wrong usage."""

    name = "when"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> queries.Moment:
        """The moment; an age counts from now."""
        import time

        if isinstance(value, queries.Moment):
            return value
        try:
            return parse(str(value), time.time())
        except Failure as error:
            self.fail(str(error).removeprefix("error: "), param, ctx)


WHEN: Final = WhenType()


def _position(text: str) -> int:
    """Positions that no log has are refused there, up to what a message can carry."""
    bound = 2**62
    return max(-bound, min(int(text[:20]), bound))


def _last(text: str, now: float) -> float:
    """When it was `text` o'clock for the last time (rule 3)."""
    today = datetime.fromtimestamp(now).date()  # local, as it is typed
    instant = _instant(_read(f"{today}T{text}"), text)
    if instant <= now:
        return instant
    return _instant(_read(f"{today - timedelta(days=1)}T{text}"), text)


def _read(text: str) -> datetime:
    """The time; a fraction finer than microseconds is cut."""
    try:
        return datetime.fromisoformat(text.replace(",", ".").upper())
    except ValueError as error:
        raise Failure(f'error: "{text}" is not a time: {error}; {FORMS}') from None


def _instant(moment: datetime, text: str) -> float:
    """Seconds since the epoch; rule 2 for a time without a zone."""
    try:
        early, late = moment.replace(fold=0), moment.replace(fold=1)
        if moment.tzinfo is None and early.timestamp() != late.timestamp():
            raise Failure(
                f'error: "{text}" is a time at which the local clock is changed: '
                "write the zone behind it, as +01:00"
            )
        whole = int(moment.replace(microsecond=0).astimezone(UTC).timestamp())
    except (OverflowError, ValueError):
        raise Failure(f'error: "{text}" is no time that a log has: {FORMS}') from None
    return (whole * 1_000_000 + moment.microsecond) / 1e6
