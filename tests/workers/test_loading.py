"""The writer's start: from a snapshot or from the log alone, it knows the same."""

import functools
import logging

import pytest

from adapters.memory_log import MemoryLog, MemoryStore
from domain import catalogue, times
from projections import snapshots
from projections.cluster import Cluster
from tests.properties.scripts import SCRIPTS, Script
from tests.support.cluster import SimCluster
from tests.support.deep import inside
from workers import loading
from workers.state import State
from workers.step import step


@functools.cache
def story(script: Script) -> SimCluster:
    """What the script has written; nobody changes it."""
    return script()


def store_of(sim: SimCluster) -> MemoryStore:
    """A copy of the story's store."""
    store = MemoryStore()
    store.rows, store.streams = list(sim.log), dict(sim.store.streams)
    store.tracking = dict(sim.store.tracking)
    return store


def keep(store: MemoryStore, position: int) -> None:
    """Afterwards the store has a snapshot at that position, as a reader takes it."""
    cluster = Cluster()
    for row in store.rows[:position]:
        cluster.fold(catalogue.decode(*row))
    cluster.settle()
    log = MemoryLog(store, read_only=True)
    log.save_snapshot(
        snapshots.NAME, position, snapshots.version(), snapshots.encode(cluster)
    )


def started(store: MemoryStore, now: float) -> State:
    """The writer's state after a start at `now`."""
    state = State()
    loading.load(state, MemoryLog(store, read_only=True))
    state.wake(now)
    return state


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_start_from_a_snapshot_knows_what_a_full_replay_knows(
    script: Script,
) -> None:
    """S4: state, alarms, marks, what was heard; and its first step emits the same."""
    sim = story(script)
    now = times.grid(sim.now + 60)
    replayed = started(store_of(sim), now)
    known = inside(replayed)
    emitted = step(replayed, [], now + 1).events
    ends = [done.position for done in sim.steps if done.events]

    for position in ends[:: max(1, len(ends) // 5)]:
        store = store_of(sim)
        keep(store, position)
        state = started(store, now)

        assert inside(state) == known
        assert step(state, [], now + 1).events == emitted


def test_the_log_says_where_a_start_began(caplog: pytest.LogCaptureFixture) -> None:
    """The snapshot's position, and how many events were folded behind it."""
    sim = story(SCRIPTS[0])
    store = store_of(sim)
    end = sim.steps[len(sim.steps) // 2].position
    keep(store, end)

    with caplog.at_level(logging.INFO):
        started(store, sim.now)

    last = len(sim.log)
    assert f"the snapshot at {end} and {last - end} events behind it" in caplog.text


def test_a_damaged_snapshot_costs_a_longer_replay_and_an_alarm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is counted, named in the log and passed over: the state is the log's."""
    sim = story(SCRIPTS[0])
    store = store_of(sim)
    whole = started(store, sim.now)
    log = MemoryLog(store, read_only=True)
    log.save_snapshot(snapshots.NAME, 9, snapshots.version(), b"RBSNAP01 and dust")

    state = started(store, sim.now)

    assert state.counters == {"snapshots_refused": 1}
    assert "the snapshot at 9 is not used: the checksum" in caplog.text
    assert inside(state.cluster) == inside(whole.cluster)


def test_a_snapshot_of_an_event_that_nobody_can_read_knows_its_version() -> None:
    """The next event of that stream continues it, as after a full replay."""
    sim = story(SCRIPTS[0])
    store = store_of(sim)
    at = next(row.position for row in store.rows if row.stream == "node/worker-1")
    row = store.rows[at - 1]
    store.rows[at - 1] = row._replace(topic="node.odd.v9", version=40)
    cluster = Cluster()
    for held in store.rows[: at + 1]:
        if held.position == at:
            cluster.skip(at, held.stream, held.version)
        else:
            cluster.fold(catalogue.decode(*held))
    whole = started(store, sim.now)
    MemoryLog(store, read_only=True).save_snapshot(
        snapshots.NAME, at + 1, snapshots.version(), snapshots.encode(cluster)
    )

    state = started(store, sim.now)

    assert state.cluster.version_of(row.stream) == 40
    assert state.counters == whole.counters == {"events_unreadable": 1}
