"""How far a rollout is: the table of spec 6.3, as a function of the Deployment.

The sentences are kubectl's; the numbers say the same to a progress bar.
"""

from typing import Final, NamedTuple

from domain import analysis, times
from rollbook.conditions import Object, condition, number, text_at
from rollbook.failures import Failure

REVISION_ANNOTATION: Final = "deployment.kubernetes.io/revision"
STEP: Final = "RolloutStep"
"""The condition of a rollout that is among its steps."""


class Stage(NamedTuple):
    """One look at a rollout: what to say, and whether it is over."""

    text: str
    done: bool
    available: int
    wanted: int


def stage(deployment: Object, *, revision: int = 0, now: float | None = None) -> Stage:
    """How far the rollout of `deployment` (its JSON) is; given the time, also how much
    is left of a step that waits.

    Raises `Failure` where it has failed: its deadline has passed, or it is not at
    `revision`, if one is given.
    """
    name = text_at(deployment, "metadata", "name")
    running = text_at(deployment, "metadata", "annotations", REVISION_ANNOTATION)
    if revision > 0 and running != str(revision):
        raise Failure(
            f"error: desired revision ({revision}) is different from the running "
            f"revision ({running})"
        )
    wanted = number(deployment, "spec", "replicas")
    total = number(deployment, "status", "replicas")
    updated = number(deployment, "status", "updatedReplicas")
    available = number(deployment, "status", "availableReplicas")

    def waiting(text: str) -> Stage:
        return Stage(text, done=False, available=min(available, updated), wanted=wanted)

    if number(deployment, "metadata", "generation") > number(
        deployment, "status", "observedGeneration"
    ):
        return waiting("Waiting for deployment spec update to be observed...")
    progressing = condition(deployment, "Progressing")
    if text_at(progressing, "reason") == "ProgressDeadlineExceeded":
        raise Failure(f'error: deployment "{name}" exceeded its progress deadline')
    head = f'Waiting for deployment "{name}" rollout to finish: '
    if step := step_text(deployment, now):
        return waiting(f"{head}{step}...")
    if updated < wanted:
        return waiting(
            f"{head}{updated} out of {wanted} new replicas have been updated..."
        )
    if total > updated:
        return waiting(
            f"{head}{total - updated} old replicas are pending termination..."
        )
    if available < updated:
        return waiting(
            f"{head}{available} of {updated} updated replicas are available..."
        )
    text = f'deployment "{name}" successfully rolled out'
    return Stage(text, done=True, available=available, wanted=wanted)


def step_text(deployment: Object, now: float | None) -> str:
    """`step 2 of 5: waiting 5m (3m12s left)`; "" where no step is under way."""
    held = condition(deployment, STEP)
    text = text_at(held, "message")
    written = text_at(deployment, "metadata", "annotations", analysis.STEPS)
    if now is None or text_at(held, "reason") != "WaitingForTime":
        return text
    try:
        step = analysis.parse_steps(written)[int(text.split()[1]) - 1]
        begun = times.parse(text_at(held, "lastUpdateTime"))
    except (analysis.Wrong, IndexError, ValueError):
        return text
    left = step.seconds - (now - begun) if isinstance(step, analysis.Wait) else 0
    return f"{text} ({analysis.duration(max(0.0, left))} left)"


def gone() -> Failure:
    """What is said when the Deployment is deleted meanwhile."""
    return Failure("error: object has been deleted")
