"""What an autoscaler does about its target: one reconcile of spec 5.2, as data.

1. `plan` looks at the target's size and, where that is within its bounds, at the
   metrics; it takes the largest of what they ask for (5.3), stabilises and limits it
   (5.5), and says how it is by conditions (5.6).
2. A metric that cannot be had never scales down: if the others would, or if there are
   no others, nothing is done.
3. It is called for one autoscaler at a time, every `PERIOD` seconds; what it needs of
   its own past is `Memory`, which the caller keeps.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from domain import autoscaling, quantities
from domain import plain_manifests as m
from domain.autoscaler import Complaint, Condition, Figure, Status
from domain.autoscaling import Memory
from domain.plans import autoscale_metrics
from domain.plans.autoscale_metrics import Measured, MetricFailed
from domain.plans.autoscale_view import Autoscaler, Scale, View

PERIOD: Final = 15.0


class Rescale(msgspec.Struct, frozen=True, kw_only=True):
    """The target's new size; `reason` is Kubernetes'."""

    target: str
    before: int
    after: int
    reason: str
    figures: tuple[Figure, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done and said.

    `conditions` are all of them as they are now; `metrics` is `status.currentMetrics`.
    """

    rescale: Rescale | None
    conditions: tuple[Condition, ...]
    complaints: tuple[Complaint, ...]
    metrics: tuple[dict[str, object], ...]
    current: int
    desired: int
    memory: Memory | None


class _Wanted(NamedTuple):
    """The size that the metrics, stabilised and limited, lead to."""

    replicas: int
    reason: str
    figures: tuple[Figure, ...]


def plan(view: View, key: str, now: float) -> Plan | None:
    """One reconcile; None where there is no such autoscaler."""
    held = view.autoscaler(key)
    if held is None:
        return None
    return _Work(view, held, now).run()


class _Work:
    """One reconcile; the conditions and warnings grow while it goes on."""

    def __init__(self, view: View, held: Autoscaler, now: float) -> None:
        self._view = view
        self._held = held
        self._now = now
        self._conditions = {each.type: each for each in held.conditions}
        self._complaints: list[Complaint] = []
        self._metrics: tuple[dict[str, object], ...] = ()
        self._memory = held.memory

    def run(self) -> Plan:
        """The steps of spec 5.2, in order."""
        scale = self._view.scale(self._held)
        if isinstance(scale, str):
            text = "the HPA controller was unable to get the target's current scale: "
            self._set("AbleToScale", "False", "FailedGetScale", text + scale)
            self._warn("FailedGetScale", scale)
            return self._done(None, 0, 0)
        text = "the HPA controller was able to get the target's current scale"
        self._set("AbleToScale", "True", "SucceededGetScale", text)
        if self._memory is None:
            self._memory = autoscaling.remember(Memory(), self._now, scale.replicas)
        wanted = self._wanted(scale)
        if wanted is None or wanted.replicas == scale.replicas:
            return self._done(None, scale.replicas, scale.replicas)
        size = wanted.replicas
        text = f"the HPA controller was able to update the target scale to {size}"
        self._set("AbleToScale", "True", "SucceededRescale", text)
        if self._held.spec.behavior is not None:
            self._memory = autoscaling.changed(
                self._memory, self._now, scale.replicas, size
            )
        rescale = Rescale(
            target=scale.target,
            before=scale.replicas,
            after=size,
            reason=wanted.reason,
            figures=wanted.figures,
        )
        return self._done(rescale, scale.replicas, size)

    def _wanted(self, scale: Scale) -> _Wanted | None:
        """The size that it should have; None where nothing is to be done."""
        spec, current = self._held.spec, scale.replicas
        if current == 0:
            text = "scaling is disabled since the replica count of the target is zero"
            self._set("ScalingActive", "False", "ScalingDisabled", text)
            return None
        if current > spec.max_replicas:
            reason = "Current number of replicas above Spec.MaxReplicas"
            return _Wanted(spec.max_replicas, reason, ())
        if current < (least := spec.min_replicas or 1):
            return _Wanted(
                least, "Current number of replicas below Spec.MinReplicas", ()
            )
        if not self._selects_alone(scale):
            return None
        return self._from_metrics(scale)

    def _selects_alone(self, scale: Scale) -> bool:
        """Spec 5.4."""
        if not scale.selector:
            text = "the HPA target's scale is missing a selector"
            self._set("ScalingActive", "False", "InvalidSelector", text)
            self._warn("SelectorRequired", "selector is required")
            return False
        rivals = self._view.rivals(self._held, scale)
        if rivals:
            held = self._held
            all_of = sorted([f"{held.namespace}/{held.name}", *rivals])
            text = (
                f"pods by selector {scale.selector} are controlled by multiple HPAs: "
                f"[{' '.join(all_of)}]"
            )
            self._set("ScalingActive", "False", "AmbiguousSelector", text)
            self._warn("AmbiguousSelector", text)
            return False
        return True

    def _from_metrics(self, scale: Scale) -> _Wanted | None:
        spec, current = self._held.spec, scale.replicas
        measured: list[Measured] = []
        failed: list[MetricFailed] = []
        shown: list[dict[str, object]] = []
        members = self._view.pods(scale)
        tolerances = _tolerances(spec.behavior)
        for metric in spec.metrics:
            try:
                found = autoscale_metrics.measure(
                    self._view,
                    self._held.namespace,
                    metric,
                    scale,
                    members,
                    tolerances,
                    self._now,
                )
            except MetricFailed as error:
                failed.append(error)
                shown.append({"type": ""})
                self._warn(error.reason, str(error))
            else:
                measured.append(found)
                shown.append(found.status)
        self._metrics = tuple(shown)
        best = _largest(measured)
        if best is None or (failed and best.replicas < current):
            self._cannot(failed, len(spec.metrics))
            return None
        text = (
            "the HPA was able to successfully calculate a replica count from "
            f"{best.name}"
        )
        self._set("ScalingActive", "True", "ValidMetricFound", text)
        figures = tuple(each.figure for each in measured)
        return self._settled(best, current, figures)

    def _cannot(self, failed: Sequence[MetricFailed], number: int) -> None:
        """Rule 2."""
        first = failed[0]
        text = f"the HPA was unable to compute the replica count: {first}"
        self._set("ScalingActive", "False", first.reason, text)
        message = (
            f"invalid metrics ({len(failed)} invalid out of {number}), first error is: "
            f"{first}"
        )
        self._warn("FailedComputeMetricsReplicas", message)

    def _settled(
        self, best: Measured, current: int, figures: tuple[Figure, ...]
    ) -> _Wanted:
        assert self._memory is not None, "the first look made it"
        spec = self._held.spec
        found = autoscaling.settle(
            best.replicas,
            current,
            least=spec.min_replicas or 1,
            most=spec.max_replicas,
            behavior=_behavior(spec.behavior),
            memory=self._memory,
            now=self._now,
        )
        self._memory = autoscaling.remember(self._memory, self._now, best.replicas)
        self._set("AbleToScale", "True", found.stabilized, _TEXTS[found.stabilized])
        status: Status = "True" if found.is_limited else "False"
        self._set("ScalingLimited", status, found.limited, _TEXTS[found.limited])
        above = best.replicas > current
        reason = f"{best.name} above target" if above else "All metrics below target"
        return _Wanted(found.replicas, reason, figures)

    def _set(self, type_: str, status: Status, reason: str, message: str) -> None:
        self._conditions[type_] = Condition(
            type=type_, status=status, reason=reason, message=message
        )

    def _warn(self, reason: str, message: str) -> None:
        self._complaints.append(Complaint(reason=reason, message=message))

    def _done(self, rescale: Rescale | None, current: int, desired: int) -> Plan:
        return Plan(
            rescale=rescale,
            conditions=tuple(self._conditions.values()),
            complaints=tuple(self._complaints),
            metrics=self._metrics,
            current=current,
            desired=desired,
            memory=self._memory,
        )


_TEXTS: Final = {
    "ReadyForNewScale": "recommended size matches current size",
    "ScaleDownStabilized": "recent recommendations were higher than current one, "
    "applying the highest recent recommendation",
    "ScaleUpStabilized": "recent recommendations were lower than current one, applying "
    "the lowest recent recommendation",
    autoscaling.WITHIN: "the desired count is within the acceptable range",
    "ScaleUpLimit": "the desired replica count is increasing faster than the maximum "
    "scale rate",
    "ScaleDownLimit": "the desired replica count is decreasing faster than the maximum "
    "scale rate",
    "TooManyReplicas": "the desired replica count is more than the maximum replica "
    "count",
    "TooFewReplicas": "the desired replica count is less than the minimum replica "
    "count",
}


def _largest(measured: Sequence[Measured]) -> Measured | None:
    """The first of those that ask for most."""
    return max(measured, key=lambda each: each.replicas, default=None)


def _behavior(given: m.ScalingBehavior | None) -> autoscaling.Behavior | None:
    if given is None:
        return None
    return autoscaling.Behavior(
        up=_rules(given.scale_up or m.ScalingRules(), up=True),
        down=_rules(given.scale_down or m.ScalingRules(), up=False),
    )


def _rules(given: m.ScalingRules, *, up: bool) -> autoscaling.Rules:
    """The rules, with what the controller fills in (spec 5.5)."""
    window = given.stabilization_window_seconds
    if window is None:
        window = 0 if up else int(autoscaling.DOWNSCALE_WINDOW)
    return autoscaling.Rules(
        window=float(window),
        select=given.select_policy or "Max",
        policies=tuple(
            autoscaling.Policy(
                percent=each.type == "Percent",
                value=each.value,
                period=float(each.period_seconds),
            )
            for each in given.policies or ()
        ),
    )


def _tolerances(given: m.ScalingBehavior | None) -> autoscaling.Tolerances:
    if given is None:
        return autoscaling.Tolerances()
    return autoscaling.Tolerances(
        down=_tolerance(given.scale_down), up=_tolerance(given.scale_up)
    )


def _tolerance(rules: m.ScalingRules | None) -> float:
    if rules is None or rules.tolerance is None:
        return autoscaling.TOLERANCE
    return float(quantities.parse(rules.tolerance))
