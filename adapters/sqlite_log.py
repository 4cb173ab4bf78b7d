"""The event log in one SQLite file; the embedded default.

1. A commit returns when the data is on disk: write-ahead log with `synchronous=FULL`.
   An I/O error ends the handle: what the kernel has dropped after a failed sync cannot
   be written by asking again.
2. Positions are the table's own integer key, so no VACUUM can renumber them.
3. One process writes. It holds `flock` on `<file>.lock`, which dies with the process;
   the check of positions in every append is the fence behind it.
4. The lock file names the writer while it runs and is emptied by a clean close. A name
   found in it on opening means a crash, and only then the whole file is scanned.
5. Other processes read while the writer writes, through connections that cannot write.
6. Snapshots are files in the folder `<file>.snapshots`, so that readers can keep them.
"""

import contextlib
import functools
import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from eventsourcing import persistence, sqlite

from adapters import archive_marker, eventlog, sqlite_copying
from adapters.eventlog import Row, Tracking
from adapters.snapshot_folder import SnapshotFolder
from adapters.writer_lock import WriterLock
from domain import errors
from domain.seals import Seal, Stored

BUSY_TIMEOUT_S: Final = 10
CACHE_KIB: Final = 16 * 1024
"""A step of 2,000 events touches as many pages of the index by stream. What does not
fit is written in the middle of the transaction, read again and written once more."""
CHECKPOINT_PAGES: Final = 4_000
"""The commit that finds so many pages in the write-ahead log copies them to the file,
where the copier (sqlite_copying.py) has not kept up. With SQLite's own 1,000 a step of
2,000 events did it each time; a page that was written four times is copied once now."""
APPLICATION_ID: Final = 0x524F4C4C
"""`ROLL`, in the file's header: it tells our files from those of other programs."""

COLUMNS: Final = "notification_id, originator_id, originator_version, topic, state"
CREATE_EVENTS: Final = (
    "CREATE TABLE IF NOT EXISTS stored_events ("
    "notification_id INTEGER PRIMARY KEY, "
    "originator_id TEXT NOT NULL, "
    "originator_version INTEGER NOT NULL, "
    "topic TEXT NOT NULL, "
    "state BLOB NOT NULL, "
    "UNIQUE (originator_id, originator_version))"
)
CREATE_SEALS: Final = (
    "CREATE TABLE IF NOT EXISTS step_seals ("
    "last INTEGER PRIMARY KEY, "
    "first INTEGER NOT NULL, "
    "digest BLOB NOT NULL)"
)
SEALS_EXIST: Final = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'step_seals'"
)
SELECT_SEALS: Final = "SELECT last, first, digest FROM step_seals "
INSERT_SEAL: Final = "INSERT INTO step_seals (last, first, digest) VALUES (?, ?, ?)"
INSERT_ROW: Final = f"INSERT INTO stored_events ({COLUMNS}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608  # only constants
SELECT_ROWS: Final = f"SELECT {COLUMNS} FROM stored_events "  # noqa: S608  # only constants
SELECT_LAST: Final = "SELECT coalesce(max(notification_id), 0) FROM stored_events"

_AS_ROW: Final[Callable[[Stored], Row]] = functools.partial(tuple.__new__, Row)
"""What `Row._make` does, without a call in Python for each of a million rows."""

TRY_LATER: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
)
ADVICE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: make room and start again",
    sqlite3.SQLITE_IOERR: "the disk failed: check it and its file system, then start "
    "again; the log is read back from what really reached it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a backup, or keep a "
    "copy and recover what is readable with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database: name another file, or "
    "restore it from a backup",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: check the folder and its "
    "permissions",
    sqlite3.SQLITE_READONLY: "the file cannot be written: check its permissions and "
    "the file system",
    sqlite3.SQLITE_PERM: "the file cannot be used: check its permissions",
}


class _Pool(sqlite.SQLiteConnectionPool):
    """Connections of one kind: all may write, or none can."""

    def __init__(self, path: pathlib.Path, *, read_only: bool) -> None:
        mode = "ro" if read_only else "rwc"
        super().__init__(
            db_name=f"{path.absolute().as_uri()}?mode={mode}",
            lock_timeout=BUSY_TIMEOUT_S,
            pool_timeout=BUSY_TIMEOUT_S,
        )
        # The base class turns write-ahead logging on; a reader cannot and need not.
        self.is_journal_mode_wal = read_only

    def _create_connection(self) -> sqlite.SQLiteConnection:
        connection = super()._create_connection()
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        cursor.sqlite_cursor.close()
        return connection


class _Datastore(sqlite.SQLiteDatastore):
    def __init__(self, path: pathlib.Path, *, read_only: bool) -> None:
        super().__init__(str(path), originator_id_type="text")
        self.pool = _Pool(path, read_only=read_only)


class _Recorder(sqlite.SQLiteProcessRecorder):
    """The library's recorder over a table whose positions are explicit.

    Its selects and its tracking serve us as they are. Its own insert, which would let
    the store name the positions, does not fit this table and is refused by SQLite.
    """

    def construct_create_table_statements(self) -> list[str]:
        tracking = super().construct_create_table_statements()[1:]
        return [CREATE_EVENTS, *tracking, CREATE_SEALS]

    def track(self, cursor: sqlite.SQLiteCursor, tracking: Tracking) -> None:
        """Record it in the cursor's transaction; `Conflict` unless it is greater."""
        source, sequence = tracking
        try:
            self._insert_tracking(cursor, persistence.Tracking(source, sequence))
        except persistence.IntegrityError as error:
            current = self._max_tracking_id(source, cursor) or 0
            raise eventlog.tracking_conflict(source, sequence, current) from error


class SQLiteLog(archive_marker.SQLiteRemoving):
    """A handle on the log in the file at `path`; satisfies `eventlog.EventLog`."""

    def __init__(
        self,
        path: pathlib.Path,
        *,
        read_only: bool = False,
        check: bool = False,
        check_versions: bool = True,
    ) -> None:
        """Open the log; see `eventstore.open_log` for what is raised."""
        self._path = path
        self._read_only = read_only
        self._check_versions = check_versions
        self._failure: str | None = None
        self._closed = False
        self._snapshots = SnapshotFolder(path.with_name(f"{path.name}.snapshots"))
        self._lock: WriterLock | None = None
        if read_only and not path.exists():
            raise errors.Transient(f"{path}: no writer has created this log yet")
        with contextlib.ExitStack() as undo:
            if not read_only:
                _make_folder(path)
                self._lock = WriterLock(path.with_name(f"{path.name}.lock"))
                undo.callback(self._lock.release, clean=False)
            datastore = _Datastore(path, read_only=read_only)
            undo.callback(datastore.close)
            self._datastore = datastore
            self._recorder = _Recorder(datastore)
            crashed = self._lock is not None and self._lock.crashed
            with self._translated():
                self._verify(scan=check or crashed)
                if not read_only:
                    self._create()
            self._known = self.last_position()
            self._has_archive = self.archived() is not None
            self._copier = sqlite_copying.Copier(path, self._not_copied)
            undo.pop_all()

    def append(
        self,
        rows: Sequence[Row],
        tracking: Sequence[Tracking] = (),
        seals: Sequence[Seal] = (),
    ) -> None:
        """See `eventlog.EventLog.append`."""
        if not rows and not tracking:
            return
        eventlog.check_seals(rows, seals)
        merged = eventlog.merge_tracking(tracking)
        try:
            with self._writing() as cursor:
                last = _number(cursor, SELECT_LAST)
                if rows:
                    eventlog.check_positions(rows, last)
                elif last != self._known:
                    raise eventlog.fence_conflict(self._known, last)
                if self._has_archive:
                    gaps = self._check_versions
                    if archive_marker.sqlite_refuses(cursor, rows, gaps=gaps):
                        raise _VersionsRefused
                elif self._check_versions:
                    _check_versions(cursor, rows)
                cursor.executemany(INSERT_ROW, rows)
                for item in merged.items():
                    self._recorder.track(cursor, Tracking(*item))
                for seal in seals:
                    cursor.execute(INSERT_SEAL, seal)
        except _VersionsRefused:
            archived = archive_marker.versions_of(self, rows)
            raise eventlog.refused_rows(self, rows, archived) from None
        if rows:
            self._known = rows[-1].position
        self._copier.wrote(len(rows))

    def read(self, after: int, limit: int) -> list[Row]:
        """See `eventlog.EventLog.read`."""
        where = "WHERE notification_id > ? ORDER BY notification_id LIMIT ?"
        rows = self._rows(where, (after, limit))
        eventlog.check_dense(rows, after)
        return rows

    def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Row]:
        """See `eventlog.EventLog.read_stream`."""
        where = (
            "WHERE originator_id = ? AND originator_version > ? "
            f"ORDER BY originator_version {'DESC' if descending else 'ASC'} LIMIT ?"
        )
        # SQLite reads a negative limit as none.
        return self._rows(
            where, (stream, after_version, -1 if limit is None else limit)
        )

    def read_first(
        self, streams: Sequence[str], versions: int = 8
    ) -> dict[str, list[Row]]:
        """See `eventlog.EventLog.read_first`."""
        found: dict[str, list[Row]] = {}
        for chunk in eventlog.chunks(streams, eventlog.STREAMS_PER_STATEMENT):
            where = (
                f"WHERE originator_id IN ({','.join('?' * len(chunk))}) "
                "AND originator_version <= ? ORDER BY originator_id, originator_version"
            )
            for row in self._rows(where, (*chunk, versions)):
                found.setdefault(row.stream, []).append(row)
        return found

    def last_position(self) -> int:
        """See `eventlog.EventLog.last_position`."""
        with self._translated():
            return self._recorder.max_notification_id() or 0

    def scan(self, after: int, limit: int) -> list[Stored]:
        """See `eventlog.EventLog.scan`."""
        where = "WHERE notification_id > ? ORDER BY notification_id LIMIT ?"
        with self._reading() as cursor:
            cursor.execute(SELECT_ROWS + where, (after, limit))
            return cursor.fetchall()

    def last_seal(self) -> Seal | None:
        """See `eventlog.EventLog.last_seal`."""
        found = self._seals("ORDER BY last DESC LIMIT 1", ())
        return found[0] if found else None

    def read_seals(self, after: int, limit: int) -> list[Seal]:
        """See `eventlog.EventLog.read_seals`."""
        return self._seals("WHERE last > ? ORDER BY last LIMIT ?", (after, limit))

    def tracked(self, source: str) -> int:
        """See `eventlog.EventLog.tracked`."""
        with self._translated():
            return self._recorder.max_tracking_id(source) or 0

    def all_tracked(self) -> dict[str, int]:
        """See `eventlog.EventLog.all_tracked`."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT application_name, notification_id FROM tracking "
                "WHERE application_name <> ?",
                (eventlog.RESERVED_SOURCE,),
            )
            return dict(cursor.fetchall())

    def save_snapshot(
        self, name: str, position: int, version: int, state: bytes
    ) -> None:
        """See `eventlog.EventLog.save_snapshot`."""
        last = self.last_position()
        if position > last:
            raise eventlog.snapshot_conflict(name, position, last)
        self._snapshots.save(name, position, version, state)

    def load_snapshot(
        self, name: str, version: int, at_most: int | None = None
    ) -> tuple[int, bytes] | None:
        """See `eventlog.EventLog.load_snapshot`."""
        if self._closed:
            raise eventlog.closed_error()
        return self._snapshots.load(name, version, at_most)

    def discard_snapshot(self, name: str, position: int, version: int) -> None:
        """See `eventlog.EventLog.discard_snapshot`."""
        if self._closed:
            raise eventlog.closed_error()
        self._snapshots.discard(name, position, version)

    def close(self) -> None:
        """See `eventlog.EventLog.close`."""
        if self._closed:
            return
        self._closed = True
        self._copier.close()
        self._datastore.close()
        if self._lock is not None:
            self._lock.release(clean=self._failure is None)

    def _verify(self, *, scan: bool) -> None:
        """`Permanent` when the file is not ours or is damaged."""
        with self._reading() as cursor:
            if not _number(cursor, "SELECT count(*) FROM sqlite_master"):
                if self._read_only:
                    raise errors.Transient(f"{self._path}: not created completely yet")
                return
            if _number(cursor, "PRAGMA application_id") != APPLICATION_ID:
                raise errors.Permanent(
                    f"{self._path} is a database of another program: name another file"
                )
            if scan:
                cursor.execute("PRAGMA quick_check(1)")
                found = cursor.fetchone()[0]
                if found != "ok":
                    advice = ADVICE[sqlite3.SQLITE_CORRUPT]
                    raise errors.Permanent(f"{self._path}: {advice} ({found})")

    def _create(self) -> None:
        """Create what is missing, in one transaction, so that no reader sees half."""
        with self._writing() as cursor:
            if not _number(cursor, "SELECT count(*) FROM sqlite_master"):
                cursor.execute(f"PRAGMA application_id={APPLICATION_ID}")
                self._recorder._create_table(cursor)
            else:
                cursor.execute(CREATE_SEALS)  # a version before the seals made the file

    def _seals(self, where: str, parameters: tuple[object, ...]) -> list[Seal]:
        with self._reading() as cursor:
            if not _number(cursor, SEALS_EXIST):
                return []  # a version before the seals wrote this, and none has since
            cursor.execute(SELECT_SEALS + where, parameters)
            return list(map(Seal._make, cursor.fetchall()))

    def _rows(self, where: str, parameters: tuple[object, ...]) -> list[Row]:
        with self._reading() as cursor:
            cursor.execute(SELECT_ROWS + where, parameters)
            return list(map(_AS_ROW, cursor.fetchall()))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Cursor]:
        """A cursor over plain tuples, in one consistent view of the log."""
        with self._translated(), self._datastore.transaction(commit=False) as cursor:
            raw = cursor.sqlite_cursor
            raw.row_factory = None
            yield raw

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite.SQLiteCursor]:
        """One transaction that is on disk after the block, or never was."""
        if self._read_only:
            raise eventlog.read_only_error()
        if self._failure is not None:
            raise errors.Permanent(f"this log has failed before: {self._failure}")
        try:
            with (
                self._translated(),
                self._datastore.get_connection(commit=True) as connection,
                connection.cursor() as raw,
            ):
                raw.row_factory = None
                cursor = sqlite.SQLiteCursor(raw)
                # The library begins late, as a reader, and a reader cannot become
                # the writer when another process has written in between.
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    yield cursor
                    cursor.execute("COMMIT")
                except BaseException:
                    # What made the transaction fail matters, not that SQLite has
                    # rolled it back by itself already.
                    with contextlib.suppress(sqlite3.Error):
                        connection.rollback()
                    raise
        except errors.Permanent as error:
            self._failure = str(error)
            raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of SQLite and of the library leave the block as ours."""
        if self._closed:
            raise eventlog.closed_error()
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise _VersionsRefused from error
        except sqlite3.Error as error:
            raise self._translate(error) from error
        except persistence.ConnectionPoolClosedError as error:
            raise eventlog.closed_error() from error
        except persistence.PersistenceError as error:
            cause = error.__cause__
            if isinstance(cause, sqlite3.Error):
                raise self._translate(cause) from error
            raise errors.Transient(f"{self._path}: {error}") from error

    def _not_copied(self, error: sqlite3.Error) -> None:
        """Rule 1: the copier's error ends the handle too, at its next append."""
        found = self._translate(error)
        if isinstance(found, errors.Permanent):
            self._failure = str(found)

    def _translate(self, error: sqlite3.Error) -> errors.Transient | errors.Permanent:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in TRY_LATER:
            return errors.Transient(f"{self._path} is busy: {error}")
        if self._read_only and code == sqlite3.SQLITE_CANTOPEN:
            return errors.Transient(f"{self._path} cannot be opened yet: {error}")
        advice = ADVICE.get(code, "SQLite refused a statement")
        return errors.Permanent(f"{self._path}: {advice} ({error})")


class _VersionsRefused(Exception):
    """A row does not continue its stream."""


def _make_folder(path: pathlib.Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.Permanent(
            f"the folder {path.parent} cannot be created: {error.strerror}"
        ) from error


def _check_versions(cursor: sqlite.SQLiteCursor, rows: Sequence[Row]) -> None:
    """Refuse a stream whose first version in `rows` is not 1 and follows nothing.

    That a version is not there already is left to the table's unique index.
    """
    firsts = eventlog.first_versions(rows)
    later = [
        (stream, version - 1) for stream, version in firsts.items() if version != 1
    ]
    for chunk in eventlog.chunks(later, eventlog.STREAMS_PER_STATEMENT):
        asked = ", ".join(["(?, ?)"] * len(chunk))
        # CROSS JOIN keeps SQLite from scanning the events and looking them up in the
        # short list instead.
        cursor.execute(
            f"WITH asked (stream, version) AS (VALUES {asked}) "  # noqa: S608  # only question marks
            "SELECT count(*) FROM asked CROSS JOIN stored_events "
            "ON originator_id = stream AND originator_version = version",
            [value for pair in chunk for value in pair],
        )
        if cursor.fetchone()[0] != len(chunk):
            raise _VersionsRefused


def _number(cursor: sqlite3.Cursor | sqlite.SQLiteCursor, statement: str) -> int:
    """The only value of the only row."""
    cursor.execute(statement)
    value: int = cursor.fetchone()[0]
    return value
