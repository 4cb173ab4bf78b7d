"""All that is folded together: the state that decisions and answers are made from.

1. `fold` takes the events in order, each once; a gap is a bug of the caller.
2. `settle` ends a step: it is called when every event of one timestamp is folded.
   `fold` does it by itself when an event of a later timestamp arrives.
"""

from typing import Final

from domain.deployment import Deployment
from domain.events import Recorded
from domain.node import Node, NodeBecameUnready
from domain.plain import PlainObject
from domain.pod import Pod, PodConfigured, PodCreated, PodRemoved
from domain.replicaset import ReplicaSet
from projections import plain
from projections.actual import Actual
from projections.desired import Desired
from projections.rollouts import Rollouts

_OF_TEMPLATES: Final = frozenset({PodCreated, PodConfigured, PodRemoved})
"""The events of pods that bring a template, or end the need of one."""


Held = Deployment | ReplicaSet | Pod | Node | PlainObject
"""An object of any kind."""


class Cluster:
    """Desired, actual, rollouts and plain objects at `position`."""

    def __init__(self) -> None:
        self.desired = Desired()
        self.actual = Actual(self.desired)
        self.rollouts = Rollouts(self.desired, self.actual)
        self.plain = plain.Plain()
        self.position = 0
        self.timestamp = 0.0
        self.uid = ""
        self.unreadable = 0
        self._skipped: dict[str, int] = {}

    def fold(self, recorded: Recorded) -> Pod | None:
        """Afterwards the event is part of the state.

        Returns the pod as it was before, if it is a pod's event.
        """
        assert recorded.position == self.position + 1, "the log has no gaps"
        if recorded.timestamp != self.timestamp:
            self.settle()
            self.timestamp = recorded.timestamp
        self.position = recorded.position
        stream = recorded.stream
        if stream.startswith("pod/"):
            return self._fold_pod(recorded)
        if type(recorded.event) in plain.EVENTS:
            self.plain.evolve(recorded)
            return None
        measured = self._measured_by(stream)
        owned_by = self._owner_of(stream)
        self.desired.evolve(recorded)
        self.actual.evolve(recorded)
        if stream.startswith("node/"):
            if isinstance(recorded.event, NodeBecameUnready):
                self._touch_pods_of(stream)
        elif stream.startswith("replicaset/"):
            if measured != self._measured_by(stream):
                self.actual.recount(stream)
            self.rollouts.evolve(recorded)
            if owned_by and owned_by != self._owner_of(stream):
                self.rollouts.lost(owned_by, recorded)
        else:
            self.rollouts.evolve(recorded)
            if stream.startswith("cluster/"):
                self.uid = getattr(recorded.event, "uid", "")
                self.plain.found(self.uid, recorded)
        return None

    def _fold_pod(self, recorded: Recorded) -> Pod | None:
        """Most of a log is pods' events: they touch nothing that is not theirs."""
        before = self.actual.pods.get(recorded.stream)
        of_template = type(recorded.event) in _OF_TEMPLATES and self.desired.concerns(
            recorded.event
        )
        if of_template:
            self.desired.evolve(recorded)
        after = self.actual.evolve_pod(recorded, before)
        if after is not None and after.owner:
            self.rollouts.touch(after.owner)
            if after.restarts and before is not None and after.seen != before.seen:
                self.rollouts.crashed(before, after)
        elif before is not None and before.owner:
            self.rollouts.touch(before.owner)
        if of_template:
            self.desired.let_go(recorded)
        return before

    def skip(self, position: int, stream: str, version: int) -> None:
        """An event that cannot be read is set aside; its place in the log is not."""
        assert position == self.position + 1, "the log has no gaps"
        self.position = position
        self.unreadable += 1
        self._skipped[stream] = version

    def settle(self) -> None:
        """Rule 2: the conditions follow the counts of the step that has ended."""
        self.rollouts.settle(self.timestamp)

    def held(self, key: str) -> Held | None:
        """The object of this key that is there now."""
        kind, _, rest = key.partition("/")
        match kind:
            case "pod":
                return self.actual.pods.get(key)
            case "replicaset":
                return self.desired.replicasets.get(key)
            case "deployment":
                return self.desired.deployments.get(key)
            case "node":
                use = self.actual.nodes.get(rest)
                return use.node if use is not None else None
            case _:
                return self.plain.objects.get(key)

    def uid_of(self, key: str) -> str:
        """The uid of the object of this key that is there now; "" if none is."""
        held = self.held(key)
        return held.uid if held is not None else ""

    def version_of(self, stream: str) -> int:
        """The version of the stream's last event; 0 for one that is not known here."""
        version = self._known_version(stream)
        return max(version, self._skipped.get(stream, 0)) if self._skipped else version

    def _known_version(self, stream: str) -> int:
        held = self.held(stream)
        if held is not None:
            return held.version
        return self.desired.last_versions.get(
            stream, 0
        ) or self.plain.last_versions.get(stream, 0)

    def _measured_by(self, stream: str) -> tuple[int, int]:
        """What a ReplicaSet's pods are counted by; it counts anew when this changes."""
        held = self.desired.replicasets.get(stream)
        return (held.min_ready_seconds, held.template) if held is not None else (0, 0)

    def _owner_of(self, stream: str) -> str:
        held = self.desired.replicasets.get(stream)
        return held.owner if held is not None else ""

    def _touch_pods_of(self, stream: str) -> None:
        held = self.actual.nodes.get(stream.partition("/")[2])
        if held is not None:
            for key in held.siblings:
                self.rollouts.touch(key)
