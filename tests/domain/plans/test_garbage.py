"""Pods that nobody else removes (spec 4.8)."""

import msgspec
import pytest

from domain.plans import garbage
from domain.plans.garbage import NodeFacts, PodFacts
from domain.podspec import Taint

NOW = 1000.0
OUT = (Taint(key=garbage.OUT_OF_SERVICE, effect="NoExecute"),)


def pod(key: str, **facts: object) -> PodFacts:
    base = PodFacts(key=key, node="n", phase="Running", created_at=1.0)
    return msgspec.structs.replace(base, **facts)


@pytest.mark.parametrize(("missing_for", "removed"), [(39.9, 0), (40.0, 1)])
def test_an_orphan_is_given_up_after_40_seconds(
    missing_for: float, removed: int
) -> None:
    """Its node has been missing for the quarantine; it fails, with the reason."""
    found = garbage.plan([pod("a")], {}, {"n": NOW - missing_for}, NOW)

    assert len(found.orphaned) == removed
    assert found.wake_at == (None if removed else NOW - missing_for + 40)
    for each in found.orphaned:
        assert each.fail
        assert each.reason == "DeletionByPodGC"
        assert each.message == "PodGC: node no longer exists"


def test_the_quarantine_begins_when_the_node_is_first_missed() -> None:
    """The value that goes out comes in again, and the time stands."""
    first = garbage.plan([pod("a")], {}, {}, NOW)
    second = garbage.plan([pod("a")], {}, first.missing, NOW + 20)
    third = garbage.plan([pod("a")], {}, second.missing, NOW + 40)

    assert garbage.is_empty(first)
    assert garbage.is_empty(second)
    assert [each.pod for each in third.orphaned] == ["a"]


def test_a_node_that_comes_back_keeps_its_pods() -> None:
    """And starts with a new quarantine if it goes again."""
    gone = garbage.plan([pod("a")], {}, {}, NOW)
    back = garbage.plan(
        [pod("a")], {"n": NodeFacts(ready=True)}, gone.missing, NOW + 30
    )
    again = garbage.plan([pod("a")], {}, back.missing, NOW + 50)

    assert again.missing == {"n": NOW + 50}
    assert garbage.is_empty(again)


@pytest.mark.parametrize(
    ("terminating", "ready", "taints", "removed"),
    [
        (True, False, OUT, True),
        (False, False, OUT, False),
        (True, True, OUT, False),
        (True, False, (), False),
    ],
)
def test_out_of_service_needs_all_three(
    terminating: bool, ready: bool, taints: tuple[Taint, ...], removed: bool
) -> None:
    """Terminating, the node not ready, and the taint (spec 4.8)."""
    nodes = {"n": NodeFacts(ready=ready, taints=taints)}
    found = garbage.plan([pod("a", terminating=terminating)], nodes, {}, NOW)

    assert bool(found.out_of_service) is removed


@pytest.mark.parametrize(
    ("terminating", "node", "removed"),
    [(True, None, True), (True, "", True), (False, None, False), (True, "n", False)],
)
def test_unscheduled_and_terminating_goes_at_once(
    terminating: bool, node: str | None, removed: bool
) -> None:
    """There is no node that could confirm its end."""
    nodes = {"n": NodeFacts(ready=True)}
    found = garbage.plan([pod("a", terminating=terminating, node=node)], nodes, {}, NOW)

    assert bool(found.unscheduled) is removed


def test_beyond_the_limit_evicted_ones_go_first_then_the_oldest() -> None:
    """Only terminated pods count (spec 4.8)."""
    nodes = {"n": NodeFacts(ready=True)}
    pods = [
        pod("running", created_at=0.0),
        pod("old", phase="Succeeded", created_at=1.0),
        pod("twin-b", phase="Failed", created_at=2.0),
        pod("twin-a", phase="Failed", created_at=2.0),
        pod("young", phase="Failed", created_at=3.0),
        pod("evicted", phase="Failed", created_at=9.0, evicted=True),
    ]
    found = garbage.plan(pods, nodes, {}, NOW, terminated_max=1)

    assert [each.pod for each in found.terminated] == [
        "evicted",
        "old",
        "twin-a",
        "twin-b",
    ]
    assert not any(each.fail for each in found.terminated)


def test_12500_terminated_pods_are_kept() -> None:
    """The limit of Kubernetes; exactly as many is not too many."""
    nodes = {"n": NodeFacts(ready=True)}
    pods = [pod(f"p{index:05d}", phase="Succeeded") for index in range(12_501)]

    assert garbage.is_empty(garbage.plan(pods[1:], nodes, {}, NOW))
    assert [e.pod for e in garbage.plan(pods, nodes, {}, NOW).terminated] == ["p00000"]


def test_a_pod_is_in_one_bucket() -> None:
    """A terminated pod on a node that is gone is an orphan, and does not fail again."""
    gone = pod("a", phase="Failed", terminating=True)
    found = garbage.plan([gone], {}, {"n": 0.0}, NOW, terminated_max=0)

    assert [each.fail for each in found.orphaned] == [False]
    assert not found.terminated
    assert not found.out_of_service
