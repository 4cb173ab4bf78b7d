"""Objects whose owners go: what Kubernetes' garbage collector does with what manifests
named (spec 1.2). Each test names its source."""

import msgspec
import pytest

from tests.support.cluster import SimCluster
from tests.workers.scenes import (
    deploy,
    make,
    members,
    owned,
    owner,
    pod_with,
    reference,
    replicaset_manifest,
    rs,
    shown,
    solo,
)


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes."""
    return SimCluster(3)


def test_what_only_a_lost_owner_had_goes_with_it(sim: SimCluster) -> None:
    """Spec 1.2: dependents are deleted by their references, controlled or not."""
    deploy(sim)
    make(sim, pod_with([reference(owner(sim))], app="else"))
    held = replicaset_manifest(
        "dep", 1, metadata={"ownerReferences": [reference(owner(sim))]}
    )
    make(sim, held)
    sim.ask("deployment", "web", "delete")
    sim.settle()
    assert not sim.cluster.actual.pods
    assert not sim.cluster.desired.replicasets
    assert not sim.cluster.desired.references.dependents


def test_what_has_another_owner_stays(sim: SimCluster) -> None:
    """Spec 1.2: the reference to the lost one is taken away, and that is all; a pod
    outlives its ReplicaSet then too."""
    make(sim, replicaset_manifest("gone", 1))
    foreign = reference()
    make(sim, pod_with([reference(rs(sim, "gone")), foreign], app="else"))
    (mine,) = members(sim, "gone")
    sim.ask(
        "pod",
        mine.name,
        "apply",
        {
            "manifest": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": mine.name, "ownerReferences": [foreign]},
                "spec": msgspec.to_builtins(
                    sim.cluster.desired.templates[mine.template].template.spec
                ),
            }
        },
    )
    sim.ask("replicaset", "gone", "delete")
    sim.settle()
    assert shown(sim, solo(sim)) == [foreign]
    assert shown(sim, solo(sim, mine.name)) == [foreign]
    assert {each.phase for each in sim.cluster.actual.pods.values()} == {"Running"}


def test_what_is_orphaned_on_purpose_stays(sim: SimCluster) -> None:
    """Spec 1.2: `Orphan` takes the reference away from every dependent."""
    deploy(sim)
    make(sim, pod_with([reference(owner(sim))], app="else"))
    sim.ask("deployment", "web", "delete", {"propagation": "orphan"})
    sim.settle()
    assert (shown(sim, solo(sim)), solo(sim).phase) == ([], "Running")
    assert len(sim.cluster.actual.pods) == 4


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "Pod", "Node"])
def test_one_whose_owner_never_was_goes(sim: SimCluster, kind: str) -> None:
    """Spec 1.2: the collector looks at what is created too; the uid decides."""
    version = "apps/v1" if kind in ("Deployment", "ReplicaSet") else "v1"
    absent = reference(apiVersion=version, kind=kind, name="a/b", controller=True)
    make(sim, pod_with([absent]))
    assert not sim.cluster.actual.pods
    ours = reference(apiVersion="v1", kind="Node", name="node-1")
    make(sim, pod_with([ours]))
    assert not sim.cluster.actual.pods, "the node is there, but its uid is another"


def test_references_outlive_a_restart(sim: SimCluster) -> None:
    """They are in the log: folded again, they and what they mean are the same."""
    deploy(sim)
    make(
        sim,
        pod_with(
            [reference(owner(sim)), reference(rs(sim, owned(sim)[0].name))], app="else"
        ),
    )
    before = sim.cluster.desired.references
    sim.crash_control()
    after = sim.cluster.desired.references
    assert (after.by_object, after.dependents) == (before.by_object, before.dependents)
    sim.ask("deployment", "web", "delete")
    sim.settle()
    assert not sim.cluster.actual.pods
