"""How quickly pods were seen to change, learnt from a log, and dealt out again.

1. A course is what a node reported of one pod, each report with the seconds since the
   pod was bound. Whatever a pod went through there (a slow start, an image that cannot
   be pulled, a crash loop) happens again to the pod that the course is dealt to.
2. The k-th pod of a ReplicaSet on a node is dealt the k-th course recorded for both;
   where there is none left, one of the same ReplicaSet, of the same node, or any
   healthy one, drawn with a seed. Equal logs and changes make equal simulations.
3. A pod that was ended before it was ready has told nothing about how long a start
   takes: its course is dealt only if its node told of a failure, or if it had more time
   than any pod needed that got ready.
4. How long an end takes, from the request to the removal, is dealt in the same way.
"""

from collections.abc import Sequence
from random import Random
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from domain import pod
from domain.events import Recorded
from domain.protocol import PodObservation
from projections.cluster import Cluster

DEFAULT_START: Final = 1.0
DEFAULT_END: Final = 1.0
"""Seconds, for a log in which no pod was seen to start, or to end."""

T = TypeVar("T")


class Seen(NamedTuple):
    """One report of a course: how long after the binding, and what was said."""

    after: float
    what: PodObservation


Course = tuple[Seen, ...]


class _Life(msgspec.Struct):
    """A pod in the log: where it belongs, and when what happened to it."""

    owner: str = ""
    node: str = ""
    bound_at: float = 0.0
    ended_at: float = 0.0
    behind: bool = False
    """It was bound behind the fork."""
    seen: list[tuple[float, PodObservation]] = []

    @property
    def ready_after(self) -> float:
        """Seconds from its binding until it was ready; 0 while it never was."""
        found = (at - self.bound_at for at, seen in self.seen if seen.ready)
        return next(found, 0.0)


class _Deck(Generic[T]):
    """What was recorded, dealt in order by the rules 2 and 4."""

    def __init__(self, seed: int) -> None:
        self._of: dict[tuple[str, str], list[T]] = {}
        self._dealt: dict[tuple[str, str], int] = {}
        self._dice = Random(seed)  # noqa: S311  # a simulation, no secret
        self.count = 0

    def add(self, owner: str, node: str, what: T, *, healthy: bool = True) -> None:
        keys = [(owner, node), (owner, "")]
        if healthy:
            keys += [("", node), ("", "")]
        for key in keys:
            self._of.setdefault(key, []).append(what)
        self.count += 1

    def deal(self, owner: str, node: str) -> T | None:
        exact = (owner, node)
        index = self._dealt.get(exact, 0)
        held = self._of.get(exact, ())
        if index < len(held):
            self._dealt[exact] = index + 1
            return held[index]
        for key in ((owner, ""), ("", node), ("", "")):
            if found := self._of.get(key):
                return self._dice.choice(found)
        return None


class Model:
    """What a log has told of the times of its pods; `start` and `end` deal them."""

    def __init__(self, base: Cluster, behind: Sequence[Recorded]) -> None:
        """Learns from the events `behind` the state `base`; courses are those of pods
        that were bound there."""
        self.removed_at: dict[str, float] = {}
        """When pods were removed that were being ended at the fork."""
        self.reports: dict[str, list[tuple[float, PodObservation]]] = {}
        """What was said behind the fork of pods that were bound before it."""
        seed = base.position
        self._courses: _Deck[Course] = _Deck(seed)
        self._ends: _Deck[float] = _Deck(seed + 1)
        self._learn(base, behind)

    @property
    def starts_known(self) -> int:
        """How many courses there are."""
        return self._courses.count

    @property
    def ends_known(self) -> int:
        """How many ends there are."""
        return self._ends.count

    def start(self, owner: str, node: str) -> Course:
        """The course of the next pod of ReplicaSet `owner` that is bound to `node`."""
        found = self._courses.deal(owner, node)
        if found is not None:
            return found
        ready = PodObservation(phase="Running", ready=True)
        return (Seen(DEFAULT_START, ready),)

    def end(self, owner: str, node: str) -> float:
        """How many seconds the next end of such a pod takes."""
        found = self._ends.deal(owner, node)
        return DEFAULT_END if found is None else found

    def _learn(self, base: Cluster, behind: Sequence[Recorded]) -> None:
        lives = {
            key: _Life(
                owner=held.owner,
                node=held.node,
                bound_at=held.scheduled_at,
                ended_at=held.deletion_at,
            )
            for key, held in base.actual.pods.items()
        }
        bound: list[_Life] = []
        slowest = 0.0
        for each in behind:
            if not each.stream.startswith("pod/"):
                continue
            life = lives.setdefault(each.stream, _Life())
            match each.event:
                case pod.PodCreated(owner=owner):
                    lives[each.stream] = _Life(owner=owner)
                case pod.PodScheduled(node=node):
                    life.node, life.bound_at = node, each.timestamp
                    life.behind = True
                    bound.append(life)
                case pod.PodReported(seen=seen) if not seen.removed:
                    life.seen.append((each.timestamp, seen))
                    if life.behind:
                        slowest = max(slowest, life.ready_after)
                    told = self.reports.setdefault(each.stream, [])
                    told.append((each.timestamp, seen))
                case pod.PodTerminationRequested():
                    life.ended_at = life.ended_at or each.timestamp
                case pod.PodRemoved() if life.ended_at and life.node:
                    self.removed_at[each.stream] = each.timestamp
                    took = each.timestamp - life.ended_at
                    self._ends.add(life.owner, life.node, took)
                case _:
                    pass
        slowest = slowest or _usual_start(base)
        for life in bound:
            self._course(life, slowest, behind[-1].timestamp)

    def _course(self, life: _Life, slowest: float, end: float) -> None:
        until = life.ended_at or end
        course = tuple(
            Seen(at - life.bound_at, seen) for at, seen in life.seen if at <= until
        )
        ready = any(seen.what.ready for seen in course)
        hangs = bool(course) and until - life.bound_at > slowest
        if ready or hangs or any(_fails(seen.what) for seen in course):
            self._courses.add(life.owner, life.node, course, healthy=ready)


def _usual_start(base: Cluster) -> float:
    """Seconds that half of the pods that are ready took at most; 0 without any."""
    took = sorted(
        held.ready_at - held.scheduled_at
        for held in base.actual.pods.values()
        if held.ready and held.node
    )
    return took[len(took) // 2] if took else 0.0


def _fails(seen: PodObservation) -> bool:
    """The node told why a container does not run."""
    waiting = ("", "ContainerCreating", "PodInitializing")
    return any(
        each.state != "running" and each.reason not in waiting
        for each in (*seen.init_containers, *seen.containers)
    )
