"""The readers' /metrics: all objects, requests to the Kubernetes API, and the fold.

Objects have kube-state-metrics' names (gateway/kubestate), requests those of the
Kubernetes API server: dashboards that others made for these show Rollbook too.

Imported only where metrics are served.
"""

from collections.abc import Iterable

from prometheus_client.core import Metric

from adapters import exposition
from gateway.kubestate.state import KubeState
from gateway.measuring import Numbers


def board(numbers: Numbers) -> exposition.Board:
    """What a reader serves."""
    reader = numbers.reader
    state = KubeState(
        lambda: reader.cluster,
        lambda held: reader.live.autoscaler(held.key, held.uid),
    )

    async def collect() -> Iterable[Metric]:
        return families(numbers)

    return exposition.Board(
        collect, why_unready=lambda: numbers.unready, pages=state.pages
    )


def families(numbers: Numbers) -> list[Metric]:
    """The families of the reader itself as they are now."""
    reader, requests = numbers.reader, numbers.requests
    found = [
        exposition.gauge(
            "rollbook_projection_position",
            "The last position that is folded.",
            reader.position,
        ),
        exposition.gauge(
            "rollbook_projection_lag_events",
            "Committed events that are not folded yet.",
            max(0, reader.committed - reader.position),
        ),
        exposition.gauge(
            "rollbook_unreadable_events",
            "Events that were set aside: each is an alarm.",
            reader.unreadable_count,
        ),
        exposition.counters(
            "rollbook_snapshots_failed",
            "Snapshots that were damaged or could not be kept.",
            ["why"],
            [
                (("refused",), reader.snapshots_refused),
                (("not kept",), reader.snapshots_failed),
            ],
        ),
        exposition.gauge(
            "rollbook_control_heard_timestamp_seconds",
            "When the writer was last heard, Unix time; 0 for never.",
            reader.control_heard_at,
        ),
    ]
    if requests is not None:
        found += [
            exposition.histograms(
                "apiserver_request_duration_seconds",
                "How long a request took; watches are not counted.",
                ["verb", "resource", "code"],
                requests.by_labels.items(),
            ),
            exposition.counters(
                "apiserver_request",
                "Requests by verb, resource and code.",
                ["verb", "resource", "code"],
                [(key, held.count) for key, held in requests.by_labels.items()],
            ),
            exposition.gauge(
                "rollbook_watch_streams",
                "Answers without an end that are open: watches, followed logs.",
                numbers.streams(),
            ),
        ]
    return found
