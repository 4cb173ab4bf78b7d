"""A log that takes its rows out into an archive as soon as they are written.

So the contract of the event log, and whatever else reads one, is tried where every read
goes to the archive and every append is checked against it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from adapters import archive, archive_log, archive_writing, eventstore
from adapters.archive_marker import Marker, Removing
from adapters.eventlog import EventLog, Row, Tracking
from domain import seals
from domain.seals import Seal


def sealed(former: bytes, rows: Sequence[Row]) -> list[Seal]:
    """A seal for each row, as if each were a step; none where they do not ascend."""
    if [*rows] != sorted(rows):
        return []
    made = list[Seal]()
    for row in rows:
        made.append(seals.seal(former, [row]))
        former = made[-1].digest
    return made


def store_of(log: EventLog) -> Removing:
    """The store alone, of a log that may be joined with its archive."""
    found = log.store if isinstance(log, archive_log.JoinedLog) else log
    return cast(Removing, found)


def take_out(url: str, folder: Path, until: int, *, rows: int = 5) -> None:
    """Afterwards the rows up to `until` are in the archive only."""
    log = eventstore.open_log(url)
    try:
        with archive_writing.locked(folder):
            archive_writing.extend(log, folder, until, rows=rows)
        remove(store_of(log), folder)
    finally:
        log.close()


def remove(store: Removing, folder: Path) -> None:
    """Afterwards what the archive has is gone from the store, segment by segment."""
    marker = store.archived()
    held = archive.Archive(folder)
    founding = marker.founding if marker is not None else store.read(0, 1)[0]
    for entry in held.entries:
        if marker is None or entry.last > marker.last:
            store.remove(
                Marker(
                    last=entry.last,
                    digest=bytes.fromhex(entry.seal),
                    folder=str(folder),
                    founding=founding,
                )
            )


class TakingLog(archive_log.JoinedLog):
    """A writer's log: after each append all rows but the last are in the archive."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(store_of(eventstore.open_log(url)), fixed=False)
        self._to = folder

    def append(
        self,
        rows: Sequence[Row],
        tracking: Sequence[Tracking] = (),
        seals: Sequence[Seal] = (),  # noqa: ARG002  # each row is a step here
    ) -> None:
        """As the contract has it, and then the rows are taken out."""
        tip = self.last_seal()
        former = tip.digest if tip is not None else bytes(32)
        super().append(rows, tracking, sealed(former, rows))
        last = self.last_position()
        if rows and last > 1:
            self._to.mkdir(exist_ok=True)
            archive_writing.extend(self, self._to, last - 1, rows=7_000)
            remove(self.store, self._to)
