"""Rollouts in steps, told as stories: fractions, pauses, people, changes in between."""

from typing import Any

import pytest

from domain import analysis_run, deployment, events
from tests.support.cluster import SimCluster, manifest, rolling
from tests.workers.scenes import condition, counted, give, owner, scale, set_image
from tests.workers.watched import (
    CHECK,
    image,
    measure_all,
    release,
    rollbacks,
    sizes,
    steps_reached,
    watched,
)

SURGES = [("25%", "25%"), (1, 0), (0, 1), (3, 2)]


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes."""
    return SimCluster(3)


def promote(sim: SimCluster, *, full: bool = False) -> Any:
    """A person promotes; everything comes to rest."""
    answer = sim.ask("deployment", "web", "promote", {"full": full})
    sim.settle()
    return answer


@pytest.mark.parametrize(("surge", "unavailable"), SURGES)
def test_each_step_holds_its_fraction(
    sim: SimCluster, surge: int | str, unavailable: int | str
) -> None:
    """10 % of ten is one, 50 % is five, and the old ones have the rest; what comes
    after the last step is an ordinary rolling update."""
    strategy = rolling(surge, unavailable)
    watched(sim, steps="10%, pause, 50%, pause", strategy=strategy)
    release(sim)
    assert sizes(sim) == (1, 9)
    assert promote(sim).result == "accepted"
    assert sizes(sim) == (5, 5)
    assert counted(sim)[3] == 10, "nobody is missed while it waits"
    assert not owner(sim).run.done
    promote(sim)
    assert sizes(sim) == (10, 0)
    assert owner(sim).run.done
    assert steps_reached(sim) == [
        (1, "10%"),
        (2, "pause"),
        (3, "50%"),
        (4, "pause"),
        (5, "100%"),
    ]


def test_the_first_revision_has_no_steps(sim: SimCluster) -> None:
    """Rule 5: nothing ran before that could be held."""
    watched(sim, steps="10%, pause")
    assert sizes(sim) == (10, 0)
    assert not steps_reached(sim)


def test_a_pause_by_time_ends_by_itself(sim: SimCluster) -> None:
    """On the second, by the clock, also when the writer was started again."""
    watched(sim, steps="50%, pause 5m")
    set_image(sim, "app:2")
    sim.run_for(60)
    assert sizes(sim) == (5, 5)
    sim.crash_control()
    sim.run_for(200)
    assert sizes(sim) == (5, 5)
    sim.run_for(60)
    assert sizes(sim) == (10, 0)
    _, at, last = sim.of(analysis_run.RolloutStepReached)
    assert last.actor == events.TIMER
    assert 300 <= last.timestamp - at.timestamp < 301


def test_the_deadline_does_not_run_while_a_step_waits(sim: SimCluster) -> None:
    """Neither in the wait, nor from its beginning once it is over."""
    watched(
        sim,
        back="deadline",
        steps="50%, pause 5m",
        progressDeadlineSeconds=60,
    )
    set_image(sim, "app:2")
    sim.run_for(400)
    assert not sim.of(deployment.RolloutStalled)
    assert owner(sim).run.done
    assert condition(sim, "Progressing") == "NewReplicaSetAvailable"


def test_the_deadline_runs_while_a_step_needs_pods(sim: SimCluster) -> None:
    """A bad revision at its first fraction is rolled back; one pod has seen it."""
    sim.broken.add("bad:1")
    watched(sim, back="deadline", steps="10%, pause", progressDeadlineSeconds=60)
    set_image(sim, "bad:1")
    sim.run_for(50)
    assert sizes(sim) == (1, 9)
    sim.run_for(60)
    assert len(rollbacks(sim)) == 1
    sim.settle()
    assert sizes(sim) == (10, 0)
    assert image(sim) == "app:1"


def test_one_that_cannot_go_back_goes_on(sim: SimCluster) -> None:
    """Nothing was complete before: that is said, and the steps are not forgotten."""
    sim.broken |= {"app:1", "bad:1"}
    watched(sim, back="deadline", steps="50%, pause 10s", progressDeadlineSeconds=30)
    set_image(sim, "bad:1")
    sim.run_for(100)
    assert owner(sim).run.gave_up
    sim.broken.clear()
    sim.run_for(100)
    assert owner(sim).run.done
    assert [step for step, _ in steps_reached(sim)] == [1, 2, 3]
    assert not rollbacks(sim)


def test_a_new_template_begins_at_the_first_step(sim: SimCluster) -> None:
    """Half of one revision is no reason to trust the next."""
    watched(sim, steps="10%, 50%, pause")
    release(sim)
    assert sizes(sim) == (5, 5)
    set_image(sim, "app:3")
    assert (owner(sim).run.step, sizes(sim)[0]) == (1, 1)
    sim.settle()
    assert sizes(sim) == (5, 5)
    assert [step for step, _ in steps_reached(sim)] == [1, 2, 3, 1, 2, 3]


def test_an_undo_has_no_steps(sim: SimCluster) -> None:
    """A person goes back at once, from the middle of a rollout."""
    watched(sim, steps="10%, pause")
    release(sim)
    sim.ask("deployment", "web", "undo")
    sim.settle()
    assert (image(sim), sizes(sim)) == ("app:1", (10, 0))
    assert len(steps_reached(sim)) == 2


def test_abort_goes_back_to_the_last_complete_revision(sim: SimCluster) -> None:
    """At once, and not to a revision in between that never was complete."""
    watched(sim, steps="10%, pause")
    release(sim, "app:2")
    release(sim, "app:3")
    answer = sim.ask("deployment", "web", "abort")
    assert (answer.result, answer.revision) == ("accepted", 4)
    sim.settle()
    assert (image(sim), sizes(sim)) == ("app:1", (10, 0))
    (aborted,) = sim.of(analysis_run.RolloutAborted)
    assert aborted.actor == "user/admin"
    held = sim.cluster.rollouts.by_key[owner(sim).key].revisions
    assert held[-1].cause == "rolled back from revision 3: aborted"


def test_abort_works_while_paused_and_without_steps(sim: SimCluster) -> None:
    """Any rollout that is under way can be given up; what is paused is resumed."""
    sim.broken.add("bad:1")
    watched(sim)
    release(sim, "bad:1")
    sim.ask("deployment", "web", "pause")
    assert sim.ask("deployment", "web", "abort").result == "accepted"
    sim.settle()
    assert (image(sim), sizes(sim)) == ("app:1", (10, 0))
    assert not owner(sim).spec.paused


@pytest.mark.parametrize("verb", ["promote", "abort"])
def test_there_must_be_a_rollout(sim: SimCluster, verb: str) -> None:
    """Both refuse, and change nothing, where nothing is under way."""
    watched(sim, steps="10%, pause")
    answer = sim.ask("deployment", "web", verb)
    assert (answer.result, answer.reason) == ("rejected", "BadRequest")


def test_promoting_needs_a_step_that_waits(sim: SimCluster) -> None:
    """Each refusal says why, and what to do."""
    sim.broken.add("bad:1")
    watched(sim, steps="10%, pause")
    release(sim, "bad:1")
    assert "waits for its pods" in promote(sim).message
    sim.ask("deployment", "web", "pause")
    assert "it is paused: resume it first" in promote(sim, full=True).message
    body = {"changes": {"rollbook/steps": None}}
    sim.ask("deployment", "web", "annotate", body)
    assert "it has no steps to promote" in promote(sim).message


def test_promoting_twice_is_promoting_once(sim: SimCluster) -> None:
    """S3 in spirit: while the rollout has moved on, the second one is refused."""
    watched(sim, steps="10%, pause, 50%, pause")
    release(sim)
    assert promote(sim).result == "accepted"
    assert promote(sim).result == "accepted", "that was another step"
    assert promote(sim).result == "rejected"


def test_promoting_in_full_leaves_all_steps_out(sim: SimCluster) -> None:
    """From a step of pods as from any other."""
    watched(sim, steps="10%, pause, 50%, analyse", checks=CHECK)
    release(sim)
    assert promote(sim, full=True).result == "accepted"
    assert sizes(sim) == (10, 0)
    assert not sim.of(analysis_run.MeasurementTaken)


def test_an_analysis_that_passes_ends_its_step(sim: SimCluster) -> None:
    """Each step `analyse` takes a round of its own."""
    watched(sim, steps="10%, analyse, 50%, analyse", checks=CHECK)
    release(sim)
    measure_all(sim, 0.01, 0.02, 0.03)
    assert sizes(sim) == (5, 5)
    measure_all(sim, 0.01, 0.02, 0.03)
    sim.settle()
    assert sizes(sim) == (10, 0)
    found = [each.event for each in sim.of(analysis_run.AnalysisEnded)]
    assert [each.verdict for each in found] == ["pass", "pass"]  # type: ignore[attr-defined]  # that is what they are


def test_an_analysis_that_fails_pauses_where_no_rollback_is_asked_for(
    sim: SimCluster,
) -> None:
    """Resumed, it is measured anew; promoted, it goes on without."""
    watched(sim, steps="10%, analyse, 50%, pause", checks=CHECK)
    release(sim)
    measure_all(sim, 0.3)
    assert owner(sim).spec.paused
    sim.ask("deployment", "web", "resume")
    assert (owner(sim).run.verdict, owner(sim).run.round) == ("", 3)
    measure_all(sim, 0.3)
    assert owner(sim).spec.paused
    assert promote(sim).result == "accepted"
    assert (owner(sim).spec.paused, sizes(sim)) == (False, (5, 5))


def test_a_monitor_that_is_dead_pauses_a_step_that_needs_it(sim: SimCluster) -> None:
    """Rule 4 of workers/analysing.py: after so many measurements that did not come."""
    watched(sim, steps="10%, analyse", checks=CHECK)
    set_image(sim, "app:2")
    sim.run_for(600)
    assert owner(sim).spec.paused
    assert owner(sim).run.verdict == "inconclusive"
    assert "is rollbook monitor running?" in owner(sim).run.why


def test_a_monitor_that_is_dead_delays_nothing_else(sim: SimCluster) -> None:
    """Without a step that needs it the rollout is complete, and nothing is paused."""
    watched(sim, back="analysis", checks=CHECK)
    set_image(sim, "app:2")
    sim.run_for(1000)
    assert owner(sim).run.done
    assert not owner(sim).spec.paused
    assert not rollbacks(sim)


@pytest.mark.parametrize("size", [1, 2, 4, 7, 20, 33])
def test_scaling_in_the_middle(sim: SimCluster, size: int) -> None:
    """The fractions are those of the new size, whichever way it went."""
    watched(sim, steps="50%, pause")
    release(sim)
    scale(sim, size)
    sim.settle()
    new, old = sizes(sim)
    if size > 1:
        assert (new, old) == ((size + 1) // 2, size // 2)
    else:
        assert (new, old) == (1, 1), "one alone stands beside the old one"
    promote(sim)
    assert sizes(sim) == (size, 0)


def test_scaling_to_none_and_back_ends_the_rollout(sim: SimCluster) -> None:
    """Rule 5: nothing old is left that could be held."""
    watched(sim, steps="50%, pause")
    release(sim)
    scale(sim, 0)
    sim.settle()
    scale(sim, 4)
    sim.settle()
    assert sizes(sim) == (4, 0)
    assert owner(sim).run.done


def test_a_pause_by_a_user_stops_the_steps(sim: SimCluster) -> None:
    """Also one that is over by time; it goes on when resumed, and sizes stay."""
    watched(sim, steps="50%, pause 1m")
    set_image(sim, "app:2")
    sim.run_for(10)
    sim.ask("deployment", "web", "pause")
    sim.run_for(300)
    assert sizes(sim) == (5, 5)
    sim.ask("deployment", "web", "resume")
    sim.settle()
    assert sizes(sim) == (10, 0)


def test_min_ready_seconds_come_before_the_next_step(sim: SimCluster) -> None:
    """A step of pods waits until they are available, not only ready."""
    watched(sim, steps="10%, 50%, pause", minReadySeconds=30)
    set_image(sim, "app:2")
    sim.run_for(20)
    assert sizes(sim)[0] == 1
    sim.run_for(100)
    assert sizes(sim) == (5, 5)


@pytest.mark.parametrize(("surge", "sizes_then"), [(1, (1, 1)), (0, (1, 0))])
def test_one_pod_alone(
    sim: SimCluster, surge: int, sizes_then: tuple[int, int]
) -> None:
    """Rule 2: beside the old one where there is room, else in its place."""
    strategy = rolling(surge, 1 - surge)
    watched(sim, steps="50%, pause", replicas=1, strategy=strategy)
    release(sim)
    assert sizes(sim) == sizes_then
    assert owner(sim).run.done == (sizes_then[1] == 0)


def test_recreate_has_no_steps(sim: SimCluster) -> None:
    """Refused at its field, when it is applied and when it is annotated."""
    raw: dict[str, Any] = manifest("web", strategy={"type": "Recreate"})
    raw["metadata"]["annotations"] = {"rollbook/steps": "10%"}
    answer = give(sim, "create", raw)
    assert answer.result == "rejected"
    assert answer.causes[0].field == "metadata.annotations[rollbook/steps]"
    del raw["metadata"]["annotations"]
    assert give(sim, "create", raw).result == "accepted"
    body = {"changes": {"rollbook/steps": "10%"}}
    answer = sim.ask("deployment", "web", "annotate", body)
    assert answer.causes[0].field == "metadata.annotations[rollbook/steps]"
    assert "Recreate ends every old pod" in answer.message


def test_what_has_no_steps_is_what_it_was(sim: SimCluster) -> None:
    """The same events, bit for bit, whether or not the annotations are looked for."""
    watched(sim)
    release(sim)
    told = {type(each.event) for each in sim.events}
    assert not told & {*analysis_run.EVENTS}
