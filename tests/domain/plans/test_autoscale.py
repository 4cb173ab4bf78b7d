"""One reconcile of an autoscaler, by spec 5.2, 5.4 and 5.6, and what spec 7.6 lists."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from domain import plain_manifests as m
from domain import podspec
from domain.autoscaler import Condition
from domain.autoscaling import Memory, PodFacts, Sample
from domain.labels import LabelSelector
from domain.plans import autoscale
from domain.plans.autoscale import Plan
from domain.plans.autoscale_view import Autoscaler, Member, Scale

KEY = "horizontalpodautoscaler/default/web"
NOW = 50_000.0
OLD = NOW - 3_600.0
CPU = {
    "type": "Resource",
    "resource": {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 50},
    },
}


class Scene:
    """A view of as many usual pods as the target wants; tests change the rest."""

    def __init__(
        self,
        replicas: int = 3,
        used: Sequence[int | None] = (500, 500, 500),
        *,
        metrics: Sequence[object] = (CPU,),
        requests: Mapping[str, str] | None = None,
        **spec: object,
    ) -> None:
        raw = {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": "web",
            },
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": metrics,
            **spec,
        }
        self.held: Autoscaler | None = Autoscaler(
            namespace="default",
            name="web",
            spec=msgspec.convert(raw, m.AutoscalerSpec),
            memory=Memory(),
        )
        self.found: Scale | str = Scale(
            target="deployment/default/web",
            replicas=replicas,
            there=replicas,
            selector="app=web",
        )
        self.others: tuple[str, ...] = ()
        self.used = used
        asked = {"cpu": "1"} if requests is None else requests
        container = {"name": "main", "image": "a:1", "resources": {"requests": asked}}
        self.spec = msgspec.convert({"containers": [container]}, podspec.PodSpec)
        self.custom: dict[str, Mapping[str, Sample]] = {}
        self.asked: list[str] = []

    def plan(self, now: float = NOW) -> Plan:
        """What comes of one look; the next one knows what this one remembers."""
        found = autoscale.plan(self, KEY, now)
        assert found is not None
        assert self.held is not None
        self.held = msgspec.structs.replace(
            self.held, memory=found.memory, conditions=found.conditions
        )
        return found

    def autoscaler(self, key: str) -> Autoscaler | None:
        assert key == KEY
        return self.held

    def scale(self, held: Autoscaler) -> Scale | str:
        del held
        return self.found

    def rivals(self, held: Autoscaler, scale: Scale) -> Sequence[str]:
        del held, scale
        return self.others

    def pods(self, scale: Scale) -> Sequence[Member]:
        del scale
        return [
            Member(
                key=f"pod/default/p{i}",
                uid=f"u{i}",
                facts=PodFacts(
                    name=f"p{i}",
                    phase="Running",
                    terminating=False,
                    ready=True,
                    ready_changed_at=OLD,
                    started_at=OLD,
                ),
                spec=self.spec,
            )
            for i in range(len(self.used))
        ]

    def usage(self, member: Member, resource: str, container: str) -> Sample | None:
        self.asked.append(f"{resource}/{container}")
        value = self.used[int(member.uid[1:])]
        if value is None:
            return None
        return Sample(value=value, at=NOW - 1.0, window=15.0)

    def pod_metric(
        self, namespace: str, metric: str, selector: LabelSelector | None
    ) -> Mapping[str, Sample]:
        del namespace, selector
        return self.custom.get(f"pods/{metric}", {})

    def object_metric(
        self, namespace: str, metric: str, subject: str, selector: LabelSelector | None
    ) -> Sample | None:
        del namespace, selector
        return self.custom.get(f"object/{metric}", {}).get(subject)

    def external_metric(
        self, namespace: str, metric: str, selector: LabelSelector | None
    ) -> Sample | None:
        del namespace, selector
        return self.custom.get(f"external/{metric}", {}).get("")


def condition(found: Plan, type_: str) -> Condition:
    """The condition of that type."""
    (one,) = [each for each in found.conditions if each.type == type_]
    return one


def said(found: Plan, type_: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    one = condition(found, type_)
    return one.status, one.reason


def external(target: Mapping[str, object]) -> dict[str, object]:
    """An External metric `queue` with this target."""
    metric = {"name": "queue"}
    return {"type": "External", "external": {"metric": metric, "target": target}}


# --- 5.2 --------------------------------------------------------------------------


def test_a_target_that_is_not_there() -> None:
    """Spec 5.2, step 1: FailedGetScale in a warning and in AbleToScale."""
    scene = Scene()
    scene.found = 'deployments/scale.apps "web" not found'
    found = scene.plan()
    assert found.rescale is None
    assert said(found, "AbleToScale") == ("False", "FailedGetScale")
    assert condition(found, "AbleToScale").message == (
        "the HPA controller was unable to get the target's current scale: "
        'deployments/scale.apps "web" not found'
    )
    assert [each.reason for each in found.complaints] == ["FailedGetScale"]


def test_a_size_of_zero_switches_it_off() -> None:
    """Spec 5.2, step 2 and 8.2, mistake 32: zero is never scaled up again."""
    found = Scene(0, ()).plan()
    assert found.rescale is None
    assert said(found, "ScalingActive") == ("False", "ScalingDisabled")
    assert condition(found, "ScalingActive").message == (
        "scaling is disabled since the replica count of the target is zero"
    )


@pytest.mark.parametrize(
    ("replicas", "after", "reason"),
    [
        (12, 10, "Current number of replicas above Spec.MaxReplicas"),
        (1, 2, "Current number of replicas below Spec.MinReplicas"),
    ],
)
def test_out_of_bounds_no_metric_is_read(
    replicas: int, after: int, reason: str
) -> None:
    """Spec 5.2, step 2: the bound at once, without a look at any metric."""
    scene = Scene(replicas, [900] * replicas, minReplicas=2)
    found = scene.plan()
    assert found.rescale is not None
    assert (found.rescale.after, found.rescale.reason) == (after, reason)
    assert scene.asked == []
    assert said(found, "AbleToScale") == ("True", "SucceededRescale")


def test_scaling_up_tells_what_it_rests_on() -> None:
    """Spec 5.2, steps 3 and 4: the reason, the message, and the figures."""
    found = Scene(3, (900, 900, 900)).plan()
    assert found.rescale is not None
    assert (found.rescale.before, found.rescale.after) == (3, 6)
    name = "cpu resource utilization (percentage of request)"
    assert found.rescale.reason == f"{name} above target"
    assert condition(found, "AbleToScale").message == (
        "the HPA controller was able to update the target scale to 6"
    )
    (figure,) = found.rescale.figures
    assert (figure.name, figure.value, figure.target) == ("cpu", "90%", "50%")
    assert (figure.pods, figure.at, figure.replicas) == (3, NOW - 1.0, 6)


def test_the_first_look_holds_the_size_for_five_minutes() -> None:
    """Spec 5.2, step 1: the size that is found is the first recommendation."""
    scene = Scene(3, (10, 10, 10))
    assert scene.held is not None
    scene.held = msgspec.structs.replace(scene.held, memory=None)
    first = scene.plan()
    assert first.rescale is None
    assert said(first, "AbleToScale") == ("True", "ScaleDownStabilized")
    assert scene.plan(NOW + 300.0).rescale is None
    last = scene.plan(NOW + 300.1)
    assert last.rescale is not None
    assert (last.rescale.after, last.rescale.reason) == (1, "All metrics below target")


def test_the_largest_of_several_metrics_wins() -> None:
    """Spec 5.2, step 3: the maximum of what the metrics ask for."""
    scene = Scene(
        3, (500, 500, 500), metrics=(CPU, external({"type": "Value", "value": "10"}))
    )
    scene.custom["external/queue"] = {"": Sample(value=20_000, at=NOW, window=0.0)}
    found = scene.plan()
    assert found.rescale is not None
    assert found.rescale.after == 6
    assert found.rescale.reason == "external metric queue(nil) above target"
    assert [each.replicas for each in found.rescale.figures] == [3, 6]


@pytest.mark.parametrize(
    ("used", "after"), [((100, 100, 100), None), ((900, 900, 900), 6), ((500,) * 3, 3)]
)
def test_a_failing_metric_stops_only_the_way_down(
    used: tuple[int, ...], after: int | None
) -> None:
    """Spec 5.2: with one metric that fails the others may scale up, never down."""
    broken = external({"type": "Value", "value": "10"})
    found = Scene(3, used, metrics=(CPU, broken)).plan()
    if after is None:
        assert found.rescale is None
        assert said(found, "ScalingActive") == ("False", "FailedGetExternalMetric")
        assert found.complaints[-1].reason == "FailedComputeMetricsReplicas"
        assert found.complaints[-1].message.startswith(
            "invalid metrics (1 invalid out of 2), first error is: failed to get queue "
            "external metric value: unable to get external metric default/queue/nil"
        )
    else:
        assert (found.rescale.after if found.rescale else 3) == after
        assert said(found, "ScalingActive") == ("True", "ValidMetricFound")
    assert found.metrics[1] == {"type": ""}


def test_no_metric_at_all_changes_nothing() -> None:
    """Spec 5.2: all metrics failing means no change, and the first one's reason."""
    found = Scene(3, (None, None, None)).plan()
    assert found.rescale is None
    assert said(found, "ScalingActive") == ("False", "FailedGetResourceMetric")
    assert condition(found, "ScalingActive").message == (
        "the HPA was unable to compute the replica count: failed to get cpu "
        "utilization: unable to get metrics for resource cpu: no metrics returned from "
        "resource metrics API"
    )


def test_a_missing_request_is_an_error() -> None:
    """Spec 5.3: every container must say what it asks for."""
    found = Scene(3, requests={"memory": "1Gi"}).plan()
    assert found.complaints[0].message == (
        "failed to get cpu utilization: missing request for cpu in container main of "
        "Pod p0"
    )


# --- 5.3, the kinds of metrics ----------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "after", "name", "status"),
    [
        (
            {
                "type": "Resource",
                "resource": {
                    "name": "memory",
                    "target": {"type": "AverageValue", "averageValue": "250m"},
                },
            },
            6,
            "memory resource",
            {"resource": {"name": "memory", "current": {"averageValue": "500m"}}},
        ),
        (
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": "main",
                    "target": {"type": "Utilization", "averageUtilization": 25},
                },
            },
            6,
            "cpu container resource utilization (percentage of request)",
            {
                "containerResource": {
                    "name": "cpu",
                    "container": "main",
                    "current": {"averageUtilization": 50, "averageValue": "500m"},
                }
            },
        ),
        (
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "qps"},
                    "target": {"type": "AverageValue", "averageValue": "10"},
                },
            },
            6,
            "pods metric qps",
            {"pods": {"metric": {"name": "qps"}, "current": {"averageValue": "20"}}},
        ),
        (
            {
                "type": "Object",
                "object": {
                    "describedObject": {"kind": "Ingress", "name": "main"},
                    "metric": {"name": "hits"},
                    "target": {"type": "Value", "value": "10"},
                },
            },
            6,
            "Ingress metric hits",
            {
                "object": {
                    "metric": {"name": "hits"},
                    "current": {"value": "20"},
                    "describedObject": {"kind": "Ingress", "name": "main"},
                }
            },
        ),
        (
            external({"type": "AverageValue", "averageValue": "10"}),
            5,
            "external metric queue(nil)",
            {
                "external": {
                    "metric": {"name": "queue"},
                    "current": {"averageValue": "16667m"},
                }
            },
        ),
    ],
)
def test_each_kind_of_metric(
    metric: dict[str, object], after: int, name: str, status: dict[str, object]
) -> None:
    """Spec 5.3 and 5.6: what it asks for, what it is called, what is shown of it."""
    scene = Scene(3, metrics=(metric,))
    twenty = Sample(value=20_000, at=NOW, window=0.0)
    scene.custom["pods/qps"] = dict.fromkeys(("p0", "p1", "p2", "other"), twenty)
    scene.custom["object/hits"] = {"ingress/main": twenty}
    fifty = Sample(value=50_000, at=NOW, window=0.0)
    scene.custom["external/queue"] = {"": fifty}
    found = scene.plan()
    assert found.rescale is not None
    assert found.rescale.after == after
    assert found.rescale.reason == f"{name} above target"
    assert found.metrics == ({"type": metric["type"], **status},)


# --- 5.4 --------------------------------------------------------------------------


def test_an_empty_selector() -> None:
    """Spec 5.4: InvalidSelector, and nothing is done."""
    scene = Scene(3, (900, 900, 900))
    assert isinstance(scene.found, Scale)
    scene.found = msgspec.structs.replace(scene.found, selector="")
    found = scene.plan()
    assert found.rescale is None
    assert said(found, "ScalingActive") == ("False", "InvalidSelector")
    assert [each.message for each in found.complaints] == ["selector is required"]


def test_two_autoscalers_of_the_same_pods() -> None:
    """Spec 5.4: AmbiguousSelector, and this one stops."""
    scene = Scene(3, (900, 900, 900))
    scene.others = ("default/other",)
    found = scene.plan()
    assert found.rescale is None
    assert said(found, "ScalingActive") == ("False", "AmbiguousSelector")
    assert found.complaints[0].message == (
        "pods by selector app=web are controlled by multiple HPAs: "
        "[default/other default/web]"
    )


# --- 5.6 --------------------------------------------------------------------------


def test_conditions_at_rest() -> None:
    """Spec 5.6: the three conditions of an autoscaler with nothing to do."""
    found = Scene().plan()
    assert [(c.type, c.status, c.reason) for c in found.conditions] == [
        ("AbleToScale", "True", "ReadyForNewScale"),
        ("ScalingActive", "True", "ValidMetricFound"),
        ("ScalingLimited", "False", "DesiredWithinRange"),
    ]
    assert found.complaints == ()


def test_conditions_that_a_look_says_nothing_of_stay() -> None:
    """Spec 5.6: switched off, an autoscaler keeps its ScalingLimited."""
    scene = Scene()
    scene.plan()
    assert isinstance(scene.found, Scale)
    scene.found = msgspec.structs.replace(scene.found, replicas=0)
    found = scene.plan()
    assert said(found, "ScalingLimited") == ("False", "DesiredWithinRange")


@pytest.mark.parametrize(
    ("used", "spec", "reason"),
    [
        (5_000, {"maxReplicas": 5}, "TooManyReplicas"),
        (5_000, {"maxReplicas": 50}, "ScaleUpLimit"),
        (0, {"minReplicas": 2}, "TooFewReplicas"),
        (
            0,
            {
                "behavior": {
                    "scaleDown": {
                        "stabilizationWindowSeconds": 0,
                        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                    }
                }
            },
            "ScaleDownLimit",
        ),
    ],
)
def test_limits_are_told(used: int, spec: dict[str, object], reason: str) -> None:
    """Spec 5.6: ScalingLimited is True, for this reason."""
    found = Scene(3, (used,) * 3, **spec).plan()  # type: ignore[arg-type] # a table
    assert said(found, "ScalingLimited") == ("True", reason)


# --- 7.6 --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "loads", "sizes"),
    [
        (20, (250, 700), (3, 5)),  # titleUp: 1 → 3 → 5
        (30, (325, 10), (3, 1)),  # titleDown: 5 → 3 → 1
    ],
)
def test_load_that_is_shared_ends_at_exact_sizes(
    target: int, loads: tuple[int, ...], sizes: tuple[int, ...]
) -> None:
    """Spec 7.6: 500m requested, at most five; the load is shared by the pods, and the
    size comes to rest where it says and stays there."""
    metric = {
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": target},
        },
    }
    size, now = (1 if target == 20 else 5), NOW
    scene = Scene(size, (), metrics=(metric,), requests={"cpu": "500m"}, maxReplicas=5)
    for load, expected in zip(loads, sizes, strict=True):
        for _ in range(60):
            assert isinstance(scene.found, Scale)
            scene.found = msgspec.structs.replace(scene.found, replicas=size)
            scene.used = (load // size,) * size
            found = scene.plan(now)
            size = found.rescale.after if found.rescale is not None else size
            now += 15.0
        assert size == expected
