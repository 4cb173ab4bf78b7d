"""Checks a log from its first event on, on its own: what was fast must also be right.

1. It trusts nothing that Rollbook computes, only what the log says: it counts pods,
   nodes and versions by itself and shares no code with the projections.
2. At every position: positions and the versions of every stream are dense (S1); a pod
   is bound once, and its name is never given again (S8); no node is given more than
   its allocatable CPU, memory and number of pods (S15).
3. At the end of every step (one timestamp), for each Deployment that the step touched:
   pods never grow beyond `replicas + maxSurge` (S7), and where the step itself ended
   available pods, no fewer than `replicas - maxUnavailable` are left (S6).
4. When a scenario has settled, `settled` compares with what was asked for, and
   `compare` with what the api says.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from adapters.eventlog import EventLog
from domain import catalogue, deployment, node, pod, quantities, replicaset
from domain.events import Recorded
from rollbook.bench.results import Point

PAGE: Final = 5_000
PROBLEMS_MAX: Final = 20
POINT_SECONDS: Final = 0.05
"""The cluster's course is kept at most so often."""


class Room:
    """What a node has, and what its pods take of it."""

    __slots__ = ("cpu_milli", "held", "memory", "pods", "ready")

    def __init__(self) -> None:
        self.cpu_milli = 0
        self.memory = 0
        self.pods = 0
        self.held = 0
        self.ready = False


class Seen:
    """One pod, as far as the checks need it."""

    __slots__ = ("group", "node", "owner", "ready", "terminal", "terminating", "uid")

    def __init__(self, uid: str, owner: str, group: "Group | None") -> None:
        self.uid = uid
        self.owner = owner
        self.group = group
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
        """1 where it is Ready (no Deployment here asks for minReadySeconds)."""
        return int(self.ready and self.active)


class Group:
    """One Deployment: what was asked for, and what there is."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.replicas = 0
        self.surge = 0
        self.unavailable = 0
        self.active = 0
        self.available = 0
        self.replicaset = ""
        """That of the revision that was started last."""
        self.completed: dict[int, int] = {}
        """By revision: how many pods were available when it was said to be complete."""
        self.revision = 0
        self.deleted = False
        self.before = 0
        """`active` at the end of the last step that touched it."""
        self.ended = 0
        """Available pods whose end this step has decided."""

    @property
    def done(self) -> bool:
        """Whether the last revision that was started was said to be complete."""
        return self.deleted or self.revision in self.completed


class Audit:
    """The state of the checks after `position`; `problems` are sentences."""

    def __init__(self, log: EventLog, *, cpu_milli: int, memory: int) -> None:
        """`cpu_milli` and `memory` (bytes) are what every pod requests."""
        self._log = log
        self._cpu_milli = cpu_milli
        self._memory = memory
        self._versions: dict[str, int] = {}
        self._timestamp = 0.0
        self._touched: dict[str, Group] = {}
        self._owners: dict[str, Group] = {}
        self._active = 0
        self._available = 0
        self.position = 0
        self.pods: dict[str, Seen] = {}
        self.nodes: dict[str, Room] = {}
        self.groups: dict[str, Group] = {}
        self.unready_at: list[float] = []
        """When nodes were found not ready, in order."""
        self.ready_nodes = 0
        self.created = 0
        """Pods ever created."""
        self.points: list[Point] = []
        self.problems: list[str] = []
        self.losses = False
        """Whether nodes are expected to be lost."""

    def advance(self) -> None:
        """Afterwards everything that the store holds now has been checked."""
        while rows := self._log.read(self.position, PAGE):
            for row in rows:
                self._follow(catalogue.decode(*row))
        self._end_step()

    def course(self, since: float) -> list[Point]:
        """How many pods there were, from time `since` on, counted from there."""
        found = [
            Point(point.at - since, point.pods, point.available)
            for point in self.points
            if point.at >= since
        ]
        now = Point(self._timestamp - since, self._active, self._available)
        return [*found, now] if now.at >= 0 else found

    def settled(
        self, wanted: Mapping[str, int], *, completed: bool = True
    ) -> list[str]:
        """What is wrong now that each Deployment has settled at so many replicas."""
        wrong: list[str] = []
        alive = {key for key, group in self.groups.items() if not group.deleted}
        for key in sorted(alive ^ wanted.keys())[:3]:
            word = "exists" if key in alive else "does not exist"
            wrong.append(f"{key} {word}")
        for key, replicas in wanted.items():
            group = self.groups.get(key)
            if group is None:
                continue
            if (group.active, group.available) != (replicas, replicas):
                wrong.append(
                    f"{key} has {group.active} pods, {group.available} of them "
                    f"available, and {replicas} were asked for"
                )
            at = group.completed.get(group.revision)
            if completed and at is None:
                wrong.append(f"revision {group.revision} of {key} was never complete")
        if wrong:
            return wrong[:PROBLEMS_MAX]
        pods = self.pods.values()
        for what, count in (
            ("are on no node", sum(not each.node for each in pods)),
            ("belong to nothing", sum(each.group is None for each in pods)),
            (
                "are not of the current ReplicaSet",
                sum(
                    each.owner != each.group.replicaset
                    for each in pods
                    if each.group is not None and each.active
                ),
            ),
        ):
            if count:
                wrong.append(f"{count} pods {what}")
        return wrong

    def compare(self, objects: Iterable[Mapping[str, object]]) -> list[str]:
        """Where the Deployments of `objects`, as the api tells them, differ."""
        told: dict[str, tuple[int, int]] = {}
        for each in objects:
            metadata, status = each["metadata"], each.get("status", {})
            assert isinstance(metadata, dict), "an object has metadata"
            assert isinstance(status, dict), "a status is an object"
            key = f"deployment/{metadata['namespace']}/{metadata['name']}"
            told[key] = (
                int(status.get("replicas", 0)),
                int(status.get("availableReplicas", 0)),
            )
        known = {
            key: (group.active, group.available)
            for key, group in self.groups.items()
            if not group.deleted
        }
        return [
            f"the api says {told.get(key, 'nothing')} of {key}, the log "
            f"{known.get(key, 'nothing')} (pods, available)"
            for key in sorted(told.keys() | known.keys())
            if told.get(key) != known.get(key)
        ][:PROBLEMS_MAX]

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
        kind = recorded.stream.partition("/")[0]
        if kind == "pod":
            self._pod(recorded)
        elif kind == "deployment":
            self._deployment(recorded)
        elif kind == "node":
            self._node(recorded)
        elif isinstance(recorded.event, replicaset.ReplicaSetCreated):
            owner = recorded.event.owner
            key = owner if "/" in owner else _sibling(recorded.stream, owner)
            if key in self.groups:
                self._owners[recorded.stream] = self.groups[key]

    def _end_step(self) -> None:
        for group in self._touched.values():
            most = max(group.replicas + group.surge, group.before)
            if group.active > most and not group.deleted:
                self._wrong(f"{group.key} has {group.active} pods, at most {most} (S7)")
            least = group.replicas - group.unavailable
            if group.ended and group.available < least and not group.deleted:
                self._wrong(
                    f"{group.key}: {group.ended} available pods were ended, "
                    f"{group.available} are left, at least {least} promised (S6)"
                )
            group.before = group.active
            group.ended = 0
        self._touched.clear()
        last = self.points[-1].at if self.points else 0.0
        if self._timestamp - last >= POINT_SECONDS:
            self.points.append(Point(self._timestamp, self._active, self._available))

    def _deployment(self, recorded: Recorded) -> None:
        key, event = recorded.stream, recorded.event
        if isinstance(event, deployment.DeploymentCreated):
            group = self.groups[key] = Group(key)
            group.replicas = 1 if event.spec.replicas is None else event.spec.replicas
            _bound(group)
            return
        found = self.groups.get(key)
        if found is None:
            return
        match event:
            case deployment.DeploymentScaled():
                found.replicas = event.after
                _bound(found)
                found.before = found.active
            case deployment.RevisionStarted():
                found.revision = event.revision
                found.replicaset = _sibling(key, event.replicaset, "replicaset")
            case deployment.RolloutCompleted():
                found.completed[event.revision] = found.available
                if found.available < found.replicas:
                    self._wrong(f"{key} complete with {found.available} available")
            case deployment.DeploymentDeleted():
                found.deleted = True
            case _:
                pass

    def _pod(self, recorded: Recorded) -> None:
        key, event = recorded.stream, recorded.event
        if isinstance(event, pod.PodCreated):
            self._created(recorded, event)
            return
        held = self.pods.get(key)
        if held is None:
            self._wrong(f"{type(event).__name__} of {key}, which does not exist")
            return
        active, available = held.active, held.available
        match event:
            case pod.PodScheduled():
                if held.node:
                    self._wrong(f"{key} is bound a second time (S8)")
                held.node = event.node
                self._occupy(held, 1)
            case pod.PodReported():
                held.ready = event.seen.ready
                if not held.terminal and event.seen.phase in ("Succeeded", "Failed"):
                    self._occupy(held, -1)
                    held.terminal = True
            case pod.PodFailed() if not held.terminal:
                self._occupy(held, -1)
                held.terminal = True
            case pod.PodTerminationRequested():
                held.terminating = True
                if held.group is not None and event.reason == "ScaledDown":
                    held.group.ended += available
            case pod.PodRemoved():
                if not held.terminal:
                    self._occupy(held, -1)
                held.terminal = True
                del self.pods[key]
            case _:
                return
        self._count(held, held.active - active, held.available - available)

    def _created(self, recorded: Recorded, event: pod.PodCreated) -> None:
        if recorded.version != 1:
            self._wrong(f"the name {recorded.stream} is given a second time (S8)")
        owner = str(event.owner)
        held = Seen(event.uid, owner, self._owners.get(owner))
        self.created += 1
        self.pods[recorded.stream] = held
        self._count(held, 1, 0)

    def _count(self, held: Seen, active: int, available: int) -> None:
        self._active += active
        self._available += available
        group = held.group
        if group is not None and (active or available):
            group.active += active
            group.available += available
            self._touched[group.key] = group

    def _occupy(self, held: Seen, sign: int) -> None:
        room = self.nodes.get(held.node)
        if room is None:
            if held.node:
                self._wrong(f"a pod is on {held.node}, which is not registered")
            return
        room.held += sign
        if sign > 0 and (
            room.held > room.pods
            or room.held * self._cpu_milli > room.cpu_milli
            or room.held * self._memory > room.memory
        ):
            self._wrong(
                f"{held.node} is given {room.held} pods, more than it can (S15)"
            )

    def _node(self, recorded: Recorded) -> None:
        name = recorded.stream.partition("/")[2]
        room = self.nodes.setdefault(name, Room())
        event, before = recorded.event, room.ready
        match event:
            case node.NodeRegistered() | node.NodeChanged():
                found = event.info.allocatable
                room.cpu_milli = quantities.cpu_milli(found["cpu"])
                room.memory = quantities.whole(found["memory"])
                room.pods = quantities.whole(found["pods"])
            case node.NodeBecameReady():
                room.ready = True
            case node.NodeBecameUnready() | node.NodeRemoved():
                room.ready = False
                self.unready_at.append(recorded.timestamp)
                self._doubt(name)
                if not self.losses:
                    self._wrong(f"{name} was lost: the machine is too slow")
            case _:
                pass
        self.ready_nodes += room.ready - before

    def _doubt(self, name: str) -> None:
        """No pod of a node that is not ready is (spec 4.5)."""
        for held in self.pods.values():
            if held.node == name and held.ready:
                available = held.available
                held.ready = False
                self._count(held, 0, -available)

    def _wrong(self, text: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"position {self.position}: {text}")


def _bound(group: Group) -> None:
    """All Deployments here roll by 25 % and 25 %; surge is rounded up (spec 2.6)."""
    group.surge = -(-group.replicas // 4)
    group.unavailable = group.replicas // 4


def _sibling(stream: str, name: str, kind: str = "deployment") -> str:
    """The key of what is called `name` in the namespace of `stream`."""
    return f"{kind}/{stream.split('/')[1]}/{name}"
