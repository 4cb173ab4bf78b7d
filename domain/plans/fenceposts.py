"""How far a rollout may go over and under the wanted size (spec 2.6).

1. `maxSurge` rounds up, `maxUnavailable` rounds down; both zero means 1 unavailable.
2. Nobody can be more unavailable than there are replicas, and Recreate has no room at
   all: both fenceposts are 0.
3. Rounding is half away from zero, never Python's `round`, which is half to even.
"""

import math
from typing import Final

import msgspec

from domain import objects

RECREATE: Final = "Recreate"
ROLLING_UPDATE: Final = "RollingUpdate"


class Fenceposts(msgspec.Struct, frozen=True, kw_only=True):
    """The room around the wanted size, in pods."""

    surge: int
    unavailable: int


def resolve(
    max_surge: int | str, max_unavailable: int | str, replicas: int
) -> Fenceposts:
    """The fenceposts of a rolling update; 0 <= unavailable <= replicas.

    Raises ValueError when a text is not a percentage.
    """
    surge = objects.int_or_percent(max_surge, replicas, round_up=True)
    unavailable = objects.int_or_percent(max_unavailable, replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        # Percentages may both round to nothing, and then no pod could ever move.
        unavailable = 1
    return Fenceposts(surge=surge, unavailable=min(unavailable, replicas))


def for_strategy(
    strategy: str, max_surge: int | str, max_unavailable: int | str, replicas: int
) -> Fenceposts:
    """The fenceposts that `strategy` leaves: those of `resolve`, none for Recreate."""
    if strategy == RECREATE:
        return Fenceposts(surge=0, unavailable=0)
    return resolve(max_surge, max_unavailable, replicas)


def new_replicas(*, wanted: int, new: int, total: int, surge: int) -> int:
    """The size of the new ReplicaSet in a rolling update, from `new` pods now.

    `total` is the sum of the sizes (spec) of all ReplicaSets. The result keeps the sum
    within `wanted + surge` if it was within, and does not exceed `wanted` by growing.
    """
    room = wanted + surge - total
    if room <= 0:
        return new
    return new + min(room, wanted - new)


def round_half_away(value: float) -> int:
    """The nearest whole number, halves away from zero (Go's `math.Round`)."""
    whole = math.floor(abs(value))
    if abs(value) - whole >= 0.5:
        whole += 1
    return whole if value >= 0 else -whole


def divide_half_away(numerator: int, denominator: int) -> int:
    """`round_half_away(numerator / denominator)`, exactly; the denominator is > 0."""
    assert denominator > 0, "a share of nothing has no size"
    whole = (2 * abs(numerator) + denominator) // (2 * denominator)
    return whole if numerator >= 0 else -whole
