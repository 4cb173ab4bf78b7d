"""One side of a session on the broker: a `Link` with a clock and a way out.

1. `send` waits while the other side has no room, `receive` while nothing has come.
2. What is not acknowledged within `AGAIN_SECONDS` is sent again, so that a session
   outlives a lost message and a restart of the broker.
3. Each side says something every `HEARTBEAT_SECONDS`. One that has been silent for
   `SILENCE_SECONDS` is gone, and the session ends with `Transient` on this side. Time
   in which this side itself stood still does not count: what came is not read yet.
4. A session in which nothing has been said by either for `IDLE_SECONDS` ends as well.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Self

import msgspec

from adapters import cancelling, nats_streams, session_link
from domain import errors
from domain.protocol import Message

TICK_SECONDS: Final = 0.5
AGAIN_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 4 * 3600.0
_TELL_EVERY: Final = session_link.WINDOW // 4


class Abort(Message, frozen=True, kw_only=True):
    """Why a session ends before its time: the payload of an `ABORT` frame.

    Without a reason the other side has simply gone.
    """

    reason: str = ""
    message: str = ""


class Resize(Message, frozen=True, kw_only=True):
    """The payload of a `RESIZE` frame: columns and rows of a terminal."""

    width: int
    height: int


class Outcome(Message, frozen=True, kw_only=True):
    """The payload of the `STATUS` frame, a session's last: how the command ended."""

    exit_code: int


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The rules' durations, in seconds."""

    tick: float = TICK_SECONDS
    again: float = AGAIN_SECONDS
    heartbeat: float = HEARTBEAT_SECONDS
    silence: float = SILENCE_SECONDS
    idle: float = IDLE_SECONDS


Publish = Callable[[bytes], Awaitable[None]]


class Peer:
    """A side of a session; used as `async with`, within which it is kept alive."""

    def __init__(self, publish: Publish, timing: Timing | None = None) -> None:
        self._publish = publish
        self._timing = timing or Timing()
        self._link = session_link.Link()
        self._arrived: deque[session_link.Frame] = deque()
        self._changed = asyncio.Event()
        self._failure: errors.RollbookError | None = None
        self._told = self._link.state
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._heard_at = self._said_at = self._used_at = self._now()
        self._progress_at = self._now()
        self._sending = asyncio.Lock()
        self._ticker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._ticker = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ticker is not None:
            await cancelling.end(self._ticker)

    def feed(self, data: bytes) -> None:
        """A message came. One that is no frame is dropped."""
        try:
            frame = session_link.decode(data)
        except ValueError:
            return
        self._heard_at = self._now()
        before = self._link.acknowledged
        if self._link.arrive(frame):
            self._arrived.append(frame)
            self._used_at = self._now()
        if self._link.acknowledged != before:
            self._progress_at = self._now()
        if frame.kind == session_link.ABORT:
            self.fail(_reason_of(frame.payload))
        self._changed.set()

    def fail(self, failure: errors.RollbookError) -> None:
        """The session has ended so; whoever waits is told. The first word counts."""
        if self._failure is None:
            self._failure = failure
            self._changed.set()

    async def send(self, kind: int, payload: bytes = b"") -> None:
        """Afterwards the payload is on its way, in pieces if need be.

        Raises what ended the session.
        """
        pieces = [
            payload[start : start + session_link.CHUNK]
            for start in range(0, len(payload), session_link.CHUNK)
        ]
        async with self._sending:
            for piece in pieces or [b""]:
                await self._until(lambda: self._link.has_room)
                if self._link.is_acknowledged:
                    self._progress_at = self._now()
                self._used_at = self._now()
                await self._say(self._link.send(kind, piece))

    async def receive(self) -> session_link.Frame:
        """The next frame in order; what came before it counts as consumed.

        Raises what ended the session, once all that arrived has been given out.
        """
        await self._until(lambda: bool(self._arrived), given_first=True)
        frame = self._arrived.popleft()
        self._link.consume()
        if self._link.state[1] - self._told[1] >= _TELL_EVERY:
            await self._say(self._link.idle())
        return frame

    async def settle(self) -> None:
        """Afterwards the other side has all that was sent. Raises what ended it."""
        await self._until(lambda: self._link.is_acknowledged)

    async def confirm(self) -> None:
        """Tells the other side how far this one is, without waiting for the tick."""
        await self._say(self._link.idle())

    async def abort(self, reason: str = "", message: str = "") -> None:
        """Tells the other side that the session has ended, once; it may get lost."""
        payload = msgspec.json.encode(Abort(reason=reason, message=message[:4096]))
        await self._say(self._link.abort(payload))

    # --- helpers -------------------------------------------------------------------

    async def _until(
        self, reached: Callable[[], bool], *, given_first: bool = False
    ) -> None:
        while True:
            if given_first and reached():
                return
            if self._failure is not None:
                raise self._failure
            if reached():
                return
            self._changed.clear()
            await self._changed.wait()

    async def _keep_alive(self) -> None:
        timing = self._timing
        self._heard_at = self._now()
        while self._failure is None:
            asleep = self._now()
            await asyncio.sleep(timing.tick)
            now = self._now()
            late = now - asleep - timing.tick
            self._heard_at = min(now, self._heard_at + late)
            if now - self._heard_at > timing.silence:
                text = (
                    f"the other side of the session was silent for {timing.silence:g} s"
                )
                self.fail(errors.Transient(text))
            elif now - self._used_at > timing.idle:
                text = f"nothing was said in the session for {timing.idle:g} s"
                self.fail(errors.Transient(text))
            elif not self._link.is_acknowledged and (
                now - self._progress_at > timing.again
            ):
                self._progress_at = now
                for data in self._link.again():
                    await self._say(data)
            elif (
                self._link.state != self._told or now - self._said_at > timing.heartbeat
            ):
                await self._say(self._link.idle())

    async def _say(self, data: bytes) -> None:
        self._told = self._link.state
        self._said_at = self._now()
        # A broker that is away is back soon, or this side hears nothing for too long.
        with contextlib.suppress(*nats_streams.TROUBLE):
            await self._publish(data)


def _reason_of(payload: bytes) -> errors.RollbookError:
    try:
        told = msgspec.json.decode(payload, type=Abort)
    except msgspec.MsgspecError:
        told = Abort()
    if told.reason in errors.CODES:
        return errors.Rejected(told.reason, told.message)
    return errors.Transient(told.message or "the other side has ended the session")
