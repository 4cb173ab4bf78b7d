"""Writing an archive: the beginning of a log, segment by segment.

1. A segment is written from the store, which must fit its seals, and is then read back
   from the disk: its digest, its rows and their seals. Only then is it in the manifest.
2. What is there already is continued, and only by the log that it came from: the seal
   at the archive's end must be the store's seal at that position.
3. Nothing is archived that has no seal, and no step is cut.
4. One process writes to a folder at a time; the lock is the kernel's, on the folder.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from adapters import archive, archive_segment, private_files
from adapters.archive import Archive, Entry
from adapters.archive_segment import Header, Segment
from adapters.eventlog import EventLog, Row
from domain import command, errors, seals
from domain.seals import Seal

SEGMENT_ROWS: Final = 100_000
_SEALS_PAGE: Final = 2_000
Progress = Callable[[int, int], None]
"""Told now and then: how many positions are done, of how many."""


class _Founded(msgspec.Struct, frozen=True):
    uid: str = ""


class _Stored(msgspec.Struct, frozen=True):
    event: _Founded


def cluster_of(row: Row | None) -> str:
    """The uid that the first row of a log names; empty where it names none."""
    if row is None or row.topic != command.ClusterFounded.TOPIC:
        return ""
    try:
        return msgspec.json.decode(row.state, type=_Stored).event.uid
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def end_of_step(log: EventLog, position: int) -> Seal | None:
    """The last seal whose step ends at or before `position`; None if there is none."""
    found = log.read_seals(position - 1, 1) if position > 0 else []
    if found and found[0].last == position:
        return found[0]
    before = found[0].first - 1 if found else min(position, log.last_position())
    if not found:  # what follows the last seal has none
        last = log.last_seal()
        return last if last is not None and last.last <= before else None
    earlier = log.read_seals(before - 1, 1) if before > 0 else []
    return earlier[0] if earlier and earlier[0].last == before else None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Rule 4; the folder is made where there is none. `Permanent` if it is taken."""
    try:
        private_files.make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise errors.Permanent(
            f"the folder {folder} cannot be used: {error.strerror}"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise errors.Permanent(
            f"another process writes to the archive {folder}: wait for its end"
        ) from error
    finally:
        os.close(descriptor)


def check_continues(held: Archive, log: EventLog) -> None:
    """`Permanent` unless the archive is whole and is the beginning of this log."""
    archive.refuse(held)
    if not held.entries:
        return
    first = next(iter(log.read(0, 1)), None)
    uid = cluster_of(first)
    if held.cluster != uid:
        raise errors.Permanent(
            f"{held.path} is the archive of the cluster {held.cluster or 'without uid'}"
            f", not of {uid or 'this log'}: name another folder"
        )
    if held.first != 1:
        raise errors.Permanent(
            f"{held.path} begins at position {held.first}: it is not whole"
        )
    if held.last > log.last_position():
        raise errors.Permanent(
            f"{held.path} ends at position {held.last}, the store at "
            f"{log.last_position()}: the archive is newer. The store has gone back "
            "(a backup?): nothing may be built on it before that is settled"
        )
    sealed = log.read_seals(held.last - 1, 1)
    if not sealed or sealed[0].last != held.last or sealed[0].digest.hex() != held.seal:
        raise errors.Permanent(
            f"{held.path} ends at position {held.last} with another seal than the "
            "store has there: one of them was altered, or is of another log. "
            "`rollbook verify` says more"
        )


def extend(
    log: EventLog,
    folder: Path,
    until: int,
    *,
    rows: int = SEGMENT_ROWS,
    progress: Progress | None = None,
) -> list[Entry]:
    """Afterwards the archive holds the log up to the last step that ends at `until`.

    Segments get `rows` rows, and what their last step has more. The entries that were
    added; none where the archive is as far already. Raises `Permanent` where rules 1
    to 3 are broken; what was added before stays.
    """
    held = Archive(folder)
    for left in folder.glob(".*.unfinished"):
        left.unlink(missing_ok=True)
    check_continues(held, log)
    if held.rebuilt or (held.entries and not (folder / archive.MANIFEST).is_file()):
        archive.save_manifest(held)
    end = end_of_step(log, until)
    added: list[Entry] = []
    while end is not None and held.last < end.last:
        stop = _next_end(log, held.last + rows, end)
        entry = _segment(log, held, stop, progress, end.last)
        held.append(entry)
        archive.save_manifest(held)
        added.append(entry)
    return added


def _next_end(log: EventLog, wanted: int, end: Seal) -> Seal:
    """Where the segment ends: with the step that `wanted` lies in."""
    if wanted >= end.last:
        return end
    return log.read_seals(wanted - 1, 1)[0]


def _segment(
    log: EventLog, held: Archive, end: Seal, progress: Progress | None, of: int
) -> Entry:
    first = next(iter(log.read(0, 1)), None)
    header = Header(
        cluster=held.cluster if held.entries else cluster_of(first),
        first=held.last + 1,
        last=end.last,
        former=held.seal or seals.BEGINNING.hex(),
        seal=end.digest.hex(),
    )
    path = held.path / archive_segment.name(header.first, header.last)

    def pages() -> Iterator[tuple[list[Row], list[Seal]]]:
        for page in _pages(log, header):
            yield page
            if progress is not None:
                progress(page[0][-1].position, of)

    done = archive_segment.write(path, header, pages())
    written = Segment(path, header.first, header.last)
    written.check_file()
    written.check_rows()
    return Entry.of(header, done)


def _pages(log: EventLog, header: Header) -> Iterator[tuple[list[Row], list[Seal]]]:
    """The blocks of a segment; `Permanent` where the store does not fit its seals."""
    step = seals.StepHash(bytes.fromhex(header.former))
    after = header.first - 1
    waiting = _Seals(log, after, header.last)
    while after < header.last:
        limit = min(archive_segment.BLOCK_ROWS, header.last - after)
        rows = log.read(after, limit)
        if not rows:
            raise errors.Permanent(f"the log has no position {after + 1}")
        sealed = waiting.up_to(rows[-1].position)
        start = 0
        for seal in sealed:
            stop = seal.last - after
            step.add(rows[start:stop])
            start = stop
            if step.digest() != seal.digest:
                raise errors.Permanent(
                    f"the step at positions {seal.first}–{seal.last} does not fit its "
                    "seal: an altered log is not archived. `rollbook verify` says more"
                )
            step = seals.StepHash(seal.digest)
        step.add(rows[start:])
        yield rows, sealed
        after = rows[-1].position


class _Seals:
    """The seals behind a position, taken as the rows come."""

    def __init__(self, log: EventLog, after: int, end: int) -> None:
        self._log = log
        self._after, self._end = after, end
        self._page: Sequence[Seal] = ()

    def up_to(self, position: int) -> list[Seal]:
        """The next ones that end at or before `position`."""
        found: list[Seal] = []
        while self._after < position:
            if not self._page:
                self._page = self._log.read_seals(self._after, _SEALS_PAGE)
                if not self._page:
                    break
            ready = [each for each in self._page if each.last <= position]
            found += ready
            self._page = self._page[len(ready) :]
            if self._page:
                break
            self._after = found[-1].last
        if found:
            self._after = found[-1].last
        return found
