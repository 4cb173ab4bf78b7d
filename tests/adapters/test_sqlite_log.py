"""What the log in a file promises beyond the contract: damage, disks, neighbours."""

import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from adapters import eventstore, sqlite_log
from adapters.eventlog import Tracking
from domain import errors
from tests.adapters import conftest
from tests.adapters.appends import (
    ROWS_PER_APPEND,
    append_number,
    assert_whole,
)

PAGE_BYTES = 4096


def filled(store: conftest.SQLiteStore, appends: int) -> None:
    """A cleanly closed file that holds `appends` appends."""
    log = store.open()
    for number in range(1, appends + 1):
        log.append(append_number(number), [Tracking("commands", number)])
    log.close()


def overwrite(path: pathlib.Path, offset: int, content: bytes) -> None:
    """Replace bytes of a file where they are."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def crash_image(store: conftest.SQLiteStore, folder: pathlib.Path) -> pathlib.Path:
    """What a power cut would leave of the log: a copy made while it is open."""
    folder.mkdir()
    for file in store.path.parent.glob(f"{store.path.name}*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, folder / file.name)
    return folder / store.path.name


@pytest.mark.parametrize("read_only", [False, True])
def test_every_connection_is_durable(
    sqlite_store: conftest.SQLiteStore, read_only: bool
) -> None:
    """A commit is on disk when it returns: write-ahead log, fully synchronous."""
    filled(sqlite_store, 1)
    datastore = sqlite_log._Datastore(sqlite_store.path, read_only=read_only)

    cursor = datastore.pool.get_connection().cursor()
    found = []
    for pragma in ("journal_mode", "synchronous"):
        cursor.execute(f"PRAGMA {pragma}")
        found.append(cursor.fetchone()[0])
    datastore.close()

    assert found == ["wal", 2]


def test_vacuum_keeps_positions(sqlite_store: conftest.SQLiteStore) -> None:
    """A position is SQLite's own key of the row, which no VACUUM may renumber."""
    filled(sqlite_store, 1)
    with sqlite3.connect(sqlite_store.path, isolation_level=None) as other:
        other.execute(
            "UPDATE stored_events SET notification_id = notification_id + 100"
        )
        other.execute("VACUUM")
        found = other.execute(
            "SELECT rowid, notification_id FROM stored_events ORDER BY rowid"
        ).fetchall()
    other.close()

    assert found == [(100 + i, 100 + i) for i in range(1, ROWS_PER_APPEND + 1)]


@pytest.mark.parametrize(("gone", "after"), [(1, 0), (5, 0), (5, 4), (6, 2)])
def test_lost_position(
    sqlite_store: conftest.SQLiteStore, gone: int, after: int
) -> None:
    """A reader never passes over a position that the file has lost."""
    filled(sqlite_store, 2)
    with sqlite3.connect(sqlite_store.path, isolation_level=None) as other:
        other.execute("DELETE FROM stored_events WHERE notification_id = ?", (gone,))
    other.close()
    reader = sqlite_store.open(read_only=True)

    with pytest.raises(errors.Permanent, match="lost positions"):
        reader.read(after, 100)

    assert len(reader.read(gone, 100)) == 2 * ROWS_PER_APPEND - gone


@pytest.mark.parametrize("cut", [1, 31, 2_000, PAGE_BYTES + 24, 9 * PAGE_BYTES + 7])
def test_torn_wal(
    sqlite_store: conftest.SQLiteStore, tmp_path: pathlib.Path, cut: int
) -> None:
    """A write-ahead log without its tail gives whole appends up to the tear."""
    log = sqlite_store.open()
    for number in range(1, 21):
        log.append(append_number(number), [Tracking("commands", number)])
    torn = conftest.SQLiteStore(crash_image(sqlite_store, tmp_path / "image"))
    wal = pathlib.Path(f"{torn.path}-wal")
    with wal.open("r+b") as file:
        file.truncate(wal.stat().st_size - cut)

    reopened = torn.open()
    kept = reopened.tracked("commands")
    assert 0 < kept < 20
    assert_whole(torn, kept)
    reopened.append(append_number(kept + 1), [Tracking("commands", kept + 1)])
    torn.close()

    assert_whole(torn, kept + 1)


def test_flipped_wal(
    sqlite_store: conftest.SQLiteStore, tmp_path: pathlib.Path
) -> None:
    """A write-ahead log with a wrong byte gives whole appends up to that byte."""
    log = sqlite_store.open()
    for number in range(1, 21):
        log.append(append_number(number), [Tracking("commands", number)])
    image = conftest.SQLiteStore(crash_image(sqlite_store, tmp_path / "image"))
    wal = pathlib.Path(f"{image.path}-wal")
    middle = wal.stat().st_size // 2
    overwrite(wal, middle, bytes([wal.read_bytes()[middle] ^ 0x40]))

    kept = image.open().tracked("commands")

    assert 0 < kept < 20
    assert_whole(image, kept)
    image.close()


def test_reader_of_a_crashed_log(
    sqlite_store: conftest.SQLiteStore, tmp_path: pathlib.Path
) -> None:
    """Readers are served after a crash before any writer has come back."""
    log = sqlite_store.open()
    log.append(append_number(1))
    image = conftest.SQLiteStore(crash_image(sqlite_store, tmp_path / "image"))

    assert_whole(image, 1)


@pytest.mark.parametrize("read_only", [False, True])
def test_not_a_database(sqlite_store: conftest.SQLiteStore, read_only: bool) -> None:
    """A file of another kind is refused, unchanged, with what to do."""
    text = b"apiVersion: apps/v1\n" * 500
    sqlite_store.path.write_bytes(text)

    with pytest.raises(errors.Permanent, match="not a SQLite database"):
        sqlite_store.open(read_only=read_only)

    assert sqlite_store.path.read_bytes() == text


def test_database_of_another_program(sqlite_store: conftest.SQLiteStore) -> None:
    """A database that Rollbook has not made is refused, whatever its tables."""
    with sqlite3.connect(sqlite_store.path, isolation_level=None) as other:
        other.execute("CREATE TABLE stored_events (anything)")
    other.close()

    with pytest.raises(errors.Permanent, match="another program"):
        sqlite_store.open()


def test_truncated_database(sqlite_store: conftest.SQLiteStore) -> None:
    """A file that has lost its end is refused on opening."""
    filled(sqlite_store, 200)
    with sqlite_store.path.open("r+b") as file:
        file.truncate(5 * PAGE_BYTES)

    with pytest.raises(errors.Permanent, match="damaged"):
        sqlite_store.open()


def test_damage_is_looked_for_after_a_crash(
    sqlite_store: conftest.SQLiteStore,
) -> None:
    """The whole file is scanned after a crash or on request, else it is not."""
    filled(sqlite_store, 400)
    pages = sqlite_store.path.stat().st_size // PAGE_BYTES
    overwrite(sqlite_store.path, pages // 2 * PAGE_BYTES, b"\xff" * PAGE_BYTES)
    lock = pathlib.Path(f"{sqlite_store.path}.lock")
    assert lock.read_text() == "", "a clean close leaves no name behind"

    sqlite_store.open().close()
    with pytest.raises(errors.Permanent, match="damaged"):
        eventstore.open_log(sqlite_store.url, check=True)
    lock.write_text("4711\n")
    for _ in range(2):
        with pytest.raises(errors.Permanent, match="damaged"):
            sqlite_store.open()


def test_second_writer_is_told_who(sqlite_store: conftest.SQLiteStore) -> None:
    """A second process learns the number of the process that it must stop."""
    log = sqlite_store.open()
    attempt = (
        "import os, sys; from adapters import eventstore; print(os.getppid());"
        "eventstore.open_log(sys.argv[1])"
    )

    done = subprocess.run(
        [sys.executable, "-c", attempt, sqlite_store.url],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert f"process {done.stdout.strip()} holds" in done.stderr
    log.append(append_number(1))


def test_busy(
    sqlite_store: conftest.SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that another program has locked is Transient; the append works later."""
    monkeypatch.setattr(sqlite_log, "BUSY_TIMEOUT_S", 0.1)
    log = sqlite_store.open()
    other = sqlite3.connect(sqlite_store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(errors.Transient, match="busy") as failure:
        log.append(append_number(1))

    assert isinstance(failure.value.__cause__, sqlite3.OperationalError)
    other.execute("ROLLBACK")
    other.close()
    log.append(append_number(1))
    assert log.last_position() == ROWS_PER_APPEND


FULL_DISK = textwrap.dedent(
    """
    import json, resource, sys
    from adapters import eventstore
    from adapters.eventlog import Tracking
    from domain import errors
    from tests.adapters.appends import append_number

    log = eventstore.open_log(sys.argv[1])
    # The kernel refuses to let any file grow further, as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    refusals, number = [], 0
    while len(refusals) < 2 and number < 5_000:
        try:
            log.append(append_number(number + 1), [Tracking("commands", number + 1)])
            number += 1
        except errors.Permanent as error:
            refusals.append(str(error))
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2
            )
    print(json.dumps([number, *refusals]))
    """
)


def test_full_disk(sqlite_store: conftest.SQLiteStore) -> None:
    """No room: Permanent with advice, for ever; what was answered is all there."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, sqlite_store.url],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answered, first, second = json.loads(done.stdout)

    assert answered > 10
    assert "disk" in first
    assert "start again" in first
    assert "has failed before" in second
    log = sqlite_store.open()
    assert log.tracked("commands") in (answered, answered + 1)
    assert_whole(sqlite_store, log.tracked("commands"))


def test_path_of_any_name(tmp_path: pathlib.Path) -> None:
    """A path may hold what a URL must escape; missing folders are created."""
    log = eventstore.open_log(f"sqlite://{tmp_path}/a%20%23/b%3Fc%25.db")
    log.append(append_number(1))
    log.close()

    assert (tmp_path / "a #" / "b?c%.db").stat().st_size > 0


def test_relative_path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sqlite:name` is below the working directory; a fourth slash changes nothing."""
    monkeypatch.chdir(tmp_path)
    eventstore.open_log("sqlite:here.db").close()
    eventstore.open_log(f"sqlite:///{tmp_path}/there.db").close()

    assert {path.name for path in tmp_path.glob("*.db")} == {"here.db", "there.db"}


def test_folder_in_the_way(tmp_path: pathlib.Path) -> None:
    """A path that cannot be a file is Permanent, with the reason."""
    (tmp_path / "file").write_text("")

    with pytest.raises(errors.Permanent, match="cannot be created"):
        eventstore.open_log(f"sqlite://{tmp_path}/file/log.db")
    with pytest.raises(errors.Permanent, match="cannot be opened"):
        eventstore.open_log(f"sqlite://{tmp_path}")
