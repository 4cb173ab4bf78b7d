"""S4 for snapshots: a fold that was kept goes on as if it had never been away."""

import functools
from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from adapters.memory_log import MemoryLog, MemoryStore
from domain import catalogue, command
from domain.catalogue import Unreadable
from domain.events import Recorded
from projections import code_digest, nearest, snapshots
from projections.cluster import Cluster
from projections.happenings import Happenings
from tests.properties import scripts, scripts_checked
from tests.properties.scripts import Script
from tests.support.cluster import SimCluster
from tests.support.deep import inside

SCRIPTS: Final = (*scripts.SCRIPTS, *scripts_checked.SCRIPTS)
SPREAD = 6
"""So many positions of each story are tried."""
SHARED: Final = 140
"""A position that both of the first two stories have."""


@functools.cache
def story(script: Script) -> SimCluster:
    """What the script has written; nobody changes it."""
    return script()


def fold(
    rows: list[Recorded], cluster: Cluster, happenings: Happenings
) -> tuple[Cluster, Happenings]:
    """Both after these events."""
    for recorded in rows:
        happenings.evolve(recorded, cluster.fold(recorded), cluster)
    return cluster, happenings


def events(sim: SimCluster) -> list[Recorded]:
    """The stored log, decoded."""
    return [catalogue.decode(*row) for row in sim.log]


def saved(sim: SimCluster, position: int = 0) -> bytes:
    """A snapshot of the story at `position`, or at its end."""
    return snapshots.encode(*fold(events(sim)[: position or None], *new()))


def new() -> tuple[Cluster, Happenings]:
    """Nothing yet."""
    return Cluster(), Happenings()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_what_was_kept_is_what_was_and_goes_on_alike(script: Script) -> None:
    """At any position, the middle of a step included: every attribute of every
    projection, in its order, comes back, and the fold to the end comes to the same."""
    log = events(story(script))
    whole = fold(log, *new())

    for position in range(1, len(log), max(1, len(log) // SPREAD)):
        before = fold(log[:position], *new())
        data = snapshots.encode(*before)
        after = snapshots.decode(data), snapshots.decode_rest(data).happenings

        assert inside(after[0]) == inside(before[0])
        assert list(after[1]) == list(before[1])
        gone_on = fold(log[position:], *after)
        assert inside(gone_on[0]) == inside(whole[0])
        assert list(gone_on[1]) == list(whole[1])


def test_a_cut_is_not_reached_by_what_is_folded_later() -> None:
    """A snapshot may be encoded while the fold goes on: it speaks of its position."""
    log = events(story(SCRIPTS[1]))
    cluster, happenings = fold(log[:60], *new())
    at_once = snapshots.encode(cluster, happenings)

    made = snapshots.cut(cluster, happenings)
    frames = snapshots.frames(made)
    first = next(frames)
    fold(log[60:], cluster, happenings)

    assert snapshots.whole([first, *frames]) == at_once


def test_what_could_not_be_read_is_kept() -> None:
    """The versions of events that were passed over, and why they were."""
    cluster = Cluster()
    cluster.skip(1, "pod/default/web", 7)
    why = Unreadable(1, "pod/default/web", "pod.odd.v1", "it is odd", 7)

    data = snapshots.encode(cluster, set_aside=[why])

    assert snapshots.decode(data).version_of("pod/default/web") == 7
    assert snapshots.decode(data).unreadable == 1
    assert snapshots.decode_rest(data).set_aside == [why]


def test_no_spot_of_a_snapshot_can_be_spoilt_unnoticed() -> None:
    """One flipped bit anywhere, any end torn off, nothing at all: it is said so."""
    data = saved(story(SCRIPTS[0]))

    for at in range(0, len(data), max(1, len(data) // 200)):
        spoilt = bytearray(data)
        spoilt[at] ^= 0x10
        with pytest.raises(snapshots.Damaged):
            snapshots.decode(bytes(spoilt))
        with pytest.raises(snapshots.Damaged):
            snapshots.decode(data[:at])
    with pytest.raises(snapshots.Damaged):
        snapshots.decode(data + b"\0")


def test_the_snapshot_of_other_code_is_not_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even where a store offers it: the whole digest of the code is in its header."""
    with monkeypatch.context() as other:
        other.setattr(code_digest, "code", lambda: "0" * 64)
        data = saved(story(SCRIPTS[0]))

    with pytest.raises(snapshots.Damaged, match="another version"):
        snapshots.decode(data)


def test_the_version_covers_the_code_that_folds() -> None:
    """It is a number that stores can keep, made of the sources of all that folds."""
    assert 0 <= snapshots.version() < 2**31
    assert len(code_digest.code()) == 64


# --- which snapshot may be believed -----------------------------------------------


def store_of(sim: SimCluster) -> MemoryLog:
    """The story's log in a store of its own, open for a reader."""
    store = MemoryStore()
    store.rows, store.streams = list(sim.log), dict(sim.store.streams)
    return MemoryLog(store, read_only=True)


def keep(log: MemoryLog, position: int, data: bytes) -> None:
    """Afterwards the store holds it as a snapshot of this code."""
    log.save_snapshot(snapshots.NAME, position, snapshots.version(), data)


def test_the_nearest_one_is_found() -> None:
    """The newest, or the newest that is not beyond the position asked for."""
    sim = story(SCRIPTS[0])
    log = store_of(sim)
    for position in (20, 40):
        keep(log, position, saved(sim, position))

    found = [nearest.find(log, at_most) for at_most in (None, 40, 39, 19)]

    assert [each.cluster and each.cluster.position for each in found] == [
        40,
        40,
        20,
        None,
    ]
    assert not any(each.refused for each in found)


def forged(sim: SimCluster, **change: object) -> bytes:
    """A whole snapshot at 40 that says something else of itself."""
    cluster, happenings = fold(events(sim)[:40], *new())
    for name, value in change.items():
        setattr(cluster, name, value)
    return snapshots.encode(cluster, happenings)


BAD: Final[dict[str, Callable[[SimCluster], bytes]]] = {
    "empty": lambda _: b"",
    "truncated": lambda sim: saved(sim, 40)[:-1],
    "one byte flipped": lambda sim: saved(sim, 40).replace(b"RBSNAP01", b"RBSNAP03"),
    "of another position": lambda sim: saved(sim, 30),
    "beyond the log's end": lambda sim: forged(sim, position=10_000),
    "of another cluster": lambda sim: forged(sim, uid="another"),
    "of another history": lambda sim: forged(sim, timestamp=1.0),
    "not a snapshot": lambda _: msgspec.msgpack.encode({"hello": 1}),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_believed_is_refused_and_the_older_one_serves(what: str) -> None:
    """It is named with its reason, and gone, so that it is met only once."""
    sim = story(SCRIPTS[0])
    log = store_of(sim)
    keep(log, 20, saved(sim, 20))
    keep(log, 40, BAD[what](sim))

    found = nearest.find(log)

    assert found.cluster is not None
    assert found.cluster.position == 20
    assert len(found.refused) == 1
    assert "the snapshot at 40" in found.refused[0]
    assert nearest.find(log).refused == ()


def test_a_log_that_went_back_and_grew_again_is_another_log() -> None:
    """The snapshot of what was lost is refused though its position is there again."""
    sim, other = story(SCRIPTS[0]), story(SCRIPTS[1])
    assert sim.log[0] == other.log[0], "both were founded as the same cluster"
    data = saved(sim, SHARED)
    log = store_of(other)
    keep(log, SHARED, data)

    found = nearest.find(log)

    assert found.cluster is None
    assert len(found.refused) == 1


def test_the_spacing_grows_with_the_state() -> None:
    """So many events, or as many as there are objects; else by time, at a bounded
    share of it, and sooner where it spares a start some work."""
    small, large = Cluster(), Cluster()
    large.actual.pods = dict.fromkeys(map(str, range(100_000)))  # type: ignore[assignment]  # only their number matters

    assert nearest.is_due(small, 50_000, 0, 0)
    assert not nearest.is_due(small, 49_999, 0, 0)
    assert not nearest.is_due(large, 99_999, 0, 0)
    assert nearest.is_due(large, 100_000, 0, 0)
    assert nearest.is_due(small, 1, 900, 0)
    assert not nearest.is_due(small, 0, 900, 0)
    assert not nearest.is_due(small, 1, 900, 10)
    assert nearest.is_due(small, 1, 1_000, 10)
    assert nearest.is_due(small, 5_000, 60, 0)
    assert not nearest.is_due(small, 4_999, 60, 0)
    assert not nearest.is_due(small, 5_000, 60, 1)
    assert nearest.is_due(large, 25_000, 60, 0)
    assert not nearest.is_due(large, 24_999, 60, 0)


def test_the_founding_is_what_a_cluster_is_known_by() -> None:
    """The first event of a real log carries the uid that snapshots are checked by."""
    first = catalogue.decode(*story(SCRIPTS[0]).log[0]).event

    assert isinstance(first, command.ClusterFounded)
    assert first.uid == snapshots.decode(saved(story(SCRIPTS[0]))).uid
