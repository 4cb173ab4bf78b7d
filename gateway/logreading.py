"""`log`: the events behind a position, as they stand in the store.

1. The work of one question is bounded: it looks through `ROWS_MAX` rows at most and
   answers with `last`, how far it came, so that the asker can go on from there.
2. One stream is read by its versions, without looking through the others' events.
3. An event that cannot be read is shown with its type and without its content.
4. These functions block; the reader calls them in its thread.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

import msgspec

from adapters.eventlog import EventLog, Row
from domain import catalogue, queries
from domain.errors import Rejected

PAGE_ROWS: Final = 1_000
ROWS_MAX: Final = 20_000
EVENTS_MAX: Final = 5_000
ROW_BYTES: Final = 256
"""What an event needs besides its document and its names, at most."""

TYPES: Final = {kind.TOPIC: kind.__name__ for kind in catalogue.EVENTS}
_NULL: Final = msgspec.Raw(b"null")


class _Stored(msgspec.Struct, frozen=True):
    """The document of an event, its fact left as it is."""

    at: str
    actor: str
    event: msgspec.Raw
    cause: int = 0
    command: str = ""


_DECODER: Final = msgspec.json.Decoder(_Stored)


def answer(
    log: EventLog, asked: queries.LogQuery, position: int, bytes_max: int
) -> queries.LogAnswer:
    """The events between `after` and `until` (0: `position`), which is folded.

    Raises `Rejected` for a question that makes no sense.
    """
    if asked.after < 0 or asked.limit < 0 or asked.until < 0:
        raise Rejected("BadRequest", "after, until and limit: none may be negative")
    unknown = set(asked.types) - set(TYPES.values())
    if unknown:
        names = sorted(TYPES.values())
        alike = [name for each in sorted(unknown) for name in _alike(each, names)]
        raise Rejected(
            "BadRequest",
            f"types: {', '.join(sorted(unknown))} is not a type of event; they are "
            f"named like {', '.join(dict.fromkeys(alike or names[:3]))}",
        )
    end = min(asked.until or position, position)
    collected = _Collected(asked, end, bytes_max)
    if asked.after < end:
        if asked.stream and not asked.stream.endswith("/"):
            _one_stream(log, asked, collected)
        else:
            _all_streams(log, asked, collected)
    return queries.LogAnswer(
        position=position,
        last=max(asked.after, collected.last),
        events=tuple(collected.events),
    )


class _Collected:
    """The answer as it fills up; `last` is how far the log was looked through."""

    def __init__(self, asked: queries.LogQuery, end: int, bytes_max: int) -> None:
        self.events: list[queries.LogRow] = []
        self.last = asked.after
        self.end = end
        self._types = frozenset(asked.types)
        self._prefix = asked.stream
        self._limit = min(asked.limit or EVENTS_MAX, EVENTS_MAX)
        self._room = bytes_max

    def add(self, row: Row) -> bool:
        """Whether to go on; a row that found no room is not looked through."""
        if row.position > self.end:
            self.last = self.end
            return False
        if row.stream.startswith(self._prefix) and self._wanted(row):
            size = len(row.state) + len(row.stream) + ROW_BYTES
            if len(self.events) >= self._limit:
                return False
            if size > self._room and self.events:
                return False
            self._room -= size
            self.events.append(_shown(row, self._room >= 0))
        self.last = row.position
        return self.last < self.end

    def _wanted(self, row: Row) -> bool:
        return not self._types or TYPES.get(row.topic) in self._types


def _all_streams(log: EventLog, asked: queries.LogQuery, collected: _Collected) -> None:
    read = asked.after
    while read < collected.end and read - asked.after < ROWS_MAX:
        rows = log.read(read, PAGE_ROWS)
        if not rows:
            return
        for row in rows:
            if not collected.add(row):
                return
        read = rows[-1].position


def _one_stream(log: EventLog, asked: queries.LogQuery, collected: _Collected) -> None:
    version = version_at(log, asked.stream, asked.after)
    first = version
    while version - first < ROWS_MAX:
        rows = log.read_stream(asked.stream, version, PAGE_ROWS)
        for row in rows:
            if not collected.add(row):
                return
        if len(rows) < PAGE_ROWS:
            collected.last = collected.end
            return
        version = rows[-1].version


def version_at(log: EventLog, stream: str, position: int) -> int:
    """The last version of the stream at or before `position`, found by halving."""
    newest = log.read_stream(stream, limit=1, descending=True)
    low, high = 0, newest[0].version if newest else 0
    while low < high:
        middle = (low + high + 1) // 2
        found = log.read_stream(stream, middle - 1, 1)
        if found and found[0].position <= position:
            low = middle
        else:
            high = middle - 1
    return low


def _alike(word: str, names: Iterable[str]) -> Sequence[str]:
    """The names that somebody may have meant, whatever the case of the letters."""
    lowered = {name.lower(): name for name in names}
    return [lowered[each] for each in get_close_matches(word.lower(), lowered, n=2)]


def _shown(row: Row, fits: bool) -> queries.LogRow:
    """The row; without its content where that alone is too large for an answer."""
    try:
        stored = _DECODER.decode(row.state)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        stored = _Stored(at="", actor="", event=_NULL)
    return queries.LogRow(
        position=row.position,
        stream=row.stream,
        version=row.version,
        type=TYPES.get(row.topic, row.topic),
        at=stored.at,
        actor=stored.actor,
        cause=stored.cause,
        command=stored.command,
        event=stored.event if fits else _NULL,
    )
