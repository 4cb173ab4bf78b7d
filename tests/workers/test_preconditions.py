"""Commands that mean the object as it was seen, and replacing pods and nodes."""

from typing import Any

import msgspec
import pytest

from domain import command, node, protocol
from domain.protocol import Preconditions
from gateway.views import nodes, pods
from gateway.views.scene import Scene, Templates
from projections.happenings import Happenings
from tests.support.cluster import SimCluster, manifest
from tests.workers import scenes

BODIES: dict[str, dict[str, Any]] = {
    "deployment": manifest("one", replicas=1),
    "replicaset": scenes.replicaset_manifest("one", replicas=1),
    "pod": scenes.pod_manifest("one"),
    "configmap": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}},
}


def made(kind: str) -> SimCluster:
    """A cluster with such an object, `one`, at rest."""
    sim = SimCluster(nodes=1)
    scenes.make(sim, BODIES[kind])
    return sim


@pytest.mark.parametrize("kind", BODIES)
def test_a_command_means_the_object_as_it_was_seen(kind: str) -> None:
    """The uid and the position that were seen; anything newer is a conflict, and so is
    another object of the name."""
    sim = made(kind)
    held = sim.cluster.held(f"{kind}/default/one")
    assert held is not None
    body = {"changes": {"a": "b"}}

    def ask(seen: Preconditions) -> protocol.Answer:
        return sim.ask(kind, "one", "label", body, preconditions=seen)

    other = ask(Preconditions(uid="other", position=held.position))
    stale = ask(Preconditions(uid=held.uid, position=held.position - 1))
    good = ask(Preconditions(uid=held.uid, position=held.position))
    again = ask(Preconditions(position=held.position))

    assert (other.code, other.reason) == (409, "Conflict")
    assert other.message == (
        "Precondition failed: UID in precondition: other, UID in object meta: "
        f"{held.uid}"
    )
    assert stale.code == 409
    assert stale.message.endswith(
        '"one": the object has been modified; please apply your changes to the latest '
        "version and try again"
    )
    assert good.result == "accepted"
    assert again.code == 409, "the object has changed since"


@pytest.mark.parametrize("kind", BODIES)
def test_what_is_not_there_cannot_be_as_it_was_seen(kind: str) -> None:
    """NotFound, whatever the verb: nothing of a command is decided."""
    sim = SimCluster(nodes=1)
    seen = Preconditions(position=10**6)

    body = {"manifest": BODIES[kind]}
    answer = sim.ask(kind, "one", "apply", body, preconditions=seen)

    assert answer.code == 404
    assert sim.cluster.held(f"{kind}/default/one") is None


def test_a_node_is_meant_as_it_was_seen() -> None:
    """Nodes too."""
    sim = SimCluster(nodes=1)
    use = sim.cluster.actual.nodes["worker-1"].node
    stale = Preconditions(uid=use.uid, position=use.position - 1)

    answer = sim.ask("node", "worker-1", "cordon", preconditions=stale)

    assert (answer.code, answer.reason) == (409, "Conflict")


def test_who_did_it_and_who_owns_which_field_are_in_the_log() -> None:
    """The command's event keeps the program, the field manager and the list of managed
    fields as they came; a command that says nothing of them stores nothing."""
    sim = SimCluster(nodes=1)
    fields = msgspec.Raw(b'[{"manager":"kubectl"}]')
    body = {"manifest": BODIES["configmap"]}

    sim.ask(
        "configmap", "one", "create", body,
        agent="kubectl/v1.33.1", field_manager="kubectl", managed_fields=fields,
    )  # fmt: skip
    sim.ask("configmap", "one", "delete")

    told = [
        (each.event, row.state)
        for each, row in zip(sim.events, sim.log, strict=True)
        if isinstance(each.event, command.CommandAccepted)
    ]
    (said, _), (silent, stored) = told
    assert (said.agent, said.field_manager) == ("kubectl/v1.33.1", "kubectl")
    assert bytes(said.managed_fields) == bytes(fields)
    assert silent.managed_fields is protocol.NO_MANAGED_FIELDS
    assert b"managedFields" not in stored


# --- replacing pods ---------------------------------------------------------------


def shown_pod(sim: SimCluster, name: str = "one") -> Any:
    """The pod's document, as somebody would edit it."""
    scene = Scene(sim.cluster, Happenings(), Templates(), sim.now)
    document = pods.document(scene, scenes.solo(sim, name))
    return msgspec.json.decode(msgspec.json.encode(document))


def test_a_pod_replaced_by_itself_stays_as_it_is() -> None:
    """What is shown can be sent back."""
    sim = made("pod")

    answer = sim.ask("pod", "one", "replace", {"manifest": shown_pod(sim)})

    assert answer.result == "unchanged", answer.message


def test_a_pod_changes_where_it_may() -> None:
    """Labels, annotations, an image, an added toleration, a deadline (spec 1.7)."""
    sim = made("pod")
    document = shown_pod(sim)
    document["metadata"] |= {"labels": {"a": "b"}, "annotations": {"c": "d"}}
    document["spec"]["containers"][0]["image"] = "app:2"
    document["spec"]["tolerations"].append({"key": "gpu", "operator": "Exists"})
    document["spec"]["activeDeadlineSeconds"] = 60

    answer = sim.ask("pod", "one", "replace", {"manifest": document})

    assert answer.result == "accepted", answer.message
    now = shown_pod(sim)
    assert now["metadata"]["labels"] == {"a": "b"}
    assert now["metadata"]["annotations"] == {"c": "d"}
    assert now["spec"] == document["spec"]


def test_the_images_of_a_pod_are_set() -> None:
    """By a container's name or by `*`."""
    sim = made("pod")
    name = shown_pod(sim)["spec"]["containers"][0]["name"]

    answer = sim.ask("pod", "one", "set-image", {"images": {name: "app:7"}})
    again = sim.ask("pod", "one", "set-image", {"images": {"*": "app:7"}})

    assert (answer.result, again.result) == ("accepted", "unchanged")
    assert shown_pod(sim)["spec"]["containers"][0]["image"] == "app:7"


@pytest.mark.parametrize(
    ("pod", "images", "reason", "message"),
    [
        ("two", {"*": "a"}, "NotFound", 'pods "two" not found'),
        ("one", {"x": "a"}, "BadRequest", 'unable to find container named "x"'),
        ("one", {}, "BadRequest", "at least one image update is required"),
        (
            "one",
            {"*": ""},
            "Invalid",
            'Pod "one" is invalid: spec.containers[0].image: Required value',
        ),
    ],
)
def test_images_that_cannot_be_set(
    pod: str, images: dict[str, str], reason: str, message: str
) -> None:
    """Nothing happens, and the message says what is wrong."""
    sim = made("pod")

    answer = sim.ask("pod", pod, "set-image", {"images": images})

    assert (answer.reason, answer.message) == (reason, message)


def test_a_pod_does_not_change_where_it_may_not() -> None:
    """Kubernetes' text, and nothing of the command happens."""
    sim = made("pod")
    document = shown_pod(sim)
    document["metadata"]["labels"] = {"a": "b"}
    document["spec"]["containers"][0]["command"] = ["sleep"]

    answer = sim.ask("pod", "one", "replace", {"manifest": document})

    assert answer.code == 422
    assert "spec: Forbidden: pod updates may not change fields other than" in (
        answer.message
    )
    assert "labels" not in shown_pod(sim)["metadata"]


def test_a_stale_pod_is_a_conflict_and_a_missing_one_not_found() -> None:
    """As for every kind."""
    sim = made("pod")
    document = shown_pod(sim)
    document["metadata"]["resourceVersion"] = "1"

    stale = sim.ask("pod", "one", "replace", {"manifest": document})
    document["metadata"] = {"name": "two"}
    missing = sim.ask("pod", "two", "replace", {"manifest": document})

    assert (stale.code, missing.code) == (409, 404)


# --- replacing nodes --------------------------------------------------------------


def shown_node(sim: SimCluster) -> Any:
    """The node's document, as somebody would edit it."""
    scene = Scene(sim.cluster, Happenings(), Templates(), sim.now)
    document = nodes.document(scene, sim.cluster.actual.nodes["worker-1"].node)
    return msgspec.json.decode(msgspec.json.encode(document))


def replace_node(sim: SimCluster, document: Any) -> list[str]:
    """The names of the events that come of it."""
    before = len(sim.events)
    answer = sim.ask("node", "worker-1", "replace", {"manifest": document})
    assert answer.result in ("accepted", "unchanged"), answer.message
    return [type(each.event).__name__ for each in sim.events[before + 1 :]]


def test_a_node_replaced_by_itself_stays_as_it_is() -> None:
    """With all that follows from its condition: cordoned, tainted and labelled."""
    sim = SimCluster(nodes=1)
    taint = {"key": "disk", "value": "slow", "effect": "NoExecute"}
    sim.ask("node", "worker-1", "taint", {"taints": [taint]})
    sim.ask("node", "worker-1", "cordon")
    sim.ask("node", "worker-1", "label", {"changes": {"a": "b"}})

    assert replace_node(sim, shown_node(sim)) == []


def test_a_node_changes_by_the_events_of_its_verbs() -> None:
    """Labels, annotations, taints and whether it is schedulable."""
    sim = SimCluster(nodes=1)
    document = shown_node(sim)
    document["metadata"]["labels"]["disk"] = "ssd"
    document["metadata"]["annotations"] = {"c": "d"}
    document["spec"] = {
        "unschedulable": True,
        "taints": [{"key": "gpu", "effect": "NoSchedule"}],
    }

    told = replace_node(sim, document)

    assert told == ["NodeLabelled", "NodeCordoned", "NodeTainted", "NodeAnnotated"]
    held = sim.cluster.actual.nodes["worker-1"].node
    assert held.labels == {"disk": "ssd"}, "not what the kubelet says of itself"
    assert [each.key for each in held.taints] == ["gpu"]
    bare = shown_node(sim) | {"spec": {}}
    assert replace_node(sim, bare) == ["NodeUncordoned", "NodeTainted"]
    assert replace_node(sim, shown_node(sim)) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"metadata": {"resourceVersion": "1"}}, 409),
        ({"metadata": {"name": "other"}}, 400),
        ({"metadata": {"labels": {"a b": ""}}}, 422),
        ({"spec": {"color": "red"}}, 400),
    ],
)
def test_a_node_is_not_replaced_by_nonsense(change: dict[str, Any], code: int) -> None:
    """Stale, of another name, with a bad label, with an unknown field."""
    sim = SimCluster(nodes=1)
    raw = {"apiVersion": "v1", "kind": "Node", **change}

    answer = sim.ask("node", "worker-1", "replace", {"manifest": raw})

    assert answer.code == code, answer.message
    assert not sim.of(node.NodeLabelled)


# --- apply ------------------------------------------------------------------------


def test_what_another_command_set_in_a_container_stays_through_an_apply() -> None:
    """Limits were set on a container that the manifest names without any; an apply of
    another size let them go, because a live list was not taken for a list."""
    sim = SimCluster(nodes=1)
    raw: dict[str, Any] = manifest("web", replicas=1)
    sim.ask("deployment", "web", "apply", {"manifest": raw})
    sim.ask("deployment", "web", "set-resources", {"limits": {"cpu": "1"}})
    raw["spec"]["replicas"] = 2

    sim.ask("deployment", "web", "apply", {"manifest": raw})

    held = scenes.owner(sim)
    assert held.replicas == 2
    assert held.template.spec.containers[0].resources.limits == {"cpu": "1"}
