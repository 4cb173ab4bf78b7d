"""Archives of the log: made, checked, and what they hold taken out of the store.

1. Making one only reads, while the system runs too. Taking rows out needs the writer's
   place: control must be stopped meanwhile.
2. Rows are taken out only behind all of this: their segment was read back from the disk
   and fits its seals, the store has the same seal at its end, and a snapshot that is
   believed (projections/nearest.py) stands at or behind it, so that a start needs none
   of them. Where there is no such snapshot one is made.
3. One segment is one transaction. What is interrupted goes on where it stopped.
"""

import asyncio
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import msgspec

from adapters import archive, archive_log, archive_writing, eventlog, eventstore
from adapters.archive import Archive, Entry
from adapters.archive_marker import Marker, Removing
from adapters.archive_segment import Damaged
from adapters.eventlog import EventLog
from domain import catalogue
from domain.errors import Permanent, Transient
from projections import nearest, snapshots
from rollbook.verdicts import Check, Report
from rollbook.verifying import Signed

Progress = Callable[[int, int], None]
_NO_PLACE: Final = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was done."""

    first: int
    last: int
    """The positions that the archive holds."""
    segments: tuple[Entry, ...]
    """Those that were added."""
    write_seconds: float
    removed: int = 0
    """So many rows were taken out of the store."""
    not_shrunk: str = ""
    """Why the store's file is as large as before; empty where it is not."""
    kept_from: int = 1
    """The first position that the store still has."""

    @property
    def events(self) -> int:
        """How many events were added."""
        return sum(each.last - each.first + 1 for each in self.segments)

    @property
    def bytes(self) -> int:
        """How large what was added is."""
        return sum(each.bytes for each in self.segments)


def run(
    url: str,
    folder: Path,
    *,
    until: int | None = None,
    before: float | None = None,
    remove: bool = False,
    rows: int = archive_writing.SEGMENT_ROWS,
    progress: Progress | None = None,
) -> Outcome:
    """Afterwards the archive in `folder` holds the log up to `until` (a position), or
    as far as it is older than `before` (a time), or as far as it goes; whole steps.

    With `remove` the store no longer has what of that the archive holds, save its last
    step. Raises `Permanent` where a rule forbids it; what was done before stays.
    """
    folder = folder.absolute()
    with archive_writing.locked(folder):
        log = _opened(url, folder, remove)
        try:
            end = _end(log, until, before, remove)
            began = time.perf_counter()
            added = archive_writing.extend(
                log, folder, end, rows=rows, progress=progress
            )
            seconds = time.perf_counter() - began
            removed = 0
            if remove:
                removed = _remove(url, log, folder, end, {each.file for each in added})
            held = Archive(folder)
            marker = store_of(log).archived()
            shrunk = _shrink(store_of(log)) if removed else ""
            return Outcome(
                first=held.first,
                last=held.last,
                segments=tuple(added),
                write_seconds=seconds,
                removed=removed,
                not_shrunk=shrunk,
                kept_from=marker.last + 1 if marker is not None else 1,
            )
        finally:
            log.close()


def url_of(folder: Path, store: str = "") -> str:
    """The URL of this archive, or of a store whose beginning was taken out into it."""
    quoted = urllib.parse.quote(str(folder.absolute()))
    if not store:
        return f"archive://{quoted}"
    return f"{store}{'&' if '?' in store else '?'}archive={quoted}"


def store_of(log: EventLog) -> Removing:
    """The store of a log that was opened by the URL of a database or a file."""
    found = log.store if isinstance(log, archive_log.JoinedLog) else log
    if not hasattr(found, "archived"):
        raise Permanent("only logs in SQLite and PostgreSQL can be archived")
    return cast(Removing, found)


def spoken_of(log: EventLog, signed: list[Signed]) -> list[Signed]:
    """Those checkpoints that speak of what this log may hold: an archive ends early."""
    if not isinstance(log, archive_log.ArchivedLog):
        return signed
    last = log.last_position()
    return [
        each
        for each in signed
        if each.checkpoint is None or each.checkpoint.size <= last
    ]


def with_archive(report: Report, log: EventLog) -> Report:
    """The report on a log, and on its archive too, if it has one."""
    found = check(log)
    if found is None:
        return report
    bad = found.first_bad
    verdict = found.verdict("each byte is what was written, and it fits the store")
    if isinstance(log, archive_log.ArchivedLog):
        verdict = found.verdict("each byte is what was written")
    return msgspec.structs.replace(
        report,
        verdicts=(*report.verdicts, verdict),
        good_up_to=min(report.good_up_to, bad - 1) if bad else report.good_up_to,
    )


def check(log: EventLog) -> Check | None:
    """The archive of this log, every byte of it; None where the log has none."""
    found = Check("archive")
    try:
        if isinstance(log, archive_log.ArchivedLog):
            held = log.archive
        elif isinstance(log, archive_log.JoinedLog) and log.marker is not None:
            held = log.archive()
        else:
            return None
    except Damaged as error:
        found.find(error.first, error.last, str(error))
        return found
    if held.rebuilt:
        text = f"{held.path / archive.MANIFEST}: {held.rebuilt}; `rollbook archive` "
        found.find(1, 0, f"{text}writes it anew")
    for problem in archive.problems(held):
        found.find(problem.first, problem.last, str(problem))
    if isinstance(log, archive_log.JoinedLog) and not found.count:
        _check_joint(log, held, found)
    return found


def _check_joint(log: archive_log.JoinedLog, held: Archive, found: Check) -> None:
    """Where the archive ends the store has the same, and nothing before it."""
    marker = log.marker
    assert marker is not None, "there is an archive"
    try:
        archive_writing.check_continues(held, log)
    except Permanent as error:
        found.find(held.last, held.last, str(error))
    left = log.store.scan(-1, 1)
    if left and left[0][0] <= marker.last:
        text = f"the store has a row at position {left[0][0]}, which was taken out"
        found.find(left[0][0], left[0][0], text)


# --- inside -----------------------------------------------------------------------


def _opened(url: str, folder: Path, remove: bool) -> EventLog:
    """The log, read together with the archive in `folder` if there is one already."""
    if Archive(folder).entries:
        url = url_of(folder, url)
    try:
        log = eventstore.open_log(url, read_only=not remove)
    except eventlog.AnotherWriter as error:
        raise Permanent(
            f"control runs ({error.holder}): stop it, then take rows out; without "
            "--remove an archive can be made meanwhile"
        ) from error
    try:
        store_of(log)
    except Permanent:
        log.close()
        raise
    return log


def _end(log: EventLog, until: int | None, before: float | None, remove: bool) -> int:
    """Up to which position, at most."""
    last = log.last_seal()
    if last is None:
        raise Permanent(
            "the log has no seals: start control with this version once, it seals what "
            "older ones have written"
        )
    end = last.first - 1 if remove else last.last
    if until is not None:
        if until > log.last_position():
            raise Permanent(
                f"--until {until}: the log ends at position {log.last_position()}"
            )
        end = min(end, until)
    if before is not None:
        end = min(end, _last_before(log, before, end))
    return end


def _last_before(log: EventLog, when: float, last: int) -> int:
    """The last position whose event is older than `when`; 0 if none is. By halving."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        if _time_of(log, middle) < when:
            low = middle
        else:
            high = middle - 1
    return low


def _time_of(log: EventLog, position: int) -> float:
    """When the event happened; that of the one before, where it cannot be read."""
    while position:
        for row in log.read(position - 1, 1):
            try:
                return catalogue.decode(*row).timestamp
            except Permanent:
                break
        position -= 1
    return 0.0


def _remove(url: str, log: EventLog, folder: Path, end: int, good: set[str]) -> int:
    """Rules 2 and 3; `good` are the files that were read back just now."""
    store = store_of(log)
    marker = store.archived()
    done = marker.last if marker is not None else _NO_PLACE
    held = Archive(folder)
    archive.refuse(held)
    stop = archive_writing.end_of_step(log, min(end, held.last))
    last = stop.last if stop is not None else _NO_PLACE
    ready = [each for each in held.entries if each.first <= last and each.last > done]
    founding = marker.founding if marker is not None else log.read(0, 1)[0]
    if not ready or last <= done:
        if marker is not None and marker.folder != str(folder) and held.last >= done:
            store.remove(msgspec.structs.replace(marker, folder=str(folder)))
        return 0
    for each in ready:
        if each.file not in good:
            segment = held.segment(each)
            segment.check_file()
            segment.check_rows()
    _need_snapshot(url, folder, log, last)
    removed = 0
    for each in ready:
        seal = held.read_seals(min(each.last, last) - 1, 1)[0]
        removed += store.remove(
            Marker(
                last=seal.last,
                digest=seal.digest,
                folder=str(folder),
                founding=founding,
            )
        )
    return removed


def _shrink(store: Removing) -> str:
    """Gives the room back; the answer says why not, where that fails."""
    try:
        store.shrink()
    except (Permanent, Transient) as error:
        return str(error)
    return ""


def _need_snapshot(url: str, folder: Path, log: EventLog, position: int) -> None:
    """Afterwards one that is believed stands at or behind `position`."""
    found = nearest.find(log)
    if found.cluster is None or found.cluster.position < position:
        asyncio.run(_snapshot(url_of(folder, url)))
        found = nearest.find(log)
    if found.cluster is None or found.cluster.position < position:
        raise Permanent(
            f"no snapshot stands at position {position} or behind it, and none can be "
            "kept: without one a start would need what is taken out. Nothing was "
            "removed"
        )


async def _snapshot(url: str) -> None:
    """Folds the log as the api does, and keeps a snapshot of its end."""
    from gateway.reader import Reader  # `verify` need not wait for it

    log = eventstore.open_log(url, read_only=True)
    reader = Reader(log)
    try:
        await reader.catch_up()
        if reader.unreadable_count:
            raise Permanent(
                f"{reader.unreadable_count} events cannot be read or folded, so no "
                "snapshot is taken and nothing removed: `rollbook verify` names them"
            )
        data = snapshots.encode(reader.cluster, reader.happenings, reader.unreadable)
        log.save_snapshot(snapshots.NAME, reader.position, snapshots.version(), data)
    finally:
        await reader.close()
