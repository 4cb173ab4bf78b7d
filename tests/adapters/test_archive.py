"""Archives: what is written is read back, and what is damaged is named, not guessed.

That a log whose beginning is in an archive keeps the port's contract is tried in
`test_eventlog_contract.py`, as the store `archived`.
"""

import contextlib
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import archive, archive_segment, archive_writing, eventstore
from adapters.archive import Archive
from adapters.archive_log import ArchivedLog
from adapters.archive_segment import Damaged, Segment
from adapters.eventlog import Row
from domain import errors
from tests.adapters import taking
from tests.adapters.taking import EVENTS, extend, fill, middle, rows_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store that holds the log."""
    return taking.filled(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, url: str) -> Path:
    """The archive of the whole log, in three segments."""
    path = tmp_path / "archive"
    extend(url, path)
    return path


# --- what is written --------------------------------------------------------------


def test_an_archive_alone_is_the_log(folder: Path) -> None:
    """Every row and every seal comes back as the store had it, however it is read."""
    rows = rows_of()
    log = eventstore.open_log(f"archive://{folder}", read_only=True)

    assert log.read(0, 1_000) == rows
    assert log.scan(-1, 1_000) == rows
    assert log.read(20, 2) == rows[20:22]
    assert log.last_position() == EVENTS
    node = [row for row in rows if row.stream == "node/worker-1"]
    assert log.read_stream("node/worker-1") == node
    assert log.read_stream("node/worker-1", 5, 3) == node[5:8]
    assert log.read_stream("node/worker-1", 5, 3, True) == node[:-4:-1]
    assert log.read_stream("node/none") == []
    assert log.read_first(["pod/default/web-2", "none"], 2) == {
        "pod/default/web-2": [r for r in rows if r.stream == "pod/default/web-2"][:2]
    }
    assert [seal.last for seal in log.read_seals(0, 99)] == [*range(3, EVENTS + 1, 3)]
    assert log.last_seal() == log.read_seals(EVENTS - 1, 1)[0]
    with pytest.raises(errors.Permanent, match="reading only"):
        log.append(rows)
    log.close()
    with pytest.raises(errors.Permanent, match="closed"):
        log.read(0, 1)


def test_segments_end_with_steps(folder: Path) -> None:
    """No step is cut, segments follow each other, and the manifest lists them."""
    held = Archive(folder)

    assert [(e.first, e.last) for e in held.entries] == [(1, 21), (22, 42), (43, 60)]
    assert held.cluster == "one"
    assert list(archive.problems(held)) == []


def test_files_are_their_owners_alone(folder: Path) -> None:
    """States may hold secrets: mode 0600, in a folder of 0700."""
    modes = {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}

    assert modes == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_is_continued_where_it_ends(url: str, tmp_path: Path) -> None:
    """A second run adds what came since, and a third one finds nothing to add."""
    path = tmp_path / "archive"
    extend(url, path, 30)
    with contextlib.closing(eventstore.open_log(url)) as log:
        fill(log, rows_of(66)[EVENTS:])

    added = extend(url, path, 66)

    assert [(each.first, each.last) for each in added] == [(31, 51), (52, 66)]
    assert extend(url, path, 66) == []
    assert ArchivedLog(path).read(0, 99) == rows_of(66)


@pytest.mark.parametrize(("until", "last"), [(0, 0), (2, 0), (3, 3), (44, 42)])
def test_until_is_rounded_down_to_a_step(
    url: str, tmp_path: Path, until: int, last: int
) -> None:
    """Whole steps only, so that a segment always ends with a seal."""
    extend(url, tmp_path / "archive", until)

    assert Archive(tmp_path / "archive").last == last


def test_one_position_is_one_block(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading is bounded: the other blocks are not even decompressed."""
    monkeypatch.setattr(archive_segment, "BLOCK_ROWS", 4)
    path = tmp_path / "archive"
    extend(url, path)
    read: list[int] = []
    block = Segment.block

    def counted(segment: Segment, number: int) -> archive_segment.Content:
        read.append(segment.span(number)[0])
        return block(segment, number)

    monkeypatch.setattr(Segment, "block", counted)
    log = ArchivedLog(path)

    assert log.read(24, 1) == rows_of()[24:25]
    assert read == [22]
    read.clear()
    assert len(log.read_stream("pod/default/web-3")) == 3
    assert len(read) <= 3


def test_many_streams_at_once(folder: Path) -> None:
    """A bulk look-up reads the index as a whole, and finds what single ones find."""
    log = ArchivedLog(folder)
    names = [f"pod/default/web-{n}" for n in range(40)]

    found = log.read_first(names)

    assert found == {n: rows for n in names if (rows := log.read_stream(n))}
    assert len(found) == 7


def test_a_crash_in_the_middle_costs_nothing(url: str, tmp_path: Path) -> None:
    """What was not renamed is cleared away; what is not in the manifest yet is kept."""
    path = tmp_path / "archive"
    extend(url, path, 21)
    manifest = (path / archive.MANIFEST).read_bytes()
    extend(url, path, 42)
    (path / archive.MANIFEST).write_bytes(manifest)
    left = path / f".{archive_segment.name(43, 60)}.unfinished"
    left.write_bytes(b"half")

    added = extend(url, path)

    assert [(each.first, each.last) for each in added] == [(43, 60)]
    assert not left.exists()
    assert ArchivedLog(path).read(0, 99) == rows_of()
    assert list(archive.problems(Archive(path))) == []


# --- what does not continue -------------------------------------------------------


def test_an_altered_store_is_not_archived(url: str, tmp_path: Path) -> None:
    """What does not fit its seal is refused by position, and leaves no file behind."""
    with sqlite3.connect(tmp_path / "log.db") as database:
        database.execute(
            "UPDATE stored_events SET state = X'7B7D' WHERE notification_id = 8"
        )
    database.close()

    with pytest.raises(errors.Permanent, match=r"7–9 does not fit its seal"):
        extend(url, tmp_path / "archive")

    assert list((tmp_path / "archive").iterdir()) == []


def other(uid: str, count: int) -> Callable[[Path], None]:
    """Another store in the place of the one that was archived."""

    def replace(path: Path) -> None:
        for each in path.parent.glob("log.db*"):
            each.unlink()
        with contextlib.closing(eventstore.open_log(f"sqlite://{path}")) as log:
            fill(log, rows_of(count, uid))

    return replace


def rewritten(path: Path) -> None:
    """The same cluster, but its history went another way."""
    for each in path.parent.glob("log.db*"):
        each.unlink()
    with contextlib.closing(eventstore.open_log(f"sqlite://{path}")) as log:
        fill(
            log,
            [row._replace(topic="Other") if row[0] == 50 else row for row in rows_of()],
        )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(other("two", 70), "cluster one, not of two", id="foreign"),
        pytest.param(other("one", 30), "archive is newer", id="newer than the store"),
        pytest.param(rewritten, "another seal", id="another history"),
    ],
)
def test_only_its_own_log_continues_it(
    url: str, folder: Path, tmp_path: Path, change: Callable[[Path], None], text: str
) -> None:
    """An archive is continued by the log that it came from, and by no other."""
    change(tmp_path / "log.db")
    before = sorted(each.name for each in folder.iterdir())

    with pytest.raises(errors.Permanent, match=text):
        extend(url, folder, 30)

    assert sorted(each.name for each in folder.iterdir()) == before


def test_one_writer_of_a_folder(folder: Path) -> None:
    """A second process waits its turn: it is told, and writes nothing."""
    with (
        archive_writing.locked(folder),
        pytest.raises(errors.Permanent, match="another process"),
        archive_writing.locked(folder),
    ):
        pass


# --- what is damaged --------------------------------------------------------------


@pytest.mark.parametrize("share", [n / 24 for n in range(25)])
def test_a_flipped_byte_anywhere_is_found(folder: Path, share: float) -> None:
    """Whatever region it hits: the file and its positions are named, never wrong rows.

    Other segments are served as before.
    """
    data = bytearray(middle(folder).read_bytes())
    data[min(int(share * len(data)), len(data) - 1)] ^= 0x40
    middle(folder).write_bytes(data)
    rows = rows_of()

    found = list(archive.problems(Archive(folder)))

    assert [(each.first, each.last) for each in found] == [(22, 42)]
    assert middle(folder).name in str(found[0])
    log = ArchivedLog(folder)
    assert log.read(0, 21) == rows[:21]
    assert log.read(42, 99) == rows[42:]
    assert spans_refused(lambda: log.read(21, 99), rows[21:]) in ([], [(22, 42)])
    node = [row for row in rows if row.stream == "node/worker-1"]
    refused = spans_refused(lambda: log.read_stream("node/worker-1"), node)
    assert refused in ([], [(22, 42)])


def spans_refused(
    call: Callable[[], list[Row]], expected: list[Row]
) -> list[tuple[int, int]]:
    """The positions that `call` refuses; none where it gives what it must."""
    try:
        found = call()
    except Damaged as error:
        return [(error.first, error.last)]
    assert found == expected
    return []


@pytest.mark.parametrize("size", [0, 1, 79, 400, -1])
def test_a_truncated_segment(folder: Path, size: int) -> None:
    """A file whose end is missing is damaged as a whole; the others are served."""
    data = middle(folder).read_bytes()
    middle(folder).write_bytes(data[:size])
    log = ArchivedLog(folder)

    with pytest.raises(Damaged, match=r"22–42 cannot be read") as refusal:
        log.read(21, 1)

    assert (refusal.value.first, refusal.value.last) == (22, 42)
    assert log.read(0, 99) == rows_of()[:21]
    assert log.read(42, 99) == rows_of()[42:]


def test_a_gap(folder: Path) -> None:
    """A file that is missing: its positions are named, and nothing more is written."""
    middle(folder).unlink()
    log = ArchivedLog(folder)

    assert [(e.first, e.last) for e in log.archive.problems] == [(22, 42)]
    with pytest.raises(Damaged, match="no segment holds positions 22–42"):
        log.read(30, 1)
    with pytest.raises(Damaged):
        log.read_stream("node/worker-1")
    with pytest.raises(errors.Permanent, match="not whole"):
        archive.refuse(log.archive)


def test_an_overlap(url: str, folder: Path, tmp_path: Path) -> None:
    """Two files with the same positions are named; the first one is served."""
    with (
        contextlib.closing(eventstore.open_log(url, read_only=True)) as log,
        archive_writing.locked(tmp_path / "second"),
    ):
        archive_writing.extend(log, tmp_path / "second", EVENTS, rows=30)
    for each in (tmp_path / "second").glob("*.rbk"):
        shutil.copy(each, folder)

    held = ArchivedLog(folder)

    assert "overlap" in str(held.archive.problems[0])
    assert held.read(0, 99) == rows_of()


def test_a_segment_of_another_cluster(folder: Path, tmp_path: Path) -> None:
    """A file that was put there by mistake is told, and not served."""
    address = f"sqlite://{tmp_path}/two.db"
    with contextlib.closing(eventstore.open_log(address)) as log:
        fill(log, rows_of(9, "two"))
    extend(address, tmp_path / "second", 9)
    shutil.copy(tmp_path / "second" / archive_segment.name(1, 9), folder)

    held = ArchivedLog(folder)

    assert "of the cluster 'two'" in str(held.archive.problems[0])
    assert held.read(0, 99) == rows_of()


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", "flip"])
def test_the_manifest_is_made_again(folder: Path, url: str, text: str | None) -> None:
    """It is missing or damaged: the files say all of it, and the next run writes it."""
    path = folder / archive.MANIFEST
    good = path.read_bytes()
    if text is None:
        path.unlink()
    else:
        path.write_bytes(
            good.replace(b"22", b"21") if text == "flip" else text.encode()
        )

    held = ArchivedLog(folder)

    assert held.archive.rebuilt
    assert held.read(0, 99) == rows_of()
    extend(url, folder)
    assert path.read_bytes() == good


def test_a_missing_folder(tmp_path: Path) -> None:
    """The message says how to name the folder that was moved."""
    with pytest.raises(Damaged, match=r"no such folder.*\?archive="):
        ArchivedLog(tmp_path / "nowhere")


def test_a_newer_format_is_left_alone(folder: Path) -> None:
    """A manifest of a later version is not guessed at."""
    path = folder / archive.MANIFEST
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))

    with pytest.raises(Damaged, match="use a newer one"):
        ArchivedLog(folder)
