"""Autoscalers in a whole cluster: reports in, sizes and conditions out (spec 5).

The cluster is the simulated one: the shipped step and agents, on a clock that only the
test moves.
"""

from typing import Any

import msgspec
import pytest

from domain import autoscaler, deployment, events, plain, protocol, replicaset
from domain.plain import PlainObject
from projections import happenings, snapshots
from tests.support.cluster import SimCluster
from tests.workers import scenes
from workers.intake import Input
from workers.metric_intake import MetricInput

KEY = "horizontalpodautoscaler/default/web"
NANO = 1_000_000


def hpa(name: str = "web", target: str = "web", **spec: Any) -> dict[str, Any]:
    """An autoscaler of 80 % of the CPU, one to ten pods."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    kind, _, of = target.rpartition("/")
    if kind:
        reference |= {"kind": kind, "name": of}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": reference, "maxReplicas": 10, **spec},
    }


def started(replicas: int = 2, **spec: Any) -> SimCluster:
    """A Deployment `web` whose pods ask for 100m, long ready, and its autoscaler."""
    sim = SimCluster()
    deploy(sim, replicas)
    sim.run_for(400.0)
    scenes.make(sim, hpa(**spec))
    return sim


def deploy(sim: SimCluster, replicas: int, name: str = "web") -> None:
    """A Deployment whose pods ask for 100m."""
    raw = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "app:1",
                            "resources": {"requests": {"cpu": "100m"}},
                        }
                    ]
                },
            },
        },
    }
    scenes.make(sim, raw)


def under_load(
    sim: SimCluster, milli: float | None, seconds: float, *, shared: bool = False
) -> list[int]:
    """The sizes while every pod uses `milli` (or all of them share it)."""
    sizes, end = [size(sim)], sim.now + seconds
    while sim.now < end:
        running = sum(len(node.pods) for node in sim.nodes.values())
        each = milli / max(running, 1) if shared and milli is not None else milli
        for node in sim.nodes.values():
            node.measure(sim.now, None if each is None else each * NANO)
        sim.run_for(15.0)
        if size(sim) != sizes[-1]:
            sizes.append(size(sim))
    return sizes


def size(sim: SimCluster) -> int:
    """What the Deployment wants."""
    return scenes.owner(sim).replicas


def held(sim: SimCluster) -> PlainObject:
    """The autoscaler."""
    return sim.cluster.plain.objects[KEY]


def reasons(sim: SimCluster) -> dict[str, str]:
    """The reason of each condition."""
    scaling = held(sim).scaling
    assert scaling is not None
    return {each.type: each.reason for each in scaling.conditions}


def test_it_follows_the_load_up_and_down() -> None:
    """Spec 5.3, 5.5: twice the target doubles the size; when the load falls, the size
    follows after five minutes, and then stays."""
    sim = started()
    assert under_load(sim, 320, 120.0, shared=True) == [2, 4]
    assert under_load(sim, 80, 250.0, shared=True) == [4]
    assert under_load(sim, 80, 400.0, shared=True) == [4, 1]


def test_a_decision_and_its_effect_are_one_step() -> None:
    """Spec 5.2: the decision names its figures and its wish, and the new size names
    the decision as its cause; both are of one step."""
    sim = started()
    under_load(sim, 160, 60.0)
    (decided, *_) = sim.of(autoscaler.AutoscalerRescaled)
    (scaled, *_) = sim.of(deployment.DeploymentScaled)
    assert isinstance(decided.event, autoscaler.AutoscalerRescaled)
    assert (scaled.cause, scaled.timestamp) == (decided.position, decided.timestamp)
    assert decided.actor == scaled.actor == events.AUTOSCALER
    assert sim.events[decided.cause - 1].stream == KEY
    assert isinstance(sim.events[decided.cause - 1].event, plain.ObjectCreated)
    (figure,) = decided.event.figures
    assert (figure.name, figure.value, figure.target) == ("cpu", "160%", "80%")
    assert (figure.pods, figure.window) == (2, 15.0)
    assert decided.timestamp - 30.0 < figure.at < decided.timestamp


def test_at_rest_nothing_is_written() -> None:
    """Evaluations that change nothing leave no event, and are said live."""
    sim = started()
    under_load(sim, 78, 60.0)
    before, steps = len(sim.events), len(sim.steps)
    under_load(sim, 78, 600.0)
    assert [e for e in sim.kinds(before) if e != "ReportsCounted"] == []
    live = [done.live for done in sim.steps[steps:] if done.live is not None]
    readings = [each for said in live for each in said.autoscalers]
    assert len(readings) >= 39
    assert b'"averageUtilization":78' in bytes(readings[-1].metrics)
    assert sum(len(node.pods) for said in live for node in said.usage) >= 2 * 39


def test_half_of_the_pods_is_no_news() -> None:
    """After a restart of control nothing is told of the pods that were measured by
    then, while others have had no time to be; in the end it is as it was (B50)."""
    sim = started(minReplicas=2)
    under_load(sim, 10, 400.0)
    assert reasons(sim)["ScalingLimited"] == "TooFewReplicas"
    before, position = reasons(sim), len(sim.events)

    sim.crash_control()
    (first, *_) = (node for node in sim.nodes.values() if node.pods)
    for _ in range(2):
        first.measure(sim.now, 10.0 * NANO)
        sim.run_for(15.0)
    assert "AutoscalerConditionsChanged" not in sim.kinds(position)

    under_load(sim, 10, 400.0)
    assert reasons(sim) == before
    assert sim.kinds(position).count("AutoscalerConditionsChanged") == 2, (
        "that it waits before it would go down, and that it has waited"
    )


def test_a_replay_needs_no_metrics() -> None:
    """A control that starts again holds the size, and begins its five minutes anew."""
    sim = started()
    under_load(sim, 320, 60.0, shared=True)
    progress = held(sim).scaling
    sim.crash_control()
    assert held(sim).scaling == progress
    assert under_load(sim, 10, 280.0, shared=True) == [4]
    assert under_load(sim, 10, 120.0, shared=True) == [4, 1]


def test_a_snapshot_knows_what_became_of_it() -> None:
    """Conditions and the time of the last change outlive a start from a snapshot."""
    sim = started()
    under_load(sim, 160, 60.0)
    made = snapshots.cut(sim.cluster)
    again = snapshots.decode(snapshots.whole(snapshots.frames(made)))
    assert again.plain.objects[KEY] == held(sim)
    assert held(sim).scaling is not None


def test_a_size_out_of_bounds_comes_back() -> None:
    """Spec 5.2, step 2 and 5.6: scaling by hand beyond the bounds is undone at the next
    look; scaling to zero switches the autoscaler off."""
    sim = started(minReplicas=2, maxReplicas=5)
    under_load(sim, 80, 30.0)
    sim.ask("deployment", "web", "scale", {"replicas": 9})
    assert under_load(sim, 80, 30.0) == [9, 5]
    sim.ask("deployment", "web", "scale", {"replicas": 0})
    assert under_load(sim, 80, 60.0) == [0]
    assert reasons(sim)["ScalingActive"] == "ScalingDisabled"


def test_it_scales_a_replicaset_too() -> None:
    """Spec 5.2, 7.6: the target may be a ReplicaSet."""
    sim = SimCluster()
    pods = scenes.template()
    pods["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    scenes.make(sim, scenes.replicaset_manifest(replicas=1, pods=pods))
    sim.run_for(400.0)
    scenes.make(sim, hpa(target="ReplicaSet/rs"))
    for _ in range(4):
        for node in sim.nodes.values():
            node.measure(sim.now, 200 * NANO)
        sim.run_for(15.0)
    assert scenes.rs(sim).replicas > 2
    assert sim.of(replicaset.ReplicaSetScaled)[0].actor == events.AUTOSCALER


def test_two_autoscalers_of_the_same_pods_both_stop() -> None:
    """Spec 5.4: AmbiguousSelector, until one of them is gone."""
    sim = started()
    scenes.make(sim, hpa("other"))
    assert under_load(sim, 200, 60.0) == [2]
    assert reasons(sim)["ScalingActive"] == "AmbiguousSelector"
    sim.ask("horizontalpodautoscaler", "other", "delete", {})
    assert under_load(sim, 200, 60.0)[-1] > 2


def test_it_scales_in_the_middle_of_a_rollout() -> None:
    """Spec 2.9, 5.6: the new size goes the way of any scaling: in proportion."""
    sim = started(4)
    under_load(sim, 80, 30.0)
    sim.broken.add("app:2")
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.run_for(30.0)
    assert len(scenes.owned(sim)) == 2
    assert under_load(sim, 160, 90.0)[-1] > 4
    old, new = scenes.owned(sim)
    assert old.replicas > 3
    assert new.replicas > 2


def test_what_happened_is_told_in_kubernetes_words() -> None:
    """Spec 5.2: SuccessfulRescale, and warnings for a metric that is not there."""
    sim = started()
    under_load(sim, 160, 40.0)
    told = happenings.Happenings()
    fold = SimCluster(0).cluster.__class__()
    for recorded in sim.events:
        before = fold.fold(recorded)
        told.evolve(recorded, before, fold)
    found = [
        (line.type, line.reason, line.message, line.source)
        for line in told.of("HorizontalPodAutoscaler", "default", "web")
    ]
    size_line = "New size: 4; reason: cpu resource utilization (percentage of request)"
    source = "horizontal-pod-autoscaler"
    assert ("Normal", "SuccessfulRescale", f"{size_line} above target", source) in found
    assert found[0][:2] == ("Warning", "FailedGetResourceMetric")


# --- lies -------------------------------------------------------------------------


@pytest.mark.parametrize("milli", [None, -5.0, float("nan"), 1e30])
def test_usage_that_cannot_be_is_refused(milli: float | None) -> None:
    """None, negative, not a number, absurd: refused, counted, and no size changes; the
    rest of the report counts."""
    sim = started()
    assert under_load(sim, milli, 400.0) == [2]
    assert sim.state.counters["usage_refused"] > 0
    assert reasons(sim)["ScalingActive"] == "FailedGetResourceMetric"
    assert sim.cluster.actual.node_list[0].ready


def test_a_node_speaks_for_its_own_pods_only() -> None:
    """What one node says of another one's pods is refused and counted."""
    sim = started()
    (pod_, *_) = [
        (uid, pod) for node in sim.nodes.values() for uid, pod in node.pods.items()
    ]
    uid, run = pod_[0], pod_[1].run
    lied = protocol.PodUsage(
        namespace=run.namespace,
        name=run.name,
        uid=uid,
        containers=(protocol.ContainerUsage(name="main", cpu=9e9, memory=1.0),),
    )
    for node in sim.nodes.values():
        if uid not in node.pods:
            effects = node.agent.on_usage(
                sim.now, protocol.Usage(window=15.0, pods=(lied,))
            )
            node._carry_out(effects)
    sim.run_for(30.0)
    assert size(sim) == 2
    assert sim.state.counters["usage_of_strange_pods"] >= 1


def test_a_silent_node_does_not_scale_down() -> None:
    """Spec 5.3: pods that say nothing any more are taken to use all they asked for."""
    sim = started(4)
    under_load(sim, 80, 60.0)
    for node in [*sim.nodes.values()][1:]:
        node.cut(sim.now)
    assert under_load(sim, 1, 45.0) == [4]


# --- custom metrics ---------------------------------------------------------------


def publish(sim: SimCluster, **said: Any) -> None:
    """A user says a value of the metric `queue`."""
    item: Input = MetricInput(
        user="alice",
        namespace="default",
        metric="queue",
        data=msgspec.json.encode(said),
    )
    sim.step(item)


def test_external_metrics_scale_up_and_down() -> None:
    """Spec 7.6: 50 brings the most, 0 the fewest."""
    metric = {
        "type": "External",
        "external": {
            "metric": {"name": "queue", "selector": {"matchLabels": {"of": "web"}}},
            "target": {"type": "AverageValue", "averageValue": "10"},
        },
    }
    rules = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    sim = started(metrics=[metric], maxReplicas=3, behavior=rules)
    publish(sim, value="50", labels={"of": "web"})
    publish(sim, value="999", labels={"of": "other"})
    sim.run_for(30.0)
    assert size(sim) == 3
    publish(sim, value=0, labels={"of": "web"})
    sim.run_for(45.0)
    assert size(sim) == 1


@pytest.mark.parametrize(
    ("said", "counter"),
    [
        ({"value": "lots"}, "metrics_refused"),
        ({"value": -1}, "metrics_refused"),
        ({"value": 1e300}, "metrics_refused"),
        ({"value": None}, "metrics_refused"),
        ({"value": 1, "pod": "a", "object": "b/c"}, "metrics_refused"),
        ({"value": 1, "object": "nobody"}, "metrics_refused"),
        ({"value": 1, "window": -1}, "metrics_refused"),
        ({"value": 1, "at": 1.0}, "metrics_late"),
        ({"value": 1, "at": 9e9}, "metrics_late"),
        ({"value": 1, "labels": {"x": "y" * 5_000}}, "metrics_refused"),
    ],
)
def test_bad_values_are_refused_and_counted(said: dict[str, Any], counter: str) -> None:
    """A value that is none, and one that is late, costs a count and nothing else."""
    sim = SimCluster(0)
    publish(sim, **said)
    assert sim.state.counters == {counter: 1}
    assert len(sim.state.metrics) == 0


def test_series_are_bounded() -> None:
    """Nobody can fill the memory: old series go, then new ones are refused."""
    sim = SimCluster(0)
    limited = msgspec.structs.replace(sim.state.metrics._settings, series_max=3)
    sim.state.metrics._settings = limited
    for number in range(5):
        publish(sim, value=number, pod=f"p{number}")
    assert len(sim.state.metrics) == 3
    assert sim.state.counters == {"metrics_too_many": 2}
    sim.jump(61.0)
    publish(sim, value=1, pod="p9")
    assert len(sim.state.metrics) == 1
