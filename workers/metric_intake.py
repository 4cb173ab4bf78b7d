"""Measurements that arrive: usage in a node's report, and values of custom metrics.

None of them is an event. What cannot be believed is refused figure by figure and
counted (workers/metrics.py).
"""

from typing import Final

import msgspec

from domain import names
from domain.protocol import MetricMessage, NodeUsage, PodUsage, Usage
from workers import metrics
from workers.state import State

BYTES_MAX: Final = 4_096
"""Of one message with a metric's value."""
_METRIC: Final = msgspec.json.Decoder(MetricMessage)


class MetricInput(msgspec.Struct, frozen=True, kw_only=True):
    """A value as it came on the subject of a metric, whose user the broker vouches
    for."""

    user: str
    namespace: str
    metric: str
    data: bytes


def take_metric(state: State, item: MetricInput) -> None:
    """Afterwards the value is known, or refused and counted."""
    if len(item.data) > BYTES_MAX:
        state.count("metrics_refused")
        return
    try:
        said = _METRIC.decode(item.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        state.count("metrics_refused")
        return
    state.metrics.hear(item.namespace, item.metric, said, state.now, state.count)


def take_usage(state: State, node: str, usage: Usage, at: float) -> None:
    """Afterwards what the node says of its own pods is known, and is to be published;
    `at` is when the report came."""
    pods = state.cluster.actual.pods

    def owns(said: PodUsage) -> str:
        key = names.pod_key(said.namespace, said.name)
        held = pods.get(key)
        mine = held is not None and held.uid == said.uid and held.node == node
        return key if mine else ""

    kept = state.metrics.hear_usage(usage, at, owns, state.count)
    idle = not usage.pods and 0 < usage.window <= metrics.WINDOW_MAX
    if kept or idle:
        state.measured.append(
            NodeUsage(node=node, at=at, window=usage.window, pods=kept)
        )
