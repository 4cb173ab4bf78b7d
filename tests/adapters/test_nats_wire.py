"""The wire: subjects, connections and streams, against a real broker."""

import asyncio
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies
from nats.js import api

from adapters import nats_streams, nats_wire
from domain import errors
from tests.support import nats as support
from tests.support import ports

TEXT = strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=20)

# --- subjects ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (
            nats_wire.command_subject("admin", "default", "deployment", "web", "scale"),
            "rollbook.cmd.admin.default.deployment.web.scale",
        ),
        (
            nats_wire.command_subject("a.b@c", "", "node", "w1.example.com", "cordon"),
            "rollbook.cmd.a%2Eb@c._.node.w1%2Eexample%2Ecom.cordon",
        ),
        (nats_wire.report_subject("w.1"), "rollbook.report.w%2E1"),
        (nats_wire.assign_subject("w.1"), "rollbook.assign.w%2E1"),
        (nats_wire.sync_subject("w.1"), "rollbook.sync.w%2E1"),
        (nats_wire.values_subject("w.1"), "rollbook.values.w%2E1"),
        (
            nats_wire.event_subject("default", "pod", "web-1.x", "PodCreated"),
            "rollbook.event.default.pod.web-1%2Ex.PodCreated",
        ),
        (
            nats_wire.event_subject("", "node", "w", "NodeLost"),
            "rollbook.event._.node.w.NodeLost",
        ),
        (nats_wire.query_subject("get"), "rollbook.query.get"),
        (nats_wire.node_subject("w.1", "logs"), "rollbook.node.w%2E1.logs"),
        (
            nats_wire.command_subject("*", ">", " ", "%", "_"),
            "rollbook.cmd.%2A.%3E.%20.%25.%5F",
        ),
        (nats_wire.inbox_prefix("control"), "_INBOX.control"),
        (nats_wire.inbox_prefix("node-w.1"), "_INBOX.node.w%2E1"),
        (nats_wire.inbox_prefix("a.b"), "_INBOX.user.a%2Eb"),
    ],
)
def test_subjects(subject: str, expected: str) -> None:
    """Each name is one token, whatever is in it (architecture.md section 4)."""
    assert subject == expected


@hypothesis.given(TEXT, TEXT, TEXT, TEXT, TEXT)
def test_a_command_subject_gives_its_names_back(
    user: str, namespace: str, kind: str, name: str, verb: str
) -> None:
    """Any names survive, and never make one token more or a wildcard."""
    parts = (user, namespace, kind, name, verb)
    subject = nats_wire.command_subject(*parts)

    assert nats_wire.parse_command_subject(subject) == parts
    assert subject.count(".") == 6
    assert subject.isascii()
    assert subject.isprintable()
    assert not set(subject) & {"*", ">", " "}


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "rollbook.cmd.admin",
        "rollbook.cmd.admin.default.deployment.web.scale.more",
        "rollbook.event.admin.default.deployment.web.scale",
        "rollbook.cmd..default.deployment.web.scale",
        "rollbook.cmd.admin.default.deployment.we%62.scale",
        "rollbook.cmd.admin.default.deployment.web%2.scale",
        "rollbook.cmd.admin.default.deployment.web%2e.scale",
        "rollbook.cmd.admin.default.deployment.%FF.scale",
        "rollbook.cmd.admin.default.deployment.%.scale",
    ],
)
def test_what_is_no_command_subject_is_refused(subject: str) -> None:
    """One name has one subject: another spelling of it is not accepted."""
    with pytest.raises(errors.Rejected, match="subject") as caught:
        nats_wire.parse_command_subject(subject)

    assert caught.value.reason == "BadRequest"


def test_a_name_too_long_for_the_broker_is_refused() -> None:
    """The broker would end the connection instead of answering."""
    with pytest.raises(errors.Rejected, match="too long"):
        nats_wire.command_subject("admin", "default", "pod", "x" * 2000, "delete")


def test_the_node_of_a_subject() -> None:
    """Control learns from the subject alone which node speaks."""
    assert nats_wire.parse_node_subject(nats_wire.report_subject("w.1")) == "w.1"
    with pytest.raises(errors.Rejected):
        nats_wire.parse_node_subject("rollbook.cmd.w1")


@pytest.mark.parametrize(
    ("user", "reply", "safe"),
    [
        ("admin", "_INBOX.user.admin.abc", True),
        ("admin", "_INBOX.user.admin.abc.def", True),
        ("a.b", "_INBOX.user.a%2Eb.abc", True),
        ("admin", "_INBOX.user.bob.abc", False),
        ("admin", "_INBOX.user.administrator.abc", False),
        ("admin", "_INBOX.user.admin", False),
        ("admin", "_INBOX.user.admin.", False),
        ("admin", "_INBOX.user.admin..x", False),
        ("admin", "_INBOX.user.admin.>", False),
        ("admin", "_INBOX.user.admin.*", False),
        ("admin", "_INBOX.user.admin.a b", False),
        ("admin", "_INBOX.user.admin.a\r\nPUB x 0", False),
        ("admin", "_INBOX.user.admin." + "x" * 2000, False),
        ("admin", "_INBOX.control.abc", False),
        ("admin", "rollbook.assign.worker-1", False),
        ("admin", "rollbook.event.default.pod.x.PodCreated", False),
        ("admin", "$JS.API.STREAM.PURGE.COMMANDS", False),
        ("admin", "", False),
        ("control", "_INBOX.control.abc", False),
        ("node-w", "_INBOX.node.w.abc", False),
        ("", "_INBOX.user._.abc", False),
    ],
)
def test_answers_go_to_the_askers_inbox_only(user: str, reply: str, safe: bool) -> None:
    """Else a user could let control publish where only control may."""
    assert nats_wire.safe_reply(user, reply) is safe


# --- connections ------------------------------------------------------------------


@pytest.mark.asyncio
async def test_no_broker_is_said_in_time() -> None:
    """Nobody waits for ever for a broker that is not there."""
    with pytest.raises(errors.Transient, match="no NATS server answers"):
        await nats_wire.connect(
            f"nats://127.0.0.1:{ports.free_port()}", "a", "b", "test", timeout=0.3
        )


@pytest.mark.asyncio
async def test_a_wrong_secret_is_said_at_once(tmp_path: Path) -> None:
    """Trying again would not help, and the message says which user was refused."""
    async with support.broker(tmp_path) as broker:
        with pytest.raises(errors.Permanent, match="refuses the user 'admin'"):
            await nats_wire.connect(
                broker.server.url,
                "admin",
                "wrong",
                "test",
                timeout=support.WAIT_SECONDS,
            )


@pytest.mark.asyncio
async def test_a_connection_survives_a_restart_of_the_broker(tmp_path: Path) -> None:
    """Subscriptions are there again, and what happened was counted."""
    async with support.broker(tmp_path) as broker:
        counters = nats_wire.Counters()
        control = await broker.connect("control")
        admin = await broker.connect("admin", counters=counters)
        seen = await admin.subscribe(nats_wire.COMMITTED)
        await admin.flush()
        await broker.server.restart()
        await support.until_connected(admin, control)
        await control.publish(nats_wire.COMMITTED, b"7")
        message = await seen.next_msg(timeout=support.WAIT_SECONDS)

        assert message.data == b"7"
        assert (counters.disconnects, counters.reconnects) == (1, 1)
        assert counters.closed == 0
        await nats_wire.close(admin)
        await nats_wire.close(admin)  # once more is harmless
        assert counters.closed == 1


@pytest.mark.asyncio
async def test_a_refusal_of_the_broker_is_counted(tmp_path: Path) -> None:
    """A publish that is not permitted ends nothing, but does not pass unseen."""
    async with support.broker(tmp_path) as broker:
        counters = nats_wire.Counters()
        admin = await broker.connect("admin", counters=counters)
        await admin.publish(nats_wire.assign_subject("worker-1"))
        await admin.flush()

        assert (counters.errors, counters.refusals) == (1, 1)
        assert admin.is_connected


@pytest.mark.asyncio
async def test_a_connection_can_be_closed_while_the_broker_is_away(
    tmp_path: Path,
) -> None:
    """The end of a process does not wait for a broker that has ended before."""
    async with support.broker(tmp_path) as broker:
        admin = await broker.connect("admin")
        await broker.server.stop()
        async with asyncio.timeout(support.WAIT_SECONDS):
            await nats_wire.close(admin)

        assert admin.is_closed


# --- streams ----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_streams_are_made_once(tmp_path: Path) -> None:
    """A second time finds the same streams, also after a restart of the broker."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        first = await nats_wire.ensure_streams(control.jetstream())
        assert first == await nats_wire.ensure_streams(control.jetstream())

        await broker.server.restart()
        await support.until_connected(control)
        assert first == await nats_wire.ensure_streams(control.jetstream())


@pytest.mark.asyncio
async def test_a_stream_of_an_older_version_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    """Its messages stay; only what cannot be changed is an error."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        js = control.jetstream()
        await js.add_stream(
            name="COMMANDS", subjects=["rollbook.cmd.>"], max_bytes=1000
        )
        await js.add_stream(
            name="EVENTS",
            subjects=["rollbook.event.>"],
            storage=api.StorageType.MEMORY,
        )
        with pytest.raises(errors.Permanent, match="stream EVENTS cannot be made"):
            await nats_wire.ensure_streams(js)
        info = await js.stream_info("COMMANDS")

        assert info.config.max_bytes == nats_streams.COMMANDS_CONFIG.max_bytes


def _state(created: float, last_sequence: int) -> nats_wire.StreamState:
    return nats_wire.StreamState(
        name="EVENTS", created=created, last_sequence=last_sequence
    )


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (_state(1.0, 10), None),
        (_state(1.0, 11), None),
        (_state(1.0, 9), "went back from sequence 10 to 9"),
        (_state(2.0, 10), "deleted and created anew"),
        (_state(2.0, 11), "deleted and created anew"),
    ],
)
def test_a_stream_that_went_back(
    after: nats_wire.StreamState, said: str | None
) -> None:
    """Another stream of the same name, or one that lost its end, is recognised."""
    what = nats_wire.went_back(_state(1.0, 10), after)

    assert what is None if said is None else said in str(what)
