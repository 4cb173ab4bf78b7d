"""Two sides of a session: bytes both ways, and the end when one side is gone."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from adapters import session_link, session_peer
from adapters.session_peer import Peer, Timing
from domain import errors

GUARD = 60.0
QUICK = Timing(tick=0.01, again=0.05, heartbeat=0.1, silence=0.5, idle=60.0)


class Wire:
    """Carries messages between two peers; loses those that `lost` says."""

    def __init__(self, timing: Timing) -> None:
        self.lost: set[int] = set()
        self.cut = False
        self._count = 0
        self.one = Peer(self._to_other, timing)
        self.other = Peer(self._to_one, timing)

    async def _to_other(self, data: bytes) -> None:
        self._carry(self.other, data)

    async def _to_one(self, data: bytes) -> None:
        self._carry(self.one, data)

    def _carry(self, to: Peer, data: bytes) -> None:
        self._count += 1
        if not self.cut and self._count not in self.lost:
            to.feed(data)


@contextlib.asynccontextmanager
async def wire(timing: Timing = QUICK) -> AsyncIterator[Wire]:
    """Both sides, kept alive."""
    held = Wire(timing)
    async with asyncio.timeout(GUARD), held.one, held.other:
        yield held


@pytest.mark.asyncio
async def test_a_long_text_arrives_whole_though_messages_are_lost() -> None:
    """Rule 2: cut into pieces, sent again where need be, and never out of order."""
    text = bytes(range(256)) * 16_000
    async with wire() as held:
        held.lost = {2, 3, 7, 40, 41, 90}
        sending = asyncio.create_task(held.one.send(session_link.STDIN, text))
        read = b""
        while len(read) < len(text):
            read += (await held.other.receive()).payload
        await sending
        await held.one.settle()
    assert read == text


@pytest.mark.asyncio
async def test_who_does_not_read_stops_who_sends() -> None:
    """Rule 1: the sender waits after a window, and goes on when something is read."""
    async with wire() as held:
        for _ in range(session_link.WINDOW):
            await held.one.send(session_link.STDOUT, b"x")
        sending = asyncio.create_task(held.one.send(session_link.STDOUT, b"y"))
        await asyncio.sleep(0.1)
        assert not sending.done()
        for _ in range(session_link.WINDOW):
            await held.other.receive()
        await sending
        assert (await held.other.receive()).payload == b"y"


@pytest.mark.asyncio
async def test_a_side_that_vanishes_ends_the_session_on_the_other() -> None:
    """Rule 3: whoever waits is told that nothing was heard."""
    async with wire() as held:
        held.cut = True
        with pytest.raises(errors.Transient, match="silent for"):
            await held.one.receive()
        with pytest.raises(errors.Transient, match="silent for"):
            await held.other.receive()


@pytest.mark.asyncio
async def test_a_side_that_stood_still_does_not_blame_the_other() -> None:
    """Rule 3: a machine that stopped for longer than the silence goes on where it was,
    with what was sent meanwhile."""
    async with wire() as held:
        await asyncio.sleep(2 * QUICK.tick)
        time.sleep(2 * QUICK.silence)  # noqa: ASYNC251  # nothing runs meanwhile
        await asyncio.sleep(2 * QUICK.tick)
        await held.one.send(session_link.STDIN, b"x")
        assert (await held.other.receive()).payload == b"x"


@pytest.mark.asyncio
async def test_heartbeats_keep_a_quiet_session_until_it_is_idle_for_too_long() -> None:
    """Rules 3 and 4: silence of the users is no silence of the peers, but has its own
    bound."""
    timing = Timing(tick=0.01, again=0.05, heartbeat=0.05, silence=0.3, idle=1.0)
    async with wire(timing) as held:
        with pytest.raises(errors.Transient, match="nothing was said"):
            await held.one.receive()


@pytest.mark.asyncio
async def test_an_abort_is_told_with_its_reason_after_what_came_before() -> None:
    """What arrived is read first; then the reason is raised, by everything."""
    async with wire() as held:
        await held.one.send(session_link.STDOUT, b"last words")
        await held.one.abort("NotFound", "there is no such pod")
        assert (await held.other.receive()).payload == b"last words"
        for use in (held.other.receive, held.other.settle):
            with pytest.raises(errors.Rejected, match="no such pod") as caught:
                await use()
            assert caught.value.reason == "NotFound"


@pytest.mark.asyncio
async def test_rubbish_is_dropped() -> None:
    """Anybody's bytes on the subject change nothing."""
    async with wire() as held:
        for rubbish in (b"", b"{}", b"\xff" * 100):
            held.other.feed(rubbish)
        await held.one.send(session_link.STDIN, b"x")
        assert (await held.other.receive()).payload == b"x"


def test_a_reason_that_is_unknown_is_trouble() -> None:
    """A newer peer may give a reason that this one has no code for."""
    told = session_peer._reason_of(b'{"reason":"Odd","message":"so"}')
    assert isinstance(told, errors.Transient)
    assert str(told) == "so"
    assert isinstance(session_peer._reason_of(b"?"), errors.Transient)
