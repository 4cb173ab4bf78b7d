"""What the simulator has found, each as the shortest story that shows it."""

import asyncio
from typing import Any, Final

import msgspec
import pytest

from adapters.memory_log import MemoryLog
from adapters.nats_publisher import EventPublisher
from domain import deployment, pod, replicaset
from domain.errors import Permanent
from kubelet.hollow_runtime import HollowPods, HollowSettings
from kubelet.runtime import ContainerExited, ContainerStarted, Sandbox
from tests.properties import scripts_listeners, subscriber_checkers
from tests.simulation import simulate, workload
from tests.simulation.actions import Action
from tests.simulation.disk import DiskLog, DiskStore
from tests.support import simulated_broker
from tests.support.cluster import SimCluster, manifest
from tests.workers import test_autoscaling, watched
from workers.control import Control, ControlSettings
from workers.decisions import Target
from workers.intake import CommandInput, Founding, SyncInput
from workers.outbox import Step
from workers.state import State
from workers.step import step as take_step

SETTINGS: Final = ControlSettings(nats_url="", user="", secret="", store_url="")


def create(sim: SimCluster, **spec: Any) -> None:
    """A Deployment of three pods, at rest."""
    sim.ask("deployment", "web", "create", {"manifest": manifest("web", **spec)})
    sim.settle()


def test_a_node_that_was_deleted_begins_a_new_incarnation() -> None:
    """S8: reports of before the deletion are not taken for new ones, and those of
    after it are accepted by the store (spec 4.5; B8)."""
    sim = SimCluster(2)
    create(sim)
    former = sim.nodes["worker-1"].agent.incarnation

    sim.ask("node", "worker-1", "delete")
    sim.nodes["worker-1"].boot(sim.now)
    sim.settle()

    assert sim.nodes["worker-1"].agent.incarnation > former
    assert sim.cluster.actual.nodes["worker-1"].ready


def test_a_rollout_does_not_stall_in_the_step_that_begins_it() -> None:
    """L3: the deadline of a new template begins with it (spec 2.12; B9)."""
    sim = SimCluster(3)
    sim.broken.add("app:bad")
    create(sim, progressDeadlineSeconds=60)
    for image in ("app:bad", "app:worse"):
        sim.broken.add(image)
        begun = len(sim.events)
        images = {"images": {"main": image}}
        target = Target(
            namespace="default", kind="deployment", name="web", verb="set-image"
        )
        sim.jump(70.0)
        sim.step(sim.command_input(target, images))
        stalled = sim.of(deployment.RolloutStalled, begun)

        assert not stalled, "it has not had its sixty seconds"


@pytest.mark.timeout(20)
def test_hollow_kill_while_starting_ends() -> None:
    """A container that is killed while it starts has started and then ended (B10)."""
    pods = HollowPods("worker-1", HollowSettings(start_delay=(2.0, 2.0)))
    sim = SimCluster(1)
    create(sim)
    held = next(iter(sim.cluster.actual.pods.values()))
    spec = sim.cluster.desired.templates[held.template].template.spec
    pods.start_sandbox(
        0.0, Sandbox(uid="u", namespace="default", name="p", node="n", spec=spec)
    )
    pods.start_container(0.0, "u", "main", 0)

    pods.kill_container(1.0, "u", "main")
    seen = [*pods.observe(1.0), *pods.observe(10.0)]

    assert sum(isinstance(fact, ContainerExited) for fact in seen) == 1


def test_lost_announcement_is_noticed() -> None:
    """L1: what a crash has kept from being said is said in the end, also where the
    announcement of the next start is lost (B11)."""
    sim = SimCluster(3)
    target = Target(namespace="default", kind="deployment", name="web", verb="create")
    sim.crash_next = "before saying"

    sim.step(sim.command_input(target, {"manifest": manifest("web")}))
    for node in sim.nodes.values():
        node.down.clear()
    sim.run_for(120.0)

    assert all(held.ready for held in sim.cluster.actual.pods.values())
    assert sum(len(node.pods) for node in sim.nodes.values()) == 3


def test_sync_and_delete_in_one_step() -> None:
    """A node that asks for its list and is deleted in the same step costs no more than
    its next question (B18)."""
    sim = SimCluster(2)
    node = sim.nodes["worker-1"]
    node.connect(sim.now)
    attempt, request = node.syncs.pop()
    target = Target(namespace="default", kind="node", name="worker-1", verb="delete")

    sim.step(
        SyncInput(node="worker-1", data=request, reply=f"worker-1|{attempt}"),
        sim.command_input(target, {}),
    )
    sim.settle()

    assert sim.cluster.actual.nodes["worker-1"].ready, "it has asked again"


def test_a_replaced_control_answers_nobody() -> None:
    """S12: a control that was paused, and replaced meanwhile, gives no node the list
    that it remembers: what was bound since would be ended (B24)."""
    world = scripts_listeners.replaced_control()

    assert world.of(pod.PodTerminationRequested) == []


def founding(uid: str) -> Step:
    """The first step of a log: one event."""
    return take_step(State(), [Founding(uid=uid, version="0")], 1.0)


def test_a_control_that_was_replaced_does_not_join_in_again() -> None:
    """S12: a step that fails makes control load the log again; what another writer has
    appended must end it, and not become its own (B25)."""
    log = MemoryLog()
    paused = Control(SETTINGS, log)
    assert Control(SETTINGS, log)._secure(founding("another"))

    with pytest.raises(Permanent, match="another one has appended"):
        asyncio.run(paused._rebuild())


def test_another_writers_rows_are_not_taken_for_ones_own() -> None:
    """S12: after an append in doubt it is not enough that the log is as long as it
    should be: another writer may have come as far (B26)."""
    disk = DiskStore()
    paused = Control(SETTINGS, DiskLog(disk))
    disk.writer = None
    assert Control(SETTINGS, DiskLog(disk))._secure(founding("another"))
    disk.doubt = "not written"

    with pytest.raises(Permanent, match="after a broken connection"):
        paused._secure(founding("mine"))


def test_the_relay_waits_where_it_gets_no_further() -> None:
    """L6: a stream that was purged refuses, as duplicates, what it has no more; it is
    asked again now and then, and not without a pause (B27)."""
    copies = subscriber_checkers.Copies()
    sim = SimCluster(1, watchers=[copies])
    create(sim)
    sim.harm.append(("stream purged", 0))

    sim.crash_control()
    sim.ask("deployment", "web", "scale", {"replicas": 4})
    sim.settle()
    copies.at_rest(sim)
    sim.close()

    assert copies.broker.messages, "it is filled again"


def test_a_pod_is_available_after_it_was_adopted() -> None:
    """I5: while a ready pod belongs to nobody its alarm rings for nothing; whoever
    adopts it sets the alarm again (spec 3.1; B28)."""
    sim = SimCluster(1)
    body = {"manifest": manifest("web", replicas=1, minReadySeconds=10)}
    sim.ask("deployment", "web", "create", body)
    sim.run_for(5.0)
    held = next(iter(sim.cluster.actual.pods.values()))
    for value, seconds in (("loose", 60.0), ("web", 1.0)):
        changes = {"changes": {"app": value}, "overwrite": True}
        sim.ask("pod", held.name, "label", changes)
        sim.run_for(seconds)

    assert held.key in sim.cluster.actual.pods, "the older one is kept"
    assert sim.cluster.actual.pods[held.key].ready_seconds == 10


def test_of_two_replicasets_of_one_age_one_is_the_new_one() -> None:
    """I11: made in one step, and both with the Deployment's template: which of them is
    the new one must not depend on which was scaled last (spec 2.3; B29)."""
    sim = SimCluster(3)
    wish: Any = manifest("web")
    inputs = []
    for name in ("b", "a"):
        raw = wish | {"kind": "ReplicaSet", "spec": {**wish["spec"], "replicas": 1}}
        raw["metadata"] = {"name": name, "labels": {"app": "web"}}
        at = Target(namespace="default", kind="replicaset", name=name, verb="create")
        inputs.append(sim.command_input(at, {"manifest": raw}))
    sim.step(*inputs)

    create(sim)

    held = sim.cluster.desired.replicasets.values()
    sizes = {each.name: each.replicas for each in held}
    assert sizes == {"a": 3, "b": 0}, "the name decides"
    assert len(sim.of(replicaset.ReplicaSetScaled)) == 2


def test_a_killed_kubelet_takes_no_sandbox_from_the_next_one() -> None:
    """L1: a kubelet evicted a pod, and was killed before control had read it; the next
    one was told to run the pod, and the sandbox went under it: its containers were
    tried again for ever, and the cluster was never at rest (seed 117066815, B38)."""
    pods = HollowPods("worker-1", HollowSettings())
    sim = SimCluster(1)
    create(sim)
    held = next(iter(sim.cluster.actual.pods.values()))
    spec = sim.cluster.desired.templates[held.template].template.spec
    sandbox = Sandbox(uid="u", namespace="default", name="p", node="n", spec=spec)
    pods.start_sandbox(0.0, sandbox)
    pods.observe(0.0)

    pods.remove_sandbox(1.0, "u")
    pods.start_sandbox(1.0, sandbox)
    pods.observe(1.0)
    pods.start_container(1.0, "u", "main", 0)

    started, *others = pods.observe(1.0)
    assert isinstance(started, ContainerStarted)
    assert not others
    assert [each.uid for each in pods.list()] == ["u"]


@pytest.mark.asyncio
async def test_two_relays_that_count_from_different_places_do_not_mix() -> None:
    """L6: EVENTS was purged while a replaced control's relay still ran. The new relay
    began with the log, the old one went on where it was: its event took the sequence
    of one of the new relay's that was refused, and the one behind that was stored, so
    that the stream went from position 29 to 2 (seed 117067080, B39)."""
    now = [0.0]
    broker = simulated_broker.Broker(lambda: now[0])
    former, new = (EventPublisher(simulated_broker.connect(broker)) for _ in range(2))
    events = [("rollbook.event.x", position, b"{}") for position in range(1, 32)]
    await former.start()
    await former.publish(events[:28])
    broker.harm("stream purged", 0)
    now[0] += simulated_broker.WINDOW
    assert await new.start() is None, "nobody can tell where it ended"

    await former.publish(events[28:29])
    reached = await new.publish(events[:5])

    assert reached == 29, "it goes on behind what is there"
    await new.publish(events[29:])
    assert [each.position for each in broker.messages or ()] == [29, 30, 31]


@pytest.mark.asyncio
async def test_a_stream_that_was_made_anew_is_not_taken_for_the_former_one() -> None:
    """L6: as before, where the other relay has filled a new stream up to the very
    sequence with which the former one ended, with other events (B39)."""
    broker = simulated_broker.Broker(lambda: 0.0)
    former, new = (EventPublisher(simulated_broker.connect(broker)) for _ in range(2))
    events = [("rollbook.event.x", position, b"{}") for position in range(1, 32)]
    await former.start()
    await former.publish(events[9:12])
    broker.harm("stream deleted", 0)
    await new.start()
    await new.publish(events[:3])

    assert await former.publish(events[12:13]) == 3, "behind which it goes on"
    assert await former.publish(events[3:5]) == 5, "what it names then is there"
    assert [each.position for each in broker.messages or ()] == [1, 2, 3, 4, 5]


def test_a_resizing_that_does_not_go_the_whole_way_is_followed_by_another() -> None:
    """S9: two ReplicaSets that a user has made by hand are larger than a paused
    Deployment allows. The first resizing takes what the largest one has, the second
    takes the rest from the other; the checker took both for one (seed 1497861034)."""
    spec = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}}}
    wish = {
        "name": "api",
        "image": "app:bad",
        "size": 0,
        "verb": "create",
        "spec": spec,
    }
    by_hand = {"pick": 893, "name": "api", "kind": "replicaset", "image": "app:3"}
    plan = msgspec.structs.replace(
        workload.plan(1497861034, 3),
        actions=(
            Action("image", 0.0, {"name": "app:bad", "broken": True}),
            Action("declare", 0.0, wish),
            Action("rollout", 0.3, {"name": "api", "verb": "pause"}),
            Action("scale", 0.0, {"name": "api", "size": 1}),
            Action("make", 30.0, by_hand | {"size": 4, "owners": "own", "twin": True}),
        ),
    )

    found = simulate.run(plan)

    assert not found.failure
    assert found.reached["S9 Proportion"] > 1


def test_a_pod_of_a_name_that_has_just_become_free() -> None:
    """S1, S8: deleted by force and made again before the first is on disk, the pod's
    stream goes on where it was, whatever the store said when the command came (B41);
    and its node ends the former one only (B42)."""
    sim = SimCluster(1)
    create(sim)
    name = next(iter(sim.cluster.actual.pods.values())).name
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
    raw["spec"] = {"containers": [{"name": "main", "image": "app:1"}]}

    def asked(verb: str, body: object) -> CommandInput:
        at = Target(namespace="default", kind="pod", name=name, verb=verb)
        return sim.command_input(at, body)

    sim.step(asked("delete", {"grace": 0}), asked("create", {"manifest": raw}))
    sim.settle()

    held = sim.cluster.actual.pods[f"pod/default/{name}"]
    assert held.owner == ""
    assert held.ready


def test_a_rollout_goes_on_when_its_template_comes_back() -> None:
    """Two changes of the template, there and back, before a revision begins: no new one
    does, and the rollout that was under way goes on where it was (spec 2.3; B43)."""
    sim = SimCluster(3)
    wish: Any = manifest("web", "app:1", 4)
    wish["metadata"]["annotations"] = {"rollbook/steps": "50%, pause"}
    sim.ask("deployment", "web", "create", {"manifest": wish})
    sim.settle()
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.settle()
    before = sim.cluster.desired.deployments["deployment/default/web"].run
    assert (before.revision, before.step) == (2, 2)

    sim.ask("deployment", "web", "pause")
    for image in ("app:3", "app:2"):
        sim.ask("deployment", "web", "set-image", {"images": {"main": image}})
    sim.crash_control()
    sim.ask("deployment", "web", "resume")
    sim.settle()
    answer = sim.ask("deployment", "web", "promote")
    sim.settle()

    assert answer.result == "accepted", answer.message
    owner = sim.cluster.desired.deployments["deployment/default/web"]
    assert (owner.run.revision, owner.run.done) == (2, True)
    assert sim.sizes("web") == {"app:1": 0, "app:2": 4}


def test_a_finished_rollout_stays_finished() -> None:
    """There and back in one step, while nothing is rolled out: nothing is under way
    that could be aborted (B43)."""
    sim = SimCluster(3)
    create(sim)
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.settle()

    def asked(image: str) -> CommandInput:
        at = Target(
            namespace="default", kind="deployment", name="web", verb="set-image"
        )
        return sim.command_input(at, {"images": {"main": image}})

    sim.step(asked("app:3"), asked("app:2"))
    sim.settle()

    answer = sim.ask("deployment", "web", "abort")
    assert answer.result == "rejected"
    assert sim.sizes("web") == {"app:1": 0, "app:2": 3}


def test_a_restart_is_no_news_of_an_autoscaler() -> None:
    """Metrics are not in the log: until they are said again, nobody is told that they
    are missing (B44)."""
    sim = test_autoscaling.started()
    test_autoscaling.under_load(sim, 80, 60.0)
    before = len(sim.events)

    sim.crash_control()
    sim.run_for(16.0)
    test_autoscaling.under_load(sim, 80, 60.0)
    assert "AutoscalerConditionsChanged" not in sim.kinds(before)

    sim.crash_control()
    sim.run_for(90.0)
    assert sim.kinds(before).count("AutoscalerConditionsChanged") == 1, (
        "after a minute it is"
    )


def test_a_rollout_goes_on_when_its_rollback_is_declined() -> None:
    """There is nothing to go back to: that is said, and the rollout is carried on in
    the same step (B46)."""
    sim = SimCluster(3)
    sim.broken.add("app:1")
    wish: Any = manifest("web", "app:1", 2, progressDeadlineSeconds=60)
    sim.ask("deployment", "web", "create", {"manifest": wish})
    sim.settle()
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.run_for(1.0, progress=False)
    (new,) = [held for held in sim.cluster.actual.pods.values() if held.node and
              sim.cluster.desired.replicasets[held.owner].revision == 2]  # fmt: skip
    sim.ask("deployment", "web", "pause")
    watched.crash(sim, new, 1)
    sim.nodes[new.node].boot(sim.now)  # the report was the test's, not its own
    sim.settle()
    changes = {"rollbook/auto-rollback": "crashes=0"}
    sim.ask("deployment", "web", "annotate", {"changes": changes})
    sim.settle()

    sim.ask("deployment", "web", "resume")
    assert len(sim.of(deployment.DeploymentRollbackDeclined)) == 1
    sim.settle()

    assert sim.sizes("web") == {"app:1": 0, "app:2": 2}
