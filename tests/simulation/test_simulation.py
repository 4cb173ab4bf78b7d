"""The simulator in the suite: new seeds in every run, and those that failed once."""

import secrets
from pathlib import Path
from typing import Final

import pytest

from tests.simulation import actions, properties, run, shrink, simulate, workload
from tests.simulation.simulate import Outcome

NEW: Final = 10
SEEDS: Final = Path(__file__).with_name("seeds.txt")


def once_failing() -> list[tuple[int, int]]:
    """The seeds of seeds.txt, each with the edition of its plan."""
    lines = [line.split() for line in SEEDS.read_text().splitlines()]
    return [(int(line[0]), int(line[1])) for line in lines if line and line[0] != "#"]


@pytest.mark.parametrize(("seed", "edition"), once_failing())
def test_what_failed_once_holds(seed: int, edition: int) -> None:
    """A seed that has shown a bug is run for ever."""
    found = run.outcome(seed, edition)

    assert not found.failure, f"{found.failure}\n{run.replay_command(found)}"


def test_an_edition_leaves_the_one_before_as_it_was() -> None:
    """A seed that has once failed keeps the plan with which it did."""
    for seed, _ in once_failing():
        first, second = workload.plan(seed, 1), workload.plan(seed, 2)

        assert first.hollow.start_delay == (0.0, 0.0), "pods start at once"
        kept = tuple(each for each in second.actions if each.kind != "broker")
        assert kept == first.actions
        third = workload.plan(seed, 3)
        added = {"make", "give owners", "ask for a rollback"}
        kept = tuple(each for each in third.actions if each.kind not in added)
        assert (kept, third.hollow) == (second.actions, second.hollow)
        fourth = workload.plan(seed, 4)
        kept = tuple(each for each in fourth.actions if each.kind != "watch")
        assert kept == third.actions
        fifth = workload.plan(seed, 5)
        sixth, seventh = workload.plan(seed, 6), workload.plan(seed, 7)
        for one, other in ((fourth, fifth), (sixth, seventh)):
            left = [*other.actions]
            for each in one.actions:  # in their order, with others between them
                while left.pop(0) != each:
                    pass
        for old, new in zip(fifth.actions, sixth.actions, strict=True):
            assert (old.kind, old.wait) == (new.kind, new.wait)
            assert old.args == new.args or old.kind == "autoscale"


def test_windows_of_every_length_are_drawn() -> None:
    """An autoscaler may go down at once, after seconds, or after minutes."""
    found = {
        each.args["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"]
        for seed in range(60)
        for each in workload.plan(seed).actions
        if each.kind == "autoscale" and "behavior" in each.args["spec"]
    }
    assert found == {0, 15, 30, 60, 300}


def test_new_seeds_hold() -> None:
    """Every run looks at worlds that nobody has seen; a failure says how to replay."""
    first = secrets.randbits(31)

    for seed in range(first, first + NEW):
        found = run.outcome(seed)

        assert not found.failure, run.explain(found)


def test_equal_seeds_make_equal_runs() -> None:
    """One seed decides everything: two runs come to the same log, byte for byte."""
    for seed in (3, 4):
        first, second = (simulate.build(workload.plan(seed)) for _ in range(2))

        for world in (first, second):
            for action in workload.plan(seed).actions:
                actions.carry_out(world, action)

        first.close()
        second.close()
        assert first.log == second.log
        assert len(first.log) > 50, "something has happened"


def test_every_property_has_a_checker_or_a_twin() -> None:
    """S1 to S17, I1 to I14, L1 to L7 and A1 to A3 are all looked after."""
    wanted = [f"S{n}" for n in range(1, 18)]
    wanted += [f"I{n}" for n in range(1, 15)]
    wanted += [f"L{n}" for n in range(1, 8)]
    wanted += [f"A{n}" for n in range(1, 4)]

    assert [*properties.PROPERTIES] == wanted
    assert [id_ for id_, kinds in properties.PROPERTIES.items() if not kinds] == ["S16"]
    known = {kind for kinds in properties.PROPERTIES.values() for kind in kinds}
    assert known <= {type(each) for each in simulate.suite()}, "they all look on"


def test_an_unreached_guard_is_named() -> None:
    """A property that nothing has reached is said to be so."""
    nothing = Outcome(seed=0, reached={"S1 DenseLog": 0, "S2 AtomicSteps": 3})

    missing = run.unreached([nothing])

    assert "S1 DenseLog" in missing
    assert "S1" in missing
    assert "S2" not in missing


def test_a_failing_plan_is_made_short() -> None:
    """Delta debugging leaves the actions that a failure needs, and no other."""
    plan = workload.plan(5)
    needed = {plan.actions[3].kind, plan.actions[-2].kind}

    def fails(candidate: workload.Plan) -> bool:
        return needed <= {action.kind for action in candidate.actions}

    short = shrink.shrink(plan, fails)

    assert {action.kind for action in short.actions} == needed
    assert len(short.actions) == len(needed)
    assert all(action.wait == 0.0 for action in short.actions), "no wait is needed"
    assert short.actions[0].kind in shrink.story(short)
