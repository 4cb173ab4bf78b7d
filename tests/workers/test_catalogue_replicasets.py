"""Kubernetes' own tests of ReplicaSets, told to this writer (spec 7.2 and 7.4).

Each test names its source. What a test does there through an API server it does here
through commands, and what a kubelet would do the simulated nodes do.
"""

import pytest

from domain import pod, replicaset
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import (
    frozen,
    give,
    make,
    members,
    pod_manifest,
    relabel,
    replicaset_manifest,
    report,
    rs,
    solo,
    tally,
    template,
)
from workers.decisions import Target

APP = {"app": "web"}


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes, and an image that never gets ready."""
    cluster = SimCluster(3)
    cluster.broken.add("app:bad")
    return cluster


# --- adoption and release (spec 3.3) ----------------------------------------------


def test_a_matching_pod_is_adopted_when_the_replicaset_is_created(
    sim: SimCluster,
) -> None:
    """replica_set.go "should adopt matching pods on creation": the pod becomes its."""
    make(sim, pod_manifest(labels=APP))
    make(sim, replicaset_manifest(replicas=1))

    assert solo(sim).owner == rs(sim).key
    assert solo(sim).owner_uid == rs(sim).uid
    assert [held.name for held in members(sim)] == ["solo"]


def test_a_matching_pod_is_adopted_when_it_is_created(sim: SimCluster) -> None:
    """Spec 3.1: a pod that nobody owns wakes the ReplicaSet that selects it; being one
    too many, it is ranked like any other and the youngest one goes."""
    make(sim, replicaset_manifest(replicas=1))
    (first,) = members(sim)
    sim.run_for(3_600.0)
    make(sim, pod_manifest(labels=APP))

    assert len(sim.of(pod.PodAdopted)) == 1
    assert [held.name for held in members(sim)] == [first.name]


def test_pods_of_another_owner_are_never_stolen(sim: SimCluster) -> None:
    """TestAdoption, "pod refers rs as an owner, not a controller" and "another rs":
    who is controlled by another is left alone."""
    make(sim, replicaset_manifest("one", 2))
    mine = {held.uid for held in members(sim, "one")}
    make(sim, replicaset_manifest("two", 1))

    assert {held.uid for held in members(sim, "one")} == mine
    assert not mine & {held.uid for held in members(sim, "two")}
    assert not sim.of(pod.PodAdopted)


@pytest.mark.parametrize("state", ["terminating", "failed"])
def test_what_ends_is_neither_adopted_nor_released(sim: SimCluster, state: str) -> None:
    """Spec 3.3, last rules: Failed, Succeeded and terminating pods are left alone."""
    make(sim, replicaset_manifest())
    first, second = members(sim)
    make(sim, pod_manifest(labels={"app": "none"}))
    if state == "terminating":
        for held in (first, solo(sim)):
            sim.ask("pod", held.name, "delete")
    else:
        for held in (first, solo(sim)):
            report(sim, held, phase="Failed")
    position = len(sim.log)
    for name, value in ((first.name, "other"), ("solo", "web")):
        sim.ask("pod", name, "label", {"changes": {"app": value}, "overwrite": True})
    frozen(sim)

    assert not {"PodAdopted", "PodReleased"} & {*sim.kinds(position)}
    assert sim.cluster.actual.pods[first.key].owner == rs(sim).key
    assert second.key in sim.cluster.actual.pods


def test_three_orphans_for_a_replicaset_of_two(sim: SimCluster) -> None:
    """TestExtraPodsAdoptionAndDeletion: all three are adopted, and one of them goes."""
    for number in range(3):
        make(sim, pod_manifest(f"solo-{number}", APP))
    make(sim, replicaset_manifest(replicas=2))

    assert len(sim.of(pod.PodAdopted)) == 3
    assert len(members(sim)) == 2
    assert {held.name for held in members(sim)} < {"solo-0", "solo-1", "solo-2"}
    assert not sim.of(pod.PodCreated)[3:], "none had to be created"


def test_a_pod_is_released_and_adopted_when_its_labels_change(sim: SimCluster) -> None:
    """TestPodOrphaningAndAdoptionWhenLabelsChange: edited away it runs on unmanaged,
    and restored it is the ReplicaSet's again."""
    make(sim, replicaset_manifest(replicas=1))
    (held,) = members(sim)
    relabel(sim, "pod", held.name, {"app": "other"})
    released = sim.cluster.actual.pods[held.key]
    assert (released.owner, released.owner_uid) == ("", "")
    assert released.phase == "Running"
    assert [each.name for each in members(sim)] != [held.name], "it was replaced"

    sim.ask("replicaset", "rs", "scale", {"replicas": 2})
    sim.settle()
    for each in members(sim):
        relabel(sim, "pod", each.name, {"app": "gone"})
    relabel(sim, "pod", held.name, {"app": "web"})
    assert [each.stream for each in sim.of(pod.PodAdopted)] == [held.key]


def test_two_replicasets_of_one_selector_keep_their_own_counts(sim: SimCluster) -> None:
    """TestOverlappingRSs: one and two replicas are three pods."""
    make(sim, replicaset_manifest("one", 1))
    make(sim, replicaset_manifest("two", 2))

    assert len(sim.cluster.actual.pods) == 3
    assert (tally(sim, "one").active, tally(sim, "two").active) == (1, 2)


def test_a_replicaset_of_the_same_name_takes_no_pods_over(sim: SimCluster) -> None:
    """Spec 3.1: name and uid must match. Deleted and created in one step, the pods of
    the former one go and those of the new one come."""
    make(sim, replicaset_manifest(replicas=2))
    former = {held.uid for held in members(sim)}
    items = [
        sim.command_input(_target("delete"), {}),
        sim.command_input(
            _target("create"), {"manifest": replicaset_manifest(replicas=3)}
        ),
    ]
    sim.step(*items)
    assert tally(sim).active == 3
    sim.settle()

    assert len(members(sim)) == len(sim.cluster.actual.pods) == 3
    assert not former & {held.uid for held in members(sim)}
    assert not sim.cluster.desired.orphaning


def test_orphaned_pods_are_adopted_by_the_next_of_that_name(sim: SimCluster) -> None:
    """Deleted with orphan and created in one step: the pods run on, as its pods."""
    make(sim, replicaset_manifest(replicas=2))
    former = {held.uid for held in members(sim)}
    items = [
        sim.command_input(_target("delete"), {"orphan": True}),
        sim.command_input(_target("create"), {"manifest": replicaset_manifest()}),
    ]
    sim.step(*items)
    sim.settle()

    assert {held.uid for held in members(sim)} == former
    assert {held.owner_uid for held in members(sim)} == {rs(sim).uid}
    assert not sim.of(pod.PodTerminationRequested)


# --- size (spec 3.4 to 3.6) -------------------------------------------------------


def test_a_size_goes_to_nothing_and_back(sim: SimCluster) -> None:
    """TestSpecReplicasChange: 3, 0 and 2; a template annotation raises generation."""
    make(sim, replicaset_manifest(replicas=3))
    for size in (0, 2):
        sim.ask("replicaset", "rs", "scale", {"replicas": size})
        sim.settle()
        assert (rs(sim).replicas, tally(sim).active) == (size, size)
    generation = rs(sim).generation
    pods = template()
    pods["metadata"]["annotations"] = {"test": "should-be-observed"}
    give(sim, "apply", replicaset_manifest(replicas=2, pods=pods))

    assert rs(sim).generation == generation + 1


def test_what_ends_and_what_failed_is_replaced_and_stays(sim: SimCluster) -> None:
    """TestDeletingAndFailedPods: two replacements, four objects."""
    make(sim, replicaset_manifest(replicas=2))
    first, second = members(sim)
    sim.ask("pod", first.name, "delete")
    report(sim, second, phase="Failed")
    frozen(sim)

    assert tally(sim).active == 2
    assert len(sim.cluster.actual.pods) == 4
    assert {first.key, second.key} < {*sim.cluster.actual.pods}


@pytest.mark.parametrize(
    ("costs", "restarts", "gone"),
    [
        pytest.param((100, 50), (0, 0), 1, id="the cheaper one"),
        pytest.param((100, 50), (9, 0), 1, id="cost before restarts"),
        pytest.param((0, 0), (0, 5), 1, id="equal costs: more restarts"),
        pytest.param((None, None), (5, 0), 0, id="no costs: more restarts"),
    ],
)
def test_deletion_cost_decides_who_goes(
    sim: SimCluster,
    costs: tuple[int | None, ...],
    restarts: tuple[int, ...],
    gone: int,
) -> None:
    """TestPodDeletionCost: scaled from two to one, costs decide over restarts."""
    make(sim, replicaset_manifest(replicas=2))
    pods = members(sim)
    key = pod.DELETION_COST
    for held, cost, count in zip(pods, costs, restarts, strict=True):
        status = {"name": "main", "state": "running", "restarts": count}
        report(sim, held, phase="Running", ready=False, containers=(status,))
        if cost is not None:
            body = {"changes": {key: str(cost)}}
            sim.ask("pod", held.name, "annotate", body)
    sim.ask("replicaset", "rs", "scale", {"replicas": 1})
    frozen(sim)

    (ended,) = sim.of(pod.PodTerminationRequested)
    assert ended.stream == pods[gone].key


def test_the_cost_in_a_template_is_that_of_its_pods(sim: SimCluster) -> None:
    """Spec 3.4, 3.6: annotations are copied from the template, the cost among them; the
    older pods, which cost more, stay."""
    pods = template()
    pods["metadata"]["annotations"] = {pod.DELETION_COST: "10"}
    make(sim, replicaset_manifest(replicas=2, pods=pods))
    dear = {held.key for held in members(sim)}
    give(sim, "replace", replicaset_manifest(replicas=4))
    sim.run_for(3_600.0)
    sim.ask("replicaset", "rs", "scale", {"replicas": 2})
    sim.settle()

    assert {held.key for held in members(sim)} == dear


@pytest.mark.parametrize(("owner", "gone"), [("", "worker-2"), ("web", "worker-1")])
def test_siblings_count_for_revisions_only(owner: str, gone: str) -> None:
    """Spec 3.6, criterion 5: of a Deployment's pods one on the fuller node goes; with
    no controller all ranks are 0, and the one that is ready most recently goes."""
    sim = SimCluster(2)
    kind, name = ("deployment", owner) if owner else ("replicaset", "rs")
    sim.ask("node", "worker-2", "cordon")
    make(sim, manifest(replicas=2) if owner else replicaset_manifest(replicas=2))
    sim.ask("node", "worker-2", "uncordon")
    sim.ask("node", "worker-1", "cordon")
    sim.run_for(3_600.0)
    sim.ask(kind, name, "scale", {"replicas": 3})
    sim.settle()
    placed = {held.key: held.node for held in sim.cluster.actual.pods.values()}
    assert sorted(placed.values()) == ["worker-1", "worker-1", "worker-2"]

    sim.ask(kind, name, "scale", {"replicas": 2})
    sim.settle()

    (ended,) = sim.of(pod.PodTerminationRequested)
    assert placed[ended.stream] == gone


# --- status (spec 3.7) ------------------------------------------------------------


def test_ready_and_available(sim: SimCluster) -> None:
    """TestReadyAndAvailableReplicas: 3 replicas, 2 ready, 1 of them for long enough."""
    make(sim, replicaset_manifest(replicas=3, minReadySeconds=3_600))
    one, two, _three = members(sim)
    for held in members(sim):
        sim.nodes[held.node].say(sim.now, held.uid, "unready")
    sim.run_for(1.0, progress=False)
    sim.nodes[one.node].say(sim.now, one.uid, "ready")
    sim.run_for(3_700.0, progress=False)
    sim.nodes[two.node].say(sim.now, two.uid, "ready")
    frozen(sim)

    found = tally(sim)
    assert (found.active, found.ready, found.available) == (3, 2, 1)


def test_fully_labelled(sim: SimCluster) -> None:
    """TestFullyLabeledReplicas: the template gains a label, one of two pods too."""
    make(sim, replicaset_manifest(replicas=2))
    assert tally(sim).labelled == 2
    pods = template(labels={**APP, "tier": "front"})
    give(sim, "apply", replicaset_manifest(replicas=2, pods=pods))
    assert (tally(sim).active, tally(sim).labelled) == (2, 0)

    relabel(sim, "pod", members(sim)[0].name, {"tier": "front"})
    assert (tally(sim).active, tally(sim).labelled) == (2, 1)


def test_terminating_pods_are_counted_and_not_waited_for(sim: SimCluster) -> None:
    """TestTerminatingReplicas: 5 active and 2 terminating are 7 objects."""
    make(sim, replicaset_manifest(replicas=5))
    for held in members(sim)[:2]:
        sim.ask("pod", held.name, "delete")
    frozen(sim)
    assert (tally(sim).active, tally(sim).terminating) == (5, 2)
    assert len(sim.cluster.actual.pods) == 7

    sim.progress(1)
    sim.pump()
    sim.settle()
    assert (tally(sim).active, tally(sim).terminating) == (5, 0)


def test_a_pod_that_cannot_be_made_is_a_condition_until_it_can(sim: SimCluster) -> None:
    """replica_set.go "should surface a failure condition on a common issue": it is
    said once, and removed when nothing is lacking any more."""
    make(sim, replicaset_manifest(replicas=2, pods=template(image=" app:1")))
    assert rs(sim).failure == "FailedCreate"
    assert rs(sim).failure_message.endswith(
        'spec.containers[0].image: Invalid value: " app:1": must not have leading or '
        "trailing whitespace"
    )
    assert len(sim.of(replicaset.ReplicaSetFailed)) == 1

    give(sim, "apply", replicaset_manifest(replicas=2))
    sim.settle()
    assert (rs(sim).failure, tally(sim).active) == ("", 2)


@pytest.mark.parametrize("orphan", [False, True])
def test_deleting_collects_the_pods_unless_they_shall_stay(
    sim: SimCluster, orphan: bool
) -> None:
    """TestReplicaSetsAppsV1DefaultGCPolicy: background is the default."""
    make(sim, replicaset_manifest(replicas=2))
    sim.ask("replicaset", "rs", "delete", {"orphan": True} if orphan else {})
    sim.settle()

    owners = [held.owner for held in sim.cluster.actual.pods.values()]
    assert owners == (["", ""] if orphan else [])
    assert not sim.cluster.desired.orphaning


def _target(verb: str) -> Target:
    return Target(namespace="default", kind="replicaset", name="rs", verb=verb)


def test_a_foreground_deletion_waits_for_the_pods(sim: SimCluster) -> None:
    """Spec 1.2: the ReplicaSet is there while a pod of it is, and makes, adopts and
    releases none meanwhile; asked for again it waits on."""
    make(sim, replicaset_manifest(replicas=2))
    foreground = {"foreground": True}
    assert sim.ask("replicaset", "rs", "delete", foreground).result == "accepted"
    give(sim, "create", pod_manifest("late", APP))
    frozen(sim)
    assert rs(sim).stage == replicaset.DELETING
    assert (tally(sim).active, tally(sim).terminating) == (0, 2)
    assert solo(sim, "late").owner == ""
    assert sim.ask("replicaset", "rs", "delete", foreground).result == "unchanged"

    sim.settle()
    assert not sim.cluster.desired.replicasets
    assert [*sim.cluster.actual.pods] == ["pod/default/late"]


def test_a_deployment_makes_anew_what_was_deleted_of_it(sim: SimCluster) -> None:
    """Given a Deployment, when its ReplicaSet is deleted in the foreground, then there
    is another of the same name after it, and all pods run."""
    make(sim, manifest(replicas=2))
    (held,) = sim.cluster.desired.replicasets.values()
    sim.ask("replicaset", held.name, "delete", {"foreground": True})
    sim.settle()

    (other,) = sim.cluster.desired.replicasets.values()
    assert (other.name, other.uid == held.uid) == (held.name, False)
    assert sim.cluster.actual.tally(other.key).available == 2
    assert len(sim.cluster.actual.pods) == 2
