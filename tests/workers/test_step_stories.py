"""The step, told as stories: a Deployment from its creation to its end."""

from typing import Any

import pytest

from domain import command, deployment, node, pod, replicaset
from projections import status
from tests.support.cluster import SimCluster, manifest, rolling
from workers.intake import ReportInput


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes, and an image that never gets ready."""
    cluster = SimCluster(3)
    cluster.broken.add("app:bad")
    return cluster


def create(sim: SimCluster, replicas: int = 3, **spec: Any) -> None:
    """The Deployment `web` of `app:1`, complete."""
    body = {"manifest": manifest(replicas=replicas, **spec)}
    assert sim.ask("deployment", "web", "create", body).result == "accepted"
    sim.settle()


def web(sim: SimCluster) -> deployment.Deployment:
    """The Deployment."""
    return sim.cluster.desired.deployments["deployment/default/web"]


def counted(sim: SimCluster) -> status.DeploymentStatus:
    """Its status."""
    cluster = sim.cluster
    return status.deployment_status(cluster.desired, cluster.actual, web(sim))


def set_image(sim: SimCluster, image: str) -> None:
    """Another image; nothing is awaited."""
    sim.ask("deployment", "web", "set-image", {"images": {"main": image}})


def test_a_deployment_is_created_with_all_its_pods_in_one_step(sim: SimCluster) -> None:
    """Given nodes, when a Deployment is created, then its pods are bound at once."""
    before = len(sim.steps)
    sim.ask("deployment", "web", "create", {"manifest": manifest()})

    assert len(sim.steps) == before + 1
    assert sim.kinds(sim.steps[before - 1].position) == [
        "CommandAccepted",
        "DeploymentCreated",
        "ReplicaSetCreated",
        "RevisionStarted",
        *["PodCreated"] * 3,
        *["PodScheduled"] * 3,
    ]
    assert {held.node for held in sim.cluster.actual.pods.values()} == {*sim.nodes}
    sim.settle()
    assert counted(sim).available == 3


def test_scaling_touches_neither_revision_nor_template(sim: SimCluster) -> None:
    """Given three pods, when scaled to five and to one, then only pods come and go."""
    create(sim)
    for size in (5, 1):
        sim.ask("deployment", "web", "scale", {"replicas": size})
        sim.settle()
        assert counted(sim).available == size
    assert web(sim).revision == 1
    assert len(sim.of(replicaset.ReplicaSetCreated)) == 1


def test_a_rolling_update_takes_the_steps_of_spec_2_7(sim: SimCluster) -> None:
    """Given three pods, a new image goes 0→1, 3→2, 1→2, 2→1, 2→3, 1→0."""
    create(sim)
    position = len(sim.log)
    set_image(sim, "app:2")
    sim.settle()

    scaled = (each.event for each in sim.of(replicaset.ReplicaSetScaled, position))
    sizes = [
        (each.before, each.after)
        for each in scaled
        if isinstance(each, replicaset.ReplicaSetScaled)
    ]
    assert sizes == [(3, 2), (1, 2), (2, 1), (2, 3), (1, 0)]
    assert sim.sizes("web") == {"app:1": 0, "app:2": 3}


def test_a_bad_image_stops_at_max_unavailable_and_undo_repairs_it(
    sim: SimCluster,
) -> None:
    """Given ten pods, a bad image leaves eight available; undo brings all back."""
    create(sim, 10)
    set_image(sim, "app:bad")
    sim.settle()
    assert sim.sizes("web") == {"app:1": 8, "app:bad": 5}
    assert counted(sim).available == 8

    answer = sim.ask("deployment", "web", "undo")
    assert (answer.result, answer.revision) == ("accepted", 3)
    sim.settle()
    assert sim.sizes("web") == {"app:1": 10, "app:bad": 0}
    assert counted(sim).available == 10


def test_undo_to_a_revision_is_a_new_revision(sim: SimCluster) -> None:
    """Given three revisions, undo to the first makes the fourth, of its template."""
    create(sim)
    first = web(sim).template
    for image in ("app:2", "app:3"):
        set_image(sim, image)
        sim.settle()
    answer = sim.ask("deployment", "web", "undo", {"toRevision": 1})
    sim.settle()

    assert answer.revision == web(sim).revision == 4
    assert web(sim).template == first
    rolled = sim.cluster.rollouts.by_key["deployment/default/web"].revisions
    assert [each.revision for each in rolled] == [1, 2, 3, 4]
    assert sim.ask("deployment", "web", "undo", {"toRevision": 9}).result == "rejected"


def test_recreate_ends_every_old_pod_before_a_new_one(sim: SimCluster) -> None:
    """Given Recreate, no new pod is created while an old one is still ending."""
    create(sim, strategy={"type": "Recreate"})
    position = len(sim.log)
    set_image(sim, "app:2")
    sim.run_for(5.0, progress=False)
    assert "PodCreated" not in sim.kinds(position)
    sim.settle()

    kinds = sim.kinds(position)
    last = len(kinds) - 1 - kinds[::-1].index("PodRemoved")
    assert kinds.index("PodCreated") > last - 1
    assert sim.sizes("web") == {"app:1": 0, "app:2": 3}


def test_a_paused_deployment_collects_changes_for_one_revision(
    sim: SimCluster,
) -> None:
    """Given a pause, edits start nothing, scaling works, resuming rolls out once."""
    create(sim)
    sim.ask("deployment", "web", "pause")
    for image in ("app:2", "app:3"):
        set_image(sim, image)
    sim.ask("deployment", "web", "scale", {"replicas": 4})
    sim.settle()
    assert sim.sizes("web") == {"app:1": 4}

    sim.ask("deployment", "web", "resume")
    sim.settle()
    assert sim.sizes("web") == {"app:1": 0, "app:3": 4}
    assert web(sim).revision == 2


def test_deleting_takes_everything_along(sim: SimCluster) -> None:
    """Given a Deployment, deleting it ends its ReplicaSets and its pods."""
    create(sim)
    sim.ask("deployment", "web", "delete")
    sim.settle()

    assert not sim.cluster.desired.replicasets
    assert not sim.cluster.actual.pods
    assert not any(each.pods for each in sim.nodes.values())


def test_an_orphaned_replicaset_is_adopted_without_a_restart(sim: SimCluster) -> None:
    """Given pods that were left running, the next Deployment takes them over (2.16)."""
    create(sim)
    uids = {held.uid for held in sim.cluster.actual.pods.values()}
    sim.ask("deployment", "web", "delete", {"propagation": "orphan"})
    sim.settle()
    assert len(sim.of(replicaset.ReplicaSetReleased)) == 1
    create(sim)

    assert {held.uid for held in sim.cluster.actual.pods.values()} == uids
    assert len(sim.of(replicaset.ReplicaSetAdopted)) == 1


def test_pods_of_a_dead_node_are_replaced_after_their_toleration(
    sim: SimCluster,
) -> None:
    """Given a node that is not heard: unready after 50 s, replaced 300 s later."""
    create(sim)
    sim.nodes["worker-1"].cut(sim.now)
    cut_at = sim.now
    sim.run_for(1_000.0)

    unready = sim.of(node.NodeBecameUnready)[0].timestamp - cut_at
    evicted = sim.of(pod.PodTerminationRequested)[0].timestamp - cut_at
    assert 30.0 < unready < 56.0
    assert 330.0 < evicted < 360.0
    assert counted(sim).available == 3
    sim.nodes["worker-1"].connect(sim.now)
    sim.settle()
    assert sum(len(each.pods) for each in sim.nodes.values()) == 3


def test_pods_that_fit_nowhere_wait_for_room() -> None:
    """Given full nodes, a pod says why it waits, and is bound when a node joins."""
    sim = SimCluster(1, allocatable={"cpu": "200m", "memory": "8Gi", "pods": "110"})
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=3)})
    sim.settle()
    waiting = [each for each in sim.cluster.actual.pods.values() if not each.node]
    assert [each.unschedulable for each in waiting] == [
        "0/1 nodes are available: 1 Insufficient cpu."
    ]
    assert len(sim.of(pod.PodUnschedulable)) == 1

    sim.add_node()
    sim.settle()
    assert counted(sim).available == 3


def test_a_restart_in_the_middle_of_a_rollout_goes_on(sim: SimCluster) -> None:
    """Given a rollout that has begun, a killed control finishes it after its start."""
    create(sim, 5, strategy=rolling(1, 1))
    set_image(sim, "app:2")
    sim.run_for(0.2, progress=False)
    sim.crash_control()
    sim.settle()

    assert sim.sizes("web") == {"app:1": 0, "app:2": 5}
    assert len(sim.of(deployment.RolloutCompleted)) == 2


def test_an_idle_cluster_emits_nothing_but_accounts_for_reports(
    sim: SimCluster,
) -> None:
    """Given a complete Deployment, an hour adds one count per node and five minutes."""
    create(sim)
    position = len(sim.log)
    sim.run_for(3_600.0)

    assert {*sim.kinds(position)} == {"ReportsCounted"}
    counts = sim.of(node.ReportsCounted, position)
    assert 11 * 3 <= len(counts) <= 13 * 3
    for each in counts:
        held = each.event
        assert isinstance(held, node.ReportsCounted)
        assert held.count <= held.last_sequence - held.first_sequence + 1


def test_every_command_is_in_the_log_the_refused_ones_too(sim: SimCluster) -> None:
    """Given a command that breaks a rule, the log has it with its answer."""
    answer = sim.ask("deployment", "none", "scale", {"replicas": 1})

    assert (answer.result, answer.reason) == ("rejected", "NotFound")
    refused = sim.of(command.CommandRejected)
    assert [each.position for each in refused] == [answer.position]


def test_a_late_report_changes_nothing(sim: SimCluster) -> None:
    """Given reports that were handled, their repetition is counted, and no more."""
    create(sim)
    position = len(sim.log)
    worker = sim.nodes["worker-1"]
    sim.step(*[ReportInput(node="worker-1", data=each) for each in worker.sent])

    assert len(sim.log) == position
    assert sim.state.counters["reports_repeated"] == len(worker.sent)
