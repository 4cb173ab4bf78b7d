"""exec and attach on a node: who may open a session, what it carries, how it ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from adapters import session_client, session_link, session_peer
from adapters.exchange import Mailbox, Reply
from domain import errors
from domain.protocol import ContainerStatus, Grant, PodStatus
from kubelet import hollow_runtime, process_streams, runtime, sessions

GUARD = 60.0
POD = PodStatus(
    namespace="default",
    name="web-1",
    uid="u1",
    containers=(ContainerStatus(name="web", state="running"),),
)
QUICK = session_peer.Timing(tick=0.02, again=0.1, heartbeat=0.2, silence=1.0)
"""One who vanishes is noticed soon; a machine that stands still is not to blame."""
INBOX = "_INBOX.user.ann"


class Ports(hollow_runtime.HollowRuntime):
    """A runtime whose containers have nothing but sessions, which are real."""

    def __init__(self, folder: Path) -> None:
        settings = hollow_runtime.HollowSettings()
        super().__init__("n1", settings, lambda: 0.0)
        self.folder = folder
        self.opened: list[runtime.StreamRequest] = []
        self.ended = asyncio.Event()

    async def open_stream(
        self, uid: str, container: str, request: runtime.StreamRequest
    ) -> runtime.Stream:
        """A command of this machine; `gone` is a container that does not run."""
        if container == "gone":
            raise LookupError(uid)
        self.opened.append(request)
        return process_streams.start(
            request,
            env={"PATH": "/usr/bin:/bin"},
            cwd=self.folder,
            until=self.ended,
        )


class Message(NamedTuple):
    """What the service needs of a NATS message."""

    data: bytes
    reply: str


class Node:
    """The service, and a broker that carries everything at once."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.ports = Ports(folder)
        self.mailboxes: dict[str, Mailbox] = {}
        self.cut = False
        self.said: list[tuple[str, bytes]] = []
        self.service = sessions.SessionsService(
            self.ports,
            lambda ns, name: POD if (ns, name) == ("default", "web-1") else None,
            self._to_user,
            lambda: self.now,
            QUICK,
        )

    async def _to_user(self, subject: str, data: bytes) -> None:
        self.said.append((subject, data))
        if subject in self.mailboxes and not self.cut:
            self.mailboxes[subject].arrived.put_nowait(Reply(data, {}))

    def grant(self, *command: str, **fields: object) -> None:
        """What control says after the command was committed."""
        told: dict[str, object] = {
            "id": "s1", "user": "ann", "namespace": "default", "name": "web-1",
            "uid": "u1", "container": "web", "position": 7, "command": command,
            **fields,
        }  # fmt: skip
        self.service.grant(msgspec.json.encode(msgspec.convert(told, Grant)))

    @contextlib.contextmanager
    def mailbox(self) -> Iterator[Mailbox]:
        """See `Exchange.mailbox`."""
        held = Mailbox(f"{INBOX}.1")
        self.mailboxes[held.subject] = held
        yield held

    async def publish(
        self, subject: str, payload: bytes, reply: str, seconds: float
    ) -> None:
        """See `Exchange.publish`: what the broker carries to the node."""
        del seconds
        _, _, _, _, user, session = subject.split(".")
        if not self.cut:
            self.service.accept(user, session, Message(payload, reply))

    @contextlib.asynccontextmanager
    async def opened(self, user: str = "ann") -> AsyncIterator[session_client.Session]:
        """The user's side."""
        async with (
            asyncio.timeout(GUARD),
            session_client.opened(
                self,  # type: ignore[arg-type]  # as much of an exchange as is needed
                user=user,
                node="n1",
                session="s1",
                timing=QUICK,
            ) as session,
        ):
            yield session


async def until(holds: Callable[[], bool]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(GUARD):
        while not holds():  # noqa: ASYNC110  # what it waits for has no event
            await asyncio.sleep(0.01)


async def all_of(session: session_client.Session) -> dict[str, bytes]:
    """What is said, by channel."""
    found: dict[str, bytes] = {}
    async for channel, data in session.chunks():
        found[channel] = found.get(channel, b"") + data
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the container is."""
    return tmp_path


@contextlib.asynccontextmanager
async def node(folder: Path) -> AsyncIterator[Node]:
    """A node of which nothing is left afterwards."""
    held = Node(folder)
    try:
        yield held
    finally:
        await held.service.close()
        assert held.service.open_sessions == 0


@pytest.mark.asyncio
async def test_a_session_carries_input_output_errors_and_the_exit_code(
    folder: Path,
) -> None:
    """What was granted is run, and nothing that the user says by the way."""
    async with node(folder) as held:
        held.grant("sh", "-c", "cat; echo oops >&2; exit 7", stdin=True)
        async with held.opened() as session:
            await session.write(b"x" * 300_000)
            await session.end_input()
            assert await all_of(session) == {
                "stdout": b"x" * 300_000, "stderr": b"oops\n"
            }  # fmt: skip
            assert session.exit_code == 7
        assert held.ports.opened[0].command[-1] == "cat; echo oops >&2; exit 7"
        await until(lambda: held.service.open_sessions == 0)


@pytest.mark.parametrize(
    ("fields", "user", "later", "reason", "text"),
    [
        ({"id": "another"}, "ann", 0.0, "Forbidden", "was not told of this session"),
        ({"user": "bob"}, "ann", 0.0, "Forbidden", "was not told of this session"),
        ({}, "ann", sessions.GRANT_SECONDS + 1, "Forbidden", "was not told"),
        ({"uid": "u0"}, "ann", 0.0, "NotFound", 'pods "web-1" not found'),
        ({"name": "web-2"}, "ann", 0.0, "NotFound", 'pods "web-2" not found'),
        ({"container": "gone"}, "ann", 0.0, "BadRequest", "does not run"),
        ({"command": ("nosuch",)}, "ann", 0.0, "BadRequest", "executable file not"),
    ],
)
@pytest.mark.asyncio
async def test_what_is_not_granted_or_not_there_is_refused(
    folder: Path,
    fields: dict[str, object],
    user: str,
    later: float,
    reason: str,
    text: str,
) -> None:
    """Rules 1 and 2: another's grant, a stale one, another life of the pod, and what
    cannot be started; each with its reason."""
    async with node(folder) as held:
        held.grant("true", **fields)
        held.now += later
        with pytest.raises(errors.Rejected, match=text) as caught:
            async with held.opened(user) as session:
                await all_of(session)
        assert caught.value.reason == reason


@pytest.mark.asyncio
async def test_a_grant_is_for_one_session(folder: Path) -> None:
    """Whoever comes a second time needs another command."""
    async with node(folder) as held:
        held.grant("true")
        async with held.opened() as session:
            await all_of(session)
        await until(lambda: held.service.open_sessions == 0)
        with pytest.raises(errors.Rejected, match="was not told"):
            async with held.opened() as session:
                await all_of(session)
        assert len(held.ports.opened) == 1


@pytest.mark.asyncio
async def test_answers_go_to_the_users_own_inbox_only(folder: Path) -> None:
    """Rule 4: the node lends nobody its permissions."""
    async with node(folder) as held:
        held.grant("true")
        frame = session_link.Link().send(session_link.OPEN, b"{}")
        for reply in ("", "rollbook.report.n1", "_INBOX.user.bob.1", "_INBOX.user.*"):
            held.service.accept("ann", "s1", Message(frame, reply))
        await asyncio.sleep(0.1)
        assert held.said == []
        assert held.ports.opened == []


@pytest.mark.asyncio
async def test_a_user_who_vanishes_leaves_nothing_running(folder: Path) -> None:
    """Rule 5: silence ends the command, and so does leaving."""
    async with node(folder) as held:
        held.grant("sleep", "1000")
        async with held.opened():
            await until(lambda: bool(held.ports.opened))
        await until(lambda: held.service.open_sessions == 0)

        held.grant("sleep", "1000")
        with contextlib.suppress(errors.Transient):
            async with held.opened() as session:
                await until(lambda: len(held.ports.opened) == 2)
                held.cut = True
                await all_of(session)
        await until(lambda: held.service.open_sessions == 0)


@pytest.mark.asyncio
async def test_the_container_ends_and_the_session_with_it(folder: Path) -> None:
    """Rule 5: the user is told as of a command that was killed."""
    async with node(folder) as held:
        held.grant("sleep", "1000")
        async with held.opened() as session:
            await until(lambda: bool(held.ports.opened))
            held.ports.ended.set()
            await all_of(session)
            assert session.exit_code == 137


@pytest.mark.asyncio
async def test_a_node_that_stops_says_so(folder: Path) -> None:
    """Whoever is inside is told at once, not after a silence."""
    async with node(folder) as held:
        held.grant("sleep", "1000")
        async with held.opened() as session:
            await until(lambda: bool(held.ports.opened))
            await held.service.close()
            with pytest.raises(errors.Transient, match="agent is stopping"):
                await all_of(session)


@pytest.mark.asyncio
async def test_too_many_sessions_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 5: a bound, told with what to do."""
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 0)
    async with node(folder) as held:
        held.grant("true")
        with pytest.raises(errors.Rejected, match="end one first") as caught:
            async with held.opened() as session:
                await all_of(session)
        assert caught.value.reason == "TooManyRequests"


@pytest.mark.asyncio
async def test_grants_that_nobody_uses_do_not_pile_up(folder: Path) -> None:
    """At most `GRANTS_MAX` are kept; the newest is one of them."""
    async with node(folder) as held:
        for number in range(sessions.GRANTS_MAX * 2):
            held.grant("true", id=f"s{number}")
        assert len(held.service._grants) <= sessions.GRANTS_MAX
        assert f"s{sessions.GRANTS_MAX * 2 - 1}" in held.service._grants
