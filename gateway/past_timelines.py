"""What a fold has seen of Deployments and ReplicaSets: what of their past follows from
pods, kept so that no pod need be folded again to answer for it.

1. At the end of each step a ReplicaSet's counts and a Deployment's conditions are kept
   if they have changed. A Deployment's counters are those of its ReplicaSets. What an
   object's own events say is not kept: the log has it.
2. Every end of a step from `begin` to `position` is covered, and nothing else: not the
   middle of a step (past_steps.py), and not what lies before a snapshot that the fold
   began with and that had no lines. Who asks for that folds pods (past_folding.py).
3. An entry is a few numbers: 28 bytes for counts, 16 and 20 for each condition
   for conditions, whose texts are kept once. Beyond `bytes_max` the older half is
   forgotten, and `begin` grows; what is there anyhow, one entry for each object, may
   take as much again.
4. Nothing here can stop the fold. Where something could not be folded, or this fails,
   nothing more is recorded: what is covered stays right.
5. Every method runs in the fold's loop.
"""

import bisect
import logging
from array import array
from typing import Final, NamedTuple

from domain import node, pod
from domain.events import Recorded
from domain.pod import Pod
from projections.cluster import Cluster
from projections.snapshot_rows import Line, Lines
from projections.status import Condition
from projections.tallies import Tally

BYTES_MAX: Final = 64 * 1024 * 1024
KEPT_MAX: Final = 16 * 1024 * 1024
"""What is more is in no snapshot: after a start it is recorded anew."""
MOVING: Final = frozenset({pod.PodAdopted, pod.PodReleased})
"""The events that give a pod to another owner."""

Counts = tuple[int, int, int, int, int]
"""Active, ready, available, terminating, fully labelled."""
Words = tuple[tuple[str, str, str, str], ...]
"""Of each condition: type, status, reason, message."""
_COUNTS: Final = 5
_GONE: Final[Counts] = (0xFFFFFFFF, 0, 0, 0, 0)
_COUNTS_BYTES: Final = 8 + 4 * _COUNTS
_CONDITIONS_BYTES: Final = 16
_CONDITION_BYTES: Final = 16
_LINE_BYTES: Final = 600
"""An object's entries without the entries."""
_WORDS_BYTES: Final = 600
_log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """What was there at the end of a step: counts by the keys of ReplicaSets, and the
    Deployment's conditions."""

    counts: dict[str, Counts]
    conditions: tuple[Condition, ...] = ()


def tally(counts: Counts) -> Tally:
    """The counts as they are asked for; ended pods are not among the members."""
    found = Tally()
    found.active, found.ready, found.available = counts[:3]
    found.terminating, found.labelled = counts[3:]
    found.members = found.running = found.active + found.terminating
    return found


class _CountsLine:
    """The counts of one ReplicaSet."""

    __slots__ = ("last", "numbers", "positions")

    def __init__(self) -> None:
        self.positions = array("Q")
        self.numbers = array("I")
        self.last = _GONE

    def at(self, position: int) -> Counts:
        index = bisect.bisect_right(self.positions, position) - 1
        if index < 0:
            return _GONE
        first, *rest = self.numbers[index * _COUNTS : (index + 1) * _COUNTS]
        return (first, *rest)  # type: ignore[return-value]  # it is five numbers

    @classmethod
    def of(cls, kept: Line) -> "_CountsLine":
        line = cls()
        line.positions.frombytes(kept.positions)
        line.numbers.frombytes(kept.numbers)
        line.last = line.at(line.positions[-1]) if line.positions else _GONE
        return line

    def kept(self, key: str) -> Line:
        return Line(key, self.positions.tobytes(), self.numbers.tobytes())

    def drop(self, entries: int) -> None:
        del self.positions[:entries]
        del self.numbers[: entries * _COUNTS]


class _ConditionsLine:
    """The conditions of one Deployment; `words` are numbers of texts, `ends` says where
    the times of an entry end in `times`."""

    __slots__ = ("ends", "last", "positions", "times", "words")

    def __init__(self) -> None:
        self.positions = array("Q")
        self.words = array("I")
        self.ends = array("I")
        self.times = array("d")
        self.last: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, kept: Line) -> "_ConditionsLine":
        line = cls()
        line.positions.frombytes(kept.positions)
        line.words.frombytes(kept.numbers)
        line.ends.frombytes(kept.ends)
        line.times.frombytes(kept.times)
        return line

    def kept(self, key: str) -> Line:
        arrays = self.positions, self.words, self.ends, self.times
        return Line(key, *(each.tobytes() for each in arrays))

    def drop(self, entries: int) -> None:
        cut = self.ends[entries - 1]
        del self.positions[:entries], self.words[:entries], self.times[:cut]
        self.ends = array("I", (each - cut for each in self.ends[entries:]))


class Timelines:
    """The lines of all Deployments and ReplicaSets; see the rules."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.begin = 0
        self.position = -1
        """Nothing is covered while this is before `begin`."""
        self.bytes = 0
        """About how many the lines take."""
        self._bytes_max = bytes_max
        self._replicasets: set[str] = set()
        self._deployments: set[str] = set()
        self.touch = self._replicasets.add
        """The counts of the ReplicaSet of this key may have changed."""
        self._clear()

    def _clear(self) -> None:
        self._stopped = False
        self._counts: dict[str, _CountsLine] = {}
        self._conditions: dict[str, _ConditionsLine] = {}
        self._members: dict[str, dict[str, None]] = {}
        self._owners: dict[str, str] = {}
        self._numbers: dict[Words, int] = {}
        self._words: list[Words] = []
        self._replicasets.clear()
        self._deployments.clear()
        self._room = self._bytes_max
        self.bytes = 0

    # --- questions ------------------------------------------------------------------

    def seen(self, key: str, position: int) -> Seen | None:
        """What is known of the Deployment or ReplicaSet and the ReplicaSets that it had
        at `position`, the end of a step; None where that is not covered."""
        if not self.begin <= position <= self.position:
            return None
        if key.startswith("replicaset/"):
            return Seen(self._counts_of([key], position))
        counts = self._counts_of(self._members.get(key, ()), position)
        return Seen(counts, self._conditions_at(key, position))

    def _counts_of(
        self, keys: "list[str] | dict[str, None] | tuple[()]", position: int
    ) -> dict[str, Counts]:
        found = {}
        for key in keys:
            line = self._counts.get(key)
            if line is not None and (counts := line.at(position)) != _GONE:
                found[key] = counts
        return found

    def _conditions_at(self, key: str, position: int) -> tuple[Condition, ...]:
        line = self._conditions.get(key)
        if line is None:
            return ()
        index = bisect.bisect_right(line.positions, position) - 1
        if index < 0:
            return ()
        words = self._words[line.words[index]]
        times = line.times[line.ends[index] - 2 * len(words) : line.ends[index]]
        return tuple(
            Condition(
                type=type_,
                status=status,
                reason=reason,
                message=message,
                updated_at=times[2 * place],
                transitioned_at=times[2 * place + 1],
            )
            for place, (type_, status, reason, message) in enumerate(words)
        )

    # --- the fold -------------------------------------------------------------------

    def start(self, cluster: Cluster) -> None:
        """Another state, at the end of a step: what is covered begins with it."""
        self._clear()
        self.begin = cluster.position
        desired = cluster.desired
        for key, held in desired.replicasets.items():
            self._replicasets.add(key)
            self._join(key, held.owner)
        self._deployments.update(desired.deployments)
        self.step_ended(cluster)

    def restore(self, kept: Lines, cluster: Cluster) -> None:
        """`start`, with what was `kept` at the same position: it is covered too."""
        self.start(cluster)
        if self._stopped:
            return
        self._members = {key: dict.fromkeys(each) for key, each in kept.members.items()}
        self._words = list(kept.words)
        self._numbers = {words: number for number, words in enumerate(kept.words)}
        self._counts = {each.key: _CountsLine.of(each) for each in kept.counts}
        self._conditions = {
            each.key: _ConditionsLine.of(each) for each in kept.conditions
        }
        for key, line in self._conditions.items():
            line.last = self._conditions_at(key, cluster.position)
        self.begin, self.bytes = kept.begin, self._measured()

    def kept(self) -> Lines | None:
        """What `restore` takes; None where it is not certain, or too much."""
        if self._stopped or self.bytes > KEPT_MAX:
            return None
        return Lines(
            begin=self.begin,
            counts=[line.kept(key) for key, line in self._counts.items()],
            conditions=[line.kept(key) for key, line in self._conditions.items()],
            words=list(self._words),
            members={key: list(held) for key, held in self._members.items()},
        )

    def stop(self) -> None:
        """Rule 4: nothing behind this is covered until the next `start`."""
        self._stopped = True

    def note(self, recorded: Recorded, was: Pod | None, cluster: Cluster) -> None:
        """The event is folded; `was` is its pod before.

        For one that leaves its pod with its owner, `touch` says the same sooner.
        """
        try:
            if was is not None:
                self.touch(was.owner)
            kind, _, name = recorded.stream.partition("/")
            if kind == "pod":
                after = cluster.actual.pods.get(recorded.stream)
                self._replicasets.add(after.owner if after is not None else "")
            elif kind == "replicaset":
                self._note_replicaset(recorded.stream, cluster)
            elif kind == "deployment":
                self._deployments.add(recorded.stream)
            elif isinstance(recorded.event, node.NodeBecameUnready):
                use = cluster.actual.nodes.get(name)
                self._replicasets.update(use.siblings if use is not None else ())
        except Exception:
            self._failed(recorded.position)

    def step_ended(self, cluster: Cluster) -> None:
        """The step is settled: what it has changed is kept."""
        if self._stopped:
            return
        try:
            if self._replicasets or self._deployments:
                self._record(cluster)
                if self.bytes > self._room:
                    self._forget_half()
            self.position = cluster.position
        except Exception:
            self._failed(cluster.position)

    def _failed(self, position: int) -> None:
        _log.exception("the timelines end before position %d", position)
        self.stop()

    def _note_replicaset(self, key: str, cluster: Cluster) -> None:
        held = cluster.desired.replicasets.get(key)
        self._replicasets.add(key)
        owner, former = held.owner if held is not None else "", self._owners.get(key)
        if owner == former:  # `_record` looks at it too
            return
        if former:
            self._deployments.add(former)
        self._join(key, owner)

    def _join(self, key: str, owner: str) -> None:
        if not owner:
            self._owners.pop(key, None)
            return
        self._owners[key] = owner
        self._deployments.add(owner)
        self._members.setdefault(owner, {})[key] = None

    def _record(self, cluster: Cluster) -> None:
        held, owners, position = self._counts, self._owners, cluster.position
        living, tally_of = cluster.desired.replicasets, cluster.actual.tally
        for key in self._replicasets:
            if not key:  # the owner of a pod that has none
                continue
            if owner := owners.get(key):
                self._deployments.add(owner)
            counts = _GONE
            if key in living:
                now = tally_of(key)
                counts = (
                    now.active,
                    now.ready,
                    now.available,
                    now.terminating,
                    now.labelled,
                )
            line = held.get(key)
            if line is None:
                if counts is _GONE:
                    continue
                line = held[key] = _CountsLine()
                self.bytes += _LINE_BYTES
            if counts != line.last:
                line.last = counts
                line.positions.append(position)
                line.numbers.extend(counts)
                self.bytes += _COUNTS_BYTES
        self._replicasets.clear()
        for key in self._deployments:
            rollout = cluster.rollouts.by_key.get(key)
            self._record_conditions(
                key, rollout.conditions if rollout else (), position
            )
        self._deployments.clear()

    def _record_conditions(
        self, key: str, conditions: tuple[Condition, ...], position: int
    ) -> None:
        line = self._conditions.get(key)
        if line is None:
            line = self._conditions[key] = _ConditionsLine()
            self.bytes += _LINE_BYTES
        if conditions is line.last or conditions == line.last:
            return
        line.last = conditions
        line.positions.append(position)
        line.words.append(self._number(conditions))
        for each in conditions:
            line.times.append(each.updated_at)
            line.times.append(each.transitioned_at)
        line.ends.append(len(line.times))
        self.bytes += _CONDITIONS_BYTES + _CONDITION_BYTES * len(conditions)

    def _number(self, conditions: tuple[Condition, ...]) -> int:
        words = tuple([(c.type, c.status, c.reason, c.message) for c in conditions])
        number = self._numbers.get(words)
        if number is None:
            number = self._numbers[words] = len(self._words)
            self._words.append(words)
            self.bytes += _WORDS_BYTES
        return number

    # --- the bound ------------------------------------------------------------------

    def _forget_half(self) -> None:
        """Rule 3. Of each object the last entry of the older half stays, for it is what
        the younger half begins with; objects that were gone by then are forgotten."""
        cut = self._middle()
        for key, line in list(self._counts.items()):
            keep = bisect.bisect_right(line.positions, cut) - 1
            if keep > 0:
                line.drop(keep)
            if line.positions[-1] <= cut and line.last == _GONE:
                del self._counts[key]
        for name, owned in list(self._conditions.items()):
            keep = bisect.bisect_right(owned.positions, cut) - 1
            if keep > 0:
                owned.drop(keep)
            if not owned.last and (not owned.positions or owned.positions[-1] <= cut):
                del self._conditions[name]
        for name, members in list(self._members.items()):
            self._members[name] = {k: None for k in members if k in self._counts}
            if not self._members[name]:
                del self._members[name]
        self._renumber()
        self.begin = max(self.begin, cut)
        self.bytes = self._measured()
        self._room = max(self._bytes_max, 2 * self.bytes)

    def _middle(self) -> int:
        """The position up to which half of all entries are, found by halving."""
        lines = [each.positions for each in self._counts.values()]
        lines += [each.positions for each in self._conditions.values()]
        half = sum(map(len, lines)) // 2
        low = self.begin
        high = max((each[-1] for each in lines if each), default=low)
        while low < high:
            middle = (low + high) // 2
            if sum(bisect.bisect_right(each, middle) for each in lines) < half:
                low = middle + 1
            else:
                high = middle
        return low

    def _renumber(self) -> None:
        former, self._words, self._numbers = self._words, [], {}
        moved: dict[int, int] = {}
        for line in self._conditions.values():
            for place, number in enumerate(line.words):
                if number not in moved:
                    moved[number] = self._numbers[former[number]] = len(self._words)
                    self._words.append(former[number])
                line.words[place] = moved[number]

    def _measured(self) -> int:
        counts, conditions = self._counts.values(), self._conditions.values()
        return (
            _LINE_BYTES * (len(counts) + len(conditions))
            + _WORDS_BYTES * len(self._words)
            + _COUNTS_BYTES * sum(len(each.positions) for each in counts)
            + _CONDITIONS_BYTES * sum(len(each.positions) for each in conditions)
            + 8 * sum(len(each.times) for each in conditions)
        )
