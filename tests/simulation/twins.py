"""S16: one list of wishes, with crashes, losses and repeats, and without.

Each wish is followed by rest, so that what is asked for next meets the same cluster in
both runs. Between a wish and its rest the one run has bad wires for a few seconds (not
for so long that nodes would be taken for silent) and control crashes.

In a third of the twins the Deployment is guarded (`rollbook/auto-rollback`) and a
monitor measures it: app:3 is bad. In another third an autoscaler follows an external
metric, which is said again and again until the size has followed it. Measurements begin
when the rollout is over: one that fails in its middle would be a race. What must be
equal is what was decided: each rollback, each verdict, each measurement that was taken,
each new size. What an autoscaler says of its looks is left out (decisions.py, rule 3):
a control that has just started knows no metric yet, and says so.
"""

from random import Random
from typing import Any, Final

import msgspec

from tests.simulation import decisions, measuring
from tests.simulation.simulate import Outcome
from tests.simulation.workload import Plan
from tests.support.cluster import Crash, SimCluster, manifest, rolling
from workers.intake import Input

WISHES: Final = 5
CRASHES: Final[tuple[Crash, ...]] = (
    "before commit",
    "in commit",
    "before saying",
    "half said",
)
STALE: Final = 700.0
"""Seconds after which every rollout that stands still has stalled."""

GUARDED: Final = 240.0
"""Seconds after which a guarded rollout has stalled, or was measured."""

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
    kind = Random(f"twins/{seed}/5").choice(("plain", "guarded", "scaled"))
    if kind != "plain":
        wished = _measured(wished, kind, Random(f"twins/{seed}/{kind}"))
    calm = _run(wished, None, kind)
    disturbed = _run(wished, Random(f"faults/{seed}"), kind)
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


class MeasuredCluster(SimCluster):
    """A cluster with a monitor, and with a metric that is `load`."""

    def __init__(self) -> None:
        self.monitor = measuring.Monitor()
        self.load: int | None = None
        self.said_at = 0.0
        super().__init__(3)

    def _other_inputs(self) -> list[Input]:
        for owner in self.cluster.desired.deployments.values():
            bad = owner.template.spec.containers[0].image == "app:3"
            self.monitor.how = "bad" if bad else "good"
        words: list[Input] = [*self.monitor.say(self.cluster, self.now)]
        if self.load is not None and self.said_at + SAID_EVERY <= self.now:
            self.said_at = self.now
            words.append(measuring.published(self.load, "", self.now))
        return self._fates(words, "measurement")

    def round(self, end: float, *, progress: bool = True) -> None:
        """See `SimCluster.round`; who measures says so when it is time."""
        at = self.monitor.next_at(self.cluster)
        if self.load is not None:
            at = min(at, self.said_at + SAID_EVERY)
        super().round(max(self.now, min(end, at)), progress=progress)


SAID_EVERY: Final = 5.0
GUARD: Final = {
    "rollbook/auto-rollback": "deadline, analysis",
    "rollbook/analysis": "- {name: errors, prometheus: q, max: 0.05, interval: 10s,"
    " initialDelay: 2m}",
}


def _measured(wished: list[Wish], kind: str, dice: Random) -> list[Wish]:
    """The wishes with a guard, or with loads in place of sizes."""
    (verb, made), *rest = wished
    assert isinstance(made, dict), "the manifest"
    asked = made["manifest"]
    if kind == "guarded":
        asked["metadata"]["annotations"] = GUARD
        asked["spec"]["progressDeadlineSeconds"] = 30
        return wished
    asked["spec"]["replicas"] = dice.randint(1, 4)
    found: list[Wish] = [(verb, made)]
    for each in rest:
        load: Wish = ("load", {"milli": dice.choice((50, 300, 700, 2_000))})
        found.append(load if each[0] == "scale" or dice.random() < 0.5 else each)
    return found


FOLLOWED: Final = 400.0
"""Seconds after which an autoscaler has followed a load, down too."""


def _autoscaler() -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metric = {
        "metric": {"name": measuring.METRIC},
        "target": {"type": "AverageValue", "averageValue": "100m"},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": target,
            "maxReplicas": 8,
            "metrics": [{"type": "External", "external": metric}],
        },
    }


def _ask(sim: MeasuredCluster, verb: str, body: Any, dice: Random | None) -> None:
    """One wish, met with faults where there are dice for them."""
    if dice is not None:
        sim.crash_next = dice.choice((None, *CRASHES))
    if verb == "load":
        sim.load = body["milli"]
        if dice is not None:
            _disturb(sim, dice)
        sim.run_for(FOLLOWED)
        return
    sim.ask("deployment", "web", verb, body)
    if dice is not None:
        _disturb(sim, dice)


def _run(wished: list[Wish], dice: Random | None, kind: str) -> SimCluster:
    sim = MeasuredCluster()
    sim.broken.add("app:bad")
    for number, (verb, body) in enumerate(wished):
        _ask(sim, verb, body, dice)
        if kind == "scaled" and number == 0:
            sim.settle()
            asked = {"manifest": _autoscaler()}
            sim.ask("horizontalpodautoscaler", "web", "create", asked)
        if kind == "guarded":
            sim.run_for(GUARDED)
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
