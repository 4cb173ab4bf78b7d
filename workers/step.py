"""One step of the writer, as a pure function of the state, the inputs and the time.

1. Take the inputs in order, then what is due, then plan until nothing is dirty or the
   bound of the step is reached; what is left is the next step's.
2. No I/O, no clock, no dice: equal states, inputs and times make equal steps.
3. `now` strictly grows from step to step. All events of a step share it, which is how
   a replay finds the ends of steps (projections/rollouts.py, rule 3).
"""

from collections.abc import Sequence

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
    state.cluster.settle()
    return outbox.close(more=more)
