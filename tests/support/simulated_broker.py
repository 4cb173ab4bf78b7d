"""A broker with the stream EVENTS, and the client that the shipped publisher talks to.

1. The rules are JetStream's: an id that was stored within the window is a duplicate
   and is not stored again; then the expected last sequence must be the last one, and
   the expected last id that of what was stored last, be it purged since.
2. With dice wires lose and repeat messages, acknowledgements are lost, and answers
   take time, so that a writer can be killed between two messages.
3. `FAULTS` are what happens to the stream itself: it is deleted, truncated, purged,
   or the broker is away for a while.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import nats.errors
import nats.js.errors
from nats.js import api

WINDOW: Final = 120.0
"""Seconds for which ids are remembered, as EVENTS is configured."""
LATENCY: Final = (0.0, 0.0, 0.002, 0.05)
TIMEOUT: Final = 5.0
BUSY: Final = 2_000
"""Requests at one moment after which a client spins."""
FAULTS: Final = ("stream deleted", "stream truncated", "stream purged", "old ones gone")

_ID: Final = "Nats-Msg-Id"
_EXPECTED: Final = "Nats-Expected-Last-Sequence"
_EXPECTED_ID: Final = "Nats-Expected-Last-Msg-Id"


class Message(NamedTuple):
    """One message of the stream."""

    sequence: int
    position: int
    subject: str
    data: bytes


class Stored(NamedTuple):
    """A message when it was stored, with the position of the one before it."""

    message: Message
    before: int | None
    """None where the stream was empty."""
    harmed: int


class Broker:
    """The stream, as the broker has it. `journal` is all that was ever stored."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.messages: list[Message] | None = None
        """None while there is no stream."""
        self.created = 0
        """Which of the streams of this name it is."""
        self.last = 0
        self._last_id = ""
        self.harmed = 0
        """How often the stream was harmed from outside."""
        self.away_until = 0.0
        self.dice: Random | None = None
        self.bad = 0.1
        """The share of messages that each fault of a wire meets, with dice."""
        self.injected: Counter[str] = Counter()
        self.kept: list[tuple[str, bytes, dict[str, str]]] = []
        """What clients have sent while it was away: it comes when it is back."""
        self.journal: list[Stored] = []
        self._ids: dict[str, float] = {}
        self._busy = (0.0, 0)

    # --- the stream -----------------------------------------------------------------

    def make(self) -> None:
        """Afterwards the stream is there."""
        if self.messages is None:
            self.messages, self.last, self._last_id = [], 0, ""
            self._ids.clear()
            self.created += 1

    def drop(self) -> None:
        """Afterwards there is no stream."""
        self.messages = None

    def store(self, subject: str, data: bytes, headers: dict[str, str]) -> api.PubAck:
        """What the broker answers. Raises what the client library would."""
        if self.messages is None:
            raise nats.js.errors.NoStreamResponseError
        id_, now = headers[_ID], self._clock()
        stored_at = self._ids.get(id_)
        if stored_at is not None and now - stored_at < WINDOW:
            return api.PubAck(stream="EVENTS", seq=self.last, duplicate=True)
        expected = headers.get(_EXPECTED)
        if expected is not None and int(expected) != self.last:
            raise nats.js.errors.BadRequestError(
                code=400, err_code=10071, description="wrong last sequence"
            )
        if headers.get(_EXPECTED_ID, self._last_id) != self._last_id:
            raise nats.js.errors.BadRequestError(
                code=400, err_code=10070, description="wrong last msg ID"
            )
        self.last += 1
        self._ids[id_], self._last_id = now, id_
        before = self.messages[-1].position if self.messages else None
        message = Message(self.last, int(id_), subject, data)
        self.messages.append(message)
        self.journal.append(Stored(message, before, self.harmed))
        return api.PubAck(stream="EVENTS", seq=self.last, duplicate=None)

    # --- what goes wrong ------------------------------------------------------------

    def harm(self, how: str, number: int) -> None:
        """One of `FAULTS`; `number` says how much of the stream it meets."""
        if self.messages is None:
            return
        self.harmed += 1
        count = number % (len(self.messages) + 1)
        match how:
            case "stream deleted":
                self.drop()
            case "stream truncated":
                kept = len(self.messages) - count
                for lost in self.messages[kept:]:
                    self._ids.pop(str(lost.position), None)
                del self.messages[kept:]
                self.last -= count
                self._last_id = str(self.messages[-1].position) if kept else ""
            case "stream purged":
                self.messages.clear()
            case _:
                del self.messages[: max(count - 1, 0)]

    def go_away(self, seconds: float) -> None:
        """Nobody is connected for so long."""
        self.away_until = self._clock() + seconds

    def heal(self) -> None:
        """Wires are good and the broker is there; what is lost stays lost."""
        self.dice = None
        self.away_until = 0.0

    @property
    def is_away(self) -> bool:
        """Nobody can reach it."""
        return self._clock() < self.away_until

    def strikes(self, what: str) -> bool:
        """Whether this fault of a wire is due."""
        if self.dice is None or self.dice.random() >= self.bad:
            return False
        self.injected[what] += 1
        return True

    async def wait(self) -> None:
        """A request is on its way. Raises where the broker cannot be reached."""
        now = self._clock()
        self._busy = (now, self._busy[1] + 1 if self._busy[0] == now else 1)
        assert self._busy[1] < BUSY, "a client asks again and again without waiting"
        await asyncio.sleep(self.dice.choice(LATENCY) if self.dice else 0.0)
        if self.is_away:
            raise nats.errors.ConnectionClosedError
        kept, self.kept = self.kept, []
        for subject, data, headers in kept:
            self.store_if_possible(subject, data, headers)

    def store_if_possible(
        self, subject: str, data: bytes, headers: dict[str, str]
    ) -> None:
        """As `store`, for what nobody awaits."""
        with contextlib.suppress(nats.js.errors.Error):
            self.store(subject, data, headers)


class SimJetStream:
    """As much of `nats.js.JetStreamContext` as the publisher uses."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def add_stream(self, _config: api.StreamConfig) -> Any:
        """Afterwards it is there."""
        await self._broker.wait()
        self._broker.make()
        created = SimpleNamespace(timestamp=lambda: float(self._broker.created))
        state = SimpleNamespace(last_seq=self._broker.last)
        return SimpleNamespace(created=created, state=state)

    async def delete_stream(self, _name: str) -> None:
        """Afterwards it is not."""
        await self._broker.wait()
        self._broker.harmed += 1
        self._broker.drop()

    async def get_msg(self, _name: str, seq: int) -> Any:
        """One message, by its sequence."""
        await self._broker.wait()
        for message in reversed(self._broker.messages or ()):
            if message.sequence == seq:
                return SimpleNamespace(headers={_ID: str(message.position)})
        raise nats.js.errors.NotFoundError(
            code=404, err_code=10037, description="no message found"
        )

    async def publish(
        self, subject: str, data: bytes, headers: dict[str, str]
    ) -> api.PubAck:
        """Stored, and acknowledged."""
        broker = self._broker
        await broker.wait()
        if broker.strikes("publish lost"):
            await asyncio.sleep(TIMEOUT)
            raise nats.errors.TimeoutError
        ack = broker.store(subject, data, headers)
        if broker.strikes("publish repeated"):
            broker.store(subject, data, headers)
        if broker.strikes("acknowledgement lost"):
            await asyncio.sleep(TIMEOUT)
            raise nats.errors.TimeoutError
        return ack


class SimClient:
    """As much of `nats.aio.client.Client` as the publisher uses."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.max_payload = 1024 * 1024

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there."""
        return not self._broker.is_away

    def jetstream(self) -> SimJetStream:
        """Its streams."""
        return SimJetStream(self._broker)

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """Sent, and not awaited: nobody hears what becomes of it."""
        broker = self._broker
        if broker.strikes("publish delayed"):
            await asyncio.sleep(LATENCY[-1])
        if broker.strikes("publish lost"):
            return
        if broker.is_away:
            broker.kept.append((subject, data, headers))
            return
        for _ in range(1 + broker.strikes("publish repeated")):
            broker.store_if_possible(subject, data, headers)


def connect(broker: Broker) -> Any:
    """A connection of the shipped publisher's."""
    return cast(Any, SimClient(broker))
