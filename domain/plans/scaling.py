"""Resizing a Deployment: the scale path of spec 2.9.

1. A scaling is recognised by an active ReplicaSet whose `desired-replicas` annotation
   is not the Deployment's size (spec 2.2). It comes before any rollout.
2. Rules, first match wins: a single active ReplicaSet (or the newest, if none is
   active) gets the whole size; a saturated new one ends the old ones; a rolling update
   is resized in proportion; anything else is left to the strategy.
3. In proportion means in proportion to `max-replicas`, the limit when each was last
   scaled. What rounding leaves over goes to the largest.
4. A proportional resize refreshes both annotations even where the size stays.

Two departures, each for a property that must never break:
- Where rule 2 has nothing to write the caller goes on to the strategy. Kubernetes stops
  there and can stay stuck, because a stale annotation keeps counting as a scaling; but
  any path of wishes must end where the last one alone would have ended (L7).
- Recreate does not grow the new ReplicaSet while old pods run, not even here (I3).
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from domain.plans import fenceposts
from domain.plans.fenceposts import Fenceposts
from domain.plans.progressive import Hold


class ReplicaSetView(Protocol):
    """What resizing needs to see of a ReplicaSet."""

    @property
    def key(self) -> str:
        """Its stream."""

    @property
    def name(self) -> str:
        """The tie-break between equal creation times."""

    @property
    def created_at(self) -> float:
        """When it was created."""

    @property
    def replicas(self) -> int:
        """Its size (spec)."""

    @property
    def available(self) -> int:
        """Its available pods."""

    @property
    def desired_replicas(self) -> int | None:
        """The annotation; None when absent or invalid."""

    @property
    def max_replicas(self) -> int | None:
        """The annotation; None when absent or invalid."""


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """The size that a Deployment asks for, and the room around it."""

    replicas: int
    strategy: str
    fenceposts: Fenceposts
    status_replicas: int
    """The Deployment's status.replicas: what a missing annotation falls back to."""
    old_running: bool
    """Pods of an old ReplicaSet exist that are not terminal (spec 2.10)."""
    hold: Hold | None = None
    """What a step of a progressive rollout keeps to; None without steps."""


class ScaleReplicaSet(msgspec.Struct, frozen=True, kw_only=True):
    """Give a ReplicaSet this size and these annotations; `why` is for people.

    Where the sizes are equal only the annotations are refreshed, which is no event of
    spec 2.15.
    """

    key: str
    before: int
    after: int
    desired: int
    maximum: int
    why: str


def is_scaling_event(replicas: int, replica_sets: Sequence[ReplicaSetView]) -> bool:
    """Whether an active one was last sized for a Deployment of another size (2.2)."""
    return any(
        each.replicas > 0
        and each.desired_replicas is not None
        and each.desired_replicas != replicas
        for each in replica_sets
    )


def plan(
    wish: Scaling, new: ReplicaSetView | None, old: Sequence[ReplicaSetView]
) -> tuple[ScaleReplicaSet, ...]:
    """What resizing writes; empty when there is nothing left to write."""
    everything = [*old, new] if new is not None else list(old)
    active = [each for each in everything if each.replicas > 0]
    if len(active) <= 1:
        return _whole(wish, new, active, old)
    if wish.hold is not None:
        return _held(wish, wish.hold, new, active)
    if new is not None and is_saturated(wish.replicas, new):
        return tuple(
            scale(wish, each, 0, "the new ReplicaSet has all pods already")
            for each in active
            if each is not new
        )
    if wish.strategy == fenceposts.ROLLING_UPDATE:
        return _in_proportion(wish, active)
    return ()


def is_saturated(replicas: int, new: ReplicaSetView) -> bool:
    """Whether the new ReplicaSet was sized for all `replicas`, and has them available.

    Its annotation tells it from one that only happens to be as large.
    """
    return new.replicas == new.desired_replicas == new.available == replicas


def fraction(wish: Scaling, replica_set: ReplicaSetView) -> int:
    """How far this ReplicaSet's share grows (or shrinks), rounded half away (2.9)."""
    size = replica_set.replicas
    if wish.replicas == 0:
        return -size
    before = replica_set.max_replicas or wish.status_replicas
    if before == 0:
        return 0
    allowed = wish.replicas + wish.fenceposts.surge
    return fenceposts.divide_half_away(size * allowed, before) - size


def scale(
    wish: Scaling, replica_set: ReplicaSetView, after: int, why: str
) -> ScaleReplicaSet:
    """The write that gives a ReplicaSet `after` pods, its annotations refreshed."""
    return ScaleReplicaSet(
        key=replica_set.key,
        before=replica_set.replicas,
        after=after,
        desired=wish.replicas,
        maximum=wish.replicas + wish.fenceposts.surge,
        why=why,
    )


def age(replica_set: ReplicaSetView) -> tuple[float, str]:
    """Oldest first, the name deciding between equal times."""
    return (replica_set.created_at, replica_set.name)


def _whole(
    wish: Scaling,
    new: ReplicaSetView | None,
    active: Sequence[ReplicaSetView],
    old: Sequence[ReplicaSetView],
) -> tuple[ScaleReplicaSet, ...]:
    """The only active one, else the new one, else the youngest, gets the whole size."""
    if active:
        target = active[0]
    elif new is not None:
        target = new
    elif old:
        target = max(old, key=age)
    else:
        return ()
    waits = wish.strategy == fenceposts.RECREATE and target is new and wish.old_running
    if target.replicas == wish.replicas or (waits and target.replicas < wish.replicas):
        return ()
    return (scale(wish, target, wish.replicas, "the Deployment was scaled"),)


def _in_proportion(
    wish: Scaling, active: list[ReplicaSetView]
) -> tuple[ScaleReplicaSet, ...]:
    allowed = wish.replicas + wish.fenceposts.surge if wish.replicas > 0 else 0
    add = allowed - sum(each.replicas for each in active)
    # The largest comes first; of equals the newest grows and the oldest shrinks.
    order = sorted(active, key=age, reverse=add > 0)
    order.sort(key=lambda each: each.replicas, reverse=True)
    sizes: list[int] = []
    added = 0
    for each in order:
        rest = add - added
        share = fraction(wish, each) if add != 0 and rest != 0 else 0
        # A size that a user gave a ReplicaSet by hand may ask for the other direction,
        # which would carry the sum beyond the surge (S7).
        share = max(0, min(share, rest)) if add > 0 else min(0, max(share, rest))
        sizes.append(each.replicas + share)
        added += share
    sizes[0] = max(0, sizes[0] + add - added)
    writes = (
        scale(wish, each, size, "scaled in proportion, in the middle of a rollout")
        for each, size in zip(order, sizes, strict=True)
    )
    return tuple(
        write
        for write, each in zip(writes, order, strict=True)
        if write.before != write.after or _is_stale(write, each)
    )


def _held(
    wish: Scaling,
    hold: Hold,
    new: ReplicaSetView | None,
    active: list[ReplicaSetView],
) -> tuple[ScaleReplicaSet, ...]:
    """In proportion, but for the new one: it has no more than its fraction of the new
    size, and the old ones keep or get what that leaves. Only a resize writes here."""
    if not is_scaling_event(wish.replicas, active):
        return ()
    writes = {write.key: write for write in _in_proportion(wish, active)}
    mine = writes.get(new.key) if new is not None else None
    if mine is None or len(writes) == 1:
        return tuple(writes.values())
    grows = mine.after > mine.before
    excess = mine.after - max(hold.new, mine.before if grows else 0)
    others = [write for write in writes.values() if write is not mine]
    for write in sorted(others, key=lambda write: write.after, reverse=True):
        # What shrinks does not grow others: those pods would have to start first.
        more = max(0, excess if grows else min(excess, write.before - write.after))
        excess -= more
        after = write.after + more
        writes[write.key] = msgspec.structs.replace(write, after=after)
        after = writes[mine.key].after - more
        writes[mine.key] = msgspec.structs.replace(mine, after=after)
    return tuple(writes.values())


def _is_stale(write: ScaleReplicaSet, replica_set: ReplicaSetView) -> bool:
    return (
        replica_set.desired_replicas != write.desired
        or replica_set.max_replicas != write.maximum
    )
