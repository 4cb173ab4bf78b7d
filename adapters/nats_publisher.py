"""Events out: the one writer of the stream EVENTS.

The stream is an exact copy of a stretch of the log. Each publish names the stream
sequence that must be the last one before it. So after one lost message the broker
refuses all that follow, and the stream's newest message always tells where to go on.

It names the event before it as well. Where somebody has purged the stream, the relay
of a control that was replaced and the new one count from different places: then the
sequence of a message that was refused may be that of another event.
"""

import logging
from collections.abc import Sequence
from typing import Final

import nats.js.errors
from nats.aio.client import Client

from adapters import nats_streams
from domain import errors

OMITTED_HEADER: Final = "Rollbook-Omitted"
"""On an event that does not fit into a message: its size in bytes. The message has no
data then; the event itself is read from the store."""

_EXPECTED_HEADER: Final = "Nats-Expected-Last-Sequence"
_EXPECTED_ID_HEADER: Final = "Nats-Expected-Last-Msg-Id"
_HEADER_ROOM_BYTES: Final = 4096

_BATCH_MESSAGES: Final = 1000
_BATCH_BYTES: Final = 8 * 1024 * 1024
"""The server drops what comes faster than it stores, beyond 10,000 messages or
128 MB. A confirmation for each batch keeps far below."""
_HEADERLESS_MAX: Final = 1000

_log = logging.getLogger(__name__)


class EventPublisher:
    """The one writer of EVENTS.

    The stream's newest message tells which position was relayed last; the relay
    continues behind it, after a start as well as after a loss.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._js = client.jetstream()
        self._stream: nats_streams.StreamState | None = None
        self._sequence = 0
        self._position: int | None = None
        self._last_id = ""
        """Of what was stored last, if this publisher has stored it since it looked."""

    @property
    def stream(self) -> nats_streams.StreamState | None:
        """EVENTS as it was when the publisher last looked."""
        return self._stream

    async def start(self) -> int | None:
        """The position of the newest event in the stream; 0 if it never had one.

        None if the stream had some but its newest cannot be found any more: then only
        the caller can say where to continue. Raises `Transient` if the broker does not
        answer.
        """
        try:
            self._stream = await nats_streams.ensure(
                self._js, nats_streams.EVENTS_CONFIG
            )
            self._sequence, self._last_id = self._stream.last_sequence, ""
            self._position = await self._newest_position(self._sequence)
        except nats_streams.TROUBLE as error:
            raise nats_streams.transient(error) from error
        return self._position

    async def publish(self, events: Sequence[tuple[str, int, bytes]]) -> int | None:
        """Publish (subject, position, data) in this order; where the stream ends then.

        Afterwards every event up to the returned position is in the stream. It is the
        last one's position if all went well; else something was lost, and the caller
        publishes again what comes behind the returned one (None: see `start`). Raises
        `Transient` if the broker does not answer: call `start` before the next try.
        """
        if not self._client.is_connected:
            # The client would keep them and send them later, one by one too late.
            self._stream = None
            raise errors.Transient("the NATS server is away: publish again later")
        if self._stream is None:
            await self.start()
        try:
            for batch in _batches(events):
                if not await self._publish_batch(batch):
                    return await self._look_again()
        except nats_streams.TROUBLE as error:
            self._stream = None
            raise nats_streams.transient(error) from error
        return self._position

    async def clear(self) -> None:
        """Afterwards the stream is empty, and the relay continues where it wants.

        For a stream that is ahead of the log, because the store came from a backup.
        Raises `Transient` if the broker does not answer.
        """
        try:
            # Purging keeps the ids of the last minutes, and they would make the broker
            # drop the positions that are published again: those of another history.
            await self._js.delete_stream(nats_streams.EVENTS)
        except nats_streams.TROUBLE as error:
            raise nats_streams.transient(error) from error
        await self.start()

    async def _publish_batch(self, batch: list[tuple[str, int, bytes]]) -> bool:
        """Whether all of the batch is in the stream now."""
        last, before = len(batch) - 1, self._last_id
        for index, (subject, position, data) in enumerate(batch):
            headers = {nats_streams.ID_HEADER: str(position)}
            headers |= _fence(self._sequence + index, before)
            before = str(position)
            if len(data) + _HEADER_ROOM_BYTES > self._client.max_payload:
                headers[OMITTED_HEADER], data = str(len(data)), b""
            if index < last:
                await self._client.publish(subject, data, headers=headers)
                continue
            try:
                ack = await self._js.publish(subject, data, headers=headers)
            except nats.js.errors.APIError as error:
                _log.info("publishing to EVENTS: %s", nats_streams.sentence(error))
                return False
            if ack.duplicate or ack.seq != self._sequence + len(batch):
                return False
            self._sequence, self._position = ack.seq, position
            self._last_id = before
        return True

    async def _look_again(self) -> int | None:
        before = self._stream
        position = await self.start()
        if before is not None and self._stream is not None:
            what = nats_streams.went_back(before, self._stream) or "a publish was lost"
            _log.warning("EVENTS: %s; it ends with position %s", what, position)
        return position

    async def _newest_position(self, sequence: int) -> int | None:
        """The position of the newest event at or before `sequence`.

        Messages without a position are not events: somebody has let the broker send
        them (see `nats_intake.refusal`), and readers pass them over too.
        """
        if sequence == 0:
            return 0
        for each in range(sequence, max(0, sequence - _HEADERLESS_MAX), -1):
            try:
                message = await self._js.get_msg(nats_streams.EVENTS, seq=each)
            except nats.js.errors.APIError as error:
                if error.err_code in nats_streams.MISSING_ERRORS:
                    return None
                raise
            position = (message.headers or {}).get(nats_streams.ID_HEADER, "")
            if position.isdecimal():
                return int(position)
        return None


def _fence(sequence: int, before: str) -> dict[str, str]:
    """What must be the last message of the stream: its sequence and, if known, its id.

    A broker that was restarted may have forgotten the id: after a refusal the publisher
    looks where the stream ends, and what it publishes next names none.
    """
    headers = {_EXPECTED_HEADER: str(sequence)}
    if before:
        headers[_EXPECTED_ID_HEADER] = before
    return headers


def _batches(
    events: Sequence[tuple[str, int, bytes]],
) -> list[list[tuple[str, int, bytes]]]:
    batches: list[list[tuple[str, int, bytes]]] = []
    size = _BATCH_BYTES
    for event in events:
        if size + len(event[2]) > _BATCH_BYTES or len(batches[-1]) >= _BATCH_MESSAGES:
            batches.append([])
            size = 0
        batches[-1].append(event)
        size += len(event[2])
    return batches
