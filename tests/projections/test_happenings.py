"""The lines of `get events`: which event of the log makes which line (spec 6.13)."""

import msgspec
import pytest

from domain import active_check, catalogue, node, podspec, protocol
from domain.events import Recorded
from domain.replicaset import ReplicaSetScaled
from projections.cluster import Cluster
from projections.happenings import Happening, Happenings, lines
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import make, pod_manifest, replicaset_manifest, template
from workers.checking import CheckInput
from workers.intake import ReportInput


def told(sim: SimCluster, kept: int = 1000) -> Happenings:
    """The lines of all that a simulation has committed, folded from its log."""
    cluster, happenings = Cluster(), Happenings(kept)
    for row in sim.log:
        recorded = catalogue.decode(*row)
        happenings.evolve(recorded, cluster.fold(recorded), cluster)
    return happenings


def about(found: Happenings, kind: str, reason: str = "") -> list[str]:
    """The messages about objects of a kind, in order."""
    return [
        line.message
        for line in found
        if line.kind == kind and reason in ("", line.reason)
    ]


def running(replicas: int = 2, nodes: int = 2) -> SimCluster:
    """A Deployment whose pods all run."""
    sim = SimCluster(nodes=nodes)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=replicas)})
    sim.settle()
    return sim


def replicaset_of(sim: SimCluster) -> str:
    """The name of the only ReplicaSet."""
    (held,) = sim.cluster.desired.replicasets.values()
    return held.name


def test_a_new_deployment_tells_of_its_replicaset_its_pods_and_their_nodes() -> None:
    """Spec 2.15, 3.9 and 4.4: who made what, and where it went."""
    sim = running(replicas=2)
    found, rs = told(sim), replicaset_of(sim)
    pods = [held.name for held in sim.cluster.actual.pods.values()]
    nodes = [held.node for held in sim.cluster.actual.pods.values()]
    assert about(found, "Deployment") == [f"Scaled up replica set {rs} from 0 to 2"]
    assert about(found, "ReplicaSet") == [f"Created pod: {name}" for name in pods]
    assert about(found, "Pod") == [
        f"Successfully assigned default/{name} to {node}"
        for name, node in zip(pods, nodes, strict=True)
    ]


def test_every_line_says_who_tells_it_and_of_which_object() -> None:
    """Spec 2.15, 3.9, 4.6: reason, type, source and the object of each kind of line."""
    sim = running(replicas=1, nodes=1)
    (owner,) = sim.cluster.desired.deployments.values()
    (held,) = sim.cluster.desired.replicasets.values()
    (pod,) = sim.cluster.actual.pods.values()
    node = sim.cluster.actual.nodes["worker-1"].node
    seen = [
        (line.reason, line.source, line.kind, line.namespace, line.name, line.uid)
        for line in told(sim)
    ]
    assert seen == [
        ("RegisteredNode", "node-controller", "Node", "", "worker-1", node.uid),
        ("NodeReady", "kubelet", "Node", "", "worker-1", node.uid),
        *[
            (reason, source, kind, "default", name, uid)
            for reason, source, kind, name, uid in (
                (
                    "ScalingReplicaSet",
                    "deployment-controller",
                    "Deployment",
                    "web",
                    owner.uid,
                ),
                (
                    "SuccessfulCreate",
                    "replicaset-controller",
                    "ReplicaSet",
                    held.name,
                    held.uid,
                ),
                ("Scheduled", "default-scheduler", "Pod", pod.name, pod.uid),
            )
        ],
    ]
    assert {line.type for line in told(sim)} == {"Normal"}


def test_a_deployment_without_pods_has_nothing_to_tell() -> None:
    """Spec 2.15: from 0 to 0 is no scaling."""
    assert about(told(running(replicas=0)), "Deployment") == []


def test_scaling_down_tells_which_pods_were_deleted() -> None:
    """Spec 2.15 and 3.9: down by one is one ReplicaSet line and one pod."""
    sim = running(replicas=2)
    sim.ask("deployment", "web", "scale", {"replicas": 1})
    sim.settle()
    found, rs = told(sim), replicaset_of(sim)
    assert about(found, "Deployment")[-1] == f"Scaled down replica set {rs} from 2 to 1"
    (gone,) = {
        line.message.removeprefix("Created pod: ")
        for line in found
        if line.reason == "SuccessfulCreate"
    } - {held.name for held in sim.cluster.actual.pods.values()}
    assert about(found, "ReplicaSet")[-1] == f"Deleted pod: {gone}"
    assert [line.message for line in found.of("Pod", "default", gone)][-1] == (
        "Stopping container main"
    )


def test_refreshed_numbers_are_no_scaling() -> None:
    """Spec 2.9: a ReplicaSet that keeps its size may still be written."""
    sim = running(replicas=2)
    key, owner = f"replicaset/default/{replicaset_of(sim)}", "controller/deployment"
    at = sim.cluster.position + 1
    scaled = [
        Recorded(
            at,
            key,
            9,
            sim.now,
            owner,
            1,
            "",
            ReplicaSetScaled(before=2, after=after, why="", desired=9, maximum=12),
        )
        for after in (2, 3)
    ]
    same, grown = (lines(each, None, sim.cluster) for each in scaled)
    assert same == []
    assert [line.reason for line in grown] == ["ScalingReplicaSet"]


def test_a_replicaset_that_a_user_scales_is_no_news_of_a_deployment() -> None:
    """Spec 2.15: the lines are the deployment controller's own writes."""
    sim = running(replicas=2)
    before = len(about(told(sim), "Deployment"))
    sim.ask("replicaset", replicaset_of(sim), "scale", {"replicas": 3})
    actors = [r.actor for r in sim.events if type(r.event).__name__.endswith("Scaled")]
    assert "user/admin" in actors
    by_controller = sum(actor == "controller/deployment" for actor in actors)
    assert len(about(told(sim), "Deployment")) == before + by_controller


def test_deleting_a_deployment_ends_its_pods_without_deleting_lines() -> None:
    """Spec 3.9: a ReplicaSet that is gone deletes nothing; containers still stop."""
    sim = running(replicas=2)
    sim.ask("deployment", "web", "delete", {})
    sim.settle()
    found = told(sim)
    assert sim.cluster.actual.pods == {}
    assert about(found, "ReplicaSet", "SuccessfulDelete") == []
    assert about(found, "Pod", "Killing") == ["Stopping container main"] * 2


def test_a_pod_that_fits_nowhere_is_a_warning() -> None:
    """Spec 4.4: FailedScheduling, with the counts of nodes."""
    sim = SimCluster(nodes=1, allocatable={"cpu": "100m", "memory": "1Gi", "pods": "9"})
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=2)})
    sim.settle()
    (line,) = (line for line in told(sim) if line.reason == "FailedScheduling")
    waiting = next(iter(sim.cluster.actual.waiting))
    assert (line.type, line.source) == ("Warning", "default-scheduler")
    assert line.message == sim.cluster.actual.pods[waiting].unschedulable
    assert line.message.startswith("0/1 nodes are available: ")


def noted(sim: SimCluster, *notes: protocol.Note) -> str:
    """A pod of the simulation reports these notes; returns its name."""
    held = next(iter(sim.cluster.actual.pods.values()))
    said = protocol.Report(
        incarnation=sim.cluster.actual.nodes[held.node].node.incarnation,
        sequence=1_000_000,
        pods=(
            protocol.PodStatus(
                namespace=held.namespace,
                name=held.name,
                uid=held.uid,
                phase="Running",
                ready=True,
                notes=notes,
            ),
        ),
    )
    sim.step(ReportInput(node=held.node, data=msgspec.json.encode(said)))
    return held.name


def test_what_a_kubelet_notes_is_told_in_its_words() -> None:
    """Spec 4.4: reason, message and warning are the node's, with its name."""
    sim = running(replicas=1)
    text = "Back-off restarting failed container main"
    name = noted(
        sim,
        protocol.Note(reason="Started", message="Container started", container="main"),
        protocol.Note(reason="BackOff", message=text, warning=True),
    )
    node = sim.cluster.actual.pods[f"pod/default/{name}"].node
    first, second = told(sim).of("Pod", "default", name)[-2:]
    assert (first.type, first.reason, first.message, first.container) == (
        "Normal",
        "Started",
        "Container started",
        "main",
    )
    assert (second.type, second.reason, second.message) == ("Warning", "BackOff", text)
    assert (first.source, first.host) == ("kubelet", node)
    assert first.number < second.number


def test_an_active_check_is_told_where_it_changes_something() -> None:
    """A warning when it fails, with what was answered, and a word when it passes."""
    sim = running(replicas=1)
    changes = {"changes": {active_check.ANNOTATION: "{port: 80}"}, "overwrite": True}
    sim.ask("deployment", "web", "annotate", changes)
    (held,) = sim.cluster.actual.pods.values()
    for passing in (False, False, True):
        said = protocol.PodCheck(uid=held.uid, passing=passing, detail="it says 500")
        data = msgspec.json.encode(said)
        sim.step(CheckInput(namespace="default", pod=held.name, data=data))
    found = told(sim)
    assert about(found, "Pod", "ActiveCheckFailed") == [
        "Active check failed: it says 500"
    ]
    assert about(found, "Pod", "ActiveCheckPassed") == ["Ready again: it says 500"]
    types = {each.reason: each.type for each in found}
    assert types["ActiveCheckFailed"] == "Warning"
    assert types["ActiveCheckPassed"] == "Normal"


def test_the_end_of_a_container_is_told_once() -> None:
    """The node says again what the request already said: one line (rule 3); but a
    container that is killed while its pod lives is the node's own news."""
    sim = running(replicas=1)
    name = noted(sim, protocol.Note(reason="Killing", message="Container main failed"))
    sim.ask("pod", name, "delete", {})
    stopping = protocol.Note(reason="Killing", message="Stopping container main")
    held = sim.cluster.actual.pods[f"pod/default/{name}"]
    said = protocol.Report(
        incarnation=sim.cluster.actual.nodes[held.node].node.incarnation,
        sequence=1_000_001,
        pods=(
            protocol.PodStatus(
                namespace="default",
                name=name,
                uid=held.uid,
                phase="Running",
                notes=(stopping,),
            ),
        ),
    )
    sim.step(ReportInput(node=held.node, data=msgspec.json.encode(said)))
    assert any(
        stopping in getattr(getattr(row.event, "seen", None), "notes", ())
        for row in sim.events
    )
    killing = [x for x in told(sim).of("Pod", "default", name) if x.reason == "Killing"]
    assert [line.message for line in killing] == [
        "Container main failed",
        "Stopping container main",
    ]


def test_a_dead_node_and_what_becomes_of_its_pods() -> None:
    """Spec 4.6: the node and its pods are not ready, then the pods are given up; no
    container is said to be stopped by a node that nobody hears."""
    sim = running(replicas=2, nodes=2)
    sim.nodes["worker-1"].die()
    sim.run_for(600)
    found = told(sim)
    (lost,) = {
        held.name
        for held in sim.cluster.actual.pods.values()
        if held.node == "worker-1"
    }
    node = [line.message for line in found.of("Node", "", "worker-1")]
    assert node[-1] == "Node worker-1 status is now: NodeNotReady"
    mine = [(x.type, x.reason, x.message) for x in found.of("Pod", "default", lost)]
    assert mine[1:] == [
        ("Warning", "NodeNotReady", "Node is not ready"),
        (
            "Normal",
            "TaintManagerEviction",
            f"Marking for deletion Pod default/{lost}",
        ),
    ]


def test_a_container_engine_that_fails_is_told_until_it_works_again() -> None:
    """The node stays ready, so nothing else would tell: a warning with how it fails,
    and a line when that is over; what else a node says of itself is no news."""
    sim = running(replicas=1, nodes=1)
    worker = sim.nodes["worker-1"]
    before = len(told(sim).of("Node", "", "worker-1"))
    away = [
        podspec.Taint(key=node.ENGINE_TAINT, value=how, effect="NoSchedule")
        for how in ("not-answering", "not-reachable")
    ]
    image = protocol.ContainerImage(names=("web:1",), size_bytes=1)
    for changed in (
        {"taints": (away[0],)},
        {"taints": (away[1],)},
        {"taints": ()},
        {"images": (image,)},
    ):
        info = msgspec.structs.replace(worker.info, **changed)
        worker.describe(sim.now, info)
        sim.run_for(5.0)
    found = told(sim).of("Node", "", "worker-1")[before:]
    down = "container runtime is down: its engine is {}; what runs goes on"
    assert [(x.type, x.reason, x.message, x.source) for x in found] == [
        ("Warning", "ContainerRuntimeNotReady", down.format(how), "kubelet")
        for how in ("not answering", "not reachable")
    ] + [
        ("Normal", "ContainerRuntimeReady", "container runtime is up again", "kubelet")
    ]
    assert sim.cluster.actual.nodes["worker-1"].ready
    assert not about(told(sim), "Pod", "TaintManagerEviction")


@pytest.mark.parametrize("how", ["heard again", "untainted"])
def test_an_eviction_that_is_cancelled_is_told(how: str) -> None:
    """Spec 4.6: given a pod that is to go after a while, when the reason is gone, then
    it is told to stay; a pod that tolerates it for ever was never to go."""
    sim = SimCluster(nodes=2)
    for name, seconds in (("finite", 300), ("endless", None)):
        tolerated: dict[str, object] = {"operator": "Exists", "effect": "NoExecute"}
        if seconds is not None:
            tolerated["tolerationSeconds"] = seconds
        make(sim, pod_manifest(name, tolerations=[tolerated]))
    at = sim.cluster.actual.pods["pod/default/finite"].node
    if how == "untainted":
        taint = {"key": "gpu", "effect": "NoExecute"}
        sim.ask("node", at, "taint", {"taints": [taint]})
        sim.run_for(100.0)
        sim.ask("node", at, "taint", {"taints": []})
    else:
        sim.nodes[at].cut(sim.now)
        sim.run_for(200.0)
        sim.nodes[at].connect(sim.now)
    sim.settle()

    said = [line for line in told(sim) if line.reason == "TaintManagerEviction"]
    assert [(x.type, x.source, x.kind, x.name, x.message) for x in said] == [
        (
            "Normal",
            "taint-eviction-controller",
            "Pod",
            "finite",
            "Cancelling deletion of Pod default/finite",
        )
    ]


def test_a_pod_that_cannot_be_made_is_told_of_its_replicaset() -> None:
    """Spec 3.9: FailedCreate, a warning, with the error behind `Error creating: `."""
    sim = SimCluster(nodes=1)
    make(sim, replicaset_manifest(pods=template(image=" app:1")))
    (line,) = [line for line in told(sim) if line.kind == "ReplicaSet"]

    failure = sim.cluster.desired.replicasets["replicaset/default/rs"].failure_message
    assert (line.type, line.reason) == ("Warning", "FailedCreate")
    assert line.message == f"Error creating: {failure}"
    assert line.message.startswith('Error creating: Pod "rs-')


def test_a_node_that_is_removed_is_told() -> None:
    """Spec 4.6: RemovingNode, in Kubernetes' words."""
    sim = SimCluster(nodes=1)
    sim.nodes["worker-1"].die()
    sim.ask("node", "worker-1", "delete")
    assert about(told(sim), "Node") == [
        "Node worker-1 event: Registered Node worker-1 in Controller",
        "Node worker-1 status is now: NodeReady",
        "Node worker-1 event: Removing Node worker-1 from Controller",
    ]


def test_only_the_newest_lines_are_kept() -> None:
    """Rule 2: a bound by number, oldest first out, by object too."""
    sim = running(replicas=3)
    everything, newest = [*told(sim)], told(sim, kept=4)
    assert len(everything) > 4
    assert [*newest] == everything[-4:]
    by_object = {(x.kind, x.namespace, x.name) for x in everything}
    indexed = [line for key in by_object for line in newest.of(*key)]
    assert sorted(indexed, key=lambda line: line.number) == everything[-4:]
    gone = everything[0]
    assert gone not in newest.of(gone.kind, gone.namespace, gone.name)


def test_lines_are_a_function_of_the_log() -> None:
    """S4: two folds of one log make the same lines, each with a number of its own."""
    sim = running(replicas=3)
    found = [*told(sim)]
    assert found == [*told(sim)]
    assert len({line.number for line in found}) == len(found)
    assert sorted(found, key=lambda line: line.number) == found


def test_one_event_alone_makes_its_lines() -> None:
    """`lines` is what `Happenings` collects, event by event."""
    sim = running(replicas=1)
    cluster = Cluster()
    found: list[Happening] = []
    for row in sim.log:
        recorded = catalogue.decode(*row)
        found += lines(recorded, cluster.fold(recorded), cluster)
    assert found == [*told(sim)]
