"""What a store knows of the beginning that was taken out of it into an archive.

1. The *marker* is one row: up to which position rows are elsewhere, the seal there, the
   folder, and the log's first row, so that a store says which cluster it is of without
   its archive.
2. `archived_streams` holds the last version of every stream that is in the archive:
   an append is checked as if nothing had been taken out, and a stream that is not in
   it is never looked for in the archive.
3. Rows and seals are removed in one transaction with both, and only where the store's
   own seal is the one at the segment's end. At least the last step stays.
4. Only the writer removes, so a writer's marker does not change while it is open; a
   reader's may.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from adapters import eventlog
from adapters.eventlog import EventLog, Row
from domain import errors

if TYPE_CHECKING:
    import psycopg
    from eventsourcing import sqlite

_encode: Final = msgspec.msgpack.Encoder().encode
_row: Final = msgspec.msgpack.Decoder(Row).decode

SELECT_MARKER: Final = "SELECT last, digest, folder, founding FROM archive_marker"
SQLITE_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS archive_marker ("
    "one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL, "
    "digest BLOB NOT NULL, folder TEXT NOT NULL, founding BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS archived_streams ("
    "stream TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
)
SQLITE_EXISTS: Final = (
    "SELECT count(*) FROM sqlite_master "
    "WHERE type = 'table' AND name = 'archive_marker'"
)
POSTGRES_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS archive_marker ("
    "one integer PRIMARY KEY CHECK (one = 1), last bigint NOT NULL, "
    "digest bytea NOT NULL, folder text NOT NULL, founding bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS archived_streams ("
    "stream text PRIMARY KEY, version bigint NOT NULL)",
)
POSTGRES_EXISTS: Final = "SELECT to_regclass('archive_marker') IS NOT NULL"
# What {0} stands for is how the driver writes a parameter.
_KEEP_TIPS: Final = (
    "INSERT INTO archived_streams (stream, version) "
    "SELECT originator_id, max(originator_version) FROM stored_events "
    "WHERE notification_id <= {0} GROUP BY originator_id "
    "ON CONFLICT (stream) DO UPDATE SET version = excluded.version"
)
_REMOVE_ROWS: Final = "DELETE FROM stored_events WHERE notification_id <= {0}"
_REMOVE_SEALS: Final = "DELETE FROM step_seals WHERE last <= {0}"
_MARK: Final = (
    "INSERT INTO archive_marker (one, last, digest, folder, founding) "
    "VALUES (1, {0}, {0}, {0}, {0}) ON CONFLICT (one) DO UPDATE SET "
    "last = excluded.last, digest = excluded.digest, folder = excluded.folder"
)
# The versions that a stream must have: in the store, or as its last in the archive.
SELECT_REFUSED: Final = (
    "SELECT asked.stream, asked.version, greatest(stored.last, taken.last) FROM "
    "unnest(%b::text[], %b::bigint[]) AS asked (stream, version), "
    "LATERAL (SELECT coalesce(max(originator_version), 0) AS last FROM stored_events "
    "WHERE originator_id = asked.stream) AS stored, "
    "LATERAL (SELECT coalesce(max(a.version), 0) AS last FROM archived_streams AS a "
    "WHERE a.stream = asked.stream) AS taken "
    "WHERE greatest(stored.last, taken.last) <> asked.version - 1 LIMIT 1"
)


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Positions 1 to `last` are in the archive in `folder` (rule 1)."""

    last: int
    digest: bytes
    """That of the seal at `last`."""
    folder: str
    founding: Row
    """The row at position 1."""


class Removing(EventLog, Protocol):
    """A log whose beginning may be taken out of it."""

    def archived(self) -> Marker | None:
        """The marker, as it is in the store now; None where nothing was taken out."""

    def archived_versions(self, streams: Sequence[str]) -> dict[str, int]:
        """The last version in the archive of those streams that are in it."""

    def remove(self, marker: Marker) -> int:
        """Afterwards `marker` is the store's, and its rows and seals are gone; how many
        rows that were. `Permanent`, and nothing done, where rule 3 forbids it."""

    def shrink(self) -> None:
        """Afterwards the room of what was removed is the disk's again, if the store
        can do that at once."""


def _made(found: Sequence[Any] | None) -> Marker | None:
    if found is None:
        return None
    last, digest, folder, founding = found
    try:
        row = _row(bytes(founding))
    except msgspec.MsgspecError as error:
        raise errors.Permanent(f"the store's mark of its archive: {error}") from error
    return Marker(last=last, digest=bytes(digest), folder=folder, founding=row)


def _check(
    marker: Marker,
    former: Marker | None,
    sealed: Sequence[tuple[int, bytes]],
    end: int,
) -> None:
    """Rule 3; `sealed` is the store's seal at the marker's end, `end` its last row."""
    if former is not None and marker.last < former.last:
        raise errors.Permanent(
            f"positions up to {former.last} were removed already, not {marker.last}"
        )
    if marker.last >= end:
        raise errors.Permanent(
            f"the store ends at position {end}: its last step is never removed"
        )
    is_same = former is not None and former.last == marker.last
    if not is_same and (not sealed or bytes(sealed[0][1]) != marker.digest):
        raise errors.Permanent(
            f"the store has another seal at position {marker.last} than its archive: "
            "nothing was removed. `rollbook verify` says more"
        )


# --- SQLite -----------------------------------------------------------------------


class SQLiteRemoving:
    """What `SQLiteLog` has of `Removing`."""

    _has_archive = False
    """Whether appends are checked against archived versions too."""

    if TYPE_CHECKING:

        def _reading(self) -> AbstractContextManager[sqlite3.Cursor]: ...
        def _writing(self) -> AbstractContextManager["sqlite.SQLiteCursor"]: ...

    def archived(self) -> Marker | None:
        """See `Removing.archived`."""
        with self._reading() as cursor:
            return _sqlite_marker(cursor)

    def archived_versions(self, streams: Sequence[str]) -> dict[str, int]:
        """See `Removing.archived_versions`."""
        found: dict[str, int] = {}
        with self._reading() as cursor:
            cursor.execute(SQLITE_EXISTS)
            if not cursor.fetchone()[0]:
                return found
            for chunk in eventlog.chunks(streams, eventlog.STREAMS_PER_STATEMENT):
                cursor.execute(
                    "SELECT stream, version FROM archived_streams "  # noqa: S608  # only question marks
                    f"WHERE stream IN ({','.join('?' * len(chunk))})",
                    chunk,
                )
                found.update(cursor.fetchall())
        return found

    def remove(self, marker: Marker) -> int:
        """See `Removing.remove`."""
        with self._writing() as wrapped:
            cursor: sqlite3.Cursor = wrapped.sqlite_cursor
            former = _sqlite_marker(cursor)
            cursor.execute(
                "SELECT last, digest FROM step_seals WHERE last = ?", (marker.last,)
            )
            sealed = cursor.fetchall()
            cursor.execute(
                "SELECT coalesce(max(notification_id), 0) FROM stored_events"
            )
            _check(marker, former, sealed, cursor.fetchone()[0])
            for statement in SQLITE_CREATE:
                cursor.execute(statement)
            cursor.execute(_KEEP_TIPS.format("?"), (marker.last,))
            cursor.execute(_REMOVE_SEALS.format("?"), (marker.last,))
            cursor.execute(_REMOVE_ROWS.format("?"), (marker.last,))
            removed = cursor.rowcount
            cursor.execute(_MARK.format("?"), _values(marker))
        self._has_archive = True
        return removed

    def shrink(self) -> None:
        """See `Removing.shrink`."""
        with self._reading() as cursor:
            cursor.execute("COMMIT")  # the library has begun a transaction
            cursor.execute("VACUUM")


def sqlite_refuses(
    cursor: "sqlite.SQLiteCursor", rows: Sequence[Row], *, gaps: bool
) -> bool:
    """Whether `rows` do not continue their streams, archived versions included.

    Without `gaps` only a version that exists already is looked for.
    """
    firsts = eventlog.first_versions(rows)
    for chunk in eventlog.chunks(list(firsts.items()), eventlog.STREAMS_PER_STATEMENT):
        asked = ", ".join(["(?, ?)"] * len(chunk))
        cursor.execute(
            f"WITH asked (stream, version) AS (VALUES {asked}) "  # noqa: S608  # only question marks
            "SELECT count(*), coalesce(sum(taken.version >= asked.version), 0), "
            "coalesce(sum(asked.version = 1 OR taken.version = asked.version - 1 OR "
            "EXISTS (SELECT 1 FROM stored_events WHERE originator_id = asked.stream "
            "AND originator_version = asked.version - 1)), 0) "
            "FROM asked LEFT JOIN archived_streams AS taken "
            "ON taken.stream = asked.stream",
            [value for pair in chunk for value in pair],
        )
        count, taken, continuing = cursor.fetchone()
        if taken or (gaps and continuing != count):
            return True
    return False


def _sqlite_marker(cursor: sqlite3.Cursor) -> Marker | None:
    cursor.execute(SQLITE_EXISTS)
    if not cursor.fetchone()[0]:
        return None
    cursor.execute(SELECT_MARKER)
    return _made(cursor.fetchone())


def _values(marker: Marker) -> tuple[object, ...]:
    return (marker.last, marker.digest, marker.folder, _encode(marker.founding))


# --- PostgreSQL -------------------------------------------------------------------


class PostgresRemoving:
    """What `PostgresLog` has of `Removing`."""

    _has_archive = False
    """Whether appends are checked against archived versions too."""

    if TYPE_CHECKING:

        def _reading(self) -> AbstractContextManager["psycopg.Cursor[Any]"]: ...
        def _writing(self) -> AbstractContextManager["psycopg.Connection[Any]"]: ...

    def archived(self) -> Marker | None:
        """See `Removing.archived`."""
        with self._reading() as cursor:
            return _postgres_marker(cursor)

    def archived_versions(self, streams: Sequence[str]) -> dict[str, int]:
        """See `Removing.archived_versions`."""
        with self._reading() as cursor:
            if not _exists(cursor):
                return {}
            cursor.execute(
                "SELECT stream, version FROM archived_streams WHERE stream = ANY(%s)",
                (list(streams),),
            )
            return dict(cursor.fetchall())

    def remove(self, marker: Marker) -> int:
        """See `Removing.remove`."""
        with self._writing() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            former = _postgres_marker(cursor)
            cursor.execute(
                "SELECT last, digest FROM step_seals WHERE last = %s", (marker.last,)
            )
            sealed = cursor.fetchall()
            cursor.execute(
                "SELECT coalesce(max(notification_id), 0) FROM stored_events"
            )
            _check(marker, former, sealed, cursor.fetchall()[0][0])
            for statement in POSTGRES_CREATE:
                cursor.execute(statement.encode())
            cursor.execute(_KEEP_TIPS.format("%s").encode(), (marker.last,))
            cursor.execute(_REMOVE_SEALS.format("%s").encode(), (marker.last,))
            cursor.execute(_REMOVE_ROWS.format("%s").encode(), (marker.last,))
            removed = cursor.rowcount
            cursor.execute(_MARK.format("%s").encode(), _values(marker))
        self._has_archive = True
        return removed

    def shrink(self) -> None:
        """PostgreSQL's autovacuum does that by itself, without stopping anybody."""


def _exists(cursor: "psycopg.Cursor[Any]") -> bool:
    cursor.execute(POSTGRES_EXISTS)
    return cursor.fetchall() == [(True,)]


def _postgres_marker(cursor: "psycopg.Cursor[Any]") -> Marker | None:
    if not _exists(cursor):
        return None
    cursor.execute(SELECT_MARKER)
    return _made(cursor.fetchone())


# --- both -------------------------------------------------------------------------


def versions_of(
    log: "SQLiteRemoving | PostgresRemoving", rows: Iterable[Row]
) -> Mapping[str, int]:
    """The archived versions of the streams of `rows`, to say why they are refused."""
    return log.archived_versions(list({row.stream for row in rows}))
