"""Wrong variants of autoscalers, and of rollouts that are watched.

Each function gives what is replaced, as in wrong_plans.py.
"""

from typing import Any

import msgspec

from domain import analysis, analysis_run, autoscaling
from domain.autoscaler import Figure
from domain.plans import autoscale_metrics, progressive
from tests.properties.wrong_plans import Change
from workers import analysing, metrics, revisions


def recommendations_forgotten() -> Change:
    """Nothing that was asked for before holds the size."""
    return autoscaling, "remember", lambda memory, _now, _proposal: memory


def first_size_forgotten() -> Change:
    """The size that the first look finds holds nothing."""
    right = autoscaling.remember

    def wrong(memory: Any, now: float, proposal: int) -> Any:
        return right(memory, now if memory.recommendations else 0.0, proposal)

    return autoscaling, "remember", wrong


def silent_pods_are_idle() -> Change:
    """A pod without a sample is taken to use nothing, on the way down too."""
    right = autoscaling._from_pods

    def wrong(current: Any, pods: Any, samples: Any, measure: Any, *rest: Any,
              **options: Any) -> Any:  # fmt: skip
        _, *others = rest
        return right(current, pods, samples, measure, lambda _: 0, *others, **options)

    return autoscaling, "_from_pods", wrong


def bounds_forgotten() -> Change:
    """The fewest pods that it may have are not looked at."""
    right = autoscaling.settle

    def wrong(*given: Any, least: int, **options: Any) -> Any:
        del least
        return right(*given, least=0, **options)

    return autoscaling, "settle", wrong


def old_usage_believed() -> Change:
    """What was measured an hour ago counts."""
    right = metrics.Metrics.usage

    def wrong(self: Any, key: str, uid: str, resource: str, container: str,
              now: float) -> Any:  # fmt: skip
        found = self._pods.get(key)
        return right(self, key, uid, resource, container, found.at if found else now)

    return metrics.Metrics, "usage", wrong


def missing_metric_asks_for_nothing() -> Change:
    """A metric that cannot be had counts as zero."""
    right = autoscale_metrics.measure

    def wrong(view: Any, namespace: str, metric: Any, *rest: Any) -> Any:
        try:
            return right(view, namespace, metric, *rest)
        except autoscale_metrics.MetricFailed:
            figure = Figure(
                type=metric.type, name="queue", value="0", target="10", replicas=0
            )
            return autoscale_metrics.Measured(
                name="queue", replicas=0, figure=figure, status={}
            )

    return autoscale_metrics, "measure", wrong


def rollback_forgets_that_it_is_one() -> Change:
    """A revision that goes back is watched like any other."""
    right = analysis_run.started

    def wrong(run: Any, revision: int, now: float) -> Any:
        return msgspec.structs.replace(right(run, revision, now), rolled_back=False)

    return analysis_run, "started", wrong


def back_to_any_revision() -> Change:
    """The one before, whether or not it ever was complete."""

    def wrong(state: Any, key: str) -> int:
        held = state.cluster.rollouts.by_key[key].revisions
        return held[-2].revision if len(held) > 1 else 0

    return revisions, "fallback", wrong


def any_measurement_believed() -> Change:
    """Whatever revision, round and number it is of."""

    def wrong(_state: Any, owner: Any, said: Any) -> Any:
        policy = analysis.policy(owner.annotations)
        return policy.check(said.check)

    return analysing, "_wanted", wrong


def hold_ends_with_a_promotion() -> Change:
    """After one step was promoted no other holds anything."""
    right = progressive.plan

    def wrong(policy: Any, run: Any, sizes: Any, now: float) -> Any:
        found = right(policy, run, sizes, now)
        return msgspec.structs.replace(found, hold=None) if run.promoted else found

    return progressive, "plan", wrong


def promotion_in_full_is_of_one_step() -> Change:
    """Somebody leaves out all steps, and the next one is reached all the same."""
    right = analysis_run.evolve

    def wrong(run: Any, recorded: Any) -> Any:
        return msgspec.structs.replace(right(run, recorded), full=False)

    return analysis_run, "evolve", wrong


def promotion_not_seen() -> Change:
    """A step waits on though it was promoted."""
    right = progressive._is_done

    def wrong(at: Any, run: Any, held: Any, sizes: Any, now: float) -> bool:
        return right(at, msgspec.structs.replace(run, promoted=0), held, sizes, now)

    return progressive, "_is_done", wrong
