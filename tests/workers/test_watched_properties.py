"""Watched rollouts under random commands, measurements, crashes and restarts.

1. Safety: a rollback by itself at most once for a revision, never from a rollback, and
   never to a revision that was not complete; the new ReplicaSet never grows beyond its
   fraction, the old ones never shrink below theirs; availability and surge as ever.
2. Liveness: when everything passes and people promote, a rollout ends complete.
3. Each property is shown to fail by a wrong variant of the code.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec
import pytest

from domain import analysis_run, deployment, events
from domain.events import Event
from domain.plans import progressive, rolling
from tests.properties.checking import Checker
from tests.properties.rollout_checkers import LeastAvailable, SizeLimit
from tests.properties.watched_checkers import Fractions
from tests.support.cluster import SimCluster
from tests.support.cluster import rolling as limits
from tests.workers.scenes import members, newest, owner, scale
from tests.workers.watched import crash, measure, watched
from workers import analysing, revisions
from workers.state import State

SEEDS: Final = range(80)
CHECKS: Final = "- {name: error-rate, prometheus: rate, max: 0.05, interval: 10s}"
STEPS: Final = (
    "",
    "10%, pause 20s",
    "25%, analyse, 50%, pause, 75%, pause 10s",
    "pause 5s, 1%, 99%, analyse",
)
BACK: Final = ("deadline", "crashes=0", "deadline,crashes=0,analysis", "analysis", "")
ROOM: Final = (("25%", "25%"), (1, 0), (0, 1), (3, 2))


class OneRollback(Checker):
    """At most one for a revision, none from a rollback, only to what was complete."""

    id = "one automatic rollback"

    def __init__(self) -> None:
        super().__init__()
        self._left: set[int] = set()

    def before(self, state: State, stream: str, event: Event, actor: str, /) -> None:
        """Judges a rollback by what was there before it."""
        if not isinstance(event, deployment.DeploymentRolledBack):
            return
        if actor != events.DEPLOYMENT_CONTROLLER:
            return
        self.reached += 1
        run = state.cluster.desired.deployments[stream].run
        assert run.revision not in self._left, f"{run.revision} was left already"
        assert not run.rolled_back, "a rollback is rolled back"
        self._left.add(run.revision)
        target = state.cluster.rollouts.by_key[stream].find(event.to_revision)
        assert target is not None
        assert target.completed, f"{event.to_revision} never was complete"
        assert not target.failed, f"{event.to_revision} had failed its analysis"


def walk(seed: int) -> SimCluster:
    """A random story of one Deployment; every checker has looked on."""
    dice = Random(f"watched/{seed}")
    checkers = (OneRollback(), Fractions(), LeastAvailable(), SizeLimit())
    sim = SimCluster(3, watchers=checkers)
    sim.broken |= {"app:bad"}
    back, steps = dice.choice(BACK), dice.choice(STEPS)
    needs = "analys" in back + steps
    watched(
        sim,
        back=back,
        steps=steps,
        checks=CHECKS if needs or dice.random() < 0.3 else "",
        replicas=dice.choice((1, 2, 4, 10)),
        strategy=limits(*dice.choice(ROOM)),
        progressDeadlineSeconds=30,
        minReadySeconds=dice.choice((0, 0, 5)),
    )
    for _ in range(50):
        _ACTIONS[dice.choice([*_ACTIONS])](sim, dice)
        sim.run_for(dice.choice((0.01, 1.0, 12.0, 40.0)))
    return sim


def _measure(sim: SimCluster, dice: Random) -> None:
    wrong: dict[str, Any] = dice.choice(({}, {}, {}, {"number": 7}, {"round": 9}))
    measure(sim, dice.choice((0.01, 0.01, 0.2, None)), **wrong)


def _crash(sim: SimCluster, dice: Random) -> None:
    if not sim.cluster.desired.new_replicaset(owner(sim)):
        return
    held = [each for each in members(sim, newest(sim).name) if each.node]
    if held:
        # A report of the test's own silences the node's: the kubelet starts anew.
        one = dice.choice(held)
        crash(sim, one, one.restarts + 1)
        sim.nodes[one.node].boot(sim.now)


def _ask(verb: str, **body: Any) -> Callable[[SimCluster, Random], None]:
    def act(sim: SimCluster, _dice: Random) -> None:
        sim.ask("deployment", "web", verb, body)

    return act


def _image(sim: SimCluster, dice: Random) -> None:
    image = dice.choice(("app:1", "app:2", "app:3", "app:bad"))
    sim.ask("deployment", "web", "set-image", {"images": {"main": image}})


_ACTIONS: Final[dict[str, Callable[[SimCluster, Random], None]]] = {
    "image": _image,
    "another image": _image,
    "measure": _measure,
    "measure again": _measure,
    "crash": _crash,
    "crash again": _crash,
    "crash once more": _crash,
    "scale": lambda sim, dice: scale(sim, dice.choice((0, 1, 3, 7, 12))),
    "pause": _ask("pause"),
    "resume": _ask("resume"),
    "promote": _ask("promote"),
    "promote in full": _ask("promote", full=True),
    "abort": _ask("abort"),
    "undo": _ask("undo"),
    "control": lambda sim, _dice: sim.crash_control(),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_safety(seed: int) -> None:
    """Rule 1, at every event of a random story; and liveness after it: when no image
    is bad, measurements pass and a person promotes, what is asked for is complete."""
    sim = walk(seed)
    sim.broken.clear()
    sim.ask("deployment", "web", "resume")
    for _ in range(60):
        if owner(sim).run.done:
            break
        measure(sim, 0.0)
        sim.run_for(15)
        sim.ask("deployment", "web", "promote")
        sim.ask("deployment", "web", "resume")
    assert owner(sim).run.done


def test_the_properties_are_reached() -> None:
    """A property whose guard is never met would not be checked."""
    found = dict.fromkeys(("OneRollback", "Fractions"), 0)
    for seed in SEEDS:
        for watcher in walk(seed).watchers[:2]:
            found[type(watcher).__name__] += getattr(watcher, "reached", 0)
    assert all(count > 20 for count in found.values()), found


def test_equal_seeds_are_equal_stories() -> None:
    """Nothing here throws dice of its own: the logs are the same, byte for byte."""
    assert walk(3).log == walk(3).log


def _forgets(run: analysis_run.Run, revision: int, now: float) -> analysis_run.Run:
    """A run that does not know that it goes back."""
    begun = _STARTED(run, revision, now)
    return msgspec.structs.replace(begun, rolled_back=False)


_STARTED: Final = analysis_run.started


def _any_revision(state: State, key: str) -> int:
    """The one before, whatever became of it."""
    held = state.cluster.rollouts.by_key[key].revisions
    return held[-2].revision if len(held) > 1 else 0


def _one_more(percent: int, *, replicas: int, surge: int) -> progressive.Hold | None:
    held = _FRACTION(percent, replicas=replicas, surge=surge)
    return held and progressive.Hold(new=held.new + 1, old=max(0, held.old - 1))


_FRACTION: Final = progressive.fraction


def _no_hold(wish: Any, sizes: Any) -> int:
    del wish
    return sum(sizes)


@pytest.mark.parametrize(
    ("target", "name", "wrong"),
    [
        (analysis_run, "started", _forgets),
        (revisions, "fallback", _any_revision),
        (progressive, "fraction", _one_more),
        (rolling, "_above_hold", _no_hold),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_wrong_variant_is_noticed(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, wrong: object
) -> None:
    """Rule 3: some story fails with each of them."""
    monkeypatch.setattr(target, name, wrong)
    assert _noticed(walk)


def test_a_rollout_that_never_ends_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 3 for liveness: steps that are never reached."""
    monkeypatch.setattr(analysing, "_step", lambda *_: False)
    assert _noticed(test_safety)


def _noticed(story: Callable[[int], object]) -> bool:
    for seed in SEEDS:
        try:
            story(seed)
        except AssertionError:
            return True
    return False
