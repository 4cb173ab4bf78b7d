"""Short stories of autoscalers and of rollouts that are watched: see scripts.py."""

from typing import Any, Final

import msgspec

from domain import analysis, autoscaler, deployment, protocol
from tests.properties import checkers, watched_checkers
from tests.properties.checking import Checker
from tests.properties.scripts import Script, cluster, create, set_image
from tests.support.cluster import SimCluster, manifest
from workers.analysing import MeasurementInput
from workers.metric_intake import MetricInput

NANO: Final = 1_000_000
CHECK: Final = "- {name: errors, prometheus: q, max: 0.05, interval: 10s, count: 2}"
WEB: Final = "deployment/default/web"
AT_ONCE: Final = {"scaleDown": {"stabilizationWindowSeconds": 0}}


def _watched_cluster() -> SimCluster:
    sim = cluster()
    watched: tuple[type[Checker], ...] = (
        watched_checkers.Fractions,
        *watched_checkers.SUITE,
    )
    sim.watchers = (*(each() for each in watched), *sim.watchers)
    sim.state.watchers = sim.watchers
    return sim


def _scaled(replicas: int, **spec: Any) -> SimCluster:
    """Pods of 100m that are long ready, and an autoscaler of 80 % of it."""
    sim = _watched_cluster()
    create(sim, replicas)
    sim.run_for(400.0)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    asked = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 6, **spec},
    }
    sim.ask("horizontalpodautoscaler", "web", "create", {"manifest": asked})
    return sim


def _load(
    sim: SimCluster, milli: float, seconds: float, *, silent: tuple[str, ...] = ()
) -> None:
    """Each pod uses this for so long; nodes that are silent say nothing of it."""
    end = sim.now + seconds
    while sim.now < end:
        for node in sim.nodes.values():
            if node.name not in silent:
                node.measure(sim.now, milli * NANO)
        sim.run_for(15.0)


def _size(sim: SimCluster) -> int:
    return sim.cluster.desired.deployments[WEB].replicas


def up_and_down() -> SimCluster:
    """Spec 5.5: twice as many at once; fewer after five minutes, and not below the
    fewest."""
    sim = _scaled(2, minReplicas=2)
    _load(sim, 160.0, 30.0)
    assert _size(sim) == 4, "the size is 4"
    _load(sim, 10.0, 240.0)
    assert _size(sim) == 4, "the size is 4"
    _load(sim, 10.0, 120.0)
    assert _size(sim) == 2, "the size is 2"
    checkers.rest(sim)
    return sim


def control_starts_again() -> SimCluster:
    """Spec 5.2, 5.5: what was asked for is lost with a control, and the size that the
    next one finds holds for five minutes, though a user has set it."""
    sim = _scaled(2)
    _load(sim, 80.0, 30.0)
    sim.ask("deployment", "web", "scale", {"replicas": 4})
    sim.crash_control()
    _load(sim, 10.0, 240.0)
    assert _size(sim) == 4, "the size is 4"
    _load(sim, 10.0, 120.0)
    assert _size(sim) == 1, "the size is 1"
    checkers.rest(sim)
    return sim


def control_starts_while_it_is_off() -> SimCluster:
    """Spec 5.2, 5.5: a size of 0 is what the next control finds, and nothing is left
    that would hold another one; as in Kubernetes."""
    sim = _scaled(2)
    _load(sim, 160.0, 30.0)
    sim.ask("deployment", "web", "scale", {"replicas": 0})
    sim.crash_control()
    sim.run_for(15.0)
    sim.ask("deployment", "web", "scale", {"replicas": 4})
    _load(sim, 10.0, 60.0)
    assert _size(sim) == 1, "the size is 1"
    checkers.rest(sim)
    return sim


def what_is_old_decides_nothing() -> SimCluster:
    """Rule 1 of workers/metrics.py: idle once, and then nobody says anything."""
    sim = _scaled(4)
    _load(sim, 10.0, 30.0)
    sim.run_for(400.0)
    assert _size(sim) == 4, "the size is 4"
    checkers.rest(sim)
    return sim


def a_node_measures_nothing() -> SimCluster:
    """Spec 5.3: pods that say nothing are taken to use all that they asked for."""
    sim = _scaled(4, behavior=AT_ONCE)
    _load(sim, 80.0, 60.0)
    (one, *_) = [name for name, node in sim.nodes.items() if len(node.pods) == 2]
    _load(sim, 10.0, 120.0, silent=(one,))
    assert sim.of(autoscaler.AutoscalerRescaled), "something was decided"
    checkers.rest(sim)
    return sim


def a_metric_is_missing() -> SimCluster:
    """Spec 5.2: one that cannot be had never scales down; once it is there, the others
    decide."""
    target = {"type": "Utilization", "averageUtilization": 80}
    metrics = [
        {"type": "Resource", "resource": {"name": "cpu", "target": target}},
        {
            "type": "External",
            "external": {
                "metric": {"name": "queue"},
                "target": {"type": "AverageValue", "averageValue": "10"},
            },
        },
    ]
    sim = _scaled(4, behavior=AT_ONCE, metrics=metrics)
    _load(sim, 10.0, 60.0)
    assert _size(sim) == 4, "the size is 4"
    data = msgspec.json.encode({"value": "20"})
    sim.step(MetricInput(user="alice", namespace="default", metric="queue", data=data))
    _load(sim, 10.0, 45.0)
    assert _size(sim) == 2, "the size is 2"
    checkers.rest(sim)
    return sim


def _guarded(replicas: int = 3, **annotations: str) -> SimCluster:
    sim = _watched_cluster()
    named = dict(zip(("back", "steps", "checks"), analysis.ANNOTATIONS, strict=True))
    wish: Any = manifest("web", replicas=replicas, progressDeadlineSeconds=30)
    wish["metadata"]["annotations"] = {named[k]: v for k, v in annotations.items()}
    sim.ask("deployment", "web", "create", {"manifest": wish})
    sim.settle()
    return sim


def _measure(sim: SimCluster, value: float, **changes: Any) -> None:
    held = sim.cluster.desired.deployments[WEB]
    tally = held.run.tallies.get("errors")
    said = protocol.Measurement(
        uid=held.uid,
        revision=held.run.revision,
        round=held.run.round,
        check="errors",
        number=1 + (tally.taken if tally else 0),
        value=value,
    )
    data = msgspec.json.encode(msgspec.structs.replace(said, **changes))
    sim.step(MeasurementInput(namespace="default", deployment="web", data=data))


def a_deadline_rolls_back_once() -> SimCluster:
    """What goes back is not rolled back again, however bad it turns out to be."""
    sim = _guarded(back="deadline")
    set_image(sim, "app:2")
    sim.settle()
    set_image(sim, "app:bad")
    sim.run_for(25.0)
    sim.broken.add("app:2")
    for node in sim.nodes.values():
        for uid, held in [*node.pods.items()]:
            if "app:2" in held.images:
                node.say(sim.now, uid, "waiting")
    sim.run_for(200.0)
    assert len(sim.of(deployment.DeploymentRolledBack)) == 1, "once"
    checkers.rest(sim)
    return sim


def only_to_what_was_complete() -> SimCluster:
    """Two bad ones after a good one: back to the good one."""
    sim = _guarded(back="deadline")
    sim.broken.add("app:worse")
    set_image(sim, "app:bad")
    sim.run_for(5.0)
    set_image(sim, "app:worse")
    sim.run_for(90.0)
    assert sim.sizes("web")["app:1"] == 3, "back to what was complete"
    checkers.rest(sim)
    return sim


def measurements() -> SimCluster:
    """Twice, of the past, too early: each is taken once, when it is the next one."""
    sim = _guarded(back="analysis", checks=CHECK)
    for value in (0.0, 0.0):
        _measure(sim, value)
        sim.run_for(10.0)
    set_image(sim, "app:2")
    sim.run_for(5.0)
    _measure(sim, 0.01)
    sim.run_for(10.0)
    _measure(sim, 0.9, number=1)
    _measure(sim, 0.9, revision=1)
    _measure(sim, 0.9, round=9)
    assert not sim.of(deployment.DeploymentRolledBack), "nothing of that was wanted"
    _measure(sim, 0.9)
    assert len(sim.of(deployment.DeploymentRolledBack)) == 1, "once"
    checkers.rest(sim)
    return sim


def promoted() -> SimCluster:
    """A step that is promoted is over, the next one holds; all that are promoted hold
    nothing."""
    sim = _guarded(8, steps="25%, pause, 50%, pause, 75%, pause")
    set_image(sim, "app:2")
    sim.settle()
    assert sim.sizes("web") == {"app:1": 6, "app:2": 2}, "a quarter, and no more"
    sim.ask("deployment", "web", "promote")
    sim.settle()
    assert sim.sizes("web") == {"app:1": 4, "app:2": 4}, "the promoted step is over"
    sim.ask("deployment", "web", "promote", {"full": True})
    checkers.rest(sim)
    return sim


SCRIPTS: Final[tuple[Script, ...]] = (
    up_and_down,
    control_starts_again,
    control_starts_while_it_is_off,
    what_is_old_decides_nothing,
    a_node_measures_nothing,
    a_metric_is_missing,
    a_deadline_rolls_back_once,
    only_to_what_was_complete,
    measurements,
    promoted,
)
