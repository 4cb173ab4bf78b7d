"""The words for the events of watched rollouts (see words.py)."""

from typing import Final

from domain import analysis, analysis_run
from domain.events import Event, Recorded
from gateway.explaining import phrases


def step_reached(
    recorded: Recorded,
    event: analysis_run.RolloutStepReached,
    _earlier: Event | None,
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} reached step {event.step} of {event.steps} "
        f"of the rollout of revision {event.revision}: {event.text}"
    )


def promoted(
    recorded: Recorded, event: analysis_run.RolloutPromoted, _earlier: Event | None
) -> str:
    what = "all steps that were left" if event.full else f"step {event.step}"
    return (
        f"{phrases.thing(recorded.stream)} was promoted past {what} of the rollout of "
        f"revision {event.revision}"
    )


def aborted(
    recorded: Recorded, event: analysis_run.RolloutAborted, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    return f"{name} had the rollout of revision {event.revision} aborted"


def measured(
    recorded: Recorded, event: analysis_run.MeasurementTaken, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    head = f"{name} was measured: check {event.check} of revision {event.revision} gave"
    if event.value is None:
        return f"{head} no number{phrases.behind(event.error)}"
    value = analysis.number(event.value)
    return f"{head} {value} ({'passed' if event.passed else f'{event.bound}, failed'})"


def ended(
    recorded: Recorded, event: analysis_run.AnalysisEnded, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    verb = _VERDICTS[event.verdict]
    return f"{name} {verb} the analysis of revision {event.revision}" + phrases.behind(
        event.why
    )


_VERDICTS: Final = {
    "pass": "passed",
    "fail": "failed",
    "inconclusive": "could not conclude",
}
