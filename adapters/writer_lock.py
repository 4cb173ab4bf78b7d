"""The lock file of the one process that writes a log in a file.

1. The lock is the kernel's (`flock`), so it dies with the process, however that ends.
2. The file names the process while it runs and is emptied by a clean end: a name that
   is found on locking means that its process crashed.
"""

import fcntl
import os
import pathlib
import threading

from adapters import eventlog
from domain import errors


class WriterLock:
    """The one writer's lock; `crashed` tells that the last holder never let go."""

    def __init__(self, path: pathlib.Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise errors.Permanent(
                f"{path} cannot be created: {error.strerror}; check the folder and its "
                "permissions"
            ) from error
        self._guard = threading.Lock()
        self._held = True
        holder = os.pread(self._file, 32, 0).decode(errors="replace").strip()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise eventlog.AnotherWriter(
                f"process {holder or 'unknown'} holds {path}"
            ) from error
        holder = os.pread(self._file, 32, 0).decode(errors="replace").strip()
        self.crashed = bool(holder)
        self._write(f"{os.getpid()}\n")

    def release(self, *, clean: bool) -> None:
        """Let go; a holder that is not `clean` leaves its name behind."""
        with self._guard:
            if not self._held:
                return
            self._held = False
            if clean:
                self._write("")
            os.close(self._file)

    def _write(self, text: str) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text.encode(), 0)
        os.fsync(self._file)
