"""Wrong variants of what tells others: the relay, its publisher, readers, the fence.

Each function gives what is replaced, as in wrong_plans.py.
"""

import asyncio
from typing import Any

from adapters import nats_publisher
from gateway import logreading, reader
from tests.properties.wrong_plans import Change
from workers import control, relay


def lost_publish_believed() -> Change:
    """What was sent is taken for stored."""

    async def wrong(self: Any) -> None:
        while True:
            rows = await asyncio.to_thread(self._log.read, self.position, relay.PAGE)
            if not rows:
                return
            await self._publisher.publish([relay._message(row) for row in rows])
            self.position = rows[-1].position

    return relay.Relay, "_drain", wrong


def relay_starts_at_the_end() -> Change:
    """Where the stream ends is not asked: what a crash has left out stays out."""

    async def wrong(self: Any) -> int:
        await self._publisher.start()
        self._woken.set()
        last: int = self._log.last_position()
        return last

    return relay.Relay, "_start", wrong


def handed_rows_begin_anywhere() -> Change:
    """What was handed over is published next, though events before it are missing."""

    async def wrong(self: Any) -> list[Any]:
        handed, after = self._handed, self.position
        while handed and handed[0].position <= after:
            handed.popleft()
        if handed:
            return [*handed]
        return await asyncio.to_thread(self._log.read, after, relay.PAGE)

    return relay.Relay, "_next", wrong


def stream_not_fenced() -> Change:
    """Messages are stored though the one before them was lost."""
    return nats_publisher, "_fence", lambda _sequence, _before: {}


def event_before_not_named() -> Change:
    """The sequence alone says what must be the last message."""
    return nats_publisher, "_EXPECTED_ID_HEADER", "Rollbook-Nothing"


def half_steps_shown() -> Change:
    """A page is folded as it is, wherever it ends."""
    return reader, "_whole_steps", len


def bookmark_too_far() -> Change:
    """An event that found no room counts as looked through."""
    right = logreading._Collected.add

    def wrong(self: Any, row: Any) -> bool:
        before = self.last
        went_on = right(self, row)
        if not went_on and self.last == before:
            self.last = row.position
        return went_on

    return logreading._Collected, "add", wrong


def replaced_writer_speaks() -> Change:
    """Without an event to append nobody is asked whether one still is the writer."""
    return control.Control, "_check_alone", lambda _self, _last: None
