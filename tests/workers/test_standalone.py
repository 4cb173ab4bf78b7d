"""ReplicaSets and pods that a user applied: what becomes of a manifest (spec 1.7)."""

from typing import Any

import pytest

from domain import metadata, pod, protocol, replicaset
from tests.support.cluster import SimCluster
from tests.workers.scenes import (
    give,
    make,
    members,
    pod_manifest,
    replicaset_manifest,
    report,
    rs,
    solo,
    tally,
    template,
)


@pytest.fixture
def sim() -> SimCluster:
    """Two nodes."""
    return SimCluster(2)


# --- ReplicaSets ------------------------------------------------------------------


def test_apply_creates_a_replicaset_and_finds_it_unchanged(sim: SimCluster) -> None:
    """Given nothing, apply creates it with its pods; applied again nothing happens."""
    assert give(sim, "apply", replicaset_manifest()).result == "accepted"
    sim.settle()
    assert tally(sim).available == 2
    assert metadata.LAST_APPLIED in rs(sim).annotations
    assert rs(sim).labels == {}, "apps/v1 gives it no labels of its own"

    position = len(sim.log)
    assert give(sim, "apply", replicaset_manifest()).result == "unchanged"
    assert sim.kinds(position) == ["CommandAccepted"]


def test_apply_makes_an_event_of_each_difference(sim: SimCluster) -> None:
    """Given a ReplicaSet, one apply changes size, seconds, template and labels; the
    generation grows once."""
    make(sim, replicaset_manifest())
    raw = replicaset_manifest(
        replicas=3,
        minReadySeconds=5,
        pods=template("app:2"),
        metadata={"labels": {"tier": "front"}},
    )
    position = len(sim.log)
    assert give(sim, "apply", raw).result == "accepted"

    assert sim.kinds(position)[:5] == [
        "CommandAccepted",
        "ReplicaSetLabelled",
        "ReplicaSetTemplateChanged",
        "ReplicaSetConfigured",
        "ReplicaSetScaled",
    ]
    assert rs(sim).generation == 2
    assert (rs(sim).min_ready_seconds, rs(sim).labels) == (5, {"tier": "front"})
    assert metadata.LAST_APPLIED in rs(sim).annotations


def test_another_template_is_for_pods_to_come(sim: SimCluster) -> None:
    """Spec 3.10: given two pods, when the template changes, then they run on, and the
    one that replaces the next is of the new template."""
    make(sim, replicaset_manifest())
    before = {held.uid for held in members(sim)}
    give(sim, "apply", replicaset_manifest(pods=template("app:2")))
    sim.settle()
    assert {held.uid for held in members(sim)} == before

    sim.ask("pod", members(sim)[0].name, "delete")
    sim.settle()
    assert sorted(image(sim, held) for held in members(sim)) == ["app:1", "app:2"]


def test_the_images_of_a_replicaset_are_set(sim: SimCluster) -> None:
    """Spec 3.10: by a container's name or by `*`; of pods to come, and nothing else
    changes."""
    make(sim, replicaset_manifest())
    raw = replicaset_manifest()["spec"]["template"]["spec"]
    (name,) = [each["name"] for each in raw["containers"]]
    position = len(sim.log)
    told = sim.ask("replicaset", "rs", "set-image", {"images": {name: "app:7"}})
    again = sim.ask("replicaset", "rs", "set-image", {"images": {"*": "app:7"}})

    assert (told.result, again.result) == ("accepted", "unchanged")
    assert [each for each in sim.kinds(position) if each.startswith("ReplicaSet")] == [
        "ReplicaSetTemplateChanged"
    ]
    assert {image(sim, held) for held in members(sim)} == {"app:1"}
    sim.ask("pod", members(sim)[0].name, "delete")
    sim.settle()
    assert sorted(image(sim, held) for held in members(sim)) == ["app:1", "app:7"]


@pytest.mark.parametrize(
    ("name", "images", "reason", "message"),
    [
        ("other", {"*": "a"}, "NotFound", 'replicasets.apps "other" not found'),
        ("rs", {"x": "a"}, "BadRequest", 'unable to find container named "x"'),
        ("rs", {}, "BadRequest", "at least one image update is required"),
    ],
)
def test_images_of_a_replicaset_that_cannot_be_set(
    sim: SimCluster, name: str, images: dict[str, str], reason: str, message: str
) -> None:
    """Nothing happens, and the message says what is wrong."""
    make(sim, replicaset_manifest())
    answer = sim.ask("replicaset", name, "set-image", {"images": images})
    assert (answer.reason, answer.message) == (reason, message)


def test_what_apply_left_out_is_removed_and_what_others_set_stays(
    sim: SimCluster,
) -> None:
    """Given an applied minReadySeconds and a scaled size, when neither is in the next
    manifest, then the first is gone and the second stays."""
    raw = replicaset_manifest(minReadySeconds=5)
    del raw["spec"]["replicas"]
    give(sim, "apply", raw)
    sim.ask("replicaset", "rs", "scale", {"replicas": 4})
    del raw["spec"]["minReadySeconds"]
    assert give(sim, "apply", raw).result == "accepted"

    assert (rs(sim).min_ready_seconds, rs(sim).replicas) == (0, 4)


@pytest.mark.parametrize("verb", ["apply", "replace"])
def test_the_selector_of_a_replicaset_is_for_ever(sim: SimCluster, verb: str) -> None:
    """TestRSSelectorImmutability: refused with Kubernetes' words, nothing happens."""
    make(sim, replicaset_manifest())
    raw = replicaset_manifest(pods=template(labels={"app": "b"}))
    raw["spec"]["selector"] = {"matchLabels": {"app": "b"}}
    answer = give(sim, verb, raw)

    assert (answer.result, answer.reason) == ("rejected", "Invalid")
    assert answer.message.endswith(
        'spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable'
    )
    assert not sim.of(replicaset.ReplicaSetTemplateChanged)


def test_replacing_what_has_changed_meanwhile_is_a_conflict(sim: SimCluster) -> None:
    """Spec 1.2: with a resourceVersion that is not current it is refused."""
    make(sim, replicaset_manifest())
    stale = {"resourceVersion": str(rs(sim).position)}
    sim.ask("replicaset", "rs", "scale", {"replicas": 4})
    answer = give(sim, "replace", replicaset_manifest(metadata=stale))

    assert (answer.result, answer.reason) == ("rejected", "Conflict")
    assert rs(sim).replicas == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata": {"name": "other"}}, "the name of the object (other)"),
        (
            {"metadata": {"name": "rs", "namespace": "x"}},
            "does not match the namespace",
        ),
        ({"kind": "Pod", "apiVersion": "v1", "spec": {}}, "Pod is not a ReplicaSet"),
    ],
)
def test_a_manifest_of_something_else_is_refused(
    sim: SimCluster, change: dict[str, Any], words: str
) -> None:
    """The manifest must be about the object that the command was sent to."""
    body = {"manifest": {**replicaset_manifest(), **change}}
    for verb in ("create", "apply"):
        answer = sim.ask("replicaset", "rs", verb, body)
        assert (answer.result, answer.reason) == ("rejected", "BadRequest")
        assert words in answer.message


@pytest.mark.parametrize("verb", ["create", "apply"])
def test_nothing_is_created_without_a_name(sim: SimCluster, verb: str) -> None:
    """Spec 1.5: a generateName is made a name by whoever sends the command; one that
    has none is refused."""
    prefixed = replicaset_manifest(metadata={"name": "", "generateName": "rs-"})
    nameless = replicaset_manifest(metadata={"name": ""})
    for raw, reason in ((prefixed, "BadRequest"), (nameless, "Invalid")):
        answer = sim.ask("replicaset", "", verb, {"manifest": raw})
        assert (answer.result, answer.reason) == ("rejected", reason)
    assert not sim.cluster.desired.replicasets


# --- pods -------------------------------------------------------------------------


def test_a_pod_runs_by_itself_and_goes(sim: SimCluster) -> None:
    """Given nothing, apply creates the pod; it runs with its own specification, and
    deleted it is gone, its room too."""
    assert give(sim, "apply", pod_manifest()).result == "accepted"
    sim.settle()
    assert (solo(sim).phase, solo(sim).ready) == ("Running", True)
    node = sim.cluster.actual.nodes[solo(sim).node]
    assert node.free_pods == 109

    assert sim.ask("pod", "solo", "delete").result == "accepted"
    sim.settle()
    assert not sim.cluster.actual.pods
    assert node.free_pods == 110
    assert not sim.cluster.desired.templates


def test_a_pod_that_names_its_node_is_bound_to_it(sim: SimCluster) -> None:
    """Given a cordoned node, a pod that names it runs there; one that names a node that
    is not there waits for it, and is bound when it joins."""
    sim.ask("node", "worker-2", "cordon")
    make(sim, pod_manifest("here", nodeName="worker-2"))
    make(sim, pod_manifest("later", nodeName="worker-3"))
    assert solo(sim, "here").node == "worker-2"
    assert (solo(sim, "later").node, solo(sim, "later").phase) == ("", "Pending")
    assert not sim.of(pod.PodUnschedulable)

    sim.add_node()
    sim.settle()
    assert solo(sim, "later").node == "worker-3"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_stays_listed_and_takes_no_room(
    sim: SimCluster, phase: str
) -> None:
    """Spec 4.1: the phase is final, nothing replaces it, and its node has the room."""
    make(sim, pod_manifest(restartPolicy="Never"))
    report(sim, solo(sim), phase=phase)
    sim.run_for(60.0)

    assert solo(sim).phase == phase
    assert sim.cluster.actual.nodes[solo(sim).node].free_pods == 110
    assert sim.ask("pod", "solo", "delete").result == "accepted"
    assert not sim.cluster.actual.pods


def test_apply_changes_what_may_change_in_a_pod(sim: SimCluster) -> None:
    """Spec 1.7: image, labels, annotations, an added toleration, a deadline."""
    give(sim, "apply", pod_manifest(labels={"app": "solo"}))
    sim.settle()
    assert give(sim, "apply", pod_manifest(labels={"app": "solo"})).result == (
        "unchanged"
    )
    raw = pod_manifest(
        labels={"app": "solo", "tier": "front"},
        activeDeadlineSeconds=600,
        tolerations=[{"key": "gpu", "operator": "Exists"}],
    )
    raw["spec"]["containers"][0]["image"] = "app:2"
    raw["metadata"]["annotations"] = {"team": "web"}
    position = len(sim.log)
    answer = give(sim, "apply", raw)

    assert answer.result == "accepted", answer.message
    assert sim.kinds(position) == [
        "CommandAccepted",
        "PodConfigured",
        "PodLabelled",
        "PodAnnotated",
    ]
    held, actual = solo(sim), sim.cluster.actual
    spec = sim.cluster.desired.templates[held.template].template.spec
    assert spec.containers[0].image == "app:2"
    assert spec.active_deadline_seconds == 600
    assert "gpu" in [each.key for each in spec.tolerations]
    assert actual.labels_of(held) == {"app": "solo", "tier": "front"}
    assert actual.annotations_of(held)["team"] == "web"
    assert len(sim.cluster.desired.templates) == 1, "the former one is let go of"


def test_the_node_is_told_of_what_changed_in_its_pod(sim: SimCluster) -> None:
    """Given a running pod, when its image changes, then its node hears of the template
    in this very step, and a sync tells the same."""
    make(sim, pod_manifest())
    raw = pod_manifest()
    raw["spec"]["containers"][0]["image"] = "app:2"
    give(sim, "apply", raw)
    told = sim.steps[-1].assignments[solo(sim).node]
    assert images(told) == {"app:2"}

    sim.nodes[solo(sim).node].cut(sim.now)
    sim.nodes[solo(sim).node].connect(sim.now)
    sim.pump()
    synced = [reply for step in sim.steps for _, reply in step.syncs if reply.run]
    assert images(synced[-1]) == {"app:2"}


def images(told: protocol.Assignment | protocol.SyncReply) -> set[str]:
    """The images of the pods that the node shall run."""
    return {told.templates[each.template].spec.containers[0].image for each in told.run}


IMMUTABLE = (
    "spec: Forbidden: pod updates may not change fields other than "
    "`spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it "
    "was previously negative)"
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"terminationGracePeriodSeconds": 5}, IMMUTABLE),
        ({"restartPolicy": "Never"}, IMMUTABLE),
        ({"hostname": "there"}, IMMUTABLE),
        (
            {"containers": [{"name": "main", "image": "app:1", "command": ["x"]}]},
            IMMUTABLE,
        ),
        (
            {"containers": [{"name": n, "image": "app:1"} for n in ("main", "two")]},
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ),
        (
            {"activeDeadlineSeconds": 900},
            "spec.activeDeadlineSeconds: Invalid value: 900: must be less than or "
            "equal to previous value",
        ),
        (
            {"tolerations": []},
            "spec.tolerations: Forbidden: existing toleration can not be modified "
            "except its tolerationSeconds",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_anything_else_in_a_pod_is_for_ever(
    sim: SimCluster, change: dict[str, Any], words: str
) -> None:
    """Spec 1.7: refused with Kubernetes' text, and nothing of the command happens."""
    spec: dict[str, Any] = {
        "activeDeadlineSeconds": 600,
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }
    give(sim, "apply", pod_manifest(**spec))
    sim.settle()
    raw = pod_manifest("solo", {"app": "x"})
    raw["spec"] = {**raw["spec"], **spec, **change}
    position = len(sim.log)
    answer = give(sim, "apply", raw)

    assert (answer.result, answer.reason) == ("rejected", "Invalid")
    assert words in answer.message
    assert sim.kinds(position) == ["CommandRejected"]


def test_a_pod_of_a_replicaset_may_be_changed_too(sim: SimCluster) -> None:
    """Given a ReplicaSet's pod, another image is its own; its siblings keep theirs."""
    make(sim, replicaset_manifest())
    first, second = members(sim)
    raw = pod_manifest(first.name, {"app": "web"})
    raw["spec"]["containers"][0]["image"] = "app:9"
    answer = give(sim, "apply", raw)
    sim.settle()

    assert answer.result == "accepted", answer.message
    assert image(sim, sim.cluster.actual.pods[first.key]) == "app:9"
    assert image(sim, second) == "app:1"
    assert tally(sim).active == tally(sim).labelled == 2
    sim.ask("pod", first.name, "delete")
    sim.settle()
    assert {image(sim, held) for held in members(sim)} == {"app:1"}


def test_everything_is_known_again_after_a_restart(sim: SimCluster) -> None:
    """Given pods and ReplicaSets that were changed, a replay knows the same of them."""
    make(sim, replicaset_manifest())
    make(sim, pod_manifest("solo", {"app": "x"}))
    give(sim, "apply", replicaset_manifest(pods=template("app:2")))
    raw = pod_manifest("solo", {"app": "x"}, activeDeadlineSeconds=5)
    give(sim, "apply", raw)
    sim.settle()
    before = (rs(sim), solo(sim), dict(sim.cluster.desired.templates))
    sim.crash_control()
    assert (rs(sim), solo(sim), dict(sim.cluster.desired.templates)) == before
    sim.settle()
    assert sim.ask("pod", "solo", "delete").result == "accepted"


def image(sim: SimCluster, held: pod.Pod) -> str:
    """What the pod shall run."""
    facts = sim.cluster.desired.templates[held.template]
    return facts.template.spec.containers[0].image
