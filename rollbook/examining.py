"""Reading a store for its examination: whatever is there, and whatever happens.

1. A row that cannot be read is found and passed over, not the end of the reading.
2. The writer may be at work meanwhile: the end is fixed first, at the end of a step.
3. A long log is folded here and examined in another process, which looks at the file
   itself first: folding is the longer half, and nothing stands before it.
"""

import bisect
import contextlib
import gc
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from adapters import eventstore
from adapters.archive_segment import Damaged
from adapters.eventlog import EventLog
from domain import seals
from domain.errors import Permanent
from domain.seals import Seal
from rollbook import beside
from rollbook.folding import Folding
from rollbook.verdicts import Check, Report
from rollbook.verifying import Examination, Signed

PAGE: Final = 2_000
TWO_HALVES: Final = 100_000
"""From so many events on a second process is worth its start."""
SEALS_PAGE: Final = 2_000
LOWEST: Final = -(2**63)
UNREADABLE_MAX: Final = 1_000
"""After so many rows that cannot be read the rest is not tried any more."""
_POSITION: Final = operator.itemgetter(0)


def examine(
    log: EventLog,
    examination: Examination,
    end: int,
    *,
    after: int = LOWEST,
    progress: Callable[[int, int], None] | None = None,
) -> Check:
    """Afterwards all rows up to `end` are examined; the check of reading them.

    Raises `Transient` where the store cannot be reached.
    """
    reading = Check("store")
    limit = PAGE
    while after < end:
        try:
            rows = log.scan(after, limit)
        except Damaged as error:
            first, after = max(after, 0) + 1, max(after + 1, error.last)
            reading.find(first, after, str(error))
            continue
        except Permanent as error:
            if limit > 1:
                limit = max(1, limit // 8)
                continue
            after = max(after, 0) + 1
            reading.find(after, after, f"position {after} cannot be read: {error}")
            if reading.count >= UNREADABLE_MAX:
                break
            continue
        if rows and rows[-1][0] > end:
            del rows[bisect.bisect_right(rows, end, key=_POSITION) :]
        if not rows:
            break
        examination.page(rows)
        after, limit = rows[-1][0], min(PAGE, limit * 8)
        if progress is not None:
            progress(after, end)
    return reading


def beside_folding(
    store: str,
    signed: Sequence[Signed],
    folding: Folding,
    end: int,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """The report on the rows of a whole log up to `end`; they are folded then, too.

    What the rows say is examined in another process while this one folds them: neither
    half needs the other. `verifying.with_folding` makes one report of both. That of a
    file which is damaged (`refusal`) has no events. Raises `Transient` where the store
    cannot be reached.
    """
    with (
        beside.begun(_first_half, store, signed, end) as examined,
        contextlib.closing(eventstore.open_log(store, read_only=True)) as log,
    ):
        with contextlib.suppress(Permanent):  # the other half says which row it is
            folding.up_to(log, end, progress)
        return examined()


def _first_half(store: str, signed: Sequence[Signed], end: int) -> Report:
    gc.disable()  # a pass makes no cycles
    found = refusal(store)
    if found is not None:
        return found
    with contextlib.closing(eventstore.open_log(store, read_only=True)) as log:
        examination = Examination(seals_of(log, 0, end), signed)
        reading = examine(log, examination, end)
        return examination.report([reading])


def refusal(store: str) -> Report | None:
    """The report on a store that cannot be opened, or whose file is damaged."""
    try:
        eventstore.open_log(store, read_only=True, check=True).close()
    except Permanent as error:
        return failed(f"it cannot be opened: {error}")
    return None


def failed(why: str) -> Report:
    """The report on a store of which nothing could be examined."""
    reading = Check("store")
    reading.find(1, 0, why)
    return Examination(iter(())).report([reading])


def end_of(log: EventLog) -> int:
    """Up to where the log is to be examined: its end, or that of its seals.

    The writer may be at work: what it commits afterwards is left out, whole steps.
    """
    seal, last = log.last_seal(), log.last_position()
    if seal is None or seal.last < last:
        seal = log.last_seal()
    return max(last, seal.last if seal is not None else 0)


def seals_of(log: EventLog, after: int, end: int) -> Iterator[Seal]:
    """The seals behind `after` up to `end`, read in pages."""
    while after < end:
        try:
            page = log.read_seals(after, SEALS_PAGE)
        except Damaged as error:  # the rows that they belong to are told of
            after = max(after + 1, error.last)
            continue
        for each in page:
            if each.last > end:
                return
            yield each
        if not page:
            return
        after = page[-1].last


def before(log: EventLog, first: int) -> tuple[int, bytes]:
    """Where the step of position `first` begins, and the digest before it.

    The position is that of the last event before the step. Where no seal says it, the
    beginning of the log.
    """
    mine = log.read_seals(first - 1, 1) if first > 1 else []
    if not mine or type(mine[0].first) is not int or mine[0].first <= 1:
        return 0, seals.BEGINNING
    after = mine[0].first - 1
    found = log.read_seals(after - 1, 1)
    if not found or found[0].last != after:
        return 0, seals.BEGINNING
    return after, found[0].digest
