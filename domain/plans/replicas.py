"""How many pods a ReplicaSet creates or ends, and which ones (spec 3.4 to 3.6).

1. Only active pods count: a terminating, failed or succeeded one is neither kept nor
   ended here, and is replaced at once (spec 3.10).
2. One plan creates or ends at most `BURST` pods; the rest follows.
3. Victims are chosen by the ranking of spec 3.6, first difference decides:
   unassigned, phase, not ready, deletion cost, related pods on the node, ready most
   recently, restarts, created most recently.
4. Ages are compared by the power of two of their nanoseconds. Pods of the same power
   are ordered by uid, not by age.

Criteria 1 to 6 put pods into classes that are wholly before or after each other, so
only the class through which the cut goes has to be ordered: the cost is about one pass
over the pods (projections/ranking.py keeps the order of large ReplicaSets at hand).
Inside a class pods of different ready times go by uid, and criteria 7 and 8 decide
only among those of one ready time. So Kubernetes' relation can contradict itself in a
circle. It is resolved by starting from uid order, in which the pods of one ready time
take each other's places: equal facts always give equal victims.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

import msgspec

BURST: Final = 500
"""The most pods that one plan creates or ends (spec 3.4)."""
_INT32: Final = range(-(2**31), 2**31)
_COST: Final = re.compile(r"0|[1-9][0-9]*|-[0-9]+", re.ASCII)
PHASES: Final = {"Pending": 0, "Unknown": 1, "Running": 2}
"""Criterion 2, first to go first."""
JUST_NOW: Final = -1
"""The age bucket of what is not in the past."""
_NO_TIME: Final = -2


class PodView(Protocol):
    """What the ranking needs to see of an active pod."""

    @property
    def uid(self) -> str:
        """Unique; the last tie-break."""

    @property
    def node(self) -> str | None:
        """The node that it is bound to; None or empty while it waits."""

    @property
    def phase(self) -> str:
        """`Pending`, `Unknown` or `Running`."""

    @property
    def ready(self) -> bool:
        """Its Ready condition is True."""

    @property
    def ready_at(self) -> float | None:
        """When Ready last changed."""

    @property
    def deletion_cost(self) -> int:
        """`parse_deletion_cost` of its annotation."""

    @property
    def restarts(self) -> int:
        """The highest restart count among its containers."""

    @property
    def created_at(self) -> float | None:
        """When it was created."""


P = TypeVar("P", bound=PodView)
_Key = tuple[bool, int, bool, int, int, int]


class ReplicaPlan(msgspec.Struct, Generic[P], frozen=True, kw_only=True):
    """What brings the pods of one ReplicaSet to its size; one bucket is empty."""

    create: int = 0
    terminate: tuple[P, ...] = ()


def plan(
    active: int,
    wanted: int,
    *,
    pods: Iterable[P],
    related: Callable[[str], int],
    now: float,
) -> ReplicaPlan[P]:
    """The pods to create, or the pods to end in order of spec 3.6; at most `BURST`.

    `active` is the number of `pods`, which are only looked at when there are too many.
    `related` tells how many active pods of all revisions run on a node (spec 3.6, 5).
    """
    if active <= wanted:
        return ReplicaPlan(create=min(wanted - active, BURST))
    return ReplicaPlan(
        terminate=victims(
            tuple(pods), min(active - wanted, BURST), related=related, now=now
        )
    )


def is_empty(found: ReplicaPlan[P]) -> bool:
    """Whether there is nothing to do."""
    return not found.create and not found.terminate


def victims(
    pods: Sequence[P], count: int, *, related: Callable[[str], int], now: float
) -> tuple[P, ...]:
    """The first `count` of `pods` in the ranking of spec 3.6, in that order.

    All of them, as they come, when `count` is not less than their number.
    """
    if count <= 0:
        return ()
    if count >= len(pods):
        return tuple(pods)
    classes = _classes(pods, related, now)
    chosen: list[P] = []
    for key in sorted(classes):
        rest = count - len(chosen)
        chosen += in_class_order(classes[key], now)[:rest]
        if len(chosen) == count:
            break
    return tuple(chosen)


def in_class_order(pods: Sequence[P], now: float) -> list[P]:
    """One class in the order of criteria 6 to 8.

    All are of one age bucket (if ready), so it is the uid wherever ready times differ.
    """
    ordered = sorted(pods, key=_uid)
    groups: dict[float | None, list[P]] = {}
    for pod in ordered:
        groups.setdefault(pod.ready_at if pod.ready else None, []).append(pod)
    places = {
        moment: iter(in_inner_order(group, now)) for moment, group in groups.items()
    }
    return [next(places[pod.ready_at if pod.ready else None]) for pod in ordered]


def in_inner_order(pods: Sequence[P], now: float) -> list[P]:
    """Pods of one class and one ready time in the order of criteria 7 and 8.

    Pods with nothing else to tell them apart go by uid, which Kubernetes leaves open.
    """
    return sorted(
        pods, key=lambda pod: (-pod.restarts, age_bucket(pod.created_at, now), pod.uid)
    )


def age_bucket(moment: float | None, now: float) -> int:
    """The power of two of the age in nanoseconds, -1 when it is not in the past.

    No time at all sorts before everything. Instants lie on the microsecond grid, and
    so does their difference.
    """
    if moment is None:
        return _NO_TIME
    micros = int((now - moment) * 1e6 + 0.5)
    return (micros * 1000).bit_length() - 1 if micros > 0 else JUST_NOW


def parse_deletion_cost(text: str) -> int:
    """The cost in `controller.kubernetes.io/pod-deletion-cost`; 0 unless valid (3.6).

    An int32 in decimal, without `+`, spaces or leading zeros.
    """
    # No int32 is as long; so a text of a megabyte is not read as a number.
    if len(text) > 32 or not _COST.fullmatch(text):
        return 0
    cost = int(text)
    return cost if cost in _INT32 else 0


def _classes(
    pods: Sequence[P], related: Callable[[str], int], now: float
) -> dict[_Key, list[P]]:
    """The pods by what criteria 1 to 6 say of each, smallest key first to go."""
    ranks: dict[str, int] = {}
    classes: dict[_Key, list[P]] = {}
    phases = PHASES
    for pod in pods:
        node = pod.node or ""
        rank = ranks.get(node)
        if rank is None:
            rank = ranks[node] = -related(node) if node else 0
        ready = pod.ready
        key = (
            node != "",
            phases[pod.phase],
            ready,
            pod.deletion_cost,
            rank,
            age_bucket(pod.ready_at, now) if ready else 0,
        )
        found = classes.get(key)
        if found is None:
            classes[key] = [pod]
        else:
            found.append(pod)
    return classes


def _uid(pod: PodView) -> str:
    return pod.uid
