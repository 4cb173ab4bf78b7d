"""A store and the archive of its beginning, as one log: nobody who reads it can tell.

That such a log keeps the port's contract is tried in `test_eventlog_contract.py`, as
the store `archived`; what an archive is by itself, in `test_archive.py`.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import archive, eventstore
from adapters.archive_marker import Marker
from adapters.archive_segment import Damaged
from adapters.eventlog import EventLog, Row
from domain import errors
from tests.adapters import conftest, taking
from tests.adapters.taking import EVENTS, SEGMENT, extend, fill, middle, rows_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store that holds the log."""
    return taking.filled(tmp_path)


@pytest.fixture
def joined(url: str, tmp_path: Path) -> Iterator[EventLog]:
    """A reader of the store, whose first 42 rows are in the archive only."""
    path = tmp_path / "archive"
    extend(url, path, 42)
    with contextlib.closing(eventstore.open_log(url)) as log:
        taking.remove(taking.store_of(log), path)
    with contextlib.closing(eventstore.open_log(url, read_only=True)) as log:
        yield log


def test_who_reads_cannot_tell(joined: EventLog) -> None:
    """Rows, streams and seals across the seam are those of before."""
    rows = rows_of()
    node = [row for row in rows if row.stream == "node/worker-1"]

    assert joined.read(0, 99) == rows
    assert joined.read(40, 4) == rows[40:44]
    assert joined.scan(-(2**63), 99) == rows
    assert joined.read_stream("node/worker-1") == node
    assert joined.read_stream("node/worker-1", 20, 12, True) == node[:-13:-1]
    assert len(joined.read_seals(0, 99)) == 20
    assert joined.tracked("commands") == 58


def test_the_store_knows_without_its_archive(joined: EventLog, tmp_path: Path) -> None:
    """The folder is away: the rest goes on, the first row is known, a read says why."""
    (tmp_path / "archive").rename(tmp_path / "elsewhere")

    assert joined.read(0, 1) == rows_of()[:1]
    assert joined.read(42, 99) == rows_of()[42:]
    assert joined.read_stream("node/none") == []
    newest = joined.read_stream("node/worker-1", limit=1, descending=True)
    assert newest[0].version == 39
    with pytest.raises(Damaged, match="positions 1–42 are in the archive") as refusal:
        joined.read(5, 1)
    assert (refusal.value.first, refusal.value.last) == (1, 42)

    moved = f"sqlite://{tmp_path}/log.db?archive={tmp_path}/elsewhere"
    with contextlib.closing(eventstore.open_log(moved, read_only=True)) as log:
        assert log.read(0, 99) == rows_of()


def test_the_wrong_archive(joined: EventLog, tmp_path: Path) -> None:
    """Another log's archive is refused, not read."""
    address = f"sqlite://{tmp_path}/two.db"
    with contextlib.closing(eventstore.open_log(address)) as log:
        fill(log, rows_of(EVENTS, "two"))
    extend(address, tmp_path / "second")
    wrong = f"sqlite://{tmp_path}/log.db?archive={tmp_path}/second"

    with (
        contextlib.closing(eventstore.open_log(wrong, read_only=True)) as log,
        pytest.raises(Damaged, match="not the archive of this store"),
    ):
        log.read(5, 1)
    assert joined.read(5, 1) == rows_of()[5:6]


def test_an_archive_that_lost_its_end(joined: EventLog, tmp_path: Path) -> None:
    """What the marker speaks of and no file holds is named; the rest is served."""
    middle(tmp_path / "archive").unlink()
    (tmp_path / "archive" / archive.MANIFEST).unlink()

    assert joined.read(0, 99) == rows_of()[:21]
    with pytest.raises(Damaged, match="22–42"):
        joined.read(21, 1)
    assert joined.read(42, 99) == rows_of()[42:]


def test_streams_beside_the_damage_are_served(joined: EventLog, tmp_path: Path) -> None:
    """A stream that is whole without the damaged segment is served; others are not."""
    middle(tmp_path / "archive").write_bytes(b"")

    assert len(joined.read_stream("pod/default/web-0")) == 2
    assert joined.read_first(["pod/default/web-1"])["pod/default/web-1"][0].version == 1
    with pytest.raises(Damaged, match="22–42"):
        joined.read_stream("pod/default/web-3")
    with pytest.raises(Damaged, match="22–42"):
        joined.read_first(["pod/default/web-0", "pod/default/web-3"])


def test_a_reader_goes_on_while_rows_are_taken_out(url: str, tmp_path: Path) -> None:
    """A reader that was open before finds the archive by itself."""
    with contextlib.closing(eventstore.open_log(url, read_only=True)) as reader:
        assert reader.read(0, 1) == rows_of()[:1]
        taking.take_out(url, tmp_path / "archive", 42, rows=SEGMENT)

        assert len(reader.read_stream("node/worker-1")) == 39
        assert reader.read(0, 99) == rows_of()
        assert len(reader.read_seals(0, 99)) == 20


def marker_at(log: EventLog, position: int, folder: Path) -> Marker:
    """The marker that says that everything up to `position` is in `folder`."""
    return Marker(
        last=position,
        digest=log.read_seals(position - 1, 1)[0].digest,
        folder=str(folder),
        founding=log.read(0, 1)[0],
    )


def test_the_last_step_stays(durable_store: conftest.UrlStore, tmp_path: Path) -> None:
    """A store that ends with its archive would not know where it ends."""
    log = durable_store.open()
    fill(log, rows_of())
    store = taking.store_of(log)

    with pytest.raises(errors.Permanent, match="last step is never removed"):
        store.remove(marker_at(log, EVENTS, tmp_path))

    assert log.read(0, 99) == rows_of()


def test_another_seal_removes_nothing(
    durable_store: conftest.UrlStore, tmp_path: Path
) -> None:
    """The store's own seal must be the archive's, or nothing goes."""
    log = durable_store.open()
    fill(log, rows_of())
    store = taking.store_of(log)
    wrong = marker_at(log, 42, tmp_path)

    with pytest.raises(errors.Permanent, match="another seal at position 42"):
        store.remove(Marker(last=42, digest=b"x", folder="", founding=wrong.founding))

    assert store.archived() is None
    assert log.read(0, 99) == rows_of()


def test_every_database_takes_rows_out(
    durable_store: conftest.UrlStore, tmp_path: Path
) -> None:
    """Rows go, versions stay known, appends are checked against both."""
    log = durable_store.open()
    fill(log, rows_of())
    log.close()
    taking.take_out(durable_store.url, tmp_path / "archive", 42, rows=SEGMENT)

    log = durable_store.open()
    store = taking.store_of(log)
    assert [row.position for row in store.read(42, 99)] == [*range(43, 61)]
    assert log.read(0, 99) == rows_of()
    assert store.archived_versions(["pod/default/web-3", "none"]) == {
        "pod/default/web-3": 3
    }
    for version in (1, 2, 3, 5):
        with pytest.raises(errors.Conflict) as refusal:
            log.append([Row(61, "pod/default/web-3", version, "Again", b"{}")])
        assert (refusal.value.expected, refusal.value.current) == (version, 3)
    log.append([Row(61, "pod/default/web-3", 4, "Again", b"{}")])
    assert [r.version for r in log.read_stream("pod/default/web-3")] == [1, 2, 3, 4]
