"""Reading the log backwards: single events by position, streams from their end.

1. Whatever is asked, the number of rows that are read is bounded (`LOOK_BACK`,
   `LIFE_MAX`): a node has millions of events, a Deployment thousands of revisions.
2. Nothing behind position `until` is seen.
3. An event that cannot be read is a `Recorded` of the class `Lost`, with what its
   document says of actor and cause, so that a chain goes on behind it.
4. These functions block; the reader calls them in its thread.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from adapters.eventlog import EventLog, Row
from domain import catalogue, times
from domain.errors import Permanent
from domain.events import Event, Recorded
from gateway import logreading
from gateway.explaining import words

LOOK_BACK: Final = 500
"""So many events of a stream are looked through for one to compare with."""
LIFE_MAX: Final = 2_000
"""So many events of a stream are looked through for the beginning of an object."""
_PAGE: Final = 100


class Lost(Event, frozen=True, kw_only=True):
    """An event that this version cannot read; `kind` is its topic."""

    TOPIC = "lost"
    kind: str


class _Postmark(msgspec.Struct, frozen=True):
    """What can be read of any document of the store."""

    at: str = ""
    actor: str = ""
    cause: int = 0
    command: str = ""


class History:
    """A log up to `until`, with what was read of it once."""

    def __init__(self, log: EventLog, until: int) -> None:
        self._log = log
        self.until = until
        self._events: dict[int, Recorded] = {}

    def event(self, position: int) -> Recorded | None:
        """The event at a position; None where the log has none."""
        if not 0 < position <= self.until:
            return None
        found = self._events.get(position)
        if found is None:
            rows = self._log.read(position - 1, 1)
            if not rows or rows[0].position != position:
                return None
            found = self._events[position] = _recorded(rows[0])
        return found

    def backwards(
        self, stream: str, before: int = 0, most: int = LIFE_MAX
    ) -> Iterator[Recorded]:
        """The events of a stream, newest first, `most` of them; with `before` those
        before it.

        Read a page at a time, so that whoever stops early costs little.
        """
        end = min(before - 1, self.until) if before else self.until
        version = logreading.version_at(self._log, stream, end)
        stop = max(0, version - most)
        while version > stop:
            first = max(stop, version - _PAGE)
            rows = self._log.read_stream(stream, first, version - first)
            for row in reversed(rows):
                yield self._kept(row)
            version = first

    def first_since(
        self, stream: str, moment: float, kinds: tuple[type[Event], ...]
    ) -> Recorded | None:
        """The first event of these types at or after `moment`, found by halving; None
        where it is not among the `_PAGE` events that follow."""
        low, high = 0, logreading.version_at(self._log, stream, self.until)
        while low < high:
            middle = (low + high) // 2
            rows = self._log.read_stream(stream, middle, 1)
            if rows and self._kept(rows[0]).timestamp < moment:
                low = middle + 1
            else:
                high = middle
        for row in self._log.read_stream(stream, low, _PAGE):
            found = self._kept(row)
            if isinstance(found.event, kinds):
                return found
        return None

    def earlier(self, recorded: Recorded) -> Event | None:
        """The event that `words.tell` compares with, if it is near."""
        kinds = words.compared_with(recorded.event)
        if not kinds:
            return None
        for found in self.backwards(recorded.stream, recorded.position, LOOK_BACK):
            if isinstance(found.event, kinds):
                return found.event
        return None

    def words(self, recorded: Recorded) -> str:
        """The event in words."""
        if isinstance(recorded.event, Lost):
            return words.lost(recorded.stream, recorded.event.kind)
        return words.tell(recorded, self.earlier(recorded))

    def _kept(self, row: Row) -> Recorded:
        found = self._events.get(row.position)
        if found is None:
            found = self._events[row.position] = _recorded(row)
        return found


def type_name(recorded: Recorded) -> str:
    """`PodCreated`; the topic of an event that cannot be read."""
    event = recorded.event
    return event.kind if isinstance(event, Lost) else type(event).__name__


def _recorded(row: Row) -> Recorded:
    try:
        return catalogue.decode(*row)
    except Permanent:
        return _lost(row)


def _lost(row: Row) -> Recorded:
    try:
        mark = msgspec.json.decode(row.state, type=_Postmark)
        at = times.parse(mark.at)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        mark, at = _Postmark(), 0.0
    return Recorded(
        row.position,
        row.stream,
        row.version,
        at,
        mark.actor,
        mark.cause if 0 <= mark.cause < row.position else 0,
        mark.command,
        Lost(kind=row.topic),
    )
