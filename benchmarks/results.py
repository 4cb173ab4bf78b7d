"""What is measured, as data: the structs that the table and `--json` are made of."""

import math
import statistics
from collections.abc import Sequence

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all results."""


class Quantiles(Struct, frozen=True, kw_only=True):
    """Milliseconds of `count` measurements, by nearest rank."""

    p50: float
    p99: float
    count: int


class Operation(Struct, frozen=True, kw_only=True):
    """One change of the whole Deployment, from its command to its completion.

    `seconds` end when RolloutCompleted was seen in the committed log, `answered` when
    the command's answer came. `cpu` is seconds by process until all is quiet again,
    `events` what the log has grown by until then.
    """

    name: str
    pods: int
    seconds: float
    answered: float
    cpu: dict[str, float]
    events: int

    @property
    def rate(self) -> float:
        """Pods per second."""
        return self.pods / self.seconds

    @property
    def events_per_pod(self) -> float:
        """How much of the log one pod takes."""
        return self.events / self.pods


class Sizes(Struct, frozen=True, kw_only=True):
    """Bytes on disk once everything has ended, for `created` pods and `events`."""

    store: int
    relay: int
    created: int
    events: int


class Run(Struct, frozen=True, kw_only=True):
    """Everything that was measured on one fresh system with `pods` pods."""

    pods: int
    nodes: int
    operations: dict[str, Operation]
    latencies: dict[str, Quantiles]
    idle: dict[str, float]
    """Cores that each process takes while nothing happens."""
    peak_memory: dict[str, int]
    """Bytes by process."""
    sizes: Sizes
    problems: list[str]
    """What the check of the log found; empty is right."""


def quantiles(seconds: Sequence[float]) -> Quantiles:
    """The nearest-rank quantiles of at least one measurement."""
    ranked = sorted(seconds)

    def rank(share: float) -> float:
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)] * 1000

    return Quantiles(p50=rank(0.5), p99=rank(0.99), count=len(ranked))


def median(values: Sequence[float]) -> float:
    """The middle of several runs."""
    return statistics.median(values)
