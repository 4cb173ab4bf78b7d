"""The newest values of custom metrics that this monitor has seen, for analyses.

1. What is older than `FRESH_SECONDS` counts as never seen, and is forgotten.
2. A metric has a value of each pod, or values of no pod, which their labels tell apart
   and which are added up, as autoscalers do it.
"""

import math
from collections.abc import Iterable
from typing import Final

from gateway.monitoring.measured import Unmeasured

FRESH_SECONDS: Final = 60.0
_Value = tuple[float, float]
"""The value and when it was so, in seconds since the epoch."""


class Values:
    """By namespace and metric: of each pod, and those that are of no pod ("")."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], dict[tuple[str, str], _Value]] = {}
        self.series = 0
        """How many values are held."""

    def __len__(self) -> int:
        """How many metrics have a value."""
        return len(self._held)

    def set(
        self,
        namespace: str,
        metric: str,
        pod: str,
        value: float,
        at: float,
        labels: str = "",
    ) -> None:
        """Afterwards this is the newest one of the pod, or of no pod and the labels;
        one that is older than what is known changes nothing."""
        held = self._held.setdefault((namespace, metric), {})
        known = held.get((pod, labels))
        if known is None or known[1] <= at:
            self.series += known is None
            held[pod, labels] = value, at

    def tidy(self, now: float) -> None:
        """Afterwards nothing is kept that is too old."""
        for key, held in [*self._held.items()]:
            for one in [
                one for one, (_, at) in held.items() if now - at > FRESH_SECONDS
            ]:
                del held[one]
                self.series -= 1
            if not held:
                del self._held[key]

    def number(
        self, namespace: str, metric: str, pods: Iterable[str], now: float
    ) -> float:
        """The mean over these pods, of those that have a value; the sum of those that
        are of no pod where none has. Raises `Unmeasured` where there is neither."""
        held = self._held.get((namespace, metric), {})
        fresh = {one: v for one, (v, at) in held.items() if now - at <= FRESH_SECONDS}
        found = [fresh[pod, ""] for pod in pods if (pod, "") in fresh]
        if found:
            return sum(found) / len(found)
        others = [value for (pod, _), value in fresh.items() if not pod]
        if others:
            return math.fsum(others)
        raise Unmeasured(
            f"no value of {metric} in {namespace} is newer than {FRESH_SECONDS:g} s: "
            "the revision's pods do not serve it, it is not in the monitor's file, and "
            f"nobody publishes it at rollbook.metric.<user>.{namespace}.{metric}"
        )
