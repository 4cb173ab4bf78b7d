"""What is measured, as data: the table, the plot and the JSON are made of this alone.

1. An `Outcome` is one scenario at one size in one run. A figure that was not reached
   is not in it: nothing is filled in.
2. `FIGURES` says once what each figure is called, its unit, and how it is printed.
3. `TARGETS` is what the project asks of itself; the last row that fits is in force.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all results."""


class Point(NamedTuple):
    """The cluster at a moment: seconds since the scenario's first command."""

    at: float
    pods: int
    """Pods that count for their ReplicaSets."""
    available: int


class Outcome(Struct, frozen=True, kw_only=True):
    """One scenario at one size in one run."""

    scenario: str
    pods: int
    nodes: int
    run: int = 1
    figures: dict[str, float] = {}
    """By the names of `FIGURES`."""
    tenths: tuple[float, ...] = ()
    """Pods per second of each tenth of the pods, in the order they became available."""
    cpu: dict[str, float] = {}
    """Seconds by role of process, until all was quiet again."""
    memory: dict[str, int] = {}
    """Bytes by role at its peak so far."""
    events: int = 0
    points: tuple[Point, ...] = ()
    problems: tuple[str, ...] = ()
    """What the checks found; empty is right."""
    stopped: str = ""
    """Where a deadline ended it: what was waited for, and how far it had come."""


class Figure(NamedTuple):
    """How a figure is called and printed."""

    label: str
    unit: str
    form: str


FIGURES: Final[dict[str, Figure]] = {
    "rate": Figure("rate", "pods/s", ",.0f"),
    "seconds": Figure("took", "s", ",.2f"),
    "tail": Figure("last tenth / first tenth", "%", ",.0f"),
    "answered": Figure("command answered", "ms", ",.1f"),
    "answered_p50": Figure("command answered, p50", "ms", ",.1f"),
    "answered_p99": Figure("command answered, p99", "ms", ",.1f"),
    "ready_p50": Figure("command → pod Ready seen, p50", "ms", ",.1f"),
    "ready_p99": Figure("command → pod Ready seen, p99", "ms", ",.1f"),
    "get_1_rate": Figure("get a Deployment, 1 client", "1/s", ",.0f"),
    "get_1_p50": Figure("get a Deployment, 1 client, p50", "ms", ",.1f"),
    "get_1_p99": Figure("get a Deployment, 1 client, p99", "ms", ",.1f"),
    "get_16_rate": Figure("get a Deployment, 16 clients", "1/s", ",.0f"),
    "get_16_p50": Figure("get a Deployment, 16 clients, p50", "ms", ",.1f"),
    "get_16_p99": Figure("get a Deployment, 16 clients, p99", "ms", ",.1f"),
    "get_64_rate": Figure("get a Deployment, 64 clients", "1/s", ",.0f"),
    "get_64_p50": Figure("get a Deployment, 64 clients, p50", "ms", ",.1f"),
    "get_64_p99": Figure("get a Deployment, 64 clients, p99", "ms", ",.1f"),
    "list_1_rate": Figure("list all pods, 1 client", "1/s", ",.0f"),
    "list_1_p50": Figure("list all pods, 1 client, p50", "ms", ",.1f"),
    "list_1_p99": Figure("list all pods, 1 client, p99", "ms", ",.1f"),
    "list_16_rate": Figure("list all pods, 16 clients", "1/s", ",.0f"),
    "list_16_p50": Figure("list all pods, 16 clients, p50", "ms", ",.1f"),
    "list_16_p99": Figure("list all pods, 16 clients, p99", "ms", ",.1f"),
    "list_64_rate": Figure("list all pods, 64 clients", "1/s", ",.0f"),
    "list_64_p50": Figure("list all pods, 64 clients, p50", "ms", ",.1f"),
    "list_64_p99": Figure("list all pods, 64 clients, p99", "ms", ",.1f"),
    "patch_1_rate": Figure("patch a Deployment, 1 client", "1/s", ",.0f"),
    "patch_1_p50": Figure("patch a Deployment, 1 client, p50", "ms", ",.1f"),
    "patch_1_p99": Figure("patch a Deployment, 1 client, p99", "ms", ",.1f"),
    "patch_16_rate": Figure("patch a Deployment, 16 clients", "1/s", ",.0f"),
    "patch_16_p50": Figure("patch a Deployment, 16 clients, p50", "ms", ",.1f"),
    "patch_16_p99": Figure("patch a Deployment, 16 clients, p99", "ms", ",.1f"),
    "patch_64_rate": Figure("patch a Deployment, 64 clients", "1/s", ",.0f"),
    "patch_64_p50": Figure("patch a Deployment, 64 clients, p50", "ms", ",.1f"),
    "patch_64_p99": Figure("patch a Deployment, 64 clients, p99", "ms", ",.1f"),
    "told_p50": Figure("event in the log → read on a watch, p50", "ms", ",.1f"),
    "told_p99": Figure("event in the log → read on a watch, p99", "ms", ",.1f"),
    "noticed_p50": Figure("pod death → on the wire, p50", "ms", ",.1f"),
    "committed_p50": Figure("on the wire → replacement committed, p50", "ms", ",.1f"),
    "committed_p99": Figure("on the wire → replacement committed, p99", "ms", ",.1f"),
    "again_p50": Figure("pod death → replacement Ready, p50", "ms", ",.1f"),
    "again_p99": Figure("pod death → replacement Ready, p99", "ms", ",.1f"),
    "engine_start_p50": Figure("the engine alone starts a pod, p50", "ms", ",.0f"),
    "engine_start_p99": Figure("the engine alone starts a pod, p99", "ms", ",.0f"),
    "start_p50": Figure("pod given to its node → running, p50", "ms", ",.0f"),
    "start_p99": Figure("pod given to its node → running, p99", "ms", ",.0f"),
    "start_share": Figure("of that beyond the engine's, p50", "%", ",.0f"),
    "engine_end_p50": Figure("container dead → the engine says so, p50", "ms", ",.1f"),
    "engine_end_p99": Figure("container dead → the engine says so, p99", "ms", ",.1f"),
    "end_p50": Figure("container dead → committed, p50", "ms", ",.1f"),
    "end_p99": Figure("container dead → committed, p99", "ms", ",.1f"),
    "detected": Figure("nodes dead → first seen not ready", "s", ",.2f"),
    "replaced": Figure("not ready → all pods replaced and Ready", "s", ",.2f"),
    "control_ready": Figure("control ready", "s", ",.2f"),
    "api_ready": Figure("api ready", "s", ",.2f"),
    "idle_cores": Figure("idle, without the kubelets", "cores", ",.3f"),
    "idle_events": Figure("events written while idle", "", ",.0f"),
    "heartbeats": Figure("heartbeats heard", "1/s", ",.0f"),
    "cpu_per_pod": Figure("CPU per pod, without the kubelets", "ms", ",.3f"),
    "cpu_per_life": Figure("CPU per pod's life, without the kubelets", "ms", ",.3f"),
    "events_per_pod": Figure("events per pod", "", ",.2f"),
    "store_per_life": Figure("store per pod ever created", "bytes", ",.0f"),
    "relay_per_life": Figure("EVENTS per pod ever created", "bytes", ",.0f"),
    "store_bytes": Figure("store", "MB", ",.1f"),
    "events": Figure("events in the log", "", ",.0f"),
    "event_bytes": Figure("store per event", "bytes", ",.0f"),
    "replay_rate": Figure("full replay", "events/s", ",.0f"),
    "replay_cpu_rate": Figure("full replay, of processor time", "events/s", ",.0f"),
    "snapshot_start": Figure("the writer's state from a snapshot", "s", ",.2f"),
    "tail_events": Figure("events behind that snapshot", "", ",.0f"),
    "folded": Figure("the reader's first fold", "s", ",.2f"),
    "indexed": Figure("index of who belongs to whom", "s", ",.2f"),
    "at_pod_p50": Figure("--at, a pod, p50", "ms", ",.2f"),
    "at_pod_p99": Figure("--at, a pod, p99", "ms", ",.2f"),
    "at_node_p50": Figure("--at, a node, p50", "ms", ",.2f"),
    "at_node_p99": Figure("--at, a node, p99", "ms", ",.2f"),
    "at_replicaset_p50": Figure("--at, a ReplicaSet, p50", "ms", ",.2f"),
    "at_replicaset_p99": Figure("--at, a ReplicaSet, p99", "ms", ",.2f"),
    "at_deployment_p50": Figure("--at, a Deployment, p50", "ms", ",.2f"),
    "at_deployment_p99": Figure("--at, a Deployment, p99", "ms", ",.2f"),
    "at_deployment_full_p50": Figure("--at, a Deployment in full, p50", "ms", ",.1f"),
    "at_deployment_full_p99": Figure("--at, a Deployment in full, p99", "ms", ",.1f"),
    "at_whole_p50": Figure("--at, all pods, p50", "ms", ",.0f"),
    "at_whole_p99": Figure("--at, all pods, p99", "ms", ",.0f"),
    "verify_rate": Figure("verify, as it is typed", "events/s", ",.0f"),
    "verify_check_rate": Figure("verify, hashes and causes", "events/s", ",.0f"),
    "verify_fold_rate": Figure("verify, read and folded", "events/s", ",.0f"),
    "revisions": Figure("revisions", "", ",.0f"),
    "history_page_p50": Figure("history, first page, p50", "ms", ",.2f"),
    "history_page_p99": Figure("history, first page, p99", "ms", ",.2f"),
    "history_present_p99": Figure("history, with a ReplicaSet, p99", "ms", ",.2f"),
    "history_templates_p99": Figure("history, with templates, p99", "ms", ",.2f"),
    "history_middle_p99": Figure("history, page in the middle, p99", "ms", ",.2f"),
    "history_one_p99": Figure("history --revision, p99", "ms", ",.2f"),
    "history_wide_p99": Figure("history --revision -o wide, p99", "ms", ",.2f"),
    "append_1": Figure("append of 1 event", "ms", ",.3f"),
    "append_30": Figure("append of 30 events", "ms", ",.3f"),
    "append_1000": Figure("append of 1,000 events", "ms", ",.3f"),
    "sealed_1": Figure("its seal, of an append of 1", "%", ",.1f"),
    "sealed_30": Figure("its seal, of an append of 30", "%", ",.1f"),
    "sealed_1000": Figure("its seal, of an append of 1,000", "%", ",.1f"),
    "tree": Figure("hash tree, behind the commit, per event", "µs", ",.2f"),
    "memory_bytes": Figure("peak memory, without the kubelets", "MB", ",.0f"),
}
MEGA: Final = frozenset({"store_bytes", "memory_bytes"})


class Target(NamedTuple):
    """`figure` of `scenario` shall be at least (or at most) `bound` from `pods` on."""

    scenario: str
    figure: str
    least: bool
    bound: float
    pods: int = 0
    nodes: int = 0


TARGETS: Final = (
    Target("create", "rate", True, 3_000, pods=5_000),
    Target("roll", "rate", True, 2_000, pods=5_000),
    Target("roll", "cpu_per_life", False, 1.0, pods=1_000),
    Target("undo", "rate", True, 2_000, pods=5_000),
    Target("undo", "cpu_per_life", False, 1.0, pods=1_000),
    Target("undo", "store_per_life", False, 1_536, pods=1_000),
    Target("million", "seconds", False, 600, pods=1_000_000),
    Target("million", "tail", True, 85),
    Target("million", "memory_bytes", False, 12 * 1024**3),
    Target("latency", "ready_p99", False, 100),
    Target("latency", "answered_p50", False, 3),
    Target("latency", "answered_p99", False, 15),
    Target("reaction", "committed_p99", False, 10),
    Target("idle", "idle_cores", False, 0.5, nodes=1),
    Target("restart", "control_ready", False, 20),
    Target("restart", "api_ready", False, 20),
    Target("replay", "replay_rate", True, 200_000),
    Target("replay", "snapshot_start", False, 2),
    Target("past", "at_pod_p99", False, 10),
    Target("past", "at_node_p99", False, 10),
    Target("past", "at_replicaset_p99", False, 10),
    Target("past", "at_deployment_p99", False, 10),
    Target("past", "at_deployment_full_p99", False, 10),
    Target("past", "at_whole_p99", False, 1_000),
    Target("verify", "verify_rate", True, 200_000),
    Target("history", "history_page_p99", False, 10),
    Target("history", "history_templates_p99", False, 10),
    Target("history", "history_middle_p99", False, 10),
    Target("history", "history_one_p99", False, 10),
    Target("sealing", "sealed_1", False, 5),
    Target("sealing", "sealed_30", False, 5),
    Target("sealing", "sealed_1000", False, 5),
)
SHARE_AT_SCALE: Final = 0.85
"""The rate at the largest size, of that at `SCALE_BASE` pods, shall be this or more."""
SCALE_BASE: Final = 5_000


def target(outcome: Outcome, figure: str) -> Target | None:
    """What is asked of this figure at this size, if anything is."""
    fitting = [
        each
        for each in TARGETS
        if (each.scenario, each.figure) == (outcome.scenario, figure)
        and outcome.pods >= each.pods
        and outcome.nodes >= each.nodes
    ]
    return fitting[-1] if fitting else None


def met(wanted: Target, value: float) -> bool:
    """Whether `value` is what was asked for."""
    return value >= wanted.bound if wanted.least else value <= wanted.bound


class Quantiles(Struct, frozen=True, kw_only=True):
    """Milliseconds of `count` measurements, by nearest rank."""

    p50: float
    p99: float
    count: int


def quantiles(seconds: Sequence[float]) -> Quantiles:
    """Of at least one measurement; each is a value that was measured."""
    ranked = sorted(seconds)

    def rank(share: float) -> float:
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)] * 1000

    return Quantiles(p50=rank(0.5), p99=rank(0.99), count=len(ranked))


def percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """The figures `<name>_p50` and `<name>_p99`; none where nothing was measured."""
    if not seconds:
        return {}
    found = quantiles(seconds)
    return {f"{name}_p50": found.p50, f"{name}_p99": found.p99}


def median(values: Sequence[float]) -> float:
    """The middle of several runs."""
    return statistics.median(values)
