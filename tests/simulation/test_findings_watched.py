"""What the simulator has found in rollouts that are watched, each as a short story."""

from typing import Any

from domain import analysis_run, deployment, replicaset
from tests.support.cluster import SimCluster, manifest, rolling
from tests.workers import watched
from workers.decisions import Target
from workers.intake import CommandInput


def test_an_old_replicaset_that_turns_up_meets_no_steps() -> None:
    """L1: a rollout is complete; a ReplicaSet made by hand whose controller is its
    Deployment gives way as in Kubernetes, and no step holds it for a promotion that
    would be refused (seed 1251411585, B51)."""
    sim = SimCluster(3)
    wish: Any = manifest("web", "app:1", 4, strategy=rolling("100%", 0))
    wish["metadata"]["annotations"] = {"rollbook/steps": "pause"}
    sim.ask("deployment", "web", "create", {"manifest": wish})
    sim.settle()
    raw = manifest("web", "app:3", 2) | {"kind": "ReplicaSet"}
    raw["metadata"] = {"name": "by-hand", "labels": {"app": "web"}}

    sim.ask("replicaset", "by-hand", "create", {"manifest": raw})
    sim.settle()

    assert len(sim.of(replicaset.ReplicaSetAdopted)) == 1
    assert sim.sizes("web") == {"app:1": 4, "app:3": 0}
    assert not sim.of(analysis_run.RolloutStepReached)


def test_who_goes_back_before_a_revision_begins_goes_back() -> None:
    """S11: undone before its revision began, and the ReplicaSet that it went back to
    is gone by then: the revision that begins is a rollback, with no analysis that
    could roll it back again (B52)."""
    sim = SimCluster(3)
    watched.watched(sim, back="analysis", checks=watched.CHECK, replicas=2)
    watched.release(sim)
    watched.measure_all(sim, 0.0, 0.0, 0.0)
    new = sim.cluster.desired.deployments["deployment/default/web"]
    held = sim.cluster.desired.new_replicaset(new)
    assert held is not None

    sim.step(
        asking(sim, "deployment", "web", "set-image", {"images": {"main": "app:3"}}),
        asking(sim, "deployment", "web", "undo", {"toRevision": 2}),
        asking(sim, "replicaset", held.name, "delete", {}),
    )
    watched.measure_all(sim, 0.9, 0.9, 0.9)

    assert len(watched.rollbacks(sim)) == 1, "the one that was asked for"
    assert not sim.of(deployment.DeploymentRollbackDeclined)
    run = sim.cluster.desired.deployments["deployment/default/web"].run
    assert (run.revision, run.rolled_back, run.done) == (3, True, True)
    assert sim.sizes("web") == {"app:1": 0, "app:2": 2}

    watched.release(sim, "app:4")
    watched.measure_all(sim, 0.9)
    assert len(watched.rollbacks(sim)) == 2, "what is new is looked at again"


def test_an_adopted_replicaset_is_a_revision_before_it_is_rolled_back() -> None:
    """Spec 2.2: the annotation asks for the revision before, and a ReplicaSet of the
    new template is there by hand: it gets its revision first, so that what follows is
    a rollback (seed 1251411810, B52)."""
    sim = SimCluster(3)
    wish: Any = manifest("web", "app:1")
    sim.ask("deployment", "web", "create", {"manifest": wish})
    sim.settle()
    raw = manifest("web", "app:2") | {"kind": "ReplicaSet"}
    raw["metadata"] = {"name": "by-hand", "labels": {"app": "web"}}
    changes = {"changes": {deployment.ROLLBACK_TO: "0"}}

    sim.step(
        asking(sim, "replicaset", "by-hand", "create", {"manifest": raw}),
        asking(sim, "deployment", "web", "set-image", {"images": {"main": "app:2"}}),
        asking(sim, "deployment", "web", "annotate", changes),
    )
    sim.settle()

    begun = [each.event.revision for each in sim.of(deployment.RevisionStarted)]  # type: ignore[attr-defined]  # revisions begin
    assert begun == [1, 2, 3], "the second one is what it was rolled back from"
    run = sim.cluster.desired.deployments["deployment/default/web"].run
    assert (run.revision, run.rolled_back, run.done) == (3, True, True)
    assert sim.sizes("web") == {"app:1": 3, "app:2": 0}


def asking(
    sim: SimCluster, kind: str, name: str, verb: str, body: object
) -> CommandInput:
    """A command on its way, to be taken in one step with others."""
    at = Target(namespace="default", kind=kind, name=name, verb=verb)
    return sim.command_input(at, body)
