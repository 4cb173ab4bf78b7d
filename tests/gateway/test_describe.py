"""The texts of `describe`, whole, as kubectl lays them out (spec 6.12).

A `·` marks where a line ends with a blank.
"""

import msgspec
import pytest

from domain import protocol
from gateway.service import Service
from gateway.views import described
from tests.gateway.support import Written, ask, report, scene_of
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import make, replicaset_manifest
from tests.workers.scenes import template as pod_template

CONTAINER = {
    "name": "nginx",
    "image": "nginx:1.10",
    "command": ["serve", "--now"],
    "ports": [{"containerPort": 80}],
    "resources": {"limits": {"cpu": "200m", "memory": "512Mi"}},
    "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
    "env": [
        {"name": "A", "value": "1"},
        {
            "name": "B",
            "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
        },
    ],
    "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": True}],
}

DEPLOYMENT = """\
Name:                   web
Namespace:              default
CreationTimestamp:      Tue, 14 Nov 2023 22:14:05 +0000
Labels:                 app=web
                        tier=front
Annotations:            deployment.kubernetes.io/revision: 1
                        note: short
Selector:               app=web
Replicas:               2 desired | 2 updated | 2 total | 2 available | 0 unavailable
StrategyType:           RollingUpdate
MinReadySeconds:        0
RollingUpdateStrategy:  25% max unavailable, 25% max surge
Pod Template:
  Labels:       app=web
  Annotations:  reason: because
  Containers:
   nginx:
    Image:      nginx:1.10
    Port:       80/TCP
    Host Port:  0/TCP
    Command:
      serve
      --now
    Limits:
      cpu:      200m
      memory:   512Mi
    Readiness:  http-get http://:8080/healthz delay=0s timeout=1s period=10s \
#success=1 #failure=3
    Environment:
      A:  1
      B:  <set to the key 'k' in secret 's'>  Optional: false
    Mounts:
      /data from data (ro)
  Volumes:
   data:
    Type:          EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:        ·
    SizeLimit:     <unset>
  Node-Selectors:  <none>
  Tolerations:     gpu=yes:NoSchedule
Conditions:
  Type           Status  Reason
  ----           ------  ------
  Available      True    MinimumReplicasAvailable
  Progressing    True    NewReplicaSetAvailable
OldReplicaSets:  <none>
NewReplicaSet:   {rs} (2/2 replicas created)
Events:
  Type    Reason             Age   From                   Message
  ----    ------             ----  ----                   -------
  Normal  ScalingReplicaSet  90s   deployment-controller  Scaled up replica set {rs} \
from 0 to 2
"""

POD = """\
Name:         {pod}
Namespace:    default
Priority:     0
Node:         worker-1/
Start Time:   Tue, 14 Nov 2023 22:13:20 +0000
Labels:       app=web
              pod-template-hash={hash}
Annotations:  <none>
Status:       Running
IP:           127.0.0.9
IPs:
  IP:           127.0.0.9
Controlled By:  ReplicaSet/web-{hash}
Containers:
  main:
    Container ID:   process://7
    Image:          app:1
    Image ID:       ·
    Port:           <none>
    Host Port:      <none>
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       Error
      Exit Code:    1
      Started:      Tue, 14 Nov 2023 22:13:21 +0000
      Finished:     Tue, 14 Nov 2023 22:13:22 +0000
    Ready:          False
    Restart Count:  2
    Requests:
      cpu:        100m
      memory:     64Mi
    Environment:  <none>
    Mounts:       <none>
Conditions:
  Type                        Status
  PodReadyToStartContainers   True ·
  Initialized                 True ·
  Ready                       False ·
  ContainersReady             False ·
  PodScheduled                True ·
Volumes:                      <none>
QoS Class:                    Burstable
Node-Selectors:               <none>
Tolerations:                  node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
                              node.kubernetes.io/unreachable:NoExecute op=Exists for \
300s
Events:
  Type     Reason     Age   From               Message
  ----     ------     ----  ----               -------
  Normal   Scheduled  50s   default-scheduler  Successfully assigned default/{pod} to \
worker-1
  Warning  BackOff    5s    kubelet            Back-off restarting failed container main
"""

HISTORY = """\
Pod Template:
  Labels:\tapp=web
\tpod-template-hash={hash}
  Annotations:\tkubernetes.io/change-cause: image 1.27
  Containers:
   nginx:
    Image:\tnginx:1.27
    Port:\t80/TCP
    Host Port:\t0/TCP
    Environment:\t<none>
    Mounts:\t<none>
  Volumes:\t<none>
  Node-Selectors:\t<none>
  Tolerations:\t<none>
"""


def detailed() -> SimCluster:
    """A Deployment that sets whatever `describe` has words for."""
    sim = SimCluster(nodes=1)
    asked = manifest(replicas=2)
    asked["metadata"] = {
        "name": "web",
        "labels": {"tier": "front", "app": "web"},
        "annotations": {"note": "short"},
    }
    spec = asked["spec"]
    assert isinstance(spec, dict)
    spec["template"] = {
        "metadata": {"labels": {"app": "web"}, "annotations": {"reason": "because"}},
        "spec": {
            "containers": [CONTAINER],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
        },
    }
    answer = sim.ask("deployment", "web", "create", {"manifest": asked})
    assert answer.result == "accepted", answer.message
    sim.settle()
    return sim


async def service_of(sim: SimCluster, now: float) -> Service:
    """A service that has folded everything."""
    return Service(await Written(sim).folded(), now=lambda: now)


async def text(sim: SimCluster, kind: str, name: str, now: float) -> str:
    """What `describe` answers."""
    question = {"kind": kind, "namespace": "default", "name": name}
    found = await ask(await service_of(sim, now), "describe", question)
    assert "error" not in found, found
    return str(found["text"])


@pytest.mark.asyncio
async def test_the_whole_text_of_a_deployment() -> None:
    """Spec 6.12, character by character."""
    sim = detailed()
    (held,) = sim.cluster.desired.replicasets.values()
    (owner,) = sim.cluster.desired.deployments.values()
    found = await text(sim, "deployment", "web", owner.created_at + 90.5)
    assert found == DEPLOYMENT.format(rs=held.name).replace("·", "")


@pytest.mark.asyncio
async def test_long_annotations_stand_below_their_key() -> None:
    """Spec 6.12: more than 140 characters or several lines; last-applied is hidden."""
    sim = SimCluster(nodes=1)
    asked = manifest(replicas=0)
    long = "x" * 150
    asked["metadata"] = {
        "name": "web",
        "annotations": {"long": long, "lines": "one\ntwo\n"},
    }
    sim.ask("deployment", "web", "apply", {"manifest": asked})
    found = (await text(sim, "deployment", "web", sim.now)).split("\n")
    at = next(n for n, line in enumerate(found) if line.startswith("Annotations:"))
    blank = " " * 24
    assert found[at : at + 6] == [
        "Annotations:            deployment.kubernetes.io/revision: 1",
        f"{blank}lines:",
        f"{blank}  one",
        f"{blank}  two",
        f"{blank}long:",
        f"{blank}  {'x' * 138}...",
    ]
    assert not any("last-applied" in line for line in found)


@pytest.mark.asyncio
async def test_a_replicaset_counts_its_pods_by_phase() -> None:
    """Spec 6.12: sections of `describe rs`."""
    sim = SimCluster(nodes=1, allocatable={"cpu": "200m", "memory": "1Gi", "pods": "9"})
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=3)})
    sim.settle()
    (held,) = sim.cluster.desired.replicasets.values()
    found = (await text(sim, "replicaset", held.name, sim.now)).split("\n")
    assert f"Selector:       app=web,pod-template-hash={held.name[4:]}" in found
    assert "Controlled By:  Deployment/web" in found
    assert "Replicas:       3 current / 3 desired" in found
    assert "Pods Status:    2 Running / 1 Waiting / 0 Succeeded / 0 Failed" in found
    assert sum("SuccessfulCreate" in line for line in found) == 3


@pytest.mark.asyncio
async def test_a_replicaset_that_cannot_make_pods_says_so() -> None:
    """Spec 3.7, 6.12: the condition and the event are both there."""
    sim = SimCluster(nodes=1)
    make(sim, replicaset_manifest(pods=pod_template(image=" app:1")))
    found = (await text(sim, "replicaset", "rs", sim.now)).split("\n")
    at = found.index("Conditions:")
    assert found[at + 1].split() == ["Type", "Status", "Reason"]
    assert found[at + 3].split() == ["ReplicaFailure", "True", "FailedCreate"]
    assert any("Error creating: Pod" in line for line in found)


@pytest.mark.asyncio
async def test_a_pod_with_its_container_and_its_events() -> None:
    """The sections of `describe pod`, for a container that crashes."""
    sim = SimCluster(nodes=1)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=1)})
    sim.settle()
    (held,) = sim.cluster.actual.pods.values()
    message = "Back-off restarting failed container main"
    report(
        sim,
        "worker-1",
        protocol.PodStatus(
            namespace="default",
            name=held.name,
            uid=held.uid,
            phase="Running",
            ip="127.0.0.9",
            started_at=1_700_000_000.0,
            containers=(
                protocol.ContainerStatus(
                    name="main",
                    reason="CrashLoopBackOff",
                    restarts=2,
                    container_id="process://7",
                    last=protocol.Termination(
                        exit_code=1,
                        reason="Error",
                        started_at=1_700_000_001.0,
                        finished_at=1_700_000_002.0,
                    ),
                ),
            ),
            notes=(protocol.Note(reason="BackOff", message=message, warning=True),),
        ),
    )
    found = await text(sim, "pod", held.name, sim.now + 5)
    rs = held.owner.rpartition("/")[2]
    wanted = POD.format(pod=held.name, hash=rs[4:])
    assert found == wanted.replace("·", "")


@pytest.mark.asyncio
async def test_a_node_adds_up_what_its_pods_take() -> None:
    """`describe node`: pods that have not ended, with their share of the room."""
    sim = detailed()
    (first, second) = sorted(held.name for held in sim.cluster.actual.pods.values())
    found = (await text(sim, "node", "worker-1", sim.now)).split("\n")
    assert "Unschedulable:      false" in found
    assert "Non-terminated Pods:          (2 in total)" in found
    pods = [line.split()[:2] for line in found if line.startswith("  default ")]
    assert pods == [["default", first], ["default", second]]
    totals = [
        line.split() for line in found if line.startswith(("  cpu ", "  memory "))
    ]
    assert totals == [
        ["cpu", "400m", "(10%)", "400m", "(10%)"],
        ["memory", "1Gi", "(12%)", "1Gi", "(12%)"],
    ]


@pytest.mark.asyncio
async def test_an_object_without_events_says_so() -> None:
    """Spec 6.12: `Events:` and `<none>`; events of an earlier object are not its."""
    sim = SimCluster(nodes=1)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=2)})
    sim.settle()
    sim.ask("deployment", "web", "delete", {})
    sim.settle()
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=0)})
    found = await text(sim, "deployment", "web", sim.now)
    assert found.rstrip("\n").split("\n")[-1].split() == ["Events:", "<none>"]


@pytest.mark.asyncio
async def test_what_happened_long_ago_is_counted_and_not_shown() -> None:
    """A ReplicaSet of many pods has more lines than anybody reads: the newest stay."""
    room = {"cpu": "64", "memory": "64Gi", "pods": "200"}
    sim = SimCluster(nodes=1, allocatable=room)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=103)})
    (held,) = sim.cluster.desired.replicasets.values()
    found = (await text(sim, "replicaset", held.name, sim.now)).rstrip("\n").split("\n")
    assert "Events:  (3 earlier ones are not shown)" in found
    last = [*sim.cluster.actual.pods.values()][-1]
    assert found[-1].endswith(f"Created pod: {last.name}")
    assert sum("SuccessfulCreate" in line for line in found) == described.EVENTS_MAX


@pytest.mark.asyncio
async def test_the_template_of_a_revision_has_literal_tabs() -> None:
    """Spec 6.4, with the change-cause among the annotations."""
    sim = SimCluster(nodes=1)
    asked = manifest(image="nginx:1.27", replicas=1)
    asked["metadata"] = {
        "name": "web",
        "annotations": {"kubernetes.io/change-cause": "image 1.27"},
    }
    spec = asked["spec"]
    assert isinstance(spec, dict)
    container = {
        "name": "nginx",
        "image": "nginx:1.27",
        "ports": [{"containerPort": 80}],
    }
    spec["template"]["spec"]["containers"] = [container]
    sim.ask("deployment", "web", "create", {"manifest": asked}, cause="image 1.27")
    sim.settle()
    service = await service_of(sim, sim.now)
    found = await ask(service, "history", {"namespace": "default", "name": "web"})
    rows = found["revisions"]
    assert isinstance(rows, list)
    (row,) = rows
    (held,) = sim.cluster.desired.replicasets.values()
    assert row["template"] == HISTORY.format(hash=held.name[4:])
    assert row["cause"] == "image 1.27"
    # The annotation stays on the Deployment, but says nothing of the next revision.
    sim.ask("deployment", "web", "set-image", {"images": {"nginx": "nginx:1.28"}})
    sim.settle()
    service = await service_of(sim, sim.now)
    found = await ask(service, "history", {"namespace": "default", "name": "web"})
    rows = found["revisions"]
    assert isinstance(rows, list)
    assert (
        "image 1.27"
        in msgspec.json.encode(
            [each.annotations for each in sim.cluster.desired.replicasets.values()][1]
        ).decode()
    )
    assert "Annotations" not in rows[1]["template"]
    assert rows[1]["cause"] == "image nginx=nginx:1.27 → nginx:1.28"


@pytest.mark.asyncio
async def test_a_view_of_a_pod_whose_template_is_not_known_has_gaps() -> None:
    """A state with gaps is shown with gaps: the pod is there, its containers not."""
    sim = detailed()
    reader = await Written(sim).folded()
    reader.cluster.desired.templates.clear()
    (first, *_) = reader.cluster.actual.pods.values()
    found = described.of_pod(scene_of(reader, sim.now), first)
    assert f"Name:           {first.name}" in found or first.name in found
    assert "nginx" not in found
