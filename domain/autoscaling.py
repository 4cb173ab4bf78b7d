"""How many pods a metric asks for, and how fast a size may follow (spec 5.3, 5.5).

1. Values are whole thousandths of their unit; ratios are IEEE doubles, and nothing
   but a percentage and an average is divided as integers: Kubernetes' arithmetic.
2. A pod that says nothing never makes the answer bolder: on the way down it is taken
   to use all that it asked for, on the way up nothing.
3. Nothing here ever proposes a size beyond 32 bits; limits are the caller's (`limit`).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

INT32_MAX: Final = 2**31 - 1
TOLERANCE: Final = 0.1
DOWNSCALE_WINDOW: Final = 300.0
CPU_INITIALIZATION: Final = 300.0
READINESS_DELAY: Final = 30.0
_LEGACY_FACTOR: Final = 2
_LEGACY_LEAST: Final = 4


class MetricError(Exception):
    """A metric has no answer; the text is Kubernetes'."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One measured value: thousandths of the unit, averaged over the `window` seconds
    before `at`."""

    value: int
    at: float
    window: float


class PodFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as grouping sees it; `started_at` is None while its node has not said so.

    `ready` is None where there is no Ready condition; `ready_changed_at` is when it
    last flipped.
    """

    name: str
    phase: str
    terminating: bool
    ready: bool | None
    ready_changed_at: float
    started_at: float | None


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """The pods' names by class (spec 5.3)."""

    ready: tuple[str, ...]
    unready: tuple[str, ...]
    missing: tuple[str, ...]
    ignored: tuple[str, ...]


class Tolerances(msgspec.Struct, frozen=True, kw_only=True):
    """How far a ratio may be from 1 without a change."""

    down: float = TOLERANCE
    up: float = TOLERANCE

    def within(self, ratio: float) -> bool:
        """The ratio is as good as 1."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What one metric asks for.

    `average` is thousandths per pod, `percent` of what was requested where the target
    is one; `pods` is how many samples counted.
    """

    replicas: int
    average: int = 0
    percent: int | None = None
    pods: int = 0


# --- grouping ---------------------------------------------------------------------


def group(
    pods: Iterable[PodFacts], samples: Mapping[str, Sample], now: float, *, cpu: bool
) -> Groups:
    """Each pod's class, by the table of spec 5.3."""
    found: dict[str, list[str]] = {
        "ready": [], "unready": [], "missing": [], "ignored": [],
    }  # fmt: skip
    for each in pods:
        found[_class(each, samples.get(each.name), now, cpu)].append(each.name)
    return Groups(
        ready=tuple(found["ready"]),
        unready=tuple(found["unready"]),
        missing=tuple(found["missing"]),
        ignored=tuple(found["ignored"]),
    )


def _class(
    held: PodFacts, sample: Sample | None, now: float, cpu: bool
) -> Literal["ready", "unready", "missing", "ignored"]:
    if held.terminating or held.phase == "Failed":
        return "ignored"
    if held.phase == "Pending":
        return "unready"
    if sample is None:
        return "missing"
    return "unready" if cpu and _starts(held, sample, now) else "ready"


def _starts(held: PodFacts, sample: Sample, now: float) -> bool:
    """What the pod uses of the CPU is the work of its start."""
    if held.ready is None or held.started_at is None:
        return True
    if held.started_at + CPU_INITIALIZATION > now:
        return not held.ready or sample.at < held.ready_changed_at + sample.window
    never = held.ready_changed_at < held.started_at + READINESS_DELAY
    return not held.ready and never


# --- per metric -------------------------------------------------------------------


def by_utilization(
    current: int,
    target: int,
    pods: Sequence[PodFacts],
    samples: Mapping[str, Sample],
    requests: Mapping[str, int],
    tolerances: Tolerances,
    now: float,
    *,
    cpu: bool,
) -> Proposal:
    """Resource and ContainerResource with averageUtilization.

    `requests` are thousandths by pod, one for each pod. Raises `MetricError`.
    """

    def measure(values: Mapping[str, int]) -> tuple[float, int, int]:
        known = [name for name in values if name in requests]
        asked = sum(requests[name] for name in known)
        if not asked:
            raise MetricError("no metrics returned matched known pods")
        used = sum(values[name] for name in known)
        percent = used * 100 // asked
        return percent / target, percent, used // len(known)

    def assumed(name: str) -> int:
        return requests[name] * max(100, target) // 100

    return _from_pods(
        current, pods, samples, measure, assumed, tolerances, now, cpu=cpu, percent=True
    )


def by_average(
    current: int,
    target: int,
    pods: Sequence[PodFacts],
    samples: Mapping[str, Sample],
    tolerances: Tolerances,
    now: float,
    *,
    cpu: bool = False,
) -> Proposal:
    """Resource and Pods with averageValue. Raises `MetricError`."""

    def measure(values: Mapping[str, int]) -> tuple[float, int, int]:
        average = sum(values.values()) // len(values)
        return average / target, 0, average

    return _from_pods(
        current, pods, samples, measure, lambda _: target, tolerances, now,
        cpu=cpu, percent=False,
    )  # fmt: skip


def by_value(
    current: int,
    value: int,
    target: int,
    pods: Sequence[PodFacts],
    tolerances: Tolerances,
) -> Proposal:
    """Object and External with `value`. Raises `MetricError`."""
    ratio = value / target
    replicas = current
    if not current:
        replicas = _ceil(ratio)
    elif not tolerances.within(ratio):
        if not pods:
            raise MetricError(NO_PODS)
        ready = sum(each.phase == "Running" and bool(each.ready) for each in pods)
        replicas = _ceil(ratio * ready)
    return Proposal(replicas=replicas, average=value, pods=len(pods))


def by_value_per_pod(
    there: int, value: int, target: int, tolerances: Tolerances
) -> Proposal:
    """Object and External with averageValue; `there` is status.replicas."""
    if not there:
        return Proposal(replicas=_ceil(value / target))
    replicas = there
    if not tolerances.within(value / (target * there)):
        replicas = _ceil(value / target)
    return Proposal(replicas=replicas, average=-(-value // there), pods=there)


NO_PODS: Final = "no pods returned by selector while calculating replica count"
NO_SAMPLES: Final = "did not receive metrics for targeted pods (pods might be unready)"


def _from_pods(
    current: int,
    pods: Sequence[PodFacts],
    samples: Mapping[str, Sample],
    measure: Callable[[Mapping[str, int]], tuple[float, int, int]],
    assumed: Callable[[str], int],
    tolerances: Tolerances,
    now: float,
    *,
    cpu: bool,
    percent: bool,
) -> Proposal:
    """Both passes of spec 5.3. `measure` makes of values by pod their ratio to the
    target, the percentage and the average; `assumed` is what a pod that says nothing
    is taken to use."""
    if not pods:
        raise MetricError(NO_PODS)
    groups = group(pods, samples, now, cpu=cpu)
    dropped = {*groups.ignored, *groups.unready}
    values = {name: held.value for name, held in samples.items() if name not in dropped}
    if not values:
        raise MetricError(NO_SAMPLES)
    ratio, used, average = measure(values)

    def answer(replicas: int) -> Proposal:
        return Proposal(
            replicas=replicas,
            average=average,
            percent=used if percent else None,
            pods=len(values),
        )

    with_unready = bool(groups.unready) and ratio > 1.0
    if not with_unready and not groups.missing:
        if tolerances.within(ratio):
            return answer(current)
        return answer(_ceil(ratio * len(groups.ready)))
    all_of = dict(values)
    for name in groups.missing:
        if ratio < 1.0:
            all_of[name] = assumed(name)
        elif ratio > 1.0:
            all_of[name] = 0
    if with_unready:
        all_of.update(dict.fromkeys(groups.unready, 0))
    again = measure(all_of)[0]
    turned = (ratio < 1.0 < again) or (again < 1.0 < ratio)
    if tolerances.within(again) or turned:
        return answer(current)
    replicas = _ceil(again * len(all_of))
    against = (again < 1.0 and replicas > current) or (
        again > 1.0 and replicas < current
    )
    return answer(current if against else replicas)


def _ceil(number: float) -> int:
    """Rounded up, within 32 bits (rule 3)."""
    if number >= INT32_MAX:
        return INT32_MAX
    return math.ceil(number)


# --- stabilisation and limits (spec 5.5) ------------------------------------------


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """So many pods, or percent of them, in `period` seconds."""

    percent: bool
    value: int
    period: float


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it goes in one direction; `select` is Max, Min or Disabled."""

    window: float
    select: str
    policies: tuple[Policy, ...]


class Behavior(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it goes up and down."""

    up: Rules
    down: Rules


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What an autoscaler remembers of its past: unstabilised proposals, and changes
    that it made, each with its time. Lost at a restart, as in Kubernetes."""

    recommendations: tuple[tuple[float, int], ...] = ()
    added: tuple[tuple[float, int], ...] = ()
    removed: tuple[tuple[float, int], ...] = ()


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal after stabilisation and limits.

    `stabilized` is the reason of AbleToScale, `limited` that of ScalingLimited; the
    status of the latter is `is_limited`.
    """

    replicas: int
    stabilized: Literal["ReadyForNewScale", "ScaleUpStabilized", "ScaleDownStabilized"]
    limited: str
    is_limited: bool


WITHIN: Final = "DesiredWithinRange"
MEMORY_SECONDS: Final = 3600.0
"""The longest window or period that a behavior can have."""


def settle(
    proposal: int,
    current: int,
    *,
    least: int,
    most: int,
    behavior: Behavior | None,
    memory: Memory,
    now: float,
) -> Settled:
    """The size that follows from `proposal`, between `least` and `most`."""
    if behavior is None:
        return _settle_plainly(proposal, current, least, most, memory, now)
    up_since = now - behavior.up.window
    down_since = now - behavior.down.window
    lowest = highest = proposal
    for at, size in memory.recommendations:
        if at > up_since:
            lowest = min(lowest, size)
        if at > down_since:
            highest = max(highest, size)
    steady = min(max(current, lowest), highest)
    why: Literal["ReadyForNewScale", "ScaleUpStabilized", "ScaleDownStabilized"]
    why = "ReadyForNewScale"
    if steady != proposal:
        why = "ScaleUpStabilized" if proposal >= current else "ScaleDownStabilized"
    replicas, limited = _at_rate(steady, current, least, most, behavior, memory, now)
    return Settled(
        replicas=replicas,
        stabilized=why,
        limited=limited,
        is_limited=replicas != steady,
    )


def remember(memory: Memory, now: float, proposal: int) -> Memory:
    """The memory with this proposal; what no window reaches any more is dropped."""
    return msgspec.structs.replace(
        memory, recommendations=(*_recent(memory.recommendations, now), (now, proposal))
    )


def changed(memory: Memory, now: float, before: int, after: int) -> Memory:
    """The memory with a change of the size."""
    added, removed = _recent(memory.added, now), _recent(memory.removed, now)
    if after > before:
        added = (*added, (now, after - before))
    elif after < before:
        removed = (*removed, (now, before - after))
    return msgspec.structs.replace(memory, added=added, removed=removed)


def _recent(
    held: tuple[tuple[float, int], ...], now: float
) -> tuple[tuple[float, int], ...]:
    since = now - MEMORY_SECONDS
    if not held or held[0][0] >= since:
        return held
    return tuple(each for each in held if each[0] >= since)


def _settle_plainly(
    proposal: int, current: int, least: int, most: int, memory: Memory, now: float
) -> Settled:
    """Without `behavior`."""
    since = now - DOWNSCALE_WINDOW
    recent = [size for at, size in memory.recommendations if at >= since]
    steady = max(proposal, *recent) if recent else proposal
    rate = max(_LEGACY_FACTOR * current, _LEGACY_LEAST)
    highest, reason = (
        (rate, "ScaleUpLimit") if most > rate else (most, "TooManyReplicas")
    )
    replicas, limited = steady, WITHIN
    if steady < least:
        replicas, limited = least, "TooFewReplicas"
    elif steady > highest:
        replicas, limited = highest, reason
    return Settled(
        replicas=replicas,
        stabilized="ReadyForNewScale" if steady == proposal else "ScaleDownStabilized",
        limited=limited,
        is_limited=replicas != steady,
    )


def _at_rate(
    wanted: int,
    current: int,
    least: int,
    most: int,
    behavior: Behavior,
    memory: Memory,
    now: float,
) -> tuple[int, str]:
    """The size that the policies allow in the direction of movement, and why."""
    if wanted > current:
        rate = max(_limit(current, behavior.up, memory, now, up=True), current)
        highest, reason = (
            (rate, "ScaleUpLimit") if most > rate else (most, "TooManyReplicas")
        )
        if wanted > highest:
            return highest, reason
    elif wanted < current:
        rate = min(_limit(current, behavior.down, memory, now, up=False), current)
        lowest, reason = (
            (rate, "ScaleDownLimit") if least < rate else (least, "TooFewReplicas")
        )
        if wanted < lowest:
            return lowest, reason
    return wanted, WITHIN


def _limit(current: int, rules: Rules, memory: Memory, now: float, *, up: bool) -> int:
    """How far the policies let it go; of down, Max is the boldest: the smallest."""
    if rules.select == "Disabled":
        return current
    found = []
    for policy in rules.policies:
        since = now - policy.period
        added = sum(number for at, number in memory.added if at > since)
        removed = sum(number for at, number in memory.removed if at > since)
        start = current - added + removed
        found.append(_allowed(start, policy, up=up))
    boldest = max if up else min
    mildest = min if up else max
    return (mildest if rules.select == "Min" else boldest)(found)


def _allowed(start: int, policy: Policy, *, up: bool) -> int:
    if not policy.percent:
        return start + policy.value if up else start - policy.value
    share = policy.value / 100
    return _ceil(start * (1 + share)) if up else math.trunc(start * (1 - share))
