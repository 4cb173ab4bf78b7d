"""The write-ahead log's way into the file, beside the commits and not in one of them.

1. A commit that finds many pages in the write-ahead log would copy them all before it
   returns, with two syncs: tens of milliseconds in which nobody is answered. So a
   thread copies them sooner, over a connection of its own, and commits go on.
2. Copying is passive: it waits for nobody and nobody waits for it. The pages that were
   written meanwhile are copied at once behind the others, for only a write-ahead log
   that is copied to its end is begun anew.
3. Behind large commits nothing is copied: work waits for more of them, not people, and
   a page that several of them write is copied once. The commit that finds
   `CHECKPOINT_PAGES` (sqlite_log.py) copies after all, and the small ones behind.
"""

import logging
import pathlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

PAGES: Final = 1_000
"""About so many pages are copied at a time: 4 MB."""
ROUNDS: Final = 4
LARGE: Final = 200
"""Rows of a commit."""
_PAGES_OF_A_COMMIT: Final = 4
_PAGES_OF_A_ROW: Final = 2
"""An estimate; each copying says how many there really were."""
_log = logging.getLogger(__name__)


class Copier:
    """Copies in a thread, when it is told often enough that something was written."""

    def __init__(
        self, path: pathlib.Path, failed: Callable[[sqlite3.Error], None]
    ) -> None:
        """`failed` is told, in the thread, what went wrong with the file."""
        self._url = f"{path.absolute().as_uri()}?mode=rw"
        self._failed = failed
        self._thread = ThreadPoolExecutor(1, "copier")
        self._copying: Future[None] | None = None
        self._connection: sqlite3.Connection | None = None
        self._written = 0

    def wrote(self, rows: int) -> None:
        """A commit of so many rows is on disk."""
        self._written += _PAGES_OF_A_COMMIT + _PAGES_OF_A_ROW * rows
        if rows >= LARGE or self._written < PAGES:
            return
        if self._copying is None or self._copying.done():
            self._written = 0
            self._copying = self._thread.submit(self._copy)

    def close(self) -> None:
        """Afterwards nothing is copied any more."""
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def _copy(self) -> None:
        try:
            for _ in range(ROUNDS):
                if self._copied():
                    return
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                _log.debug("not copied now: %s", error)
            else:
                self._failed(error)

    def _copied(self) -> bool:
        """Copies what is there; whether that is all."""
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._url, uri=True, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA synchronous=FULL")
        found = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        busy, pages, copied = found
        return not busy and copied == pages

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
