"""A failing plan made short: delta debugging over its actions, then over its waits."""

from collections.abc import Callable

import msgspec

from tests.simulation import actions
from tests.simulation.actions import Action
from tests.simulation.workload import Plan

Fails = Callable[[Plan], bool]
TRIES: int = 400


def shrink(plan: Plan, fails: Fails, tries: int = TRIES) -> Plan:
    """A plan that still fails and of which no single action can be left out.

    `fails` is asked at most `tries` times; the shortest plan so far comes back then.
    """
    left = [tries]

    def still(candidate: Plan) -> bool:
        left[0] -= 1
        return left[0] >= 0 and fails(candidate)

    size = max(len(plan.actions) // 2, 1)
    while left[0] > 0:
        shorter = _without_chunks(plan, size, still)
        if len(shorter.actions) == len(plan.actions) and size == 1:
            break
        plan = shorter
        size = max(size // 2, 1)
    return _without_waits(plan, still)


def _without_chunks(plan: Plan, size: int, still: Fails) -> Plan:
    """Chunks of `size` actions go where the plan fails without them, last ones first:
    what comes after the failure goes at once."""
    at = len(plan.actions)
    while at > 0:
        begin = max(at - size, 0)
        kept = plan.actions[:begin] + plan.actions[at:]
        candidate = _with(plan, kept)
        if kept and still(candidate):
            plan = candidate
        at = begin
    return plan


def _without_waits(plan: Plan, still: Fails) -> Plan:
    for number, action in enumerate(plan.actions):
        if not action.wait:
            continue
        quick = msgspec.structs.replace(action, wait=0.0)
        before, after = plan.actions[:number], plan.actions[number + 1 :]
        candidate = _with(plan, (*before, quick, *after))
        if still(candidate):
            plan = candidate
    return plan


def _with(plan: Plan, kept: tuple[Action, ...]) -> Plan:
    return msgspec.structs.replace(plan, actions=kept)


def story(plan: Plan) -> str:
    """The plan as lines for people."""
    cpu, pods = plan.allocatable["cpu"], plan.allocatable["pods"]
    lines = [f"{plan.nodes} nodes of {cpu} cores and {pods} pods"]
    lines += [actions.describe(action) for action in plan.actions]
    return "\n".join(f"  {line}" for line in [*lines, "faults stop; rest"])
