"""What containers say, in files: `<RFC 3339 with ns> stdout F the line`.

1. The format is that of the CRI: `F` ends a line, `P` says that it goes on.
2. A file that has reached `LIMIT` is moved to `<file>.1`, which it replaces: the output
   of one run takes at most twice that.
3. A line without a timestamp (of a container that outlived its kubelet) is read too.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

_log = logging.getLogger(__name__)

LIMIT: Final = 10 * 1024 * 1024
LINE_MAX: Final = 16 * 1024


class LogWriter:
    """The log of one run of one container."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path = path
        self._limit = limit
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("ab")
        self._size = self._file.tell()
        self._partial: dict[str, bytes] = {}

    def write(self, stream: str, data: bytes) -> None:
        """Writes the complete lines of `data`; empty `data` ends the stream."""
        if self._file.closed:
            return
        pending = self._partial.pop(stream, b"") + data
        *lines, rest = pending.split(b"\n")
        prefix = f"{timestamp(time.time_ns())} {stream} ".encode()
        out = bytearray()
        for line in lines:
            while len(line) > LINE_MAX:
                out += prefix + b"P " + line[:LINE_MAX] + b"\n"
                line = line[LINE_MAX:]
            out += prefix + b"F " + line + b"\n"
        while len(rest) > LINE_MAX:
            out += prefix + b"P " + rest[:LINE_MAX] + b"\n"
            rest = rest[LINE_MAX:]
        if rest and not data:  # the end, without a newline
            out += prefix + b"F " + rest + b"\n"
        elif rest:
            self._partial[stream] = rest
        if out:
            try:
                self._append(bytes(out))
            except OSError as error:  # a full disk: the container goes on, unheard
                _log.warning("output of a container is lost: %s", error)

    def close(self) -> None:
        """Afterwards nothing more is written."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        if self._size and self._size + len(data) > self._limit:
            self._file.close()
            self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._file = self.path.open("ab")
            self._size = 0
        self._file.write(data)
        self._file.flush()
        self._size += len(data)


class LogReader:
    """Reads one run's log from its beginning, and on as it grows."""

    def __init__(self, path: Path, *, since: float = 0.0, timestamps: bool) -> None:
        self._path = path
        self._since = timestamp(int(since * 1e9)).encode() if since else b""
        self._timestamps = timestamps
        self._file: BinaryIO | None = None
        self._rest = b""

    def first(self, tail: int = -1) -> bytes:
        """All that is there (only the last `tail` lines, if that is not negative)."""
        older = self._path.with_name(self._path.name + ".1")
        out: deque[bytes] = deque(maxlen=tail if tail >= 0 else None)
        self._file = self._path.open("rb")
        if older.exists():
            with older.open("rb") as file:
                self._collect(file, out)
        self._collect(self._file, out)
        return b"".join(out)

    def more(self) -> bytes:
        """What was written since the last call."""
        out: deque[bytes] = deque()
        assert self._file is not None, "`first` comes first"
        self._collect(self._file, out)
        if self._replaced():
            self._file.close()
            self._file = self._path.open("rb")
            self._collect(self._file, out)
        return b"".join(out)

    def close(self) -> None:
        """Afterwards nothing more can be read."""
        if self._file is not None:
            self._file.close()

    def _collect(self, file: BinaryIO, out: deque[bytes]) -> None:
        """Appends the complete lines of `file` to `out`, parts joined."""
        joined = b""
        for raw in file:
            if not raw.endswith(b"\n") and not self._rest:
                self._rest = raw
                break
            raw, self._rest = self._rest + raw, b""
            stamp, complete, text = _split(raw)
            if not complete:
                joined += text
                continue
            text, joined = joined + text, b""
            if stamp >= self._since or not stamp:
                out.append(stamp + b" " + text if self._timestamps else text)

    def _replaced(self) -> bool:
        assert self._file is not None
        try:
            return self._path.stat().st_size < self._file.tell()
        except FileNotFoundError:
            return False


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nine digits."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """`data` in pieces of at most `size` bytes."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _split(raw: bytes) -> tuple[bytes, bool, bytes]:
    """Timestamp (empty if there is none), whether the line is complete, the text."""
    parts = raw.split(b" ", 3)
    if (
        len(parts) == 4
        and parts[1] in (b"stdout", b"stderr")
        and parts[2] in (b"F", b"P")
        and len(parts[0]) == 30
    ):
        if parts[2] == b"P":
            return parts[0], False, parts[3].removesuffix(b"\n")
        return parts[0], True, parts[3]
    return b"", True, raw
