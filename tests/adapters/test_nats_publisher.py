"""Events out: an exact copy of the log, and the way back after a loss."""

import asyncio
import shutil
from pathlib import Path

import pytest

from adapters import nats_publisher, nats_wire
from domain import errors
from tests.support import nats as support


def _events(first: int, last: int, data: bytes = b"{}") -> list[tuple[str, int, bytes]]:
    subject = nats_wire.event_subject("default", "pod", "nginx", "PodCreated")
    return [(subject, position, data) for position in range(first, last + 1)]


async def _positions(client: nats_wire.Client) -> list[str]:
    """The ids of all messages in EVENTS, in order."""
    info = await client.jetstream().stream_info("EVENTS")
    ids = []
    for sequence in range(info.state.first_seq, info.state.last_seq + 1):
        message = await client.jetstream().get_msg("EVENTS", seq=sequence)
        ids.append((message.headers or {}).get("Nats-Msg-Id", ""))
    return ids


@pytest.mark.asyncio
async def test_events_are_published_and_continued(tmp_path: Path) -> None:
    """The next relay learns from the stream how far the one before had come."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        publisher = nats_wire.EventPublisher(control)
        assert await publisher.start() == 0
        assert await publisher.publish(_events(1, 3)) == 3
        assert await publisher.publish([]) == 3
        assert await publisher.publish(_events(4, 4)) == 4

        second = nats_wire.EventPublisher(control)
        assert await second.start() == 4
        assert await second.publish(_events(5, 6)) == 6
        assert await _positions(control) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.asyncio
async def test_a_stream_that_has_moved_says_where_to_continue(tmp_path: Path) -> None:
    """Another relay has published meanwhile: nothing is stored twice or out of order,
    and the answer is the position behind which to publish."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        first = nats_wire.EventPublisher(control)
        second = nats_wire.EventPublisher(control)
        assert await first.start() == await second.start() == 0
        assert await second.publish(_events(1, 4)) == 4

        assert await first.publish(_events(7, 8)) == 4
        assert await first.publish(_events(5, 6)) == 6
        assert await second.publish(_events(3, 5)) == 6
        assert await _positions(control) == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.asyncio
async def test_a_message_lost_in_the_middle_stops_the_rest(tmp_path: Path) -> None:
    """The first batch is stored but for its end, which the broker refuses (here: its
    subject belongs to no stream); what comes behind must not be stored over the gap."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        publisher = nats_wire.EventPublisher(control)
        events = _events(1, 5)
        events[2] = ("rollbook.not.permitted", 3, b"{}")

        assert await publisher.publish(events) == 2
        assert await publisher.publish(_events(3, 5)) == 5
        assert await _positions(control) == ["1", "2", "3", "4", "5"]


@pytest.mark.asyncio
async def test_a_wiped_stream_is_filled_again(tmp_path: Path) -> None:
    """EVENTS is a copy: when it is lost the answer is 0, and the log fills it."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        publisher = nats_wire.EventPublisher(control)
        assert await publisher.publish(_events(1, 3)) == 3
        await broker.server.stop()
        shutil.rmtree(tmp_path / "nats" / "jetstream")
        await broker.server.start()
        await support.until_connected(control)
        with pytest.raises(errors.Transient):
            await publisher.publish(_events(4, 5))

        assert await publisher.start() == 0
        assert await publisher.publish(_events(1, 5)) == 5
        assert await _positions(control) == ["1", "2", "3", "4", "5"]


@pytest.mark.asyncio
async def test_a_stream_ahead_of_the_log_can_be_cleared(tmp_path: Path) -> None:
    """After a restored backup the same positions mean other events; they are stored,
    though the broker has just seen these ids."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        publisher = nats_wire.EventPublisher(control)
        assert await publisher.publish(_events(1, 3)) == 3
        await publisher.clear()

        assert await publisher.publish(_events(2, 2, b"other")) == 2
        message = await control.jetstream().get_msg("EVENTS", seq=1)
        assert message.data == b"other"


@pytest.mark.asyncio
async def test_an_event_that_fits_into_no_message_leaves_a_mark(tmp_path: Path) -> None:
    """Readers see its position and read it from the store; the relay goes on."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        publisher = nats_wire.EventPublisher(control)
        large = b"x" * (1024 * 1024)

        assert await publisher.publish([*_events(1, 1, large), *_events(2, 2)]) == 2
        message = await control.jetstream().get_msg("EVENTS", seq=1)
        assert not message.data
        assert message.headers is not None
        assert message.headers[nats_publisher.OMITTED_HEADER] == str(len(large))


@pytest.mark.asyncio
async def test_what_is_no_event_does_not_hide_the_position(tmp_path: Path) -> None:
    """A user can make the broker put its own answers into EVENTS; the relay looks
    past them, and publishes on behind them."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        admin = await broker.connect("admin")
        await nats_wire.ensure_streams(control.jetstream())
        publisher = nats_wire.EventPublisher(control)
        assert await publisher.publish(_events(1, 2)) == 2
        await admin.publish(
            nats_wire.command_subject("admin", "default", "pod", "x", "delete"),
            reply=nats_wire.event_subject("default", "pod", "x", "PodRemoved"),
        )
        await _until_stored(control, 3)

        assert await nats_wire.EventPublisher(control).start() == 2
        assert await publisher.publish(_events(3, 3)) == 2
        assert await publisher.publish(_events(3, 3)) == 3
        assert await _positions(control) == ["1", "2", "", "3"]


@pytest.mark.asyncio
async def test_a_user_follows_the_events(tmp_path: Path) -> None:
    """With nothing but a user's permissions: history from the stream, then live."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        admin = await broker.connect("admin")
        publisher = nats_wire.EventPublisher(control)
        await publisher.publish(_events(1, 2))
        subscription = await admin.jetstream().subscribe(
            "rollbook.event.>", stream="EVENTS", ordered_consumer=True
        )
        await publisher.publish(_events(3, 3))
        ids = []
        for _ in range(3):
            message = await subscription.next_msg(timeout=support.WAIT_SECONDS)
            ids.append((message.headers or {})["Nats-Msg-Id"])
        await subscription.unsubscribe()

        assert ids == ["1", "2", "3"]


async def _until_stored(client: nats_wire.Client, count: int) -> None:
    """Wait until EVENTS has `count` messages."""
    async with asyncio.timeout(support.WAIT_SECONDS):
        while len(await _positions(client)) < count:  # noqa: ASYNC110 # as above
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_two_relays_that_count_from_different_places(tmp_path: Path) -> None:
    """The first of five messages is refused, because another relay was faster; its
    event is not the first one of the five, so the second one is refused as well, though
    the sequence is the one that it names."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        former = nats_wire.EventPublisher(control)
        new = nats_wire.EventPublisher(control)
        assert await former.start() == await new.start() == 0

        assert await former.publish(_events(13, 13)) == 13
        assert await new.publish(_events(1, 5)) == 13
        assert await new.publish(_events(14, 15)) == 15
        assert await _positions(control) == ["13", "14", "15"]


@pytest.mark.asyncio
async def test_a_stream_that_was_made_anew_is_another_one(tmp_path: Path) -> None:
    """It is as long as the former one was, and ends with another event: nothing is
    stored behind that as if it were the one before."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        former = nats_wire.EventPublisher(control)
        new = nats_wire.EventPublisher(control)
        assert await former.publish(_events(10, 12)) == 12
        await new.clear()
        assert await new.publish(_events(1, 3)) == 3

        assert await former.publish(_events(13, 13)) == 3
        assert await former.publish(_events(4, 5)) == 5
        assert await _positions(control) == ["1", "2", "3", "4", "5"]


@pytest.mark.asyncio
async def test_a_broker_that_was_restarted_is_continued(tmp_path: Path) -> None:
    """Whether or not it remembers the id that is named: the second try is stored."""
    async with support.broker(tmp_path) as broker:
        control = await broker.connect("control")
        publisher = nats_wire.EventPublisher(control)
        assert await publisher.publish(_events(1, 3)) == 3
        await broker.server.restart()
        await support.until_connected(control)

        await publisher.publish(_events(4, 5))
        assert await publisher.publish(_events(4, 5)) == 5
        assert await _positions(control) == ["1", "2", "3", "4", "5"]
