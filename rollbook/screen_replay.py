"""The pictures of `replay`: after each step a row for each ReplicaSet, pods as marks.

1. The log is folded by the shipped projections, so a picture is the state of then.
2. A picture follows each step (all events of one timestamp) that touches what is
   watched: a Deployment with its ReplicaSets and their pods, a ReplicaSet with its
   pods, a pod, a node with its pods, or all of it.
3. Pure: no clock and no screen (rollbook/commands/replay.py has those).
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from domain import pod
from domain.pod import Pod
from domain.queries import LogRow
from domain.replicaset import ReplicaSet
from projections.cluster import Cluster
from rollbook import telling

MARKS: Final = "● ready  ◐ starting  ○ pending  ✕ ending  ✔ through  ! failed"
MARKS_MAX: Final = 60
_NOBODYS: Final = "pods that nobody owns"


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What is so after a step, and what happened in it. `at` in seconds."""

    position: int
    at: float
    rows: tuple[str, ...]
    words: tuple[str, ...]


class Replay:
    """Folds rows in order, and draws what `watched` (a stream, or "") is about.

    `begun` is the state to go on from; without one the rows begin with the first.
    """

    def __init__(self, watched: str = "", begun: Cluster | None = None) -> None:
        self.cluster = begun or Cluster()
        self._watched = watched
        self._teller = telling.Teller()
        self._words: list[str] = []
        self._at = 0.0

    def take(self, row: LogRow) -> Picture | None:
        """Folds the row; the picture of the step before it, where it began another."""
        found = telling.recorded(row)
        done = None
        if found is not None and found.timestamp != self._at:
            done = self.finish()
            self._at = found.timestamp
        told = self._teller.tell(row)
        concerns = self._concerns(row.stream)
        if found is None:
            self.cluster.skip(row.position, row.stream, row.version)
        else:
            self.cluster.fold(found)
        if concerns or self._concerns(row.stream):
            self._words.append(told)
        return done

    def finish(self) -> Picture | None:
        """The picture of the last step; None where nothing that is watched happened."""
        words, self._words = self._words, []
        if not words:
            return None
        return Picture(
            position=self.cluster.position,
            at=self._at,
            rows=tuple(self._rows()),
            words=tuple(words),
        )

    def _rows(self) -> Iterator[str]:
        desired, actual = self.cluster.desired, self.cluster.actual
        width = max(
            (len(each.name) for each in desired.replicasets.values()), default=0
        )
        for key, held in desired.replicasets.items():
            pods = actual.pods_of(key)
            mine = [each for each in pods if self._concerns(each.key)]
            if (held.replicas or mine) and (mine or self._concerns(key)):
                ready = sum(each.ready and each.active for each in pods)
                yield _row(held, mine, ready, width)
        loose = [actual.pods[key] for key in actual.loose if self._concerns(key)]
        if loose:
            yield f"{'':<{width}}  {_marks(loose)}  {_NOBODYS}"

    def _concerns(self, stream: str) -> bool:
        watched = self._watched
        if not watched or stream == watched:
            return True
        if stream.startswith("replicaset/"):
            held = self.cluster.desired.replicasets.get(stream)
            return held is not None and held.owner == watched
        if stream.startswith("pod/"):
            each = self.cluster.actual.pods.get(stream)
            if each is None:
                return False
            on_node = watched == f"node/{each.node}"
            return on_node or (bool(each.owner) and self._concerns(each.owner))
        return False


def mark(held: Pod) -> str:
    """One pod as one character; see `MARKS`."""
    if held.phase == "Failed":
        return "!"
    if held.phase == "Succeeded":
        return "✔"
    if held.stage == pod.TERMINATING:
        return "✕"
    if held.ready:
        return "●"
    return "◐" if held.node else "○"


def _row(held: ReplicaSet, mine: list[Pod], ready: int, width: int) -> str:
    revision = f"  revision {held.revision}" if held.revision else ""
    sizes = f"{ready}/{held.replicas} ready{revision}"
    return f"{held.name:<{width}}  {_marks(mine)}  {sizes}".rstrip()


def _marks(mine: list[Pod]) -> str:
    shown = "".join(mark(each) for each in mine[:MARKS_MAX])
    left = len(mine) - MARKS_MAX
    return f"{shown} +{left}" if left > 0 else shown
