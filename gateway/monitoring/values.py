"""The newest values of custom metrics that this monitor has seen, for analyses.

What is older than `FRESH_SECONDS` counts as never seen, and is forgotten.
"""

from collections.abc import Iterable
from typing import Final

from gateway.monitoring.measured import Unmeasured

FRESH_SECONDS: Final = 60.0


class Values:
    """By namespace and metric: of each pod, and the one that is of no pod ("")."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}

    def __len__(self) -> int:
        """How many metrics have a value."""
        return len(self._held)

    def set(
        self, namespace: str, metric: str, pod: str, value: float, at: float
    ) -> None:
        """Afterwards this is the newest one."""
        self._held.setdefault((namespace, metric), {})[pod] = (value, at)

    def tidy(self, now: float) -> None:
        """Afterwards nothing is kept that is too old."""
        for key, held in [*self._held.items()]:
            for pod in [
                pod for pod, (_, at) in held.items() if now - at > FRESH_SECONDS
            ]:
                del held[pod]
            if not held:
                del self._held[key]

    def number(
        self, namespace: str, metric: str, pods: Iterable[str], now: float
    ) -> float:
        """The mean over these pods, of those that have a value; the value that is of
        no pod where none has. Raises `Unmeasured` where there is neither."""
        held = self._held.get((namespace, metric), {})
        fresh = {pod: v for pod, (v, at) in held.items() if now - at <= FRESH_SECONDS}
        found = [fresh[pod] for pod in pods if pod in fresh]
        if found:
            return sum(found) / len(found)
        if "" in fresh:
            return fresh[""]
        raise Unmeasured(
            f"no value of {metric} in {namespace} is newer than {FRESH_SECONDS:g} s: "
            "neither do the revision's pods serve it, nor is it in the monitor's file"
        )
