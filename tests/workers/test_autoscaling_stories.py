"""The stories of spec 7.6 (test/e2e/autoscaling of Kubernetes), on a simulated clock.

1. Each names the group and the case that it tells. Sizes, targets, windows and loads
   are those of the table; the load of a Deployment is shared by its pods.
2. What Kubernetes waits for with a real clock is here asserted at every look: the whole
   path of sizes, and when each was taken.
"""

from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest

from tests.support.cluster import SimCluster
from tests.workers import scenes
from tests.workers.test_autoscaling import hpa, size
from workers.metric_intake import MetricInput

NANO: Final = 1_000_000
LONG: Final = 400.0
Sizes = list[tuple[float, int]]


def metric(name: str = "cpu", container: str = "", **target: Any) -> dict[str, Any]:
    """A metric of the pods' resources, or of one container's."""
    kinds = {"averageUtilization": "Utilization", "averageValue": "AverageValue"}
    (given,) = target
    wanted = {"name": name, "target": {"type": kinds[given], **target}}
    if container:
        named = {**wanted, "container": container}
        return {"type": "ContainerResource", "containerResource": named}
    return {"type": "Resource", "resource": wanted}


def story(
    replicas: int, request: int, most: int, kind: str = "Deployment", **spec: Any
) -> SimCluster:
    """Pods `web` that ask for so many milli-cores, long ready, and an autoscaler."""
    sim = SimCluster(allocatable={"cpu": "64", "memory": "64Gi", "pods": "110"})
    pods = scenes.template()
    asked = {"cpu": f"{request}m", "memory": "100Mi"}
    pods["spec"]["containers"][0]["resources"] = {"requests": asked}
    raw = scenes.replicaset_manifest("web", replicas, pods=pods)
    scenes.make(sim, {**raw, "kind": kind})
    sim.run_for(LONG)
    target = "web" if kind == "Deployment" else f"{kind}/web"
    scenes.make(sim, hpa(target=target, maxReplicas=most, **spec))
    return sim


def replicas(sim: SimCluster) -> int:
    """What the target wants."""
    if "deployment/default/web" in sim.cluster.desired.deployments:
        return size(sim)
    return sim.cluster.desired.replicasets["replicaset/default/web"].replicas


def under(sim: SimCluster, milli: int, seconds: float) -> Sizes:
    """The sizes while all pods share this load, each with when it came."""
    begun, found = sim.now, [(0.0, replicas(sim))]
    while sim.now < begun + seconds:
        running = sum(len(node.pods) for node in sim.nodes.values())
        for node in sim.nodes.values():
            node.measure(sim.now, milli / running * NANO)
        sim.run_for(15.0)
        if replicas(sim) != found[-1][1]:
            found.append((sim.now - begun, replicas(sim)))
    return found


def path(sizes: Sizes) -> list[int]:
    """The sizes alone."""
    return [each for _, each in sizes]


CPU: Final = {
    "average utilisation": metric(averageUtilization=20),
    "average value": metric(averageValue="100m"),
    "container, average utilisation": metric("cpu", "main", averageUtilization=20),
    "container, average value": metric("cpu", "main", averageValue="100m"),
}


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
@pytest.mark.parametrize("of", CPU, ids=str)
def test_title_up(kind: str, of: str) -> None:
    """CPU: "Should scale from 1 pod to 3 pods and then from 3 pods to 5 pods"; 500m
    requests, 20 %, loads of 250m and 700m; and "verify decision stability": the count
    stays within [n, n + 1] for ten minutes."""
    sim = story(1, 500, 5, kind, metrics=[CPU[of]])
    assert path(under(sim, 250, LONG)) == [1, 3]
    assert path(under(sim, 250, 600.0)) == [3]
    assert path(under(sim, 700, LONG)) == [3, 5]
    assert path(under(sim, 700, 600.0)) == [5]


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet"])
def test_title_down(kind: str) -> None:
    """CPU: "Should scale from 5 pods to 3 pods and then from 3 pods to 1 pod"; 30 %,
    loads of 325m and 10m; each after five minutes, and stable then."""
    sim = story(5, 500, 5, kind, metrics=[metric(averageUtilization=30)])
    down = under(sim, 325, LONG)
    assert path(down) == [5, 3]
    assert down[-1][0] >= 240.0, "the first look recommends what there is"
    assert path(under(sim, 325, 600.0)) == [3]
    down = under(sim, 10, LONG)
    assert path(down) == [3, 1]
    assert down[-1][0] >= 280.0


def test_light() -> None:
    """CPU, ReplicaSet light: 1 → 2 (150m of 200m, 50 %, at most 2), 2 → 1 (50m)."""
    sim = story(1, 200, 2, "ReplicaSet", metrics=[metric(averageUtilization=50)])
    assert path(under(sim, 150, LONG)) == [1, 2]
    assert path(under(sim, 50, LONG)) == [2, 1]


def behaving(start: int, least: int, most: int, **rules: Any) -> SimCluster:
    """Pods of 500m of which a fifth is wanted, and this `behavior`; there may be
    `start` of them by now."""
    wanted = [metric(averageUtilization=20)]
    return story(start, 500, most, metrics=wanted, minReplicas=least, behavior=rules)


def window(seconds: int, **rules: Any) -> dict[str, Any]:
    """A stabilisation window."""
    return {"stabilizationWindowSeconds": seconds, **rules}


def rate(kind: str, value: int, seconds: int = 60) -> dict[str, Any]:
    """One policy."""
    policy = {"type": kind, "value": value, "periodSeconds": seconds}
    return {"policies": [policy]}


def test_a_short_window_down() -> None:
    """Behavior: "should scale down soon after the stabilization period": not before the
    minute, and not five minutes later."""
    sim = behaving(1, 1, 5, scaleDown=window(60))
    assert path(under(sim, 300, 120.0)) == [1, 3]
    down = under(sim, 200, 180.0)
    assert path(down) == [3, 2]
    assert 60.0 <= down[-1][0] <= 105.0


def test_a_long_window_up() -> None:
    """Behavior: "should scale up only after the stabilization period": growth after
    three minutes of sustained load, not before."""
    sim = behaving(2, 1, 5, scaleUp=window(180))
    under(sim, 200, 60.0)
    up = under(sim, 400, 300.0)
    assert path(up) == [2, 4]
    assert up[-1][0] >= 165.0


@pytest.mark.parametrize(
    ("way", "start", "load"), [("scaleUp", 1, 300), ("scaleDown", 3, 100)]
)
def test_autoscaling_disabled(way: str, start: int, load: int) -> None:
    """Behavior: "shouldn't scale up" and "shouldn't scale down" with Disabled."""
    sim = behaving(start, 1, 5, **{way: {"selectPolicy": "Disabled"}})
    assert path(under(sim, load, 900.0)) == [start]


def _apart(sizes: Sizes) -> list[float]:
    return [after - before for (before, _), (after, _) in pairwise(sizes[1:])]


def test_limited_by_a_number_of_pods() -> None:
    """Behavior: "should scale up no more than given number of Pods per minute", and
    down: a minute at least lies between any two."""
    sim = behaving(1, 1, 5, scaleUp=rate("Pods", 1))
    up = under(sim, 300, 300.0)
    assert path(up) == [1, 2, 3]
    assert min(_apart(up)) >= 60.0
    sim = behaving(3, 1, 5, scaleDown=window(0, **rate("Pods", 1)))
    down = under(sim, 100, 300.0)
    assert path(down) == [3, 2, 1]
    assert min(_apart(down)) >= 60.0


def test_limited_by_a_percentage() -> None:
    """Behavior: "should scale up no more than given percentage per minute" (50 %:
    2 → 3 → 5), and down (25 %: 7 → 5 → 3)."""
    sim = behaving(2, 1, 10, scaleUp=rate("Percent", 50))
    assert path(under(sim, 500, 300.0)) == [2, 3, 5]
    sim = behaving(7, 1, 10, scaleDown=window(0, **rate("Percent", 25)))
    assert path(under(sim, 300, 300.0)) == [7, 5, 3]


def test_both_windows() -> None:
    """Behavior, both controls: "should keep recommendation within the range over two
    stabilization windows": neither up nor down before three minutes."""
    sim = behaving(2, 2, 5, scaleUp=window(180), scaleDown=window(180))
    under(sim, 200, 60.0)
    up = under(sim, 300, 300.0)
    assert path(up) == [2, 3]
    assert up[-1][0] >= 165.0
    down = under(sim, 200, 300.0)
    assert path(down) == [3, 2]
    assert down[-1][0] >= 165.0


@pytest.mark.parametrize("load", [2_000, 1])
def test_a_tolerance_of_ten_never_scales(load: int) -> None:
    """Configurable tolerance: 10.0 → never."""
    wide = {"tolerance": "10"}
    sim = behaving(3, 1, 10, scaleUp=wide, scaleDown=wide)
    assert path(under(sim, load, 900.0)) == [3]


def test_a_narrow_tolerance_up_and_a_wide_one_down() -> None:
    """Configurable tolerance: up 2 %, down 30 %: 10 → 11 → 12, and no scale-down."""
    up, down = {"tolerance": "0.02"}, window(0, tolerance="0.3")
    sim = behaving(10, 1, 20, scaleUp=up, scaleDown=down)
    assert path(under(sim, 1_060, 120.0)) == [10, 11]
    assert path(under(sim, 1_160, 120.0)) == [11, 12]
    assert path(under(sim, 900, 600.0)) == [12]


def test_an_external_metric() -> None:
    """External metrics: "should scale up and down based on external metric value": 50
    brings the most, 3; 0 the fewest, 1."""
    target = {"type": "Value", "value": "10"}
    external = {"metric": {"name": "queue"}, "target": target}
    sim = story(1, 500, 3, metrics=[{"type": "External", "external": external}])

    def said(value: int, seconds: float) -> list[int]:
        found, end = [size(sim)], sim.now + seconds
        while sim.now < end:
            data = msgspec.json.encode({"value": value})
            sim.step(
                MetricInput(
                    user="admin", namespace="default", metric="queue", data=data
                )
            )
            sim.run_for(15.0)
            found += [size(sim)] if size(sim) != found[-1] else []
        return found

    assert said(50, 120.0) == [1, 3]
    assert said(0, LONG) == [3, 1]


@pytest.mark.parametrize("container", ["", "main"])
@pytest.mark.parametrize("target", [{"averageUtilization": 1}, {"averageValue": "1Mi"}])
def test_memory(container: str, target: dict[str, Any]) -> None:
    """Memory: the same for pods and containers, by utilisation and by value; each pod
    uses 1 Mi of 100."""
    sim = story(3, 500, 5, metrics=[metric("memory", container, **target)])
    assert path(under(sim, 100, 600.0)) == [3]


def test_a_window_of_none_down_turns_as_in_kubernetes() -> None:
    """Spec 5.3: on the way down a pod that has just started is not counted, so that
    without a window (the default is five minutes) 2 → 3 is taken back at once."""
    sim = behaving(2, 1, 3, scaleDown=window(0))
    assert path(under(sim, 250, 90.0))[:3] == [2, 3, 2]
