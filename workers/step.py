"""One step of the writer, as a pure function of the state, the inputs and the time.

1. Take the inputs in order, then what is due, then plan until nothing is dirty or the
   bound of the step is reached; what is left is the next step's.
2. No I/O, no clock, no dice: equal states, inputs and times make equal steps.
3. `now` strictly grows from step to step. All events of a step share it, which is how
   a replay finds the ends of steps (projections/rollouts.py, rule 3).
"""

from collections.abc import Sequence

from projections.rollouts import DEADLINE_EXCEEDED, PROGRESSING, Rollouts
from workers import due, intake, reconcilers
from workers.intake import Input
from workers.outbox import Outbox, Step
from workers.state import State


def step(state: State, inputs: Sequence[Input], now: float) -> Step:
    """What `inputs` and the passing of time until `now` cause.

    Afterwards `state` has folded the events of the step. The caller commits them with
    the tracking rows, in one transaction, before it says anything of the rest.
    """
    assert now > state.now, "time grows from step to step"
    state.now = now
    state.events = []
    state.left = []
    outbox = Outbox(state)
    for item in inputs:
        intake.take(state, outbox, item)
    due.ring(state)
    more = reconcilers.run(state, state.settings.events_per_step)
    _settle(state)
    return outbox.close(more=more)


def _settle(state: State) -> None:
    """Conditions follow the counts. What had stalled and moves again has a deadline
    again, of which no plan could know: it is looked at once more (spec 2.12)."""
    rollouts = state.cluster.rollouts
    stalled = [key for key in rollouts.touched if _has_stalled(rollouts, key)]
    state.cluster.settle()
    for key in stalled:
        if not _has_stalled(rollouts, key):
            state.timers.set("progress", key, state.now)


def _has_stalled(rollouts: Rollouts, key: str) -> bool:
    found = rollouts.by_key.get(key)
    held = found.condition(PROGRESSING) if found is not None else None
    return held is not None and held.reason == DEADLINE_EXCEEDED
