"""The monitor's own /metrics. Imported only where metrics are served."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from adapters import exposition
from gateway.monitoring.measured import Numbers


def board(numbers: Numbers) -> exposition.Board:
    """What a monitor serves."""

    async def collect() -> Iterable[Metric]:
        return families(numbers)

    return exposition.Board(collect, why_unready=lambda: numbers.unready)


def families(numbers: Numbers) -> list[Metric]:
    """The families as they are now."""
    return [
        exposition.counters(
            "rollbook_monitor_measured",
            "What was measured, by its source and by what came of it.",
            ["source", "result"],
            numbers.done.items(),
        ),
        exposition.counters(
            "rollbook_monitor_published",
            "Messages to the writer.",
            ["what"],
            [((what,), count) for what, count in numbers.published.items()],
        ),
        exposition.histograms(
            "rollbook_monitor_duration_seconds",
            "How long a measurement took, by its source.",
            ["source"],
            [((source,), held) for source, held in numbers.seconds.items()],
        ),
    ]
