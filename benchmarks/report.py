"""The results for people (an aligned table) and for programs (JSON).

Of several runs each figure is the median; the JSON holds all of them.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from benchmarks.results import Run, Struct, median

PEER: Final = {
    ("create", 1000): (126, 174),
    ("create", 5000): (96, 127),
    ("roll", 1000): (88, 91),
    ("roll", 5000): (59, 73),
    ("undo", 1000): (82, 104),
    ("undo", 5000): (72, 86),
}
"""Pods/s of the peer: Kubernetes 1.36.2 (etcd 3.6 with fsync, kube-apiserver,
kube-controller-manager and kube-scheduler, client limits opened wide) with 100
simulated nodes on a machine with 2 cores and 24 GiB, two runs: lowest, highest. It was
not measured in the same hour as anything that stands beside it here."""
PEER_MEMORY: Final = {1000: "1.1 GB", 5000: "2.4 GB"}
PEER_DISK: Final = {1000: "170 MB", 5000: "507 MB"}
PEER_DELETED: Final = {5000: "11.8 / 15.5"}
PEER_IDLE: Final = {1000: "about 0.1", 5000: "about 0.1"}

DEMAND_SIZE: Final = 5000
DEMAND_RATE: Final = 1000.0
DEMAND_SMALL: Final = 1000
DEMAND_SHARE: Final = 0.8

OPERATIONS: Final = {
    "create": "create until all Available",
    "roll": "rolling update, 25 %/25 %",
    "undo": "roll back (undo)",
}
LATENCIES: Final = {
    "command": "command answered durable",
    "delete": "pod deleted → replacement committed",
    "death": "pod reported gone → replacement committed",
}
CAPTION: Final = """\
A rate ends when the driver has seen RolloutCompleted in the committed log (told of each
commit by rollbook.committed, it reads the Deployment's stream in the store). "pod
reported gone": nothing makes a chosen hollow pod die, so the death is the report of its
node, published with the node's login. CPU counts until the system is quiet again."""


class Report(Struct, frozen=True, kw_only=True):
    """All runs, and what they were made on."""

    machine: dict[str, str]
    store: str
    seconds: float
    runs: tuple[Run, ...]

    @property
    def sizes(self) -> list[int]:
        """The numbers of pods, ascending."""
        return sorted({run.pods for run in self.runs})

    def at(self, pods: int, figure: Callable[[Run], float]) -> float:
        """The median of a figure over the runs of a size."""
        return median([figure(run) for run in self.runs if run.pods == pods])


class Demand(Struct, frozen=True, kw_only=True):
    """What the project asks of itself."""

    text: str
    found: str
    met: bool


def demands(report: Report) -> list[Demand]:
    """The demands that the sizes of this report can answer."""
    found = []
    if DEMAND_SIZE in report.sizes:
        rate = report.at(DEMAND_SIZE, _rate("create"))
        found.append(
            Demand(
                text=f"create {DEMAND_SIZE:,} pods at {DEMAND_RATE:,.0f} pods/s",
                found=f"{rate:,.0f} pods/s",
                met=rate >= DEMAND_RATE,
            )
        )
        if DEMAND_SMALL in report.sizes:
            share = rate / report.at(DEMAND_SMALL, _rate("create"))
            found.append(
                Demand(
                    text=f"rate at {DEMAND_SIZE:,} pods at least "
                    f"{DEMAND_SHARE:.0%} of that at {DEMAND_SMALL:,}",
                    found=f"{share:.0%}",
                    met=share >= DEMAND_SHARE,
                )
            )
    return found


def json(report: Report) -> bytes:
    """Everything, with the rates and the demands."""
    document = {
        **msgspec.to_builtins(report),
        "rates": {
            f"{name}/{pods}": report.at(pods, _rate(name))
            for name in OPERATIONS
            for pods in report.sizes
        },
        "demands": msgspec.to_builtins(demands(report)),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def text(report: Report) -> str:
    """The tables, the verdict on the log, and the demands."""
    blocks = [
        _head(report),
        _figures(report),
        CAPTION,
        _processes(report),
        _verdict(report),
    ]
    for demand in demands(report):
        word = "pass" if demand.met else "FAIL"
        blocks.append(f"{word}: {demand.text}: {demand.found}")
    return "\n\n".join(blocks[:-2]) + "\n\n" + "\n".join(blocks[-2:])


# --- blocks -----------------------------------------------------------------------


def _head(report: Report) -> str:
    now = datetime.now(UTC)
    runs = len(report.runs) // len(report.sizes)
    nodes = report.runs[0].nodes
    lines = [f"Rollbook benchmark, {now:%Y-%m-%d %H:%M} UTC, {report.seconds:.0f} s"]
    lines += [f"  {name:<12} {value}" for name, value in report.machine.items()]
    durable = "WAL, synchronous=FULL" if report.store == "sqlite" else "its defaults"
    lines += [
        f"  {'settings':<12} {nodes} hollow nodes in one process, store "
        f"{report.store} ({durable}), embedded nats-server with permissions,",
        f"  {'':<12} control, api and kubelets as processes; "
        f"{'median of ' if runs > 1 else ''}{runs} run{'s' * (runs > 1)}",
    ]
    return "\n".join(lines)


def _figures(report: Report) -> str:
    sizes = report.sizes
    small, large = sizes[0], sizes[-1]
    compare = [f"{large:,} / {small:,}"] if small != large else []
    rows = [["", "", *(f"{n:,} pods" for n in sizes), *compare, f"peer, {large:,}"]]

    def add(
        label: str, unit: str, form: str, figure: Callable[[Run], float], peer: str = ""
    ) -> None:
        values = [report.at(size, figure) for size in sizes]
        cells = [format(value, form) if value else "–" for value in values]
        if compare:
            cells.append(f"{values[-1] / values[0]:.0%}" if values[0] else "")
        rows.append([label, unit, *cells, peer])

    for name, label in OPERATIONS.items():
        add(label, "pods/s", ",.0f", _rate(name), _peer(report, name, large))
    for name in OPERATIONS:
        add(f"events per pod, {name}", "", ".2f", _events(name))
    for name, label in LATENCIES.items():
        peer = PEER_DELETED.get(large, "") if name == "delete" else ""
        first, _, last = peer.partition(" / ")
        add(f"{label}, p50", "ms", ".1f", _latency(name, "p50"), first)
        add(f"{label}, p99", "ms", ".1f", _latency(name, "p99"), last)
    memory = PEER_MEMORY.get(large, "")
    add("memory, without the nodes", "MB", ",.0f", _memory, memory)
    add("store on disk", "MB", ",.1f", _store_mb, PEER_DISK.get(large, ""))
    add("store, per pod ever created", "bytes", ",.0f", _store_per_pod)
    add("store, per event", "bytes", ",.0f", _store_per_event)
    add("EVENTS on disk, per pod ever created", "bytes", ",.0f", _relay_per_pod)
    add("idle, all processes", "cores", ".3f", _idle, PEER_IDLE.get(large, ""))
    return _aligned(rows, left=2)


def _processes(report: Report) -> str:
    sizes = report.sizes
    rows = [
        [
            "CPU seconds per 1,000 pods",
            *(f"{name} {size:,}" for name in OPERATIONS for size in sizes),
            *(f"peak MB {size:,}" for size in sizes),
        ]
    ]
    names = list(report.runs[0].peak_memory)
    rows += [
        [
            f"  {name}",
            *(
                f"{report.at(size, _cpu(operation, name)):.3f}"
                for operation in OPERATIONS
                for size in sizes
            ),
            *(f"{report.at(size, _peak(name)):,.0f}" for size in sizes),
        ]
        for name in names
    ]
    totals = ["  all"]
    totals += [
        f"{sum(report.at(size, _cpu(operation, name)) for name in names):.3f}"
        for operation in OPERATIONS
        for size in sizes
    ]
    totals += [
        f"{sum(report.at(size, _peak(name)) for name in names):,.0f}" for size in sizes
    ]
    return _aligned([*rows, totals], left=1)


def _verdict(report: Report) -> str:
    problems = [
        f"  {run.pods:,} pods, {problem}"
        for run in report.runs
        for problem in run.problems
    ]
    if problems:
        return "\n".join(["FAIL: the log is wrong:", *problems])
    events = sum(run.sizes.events for run in report.runs)
    return (
        f"pass: the log is right ({events:,} events: positions and versions dense, no "
        "node over its allocatable,\n      surge and availability kept in every step, "
        "final counts right)"
    )


def _aligned(rows: Sequence[Sequence[str]], left: int) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _peer(report: Report, name: str, size: int) -> str:
    """The peer's range, and how many times as fast this is."""
    if (name, size) not in PEER:
        return ""
    low, high = PEER[name, size]
    rate = report.at(size, _rate(name))
    return f"{low}–{high} (× {rate / high:.0f}–{rate / low:.0f})"


# --- figures ----------------------------------------------------------------------


def _rate(name: str) -> Callable[[Run], float]:
    return lambda run: run.operations[name].rate


def _events(name: str) -> Callable[[Run], float]:
    return lambda run: run.operations[name].events_per_pod


def _latency(name: str, quantile: str) -> Callable[[Run], float]:
    return lambda run: float(getattr(run.latencies[name], quantile))


def _cpu(operation: str, process: str) -> Callable[[Run], float]:
    def found(run: Run) -> float:
        measured = run.operations[operation]
        return measured.cpu.get(process, 0.0) / measured.pods * 1000

    return found


def _peak(process: str) -> Callable[[Run], float]:
    return lambda run: run.peak_memory.get(process, 0) / 1e6


_NOT_THE_SYSTEM: Final = ("hollow", "benchmark")


def _memory(run: Run) -> float:
    return sum(
        size / 1e6
        for name, size in run.peak_memory.items()
        if name not in _NOT_THE_SYSTEM
    )


def _idle(run: Run) -> float:
    return sum(run.idle.values())


def _store_mb(run: Run) -> float:
    return run.sizes.store / 1e6


def _store_per_pod(run: Run) -> float:
    return run.sizes.store / run.sizes.created


def _store_per_event(run: Run) -> float:
    return run.sizes.store / run.sizes.events


def _relay_per_pod(run: Run) -> float:
    return run.sizes.relay / run.sizes.created
