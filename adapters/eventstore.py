"""Where a log is opened: the URL decides which store it lives in.

| URL | store |
|---|---|
| `sqlite:///path/file.db` | a file; the path is absolute, `%` escapes are decoded |
| `sqlite:path/file.db` | a file below the working directory |
| `postgresql://user@host/database` | PostgreSQL; every parameter that libpq knows |
| `memory:` | this process, this handle; gone when it is closed |
| `memory:name` | this process; handles that name it share it while one is open |
| `archive:///folder` | an archive alone (archive.py), for reading only |

A store whose beginning was taken out into an archive is read together with it
(archive_log.py). Behind the URL of a store, `?archive=/folder` names the archive that
has moved.
"""

import pathlib
import urllib.parse
import weakref

from adapters import eventlog, memory_log
from domain import errors

_shared: weakref.WeakValueDictionary[str, memory_log.MemoryStore] = (
    weakref.WeakValueDictionary()
)


def open_log(
    url: str,
    *,
    read_only: bool = False,
    check: bool = False,
    check_versions: bool = True,
) -> eventlog.EventLog:
    """The log at `url`, open for the one writer or, with `read_only`, for a reader.

    A writer creates what is missing. `check` scans a file for damage even when the
    last writer closed it cleanly. Without `check_versions` a database no longer looks
    for gaps in the versions of a stream (up to a quarter of an append's time), only for
    repeated ones. `AnotherWriter` when it has its writer, `Permanent` when
    it is damaged, or when the URL names nothing; `Transient` when the server cannot
    be reached or, for a reader, when no writer has created the log yet.
    """
    url, folder = _without_archive(url)
    scheme, _, rest = url.partition(":")
    if scheme == "memory":
        store = _shared.setdefault(rest, memory_log.MemoryStore()) if rest else None
        return memory_log.MemoryLog(store, read_only=read_only)
    # The drivers are imported where they are needed: a command that asks over the wire
    # should not pay for them at its start.
    if scheme == "sqlite":
        from adapters import archive_log, sqlite_log

        file = sqlite_log.SQLiteLog(
            _path(url), read_only=read_only, check=check, check_versions=check_versions
        )
        return archive_log.joined(file, folder, read_only=read_only)
    if scheme in ("postgresql", "postgres"):
        from adapters import archive_log, postgres_log

        database = postgres_log.PostgresLog(
            url, read_only=read_only, check_versions=check_versions
        )
        return archive_log.joined(database, folder, read_only=read_only)
    if scheme == "archive":
        from adapters import archive_log

        return archive_log.ArchivedLog(_path(url))
    named = f"{scheme!r} names no" if url else "nothing names an"
    raise errors.Permanent(
        f"{named} event store: use sqlite:///path/file.db, "
        "postgresql://user@host/database or memory:"
    )


def _without_archive(url: str) -> tuple[str, str]:
    """The URL without its parameter `archive`, and what that says."""
    whole, mark, query = url.partition("?")
    kept, folder = [], ""
    for each in query.split("&"):
        name, _, value = each.partition("=")
        if name == "archive":
            folder = urllib.parse.unquote(value)
        else:
            kept.append(each)
    if mark and kept:
        whole = f"{whole}?{'&'.join(kept)}"
    return whole, folder


def _path(url: str) -> pathlib.Path:
    parts = urllib.parse.urlsplit(url)
    if parts.netloc or parts.query or parts.fragment or not parts.path.strip("/"):
        raise errors.Permanent(
            f"{url!r} names no file: use sqlite:///path/file.db (three slashes; ? and "
            "# in a name are written %3F and %23)"
        )
    path = urllib.parse.unquote(parts.path)
    return pathlib.Path("/" + path.lstrip("/") if path.startswith("//") else path)
