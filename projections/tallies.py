"""What is counted of a ReplicaSet's pods, and what is left of a node."""

from domain import pod, quantities
from domain.node import Node
from domain.pod import Pod
from domain.podspec import Taint


def counts_as(state: Pod) -> tuple[object, ...]:
    """What decides how a pod is counted; half of all events change nothing in it."""
    return (
        state.owner_uid,
        state.template,
        state.labels,
        state.stage == pod.TERMINATING,
        state.terminal,
        state.ready,
        state.ready_seconds,
    )


class Tally:
    """How many pods a ReplicaSet has, by what they are (spec 3.7).

    `running` counts every pod that is not Failed or Succeeded, terminating ones
    included: what Recreate waits for (spec 2.10). `members` is every pod that it owns.
    """

    __slots__ = (
        "active",
        "available",
        "labelled",
        "members",
        "ready",
        "running",
        "terminating",
    )

    def __init__(self) -> None:
        self.members = 0
        self.active = 0
        self.ready = 0
        self.available = 0
        self.terminating = 0
        self.running = 0
        self.labelled = 0


class NodeUse:
    """A node and what is left of it; the view that placement takes of a node."""

    __slots__ = (
        "allocatable_cpu_milli",
        "allocatable_memory",
        "allocatable_pods",
        "free_cpu_milli",
        "free_memory",
        "free_pods",
        "labels",
        "name",
        "node",
        "pods",
        "ready",
        "siblings",
        "taints",
        "unschedulable",
    )

    def __init__(self, state: Node) -> None:
        self.node = state
        self.name = state.name
        self.pods: dict[str, None] = {}
        self.siblings: dict[str, int] = {}
        self.allocatable_cpu_milli = self.free_cpu_milli = 0
        self.allocatable_memory = self.free_memory = 0
        self.allocatable_pods = self.free_pods = 0
        self.describe(state)

    def describe(self, state: Node) -> None:
        """Afterwards this is the node `state`; what its pods take stays taken."""
        self.node = state
        self.labels = state.all_labels()
        self.taints: tuple[Taint, ...] = state.all_taints()
        self.ready = state.ready
        self.unschedulable = state.cordoned
        room = state.info.allocatable
        cpu = quantities.cpu_milli(room.get("cpu", "0"))
        memory = quantities.whole(room.get("memory", "0"))
        pods = quantities.whole(room.get("pods", "110"))
        self.free_cpu_milli += cpu - self.allocatable_cpu_milli
        self.free_memory += memory - self.allocatable_memory
        self.free_pods += pods - self.allocatable_pods
        self.allocatable_cpu_milli = cpu
        self.allocatable_memory = memory
        self.allocatable_pods = pods
