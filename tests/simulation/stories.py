"""Small stories for exhaustive perturbation, and how a fault is put into one.

1. A story rests before each wish, so that a fault in the middle of one part cannot
   change what the next one is asked of.
2. `Target` names one point of a story: the step, the event or the message of this
   number. `Perturbed` counts them all, and strikes at one.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from domain.events import Event, Recorded
from tests.support.cluster import Crash, SimCluster, manifest, rolling
from tests.support.watching import WatchedState
from workers.intake import Input
from workers.outbox import Step

Story = Callable[[SimCluster], None]
NODES: Final = 3
WIRES: Final = ("report", "assignment", "sync", "list")
CRASHES: Final[tuple[Crash, ...]] = (
    "before commit",
    "in commit",
    "before saying",
    "half said",
)


class Target(NamedTuple):
    """One point and what happens there: `kind` is one of `KINDS`."""

    kind: str
    number: int


KINDS: Final = (
    "crash after event",
    *(f"crash {how}" for how in CRASHES),
    *(f"{wire} lost" for wire in WIRES),
    *(f"{wire} repeated" for wire in WIRES),
)


class Crashed(Exception):
    """Control was killed between two events of a step."""


class Perturbed(SimCluster):
    """A cluster in which exactly one thing goes wrong; it counts where it could."""

    def __init__(self, target: Target | None = None) -> None:
        self.target = target
        self.points: Counter[str] = Counter()
        self.struck = 0
        super().__init__(NODES)

    def _strikes(self, kind: str) -> bool:
        """Whether the fault is due here; each call is a point."""
        self.points[kind] += 1
        if self.target is None or self.target != (kind, self.points[kind]):
            return False
        self.struck += 1
        return True

    def _take(self, inputs: Sequence[Input]) -> Step | None:
        for how in CRASHES:
            if self._strikes(f"crash {how}"):
                self.crash_next = how
        if isinstance(self.state, WatchedState) and self.crash_next is None:
            self.state.__class__ = _Fused
            assert isinstance(self.state, _Fused), "it was made one just now"
            self.state.burns = lambda: self._strikes("crash after event")
        try:
            return super()._take(inputs)
        except Crashed:
            self._restart(None)
            return None

    def _fates(self, wire: list[Any], what: str) -> list[Any]:
        arrived: list[Any] = []
        for message in wire:
            lost = self._strikes(f"{what} lost")
            again = self._strikes(f"{what} repeated")
            arrived += [] if lost else [message, message] if again else [message]
        wire.clear()
        return arrived


class _Fused(WatchedState):
    """A state that may crash after each event."""

    burns: Callable[[], bool]

    def emit(self, stream: str, event: Event, **rest: Any) -> Recorded:
        """See `State.emit`."""
        recorded = super().emit(stream, event, **rest)
        if self.burns():
            raise Crashed
        return recorded


# --- the stories ------------------------------------------------------------------


def _create(sim: SimCluster, replicas: int = 2, **spec: Any) -> None:
    body = {"manifest": manifest("web", replicas=replicas, **spec)}
    sim.ask("deployment", "web", "create", body)
    sim.settle()


def _ask(sim: SimCluster, verb: str, body: object | None = None) -> None:
    sim.ask("deployment", "web", verb, body)
    sim.settle()


def _image(sim: SimCluster, image: str) -> None:
    _ask(sim, "set-image", {"images": {"main": image}})


def create(sim: SimCluster) -> None:
    """A Deployment comes up."""
    _create(sim, 3)


def scale(sim: SimCluster) -> None:
    """It grows, shrinks, and goes to zero."""
    _create(sim)
    for replicas in (4, 1, 0):
        _ask(sim, "scale", {"replicas": replicas})


def roll(sim: SimCluster) -> None:
    """A rolling update."""
    _create(sim, 3, strategy=rolling(1, 0))
    _image(sim, "app:2")


def roll_over(sim: SimCluster) -> None:
    """A third template while the second does not come up."""
    _create(sim, 3)
    _image(sim, "app:bad")
    _image(sim, "app:3")


def undo_in_the_middle(sim: SimCluster) -> None:
    """Back, from a rollout that stands still half-way."""
    _create(sim, 3)
    _image(sim, "app:bad")
    _ask(sim, "undo")


def undo_by_annotation(sim: SimCluster) -> None:
    """Back, because the legacy annotation asks for it."""
    _create(sim, 3)
    _image(sim, "app:2")
    _ask(sim, "annotate", {"changes": {"deprecated.deployment.rollback.to": "0"}})


def pause_and_resume(sim: SimCluster) -> None:
    """Changes wait while it is paused."""
    _create(sim)
    _ask(sim, "pause")
    _image(sim, "app:2")
    _ask(sim, "scale", {"replicas": 3})
    _ask(sim, "resume")


def recreate(sim: SimCluster) -> None:
    """Everything ends before anything new begins."""
    _create(sim, strategy={"type": "Recreate"})
    _image(sim, "app:2")


def node_loss(sim: SimCluster) -> None:
    """A node dies, its pods are replaced, and it comes back."""
    _create(sim, 3)
    sim.nodes["worker-1"].die()
    sim.run_for(600.0)
    sim.settle()
    sim.nodes["worker-1"].boot(sim.now)
    sim.settle()


def adoption(sim: SimCluster) -> None:
    """Orphaned pods are taken over by the next Deployment of that name."""
    _create(sim)
    _ask(sim, "delete", {"propagation": "orphan"})
    _create(sim)


def adoption_of_two(sim: SimCluster) -> None:
    """Two ReplicaSets that users made for one template, one of them with an owner of
    its own beside; the pod of a third has another controller."""
    wish: Any = manifest("web", replicas=1)
    foreign = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "j"}
    for name, owners in (
        ("b", [foreign]),
        ("a", []),
        ("c", [foreign | {"controller": True}]),
    ):
        raw = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": wish["spec"]}
        meta = {"name": name, "labels": {"app": "web"}, "ownerReferences": owners}
        body = {"manifest": {**raw, "metadata": meta}}
        sim.ask("replicaset", name, "create", body)
    sim.settle()
    _create(sim, 3)


def delete(sim: SimCluster) -> None:
    """Gone with all it owns, made again, and gone pods first."""
    _create(sim)
    _ask(sim, "delete")
    _create(sim)
    _ask(sim, "delete", {"propagation": "foreground"})


def drain(sim: SimCluster) -> None:
    """A node is emptied pod by pod."""
    _create(sim, 3)
    sim.ask("node", "worker-2", "cordon")
    for held in [*sim.cluster.actual.pods.values()]:
        if held.node == "worker-2":
            sim.ask("pod", held.name, "evict")
    sim.settle()
    sim.ask("node", "worker-2", "uncordon")
    sim.settle()


STORIES: Final[tuple[Story, ...]] = (
    create,
    scale,
    roll,
    roll_over,
    undo_in_the_middle,
    undo_by_annotation,
    pause_and_resume,
    recreate,
    node_loss,
    adoption,
    adoption_of_two,
    delete,
    drain,
)


def told(story: Story, target: Target | None = None) -> Perturbed:
    """The story from its beginning to its rest, with one fault or none."""
    sim = Perturbed(target)
    sim.broken.add("app:bad")
    story(sim)
    sim.settle()
    return sim
