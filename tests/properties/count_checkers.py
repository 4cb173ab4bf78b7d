"""Safety of counts and of nodes: what is counted incrementally is what is there."""

from domain import deployment, node, pod, podspec, replicaset, times
from domain.events import REPLICASET_CONTROLLER, Event, Recorded
from projections import status
from tests.properties.checking import (
    Checker,
    is_active,
    is_available,
    is_terminal,
    pods_of,
    replicasets_of,
)
from tests.support.cluster import SimCluster
from workers.outbox import Step
from workers.state import State


class Tallies(Checker):
    """I5, spec 3.7: a ReplicaSet's counts are those of its pods, counted one by one."""

    id = "I5"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Counts every ReplicaSet's pods anew."""
        if not recorded.stream.startswith(("pod/", "node/", "replicaset/")):
            return
        for held in state.cluster.desired.replicasets.values():
            pods = pods_of(state, held)
            tally = state.cluster.actual.tally(held.key)
            active = [each for each in pods if is_active(each)]
            counted = (
                len(active),
                sum(each.ready for each in active),
                sum(is_available(state, each) for each in active),
                sum(each.stage == "terminating" and not is_terminal(each)
                    for each in pods),
                sum(not is_terminal(each) for each in pods),
            )  # fmt: skip
            self.reached += any(counted)
            told = (
                tally.active,
                tally.ready,
                tally.available,
                tally.terminating,
                tally.running,
            )
            assert told == counted, (
                f"{held.key} is said to have {told} active, ready, available, "
                f"terminating and running pods, and has {counted}"
            )


class Statuses(Checker):
    """I5: the numbers of a Deployment's status fit each other."""

    id = "I5"

    def after(self, state: State, _recorded: Recorded, /) -> None:
        """Checks every Deployment."""
        cluster = state.cluster
        for owner in cluster.desired.deployments.values():
            found = status.deployment_status(cluster.desired, cluster.actual, owner)
            sizes = sum(each.replicas for each in replicasets_of(state, owner))
            self.reached += found.replicas > 0
            assert found.updated <= found.replicas, "updated pods are pods"
            assert found.available <= found.ready <= found.replicas, (
                "available pods are ready, and ready ones are active"
            )
            assert found.unavailable == max(0, sizes - found.available), (
                "unavailable is the sum of the sizes less what is available"
            )


class Capacity(Checker):
    """S15: no node is given more than it has by our own decisions."""

    id = "S15"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Adds up what the pods of the chosen node ask for."""
        event = recorded.event
        use = state.cluster.actual.nodes
        if isinstance(event, pod.PodScheduled):
            self.reached += 1
            held = use[event.node]
            assert held.node.stage == node.READY, "pods go to nodes that are ready"
            assert not held.node.cordoned, "no pod goes to a cordoned node"
            used = self._used(state, event.node)
            has = (
                held.allocatable_cpu_milli,
                held.allocatable_memory,
                held.allocatable_pods,
            )
            assert all(a <= b for a, b in zip(used, has, strict=True)), (
                f"{event.node} has {has} (cpu, memory, pods) and was given {used}"
            )

    def after_step(self, sim: SimCluster, _step: Step, /) -> None:
        """What is said to be free is what is not used."""
        for name, held in sim.cluster.actual.nodes.items():
            cpu, memory, pods = self._used(sim.state, name)
            free = (held.free_cpu_milli, held.free_memory, held.free_pods)
            assert free == (
                held.allocatable_cpu_milli - cpu,
                held.allocatable_memory - memory,
                held.allocatable_pods - pods,
            ), f"{name} is said to have {free} left, and uses {(cpu, memory, pods)}"

    @staticmethod
    def _used(state: State, name: str) -> tuple[int, int, int]:
        templates = state.cluster.desired.templates
        bound = [
            templates[each.template]
            for each in state.cluster.actual.pods.values()
            if each.node == name and not is_terminal(each)
        ]
        return (
            sum(each.cpu_milli for each in bound),
            sum(each.memory for each in bound),
            len(bound),
        )


class Ownership(Checker):
    """I7: nobody adopts what has an owner, or ends what is not its own."""

    id = "I7"

    def __init__(self) -> None:
        super().__init__()
        self._owner = ""

    def before(self, state: State, stream: str, _event: Event, _actor: str, /) -> None:
        """Remembers who owned the object."""
        cluster = state.cluster
        held = cluster.actual.pods.get(stream) or cluster.desired.replicasets.get(
            stream
        )
        self._owner = held.owner if held is not None else ""

    def after(self, _state: State, recorded: Recorded, /) -> None:
        """Checks who took or ended what."""
        event = recorded.event
        if isinstance(event, pod.PodAdopted | replicaset.ReplicaSetAdopted):
            self.reached += 1
            assert not self._owner, f"{recorded.stream} was stolen from {self._owner}"
        elif recorded.actor == REPLICASET_CONTROLLER and isinstance(
            event, pod.PodTerminationRequested
        ):
            assert self._owner, "a ReplicaSet ends only pods that it owns"


class Sizes(Checker):
    """I8: a ReplicaSet never creates pods beyond its size."""

    id = "I8"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Counts the pods of the ReplicaSet that created one."""
        event = recorded.event
        if not isinstance(event, pod.PodCreated) or not event.owner:
            return
        self.reached += 1
        held = state.cluster.desired.replicasets[event.owner]
        active = sum(is_active(each) for each in pods_of(state, held))
        assert active <= held.replicas, (
            f"{held.name} wants {held.replicas} pods and created its {active}th"
        )


class Eviction(Checker):
    """Spec 4.5 to 4.7: pods leave a node only after its silence and their toleration,
    and no node is given up while none is heard."""

    id = "L4"

    def __init__(self) -> None:
        super().__init__()
        self._lost: dict[str, float] = {}

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks each loss and each eviction against the clock."""
        event, stream = recorded.event, recorded.stream
        if isinstance(event, node.NodeLost):
            ready = [each for each in state.cluster.actual.node_list if each.ready]
            assert ready, "no node is lost while not one is ready: the fault is ours"
            self._lost[stream] = recorded.timestamp
        elif isinstance(event, node.NodeBecameReady | node.NodeSpared):
            self._lost.pop(stream, None)
        elif isinstance(event, pod.PodTerminationRequested) and event.reason == (
            "DeletionByTaintManager"
        ):
            self.reached += 1
            held = state.cluster.actual.pods[stream]
            since = self._lost.get(f"node/{held.node}")
            taints = state.cluster.actual.nodes[held.node].node.taints
            lost = since is not None and recorded.timestamp >= since + 300
            if not lost and any(taint.effect == "NoExecute" for taint in taints):
                self._by_taint(state, held, taints, recorded.timestamp, since)
                return
            assert since is not None, "pods are evicted from lost nodes only"
            assert recorded.timestamp >= since + 300, "pods tolerate 300 seconds"

    @staticmethod
    def _by_taint(
        state: State,
        held: pod.Pod,
        taints: tuple[podspec.Taint, ...],
        now: float,
        lost: float | None,
    ) -> None:
        """Spec 4.7: a user's taint evicts at once, or after what the pod tolerates,
        counted from the first of the taints that it has."""
        tolerated = state.cluster.desired.templates[held.template].template.spec
        for taint in taints:
            seconds = [
                each.toleration_seconds
                for each in tolerated.tolerations
                if each.key == taint.key and each.effect == taint.effect
            ]
            if not seconds:
                return
            if seconds[0] is not None and taint.time_added is not None:
                begun = times.parse(taint.time_added)
                begun = begun if lost is None else min(begun, lost)
                if now >= max(begun, held.scheduled_at) + seconds[0]:
                    return
        raise AssertionError(f"{held.name} tolerates the taints of its node for longer")


class Silence(Checker):
    """Spec 4.6: when a node turns unready its pods turn unready with it."""

    id = "I5"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Looks at the pods of that node."""
        if not isinstance(recorded.event, node.NodeBecameUnready):
            return
        name = recorded.stream.partition("/")[2]
        pods = state.cluster.actual.pods.values()
        mine = [each for each in pods if each.node == name]
        self.reached += bool(mine)
        assert not any(each.ready for each in mine), (
            f"{name} is not heard, and its pods count as ready"
        )


class Availability(Checker):
    """Spec 4.2: a pod is available when it was ready for its minReadySeconds."""

    id = "S6"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks the time that has passed since the pod became ready."""
        if not isinstance(recorded.event, pod.PodBecameAvailable):
            return
        self.reached += 1
        held = state.cluster.actual.pods[recorded.stream]
        owner = state.cluster.desired.replicasets[held.owner]
        assert held.ready, "what is available is ready"
        assert recorded.timestamp >= held.ready_at + owner.min_ready_seconds, (
            "a pod is not available before its minReadySeconds are over"
        )


class Collisions(Checker):
    """I9: the collision count grows, and hashes are unique within a Deployment."""

    id = "I9"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks a collision, and every ReplicaSet that a Deployment creates."""
        event = recorded.event
        if isinstance(event, deployment.HashCollided):
            assert event.collision_count > 0, "the count of collisions grows"
        elif isinstance(event, replicaset.ReplicaSetCreated) and event.owner:
            self.reached += 1
            owner = state.cluster.desired.deployments[event.owner]
            hashes = [
                each.labels["pod-template-hash"]
                for each in replicasets_of(state, owner)
                if "pod-template-hash" in each.labels  # an adopted one may have none
            ]
            assert len(hashes) == len({*hashes}), "two ReplicaSets share a hash"
