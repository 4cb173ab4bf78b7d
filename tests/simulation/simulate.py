"""Runs a plan: its actions, then rest; what it came to, and what was reached."""

import contextlib
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from domain import analysis, analysis_run
from kubelet.hollow_runtime import HollowSettings
from tests.properties import (
    active_check_checkers,
    checkers,
    subscriber_checkers,
    watched_checkers,
)
from tests.properties.checking import Checker
from tests.simulation import actions, final_checkers, properties, system_checkers
from tests.simulation.workload import EDITION, Plan
from tests.simulation.world import REDELIVERY, World
from tests.support.cluster import START, manifest, rolling
from tests.support.watching import Watcher
from workers.state import Settings


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to. `failure` is empty where nothing was violated."""

    seed: int
    edition: int = EDITION
    failure: str = ""
    where: str = ""
    """The last lines of the trace of a failure."""
    simulated: float = 0.0
    seconds: float = 0.0
    """Of real time."""
    events: int = 0
    steps: int = 0
    restarts: int = 0
    commands: int = 0
    injected: dict[str, int] = {}
    delivered: dict[str, int] = {}
    reached: dict[str, int] = {}


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What is refused is said to a log, which nobody wants to read here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def suite() -> list[Checker]:
    """New checkers of every property, safety first, the one that waits last."""
    known = checkers.suite()
    safety = [each() for each in system_checkers.SUITE]
    watched = [each() for each in watched_checkers.SUITE]
    final = [each() for each in final_checkers.SUITE]
    heard = [each() for each in subscriber_checkers.SUITE]
    checked = [each() for each in active_check_checkers.SUITE]
    return [*known[:-1], *safety, *watched, *checked, *heard, *final, known[-1]]


def build(plan: Plan, watchers: Sequence[Watcher] | None = None) -> World:
    """The plan's world, with every checker looking on, or these watchers."""
    return World(
        plan.nodes,
        allocatable=plan.allocatable,
        settings=Settings(events_per_step=plan.events_per_step),
        hollow=plan.hollow,
        watchers=suite() if watchers is None else watchers,
    )


def run(plan: Plan) -> Outcome:
    """Carries out every action, heals everything, and lets the checkers look on."""
    started = time.perf_counter()
    world: World | None = None
    failure, where = "", ""
    try:
        world = build(plan)
        for action in plan.actions:
            actions.carry_out(world, action)
        rest(world)
    except Exception as error:
        failure = f"{type(error).__name__}: {str(error).splitlines()[0:1]}"
        trace = traceback.extract_tb(error.__traceback__)[-6:]
        where = " ← ".join(
            f"{each.name} ({each.filename.rsplit('/', 1)[-1]}:{each.lineno})"
            for each in reversed(trace)
        )
    finally:
        if world is not None:
            world.close()
    if world is None:
        return Outcome(
            seed=plan.seed, edition=plan.edition, failure=failure, where=where
        )
    return Outcome(
        seed=plan.seed,
        edition=plan.edition,
        failure=failure,
        where=where,
        simulated=world.now - START,
        seconds=time.perf_counter() - started,
        events=len(world.log),
        steps=len(world.steps),
        restarts=world.restarts,
        commands=len(world.submitted),
        injected=dict(world.injected),
        delivered=dict(world.delivered),
        reached=properties.reached(_all(world)),
    )


def _all(world: World) -> Sequence[Checker]:
    return [each for each in world.watchers if isinstance(each, Checker)]


def rest(world: World) -> None:
    """Faults stop; users take back their taints; then liveness is due."""
    world.calm()
    world.crash_next = None
    world.checker.how = "good"
    while world.unanswered:  # what is on its way arrives, and may be a taint
        world.round(world.now + REDELIVERY)
    for name, use in [*world.cluster.actual.nodes.items()]:
        if use.node.taints:
            world.ask("node", name, "taint", {"taints": []})
    for key in [*world.cluster.actual.nodes]:
        if key not in world.nodes:
            world.ask("node", key, "delete")
    if _is_measured(world):
        _come_to_rest(world)
    checkers.rest(world)


TURNS: Final = 12
"""How often people look whether a rollout waits for them."""


def _is_measured(world: World) -> bool:
    """Somebody has asked for an autoscaler or for a watched rollout, ever."""
    kinds = {sent.target.kind for sent in world.submitted.values()}
    deployments = world.cluster.desired.deployments.values()
    watched = any(
        analysis.policy(each.annotations).checks
        or any(isinstance(step, analysis.Wait) and not step.seconds
               for step in analysis.policy(each.annotations).steps)
        for each in deployments
    )  # fmt: skip
    return "horizontalpodautoscaler" in kinds or watched


def _come_to_rest(world: World) -> None:
    """Loads are steady, what is measured is good, and people end the steps that wait:
    every rollout ends, and autoscalers come to their sizes."""
    checkers.heal(world)
    world.steady()
    for _ in range(TURNS):
        for _, owner in [*world.cluster.desired.deployments.items()]:
            if owner.spec.paused:
                world.ask("deployment", owner.name, "resume")
            policy, run = analysis.policy(owner.annotations), owner.run
            waits = analysis_run.waits(policy, run)
            if waits and not analysis_run.is_measuring(policy, run):
                world.ask("deployment", owner.name, "promote")
        world.run_for(60.0)
    world.settle()


def ratio() -> tuple[float, float]:
    """Simulated seconds for one of real time: 5 nodes, 30 pods, nothing looks on.

    An hour with a rolling update every ten minutes; then an hour of idleness.
    """
    found = []
    for changes in (6, 0):
        world = World(
            5,
            allocatable={"cpu": "4", "memory": "8Gi", "pods": "110"},
            settings=Settings(),
            hollow=HollowSettings(ready_delay=(0.5, 2.0), stop_delay=(0.1, 1.0)),
            watchers=(),
        )
        wish = manifest("web", "app:0", 30, strategy=rolling("25%", "25%"))
        world.submit("deployment", "web", "create", {"manifest": wish})
        world.settle()
        assert len(world.cluster.actual.pods) == 30, "thirty pods run"
        begun, started = time.perf_counter(), world.now
        for number in range(max(changes, 1)):
            if changes:
                images = {"images": {"main": f"app:{number + 1}"}}
                world.submit("deployment", "web", "set-image", images)
            world.run_for(3_600.0 / max(changes, 1))
        found.append((world.now - started) / (time.perf_counter() - begun))
    return found[0], found[1]
