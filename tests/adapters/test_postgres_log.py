"""What the log in PostgreSQL promises beyond the contract: lost and moved servers."""

import concurrent.futures
import dataclasses
from typing import Any

import psycopg
import pytest

from adapters import eventstore, postgres_log
from adapters.eventlog import Row, Tracking
from domain import errors
from tests.adapters import conftest
from tests.adapters.appends import ROWS_PER_APPEND, append_number
from tests.support import postgres

pytestmark = pytest.mark.postgres


@dataclasses.dataclass
class Link:
    """Ends the writer's connection just before a commit, when told to."""

    cut: bool = False


def cuttable(url: str, link: Link) -> postgres_log.PostgresLog:
    """A log whose connection ends between the last statement and the commit."""

    class CutLog(postgres_log.PostgresLog):
        def _stage(self, connection: psycopg.Connection[Any], *rest: Any) -> None:
            super()._stage(connection, *rest)
            if link.cut:
                pid = connection.info.backend_pid
                with psycopg.connect(url, autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))

    return CutLog(url)


def test_lost_connection(postgres_store: conftest.PostgresStore) -> None:
    """A connection that is gone is Transient with its cause; then it goes on."""
    log = postgres_store.open()
    log.append(append_number(1))
    postgres_store.break_lock()

    with pytest.raises(errors.Transient, match="nothing was written") as failure:
        log.append(append_number(2))

    assert isinstance(failure.value.__cause__, psycopg.OperationalError)
    log.append(append_number(2))
    assert log.read(0, 100) == append_number(1) + append_number(2)


def test_connection_lost_at_commit(postgres_url: str) -> None:
    """A commit without an answer has an unknown outcome; it is not tried again."""
    link = Link()
    log = cuttable(postgres_url, link)
    log.append(append_number(1))
    link.cut = True

    with pytest.raises(errors.Transient, match="outcome is unknown"):
        log.append(append_number(2), [Tracking("commands", 2)])

    link.cut = False
    assert log.last_position() == ROWS_PER_APPEND
    log.append(append_number(2), [Tracking("commands", 2)])
    assert log.last_position() == 2 * ROWS_PER_APPEND
    log.close()


def test_lost_lock(postgres_store: conftest.PostgresStore) -> None:
    """S12: who reconnects while another writer is at work is refused for good."""
    replaced = postgres_store.open()
    postgres_store.break_lock()
    successor = postgres_store.open()

    with pytest.raises(errors.Transient):
        replaced.append(append_number(1))
    with pytest.raises(errors.Permanent, match="another writer"):
        replaced.append(append_number(1))
    successor.close()
    with pytest.raises(errors.Permanent, match="failed before: another writer"):
        replaced.append(append_number(1))


def test_positions_that_went_back(postgres_store: conftest.PostgresStore) -> None:
    """A failover that lost commits is noticed: the next append is refused."""
    log = postgres_store.open()
    log.append(append_number(1))
    log.append(append_number(2))
    with psycopg.connect(postgres_store.url, autocommit=True) as other:
        lost = "DELETE FROM stored_events WHERE notification_id > %s"
        other.execute(lost, (ROWS_PER_APPEND,))

    for rows in (append_number(3), list[Row]()):
        with pytest.raises(errors.Conflict) as refusal:
            log.append(rows, [Tracking("commands", 3)])
        known = 2 * ROWS_PER_APPEND
        assert (refusal.value.expected, refusal.value.current) == (
            known,
            ROWS_PER_APPEND,
        )

    assert log.last_position() == ROWS_PER_APPEND


def test_second_writer_is_told_who(postgres_store: conftest.PostgresStore) -> None:
    """A second writer learns the process, the host and the session to stop."""
    postgres_store.open()

    with pytest.raises(errors.Permanent, match=r"rollbook \d+@.+ \(server process \d+"):
        postgres_store.open()


def test_library_cannot_append(postgres_store: conftest.PostgresStore) -> None:
    """Nobody appends without naming the position: the table gives none away."""
    postgres_store.open()

    with (
        psycopg.connect(postgres_store.url) as other,
        pytest.raises(psycopg.errors.NotNullViolation),
    ):
        other.execute(
            "INSERT INTO stored_events "
            "(originator_id, originator_version, topic, state) "
            "VALUES ('pod/default/web-1', 1, 'PodCreated', '')"
        )


def test_schema_of_the_url(postgres_url: str) -> None:
    """Everything lives in the schema that the URL's search path names first."""
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("CREATE SCHEMA fleet")
    url = f"{postgres_url}?options=-csearch_path%3Dfleet"
    log = eventstore.open_log(url)
    log.append(append_number(1), [Tracking("commands", 1)])
    log.save_snapshot("desired", 1, 1, b"")

    with psycopg.connect(postgres_url) as other:
        found = other.execute(
            "SELECT table_schema, count(*) FROM information_schema.tables WHERE "
            "table_schema IN ('fleet', 'public') GROUP BY table_schema"
        ).fetchall()
    log.close()

    assert found == [("fleet", 4)]  # events, seals, tracking, snapshots


def test_two_appends_at_once(postgres_store: conftest.PostgresStore) -> None:
    """S12: an append that overlaps another one at its position waits and is refused."""
    log = postgres_store.open()
    log.append(append_number(1))
    rows = append_number(2)
    with psycopg.connect(postgres_store.url) as other:
        for row in rows:
            other.execute(
                "INSERT INTO stored_events VALUES (%s, %s, %s, %s, %s)",
                (row.position, f"other/{row.version}", 1, row.topic, row.state),
            )
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            overlapping = pool.submit(log.append, rows)
            wait_until_blocked(other)
            other.commit()
            refusal = overlapping.exception(timeout=60)

    assert isinstance(refusal, errors.Conflict)
    assert (refusal.expected, refusal.current) == (
        ROWS_PER_APPEND,
        2 * ROWS_PER_APPEND,
    )
    assert {row.stream for row in log.read(ROWS_PER_APPEND, 100)} == {
        f"other/{row.version}" for row in rows
    }


def wait_until_blocked(connection: psycopg.Connection[Any]) -> None:
    """Return once another session waits for a lock of this one."""
    blocked = (
        "SELECT pid FROM pg_stat_activity "
        "WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    )
    for _ in range(600):
        # The view is frozen for a transaction unless it is told otherwise.
        connection.execute("SELECT pg_stat_clear_snapshot()")
        if connection.execute(blocked).fetchone() is not None:
            return
        connection.execute("SELECT pg_sleep(0.05)")
    raise AssertionError("nobody has waited for this session within 30 s")


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("", pytest.skip.Exception), ("true", pytest.fail.Exception)],
)
def test_no_binaries(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    """Without a PostgreSQL these tests are skipped by name; in CI they fail."""
    monkeypatch.delenv(postgres.SERVER_VARIABLE, raising=False)
    monkeypatch.setattr(postgres, "find_binaries", lambda: None)
    monkeypatch.setenv("CI", ci)

    with pytest.raises(outcome, match="no PostgreSQL"), postgres.server():
        pass


def test_no_server() -> None:
    """A server that does not answer is Transient: it may still be starting."""
    with pytest.raises(errors.Transient, match="refused"):
        eventstore.open_log("postgresql://postgres@127.0.0.1:1/rollbook")


def test_no_database(postgres_server: str) -> None:
    """A database that does not exist is Permanent, and the message names it."""
    url = postgres.database_url(postgres_server, "no_such_database")

    with pytest.raises(errors.Permanent, match="no_such_database"):
        eventstore.open_log(url)


@pytest.mark.parametrize(
    ("url", "replaced"),
    [
        ("postgresql://a@b:1/old", "postgresql://a@b:1/new"),
        ("postgresql://a@b", "postgresql://a@b/new"),
        ("postgresql:///old?host=/tmp", "postgresql:///new?host=/tmp"),
    ],
)
def test_database_url(url: str, replaced: str) -> None:
    """The helper of these tests replaces the database of a URL and nothing else."""
    assert postgres.database_url(url, "new") == replaced


@pytest.mark.parametrize(
    "url", ["postgresql://a:hidden@[b/x", "postgresql://a:hidden@b/x?nonsense=1"]
)
def test_password_is_not_repeated(url: str) -> None:
    """The refusal of a URL does not show the password that it holds."""
    with pytest.raises(errors.Permanent) as refusal:
        eventstore.open_log(url)

    assert "hidden" not in str(refusal.value)
    assert refusal.value.__suppress_context__
