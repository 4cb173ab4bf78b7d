"""Where a pod goes, and what is said when it goes nowhere (spec 4.7, S15)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.plans import placement
from domain.plans.placement import Needs, Placed, Unplaceable
from domain.podspec import (
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Taint,
    Toleration,
)


@dataclass(frozen=True)
class Node:
    """A node with plenty of everything."""

    name: str
    ready: bool = True
    unschedulable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Taint] = ()
    free_cpu_milli: int = 4000
    free_memory: int = 8000
    free_pods: int = 110
    allocatable_cpu_milli: int = 4000
    allocatable_memory: int = 8000


def none(_: str) -> int:
    return 0


def place(needs: Needs, nodes: list[Node], start: int = 0) -> str:
    """The name of the node, or the message."""
    found = placement.place(needs, nodes, start, none)
    return found.node if isinstance(found, Placed) else found.message


def tainted(effect: str, key: str = "gpu", value: str = "") -> tuple[Taint, ...]:
    return (Taint(key=key, value=value, effect=effect),)


# --- spec 4.7 ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        (Toleration(key="k", value="v", effect="NoExecute"), True),
        (Toleration(key="k", operator="Equal", value="v", effect="NoExecute"), True),
        (Toleration(key="k", operator="Equal", value="w", effect="NoExecute"), False),
        (Toleration(key="k", operator="Exists", effect="NoExecute"), True),
        (Toleration(key="k", operator="Exists"), True),
        (Toleration(key="k", operator="Exists", effect="NoSchedule"), False),
        (Toleration(key="other", operator="Exists"), False),
        (Toleration(operator="Exists"), True),
        (Toleration(operator="Exists", effect="NoSchedule"), False),
        (Toleration(key="k", operator="Gt", value="v"), False),
    ],
)
def test_what_tolerates_a_taint(toleration: Toleration, expected: bool) -> None:
    """No effect and no key mean any; Exists ignores the value (spec 4.7)."""
    taint = Taint(key="k", value="v", effect="NoExecute")

    assert placement.tolerates([toleration], taint) is expected
    assert not placement.tolerates([], taint)


# --- feasible ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "node", "lacking"),
    [
        (Needs(), Node("n"), ()),
        (
            Needs(),
            Node("n", unschedulable=True),
            ("node(s) were unschedulable",),
        ),
        (Needs(), Node("n", ready=False), ("node(s) had untolerated taint(s)",)),
        (
            Needs(),
            Node("n", taints=tainted("NoSchedule")),
            ("node(s) had untolerated taint(s)",),
        ),
        (
            Needs(),
            Node("n", taints=tainted("NoExecute")),
            ("node(s) had untolerated taint(s)",),
        ),
        (Needs(), Node("n", taints=tainted("PreferNoSchedule")), ()),
        (
            Needs(tolerations=(Toleration(operator="Exists"),)),
            Node("n", ready=False, unschedulable=True, taints=tainted("NoExecute")),
            (),
        ),
        (
            Needs(node_selector={"disk": "ssd"}),
            Node("n", labels={"disk": "hdd"}),
            ("node(s) didn't match Pod's node affinity/selector",),
        ),
        (Needs(node_selector={"disk": "ssd"}), Node("n", labels={"disk": "ssd"}), ()),
        (Needs(cpu_milli=4000, memory=8000), Node("n"), ()),
        (Needs(cpu_milli=4001), Node("n"), ("Insufficient cpu",)),
        (
            Needs(cpu_milli=4001, memory=8001),
            Node("n", free_pods=0),
            ("Too many pods", "Insufficient cpu", "Insufficient memory"),
        ),
        (Needs(), Node("n", free_cpu_milli=-5, free_memory=-5), ()),
    ],
)
def test_what_a_node_lacks(needs: Needs, node: Node, lacking: tuple[str, ...]) -> None:
    """In the words of the Kubernetes scheduler; the first rule that fails answers."""
    assert placement.lacks(needs, node) == lacking


def requires(operator: str, *values: str, key: str = "n") -> NodeSelector:
    requirement = NodeSelectorRequirement(key=key, operator=operator, values=values)
    term = NodeSelectorTerm(match_expressions=(requirement,))
    return NodeSelector(node_selector_terms=(term,))


@pytest.mark.parametrize(
    ("selector", "value", "expected"),
    [
        (requires("In", "1", "2"), "2", True),
        (requires("In", "1", "2"), "3", False),
        (requires("In", "1"), None, False),
        (requires("NotIn", "1"), "2", True),
        (requires("NotIn", "1"), "1", False),
        (requires("NotIn", "1"), None, True),
        (requires("Exists"), "", True),
        (requires("Exists"), None, False),
        (requires("DoesNotExist"), None, True),
        (requires("DoesNotExist"), "1", False),
        (requires("Gt", "9"), "10", True),
        (requires("Gt", "9"), "9", False),
        (requires("Gt", "-1"), "0", True),
        (requires("Gt", "9"), "ten", False),
        (requires("Gt", "9"), None, False),
        (requires("Lt", "9"), "8", True),
        (requires("Lt", "9"), "9", False),
        (requires("Lt", "nine"), "8", False),
        (requires("Near", "1"), "1", False),
        (NodeSelector(), "1", False),
        (NodeSelector(node_selector_terms=(NodeSelectorTerm(),)), "1", False),
    ],
)
def test_required_node_affinity(
    selector: NodeSelector, value: str | None, expected: bool
) -> None:
    """Six operators; without a key only the negative ones hold; nothing means no."""
    labels = {} if value is None else {"n": value}

    assert placement.matches(selector, labels, "worker-1") is expected


def test_one_term_is_enough_and_a_term_needs_all() -> None:
    """Terms are alternatives, requirements are not; the name is a field."""
    has_a = NodeSelectorRequirement(key="a", operator="Exists")
    has_b = NodeSelectorRequirement(key="b", operator="Exists")
    named = NodeSelectorRequirement(key="metadata.name", operator="In", values=("w",))
    both = NodeSelectorTerm(match_expressions=(has_a, has_b))
    by_name = NodeSelectorTerm(match_fields=(named,))
    selector = NodeSelector(node_selector_terms=(both, by_name))

    assert placement.matches(selector, {"a": "", "b": ""}, "v")
    assert not placement.matches(selector, {"a": ""}, "v")
    assert placement.matches(selector, {"a": ""}, "w")


# --- messages ---------------------------------------------------------------------


def test_the_message_counts_and_sorts_as_the_scheduler_does() -> None:
    """`0/3 nodes are available: …`, the texts sorted with their counts."""
    nodes = [
        Node("a", free_cpu_milli=0),
        Node("b", free_cpu_milli=0),
        Node("c", taints=tainted("NoSchedule")),
    ]

    assert place(Needs(cpu_milli=1), nodes) == (
        "0/3 nodes are available: "
        "1 node(s) had untolerated taint(s), 2 Insufficient cpu."
    )


def test_counts_are_sorted_as_texts() -> None:
    """10 comes before 2, as Kubernetes sorts the finished texts."""
    nodes = [Node(f"a{index}", free_cpu_milli=0) for index in range(2)]
    nodes += [Node(f"b{index}", unschedulable=True) for index in range(10)]

    assert place(Needs(cpu_milli=1), nodes) == (
        "0/12 nodes are available: 10 node(s) were unschedulable, 2 Insufficient cpu."
    )


def test_without_nodes_the_message_is_another() -> None:
    """The scheduler's own text for an empty cluster."""
    assert place(Needs(), []) == "no nodes available to schedule pods"


# --- the best ---------------------------------------------------------------------


def test_the_start_decides_between_equals() -> None:
    """Nodes are looked at in a circle, and the first one seen wins a tie."""
    nodes = [Node("a"), Node("b"), Node("c")]

    assert [place(Needs(), nodes, start) for start in range(4)] == ["a", "b", "c", "a"]


def test_fewest_siblings_come_first_then_the_most_left() -> None:
    """Spreading is worth more than balance."""
    nodes = [Node("a"), Node("b", free_cpu_milli=1000), Node("c", free_cpu_milli=2000)]
    siblings = {"a": 1, "b": 0, "c": 0}.__getitem__
    found = placement.place(Needs(cpu_milli=100), nodes, 0, siblings)

    assert found == Placed(node="c", looked_at=3)


def test_a_preferred_taint_is_avoided_while_there_is_another_node() -> None:
    """PreferNoSchedule keeps nobody away who has no other choice."""
    avoided = Node("a", taints=tainted("PreferNoSchedule"))

    assert place(Needs(), [avoided, Node("b", free_cpu_milli=0)]) == "b"
    assert place(Needs(), [avoided]) == "a"


def test_only_so_many_feasible_nodes_are_looked_at() -> None:
    """The work for a pod does not grow with the cluster."""
    nodes = [Node(f"n{index}") for index in range(1000)]
    found = placement.place(Needs(), nodes, 990, none, limit=16)

    assert found == Placed(node="n990", looked_at=16)


def test_nodes_that_do_not_fit_do_not_count_towards_the_limit() -> None:
    """The only feasible node is found wherever it is."""
    nodes = [Node(f"n{index}", free_pods=0) for index in range(100)]
    nodes[57] = Node("n57")
    found = placement.place(Needs(), nodes, 60, none, limit=1)

    assert found == Placed(node="n57", looked_at=98)


@given(
    free=st.lists(st.integers(min_value=0, max_value=20), max_size=8),
    cpu=st.integers(min_value=0, max_value=20),
    start=st.integers(min_value=0, max_value=20),
    limit=st.integers(min_value=1, max_value=8),
)
def test_no_node_is_given_more_than_it_has(
    free: list[int], cpu: int, start: int, limit: int
) -> None:
    """S15, and a pod is placed exactly if some node has room."""
    nodes = [Node(f"n{index}", free_cpu_milli=left) for index, left in enumerate(free)]
    found = placement.place(Needs(cpu_milli=cpu), nodes, start, none, limit=limit)

    assert isinstance(found, Unplaceable) is not any(left >= cpu for left in free)
    if isinstance(found, Placed):
        assert free[int(found.node[1:])] >= cpu
