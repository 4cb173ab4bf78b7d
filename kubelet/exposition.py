"""The kubelet's /metrics: what its containers use, and how its nodes do.

1. Usage has cAdvisor's names and labels, as far as a runtime can tell it, and is asked
   of the runtime for each scrape: what is shown is of now.
2. A node whose runtime does not answer in time is left out and counted; the others are
   shown.

Imported only where metrics are served.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from adapters import exposition
from domain import errors
from kubelet import node

USAGE_SECONDS: Final = 5.0
"""So long all nodes together may take to tell what is used."""
_LABELS: Final = ("namespace", "pod", "container")


def board(nodes: Mapping[str, node.Node], counters: Counter[str]) -> exposition.Board:
    """What a kubelet of these nodes serves."""

    async def collect() -> Iterable[Metric]:
        return [*await _usage(nodes, counters), *_own(nodes, counters)]

    return exposition.Board(collect, why_unready=lambda: _why_unready(nodes))


def _why_unready(nodes: Mapping[str, node.Node]) -> str:
    late = [each.name for each in nodes.values() if not each.synced.is_set()]
    if not nodes:
        return "no node has started yet"
    return f"not told yet what to run: {', '.join(late[:5])}" if late else ""


async def _usage(
    nodes: Mapping[str, node.Node], counters: Counter[str]
) -> list[Metric]:
    cpu = CounterMetricFamily(
        "container_cpu_usage_seconds",
        "CPU time that the container has used since its start.",
        labels=_LABELS,
    )
    memory = GaugeMetricFamily(
        "container_memory_working_set_bytes",
        "Memory that the container needs now.",
        labels=_LABELS,
    )
    try:
        async with asyncio.timeout(USAGE_SECONDS):
            for each in [*nodes.values()]:
                await _usage_of(each, cpu, memory, counters)
    except TimeoutError:
        counters["usage not told in time"] += 1
    return [cpu, memory]


async def _usage_of(
    each: node.Node,
    cpu: CounterMetricFamily,
    memory: GaugeMetricFamily,
    counters: Counter[str],
) -> None:
    try:
        used = await each.runtime.usage()
    except (OSError, errors.RollbookError):
        counters["usage not told"] += 1
        return
    pods = {found.uid: found for found in each.agent.statuses()}
    for found in used:
        held = pods.get(found.uid)
        if held is not None:
            labels = [held.namespace, held.name, found.container]
            cpu.add_metric(labels, found.cpu_seconds)
            memory.add_metric(labels, found.memory_bytes)


def _own(nodes: Mapping[str, node.Node], counters: Counter[str]) -> list[Metric]:
    notable = Counter(counters)
    pods = containers = 0
    for each in nodes.values():
        notable.update(each.agent.counters)
        for held in each.runtime.list():
            pods += 1
            containers += len(held.running)
    synced = sum(each.synced.is_set() for each in nodes.values())
    return [
        exposition.gauge("kubelet_running_pods", "Pods that the runtime holds.", pods),
        exposition.gauge(
            "kubelet_running_containers", "Containers that run.", containers
        ),
        exposition.gauge(
            "rollbook_kubelet_nodes", "Nodes of this process.", len(nodes)
        ),
        exposition.gauge(
            "rollbook_kubelet_synced_nodes", "Nodes that know what to run.", synced
        ),
        exposition.counters(
            "rollbook_kubelet_notable",
            "What was refused, repeated, late or out of order.",
            ["what"],
            [((what,), value) for what, value in notable.items()],
        ),
    ]
