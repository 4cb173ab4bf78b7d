"""The event log: what the rest of Rollbook asks of an event store, and no more.

1. There is one writer. It names positions and versions itself, so the store never
   invents one: `append` either continues the log exactly or is refused.
2. An append is one transaction: all its rows, all its tracking rows and its seals, or
   nothing.
3. Positions are 1, 2, 3 … without a gap; the versions of a stream are too.
4. A refusal is `Conflict` (somebody else has written: stop), `Transient` (the store
   cannot be reached: the outcome of an append is then unknown, compare
   `last_position` before the next one) or `Permanent` (stop and say why; on opening
   `AnotherWriter` is one, whose end may be waited for). Nothing
   else leaves an implementation, save `AssertionError` for a caller's own bug.
5. A handle whose write failed for a reason other than `Conflict` or `Transient`
   refuses every further write: a sync that failed is never tried a second time.
6. Every call blocks and may come from any thread; the shell calls it in one.

The implementations are `sqlite_log`, `postgres_log`, `memory_log`, and `archive_log`
for a log whose beginning lies in an archive; one contract suite holds for all of them
(`tests/adapters/test_eventlog_contract.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeVar

from domain import errors
from domain.seals import Seal, Stored

SNAPSHOT_BYTES: Final = 512 * 1024 * 1024
"""The room that the snapshots of one name may take together."""
SNAPSHOTS_KEPT: Final = 2
"""So many are kept however large: the newest may be the one that is broken."""
STREAMS_PER_STATEMENT: Final = 500
RESERVED_SOURCE: Final = "__migration__"
"""The `eventsourcing` library marks the form of its tracking table with this row."""

Item = TypeVar("Item")


class AnotherWriter(errors.Permanent):
    """The log has its one writer; `holder` says who that is, as far as is known."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"another writer has this log open: {holder}; stop it first")
        self.holder = holder


class Row(NamedTuple):
    """One stored event. The order of the fields is the order of the columns."""

    position: int
    """Its place in the log, from 1."""
    stream: str
    version: int
    """Its place in the stream, from 1."""
    topic: str
    state: bytes


class Tracking(NamedTuple):
    """The last input that was handled from a source; sequences start at 1."""

    source: str
    sequence: int


class EventLog(Protocol):
    """One open log, for writing or for reading only."""

    def append(
        self,
        rows: Sequence[Row],
        tracking: Sequence[Tracking] = (),
        seals: Sequence[Seal] = (),
    ) -> None:
        """Afterwards all of `rows` and `tracking` are on disk and visible to readers.

        So are `seals`, the last of which is that of `rows`; one before it speaks for
        rows that have none yet. That they continue the seals is the caller's business.

        `Conflict`, and nothing written, when the first position is not
        `last_position() + 1`, positions or versions leave a gap or exist already, or
        a sequence is not greater than the one stored for its source. An append of
        tracking rows alone is refused too once another writer has appended.
        """

    def read(self, after: int, limit: int) -> list[Row]:
        """At most `limit` rows behind position `after`, ascending, without a gap.

        `Permanent` when the store has lost a position in between.
        """

    def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Row]:
        """The rows of `stream` whose version is greater than `after_version`."""

    def read_first(
        self, streams: Sequence[str], versions: int = 8
    ) -> dict[str, list[Row]]:
        """Versions 1 to `versions` of each stream; a stream without rows is left out.

        Made for many short streams at once (`command/<id>`): one statement for
        `STREAMS_PER_STATEMENT` of them.
        """

    def last_position(self) -> int:
        """The position of the last row; 0 when the log is empty."""

    def scan(self, after: int, limit: int) -> list[Stored]:
        """As `read`, but whatever is there, for an examination of the store.

        Gaps are passed over, and a damaged value may have any type.
        """

    def last_seal(self) -> Seal | None:
        """The seal with the highest position; None when there is none."""

    def read_seals(self, after: int, limit: int) -> list[Seal]:
        """At most `limit` seals whose last position is behind `after`, ascending.

        As with `scan`, a damaged value may have any type.
        """

    def tracked(self, source: str) -> int:
        """The last sequence handled from `source`; 0 when there was none."""

    def all_tracked(self) -> dict[str, int]:
        """The last sequence of every source that was ever tracked."""

    def save_snapshot(
        self, name: str, position: int, version: int, state: bytes
    ) -> None:
        """Keep `state`, the fold up to `position` by version `version` of `name`.

        A snapshot is no part of the log, so a handle that only reads may save one too.
        Those of other versions of that name are gone afterwards, and so are those that
        `surplus` names: several over the whole log remain. `Conflict` when the log
        does not reach `position`.
        """

    def load_snapshot(
        self, name: str, version: int, at_most: int | None = None
    ) -> tuple[int, bytes] | None:
        """Position and state of the furthest snapshot of that name and version.

        `at_most` bounds the position; `None` comes back when there is none. What the
        store has lost of a state is missing from it: its reader must find that out.
        """

    def discard_snapshot(self, name: str, position: int, version: int) -> None:
        """Afterwards that snapshot is gone; harmless where it is not there."""

    def close(self) -> None:
        """Release everything; harmless when repeated. Other calls are then refused."""


def check_positions(rows: Sequence[Row], last: int) -> None:
    """`Conflict` unless `rows` take the positions `last + 1`, `last + 2`, …"""
    first = rows[0].position
    if first != last + 1:
        raise errors.Conflict(
            f"an append at position {first} does not continue a log that ends at "
            f"{last}: another writer has appended, or the log has gone back; stop "
            "this writer",
            expected=first - 1,
            current=last,
        )
    positions = [row[0] for row in rows]
    if positions != list(range(first, first + len(rows))):
        gap = next(i for i, p in enumerate(positions) if p != first + i)
        raise errors.Conflict(
            f"the positions of one append must be dense: {positions[gap]} does not "
            f"follow {positions[gap - 1]}",
            expected=first + gap,
            current=positions[gap],
        )


def first_versions(rows: Sequence[Row]) -> dict[str, int]:
    """The first version that `rows` hold of each stream.

    `Conflict` unless the versions of each stream are dense within `rows`.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for _, stream, version, _, _ in rows:
        before = last.get(stream)
        if before is None:
            first[stream] = version
        elif version != before + 1:
            raise version_conflict(stream, version, before)
        last[stream] = version
    return first


def merge_tracking(tracking: Sequence[Tracking]) -> dict[str, int]:
    """The last sequence of each source; `Conflict` unless they ascend from 1."""
    merged: dict[str, int] = {}
    for source, sequence in tracking:
        assert source != RESERVED_SOURCE, f"the source {source!r} is reserved"
        if sequence <= merged.get(source, 0):
            raise tracking_conflict(source, sequence, merged.get(source, 0))
        merged[source] = sequence
    return merged


def refused_rows(
    log: EventLog,
    rows: Sequence[Row],
    archived: Mapping[str, int] = MappingProxyType({}),
) -> errors.Conflict:
    """Why a store has refused `rows`; to be asked after the append was undone.

    `archived` are last versions of streams that the store no longer has.
    """
    try:
        check_positions(rows, log.last_position())
        firsts = first_versions(rows)
    except errors.Conflict as conflict:
        return conflict
    for stream, version in firsts.items():
        newest = log.read_stream(stream, limit=1, descending=True)
        current = newest[0].version if newest else archived.get(stream, 0)
        if version != current + 1:
            return version_conflict(stream, version, current)
    raise AssertionError("the store has refused rows that continue it")


def check_seals(rows: Sequence[Row], seals: Sequence[Seal]) -> None:
    """`AssertionError` unless the last of `seals` is about the end of `rows`."""
    if seals:
        seal = seals[-1]
        fits = rows and rows[0][0] <= seal.first <= seal.last == rows[-1][0]
        assert fits, "a seal is committed with the rows of its step"


def check_dense(rows: Sequence[Row], after: int) -> None:
    """`Permanent` unless `rows`, ascending, follow `after` without a gap."""
    if rows and rows[-1].position != after + len(rows):
        found = next(
            r.position for i, r in enumerate(rows, 1) if r.position != after + i
        )
        raise errors.Permanent(
            f"the log has lost positions: {found} was found where a position closer "
            f"to {after} must be; restore the store from a backup"
        )


def version_conflict(stream: str, version: int, current: int) -> errors.Conflict:
    """The refusal of `version` in a stream whose last version is `current`."""
    return errors.Conflict(
        f"version {version} of stream {stream!r} does not follow version {current}",
        expected=version,
        current=current,
    )


def tracking_conflict(source: str, sequence: int, current: int) -> errors.Conflict:
    """The refusal of an input that was handled before."""
    return errors.Conflict(
        f"input {sequence} of {source!r} was handled before: the last one is {current}",
        expected=sequence,
        current=current,
    )


def fence_conflict(known: int, last: int) -> errors.Conflict:
    """The refusal of an append without rows by a writer that has been replaced."""
    return errors.Conflict(
        f"this writer knows the log up to position {known}, but it ends at {last}: "
        "another writer has appended; stop this writer",
        expected=known,
        current=last,
    )


def surplus(kept: Sequence[tuple[int, int]], budget: int | None = None) -> list[int]:
    """The positions of the snapshots that must go, of `(position, bytes)` ascending.

    While they take more than `budget` (`SNAPSHOT_BYTES`) the one goes whose neighbours
    are the closest to each other, so those that stay spread over the whole log. The
    newest `SNAPSHOTS_KEPT` stay.
    """
    left = list(kept)
    room = SNAPSHOT_BYTES if budget is None else budget
    gone: list[int] = []
    taken = sum(size for _, size in left)
    while taken > room and len(left) > SNAPSHOTS_KEPT:
        positions = [0, *(position for position, _ in left)]
        gaps = (
            positions[index + 2] - positions[index]
            for index in range(len(left) - SNAPSHOTS_KEPT)
        )
        _, index = min((gap, index) for index, gap in enumerate(gaps))
        position, size = left.pop(index)
        gone.append(position)
        taken -= size
    return gone


def snapshot_conflict(name: str, position: int, last: int) -> errors.Conflict:
    """The refusal of a snapshot of positions that the log does not hold."""
    return errors.Conflict(
        f"a snapshot of {name!r} at position {position} speaks of more than the log "
        f"holds: it ends at {last}",
        expected=position,
        current=last,
    )


def read_only_error() -> errors.Permanent:
    """The refusal of a write through a handle that was opened for reading."""
    return errors.Permanent(
        "this log is open for reading only: open it without read_only to write"
    )


def closed_error() -> errors.Permanent:
    """The refusal of any call on a handle that is closed."""
    return errors.Permanent("this log is closed: open it again")


def chunks(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """`items` in order, in lists of at most `size`."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
