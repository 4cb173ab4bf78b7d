"""The order in which a large ReplicaSet's pods are ended, kept up event by event.

1. It says what `domain/plans/replicas.victims` says of the same pods (spec 3.6), at a
   cost of about the pods that are chosen and the nodes that come first. Going through
   all pods of a ReplicaSet in each step took 70 % of a rolling update of 50,000 pods.
2. Pods lie in cells: what never changes by itself (criteria 1 to 4), the age of their
   readiness (6), and their node (5), each cell in uid order. A node's rank is not kept
   here: `Spread` has it, for all ReplicaSets of a Deployment.
3. Ages are powers of two, so a pod moves on as often as its age doubles. All pods that
   became ready in one step move together, when somebody asks.
"""

import bisect
import heapq
import itertools
import operator
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from domain.plans import replicas
from domain.pod import Pod

_TICK: Final = 2e-6
"""Ages lie on a grid of microseconds: what may be due is looked at this much early."""
_UNBOUND: Final = {"": None}

_Entry = tuple[str, Pod]
"""A pod behind its uid, by which cells are ordered."""
_Fixed = tuple[bool, int, bool, int]
_ByNode = dict[str, list[_Entry]]


class Spread:
    """How many active pods of a group of ReplicaSets each node has; most first."""

    __slots__ = ("_nodes", "counts", "group")

    def __init__(self, group: tuple[str, ...]) -> None:
        self.group = group
        self.counts: dict[str, int] = {}
        self._nodes: dict[int, dict[str, None]] = {}

    def add(self, node: str, number: int) -> None:
        """Afterwards the node has `number` (which may be negative) more."""
        was = self.counts.get(node, 0)
        now = was + number
        if was:
            same = self._nodes[was]
            del same[node]
            if not same:
                del self._nodes[was]
        if now:
            self.counts[node] = now
            self._nodes.setdefault(now, {})[node] = None
        else:
            self.counts.pop(node, None)

    def ranks(self) -> Iterator[Collection[str]]:
        """The nodes that have some, in classes of equally many, most first."""
        for number in sorted(self._nodes, reverse=True):
            yield self._nodes[number]


class _Moment:
    """The pods that became ready at one moment, or that are not ready."""

    __slots__ = ("age", "inner", "members")

    def __init__(self, age: int) -> None:
        self.age = age
        self.members: dict[str, Pod] = {}
        self.inner: Counter[tuple[int, float]] = Counter()

    def in_uid_order(self, now: float) -> bool:
        """Criteria 7 and 8 tell no two of these pods apart."""
        first: tuple[int, int] | None = None
        for restarts, created_at in self.inner:
            found = restarts, replicas.age_bucket(created_at, now)
            if first is not None and found != first:
                return False
            first = found
        return True


class Ranking:
    """The active pods of one ReplicaSet."""

    def __init__(self, pods: Iterable[Pod]) -> None:
        self._cells: dict[_Fixed, dict[int, _ByNode]] = {}
        self._moments: dict[float | None, _Moment] = {}
        self._due: list[tuple[float, float]] = []
        """(when the age may have doubled, moment), a heap."""
        for held in pods:
            self.add(held)

    def replace(self, before: Pod, after: Pod) -> None:
        """Afterwards the pod is in its place as `after`, which is active as well."""
        if _facts(before) != _facts(after):
            self.remove(before)
            self.add(after)

    def add(self, held: Pod) -> None:
        """Afterwards this active pod has its place."""
        moment = _moment(held)
        group = self._moments.get(moment)
        if group is None:
            age = 0 if moment is None else replicas.JUST_NOW
            group = self._moments[moment] = _Moment(age)
            if moment is not None:
                heapq.heappush(self._due, (moment, moment))
        group.members[held.key] = held
        group.inner[held.restarts, held.created_at] += 1
        self._put(held, group.age)

    def remove(self, held: Pod) -> None:
        """Afterwards this pod, which was added as it is here, has no place."""
        moment = _moment(held)
        group = self._moments[moment]
        del group.members[held.key]
        inner = held.restarts, held.created_at
        group.inner[inner] -= 1
        if not group.inner[inner]:
            del group.inner[inner]
        self._take(held, group.age)
        if not group.members:
            del self._moments[moment]

    def first(self, count: int, spread: Spread, now: float) -> list[str]:
        """The keys of the first `count` pods to end, in order."""
        self._grow_older(now)
        chosen: list[str] = []
        for fixed in sorted(self._cells):
            ages = self._cells[fixed]
            for nodes in _ranks(fixed, ages, spread):
                for age in sorted(ages):
                    cells = _of_nodes(ages[age], nodes)
                    if cells:
                        rest = count - len(chosen)
                        chosen += self._of_class(fixed, nodes, cells, rest, now)
                        if len(chosen) == count:
                            return chosen
        return chosen

    # --- helpers --------------------------------------------------------------------

    def _of_class(
        self,
        fixed: _Fixed,
        nodes: Collection[str],
        cells: list[list[_Entry]],
        count: int,
        now: float,
    ) -> list[str]:
        """The first `count` of a class, as `replicas.in_class_order` has them: by uid,
        but pods of one moment take each other's places where 7 or 8 decides."""
        if len(cells) == 1:
            chosen = [held for _, held in cells[0][:count]]
        else:
            merged = heapq.merge(*cells, key=_uid)
            chosen = [held for _, held in itertools.islice(merged, count)]
        decided: dict[float | None, Iterator[Pod]] = {}
        for moment in {_moment(held): None for held in chosen}:
            group = self._moments[moment]
            if not group.in_uid_order(now):
                mine = [
                    held
                    for held in group.members.values()
                    if held.node in nodes and _fixed(held) == fixed
                ]
                decided[moment] = iter(replicas.in_inner_order(mine, now))
        if not decided:
            return [held.key for held in chosen]
        return [
            next(decided[moment]).key if moment in decided else held.key
            for held in chosen
            for moment in (_moment(held),)
        ]

    def _grow_older(self, now: float) -> None:
        """Rule 3: afterwards every pod is in the cell of its age."""
        again: dict[float, float] = {}
        while self._due and self._due[0][0] <= now:
            _, moment = heapq.heappop(self._due)
            group = self._moments.get(moment)
            if group is None:
                continue
            age = replicas.age_bucket(moment, now)
            if age != group.age:
                for held in group.members.values():
                    self._take(held, group.age)
                    self._put(held, age)
                group.age = age
            doubled = moment + 2.0 ** (age + 1) / 1e9 - _TICK if age >= 0 else moment
            again[moment] = doubled
        for moment, at in again.items():
            heapq.heappush(self._due, (at, moment))

    def _put(self, held: Pod, age: int) -> None:
        ages = self._cells.setdefault(_fixed(held), {})
        cell = ages.setdefault(age, {}).setdefault(held.node, [])
        bisect.insort(cell, (held.uid, held))

    def _take(self, held: Pod, age: int) -> None:
        fixed = _fixed(held)
        ages = self._cells[fixed]
        by_node = ages[age]
        cell = by_node[held.node]
        del cell[bisect.bisect_left(cell, (held.uid,))]
        if not cell:
            del by_node[held.node]
            if not by_node:
                del ages[age]
                if not ages:
                    del self._cells[fixed]


def _ranks(
    fixed: _Fixed, ages: dict[int, _ByNode], spread: Spread
) -> Iterator[Collection[str]]:
    """The nodes by criterion 5; pods without a node are told apart by 1 already."""
    if not fixed[0]:
        yield _UNBOUND
        return
    yield from spread.ranks()
    # A node that is not there any more has no pods that anybody counts.
    yield {
        node: None
        for by_node in ages.values()
        for node in by_node
        if node not in spread.counts
    }


def _of_nodes(by_node: _ByNode, nodes: Collection[str]) -> list[list[_Entry]]:
    """The cells of those nodes; the cost is that of the smaller side."""
    if len(nodes) < len(by_node):
        return [by_node[node] for node in nodes if node in by_node]
    return [cell for node, cell in by_node.items() if node in nodes]


def _moment(held: Pod) -> float | None:
    return held.ready_at if held.ready else None


def _fixed(held: Pod) -> _Fixed:
    """Criteria 1 to 4: smallest first to go."""
    return held.node != "", replicas.PHASES[held.phase], held.ready, held.deletion_cost


def _facts(held: Pod) -> tuple[object, ...]:
    """All that the place of a pod depends on and that may change."""
    return held.node, held.phase, held.ready, held.ready_at, held.deletion_cost, (
        held.restarts
    )  # fmt: skip


_uid = operator.itemgetter(0)
