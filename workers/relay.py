"""The relay: every committed event to the stream EVENTS, in order, from the store.

What it publishes was committed: rows are handed to it behind their commit, or read from
the store. So it cannot say what is not on disk, may lag as far as it likes, and after
any loss goes on where the stream ends. JetStream is transport: losing it costs a
publication, nothing else.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from adapters import nats_wire
from adapters.eventlog import EventLog, Row
from domain import catalogue, names
from domain.errors import Transient

PAGE: Final = 1_000
HELD_ROWS: Final = 10_000
"""Of a relay that lags further behind, the store is the memory."""
RETRY_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)

_NAMES: Final = {kind.TOPIC: kind.__name__ for kind in catalogue.EVENTS}


class Relay:
    """Publishes behind the writer; `wake` says that something was committed."""

    def __init__(self, log: EventLog, publisher: nats_wire.EventPublisher) -> None:
        self._log = log
        self._publisher = publisher
        self._woken = asyncio.Event()
        self._handed: deque[Row] = deque(maxlen=HELD_ROWS)
        """The newest rows that were committed, without a gap."""
        self.position = 0
        """The last position that is known to be in EVENTS."""

    def wake(self, rows: Sequence[Row] = ()) -> None:
        """Something was committed; `rows`, if given, are on disk, and there is nothing
        newer in the log."""
        handed = self._handed
        if not rows or (handed and handed[-1].position + 1 != rows[0].position):
            handed.clear()
        handed.extend(rows)
        self._woken.set()

    async def run(self) -> None:
        """Runs until cancelled; trouble with the broker only delays it."""
        started = False
        while True:
            try:
                if not started:
                    self.position = await self._start()
                    started = True
                await self._woken.wait()
                self._woken.clear()
                await self._drain()
            except Transient as error:
                _log.info("relay: %s", error)
                started = False
                self._woken.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _start(self) -> int:
        at = await self._publisher.start()
        last = await asyncio.to_thread(self._log.last_position)
        if at is not None and at > last:
            _log.warning("EVENTS is ahead of the log (%d > %d): made anew", at, last)
            await self._publisher.clear()
            at = 0
        self._woken.set()
        return at or 0

    async def _drain(self) -> None:
        while True:
            rows = await self._next()
            if not rows:
                return
            reached = await self._publisher.publish([_message(row) for row in rows])
            if reached == rows[-1].position:
                self.position = reached
            else:
                # Something was lost on the way: the stream says where it ends.
                _log.warning("EVENTS ends at %s: publishing again", reached)
                stuck = (reached or 0) <= self.position
                self.position = reached or 0
                if stuck:
                    # The broker remembers ids of what it has no more, for two minutes.
                    await asyncio.sleep(RETRY_SECONDS)

    async def _next(self) -> list[Row]:
        """What comes behind `position`: of what was handed over, else of the store."""
        handed, after = self._handed, self.position
        if handed and handed[-1].position == after:
            return []
        while handed and handed[0].position <= after:
            handed.popleft()
        if handed and handed[0].position == after + 1:
            return [*itertools.islice(handed, PAGE)]
        return await asyncio.to_thread(self._log.read, after, PAGE)


def _message(row: Row) -> tuple[str, int, bytes]:
    kind, namespace, name = _split(row.stream)
    event = _NAMES.get(row.topic, "Unknown")
    subject = nats_wire.event_subject(namespace, kind, name, event)
    head = (
        f'{{"position":{row.position},"stream":"{row.stream}",'
        f'"version":{row.version},"type":"{event}",'
    )
    return subject, row.position, head.encode() + row.state[1:]


def _split(stream: str) -> tuple[str, str, str]:
    try:
        return names.split_key(stream)
    except ValueError:
        kind, _, name = stream.partition("/")
        return kind, "", name
