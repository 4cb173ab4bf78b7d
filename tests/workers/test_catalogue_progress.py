"""Conditions of a rollout where its deadline, a pause and a change of both meet (spec
2.4, 2.11 and 2.12). Each test names its source."""

from typing import Any

import pytest

from domain import deployment, pod, replicaset
from domain.plans.rollout import NO_DEADLINE
from gateway.views import pods
from gateway.views.scene import Scene, Templates
from projections.happenings import Happenings, lines
from tests.support.cluster import SimCluster, manifest, rolling
from tests.workers.scenes import (
    condition,
    counted,
    deploy,
    frozen,
    give,
    make,
    members,
    owned,
    owner,
    pod_manifest,
    replicaset_manifest,
    report,
    rs,
    set_image,
    tally,
    template,
)


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes, at which `app:bad` never gets ready."""
    sim = SimCluster(3)
    sim.broken.add("app:bad")
    return sim


def ask(sim: SimCluster, verb: str) -> None:
    """A command without a body; everything comes to rest."""
    sim.ask("deployment", "web", verb)
    sim.settle()


def test_what_has_stalled_stays_so_while_it_is_paused(sim: SimCluster) -> None:
    """I10 and spec 8.2, 15: not even a former template, whose ReplicaSet gets the next
    revision while nothing moves, is progress."""
    deploy(sim, progressDeadlineSeconds=30)
    set_image(sim, "app:bad")
    sim.settle()
    sim.run_for(60.0)
    assert condition(sim, "Progressing") == "ProgressDeadlineExceeded"

    ask(sim, "pause")
    set_image(sim, "app:1")
    sim.settle()
    assert owner(sim).revision == 3, "spec 2.11: the revision is synced all the same"
    assert condition(sim, "Progressing") == "ProgressDeadlineExceeded"

    ask(sim, "resume")
    assert condition(sim, "Progressing") == "NewReplicaSetAvailable"


def test_what_moves_again_has_a_deadline_again(sim: SimCluster) -> None:
    """Spec 2.12: a ready pod more is progress of a rollout that had stalled, and the
    deadline counts from then, even if nothing at all happens after it (B47)."""
    deploy(sim, progressDeadlineSeconds=30, strategy=rolling(1, 0))
    set_image(sim, "app:bad")
    sim.settle()
    sim.run_for(60.0)
    assert condition(sim, "Progressing") == "ProgressDeadlineExceeded"

    sim.ask("deployment", "web", "scale", {"replicas": 4})
    sim.run_for(5.0)
    assert condition(sim, "Progressing") == "ReplicaSetUpdated"
    sim.run_for(20.0)
    assert len(sim.of(deployment.RolloutStalled)) == 1
    sim.run_for(20.0)
    assert condition(sim, "Progressing") == "ProgressDeadlineExceeded"
    assert len(sim.of(deployment.RolloutStalled)) == 2


def test_a_former_template_while_paused_is_no_progress(sim: SimCluster) -> None:
    """Spec 2.11: while it is paused progress is not evaluated; resuming begins anew."""
    deploy(sim)
    set_image(sim, "app:2")
    sim.settle()
    ask(sim, "pause")
    set_image(sim, "app:1")
    sim.settle()
    assert condition(sim, "Progressing") == "DeploymentPaused"
    assert [held.replicas for held in owned(sim)] == [0, 3], "nothing moves"

    sim.ask("deployment", "web", "resume")
    sim.settle()
    assert counted(sim) == (3, 3, 3, 3, 0)


def limit(sim: SimCluster, seconds: int, image: str = "app:1") -> None:
    """Another progress deadline, and nothing else."""
    raw = manifest(image=image, progressDeadlineSeconds=seconds)
    answer = give(sim, "apply", raw)
    assert answer.result == "accepted", answer.message


def test_a_deadline_that_is_set_begins_then(sim: SimCluster) -> None:
    """Spec 2.4: with a deadline and no condition it is FoundNewReplicaSet, from now on;
    how long the rollout had stood before does not count against it."""
    deploy(sim, image="app:bad", progressDeadlineSeconds=NO_DEADLINE)
    sim.run_for(500.0)
    assert condition(sim, "Progressing") == ""

    limit(sim, 30, "app:bad")
    assert condition(sim, "Progressing") == "FoundNewReplicaSet"
    sim.run_for(20.0)
    assert not sim.of(deployment.RolloutStalled)
    sim.run_for(20.0)
    assert condition(sim, "Progressing") == "ProgressDeadlineExceeded"


def test_a_deadline_that_is_set_after_the_end_has_been_met(sim: SimCluster) -> None:
    """Spec 2.12: a rollout that is complete says so, and is completed only once."""
    deploy(sim, progressDeadlineSeconds=NO_DEADLINE)
    limit(sim, 30)
    sim.run_for(60.0)
    assert condition(sim, "Progressing") == "NewReplicaSetAvailable"
    assert len(sim.of(deployment.RolloutCompleted)) == 1


def test_a_deadline_that_is_set_while_paused_waits(sim: SimCluster) -> None:
    """Spec 2.11: DeploymentPaused as soon as there is a deadline, Resumed after it."""
    deploy(sim, progressDeadlineSeconds=NO_DEADLINE)
    ask(sim, "pause")
    assert condition(sim, "Progressing") == ""

    raw = manifest(progressDeadlineSeconds=30, paused=True)
    give(sim, "apply", raw)
    sim.run_for(60.0)
    assert condition(sim, "Progressing") == "DeploymentPaused"


def test_replica_failure_has_the_time_of_its_replicaset(sim: SimCluster) -> None:
    """Spec 2.12: copied with its time, also when a resume shows it only later."""
    deploy(sim)
    ask(sim, "pause")
    (held,) = owned(sim)
    raw = replicaset_manifest(held.name, 3, pods=template(image=" app:1"))
    raw["metadata"]["labels"] = held.labels
    hashed = held.labels["pod-template-hash"]
    raw["spec"]["selector"]["matchLabels"]["pod-template-hash"] = hashed
    raw["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = hashed
    answer = give(sim, "replace", raw)
    assert answer.result == "accepted", answer.message
    sim.ask("pod", next(iter(sim.cluster.actual.pods.values())).name, "delete")
    sim.run_for(100.0)
    (failed,) = sim.of(replicaset.ReplicaSetFailed)

    sim.ask("deployment", "web", "resume")
    found = sim.cluster.rollouts.by_key[owner(sim).key].condition("ReplicaFailure")
    assert found is not None
    assert found.updated_at == failed.timestamp


@pytest.mark.parametrize("restarted", ["first", "second"])
def test_readiness_begins_anew_with_each_restart(
    sim: SimCluster, restarted: str
) -> None:
    """Spec 8.2, mistake 27: whichever container it was, and however often another one
    was restarted before; also where nobody saw the pod unready in between."""
    make(sim, replicaset_manifest(replicas=1, minReadySeconds=60))
    sim.run_for(100.0)
    (held,) = members(sim)
    counts = {"first": 5, "second": 1}
    moments = []
    for number in range(2):
        counts[restarted] += number
        status = [
            {"name": name, "state": "running", "restarts": count}
            for name, count in counts.items()
        ]
        report(sim, held, phase="Running", ready=True, containers=status)
        moments.append(sim.cluster.actual.pods[held.key].ready_at)

    assert moments[0] < moments[1] == sim.now
    assert tally(sim).available == 0


# --- lines ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["deployment", "replicaset"])
def test_what_a_deletion_takes_with_it_makes_no_line(
    sim: SimCluster, kind: str
) -> None:
    """Spec 3.9: `SuccessfulDelete` is what a ReplicaSet says that has too many pods; a
    foreground deletion is not its doing."""
    if kind == "deployment":
        deploy(sim, replicas=2)
        body: dict[str, object] = {"propagation": "foreground"}
    else:
        make(sim, replicaset_manifest(replicas=2))
        body = {"foreground": True}
    name = "web" if kind == "deployment" else "rs"
    sim.ask(kind, name, "scale", {"replicas": 1})
    sim.settle()
    since = len(sim.log)
    before = dict(sim.cluster.actual.pods)
    sim.ask(kind, name, "delete", body)
    frozen(sim, 0.01)

    (ended,) = sim.of(pod.PodTerminationRequested, since)
    held = before[ended.stream]
    told = [line.reason for line in lines(ended, held, sim.cluster)]
    assert told == ["Killing"]


def test_an_adopted_pod_has_the_name_that_it_had(sim: SimCluster) -> None:
    """Spec 3.3 and 3.4: a generateName is what a ReplicaSet made a name of; a pod that
    it adopts keeps its own, and has none."""
    give(sim, "create", pod_manifest("solo", {"app": "web"}))
    make(sim, replicaset_manifest(replicas=2))
    scene = Scene(sim.cluster, Happenings(), Templates(), sim.now)
    shown: dict[str, Any] = {
        held.name: pods.document(scene, held)["metadata"] for held in members(sim)
    }

    assert shown.pop("solo").get("generateName") is None
    ((name, made),) = shown.items()
    assert (made["generateName"], name[:3]) == ("rs-", "rs-")


# --- the rest of the catalogue ------------------------------------------------------


def test_replace_and_patch(sim: SimCluster) -> None:
    """replica_set.go "Replace and Patch tests": scaled to 2; then one change of size,
    image and label; all are ready and available, and the resourceVersion has grown."""
    make(sim, replicaset_manifest(replicas=1))
    give(sim, "replace", replicaset_manifest(replicas=2))
    sim.settle()
    assert tally(sim).available == 2
    before = rs(sim).position

    raw = replicaset_manifest(replicas=3, pods=template(image="app:2"))
    raw["metadata"]["labels"] = {"test-rs": "patched"}
    give(sim, "apply", raw)
    sim.settle()

    assert (tally(sim).active, tally(sim).ready, tally(sim).available) == (3, 3, 3)
    assert rs(sim).labels == {"test-rs": "patched"}
    assert rs(sim).position > before
