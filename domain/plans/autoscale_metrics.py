"""One metric of an autoscaler: read, compared with its target, told (spec 5.3).

1. What is wrong with a metric raises `MetricFailed`, with Kubernetes' reason and text.
2. What a metric is called in messages is Kubernetes' wording (spec 5.6); what it is
   called in a `Figure` is its own name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from domain import autoscaling, labels, quantities
from domain import plain_manifests as m
from domain.autoscaler import Figure, MetricType
from domain.autoscaling import MetricError, Proposal, Sample, Tolerances
from domain.plans.autoscale_view import Member, Scale, View
from domain.podspec import Container, PodSpec

_REASONS: Final[dict[str, str]] = {
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}


class MetricFailed(Exception):
    """Rule 1."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A metric that has an answer; `status` is its line of `currentMetrics`."""

    name: str
    replicas: int
    figure: Figure
    status: dict[str, object]


def measure(
    view: View,
    namespace: str,
    metric: m.MetricSpec,
    scale: Scale,
    members: Sequence[Member],
    tolerances: Tolerances,
    now: float,
) -> Measured:
    """What this metric asks for. Raises `MetricFailed`."""
    at = _At(view, namespace, scale, members, tolerances, now)
    try:
        match metric:
            case m.MetricSpec(type="Resource", resource=m.ResourceMetric() as source):
                return at.resource(source, "")
            case m.MetricSpec(
                type="ContainerResource",
                container_resource=m.ContainerResourceMetric() as source,
            ):
                return at.resource(source, source.container)
            case m.MetricSpec(type="Pods", pods=m.NamedMetric() as source):
                return at.pods(source)
            case m.MetricSpec(type="Object", of_object=m.ObjectMetric() as source):
                return at.object(source)
            case m.MetricSpec(type="External", external=m.NamedMetric() as source):
                return at.external(source)
    except MetricError as error:
        text = f"failed to get {_called(metric)}: {error}"
        raise MetricFailed(_REASONS[metric.type], text) from error
    text = f'unknown metric source type "{metric.type}"'
    raise MetricFailed("InvalidMetricSourceType", text)


def _called(metric: m.MetricSpec) -> str:
    """What could not be had, as the errors begin."""
    if metric.resource is not None:
        percent = metric.resource.target.average_utilization is not None
        return f"{metric.resource.name} {'utilization' if percent else 'usage'}"
    if metric.container_resource is not None:
        return f"{metric.container_resource.name} container metric value"
    if metric.external is not None:
        return f"{metric.external.metric.name} external metric value"
    return "pods metric value" if metric.pods is not None else "object metric value"


class _At:
    """What every kind of metric is measured against."""

    def __init__(
        self,
        view: View,
        namespace: str,
        scale: Scale,
        members: Sequence[Member],
        tolerances: Tolerances,
        now: float,
    ) -> None:
        self._view = view
        self._namespace = namespace
        self._scale = scale
        self._members = members
        self._tolerances = tolerances
        self._now = now
        self._facts = [each.facts for each in members]

    def resource(
        self, source: m.ResourceMetric | m.ContainerResourceMetric, container: str
    ) -> Measured:
        """Resource and ContainerResource."""
        name, target = source.name, source.target
        type_: MetricType = "ContainerResource" if container else "Resource"
        samples = {
            each.facts.name: sample
            for each in self._members
            if (sample := self._view.usage(each, name, container)) is not None
        }
        if not samples:
            raise MetricError(
                f"unable to get metrics for resource {name}: no metrics returned from "
                "resource metrics API"
            )
        current = self._scale.replicas
        called = f"{name} container resource" if container else f"{name} resource"
        if target.average_utilization is not None:
            found = autoscaling.by_utilization(
                current,
                target.average_utilization,
                self._facts,
                samples,
                requests(self._members, name, container),
                self._tolerances,
                self._now,
                cpu=name == "cpu",
            )
            called += " utilization (percentage of request)"
            value, wanted = f"{found.percent}%", f"{target.average_utilization}%"
        else:
            milli = _target(target.average_value)
            found = autoscaling.by_average(
                current, milli, self._facts, samples, self._tolerances, self._now,
                cpu=name == "cpu",
            )  # fmt: skip
            value, wanted = quantity(found.average), str(target.average_value)
        shown: dict[str, object] = {"averageValue": quantity(found.average)}
        if found.percent is not None:
            shown["averageUtilization"] = found.percent
        about: dict[str, object] = {"name": name, "current": shown}
        if container:
            about["container"] = container
        key = "containerResource" if container else "resource"
        figure = _figure(type_, name, value, wanted, found, samples.values())
        return Measured(
            name=called,
            replicas=found.replicas,
            figure=figure,
            status={"type": type_, key: about},
        )

    def pods(self, source: m.NamedMetric) -> Measured:
        """Pods."""
        metric, target = source.metric, source.target
        all_of = self._view.pod_metric(self._namespace, metric.name, metric.selector)
        mine = {each.name for each in self._facts}
        samples = {name: held for name, held in all_of.items() if name in mine}
        if not samples:
            raise MetricError(
                f"unable to get metric {metric.name}: no metrics returned from custom "
                "metrics API"
            )
        found = autoscaling.by_average(
            self._scale.replicas,
            _target(target.average_value),
            self._facts,
            samples,
            self._tolerances,
            self._now,
        )
        shown = {"averageValue": quantity(found.average)}
        return Measured(
            name=f"pods metric {metric.name}",
            replicas=found.replicas,
            figure=_figure(
                "Pods", metric.name, quantity(found.average),
                str(target.average_value), found, samples.values(),
            ),
            status={"type": "Pods", "pods": _status_of(metric, shown)},
        )  # fmt: skip

    def object(self, source: m.ObjectMetric) -> Measured:
        """Object."""
        about, metric = source.described_object, source.metric
        sample = self._view.object_metric(
            self._namespace,
            metric.name,
            f"{about.kind.lower()}/{about.name}",
            metric.selector,
        )
        if sample is None:
            raise MetricError(
                f"unable to get metric {metric.name}: {about.kind} on "
                f"{self._namespace} {about.name}/unable to fetch metrics from custom "
                "metrics API"
            )
        found, shown, wanted = self._single(source.target, sample)
        (one,) = shown.values()
        status = _status_of(metric, shown)
        status["describedObject"] = msgspec.to_builtins(about)
        return Measured(
            name=f"{about.kind} metric {metric.name}",
            replicas=found.replicas,
            figure=_figure("Object", metric.name, one, wanted, found, (sample,)),
            status={"type": "Object", "object": status},
        )

    def external(self, source: m.NamedMetric) -> Measured:
        """External."""
        metric = source.metric
        selector = labels.format_selector(metric.selector) or "nil"
        sample = self._view.external_metric(
            self._namespace, metric.name, metric.selector
        )
        if sample is None:
            raise MetricError(
                f"unable to get external metric {self._namespace}/{metric.name}/"
                f"{selector}: no metrics returned from external metrics API"
            )
        found, shown, wanted = self._single(source.target, sample)
        (one,) = shown.values()
        return Measured(
            name=f"external metric {metric.name}({selector})",
            replicas=found.replicas,
            figure=_figure("External", metric.name, one, wanted, found, (sample,)),
            status={"type": "External", "external": _status_of(metric, shown)},
        )

    def _single(
        self, target: m.MetricTarget, sample: Sample
    ) -> tuple[Proposal, dict[str, str], str]:
        """Of one value for all pods: the proposal, what is shown, the target."""
        if target.value is not None:
            found = autoscaling.by_value(
                self._scale.replicas,
                sample.value,
                _target(target.value),
                self._facts,
                self._tolerances,
            )
            return found, {"value": quantity(found.average)}, target.value
        found = autoscaling.by_value_per_pod(
            self._scale.there,
            sample.value,
            _target(target.average_value),
            self._tolerances,
        )
        shown = {"averageValue": quantity(found.average)}
        return found, shown, str(target.average_value)


# --- requests ---------------------------------------------------------------------


def requests(
    members: Sequence[Member], resource: str, container: str
) -> Mapping[str, int]:
    """Thousandths that each pod asks for. Raises `MetricError` where one does not."""
    known: dict[int, int] = {}
    found: dict[str, int] = {}
    for each in members:
        shared = id(each.spec)
        if shared not in known:
            known[shared] = _request(each.spec, resource, container, each.facts.name)
        found[each.facts.name] = known[shared]
    return found


def _request(spec: PodSpec, resource: str, container: str, pod: str) -> int:
    """Of the pod itself where it asks for anything, else of its containers; sidecars
    count as containers do."""
    if not container and spec.resources is not None:
        own = spec.resources.requests.get(resource)
        if own is not None:
            return _milli(own)
    sidecars = [
        each for each in spec.init_containers if each.restart_policy == "Always"
    ]
    total = 0
    for each in (*spec.containers, *sidecars):
        if container and each.name != container:
            continue
        asked = _asked(each, resource)
        if asked is None:
            raise MetricError(
                f"missing request for {resource} in container {each.name} of Pod {pod}"
            )
        total += _milli(asked)
    return total


def _asked(held: Container, resource: str) -> str | None:
    """What is not requested counts as its limit, as the API server fills it in."""
    resources = held.resources
    return resources.requests.get(resource) or resources.limits.get(resource)


# --- texts ------------------------------------------------------------------------


def quantity(milli: int) -> str:
    """Thousandths as Kubernetes prints them: `250m`, `64`, `1500m`."""
    return quantities.canonical(f"{milli}m")


def _milli(text: str) -> int:
    return quantities.cpu_milli(text)


def _target(text: str | None) -> int:
    """Validation has seen to it that it is there; it is never taken for zero."""
    return max(1, _milli(text or "1m"))


def _status_of(
    metric: m.MetricIdentifier, shown: Mapping[str, str]
) -> dict[str, object]:
    told: dict[str, object] = {"name": metric.name}
    if metric.selector is not None:
        told["selector"] = msgspec.to_builtins(metric.selector)
    return {"metric": told, "current": dict(shown)}


def _figure(
    type_: MetricType,
    name: str,
    value: str,
    target: str,
    found: Proposal,
    samples: Iterable[Sample],
) -> Figure:
    newest = max(samples, key=lambda each: each.at)
    return Figure(
        type=type_,
        name=name,
        value=value,
        target=target,
        pods=found.pods,
        at=newest.at,
        window=newest.window,
        replicas=found.replicas,
    )
