"""A rolling update that holds at set fractions: the steps of `rollbook/steps`.

1. A step of `p` percent lets the new ReplicaSet have `p` percent of the pods, rounded
   up, and leaves the old ones the rest. Below 100 % at least one old pod stays, so that
   a small Deployment is not done before its steps are.
2. One pod alone has no fractions: with a surge the new one stands beside the old one;
   without a surge there is no room for that, and it is replaced at the first step.
3. A hold only ever makes a rolling update wait. It grows nothing and shrinks nothing
   that the sums of domain/plans/rolling.py would not, so the fenceposts stay true.
4. A step of pods is done when the new ones are there and available and the old ones
   have given way; a pause by time or by a person; `analyse` when its round has passed.
5. Without old pods there is nothing to hold back for: the first revision, and one that
   is scaled up from none, run without steps. What is complete has none either: an older
   ReplicaSet that is adopted later gives way as in Kubernetes.
6. The last step holds nothing. What is left is an ordinary rolling update.
"""

from typing import Final

import msgspec

from domain.analysis import Analyse, Policy, Step, Wait, Weight
from domain.analysis_run import Run

WHOLE: Final = 100


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What a rolling update must keep to, in pods."""

    new: int
    """The new ReplicaSet does not grow beyond it."""
    old: int
    """The old ones together do not shrink below it."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """The Deployment's size and surge, and what its ReplicaSets have."""

    replicas: int
    surge: int
    new: int = 0
    """The size of the new one; 0 while there is none."""
    available: int = 0
    """Its available pods."""
    old: int = 0
    """The sizes of the old ones together."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps ask for: what to keep to, and which step is reached now."""

    hold: Hold | None = None
    reach: int = 0
    """The step that is reached; 0 for none."""
    waiting: bool = False
    """The step is not about pods."""
    timed: bool = False
    """It is reached because time has passed."""
    wake_at: float | None = None


def plan(policy: Policy, run: Run, sizes: Sizes, now: float) -> Plan:
    """Where the rollout is among its steps; nothing where it has none (rule 5)."""
    steps = policy.steps
    if not steps or run.rolled_back or run.full or run.step > len(steps):
        return Plan()
    if run.done or sizes.old == 0 or sizes.replicas == 0:
        return Plan()
    held = hold(steps, max(run.step, 1), replicas=sizes.replicas, surge=sizes.surge)
    if not run.revision:
        return Plan(hold=held)
    if run.step == 0:
        return Plan(hold=held, reach=1)
    at = steps[run.step - 1]
    waiting = not isinstance(at, Weight)
    if run.step < len(steps) and _is_done(at, run, held, sizes, now):
        timed = isinstance(at, Wait) and run.promoted < run.step
        return Plan(hold=held, reach=run.step + 1, waiting=waiting, timed=timed)
    wake_at = None
    if isinstance(at, Wait) and at.seconds:
        wake_at = run.step_at + at.seconds
    return Plan(hold=held, waiting=waiting, wake_at=wake_at)


def hold(
    steps: tuple[Step, ...], number: int, *, replicas: int, surge: int
) -> Hold | None:
    """What step `number` (from 1) keeps to: the last fraction up to there.

    Before the first fraction no new pod is there at all. None when nothing is held.
    """
    percent = 0
    for each in steps[:number]:
        if isinstance(each, Weight):
            percent = each.percent
    return fraction(percent, replicas=replicas, surge=surge)


def fraction(percent: int, *, replicas: int, surge: int) -> Hold | None:
    """Rules 1 and 2: `percent` of `replicas`; None for the whole."""
    if percent >= WHOLE or replicas <= 0:
        return None
    if percent <= 0:
        return Hold(new=0, old=replicas)
    if replicas == 1:
        return Hold(new=1, old=1) if surge else None
    new = min(-(-percent * replicas // WHOLE), replicas - 1)
    return Hold(new=new, old=replicas - new)


def _is_done(at: Step, run: Run, held: Hold | None, sizes: Sizes, now: float) -> bool:
    """Rule 4."""
    if isinstance(at, Weight):
        if held is None:
            return False
        there = min(sizes.new, sizes.available) >= held.new
        return there and sizes.old <= held.old
    if run.promoted >= run.step:
        return True
    if isinstance(at, Wait):
        return bool(at.seconds) and run.step_at + at.seconds <= now
    assert isinstance(at, Analyse)
    return run.verdict == "pass"
