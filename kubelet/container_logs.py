"""What containers say, in files: `<RFC 3339 with ns> stdout F the line`.

1. The format is that of the CRI: `F` ends a line, `P` says that it goes on.
2. A file that has reached `LIMIT` is moved to `<file>.1`, which it replaces: the output
   of one run takes at most twice that.
3. A line without a timestamp is read too.
4. They are written by `shim.py`, which outlives the kubelet.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from kubelet import runtime
from kubelet.shim import LIMIT as LIMIT
from kubelet.shim import LogWriter as LogWriter
from kubelet.shim import timestamp as timestamp

CHUNK: Final = 128 * 1024
FOLLOW_SECONDS: Final = 0.2
MESSAGE_MAX: Final = 4096
MESSAGE_LOG_MAX: Final = 2048
MESSAGE_LOG_LINES: Final = 80


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


async def stream(
    path: Path, options: runtime.LogOptions, runs: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """The lines of one run's log, in chunks; with `follow` for as long as it `runs`,
    and then what it said last."""
    reader = LogReader(path, since=options.since, timestamps=options.timestamps)
    try:
        for chunk in chunks(reader.first(options.tail), CHUNK):
            yield chunk
        follow = options.follow and not options.previous
        while follow:
            follow = runs()
            for chunk in chunks(reader.more(), CHUNK):
                yield chunk
            if follow:
                await asyncio.sleep(FOLLOW_SECONDS)
    finally:
        reader.close()


def last_words(path: Path, log: Path, *, from_log: bool) -> str:
    """A container's termination message: the file's content, or with `from_log` the
    end of its log where the file is empty; cut as Kubernetes cuts them."""
    try:
        with path.open("rb") as file:
            said = file.read(MESSAGE_MAX)
    except OSError:
        said = b""
    if not said and from_log:
        reader = LogReader(log, timestamps=False)
        try:
            said = reader.first(MESSAGE_LOG_LINES)[-MESSAGE_LOG_MAX:]
        except OSError:
            said = b""
        finally:
            reader.close()
    return said.decode(errors="replace")


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
