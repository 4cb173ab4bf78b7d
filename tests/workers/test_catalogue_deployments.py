"""Kubernetes' own tests of Deployments, told to this writer (spec 7.1 and 7.3).

Each test names its source. What a test does there through an API server it does here
through commands, and what a kubelet would do the simulated nodes do.
"""

from random import Random
from typing import Any

import pytest

from domain import metadata, pod
from domain.events import Recorded
from projections import status
from tests.support.cluster import SimCluster, manifest, rolling
from tests.support.watching import Watcher
from tests.workers.scenes import (
    condition,
    counted,
    deploy,
    frozen,
    give,
    make,
    members,
    newest,
    owned,
    owner,
    replicaset_manifest,
    scale,
    set_image,
    template,
)
from workers.state import State

APP = {"app": "web"}


class RollingCheck(Watcher):
    """Upstream's rolling check: never more than N + maxSurge, never too few available.

    It looks at every event from `armed` on.
    """

    def __init__(self) -> None:
        self.armed = False
        self.looked = 0

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks the Deployment `web`."""
        desired, actual = state.cluster.desired, state.cluster.actual
        held = desired.deployments.get("deployment/default/web")
        if not self.armed or held is None:
            return
        self.looked += 1
        room = status.room(held)
        sizes = sum(each.replicas for each in desired.replicasets_of(held))
        found = status.deployment_status(desired, actual, held)
        assert sizes <= held.replicas + room.surge, recorded
        assert found.available >= held.replicas - room.unavailable, recorded


@pytest.fixture
def check() -> RollingCheck:
    """Not armed yet."""
    return RollingCheck()


@pytest.fixture
def sim(check: RollingCheck) -> SimCluster:
    """Four nodes with room for all, and an image that never gets ready."""
    room = {"cpu": "64", "memory": "64Gi", "pods": "200"}
    cluster = SimCluster(4, allocatable=room, watchers=[check])
    cluster.broken.add("app:bad")
    return cluster


# --- rollouts ---------------------------------------------------------------------


def test_a_new_deployment(sim: SimCluster) -> None:
    """TestNewDeployment: 20 replicas, minReadySeconds 4: revision 1, complete; the
    ReplicaSet has all annotations but the last-applied one, and one hash is in its
    name, its labels, its selector, its template and all its pods."""
    raw: dict[str, Any] = manifest(replicas=20, minReadySeconds=4)
    raw["metadata"]["annotations"] = {"team": "web"}
    give(sim, "apply", raw)
    sim.settle()

    (held,) = owned(sim)
    assert (held.revision, condition(sim, "Progressing")) == (
        1,
        "NewReplicaSetAvailable",
    )
    assert metadata.LAST_APPLIED in owner(sim).annotations
    assert held.annotations == {"team": "web"}
    hashed = held.name.removeprefix("web-")
    facts = sim.cluster.desired.templates[held.template]
    for labels in (held.labels, held.selector.match_labels, facts.labels):
        assert labels[metadata.HASH_LABEL] == hashed
    pods = members(sim, held.name)
    assert len(pods) == 20
    for each in pods:
        assert sim.cluster.actual.labels_of(each)[metadata.HASH_LABEL] == hashed


def test_rollouts_one_after_and_one_over_the_other(
    sim: SimCluster, check: RollingCheck
) -> None:
    """TestDeploymentRollingUpdate: revision 2 completes, 3 is superseded, 4 completes,
    under the rolling check; every old ReplicaSet ends at 0."""
    deploy(sim, replicas=20)
    check.armed = True
    set_image(sim, "app:2")
    sim.settle()
    assert (newest(sim).revision, counted(sim)) == (2, (20, 20, 20, 20, 0))

    set_image(sim, "app:3")
    for _ in range(4):
        sim.pump()
        sim.progress(2)
    assert 0 < newest(sim).replicas < 20
    set_image(sim, "app:4")
    sim.settle()

    assert (newest(sim).revision, counted(sim)) == (4, (20, 20, 20, 20, 0))
    assert [each.replicas for each in owned(sim)] == [0, 0, 0, 20]
    assert check.looked > 100


def test_an_adopted_revision_is_counted_on(sim: SimCluster) -> None:
    """deployment.go "RollingUpdateDeployment should delete old pods and create new
    ones": from 3546343826724305832 the next revision is …833."""
    books = {"deployment.kubernetes.io/revision": "3546343826724305832"}
    pods = template("old:1", {**APP, "pod": "old"})
    make(
        sim,
        replicaset_manifest(
            "old", 1, pods=pods, metadata={"labels": APP, "annotations": books}
        ),
    )
    deploy(sim, replicas=1)

    assert owner(sim).revision == newest(sim).revision == 3546343826724305833
    assert counted(sim) == (1, 1, 1, 1, 0)
    assert [(each.name, each.replicas) for each in owned(sim)] == [
        ("old", 0),
        (newest(sim).name, 1),
    ]


def test_recreate_never_shows_new_pods_beside_old_ones(sim: SimCluster) -> None:
    """deployment.go "RecreateDeployment should delete old pods and create new ones":
    never updatedReplicas > 0 together with replicas != updatedReplicas."""
    deploy(sim, replicas=3, strategy={"type": "Recreate"})
    set_image(sim, "app:2")
    for _ in range(20):
        replicas, updated, *_ = counted(sim)
        assert not updated or replicas == updated
        sim.pump()
        sim.progress(1)
    sim.settle()
    assert counted(sim) == (3, 3, 3, 3, 0)
    assert owner(sim).revision == 2


def test_old_replicasets_are_deleted(sim: SimCluster) -> None:
    """deployment.go "deployment should delete old replica sets": with a limit of 0 no
    adopted one is left, and one new pod came."""
    make(
        sim,
        replicaset_manifest("old", 1, pods=template("old:1"), metadata={"labels": APP}),
    )
    before = len(sim.of(pod.PodCreated))
    deploy(sim, replicas=1, revisionHistoryLimit=0)

    assert [each.name for each in owned(sim)] == [newest(sim).name]
    assert [*sim.cluster.desired.replicasets] == [newest(sim).key]
    assert len(sim.of(pod.PodCreated)) == before + 1


def test_rollover(sim: SimCluster, check: RollingCheck) -> None:
    """deployment.go "deployment should support rollover": a rollout that cannot end is
    overtaken by the next one; both older ReplicaSets end at 0."""
    make(
        sim,
        replicaset_manifest("old", 1, pods=template("old:1"), metadata={"labels": APP}),
    )
    sim.run_for(20.0)
    deploy(
        sim,
        image="app:bad",
        replicas=1,
        minReadySeconds=10,
        strategy=rolling(1, 0),
    )
    sim.run_for(60.0)
    assert [each.replicas for each in owned(sim)] == [1, 1]
    assert newest(sim).revision == 1
    check.armed = True
    set_image(sim, "app:2")
    sim.run_for(60.0)

    assert [each.replicas for each in owned(sim)] == [0, 0, 1]
    assert (newest(sim).revision, counted(sim)) == (2, (1, 1, 1, 1, 0))


def test_proportional_scaling(sim: SimCluster) -> None:
    """deployment.go "deployment should support proportional scaling": 8 + 5 pods of a
    rollout that hangs become 20 + 13 when 10 become 30."""
    deploy(sim, replicas=10, strategy=rolling(3, 2))
    set_image(sim, "app:bad")
    sim.settle()
    assert sim.sizes("web") == {"app:1": 8, "app:bad": 5}
    scale(sim, 30)
    sim.settle()
    assert sim.sizes("web") == {"app:1": 20, "app:bad": 13}


def test_a_rollout_and_a_size_at_once(sim: SimCluster) -> None:
    """TestScaledRolloutDeployment: a blocked rollout, then 20 replicas and an image in
    one update: revision 3 completes and 20 is noted on all three ReplicaSets; the same
    again with 5, noted on the last three."""
    strategy = rolling(3, 2)
    deploy(sim, replicas=10, strategy=strategy)
    for revision, size, noted in ((3, 20, 3), (5, 5, 3)):
        set_image(sim, "app:bad" if revision == 3 else f"app:bad{revision}")
        sim.broken.add(f"app:bad{revision}")
        sim.settle()
        assert newest(sim).revision == revision - 1
        raw: dict[str, Any] = manifest(
            "web", f"app:{revision}", replicas=size, strategy=strategy
        )
        assert give(sim, "replace", raw).result == "accepted"
        sim.settle()
        assert newest(sim).revision == revision
        assert counted(sim) == (size, size, size, size, 0)
        assert [each.desired for each in owned(sim)][-noted:] == [size] * noted


def test_a_failed_rollout_that_recovers(sim: SimCluster) -> None:
    """TestFailedDeployment: pods that are never ready exceed the deadline of 3 s; when
    they get ready after all, the rollout is complete."""
    deploy(sim, image="app:bad", replicas=1, progressDeadlineSeconds=3)
    assert condition(sim, "Progressing") == "ProgressDeadlineExceeded"
    sim.broken.clear()
    sim.settle()
    assert condition(sim, "Progressing") == "NewReplicaSetAvailable"


@pytest.mark.parametrize("seed", range(4))
def test_many_rollouts_one_over_the_other_end_well(sim: SimCluster, seed: int) -> None:
    """deployment.go "iterative rollouts should eventually progress": 20 random steps,
    then the rollout is complete, with at most two old ReplicaSets (I12)."""
    dice = Random(seed)
    deploy(sim, replicas=6, progressDeadlineSeconds=300, revisionHistoryLimit=2)
    for number in range(20):
        match dice.randrange(6):
            case 0 | 1:
                set_image(sim, f"app:{number + 2}")
            case 2:
                sim.ask("deployment", "web", "undo")
            case 3:
                scale(sim, owner(sim).replicas + dice.choice((-1, 1)))
            case 4:
                verb = "resume" if owner(sim).spec.paused else "pause"
                sim.ask("deployment", "web", verb)
            case _:
                for held in dice.sample([*sim.cluster.actual.pods.values()], 2):
                    sim.ask("pod", held.name, "delete")
        sim.pump()
        sim.progress(dice.randrange(4))
    if owner(sim).spec.paused:
        sim.ask("deployment", "web", "resume")
    sim.settle()

    size = owner(sim).replicas
    assert counted(sim) == (size, size, size, size, 0)
    assert condition(sim, "Progressing") == "NewReplicaSetAvailable"
    assert len(owned(sim)) <= 3


# --- pausing and scaling ----------------------------------------------------------


def test_paused_from_the_beginning_and_again(sim: SimCluster) -> None:
    """TestPausedDeployment: created paused there is no ReplicaSet; resumed, revision
    1; paused again, another template makes none."""
    deploy(sim, replicas=1, paused=True)
    assert owned(sim) == []
    sim.ask("deployment", "web", "resume")
    sim.settle()
    assert newest(sim).revision == 1

    (first,) = owned(sim)
    sim.ask("deployment", "web", "pause")
    set_image(sim, "app:2")
    sim.settle()
    assert owned(sim) == [first]
    assert sim.cluster.desired.new_replicaset(owner(sim)) is None
    old = sim.cluster.desired.templates[first.template].template
    assert old.spec.containers[0].image == "app:1"


def test_a_paused_deployment_is_scaled(sim: SimCluster) -> None:
    """TestScalePausedDeployment: from 1 to 10, and all of them run."""
    deploy(sim, replicas=1)
    sim.ask("deployment", "web", "pause")
    scale(sim, 10)
    sim.settle()
    assert newest(sim).replicas == 10
    assert counted(sim) == (10, 10, 10, 10, 0)


def test_the_size_of_a_recreate_deployment(sim: SimCluster) -> None:
    """TestSpecReplicasChange: 2, 0 and 1; another history limit only raises the
    generation."""
    strategy = {"type": "Recreate"}
    deploy(sim, replicas=2, strategy=strategy)
    for size in (0, 1):
        scale(sim, size)
        sim.settle()
        assert (newest(sim).replicas, counted(sim)[0]) == (size, size)
    generation, events = owner(sim).generation, len(sim.log)
    raw = manifest(replicas=1, strategy=strategy, revisionHistoryLimit=4)
    give(sim, "replace", raw)
    assert owner(sim).generation == generation + 1
    assert sim.kinds(events) == ["CommandAccepted", "DeploymentConfigured"]


def test_the_available_condition(sim: SimCluster) -> None:
    """TestDeploymentAvailableCondition: 10 replicas, minReadySeconds 3600."""
    deploy(
        sim,
        image="app:bad",
        replicas=10,
        minReadySeconds=3_600,
        progressDeadlineSeconds=7_200,
    )
    assert counted(sim) == (10, 10, 0, 0, 10)
    assert condition(sim, "Available") == "MinimumReplicasUnavailable"
    sim.broken.clear()
    sim.run_for(5.0)
    assert counted(sim) == (10, 10, 10, 0, 10)
    assert condition(sim, "Available") == "MinimumReplicasUnavailable"
    raw = manifest(
        image="app:bad",
        replicas=10,
        minReadySeconds=1,
        progressDeadlineSeconds=7_200,
    )
    assert give(sim, "replace", raw).result == "accepted"
    sim.run_for(2.0)
    assert counted(sim) == (10, 10, 10, 10, 0)
    assert condition(sim, "Available") == "MinimumReplicasAvailable"


# --- terminating pods -------------------------------------------------------------


def terminating(sim: SimCluster) -> int:
    """status.terminatingReplicas."""
    cluster = sim.cluster
    found = status.deployment_status(cluster.desired, cluster.actual, owner(sim))
    return found.terminating


def test_terminating_replicas(sim: SimCluster) -> None:
    """TestTerminatingReplicasDeploymentStatus: from 6 to 4 and to 3 with pods that take
    their time shows 3 of them."""
    deploy(sim, replicas=6)
    for size in (4, 3):
        scale(sim, size)
        frozen(sim)
    assert (counted(sim)[0], terminating(sim)) == (3, 3)
    sim.settle()
    assert (counted(sim)[0], terminating(sim)) == (3, 0)


def test_recreate_waits_for_the_end_of_every_old_pod(sim: SimCluster) -> None:
    """TestRecreateDeploymentForPodReplacement: 6 old pods end slowly, and there is no
    new ReplicaSet until they are gone; later ends are not waited for."""
    deploy(sim, replicas=6, strategy={"type": "Recreate"})
    set_image(sim, "app:2")
    frozen(sim)
    assert (counted(sim)[:2], terminating(sim)) == ((0, 0), 6)
    assert len(owned(sim)) == 1

    sim.settle()
    assert counted(sim) == (6, 6, 6, 6, 0)
    sim.ask("pod", members(sim, newest(sim).name)[0].name, "delete")
    frozen(sim)
    assert (counted(sim)[0], terminating(sim)) == (6, 1)
    for size, left in ((7, 1), (5, 3)):
        scale(sim, size)
        frozen(sim)
        assert (counted(sim)[0], terminating(sim)) == (size, left)
    sim.settle()
    assert counted(sim) == (5, 5, 5, 5, 0)


def test_a_rolling_update_does_not_wait_for_ends(sim: SimCluster) -> None:
    """TestRollingUpdateAndProportionalScalingForDeploymentPodReplacement: with pods
    that end slowly a rollout of 100 still reaches 100 + 20; scaled to 120 in its midst
    it is 117 + 23, and both are noted as 120 of 140."""
    deploy(sim, replicas=100, strategy=rolling(20, 0))
    for held in members(sim, newest(sim).name)[:15]:
        sim.ask("pod", held.name, "delete")
    frozen(sim)
    set_image(sim, "app:2")
    frozen(sim)
    assert sim.sizes("web") == {"app:1": 100, "app:2": 20}
    assert terminating(sim) == 15

    sim.ask("pod", members(sim, newest(sim).name)[0].name, "delete")
    frozen(sim)
    assert terminating(sim) == 16
    scale(sim, 120)
    frozen(sim)
    assert sim.sizes("web") == {"app:1": 117, "app:2": 23}
    assert [(each.desired, each.maximum) for each in owned(sim)] == [(120, 140)] * 2
    assert [each.revision for each in owned(sim)] == [1, 2]

    sim.settle()
    assert counted(sim) == (120, 120, 120, 120, 0)
    assert [(each.desired, each.maximum) for each in owned(sim)] == [(120, 140)] * 2
