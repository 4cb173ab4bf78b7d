"""The examination of a log: does the store still say what was committed and signed?

1. One pass over the rows, page by page, beside the seals and the checkpoints. Rows are
   taken as they are: nothing that a store may hold ends the examination.
2. Each step is judged by itself: its digest is worked out behind the seal that stands
   before it. So every altered step is named, not only the first.
3. A seal that was altered is told from a step that was: the next seal still speaks of
   what the altered one said before.
4. Whoever rewrites events and all seals behind them is found by a checkpoint, which is
   kept elsewhere; then the place is known as far as checkpoints are apart.
"""

import bisect
import operator
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from adapters import checkpoints
from adapters.checkpoints import Checkpoint
from domain import command, events, seals
from domain.seals import Seal, Stored
from rollbook.folding import Folding, leading
from rollbook.verdicts import Check, Report

ENDS: Final = (events.TIMER, events.SYSTEM, events.MONITOR)
_ENDS_PREFIXES: Final = ("user/", "node/")
_POSITION: Final = operator.itemgetter(0)


class Signed(NamedTuple):
    """A checkpoint of a file: where it stands, and what is wrong with it, if it is."""

    where: str
    checkpoint: Checkpoint | None
    problem: str = ""


class _Head(msgspec.Struct, frozen=True, gc=False):
    """Of an event's document, what every event has."""

    at: str
    actor: str
    cause: int = 0


_NO_HEAD: Final = _Head(at="", actor="")
_head: Final = msgspec.json.Decoder(_Head).decode


class _Step:
    """The step whose rows are being read; `digest` is None where its seal is gone."""

    __slots__ = ("again", "at", "digest", "first", "hash", "last", "rows", "times")

    def __init__(self, first: int, last: int, digest: bytes | None) -> None:
        self.first = first
        self.last = last
        self.digest = digest
        self.hash = seals.StepHash(seals.BEGINNING)
        self.again: seals.StepHash | None = None
        """The same behind what the seal before should have said (rule 3)."""
        self.at = ""
        self.times = 0
        self.rows = 0


class Examination:
    """Rule 1: `page` for each page, in order, then `report`."""

    def __init__(
        self,
        sealed: Iterator[Seal],
        signed: Sequence[Signed] = (),
        *,
        first: int = 1,
        former: bytes = seals.BEGINNING,
        folding: Folding | None = None,
    ) -> None:
        """`first` begins a step, and `former` is the digest of the seal before it."""
        self.positions = Check("positions")
        self.versions = Check("versions")
        self.sealed = Check("seals")
        self.signed = Check("checkpoints")
        self.causes = Check("causes")
        self.times = Check("times")
        self.actors = Check("actors")
        self.folding = folding
        self.check_seconds = 0.0
        self.events = 0
        self.uid = ""
        self.reached = first - 1
        """The position of the last row that was read."""
        self._first = first
        self._whole = first == 1
        self._versions: dict[object, object] = {}
        self._seals = sealed
        self._seal = next(sealed, None)
        self._step: _Step | None = None
        self._end = first - 1
        self._former, self._computed = former, b""
        self._suspect: tuple[int, int] | None = None
        self._gap = False
        """Events and their seal are missing right before this place."""
        self._at = ""
        self._steps = 0
        self._afterwards: list[str] = []
        self._tree = seals.Tree()
        self._good_root = 0
        self._bad_root = False
        self._compared = 0
        self._signed = self._sorted(signed)

    # --- rows -----------------------------------------------------------------------

    def page(self, rows: Sequence[Stored]) -> None:
        """Afterwards these rows, at least one, ascending, are examined."""
        began = time.perf_counter()
        dense = self._check_positions(rows)
        if rows[0][0] < self._first:
            rows = rows[bisect.bisect_left(rows, self._first, key=_POSITION) :]
            if not rows:
                return
        heads = _heads(rows)
        self._check_each(rows, heads)
        self._check_steps(rows, heads, dense)
        if self._whole and (dense or self._tree.size == self.reached):
            kept = rows if dense else leading(rows, self.reached)
            self._check_roots(seals.leaf_hashes(kept))
        self.events += len(rows)
        self.reached = rows[-1][0]
        self.check_seconds += time.perf_counter() - began
        if self.folding is not None and not self.positions.count:
            self.folding.page(rows)

    def _check_positions(self, rows: Sequence[Stored]) -> bool:
        """Whether this page follows the one before it, and has no gap."""
        after = self.reached
        if rows[0][0] == after + 1 and rows[-1][0] == after + len(rows):
            return True
        for row in rows:
            position = row[0]
            if position < self._first:
                text = f"a row stands at position {position}, before the first"
                self.positions.find(position, position, text)
                continue
            if position != after + 1:
                self.positions.find(
                    after + 1,
                    position - 1,
                    f"{_places(after + 1, position - 1)} missing, the log goes on at "
                    f"{position}",
                )
            after = position
        return False

    def _check_each(self, rows: Sequence[Stored], heads: Sequence[_Head]) -> None:
        known = self._versions
        for row, head in zip(rows, heads, strict=True):
            position, stream, version = row[:3]
            before = known.get(stream, 0)
            known[stream] = version
            if (before or self._whole) and (
                type(version) is not int
                or not isinstance(before, int)
                or version != before + 1
            ):
                text = f"{stream} goes from version {before} to {version}"
                self.versions.find(position, position, text)
            if head is _NO_HEAD:
                self._unreadable(row)
            elif not head.actor:
                self.actors.find(position, position, f"position {position} names none")
            elif head.cause:
                if not 0 < head.cause < position:
                    text = f"position {position} names {head.cause} as its cause"
                    self.causes.find(position, position, text)
            elif head.actor not in ENDS and not head.actor.startswith(_ENDS_PREFIXES):
                text = f"position {position}, by {head.actor}, has no cause"
                self.causes.find(position, position, text)
            if row[3] == command.ClusterFounded.TOPIC and not self.uid:
                self._found(row)

    def _unreadable(self, row: Stored) -> None:
        text = f"position {row[0]} holds no document of an event"
        for check in (self.causes, self.times, self.actors):
            check.find(row[0], row[0], text)

    def _found(self, row: Stored) -> None:
        """The first event says which log this is."""
        try:
            said = msgspec.json.decode(row[4])["event"]["uid"]
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            return
        self.uid = str(said)

    # --- seals ----------------------------------------------------------------------

    def _check_steps(
        self, rows: Sequence[Stored], heads: Sequence[_Head], dense: bool
    ) -> None:
        start = 0
        while start < len(rows):
            step = self._step or self._next_step()
            if step is None:
                first, last = rows[start][0], rows[-1][0]
                self._unsealed(first, last)
                return
            if dense:
                stop = start + step.last - rows[start][0] + 1
            else:
                stop = bisect.bisect_right(rows, step.last, lo=start, key=_POSITION)
            part = rows[start:stop]
            step.rows += len(part)
            step.hash.add(part)
            if step.again is not None:
                step.again.add(part)
            self._check_times(step, part, heads[start:stop])
            start += len(part)
            if start < len(rows) or rows[-1][0] >= step.last:
                self._close(step)

    def _next_step(self) -> _Step | None:
        """The step behind the last one; None where there is no seal any more."""
        while (seal := self._seal) is not None:
            first, last, digest = self._end + 1, seal.last, seal.digest
            if not _is_seal(seal) or seal.last < first or seal.first > seal.last:
                text = f"the seal at position {seal.last} is not one of a step"
                self.sealed.find(1, 0, text)
                self._seal = next(self._seals, None)
                continue
            if seal.first > first:
                step = _Step(first, seal.first - 1, None)
            else:
                if seal.first < first:
                    text = (
                        f"the seal at position {last} begins at {seal.first}, and must "
                        f"at {first}"
                    )
                    self.sealed.find(first, last, text)
                step = _Step(first, last, digest)
                self._seal = next(self._seals, None)
            step.hash = seals.StepHash(self._former)
            if self._computed:
                step.again = seals.StepHash(self._computed)
            self._step = step
            return step
        return None

    def _close(self, step: _Step) -> None:
        """All rows of the step have come: does the seal fit?"""
        self._steps += 1
        self._step, self._end = None, step.last
        found = step.hash.digest()
        again = step.again.digest() if step.again is not None else b""
        self._computed = b""
        unjudged, self._gap = self._gap, False
        if step.digest is None:
            self._settle_suspect(altered=True)
            self._unsealed_step(step)
            self._former = found
            return
        if unjudged:  # what its seal must continue is not known
            pass
        elif found == step.digest:
            self._settle_suspect(altered=True)
        elif again == step.digest:
            self._settle_suspect(altered=False)
        else:
            self._settle_suspect(altered=True)
            self._suspect = (step.first, step.last)
            self._computed = again or found
        self._former = step.digest
        if self._suspect is None and step.times > 1:
            self._afterwards.append(f"{step.first}–{step.last}")

    def _unsealed_step(self, step: _Step) -> None:
        """Where its events are missing too, the next step cannot be judged."""
        places = _places(step.first, step.last)
        self._gap = step.rows <= step.last - step.first
        text = f"{places} without a seal: it was removed"
        if self._gap:
            text = f"{places} missing, and so is the seal behind which the next step"
            text += " could be judged"
        self.sealed.find(step.first, step.last, text)

    def _settle_suspect(self, *, altered: bool) -> None:
        """Rule 3, for the step before, whose seal did not fit."""
        if self._suspect is None:
            return
        first, last = self._suspect
        self._suspect = None
        text = f"the step at {_span(first, last)} does not fit its seal: "
        text += "it was altered" if altered else "the seal was altered, not the events"
        self.sealed.find(first, last, text)

    def _unsealed(self, first: int, last: int) -> None:
        self.sealed.find(first, last, f"{_places(first, last)} without a seal")
        self._end = last

    def _check_times(
        self, step: _Step, part: Sequence[Stored], heads: Sequence[_Head]
    ) -> None:
        if not part:
            return
        moments = [head.at for head in heads]
        first = moments[0]
        if not step.times:
            step.times = 1
            if first <= self._at and first:
                text = f"the step at {_span(step.first, step.last)} is not later than "
                self.times.find(step.first, step.last, f"{text}the one before it")
        elif first != self._at:
            step.times += 1
        if moments.count(first) != len(moments):
            step.times += 1
            if moments != sorted(moments):
                text = f"times go back within {_span(step.first, step.last)}"
                self.times.find(step.first, step.last, text)
        self._at = max(self._at, *moments) if len(moments) > 1 else moments[0]

    # --- checkpoints ----------------------------------------------------------------

    def _sorted(self, signed: Sequence[Signed]) -> list[tuple[str, Checkpoint]]:
        good = []
        for each in signed:
            if each.checkpoint is None:
                self.signed.find(1, 0, f"{each.where}: {each.problem}")
            else:
                good.append((each.where, each.checkpoint))
        return sorted(good, key=lambda found: found[1].size, reverse=True)

    def _check_roots(self, leaves: Sequence[bytes]) -> None:
        tree, waiting = self._tree, self._signed
        done = 0
        while waiting and waiting[-1][1].size <= tree.size + len(leaves) - done:
            where, signed = waiting.pop()
            stop = done + signed.size - tree.size
            tree.extend(leaves[done:stop])
            done = stop
            self._compare_root(where, signed)
        tree.extend(leaves[done:])

    def _compare_root(self, where: str, signed: Checkpoint) -> None:
        self._compared += 1
        if self.uid and signed.origin != checkpoints.origin_of(self.uid):
            text = f"{where} is of another log, {signed.origin}"
            self.signed.find(1, 0, text)
        elif self._tree.root() == signed.root:
            self._good_root = signed.size
        elif not self._bad_root:
            self._bad_root = True
            first = self._good_root + 1
            self.signed.find(
                first,
                signed.size,
                f"at {_span(first, signed.size)} stands something else than was signed "
                f"({where}): it was rewritten",
            )

    # --- the end --------------------------------------------------------------------

    def report(self, others: Sequence[Check] = ()) -> Report:
        """What came of it; `others` are checks that were done beside this."""
        self._finish()
        folded = self.folding
        steps = f"{self._steps:,} steps fit their seals"
        if self._afterwards:
            steps += f"; sealed afterwards: {', '.join(self._afterwards[:5])}"
        last = f"the newest at {self._good_root}"
        verdicts = [check.verdict("it can be read") for check in others]
        verdicts += [
            self.positions.verdict(f"{self._first}–{self.reached}, without a gap"),
            self.versions.verdict(f"of {len(self._versions):,} streams, without a gap"),
            self.sealed.verdict(steps),
            self.signed.verdict(f"{self._compared} fit, {last}"),
            self.causes.verdict("each cause lies before its effect"),
            self.times.verdict("they grow from step to step"),
            self.actors.verdict("each event names its actor"),
        ]
        checks = [*others, *_all_checks(self)]
        bad = [each.first_bad for each in checks if each.first_bad is not None]
        report = Report(
            verdicts=tuple(verdicts),
            first=self._first,
            last=self.reached,
            events=self.events,
            good_up_to=min([self.reached + 1, *bad]) - 1,
            check_seconds=self.check_seconds,
        )
        return report if folded is None else with_folding(report, folded)

    def _finish(self) -> None:
        self._settle_suspect(altered=True)
        left, self._step = self._step, None
        last = left.last if left is not None else 0
        count = 1 if left is not None else 0
        while (seal := self._seal) is not None:
            last = max(last, seal.last)
            count += 1
            self._seal = next(self._seals, None)
        if count:
            text = (
                f"the log ends at {self.reached}, its seals at {last}: "
                f"{_span(self.reached + 1, last)} were cut off; the last good step "
                f"ends at {self._end}"
            )
            self.sealed.find(self._end + 1, last, text)
        if not self._steps and not self.sealed.count:
            self.sealed.skipped = "the log is empty"
        if not self._whole:
            self.signed.skipped = "only an examination from position 1 compares them"
        elif self._signed:
            where, signed = self._signed[0]
            if signed.size <= self.reached:
                self.signed.skipped = "positions are missing: not compared behind them"
                return
            text = (
                f"the log ends at {self.reached}, and was signed up to {signed.size} "
                f"({where}): its end was cut off; what is left fits its seals up to "
                f"{self._end} and the checkpoints up to {self._good_root}"
            )
            self.signed.find(self._good_root + 1, signed.size, text)
        elif not self._compared:
            self.signed.skipped = (
                "there is none: a log that was rewritten together with its seals "
                "would not be noticed"
            )


def is_dense(report: Report) -> bool:
    """No position is missing, so that all could be folded."""
    return not any(v.name == "positions" and v.count for v in report.verdicts)


def with_folding(report: Report, folded: Folding) -> Report:
    """The report of both halves; `report` is of the first alone."""
    if not is_dense(report):
        folded.give_up("positions are missing: what follows cannot be folded")
    bad = [each.first_bad for each in folded.checks if each.first_bad is not None]
    return msgspec.structs.replace(
        report,
        verdicts=(*report.verdicts, *folded.verdicts()),
        good_up_to=min([report.good_up_to + 1, *bad]) - 1,
        fold_seconds=folded.seconds,
    )


def _heads(rows: Sequence[Stored]) -> list[_Head]:
    try:
        return [_head(row[4]) for row in rows]
    except (msgspec.MsgspecError, TypeError, ValueError):
        return [_one_head(row[4]) for row in rows]


def _one_head(state: bytes) -> _Head:
    try:
        return _head(state)
    except (msgspec.MsgspecError, TypeError, ValueError):
        return _NO_HEAD


def _all_checks(of: Examination) -> list[Check]:
    return [
        of.positions,
        of.versions,
        of.sealed,
        of.signed,
        of.causes,
        of.times,
        of.actors,
    ]


def _is_seal(seal: Seal) -> bool:
    return (
        type(seal.last) is int
        and type(seal.first) is int
        and type(seal.digest) is bytes
        and len(seal.digest) == seals.HASH_BYTES
    )


def _span(first: int, last: int) -> str:
    return f"position {first}" if first == last else f"positions {first}–{last}"


def _places(first: int, last: int) -> str:
    return f"{_span(first, last)} {'is' if first == last else 'are'}"
