"""The write-ahead log is copied beside the commits (adapters/sqlite_copying.py)."""

import pathlib
import sqlite3

import pytest

from adapters import sqlite_copying, sqlite_log
from adapters.eventlog import Row
from domain import errors


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred pages are many, and commits of ten rows are large."""
    monkeypatch.setattr(sqlite_copying, "PAGES", 100)
    monkeypatch.setattr(sqlite_copying, "LARGE", 10)


def append(log: sqlite_log.SQLiteLog, rows: int) -> None:
    """One commit of so many rows, each of a stream of its own."""
    last = log.last_position()
    log.append(
        [
            Row(position, f"command/{position}", 1, "command.accepted.v1", b"{}" * 500)
            for position in range(last + 1, last + 1 + rows)
        ]
    )


def copied(log: sqlite_log.SQLiteLog) -> None:
    """Afterwards the copier has nothing under way."""
    copying = log._copier._copying
    if copying is not None:
        copying.result(timeout=60)


def in_the_file(path: pathlib.Path) -> int:
    """The last position that is in the file itself, whatever lies beside it."""
    where = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(where, uri=True)
    try:
        found: int = connection.execute(sqlite_log.SELECT_LAST).fetchone()[0]
        return found
    finally:
        connection.close()


def test_small_commits_are_copied_beside_them(tmp_path: pathlib.Path) -> None:
    """Long before a commit would have to do it, and all that was written by then."""
    log = sqlite_log.SQLiteLog(tmp_path / "log.db")
    first = log._copier._copying
    while log._copier._copying is first:
        append(log, 1)
        assert log.last_position() < sqlite_log.CHECKPOINT_PAGES
    written = log.last_position()
    copied(log)

    assert in_the_file(tmp_path / "log.db") == written
    log.close()


def test_large_commits_wait_for_a_small_one(tmp_path: pathlib.Path) -> None:
    """Under load a page that is written again and again is copied once."""
    log = sqlite_log.SQLiteLog(tmp_path / "log.db")
    for _ in range(10):
        append(log, 10)
    assert log._copier._copying is None

    append(log, 1)
    copied(log)
    assert in_the_file(tmp_path / "log.db") == 101
    log.close()


def test_the_write_ahead_log_is_begun_anew(tmp_path: pathlib.Path) -> None:
    """What is copied makes room: it does not grow with what was ever written."""
    log = sqlite_log.SQLiteLog(tmp_path / "log.db")
    for _ in range(500):
        append(log, 1)
        copied(log)
    size = (tmp_path / "log.db-wal").stat().st_size
    written = (tmp_path / "log.db").stat().st_size

    assert written > 500 * 1000
    assert size < written
    log.close()


def test_a_file_that_cannot_be_copied_to_ends_the_handle(
    tmp_path: pathlib.Path,
) -> None:
    """What the copier hears of the disk, the next append says."""
    log = sqlite_log.SQLiteLog(tmp_path / "log.db")
    append(log, 1)
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR
    log._copier._failed(failure)

    with pytest.raises(errors.Permanent, match="the disk failed"):
        append(log, 1)
    log.close()
