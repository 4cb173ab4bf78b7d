"""Kubernetes' own tests of taints and evictions, told to this writer (spec 7.5)."""

from typing import Any

import pytest

from domain import node, pod, times
from gateway.views import pods
from gateway.views.scene import Scene, Templates
from projections.happenings import Happenings
from tests.support.cluster import SimCluster
from tests.workers.scenes import frozen, make, pod_manifest, solo

KEY = "kubernetes.io/e2e-evict-taint-key"


@pytest.fixture
def sim() -> SimCluster:
    """Two nodes."""
    return SimCluster(2)


def tolerating(seconds: int | None) -> dict[str, Any]:
    """A pod's tolerations: of the taint for so long, for ever, or (-1) not at all."""
    if seconds == -1:
        return {}
    tolerated: dict[str, Any] = {"key": KEY, "operator": "Equal", "value": "v"}
    if seconds is not None:
        tolerated["tolerationSeconds"] = seconds
    return {"tolerations": [{**tolerated, "effect": "NoExecute"}]}


def taint(sim: SimCluster, name: str, *, on: bool = True) -> None:
    """The taint is set, or removed."""
    taints = [{"key": KEY, "value": "v", "effect": "NoExecute"}] if on else []
    assert sim.ask("node", name, "taint", {"taints": taints}).result == "accepted"


def alone(sim: SimCluster, seconds: int | None, name: str = "solo") -> str:
    """A pod of that toleration, at rest; the name of its node."""
    make(sim, pod_manifest(name, **tolerating(seconds)))
    return solo(sim, name).node


def test_a_pod_without_a_toleration_is_evicted_at_once(sim: SimCluster) -> None:
    """taints.go "Single Pod: evicts pods from tainted nodes", and
    TestEvictionForNoExecuteTaintAddedByUser."""
    taint(sim, alone(sim, -1))
    sim.run_for(2.0)
    (ended,) = sim.of(pod.PodTerminationRequested)
    assert isinstance(ended.event, pod.PodTerminationRequested)
    assert ended.event.reason == "DeletionByTaintManager"
    assert not sim.cluster.actual.pods


def test_a_pod_that_tolerates_it_stays(sim: SimCluster) -> None:
    """taints.go "doesn't evict pod with tolerations from tainted nodes"."""
    taint(sim, alone(sim, None))
    sim.run_for(3_600.0)
    assert solo(sim).active


def test_a_finite_toleration_ends(sim: SimCluster) -> None:
    """taints.go "eventually evict pod with finite tolerations from tainted nodes"."""
    at = alone(sim, 60)
    since = sim.now
    taint(sim, at)
    sim.run_for(55.0)
    assert solo(sim).active
    sim.run_for(20.0)
    (ended,) = sim.of(pod.PodTerminationRequested)
    assert 60.0 <= ended.timestamp - since < 66.0


def test_removing_the_taint_cancels_the_eviction(sim: SimCluster) -> None:
    """taints.go "removing taint cancels eviction"."""
    at = alone(sim, 60)
    taint(sim, at)
    sim.run_for(30.0)
    taint(sim, at, on=False)
    sim.run_for(600.0)
    assert solo(sim).active


def test_only_pods_that_do_not_tolerate_it_go(sim: SimCluster) -> None:
    """taints.go "Multiple Pods: only evicts pods without tolerations"."""
    first, second = alone(sim, -1, "one"), alone(sim, None, "two")
    taint(sim, first)
    if second != first:
        taint(sim, second)
    sim.run_for(10.0)
    assert [*sim.cluster.actual.pods] == ["pod/default/two"]


def test_each_pod_has_its_own_time(sim: SimCluster) -> None:
    """taints.go "evicts pods with minTolerationSeconds": 5 s and 25 s on one node."""
    at = alone(sim, 5, "short")
    other = next(name for name in sim.nodes if name != at)
    sim.ask("node", other, "cordon")
    assert alone(sim, 25, "long") == at
    since = sim.now
    taint(sim, at)
    sim.run_for(60.0)
    ends = {
        each.stream.rpartition("/")[2]: each.timestamp - since
        for each in sim.of(pod.PodTerminationRequested)
    }
    assert 5.0 <= ends["short"] < 11.0
    assert 25.0 <= ends["long"] < 31.0


def test_an_evicted_pod_says_that_it_was_disrupted(sim: SimCluster) -> None:
    """taints.go "pods evicted from tainted nodes have pod disruption condition", and
    TestEvictionForNoExecuteTaintAddedByUser: while the pod ends it shows why."""
    at = alone(sim, -1)
    taint(sim, at)
    frozen(sim)
    held = solo(sim)
    assert held.stage == pod.TERMINATING
    assert held.termination == (
        f"node {at} has a taint that the pod does not tolerate any longer"
    )
    scene = Scene(sim.cluster, Happenings(), Templates(), sim.now)

    shown = pods.conditions(held, scene.template(held.template))
    (found,) = [each for each in shown if each["type"] == "DisruptionTarget"]

    assert found == {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
        "lastProbeTime": None,
        "lastTransitionTime": times.rfc3339_seconds(held.deletion_at),
    }


def test_a_pod_that_a_user_deletes_was_not_disrupted(sim: SimCluster) -> None:
    """Spec 4.6: the condition is for whoever goes because of its node."""
    alone(sim, -1)
    sim.ask("pod", "solo", "delete")
    frozen(sim)
    held = solo(sim)
    scene = Scene(sim.cluster, Happenings(), Templates(), sim.now)

    shown = pods.conditions(held, scene.template(held.template))

    assert "DisruptionTarget" not in {each["type"] for each in shown}


def test_a_toleration_that_is_added_in_time_keeps_the_pod(sim: SimCluster) -> None:
    """Spec 1.7 and 4.7: given a pod that is to go, an added toleration lets it stay."""
    at = alone(sim, -1)
    raw = pod_manifest("solo", **tolerating(None))
    sim.ask("pod", "solo", "apply", {"manifest": raw})
    taint(sim, at)
    sim.run_for(600.0)
    assert solo(sim).active


@pytest.mark.parametrize(("seconds", "expected"), [(200, 200), (0, 0), (None, 300)])
def test_taint_based_evictions(
    sim: SimCluster, seconds: int | None, expected: int
) -> None:
    """TestTaintBasedEvictions: an unreachable node's pod goes after what it tolerates;
    what says nothing of it is given 300 s."""
    spec: dict[str, Any] = {}
    if seconds is not None:
        spec["tolerations"] = [
            {
                "key": node.UNREACHABLE_TAINT,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": seconds,
            }
        ]
    make(sim, pod_manifest(**spec))
    sim.nodes[solo(sim).node].cut(sim.now)
    sim.run_for(600.0)

    (lost,) = sim.of(node.NodeLost)
    (ended,) = sim.of(pod.PodTerminationRequested)
    assert isinstance(ended.event, pod.PodTerminationRequested)
    assert "was not heard for longer" in ended.event.why
    assert expected <= ended.timestamp - lost.timestamp <= expected + 6.0
    held = sim.cluster.actual.nodes[solo(sim).node].node
    taints = {(each.key, each.effect) for each in held.all_taints()}
    assert (node.UNREACHABLE_TAINT, "NoExecute") in taints


def test_the_life_of_a_node(sim: SimCluster) -> None:
    """node_lifecycle.go "should run through the lifecycle of a node": labelled, seen by
    its label, removed, and gone; its resourceVersion grows."""
    before = sim.cluster.actual.nodes["worker-2"].node.position
    sim.ask("node", "worker-2", "label", {"changes": {"disk": "ssd"}})
    held = sim.cluster.actual.nodes["worker-2"].node
    assert (held.labels, held.position > before) == ({"disk": "ssd"}, True)
    sim.nodes["worker-2"].die()
    sim.ask("node", "worker-2", "delete")
    assert [*sim.cluster.actual.nodes] == ["worker-1"]
