"""Wrong variants of the planners and of the objects' rules.

Their names and the properties that they break are in mutants.py. Each function gives
the module or class, the name of what is replaced in it, and what replaces it. What is
right is looked up when the mutant is applied.
"""

from typing import Any

import msgspec

from domain import objects, replicaset, template
from domain.plans import (
    history,
    node_health,
    placement,
    replicas,
    rolling,
    rollout,
    scaling,
)

Change = tuple[object, str, object]


def surge_rounds_down() -> Change:
    right = objects.int_or_percent

    def wrong(value: Any, total: int, *, round_up: bool) -> int:
        del round_up
        return right(value, total, round_up=False)

    return objects, "int_or_percent", wrong


def unavailable_rounds_up() -> Change:
    right = objects.int_or_percent

    def wrong(value: Any, total: int, *, round_up: bool) -> int:
        del round_up
        return right(value, total, round_up=True)

    return objects, "int_or_percent", wrong


def new_unavailable_left_out() -> Change:
    right = rolling.shrink_old

    def wrong(wish: Any, new: Any, old: Any) -> Any:
        return right(wish, msgspec.structs.replace(new, available=new.replicas), old)

    return rolling, "shrink_old", wrong


def unhealthy_first_skipped() -> Change:
    def wrong(_wish: Any, active: Any, _spare: int) -> rolling.Shrunk:
        sizes = tuple(each.replicas for each in active)
        return rolling.Shrunk(writes=(), sizes=sizes, trusted=True)

    return rolling, "remove_unavailable", wrong


def budget_too_large() -> Change:
    right = rolling.remove_available

    def wrong(wish: Any, active: Any, sizes: Any, available: int) -> Any:
        return right(wish, active, sizes, available + 1)

    return rolling, "remove_available", wrong


def surge_exceeded() -> Change:
    def wrong(wish: Any, new: Any, old: Any) -> int:
        del new, old
        return int(wish.replicas)

    return rolling, "new_size", wrong


def old_revision_number_again() -> Change:
    return history, "next_revision", lambda old: max([*old, 1])


def undo_takes_the_first() -> Change:
    def wrong(revisions: Any, to_revision: int, *, deployment: str) -> int:
        del deployment
        return to_revision or min(revisions)

    return history, "rollback_target", wrong


def template_compared_by_name() -> Change:
    def wrong(one: Any, other: Any) -> bool:
        return [c.name for c in one.spec.containers] == [
            c.name for c in other.spec.containers
        ]

    return template, "equal_ignoring_hash", wrong


def template_compared_with_hash() -> Change:
    return template, "equal_ignoring_hash", lambda one, other: one == other


def desired_never_refreshed() -> Change:
    right = replicaset._change

    def wrong(held: Any, event: Any, *rest: Any) -> dict[str, object]:
        change: dict[str, object] = right(held, event, *rest)
        change.pop("desired", None)
        change.pop("maximum", None)
        return change

    return replicaset, "_change", wrong


def scaling_never_recognised() -> Change:
    return scaling, "is_scaling_event", lambda _replicas, _sets: False


def rest_to_the_smallest() -> Change:
    right = scaling._in_proportion

    def wrong(wish: Any, active: Any) -> Any:
        writes = list(right(wish, active))
        if len(writes) > 1 and writes[-1].after > 0:
            first, last = writes[0], writes[-1]
            replace = msgspec.structs.replace
            writes[0] = replace(first, after=first.after + 1)
            writes[-1] = replace(last, after=last.after - 1)
        return tuple(writes)

    return scaling, "_in_proportion", wrong


def recreate_does_not_wait() -> Change:
    return rollout, "_old_pods_running", lambda _old: False


def recreate_ignores_terminating() -> Change:
    def wrong(old: Any) -> bool:
        return any(each.status_replicas > 0 for each in old)

    return rollout, "_old_pods_running", wrong


def node_overcommitted() -> Change:
    def wrong(needs: Any, held: Any) -> tuple[str, ...]:
        del needs
        return () if held.ready and not held.unschedulable else ("not ready",)

    return placement, "lacks", wrong


def cordon_ignored() -> Change:
    right = placement.lacks

    def wrong(needs: Any, held: Any) -> tuple[str, ...]:
        found = right(needs, held)
        return () if found == placement._UNSCHEDULABLE else found

    return placement, "lacks", wrong


def eviction_of_all() -> Change:
    def wrong(facts: Any, health: Any, now: float, config: Any) -> Any:
        zone = node_health.Zone(state="Normal", rate=config.rate, next_at=now)
        del facts
        return msgspec.structs.replace(health, zones={"": zone}, suspended=False)

    return node_health, "_zones", wrong


def eviction_at_once() -> Change:
    return node_health, "eviction_time", lambda _tolerations, _taints, start: start


def history_takes_the_living() -> Change:
    return history, "_is_spent", lambda _old: True


def history_takes_nothing() -> Change:
    return history, "expired", lambda _old, _limit: ()


def victims_the_wrong_way_round() -> Change:
    right = replicas.victims

    def wrong(pods: Any, count: int, *, related: Any, now: float) -> Any:
        ranked = right(pods, len(pods) - 1, related=related, now=now)
        last = [each for each in pods if each not in ranked]
        return tuple([*last, *reversed(ranked)][:count])

    return replicas, "victims", wrong


def one_pod_too_many() -> Change:
    right = replicas.plan

    def wrong(active: int, wanted: int, **rest: Any) -> Any:
        return right(active, wanted + (active < wanted), **rest)

    return replicas, "plan", wrong
