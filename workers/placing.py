"""Placement: pods that wait for a node are bound to one, oldest first.

1. A node is chosen by the planner (domain/plans/placement.py); this file feeds it.
2. Once a template fits nowhere, its other pods are not tried again in the same pass,
   and it is said of each pod once, until something else is lacking.
3. Pods are tried again when room may have appeared: `State.place_cause` says why.
4. A pod that names its node is bound to it, whatever that node has or is (spec 1.7):
   nobody asks the scheduler then.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Final

from domain import events, pod, podspec
from domain.plans import placement
from workers.state import State

_NUMBERS: Final = re.compile(r"\d+")
_PORTION: Final = 1_000


def place_waiting(state: State, bound: int) -> bool:
    """Binds the pods that wait, oldest first; returns whether all were looked at.

    Once a template fits nowhere, its other pods are not tried again in this pass.
    """
    actual = state.cluster.actual
    hopeless: dict[int, str] = {}
    needs: dict[int, placement.Needs] = {}
    siblings: dict[str, Callable[[str], int]] = {}
    start = state.cluster.position
    for key in _in_portions(actual.waiting):
        if len(state.events) >= bound:
            return False
        held = actual.pods[key]
        named = state.cluster.desired.templates[held.template].template.spec.node_name
        if named:
            _bind_to(state, held, named)
            continue
        if held.template not in needs:
            needs[held.template] = _needs(state, held.template)
        if held.template in hopeless:
            _unschedulable(state, held, hopeless[held.template])
            continue
        if held.owner not in siblings:
            siblings[held.owner] = _siblings(state, held.owner)
        found = placement.place(
            needs[held.template],
            actual.node_list,
            start,
            siblings[held.owner],
            limit=state.settings.placement_candidates,
        )
        if isinstance(found, placement.Placed):
            start += found.looked_at
            bound_to = pod.PodScheduled(node=found.node)
            state.emit(key, bound_to, actor=events.SCHEDULER, cause=held.position)
        else:
            hopeless[held.template] = found.message
            _unschedulable(state, held, found.message)
    return True


def _bind_to(state: State, held: pod.Pod, node: str) -> None:
    """Rule 4. A pod of a node that is not there waits without a word."""
    if node in state.cluster.actual.nodes:
        bound_to = pod.PodScheduled(node=node)
        state.emit(held.key, bound_to, actor=events.SCHEDULER, cause=held.position)


def _in_portions(waiting: dict[str, None]) -> Iterator[str]:
    """The keys that wait. Those that were yielded may go while others are read: of a
    million pods a step looks at 2,000, and should not copy the rest."""
    kept = 0
    while portion := [*itertools.islice(waiting, kept, kept + _PORTION)]:
        yield from portion
        kept += sum(key in waiting for key in portion)


def _siblings(state: State, owner: str) -> Callable[[str], int]:
    """What `Actual.related` says of a pod of `owner`, for one pass: it is asked for 16
    nodes for each pod, and most of a Deployment's ReplicaSets have no pods."""
    actual = state.cluster.actual
    group = state.cluster.desired.group_of(owner)
    owning = tuple(key for key in group if actual.owns_pods(key))
    nodes = actual.nodes

    def siblings(node: str) -> int:
        counts, number = nodes[node].siblings, 0
        for key in owning:
            if key in counts:
                number += counts[key]
        return number

    return siblings


def _unschedulable(state: State, held: pod.Pod, message: str) -> None:
    # Numbers of nodes come and go with every change; what is lacking is the news.
    if _NUMBERS.sub("", held.unschedulable) != _NUMBERS.sub("", message):
        event = pod.PodUnschedulable(message=message)
        state.emit(held.key, event, actor=events.SCHEDULER, cause=held.position)


def _needs(state: State, position: int) -> placement.Needs:
    facts = state.cluster.desired.templates[position]
    spec = facts.template.spec
    return placement.Needs(
        cpu_milli=facts.cpu_milli,
        memory=facts.memory,
        node_selector=spec.node_selector,
        affinity=_required_affinity(spec),
        tolerations=spec.tolerations,
    )


def _required_affinity(spec: podspec.PodSpec) -> podspec.NodeSelector | None:
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    if affinity is None:
        return None
    return affinity.required_during_scheduling_ignored_during_execution
