"""The event log in memory: the twin that tests and the simulator write to.

1. It keeps every promise of `eventlog.EventLog` except durability: the rows live as
   long as their `MemoryStore`.
2. A store outlives the handles that open it, as a file does: closing one handle and
   opening another is how a restart looks.
"""

import threading
from collections.abc import Sequence

from adapters import eventlog
from adapters.eventlog import Row, Tracking


class MemoryStore:
    """What a disk would hold. `writer` is the handle that has it open for writing."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: list[Row] = []
        self.streams: dict[str, list[Row]] = {}
        self.tracking: dict[str, int] = {}
        self.snapshots: dict[str, list[tuple[int, int, bytes]]] = {}
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

    def append(self, rows: Sequence[Row], tracking: Sequence[Tracking] = ()) -> None:
        """See `eventlog.EventLog.append`."""
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
        store = self._writable()
        with store.lock:
            if position > len(store.rows):
                raise eventlog.snapshot_conflict(name, position, len(store.rows))
            kept = store.snapshots.setdefault(name, [])
            kept.append((position, version, bytes(state)))
            del kept[: -eventlog.SNAPSHOTS_KEPT]

    def load_snapshot(
        self, name: str, version: int, at_most: int | None = None
    ) -> tuple[int, bytes] | None:
        """See `eventlog.EventLog.load_snapshot`."""
        store = self._open()
        with store.lock:
            # The one that was saved last comes first, and `max` keeps the first.
            fitting = [
                (position, state)
                for position, saved, state in reversed(store.snapshots.get(name, []))
                if saved == version and (at_most is None or position <= at_most)
            ]
        return max(fitting, key=lambda found: found[0], default=None)

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
