"""The user's side of a session with a container, over one connection to the broker.

The command that asks for the session was accepted before (its id is the session's), so
the session's node has been told of it: see kubelet/sessions.py for the other side.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Literal

import msgspec

from adapters import cancelling, exchange, nats_subjects, session_link, session_peer
from domain import errors

PUBLISH_SECONDS: Final = 10.0
Channel = Literal["stdout", "stderr"]
_CHANNELS: Final[dict[int, Channel]] = {
    session_link.STDOUT: "stdout",
    session_link.STDERR: "stderr",
}


class Session:
    """An open session; made by `opened`."""

    def __init__(self, peer: session_peer.Peer) -> None:
        self._peer = peer
        self.exit_code: int | None = None
        """How the command ended, once `chunks` is at its end."""

    async def write(self, data: bytes) -> None:
        """Sends bytes to the standard input; waits while the other side is full.

        This and the next two raise what ended the session: `Rejected` with the node's
        reason, `Transient` where it is gone.
        """
        if data:
            await self._peer.send(session_link.STDIN, data)

    async def end_input(self) -> None:
        """The standard input ends here."""
        await self._peer.send(session_link.END_INPUT)

    async def resize(self, width: int, height: int) -> None:
        """The user's terminal has these many columns and rows."""
        size = session_peer.Resize(width=width, height=height)
        await self._peer.send(session_link.RESIZE, msgspec.json.encode(size))

    async def chunks(self) -> AsyncIterator[tuple[Channel, bytes]]:
        """The output as it comes; afterwards `exit_code` is known."""
        while self.exit_code is None:
            frame = await self._peer.receive()
            if frame.kind in _CHANNELS:
                yield _CHANNELS[frame.kind], frame.payload
            elif frame.kind == session_link.STATUS:
                outcome = msgspec.json.decode(frame.payload, type=session_peer.Outcome)
                self.exit_code = outcome.exit_code
                await self._peer.confirm()


@contextlib.asynccontextmanager
async def opened(
    over: exchange.Exchange,
    *,
    user: str,
    node: str,
    session: str,
    width: int = 80,
    height: int = 24,
    timing: session_peer.Timing | None = None,
) -> AsyncIterator[Session]:
    """The session that the command `session` was granted, for as long as the block
    lasts; one that is left before its end is ended on the node too.

    What the node refuses is raised by the first use.
    """
    subject = nats_subjects.session_subject(user, node, session)
    with over.mailbox() as mailbox:

        async def publish(data: bytes) -> None:
            await over.publish(subject, data, mailbox.subject, PUBLISH_SECONDS)

        peer = session_peer.Peer(publish, timing)
        listener = asyncio.create_task(_listen(mailbox, peer, node))
        try:
            async with peer:
                held = Session(peer)
                size = session_peer.Resize(width=width, height=height)
                await peer.send(session_link.OPEN, msgspec.json.encode(size))
                try:
                    yield held
                finally:
                    if held.exit_code is None:
                        await peer.abort()
        finally:
            await cancelling.end(listener)


async def _listen(
    mailbox: exchange.Mailbox, peer: session_peer.Peer, node: str
) -> None:
    heard = False
    while True:
        try:
            reply = await mailbox.next(None)
        except exchange.Unserved:
            # A node that has answered before may be back in time.
            if not heard:
                text = f'node "{node}" does not answer: is its kubelet running?'
                peer.fail(errors.Transient(text))
            continue
        heard = True
        peer.feed(reply.data)
