"""Which pods ever belonged to whom: what a fold of one object's past has to read.

1. Only membership is kept, not state: the ReplicaSets that a Deployment ever owned, the
   pods that a ReplicaSet ever owned and that a node ever ran, and of each pod when it
   came and when it was gone. That is about a hundred bytes for each pod that ever was.
2. What was once a member stays one: the index is right for every position up to its
   own, and a fold that reads a stream too many comes to the same state.
3. It is read from the log by itself, a page at a time, and decodes only the events that
   change a membership. An event that cannot be read is passed over, as in every fold.
4. These methods block, and may come from any thread.
"""

import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from adapters.eventlog import EventLog, Row
from domain import node, pod, replicaset

PAGE_ROWS: Final = 1_000
PAUSE_SECONDS: Final = 0.0002


class _Names(msgspec.Struct, frozen=True, gc=False):
    """What such an event may name."""

    owner: str = ""
    node: str = ""


class _Stored(msgspec.Struct, frozen=True, gc=False):
    event: _Names


_DECODER: Final = msgspec.json.Decoder(_Stored)
_GONE: Final = pod.PodRemoved.TOPIC
_CREATED: Final = pod.PodCreated.TOPIC
_OWNED: Final = frozenset({_CREATED, pod.PodAdopted.TOPIC})
_SCHEDULED: Final = pod.PodScheduled.TOPIC
_REPLICASETS: Final = frozenset(
    {replicaset.ReplicaSetCreated.TOPIC, replicaset.ReplicaSetAdopted.TOPIC}
)
_UNREADY: Final = node.NodeBecameUnready.TOPIC
_TOPICS: Final = _OWNED | _REPLICASETS | {_GONE, _SCHEDULED, _UNREADY}


class Families:
    """Everybody's members up to `position`."""

    def __init__(self) -> None:
        self.position = 0
        self._lock = threading.Lock()
        self._replicasets: dict[str, dict[str, None]] = {}
        self._pods: list[str] = []
        self._came = array("Q")
        self._gone = array("Q")
        """When a pod was removed; 0 while it is there."""
        self._living: dict[str, int] = {}
        self._by_owner: dict[str, array[int]] = {}
        self._by_node: dict[str, array[int]] = {}
        self._odd: set[str] = set()
        self._unready: set[str] = set()

    # --- questions ------------------------------------------------------------------

    def replicasets_of(self, deployment: str) -> list[str]:
        """The ReplicaSets that the Deployment `deployment` (its key) ever owned."""
        with self._lock:
            return list(self._replicasets.get(deployment, ()))

    def pods_of(
        self, replicasets: Iterable[str], at: int, *, living: bool
    ) -> list[str]:
        """The pods that these ReplicaSets ever owned and that had come at `at`; with
        `living` only those that were not removed by then."""
        with self._lock:
            found = (self._by_owner.get(key, ()) for key in replicasets)
            numbers = (number for each in found for number in each)
            return list(self._at(numbers, at, living=living))

    def pods_on(self, node: str, at: int) -> list[str]:
        """The pods that were bound to the node (its name) and there at `at`."""
        with self._lock:
            return list(self._at(self._by_node.get(node, ()), at, living=True))

    def odd(self) -> frozenset[str]:
        """The pods that had an owner whose name theirs does not begin with."""
        with self._lock:
            return frozenset(self._odd)

    def ever_unready(self, nodes: Iterable[str]) -> list[str]:
        """Those of the nodes (keys) that were not heard of once."""
        with self._lock:
            return [key for key in nodes if key in self._unready]

    def _at(self, numbers: Iterable[int], at: int, *, living: bool) -> Iterator[str]:
        """Each once, though a pod may have been there several times."""
        seen: set[str] = set()
        for number in numbers:
            name, gone = self._pods[number], self._gone[number]
            missing = self._came[number] > at or (living and 0 < gone <= at)
            if not missing and name not in seen:
                seen.add(name)
                yield name

    # --- the fold -------------------------------------------------------------------

    def catch_up(
        self,
        log: EventLog,
        until: int,
        pause: Callable[[float], None] = lambda _: time.sleep(PAUSE_SECONDS),
    ) -> None:
        """Afterwards `position` is at least `until`, a position of the log.

        `pause` is told after each page how long it took, to let others work.
        """
        while self.position < until:
            began = time.perf_counter()
            rows = log.read(self.position, PAGE_ROWS)
            if not rows:
                return
            with self._lock:
                for row in rows:
                    if row.position == self.position + 1:  # or another thread was first
                        self.position = row.position
                        if row.topic in _TOPICS:
                            self._evolve(row)
            pause(time.perf_counter() - began)

    def _evolve(self, row: Row) -> None:
        stream, topic = row.stream, row.topic
        if topic == _GONE:
            number = self._living.pop(stream, None)
            if number is not None:
                self._gone[number] = row.position
            return
        if topic == _UNREADY:
            self._unready.add(stream)
            return
        try:
            names = _DECODER.decode(row.state).event
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if topic in _REPLICASETS:
            if names.owner:
                self._replicasets.setdefault(names.owner, {})[stream] = None
            return
        if topic == _CREATED:
            self._living[stream] = len(self._pods)
            self._pods.append(stream)
            self._came.append(row.position)
            self._gone.append(0)
        number = self._living.get(stream)
        if number is None:
            return
        if topic == _SCHEDULED:
            self._by_node.setdefault(names.node, array("L")).append(number)
        elif names.owner:
            if not stream.startswith(f"pod/{names.owner.partition('/')[2]}-"):
                self._odd.add(stream)
            self._by_owner.setdefault(names.owner, array("L")).append(number)
