"""S16: one list of wishes, with crashes, losses and repeats, and without.

Each wish is followed by rest, so that what is asked for next meets the same cluster in
both runs. Between a wish and its rest the one run has bad wires for a few seconds (not
for so long that nodes would be taken for silent) and control crashes.
"""

from random import Random
from typing import Any, Final

import msgspec

from tests.simulation import decisions
from tests.simulation.simulate import Outcome
from tests.simulation.workload import Plan
from tests.support.cluster import Crash, SimCluster, manifest, rolling

WISHES: Final = 5
CRASHES: Final[tuple[Crash, ...]] = (
    "before commit",
    "in commit",
    "before saying",
    "half said",
)
STALE: Final = 700.0
"""Seconds after which every rollout that stands still has stalled."""

Wish = tuple[str, object]


def compared(found: Outcome, plan: Plan) -> Outcome:
    """The outcome, failed if the twins of this plan's seed decide differently."""
    reached = {**found.reached, "S16 twins": 0}
    failure = found.failure
    if not failure:
        try:
            reached["S16 twins"], why = compare(plan.seed)
        except AssertionError as error:
            why = str(error)
        if why:
            failure = f"S16: disturbed, it decides otherwise: {why}"
    return msgspec.structs.replace(found, failure=failure, reached=reached)


def compare(seed: int) -> tuple[int, str]:
    """How many decisions were compared, and how they differ (empty: not at all)."""
    wished = wishes(Random(f"twins/{seed}"))
    calm = _run(wished, None)
    disturbed = _run(wished, Random(f"faults/{seed}"))
    one, other = decisions.decisions(calm), decisions.decisions(disturbed)
    why = decisions.difference(one, other)
    why = why or decisions.unlike(
        decisions.end_state(calm), decisions.end_state(disturbed)
    )
    return one.total(), why


def wishes(dice: Random) -> list[Wish]:
    """A Deployment, and what is asked of it."""
    strategy: dict[str, Any] = {"type": "Recreate"}
    if dice.random() < 0.75:
        limits = dice.choice(((1, 0), (1, 1), ("25%", "25%"), (0, 2), ("100%", 0)))
        strategy = rolling(*limits)
    wish = manifest(
        "web",
        replicas=dice.randint(0, 6),
        strategy=strategy,
        revisionHistoryLimit=dice.choice((0, 2, 10)),
        minReadySeconds=dice.choice((0, 0, 5)),
    )
    found: list[Wish] = [("create", {"manifest": wish})]
    for _ in range(WISHES):
        image = dice.choice(("app:1", "app:2", "app:3", "app:bad"))
        found.append(
            dice.choice(
                (
                    ("set-image", {"images": {"main": image}}),
                    ("set-image", {"images": {"main": image}}),
                    ("scale", {"replicas": dice.randint(0, 8)}),
                    ("undo", {}),
                    ("undo", {"toRevision": dice.randint(1, 3)}),
                    ("restart", {}),
                    (dice.choice(("pause", "resume")), {}),
                )
            )
        )
    return found


def _run(wished: list[Wish], dice: Random | None) -> SimCluster:
    sim = SimCluster(3)
    sim.broken.add("app:bad")
    for verb, body in wished:
        if dice is not None:
            sim.crash_next = dice.choice((None, *CRASHES))
        sim.ask("deployment", "web", verb, body)
        if dice is not None:
            _disturb(sim, dice)
        sim.settle()
    sim.run_for(STALE)
    sim.settle()
    return sim


def _disturb(sim: SimCluster, dice: Random) -> None:
    sim.faults = dice
    for _ in range(8):
        if dice.random() < 0.2:
            sim.crash_next = dice.choice(CRASHES)
        sim.round(sim.now + 1.0)
    sim.crash_next = None
    sim.calm()
