"""Commands in: nothing is lost, nothing comes twice, nothing is forged."""

import asyncio
import json
import os
import shutil
import signal
import uuid
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest

from adapters import nats_streams, nats_wire
from domain import errors
from tests.support import nats as support


class Reader:
    """An intake that remembers what it was told, and a user who sends commands."""

    def __init__(self, broker: support.Broker) -> None:
        self.broker = broker
        self.incidents: list[str] = []

    async def start(self) -> None:
        self.control = await self.broker.connect("control")
        self.admin = await self.broker.connect("admin")
        await nats_wire.ensure_streams(self.control.jetstream())
        self.intake = await self.another()

    async def another(self) -> nats_wire.CommandIntake:
        """A new process that reads, as after a crash of the one before."""
        intake = nats_wire.CommandIntake(
            self.control, on_incident=self.incidents.append
        )
        await intake.start()
        return intake

    async def send(self, *names: str) -> None:
        for name in names:
            await support.send_command(self.admin, name=name)

    async def fetch(
        self, count: int, intake: nats_wire.CommandIntake | None = None
    ) -> list[nats_wire.RawCommand]:
        """Exactly `count` commands, in as many fetches as it takes."""
        commands: list[nats_wire.RawCommand] = []
        async with asyncio.timeout(support.WAIT_SECONDS):
            while len(commands) < count:
                commands += await (intake or self.intake).fetch(
                    count - len(commands), 1.0
                )
        return commands

    async def left(self) -> int:
        """How many commands are in the stream."""
        info = await self.control.jetstream().stream_info("COMMANDS")
        return info.state.messages


def _names(commands: list[nats_wire.RawCommand]) -> list[str]:
    return [command.target.name if command.target else "" for command in commands]


@pytest.mark.asyncio
async def test_commands_come_in_order_with_all_that_was_sent(tmp_path: Path) -> None:
    """Who asked is the broker's word; id, data and place of the answer come along."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        inbox = reader.admin.new_inbox()
        await reader.send("a", "b")
        await support.send_command(
            reader.admin, name="c", data=b'{"replicas":3}', command_id="id-c",
            reply_to=inbox,
        )  # fmt: skip
        commands = await reader.fetch(3)
        last = commands[-1]

        assert _names(commands) == ["a", "b", "c"]
        assert [command.sequence for command in commands] == [1, 2, 3]
        assert last.target == ("admin", "default", "deployment", "c", "scale")
        assert last.data == b'{"replicas":3}'
        assert last.command_id == "id-c"
        assert last.reply_to == inbox
        assert [command.refusal for command in commands] == [None, None, None]


@pytest.mark.asyncio
async def test_an_empty_stream_gives_nothing_and_then_wakes(tmp_path: Path) -> None:
    """A fetch ends empty after its time, and at once when something comes."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        assert await reader.intake.fetch(10, 0.05) == []

        waiting = asyncio.create_task(reader.fetch(1))
        await reader.send("a")
        assert _names(await waiting) == ["a"]
        assert await reader.intake.fetch(10, 0.05) == []
        assert reader.incidents == []


@pytest.mark.asyncio
async def test_one_acknowledgement_settles_a_batch(tmp_path: Path) -> None:
    """Everything up to the sequence is gone, nothing behind it."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        await reader.send("a", "b", "c", "d")
        commands = await reader.fetch(3)
        await reader.intake.ack(commands[1].sequence)
        assert await reader.left() == 2

        await reader.intake.ack(99)  # what was not handed out cannot be settled
        assert await reader.left() == 1
        assert _names(await reader.fetch(1)) == ["d"]


@pytest.mark.asyncio
async def test_a_crash_without_acknowledgement_loses_nothing(tmp_path: Path) -> None:
    """The next reader gets everything again that was not acknowledged, in order; and
    in the life of one reader nothing comes twice."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        await reader.send("a", "b", "c")
        await reader.intake.ack((await reader.fetch(1))[-1].sequence)
        assert _names(await reader.fetch(2)) == ["b", "c"]

        second = await reader.another()
        await reader.send("d")
        assert _names(await reader.fetch(3, second)) == ["b", "c", "d"]
        assert await second.fetch(10, 0.1) == []


@pytest.mark.asyncio
async def test_a_restart_of_the_broker_is_survived(tmp_path: Path) -> None:
    """What was handed out does not come again, what was sent meanwhile comes, and an
    acknowledgement that found no broker is made up for."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        await reader.send("a", "b")
        commands = await reader.fetch(2)
        await broker.server.stop()
        assert await reader.intake.fetch(10, 0.05) == []
        await reader.intake.ack(commands[0].sequence)
        await broker.server.start()
        await support.until_connected(reader.admin, reader.control)
        await reader.send("c")

        assert _names(await reader.fetch(1)) == ["c"]
        assert await reader.left() == 2  # b and c; a was settled on the way
        assert any("reading COMMANDS anew" in each for each in reader.incidents)


@pytest.mark.asyncio
async def test_a_wiped_store_is_noticed_and_survived(tmp_path: Path) -> None:
    """The stream is made anew, its sequences start again, and an acknowledgement of
    the old ones does not touch the new commands."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        await reader.send("a", "b", "c")
        old = await reader.fetch(3)
        await broker.server.stop()
        shutil.rmtree(tmp_path / "nats" / "jetstream")
        await broker.server.start()
        await support.until_connected(reader.admin, reader.control)
        await nats_wire.ensure_streams(reader.control.jetstream())
        await reader.send("x", "y")
        await reader.intake.ack(old[-1].sequence)

        assert await reader.left() == 2
        assert _names(await reader.fetch(2)) == ["x", "y"]
        assert any("created anew" in incident for incident in reader.incidents)


@pytest.mark.asyncio
async def test_a_deleted_stream_is_noticed_and_made_anew(tmp_path: Path) -> None:
    """An operator's mistake costs the commands that were in it, and nothing else."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        await reader.send("a")
        await reader.fetch(1)
        await _as_operator(broker, "$JS.API.STREAM.DELETE.COMMANDS")
        async with asyncio.timeout(support.WAIT_SECONDS):
            while not any("created anew" in each for each in reader.incidents):
                assert await reader.intake.fetch(10, 0.1) == []
        await reader.send("b")

        assert _names(await reader.fetch(1)) == ["b"]


@pytest.mark.asyncio
async def test_a_lost_delivery_is_noticed_before_it_is_acknowledged(
    tmp_path: Path,
) -> None:
    """Here a second connection takes two commands away from under the reader. It must
    not hand out what comes behind them, because its acknowledgement would settle them:
    it reads anew, and has them all in order."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        thief = await broker.connect("control")
        inbox = thief.new_inbox()
        stolen = await thief.subscribe(inbox)
        await reader.send("a", "b", "c")
        await thief.publish(
            "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.control",
            json.dumps({"batch": 2, "no_wait": True}).encode(),
            reply=inbox,
        )
        for _ in range(2):
            await stolen.next_msg(timeout=support.WAIT_SECONDS)

        assert _names(await reader.fetch(3)) == ["a", "b", "c"]
        assert any("was lost" in incident for incident in reader.incidents)


@pytest.mark.asyncio
async def test_many_commands_come_in_order_and_once(tmp_path: Path) -> None:
    """More than one pull and more than one batch have room for."""
    count = 5000
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        subject = nats_wire.command_subject("admin", "default", "pod", "x", "delete")
        for index in range(count):
            await reader.admin.publish(
                subject, headers={"Nats-Msg-Id": f"command-{index}"}
            )
        await reader.admin.flush()
        seen: list[str] = []
        async with asyncio.timeout(support.WAIT_SECONDS):
            while len(seen) < count:
                commands = await reader.intake.fetch(700, 5.0)
                seen += [command.command_id for command in commands]
                await reader.intake.ack(commands[-1].sequence)

        assert seen == [f"command-{index}" for index in range(count)]
        assert await reader.left() == 0
        assert reader.incidents == []


@pytest.mark.asyncio
async def test_a_retry_is_not_swallowed_by_the_broker(tmp_path: Path) -> None:
    """A command that is sent again, because its answer was lost, reaches control, who
    can answer it; the broker's own window is a second."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        await support.send_command(reader.admin, name="a", command_id="same")
        async with asyncio.timeout(support.WAIT_SECONDS):
            while await reader.left() < 2:
                await support.send_command(reader.admin, name="a", command_id="same")
                await asyncio.sleep(0.2)
        commands = await reader.fetch(2)

        assert [command.command_id for command in commands] == ["same", "same"]


@pytest.mark.asyncio
async def test_a_command_that_is_too_large_is_refused_to_its_sender(
    tmp_path: Path,
) -> None:
    """The broker says so; the connection and the stream are none the worse."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        with pytest.raises(nats.js.errors.APIError, match="exceeds maximum"):
            await support.send_command(
                reader.admin, data=b"x" * nats_streams.COMMAND_BYTES_MAX
            )
        with pytest.raises(nats.errors.MaxPayloadError):
            await support.send_command(reader.admin, data=b"x" * (1024 * 1024 + 1))
        await reader.send("small")

        assert _names(await reader.fetch(1)) == ["small"]


@pytest.mark.asyncio
async def test_nobody_can_forge_a_command_with_the_brokers_help(
    tmp_path: Path,
) -> None:
    """The broker sends its acknowledgement, and events that a user asks for, to any
    reply subject. What comes to COMMANDS that way is handed out with a refusal."""
    forged = nats_wire.command_subject("admin", "default", "pod", "x", "delete")
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        await nats_wire.ensure_streams(reader.control.jetstream())
        event = nats_wire.event_subject("default", "pod", "x", "PodCreated")
        await reader.control.jetstream().publish(event, headers={"Nats-Msg-Id": "1"})
        bob = await broker.connect("bob")
        await bob.publish(
            nats_wire.command_subject("bob", "default", "pod", "x", "delete"),
            reply=forged,
            headers={"Nats-Msg-Id": str(uuid.uuid4())},
        )
        consumer = await bob.jetstream().add_consumer("EVENTS")
        await bob.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.EVENTS.{consumer.name}", b"1", reply=forged
        )
        commands = await reader.fetch(3)
        genuine, *others = commands

        assert genuine.target is not None
        assert (genuine.target.user, genuine.refusal) == ("bob", None)
        assert {command.subject for command in others} <= {forged, event}
        assert all(command.refusal for command in others)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "said"),
    [({}, "Nats-Msg-Id is missing"), ({"Nats-Msg-Id": "17"}, "not be a number")],
)
async def test_a_command_without_a_proper_id_can_be_answered(
    tmp_path: Path, headers: dict[str, str], said: str
) -> None:
    """The sender is told what to do, at the place they named."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        inbox = reader.admin.new_inbox()
        await reader.admin.publish(
            nats_wire.command_subject("admin", "default", "pod", "x", "delete"),
            headers={**headers, "Rollbook-Reply": inbox},
        )
        (command,) = await reader.fetch(1)

        assert said in str(command.refusal)
        assert command.reply_to == inbox


@pytest.mark.asyncio
async def test_a_malformed_subject_ends_nothing(tmp_path: Path) -> None:
    """It is handed out with a refusal, like everything else that is wrong."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        inbox = reader.admin.new_inbox()
        await reader.admin.publish(
            "rollbook.cmd.admin.what", headers={"Rollbook-Reply": inbox}
        )
        (command,) = await reader.fetch(1)

        assert command.target is None
        assert "not one of a command" in str(command.refusal)
        assert command.reply_to == inbox


@pytest.mark.asyncio
async def test_the_answer_goes_to_no_inbox_but_the_senders(tmp_path: Path) -> None:
    """A reply subject of somebody else is ignored; the command itself is good."""
    async with support.broker(tmp_path) as broker:
        reader = Reader(broker)
        await reader.start()
        await support.send_command(
            reader.admin, reply_to=nats_wire.assign_subject("worker-1")
        )
        (command,) = await reader.fetch(1)

        assert (command.refusal, command.reply_to) == (None, None)


async def _as_operator(broker: support.Broker, subject: str) -> None:
    """Ask JetStream for what no role may: with a user added to the configuration."""
    path = broker.server.configuration.path
    text = path.read_text()
    operator = '{user: "operator", password: "operator"},\n    {user: "control"'
    path.write_text(text.replace('{user: "control"', operator, 1))
    process = broker.server.pid
    assert process is not None
    client = None
    async with asyncio.timeout(support.WAIT_SECONDS):
        os.kill(process, signal.SIGHUP)
        while client is None:
            try:
                client = await nats_wire.connect(
                    broker.server.url, "operator", "operator", "operator"
                )
            except errors.Permanent:
                await asyncio.sleep(0.02)
    try:
        await client.request(subject, timeout=support.WAIT_SECONDS)
    finally:
        await nats_wire.close(client)
