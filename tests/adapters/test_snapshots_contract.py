"""What every event log promises of snapshots, whichever store it lives in."""

import pytest

from adapters import eventlog
from domain import errors
from tests.adapters import conftest
from tests.adapters.appends import row
from tests.adapters.test_eventlog_contract import assert_as_begun, begun


def test_snapshots(store: conftest.Store) -> None:
    """Several of each name stay; the furthest that fits the question is found."""
    log = begun(store)
    log.save_snapshot("actual", 1, 1, b"other")
    for position in (1, 3, 2):
        log.save_snapshot("desired", position, 1, b"%d" % position)

    assert log.load_snapshot("desired", 1) == (3, b"3")
    assert log.load_snapshot("desired", 1, at_most=2) == (2, b"2")
    assert log.load_snapshot("desired", 1, at_most=1) == (1, b"1")
    assert log.load_snapshot("desired", 1, at_most=0) is None
    assert log.load_snapshot("desired", 2) is None
    assert log.load_snapshot("actual", 1) == (1, b"other")


def test_snapshot_of_another_version(store: conftest.Store) -> None:
    """What other code has saved goes when this code saves: of that name, no other."""
    log = begun(store)
    log.save_snapshot("actual", 3, 1, b"other")
    log.save_snapshot("desired", 2, 1, b"old 2")
    log.save_snapshot("desired", 3, 1, b"old 3")

    log.save_snapshot("desired", 1, 2, b"new 1")

    assert log.load_snapshot("desired", 2) == (1, b"new 1")
    assert log.load_snapshot("desired", 1) is None
    assert log.load_snapshot("actual", 1) == (3, b"other")


def test_snapshot_discarded(store: conftest.Store) -> None:
    """It is gone, and nothing else is; a second time is harmless."""
    log = begun(store)
    log.save_snapshot("desired", 2, 1, b"2")
    log.save_snapshot("desired", 3, 1, b"3")

    log.discard_snapshot("desired", 3, 2)
    assert log.load_snapshot("desired", 1) == (3, b"3")
    for _ in range(2):
        log.discard_snapshot("desired", 3, 1)

    assert log.load_snapshot("desired", 1) == (2, b"2")


def test_snapshots_have_bounded_room(
    store: conftest.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much goes; the first, the newest two and what is between remain."""
    monkeypatch.setattr(eventlog, "SNAPSHOT_BYTES", 400)
    log = store.open()
    log.append([row(i, f"pod/default/web-{i}", 1) for i in range(1, 65)])

    for position in range(1, 65):
        log.save_snapshot("desired", position, 1, bytes(100))

    kept, at_most = [], 64
    while (found := log.load_snapshot("desired", 1, at_most)) is not None:
        kept.append(found[0])
        at_most = found[0] - 1
    assert len(kept) == 4
    assert kept[:2] == [64, 63]
    assert 8 <= kept[3] < kept[2] <= 56


def test_the_newest_two_snapshots_stay_however_large(
    store: conftest.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest may be the one that is damaged."""
    monkeypatch.setattr(eventlog, "SNAPSHOT_BYTES", 1)
    log = begun(store)

    for position in (1, 2, 3):
        log.save_snapshot("desired", position, 1, bytes(100))

    assert log.load_snapshot("desired", 1) == (3, bytes(100))
    assert log.load_snapshot("desired", 1, 2) == (2, bytes(100))
    assert log.load_snapshot("desired", 1, 1) is None


def test_a_reader_keeps_snapshots(store: conftest.Store) -> None:
    """It has the fold, and cannot append: a snapshot is no part of the log."""
    writer = begun(store)
    reader = store.open(read_only=True)

    reader.save_snapshot("desired", 3, 1, b"three")
    assert writer.load_snapshot("desired", 1) == (3, b"three")

    reader.discard_snapshot("desired", 3, 1)
    assert writer.load_snapshot("desired", 1) is None
    assert_as_begun(writer)


def test_snapshot_saved_twice(store: conftest.Store) -> None:
    """Of two snapshots at one position the later one counts."""
    log = begun(store)
    log.save_snapshot("desired", 3, 1, b"first")
    log.save_snapshot("desired", 3, 1, bytes(range(256)) * 40_000)

    assert log.load_snapshot("desired", 1) == (3, bytes(range(256)) * 40_000)


def test_snapshot_beyond_the_log(store: conftest.Store) -> None:
    """A snapshot of positions that are not in the log is refused."""
    log = begun(store)

    with pytest.raises(errors.Conflict) as refusal:
        log.save_snapshot("desired", 4, 1, b"")

    assert (refusal.value.expected, refusal.value.current) == (4, 3)
    assert log.load_snapshot("desired", 1) is None
