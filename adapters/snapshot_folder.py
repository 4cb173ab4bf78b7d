"""Snapshots as files in one folder: beside a SQLite store, which readers cannot write.

1. A file appears whole or not at all: it is written under another name, synced, and
   then renamed. Its name says what it is: `<name>-<position>-<version>.snapshot`.
2. Every process that has the store open may save; a lock on the folder lets one do so
   at a time. Loading needs no lock.
3. The folder may be deleted at any time, and need not be backed up: the log is all.
"""

import contextlib
import fcntl
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from adapters import eventlog
from domain import errors

_NAME: Final = re.compile(r"(.+)-(\d{20})-(\d+)\.snapshot")
_UNFINISHED: Final = ".unfinished"


class _File(NamedTuple):
    position: int
    version: int
    path: pathlib.Path


class SnapshotFolder:
    """The snapshots in the folder at `path`, which the first one creates."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def save(self, name: str, position: int, version: int, state: bytes) -> None:
        """See `eventlog.EventLog.save_snapshot`; `Permanent` where it cannot be."""
        try:
            self._path.mkdir(mode=0o700, exist_ok=True)
            with self._locked() as folder:
                for left in self._path.glob(f"*{_UNFINISHED}"):
                    left.unlink(missing_ok=True)
                target = self._path / f"{name}-{position:020}-{version}.snapshot"
                _write(target.with_name(f"{target.name}{_UNFINISHED}"), state)
                os.replace(f"{target}{_UNFINISHED}", target)
                os.fsync(folder)
                self._thin(name, version)
        except OSError as error:
            raise errors.Permanent(
                f"{self._path}: no snapshot can be kept there ({error.strerror}): make "
                "room or check the permissions; until then starts take longer"
            ) from error

    def load(
        self, name: str, version: int, at_most: int | None
    ) -> tuple[int, bytes] | None:
        """See `eventlog.EventLog.load_snapshot`."""
        for held in reversed(self._files(name)):
            if held.version != version:
                continue
            if at_most is not None and held.position > at_most:
                continue
            try:
                return held.position, held.path.read_bytes()
            except FileNotFoundError:
                continue  # another process has just thinned them out
            except OSError:
                return held.position, b""
        return None

    def discard(self, name: str, position: int, version: int) -> None:
        """See `eventlog.EventLog.discard_snapshot`."""
        for held in self._files(name):
            if (held.position, held.version) == (position, version):
                with contextlib.suppress(OSError):
                    held.path.unlink(missing_ok=True)

    def _files(self, name: str) -> list[_File]:
        """The files of that name, by position."""
        try:
            names = os.listdir(self._path)
        except OSError:
            return []
        found = (_NAME.fullmatch(each) for each in names)
        return sorted(
            _File(int(match[2]), int(match[3]), self._path / match[0])
            for match in found
            if match is not None and match[1] == name
        )

    def _thin(self, name: str, version: int) -> None:
        files = self._files(name)
        mine = {held.position: held for held in files if held.version == version}
        sizes = [(at, held.path.stat().st_size) for at, held in mine.items()]
        gone = [held for held in files if held.version != version]
        gone += [mine[position] for position in eventlog.surplus(sizes)]
        for held in gone:
            held.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Rule 2; a descriptor of the folder."""
        folder = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(folder)


def _write(path: pathlib.Path, data: bytes) -> None:
    """Afterwards `data` is on disk, for its owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
