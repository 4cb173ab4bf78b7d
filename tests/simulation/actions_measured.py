"""What can happen to who measures and to who is watched: editions 5 to 7 of plans."""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from domain import active_check
from tests.simulation.measuring import Load
from tests.simulation.world import World


def _autoscale(world: World, name: str, verb: str, spec: dict[str, Any]) -> None:
    """An autoscaler of the Deployment is there, changes or goes."""
    world.measure()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    asked = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": target, **spec},
    }
    body = {} if verb == "delete" else {"manifest": asked}
    world.submit("horizontalpodautoscaler", name, verb, body)


def _load(world: World, name: str, load: dict[str, Any]) -> None:
    world.loads.of[name] = msgspec.convert(load, Load)


def _usage_fault(world: World, pick: int, how: str) -> None:
    """A node is wrong about what its pods use from now on, or right again."""
    nodes = [*world.nodes.values()]
    if nodes:
        node = nodes[pick % len(nodes)]
        world.lies[node.name] = how


def _metric_fault(world: World, how: str) -> None:
    if how:
        world.injected[f"metric: {how}"] += 1
    world.metric_fault = how


def _guard(world: World, name: str, changes: dict[str, str | None]) -> None:
    """What rolls a revision of the Deployment back, or nothing any more."""
    body = {"changes": changes, "overwrite": True}
    world.submit("deployment", name, "annotate", body)


def _monitor(world: World, how: str, seed: int) -> None:
    world.injected[f"monitor: {how}"] += 1
    world.monitor.how = how
    world.monitor.dice = Random(seed)


def _active_check(world: World, name: str, text: str | None) -> None:
    """Its pods are to be checked from now on, or no longer."""
    body = {"changes": {active_check.ANNOTATION: text}, "overwrite": True}
    world.submit("deployment", name, "annotate", body)


def _checker(world: World, how: str, seed: int) -> None:
    """Whoever checks pods for their availability goes on like this."""
    world.injected[f"active checks: {how}"] += 1
    world.checker.how = how
    world.checker.dice = Random(seed)


def _step(world: World, name: str, verb: str, body: dict[str, Any]) -> None:
    """A person promotes a step, or gives a rollout up."""
    world.submit("deployment", name, verb, body)


ACTIONS: Final[dict[str, Callable[..., None]]] = {
    "autoscale": _autoscale,
    "load": _load,
    "usage fault": _usage_fault,
    "metric fault": _metric_fault,
    "guard": _guard,
    "monitor": _monitor,
    "step": _step,
    "active check": _active_check,
    "checker": _checker,
}
