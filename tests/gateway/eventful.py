"""A cluster to which everything happens, and the states of its past."""

import random
from typing import Any

from adapters.memory_log import MemoryLog
from domain.events import Recorded
from gateway import past_folding
from gateway.past_folding import Folded
from gateway.service import Service
from gateway.views.scene import Scene, Templates
from tests.gateway import support
from tests.gateway.support import ROOM, Written
from tests.support.cluster import SimCluster, manifest, rolling

ROUNDS = 45


def eventful(seed: int) -> SimCluster:
    """A cluster to which everything happens: rollouts, undos, lost nodes, drains,
    deletions, new objects of old names, standalone pods, pods that change owners."""
    dice = random.Random(seed)
    sim = SimCluster(nodes=3, allocatable=ROOM)
    sim.broken = {"app:bad"}
    acts = [
        lambda: _create(sim, dice),
        lambda: _on(sim, dice, "scale", {"replicas": dice.randrange(5)}),
        lambda: _on(sim, dice, "set-image", {"images": {"main": _image(dice)}}),
        lambda: _on(sim, dice, "undo", {}),
        lambda: _on(sim, dice, dice.choice(("pause", "resume")), {}),
        lambda: _on(sim, dice, "restart", {}),
        lambda: _on(
            sim,
            dice,
            "delete",
            {"propagation": dice.choice(("background", "foreground", "orphan"))},
        ),
        lambda: _pod(sim, dice),
        lambda: _relabel(sim, dice),
        lambda: _node(sim, dice),
    ]
    for name in ("a", "b"):
        sim.ask("deployment", name, "create", {"manifest": _manifest(name, dice)})
    for _ in range(ROUNDS):
        dice.choice(acts)()
        sim.run_for(dice.choice((0.5, 2.0, 15.0, 70.0)))
    return sim


def _manifest(name: str, dice: random.Random) -> dict[str, object]:
    return manifest(
        name,
        image=_image(dice),
        replicas=dice.randrange(4),
        strategy=rolling(1, dice.choice((0, 1))),
        minReadySeconds=dice.choice((0, 3)),
        progressDeadlineSeconds=20,
    )


def _image(dice: random.Random) -> str:
    return dice.choice(("app:1", "app:2", "app:3", "app:bad"))


def _create(sim: SimCluster, dice: random.Random) -> None:
    name = dice.choice("abc")
    sim.ask("deployment", name, "create", {"manifest": _manifest(name, dice)})


def _on(sim: SimCluster, dice: random.Random, verb: str, body: object) -> None:
    sim.ask("deployment", dice.choice("ab"), verb, body)


def _pod(sim: SimCluster, dice: random.Random) -> None:
    """A pod by itself, which an orphaned ReplicaSet or a Deployment's may adopt."""
    found = manifest("a")["spec"]
    assert isinstance(found, dict)
    metadata = {"name": "alone", "labels": {"app": dice.choice("ax")}}
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": found["template"]["spec"],
    }
    if sim.ask("pod", "alone", "create", {"manifest": document}).result == "rejected":
        sim.ask("pod", "alone", "delete", {})


def _relabel(sim: SimCluster, dice: random.Random) -> None:
    """A pod that is let go of by its ReplicaSet, or taken back."""
    pods = sorted(sim.cluster.actual.pods)
    if pods:
        name = dice.choice(pods).rpartition("/")[2]
        body = {"changes": {"app": dice.choice("abx")}, "overwrite": True}
        sim.ask("pod", name, "label", body)


def _node(sim: SimCluster, dice: random.Random) -> None:
    name = dice.choice(sorted(sim.nodes))
    match dice.randrange(4):
        case 0:
            sim.ask("node", name, dice.choice(("cordon", "uncordon")), {}, namespace="")
        case 1:
            sim.nodes[name].alive = not sim.nodes[name].alive
        case 2:
            sim.ask("node", name, "delete", {}, namespace="")
        case _:
            sim.jump(dice.choice((60.0, 400.0)))


def folded(log: MemoryLog, position: int) -> Folded:
    """The state of then, by the plain fold of everything before it."""
    return past_folding.whole(log, position)


def scene(state: Folded, now: float) -> Scene:
    """What views are made from."""
    return Scene(state.cluster, state.happenings, Templates(), now)


def keys(events: list[Recorded]) -> list[str]:
    """Every object that ever was."""
    kinds = ("deployment", "replicaset", "pod", "node")
    streams = dict.fromkeys(each.stream for each in events)
    return [each for each in streams if each.partition("/")[0] in kinds]


def scaled() -> tuple[SimCluster, int, float]:
    """`web` with three pods, and then with one: where and when it still had three."""
    sim = SimCluster(nodes=1)
    sim.ask("deployment", "web", "create", {"manifest": manifest()})
    sim.settle()
    position, now = sim.events[-1].position, sim.now
    sim.run_for(900.0)
    sim.ask("deployment", "web", "scale", {"replicas": 1})
    sim.settle()
    return sim, position, now


async def ask(service: Service, verb: str, question: object) -> Any:
    """The answer as it is on the wire."""
    return await support.ask(service, verb, question)


async def serving(sim: SimCluster) -> Service:
    """A service over the whole log."""
    return Service(await Written(sim).folded(), now=lambda: sim.now, wait_seconds=0.01)
