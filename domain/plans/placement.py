"""On which node a pod runs.

1. A node is feasible when it is ready, not cordoned, has no taint that the pod does not
   tolerate, has the labels that the pod asks for, and has enough left (S15).
2. Nodes are looked at in a circle from `start`, and only until `limit` feasible ones
   are found: the work for a pod does not grow with the cluster. The caller starts the
   next pod where this one stopped.
3. Of the feasible ones the best is the one with the fewest taints of effect
   PreferNoSchedule that the pod does not tolerate, then with the fewest siblings (pods
   of the same owner), then with the most left; the first seen wins a tie.
4. Where none is feasible, the message counts the nodes by what they lack, in the words
   and the order of the Kubernetes scheduler.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from domain.podspec import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from domain.podspec import Taint as Taint
from domain.podspec import Toleration as Toleration

LIMIT: Final = 16
"""How many feasible nodes are compared for one pod."""

NO_EXECUTE: Final = "NoExecute"
NO_SCHEDULE: Final = "NoSchedule"
PREFER_NO_SCHEDULE: Final = "PreferNoSchedule"

NOT_READY: Final = Taint(key="node.kubernetes.io/not-ready", effect=NO_SCHEDULE)
UNSCHEDULABLE: Final = Taint(key="node.kubernetes.io/unschedulable", effect=NO_SCHEDULE)

_UNSCHEDULABLE: Final = ("node(s) were unschedulable",)
_TAINTED: Final = ("node(s) had untolerated taint(s)",)
_LABELS: Final = ("node(s) didn't match Pod's node affinity/selector",)
_FEASIBLE: Final[tuple[str, ...]] = ()


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod asks of its node: thousandths of a core, bytes, labels, taints."""

    cpu_milli: int = 0
    memory: int = 0
    node_selector: dict[str, str] = {}
    affinity: NodeSelector | None = None
    """The required node affinity; None asks for nothing."""
    tolerations: tuple[Toleration, ...] = ()


class NodeView(Protocol):
    """What placing needs to see of a node."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def ready(self) -> bool:
        """Its Ready condition is True."""

    @property
    def unschedulable(self) -> bool:
        """It is cordoned."""

    @property
    def labels(self) -> Mapping[str, str]:
        """All its labels."""

    @property
    def taints(self) -> Sequence[Taint]:
        """Its taints; those of its condition and of a cordon may be among them."""

    @property
    def free_cpu_milli(self) -> int:
        """Thousandths of a core that no pod has asked for."""

    @property
    def free_memory(self) -> int:
        """Bytes that no pod has asked for."""

    @property
    def free_pods(self) -> int:
        """How many more pods it takes."""

    @property
    def allocatable_cpu_milli(self) -> int:
        """Thousandths of a core that it has for pods."""

    @property
    def allocatable_memory(self) -> int:
        """Bytes that it has for pods."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The pod goes to `node`."""

    node: str
    looked_at: int
    """How many nodes were looked at: the next pod starts that much further on."""


class Unplaceable(msgspec.Struct, frozen=True, kw_only=True):
    """No node takes the pod; `message` is the scheduler's."""

    message: str


def place(
    needs: Needs,
    nodes: Sequence[NodeView],
    start: int,
    siblings: Callable[[str], int],
    *,
    limit: int = LIMIT,
) -> Placed | Unplaceable:
    """The node for a pod, or why there is none; equal facts give equal answers.

    `siblings` tells how many pods of the same owner are bound to a node of that name.
    """
    count = len(nodes)
    index = start % count if count else 0
    best: NodeView | None = None
    best_first, best_left = (0, 0), 0
    feasible = looked_at = 0
    cpu_milli, memory = needs.cpu_milli, needs.memory
    anywhere = not needs.node_selector and needs.affinity is None
    while looked_at < count and feasible < limit:
        node = nodes[index]
        index = index + 1 if index + 1 < count else 0
        looked_at += 1
        taints = node.taints
        # Most nodes take most pods: `lacks` is asked where that is not seen at once.
        if not (
            anywhere
            and node.ready
            and not taints
            and not node.unschedulable
            and node.free_pods >= 1
            and cpu_milli <= node.free_cpu_milli
            and memory <= node.free_memory
        ) and lacks(needs, node):
            continue
        feasible += 1
        avoided = _avoided(needs.tolerations, taints) if taints else 0
        first = avoided, siblings(node.name)
        if best is not None and first > best_first:
            continue  # what it has left is of no interest
        left = _left(needs, node)
        if best is None or first < best_first or left > best_left:
            best, best_first, best_left = node, first, left
    if best is None:
        return Unplaceable(message=explain(needs, nodes))
    return Placed(node=best.name, looked_at=looked_at)


def lacks(needs: Needs, node: NodeView) -> tuple[str, ...]:
    """Why the node does not take the pod, in the scheduler's words; empty if it does.

    The first rule that fails answers; only resources can be lacking together.
    """
    tolerations = needs.tolerations
    if node.unschedulable and not tolerates(tolerations, UNSCHEDULABLE):
        return _UNSCHEDULABLE
    if not node.ready and not tolerates(tolerations, NOT_READY):
        return _TAINTED
    if node.taints and not _tolerates_all(tolerations, node.taints):
        return _TAINTED
    if needs.node_selector or needs.affinity is not None:
        labels = node.labels
        for key, value in needs.node_selector.items():
            if labels.get(key) != value:
                return _LABELS
        required = needs.affinity
        if required is not None and not matches(required, labels, node.name):
            return _LABELS
    if (
        node.free_pods >= 1
        and needs.cpu_milli <= node.free_cpu_milli
        and needs.memory <= node.free_memory
    ):
        return _FEASIBLE
    return _lacking_resources(needs, node)


def explain(needs: Needs, nodes: Sequence[NodeView]) -> str:
    """The message of a pod that no node takes: how many nodes lack what."""
    if not nodes:
        return "no nodes available to schedule pods"
    counted: dict[str, int] = {}
    for node in nodes:
        for reason in lacks(needs, node):
            counted[reason] = counted.get(reason, 0) + 1
    # The scheduler sorts the finished texts, so 10 comes before 2.
    reasons = sorted(f"{count} {reason}" for reason, count in counted.items())
    return f"0/{len(nodes)} nodes are available: {', '.join(reasons)}."


def tolerates(tolerations: Sequence[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations is for this taint (spec 4.7)."""
    return any(matches_taint(each, taint) for each in tolerations)


def matches_taint(toleration: Toleration, taint: Taint) -> bool:
    """Whether this toleration is for this taint; no effect or no key means any."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in ("", "Equal") and toleration.value == taint.value


def matches(selector: NodeSelector, labels: Mapping[str, str], name: str) -> bool:
    """Whether one of the selector's terms holds for a node; without terms none does.

    A term is about labels (`matchExpressions`) and the name (`matchFields`).
    """
    fields = {"metadata.name": name}
    return any(
        _term_holds(term, labels, fields) for term in selector.node_selector_terms
    )


def _term_holds(
    term: NodeSelectorTerm, labels: Mapping[str, str], fields: Mapping[str, str]
) -> bool:
    if not term.match_expressions and not term.match_fields:
        return False
    return all(_holds(each, labels) for each in term.match_expressions) and all(
        _holds(each, fields) for each in term.match_fields
    )


def _holds(requirement: NodeSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            bound = requirement.values[0] if len(requirement.values) == 1 else None
            return _compares(requirement.operator, _whole(value), _whole(bound))
        case _:
            # Validation refuses it; an unknown sentence is never taken for a true one.
            return False


def _compares(operator: str, value: int | None, bound: int | None) -> bool:
    if value is None or bound is None:
        return False
    return value > bound if operator == "Gt" else value < bound


def _whole(text: str | None) -> int | None:
    """A label as a number; None when it is no decimal int64."""
    if text is None or len(text) > 20 or not text.isascii():
        return None
    if not text.removeprefix("-").removeprefix("+").isdigit():
        return None
    return int(text)


def _tolerates_all(tolerations: Sequence[Toleration], taints: Sequence[Taint]) -> bool:
    return all(
        taint.effect == PREFER_NO_SCHEDULE or tolerates(tolerations, taint)
        for taint in taints
    )


def _avoided(tolerations: Sequence[Toleration], taints: Sequence[Taint]) -> int:
    return sum(
        taint.effect == PREFER_NO_SCHEDULE and not tolerates(tolerations, taint)
        for taint in taints
    )


def _lacking_resources(needs: Needs, node: NodeView) -> tuple[str, ...]:
    """Which resources the pod asks for and the node has too little of, if any.

    Who asks for nothing gets it even of a node that has less than nothing left.
    """
    lacking: list[str] = []
    if node.free_pods < 1:
        lacking.append("Too many pods")
    if 0 < needs.cpu_milli > node.free_cpu_milli:
        lacking.append("Insufficient cpu")
    if 0 < needs.memory > node.free_memory:
        lacking.append("Insufficient memory")
    return tuple(lacking)


def _left(needs: Needs, node: NodeView) -> int:
    """What the node has left with the pod on it, 0 to 100: the mean of two percents."""
    cpu, memory = node.allocatable_cpu_milli, node.allocatable_memory
    cpu_left = (node.free_cpu_milli - needs.cpu_milli) * 100 // cpu if cpu > 0 else 0
    memory_left = (node.free_memory - needs.memory) * 100 // memory if memory > 0 else 0
    return (cpu_left + memory_left) // 2
