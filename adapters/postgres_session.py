"""A session with PostgreSQL: how it is made, who may write in it, what its errors mean.

1. One session of a database holds the advisory lock that makes it the writer. The lock
   ends with the session, so a lost connection is a lost lock.
2. An error is `Transient` when the server may be able to do it later; whatever no
   waiting will mend is `Permanent`. The caller says what is known of the outcome.
"""

import contextlib
import os
import socket
import uuid
from typing import Any, Final

import psycopg
import psycopg.conninfo

from adapters import eventlog
from domain import errors

CONNECT_TIMEOUT_S: Final = 5
WRITER_LOCK: Final = 0x524F4C4C
"""The key of the advisory lock; such locks are per database."""

SESSION: Final = {
    "synchronous_commit": "on",
    "lock_timeout": "'10s'",
    # The server lets go of the lock of a writer whose machine has vanished after 25 s,
    # not after two hours; on a Unix socket these have no effect.
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}
"""How the writer's session is set up."""

TRY_LATER: Final = ("08", "40", "53", "55", "57", "25006")
"""Beginnings of SQLSTATEs that pass: no connection, rolled back, no resources, locked,
shutting down, on standby."""
DISK_FULL: Final = "53100"
HOPELESS: Final = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
)
"""Parts of what libpq says about a connection that no waiting will make possible."""


def parameters(url: str) -> dict[str, Any]:
    """What libpq is called with: the URL's words, and ours where it says nothing."""
    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error as error:
        # libpq repeats the whole URL, and that may hold a password.
        reason = str(error).replace(url, "…").strip()
        raise errors.Permanent(
            f"this is not the URL of a PostgreSQL database: {reason}; use "
            "postgresql://user@host/database"
        ) from None
    # A name of our own, which the server shows to whoever asks who holds the lock.
    host, token = socket.gethostname()[:32], uuid.uuid4().hex[:8]
    return {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        **given,
        "application_name": f"rollbook {os.getpid()}@{host} {token}",
    }


def connect(parameters: dict[str, Any]) -> psycopg.Connection[Any]:
    """A new connection, set up as `SESSION` says, without a transaction."""
    connection = psycopg.connect(**parameters, autocommit=True)
    try:
        for name, value in SESSION.items():
            connection.execute(f"SET {name} = {value}")
    except BaseException:
        connection.close()
        raise
    return connection


def lock(connection: psycopg.Connection[Any], own_name: str) -> None:
    """Become the writer of this database; `AnotherWriter` when it has one."""
    statement = "SELECT pg_try_advisory_lock(%s)"
    if connection.execute(statement, (WRITER_LOCK,)).fetchone() == (True,):
        return
    holder = connection.execute(
        "SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s "
        "AND database = (SELECT oid FROM pg_database "
        "WHERE datname = current_database())",
        (WRITER_LOCK,),
    ).fetchone()
    pid, name = holder or ("unknown", "it has just ended")
    if name == own_name:
        raise errors.Transient(
            "the server has not noticed yet that the last connection of this writer "
            f"is gone (server process {pid})"
        )
    raise eventlog.AnotherWriter(f"{name} (server process {pid})")


def unlock(connection: psycopg.Connection[Any]) -> None:
    """Stop being the writer, at once, and close the connection.

    The server ends a session some time after its connection was closed; the next writer
    must not have to wait for that.
    """
    with contextlib.suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock_all()")
    connection.close()


def translate(
    error: psycopg.Error, outcome: str
) -> errors.Transient | errors.Permanent:
    """The error of ours that says `error` and `outcome`, and whether to try again."""
    state = error.sqlstate or ""
    text = f"PostgreSQL: {str(error).strip()}; {outcome}"
    if state == DISK_FULL:
        return errors.Permanent(f"{text}; make room on the server's disk")
    if state.startswith(TRY_LATER):
        return errors.Transient(text)
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if lost and not state and not any(part in text for part in HOPELESS):
        return errors.Transient(text)
    return errors.Permanent(text)
