"""The newest measurements: what pods use, and values of custom metrics.

1. Nothing here is in the log, and nothing of it outlives a restart. What is older than
   `Settings.fresh_for` counts as never said.
2. Each figure is judged by itself: one that cannot be (none, not finite, negative, more
   than any machine has) is refused and counted, and its pod waits for the next one.
3. Memory is bounded: usage by the pods that there are, custom metrics by
   `Settings.series_max`; when that is reached old series go, and new ones are refused.
"""

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final, Literal, NamedTuple

import msgspec

from domain import labels, quantities
from domain.autoscaling import Sample
from domain.labels import LabelSelector
from domain.protocol import ContainerUsage, MetricMessage, PodUsage, Usage

CPU_MAX: Final = 1e14
"""Billionths of a core: 100,000 cores."""
MEMORY_MAX: Final = 2.0**60
WINDOW_MAX: Final = 3600.0
LABELS_MAX: Final = 32
TEXT_MAX: Final = 253
_MILLI_MAX: Final = Decimal(2**63 - 1)
_NANO_PER_MILLI: Final = 1_000_000

Count = Callable[[str], None]
Source = Literal["pod", "object", "external"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds; seconds."""

    fresh_for: float = 60.0
    ahead: float = 60.0
    """So far in the future the `at` of a metric may be."""
    series_max: int = 50_000


class PodReading(msgspec.Struct, frozen=True, gc=False):
    """What a pod used in the `window` seconds before `at`."""

    used: PodUsage
    at: float
    window: float


class Series(NamedTuple):
    """Which of the values of a metric: of a pod, of an object (`kind/name`) or from
    outside, with its labels in order."""

    source: Source
    subject: str
    labels: tuple[tuple[str, str], ...]


class Metrics:
    """See the rules at the top of the file."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pods: dict[str, PodReading] = {}
        self.checked: dict[str, float] = {}
        """When the active check of a pod was last said to fail."""
        self._custom: dict[tuple[str, str], dict[Series, Sample]] = {}
        self._series = 0

    # --- usage ----------------------------------------------------------------------

    def hear_usage(
        self, usage: Usage, at: float, owns: Callable[[PodUsage], str], count: Count
    ) -> tuple[PodUsage, ...]:
        """Keeps what a node says of its pods, and returns what was kept.

        `owns` gives the key of a pod that the node may speak for, "" for any other.
        """
        if not 0 < usage.window <= WINDOW_MAX:
            count("usage_refused")
            return ()
        kept = []
        for each in usage.pods:
            key = owns(each)
            if not key:
                count("usage_of_strange_pods")
            elif not each.containers or not all(map(_is_sound, each.containers)):
                count("usage_refused")
            else:
                self._pods[key] = PodReading(each, at, usage.window)
                kept.append(each)
        return tuple(kept)

    def forget_pod(self, key: str) -> None:
        """The pod is gone."""
        self._pods.pop(key, None)
        self.checked.pop(key, None)

    def usage(
        self, key: str, uid: str, resource: str, container: str, now: float
    ) -> Sample | None:
        """What the pod (or one container of it) uses of `cpu` or `memory`."""
        found = self._pods.get(key)
        if found is None or found.used.uid != uid:
            return None
        if now - found.at > self._settings.fresh_for + found.window:
            return None
        total = 0
        seen = False
        for each in found.used.containers:
            if container in ("", each.name):
                seen = True
                total += _milli(each.cpu, each.memory, resource)
        if not seen:
            return None
        return Sample(value=total, at=found.at, window=found.window)

    # --- custom metrics -------------------------------------------------------------

    def hear(
        self,
        namespace: str,
        metric: str,
        said: MetricMessage,
        now: float,
        count: Count,
    ) -> None:
        """Keeps a value, unless it is late, older than what is known, or none."""
        value = milli_of(said.value)
        at = said.at or now
        if value is None or not (math.isfinite(at) and math.isfinite(said.window)):
            count("metrics_refused")
            return
        if not _is_named(said) or not 0 <= said.window <= WINDOW_MAX:
            count("metrics_refused")
            return
        settings = self._settings
        if not now - settings.fresh_for <= at <= now + settings.ahead:
            count("metrics_late")
            return
        series, key = _series(said), (namespace, metric)
        known = self._custom.get(key, {}).get(series)
        if known is None and not self._has_room(now):
            count("metrics_too_many")
        elif known is not None and known.at > at:
            count("metrics_late")
        else:
            self._series += known is None
            sample = Sample(value=value, at=at, window=said.window)
            self._custom.setdefault(key, {})[series] = sample

    def values(
        self,
        namespace: str,
        metric: str,
        source: Source,
        selector: LabelSelector | None,
        now: float,
    ) -> Iterator[tuple[str, Sample]]:
        """The fresh values of a metric with their subjects."""
        for series, sample in self._custom.get((namespace, metric), {}).items():
            if series.source != source or now - sample.at > self._settings.fresh_for:
                continue
            if selector is None or labels.matches(selector, dict(series.labels)):
                yield series.subject, sample

    def __len__(self) -> int:
        """How many series of custom metrics are held."""
        return self._series

    def _has_room(self, now: float) -> bool:
        """There is room for one more series; rule 3."""
        if self._series < self._settings.series_max:
            return True
        since = now - self._settings.fresh_for
        for key in [*self._custom]:
            held = self._custom[key]
            fresh = {series: s for series, s in held.items() if s.at >= since}
            self._series -= len(held) - len(fresh)
            if fresh:
                self._custom[key] = fresh
            else:
                del self._custom[key]
        return self._series < self._settings.series_max


def milli_of(value: str | int | float) -> int | None:
    """A number or a quantity in thousandths, rounded up; None where it is neither, is
    negative or does not fit into 63 bits."""
    try:
        exact = quantities.parse(value) if isinstance(value, str) else Decimal(value)
    except ValueError:
        return None
    if not exact.is_finite() or exact < 0:
        return None
    if exact * 1000 > _MILLI_MAX:
        return None
    return math.ceil(exact * 1000)


def _milli(cpu: float | None, memory: float | None, resource: str) -> int:
    if resource == "cpu":
        return -(-int(cpu or 0) // _NANO_PER_MILLI)
    return int(memory or 0) * 1000


def _is_sound(held: ContainerUsage) -> bool:
    """Rule 2, of a container's figures."""
    cpu, memory = held.cpu, held.memory
    return (
        cpu is not None
        and memory is not None
        and 0 <= cpu <= CPU_MAX
        and 0 <= memory <= MEMORY_MAX
    )


def _is_named(said: MetricMessage) -> bool:
    """It says whose value it is, in names of a sensible length."""
    if said.pod and said.object:
        return False
    if said.object and said.object.count("/") != 1:
        return False
    texts = (said.pod, said.object, *said.labels, *said.labels.values())
    return len(said.labels) <= LABELS_MAX and all(len(t) <= TEXT_MAX for t in texts)


def _series(said: MetricMessage) -> Series:
    listed = tuple(sorted(said.labels.items()))
    if said.pod:
        return Series("pod", said.pod, listed)
    if said.object:
        kind, _, name = said.object.partition("/")
        return Series("object", f"{kind.lower()}/{name}", listed)
    return Series("external", "", listed)
