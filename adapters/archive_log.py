"""Logs that are read from an archive: alone, or behind a store that goes on from there.

1. `ArchivedLog` is an archive as an `EventLog`: for reading only, up to where it ends.
2. `JoinedLog` is a store and the archive that its beginning was taken out into, as one
   log: whoever reads it cannot tell. Writes, tracking and snapshots are the store's.
3. The store is asked first. What it does not have completely (a gap in front, a version
   too few) sends a reader to the store's marker, so that one who was open when rows
   were removed goes on without a fault; nobody else pays for it.
4. Positions that the archive cannot give are `Damaged`, by name; the rest is served.
   The first row alone comes from the marker then: a store starts without its archive.
"""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from adapters import archive_writing, eventlog
from adapters.archive import Archive
from adapters.archive_marker import Marker, Removing
from adapters.archive_segment import Damaged
from adapters.eventlog import EventLog, Row, Tracking
from domain import errors
from domain.seals import Seal, Stored

_FIRST: Final = 1


class ArchivedLog:
    """Rule 1; satisfies `eventlog.EventLog`."""

    def __init__(self, folder: Path) -> None:
        """`Damaged` where there is no such folder."""
        self.archive = Archive(folder)
        self._closed = False

    def append(
        self,
        rows: Sequence[Row],  # noqa: ARG002  # the port's
        tracking: Sequence[Tracking] = (),  # noqa: ARG002  # the port's
        seals: Sequence[Seal] = (),  # noqa: ARG002  # the port's
    ) -> None:
        """An archive grows by `rollbook archive` alone: `Permanent`."""
        self._open()
        raise eventlog.read_only_error()

    def read(self, after: int, limit: int) -> list[Row]:
        """See `eventlog.EventLog.read`."""
        return self._open().read(max(after, 0), limit)

    def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Row]:
        """See `eventlog.EventLog.read_stream`."""
        return self._open().read_stream(stream, after_version, limit, descending)

    def read_first(
        self, streams: Sequence[str], versions: int = 8
    ) -> dict[str, list[Row]]:
        """See `eventlog.EventLog.read_first`."""
        return self._open().read_first(streams, versions)

    def last_position(self) -> int:
        """See `eventlog.EventLog.last_position`."""
        return self._open().last

    def scan(self, after: int, limit: int) -> list[Stored]:
        """See `eventlog.EventLog.scan`; what is damaged is no gap, but `Damaged`."""
        return [*self.read(after, limit)]

    def last_seal(self) -> Seal | None:
        """See `eventlog.EventLog.last_seal`."""
        archive = self._open()
        found = archive.read_seals(archive.last - 1, 1) if archive.entries else []
        return found[0] if found else None

    def read_seals(self, after: int, limit: int) -> list[Seal]:
        """See `eventlog.EventLog.read_seals`."""
        return self._open().read_seals(max(after, 0), limit)

    def tracked(self, source: str) -> int:  # noqa: ARG002  # the port's
        """What was handled last is the store's to know: 0."""
        self._open()
        return 0

    def all_tracked(self) -> dict[str, int]:
        """See `tracked`."""
        self._open()
        return {}

    def save_snapshot(
        self,
        name: str,  # noqa: ARG002  # the port's
        position: int,  # noqa: ARG002  # the port's
        version: int,  # noqa: ARG002  # the port's
        state: bytes,  # noqa: ARG002  # the port's
    ) -> None:
        """An archive keeps no snapshots: `Permanent`."""
        self._open()
        raise eventlog.read_only_error()

    def load_snapshot(
        self,
        name: str,  # noqa: ARG002  # the port's
        version: int,  # noqa: ARG002  # the port's
        at_most: int | None = None,  # noqa: ARG002  # the port's
    ) -> tuple[int, bytes] | None:
        """There is none."""
        self._open()
        return None

    def discard_snapshot(
        self,
        name: str,  # noqa: ARG002  # the port's
        position: int,  # noqa: ARG002  # the port's
        version: int,  # noqa: ARG002  # the port's
    ) -> None:
        """There is none."""
        self._open()

    def close(self) -> None:
        """See `eventlog.EventLog.close`."""
        self._closed = True

    def _open(self) -> Archive:
        if self._closed:
            raise eventlog.closed_error()
        return self.archive


class JoinedLog:
    """Rule 2; satisfies `eventlog.EventLog`."""

    def __init__(self, store: Removing, folder: str = "", *, fixed: bool) -> None:
        """`folder` is the archive's, if it is not where the marker says.

        `fixed` says that the marker cannot change while this is open (a writer's).
        """
        self.store = store
        self._folder = folder
        self._fixed = fixed
        self._lock = threading.Lock()
        self._archive: Archive | None = None
        self._marker = store.archived()

    @property
    def marker(self) -> Marker | None:
        """What was taken out of the store, as far as is known."""
        return self._marker

    def archive(self) -> Archive:
        """The archive of the marker; `Damaged` where it is missing or another log's."""
        marker = self._marker
        assert marker is not None, "nothing was taken out of the store"
        with self._lock:
            if self._archive is None or self._archive.end < marker.last:
                self._archive = _opened(marker, self._folder or marker.folder)
            return self._archive

    # --- what the archive may have --------------------------------------------------

    def read(self, after: int, limit: int) -> list[Row]:
        """See `eventlog.EventLog.read`."""
        while True:
            marker = self._marker
            try:
                return self._read(marker, after, limit)
            except errors.Permanent:
                if not self._changed(marker):
                    raise

    def _read(self, marker: Marker | None, after: int, limit: int) -> list[Row]:
        if marker is None or after >= marker.last:
            return self.store.read(after, limit)
        wanted = min(limit, marker.last - after)
        try:
            rows = self.archive().read(after, wanted)
        except Damaged:
            if after == _FIRST - 1 and limit > 0:
                return [marker.founding]
            raise
        if len(rows) == wanted < limit:
            rows += self.store.read(marker.last, limit - wanted)
        return rows

    def scan(self, after: int, limit: int) -> list[Stored]:
        """See `eventlog.EventLog.scan`; what is damaged is no gap, but `Damaged`."""
        marker = self._marker
        if marker is None or after >= marker.last:
            found = self.store.scan(after, limit)
            if not found or found[0][0] <= after + 1 or not self._changed(marker):
                return found
            marker = self._marker
        if after < 0:
            left = self.store.scan(after, 1)
            if left and left[0][0] < _FIRST:
                return left
        rows: list[Stored] = []
        if marker is not None and after < marker.last:
            after = max(after, 0)
            wanted = min(limit, marker.last - after)
            rows += self.archive().read(after, wanted)
            if len(rows) < wanted:
                return rows  # what follows is damaged
            after = marker.last
        return rows + self.store.scan(after, limit - len(rows))

    def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Row]:
        """See `eventlog.EventLog.read_stream`."""
        rows = self.store.read_stream(stream, after_version, limit, descending)
        if limit == 0:
            return rows
        lowest = rows[-1 if descending else 0].version if rows else None
        if lowest == after_version + 1 or (descending and len(rows) == limit):
            return rows
        tip = self._versions([stream]).get(stream, 0)
        if tip <= after_version:
            return rows
        archive, until = self.archive(), self._taken()
        # What was taken out since the store was asked is in both answers.
        both = max(0, tip - lowest + 1) if lowest is not None else 0
        left = None if limit is None else limit + both
        found = archive.read_stream(
            stream, after_version, left, descending, until=until, tip=tip
        )
        older = [each for each in found if lowest is None or each.version < lowest]
        return (rows + older if descending else older + rows)[:limit]

    def read_first(
        self, streams: Sequence[str], versions: int = 8
    ) -> dict[str, list[Row]]:
        """See `eventlog.EventLog.read_first`."""
        found = self.store.read_first(streams, versions)
        missing = [
            stream
            for stream in streams
            if stream not in found or found[stream][0].version != 1
        ]
        tips = self._versions(missing) if missing else {}
        if tips:
            older = self.archive().read_first(
                list(tips), versions, until=self._taken(), tips=tips
            )
            for stream, rows in older.items():
                newer = found.get(stream, [])
                end = newer[0].version if newer else versions + 1
                found[stream] = [each for each in rows if each.version < end] + newer
        return found

    def read_seals(self, after: int, limit: int) -> list[Seal]:
        """See `eventlog.EventLog.read_seals`."""
        marker = self._marker
        if marker is None or after >= marker.last:
            found = self.store.read_seals(after, limit)
            if not found or found[0].first <= after + 1 or not self._changed(marker):
                return found
            marker = self._marker
        sealed: list[Seal] = []
        if marker is not None and after < marker.last:
            sealed = self.archive().read_seals(after, limit)
            sealed = [each for each in sealed if each.last <= marker.last]
            if not sealed or sealed[-1].last < marker.last:
                return sealed
            after = marker.last
        return sealed + self.store.read_seals(after, limit - len(sealed))

    def _taken(self) -> int:
        """Up to which position the archive is asked, though it may hold more."""
        return self._marker.last if self._marker is not None else 0

    def _versions(self, streams: Sequence[str]) -> dict[str, int]:
        """The last versions in the archive; rule 3."""
        self._changed(self._marker)
        if self._marker is None:
            return {}
        return self.store.archived_versions(streams)

    def _changed(self, known: Marker | None) -> bool:
        """Whether more was taken out of the store than `known` says."""
        if not self._fixed:
            self._marker = self.store.archived()
        return self._marker is not None and self._marker != known

    # --- what only the store has ----------------------------------------------------

    def append(
        self,
        rows: Sequence[Row],
        tracking: Sequence[Tracking] = (),
        seals: Sequence[Seal] = (),
    ) -> None:
        """See `eventlog.EventLog.append`."""
        self.store.append(rows, tracking, seals)

    def last_position(self) -> int:
        """See `eventlog.EventLog.last_position`; the store keeps its last step."""
        return self.store.last_position()

    def last_seal(self) -> Seal | None:
        """See `eventlog.EventLog.last_seal`."""
        return self.store.last_seal()

    def tracked(self, source: str) -> int:
        """See `eventlog.EventLog.tracked`."""
        return self.store.tracked(source)

    def all_tracked(self) -> dict[str, int]:
        """See `eventlog.EventLog.all_tracked`."""
        return self.store.all_tracked()

    def save_snapshot(
        self, name: str, position: int, version: int, state: bytes
    ) -> None:
        """See `eventlog.EventLog.save_snapshot`."""
        self.store.save_snapshot(name, position, version, state)

    def load_snapshot(
        self, name: str, version: int, at_most: int | None = None
    ) -> tuple[int, bytes] | None:
        """See `eventlog.EventLog.load_snapshot`."""
        return self.store.load_snapshot(name, version, at_most)

    def discard_snapshot(self, name: str, position: int, version: int) -> None:
        """See `eventlog.EventLog.discard_snapshot`."""
        self.store.discard_snapshot(name, position, version)

    def close(self) -> None:
        """See `eventlog.EventLog.close`."""
        self.store.close()


def joined(store: Removing, folder: str, *, read_only: bool) -> EventLog:
    """The log of a store that was opened just now, its archive included.

    A writer's store from which nothing was taken is that log itself.
    """
    try:
        log = JoinedLog(store, folder, fixed=not read_only)
    except BaseException:
        store.close()
        raise
    return store if log.marker is None and not read_only else log


def _opened(marker: Marker, folder: str) -> Archive:
    """The archive in `folder`, which must be the one that the marker speaks of."""
    try:
        archive = Archive(Path(folder))
    except Damaged as error:
        raise Damaged(
            f"positions 1–{marker.last} are in the archive, which cannot be read. "
            f"{error}",
            1,
            marker.last,
        ) from error
    archive.expect(marker.last)
    uid = archive_writing.cluster_of(marker.founding)
    foreign = bool(archive.entries) and archive.cluster != uid
    with contextlib.suppress(Damaged):  # whoever reads there is told
        sealed = archive.read_seals(marker.last - 1, 1)
        foreign = foreign or sealed[0].digest != marker.digest
    if foreign:
        raise Damaged(
            f"{folder} is not the archive of this store, which ends with another seal "
            f"at position {marker.last}. Name the right one behind the store's URL "
            "(?archive=/folder)",
            1,
            marker.last,
        )
    return archive
