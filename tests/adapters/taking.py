"""A log that takes its rows out into an archive as soon as they are written.

So the contract of the event log, and whatever else reads one, is tried where every read
goes to the archive and every append is checked against it.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from adapters import (
    archive,
    archive_log,
    archive_segment,
    archive_writing,
    eventstore,
)
from adapters.archive_marker import Marker, Removing
from adapters.eventlog import EventLog, Row, Tracking
from domain import seals
from domain.command import ClusterFounded
from domain.seals import Seal

EVENTS = 60
STEP = 3
SEGMENT = 20
"""Rows that a segment is asked for; the steps make it 21."""


def rows_of(count: int = EVENTS, uid: str = "one") -> list[Row]:
    """A log of steps of `STEP` rows: a founding, a node's stream, short-lived pods."""
    founded = f'{{"at":"2026-11-23T20:00:00Z","event":{{"uid":"{uid}"}}}}'.encode()
    rows = [Row(1, "cluster", 1, ClusterFounded.TOPIC, founded)]
    versions: dict[str, int] = {}
    for position in range(2, count + 1):
        pod = position % 3 == 0
        stream = f"pod/default/web-{position // 9}" if pod else "node/worker-1"
        versions[stream] = versions.get(stream, 0) + 1
        state = f'{{"n":{position}}}'.encode()
        rows.append(Row(position, stream, versions[stream], "Happened", state))
    return rows


def fill(log: EventLog, rows: list[Row]) -> None:
    """Append them in steps, each with its seal."""
    tip = log.last_seal()
    former = tip.digest if tip is not None else seals.BEGINNING
    for at in range(0, len(rows), STEP):
        step = rows[at : at + STEP]
        sealed = seals.seal(former, step)
        log.append(step, [Tracking("commands", step[0].position)], [sealed])
        former = sealed.digest


def filled(folder: Path) -> str:
    """The URL of a store in `folder` that holds `rows_of()`."""
    url = f"sqlite://{folder}/log.db"
    with contextlib.closing(eventstore.open_log(url)) as log:
        fill(log, rows_of())
    return url


def extend(url: str, path: Path, until: int = EVENTS) -> list[archive.Entry]:
    """Continue the archive at `path`."""
    with (
        contextlib.closing(eventstore.open_log(url, read_only=True)) as log,
        archive_writing.locked(path),
    ):
        return archive_writing.extend(log, path, until, rows=SEGMENT)


def middle(folder: Path) -> Path:
    """The file of positions 22 to 42."""
    return folder / archive_segment.name(22, 42)


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
        self._count = 0

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
        self._count += 1
        if rows and last > 1 and (self._count <= 5 or not self._count % 25):
            self._to.mkdir(exist_ok=True)
            archive_writing.extend(self, self._to, last - 1, rows=7_000)
            remove(self.store, self._to)
