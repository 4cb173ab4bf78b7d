"""Kubernetes' own tests of who owns which ReplicaSet, told to this writer (spec 2.16,
3.3, 7.1 and 7.3). Each test names its source."""

from typing import Any

import msgspec
import pytest

from domain import deployment, metadata, pod, replicaset
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import (
    controlling,
    counted,
    deploy,
    frozen,
    give,
    make,
    members,
    newest,
    owned,
    owner,
    pod_with,
    reference,
    relabel,
    replicaset_manifest,
    rs,
    scale,
    shown,
    solo,
    tally,
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


# --- references that manifests name -----------------------------------------------


def join(
    sim: SimCluster, references: list[dict[str, Any]], app: str = "web", to: str = "rs"
) -> pod.Pod:
    """The pod `solo`, made in the step in which the ReplicaSet gets room for it."""
    at = {"namespace": "default"}
    sim.step(
        sim.command_input(
            Target(**at, kind="pod", name="solo", verb="create"),
            {"manifest": pod_with(references, app=app)},
        ),
        sim.command_input(
            Target(**at, kind="replicaset", name=to, verb="scale"),
            {"replicas": rs(sim, to).replicas + 1},
        ),
    )
    sim.settle()
    return solo(sim)


def give_references(
    sim: SimCluster,
    held: replicaset.ReplicaSet,
    references: list[dict[str, Any]],
    result: str = "accepted",
) -> None:
    """An update of the ReplicaSet that changes its owners and nothing else."""
    raw = replicaset_manifest(
        held.name,
        held.replicas,
        metadata={"labels": held.labels, "ownerReferences": references},
        pods=msgspec.to_builtins(sim.cluster.desired.templates[held.template].template),
    )
    raw["spec"]["selector"] = msgspec.to_builtins(held.selector)
    answer = give(sim, "replace", raw)
    assert answer.result == result, answer.message
    sim.settle()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([reference()], 2, id="foreign, no controller"),
        pytest.param([reference(controller=False)], 2, id="foreign, controller false"),
        pytest.param(["own"], 1, id="own, controller false"),
        pytest.param([reference(), "own"], 2, id="both"),
    ],
)
def test_general_replicaset_adoption(
    sim: SimCluster, given: list[Any], expected: int
) -> None:
    """TestGeneralReplicaSetAdoption: a foreign reference is kept and the controller's
    is added; an own one that does not control is upgraded in its place."""
    deploy(sim)
    (held,) = owned(sim)
    own = reference(owner(sim), controller=False)
    references = [own if each == "own" else each for each in given]
    give_references(sim, held, references)

    after = rs(sim, held.name)
    assert after.owner_uid == owner(sim).uid
    wanted = [controlling(owner(sim)) if each == own else each for each in references]
    if own not in references:
        wanted.append(controlling(owner(sim)))
    assert shown(sim, after) == wanted
    assert len(wanted) == expected
    assert (after.uid, after.generation) == (held.uid, held.generation), "spec 1.2"
    assert counted(sim) == (3, 3, 3, 3, 0)


@pytest.mark.parametrize("controller", [None, False])
def test_general_pod_adoption(sim: SimCluster, controller: bool | None) -> None:
    """TestGeneralPodAdoption: as for ReplicaSets; the foreign reference stays."""
    make(sim, replicaset_manifest(replicas=1))
    foreign = reference(controller=controller)
    held = join(sim, [foreign])
    assert held.owner_uid == rs(sim).uid
    assert shown(sim, held) == [foreign, controlling(rs(sim))]
    assert {each.phase for each in members(sim)} == {"Running"}


def test_adoption_of_one_that_has_the_reference(sim: SimCluster) -> None:
    """TestAdoption "pod refers rs as an owner, not a controller": upgraded."""
    make(sim, replicaset_manifest(replicas=1))
    join(sim, [reference(rs(sim), controller=False)])
    assert shown(sim, solo(sim)) == [controlling(rs(sim))]
    assert solo(sim).owner == rs(sim).key


def test_adoption_of_one_without_owners(sim: SimCluster) -> None:
    """TestAdoption "pod doesn't have owner references": added, and nothing is kept."""
    make(sim, replicaset_manifest(replicas=1))
    join(sim, [])
    assert shown(sim, solo(sim)) == [controlling(rs(sim))]
    assert not sim.cluster.desired.references.by_object
    assert not sim.of(pod.PodOwnersChanged)


def test_adoption_of_one_that_is_controlled(sim: SimCluster) -> None:
    """TestAdoption "pod refers rs as a controller": it is its own from the start, and
    the reference stays as it was written, without blockOwnerDeletion."""
    make(sim, replicaset_manifest(replicas=1))
    mine = reference(rs(sim), controller=True)
    join(sim, [mine])
    assert shown(sim, solo(sim)) == [mine]
    assert solo(sim).owner_uid == rs(sim).uid
    assert len(sim.of(pod.PodAdopted)) == 1


@pytest.mark.parametrize("group", ["batch/v1", "example.com/v1"])
def test_adoption_of_one_that_another_controls(sim: SimCluster, group: str) -> None:
    """TestAdoption "pod has another controller": untouched, never counted (I7); that
    it has a kind's or an object's name does not make it that."""
    make(sim, replicaset_manifest(replicas=2))
    theirs = reference(rs(sim), controller=True, apiVersion=group)
    make(sim, pod_with([theirs]))
    assert (solo(sim).owner, shown(sim, solo(sim))) == ("", [theirs])
    assert (tally(sim).active, tally(sim).members) == (2, 2)


def test_adoption_of_one_that_another_replicaset_controls(sim: SimCluster) -> None:
    """TestAdoption "pod has another controller", which is one of ours: it counts for
    that one alone, though both select it."""
    make(sim, replicaset_manifest("rs", 2))
    make(sim, replicaset_manifest("other", 2))
    theirs = reference(rs(sim, "other"), controller=True)
    join(sim, [theirs], to="other")
    assert shown(sim, solo(sim)) == [theirs]
    assert (tally(sim).members, tally(sim, "other").members) == (2, 3)


def test_one_that_another_controls_runs_on_alone(sim: SimCluster) -> None:
    """3.3 and I7: what selects it neither ends nor scales it, nor its Deployment."""
    make(sim, pod_with([reference(controller=True)]))
    make(
        sim,
        replicaset_manifest(
            "theirs",
            1,
            metadata={"labels": APP, "ownerReferences": [reference(controller=True)]},
        ),
    )
    deploy(sim)
    scale(sim, 0)
    sim.settle()
    assert solo(sim).phase == "Running"
    assert (rs(sim, "theirs").owner, rs(sim, "theirs").replicas) == ("", 1)


def test_releasing_takes_only_the_own_reference(sim: SimCluster) -> None:
    """Spec 3.3, and TestPodOrphaningAndAdoptionWhenLabelsChange: what else the pod
    belongs to stays; with its labels back it is adopted again."""
    make(sim, replicaset_manifest(replicas=1))
    foreign = reference()
    join(sim, [foreign])
    relabel(sim, "pod", "solo", {"app": "away"})
    assert shown(sim, solo(sim)) == [foreign]
    assert (solo(sim).owner, solo(sim).phase) == ("", "Running")
    relabel(sim, "pod", "solo", {"app": "web"})
    assert len(sim.of(pod.PodAdopted)) == 2
    assert tally(sim).active == 2, "one is surplus again"


def test_a_pod_whose_labels_do_not_match_its_controller(sim: SimCluster) -> None:
    """Spec 3.3: it names the ReplicaSet as controller, and is released at once."""
    make(sim, replicaset_manifest(replicas=1))
    make(sim, pod_with([reference(rs(sim), controller=True)], app="else"))
    assert (solo(sim).owner, shown(sim, solo(sim))) == ("", [])
    assert len(members(sim)) == 1


def test_an_update_can_take_the_controller_away(sim: SimCluster) -> None:
    """An update without references releases; the Deployment adopts it anew."""
    deploy(sim)
    (held,) = owned(sim)
    give_references(sim, held, [])
    assert len(sim.of(replicaset.ReplicaSetReleased)) == 1
    assert shown(sim, rs(sim, held.name)) == [controlling(owner(sim))]
    give_references(
        sim, rs(sim, held.name), [controlling(owner(sim))], result="unchanged"
    )


def test_two_controllers_are_refused(sim: SimCluster) -> None:
    """Spec 1.6, in Kubernetes' words."""
    references = [reference(controller=True), reference(controller=True, name="two")]
    answer = give(sim, "create", pod_with(references))
    assert answer.code == 422
    assert answer.message.endswith(
        'Only one reference can have Controller set to true. Found "true" in '
        "references for Job/nightly and Job/two"
    )


def test_applying_merges_owners_by_their_uid(sim: SimCluster) -> None:
    """`patchMergeKey=uid`: the controller that the manifest leaves out stays, what an
    earlier apply named and this one does not is taken away."""
    make(sim, replicaset_manifest(replicas=1))
    (held,) = members(sim)
    spec = msgspec.to_builtins(
        sim.cluster.desired.templates[held.template].template.spec
    )
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": held.name}}
    one, two = reference(), reference(name="two", uid="8e1f")
    for given in ([one], [one, two], [two]):
        raw["metadata"] = {"name": held.name, "ownerReferences": given}
        answer = give(sim, "apply", {**raw, "spec": spec})
        assert answer.result == "accepted", answer.message
        sim.settle()
    assert shown(sim, solo(sim, held.name)) == [two, controlling(rs(sim))]
    assert solo(sim, held.name).owner_uid == rs(sim).uid
