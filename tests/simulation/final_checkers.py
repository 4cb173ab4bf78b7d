"""What must hold when faults have stopped: replays, answers, ends of rollouts."""

from collections import Counter
from itertools import pairwise
from typing import Any, Final

import msgspec

from adapters.memory_log import MemoryLog, MemoryStore
from domain import autoscaler, catalogue, deployment, names
from domain.events import Recorded
from projections.cluster import Cluster
from tests.properties import watched_checkers
from tests.properties.checking import Checker, template_of
from tests.properties.log_checkers import compare
from tests.simulation.hollow_node import HollowNode
from tests.simulation.world import World
from tests.support.cluster import SimCluster
from workers import loading
from workers.state import State

Sizes = dict[str, dict[bytes, int]]


def sizes(sim: SimCluster) -> Sizes:
    """The pods that each Deployment runs, by template."""
    found: Sizes = {}
    for key, owner in sim.cluster.desired.deployments.items():
        counts: Counter[bytes] = Counter()
        for held in sim.cluster.desired.replicasets_of(owner):
            counts[template_of(sim.state, held)] += held.replicas
        found[key] = {text: count for text, count in counts.items() if count}
    return found


class SameAgain(Checker):
    """I13: a replay of the stored log comes to the same state, bit for bit."""

    id = "I13"

    def at_rest(self, sim: SimCluster) -> None:
        """Replays the log in one go, without knowing where its steps ended."""
        again = Cluster()
        for row in sim.log:
            again.fold(catalogue.decode(*row))
        again.settle()
        self.reached += 1
        compare(again, sim.cluster)


class CrashChangesNothing(Checker):
    """I14: a crash at rest is followed by the same rest."""

    id = "I14"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Kills control and compares what runs."""
        before = sizes(sim), set(sim.cluster.actual.pods)
        sim.crash_control()
        sim.settle()
        self.reached += 1
        assert (sizes(sim), set(sim.cluster.actual.pods)) == before


class Answered(Checker):
    """L2: every command ends in an answer that can be looked up by its id."""

    id = "L2"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Looks up every command that was ever sent."""
        if not isinstance(sim, World):
            return
        streams = [names.command_key(id_) for id_ in sim.submitted]
        found = loading.answers(sim._log, streams)
        said = {answer.id for answer in sim.said}
        for id_ in sim.submitted:
            self.reached += 1
            assert names.command_key(id_) in found, f"{id_} was never answered"
            assert id_ in said, f"{id_} was decided, and nobody was told"


class RolloutsEnd(Checker):
    """L3: a rollout ends complete, or stalls, and not before its deadline."""

    id = "L3"
    kind = "liveness"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """A stall comes when the deadline has passed since the last progress."""
        if not isinstance(recorded.event, deployment.RolloutStalled):
            return
        owner = state.cluster.desired.deployments[recorded.stream]
        deadline = owner.spec.progress_deadline_seconds
        assert deadline is not None, "who has no deadline does not stall"
        begun = [owner.created_at]
        rolled = state.cluster.rollouts.by_key[owner.key].revisions
        begun += [rolled[-1].started_at] if rolled else []
        started = max(begun)
        assert recorded.timestamp >= started + deadline, "it stalls before its deadline"

    def at_rest(self, sim: SimCluster) -> None:
        """Everything that could be completed is."""
        for key, owner in sim.cluster.desired.deployments.items():
            if owner.spec.paused:
                continue
            self.reached += 1
            last = sim.cluster.rollouts.by_key[key].revisions[-1]
            assert last.completed, f"the rollout of {key} has not ended"


class SetAside(Checker):
    """L5: an event that cannot be read is set aside, and blocks nothing."""

    id = "L5"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Replays the log with one answer in a form that nobody knows."""
        store = MemoryStore()
        log = MemoryLog(store)
        rows = list(sim.log)
        asked = [n for n, row in enumerate(rows) if row.stream.startswith("command/")]
        if not asked:
            return
        which = asked[len(asked) // 2]
        rows[which] = rows[which]._replace(topic="command.unknown.v9")
        log.append(rows)
        state = State(sim.settings)
        loading.load(state, log)
        self.reached += 1
        assert state.counters == {"events_unreadable": 1}, "it is counted"
        assert state.cluster.position == len(rows), "the others were read"
        compare(state.cluster, sim.cluster)


class NothingLeft(Checker):
    """L4: nothing runs on a node but what its kubelet knows of."""

    id = "L4"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Compares the sandboxes with the pods."""
        for node in sim.nodes.values():
            if not isinstance(node, HollowNode):
                continue
            there = {found.uid for found in node.hollow.list()}
            known = {uid for uid, held in node.pods.items() if held.said != "failed"}
            self.reached += bool(known)
            assert there == known, f"{node.name} runs {there ^ known} unknown to it"


class PathForgotten(Checker):
    """L7: the state is the one that the last wishes alone would have reached."""

    id = "L7"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Asks an empty cluster for what is wanted now."""
        fresh = SimCluster(0, healthy=False)
        fresh.add_node({"cpu": "500", "memory": "500Gi", "pods": "1000"})
        for owner in sim.cluster.desired.deployments.values():
            fresh.ask("deployment", owner.name, "create", {"manifest": manifest(owner)})
        fresh.settle()
        self.reached += bool(sim.cluster.desired.deployments)
        assert sizes(fresh) == sizes(sim), "the path is not forgotten"


class ComesToRest(Checker):
    """A3: under a load that does not change, an autoscaler turns once at most, and
    ends at a size that suits the load, or at a bound of its own; one that may not go
    up is not too large."""

    id = "A3"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Looks at the sizes since the load is steady, and at the last one."""
        if not isinstance(sim, World) or not sim.steady_at:
            return
        ways: dict[str, list[bool]] = {}
        for recorded in sim.of(autoscaler.AutoscalerRescaled, sim.steady_at):
            event = recorded.event
            assert isinstance(event, autoscaler.AutoscalerRescaled), "asked for"
            if event.figures:
                ways.setdefault(recorded.stream, []).append(event.after > event.before)
        for stream, each in ways.items():
            turns = sum(one != other for one, other in pairwise(each))
            assert turns <= 1, f"{stream} turns {turns} times under a steady load"
        for held in sim.cluster.plain.of(autoscaler.KIND):
            self._suits(sim, held.key)

    def _suits(self, sim: World, key: str) -> None:
        spec = watched_checkers.spec_of(sim.state, key)
        name = spec.scale_target_ref.name
        owner = sim.cluster.desired.deployments.get(f"deployment/default/{name}")
        scaling = sim.cluster.plain.objects[key].scaling
        if owner is None or not owner.replicas or scaling is None:
            return
        said = {each.type: each for each in scaling.conditions}
        active = said.get("ScalingActive")
        least, most = spec.min_replicas or 1, spec.max_replicas
        assert least <= owner.replicas <= most, f"{key} lets {owner.replicas} be"
        if active is None or active.status != "True":
            return
        metrics = spec.metrics
        source = metrics[0].resource
        if len(metrics) > 1 or source is None:
            return
        percent = source.target.average_utilization
        if percent is None or name not in sim.loads.of:
            return
        self.reached += 1
        # Of 100m each; pods that look like its own take their share of the load too.
        nodes = [each for each in sim.nodes.values() if isinstance(each, HollowNode)]
        used = sim.loads.share(name, nodes, sim.now)
        wanted = min(max(-(-used * owner.replicas // percent), least), most)
        suits = 0.9 <= used / percent <= 1.1
        rules = spec.behavior.scale_up if spec.behavior is not None else None
        if rules is not None and rules.select_policy == "Disabled":
            suits |= wanted > owner.replicas  # it may not go up
        assert suits or abs(wanted - owner.replicas) <= 1, (
            f"{key} leaves {owner.replicas} pods with {used} % each of {percent} %"
        )


def manifest(owner: deployment.Deployment) -> dict[str, Any]:
    """What a user would write to have this Deployment."""
    spec = msgspec.to_builtins(owner.spec)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": owner.name},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


SUITE: Final[tuple[type[Checker], ...]] = (
    ComesToRest,
    Answered,
    RolloutsEnd,
    SetAside,
    NothingLeft,
    PathForgotten,
    SameAgain,
    CrashChangesNothing,
)
