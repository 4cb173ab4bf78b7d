"""The event log in PostgreSQL; for more than one machine.

1. The writer appends on one connection of its own. The advisory lock that makes it the
   writer belongs to the same session, so a lost connection is a lost lock, and the next
   append connects and locks again before it writes.
2. The check of positions in every append is the fence behind that lock; it also refuses
   to go on after a failover to a server that has lost what was committed.
3. An append is two round trips: everything in one pipeline, then the commit. It is
   committed only when every check of the first has passed.
4. A lost connection is `Transient` and says whether the outcome is known. Nothing is
   tried again in here: only the caller can compare `last_position`.
5. Readers use the library's pool, on which nothing can be written. Snapshots alone are
   written by readers too: a role that may not leaves its starts long.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg
import psycopg.rows
import psycopg.sql
from eventsourcing import persistence, postgres

from adapters import archive_marker, eventlog, postgres_session
from adapters.eventlog import Row, Tracking
from domain import errors
from domain.seals import Seal, Stored

CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS {schema}.stored_events ("
    "notification_id bigint NOT NULL, "
    "originator_id text NOT NULL, "
    "originator_version bigint NOT NULL, "
    "topic text NOT NULL, "
    "state bytea NOT NULL, "
    "PRIMARY KEY (originator_id, originator_version))",
    "CREATE UNIQUE INDEX IF NOT EXISTS stored_events_notification_id_idx "
    "ON {schema}.stored_events (notification_id)",
    "CREATE TABLE IF NOT EXISTS {schema}.projection_snapshots ("
    "saved bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "name text NOT NULL, "
    "position bigint NOT NULL, "
    "version integer NOT NULL, "
    "state bytea NOT NULL)",
)
CREATE_SEALS: Final = (
    "CREATE TABLE IF NOT EXISTS {schema}.step_seals ("
    "last bigint NOT NULL PRIMARY KEY, "
    "first bigint NOT NULL, "
    "digest bytea NOT NULL)"
)
SELECT_SEALS: Final = "SELECT last, first, digest FROM step_seals "
INSERT_SEAL: Final = (
    "INSERT INTO step_seals (last, first, digest) "
    "SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bytea[])"
)
COLUMNS: Final = "notification_id, originator_id, originator_version, topic, state"
SELECT_ROWS: Final = f"SELECT {COLUMNS} FROM stored_events "  # noqa: S608  # only constants
SELECT_LAST: Final = "SELECT coalesce(max(notification_id), 0) FROM stored_events"
INSERT_ROWS: Final = (
    f"INSERT INTO stored_events ({COLUMNS}) SELECT * FROM unnest("  # noqa: S608  # only constants
    "%b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::bytea[])"
)
# The streams of an append whose last version is not the one before its first.
SELECT_REFUSED: Final = (
    "SELECT stream, version, last FROM "
    "unnest(%b::text[], %b::bigint[]) AS asked (stream, version), "
    "LATERAL (SELECT coalesce(max(originator_version), 0) AS last FROM stored_events "
    "WHERE originator_id = stream) AS stored WHERE last <> version - 1 LIMIT 1"
)
TRACK: Final = (
    "INSERT INTO notification_tracking AS stored "
    "SELECT * FROM unnest(%b::text[], %b::bigint[]) "
    "ON CONFLICT (application_name) DO UPDATE "
    "SET notification_id = excluded.notification_id "
    "WHERE stored.notification_id < excluded.notification_id "
    "RETURNING application_name"
)


class _Datastore(postgres.PostgresDatastore):
    """The library's pool, with every parameter of the URL, and for reading only."""

    def __init__(self, parameters: dict[str, Any], schema: str) -> None:
        super().__init__(
            dbname="",
            host="",
            port="",
            user="",
            password="",
            connect_timeout=postgres_session.CONNECT_TIMEOUT_S,
            max_overflow=4,
            schema=schema,
            originator_id_type="text",
        )
        self.pool.kwargs = {**parameters, "row_factory": psycopg.rows.dict_row}

    def after_connect_func(self) -> Any:
        """What every connection of the pool is set up with."""
        configure = super().after_connect_func()

        def after_connect(connection: psycopg.Connection[Any]) -> None:
            configure(connection)
            connection.execute("SET default_transaction_read_only = on")

        return after_connect


class _Recorder(postgres.PostgresProcessRecorder):
    """The library's recorder over a table whose positions are explicit.

    Its tracking table serves us as it is. Its own insert, which would let a sequence
    name the positions, is refused by the table. Its lock of the whole table, which
    keeps sequences in the order of commits, is not needed where positions are explicit:
    of two appends at one position the unique index lets one through. And it would stop
    every append while the server vacuums or analyses the table.
    """

    def __init__(self, datastore: postgres.PostgresDatastore) -> None:
        super().__init__(datastore)
        schema = psycopg.sql.Identifier(datastore.schema)
        tracking = [
            statement
            for statement in self.sql_create_statements
            if self.tracking_table_name in statement.as_string()
        ]
        ours = [
            psycopg.sql.SQL(text).format(schema=schema)
            for text in (*CREATE, CREATE_SEALS)
        ]
        self.sql_create_statements = [*ours, *tracking]

    def create(self, connection: psycopg.Connection[Any]) -> None:
        """All tables, in one transaction; none of them may exist yet."""
        with connection.transaction(), connection.cursor() as cursor:
            self._create_table(cursor)


class PostgresLog(archive_marker.PostgresRemoving):
    """A handle on the log in the database at `url`; satisfies `eventlog.EventLog`."""

    def __init__(
        self, url: str, *, read_only: bool = False, check_versions: bool = True
    ) -> None:
        """Open the log; see `eventstore.open_log` for what is raised."""
        self._parameters = postgres_session.parameters(url)
        self._read_only = read_only
        self._check_versions = check_versions
        self._failure: str | None = None
        self._closed = False
        self._writer: psycopg.Connection[Any] | None = None
        self._guard = threading.Lock()
        with contextlib.ExitStack() as undo, self._translated("nothing was opened"):
            connection = postgres_session.connect(self._parameters)
            undo.callback(postgres_session.unlock, connection)
            if not read_only:
                postgres_session.lock(connection, self._parameters["application_name"])
                self._writer = connection
            row = connection.execute("SELECT current_schema()").fetchone()
            assert row is not None
            self._datastore = _Datastore(self._parameters, row[0] or "public")
            undo.callback(self._datastore.close)
            exists = "SELECT to_regclass('stored_events') IS NOT NULL"
            created = connection.execute(exists).fetchone() == (True,)
            if not created:
                if read_only:
                    raise errors.Transient("no writer has created this log yet")
                _Recorder(self._datastore).create(connection)
            elif not read_only:
                _create_seals(connection, self._datastore.schema)
            if read_only:
                connection.close()
            self._known = self.last_position()
            self._has_archive = self.archived() is not None
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
        firsts = eventlog.first_versions(rows)
        try:
            with self._writing() as connection:
                self._stage(connection, rows, firsts, merged, seals)
        except _VersionsRefused:
            archived = archive_marker.versions_of(self, rows)
            raise eventlog.refused_rows(self, rows, archived) from None
        if rows:
            self._known = rows[-1].position

    def read(self, after: int, limit: int) -> list[Row]:
        """See `eventlog.EventLog.read`."""
        where = "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
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
            "WHERE originator_id = %s AND originator_version > %s "
            f"ORDER BY originator_version {'DESC' if descending else 'ASC'} LIMIT %s"
        )
        return self._rows(where, (stream, after_version, limit))

    def read_first(
        self, streams: Sequence[str], versions: int = 8
    ) -> dict[str, list[Row]]:
        """See `eventlog.EventLog.read_first`."""
        found: dict[str, list[Row]] = {}
        where = (
            "WHERE originator_id = ANY(%s) AND originator_version <= %s "
            "ORDER BY originator_id, originator_version"
        )
        for chunk in eventlog.chunks(streams, eventlog.STREAMS_PER_STATEMENT):
            for row in self._rows(where, (chunk, versions)):
                found.setdefault(row.stream, []).append(row)
        return found

    def last_position(self) -> int:
        """See `eventlog.EventLog.last_position`."""
        return self._number(SELECT_LAST)

    def scan(self, after: int, limit: int) -> list[Stored]:
        """See `eventlog.EventLog.scan`."""
        where = "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
        with self._reading() as cursor:
            cursor.execute(SELECT_ROWS + where, (after, limit))
            return cursor.fetchall()

    def last_seal(self) -> Seal | None:
        """See `eventlog.EventLog.last_seal`."""
        found = self._seals("ORDER BY last DESC LIMIT 1", ())
        return found[0] if found else None

    def read_seals(self, after: int, limit: int) -> list[Seal]:
        """See `eventlog.EventLog.read_seals`."""
        return self._seals("WHERE last > %s ORDER BY last LIMIT %s", (after, limit))

    def tracked(self, source: str) -> int:
        """See `eventlog.EventLog.tracked`."""
        return self._number(
            "SELECT coalesce(max(notification_id), 0) FROM notification_tracking "
            "WHERE application_name = %s",
            (source,),
        )

    def all_tracked(self) -> dict[str, int]:
        """See `eventlog.EventLog.all_tracked`."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT application_name, notification_id FROM notification_tracking "
                "WHERE application_name <> %s",
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
        with self._aside() as connection:
            connection.execute(
                "DELETE FROM projection_snapshots WHERE name = %s "
                "AND (version <> %s OR position = %s)",
                (name, version, position),
            )
            connection.execute(
                "INSERT INTO projection_snapshots (name, position, version, state) "
                "VALUES (%s, %s, %s, %b)",
                (name, position, version, state),
            )
            kept = connection.execute(
                "SELECT position, octet_length(state) FROM projection_snapshots "
                "WHERE name = %s ORDER BY position",
                (name,),
            ).fetchall()
            connection.execute(
                "DELETE FROM projection_snapshots "
                "WHERE name = %s AND position = ANY(%s)",
                (name, eventlog.surplus(kept)),
            )

    def load_snapshot(
        self, name: str, version: int, at_most: int | None = None
    ) -> tuple[int, bytes] | None:
        """See `eventlog.EventLog.load_snapshot`."""
        with self._reading() as cursor:
            cursor.execute(
                "SELECT position, state FROM projection_snapshots WHERE name = %s "
                "AND version = %s AND position <= coalesce(%s::bigint, position) "
                "ORDER BY position DESC, saved DESC LIMIT 1",
                (name, version, at_most),
            )
            found: tuple[int, bytes] | None = cursor.fetchone()
            return found

    def discard_snapshot(self, name: str, position: int, version: int) -> None:
        """See `eventlog.EventLog.discard_snapshot`."""
        with self._aside() as connection:
            connection.execute(
                "DELETE FROM projection_snapshots "
                "WHERE name = %s AND position = %s AND version = %s",
                (name, position, version),
            )

    def close(self) -> None:
        """See `eventlog.EventLog.close`."""
        with self._guard:
            self._closed = True
            if self._writer is not None:
                postgres_session.unlock(self._writer)
                self._writer = None
            self._datastore.close()

    def _stage(
        self,
        connection: psycopg.Connection[Any],
        rows: Sequence[Row],
        firsts: dict[str, int],
        tracking: dict[str, int],
        seals: Sequence[Seal],
    ) -> None:
        """Everything of one append but its commit; raises when that must not come."""
        later = [
            stream
            for stream, version in firsts.items()
            if version != 1 or self._has_archive
        ]
        select = archive_marker.SELECT_REFUSED if self._has_archive else SELECT_REFUSED
        refused = tracked = None
        last = connection.cursor()
        with connection.pipeline():
            connection.execute("BEGIN")
            last.execute(SELECT_LAST)
            if later and self._check_versions:
                versions = [firsts[stream] for stream in later]
                refused = connection.execute(select, (later, versions))
            if rows:
                connection.execute(
                    INSERT_ROWS, list(map(list, zip(*rows, strict=True)))
                )
            if seals:
                connection.execute(
                    INSERT_SEAL, list(map(list, zip(*seals, strict=True)))
                )
            if tracking:
                columns = (list(tracking), list(tracking.values()))
                tracked = connection.execute(TRACK, columns)
        position: int = last.fetchall()[0][0]
        if rows:
            eventlog.check_positions(rows, position)
        elif position != self._known:
            raise eventlog.fence_conflict(self._known, position)
        if refused is not None:
            for found in refused.fetchall():
                raise eventlog.version_conflict(*found)
        if tracked is not None:
            taken = {source for (source,) in tracked.fetchall()}
            for source in tracking.keys() - taken:
                current = self.tracked(source)
                raise eventlog.tracking_conflict(source, tracking[source], current)

    def _seals(self, where: str, parameters: tuple[object, ...]) -> list[Seal]:
        with self._reading() as cursor:
            cursor.execute("SELECT to_regclass('step_seals') IS NOT NULL")
            if cursor.fetchall() != [(True,)]:
                return []  # a version before the seals wrote this, and none has since
            cursor.execute(SELECT_SEALS + where, parameters)
            return list(map(Seal._make, cursor.fetchall()))

    def _rows(self, where: str, parameters: tuple[object, ...]) -> list[Row]:
        with self._reading() as cursor:
            cursor.execute(SELECT_ROWS + where, parameters)
            return list(map(Row._make, cursor.fetchall()))

    def _number(self, statement: str, parameters: tuple[object, ...] = ()) -> int:
        with self._reading() as cursor:
            cursor.execute(statement, parameters)
            value: int = cursor.fetchall()[0][0]
            return value

    @contextlib.contextmanager
    def _reading(self) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor over plain tuples, on a connection that cannot write."""
        with (
            self._translated("nothing was read"),
            self._datastore.get_connection() as connection,
            connection.cursor(
                binary=True, row_factory=psycopg.rows.tuple_row
            ) as cursor,
        ):
            yield cursor

    @contextlib.contextmanager
    def _writing(self) -> Iterator[psycopg.Connection[Any]]:
        """One transaction, begun in the block; committed after it, or rolled back."""
        if self._read_only:
            raise eventlog.read_only_error()
        if self._failure is not None:
            raise errors.Permanent(f"this log has failed before: {self._failure}")
        try:
            with self._guard:
                connection = self._reconnected()
                try:
                    with self._translated("nothing was written"):
                        yield connection
                    unknown = "the outcome is unknown, compare the last position"
                    with self._translated(unknown):
                        connection.execute("COMMIT")
                except BaseException:
                    self._abandon(connection)
                    raise
        except errors.Permanent as error:
            self._failure = str(error)
            raise

    @contextlib.contextmanager
    def _aside(self) -> Iterator[psycopg.Connection[Any]]:
        """A transaction on a connection of its own: the log's must not wait for it."""
        with self._translated("no snapshot was changed"):
            connection = postgres_session.connect(self._parameters)
            with contextlib.closing(connection), connection.transaction():
                yield connection

    def _reconnected(self) -> psycopg.Connection[Any]:
        """The writer's connection; made and locked anew when the last one was lost."""
        with self._translated("nothing was written"):
            if self._writer is None or self._writer.closed:
                connection = postgres_session.connect(self._parameters)
                try:
                    postgres_session.lock(
                        connection, self._parameters["application_name"]
                    )
                except BaseException:
                    connection.close()
                    raise
                self._writer = connection
                # What cut this connection has most likely cut those of the readers.
                self._datastore.pool.check()
            return self._writer

    def _abandon(self, connection: psycopg.Connection[Any]) -> None:
        """Roll back; a connection on which not even that is possible is given up."""
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()

    @contextlib.contextmanager
    def _translated(self, outcome: str) -> Iterator[None]:
        """Errors of the driver and of the library leave the block as ours."""
        if self._closed:
            raise eventlog.closed_error()
        try:
            yield
        except psycopg.errors.UniqueViolation as error:
            raise _VersionsRefused from error
        except psycopg.Error as error:
            raise postgres_session.translate(error, outcome) from error
        except persistence.PersistenceError as error:
            cause = error.__cause__
            if isinstance(cause, psycopg.Error):
                raise postgres_session.translate(cause, outcome) from error
            raise errors.Transient(f"PostgreSQL: {error}; {outcome}") from error


class _VersionsRefused(Exception):
    """A row exists already."""


def _create_seals(connection: psycopg.Connection[Any], schema: str) -> None:
    """A version before the seals made the other tables."""
    name = psycopg.sql.Identifier(schema)
    connection.execute(psycopg.sql.SQL(CREATE_SEALS).format(schema=name))
