"""Kubernetes' own tests of who owns which ReplicaSet, told to this writer (spec 2.16,
3.3, 7.1 and 7.3). Each test names its source."""

from typing import Any

import pytest

from domain import deployment, metadata
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import (
    counted,
    deploy,
    frozen,
    give,
    make,
    members,
    newest,
    owned,
    owner,
    relabel,
    replicaset_manifest,
    rs,
    scale,
    template,
)
from workers.decisions import Target

APP = {"app": "web"}


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes."""
    return SimCluster(3)


def test_a_selector_is_for_ever(sim: SimCluster) -> None:
    """TestDeploymentSelectorImmutability: refused, with Kubernetes' words."""
    deploy(sim)
    raw: dict[str, Any] = manifest()
    raw["spec"]["selector"] = {"matchLabels": {"app": "b"}}
    raw["spec"]["template"]["metadata"]["labels"] = {"app": "b"}
    answer = give(sim, "replace", raw)
    assert "Invalid value" in answer.message
    assert "field is immutable" in answer.message


def test_overlapping_deployments(sim: SimCluster) -> None:
    """TestOverlappingDeployments and spec 2.16: each has its own ReplicaSet, and
    scaling one leaves the other's untouched."""
    deploy(sim, "first", replicas=2)
    deploy(sim, "second", replicas=2)
    first, second = newest(sim, "first"), newest(sim, "second")
    assert first.labels == second.labels, "one template has one hash"
    scale(sim, 5, "first")
    sim.settle()

    assert newest(sim, "first").replicas == 5
    assert newest(sim, "second") == second
    assert counted(sim, "first")[3] == 5
    assert counted(sim, "second")[3] == 2


def test_an_orphaned_replicaset_is_taken_over(sim: SimCluster) -> None:
    """deployment.go "test Deployment ReplicaSet orphaning and adoption regarding
    controllerRef": the same ReplicaSet, no second one, no pod touched."""
    deploy(sim)
    (held,) = owned(sim)
    pods = {each.uid for each in members(sim, held.name)}
    sim.ask("deployment", "web", "delete", {"propagation": "orphan"})
    sim.settle()
    assert (rs(sim, held.name).owner, rs(sim, held.name).replicas) == ("", 3)
    position = len(sim.log)
    deploy(sim, "other")

    assert [each.uid for each in owned(sim, "other")] == [held.uid]
    assert {each.uid for each in members(sim, held.name)} == pods
    assert not {"PodCreated", "PodTerminationRequested"} & {*sim.kinds(position)}


def test_a_replicaset_that_matches_is_adopted_when_it_is_created(
    sim: SimCluster,
) -> None:
    """Spec 2.1: one that nobody owns wakes every Deployment that selects it; of another
    template it is an old one, and is rolled down."""
    deploy(sim)
    make(
        sim,
        replicaset_manifest("late", 2, pods=template("x:1"), metadata={"labels": APP}),
    )
    assert [(each.name, each.replicas) for each in owned(sim)][-1] == ("late", 0)
    assert counted(sim) == (3, 3, 3, 3, 0)


def test_one_without_labels_is_nobodys(sim: SimCluster) -> None:
    """Spec 3.3: the labels of the ReplicaSet decide, not those of its template."""
    deploy(sim)
    make(sim, replicaset_manifest("own", 2, pods=template("x:1")))
    assert (rs(sim, "own").owner, rs(sim, "own").replicas) == ("", 2)


def test_a_deployment_that_is_being_deleted_adopts_nothing(sim: SimCluster) -> None:
    """Spec 3.3: not while it has a deletionTimestamp."""
    deploy(sim)
    sim.ask("deployment", "web", "delete", {"propagation": "foreground"})
    give(sim, "create", replicaset_manifest("late", 1, metadata={"labels": APP}))
    frozen(sim)
    assert owner(sim).stage == deployment.DELETING
    assert rs(sim, "late").owner == ""
    sim.settle()
    assert "deployment/default/web" not in sim.cluster.desired.deployments
    assert rs(sim, "late").replicas == 1


def test_a_replicaset_whose_labels_change(sim: SimCluster) -> None:
    """TestReplicaSetOrphaningAndAdoptionWhenLabelsChange: released it runs on, and one
    of another hash is made; with its labels back it is the Deployment's again."""
    deploy(sim, replicas=1)
    (held,) = owned(sim)
    relabel(sim, "replicaset", held.name, {"app": "away"})
    assert rs(sim, held.name).owner == ""
    assert [each.phase for each in members(sim, held.name)] == ["Running"]
    (other,) = owned(sim)
    assert owner(sim).collision_count == 1
    assert other.labels[metadata.HASH_LABEL] != held.labels[metadata.HASH_LABEL]

    relabel(sim, "replicaset", held.name, {"app": "web"})
    assert rs(sim, held.name).owner_uid == owner(sim).uid
    assert {each.name for each in owned(sim)} == {held.name, other.name}
    assert newest(sim).name == held.name, "of equal templates the oldest counts"
    assert counted(sim) == (1, 1, 1, 1, 0)


def test_a_hash_collision(sim: SimCluster) -> None:
    """TestDeploymentHashCollision: the ReplicaSet's template is changed in its place,
    so that its name is taken: collisionCount is 1, and revision 2 has another hash."""
    deploy(sim, replicas=1)
    (held,) = owned(sim)
    pods = template("app:hijacked", {**held.labels})
    raw = replicaset_manifest(held.name, 1, pods=pods)
    raw["spec"]["selector"] = {"matchLabels": dict(held.selector.match_labels)}
    raw["metadata"]["labels"] = dict(held.labels)
    answer = give(sim, "replace", raw)
    assert answer.result == "accepted", answer.message
    sim.settle()

    assert owner(sim).collision_count == 1
    assert len(sim.of(deployment.HashCollided)) == 1
    assert newest(sim).name != held.name
    assert newest(sim).revision == owner(sim).revision == 2
    assert counted(sim) == (1, 1, 1, 1, 0)


def test_a_deployment_of_the_same_name_owns_nothing_of_the_former(
    sim: SimCluster,
) -> None:
    """Deleted and created in one step, what the former one owned goes (I7)."""
    deploy(sim)
    (held,) = owned(sim)
    at = {"namespace": "default", "kind": "deployment", "name": "web"}
    raw = manifest(image="app:2", replicas=2)
    sim.step(
        sim.command_input(Target(**at, verb="delete"), {}),
        sim.command_input(Target(**at, verb="create"), {"manifest": raw}),
    )
    sim.settle()

    assert held.key not in sim.cluster.desired.replicasets
    assert [*sim.cluster.desired.replicasets] == [newest(sim).key]
    assert len(sim.cluster.actual.pods) == 2
    assert not sim.cluster.desired.orphaning


def test_deleting_collects_everything(sim: SimCluster) -> None:
    """deployment.go "deployment reaping should cascade to its replica sets and pods"
    and garbage_collector.go "should delete RS created by deployment"."""
    deploy(sim, replicas=1)
    sim.ask("deployment", "web", "delete")
    sim.settle()
    cluster = sim.cluster
    assert not cluster.desired.deployments
    assert not cluster.desired.replicasets
    assert not cluster.actual.pods
