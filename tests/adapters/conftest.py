"""The stores that the contract of the event log is run against."""

import abc
import contextlib
import os
import pathlib
from collections.abc import Iterator

import psycopg
import pytest

from adapters import eventlog, eventstore, memory_log
from tests.adapters import taking
from tests.support import postgres


class Store(abc.ABC):
    """One place that logs are opened in; `close` closes every log opened here."""

    durable = True
    """Whether the log is more than a part of this process."""

    def __init__(self) -> None:
        self._logs = contextlib.ExitStack()

    def open(self, *, read_only: bool = False) -> eventlog.EventLog:
        """A handle on the log of this store."""
        log = self._open(read_only=read_only)
        self._logs.callback(log.close)
        return log

    def close(self) -> None:
        """Close what was opened."""
        self._logs.close()

    @abc.abstractmethod
    def break_lock(self) -> None:
        """Take the lock from the writer that holds it, as bad luck would."""

    @abc.abstractmethod
    def _open(self, *, read_only: bool) -> eventlog.EventLog: ...


class MemoryStore(Store):
    """A store in this process."""

    durable = False

    def __init__(self) -> None:
        super().__init__()
        self.store = memory_log.MemoryStore()

    def break_lock(self) -> None:
        """Forget the writer."""
        self.store.writer = None

    def _open(self, *, read_only: bool) -> eventlog.EventLog:
        return memory_log.MemoryLog(self.store, read_only=read_only)


class UrlStore(Store):
    """A store that has a URL."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def _open(self, *, read_only: bool) -> eventlog.EventLog:
        return eventstore.open_log(self.url, read_only=read_only)


class SQLiteStore(UrlStore):
    """A file that does not exist yet."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(f"sqlite://{path}")
        self.path = path

    def break_lock(self) -> None:
        """Remove the lock file: the lock stays on a file that nobody finds."""
        os.unlink(f"{self.path}.lock")


class ArchivedStore(SQLiteStore):
    """A file whose rows are taken out into an archive, all but each append's last."""

    durable = False

    def _open(self, *, read_only: bool) -> eventlog.EventLog:
        if read_only:
            return super()._open(read_only=True)
        return taking.TakingLog(self.url, self.path.with_name("archive"))


class PostgresStore(UrlStore):
    """A database of its own."""

    def break_lock(self) -> None:
        """End every session of the database: the locks end with them."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A running PostgreSQL, started at most once in a test run."""
    with postgres.server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A database that nobody has used before."""
    with postgres.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[PostgresStore]:
    """A log in PostgreSQL."""
    with contextlib.closing(PostgresStore(postgres_url)) as store:
        yield store


@pytest.fixture
def sqlite_store(tmp_path: pathlib.Path) -> Iterator[SQLiteStore]:
    """A log in a file."""
    with contextlib.closing(SQLiteStore(tmp_path / "log.db")) as store:
        yield store


@pytest.fixture
def memory_store() -> Iterator[MemoryStore]:
    """A log in memory."""
    with contextlib.closing(MemoryStore()) as store:
        yield store


@pytest.fixture
def archived_store(tmp_path: pathlib.Path) -> Iterator[ArchivedStore]:
    """A log in a file and an archive."""
    with contextlib.closing(ArchivedStore(tmp_path / "log.db")) as store:
        yield store


DURABLE = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


@pytest.fixture(params=DURABLE)
def durable_store(request: pytest.FixtureRequest) -> UrlStore:
    """Each store that outlives a process, in turn."""
    store: UrlStore = request.getfixturevalue(f"{request.param}_store")
    return store


@pytest.fixture(params=("memory", "archived", *DURABLE))
def store(request: pytest.FixtureRequest) -> Store:
    """Each of the stores in turn; `archived` is a file and an archive."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found
