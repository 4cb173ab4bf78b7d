"""Short stories about who owns what, and what a pause keeps: see scripts.py."""

from typing import Any, Final

from domain import deployment, replicaset
from tests.properties import checkers
from tests.properties.scripts import Script, cluster, create, set_image
from tests.simulation import system_checkers
from tests.support.cluster import SimCluster, manifest
from workers.decisions import Target
from workers.intake import CommandInput

JOB: Final = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "name": "nightly",
    "uid": "7d0f",
    "controller": True,
}
GONE: Final = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "g", "uid": "g"}


def _made(sim: SimCluster, name: str, **metadata: Any) -> CommandInput:
    """The command that makes a ReplicaSet of one pod, of the template of `web`."""
    wish: Any = manifest("web", replicas=1)
    spec = {key: wish["spec"][key] for key in ("replicas", "selector", "template")}
    raw = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": spec}
    raw["metadata"] = {"name": name, "labels": {"app": "web"}, **metadata}
    at = Target(namespace="default", kind="replicaset", name=name, verb="create")
    return sim.command_input(at, {"manifest": raw})


def twins() -> SimCluster:
    """Spec 2.3: of two of one age and one template the name decides, for good (B29)."""
    sim = cluster()
    sim.step(_made(sim, "b"), _made(sim, "a"))
    create(sim, 3)
    held = sim.cluster.desired.replicasets.values()
    assert {each.name: each.replicas for each in held} == {"a": 3, "b": 0}
    checkers.rest(sim)
    return sim


def what_something_else_controls() -> SimCluster:
    """I7: a ReplicaSet of another controller is nobody's to adopt; that it names an
    owner that is gone is mended all the same."""
    sim = cluster()
    sim.watchers = (system_checkers.OneController(), *sim.watchers)
    sim.state.watchers = sim.watchers
    sim.step(_made(sim, "other", ownerReferences=[JOB, GONE]))
    sim.settle()
    create(sim, 2)
    sizes = {
        (bool(each.owner), each.replicas)
        for each in sim.cluster.desired.replicasets.values()
    }
    assert sizes == {(False, 1), (True, 2)}, "it stays whose it is"
    assert not sim.of(replicaset.ReplicaSetAdopted)
    checkers.rest(sim)
    return sim


def asked_by_annotation() -> SimCluster:
    """Spec 2.5: an annotation asks for one rollback, and for one only."""
    sim = cluster()
    sim.watchers = (system_checkers.RequestedRollbacks(), *sim.watchers)
    sim.state.watchers = sim.watchers
    create(sim, 2)
    set_image(sim, "app:2")
    sim.settle()
    body = {"changes": {deployment.ROLLBACK_TO: "0"}}
    sim.ask("deployment", "web", "annotate", body)
    sim.settle()
    assert len(sim.of(deployment.DeploymentRolledBack)) == 1
    checkers.rest(sim)
    return sim


def stalled_and_paused() -> SimCluster:
    """I10: what has stalled is stalled after a pause too, whatever is asked in it."""
    sim = cluster()
    create(sim, 3, progressDeadlineSeconds=30)
    set_image(sim, "app:bad")
    sim.settle()
    sim.run_for(60.0)
    sim.ask("deployment", "web", "pause")
    set_image(sim, "app:1")
    sim.settle()
    checkers.rest(sim)
    return sim


SCRIPTS: Final[tuple[Script, ...]] = (
    twins,
    what_something_else_controls,
    asked_by_annotation,
    stalled_and_paused,
)
