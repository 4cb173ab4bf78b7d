"""What arrives at the step: once or twice, together, wrong, late or never."""

import msgspec
import pytest

from domain import command, deployment, node, pod, protocol
from tests.support.cluster import SimCluster, manifest
from workers.decisions import Target
from workers.intake import ReportInput, SyncInput

encode = msgspec.json.encode


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes and the Deployment `web` with three pods, complete."""
    cluster = SimCluster(3)
    cluster.ask("deployment", "web", "create", {"manifest": manifest()})
    cluster.settle()
    return cluster


def target(verb: str, name: str = "web") -> Target:
    """A command to a Deployment."""
    return Target(namespace="default", kind="deployment", name=name, verb=verb)


def web(sim: SimCluster) -> deployment.Deployment:
    """The Deployment."""
    return sim.cluster.desired.deployments["deployment/default/web"]


def test_a_group_of_commands_is_decided_in_order_in_one_step(sim: SimCluster) -> None:
    """Given three commands at once, each sees what the one before has done."""
    sizes = [({"replicas": n, "currentReplicas": n - 1}) for n in (4, 5, 6)]
    items = [sim.command_input(target("scale"), body) for body in sizes]
    sim.step(*items)

    assert [answer.result for answer in sim.said[-3:]] == ["accepted"] * 3
    assert web(sim).replicas == 6
    assert len(sim.steps[-1].events) > 6


@pytest.mark.parametrize("when", ["same step", "after the commit", "after a restart"])
def test_a_command_has_one_effect_and_one_answer(sim: SimCluster, when: str) -> None:
    """S3: the same id again changes nothing and is answered as the first time."""
    item = sim.command_input(target("restart"), {}, id_="once")
    if when == "same step":
        sim.step(item, item)
    else:
        sim.step(item)
        if when == "after a restart":
            sim.crash_control()
        sim.run_for(5.0)
        sim.step(sim.redelivered(item.target, item.data, "once"))

    mine = [answer for answer in sim.said if answer.id == "once"]
    assert len(mine) == 2
    assert mine[0] == mine[1]
    assert sim.kinds().count("DeploymentTemplateChanged") == 1


@pytest.mark.parametrize("crash", ["before commit", "before saying"])
def test_a_command_survives_a_kill(sim: SimCluster, crash: str) -> None:
    """S2: killed before or after the commit, the retry is accepted exactly once."""
    sim.crash_next = "before commit" if crash == "before commit" else "before saying"
    answer = sim.ask("deployment", "web", "scale", {"replicas": 7})
    sim.settle()

    assert answer.result == "accepted"
    assert len(sim.of(deployment.DeploymentScaled)) == 1
    assert len(sim.cluster.actual.pods) == 7


def test_a_dry_run_leaves_no_trace(sim: SimCluster) -> None:
    """A dry run is answered, and neither the log nor the state has it."""
    position = len(sim.log)
    answer = sim.ask("deployment", "web", "scale", {"replicas": 9}, dry_run=True)

    assert answer.result == "accepted"
    assert len(sim.log) == position
    assert web(sim).replicas == 3


@pytest.mark.parametrize(
    ("verb", "body", "reason"),
    [
        ("scale", {"replicas": -1}, "Invalid"),
        ("scale", {"replicas": "three"}, "BadRequest"),
        ("scale", {"replicas": 1, "currentReplicas": 8}, "Conflict"),
        ("create", {"manifest": manifest()}, "AlreadyExists"),
        ("create", {"manifest": {"kind": "Deployment"}}, "AlreadyExists"),
        ("set-image", {"images": {"main": ""}}, "Invalid"),
        ("undo", {"toRevision": 42}, "NotFound"),
        ("resume", {}, "BadRequest"),
        ("fly", {}, "MethodNotAllowed"),
    ],
)
def test_a_command_that_breaks_a_rule_is_recorded_with_its_answer(
    sim: SimCluster, verb: str, body: object, reason: str
) -> None:
    """It changes nothing, is in the log with Kubernetes' reason, and is counted."""
    position = len(sim.log)
    answer = sim.ask("deployment", "web", verb, body)

    assert (answer.result, answer.reason) == ("rejected", reason)
    assert sim.kinds(position) == ["CommandRejected"]
    assert sim.state.counters["commands_rejected"] == 1


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"id": 3}', b'{"id": ""}', b'{"id": "a b"}', b"\xff"]
)
def test_a_command_that_cannot_be_read_is_answered_and_counted(
    sim: SimCluster, data: bytes
) -> None:
    """A clear answer, one count, no event."""
    position = len(sim.log)
    sim.step(sim.redelivered(target("scale"), data, ""))

    assert (sim.said[-1].result, sim.said[-1].reason) == ("rejected", "BadRequest")
    assert sim.state.counters["commands_unreadable"] == 1
    assert len(sim.log) == position


@pytest.mark.parametrize("data", [b"", b"{}", b'{"incarnation": "x"}', b"\x00"])
def test_a_report_that_cannot_be_read_is_counted(sim: SimCluster, data: bytes) -> None:
    """One count, no event, no word."""
    position = len(sim.log)
    done = sim.step(ReportInput(node="worker-1", data=data))

    assert sim.state.counters["reports_unreadable"] == 1
    assert len(sim.log) == position
    assert done is not None
    assert not done.assignments


def test_a_sync_that_cannot_be_read_is_answered_with_what_is_wrong(
    sim: SimCluster,
) -> None:
    """The kubelet is told, and nothing is registered."""
    position = len(sim.log)
    done = sim.step(SyncInput(node="worker-1", data=b"{}", reply="worker-1|9"))

    assert done is not None
    assert "not readable" in done.syncs[0][1].error
    assert sim.state.counters["syncs_refused"] == 1
    assert len(sim.log) == position


def test_a_node_is_not_believed_about_pods_of_another(sim: SimCluster) -> None:
    """S13: the report is counted, and the node is told to stop the stranger."""
    mine = next(p for p in sim.cluster.actual.pods.values() if p.node == "worker-2")
    said = protocol.PodStatus(
        namespace="default", name=mine.name, uid=mine.uid, phase="Failed"
    )
    report = protocol.Report(incarnation=1, sequence=10**6, pods=(said,))
    position = len(sim.log)
    done = sim.step(ReportInput(node="worker-1", data=encode(report)))

    assert sim.cluster.actual.pods[mine.key].phase == "Running"
    assert sim.state.counters["reports_of_strange_pods"] == 1
    assert len(sim.log) == position
    assert done is not None
    assert [stop.uid for stop in done.assignments["worker-1"].stop] == [mine.uid]


def test_assignments_chain_and_a_sync_begins_a_new_chain(sim: SimCluster) -> None:
    """Each message to a node continues the one before; the first follows a sync."""
    at = {each.name: each.agent.position for each in sim.nodes.values()}
    for size in (6, 9):
        done = sim.step(sim.command_input(target("scale"), {"replicas": size}))
        assert done is not None
        for name, told in done.assignments.items():
            assert told.from_position == at[name]
            at[name] = told.to_position
    assert {*at.values()} == {sim.cluster.position}


def test_a_gap_in_the_chain_is_closed_by_a_sync(sim: SimCluster) -> None:
    """Given a lost assignment, the next one makes the kubelet ask for all of it."""
    sim.ask("deployment", "web", "scale", {"replicas": 6})
    for each in sim.nodes.values():
        each.down.clear()
    sim.ask("deployment", "web", "scale", {"replicas": 9})
    sim.settle()

    assert sum(len(each.pods) for each in sim.nodes.values()) == 9


def test_a_kubelet_that_starts_anew_gets_the_next_incarnation(sim: SimCluster) -> None:
    """Reports of its former life are refused, and its pods run again."""
    worker = sim.nodes["worker-1"]
    old = [*worker.sent]
    worker.boot(sim.now)
    sim.settle()
    position = len(sim.log)
    sim.step(*[ReportInput(node="worker-1", data=each) for each in old])

    assert worker.agent.incarnation == 2
    assert sim.state.counters["reports_of_another_incarnation"] == len(old)
    assert len(sim.log) == position
    assert len(sim.of(node.NodeChanged)) == 1


def test_the_answer_of_a_command_is_kept_with_it(sim: SimCluster) -> None:
    """L2: what was answered can be looked up in the log by the command's id."""
    answer = sim.ask("deployment", "web", "scale", {"replicas": 4}, id_="mine")
    accepted = [each for each in sim.of(command.CommandAccepted) if each.stream]

    held = accepted[-1].event
    assert isinstance(held, command.CommandAccepted)
    assert accepted[-1].stream == "command/mine"
    assert held.answer == answer


# --- what did not hold once (docs/bugs.md) ------------------------------------------


def test_a_lost_assignment_is_noticed_without_another_one(sim: SimCluster) -> None:
    """L1: a kubelet that has missed the last assignment runs its pods all the same."""
    sim.ask("deployment", "web", "scale", {"replicas": 6})
    for each in sim.nodes.values():
        each.down.clear()
    sim.run_for(600.0)

    assert sum(len(each.pods) for each in sim.nodes.values()) == 6


def test_pods_are_ready_again_when_their_node_is_heard_again(sim: SimCluster) -> None:
    """Spec 4.6: a node that was not heard for a while, and whose kubelet has nothing
    new to say, has ready pods again."""
    sim.jump(60.0)
    sim.step()
    sim.run_for(600.0)

    assert all(held.ready for held in sim.cluster.actual.pods.values())


def test_a_longer_min_ready_seconds_counts_for_ready_pods(sim: SimCluster) -> None:
    """Spec 3.10: pods that were ready long enough for the new time are available."""
    body = {"manifest": manifest(minReadySeconds=5)}
    sim.ask("deployment", "web", "apply", body)
    sim.run_for(600.0)

    tallies = [
        sim.cluster.actual.tally(key).available
        for key in sim.cluster.desired.replicasets
    ]
    assert tallies == [3]


def test_a_pod_that_is_removed_by_force_is_stopped_on_its_node(
    sim: SimCluster,
) -> None:
    """L1: `delete --force --grace-period=0` leaves nothing running."""
    victim = next(iter(sim.cluster.actual.pods.values()))
    sim.ask("pod", victim.name, "delete", {"grace": 0})
    sim.run_for(600.0)

    running = {uid for each in sim.nodes.values() for uid in each.pods}
    assert victim.uid not in running


def test_a_restart_of_control_changes_nothing(sim: SimCluster) -> None:
    """I14, spec 3.10: a failed pod stays listed, also when its node syncs again."""
    worker = next(each for each in sim.nodes.values() if each.pods)
    worker.say(sim.now, next(iter(worker.pods)), "failed")
    sim.settle()
    position = len(sim.log)
    sim.crash_control()
    sim.run_for(100.0)

    assert not sim.of(pod.PodRemoved, position)


def test_two_boots_in_one_step_are_not_granted_the_same_incarnation() -> None:
    """Rule 2 of domain/node.py: of two kubelets of one node only the later is it."""
    room = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    info = protocol.NodeInfo(capacity=room, allocatable=room)
    sim = SimCluster(1)
    asked = [
        SyncInput(
            node="worker-1",
            data=msgspec.json.encode(protocol.SyncRequest(boot_id=boot, node=info)),
            reply=f"worker-1|{number}",
        )
        for number, boot in enumerate(("one", "other"))
    ]
    done = sim.step(*asked)

    assert done is not None
    first, second = (reply for _, reply in done.syncs)
    assert first.error
    assert not second.error
    assert second.incarnation == sim.cluster.actual.nodes["worker-1"].node.incarnation


def test_what_a_node_says_of_itself_is_recorded_once_and_confirmed() -> None:
    """Its images are other ones: one event, and the kubelet does not say it again."""
    sim = SimCluster(1)
    sim.settle()
    worker, position = sim.nodes["worker-1"], len(sim.log)
    image = protocol.ContainerImage(names=("web:1",), size_bytes=1_000)
    info = msgspec.structs.replace(worker.info, images=(image,))
    worker.describe(sim.now, info)
    sim.run_for(100.0)

    (changed,) = sim.of(node.NodeChanged, position)
    assert isinstance(changed.event, node.NodeChanged)
    assert changed.event.info == info
    told = [msgspec.json.decode(each, type=protocol.Report) for each in worker.sent]
    assert sum(each.node is not None for each in told) == 1


def test_a_node_that_lists_too_many_images_is_not_believed() -> None:
    """At most 50, as in Kubernetes: whatever is in an event is kept for ever."""
    sim = SimCluster(1)
    sim.settle()
    worker, position = sim.nodes["worker-1"], len(sim.log)
    image = protocol.ContainerImage(names=("web:1",))
    info = msgspec.structs.replace(worker.info, images=(image,) * 51)
    worker.describe(sim.now, info)
    sim.run_for(10.0)

    assert sim.of(node.NodeChanged, position) == []
    assert sim.state.counters["reports_unreadable"]
