"""Every checker, and liveness: what holds once faults stop and nothing moves."""

from collections import Counter
from collections.abc import Sequence

from domain import autoscaler, autoscaling
from domain.deployment import Deployment
from tests.properties import count_checkers, log_checkers, rollout_checkers
from tests.properties.checking import (
    Checker,
    is_active,
    is_available,
    plain,
    pods_of,
    replicasets_of,
    template_of,
)
from tests.support.cluster import SimCluster
from workers.state import State

IDLE: float = 1_000.0
"""Seconds for which a cluster that is at rest is watched: more than a progress
deadline, and more than what a pod tolerates of a dead node."""


class ActualIsDesired(Checker):
    """L1, L7, I4, I8, I12: actual matches what was asked for last."""

    id = "L1"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Looks at every Deployment and every ReplicaSet."""
        state = sim.state
        for owner in sim.cluster.desired.deployments.values():
            self.reached += 1
            if owner.spec.paused:
                self._resized(state, owner)
            else:
                self._rolled_out(state, owner)
        for held in sim.cluster.desired.replicasets.values():
            active = sum(is_active(each) for each in pods_of(state, held))
            assert active == held.replicas, (
                f"{held.name} settles at {active} pods and wants {held.replicas} (I8)"
            )

    @staticmethod
    def _resized(state: State, owner: Deployment) -> None:
        sizes = [each.replicas for each in replicasets_of(state, owner)]
        assert len([size for size in sizes if size]) != 1 or sum(sizes) == (
            owner.replicas
        ), f"{owner.key} is paused, and its only ReplicaSet is resized all the same"

    @staticmethod
    def _rolled_out(state: State, owner: Deployment) -> None:
        wanted = plain(owner.template)
        held = replicasets_of(state, owner)
        new = [each for each in held if template_of(state, each) == wanted]
        assert new, f"{owner.key} has a ReplicaSet of the template that it asks for"
        sizes = {each.name: each.replicas for each in held}
        assert new[0].replicas == owner.replicas == sum(sizes.values()), (
            f"{owner.key} wants {owner.replicas} pods of {new[0].name}: {sizes}"
        )
        available = sum(is_available(state, each) for each in pods_of(state, new[0]))
        assert available == owner.replicas, (
            f"{available} pods of {owner.key} are available of {owner.replicas}"
        )
        assert new[0].revision == max(each.revision for each in held), (
            "the new ReplicaSet has the highest revision (I4)"
        )
        assert owner.revision == new[0].revision, "the Deployment says the same (I4)"
        limit = owner.spec.revision_history_limit
        assert limit is not None, "a default fills it in"
        assert len(held) - 1 <= limit, "no more old ReplicaSets are kept (I12)"
        last = state.cluster.rollouts.by_key[owner.key].revisions[-1]
        assert (last.revision, last.completed) == (owner.revision, True), (
            "completion is recorded (L3)"
        )


class NodesObey(Checker):
    """L1, L4: every kubelet runs what is bound to its node and nothing else."""

    id = "L4"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Compares each node's table of pods with what control knows."""
        wanted: dict[str, set[str]] = {name: set() for name in sim.nodes}
        for held in sim.cluster.actual.pods.values():
            assert held.stage != "terminating", f"{held.name} was to end and is there"
            assert held.node, f"{held.name} waits for a node: {held.unschedulable}"
            assert held.node in wanted, f"{held.name} is on a node that is not there"
            # What has ended runs no more; its node may keep what is left of it.
            if not held.terminal:
                wanted[held.node].add(held.uid)
        for name, node in sim.nodes.items():
            self.reached += bool(node.pods)
            runs = {uid for uid, held in node.pods.items() if held.said != "failed"}
            assert runs == wanted[name], (
                f"{name} runs {runs - wanted[name]} too many, and does not run "
                f"{wanted[name] - runs}"
            )
            assert not node.agent.unconfirmed, f"{name} still waits to be confirmed"


class Orphans(Checker):
    """L1: nothing is left of an owner that is gone."""

    id = "L1"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Looks for owners that do not exist."""
        desired = sim.cluster.desired
        for held in desired.replicasets.values():
            self.reached += bool(held.owner)
            assert not held.owner or held.owner in desired.deployments, (
                f"{held.name} outlives its Deployment"
            )
        for each in sim.cluster.actual.pods.values():
            assert not each.owner or each.owner in desired.replicasets, (
                f"{each.name} outlives its ReplicaSet"
            )


class Idle(Checker):
    """L1, I11: at rest no event is emitted, except to account for silent reports.

    What an autoscaler remembers is lost by a restart (spec 5.5), so that it says once
    that it waits before it would go down (or up), and once that it has waited: in the
    end it is as it was before.
    """

    id = "I11"
    kind = "liveness"

    def at_rest(self, sim: SimCluster) -> None:
        """Watches for a long while, over a restart of control too."""
        scalers = sum(1 for _ in sim.cluster.plain.of(autoscaler.KIND))
        if scalers:
            sim.run_for(autoscaling.DOWNSCALE_WINDOW + 100.0)
        position = len(sim.events)
        sim.run_for(IDLE / 2)
        restarted, conditions = len(sim.events), _conditions(sim)
        sim.crash_control()
        sim.run_for(IDLE / 2)
        self.reached += 1
        made = Counter(kind for kind in sim.kinds(position) if kind != "ReportsCounted")
        said = sim.kinds(restarted).count("AutoscalerConditionsChanged")
        assert said <= 2 * scalers, f"{scalers} autoscalers say {said} things"
        assert _conditions(sim) == conditions, "a restart is no news of an autoscaler"
        made["AutoscalerConditionsChanged"] -= said
        made = +made
        assert not made, f"nothing happens and events are made: {dict(made)}"


def _conditions(sim: SimCluster) -> dict[str, list[tuple[str, str, str]]]:
    """How the autoscalers say that they are."""
    return {
        held.key: [(e.type, e.status, e.reason) for e in held.scaling.conditions]
        for held in sim.cluster.plain.of(autoscaler.KIND)
        if held.scaling is not None
    }


def suite() -> list[Checker]:
    """New checkers, safety first; liveness ends with the one that lets time pass."""
    safety: Sequence[type[Checker]] = (
        log_checkers.DenseLog,
        log_checkers.AtomicSteps,
        log_checkers.OnceOnly,
        log_checkers.Replay,
        log_checkers.Causes,
        log_checkers.Compensation,
        log_checkers.OwnWord,
        log_checkers.Identity,
        log_checkers.Terminal,
        log_checkers.Incarnations,
        count_checkers.Tallies,
        count_checkers.Statuses,
        count_checkers.Capacity,
        count_checkers.Ownership,
        count_checkers.Sizes,
        count_checkers.Eviction,
        count_checkers.Silence,
        count_checkers.Availability,
        count_checkers.Collisions,
        rollout_checkers.LeastAvailable,
        rollout_checkers.Victims,
        rollout_checkers.SizeLimit,
        rollout_checkers.Recreate,
        rollout_checkers.Proportion,
        rollout_checkers.Revisions,
        rollout_checkers.OneReplicaSet,
        rollout_checkers.Paused,
        rollout_checkers.History,
    )
    liveness: Sequence[type[Checker]] = (ActualIsDesired, NodesObey, Orphans, Idle)
    return [each() for each in (*safety, *liveness)]


def heal(sim: SimCluster) -> None:
    """Faults stop: wires, nodes and images are good, and there is room for every
    pod."""
    sim.calm()
    sim.crash_next = None
    sim.broken.clear()
    for node in sim.nodes.values():
        if not node.alive:
            node.boot(sim.now)
        if not node.connected:
            node.connect(sim.now)
    sim.add_node({"cpu": "64", "memory": "64Gi", "pods": "500"})


def rest(sim: SimCluster) -> None:
    """Faults stop, everything heals, nothing moves any more: liveness is due.

    A node without pods joins, so that there is room for every pod, and users end what
    they have paused.
    """
    heal(sim)
    sim.settle()
    for name, use in [*sim.cluster.actual.nodes.items()]:
        if use.node.cordoned:
            sim.ask("node", name, "uncordon")
    for _, owner in [*sim.cluster.desired.deployments.items()]:
        if owner.spec.paused:
            sim.ask("deployment", owner.name, "resume", namespace=owner.namespace)
    sim.settle()
    sim.run_for(30.0)
    sim.settle()
    for watcher in sim.watchers:
        watcher.at_rest(sim)
