"""The rollout of one revision beyond Kubernetes' own rules: commands, events, state.

1. A `Run` begins with each change of the template and belongs to one revision. A run
   that goes back to an earlier revision has no steps, no analysis and no automatic
   rollback, which is why nothing can roll back in a circle.
2. Steps are counted from 1; 0 is before the first. A step is reached once.
3. Measurements come in rounds: one that begins with the revision, one more with each
   step `analyse`, and one more when somebody resumes after a round that did not pass.
   A measurement is taken if it is the next of its round, and of no other.
4. A round fails with its first check that fails, else it is inconclusive with the first
   that is so, and passes when all have passed. The verdict is said once.
5. What decides a rollback is decided once for a run (`gave_up`, or another run).
"""

from typing import Final, Literal

import msgspec

from domain.analysis import Analyse, Check, Policy, Wait, number
from domain.events import Event, Recorded
from domain.podspec import PodTemplateSpec
from domain.protocol import PodObservation

Verdict = Literal["", "pass", "fail", "inconclusive"]


# --- commands ---------------------------------------------------------------------


class PromoteRollout(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """End the step that waits; with `full` leave out all steps that are left."""

    full: bool = False


class AbortRollout(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """Go back at once to the last revision that was complete."""


# --- events -----------------------------------------------------------------------


class RolloutStepReached(Event, frozen=True, kw_only=True):
    """`revision` is at its step `step` of `steps`, which is `text`."""

    TOPIC = "deployment.rollout-step-reached.v1"
    revision: int
    step: int
    steps: int
    text: str


class RolloutPromoted(Event, frozen=True, kw_only=True):
    """The step `step` need not wait any more; with `full` nor does any later one."""

    TOPIC = "deployment.rollout-promoted.v1"
    revision: int
    step: int
    full: bool = False


class RolloutAborted(Event, frozen=True, kw_only=True):
    """Somebody has given up the rollout of `revision`; it is rolled back."""

    TOPIC = "deployment.rollout-aborted.v1"
    revision: int


class MeasurementTaken(Event, frozen=True, kw_only=True):
    """The `number`th measurement of `check` in this round, and what it amounts to.

    Without a `value` it is inconclusive, and `error` says why there is none.
    """

    TOPIC = "deployment.measurement-taken.v1"
    revision: int
    round: int
    check: str
    number: int
    value: float | None = None
    error: str = ""
    passed: bool = False
    bound: str = ""
    """What a value that did not pass broke: `> 0.05`."""
    measured_at: float = 0.0


class AnalysisEnded(Event, frozen=True, kw_only=True):
    """The round is over; `why` gives the figures."""

    TOPIC = "deployment.analysis-ended.v1"
    revision: int
    round: int
    verdict: Literal["pass", "fail", "inconclusive"]
    why: str


EVENTS: Final[tuple[type[Event], ...]] = (
    RolloutStepReached,
    RolloutPromoted,
    RolloutAborted,
    MeasurementTaken,
    AnalysisEnded,
)


# --- state ------------------------------------------------------------------------


class Tally(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the measurements of one check in one round amount to."""

    taken: int = 0
    failed: int = 0
    errors: int = 0
    value: float | None = None
    """The last one that did not pass, else the last one."""
    bound: str = ""
    error: str = ""
    last_at: float = 0.0


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rollout of a revision, 0 while it has not begun."""

    revision: int = 0
    began_at: float = 0.0
    rolled_back: bool = False
    """It goes back to an earlier revision."""
    returned: bool = False
    """It was left, and a rollback has come back to it: a revision that begins now, its
    ReplicaSet being gone, goes back too."""
    done: bool = False
    stalled: bool = False
    gave_up: bool = False
    """It should have been rolled back, and there was nothing to go back to."""
    step: int = 0
    step_at: float = 0.0
    promoted: int = 0
    """The last step that somebody ended."""
    full: bool = False
    """Somebody has left out the steps that were left."""
    round: int = 0
    round_at: float = 0.0
    resumed_at: float = 0.0
    tallies: dict[str, Tally] = {}
    verdict: Verdict = ""
    why: str = ""
    """The figures of the verdict."""


class Left(msgspec.Struct, frozen=True):
    """The run of the newest revision with its template, while another one is asked for
    of which no revision has begun."""

    template: PodTemplateSpec
    run: Run


def started(run: Run, revision: int, now: float) -> Run:
    """The run once its revision has begun."""
    return Run(
        revision=revision,
        began_at=now,
        rolled_back=run.rolled_back or run.returned,
        round=1,
        round_at=now,
    )


def leave(
    run: Run,
    left: Left | None,
    template: PodTemplateSpec,
    wanted: PodTemplateSpec,
    anew: Run,
) -> tuple[Run, Left | None]:
    """The run once `wanted` is asked for instead of `template`, and what is left.

    Back at the template of the newest revision no revision begins: its run goes on,
    unless its ReplicaSet is gone. Anything else begins with `anew`.
    """
    if run.revision:
        left = Left(template, run)
    if left is not None and left.template == wanted:
        back = anew.rolled_back
        return msgspec.structs.replace(left.run, returned=back), None
    return anew, left


def resumed(run: Run, now: float) -> Run:
    """The run after a pause: what did not pass is measured anew (rule 3)."""
    if run.verdict in ("fail", "inconclusive"):
        run = _round(run, now)
    return msgspec.structs.replace(run, resumed_at=now)


def evolve(run: Run, recorded: Recorded) -> Run:
    """The run after one of `EVENTS`; any other leaves it as it is."""
    replace, now = msgspec.structs.replace, recorded.timestamp
    match recorded.event:
        case RolloutStepReached(step=step, text=text):
            if text == ANALYSE:
                run = _round(run, now)
            return replace(run, step=step, step_at=now)
        case RolloutPromoted(step=step, full=full):
            return replace(run, promoted=step, full=run.full or full)
        case MeasurementTaken():
            taken = _counted(run.tallies.get(recorded.event.check), recorded)
            tallies = {**run.tallies, recorded.event.check: taken}
            return replace(run, tallies=tallies)
        case AnalysisEnded(verdict=verdict, why=why):
            return replace(run, verdict=verdict, why=why)
        case _:
            return run


ANALYSE: Final = "analyse"
"""The text of the step that begins a round."""


def _round(run: Run, now: float) -> Run:
    return msgspec.structs.replace(
        run, round=run.round + 1, round_at=now, tallies={}, verdict="", why=""
    )


def _counted(was: Tally | None, recorded: Recorded) -> Tally:
    event, tally = recorded.event, was or Tally()
    assert isinstance(event, MeasurementTaken)
    failed = event.value is not None and not event.passed
    keeps = event.value is None or (tally.failed > 0 and not failed)
    return Tally(
        taken=tally.taken + 1,
        failed=tally.failed + failed,
        errors=tally.errors + (event.value is None),
        value=tally.value if keeps else event.value,
        bound=event.bound if failed else tally.bound,
        error=event.error or tally.error,
        last_at=recorded.timestamp,
    )


# --- questions --------------------------------------------------------------------


def crashes(seen: PodObservation | None) -> int:
    """How often the containers of a pod were started again, all of them together."""
    if seen is None:
        return 0
    return sum(each.restarts for each in (*seen.containers, *seen.init_containers))


def is_measuring(policy: Policy, run: Run) -> bool:
    """A round is on: its measurements are wanted."""
    if not policy.checks or not run.revision or run.verdict:
        return False
    if run.rolled_back or run.gave_up or run.full:
        return False
    if not policy.analyses_in_steps:
        return True
    at = policy.steps[run.step - 1] if 0 < run.step <= len(policy.steps) else None
    return isinstance(at, Analyse) and run.promoted < run.step


def wanted(policy: Policy, run: Run) -> tuple[Check, ...]:
    """The checks of which a measurement is wanted now, in the order of the policy."""
    if not is_measuring(policy, run):
        return ()
    return tuple(each for each in policy.checks if not _result(each, run))


def taken(run: Run, check: Check) -> int:
    """How many measurements of the check this round has."""
    tally = run.tallies.get(check.name)
    return tally.taken if tally is not None else 0


def due_at(run: Run, check: Check) -> float:
    """When the next measurement of the check is due."""
    tally = run.tallies.get(check.name)
    if tally is None:
        at = run.round_at + check.delay_seconds
    else:
        at = tally.last_at + check.interval_seconds
    return max(at, run.resumed_at)


def verdict(policy: Policy, run: Run) -> tuple[Verdict, str]:
    """What the round amounts to by now, with the figures; "" while it goes on."""
    if not is_measuring(policy, run):
        return "", ""
    found = [(each, _result(each, run)) for each in policy.checks]
    for wrong in ("fail", "inconclusive"):
        for check, result in found:
            if result == wrong:
                return result, _figures(check, run)
    if all(result == "pass" for _, result in found):
        return "pass", "; ".join(_figures(check, run) for check, _ in found)
    return "", ""


def waits(policy: Policy, run: Run) -> bool:
    """The run is at a step that is not about pods: no progress is expected of it."""
    if run.done or run.rolled_back or run.full:
        return False
    if not 0 < run.step <= len(policy.steps):
        return False
    return isinstance(policy.steps[run.step - 1], Wait | Analyse)


def _result(check: Check, run: Run) -> Verdict:
    tally = run.tallies.get(check.name)
    if tally is None:
        return ""
    if tally.failed > check.failure_limit:
        return "fail"
    if tally.errors > check.inconclusive_limit:
        return "inconclusive"
    return "pass" if tally.taken - tally.errors >= check.count else ""


def _figures(check: Check, run: Run) -> str:
    tally = run.tallies[check.name]
    measured = tally.taken - tally.errors
    match _result(check, run):
        case "fail":
            value = number(tally.value or 0.0)
            return (
                f"{check.name} {value} {tally.bound} in {tally.failed} of {measured} "
                f"measurement{'s' if measured != 1 else ''}"
            )
        case "inconclusive":
            return (
                f"{check.name} gave no number in {tally.errors} of {tally.taken} "
                f"measurements: {tally.error}"
            )
        case _:
            return f"{check.name} {number(tally.value or 0.0)}"
