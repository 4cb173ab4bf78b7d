"""The one writer: what arrives becomes events, in one transaction a step.

1. `step` is a pure function of the state, the inputs and the time: no I/O, no clock,
   no dice. Production, simulation and replays run the same one.
2. Only control.py and relay.py touch the outside, and they decide nothing.
3. Nothing is said to anybody (an answer, an event, an assignment) before the
   transaction of its step is on disk.

Reading order: state.py (what the writer knows and how an event is made), intake.py
(commands, reports, syncs), reconcilers.py (compensating events), timers.py, step.py,
control.py (the loop), relay.py (publishing).
"""
