"""What the writer remembers of autoscalers, volatile (workers/state.py, rule 2).

Each is looked at once in a period, at a moment of its own (by its key): a thousand of
them are spread evenly, and a new one waits for its turn (spec 5.1).
"""

import zlib

import msgspec

from domain.autoscaling import Memory
from domain.plain_manifests import AutoscalerSpec
from workers.rivals import Selectors

_MOMENTS = 10_000


class Known(msgspec.Struct):
    """One autoscaler: of which object it is, its spec with the position of the event
    that it was read from, and its past."""

    uid: str
    asked: int
    spec: AutoscalerSpec
    memory: Memory | None = None


class Autoscalers:
    """All of them, by key, and whom they select."""

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}
        self.selectors = Selectors()


def next_look(key: str, now: float, every: float) -> float:
    """The next moment of the autoscaler after `now`."""
    offset = zlib.crc32(key.encode()) % _MOMENTS / _MOMENTS * every
    turns = (now - offset) // every + 1
    at = round(turns * every + offset, 6)
    return at if at > now else round(at + every, 6)
