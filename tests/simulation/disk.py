"""A simulated disk under the event log: what was not synced may be lost or torn.

1. An append is written to the journal first, and then synced. A synced transaction
   survives everything; one that was not may be lost, torn or there after a crash.
2. After a crash the log is read from the journal again, up to the first frame whose
   checksum is wrong. Nothing else is left of it.
3. An append may end with `Transient`: then nobody knows whether it was written, and
   the writer must ask (adapters/eventlog.py, rule 4).
"""

import zlib
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from adapters.eventlog import Row, Tracking
from adapters.memory_log import MemoryLog, MemoryStore
from domain.errors import Transient
from domain.seals import Seal

Unsynced = Literal["lost", "torn", "kept"]
Doubt = Literal["written", "not written"]


class Frame:
    """One transaction in the journal."""

    __slots__ = ("checksum", "data", "synced")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.checksum = zlib.crc32(data)
        self.synced = False


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[list[Row], list[Tracking], list[Seal]])


class DiskStore(MemoryStore):
    """A `MemoryStore` with a journal, which is all that survives a crash."""

    def __init__(self) -> None:
        super().__init__()
        self.journal: list[Frame] = []
        self.doubt: Doubt | None = None
        """How the next append ends, if the connection breaks under it."""

    def crash(self, fate: Unsynced) -> None:
        """The machine stops and starts; `fate` meets the frame that is not synced."""
        if self.journal and not self.journal[-1].synced:
            last = self.journal[-1]
            if fate == "lost":
                self.journal.pop()
            elif fate == "torn":
                last.data = last.data[: len(last.data) // 2]
        self._recover()

    def _recover(self) -> None:
        self.rows.clear()  # in place: others hold on to this list
        self.streams.clear()
        self.tracking.clear()
        self.seals.clear()
        self.writer = None
        for number, frame in enumerate(self.journal):
            if zlib.crc32(frame.data) != frame.checksum:
                assert not frame.synced, "what was synced is whole"
                del self.journal[number:]
                return
            rows, tracking, seals = _DECODER.decode(frame.data)
            self.rows.extend(rows)
            for row in rows:
                self.streams.setdefault(row.stream, []).append(row)
            self.tracking.update(dict(tracking))
            self.seals.extend(seals)
            frame.synced = True


class DiskLog(MemoryLog):
    """A handle on a `DiskStore`; satisfies `eventlog.EventLog`."""

    def __init__(self, store: DiskStore) -> None:
        super().__init__(store)
        self._disk = store

    def append(
        self,
        rows: Sequence[Row],
        tracking: Sequence[Tracking] = (),
        seals: Sequence[Seal] = (),
    ) -> None:
        """See `eventlog.EventLog.append`; afterwards it is synced."""
        disk = self._disk
        doubt, disk.doubt = disk.doubt, None
        if doubt == "not written":
            raise Transient("the connection broke before the transaction")
        self.write(rows, tracking, seals)
        disk.journal[-1].synced = True
        if doubt == "written":
            raise Transient("the connection broke after the transaction")

    def write(
        self,
        rows: Sequence[Row],
        tracking: Sequence[Tracking] = (),
        seals: Sequence[Seal] = (),
    ) -> None:
        """Afterwards the transaction is in the journal, and not synced."""
        super().append(rows, tracking, seals)
        self._disk.journal.append(Frame(_ENCODER.encode((rows, tracking, seals))))
