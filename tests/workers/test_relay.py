"""The relay: what was handed to it, what it reads from the store, and what is lost.

EVENTS is looked at on a real broker; the log counts where it was read.
"""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from adapters import cancelling, nats_configuration, nats_streams, nats_wire
from adapters.eventlog import Row
from adapters.memory_log import MemoryLog
from domain import catalogue
from tests.support import nats
from workers import relay as relays
from workers.relay import Relay

TOPIC = catalogue.EVENTS[0].TOPIC
Loss = Callable[["Scene"], Awaitable[None]]


class CountingLog(MemoryLog):
    """A log that remembers behind which positions it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []

    def read(self, after: int, limit: int) -> list[Row]:
        """As `MemoryLog.read`."""
        self.reads.append(after)
        return super().read(after, limit)


class Scene:
    """A log, a broker, and the relay between them."""

    def __init__(
        self, folder: Path, broker: nats.Broker, control: nats_wire.Client
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.control = control
        self.log = CountingLog()
        self.relay = Relay(self.log, nats_wire.EventPublisher(control))

    def commit(self, first: int, last: int, *, handed: bool = True) -> list[Row]:
        """Append rows, and hand them to the relay as control does."""
        rows = [
            Row(at, f"pod/default/p{at}", 1, TOPIC, b'{"at":%d}' % at)
            for at in range(first, last + 1)
        ]
        self.log.append(rows)
        if handed:
            self.relay.wake(rows)
        return rows

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The relay runs; whatever ends it fails the test."""
        task = asyncio.create_task(self.relay.run())
        try:
            yield
            assert not task.done(), task
        finally:
            await cancelling.end(task)

    async def reach(self, position: int) -> None:
        """Wait until the relay says that EVENTS ends with `position`."""
        async with asyncio.timeout(nats.WAIT_SECONDS):
            # The relay tells nobody: its place is a number that control shows.
            while self.relay.position != position:  # noqa: ASYNC110  # see above
                await asyncio.sleep(0.005)

    async def published(self) -> list[int]:
        """The positions in EVENTS, in order; each message is the row of its id."""
        info = await self.control.jetstream().stream_info(nats_streams.EVENTS)
        found: list[int] = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await self.control.jetstream().get_msg(
                nats_streams.EVENTS, seq=sequence
            )
            assert message.headers is not None
            position = int(message.headers[nats_streams.ID_HEADER])
            said = msgspec.json.decode(message.data or b"", type=dict[str, object])
            assert (said["position"], said["at"]) == (position, position)
            assert said["stream"] == f"pod/default/p{position}"
            found.append(position)
        return found

    async def restart(self, stored: Path | None) -> None:
        """The broker comes back with the files of `stored`, or without any."""
        await self.broker.server.stop()
        files = self.folder / "nats" / "jetstream"
        shutil.rmtree(files)
        if stored is not None:
            shutil.copytree(stored, files)
        await self.broker.server.start()
        await nats.until_connected(self.control)


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """All of it, and nothing in the log."""
    async with nats.broker(folder) as broker:
        yield Scene(folder, broker, await broker.connect("control"))


def up_to(last: int) -> list[int]:
    """The positions from the first one."""
    return [*range(1, last + 1)]


@pytest.mark.asyncio
async def test_what_is_handed_over_is_not_read(tmp_path: Path) -> None:
    """Commit after commit goes out without a look into the store."""
    async with scene(tmp_path) as held:
        held.commit(1, 3)
        async with held.running():
            await held.reach(3)
            held.commit(4, 4)
            held.commit(5, 7)
            await held.reach(7)
        assert await held.published() == up_to(7)
        assert held.log.reads == []


@pytest.mark.asyncio
async def test_pages_of_what_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a page is published in pages, none of them from the store."""
    monkeypatch.setattr(relays, "PAGE", 3)
    async with scene(tmp_path) as held:
        held.commit(1, 8)
        async with held.running():
            await held.reach(8)
        assert await held.published() == up_to(8)
        assert held.log.reads == []


@pytest.mark.asyncio
async def test_the_store_fills_the_gap_before_what_is_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EVENTS ends before the first row that was handed over: the store is read until
    they meet, within a page of it, and no row is said twice."""
    monkeypatch.setattr(relays, "PAGE", 3)
    async with scene(tmp_path) as held:
        held.commit(1, 4, handed=False)
        held.commit(5, 8)
        async with held.running():
            await held.reach(8)
        assert await held.published() == up_to(8)
        assert held.log.reads == [0, 3]


@pytest.mark.asyncio
async def test_rows_that_do_not_continue_the_ones_before(tmp_path: Path) -> None:
    """A commit was not handed over: nothing of it is passed over, for what was held
    before the gap is forgotten, and the store has it."""
    async with scene(tmp_path) as held:
        held.commit(1, 2)
        held.commit(3, 4, handed=False)
        held.commit(5, 6)
        async with held.running():
            await held.reach(6)
        assert await held.published() == up_to(6)
        assert held.log.reads == [0]


@pytest.mark.asyncio
async def test_a_commit_that_hands_nothing_over(tmp_path: Path) -> None:
    """Woken without rows the relay asks the store, whatever it held: a relay whose
    last row is out would find nothing to do."""
    async with scene(tmp_path) as held:
        held.commit(1, 2)
        async with held.running():
            await held.reach(2)
            held.commit(3, 4, handed=False)
            held.relay.wake()
            await held.reach(4)
            held.commit(5, 5)
            await held.reach(5)
        assert await held.published() == up_to(5)
        assert held.log.reads[0] == 2


@pytest.mark.asyncio
async def test_more_than_may_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that lags keeps the newest rows only; the older ones are in the store.
    One commit may be larger than all that may be held."""
    monkeypatch.setattr(relays, "HELD_ROWS", 5)
    monkeypatch.setattr(relays, "PAGE", 4)
    async with scene(tmp_path) as held:
        held.commit(1, 3)
        held.commit(4, 12)
        async with held.running():
            await held.reach(12)
            assert held.log.reads == [0, 4]
            held.commit(13, 24)
            await held.reach(24)
        assert await held.published() == up_to(24)
        assert held.log.reads == [0, 4, 12, 16]


@pytest.mark.asyncio
async def test_a_publish_that_fails_keeps_the_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker is away: the rows wait for it, and need not be read when it is
    back."""
    caplog.set_level(logging.INFO, relays.__name__)
    async with scene(tmp_path) as held:
        held.commit(1, 2)
        async with held.running():
            await held.reach(2)
            await held.broker.server.stop()
            held.commit(3, 4)
            async with asyncio.timeout(nats.WAIT_SECONDS):
                while not caplog.records:  # noqa: ASYNC110  # a log cannot be awaited
                    await asyncio.sleep(0.005)
            held.commit(5, 6)
            assert held.relay.position == 2
            await held.broker.server.start()
            await held.reach(6)
        assert await held.published() == up_to(6)
        assert held.log.reads == []


@pytest.mark.asyncio
async def test_what_another_relay_has_published(tmp_path: Path) -> None:
    """A relay that was replaced has come further than this one knows: a publish is
    refused, and goes on behind the other's, out of what was handed over."""
    async with scene(tmp_path) as held:
        other = Relay(held.log, nats_wire.EventPublisher(held.control))
        first = held.commit(1, 2)
        async with held.running():
            await held.reach(2)
            more = held.commit(3, 4, handed=False)
            other.wake([*first, *more])
            held.relay, this = other, held.relay
            async with held.running():
                await held.reach(4)
            held.relay = this
            held.relay.wake(more)
            held.commit(5, 6)
            await held.reach(6)
        assert await held.published() == up_to(6)
        assert held.log.reads == []


async def wiped(held: Scene) -> None:
    """The broker has lost its disk."""
    await held.restart(None)


async def went_back(held: Scene) -> None:
    """The broker came back with its files as they were a while ago."""
    await held.restart(held.folder / "older")


async def deleted(held: Scene) -> None:
    """Somebody has deleted the stream."""
    await held.control.jetstream().delete_stream(nats_streams.EVENTS)


def permit_purging(monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of Rollbook may purge EVENTS: only who runs the broker."""
    usual = nats_configuration._CONTROL
    more = (*usual.publish, "$JS.API.STREAM.PURGE.EVENTS")
    changed = msgspec.structs.replace(usual, publish=more)
    monkeypatch.setattr(nats_configuration, "_CONTROL", changed)


async def purged(held: Scene) -> None:
    """Somebody has emptied the stream, which goes on counting; and the broker was
    restarted, so that it does not know any more what it stored last."""
    await held.control.jetstream().purge_stream(nats_streams.EVENTS)
    await held.broker.server.stop()
    await held.broker.server.start()
    await nats.until_connected(held.control)


@pytest.mark.asyncio
@pytest.mark.parametrize("lose", [wiped, went_back, deleted, purged])
async def test_a_loss_that_reaches_back_behind_what_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lose: Loss
) -> None:
    """What was published once is read from the store again, and afterwards EVENTS has
    every position once and in order."""
    # Ids that are remembered for long only make the relay wait longer.
    config = nats_streams.EVENTS_CONFIG.evolve(duplicate_window=1)
    permit_purging(monkeypatch)
    monkeypatch.setattr(nats_streams, "EVENTS_CONFIG", config)
    monkeypatch.setattr(relays, "HELD_ROWS", 4)
    monkeypatch.setattr(relays, "PAGE", 3)
    async with scene(tmp_path) as held:
        async with held.running():
            held.commit(1, 2)
            await held.reach(2)
            if lose is went_back:
                await held.broker.server.stop()
                files = held.folder / "nats" / "jetstream"
                shutil.copytree(files, held.folder / "older")
                await held.broker.server.start()
                await nats.until_connected(held.control)
            held.commit(3, 9)
            await held.reach(9)
            before = len(held.log.reads)
            await lose(held)
            held.commit(10, 11)
            await held.reach(11)
        assert await held.published() == up_to(11)
        again = held.log.reads[before:]
        assert again[0] == (2 if lose is went_back else 0)
        assert max(again) < 9


@pytest.mark.asyncio
async def test_a_purge_between_two_publications(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream still knows what it stored last, and is fenced by it: as behind its
    bound of bytes, what is older is in the store, and EVENTS goes on without a gap."""
    permit_purging(monkeypatch)
    async with scene(tmp_path) as held:
        async with held.running():
            held.commit(1, 4)
            await held.reach(4)
            await held.control.jetstream().purge_stream(nats_streams.EVENTS)
            held.commit(5, 7)
            await held.reach(7)
        assert await held.published() == [5, 6, 7]
        assert held.log.reads == []
