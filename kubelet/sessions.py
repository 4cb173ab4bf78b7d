"""`rollbook.node.<node>.session.<user>.<id>`: exec and attach over NATS.

1. Control tells the node of each session before its user comes (`Grant`), once the
   command that asks for it stands in the log. A node opens nothing else: what is run,
   where and by whom is what the log says, not what the user says now.
2. A grant is for one session, and for `GRANT_SECONDS`. The broker vouches for the user
   in the subject.
3. The user's first frame is `OPEN`, then `STDIN`, `END_INPUT` and `RESIZE`; the node's
   are `STDOUT` and `STDERR`, and `STATUS` as the last. `adapters/session_link.py` has
   the frames, `session_peer.py` what becomes of a side that is gone.
4. Answers go to the user's own inbox only.
5. A session ends with its command, with its container, when either side is gone, and
   when nothing was said for long. At most `SESSIONS_MAX` are open on a node.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from adapters import cancelling, nats_subjects, session_link, session_peer
from domain import errors, protocol
from kubelet import runtime
from kubelet.logs_service import Find, Request

GRANT_SECONDS: Final = 30.0
GRANTS_MAX: Final = 256
SESSIONS_MAX: Final = 64
SETTLE_SECONDS: Final = 30.0

Publish = Callable[[str, bytes], Awaitable[None]]
_CHANNELS: Final = {"stdout": session_link.STDOUT, "stderr": session_link.STDERR}
_log = logging.getLogger(__name__)


class Size(protocol.Message, frozen=True, kw_only=True):
    """The payload of an `OPEN` frame: the terminal, where there is one."""

    width: int = 80
    height: int = 24


class _Session:
    """One open session."""

    def __init__(self, grant: protocol.Grant, peer: session_peer.Peer) -> None:
        self.grant = grant
        self.peer = peer
        self.task: asyncio.Task[None] | None = None


class SessionsService:
    """The sessions of one node."""

    def __init__(
        self,
        ports: runtime.Runtime,
        find: Find,
        publish: Publish,
        clock: Callable[[], float],
        timing: session_peer.Timing | None = None,
    ) -> None:
        self._runtime = ports
        self._find = find
        self._publish = publish
        self._clock = clock
        self._timing = timing
        self._grants: dict[str, tuple[float, protocol.Grant]] = {}
        self._sessions: dict[str, _Session] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._decoder = msgspec.json.Decoder(protocol.Grant)

    @property
    def open_sessions(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def grant(self, data: bytes) -> None:
        """Control says that a session may be opened. Raises `MsgspecError`."""
        grant = self._decoder.decode(data)
        now = self._clock()
        for known, (until, _) in list(self._grants.items()):
            if until < now or len(self._grants) >= GRANTS_MAX:
                del self._grants[known]
        self._grants[grant.id] = now + GRANT_SECONDS, grant

    def accept(self, user: str, session: str, message: Request) -> None:
        """A frame of `user` for `session` came; never raises."""
        held = self._sessions.get(session)
        if held is not None and held.grant.user == user:
            held.peer.feed(message.data)
            return
        try:
            frame = session_link.decode(message.data)
        except ValueError as error:
            _log.debug("session of %s: %s", user, error)
            return
        if frame.sequence == 0 or not nats_subjects.safe_reply(user, message.reply):
            return  # nothing to be opened, or nowhere to answer
        try:
            self._open(user, session, frame, message)
        except errors.Rejected as refused:
            self._say(message.reply, refused)

    async def close(self) -> None:
        """Ends all sessions, and the commands that run in them."""
        tasks = [each.task for each in self._sessions.values() if each.task]
        await cancelling.end(*tasks, *self._answers)

    # --- helpers -------------------------------------------------------------------

    def _open(
        self, user: str, session: str, frame: session_link.Frame, message: Request
    ) -> None:
        if frame.kind != session_link.OPEN or frame.sequence != 1:
            raise errors.Rejected("BadRequest", "the session has ended on its node")
        until, grant = self._grants.get(session, (0.0, None))
        if grant is None or grant.user != user or until < self._clock():
            raise errors.Rejected(
                "Forbidden",
                "the node was not told of this session: ask for it anew, by a command",
            )
        if len(self._sessions) >= SESSIONS_MAX:
            text = f"{SESSIONS_MAX} sessions are open on this node: end one first"
            raise errors.Rejected("TooManyRequests", text)
        try:
            size = msgspec.json.decode(frame.payload or b"{}", type=Size)
        except msgspec.MsgspecError as error:
            raise errors.Rejected("BadRequest", f"open: {error}") from error
        del self._grants[session]
        reply = message.reply

        async def publish(data: bytes) -> None:
            await self._publish(reply, data)

        held = _Session(grant, session_peer.Peer(publish, self._timing))
        self._sessions[session] = held
        held.peer.feed(message.data)
        held.task = asyncio.get_running_loop().create_task(self._serve(held, size))
        held.task.add_done_callback(lambda _: self._sessions.pop(session, None))

    async def _serve(self, held: _Session, size: Size) -> None:
        grant, peer = held.grant, held.peer
        async with peer:
            try:
                stream = await self._stream(grant, size)
            except (errors.Rejected, OSError) as error:
                refused = _refusal(error)
                await peer.abort(refused.reason, refused.message)
                return
            jobs = [
                asyncio.create_task(_inward(peer, stream)),
                asyncio.create_task(_outward(peer, stream)),
            ]
            try:
                await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
                for job in jobs:
                    if job.done():
                        job.result()
            except errors.RollbookError as error:
                _log.info("session %s of %s ended: %s", grant.id, grant.user, error)
            except asyncio.CancelledError:
                await peer.abort("ServiceUnavailable", "the node's agent is stopping")
                raise
            except Exception as error:
                _log.exception("session %s of %s", grant.id, grant.user)
                await peer.abort("InternalError", f"{type(error).__name__}: {error}")
            finally:
                await cancelling.end(*jobs)
                await stream.close()

    async def _stream(self, grant: protocol.Grant, size: Size) -> runtime.Stream:
        pod = self._find(grant.namespace, grant.name)
        if pod is None or pod.uid != grant.uid:
            raise errors.not_found("pods", grant.name)
        request = runtime.StreamRequest(
            command=grant.command,
            stdin=grant.stdin,
            tty=grant.tty,
            width=size.width,
            height=size.height,
        )
        try:
            return await self._runtime.open_stream(grant.uid, grant.container, request)
        except LookupError as error:
            raise errors.Rejected(
                "BadRequest",
                f'container "{grant.container}" in pod "{grant.name}" does not run',
            ) from error

    def _say(self, reply: str, refused: errors.Rejected) -> None:
        async def publish(data: bytes) -> None:
            await self._publish(reply, data)

        peer = session_peer.Peer(publish, self._timing)
        task = asyncio.get_running_loop().create_task(
            peer.abort(refused.reason, refused.message)
        )
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)


async def _inward(peer: session_peer.Peer, stream: runtime.Stream) -> None:
    """What the user sends; ends only by raising what ended the session."""
    while True:
        frame = await peer.receive()
        match frame.kind:
            case session_link.STDIN:
                await stream.write(frame.payload)
            case session_link.END_INPUT:
                await stream.end_input()
            case session_link.RESIZE:
                try:
                    size = msgspec.json.decode(frame.payload, type=session_peer.Resize)
                except msgspec.MsgspecError:
                    continue
                await stream.resize(size.width, size.height)


async def _outward(peer: session_peer.Peer, stream: runtime.Stream) -> None:
    """What the command says, and how it ended."""
    async for channel, data in stream.chunks():
        await peer.send(_CHANNELS[channel], data)
    outcome = session_peer.Outcome(exit_code=await stream.exit_code())
    await peer.send(session_link.STATUS, msgspec.json.encode(outcome))
    async with asyncio.timeout(SETTLE_SECONDS):
        await peer.settle()


def _refusal(error: errors.Rejected | OSError) -> errors.Rejected:
    if isinstance(error, errors.Rejected):
        return error
    return errors.Rejected("BadRequest", str(error))
