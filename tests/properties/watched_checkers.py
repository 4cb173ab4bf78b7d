"""What must hold of rollouts that are watched, and of autoscalers: S11 and A1 to A3.

1. S11: a rollback by itself at most once for a revision, never from a rollback, never
   without its trigger, and only to what was complete.
2. A1: an autoscaler stays within its bounds, and never goes to zero.
3. A2: it goes down only by metrics that were all measured lately; what says nothing is
   taken to use what it asked for; and not below what it asked for itself lately, or,
   where control has been started again since, below the size that it found then.
4. A3, that it comes to rest, is looked at in the end (tests/simulation).
"""

from collections import Counter
from typing import Final

import msgspec

from domain import (
    analysis,
    analysis_run,
    autoscaler,
    deployment,
    events,
    names,
    plain,
    pod,
    replicaset,
)
from domain.deployment import Deployment
from domain.events import Event, Recorded
from domain.plain_manifests import AutoscalerSpec
from domain.plans import progressive
from tests.properties.checking import (
    Checker,
    is_active,
    owner_of,
    pods_of,
    replicasets_of,
    room,
)
from workers.state import State

FRESH: Final = 60.0
"""Seconds after which what was measured counts as never said."""
STARTS: Final = 300.0
"""Seconds in which what a pod uses may be the work of its start (spec 5.3)."""
WINDOW: Final = 300.0
"""Seconds for which a recommendation holds the size, unless `behavior` says else."""
PERIOD: Final = 15.0
"""Seconds in which every autoscaler is looked at once."""


def is_automatic(event: Event) -> bool:
    """The rollback was decided by the writer itself (domain/analysis.py)."""
    if isinstance(event, deployment.DeploymentRollbackDeclined):
        return bool(event.revision)
    if isinstance(event, deployment.DeploymentRolledBack):
        return event.change_cause.startswith("rolled back from revision ")
    return False


class AutomaticRollbacks(Checker):
    """S11, rule 1."""

    id = "S11"

    def __init__(self) -> None:
        super().__init__()
        self._left: set[tuple[str, int]] = set()
        self._failed: set[tuple[str, int]] = set()
        self._stalled: set[tuple[str, int]] = set()
        self._crashed: Counter[str] = Counter()
        """How often containers were started again, by the ReplicaSet's key."""
        self._going_back: set[str] = set()
        self._back: set[tuple[str, int]] = set()
        """The revisions that went back to another one."""

    def before(self, state: State, stream: str, event: Event, actor: str, /) -> None:
        """Judges each by what was there before it."""
        self._follow(state, stream, event)
        if actor != events.DEPLOYMENT_CONTROLLER or not is_automatic(event):
            return
        self.reached += 1
        owner = state.cluster.desired.deployments[stream]
        policy, run = analysis.policy(owner.annotations), owner.run
        mine = owner.uid, run.revision
        assert policy.deadline or policy.crashes is not None or policy.rolls_back, (
            "nobody asked for automatic rollbacks"
        )
        assert not owner.spec.paused, "what is paused is left alone"
        assert mine not in self._back, f"{stream}: a rollback is rolled back"
        assert mine not in self._left, f"{stream}: revision {mine[1]} was left already"
        self._left.add(mine)
        triggered = (
            (policy.deadline and mine in self._stalled)
            or (policy.rolls_back and mine in self._failed)
            or (policy.crashes is not None and self._crashes(state, stream))
        )
        assert triggered, f"{stream}: revision {mine[1]} has done nothing wrong"
        if isinstance(event, deployment.DeploymentRolledBack):
            target = state.cluster.rollouts.by_key[stream].find(event.to_revision)
            assert target is not None, "a revision that there was"
            assert target.completed, f"{stream}: {event.to_revision} was never complete"
            assert not target.failed, f"{stream}: {event.to_revision} failed itself"
            assert event.to_revision < run.revision, "it goes back"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Remembers who goes back, whoever asked for it."""
        owner = state.cluster.desired.deployments.get(recorded.stream)
        if owner is not None and isinstance(
            recorded.event, deployment.DeploymentRolledBack
        ):
            self._going_back.add(owner.uid)

    def _follow(self, state: State, stream: str, event: Event) -> None:
        """Keeps what may trigger one."""
        owner = state.cluster.desired.deployments.get(stream)
        match event:
            case deployment.DeploymentTemplateChanged() if owner is not None:
                self._going_back.discard(owner.uid)
            case deployment.RevisionStarted(revision=revision) if owner is not None:
                if owner.uid in self._going_back:
                    self._going_back.discard(owner.uid)
                    self._back.add((owner.uid, revision))
            case deployment.RolloutStalled(revision=revision) if owner is not None:
                self._stalled.add((owner.uid, revision))
            case analysis_run.AnalysisEnded(revision=revision, verdict="fail"):
                assert owner is not None, "it is a Deployment's"
                self._failed.add((owner.uid, revision))
            case pod.PodReported(seen=seen):
                held = state.cluster.actual.pods.get(stream)
                if held is not None:
                    times = sum(each.restarts for each in seen.containers)
                    self._crashed[held.owner] += max(
                        0, times - sum(each.restarts for each in held.seen.containers)
                        if held.seen is not None
                        else times,
                    )  # fmt: skip

    def _crashes(self, state: State, stream: str) -> bool:
        owner = state.cluster.desired.deployments[stream]
        allowed = analysis.policy(owner.annotations).crashes or 0
        counts = (self._crashed[e.key] for e in replicasets_of(state, owner))
        return max(counts, default=0) > allowed


class Rounds(Checker):
    """S11: a round has one verdict, and each of its measurements is the next one."""

    id = "S11"

    def __init__(self) -> None:
        super().__init__()
        self._taken: Counter[tuple[str, int, int, str]] = Counter()
        self._ended: set[tuple[str, int, int]] = set()

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """Counts for itself."""
        if not isinstance(
            event, analysis_run.MeasurementTaken | analysis_run.AnalysisEnded
        ):
            return
        self.reached += 1
        owner = state.cluster.desired.deployments[stream]
        at = owner.uid, event.revision, event.round
        assert at not in self._ended, f"{stream}: round {event.round} was over"
        assert event.revision == owner.run.revision, f"{stream}: of another revision"
        assert event.round == owner.run.round, f"{stream}: of another round"
        assert not owner.spec.paused, f"{stream} is paused, and nothing is measured"
        if isinstance(event, analysis_run.AnalysisEnded):
            self._ended.add(at)
            return
        mine = (*at, event.check)
        self._taken[mine] += 1
        assert event.number == self._taken[mine], (
            f"{stream}: measurement {event.number} of {event.check} is no. "
            f"{self._taken[mine]}"
        )
        value = event.value
        assert value is None or abs(value) < float("inf"), "a number is finite"
        assert (value is None) == bool(event.error), "a number, or why there is none"


class PromotedHolds(Checker):
    """S11: what a person has promoted holds nothing back any more."""

    id = "S11"

    def __init__(self) -> None:
        super().__init__()
        self._full: set[tuple[str, int]] = set()

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """A step is reached once, and in order, and none after a full promotion."""
        if isinstance(event, analysis_run.RolloutPromoted) and event.full:
            owner = state.cluster.desired.deployments[stream]
            self._full.add((owner.uid, event.revision))
        if not isinstance(event, analysis_run.RolloutStepReached):
            return
        self.reached += 1
        owner = state.cluster.desired.deployments[stream]
        run, mine = owner.run, (owner.uid, event.revision)
        assert event.step == run.step + 1, f"{stream}: step {event.step} out of order"
        assert mine not in self._full, f"{stream}: all steps were left out"
        assert not run.rolled_back, f"{stream}: what goes back has no steps"
        assert not run.done, f"{stream}: what is complete has no steps"

    def at_rest(self, sim: object, /) -> None:
        """Nothing waits at a step that somebody has promoted."""
        for owner in sim.cluster.desired.deployments.values():  # type: ignore[attr-defined]  # a SimCluster
            run, policy = owner.run, analysis.policy(owner.annotations)
            if not policy.steps or run.done or not run.promoted:
                continue
            assert not (run.promoted == run.step < len(policy.steps)), (
                f"{owner.key} waits at step {run.step}, which was promoted"
            )


class Fractions(Checker):
    """S11: neither the new one nor the old ones go beyond what a step holds."""

    id = "S11"

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """Judges each size by the step that is under way."""
        if not isinstance(event, replicaset.ReplicaSetScaled):
            return
        held = owner_of(state, stream)
        hold = _hold(held) if held is not None else None
        if held is None or hold is None or event.before == event.after:
            return
        all_of = replicasets_of(state, held)
        old = sum(each.replicas for each in all_of if not _is_new(state, held, each))
        if old == 0:
            return
        self.reached += 1
        mine = state.cluster.desired.replicasets[stream]
        if _is_new(state, held, mine):
            grown = event.after > event.before
            assert not grown or event.after <= hold.new, (
                f"{event.after} of {held.replicas} new pods, {hold.new} are let in"
            )
        elif event.after < event.before and mine.desired == held.replicas:
            left = old - event.before + event.after
            assert left >= hold.old, f"{left} old pods left, {hold.old} are held"


def _is_new(state: State, held: Deployment, each: replicaset.ReplicaSet) -> bool:
    new = state.cluster.desired.new_replicaset(held)
    return new is not None and new.uid == each.uid


def _hold(held: Deployment) -> progressive.Hold | None:
    """The oracle: the fraction of the last percentage up to the step, by itself."""
    policy, run = analysis.policy(held.annotations), held.run
    if not policy.steps or run.rolled_back or run.full or held.replicas == 0:
        return None
    if run.done:
        return None
    percent = 0
    for each in policy.steps[: max(run.step, 1)]:
        percent = each.percent if isinstance(each, analysis.Weight) else percent
    size = held.replicas
    if percent == 100 or (size == 1 and percent and not room(held).surge):
        return None
    new = next(count for count in range(size + 1) if count * 100 >= percent * size)
    if percent and size == 1:
        return progressive.Hold(new=1, old=1)
    return progressive.Hold(new=min(new, size - 1), old=size - min(new, size - 1))


class Bounds(Checker):
    """A1: an autoscaler stays within its bounds; what is off stays off."""

    id = "A1"

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """Looks at each new size."""
        if not isinstance(event, autoscaler.AutoscalerRescaled):
            return
        self.reached += 1
        spec = spec_of(state, stream)
        least, most = spec.min_replicas or 1, spec.max_replicas
        assert least <= event.after <= most, (
            f"{stream} sets {event.after} and may set {least} to {most}"
        )
        assert event.before != event.after, "a size is set when it is another one"
        assert event.before > 0, f"{stream} was switched off by a size of 0"
        held = state.cluster.plain.objects[stream]
        assert held.stage == plain.PRESENT, "an autoscaler that is there"
        if event.figures:
            assert least <= event.before <= most, "out of bounds no metric is read"
        else:
            assert not least <= event.before <= most, f"{stream}: no metric says so"


class MeasuredDown(Checker):
    """A2, rule 3."""

    id = "A2"

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[str, list[tuple[float, int]]] = {}
        """What each autoscaler's metrics asked for when it set a size, by uid."""
        self._state: State | None = None
        self._found: dict[str, tuple[str, int]] = {}
        """Of each autoscaler that control found when it started: its target, and the
        least size that this had before the first look at it, by uid."""
        self._started_at = 0.0

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """Looks at each size that metrics lead to."""
        self._notice(state)
        if not isinstance(event, autoscaler.AutoscalerRescaled) or not event.figures:
            return
        spec = spec_of(state, stream)
        held = state.cluster.plain.objects[stream]
        asked = max(each.replicas for each in event.figures)
        for each in event.figures:
            assert each.pods or each.type == "External", "measured of somebody"
            latest = each.at + each.window + FRESH
            assert latest >= state.now, f"{stream}: {each.name} is of {each.at}"
        if event.after < event.before:
            self.reached += 1
            assert len(event.figures) == len(spec.metrics), (
                f"{stream} goes down though a metric is missing"
            )
            least = max(self._silent(state, each, event) for each in event.figures)
            assert event.after >= min(least, spec.max_replicas, event.before), (
                f"{stream} goes down to {event.after}: pods that say nothing count "
                f"as idle ({least} would be right)"
            )
            since = state.now - _window(spec)
            for at, wanted in self._asked.get(held.uid, ()):
                assert at <= since or event.after >= min(wanted, spec.max_replicas), (
                    f"{stream} goes down to {event.after} and asked for {wanted} "
                    f"{state.now - at:.0f} s ago"
                )
            target, size = self._found.get(held.uid, ("", 0))
            found = target == event.target and self._started_at > since
            assert not found or event.after >= min(size, spec.max_replicas), (
                f"{stream} goes down to {event.after} and found {size} at the start "
                f"of control {state.now - self._started_at:.0f} s ago"
            )
        self._asked.setdefault(held.uid, []).append((state.now, asked))

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Keeps the least size of each target until every autoscaler was looked at."""
        if state.now > self._started_at + PERIOD:
            return
        for uid, (target, size) in self._found.items():
            if target == recorded.stream:
                owner = state.cluster.desired.deployments.get(target)
                now = owner.replicas if owner is not None else 0
                self._found[uid] = target, min(size, now)

    def _notice(self, state: State) -> None:
        """A start of control loses what was recommended before it (spec 5.5); the size
        that the first look finds is a recommendation then (spec 5.2)."""
        if state is self._state:
            return
        self._state, self._started_at = state, state.health.restarted_at or 0.0
        self._asked, self._found = {}, {}
        for held in state.cluster.plain.of(autoscaler.KIND):
            name = spec_of(state, held.key).scale_target_ref.name
            target = names.key("deployment", held.namespace, name)
            owner = state.cluster.desired.deployments.get(target)
            if owner is not None:
                self._found[held.uid] = target, owner.replicas

    @staticmethod
    def _silent(
        state: State, figure: autoscaler.Figure, event: autoscaler.AutoscalerRescaled
    ) -> int:
        """The fewest pods that are right, if each that must be counted and was not
        uses all that it asked for; pods of one template ask for the same."""
        if figure.type != "Resource" or not figure.value.endswith("%"):
            return 0
        owner = state.cluster.desired.deployments.get(event.target)
        if owner is None:
            return 0
        grown = [
            each
            for held in replicasets_of(state, owner)
            for each in pods_of(state, held)
            if is_active(each)
            and each.ready
            and each.phase == "Running"
            and each.scheduled_at + STARTS < state.now
        ]
        missing = max(0, len(grown) - figure.pods)
        used, target = int(figure.value[:-1]), int(figure.target[:-1])
        if not missing:
            return 0
        total = used * figure.pods + max(100, target) * missing
        return int(-(-total // target)) if total < target * event.before else 0


def spec_of(state: State, stream: str) -> AutoscalerSpec:
    """What the autoscaler asks for now."""
    held = state.cluster.plain.objects[stream]
    return msgspec.convert(held.content["spec"], AutoscalerSpec)


def _window(spec: AutoscalerSpec) -> float:
    """How long a recommendation holds the size (spec 5.5)."""
    if spec.behavior is None or spec.behavior.scale_down is None:
        return WINDOW
    found = spec.behavior.scale_down.stabilization_window_seconds
    return WINDOW if found is None else float(found)


class OneSize(Checker):
    """A1: a new size has its decision as its cause, in one step, and says the same."""

    id = "A1"

    def __init__(self) -> None:
        super().__init__()
        self._decided: Recorded | None = None

    def after(self, _state: State, recorded: Recorded, /) -> None:
        """Looks at pairs."""
        event = recorded.event
        if recorded.actor == events.AUTOSCALER and hasattr(event, "after"):
            if isinstance(event, autoscaler.AutoscalerRescaled):
                self._decided = recorded
                return
            self.reached += 1
            found = self._decided
            assert found is not None, "no size without a decision"
            assert recorded.cause == found.position, "the decision is its cause"
            decided = found.event
            assert isinstance(decided, autoscaler.AutoscalerRescaled), "kept above"
            assert decided.target == recorded.stream, "of its target"
            assert decided.after == event.after, "the same size"


SUITE: Final[tuple[type[Checker], ...]] = (
    AutomaticRollbacks,
    Rounds,
    PromotedHolds,
    Bounds,
    OneSize,
    MeasuredDown,
)
