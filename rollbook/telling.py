"""Rows of the log in words, as `why` tells them: for `log` and `replay`.

A row is compared with an earlier one of its stream where that was seen too; the newest
`STREAMS_KEPT` streams are remembered. A row that this version cannot read is told by
its type.
"""

from typing import Final

import msgspec

from domain import catalogue, times
from domain.events import Event, Recorded
from domain.queries import LogRow
from gateway.explaining import words

STREAMS_KEPT: Final = 5_000

_KINDS: Final = {kind.__name__: kind for kind in catalogue.EVENTS}


def recorded(row: LogRow) -> Recorded | None:
    """The event of a row; None where this version cannot read it."""
    kind = _KINDS.get(row.type)
    if kind is None:
        return None
    try:
        event: Event = msgspec.json.decode(bytes(row.event), type=kind)
        at = times.parse(row.at)
    except (msgspec.MsgspecError, ValueError):
        return None
    return Recorded(
        row.position,
        row.stream,
        row.version,
        at,
        row.actor,
        row.cause,
        row.command,
        event,
    )


class Teller:
    """Tells rows that come in order of position."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[type[Event], Recorded]] = {}

    def tell(self, row: LogRow) -> str:
        """The row as one clause."""
        found = recorded(row)
        if found is None:
            return words.lost(row.stream, row.type)
        mine = self._seen.pop(row.stream, {})
        known = [
            mine[kind] for kind in words.compared_with(found.event) if kind in mine
        ]
        earlier = max(known, key=lambda each: each.position, default=None)
        mine[type(found.event)] = found
        self._seen[row.stream] = mine
        if len(self._seen) > STREAMS_KEPT:
            del self._seen[next(iter(self._seen))]
        return words.tell(found, earlier.event if earlier is not None else None)
