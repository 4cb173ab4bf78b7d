"""Everything that an object holds, order included, as something to compare."""

from collections import deque
from typing import Any, Final

import msgspec

CACHES: Final = frozenset({"_newest", "_by_replicaset", "_indexed"})
"""What a projection fills by itself, whenever it is asked."""


def inside(value: Any, *, leave_out: frozenset[str] = CACHES) -> object:
    """`value` with all its attributes but those of `leave_out`, as plain values."""
    seen: dict[int, int] = {}

    def look(held: Any) -> object:
        if isinstance(held, dict):
            return [(key, look(each)) for key, each in held.items()]
        if isinstance(held, list | tuple | deque):
            return [look(each) for each in held]
        names = _attributes(held)
        if names is None:
            return held
        if id(held) in seen:
            return f"object {seen[id(held)]}"
        seen[id(held)] = len(seen)
        kept = [name for name in names if name not in leave_out]
        return [type(held).__name__, *((n, look(getattr(held, n))) for n in kept)]

    return look(value)


def _attributes(value: Any) -> list[str] | None:
    """The names of what an object of our own holds; None for a plain value."""
    if isinstance(value, msgspec.Struct) or callable(value):
        return None
    if hasattr(value, "__dict__"):
        return list(vars(value))
    return getattr(type(value), "__slots__", None)
