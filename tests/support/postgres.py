"""A real PostgreSQL for tests.

1. `ROLLBOOK_TEST_POSTGRES` names a server that runs already (a URL of a role that may
   create databases); without it a server of our own is started and always stopped.
2. Our own server lives in a folder of its own, listens on a free port of 127.0.0.1 and
   on a socket in that folder, trusts everybody, and does not sync to disk: its data
   ends with the test run.
3. Every test gets a database that nobody has used before.
4. Only a machine without PostgreSQL skips, and says so; with `CI=true` it fails.
"""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator

import psycopg
import psycopg.conninfo
import psycopg.sql
import pytest

from tests.support import ports

SERVER_VARIABLE = "ROLLBOOK_TEST_POSTGRES"
UNPRIVILEGED_USERS = ("postgres", "nobody")
SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "max_connections=50",
    "shared_buffers=32MB",
    "autovacuum=off",
)
START_TIMEOUT_S = 60

Command = list[pathlib.Path | str]


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a server on which databases can be created; it runs in the block."""
    named = os.environ.get(SERVER_VARIABLE)
    if named:
        yield named
        return
    binaries = find_binaries()
    if binaries is None:
        reason = (
            "no PostgreSQL on this machine: install the package `postgresql`, or name "
            f"a running server in {SERVER_VARIABLE}"
        )
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with _own_server(binaries) as url:
        yield url


@contextlib.contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new, empty database; it is dropped after the block."""
    name = f"rollbook_test_{uuid.uuid4().hex}"
    _administer(server_url, "CREATE DATABASE {}", name)
    try:
        yield database_url(server_url, name)
    finally:
        _administer(server_url, "DROP DATABASE {} WITH (FORCE)", name)


def database_url(server_url: str, name: str) -> str:
    """`server_url` with the database replaced by `name`; every other part is kept."""
    head, mark, query = server_url.partition("?")
    scheme, _, rest = head.partition("://")
    authority = rest.partition("/")[0]
    return f"{scheme}://{authority}/{name}{mark}{query}"


def crash(url: str) -> None:
    """The server is killed as by a loss of power, and recovers; clients lose their
    connections. Only a server of our own is treated so."""
    if os.environ.get(SERVER_VARIABLE):
        pytest.skip("the server is not ours to crash")
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None, "a server knows where its data lies"
    binaries = find_binaries()
    assert binaries is not None, "it was started with them"
    data = pathlib.Path(str(row[0]))
    command: Command = [binaries / "pg_ctl", "--pgdata", data, "--wait"]
    command += ["--mode=immediate", "--log", data.parent / "log", "restart"]
    _run(command, _unprivileged_user(), data.parent)


def find_binaries() -> pathlib.Path | None:
    """The folder that holds both `initdb` and `pg_ctl`; the newest release wins."""
    installed = glob.glob("/usr/lib/postgresql/*/bin")
    newest_first = sorted(installed, key=_release, reverse=True)
    on_path = os.environ.get("PATH", "").split(os.pathsep)
    for folder in map(pathlib.Path, [*on_path, *newest_first]):
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "pg_ctl")):
            return folder
    return None


def _release(folder: str) -> float:
    text = pathlib.Path(folder).parent.name
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0


@contextlib.contextmanager
def _own_server(binaries: pathlib.Path) -> Iterator[str]:
    user = _unprivileged_user()
    # Not below pytest's own folder: the server's user could not enter it, and the path
    # of a socket may have 107 bytes only.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rollbook-pg-"))
    data, log = folder / "data", folder / "log"
    try:
        if user is not None:
            shutil.chown(folder, user)
        create: Command = [binaries / "initdb", "--pgdata", data, "--no-sync"]
        create += ["--auth=trust", "--username=postgres"]
        _run([*create, "--encoding=UTF8", "--locale=C"], user, folder)
        port = ports.free_port()
        options = [f"-c {setting}" for setting in SETTINGS]
        options += [f"-p {port}", f"-k {folder}", "-h 127.0.0.1"]
        control: Command = [binaries / "pg_ctl", "--pgdata", data, "--wait"]
        start: Command = [*control, f"--timeout={START_TIMEOUT_S}", "--log", log]
        try:
            _run([*start, "--options", " ".join(options), "start"], user, folder)
        except AssertionError as error:
            text = log.read_text() if log.exists() else "(the server wrote no log)"
            raise AssertionError(f"{error}\n{text}") from error
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "--mode=immediate", "stop"], user, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged_user() -> str | None:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in UNPRIVILEGED_USERS if user in known)


def _run(command: Command, user: str | None, cwd: pathlib.Path) -> None:
    # The server inherits what it is started with, so its output must not be a pipe
    # that this call would wait for.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            user=user,
            extra_groups=None if user is None else [],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
        output.seek(0)
        text = output.read().decode(errors="replace")
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {text}"


def _administer(server_url: str, statement: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        quoted = psycopg.sql.Identifier(name)
        connection.execute(psycopg.sql.SQL(statement).format(quoted))
