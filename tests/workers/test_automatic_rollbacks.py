"""Automatic rollbacks, told as stories: once, to what was complete, with its reason."""

import pytest

from domain import analysis_run, deployment, events
from projections.happenings import lines
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import (
    deploy,
    members,
    newest,
    owned,
    owner,
    set_image,
)
from tests.workers.watched import (
    CHECK,
    cause_of,
    crash,
    image,
    measure_all,
    release,
    rollbacks,
    watched,
)


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes, on which the image `bad:1` never gets ready."""
    sim = SimCluster(3)
    sim.broken |= {"bad:1", "bad:2"}
    return sim


def results(sim: SimCluster) -> list[str]:
    """How each revision ended, oldest first."""
    held = sim.cluster.rollouts.by_key["deployment/default/web"].revisions
    return [each.result for each in held]


def test_a_deadline_rolls_back(sim: SimCluster) -> None:
    """In the step in which the deadline has passed, because of that very event, to the
    revision that was complete; the reason has the figures."""
    watched(sim, back="deadline", replicas=3, progressDeadlineSeconds=30)
    set_image(sim, "bad:1")
    sim.run_for(120)
    (back,), (stalled,) = rollbacks(sim), sim.of(deployment.RolloutStalled)
    assert (back.cause, back.timestamp) == (stalled.position, stalled.timestamp)
    assert back.actor == events.DEPLOYMENT_CONTROLLER
    assert cause_of(back) == (
        "rolled back from revision 2: no progress for 30 s with 1 of 3 pods updated "
        "and 3 available"
    )
    sim.settle()
    assert image(sim) == "app:1"
    assert results(sim) == ["complete", "rolled back", "complete"]
    (line,) = lines(back, None, sim.cluster)
    assert (line.type, line.reason) == ("Normal", "DeploymentRollback")


def test_without_the_annotation_a_deadline_changes_nothing_else(
    sim: SimCluster,
) -> None:
    """Spec 2.12: the default stays Kubernetes'."""
    watched(sim, replicas=3, progressDeadlineSeconds=30)
    set_image(sim, "bad:1")
    sim.run_for(120)
    assert sim.of(deployment.RolloutStalled)
    assert not rollbacks(sim)
    assert image(sim) == "bad:1"


def test_crashes_roll_back_when_there_are_too_many(sim: SimCluster) -> None:
    """More than N in all: N are allowed, and those of other pods count together."""
    watched(sim, back="crashes=3", replicas=4, minReadySeconds=30)
    set_image(sim, "app:2")
    sim.run_for(5)
    one, two = members(sim, newest(sim).name)[:2]
    crash(sim, one, 2)
    crash(sim, two, 1)
    assert not rollbacks(sim)
    crash(sim, two, 2)
    (back,) = rollbacks(sim)
    assert cause_of(back) == (
        "rolled back from revision 2: its containers crashed 4 times, more than 3"
    )
    assert sim.events[back.cause - 1].stream == two.key, "the report that decided it"


def test_crashes_of_a_pod_that_is_gone_count_on(sim: SimCluster) -> None:
    """`in all`: a pod that is deleted does not take its crashes away."""
    watched(sim, back="crashes=3", replicas=4, minReadySeconds=30)
    set_image(sim, "app:2")
    sim.run_for(5)
    (first, *_) = members(sim, newest(sim).name)
    crash(sim, first, 3)
    sim.ask("pod", first.name, "delete")
    sim.run_for(5)
    (*_, second) = members(sim, newest(sim).name)
    assert second.uid != first.uid
    crash(sim, second, 1)
    assert len(rollbacks(sim)) == 1


def test_crashes_of_the_old_revision_do_not_count(sim: SimCluster) -> None:
    """Neither before nor while the new one comes."""
    watched(sim, back="crashes=0", replicas=4, minReadySeconds=30)
    (old, *_) = members(sim, owned(sim)[0].name)
    crash(sim, old, 5)
    set_image(sim, "app:2")
    sim.run_for(5)
    (old, *_) = members(sim, owned(sim)[0].name)
    crash(sim, old, 9)
    assert owner(sim).run.revision == 2
    assert not rollbacks(sim)


def test_crashes_after_the_rollout_do_not_count(sim: SimCluster) -> None:
    """Rule 3: what happens in three weeks is no rollout's fault."""
    watched(sim, back="crashes=0", replicas=4)
    release(sim)
    (new, *_) = members(sim, newest(sim).name)
    crash(sim, new, 1)
    assert sim.cluster.rollouts.by_key[owner(sim).key].crashes == 1
    assert not rollbacks(sim)


def test_crashes_survive_a_restart_of_the_writer(sim: SimCluster) -> None:
    """They are folded from the log like everything else."""
    watched(sim, back="crashes=3", replicas=4, minReadySeconds=30)
    set_image(sim, "app:2")
    sim.run_for(5)
    (one, *_) = members(sim, newest(sim).name)
    crash(sim, one, 3)
    sim.crash_control()
    sim.run_for(5)
    crash(sim, one, 4)
    assert len(rollbacks(sim)) == 1


def test_a_failed_analysis_rolls_back(sim: SimCluster) -> None:
    """With the figures, and because of the event that ended the round; also when the
    pods were all there long ago."""
    watched(sim, back="analysis", checks=CHECK, replicas=3)
    release(sim)
    measure_all(sim, 0.04, 0.31)
    (back,), (ended,) = rollbacks(sim), sim.of(analysis_run.AnalysisEnded)
    assert back.cause == ended.position
    assert cause_of(back) == (
        "rolled back from revision 2: error-rate 0.31 > 0.05 in 1 of 2 measurements"
    )
    sim.settle()
    assert image(sim) == "app:1"
    assert results(sim) == ["complete", "rolled back", "complete"]


def test_a_second_bad_revision_goes_back_to_what_was_complete(sim: SimCluster) -> None:
    """Each bad revision is rolled back once, and none of them is ever gone back to."""
    watched(sim, back="deadline", replicas=3, progressDeadlineSeconds=30)
    for number, bad in enumerate(("bad:1", "bad:2"), start=1):
        set_image(sim, bad)
        sim.run_for(200)
        assert len(rollbacks(sim)) == number
        assert image(sim) == "app:1"
    targets = [back.event.to_revision for back in rollbacks(sim)]  # type: ignore[attr-defined]  # rollbacks hold them
    assert targets == [1, 3]
    assert results(sim)[1::2] == ["rolled back", "rolled back"]


def test_one_whose_analysis_failed_is_never_gone_back_to(sim: SimCluster) -> None:
    """It was complete, and it was bad: the one before it is what the next goes to."""
    pausing = '{"onFailure": "pause", "checks": ' + (
        '[{"name": "error-rate", "prometheus": "rate", "max": 0.05}]}'
    )
    watched(
        sim, back="deadline", checks=pausing, replicas=3, progressDeadlineSeconds=30
    )
    measure_all(sim, 0.0, 0.0, 0.0, every=30)
    release(sim)
    measure_all(sim, 0.31)
    assert results(sim) == ["complete", "complete"]
    set_image(sim, "bad:1")
    sim.run_for(200)
    assert [image(sim), len(rollbacks(sim))] == ["app:1", 1]


def test_a_rollback_that_fails_is_not_rolled_back(sim: SimCluster) -> None:
    """No loop: it stalls as any rollout does, until a user changes something."""
    watched(sim, back="deadline", replicas=3, progressDeadlineSeconds=30)
    sim.broken.add("app:1")
    set_image(sim, "bad:1")
    for held in members(sim, owned(sim)[0].name)[:2]:
        sim.ask("pod", held.name, "delete")
    sim.run_for(2000)
    assert len(rollbacks(sim)) == 1
    assert image(sim) == "app:1"
    assert len(sim.of(deployment.RevisionStarted)) == 3


def test_the_first_revision_has_nothing_to_go_back_to(sim: SimCluster) -> None:
    """That is said once, with the reason, as a warning; nothing else happens."""
    raw = manifest("web", "bad:1", progressDeadlineSeconds=30)
    raw["metadata"] = {
        "name": "web",
        "annotations": {"rollbook/auto-rollback": "deadline"},
    }
    sim.ask("deployment", "web", "create", {"manifest": raw})
    sim.run_for(1000)
    (said,) = sim.of(deployment.DeploymentRollbackDeclined)
    (line,) = lines(said, None, sim.cluster)
    assert line.reason == "DeploymentRollbackRevisionNotFound"
    assert "no progress for 30 s" in line.message
    assert not rollbacks(sim)


def test_a_paused_rollout_is_left_alone(sim: SimCluster) -> None:
    """Whoever paused looks at it; resumed, it is judged."""
    watched(sim, back="crashes=0", replicas=4, minReadySeconds=30)
    set_image(sim, "app:2")
    sim.run_for(5)
    sim.ask("deployment", "web", "pause")
    (one, *_) = members(sim, newest(sim).name)
    crash(sim, one, 1)
    assert not rollbacks(sim)
    sim.ask("deployment", "web", "resume")
    assert len(rollbacks(sim)) == 1


def test_an_idle_watched_deployment_writes_nothing(sim: SimCluster) -> None:
    """Rule: where desired equals actual nothing is emitted, annotations or not."""
    watched(sim, back="deadline,crashes", steps="50%, pause 1m", replicas=3)
    release(sim)
    sim.run_for(200)
    before = [kind for kind in sim.kinds() if kind != "ReportsCounted"]
    sim.run_for(4000)
    assert [kind for kind in sim.kinds() if kind != "ReportsCounted"] == before
    deploy(sim, "other")
    assert owner(sim, "other").run.done
