"""Objects as Kubernetes' JSON, and the rows of tables (spec 6.2)."""

import msgspec
import pytest

from domain import metadata, protocol, queries, times
from gateway.service import Service
from tests.gateway.support import Written, ask, report, scene_of, table
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import (
    give,
    make,
    members,
    pod_manifest,
    relabel,
    replicaset_manifest,
    template,
)

INFO = protocol.NodeInfo(
    capacity={"cpu": "8", "memory": "16Gi", "pods": "110"},
    allocatable={"cpu": "4", "memory": "8Gi", "pods": "110"},
    labels={"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge"},
    address="10.0.0.1",
    kubelet_version="v1.0.0",
    runtime="process://1",
    os_image="Linux",
    kernel_version="6.1",
    architecture="amd64",
    images=(
        protocol.ContainerImage(names=("web@sha256:1", "web:2"), size_bytes=2_000_000),
        protocol.ContainerImage(names=("web:1",), size_bytes=1_000_000),
    ),
)


def story() -> SimCluster:
    """Two revisions, of which the second runs; a node that says much of itself."""
    sim = SimCluster(nodes=1)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=2)})
    sim.settle()
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.settle()
    return sim


async def service_of(sim: SimCluster, later: float = 60.0) -> Service:
    """A service that has folded everything, `later` seconds after the last event."""
    moment = sim.events[-1].timestamp + later
    return Service(await Written(sim).folded(), now=lambda: moment)


async def items(sim: SimCluster, kind: str, **asked: object) -> list[dict[str, object]]:
    """The objects of a kind as JSON."""
    question = {"kind": kind, "format": "object", **asked}
    found = await ask(await service_of(sim), "get", question)
    listed = found.get("items", [])
    assert isinstance(listed, list)
    return listed


def at(found: object, *path: object) -> object:
    """What is at a path of a JSON document."""
    for key in path:
        assert isinstance(found, dict | list), path
        found = found[key]  # type: ignore[call-overload]  # a path of any JSON
    return found


@pytest.mark.asyncio
async def test_a_deployment_is_an_apps_v1_object_with_its_full_status() -> None:
    """Spec 1.1, 1.2, 2.12, 2.13: metadata, every default, counters, conditions."""
    sim = story()
    (found,) = await items(sim, "deployment")
    (owner,) = sim.cluster.desired.deployments.values()
    new = sim.cluster.desired.new_replicaset(owner)
    assert new is not None
    assert (found["apiVersion"], found["kind"]) == ("apps/v1", "Deployment")
    assert at(found, "metadata", "uid") == owner.uid
    assert at(found, "metadata", "generation") == 2
    assert at(found, "metadata", "resourceVersion") == str(owner.position)
    assert at(found, "metadata", "annotations") == {
        "deployment.kubernetes.io/revision": "2"
    }
    assert at(found, "spec", "strategy") == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert at(found, "spec", "template", "spec", "containers", 0, "image") == "app:2"
    status = at(found, "status")
    assert isinstance(status, dict)
    conditions = status.pop("conditions")
    assert status == {
        "observedGeneration": 2,
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "terminatingReplicas": 0,
    }
    assert [
        (c["type"], c["status"], c["reason"], c["message"]) for c in conditions
    ] == [
        (
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        ),
        (
            "Progressing",
            "True",
            "NewReplicaSetAvailable",
            f'ReplicaSet "{new.name}" has successfully progressed.',
        ),
    ]


@pytest.mark.asyncio
async def test_a_replicaset_names_its_owner_and_its_revision() -> None:
    """Spec 2.4, 2.5, 3.7: owner reference, bookkeeping annotations, counters."""
    sim = story()
    sim.ask("deployment", "web", "undo", {"toRevision": 1})
    sim.settle()
    (owner,) = sim.cluster.desired.deployments.values()
    found = await items(sim, "replicaset")
    (mine,) = (each for each in found if at(each, "spec", "replicas") == 2)
    assert at(mine, "metadata", "ownerReferences") == [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
            "uid": owner.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert at(mine, "metadata", "annotations") == {
        "deployment.kubernetes.io/revision": "3",
        "deployment.kubernetes.io/revision-history": "1",
        "deployment.kubernetes.io/desired-replicas": "2",
        "deployment.kubernetes.io/max-replicas": "3",
    }
    assert at(mine, "status", "readyReplicas") == 2
    hashed = at(mine, "spec", "selector", "matchLabels", "pod-template-hash")
    assert at(mine, "metadata", "labels", "pod-template-hash") == hashed


@pytest.mark.asyncio
async def test_a_running_pod_shows_what_its_node_sees() -> None:
    """Spec 4.1, 4.2: spec as the node was given it, conditions, containers, address."""
    sim = story()
    held = next(iter(sim.cluster.actual.pods.values()))
    report(
        sim,
        "worker-1",
        protocol.PodStatus(
            namespace="default",
            name=held.name,
            uid=held.uid,
            phase="Running",
            ready=True,
            ip="127.0.0.9",
            containers=(
                protocol.ContainerStatus(
                    name="main",
                    state="running",
                    ready=True,
                    started=True,
                    restarts=1,
                    started_at=1_700_000_100.0,
                    last=protocol.Termination(exit_code=1, reason="Error"),
                ),
            ),
        ),
    )
    (found,) = await items(sim, "pod", name=held.name, namespace="default")
    rs = held.owner.rpartition("/")[2]
    assert at(found, "metadata", "generateName") == f"{rs}-"
    assert at(found, "metadata", "ownerReferences", 0, "name") == rs
    assert at(found, "spec", "nodeName") == "worker-1"
    tolerations = at(found, "spec", "tolerations")
    assert isinstance(tolerations, list)
    assert {each["key"]: each["tolerationSeconds"] for each in tolerations} == {
        "node.kubernetes.io/not-ready": 300,
        "node.kubernetes.io/unreachable": 300,
    }
    status = at(found, "status")
    assert isinstance(status, dict)
    assert {c["type"]: c["status"] for c in status["conditions"]} == dict.fromkeys(
        (
            "PodReadyToStartContainers",
            "Initialized",
            "Ready",
            "ContainersReady",
            "PodScheduled",
        ),
        "True",
    )
    assert (status["podIP"], status["qosClass"]) == ("127.0.0.9", "Burstable")
    (container,) = status["containerStatuses"]
    assert container["state"] == {"running": {"startedAt": "2023-11-14T22:15:00Z"}}
    assert container["lastState"]["terminated"]["exitCode"] == 1
    assert "containerID" not in container["lastState"]["terminated"], "it is another's"
    assert (container["restartCount"], container["image"]) == (1, "app:2")


@pytest.mark.asyncio
async def test_a_pod_of_a_silent_node_is_not_ready_but_its_containers_are() -> None:
    """Spec 4.6: only the condition Ready is taken away."""
    sim = story()
    sim.add_node()
    sim.settle()
    sim.nodes["worker-1"].cut(sim.now)
    sim.run_for(70)
    found = await items(sim, "pod", fieldSelector="spec.nodeName=worker-1")
    for each in found:
        conditions = at(each, "status", "conditions")
        assert isinstance(conditions, list)
        values = {c["type"]: c["status"] for c in conditions}
        assert (values["Ready"], values["ContainersReady"]) == ("False", "True")
        reasons = {c["type"]: c.get("reason") for c in conditions}
        assert reasons["Ready"] == "NodeNotReady"
    assert found


@pytest.mark.asyncio
async def test_a_pod_that_waits_and_one_that_ends() -> None:
    """Spec 4.2, 4.3: PodScheduled is False with its reason; a deletion has a time."""
    sim = SimCluster(nodes=1, allocatable={"cpu": "100m", "memory": "1Gi", "pods": "9"})
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=2)})
    sim.settle()
    (waiting,) = await items(sim, "pod", fieldSelector="status.phase=Pending")
    condition = at(waiting, "status", "conditions", 0)
    assert at(condition, "type") == "PodScheduled"
    assert (at(condition, "status"), at(condition, "reason")) == (
        "False",
        "Unschedulable",
    )
    (running,) = await items(sim, "pod", fieldSelector="status.phase=Running")
    sim.ask("pod", str(at(running, "metadata", "name")), "delete", {"grace": 7})
    (ending,) = await items(sim, "pod", fieldSelector="spec.nodeName=worker-1")
    assert at(ending, "metadata", "deletionGracePeriodSeconds") == 7
    assert str(at(ending, "metadata", "deletionTimestamp")).endswith("Z")


@pytest.mark.asyncio
async def test_a_node_shows_what_it_is_and_how_it_is() -> None:
    """Spec 4.5: conditions, addresses, capacity, taints of a cordon."""
    sim = SimCluster(nodes=0)
    node = sim.add_node()
    node.info = INFO
    node.boot(sim.now)
    sim.settle()
    sim.ask("node", "worker-1", "cordon")
    (found,) = await items(sim, "node")
    assert found["spec"] == {
        "unschedulable": True,
        "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}],
    }
    assert at(found, "status", "addresses") == [
        {"type": "InternalIP", "address": "10.0.0.1"},
        {"type": "Hostname", "address": "worker-1"},
    ]
    assert at(found, "status", "capacity", "cpu") == "8"
    assert at(found, "status", "nodeInfo", "kubeletVersion") == "v1.0.0"
    assert at(found, "status", "images") == [
        {"names": ["web@sha256:1", "web:2"], "sizeBytes": 2_000_000},
        {"names": ["web:1"], "sizeBytes": 1_000_000},
    ]
    condition = at(found, "status", "conditions", 0)
    assert isinstance(condition, dict)
    assert (condition["type"], condition["status"]) == ("Ready", "True")
    headers, rows = await table(await service_of(sim), queries.GetQuery(kind="node"))
    assert dict(zip(headers, rows[0], strict=True)) == {
        "NAME": "worker-1",
        "STATUS": "Ready,SchedulingDisabled",
        "ROLES": "edge,worker",
        "AGE": rows[0][3],
        "VERSION": "v1.0.0",
        "INTERNAL-IP": "10.0.0.1",
        "EXTERNAL-IP": "<none>",
        "OS-IMAGE": "Linux",
        "KERNEL-VERSION": "6.1 (amd64)",
        "CONTAINER-RUNTIME": "process://1",
    }


@pytest.mark.asyncio
async def test_tables_name_what_is_desired_beside_what_is() -> None:
    """Rollbook's own columns for Deployments, Kubernetes' for the rest (spec 6.2)."""
    sim = story()
    service = await service_of(sim)
    headers, rows = await table(service, queries.GetQuery(kind="deployment"))
    assert headers[:6] == [
        "NAME", "DESIRED", "CURRENT", "UP-TO-DATE", "AVAILABLE", "AGE",
    ]  # fmt: skip
    assert headers[6:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert rows == [["web", "2", "2", "2", "2", rows[0][5], "main", "app:2", "app=web"]]
    headers, rows = await table(service, queries.GetQuery(kind="replicaset"))
    assert headers[:5] == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    sizes = {tuple(row[1:4]): row[6] for row in rows}
    assert sizes == {("0", "0", "0"): "app:1", ("2", "2", "2"): "app:2"}
    assert all(row[7].startswith("app=web,pod-template-hash=") for row in rows)
    headers, rows = await table(service, queries.GetQuery(kind="pod"))
    assert headers[:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [row[1:4] + row[6:7] for row in rows] == [
        ["1/1", "Running", "0", "worker-1"]
    ] * 2


@pytest.mark.asyncio
async def test_ages_are_those_of_the_answer() -> None:
    """Ages are worked out when a question is answered, never when it was folded."""
    sim = story()
    ages = []
    for later in (0.0, 3600.0):
        service = await service_of(sim, later)
        _, rows = await table(service, queries.GetQuery(kind="node"))
        ages.append(rows[0][3])
    assert ages[0] != ages[1]
    assert ages[1] == "61m"


@pytest.mark.asyncio
async def test_events_have_a_name_an_object_and_a_source() -> None:
    """Spec 6.13: the columns, and OBJECT in lower case."""
    service = await service_of(story())
    asked = queries.GetQuery(kind="event", field_selector="reason=ScalingReplicaSet")
    headers, rows = await table(service, asked)
    assert headers == [
        "LAST SEEN", "TYPE", "REASON", "OBJECT", "SUBOBJECT", "SOURCE", "MESSAGE",
        "FIRST SEEN", "COUNT", "NAME",
    ]  # fmt: skip
    first = dict(zip(headers, rows[0], strict=True))
    assert (first["TYPE"], first["OBJECT"]) == ("Normal", "deployment/web")
    assert first["SOURCE"] == "deployment-controller"
    assert first["NAME"].startswith("web.")
    assert first["MESSAGE"].startswith("Scaled up replica set web-")
    found = await items(story(), "event", fieldSelector="involvedObject.kind=Node")
    assert {at(each, "metadata", "namespace") for each in found} == {"default"}
    assert {at(each, "involvedObject", "name") for each in found} == {"worker-1"}


@pytest.mark.asyncio
async def test_what_apply_remembers_is_part_of_the_object() -> None:
    """Only people are not shown it (spec 6.12); programs are."""
    sim = SimCluster()
    sim.ask("deployment", "web", "apply", {"manifest": manifest()})
    (found,) = await items(sim, "deployment")
    assert metadata.LAST_APPLIED in msgspec.json.encode(found).decode()
    reader = await Written(sim).folded()
    assert len(scene_of(reader, 0.0).happenings) > 0


@pytest.mark.asyncio
async def test_a_deployment_that_waits_for_what_it_owns_says_so() -> None:
    """Spec 1.2: in foreground deletion it has a deletionTimestamp and its finalizer;
    its ending pods are counted."""
    sim = story()
    (before,) = await items(sim, "deployment")
    assert "deletionTimestamp" not in msgspec.json.encode(before).decode()
    sim.ask("deployment", "web", "delete", {"propagation": "foreground"})
    (found,) = await items(sim, "deployment")
    (owner,) = sim.cluster.desired.deployments.values()

    moment = times.rfc3339_seconds(owner.deletion_at)
    assert at(found, "metadata", "deletionTimestamp") == moment
    assert at(found, "metadata", "finalizers") == ["foregroundDeletion"]
    assert at(found, "status", "terminatingReplicas") == 2
    for each in await items(sim, "replicaset"):
        assert at(each, "metadata", "deletionTimestamp") == moment
    sim.settle()
    assert await items(sim, "deployment") == []


@pytest.mark.asyncio
async def test_what_cannot_be_created_is_a_condition_of_both() -> None:
    """Spec 2.12, 3.7: ReplicaFailure of the ReplicaSet, and of its Deployment."""
    sim = SimCluster(nodes=1)
    make(sim, manifest(image=" app:1"))
    (held,) = sim.cluster.desired.replicasets.values()
    (found,) = await items(sim, "replicaset")
    assert at(found, "status", "conditions") == [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": times.rfc3339_seconds(held.failed_at),
            "reason": "FailedCreate",
            "message": held.failure_message,
        }
    ]
    (owner,) = await items(sim, "deployment")
    conditions = at(owner, "status", "conditions")
    assert isinstance(conditions, list)
    shown = {each["type"]: each for each in conditions}["ReplicaFailure"]
    assert (shown["reason"], shown["message"]) == ("FailedCreate", held.failure_message)

    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.settle()
    assert all("conditions" not in str(each.get("status")) for each in
               await items(sim, "replicaset"))  # fmt: skip


@pytest.mark.asyncio
async def test_labels_of_pods_are_counted() -> None:
    """Spec 3.7: fullyLabeledReplicas, of pods whose template gained a label."""
    sim = SimCluster(nodes=1)
    make(sim, replicaset_manifest())
    (found,) = await items(sim, "replicaset")
    assert at(found, "status", "fullyLabeledReplicas") == 2
    pods = template(labels={"app": "web", "tier": "front"})
    give(sim, "apply", replicaset_manifest(pods=pods))
    relabel(sim, "pod", members(sim)[0].name, {"tier": "front"})

    (found,) = await items(sim, "replicaset")
    assert at(found, "status", "fullyLabeledReplicas") == 1
    assert at(found, "status", "replicas") == 2


@pytest.mark.asyncio
async def test_a_pod_by_itself_shows_its_own_specification() -> None:
    """Given an applied pod, its labels, annotations and image are its own, and it has
    no owner."""
    sim = SimCluster(nodes=1)
    give(sim, "apply", pod_manifest(labels={"app": "solo"}))
    raw = pod_manifest(labels={"app": "solo", "tier": "front"})
    raw["spec"]["containers"][0]["image"] = "app:2"
    give(sim, "apply", raw)
    (found,) = await items(sim, "pod")

    assert at(found, "metadata", "labels") == {"app": "solo", "tier": "front"}
    assert at(found, "spec", "containers", 0, "image") == "app:2"
    assert "ownerReferences" not in str(found["metadata"])
