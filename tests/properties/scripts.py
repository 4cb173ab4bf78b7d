"""Short stories with every checker looking on: what mutants are shown first.

Each script is deterministic and ends at rest, so that safety and liveness are checked;
the few numbers that it asserts by itself are vectors of the spec.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from domain import pod, protocol
from tests.properties import checkers
from tests.support.cluster import SimCluster, manifest, rolling
from tests.support.simulated_node import SimNode
from workers.decisions import Target
from workers.intake import ReportInput
from workers.state import Settings

Script = Callable[[], SimCluster]
_encode = msgspec.json.Encoder().encode


def cluster(nodes: int = 3, cpu: str = "4") -> SimCluster:
    """A cluster with new checkers, in which `app:bad` never gets ready."""
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
    sim = SimCluster(
        nodes,
        allocatable=allocatable,
        settings=Settings(events_per_step=100),
        watchers=checkers.suite(),
    )
    sim.broken.add("app:bad")
    return sim


def create(sim: SimCluster, replicas: int, name: str = "web", **spec: Any) -> None:
    """A Deployment of `app:1` that is complete."""
    body = {"manifest": manifest(name, replicas=replicas, **spec)}
    sim.ask("deployment", name, "create", body)
    sim.settle()


def set_image(sim: SimCluster, image: str, name: str = "web") -> None:
    """Another image; nothing is awaited."""
    sim.ask("deployment", name, "set-image", {"images": {"main": image}})


def scale(sim: SimCluster, replicas: int, name: str = "web") -> None:
    """Another size; nothing is awaited."""
    sim.ask("deployment", name, "scale", {"replicas": replicas})


def bad_image_and_undo() -> SimCluster:
    """Spec 2.8: a bad image stops at the limits, and undo repairs it."""
    sim = cluster()
    create(sim, 10)
    set_image(sim, "app:2")
    sim.settle()
    set_image(sim, "app:bad")
    sim.run_for(5.0)
    assert sim.sizes("web") == {"app:1": 0, "app:2": 8, "app:bad": 5}, "spec 2.8"
    sim.ask("deployment", "web", "undo")
    sim.run_for(5.0)
    sim.ask("deployment", "web", "undo", {"toRevision": 1})
    checkers.rest(sim)
    assert sim.sizes("web")["app:1"] == 10, "undo restores the template"
    return sim


def rollover() -> SimCluster:
    """Spec 2.8: a third template while the second does not get ready."""
    sim = cluster()
    create(sim, 10)
    set_image(sim, "app:bad")
    sim.run_for(5.0)
    set_image(sim, "app:3")
    assert sim.sizes("web") == {"app:1": 8, "app:bad": 0, "app:3": 5}, "spec 2.8"
    while sim.progress(1):
        sim.run_for(0.5, progress=False)
    checkers.rest(sim)
    return sim


def one_pod_at_a_time() -> SimCluster:
    """A rollout under percentages that do not divide, pod by pod."""
    sim = cluster()
    create(sim, 3)
    create(sim, 7, "api", strategy=rolling("10%", "20%"))
    for name in ("web", "api"):
        set_image(sim, "app:2", name)
        for _ in range(40):
            sim.progress(1)
            sim.run_for(0.2, progress=False)
    checkers.rest(sim)
    return sim


def proportional() -> SimCluster:
    """Spec 2.9: resized in the middle of a rollout, up and down."""
    sim = cluster(4)
    create(sim, 10, strategy=rolling(3, 2))
    set_image(sim, "app:bad")
    sim.run_for(5.0)
    scale(sim, 30)
    assert sim.sizes("web") == {"app:1": 20, "app:bad": 13}, "spec 2.9: 8, 5 → 20, 13"
    sim.run_for(5.0)
    scale(sim, 7)
    sim.run_for(2.0)
    scale(sim, 0)
    sim.settle()
    assert sum(sim.sizes("web").values()) == 0, "spec 2.9: all are 0"
    scale(sim, 4)
    checkers.rest(sim)
    return sim


def three_sizes() -> SimCluster:
    """Spec 2.9: what rounding leaves over goes to the largest, or the newest."""
    sim = cluster()
    create(sim, 3, strategy=rolling(0, 2))
    set_image(sim, "app:2")
    sim.pump()
    for _ in range(2):  # one pod of the first revision goes, one of the next gets ready
        sim.progress(1)
        sim.run_for(0.3, progress=False)
    set_image(sim, "app:3")
    sim.run_for(0.3, progress=False)
    scale(sim, 4)
    sim.run_for(0.3, progress=False)
    scale(sim, 5)
    checkers.rest(sim)
    return sim


def history() -> SimCluster:
    """Revisions come and go, and come again with new numbers."""
    sim = cluster()
    create(sim, 2, revisionHistoryLimit=2)
    for image in ("app:2", "app:3", "app:4", "app:1"):
        set_image(sim, image)
        sim.settle()
    sim.ask("deployment", "web", "undo")
    sim.settle()
    sim.ask("deployment", "web", "restart")
    sim.settle()
    sim.ask("deployment", "web", "undo", {"toRevision": 1})
    checkers.rest(sim)
    rolled = sim.cluster.rollouts.by_key["deployment/default/web"].revisions
    assert [each.revision for each in rolled] == [1, 2, 3, 4, 5, 6, 7, 8], (
        "every change of the template is a new revision"
    )
    assert sim.sizes("web")["app:1"] == 2, "the first template runs again"
    return sim


def recreate() -> SimCluster:
    """Recreate waits for the last old pod, also where it is slow to end."""
    sim = cluster()
    create(sim, 3, strategy={"type": "Recreate"})
    set_image(sim, "app:2")
    for _ in range(6):
        sim.run_for(0.5, progress=False)
        sim.progress(1)
    sim.settle()
    set_image(sim, "app:bad")
    sim.run_for(3.0)
    scale(sim, 5)
    set_image(sim, "app:3")
    checkers.rest(sim)
    return sim


def paused() -> SimCluster:
    """Changes are kept while paused and rolled out as one; sizes follow at once."""
    sim = cluster()
    create(sim, 4)
    sim.ask("deployment", "web", "pause")
    for image in ("app:2", "app:3"):
        set_image(sim, image)
        sim.run_for(1.0)
    scale(sim, 6)
    sim.run_for(700.0)
    assert sim.sizes("web") == {"app:1": 6}, "spec 2.11"
    sim.ask("deployment", "web", "resume")
    create(sim, 4, "api", revisionHistoryLimit=0)
    set_image(sim, "app:bad", "api")
    sim.run_for(5.0)
    sim.ask("deployment", "api", "pause")
    scale(sim, 8, "api")
    checkers.rest(sim)
    return sim


def slow_availability() -> SimCluster:
    """A pod counts when it was ready for minReadySeconds, and not before (4.2)."""
    sim = cluster()
    create(sim, 4, minReadySeconds=10)
    set_image(sim, "app:2")
    sim.run_for(5.0)
    assert sim.sizes("web")["app:1"] == 3, "new pods are ready and not available yet"
    for node in sim.nodes.values():
        for uid in [*node.pods]:
            node.say(sim.now, uid, "unready")  # its time starts anew
    sim.run_for(1.0, progress=False)
    sim.run_for(15.0)
    sim.settle()
    set_image(sim, "app:3")
    sim.run_for(5.0)
    body = {"manifest": manifest("web", "app:3", 4, minReadySeconds=0)}
    sim.ask("deployment", "web", "apply", body)
    sim.run_for(1.0)
    checkers.rest(sim)
    return sim


def pods_fail() -> SimCluster:
    """Failed pods are replaced and stay; ended ones do not come back."""
    sim = cluster()
    create(sim, 4)
    node = next(each for each in sim.nodes.values() if each.pods)
    uid = next(iter(node.pods))
    node.say(sim.now, uid, "failed")
    sim.settle()
    for data in [*node.sent]:
        sim.step(ReportInput(node=node.name, data=data))
    sim.crash_control()
    node.boot(sim.now)
    sim.settle()
    for data in [*node.sent]:
        sim.step(ReportInput(node=node.name, data=data))
    victim = next(iter(sim.cluster.actual.pods.values()))
    sim.ask("pod", victim.name, "delete")
    checkers.rest(sim)
    return sim


def liar() -> SimCluster:
    """A node speaks of pods that are not its own, and of pods that are gone."""
    sim = cluster()
    create(sim, 6)
    bound = {held.node: held for held in sim.cluster.actual.pods.values()}
    first, second = sorted(bound)[:2]
    removed = bound[first]
    for held in (bound[second], removed):
        said = protocol.PodStatus(
            namespace="default", name=held.name, uid=held.uid, phase="Failed"
        )
        sim.step(ReportInput(node=first, data=_report(sim.nodes[first], said)))
    sim.ask("pod", removed.name, "delete")
    sim.settle()
    said = protocol.PodStatus(
        namespace="default", name=removed.name, uid=removed.uid, phase="Running"
    )
    sim.step(ReportInput(node=first, data=_report(sim.nodes[first], said)))
    checkers.rest(sim)
    return sim


def _report(node: SimNode, *pods: protocol.PodStatus) -> bytes:
    """A report of the node's present life, far ahead in its sequence."""
    node.agent._reporter.sequence += 1
    return _encode(
        protocol.Report(
            incarnation=node.agent.incarnation, sequence=node.agent.sequence, pods=pods
        )
    )


def node_dies() -> SimCluster:
    """Spec 4.6: not ready at once, replaced after 300 s, stopped on return."""
    sim = cluster(4)
    create(sim, 8)
    sim.nodes["worker-2"].cut(sim.now)
    sim.run_for(120.0)
    assert not sim.of(pod.PodTerminationRequested), "nothing is replaced yet"
    sim.run_for(400.0)
    assert sim.of(pod.PodTerminationRequested), "its pods are replaced"
    sim.nodes["worker-2"].connect(sim.now)
    sim.settle()
    sim.nodes["worker-3"].die()
    sim.run_for(30.0)
    sim.nodes["worker-3"].boot(sim.now)
    checkers.rest(sim)
    return sim


def nobody_is_heard() -> SimCluster:
    """Spec 4.6: where no node is heard the fault is ours, and nothing is given up."""
    sim = cluster(2)
    create(sim, 4)
    for node in sim.nodes.values():
        node.cut(sim.now)
    sim.run_for(1_000.0)
    assert not sim.of(pod.PodTerminationRequested), "the fault is ours"
    checkers.rest(sim)
    return sim


def full_nodes() -> SimCluster:
    """Pods wait where there is no room, and get it when there is (S15)."""
    sim = cluster(2, cpu="500m")
    create(sim, 14)
    waiting = len(sim.cluster.actual.waiting)
    assert waiting == 4, "two nodes have room for five pods each"
    sim.ask("node", "worker-1", "cordon")
    sim.crash_control()
    scale(sim, 12)
    sim.settle()
    set_image(sim, "app:2")
    sim.run_for(20.0)
    checkers.rest(sim)
    return sim


def namespaces_go() -> SimCluster:
    """Namespaces with all sorts of things in them are made, and go with all of it,
    while control crashes; what is elsewhere stays."""
    sim = cluster()
    create(sim, 2)
    for name in ("x", "y"):
        for index in range(3):
            _put(sim, "create", f"c{index}", name)
        sim.ask(
            "deployment", "web", "create", {"manifest": manifest("web")}, namespace=name
        )
    _put(sim, "replace", "c1", "x", color="red")
    _put(sim, "apply", "c2", "x", color="blue")
    sim.ask("configmap", "c0", "delete", namespace="x")
    _put(sim, "create", "c0", "x")
    sim.settle()
    sim.ask("namespace", "x", "delete", namespace="")
    sim.crash_control()
    sim.run_for(2.0)
    sim.crash_control()
    checkers.rest(sim)
    assert "namespace/x" not in sim.cluster.plain.objects
    assert "namespace/y" in sim.cluster.plain.objects
    assert len(sim.cluster.desired.deployments) == 2, "only those of x went"
    _put(sim, "create", "c0", "x")
    checkers.rest(sim)
    return sim


def _put(sim: SimCluster, verb: str, name: str, namespace: str, **data: str) -> None:
    raw = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": data,
    }
    sim.ask("configmap", name, verb, {"manifest": raw}, namespace=namespace)


def asked_twice() -> SimCluster:
    """The same command again, at once, after its commit and after a restart (S3)."""
    sim = cluster()
    create(sim, 2)
    target = Target(namespace="default", kind="deployment", name="web", verb="restart")
    item = sim.command_input(target, {}, id_="again")
    sim.step(item, item)
    sim.settle()
    sim.step(sim.redelivered(target, item.data, "again"))
    sim.crash_control()
    sim.run_for(2.0)
    sim.step(sim.redelivered(target, item.data, "again"))
    sim.step(sim.command_input(target, {"no": 1}, id_="again"))
    checkers.rest(sim)
    assert sim.kinds().count("DeploymentTemplateChanged") == 1, "one effect (S3)"
    return sim


def deleted_and_adopted() -> SimCluster:
    """Deleted with its pods, and without, to be taken over by the next one."""
    sim = cluster()
    create(sim, 3)
    create(sim, 2, "api")
    sim.ask("deployment", "api", "delete")
    sim.settle()
    uids = {held.uid for held in sim.cluster.actual.pods.values()}
    sim.ask("deployment", "web", "delete", {"propagation": "orphan"})
    sim.settle()
    create(sim, 3)
    checkers.rest(sim)
    assert uids == {held.uid for held in sim.cluster.actual.pods.values()}, (
        "the same pods run on (spec 2.16)"
    )
    return sim


def bad_wires() -> SimCluster:
    """A rollout over wires that drop, repeat, delay and reorder, with crashes."""
    sim = cluster()
    create(sim, 6)
    for seed in range(4):
        set_image(sim, f"app:{seed + 2}")
        sim.faults = Random(seed)
        for turn in range(12):
            if turn == 4:
                sim.crash_next = "before commit"
            if turn == 8:
                sim.crash_next = "before saying"
            sim.round(sim.now + 3.0)
        sim.calm()
    checkers.rest(sim)
    return sim


SCRIPTS: Final[tuple[Script, ...]] = (
    bad_image_and_undo,
    rollover,
    one_pod_at_a_time,
    proportional,
    three_sizes,
    history,
    recreate,
    paused,
    slow_availability,
    pods_fail,
    liar,
    node_dies,
    nobody_is_heard,
    full_nodes,
    namespaces_go,
    asked_twice,
    deleted_and_adopted,
    bad_wires,
)
