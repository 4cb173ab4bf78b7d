"""Where a progressive rollout is, as a condition of its Deployment.

Kubernetes has no such condition, and shows one of a type that it does not know. It is
there while the rollout is among its steps, and nowhere else.
"""

from typing import Final

from domain import analysis
from domain.analysis import Analyse, Wait
from domain.deployment import Deployment
from projections.status import Condition

TYPE: Final = "RolloutStep"


def condition(held: Deployment) -> Condition | None:
    """`step 2 of 5: waiting 5m`, since when; None where no step is under way."""
    policy, run = analysis.policy(held.annotations), held.run
    count = len(policy.steps)
    if run.done or run.rolled_back or run.full or not 0 < run.step < count:
        return None
    step = policy.steps[run.step - 1]
    match step:
        case Wait(0):
            reason, text = "WaitingForPromotion", "waiting for a person to promote it"
        case Wait(length):
            reason, text = "WaitingForTime", f"waiting {analysis.duration(length)}"
        case Analyse():
            taken = sum(tally.taken for tally in run.tallies.values())
            wanted = sum(check.count for check in policy.checks)
            reason = "WaitingForAnalysis"
            text = f"analysing, {taken} of {wanted} measurements taken"
            if run.verdict:
                ended = "inconclusive" if run.verdict == "inconclusive" else "failed"
                text = f"the analysis ended as {ended}: {run.why}"
        case _:
            reason = "WaitingForPods"
            text = f"waiting for {analysis.step_text(step)} of the pods"
    return Condition(
        type=TYPE,
        status="True",
        reason=reason,
        message=f"step {run.step} of {count}: {text}",
        updated_at=run.step_at,
        transitioned_at=run.step_at,
    )
