"""One segment of an archive: a file that holds a range of the log, and never changes.

1. The parts of a file, in order:

   | part | what it is |
   |---|---|
   | header | a line of JSON: format, cluster, positions, seals before and at its end |
   | blocks | `BLOCK_ROWS` rows each, with the seals that end among them, zlib |
   | index | (hash of the stream, block, first version in it), 16 bytes each, sorted |
   | footer | MessagePack: where each block and the index lie, and their SHA-256 |
   | trailer | length and SHA-256 of the footer, SHA-256 of all before, `rollbook` |

2. A block is MessagePack: the columns of its rows as the store had them (states as
   binary), then its seals. Columns compress better than rows do.
3. A segment begins behind a step and ends with one, so it is as long as its last step
   wants. Memory is needed for one block, and 100 bytes for each entry of the index.
4. A reader checks what it reads, part by part: trailer and footer when it opens, the
   index when a stream is first looked for, each block when it is decompressed. What
   does not fit is `Damaged`, which names the file and the positions; the other blocks
   are still served.
5. A file appears whole or not at all: written under another name, synced, renamed.
   Mode 0600, for states may hold what only their owner should see.
"""

import bisect
import contextlib
import hashlib
import io
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from adapters.eventlog import Row
from domain import errors, seals
from domain.seals import Seal

FORMAT: Final = 1
KIND: Final = "rollbook-archive-segment"
BLOCK_ROWS: Final = 1_000
LEVEL: Final = 6
"""zlib's level: 9 saves 3 % more and takes three times as long."""
HEADER_MAX: Final = 4_096
SUFFIX: Final = ".rbk"
_MAGIC: Final = b"rollbook"
_TRAILER: Final = struct.Struct(f">Q32s32s{len(_MAGIC)}s")
_ENTRY: Final = struct.Struct(">8sII")
_HASH_BYTES: Final = 8
_MANY: Final = 32
"""From so many streams on the index is read whole, not probed."""

_encode: Final = msgspec.msgpack.Encoder().encode


class Damaged(errors.Permanent):
    """Positions `first` to `last` cannot be read from an archive; the text says why."""

    def __init__(self, text: str, first: int, last: int) -> None:
        super().__init__(text)
        self.first = first
        self.last = last


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: what the file holds."""

    kind: str = KIND
    format: int = FORMAT
    cluster: str
    """The uid of the cluster; empty where the log names none."""
    first: int
    last: int
    former: str
    """The digest of the seal before `first`, hexadecimal."""
    seal: str
    """The digest of the seal at `last`."""


class Where(NamedTuple):
    """Where a block lies in the file, and which positions it holds from where on."""

    offset: int
    length: int
    first: int
    digest: bytes


class Footer(msgspec.Struct, frozen=True, array_like=True):
    """Where everything lies, and what it must hash to."""

    header: bytes
    blocks: tuple[Where, ...]
    index_offset: int
    index_length: int
    index: bytes


class Block(msgspec.Struct, frozen=True, array_like=True):
    """Rule 2: the columns of some rows, and the seals that end among them."""

    first: int
    streams: list[str]
    versions: list[int]
    topics: list[str]
    states: list[bytes]
    seals: list[Seal]

    def rows(self) -> list[Row]:
        """The rows, in order."""
        return list(
            map(
                Row,
                range(self.first, self.first + len(self.streams)),
                self.streams,
                self.versions,
                self.topics,
                self.states,
            )
        )


class Content(NamedTuple):
    """A block that was read."""

    rows: list[Row]
    seals: list[Seal]


class Written(NamedTuple):
    """A finished file: its size, and the SHA-256 in its trailer."""

    size: int
    sha256: bytes


_block: Final = msgspec.msgpack.Decoder(Block).decode
_footer: Final = msgspec.msgpack.Decoder(Footer).decode


def name(first: int, last: int) -> str:
    """The file's name; names sort as positions do."""
    return f"segment-{first:015}-{last:015}{SUFFIX}"


# --- writing ----------------------------------------------------------------------


def write(
    path: Path, header: Header, pages: Iterable[tuple[Sequence[Row], Sequence[Seal]]]
) -> Written:
    """Afterwards the segment lies at `path`, on disk, or nothing does (rule 5).

    Each of `pages` is a block: its rows, and the seals that end among them.
    Raises `Permanent` where the disk refuses, and whatever `pages` raises.
    """
    temporary = path.with_name(f".{path.name}.unfinished")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # a umask may have taken bits away
            done = _write(file, header, pages)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise errors.Permanent(
            f"the segment {path} cannot be written: {error.strerror}; make room or "
            "check the folder's permissions: nothing was removed from the store"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return done


def sync_folder(folder: Path) -> None:
    """Afterwards the names in the folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(
    file: io.BufferedWriter,
    header: Header,
    pages: Iterable[tuple[Sequence[Row], Sequence[Seal]]],
) -> Written:
    whole = hashlib.sha256()

    def put(data: bytes) -> bytes:
        file.write(data)
        whole.update(data)
        return hashlib.sha256(data).digest()

    line = msgspec.json.encode(header) + b"\n"
    opened = put(line)
    offset, blocks, entries = len(line), [], list[bytes]()
    for rows, sealed in pages:
        data = zlib.compress(_encode(_columns(rows, sealed)), LEVEL)
        blocks.append(Where(offset, len(data), rows[0].position, put(data)))
        offset += len(data)
        entries += _entries(rows, len(blocks) - 1)
    entries.sort()
    index = b"".join(entries)
    footer = _encode(Footer(opened, tuple(blocks), offset, len(index), put(index)))
    size = offset + len(index) + len(footer) + _TRAILER.size
    known = put(footer)
    file.write(_TRAILER.pack(len(footer), known, whole.digest(), _MAGIC))
    return Written(size, whole.digest())


def _columns(rows: Sequence[Row], sealed: Sequence[Seal]) -> Block:
    _, streams, versions, topics, states = map(list, zip(*rows, strict=True))
    return Block(rows[0].position, streams, versions, topics, states, list(sealed))


def _entries(rows: Iterable[Row], number: int) -> list[bytes]:
    """The index of one block: each stream once, by the first version in it."""
    firsts: dict[str, int] = {}
    for row in rows:
        firsts.setdefault(row.stream, row.version)
    return [
        _ENTRY.pack(_hash(stream), number, version)
        for stream, version in firsts.items()
    ]


def _hash(stream: str) -> bytes:
    return hashlib.blake2b(stream.encode(), digest_size=_HASH_BYTES).digest()


# --- reading ----------------------------------------------------------------------


class Segment:
    """A segment that was opened; its methods may be called from any thread.

    No file stays open: an archive may have more segments than a process may files.
    """

    def __init__(self, path: Path, first: int, last: int) -> None:
        """Reads the trailer, the footer and the header; `Damaged` where they are bad.

        `first` and `last` are what the file's name or the manifest says.
        """
        self.path = path
        self.first, self.last = first, last
        self._index_good = False
        with self._opened() as file:
            size = os.fstat(file).st_size
            trailer = os.pread(file, _TRAILER.size, max(0, size - _TRAILER.size))
            if len(trailer) < _TRAILER.size or not trailer.endswith(_MAGIC):
                raise self.damaged("its end is missing: it was cut off")
            length, known, self.sha256, _ = _TRAILER.unpack(trailer)
            at = size - _TRAILER.size - length
            data = os.pread(file, length, at) if at > 0 else b""
            if hashlib.sha256(data).digest() != known:
                raise self.damaged("its footer is damaged")
            self._footer = _footer(data)
            line = os.pread(file, HEADER_MAX, 0).partition(b"\n")[0] + b"\n"
            if hashlib.sha256(line).digest() != self._footer.header:
                raise self.damaged("its header is damaged")
        self.size = size
        self.header = self._header(line)
        self._firsts = [each.first for each in self._footer.blocks]

    def _header(self, line: bytes) -> Header:
        found = msgspec.json.decode(line, type=Header)
        if found.kind != KIND or found.format > FORMAT:
            raise self.damaged(
                f"its format is {found.kind} {found.format}, this Rollbook reads up to "
                f"{KIND} {FORMAT}: use a newer one"
            )
        if (found.first, found.last) != (self.first, self.last):
            raise self.damaged(f"it holds {found.first}–{found.last}, against its name")
        return found

    @property
    def blocks(self) -> int:
        """How many there are."""
        return len(self._firsts)

    def number_of(self, position: int) -> int:
        """The block that holds `position`, one of this segment."""
        return bisect.bisect_right(self._firsts, position) - 1

    def span(self, number: int) -> tuple[int, int]:
        """The first and the last position of a block."""
        following = number + 1
        last = self._firsts[following] - 1 if following < self.blocks else self.last
        return self._firsts[number], last

    def block(self, number: int) -> Content:
        """The rows of a block and the seals that end in it; `Damaged` if it is bad."""
        where = self._footer.blocks[number]
        with self._opened() as file:
            data = os.pread(file, where.length, where.offset)
            if hashlib.sha256(data).digest() != where.digest:
                raise self.damaged("a block is damaged", *self.span(number))
            block = _block(zlib.decompress(data))
        return Content(block.rows(), block.seals)

    # --- streams --------------------------------------------------------------------

    def find(self, streams: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
        """Where these streams are: (block, first version in it), ascending.

        Two streams may share a hash: a block that is named need not hold the stream.
        """
        with self._opened() as file:
            index = self._index(file, whole=len(streams) >= _MANY)
            hashed = {stream: self._found(index, _hash(stream)) for stream in streams}
        return {stream: found for stream, found in hashed.items() if found}

    def _index(self, file: int, *, whole: bool) -> "_Index":
        offset, length = self._footer.index_offset, self._footer.index_length
        data = b""
        if whole or not self._index_good:
            data = os.pread(file, length, offset)
            if hashlib.sha256(data).digest() != self._footer.index:
                raise self.damaged("its index of streams is damaged")
            self._index_good = True
        return _Index(file, offset, length // _ENTRY.size, data)

    def _found(self, index: "_Index", hashed: bytes) -> list[tuple[int, int]]:
        at = bisect.bisect_left(index, hashed, key=lambda entry: entry[:_HASH_BYTES])
        found = []
        while at < len(index) and (entry := index[at]).startswith(hashed):
            _, number, version = _ENTRY.unpack(entry)
            found.append((number, version))
            at += 1
        return found

    # --- examination ----------------------------------------------------------------

    def check_file(self) -> None:
        """`Damaged` unless every byte of the file is what was written."""
        whole = hashlib.sha256()
        left = self.size - _TRAILER.size
        with self._opened() as descriptor, open(descriptor, "rb", closefd=False) as f:
            while left and (data := f.read(min(left, 1 << 20))):
                whole.update(data)
                left -= len(data)
        if left or whole.digest() != self.sha256:
            raise self.damaged("its SHA-256 is not the one at its end")

    def check_rows(self) -> None:
        """`Damaged` unless the rows are the positions of the header, fit their seals
        from the one before the first, and stand in the index of streams."""
        step = seals.StepHash(former := bytes.fromhex(self.header.former))
        expected, entries = self.first, list[bytes]()
        for number in range(self.blocks):
            rows, sealed = self.block(number)
            first, last = self.span(number)
            if [row.position for row in rows] != list(range(expected, last + 1)):
                raise self.damaged("a block holds other positions", first, last)
            entries += _entries(rows, number)
            start = 0
            for seal in sealed:
                stop = seal.last - first + 1
                step.add(rows[start:stop])
                start = stop
                former = step.digest()
                if former != seal.digest:
                    text = f"the step at {seal.first}–{seal.last} does not fit its seal"
                    raise self.damaged(text, seal.first, seal.last)
                step = seals.StepHash(former)
            step.add(rows[start:])
            expected = last + 1
        if expected != self.last + 1 or former.hex() != self.header.seal:
            raise self.damaged("its end is not the one that its header names")
        entries.sort()
        if hashlib.sha256(b"".join(entries)).digest() != self._footer.index:
            raise self.damaged("its index of streams does not fit its rows")

    def damaged(self, what: str, first: int = 0, last: int = 0) -> Damaged:
        """The error about these positions, or about all of the segment."""
        first, last = first or self.first, last or self.last
        return Damaged(
            f"{self.path}: {what}; positions {first}–{last} cannot be read from it: "
            "put a good copy of the file back",
            first,
            last,
        )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise self.damaged(f"it cannot be opened ({error.strerror})") from error
        try:
            yield descriptor
        except OSError as error:
            raise self.damaged(f"it cannot be read ({error.strerror})") from error
        except (msgspec.MsgspecError, zlib.error, ValueError) as error:
            raise self.damaged(f"it cannot be decoded ({error})") from error
        finally:
            os.close(descriptor)


class _Index(Sequence[bytes]):
    """The sorted entries: in memory, or read one by one where they lie."""

    def __init__(self, file: int, offset: int, count: int, data: bytes) -> None:
        self._file, self._offset = file, offset
        self._count = count
        self._data = data

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> bytes:  # type: ignore[override]  # no slices
        at = number * _ENTRY.size
        if self._data:
            return self._data[at : at + _ENTRY.size]
        return os.pread(self._file, _ENTRY.size, self._offset + at)


class Cache:
    """The blocks that were read last; for all segments of an archive, and threads."""

    def __init__(self, blocks: int) -> None:
        self._room = blocks
        self._lock = threading.Lock()
        self._known: dict[tuple[Path, int], Content] = {}

    def block(self, segment: Segment, number: int) -> Content:
        """As `Segment.block`; nobody may change what comes back."""
        asked = (segment.path, number)
        with self._lock:
            found = self._known.pop(asked, None)
            if found is not None:
                self._known[asked] = found
                return found
        found = segment.block(number)
        with self._lock:
            self._known[asked] = found
            while len(self._known) > self._room:
                del self._known[next(iter(self._known))]
        return found
