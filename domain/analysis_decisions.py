"""What promoting and aborting a rollout mean: the events that carry it out.

1. A step is promoted when it waits: for a time, for a person or for an analysis. With
   `full` the steps that are left are left out, whatever the present one waits for.
2. A rollout that a user paused is resumed by a user, by a command of its own. One that
   its analysis paused is resumed by promoting it, which says that it may go on.
3. Aborting goes back to the last revision that was complete, without steps. It needs a
   rollout that is under way, whether or not it has any steps.
"""

from collections.abc import Mapping

from domain import analysis, analysis_run, podspec
from domain import deployment as d
from domain.deployment import Deployment
from domain.errors import Rejected
from domain.events import Event


def promote(state: Deployment, command: analysis_run.PromoteRollout) -> list[Event]:
    """Rule 1 and 2. Raises `Rejected` where no step can be promoted."""
    policy, run = analysis.policy(state.annotations), state.run
    count = len(policy.steps)
    if not policy.steps:
        raise _refused(
            state, f"it has no steps to promote: write them into {analysis.STEPS}"
        )
    if run.done or run.rolled_back or run.full or not 0 < run.step < count:
        raise _refused(state, "its rollout is at none of its steps")
    text = analysis.step_text(policy.steps[run.step - 1])
    if not command.full and not analysis_run.waits(policy, run):
        raise _refused(
            state,
            f"step {run.step} of {count} ({text}) waits for its pods: promote it with "
            "--full to leave out all steps",
        )
    events: list[Event] = []
    if state.spec.paused:
        if run.verdict not in ("fail", "inconclusive"):
            raise _refused(state, "it is paused: resume it first")
        events.append(d.DeploymentResumed())
    if run.promoted == run.step and not command.full:
        return events
    promoted = analysis_run.RolloutPromoted(
        revision=run.revision, step=run.step, full=command.full
    )
    return [*events, promoted]


def abort(
    state: Deployment,
    revisions: Mapping[int, podspec.PodTemplateSpec],
    fallback: int,
    cause: str,
) -> list[Event]:
    """Rule 3. Raises `Rejected` where nothing is under way, or nothing to go to."""
    run = state.run
    if run.done or run.rolled_back:
        raise _refused(state, "no rollout is under way that could be aborted")
    if not fallback:
        raise Rejected(
            "NotFound",
            f'deployment "{state.name}": no revision before this one was complete',
        )
    events: list[Event] = []
    if run.revision:
        events.append(analysis_run.RolloutAborted(revision=run.revision))
    if state.spec.paused:
        events.append(d.DeploymentResumed())
    written = cause
    if not written and run.revision:
        written = f"rolled back from revision {run.revision}: aborted"
    rolled_back = d.DeploymentRolledBack(
        to_revision=fallback, template=revisions[fallback], change_cause=written
    )
    return [*events, rolled_back]


def _refused(state: Deployment, text: str) -> Rejected:
    return Rejected("BadRequest", f'deployments.apps "{state.name}": {text}')
