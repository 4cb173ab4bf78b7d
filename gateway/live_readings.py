"""What is true now and never in the log: usage of pods, readings of autoscalers.

1. Control says it on `rollbook.live`; the newest of each is kept, and what is older
   than `FRESH_SECONDS` is not shown: a node that went silent shows nothing.
2. It is bounded by what there is: of objects that are gone nothing stays for longer
   than that time.
3. After a start of the reader nothing is known until it is said again, a usage
   interval later.
"""

import logging
from typing import Final, NamedTuple

import msgspec

from domain import names
from domain.protocol import AutoscalerReading, Live, PodUsage

FRESH_SECONDS: Final = 90.0
_LIVE: Final = msgspec.json.Decoder(Live)
_log = logging.getLogger(__name__)


class PodReading(msgspec.Struct, frozen=True, gc=False):
    """What a pod used, and when that was measured."""

    used: PodUsage
    node: str
    at: float
    window: float


class NodeReading(NamedTuple):
    """When a node said last what its pods used, and of how many seconds."""

    at: float
    window: float


class LiveReadings:
    """The newest readings; `hear` is all that changes them."""

    def __init__(self) -> None:
        self.pods: dict[str, PodReading] = {}
        self.nodes: dict[str, NodeReading] = {}
        self.autoscalers: dict[str, AutoscalerReading] = {}
        self._swept_at = 0.0

    def hear(self, data: bytes) -> None:
        """Afterwards what control says is known; what is no message is left out."""
        try:
            live = _LIVE.decode(data)
        except msgspec.MsgspecError as error:
            _log.warning("what came as a live reading is none: %s", error)
            return
        newest = 0.0
        for node in live.usage:
            newest = max(newest, node.at)
            self.nodes[node.node] = NodeReading(node.at, node.window)
            for used in node.pods:
                key = names.pod_key(used.namespace, used.name)
                self.pods[key] = PodReading(used, node.node, node.at, node.window)
        for reading in live.autoscalers:
            newest = max(newest, reading.at)
            self.autoscalers[reading.key] = reading
        if newest > self._swept_at + FRESH_SECONDS:
            self._sweep(newest)

    def pod(self, key: str, uid: str, now: float) -> PodReading | None:
        """What the pod of that uid uses; None while nobody has said it lately."""
        found = self.pods.get(key)
        if found is None or found.used.uid != uid or now - found.at > FRESH_SECONDS:
            return None
        return found

    def node(self, name: str, now: float) -> NodeReading | None:
        """When the node spoke last; None while it has not lately."""
        found = self.nodes.get(name)
        return found if found is not None and now - found.at <= FRESH_SECONDS else None

    def autoscaler(self, key: str, uid: str) -> AutoscalerReading | None:
        """What the autoscaler of that uid measured last."""
        found = self.autoscalers.get(key)
        return found if found is not None and found.uid == uid else None

    def _sweep(self, now: float) -> None:
        """Rule 2."""
        self._swept_at = now
        old = now - FRESH_SECONDS
        self.pods = {k: held for k, held in self.pods.items() if held.at >= old}
        self.nodes = {k: held for k, held in self.nodes.items() if held.at >= old}
        self.autoscalers = {
            k: held for k, held in self.autoscalers.items() if held.at >= old
        }
