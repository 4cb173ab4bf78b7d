"""The sums of a rolling update (spec 2.7), one step at a time.

1. The new ReplicaSet grows until all sizes together reach `replicas + surge`.
2. Old ones may lose as many pods as there are more than `replicas - unavailable`, not
   counting the new ones that are not available yet. Their unavailable pods go first:
   those cost no availability, so a broken revision in between never blocks (B1).
3. Then old ones lose available pods, as many as are available beyond the least (B2).
4. A step of a progressive rollout holds the new one at most at its fraction, the old
   ones together at least at theirs. It is one more bound, and never moves the others.
5. The oldest ReplicaSet always goes first. No pod is chosen here: that is
   `domain.plans.replicas`.
"""

from collections.abc import Sequence

import msgspec

from domain.plans import fenceposts, scaling
from domain.plans.scaling import ReplicaSetView, ScaleReplicaSet, Scaling


class Shrunk(msgspec.Struct, frozen=True, kw_only=True):
    """What removing the unavailable pods comes to."""

    writes: tuple[ScaleReplicaSet, ...]
    sizes: tuple[int, ...]
    """The sizes after the writes, in the order of the ReplicaSets."""
    trusted: bool
    """False when a ReplicaSet has more available pods than its size."""


def new_size(
    wish: Scaling, new: ReplicaSetView | None, old: Sequence[ReplicaSetView]
) -> int:
    """Step A: the size of the new ReplicaSet, which may not exist yet."""
    size = new.replicas if new is not None else 0
    if size >= wish.replicas:
        return wish.replicas
    grown = fenceposts.new_replicas(
        wanted=wish.replicas,
        new=size,
        total=size + sum(each.replicas for each in old),
        surge=wish.fenceposts.surge,
    )
    return grown if wish.hold is None else max(size, min(grown, wish.hold.new))


def shrink_old(
    wish: Scaling, new: ReplicaSetView, old: Sequence[ReplicaSetView]
) -> tuple[ScaleReplicaSet, ...]:
    """Step B: what old ReplicaSets lose, in order; `old` is sorted oldest first."""
    active = [each for each in old if each.replicas > 0]
    if not active:
        return ()
    total = new.replicas + sum(each.replicas for each in active)
    spare = total - _available_min(wish) - (new.replicas - new.available)
    spare = min(spare, _above_hold(wish, [each.replicas for each in active]))
    if spare <= 0:
        return ()
    unhealthy = remove_unavailable(wish, active, spare)
    if not unhealthy.trusted:
        return unhealthy.writes
    available = new.available + sum(each.available for each in active)
    healthy = remove_available(wish, active, unhealthy.sizes, available)
    return (*unhealthy.writes, *healthy)


def remove_unavailable(
    wish: Scaling, active: Sequence[ReplicaSetView], spare: int
) -> Shrunk:
    """Step B1: up to `spare` pods that are not available, oldest ReplicaSet first.

    One with more available pods than its size is still losing pods of an earlier
    write, so no sum can be trusted: Kubernetes gives up there too, and so nothing
    comes after it.
    """
    writes: list[ScaleReplicaSet] = []
    sizes = [each.replicas for each in active]
    for index, each in enumerate(active):
        if spare <= 0:
            break
        if each.available > each.replicas:
            return Shrunk(writes=tuple(writes), sizes=tuple(sizes), trusted=False)
        lost = min(spare, each.replicas - each.available)
        if lost > 0:
            spare -= lost
            sizes[index] -= lost
            why = "its unavailable pods make room"
            writes.append(scaling.scale(wish, each, sizes[index], why))
    return Shrunk(writes=tuple(writes), sizes=tuple(sizes), trusted=True)


def remove_available(
    wish: Scaling,
    active: Sequence[ReplicaSetView],
    sizes: Sequence[int],
    available: int,
) -> tuple[ScaleReplicaSet, ...]:
    """Step B2: pods that can be spared because `available` is more than the least.

    `sizes` are those of `active` after step B1. ReplicaSets of size 0 do not count
    towards `available`: what they still have is on its way out.
    """
    budget = min(available - _available_min(wish), _above_hold(wish, sizes))
    writes: list[ScaleReplicaSet] = []
    for each, size in zip(active, sizes, strict=True):
        lost = min(size, budget)
        if lost <= 0:
            continue
        budget -= lost
        write = scaling.scale(
            wish, each, size - lost, "enough other pods are available"
        )
        writes.append(msgspec.structs.replace(write, before=size))
    return tuple(writes)


def _above_hold(wish: Scaling, sizes: Sequence[int]) -> int:
    """How many old pods a step lets go; all of them where nothing is held."""
    return sum(sizes) - (wish.hold.old if wish.hold is not None else 0)


def _available_min(wish: Scaling) -> int:
    return wish.replicas - wish.fenceposts.unavailable
