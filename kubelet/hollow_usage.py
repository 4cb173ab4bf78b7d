"""What a hollow container uses: what its pod's annotations say, else very little.

`rollbook/hollow-cpu: 250m` and `rollbook/hollow-memory: 64Mi` on a pod template are
the load of each of its containers. A text that is no quantity counts as absent.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from domain import quantities

CPU: Final = "rollbook/hollow-cpu"
MEMORY: Final = "rollbook/hollow-memory"


class Load(NamedTuple):
    """Cores and bytes."""

    cpu: float = 0.001
    memory: int = 2**20


_SMALL: Final = Load()


def load(annotations: Mapping[str, str]) -> Load:
    """The load that the annotations ask for."""
    if CPU not in annotations and MEMORY not in annotations:
        return _SMALL
    cpu = _number(annotations.get(CPU), _SMALL.cpu)
    memory = _number(annotations.get(MEMORY), float(_SMALL.memory))
    return Load(cpu, int(memory))


def _number(text: str | None, default: float) -> float:
    try:
        found = default if text is None else float(quantities.parse(text))
    except ValueError:
        return default
    return found if found >= 0 else default
