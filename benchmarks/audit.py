"""Checks a log from its first event on, on its own: what was fast must also be right.

1. It trusts nothing that Rollbook computes, only what the log says: it counts pods,
   nodes and versions by itself and shares no code with the projections.
2. What must hold at every position: positions and the versions of every stream are
   dense; no node holds more than its allocatable CPU, memory and number of pods.
3. What must hold at the end of every step (one timestamp), while `bounds` say so: no
   more pods than the surge allows, no fewer available than may be unavailable.
4. What must hold when a scenario has settled: `final`.
"""

from collections import Counter
from typing import Final

from adapters.eventlog import EventLog
from domain import catalogue, deployment, node, pod, quantities, replicaset
from domain.events import Recorded
from domain.protocol import NodeInfo

PAGE: Final = 5_000
PROBLEMS_MAX: Final = 20


class Room:
    """What a node has, and what its pods take of it."""

    def __init__(self) -> None:
        self.cpu_milli = 0
        self.memory = 0
        self.pods = 0
        self.held = 0
        self.incarnation = 0
        self.info = NodeInfo(capacity={}, allocatable={})
        self.ready = False


class Seen:
    """One pod, as far as the checks need it."""

    __slots__ = ("created", "node", "owner", "ready", "terminal", "terminating", "uid")

    def __init__(self, uid: str, owner: str, created: int) -> None:
        self.uid = uid
        self.owner = owner
        self.created = created
        self.node = ""
        self.ready = False
        self.terminal = False
        self.terminating = False

    @property
    def active(self) -> int:
        """1 where it counts for its ReplicaSet."""
        return int(not self.terminating and not self.terminal)

    @property
    def available(self) -> int:
        """1 where it is Ready (the Deployment asks for no minReadySeconds)."""
        return int(self.ready and self.active)


class Audit:
    """The state of the checks after `position`; `problems` are sentences."""

    def __init__(self, log: EventLog, *, cpu_milli: int, memory: int) -> None:
        """`cpu_milli` and `memory` (bytes) are what every pod requests."""
        self._log = log
        self._cpu_milli = cpu_milli
        self._memory = memory
        self._versions: dict[str, int] = {}
        self._timestamp = 0.0
        self._active = 0
        self._available = 0
        self._bounds: tuple[int, int] | None = None
        self.position = 0
        self.pods: dict[str, Seen] = {}
        self.nodes: dict[str, Room] = {}
        self.replicasets: set[str] = set()
        self.replicaset = ""
        """That of the revision that was started last."""
        self.available_at: dict[int, int] = {}
        """By revision: how many pods were available when it was said to be complete."""
        self.topics: Counter[str] = Counter()
        self.created = 0
        """Pods ever created."""
        self.problems: list[str] = []

    def bounds(self, fewest: int, most: int) -> None:
        """From here on at least `fewest` pods are available and at most `most` are."""
        self._bounds = (fewest, most)

    def unbounded(self) -> None:
        """From here on any number of pods is right."""
        self._bounds = None

    def advance(self) -> None:
        """Afterwards everything that the store holds now has been checked."""
        while rows := self._log.read(self.position, PAGE):
            for row in rows:
                self._follow(catalogue.decode(*row))
        self._end_step()

    def final(self, pods: int, revision: int) -> list[str]:
        """What is wrong now that the cluster has settled at `pods` of `revision`."""
        wrong: list[str] = []
        if len(self.pods) != pods:
            wrong.append(f"{len(self.pods)} pods exist, not {pods}")
        for what, count in (
            ("are not available", sum(not p.available for p in self.pods.values())),
            (
                "do not belong to the current ReplicaSet",
                sum(p.owner != self.replicaset for p in self.pods.values()),
            ),
            ("are on no node", sum(not p.node for p in self.pods.values())),
        ):
            if count:
                wrong.append(f"{count} pods {what}")
        held = sum(room.held for room in self.nodes.values())
        if held != len(self.pods):
            wrong.append(f"the nodes hold {held} pods, and {len(self.pods)} exist")
        if self.available_at.get(revision) != pods:
            wrong.append(
                f"revision {revision} was said to be complete with "
                f"{self.available_at.get(revision, 'no')} pods available"
            )
        return wrong

    # --- one event ------------------------------------------------------------------

    def _follow(self, recorded: Recorded) -> None:
        if recorded.position != self.position + 1:
            self._wrong(f"{recorded.position} follows {self.position}: a gap")
        self.position = recorded.position
        before = self._versions.get(recorded.stream, 0)
        if recorded.version != before + 1:
            self._wrong(
                f"version {recorded.version} of {recorded.stream} follows {before}"
            )
        self._versions[recorded.stream] = recorded.version
        if recorded.timestamp != self._timestamp:
            self._end_step()
            self._timestamp = recorded.timestamp
        self.topics[recorded.event.TOPIC] += 1
        kind = recorded.stream.partition("/")[0]
        if kind == "pod":
            self._pod(recorded)
        elif kind == "node":
            self._node(recorded)
        elif isinstance(recorded.event, replicaset.ReplicaSetCreated):
            self.replicasets.add(recorded.stream)
        elif isinstance(recorded.event, deployment.RevisionStarted):
            namespace = recorded.stream.split("/")[1]
            self.replicaset = f"replicaset/{namespace}/{recorded.event.replicaset}"
        elif isinstance(recorded.event, deployment.RolloutCompleted):
            self.available_at[recorded.event.revision] = self._available

    def _end_step(self) -> None:
        if self._bounds is None:
            return
        fewest, most = self._bounds
        if self._available < fewest:
            self._wrong(f"{self._available} pods available, at least {fewest} promised")
        if self._active > most:
            self._wrong(f"{self._active} pods, at most {most} allowed")

    def _pod(self, recorded: Recorded) -> None:
        key, event = recorded.stream, recorded.event
        if isinstance(event, pod.PodCreated):
            self.created += 1
            self._active += 1
            self.pods[key] = Seen(event.uid, event.owner, recorded.position)
            return
        held = self.pods.get(key)
        if held is None:
            self._wrong(f"{type(event).__name__} of {key}, which does not exist")
            return
        active, available = held.active, held.available
        match event:
            case pod.PodScheduled():
                held.node = event.node
                self._occupy(held, 1)
            case pod.PodReported():
                held.ready = event.seen.ready
                if not held.terminal and event.seen.phase in ("Succeeded", "Failed"):
                    self._occupy(held, -1)
                    held.terminal = True
            case pod.PodTerminationRequested():
                held.terminating = True
            case pod.PodRemoved():
                if not held.terminal:
                    self._occupy(held, -1)
                held.terminal = True
                del self.pods[key]
            case _:
                pass
        self._active += held.active - active
        self._available += held.available - available

    def _occupy(self, held: Seen, sign: int) -> None:
        room = self.nodes.get(held.node)
        if room is None:
            if held.node:
                self._wrong(f"a pod is on {held.node}, which is not registered")
            return
        room.held += sign
        if (
            room.held > room.pods
            or room.held * self._cpu_milli > room.cpu_milli
            or room.held * self._memory > room.memory
        ):
            self._wrong(f"{held.node} holds {room.held} pods, more than it can")

    def _node(self, recorded: Recorded) -> None:
        name = recorded.stream.partition("/")[2]
        room = self.nodes.setdefault(name, Room())
        event = recorded.event
        match event:
            case node.NodeRegistered() | node.NodeChanged():
                found = event.info.allocatable
                room.info = event.info
                room.incarnation = event.incarnation
                room.cpu_milli = quantities.cpu_milli(found["cpu"])
                room.memory = quantities.whole(found["memory"])
                room.pods = quantities.whole(found["pods"])
            case node.NodeBecameReady():
                room.ready = True
            case node.NodeBecameUnready() | node.NodeRemoved():
                room.ready = False
                self._wrong(f"{name} was lost: the machine is too slow for its nodes")
            case _:
                pass

    def _wrong(self, text: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"position {self.position}: {text}")
