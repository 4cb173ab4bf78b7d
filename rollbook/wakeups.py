"""Being told that something was committed, so that a reader looks again.

1. A wake-up says only that there is news and up to which position; what the news is,
   the reader asks. So a lost or repeated one costs nothing but time.
2. Whoever waits looks again after `POLL_SECONDS` anyway, in case one was lost.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from adapters import nats_subjects, nats_wire
from adapters.exchange import ID_HEADER, Incoming

POLL_SECONDS: Final = 5.0


class Wakeups:
    """News of one subject; `position` is the newest that was heard of."""

    def __init__(self) -> None:
        self.position = 0
        self._news = asyncio.Event()

    async def next(self, seconds: float | None = None) -> int:
        """The position: at news since the last call, or after `seconds` (rule 2)."""
        try:
            async with asyncio.timeout(POLL_SECONDS if seconds is None else seconds):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()
        return self.position

    async def heard(self, message: Incoming) -> None:
        """Take in a message of the subject, whatever is in it."""
        self.position = max(self.position, _position(message))
        self._news.set()


@asynccontextmanager
async def wakeups(client: nats_wire.Client, subject: str) -> AsyncIterator[Wakeups]:
    """News of `subject` as long as the block lasts."""
    news = Wakeups()
    subscription = await client.subscribe(subject, cb=news.heard)
    try:
        yield news
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()


def events_subject(stream: str) -> str:
    """Where the events of a stream, or of a prefix ending with `/`, are published."""
    if not stream:
        return "rollbook.event.>"
    tokens = [nats_subjects.escape_token(each) for each in stream.split("/") if each]
    kind, names, whole = tokens[0], tokens[1:], not stream.endswith("/")
    if whole and len(names) == 1:  # a node or a command: it has no namespace
        names = [nats_subjects.escape_token(""), *names]
    namespace = names[0] if names else "*"
    name = names[1] if len(names) > 1 else "*"
    return f"rollbook.event.{namespace}.{kind}.{name}.*"


class _Committed(msgspec.Struct, frozen=True):
    position: int = 0


def _position(message: Incoming) -> int:
    """That of an event is its id, that of a commit is in its JSON; else 0."""
    if (position := (message.headers or {}).get(ID_HEADER, "")).isdecimal():
        return int(position)
    try:
        return msgspec.json.decode(message.data, type=_Committed).position
    except msgspec.MsgspecError:
        return 0
