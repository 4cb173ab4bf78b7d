"""An archive: a folder of segments that hold the beginning of a log.

1. `manifest.json` lists the segments with their digests. It can be made again from the
   files at any time, and is where it is missing or damaged; so a segment that a crash
   has kept out of it is found too.
2. What is wrong with the folder as a whole (a gap, an overlap, a file that is missing,
   another cluster's) is a *problem*: told, with the files and positions, and no reason
   not to serve the rest. Nothing is written to an archive with problems.
3. Positions that no segment holds, or that a damaged one holds, are `Damaged`: reading
   them names them.
4. Reading is bounded: one position is one block, one stream the blocks that its index
   names. `BLOCKS_KEPT` blocks stay in memory, and what was read of `SEGMENTS_KEPT`
   segments' footers.
"""

import bisect
import hashlib
import json
import logging
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from adapters import archive_segment, private_files
from adapters.archive_segment import Cache, Content, Damaged, Header, Segment, Written
from adapters.eventlog import Row
from domain import errors
from domain.seals import Seal

MANIFEST: Final = "manifest.json"
MANIFEST_FORMAT: Final = 1
BLOCKS_KEPT: Final = 64
SEGMENTS_KEPT: Final = 256
ALL: Final = 2**63
_NAME: Final = re.compile(r"segment-(\d{15,})-(\d{15,})\.rbk")
_log = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A segment, as the manifest lists it."""

    file: str
    first: int
    last: int
    former: str
    """The digest of the seal before it, hexadecimal."""
    seal: str
    """The digest of the seal at its end."""
    bytes: int
    sha256: str

    @classmethod
    def of(cls, header: Header, done: Written) -> "Entry":
        """The entry of a file that was written, or read."""
        return cls(
            file=archive_segment.name(header.first, header.last),
            first=header.first,
            last=header.last,
            former=header.former,
            seal=header.seal,
            bytes=done.size,
            sha256=done.sha256.hex(),
        )


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The file `manifest.json`; `digest` speaks for all the rest of it."""

    format: int = MANIFEST_FORMAT
    cluster: str
    segments: tuple[Entry, ...]
    digest: str = ""

    def digested(self) -> str:
        """What `digest` must be."""
        bare = msgspec.structs.replace(self, digest="")
        return hashlib.sha256(msgspec.json.encode(bare)).hexdigest()


class Archive:
    """The archive in the folder at `path`, as it was when it was opened."""

    def __init__(self, path: Path) -> None:
        """Reads the manifest and the names. `Damaged` where there is no such folder."""
        self.path = path
        self.problems: list[Damaged] = []
        """What is wrong with the folder as a whole (rule 2), by position."""
        self.rebuilt = ""
        """Why the manifest was not believed; empty if it was."""
        self._cache = Cache(BLOCKS_KEPT)
        self._lock = threading.Lock()
        self._segments: dict[str, Segment] = {}
        self.cluster = ""
        self._expected = 0
        self.entries = self._found(self._manifest())
        self._firsts = [each.first for each in self.entries]

    @property
    def first(self) -> int:
        """The first position that it holds; 1 while it is empty."""
        return self.entries[0].first if self.entries else 1

    @property
    def last(self) -> int:
        """The last position that it holds; 0 while it is empty."""
        return self.entries[-1].last if self.entries else 0

    @property
    def end(self) -> int:
        """The last position that it should hold."""
        return max(self.last, self._expected)

    def expect(self, last: int) -> None:
        """It should hold positions up to `last`: if not, that is a problem."""
        if self.last < last:
            self._expected = last
            self.problems.append(self._missing(self.last + 1, last))

    @property
    def seal(self) -> str:
        """The digest at its end, hexadecimal; empty while it is empty."""
        return self.entries[-1].seal if self.entries else ""

    def append(self, entry: Entry) -> None:
        """Afterwards the archive goes on with this segment, which was written."""
        if not self.entries:
            self.cluster = Segment(
                self.path / entry.file, entry.first, entry.last
            ).header.cluster
        self.entries.append(entry)
        self._firsts.append(entry.first)

    def manifest(self) -> Manifest:
        """What its manifest must say."""
        made = Manifest(cluster=self.cluster, segments=tuple(self.entries))
        return msgspec.structs.replace(made, digest=made.digested())

    # --- reading --------------------------------------------------------------------

    def read(self, after: int, limit: int) -> list[Row]:
        """At most `limit` rows behind `after`, up to the end or to what is damaged.

        `Damaged` where already the first of them cannot be read.
        """
        rows: list[Row] = []
        while len(rows) < limit and after < self.end:
            try:
                content = self._content(after + 1)
            except Damaged:
                if rows:
                    break
                raise
            start = after + 1 - content.rows[0].position
            rows += content.rows[start : start + limit - len(rows)]
            after = rows[-1].position
        return rows

    def read_seals(self, after: int, limit: int) -> list[Seal]:
        """As `read`, the seals whose last position is behind `after`."""
        found: list[Seal] = []
        while len(found) < limit and after < self.end:
            try:
                content = self._content(after + 1)
            except Damaged:
                if found:
                    break
                raise
            start = bisect.bisect_right(content.seals, after, key=lambda seal: seal[0])
            found += content.seals[start : start + limit - len(found)]
            after = content.rows[-1].position
        return found

    def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        limit: int | None = None,
        descending: bool = False,
        *,
        until: int = ALL,
        tip: int | None = None,
    ) -> list[Row]:
        """See `eventlog.EventLog.read_stream`; only positions up to `until`.

        `tip` is the last version that the archive has of it, if that is known: then
        a damaged segment does not matter where all that is asked for is elsewhere.
        """
        found: list[Row] = []
        hurt: Damaged | None = None
        end = after_version + 1 if descending else tip
        entries = self._up_to(until)
        for entry in reversed(entries) if descending else entries:
            try:
                segment = self._segment(entry)
                places = segment.find([stream]).get(stream, [])
                for number in _wanted(places, after_version, descending):
                    rows = self._cache.block(segment, number).rows
                    mine = [
                        row
                        for row in rows
                        if row[1] == stream and row[2] > after_version
                        if row[0] <= until
                    ]
                    found += reversed(mine) if descending else mine
                    if limit is not None and len(found) >= limit:
                        break
            except Damaged as error:
                hurt = hurt or error
            if (limit is not None and len(found) >= limit) or (
                found and found[-1].version == end
            ):
                break
        else:
            hurt = hurt or next(iter(self.problems), None)
            if hurt is not None and not _ends(found, after_version, tip, descending):
                raise hurt
        if hurt is not None and not _whole(found, after_version, tip, descending):
            raise hurt
        return found[:limit]

    def read_first(
        self,
        streams: Sequence[str],
        versions: int,
        *,
        until: int = ALL,
        tips: Mapping[str, int] | None = None,
    ) -> dict[str, list[Row]]:
        """See `eventlog.EventLog.read_first`; each block is read once for all.

        `until` and `tips` as for `read_stream`.
        """
        found: dict[str, list[Row]] = {}
        hurt = next(iter(self.problems), None)
        asked = frozenset(streams)
        for entry in self._up_to(until):
            try:
                self._read_first(self._segment(entry), asked, versions, found)
            except Damaged as error:
                hurt = hurt or error
        for stream, rows in found.items():
            if rows[-1].position > until:
                found[stream] = [row for row in rows if row.position <= until]
        if hurt is not None:
            for stream in streams:
                wanted = min(tips.get(stream, 0), versions) if tips else versions
                if len(found.get(stream, ())) < wanted:
                    raise hurt
        return found

    def _read_first(
        self,
        segment: Segment,
        asked: Collection[str],
        versions: int,
        found: dict[str, list[Row]],
    ) -> None:
        numbers = {
            number
            for places in segment.find(list(asked)).values()
            for number, version in places
            if version <= versions
        }
        hurt = None
        for number in sorted(numbers):
            try:
                rows = self._cache.block(segment, number).rows
            except Damaged as error:
                hurt = error
                continue
            for row in rows:
                if row[1] in asked and row[2] <= versions:
                    found.setdefault(row[1], []).append(row)
        if hurt is not None:
            raise hurt

    def _up_to(self, until: int) -> list[Entry]:
        return self.entries[: bisect.bisect_right(self._firsts, until)]

    def segment(self, entry: Entry) -> Segment:
        """The segment, opened anew; `Damaged` if it is not what the manifest lists."""
        opened = Segment(self.path / entry.file, entry.first, entry.last)
        header = opened.header
        told = (header.cluster, header.former, header.seal, opened.sha256.hex())
        if told != (self.cluster, entry.former, entry.seal, entry.sha256):
            raise opened.damaged("it is another segment than the manifest lists")
        return opened

    def _content(self, position: int) -> Content:
        number = bisect.bisect_right(self._firsts, position) - 1
        entry = self.entries[number] if number >= 0 else None
        if entry is None or position > entry.last:
            for problem in self.problems:
                if problem.first <= position <= problem.last:
                    raise problem
            following = self.entries[number + 1].first
            raise self._missing(entry.last + 1 if entry else 1, following - 1)
        segment = self._segment(entry)
        return self._cache.block(segment, segment.number_of(position))

    def _segment(self, entry: Entry) -> Segment:
        with self._lock:
            known = self._segments.get(entry.file)
            if known is None:
                known = self._segments[entry.file] = self.segment(entry)
                if len(self._segments) > SEGMENTS_KEPT:
                    del self._segments[next(iter(self._segments))]
            return known

    # --- the folder -----------------------------------------------------------------

    def _manifest(self) -> Manifest | None:
        """The manifest; None where it is not to be believed, and `rebuilt` says why."""
        path = self.path / MANIFEST
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except FileNotFoundError:
            if not self.path.is_dir():
                raise Damaged(
                    f"{self.path}: there is no such folder; where the archive was "
                    "moved, name it behind the store's URL (?archive=/folder)",
                    1,
                    0,
                ) from None
            self.rebuilt = "it is missing" if self._files() else ""
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self.rebuilt = f"it cannot be read ({error})"
            return None
        if found.format > MANIFEST_FORMAT:
            raise Damaged(
                f"{path} is of format {found.format}, this Rollbook reads up to "
                f"{MANIFEST_FORMAT}: use a newer one",
                1,
                0,
            )
        if found.digest != found.digested():
            self.rebuilt = "it does not fit its digest"
            return None
        return found

    def _files(self) -> list[tuple[int, int, str]]:
        """First and last position and name of each segment, sorted."""
        try:
            names = (_NAME.fullmatch(each.name) for each in self.path.iterdir())
            return sorted((int(m[1]), int(m[2]), m[0]) for m in names if m is not None)
        except OSError as error:
            raise Damaged(f"{self.path}: {error.strerror}", 1, 0) from error

    def _found(self, manifest: Manifest | None) -> list[Entry]:
        """Rule 1: the listed segments and the ones beside them, by position."""
        if self.rebuilt:
            _log.warning("%s is read without its manifest: %s", self.path, self.rebuilt)
        listed = {each.file: each for each in manifest.segments} if manifest else {}
        self.cluster = manifest.cluster if manifest else ""
        there = self._files()
        named = manifest is not None
        for first, last, file in there:
            if file in listed:
                continue
            try:
                segment = Segment(self.path / file, first, last)
            except Damaged as error:
                self.problems.append(error)
                continue
            if named and segment.header.cluster != self.cluster:
                text = f"it is of the cluster {segment.header.cluster!r}, the others of"
                self.problems.append(segment.damaged(f"{text} {self.cluster!r}"))
                continue
            self.cluster, named = segment.header.cluster, True
            written = Written(segment.size, segment.sha256)
            listed[file] = Entry.of(segment.header, written)
        files = {file for _, _, file in there}
        for each in listed.values():
            if each.file not in files:
                self.problems.append(self._missing(each.first, each.last))
        present = [each for each in listed.values() if each.file in files]
        return self._chained(sorted(present, key=lambda each: each.first))

    def _chained(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that do not overlap; gaps and broken links are problems."""
        kept: list[Entry] = []
        for each in entries:
            before = kept[-1] if kept else None
            if before is not None and each.first <= before.last:
                text = f"{self.path}: {before.file} and {each.file} overlap: move one "
                self.problems.append(
                    Damaged(f"{text}of them away", each.first, before.last)
                )
                continue
            after = before.last if before is not None else 0
            known = any(p.first <= after + 1 <= p.last for p in self.problems)
            if each.first != after + 1 and not known:
                self.problems.append(self._missing(after + 1, each.first - 1))
            if (
                before is not None
                and each.first == after + 1
                and before.seal != each.former
            ):
                text = f"{self.path}: {each.file} does not continue {before.file}: "
                self.problems.append(
                    Damaged(f"{text}one is of another log", each.first, each.last)
                )
            kept.append(each)
        return kept

    def _missing(self, first: int, last: int) -> Damaged:
        return Damaged(
            f"{self.path}: no segment holds positions {first}–{last}: put the missing "
            "file back",
            first,
            last,
        )


def save_manifest(archive: Archive) -> None:
    """Afterwards its manifest is on disk, replaced in one step."""
    text = json.dumps(msgspec.to_builtins(archive.manifest()), indent=1)
    private_files.write(archive.path / MANIFEST, f"{text}\n".encode())
    archive_segment.sync_folder(archive.path)


def problems(archive: Archive) -> Iterator[Damaged]:
    """All that is wrong with it: every byte of every file is read."""
    yield from archive.problems
    for entry in archive.entries:
        try:
            segment = archive.segment(entry)
            segment.check_file()
            segment.check_rows()
        except Damaged as error:
            yield error


def refuse(archive: Archive) -> None:
    """`Permanent` if the folder has problems: nothing is to be written to it."""
    if archive.problems:
        raise errors.Permanent(
            f"nothing is written to an archive that is not whole. {archive.problems[0]}"
        )


def _wanted(
    places: Sequence[tuple[int, int]], after_version: int, descending: bool
) -> Iterator[int]:
    """The blocks that may hold later versions of a stream, in the order asked for."""
    numbers = [
        number
        for at, (number, _) in enumerate(places)
        if at + 1 >= len(places) or places[at + 1][1] > after_version + 1
    ]
    return reversed(numbers) if descending else iter(numbers)


def _whole(
    found: Sequence[Row], after_version: int, tip: int | None, descending: bool
) -> bool:
    """Whether these rows follow each other, from the right one on."""
    start = tip if descending else after_version + 1
    step = -1 if descending else 1
    return start is not None and all(
        row.version == start + step * at for at, row in enumerate(found)
    )


def _ends(
    found: Sequence[Row], after_version: int, tip: int | None, descending: bool
) -> bool:
    """Whether the last of these rows is the last that there is."""
    end = after_version + 1 if descending else tip
    if not found:
        return tip is not None and tip <= after_version
    return found[-1].version == end
