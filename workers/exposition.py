"""The writer's /metrics: what workers/measuring.py has, as Prometheus' families.

Imported only where metrics are served.
"""

from collections.abc import Iterable

from prometheus_client.core import Metric

from adapters import exposition
from adapters.exposition import counter, counters, gauge, gauges, histogram
from workers.measuring import Look, Numbers


def board(numbers: Numbers) -> exposition.Board:
    """What control serves."""

    async def collect() -> Iterable[Metric]:
        return families(numbers)

    return exposition.Board(collect, why_unready=lambda: numbers.unready)


def families(numbers: Numbers) -> list[Metric]:
    """The families as they are now."""
    found = [
        counter("rollbook_steps", "Steps of the writer.", numbers.steps),
        counter("rollbook_events", "Events that were decided.", numbers.events),
        histogram(
            "rollbook_reconcile_duration_seconds",
            "How long a step computes: it decides what came in and reconciles.",
            numbers.step,
        ),
        histogram(
            "rollbook_event_append_seconds",
            "How long the commit of a step takes, until it is on disk.",
            numbers.append,
        ),
        histogram(
            "rollbook_rollout_duration_seconds",
            "From the change of a template to its complete rollout.",
            numbers.rollouts,
        ),
        gauge(
            "rollbook_control_working",
            "1 for the writer, 0 for one that stands by or replays.",
            not numbers.unready,
        ),
    ]
    if numbers.look is not None:
        found += _looked(numbers.look())
    return found


def _looked(at: Look) -> list[Metric]:
    return [
        counters(
            "rollbook_command",
            "Commands by what became of them.",
            ["verb", "result"],
            at.commands.items(),
        ),
        counter("rollbook_reports", "Reports of nodes.", at.reports),
        counters(
            "rollbook_control_notable",
            "What was refused, dropped, repeated or out of order.",
            ["what"],
            [((what,), value) for what, value in at.counters.items()],
        ),
        gauges(
            "rollbook_queue_length",
            "What waits for a step or for its commit.",
            "queue",
            at.waiting,
        ),
        gauges(
            "rollbook_dirty_objects",
            "Objects that a reconciler has yet to look at.",
            "kind",
            at.dirty,
        ),
        gauge("rollbook_log_position", "The last position on disk.", at.committed),
        gauge(
            "rollbook_uncommitted_events",
            "Events that are decided and not on disk yet.",
            max(0, at.decided - at.committed),
        ),
        gauge(
            "rollbook_relay_lag_events",
            "Events on disk that are not in the stream EVENTS yet.",
            max(0, at.committed - at.published),
        ),
        gauge(
            "rollbook_broker_connected",
            "Whether there is a connection to the broker.",
            at.connected,
        ),
    ]
