"""How many pods are created or ended, and which (spec 3.4 to 3.6)."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from domain.plans import replicas

NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Pod:
    """A ready pod, nothing special about it."""

    uid: str
    node: str | None = "n1"
    phase: str = "Running"
    ready: bool = True
    ready_at: float | None = NOW - 100
    deletion_cost: int = 0
    restarts: int = 0
    created_at: float | None = NOW - 200


def none(_: str) -> int:
    return 0


def order(pods: list[Pod], related: Callable[[str], int] = none) -> list[str]:
    """The whole ranking: one more pod than there is keeps `victims` sorting."""
    last = Pod(uid="~", deletion_cost=2**31 - 1, ready_at=0.0, created_at=0.0)
    found = replicas.victims([last, *pods], len(pods), related=related, now=NOW)
    return [pod.uid for pod in found]


# --- how many ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("active", "wanted", "create", "terminate"),
    [
        (0, 3, 3, 0),
        (3, 3, 0, 0),
        (5, 3, 0, 2),
        (3, 0, 0, 3),
        (0, 501, 500, 0),
        (700, 100, 0, 500),
        (700, 699, 0, 1),
    ],
)
def test_a_plan_creates_or_ends_the_difference_and_at_most_500(
    active: int, wanted: int, create: int, terminate: int
) -> None:
    """The burst limit of spec 3.4 and 3.5."""
    pods = [Pod(uid=f"{index:04d}") for index in range(active)]
    found = replicas.plan(active, wanted, pods=pods, related=none, now=NOW)

    assert (found.create, len(found.terminate)) == (create, terminate)
    assert replicas.is_empty(found) is (create == terminate == 0)


def test_pods_are_not_looked_at_when_none_must_end() -> None:
    """The work is proportional to the change."""

    def pods() -> Iterator[Pod]:
        raise AssertionError("nobody asked for the pods")
        yield

    found = replicas.plan(2, 3, pods=pods(), related=none, now=NOW)

    assert found.create == 1


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("0", 0),
        ("10", 10),
        ("-10", -10),
        ("2147483647", 2147483647),
        ("-2147483648", -2147483648),
        ("2147483648", 0),
        ("+10", 0),
        ("008", 0),
        ("", 0),
        ("1_0", 0),
        (" 1", 0),
        ("1\n", 0),
        ("1.5", 0),
        ("٣", 0),
        ("9" * 10_000, 0),
    ],
)
def test_a_deletion_cost_is_an_int32_or_nothing(text: str, cost: int) -> None:
    """Invalid costs count as 0; `+10` and leading zeros are invalid (spec 3.6)."""
    assert replicas.parse_deletion_cost(text) == cost


# --- which ------------------------------------------------------------------------

A, B = Pod(uid="a"), Pod(uid="b")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            replace(B, node=None),
            replace(A, phase="Pending", ready=False),
            id="1: unassigned before assigned",
        ),
        pytest.param(
            replace(B, phase="Pending", deletion_cost=9),
            replace(A, phase="Unknown"),
            id="2: Pending before Unknown",
        ),
        pytest.param(
            replace(B, phase="Unknown"),
            replace(A, ready=False),
            id="2: Unknown before Running",
        ),
        pytest.param(
            replace(B, ready=False, deletion_cost=9),
            replace(A, deletion_cost=-9),
            id="3: not ready before ready",
        ),
        pytest.param(
            replace(B, deletion_cost=-1),
            replace(A, restarts=9),
            id="4: lower cost before more restarts",
        ),
        pytest.param(
            replace(B, node="crowded"),
            replace(A, ready_at=NOW - 1),
            id="5: more related pods before ready most recently",
        ),
        pytest.param(
            replace(B, ready_at=NOW - 1),
            replace(A, restarts=9),
            id="6: ready more recently before more restarts",
        ),
        pytest.param(
            replace(B, ready_at=None), replace(A, ready_at=NOW), id="6: no time first"
        ),
        pytest.param(
            replace(B, ready_at=NOW + 1),
            replace(A, ready_at=NOW - 1e-6),
            id="6: not in the past first",
        ),
        pytest.param(
            replace(A, ready_at=NOW - 130),
            replace(B, ready_at=NOW - 120, restarts=9),
            id="6: same power of two, so by uid",
        ),
        pytest.param(
            replace(B, restarts=2),
            replace(A, restarts=1, created_at=NOW - 1),
            id="7: more restarts before created most recently",
        ),
        pytest.param(
            replace(B, created_at=NOW - 1), A, id="8: created more recently first"
        ),
        pytest.param(
            A, replace(B, created_at=NOW - 201), id="8: same power of two, so by uid"
        ),
        pytest.param(A, B, id="equal in everything, so by uid"),
    ],
)
def test_the_ranking_of_spec_3_6(first: Pod, second: Pod) -> None:
    """The first difference decides, in the order of the table."""
    related = {"crowded": 2, "n1": 1}.__getitem__

    assert order([first, second], related) == [first.uid, second.uid]
    assert order([second, first], related) == [first.uid, second.uid]


def test_a_ready_time_without_ready_is_not_compared() -> None:
    """Criterion 6 is for pods that are both Ready (spec 3.6)."""
    older = replace(B, ready=False, ready_at=NOW - 1, restarts=0)
    newer = replace(A, ready=False, ready_at=NOW - 9999, restarts=1)

    assert order([older, newer]) == ["a", "b"]


@pytest.mark.parametrize(
    ("elapsed", "bucket"),
    [
        (0.0, -1),
        (-5.0, -1),
        (0.000001, 9),
        (1.0, 29),
        (1.073741, 29),
        (1.073742, 30),
        (100.0, 36),
        (137.438953, 36),
        (137.438954, 37),
    ],
)
def test_ages_are_powers_of_two_of_nanoseconds(elapsed: float, bucket: int) -> None:
    """trunc(log2(ns)), -1 when not in the past (spec 3.6)."""
    assert replicas.age_bucket(NOW - elapsed, NOW) == bucket


# --- against a reference ----------------------------------------------------------


def beats(one: Pod, other: Pod, related: Callable[[str], int]) -> bool:
    """Whether `one` goes first: spec 3.6 read aloud, one criterion after the other."""

    def power(moment: float) -> int:
        nanos = round((NOW - moment) * 1e6) * 1000
        return len(bin(nanos)) - 3 if nanos > 0 else -1

    def later(one_at: float | None, other_at: float | None) -> bool:
        if one_at is None or other_at is None:
            return one_at is None
        if power(one_at) != power(other_at):
            return power(one_at) < power(other_at)
        return one.uid < other.uid

    phases = ["Pending", "Unknown", "Running"]
    if bool(one.node) != bool(other.node):
        return not one.node
    if one.phase != other.phase:
        return phases.index(one.phase) < phases.index(other.phase)
    if one.ready != other.ready:
        return not one.ready
    if one.deletion_cost != other.deletion_cost:
        return one.deletion_cost < other.deletion_cost
    if one.node and other.node and related(one.node) != related(other.node):
        return related(one.node) > related(other.node)
    if one.ready and other.ready and one.ready_at != other.ready_at:
        return later(one.ready_at, other.ready_at)
    if one.restarts != other.restarts:
        return one.restarts > other.restarts
    if one.created_at != other.created_at:
        return later(one.created_at, other.created_at)
    return one.uid < other.uid


moments = st.sampled_from(
    [None, NOW + 1, NOW, NOW - 1, NOW - 1.05, NOW - 1.07, NOW - 1.08, NOW - 90]
)
pod_lists = st.lists(
    st.builds(
        Pod,
        uid=st.just(""),
        node=st.sampled_from([None, "n1", "n2", "n3"]),
        phase=st.sampled_from(["Pending", "Unknown", "Running", "Running", "Running"]),
        ready=st.sampled_from([True, True, False]),
        ready_at=moments,
        deletion_cost=st.sampled_from([0, 0, 0, -1, 5]),
        restarts=st.sampled_from([0, 0, 1]),
        created_at=moments,
    ),
    min_size=1,
    max_size=12,
)
RELATED = {"n1": 1, "n2": 3, "n3": 3}.__getitem__


@settings(deadline=None, max_examples=400)
@given(pods=pod_lists, data=st.data())
def test_the_victims_are_those_of_the_reference(
    pods: list[Pod], data: st.DataObject
) -> None:
    """Wherever the relation is an order, its first k pods are the victims, in order."""
    uids = data.draw(st.permutations([f"u{index:02d}" for index in range(len(pods))]))
    named = [replace(pod, uid=uid) for pod, uid in zip(pods, uids, strict=True)]
    wins = {
        pod.uid: sum(beats(pod, other, RELATED) for other in named if other is not pod)
        for pod in named
    }
    # A tournament is an order exactly if no two have won equally often.
    assume(len(set(wins.values())) == len(named))
    expected = sorted(wins, key=lambda uid: -wins[uid])
    count = data.draw(st.integers(min_value=0, max_value=len(named) - 1))
    found = replicas.victims(named, count, related=RELATED, now=NOW)
    event(f"{count} victims")

    assert [pod.uid for pod in found] == expected[:count]


@settings(deadline=None, max_examples=200)
@given(pods=pod_lists, data=st.data())
def test_the_order_of_the_pods_is_of_no_importance(
    pods: list[Pod], data: st.DataObject
) -> None:
    """Equal facts give equal victims, even where the relation goes round (I13)."""
    named = [replace(pod, uid=f"u{index:02d}") for index, pod in enumerate(pods)]
    shuffled = data.draw(st.permutations(named))
    count = data.draw(st.integers(min_value=0, max_value=len(named) - 1))

    assert replicas.victims(named, count, related=RELATED, now=NOW) == replicas.victims(
        shuffled, count, related=RELATED, now=NOW
    )


def test_the_relation_of_kubernetes_can_go_round() -> None:
    """Why a class is sorted from uid order: three pods that beat each other in turn."""
    a = Pod(uid="c", ready_at=NOW - 100, restarts=1)
    b = Pod(uid="a", ready_at=NOW - 100, restarts=0)
    c = Pod(uid="b", ready_at=NOW - 101)

    assert beats(a, b, none)
    assert beats(b, c, none)
    assert beats(c, a, none)
    orders = {tuple(order(list(each))) for each in itertools.permutations([a, b, c])}
    assert len(orders) == 1


def test_each_node_is_asked_for_once() -> None:
    """Choosing among many pods looks at the related pods of a node only once."""
    asked: list[str] = []

    def related(node: str) -> int:
        asked.append(node)
        return 1

    pods = [Pod(uid=f"{index:04d}", node=f"n{index % 7}") for index in range(500)]
    replicas.victims(pods, 10, related=related, now=NOW)

    assert sorted(asked) == [f"n{index}" for index in range(7)]
