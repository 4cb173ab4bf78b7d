"""The reader's snapshots: taken beside the fold, and a start for those who come."""

import asyncio
import logging

import pytest

from adapters import cancelling
from adapters.memory_log import MemoryLog
from domain import errors
from gateway import snapshotting
from gateway.reader import Reader
from projections import nearest, snapshots
from tests.gateway.support import WAIT_SECONDS, Written
from tests.properties.scripts import SCRIPTS
from tests.support.cluster import SimCluster
from tests.support.deep import inside


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots are due after a handful of events."""
    monkeypatch.setattr(nearest, "EVERY_EVENTS", 20)
    monkeypatch.setattr(nearest, "EVERY_OBJECTS", 0)


@pytest.fixture(scope="module")
def sim() -> SimCluster:
    """A log of a few hundred events; nobody adds to it."""
    return SCRIPTS[0]()


async def saved(reader: Reader) -> None:
    """Afterwards nothing is being written any more."""
    if reader._saver.saving is not None:
        await asyncio.wait([reader._saver.saving], timeout=WAIT_SECONDS)
        await asyncio.sleep(0)
    assert reader._saver.saving is None


def kept(written: Written) -> list[int]:
    """The positions of the snapshots in the store."""
    return sorted(written.store.snapshots.get(snapshots.NAME, {}))


@pytest.mark.asyncio
async def test_snapshots_are_taken_at_ends_of_steps(sim: SimCluster) -> None:
    """S2: each of them is a state that the writer has committed."""
    written = Written(sim)
    reader = written.reader(page_rows=7)
    await reader.catch_up()
    await saved(reader)
    await reader.close()

    assert kept(written)
    assert set(kept(written)) <= {done.position for done in sim.steps}
    assert reader.snapshots_failed == 0


@pytest.mark.asyncio
async def test_a_start_from_a_snapshot_sees_what_a_fold_of_all_sees(
    sim: SimCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The cluster, the lines of `get events`, and what could not be read."""
    written = Written()
    spoilt = next(row for row in sim.log if row.stream == "node/worker-1")
    rows = [
        row._replace(topic="pod.odd.v9") if row is spoilt else row for row in sim.log
    ]
    written.add(rows[:100])
    first = await written.folded()
    await saved(first)
    assert kept(written)
    written.add(rows)
    await first.catch_up()
    await saved(first)
    begin = kept(written)[-1]

    with caplog.at_level(logging.INFO):
        second = await written.folded()

    assert f"the snapshot at {begin} and {len(rows) - begin} events" in caplog.text
    assert inside(second.cluster) == inside(first.cluster)
    assert list(second.happenings) == list(first.happenings)
    assert second.unreadable == first.unreadable
    assert second.unreadable_count == first.unreadable_count == 1
    for reader in (first, second):
        await saved(reader)
        await reader.close()


@pytest.mark.asyncio
async def test_a_damaged_snapshot_is_refused_and_made_anew(
    sim: SimCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted and said; the log is folded instead, and a new one is kept."""
    written = Written(sim)
    at = len(sim.log)
    written.store.snapshots[snapshots.NAME] = {at: (snapshots.version(), b"dust")}

    reader = await written.folded()
    await saved(reader)

    assert reader.position == at
    assert reader.snapshots_refused == 1
    assert f"the snapshot at {at} is not used" in caplog.text
    assert nearest.find(MemoryLog(written.store, read_only=True)).refused == ()
    assert kept(written)
    await reader.close()


@pytest.mark.asyncio
async def test_a_store_that_keeps_no_snapshots_costs_an_alarm_alone(
    sim: SimCluster,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fold goes on and answers; it is counted."""

    def refuse(*_: object) -> None:
        raise errors.Permanent("no room")

    monkeypatch.setattr(MemoryLog, "save_snapshot", refuse)
    reader = await Written(sim).folded()
    await saved(reader)

    assert reader.position == len(sim.log)
    assert reader.snapshots_failed >= 1
    assert "no room" in caplog.text
    await reader.close()


@pytest.mark.asyncio
async def test_no_snapshot_of_a_state_that_is_not_certain(
    sim: SimCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a fold has failed on is no start for the writer."""
    reader = Written(sim).reader()
    fold = reader.cluster.fold

    def failing(recorded: object) -> object:
        if getattr(recorded, "position", 0) == 9:
            raise ValueError("a bug")
        return fold(recorded)  # type: ignore[arg-type]  # what the reader passes

    monkeypatch.setattr(reader.cluster, "fold", failing)
    await reader.catch_up()

    assert reader.unreadable_count >= 1
    assert reader._saver.saving is None
    await reader.close()


@pytest.mark.asyncio
async def test_a_reader_that_ends_leaves_a_snapshot_of_where_it_stood(
    sim: SimCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next start folds nothing, though none was due; and who ends a reader may
    ask again and again meanwhile."""
    monkeypatch.setattr(nearest, "EVERY_EVENTS", 1_000_000)
    monkeypatch.setattr(nearest, "WORTH_EVENTS", len(sim.log))
    monkeypatch.setattr(nearest, "WORTH_OBJECTS", 0)
    written = Written(sim)
    reader = await written.folded()
    assert kept(written) == []

    ending = asyncio.create_task(reader.close())
    await asyncio.sleep(0)
    await cancelling.end(ending, again=0.001)

    assert kept(written) == [len(sim.log)]
    with caplog.at_level(logging.INFO):
        second = await written.folded()
    assert f"the snapshot at {len(sim.log)} and 0 events" in caplog.text
    assert inside(second.cluster) == inside(reader.cluster)
    await second.close()
    assert kept(written) == [len(sim.log)]


@pytest.mark.asyncio
async def test_a_reader_that_ends_does_not_wait_for_what_spares_nothing(
    sim: SimCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being encoded is given up, and leaves nothing behind."""
    monkeypatch.setattr(nearest, "WORTH_EVENTS", 1_000_000)
    written = Written(sim)
    reader = written.reader()
    await reader.catch_up()
    assert reader._saver.saving is not None
    await reader.close()

    assert reader._saver.saving is None
    assert kept(written) == []


@pytest.mark.asyncio
async def test_a_last_snapshot_that_takes_too_long_is_given_up(
    sim: SimCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends a process ends it for good in the end; it is no failure."""
    monkeypatch.setattr(snapshotting, "CLOSING_SECONDS", 0.0)
    monkeypatch.setattr(nearest, "WORTH_EVENTS", 1)
    monkeypatch.setattr(nearest, "WORTH_OBJECTS", 0)
    written = Written(sim)
    reader = await written.folded()
    await reader.close()

    assert kept(written) == []
    assert reader.snapshots_failed == 0
