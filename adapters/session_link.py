"""One direction-pair of a session: frames that arrive once and in order, or not at all.

Pure: no clock, no broker. Both sides of a session hold one `Link` each.

1. A frame is 25 bytes and a payload: kind (1 byte), sequence, received, limit (8 bytes
   each, big endian). Sequences count from 1 on each side; frames that carry nothing to
   be kept in order (`IDLE`, `ABORT`) have 0.
2. `received` acknowledges all that arrived from the other side up to it. What is not
   acknowledged is kept, and sent again; what arrives twice or too early is dropped.
3. `limit` is the last sequence that the other side may send: it grows as what arrived
   is consumed. So neither side ever keeps more than `WINDOW` frames of `CHUNK` bytes.
"""

import struct
from collections import deque
from typing import Final, NamedTuple

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
STATUS: Final = 3
RESIZE: Final = 4
OPEN: Final = 5
IDLE: Final = 6
ABORT: Final = 7
END_INPUT: Final = 8

WINDOW: Final = 32
CHUNK: Final = 32 * 1024
_HEAD: Final = struct.Struct(">BQQQ")
_UNORDERED: Final = frozenset({IDLE, ABORT})


class Frame(NamedTuple):
    """A message of a session, as rule 1 lays it out."""

    kind: int
    sequence: int
    received: int
    limit: int
    payload: bytes


def encode(frame: Frame) -> bytes:
    """The frame as it travels."""
    head = _HEAD.pack(frame.kind, frame.sequence, frame.received, frame.limit)
    return head + frame.payload


def decode(data: bytes) -> Frame:
    """The frame that `encode` wrote. Raises `ValueError` if it is none."""
    if len(data) < _HEAD.size:
        raise ValueError(f"a frame of {len(data)} bytes has no head")
    if len(data) > _HEAD.size + CHUNK:
        raise ValueError(f"a frame of {len(data)} bytes is longer than any")
    kind, sequence, received, limit = _HEAD.unpack_from(data)
    if kind > END_INPUT or (kind in _UNORDERED) != (sequence == 0):
        raise ValueError(f"no frame has kind {kind} and sequence {sequence}")
    return Frame(kind, sequence, received, limit, data[_HEAD.size :])


class Link:
    """What one side knows of a session."""

    def __init__(self) -> None:
        self._sent = 0
        self._acknowledged = 0
        self._allowed = WINDOW
        self._kept: deque[tuple[int, int, bytes]] = deque()
        self._received = 0
        self._consumed = 0

    @property
    def has_room(self) -> bool:
        """The other side takes one more frame."""
        return self._sent < self._allowed

    @property
    def is_acknowledged(self) -> bool:
        """Everything that was sent has arrived."""
        return not self._kept

    @property
    def acknowledged(self) -> int:
        """The last sequence of ours that has arrived."""
        return self._acknowledged

    @property
    def state(self) -> tuple[int, int]:
        """What every frame tells the other side: received, and limit."""
        return self._received, self._consumed + WINDOW

    def send(self, kind: int, payload: bytes) -> bytes:
        """The next frame in order; only where `has_room`."""
        assert self.has_room, "the other side has no room"
        assert len(payload) <= CHUNK, "whoever sends cuts"
        self._sent += 1
        self._kept.append((self._sent, kind, payload))
        return encode(Frame(kind, self._sent, *self.state, payload))

    def idle(self) -> bytes:
        """A frame that says nothing but how far this side is."""
        return encode(Frame(IDLE, 0, *self.state, b""))

    def abort(self, payload: bytes) -> bytes:
        """A frame that ends the session; it may get lost."""
        return encode(Frame(ABORT, 0, *self.state, payload[:CHUNK]))

    def again(self) -> list[bytes]:
        """All frames that are not acknowledged, anew."""
        return [
            encode(Frame(kind, sequence, *self.state, payload))
            for sequence, kind, payload in self._kept
        ]

    def arrive(self, frame: Frame) -> bool:
        """Takes a frame; whether its payload is the next one in order.

        One that claims to have received what was never sent is not believed.
        """
        if self._acknowledged < frame.received <= self._sent:
            self._acknowledged = frame.received
            while self._kept and self._kept[0][0] <= frame.received:
                self._kept.popleft()
        # No side grants more than a window past what it has received.
        self._allowed = max(self._allowed, min(frame.limit, self._sent + WINDOW))
        if frame.sequence != self._received + 1:
            return False
        if frame.sequence > self._consumed + WINDOW:
            return False  # more than was allowed: it may come again
        self._received += 1
        return True

    def consume(self) -> None:
        """One payload is used up: there is room for another."""
        self._consumed += 1
