"""Namespaces: made on the way, guarding what is new, and going with all they hold."""

from typing import Any

import pytest

from domain import events, plain
from domain.errors import FieldError
from domain.events import Event
from domain.pod import TERMINATING
from tests.properties.log_checkers import compare
from tests.support.cluster import SimCluster, manifest
from tests.workers import scenes
from workers.state import Settings


def configmap(name: str = "one", **data: str) -> dict[str, Any]:
    """A ConfigMap's manifest."""
    meta = {"name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def put(sim: SimCluster, namespace: str, name: str = "one", **message: Any) -> Any:
    """Creates a ConfigMap; the answer."""
    body = {"manifest": configmap(name)}
    return sim.ask("configmap", name, "create", body, namespace=namespace, **message)


def deploy(sim: SimCluster, namespace: str, name: str = "web") -> None:
    """A Deployment with its pods, at rest."""
    body = {"manifest": manifest(name, replicas=2)}
    sim.ask("deployment", name, "create", body, namespace=namespace)
    sim.settle()


def delete(sim: SimCluster, name: str) -> Any:
    """Asks the namespace to go."""
    return sim.ask("namespace", name, "delete", namespace="")


def of(sim: SimCluster, kind: type[Event]) -> list[Any]:
    """The recorded events of that kind."""
    return [each for each in sim.events if isinstance(each.event, kind)]


def inside(sim: SimCluster, namespace: str) -> list[str]:
    """The keys of all that is in a namespace."""
    cluster = sim.cluster
    keys = [
        *cluster.desired.deployments,
        *cluster.desired.replicasets,
        *cluster.actual.pods,
        *cluster.plain.objects,
    ]
    return [key for key in keys if key.split("/")[1:-1] == [namespace]]


def test_the_first_namespaces_are_there_and_nothing_was_recorded() -> None:
    """default, kube-node-lease, kube-public, kube-system; each has an own uid."""
    sim = SimCluster(nodes=1)

    found = list(sim.cluster.plain.of(plain.NAMESPACE))

    assert tuple(each.name for each in found) == plain.FIRST_NAMESPACES
    assert len({each.uid for each in found}) == len(found)
    assert not of(sim, plain.ObjectCreated)
    assert put(sim, "kube-system").result == "accepted"
    assert len(of(sim, plain.ObjectCreated)) == 1


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("configmap", configmap()),
        ("deployment", manifest("one")),
        ("replicaset", scenes.replicaset_manifest("one")),
        ("pod", scenes.pod_manifest("one")),
    ],
)
@pytest.mark.parametrize("verb", ["create", "apply"])
def test_a_command_makes_its_namespace_on_the_way(
    kind: str, verb: str, raw: dict[str, Any]
) -> None:
    """One command, both events its own, by the user; each object has its own uid."""
    sim = SimCluster(nodes=1)

    answer = sim.ask(kind, "one", verb, {"manifest": raw}, namespace="x")

    assert answer.result == "accepted", answer.message
    made = next(each for each in sim.events if each.stream == "namespace/x")
    held = sim.cluster.held(f"{kind}/x/one")
    assert held is not None
    assert (made.actor, made.command_id) == ("user/admin", answer.id)
    assert made.event.uid != held.uid  # type: ignore[attr-defined]  # an ObjectCreated
    assert sim.ask(kind, "one", "delete", namespace="x").result == "accepted"
    assert "namespace/x" in sim.cluster.plain.objects, "it stays"


def test_a_namespace_waits_for_finalizers_in_it_and_on_it() -> None:
    """Spec 1.2: what has finalizers is asked to go, and holds its namespace; then the
    namespace's own do, also over a restart."""
    sim = SimCluster(nodes=1)
    held = configmap()
    held["metadata"]["finalizers"] = ["example.com/a"]
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}
    mine = {**space, "metadata": {"name": "x", "finalizers": ["example.com/b"]}}
    sim.ask("namespace", "x", "create", {"manifest": mine}, namespace="")
    sim.ask("configmap", "one", "create", {"manifest": held}, namespace="x")
    put(sim, "x", "two")

    delete(sim, "x")
    sim.settle()
    assert inside(sim, "x") == ["configmap/x/one"]
    assert sim.cluster.plain.objects["configmap/x/one"].stage == plain.DELETING

    before = sim.cluster
    sim.crash_control()
    compare(before, sim.cluster)
    sim.ask("configmap", "one", "replace", {"manifest": configmap()}, namespace="x")
    sim.settle()
    assert inside(sim, "x") == []
    assert "namespace/x" in sim.cluster.plain.objects, "its own finalizer is left"

    sim.ask("namespace", "x", "replace", {"manifest": space}, namespace="")
    sim.settle()
    assert "namespace/x" not in sim.cluster.plain.objects


def test_a_refused_command_makes_no_namespace() -> None:
    """Nothing happened."""
    sim = SimCluster(nodes=1)

    answer = sim.ask(
        "configmap", "A", "create", {"manifest": configmap("A")}, namespace="x"
    )

    assert answer.code == 422
    assert "namespace/x" not in sim.cluster.plain.objects


def test_a_namespace_that_must_be_there_is_not_made() -> None:
    """The HTTP front asks as Kubernetes: 404 for the namespace, not for the object."""
    sim = SimCluster(nodes=1)

    answer = put(sim, "x", namespace_must_exist=True)

    assert (answer.code, answer.message) == (404, 'namespaces "x" not found')
    assert put(sim, "default", namespace_must_exist=True).result == "accepted"


def test_a_namespace_goes_when_nothing_is_left_in_it() -> None:
    """Deployments, ReplicaSets, pods and plain objects go, each with a cause; then the
    namespace. What is elsewhere stays."""
    sim = SimCluster()
    for name in ("x", "default"):
        deploy(sim, name)
        put(sim, name)
        solo = {"manifest": scenes.pod_manifest()}
        sim.ask("pod", "solo", "create", solo, namespace=name)
        loose = {"manifest": scenes.replicaset_manifest()}
        sim.ask("replicaset", "rs", "create", loose, namespace=name)
    sim.settle()
    elsewhere = inside(sim, "default")

    answer = delete(sim, "x")

    held = sim.cluster.plain.namespace("x")
    assert held is not None, "its pods must end first"
    assert held.stage == plain.DELETING
    sim.settle()
    assert inside(sim, "x") == []
    assert sim.cluster.plain.namespace("x") is None
    assert inside(sim, "default") == elsewhere
    asked = next(
        e for e in sim.events if isinstance(e.event, plain.ObjectDeletionRequested)
    )
    assert asked.command_id == answer.id
    mine = [e for e in sim.events if e.actor == events.NAMESPACE_CONTROLLER]
    assert mine[-1].stream == "namespace/x"
    assert all(each.cause >= asked.position for each in mine)
    assert all(sim.events[each.cause - 1].position == each.cause for each in mine)


def test_nothing_new_comes_into_a_namespace_that_goes() -> None:
    """403 with Kubernetes' text; what is there may still be changed."""
    sim = SimCluster()
    deploy(sim, "x")
    delete(sim, "x")
    body = {"manifest": manifest("api")}

    for verb in ("create", "apply"):
        answer = sim.ask("deployment", "api", verb, body, namespace="x")

        assert answer.code == 403
        assert answer.message == (
            'deployments.apps "api" is forbidden: unable to create new content in '
            "namespace x because it is being terminated"
        )
        assert answer.causes == (
            FieldError(
                reason="NamespaceTerminating",
                message="namespace x is being terminated",
                field="metadata.namespace",
            ),
        )
    pod = next(each.name for each in sim.cluster.actual.pods.values())
    changes = {"changes": {"a": "b"}}
    assert sim.ask("pod", pod, "label", changes, namespace="x").result == "accepted"
    assert delete(sim, "x").result == "unchanged"


def test_a_namespace_goes_on_going_after_a_restart() -> None:
    """What was left is looked up again; nothing is asked for twice."""
    sim = SimCluster()
    deploy(sim, "x")
    delete(sim, "x")
    before = sim.cluster

    sim.crash_control()

    compare(before, sim.cluster)
    sim.settle()
    assert sim.cluster.plain.namespace("x") is None
    assert inside(sim, "x") == []


def test_a_large_namespace_goes_in_bounded_steps() -> None:
    """A step makes about as many events as it may, and the next one goes on."""
    sim = SimCluster(nodes=1, settings=Settings(events_per_step=10))
    for index in range(35):
        put(sim, "x", f"c{index}")
    steps = len(sim.steps)

    delete(sim, "x")

    taken = sim.steps[steps:]
    assert max(len(step.events) for step in taken) <= 12
    assert len(taken) >= 4
    assert sim.cluster.plain.namespace("x") is None


def test_what_its_owner_releases_goes_too() -> None:
    """A pod of a ReplicaSet that is deleted as an orphan meanwhile is nobody's."""
    sim = SimCluster()
    body = {"manifest": scenes.replicaset_manifest()}
    sim.ask("replicaset", "rs", "create", body, namespace="x")
    sim.settle()
    pod = next(iter(sim.cluster.actual.pods.values()))
    delete(sim, "x")
    if sim.cluster.actual.pods.get(pod.key):
        assert sim.cluster.actual.pods[pod.key].stage == TERMINATING

    changes: dict[str, Any] = {"changes": {"app": None}, "overwrite": True}
    sim.ask("pod", pod.name, "label", changes, namespace="x")
    sim.settle()

    assert inside(sim, "x") == []
    assert sim.cluster.plain.namespace("x") is None


def test_a_name_can_be_used_again() -> None:
    """Another namespace of the same name: another uid, and its stream goes on."""
    sim = SimCluster(nodes=1)
    put(sim, "x")
    first = sim.cluster.uid_of("namespace/x")
    delete(sim, "x")

    put(sim, "x")

    assert sim.cluster.uid_of("namespace/x") not in ("", first)
    versions = [each.version for each in sim.events if each.stream == "namespace/x"]
    assert versions == [1, 2, 3, 4]


def test_a_first_namespace_can_be_labelled_and_keeps_the_label_of_its_name() -> None:
    """Its first event is a change: it was there."""
    sim = SimCluster(nodes=1)
    body: dict[str, Any] = {"changes": {"team": "web", plain.NAME_LABEL: None}}

    answer = sim.ask("namespace", "default", "label", body, namespace="")

    assert answer.result == "accepted", answer.message
    held = sim.cluster.plain.namespace("default")
    assert held is not None
    assert held.labels == {"team": "web", plain.NAME_LABEL: "default"}
    assert held.version == 1


def test_an_idle_cluster_with_plain_objects_writes_nothing() -> None:
    """They cost nothing while nobody asks."""
    sim = SimCluster(nodes=1)
    put(sim, "x")
    sim.settle()
    before = len(sim.events)

    sim.run_for(120.0)

    assert len(sim.events) == before
