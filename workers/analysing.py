"""What a watched rollout comes to: steps, rounds of measurements, automatic rollbacks.

1. Nothing here concerns a Deployment without an annotation of `domain/analysis.py`, one
   that is paused, or one that goes back already (rule 1 of domain/analysis_run.py).
2. What decides is looked at in this order: the deadline, the crashes, the round, the
   steps. A rollback is made in the step in which the deciding event is made, names it
   as its cause, and says why with the figures.
3. Crashes count while the rollout goes on, not for the rest of the revision's life.
4. A measurement that does not come counts as inconclusive after a while: a dead monitor
   cannot hold up a rollout in silence, and nothing but a step that needs it.
5. A measurement is refused, and counted, unless it is the next one that is wanted.
"""

import math
from typing import Final

import msgspec

from domain import analysis, analysis_run, deployment, events, names
from domain.analysis import Check, Policy
from domain.analysis_run import Run
from domain.deployment import Deployment
from domain.plans import progressive
from domain.protocol import Measurement
from projections import status
from workers import revisions
from workers.state import State

PATIENCE: Final = 60.0
"""Seconds, or two intervals, after which a measurement that is due does not come."""
ERROR_CHARACTERS_MAX: Final = 200

_MEASUREMENT: Final = msgspec.json.Decoder(Measurement)
_NOTHING: Final = progressive.Plan()


class MeasurementInput(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement as it came on the subject of a Deployment."""

    namespace: str
    deployment: str
    data: bytes


# --- measurements -----------------------------------------------------------------


def take(state: State, item: MeasurementInput) -> None:
    """Afterwards the measurement is an event, or is counted as refused (rule 5)."""
    key = names.deployment_key(item.namespace, item.deployment)
    owner = state.cluster.desired.deployments.get(key)
    try:
        said = _MEASUREMENT.decode(item.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        state.count("measurements_unreadable")
        return
    if (said.value is None) == (not said.error):
        state.count("measurements_unreadable")
        return
    if said.value is not None and not math.isfinite(said.value):
        state.count("measurements_unreadable")
        return
    found = _wanted(state, owner, said) if owner is not None else None
    if owner is None or found is None:
        state.count("measurements_not_wanted")
        return
    passed = said.value is not None and found.allows(said.value)
    taken = analysis_run.MeasurementTaken(
        revision=said.revision,
        round=said.round,
        check=said.check,
        number=said.number,
        value=said.value,
        error=said.error[:ERROR_CHARACTERS_MAX],
        passed=passed,
        bound="" if passed or said.value is None else _bound(found, said.value),
        measured_at=round(said.at, 6) if math.isfinite(said.at) else 0.0,
    )
    state.emit(key, taken, actor=events.MONITOR, cause=0)


def _wanted(state: State, owner: Deployment, said: Measurement) -> Check | None:
    """The check that the measurement is the next one of; None where it is not."""
    run, policy = owner.run, analysis.policy(owner.annotations)
    if owner.spec.paused or owner.uid != said.uid:
        return None
    if (run.revision, run.round) != (said.revision, said.round):
        return None
    for check in analysis_run.wanted(policy, run):
        if check.name == said.check:
            early = state.now < analysis_run.due_at(run, check) - _slack(check)
            right = said.number == analysis_run.taken(run, check) + 1
            return check if right and not early else None
    return None


def _slack(check: Check) -> float:
    """How much sooner than due a measurement may come: clocks differ a little."""
    return max(check.interval_seconds / 2, 1.0)


def _bound(check: Check, value: float) -> str:
    if check.max is not None and value > check.max:
        return f"> {analysis.number(check.max)}"
    assert check.min is not None, "a value that did not pass breaks a bound"
    return f"< {analysis.number(check.min)}"


# --- reconciling ------------------------------------------------------------------


def stands(state: State, owner: Deployment) -> progressive.Plan:
    """Where the rollout of `owner` is among its steps now."""
    policy = analysis.policy(owner.annotations)
    if not policy.steps:
        return _NOTHING
    desired, actual = state.cluster.desired, state.cluster.actual
    new = desired.new_replicaset(owner)
    sizes = progressive.Sizes(
        replicas=owner.replicas,
        surge=status.room(owner).surge,
        new=new.replicas if new is not None else 0,
        available=actual.tally(new.key).available if new is not None else 0,
        old=sum(
            held.replicas
            for held in desired.replicasets_of(owner)
            if new is None or held.uid != new.uid
        ),
    )
    return progressive.plan(policy, owner.run, sizes, state.now)


def advance(state: State, owner: Deployment, cause: int) -> bool:
    """Afterwards what the annotations ask for now has been emitted.

    Returns whether the spec was changed: the Deployment must be looked at again.
    """
    policy, run = analysis.policy(owner.annotations), owner.run
    if policy is analysis.NOTHING or owner.spec.paused or not run.revision:
        return False
    if run.rolled_back:
        return False
    if state.cluster.desired.new_replicaset(owner) is None:
        return False
    if why := _why_back(state, owner, policy):
        _roll_back(state, owner, why, cause)
        return True
    if analysis_run.is_measuring(policy, run):
        return _judge(state, owner, policy, cause)
    return _step(state, owner, policy, cause)


def _why_back(state: State, owner: Deployment, policy: Policy) -> str:
    """Why the rollout is to be rolled back by its deadline or its crashes, or ""."""
    run = owner.run
    if run.done or run.gave_up:
        return ""
    if policy.deadline and run.stalled:
        counted = status.deployment_status(
            state.cluster.desired, state.cluster.actual, owner
        )
        deadline = owner.spec.progress_deadline_seconds
        return (
            f"no progress for {deadline} s with {counted.updated} of {owner.replicas} "
            f"pods updated and {counted.available} available"
        )
    if policy.crashes is not None:
        crashes = state.cluster.rollouts.by_key[owner.key].crashes
        if crashes > policy.crashes:
            return f"its containers crashed {crashes} times, more than {policy.crashes}"
    return ""


def _judge(state: State, owner: Deployment, policy: Policy, cause: int) -> bool:
    """The round: what is overdue, and the verdict with what follows from it."""
    run = _overdue(state, owner, policy, cause)
    verdict, why = analysis_run.verdict(policy, run)
    if not verdict:
        return _step(state, owner, policy, cause)
    ended = state.emit(
        owner.key,
        analysis_run.AnalysisEnded(
            revision=run.revision, round=run.round, verdict=verdict, why=why
        ),
        actor=events.DEPLOYMENT_CONTROLLER,
        cause=cause if verdict == "pass" else _decided_by(state, owner, why, cause),
    )
    if verdict == "fail" and policy.rolls_back:
        _roll_back(state, owner, why, ended.position)
        return True
    needed = verdict == "fail" or policy.analyses_in_steps
    if verdict != "pass" and needed and not run.done:
        paused = deployment.DeploymentPaused()
        actor = events.DEPLOYMENT_CONTROLLER
        state.emit(owner.key, paused, actor=actor, cause=ended.position)
        return True
    return False


def _decided_by(state: State, owner: Deployment, why: str, cause: int) -> int:
    """Of the measurements of this step the last one of the check that the verdict is
    about: another one may have come after it."""
    for recorded in reversed(state.events):
        event, mine = recorded.event, recorded.stream == owner.key
        if not (mine and isinstance(event, analysis_run.MeasurementTaken)):
            continue
        if why.startswith(f"{event.check} "):
            return recorded.position
    return cause


def _overdue(state: State, owner: Deployment, policy: Policy, cause: int) -> Run:
    """Rule 4; sets the alarm for the next time. Returns the run as it is then."""
    for check in analysis_run.wanted(policy, owner.run):
        patience = max(PATIENCE, 2 * check.interval_seconds)
        due = analysis_run.due_at(owner.run, check) + patience
        if due > state.now:
            state.timers.set("steps", owner.key, due)
            continue
        missing = analysis_run.MeasurementTaken(
            revision=owner.run.revision,
            round=owner.run.round,
            check=check.name,
            number=analysis_run.taken(owner.run, check) + 1,
            error=f"no measurement came within {patience:g} s of its time: "
            "is rollbook monitor running?",
        )
        state.emit(owner.key, missing, actor=events.TIMER, cause=cause)
    return state.cluster.desired.deployments[owner.key].run


def _step(state: State, owner: Deployment, policy: Policy, cause: int) -> bool:
    """The next step, where this one is done."""
    found = stands(state, owner)
    if found.wake_at is not None:
        state.timers.set("steps", owner.key, found.wake_at)
    if found.reach:
        reached = analysis_run.RolloutStepReached(
            revision=owner.run.revision,
            step=found.reach,
            steps=len(policy.steps),
            text=analysis.step_text(policy.steps[found.reach - 1]),
        )
        actor = events.TIMER if found.timed else events.DEPLOYMENT_CONTROLLER
        state.emit(owner.key, reached, actor=actor, cause=cause)
    return False


def _roll_back(state: State, owner: Deployment, why: str, cause: int) -> None:
    """Back to the last complete revision, or the word that there is none."""
    target = revisions.fallback(state, owner.key)
    found: events.Event
    if target:
        found = deployment.DeploymentRolledBack(
            to_revision=target,
            template=revisions.revisions(state, owner.key)[target],
            change_cause=f"rolled back from revision {owner.run.revision}: {why}",
        )
    else:
        found = deployment.DeploymentRollbackDeclined(
            reason="DeploymentRollbackRevisionNotFound",
            message=f"Revision {owner.run.revision} should be rolled back ({why}), and "
            "no revision before it was complete.",
            revision=owner.run.revision,
        )
    actor = events.DEPLOYMENT_CONTROLLER
    decided = state.emit(owner.key, found, actor=actor, cause=cause)
    # Declined, it goes on as it is: nothing else would have it looked at again.
    state.dirty_deployments.add(owner.key, decided.position)
