"""What the writer knows, and the one place where an event is made.

1. `State.emit` seals a fact with its place in the log, folds it, and marks what must
   be looked at because of it. Nobody else appends.
2. What is not in the log is volatile and may be forgotten at any time: when a node
   was last heard, what is dirty, the chain of assignments. A restart marks all dirty.
3. A mark remembers the position that caused it. A wish (somebody asked for something)
   is a better cause than an observation, so it is not overwritten by one. Which event
   marks what is in workers/marking.py.
"""

from typing import Final

from domain import (
    autoscaler,
    ids,
)
from domain.events import Event, Recorded
from domain.plans import node_health
from domain.pod import Pod
from domain.protocol import Answer, AutoscalerReading, NodeUsage
from projections.cluster import Cluster
from workers import autoscalers, marking, metrics
from workers.marks import Gone, Heard, Marks
from workers.settings import Settings as Settings
from workers.timers import Timers

ANSWERS_REMEMBERED: Final = 50_000
"""So many answers are kept for a repetition that arrives before its commit."""


class State:
    """Everything that a step needs and changes."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.cluster = Cluster()
        self.timers = Timers()
        self.heard: dict[str, Heard] = {}
        self.answers: dict[str, Answer] = {}
        self.chain: dict[str, tuple[int, float]] = {}
        """The position that each node was told last, and when."""
        self.health = node_health.Health()
        self.missing: dict[str, float] = {}
        """Since when nodes that pods are bound to are not there any more."""
        self.metrics = metrics.Metrics(self.settings.measurements)
        self.autoscalers = autoscalers.Autoscalers()
        self.gone = Gone()
        self.measured: list[NodeUsage] = []
        self.readings: list[AutoscalerReading] = []
        """What nodes said of usage, and autoscalers saw, to be published."""
        self.counters: dict[str, int] = {}
        self.commands: dict[tuple[str, str], int] = {}
        """What became of commands, by verb and result, since the start."""
        self.completed: list[float] = []
        """How many seconds this step's complete rollouts took."""
        self.now = 0.0
        self.events: list[Recorded] = []
        self.left: list[tuple[Recorded, Pod]] = []
        """The removals of this step, each with the pod as it was."""
        self.dirty_deployments = Marks()
        self.dirty_replicasets = Marks()
        self.lacking = Marks()
        """ReplicaSets that create pods, after all those that end some (S7)."""
        self.dependents = Marks()
        """Objects that a manifest named owners for: one of these may be gone."""
        self.dirty_nodes = Marks()
        self.dirty_namespaces = Marks()
        """Namespaces that are on their way out."""
        self.leaving: dict[str, dict[str, None]] = {}
        """What is left in these, by the namespace's name (workers/namespaces.py)."""
        self.place_cause = 0
        """The position because of which waiting pods are tried again; 0: none."""

    # --- events ---------------------------------------------------------------------

    def emit(
        self,
        stream: str,
        event: Event,
        *,
        actor: str,
        cause: int,
        command_id: str = "",
        known_version: int = 0,
    ) -> Recorded:
        """Afterwards the event is in this step's list, folded, and has marked.

        `known_version` is the last version of a stream of which the state has nothing
        (the name was used long ago), as the store has it.
        """
        known = self.cluster.version_of(stream) or self.gone.last(stream, known_version)
        recorded = Recorded(
            self.cluster.position + 1,
            stream,
            known + 1,
            self.now,
            actor,
            cause,
            command_id,
            event,
        )
        self.events.append(recorded)
        before = self.cluster.fold(recorded)
        if before is not None and stream not in self.cluster.actual.pods:
            self.left.append((recorded, before))
            self.gone.add(stream, recorded.version)
        marking.mark(self, recorded, before)
        return recorded

    def replay(self, recorded: Recorded) -> None:
        """Folds an event of the store at a start; marks come afterwards (`wake`)."""
        self.cluster.fold(recorded)

    def uid_after(self, events: int) -> str:
        """The uid of an object that is created when so many events have come first."""
        return ids.uid_at(self.cluster.uid, self.cluster.position + 1 + events)

    def count(self, what: str, number: int = 1) -> None:
        """Counts something that is refused or out of order."""
        self.counters[what] = self.counters.get(what, 0) + number

    def remember(self, answer: Answer) -> None:
        """Keeps an answer for a repetition of its command (S3)."""
        self.answers[answer.id] = answer
        if len(self.answers) > ANSWERS_REMEMBERED:
            del self.answers[next(iter(self.answers))]

    @property
    def dirty(self) -> bool:
        """Something must still be looked at."""
        return bool(
            self.dirty_namespaces
            or self.dependents
            or self.dirty_deployments
            or self.dirty_replicasets
            or self.lacking
            or self.dirty_nodes
            or (self.place_cause and self.cluster.actual.waiting)
        )

    def wake(self, now: float) -> None:
        """After a replay: everything is looked at once, and every alarm is set."""
        self.now = now
        self.health = node_health.Health(restarted_at=now)
        cluster = self.cluster
        for owner in cluster.desired.deployments.values():
            self.dirty_deployments.add(owner.key, owner.position)
        for held in cluster.desired.replicasets.values():
            self.dirty_replicasets.add(held.key, held.position)
            if held.owner and held.owner not in cluster.desired.deployments:
                self.dirty_deployments.add(held.owner, held.position)
        for scaler in cluster.plain.of(autoscaler.KIND):
            marking.arm_autoscaler(self, scaler.key)
        for key in cluster.plain.terminating:
            self.dirty_namespaces.add(key, cluster.plain.objects[key].position)
        for key in cluster.desired.references.by_object:
            self.dependents.add(key, cluster.position)
        for use in cluster.actual.node_list:
            self.heard.setdefault(use.name, Heard())
            self.dirty_nodes.add(use.node.key, use.node.position)
            self.timers.set("count", use.name, now + self.settings.count_reports_every)
            self.timers.set("heartbeat", use.name, now)
        for state in cluster.actual.pods.values():
            if state.owner and state.owner not in cluster.desired.replicasets:
                self.dirty_replicasets.add(state.owner, state.position)
            if state.ready:
                marking.arm_availability(self, state)
        if cluster.actual.stranded:
            self.timers.set("collect", "", now)
        self.timers.set("checked", "", now)
        self.place_cause = cluster.position
