"""The simulator: the shipped code against a simulated clock, wire and store.

1. One seed decides everything. `workload.py` draws a plan from it: a list of actions
   that is complete before anything runs, so that a failing plan can be made shorter.
2. `world.py` is the simulated cluster (tests/support/cluster.py) with faults of every
   kind: a disk that loses what was not synced (`disk.py`), a crash at any point of a
   step, two writers, wires, clocks, and nodes that run the shipped lifecycle of pods
   (`hollow_node.py`).
3. After every event the checkers look on: those of tests/properties and those of
   `system_checkers.py` and `final_checkers.py`. `properties.py` names the property of
   each, and counts how often it was reached.
   Who listens is simulated too: tests/properties/subscriber_checkers.py runs the
   shipped relay, publisher and reader over a broker that is harmed.
4. `twins.py` runs a plan twice, with faults and without, and compares what was decided
   (`decisions.py` says what a decision is). `perturbation.py` does so for every single
   point of ten small stories.
5. `test_past_states.py` travels back in time: from the log to each state that was.
6. `run.py` is what `make simulate` starts, `perturbation.py` what `make perturb` does.
"""
