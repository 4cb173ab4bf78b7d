"""The event log in memory: the twin that tests and the simulator write to.

1. It keeps every promise of `eventlog.EventLog` except durability: the rows live as
   long as their `MemoryStore`.
2. A store outlives the handles that open it, as a file does: closing one handle and
   opening another is how a restart looks.
"""

import bisect
import operator
import threading
from collections.abc import Sequence

from adapters import eventlog
from adapters.eventlog import Row, Tracking
from domain.seals import Seal, Stored

_POSITION = operator.itemgetter(0)


class MemoryStore:
    """What a disk would hold. `writer` is the handle that has it open for writing."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: list[Row] = []
        self.streams: dict[str, list[Row]] = {}
        self.tracking: dict[str, int] = {}
        self.seals: list[Seal] = []
        self.snapshots: dict[str, dict[int, tuple[int, bytes]]] = {}
        self.writer: MemoryLog | None = None


class MemoryLog:
    """A handle on a `MemoryStore`; satisfies `eventlog.EventLog`."""

    def __init__(
        self, store: MemoryStore | None = None, *, read_only: bool = False
    ) -> None:
        self._store = MemoryStore() if store is None else store
        self._read_only = read_only
        self._closed = False
        with self._store.lock:
            if not read_only:
                if self._store.writer is not None:
                    raise eventlog.AnotherWriter("a handle of this process")
                self._store.writer = self
            self._known = len(self._store.rows)

    def append(
        self,
        rows: Sequence[Row],
        tracking: Sequence[Tracking] = (),
        seals: Sequence[Seal] = (),
    ) -> None:
        """See `eventlog.EventLog.append`."""
        eventlog.check_seals(rows, seals)
        store = self._writable()
        with store.lock:
            if rows:
                eventlog.check_positions(rows, len(store.rows))
            elif tracking and self._known != len(store.rows):
                raise eventlog.fence_conflict(self._known, len(store.rows))
            for stream, version in eventlog.first_versions(rows).items():
                current = len(store.streams.get(stream, ()))
                if version != current + 1:
                    raise eventlog.version_conflict(stream, version, current)
            merged = eventlog.merge_tracking(tracking)
            for source, sequence in merged.items():
                current = store.tracking.get(source, 0)
                if sequence <= current:
                    raise eventlog.tracking_conflict(source, sequence, current)
            store.rows.extend(rows)
            for row in rows:
                store.streams.setdefault(row.stream, []).append(row)
            store.tracking.update(merged)
            store.seals.extend(seals)
            self._known = len(store.rows)

    def read(self, after: int, limit: int) -> list[Row]:
        """See `eventlog.EventLog.read`."""
        store = self._open()
        with store.lock:
            return store.rows[after : after + limit]

    def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Row]:
        """See `eventlog.EventLog.read_stream`."""
        store = self._open()
        with store.lock:
            rows = store.streams.get(stream, [])[after_version:]
        return (rows[::-1] if descending else rows)[:limit]

    def read_first(
        self, streams: Sequence[str], versions: int = 8
    ) -> dict[str, list[Row]]:
        """See `eventlog.EventLog.read_first`."""
        store = self._open()
        with store.lock:
            return {
                stream: store.streams[stream][:versions]
                for stream in streams
                if stream in store.streams
            }

    def last_position(self) -> int:
        """See `eventlog.EventLog.last_position`."""
        return len(self._open().rows)

    def scan(self, after: int, limit: int) -> list[Stored]:
        """See `eventlog.EventLog.scan`."""
        store = self._open()
        with store.lock:
            behind = bisect.bisect_right(store.rows, after, key=_POSITION)
            return list(store.rows[behind : behind + limit])

    def last_seal(self) -> Seal | None:
        """See `eventlog.EventLog.last_seal`."""
        store = self._open()
        with store.lock:
            return store.seals[-1] if store.seals else None

    def read_seals(self, after: int, limit: int) -> list[Seal]:
        """See `eventlog.EventLog.read_seals`."""
        store = self._open()
        with store.lock:
            behind = bisect.bisect_right(store.seals, after, key=_POSITION)
            return store.seals[behind : behind + limit]

    def tracked(self, source: str) -> int:
        """See `eventlog.EventLog.tracked`."""
        return self._open().tracking.get(source, 0)

    def all_tracked(self) -> dict[str, int]:
        """See `eventlog.EventLog.all_tracked`."""
        store = self._open()
        with store.lock:
            return dict(store.tracking)

    def save_snapshot(
        self, name: str, position: int, version: int, state: bytes
    ) -> None:
        """See `eventlog.EventLog.save_snapshot`."""
        store = self._open()
        with store.lock:
            if position > len(store.rows):
                raise eventlog.snapshot_conflict(name, position, len(store.rows))
            kept = {
                held: value
                for held, value in store.snapshots.get(name, {}).items()
                if value[0] == version
            }
            kept[position] = (version, bytes(state))
            sizes = sorted((held, len(value[1])) for held, value in kept.items())
            for surplus in eventlog.surplus(sizes):
                del kept[surplus]
            store.snapshots[name] = kept

    def load_snapshot(
        self, name: str, version: int, at_most: int | None = None
    ) -> tuple[int, bytes] | None:
        """See `eventlog.EventLog.load_snapshot`."""
        store = self._open()
        with store.lock:
            fitting = [
                (position, state)
                for position, (saved, state) in store.snapshots.get(name, {}).items()
                if saved == version and (at_most is None or position <= at_most)
            ]
        return max(fitting, default=None)

    def discard_snapshot(self, name: str, position: int, version: int) -> None:
        """See `eventlog.EventLog.discard_snapshot`."""
        store = self._open()
        with store.lock:
            kept = store.snapshots.get(name, {})
            if position in kept and kept[position][0] == version:
                del kept[position]

    def close(self) -> None:
        """See `eventlog.EventLog.close`."""
        with self._store.lock:
            self._closed = True
            if self._store.writer is self:
                self._store.writer = None

    def _open(self) -> MemoryStore:
        if self._closed:
            raise eventlog.closed_error()
        return self._store

    def _writable(self) -> MemoryStore:
        if self._read_only:
            raise eventlog.read_only_error()
        return self._open()
