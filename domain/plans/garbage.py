"""Pods that nobody will ever remove but us (spec 4.8).

1. Orphaned: its node does not exist, and has been missing for 40 s. It fails and goes.
2. Out of service: it is terminating on a node that is not ready and carries the
   out-of-service taint. It fails and goes without a word from the node.
3. Unscheduled and terminating: there is no node that could confirm.
4. Too many terminated pods: beyond 12500 of them, evicted ones first, then the oldest.

The first rule that wants a pod takes it. How long a node has been missing is a value
that comes in and goes out again; nothing is remembered here.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from domain.plans import placement

PERIOD: Final = 20.0
"""Seconds between two collections."""
QUARANTINE: Final = 40.0
"""Seconds for which a node must be missing before its pods are given up."""
TERMINATED_MAX: Final = 12_500
"""How many terminated pods are kept, in the whole cluster."""
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"

assert PERIOD < QUARANTINE, "a node that comes back within one period keeps its pods"

Why = Literal["orphaned", "out-of-service", "unscheduled", "terminated"]

_MESSAGES: Final[dict[Why, tuple[str, str]]] = {
    "orphaned": ("DeletionByPodGC", "PodGC: node no longer exists"),
    "out-of-service": ("DeletionByPodGC", "PodGC: node is out of service"),
    "unscheduled": ("", "PodGC: terminating, and never bound to a node"),
    "terminated": ("", "PodGC: too many terminated pods"),
}


class PodFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the collection needs to see of a pod."""

    key: str
    node: str | None
    phase: str
    created_at: float
    terminating: bool = False
    evicted: bool = False
    """It failed with reason `Evicted`."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the collection needs to see of a node that exists."""

    ready: bool
    taints: tuple[placement.Taint, ...] = ()


class RemovePod(msgspec.Struct, frozen=True, kw_only=True):
    """Remove the pod at once; where `fail`, its phase becomes Failed first.

    `reason` is that of the DisruptionTarget condition; empty where there is none.
    """

    pod: str
    why: Why
    fail: bool
    reason: str
    message: str


class GarbagePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The pods to remove, each in one bucket."""

    orphaned: tuple[RemovePod, ...] = ()
    out_of_service: tuple[RemovePod, ...] = ()
    unscheduled: tuple[RemovePod, ...] = ()
    terminated: tuple[RemovePod, ...] = ()
    missing: Mapping[str, float] = {}
    """Since when each node that pods are bound to was missing; for the next plan."""
    wake_at: float | None = None
    """When the next quarantine ends."""


def is_empty(found: GarbagePlan) -> bool:
    """Whether nothing is to be removed."""
    return not (
        found.orphaned or found.out_of_service or found.unscheduled or found.terminated
    )


def plan(
    pods: Iterable[PodFacts],
    nodes: Mapping[str, NodeFacts],
    missing: Mapping[str, float],
    now: float,
    *,
    terminated_max: int = TERMINATED_MAX,
) -> GarbagePlan:
    """The pods to remove now.

    `missing` is that of the plan before (or when nodes were removed). `pods` may leave
    out pods that no rule can want: running ones whose node exists.
    """
    since: dict[str, float] = {}
    buckets: dict[Why, list[PodFacts]] = {each: [] for each in _MESSAGES}
    terminated: list[PodFacts] = []
    for pod in pods:
        if pod.node and pod.node not in nodes:
            since[pod.node] = missing.get(pod.node, now)
            if now - since[pod.node] >= QUARANTINE:
                buckets["orphaned"].append(pod)
                continue
        if pod.terminating and not pod.node:
            buckets["unscheduled"].append(pod)
        elif pod.terminating and _is_out_of_service(nodes.get(pod.node or "")):
            buckets["out-of-service"].append(pod)
        elif pod.phase in ("Succeeded", "Failed"):
            terminated.append(pod)
    excess = len(terminated) - terminated_max
    if excess > 0:
        terminated.sort(key=lambda pod: (not pod.evicted, pod.created_at, pod.key))
        buckets["terminated"] = terminated[:excess]
    ends = [each + QUARANTINE for each in since.values() if now - each < QUARANTINE]
    return GarbagePlan(
        orphaned=_removals("orphaned", buckets),
        out_of_service=_removals("out-of-service", buckets),
        unscheduled=_removals("unscheduled", buckets),
        terminated=_removals("terminated", buckets),
        missing=since,
        wake_at=min(ends, default=None),
    )


def _is_out_of_service(node: NodeFacts | None) -> bool:
    if node is None or node.ready:
        return False
    return any(taint.key == OUT_OF_SERVICE for taint in node.taints)


def _removals(
    why: Why, buckets: Mapping[Why, Iterable[PodFacts]]
) -> tuple[RemovePod, ...]:
    reason, message = _MESSAGES[why]
    return tuple(
        RemovePod(
            pod=pod.key,
            why=why,
            # A phase never leaves Succeeded or Failed (spec 4.1).
            fail=bool(reason) and pod.phase not in ("Succeeded", "Failed"),
            reason=reason,
            message=message,
        )
        for pod in buckets[why]
    )
