"""From two samples of what containers have used to what they use. Pure.

1. A rate needs two samples of the same run of a container: one that has just started,
   and one whose count went back (another run), wait for the next sample.
2. A pod is told as a whole or not at all, so that nobody takes the part of it that
   could be measured for all of it.
3. What cannot be a measured value (negative, not finite, more than a machine can give)
   is left out and counted; the container then waits as in rule 1.
4. A node that runs nothing says so: that it uses nothing is known, too.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from domain import protocol
from kubelet.runtime import ContainerUsage

NANO: Final = 1_000_000_000
CORES_MAX: Final = 100_000.0
"""More cores than any machine has: a jump of a clock, or a lie."""

Identify = Callable[[str], tuple[str, str] | None]
"""The namespace and the name of the pod of a uid; None for one that is not here."""


class Meter:
    """The samples of one node; `read` takes the next one."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._before: dict[tuple[str, str], float] = {}
        self._sampled_at = 0.0

    def read(
        self, now: float, samples: Iterable[ContainerUsage], identify: Identify
    ) -> protocol.Usage | None:
        """What the pods used since the call before; None while nothing can be told."""
        window = now - self._sampled_at
        before, self._before = self._before, {}
        first, self._sampled_at = not self._sampled_at, now
        pods: dict[str, list[protocol.ContainerUsage]] = {}
        waiting: set[str] = set()
        for sample in samples:
            if not self._is_sound(sample):
                waiting.add(sample.uid)
                continue
            key = (sample.uid, sample.container)
            self._before[key] = sample.cpu_seconds
            used = sample.cpu_seconds - before.get(key, math.inf)
            if first or window <= 0 or not 0 <= used <= window * CORES_MAX:
                waiting.add(sample.uid)
                continue
            pods.setdefault(sample.uid, []).append(
                protocol.ContainerUsage(
                    name=sample.container,
                    cpu=math.ceil(used / window * NANO),
                    memory=sample.memory_bytes,
                )
            )
        told = []
        for uid, containers in pods.items():
            named = None if uid in waiting else identify(uid)
            if named is not None:
                told.append(
                    protocol.PodUsage(
                        namespace=named[0],
                        name=named[1],
                        uid=uid,
                        containers=tuple(containers),
                    )
                )
        idle = not waiting and not pods
        if first or window <= 0 or not (told or idle):
            return None
        return protocol.Usage(window=round(window, 3), pods=tuple(told))

    def _is_sound(self, sample: ContainerUsage) -> bool:
        sound = (
            math.isfinite(sample.cpu_seconds)
            and sample.cpu_seconds >= 0
            and 0 <= sample.memory_bytes < 2**63
        )
        if not sound:
            self.counters["sample that cannot be"] += 1
        return sound
