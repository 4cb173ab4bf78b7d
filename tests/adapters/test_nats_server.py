"""The embedded broker: who may do what, and a process that always ends."""

import asyncio
import os
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import nats_server, nats_wire
from domain import errors
from tests.support import nats as support

ROOT = Path(__file__).parents[2]

LOGINS = ("control", "api", "node-worker-1", "node-worker-2", "admin", "bob")
CONTROL = {"control"}
API = {"api"}
NODE_1 = {"node-worker-1"}
NODES = {"node-worker-1", "node-worker-2"}
ADMIN = {"admin"}
USERS = {"admin", "bob"}
NOBODY: set[str] = set()

# architecture.md section 4, turned around: for each subject all those who may.
MAY_PUBLISH: list[tuple[str, set[str]]] = [
    ("rollbook.cmd.admin.default.deployment.nginx.scale", ADMIN),
    ("rollbook.report.worker-1", NODE_1),
    ("rollbook.report.worker-1.more", NOBODY),
    ("rollbook.sync.worker-1", NODE_1),
    ("rollbook.values.worker-1", NODE_1),
    ("rollbook.assign.worker-1", CONTROL),
    ("rollbook.event.default.pod.nginx.PodCreated", CONTROL),
    ("rollbook.committed", CONTROL),
    ("rollbook.query.get", USERS),
    ("rollbook.node.worker-1.logs", USERS),
    ("rollbook.node.worker-1.stop", NOBODY),
    ("rollbook.node.worker-1.grant", CONTROL),
    ("rollbook.node.worker-1.session.admin.x", ADMIN),
    ("rollbook.node.worker-1.session.admin.x.y", NOBODY),
    ("rollbook.node.worker-1.session", NOBODY),
    ("rollbook.anything.else", NOBODY),
    ("$SRV.PING", USERS),
    ("_INBOX.user.admin.x.y", CONTROL | API | NODES),
    ("_INBOX.node.worker-1.x.y", CONTROL),
    ("_INBOX.control.x.y", NOBODY),
    ("_INBOX.api.x.y", NOBODY),
    ("_INBOX.x.y", NOBODY),
    ("$JS.API.STREAM.CREATE.COMMANDS", CONTROL),
    ("$JS.API.STREAM.CREATE.EVENTS", CONTROL),
    ("$JS.API.STREAM.CREATE.OTHER", NOBODY),
    ("$JS.API.STREAM.UPDATE.EVENTS", CONTROL),
    ("$JS.API.STREAM.INFO.COMMANDS", CONTROL),
    ("$JS.API.STREAM.INFO.EVENTS", CONTROL | USERS),
    ("$JS.API.STREAM.PURGE.COMMANDS", CONTROL),
    ("$JS.API.STREAM.PURGE.EVENTS", NOBODY),
    ("$JS.API.STREAM.DELETE.COMMANDS", NOBODY),
    ("$JS.API.STREAM.DELETE.EVENTS", CONTROL),
    ("$JS.API.STREAM.MSG.GET.COMMANDS", NOBODY),
    ("$JS.API.STREAM.MSG.GET.EVENTS", CONTROL),
    ("$JS.API.STREAM.MSG.DELETE.EVENTS", NOBODY),
    ("$JS.API.STREAM.NAMES", NOBODY),
    ("$JS.API.INFO", NOBODY),
    ("$JS.API.CONSUMER.CREATE.COMMANDS.control", CONTROL),
    ("$JS.API.CONSUMER.CREATE.COMMANDS.other", NOBODY),
    ("$JS.API.CONSUMER.MSG.NEXT.COMMANDS.control", CONTROL),
    ("$JS.API.CONSUMER.DELETE.COMMANDS.control", CONTROL),
    ("$JS.API.CONSUMER.CREATE.EVENTS", USERS),
    ("$JS.API.CONSUMER.CREATE.EVENTS.mine.rollbook.event.default.>", USERS),
    ("$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.mine", NOBODY),
    ("$JS.API.CONSUMER.INFO.EVENTS.mine", USERS),
    ("$JS.API.CONSUMER.MSG.NEXT.EVENTS.mine", USERS),
    ("$JS.API.CONSUMER.DELETE.EVENTS.mine", USERS),
    ("$JS.API.CONSUMER.LIST.EVENTS", NOBODY),
    ("$JS.ACK.EVENTS.mine.1.1.1.1.0", USERS),
    ("$JS.ACK.COMMANDS.control.1.1.1.1.0", NOBODY),
    ("$SYS.REQ.SERVER.PING", NOBODY),
]
MAY_SUBSCRIBE: list[tuple[str, set[str]]] = [
    ("rollbook.cmd.>", NOBODY),
    ("rollbook.cmd.admin.>", NOBODY),
    ("rollbook.report.*", CONTROL),
    ("rollbook.report.worker-1", CONTROL),
    ("rollbook.sync.*", CONTROL),
    ("rollbook.values.*", CONTROL),
    ("rollbook.assign.worker-1", NODE_1),
    ("rollbook.assign.*", NOBODY),
    ("rollbook.node.worker-1.logs", NODE_1),
    ("rollbook.node.*.logs", NOBODY),
    ("rollbook.event.>", USERS),
    ("rollbook.event.default.pod.*.*", USERS),
    ("rollbook.committed", API | USERS),
    ("rollbook.query.>", API),
    ("$SRV.PING", API),
    ("$SRV.>", API),
    ("_INBOX.control.>", CONTROL),
    ("_INBOX.api.>", API),
    ("_INBOX.node.worker-1.>", NODE_1),
    ("_INBOX.user.admin.>", ADMIN),
    ("_INBOX.user.*.>", NOBODY),
    ("_INBOX.>", NOBODY),
    ("$JS.API.>", NOBODY),
    ("$SYS.>", NOBODY),
    (">", NOBODY),
]

Matrix = dict[tuple[str, str], set[str]]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """(publish or subscribe, subject) → those whom a real broker allowed it."""
    with tempfile.TemporaryDirectory() as folder:
        yield asyncio.run(_probe(Path(folder)))


async def _probe(folder: Path) -> Matrix:
    allowed: Matrix = {}
    async with support.broker(folder) as broker:
        for login in LOGINS:
            counters = nats_wire.Counters()
            client = await broker.connect(login, counters=counters)
            for verb, table in (("publish", MAY_PUBLISH), ("subscribe", MAY_SUBSCRIBE)):
                for subject, _ in table:
                    before = counters.refusals
                    if verb == "publish":
                        await client.publish(subject, b"")
                    else:
                        await client.subscribe(subject)
                    await client.flush()
                    who = allowed.setdefault((verb, subject), set())
                    if counters.refusals == before:
                        who.add(login)
    return allowed


@pytest.mark.parametrize(("subject", "who"), MAY_PUBLISH)
def test_who_may_publish(matrix: Matrix, subject: str, who: set[str]) -> None:
    """Of all roles exactly these may publish to the subject."""
    assert matrix["publish", subject] == who


@pytest.mark.parametrize(("subject", "who"), MAY_SUBSCRIBE)
def test_who_may_subscribe(matrix: Matrix, subject: str, who: set[str]) -> None:
    """Of all roles exactly these may listen to the subject."""
    assert matrix["subscribe", subject] == who


@pytest.mark.asyncio
async def test_an_answer_goes_to_no_place_that_the_asker_may_not_write_to(
    tmp_path: Path,
) -> None:
    """Who names somebody else's subject as the place of the answer gains nothing: the
    api and the nodes have no permission for it, and asking gives them none."""
    async with support.broker(tmp_path) as broker:
        counters = nats_wire.Counters()
        api = await broker.connect("api", counters=counters)
        admin = await broker.connect("admin")
        node = await broker.connect("node-worker-1")
        victim = await node.subscribe(nats_wire.assign_subject("worker-1"))
        answered = asyncio.Event()

        async def answer(message: object) -> None:
            await message.respond(b"answer")  # type: ignore[attr-defined] # nats Msg
            await api.flush()
            answered.set()

        await api.subscribe(nats_wire.query_subject("get"), cb=answer)
        await api.flush()
        await node.flush()
        await admin.publish(
            nats_wire.query_subject("get"),
            reply=nats_wire.assign_subject("worker-1"),
        )
        async with asyncio.timeout(support.WAIT_SECONDS):
            await answered.wait()
        await node.flush()

        assert counters.refusals == 1
        assert victim.pending_msgs == 0
        reply = await admin.request(nats_wire.query_subject("get"), timeout=20)
        assert reply.data == b"answer"


def test_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    """Folders have mode 0700 and files 0600, also those that were there before."""
    folder = tmp_path / "nats"
    folder.mkdir(mode=0o755)
    nats_server.write_configuration(folder, port=4222, nodes=["n"])

    modes = {
        path.name: oct(stat.S_IMODE(path.stat().st_mode))
        for path in (folder, *folder.iterdir())
    }
    assert modes == {
        "nats": "0o700",
        "jetstream": "0o700",
        "nats.conf": "0o600",
        "secrets.json": "0o600",
    }


def test_secrets_are_drawn_once(tmp_path: Path) -> None:
    """Every login has a secret of its own, and keeps it; a node that is taken away
    and comes back has its old one."""
    first = nats_server.write_configuration(tmp_path, port=1, nodes=["a", "b"])
    second = nats_server.write_configuration(tmp_path, port=2, nodes=["b", "c"])
    third = nats_server.write_configuration(tmp_path, port=3, nodes=["a", "b", "c"])

    parts = {"control", "api", "monitor", "node-a", "node-b"}
    assert set(first.credentials) == {*parts, "admin"}
    assert "node-a" not in second.credentials
    assert third.credentials["node-a"] == first.credentials["node-a"]
    assert third.credentials["node-c"] == second.credentials["node-c"]
    found = [each.secret for each in third.credentials.values()]
    assert len(set(found)) == len(found)
    assert min(map(len, found)) >= 32


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    """A configuration in a log line does not give a secret away."""
    configuration = nats_server.write_configuration(tmp_path, port=1, nodes=[])
    secret = configuration.credentials["admin"].secret

    assert secret not in repr(configuration)


@pytest.mark.parametrize("user", ["control", "api", "monitor", "node-worker-1", ""])
def test_a_person_cannot_have_the_name_of_a_part(tmp_path: Path, user: str) -> None:
    """Such a user would have the part's login and its permissions."""
    with pytest.raises(errors.Permanent, match="cannot be called"):
        nats_server.write_configuration(tmp_path, port=1, nodes=[], users=[user])


def test_damaged_secrets_stop_the_start(tmp_path: Path) -> None:
    """Drawing new ones without a word would lock everybody out."""
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(errors.Permanent, match=r"secrets\.json are damaged"):
        nats_server.write_configuration(tmp_path, port=1, nodes=[])


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("nats-server: v2.15.1", True),
        ("nats-server: v2.12.7", True),
        ("nats-server: v2.14.0", True),
        ("nats-server: v3.0.0", True),
        ("nats-server: v2.12.6", False),
        ("nats-server: v2.13.9", False),
        ("nats-server: v2.9.25", False),
        ("command not found", False),
    ],
)
def test_servers_with_flawed_authentication_are_refused(text: str, good: bool) -> None:
    """Before 2.12.7 and before 2.14.0 there are known flaws; the message says so."""
    if good:
        assert nats_server.check_version(text) >= (2, 12, 7)
        return
    with pytest.raises(errors.Permanent, match="nats-server"):
        nats_server.check_version(text)


@pytest.mark.asyncio
async def test_an_old_server_is_not_started(tmp_path: Path) -> None:
    """The version is asked of the program itself, before anything else happens."""
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.10.0'\n")
    old.chmod(0o755)
    server = nats_server.EmbeddedServer(tmp_path / "nats", binary=old)
    with pytest.raises(errors.Permanent, match=r"2\.12\.7"):
        await server.start()

    assert not server.running
    assert not (tmp_path / "nats").exists()


@pytest.mark.asyncio
async def test_a_restart_keeps_port_and_secrets(tmp_path: Path) -> None:
    """After a restart, or an end that nobody wanted, clients find the same server."""
    async with support.broker(tmp_path) as broker:
        server = broker.server
        port, credential = server.port, server.credential("admin")
        first = server.pid
        await server.restart()
        assert (server.port, server.credential("admin")) == (port, credential)

        second = server.pid
        assert second is not None
        os.kill(second, signal.SIGKILL)
        async with asyncio.timeout(support.WAIT_SECONDS):
            assert await server.wait() == -signal.SIGKILL
        assert not server.running
        assert server.returncode == -signal.SIGKILL

        await server.start()
        assert server.running
        assert len({first, second, server.pid}) == 3
        assert (server.port, server.credential("admin")) == (port, credential)
        await broker.connect("admin")
    assert not server.running
    await server.stop()  # once more is harmless


@pytest.mark.asyncio
async def test_a_fixed_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    """The message shows what the server said, and no process is left."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = nats_server.EmbeddedServer(tmp_path / "nats", port=port)
        with pytest.raises(errors.Permanent, match="address already in use"):
            await server.start()

    assert not server.running


@pytest.mark.asyncio
async def test_two_clusters_run_side_by_side(tmp_path: Path) -> None:
    """Without a fixed port each takes one that is free, and neither lets the other's
    users in."""
    first = nats_server.EmbeddedServer(tmp_path / "a")
    second = nats_server.EmbeddedServer(tmp_path / "b")
    async with first, second:
        assert first.port != second.port
        with pytest.raises(errors.Permanent, match="refuses the user 'admin'"):
            await nats_wire.connect(
                second.url, "admin", first.credential("admin").secret, "test"
            )


@pytest.mark.asyncio
async def test_strange_names_get_a_working_configuration(tmp_path: Path) -> None:
    """Dots, quotes, blanks and any script in names and folders are no syntax."""
    folder = tmp_path / 'a "quoted" ünïcode folder'
    nodes = ["worker-1.example.com", 'nö"de', "a b*>"]
    async with support.broker(folder, nodes=nodes, users=["jö.doe@x"]) as broker:
        for login in ("jö.doe@x", *map(nats_wire.node_login, nodes)):
            counters = nats_wire.Counters()
            client = await broker.connect(login, counters=counters)
            if login == "jö.doe@x":
                await client.publish(
                    nats_wire.command_subject(login, "default", "pod", "x", "delete")
                )
            else:
                await client.publish(nats_wire.report_subject(login[5:]))
            await client.subscribe(client.new_inbox())
            await client.flush()
            assert counters.refusals == 0


def test_names_that_the_server_cannot_be_told_are_refused(tmp_path: Path) -> None:
    """A line break in a name is refused here, with the name."""
    with pytest.raises(errors.Permanent, match="cannot take"):
        nats_server.write_configuration(tmp_path, port=1, nodes=["a\nb"])


@pytest.mark.asyncio
async def test_a_new_node_is_let_in_without_a_restart(tmp_path: Path) -> None:
    """Connections of the others are not interrupted."""
    async with support.broker(tmp_path) as broker:
        counters = nats_wire.Counters()
        admin = await broker.connect("admin", counters=counters)
        pid = broker.server.pid
        await broker.server.reload(
            nodes=["worker-1", "worker-2", "worker-3"], users=["admin", "bob"]
        )
        await broker.connect("node-worker-3")
        await admin.flush()

        assert broker.server.pid == pid
        assert counters.disconnects == 0


@pytest.mark.asyncio
@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's death signal")
async def test_no_server_outlives_a_killed_parent(tmp_path: Path) -> None:
    """A parent that is killed has no chance to stop anything; the kernel does it."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from adapters import nats_server\n"
        "async def main():\n"
        "    server = nats_server.EmbeddedServer(pathlib.Path(sys.argv[1]))\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await server.wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", program, str(tmp_path / "nats")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    async with asyncio.timeout(support.WAIT_SECONDS):
        pid = int(await parent.stdout.readline())
    assert _alive(pid)
    parent.kill()
    await parent.wait()
    try:
        async with asyncio.timeout(support.WAIT_SECONDS):
            while _alive(pid):  # noqa: ASYNC110  # only the kernel knows when
                await asyncio.sleep(0.02)
    finally:
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    """Whether the process runs; one that has ended already does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
