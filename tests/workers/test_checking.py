"""What active checks say of pods: when it is an event, when it is lifted."""

from typing import Any

import msgspec
import pytest

from domain import events, protocol
from domain.active_check import ANNOTATION, PodChecked
from domain.pod import Pod
from gateway.views import pods as pod_views
from gateway.views import wanted
from gateway.views.scene import Scene, Templates
from projections.happenings import Happenings
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import counted, give, make, newest, owner, report
from workers.checking import CheckInput


@pytest.fixture
def sim() -> SimCluster:
    """A Deployment `web` of three ready pods that asks for the check."""
    sim = SimCluster(3)
    raw: dict[str, Any] = manifest("web", "app:1", replicas=3)
    raw["metadata"]["annotations"] = {ANNOTATION: "{port: 80}"}
    make(sim, raw)
    return sim


def one(sim: SimCluster) -> Pod:
    """The first of the new ReplicaSet's pods."""
    return sim.cluster.actual.pods_of(newest(sim).key)[0]


def tell(sim: SimCluster, held: Pod, *, passing: bool, **other: str) -> None:
    """The monitor says this of the pod."""
    said = protocol.PodCheck(
        uid=other.get("uid", held.uid), passing=passing, detail="answers with 500"
    )
    name = other.get("name", held.name)
    item = CheckInput(namespace="default", pod=name, data=msgspec.json.encode(said))
    sim.step(item)


def checked(sim: SimCluster) -> list[tuple[str, bool]]:
    """Who said what, in the log."""
    return [
        (each.actor, each.event.passing)
        for each in sim.of(PodChecked)
        if isinstance(each.event, PodChecked)
    ]


def test_a_failing_pod_is_neither_ready_nor_available(sim: SimCluster) -> None:
    """One event, of the monitor; the Deployment counts a pod less until it passes."""
    held = one(sim)
    tell(sim, held, passing=False)
    assert checked(sim) == [("monitor", False)]
    assert counted(sim) == (3, 3, 2, 2, 1)
    tell(sim, held, passing=True)
    sim.settle()
    assert checked(sim) == [("monitor", False), ("monitor", True)]
    assert counted(sim) == (3, 3, 3, 3, 0)


def test_what_is_known_writes_nothing(sim: SimCluster) -> None:
    """Only a change is an event, however often it is said."""
    held = one(sim)
    tell(sim, held, passing=True)
    for _ in range(3):
        tell(sim, held, passing=False)
    assert checked(sim) == [("monitor", False)]


@pytest.mark.parametrize("other", [{"uid": "another"}, {"name": "stranger"}])
def test_a_stranger_is_refused_and_counted(
    sim: SimCluster, other: dict[str, str]
) -> None:
    """A pod that is not there, or another one of that name."""
    tell(sim, one(sim), passing=False, **other)
    assert checked(sim) == []
    assert sim.state.counters["checks_not_wanted"] == 1


def test_garbage_is_counted(sim: SimCluster) -> None:
    """Bytes that are no check change nothing."""
    sim.step(CheckInput(namespace="default", pod=one(sim).name, data=b"\xff{"))
    assert checked(sim) == []
    assert sim.state.counters["checks_unreadable"] == 1


def test_a_deployment_that_does_not_ask_is_left_alone(sim: SimCluster) -> None:
    """Without the annotation nobody's word counts."""
    make(sim, manifest("plain", "app:1", replicas=1))
    held = sim.cluster.actual.pods_of(newest(sim, "plain").key)[0]
    tell(sim, held, passing=False)
    assert checked(sim) == []
    assert sim.state.counters["checks_not_wanted"] == 1


def test_reports_of_its_node_neither_lift_it_nor_fill_the_log(sim: SimCluster) -> None:
    """The node goes on to say that the pod is ready: known, and of no effect."""
    held = one(sim)
    tell(sim, held, passing=False)
    before = len(sim.events)
    seen = held.seen
    assert seen is not None
    for _ in range(3):
        report(sim, held, phase="Running", ready=True, containers=seen.containers)
    assert [each.event for each in sim.events[before:] if each.stream == held.key] == []
    assert not one(sim).ready


def test_while_it_is_said_again_it_holds(sim: SimCluster) -> None:
    """For ever, as long as a monitor confirms it."""
    for _ in range(10):
        tell(sim, one(sim), passing=False)
        sim.run_for(30)
    assert checked(sim) == [("monitor", False)]


def test_it_is_lifted_when_nobody_says_it_again(sim: SimCluster) -> None:
    """A dead monitor holds no pod back: after a minute the timer lifts it."""
    tell(sim, one(sim), passing=False)
    sim.run_for(50)
    assert checked(sim) == [("monitor", False)]
    sim.run_for(20)
    assert checked(sim) == [("monitor", False), (events.TIMER, True)]
    assert sim.of(PodChecked)[-1].event.detail == "no monitor has told of it for 60 s"  # type: ignore[attr-defined]  # a PodChecked
    assert counted(sim) == (3, 3, 3, 3, 0)


def test_a_restart_of_control_forgets_neither_the_gate_nor_its_end(
    sim: SimCluster,
) -> None:
    """The gate is in the log; how long nobody spoke is counted from the start."""
    tell(sim, one(sim), passing=False)
    sim.run_for(40)
    sim.crash_control()
    sim.run_for(50)
    assert not one(sim).ready
    sim.run_for(30)
    assert checked(sim) == [("monitor", False), (events.TIMER, True)]


def test_it_is_lifted_when_it_is_not_asked_for_any_more(sim: SimCluster) -> None:
    """Within seconds of the annotation's end, whatever monitors say."""
    tell(sim, one(sim), passing=False)
    changes = {"changes": {ANNOTATION: None}, "overwrite": True}
    assert sim.ask("deployment", "web", "annotate", changes).result == "accepted"
    sim.run_for(10)
    assert checked(sim) == [("monitor", False), (events.TIMER, True)]
    assert one(sim).ready


def test_a_bad_annotation_is_refused(sim: SimCluster) -> None:
    """When it is written, with the field."""
    changes = {"changes": {ANNOTATION: "{port: 0}"}, "overwrite": True}
    answer = sim.ask("deployment", "web", "annotate", changes)
    assert (answer.result, answer.reason) == ("rejected", "Invalid")
    assert "port: from 1 to 65535" in answer.message


def test_a_rollout_waits_for_pods_that_pass(sim: SimCluster) -> None:
    """New pods whose checks fail within their minReadySeconds never become available:
    the old ones stay, until the new ones pass."""
    raw: dict[str, Any] = manifest("web", "app:2", replicas=3, minReadySeconds=20)
    raw["metadata"]["annotations"] = {ANNOTATION: "{port: 80}"}
    old = newest(sim)
    assert give(sim, "apply", raw).result == "accepted"
    for _ in range(20):
        sim.run_for(5)
        for held in sim.cluster.actual.pods_of(newest(sim).key):
            if held.seen is not None and held.seen.ready:
                tell(sim, held, passing=False)
    assert newest(sim).key != old.key
    left = [each for each in sim.cluster.actual.pods_of(old.key) if each.active]
    assert len(left) == 3, "maxUnavailable, 25 % of 3, is none"
    for held in sim.cluster.actual.pods_of(newest(sim).key):
        tell(sim, held, passing=True)
    sim.settle()
    assert counted(sim)[:4] == (3, 3, 3, 3)
    assert not sim.cluster.actual.pods_of(old.key)


def test_a_silent_node_is_no_matter_of_checks(sim: SimCluster) -> None:
    """Its pods are unready anyhow: a check that passes makes none of them ready."""
    held = one(sim)
    tell(sim, held, passing=False)
    sim.nodes[held.node].alive = False
    sim.run_for(60)
    assert not sim.cluster.actual.nodes[held.node].ready
    tell(sim, held, passing=True)
    assert not sim.cluster.actual.pods[held.key].ready
    assert checked(sim) == [("monitor", False)]


def test_while_nobody_can_check_it_nobody_need_repeat_it(sim: SimCluster) -> None:
    """Its node is not heard for minutes: when it is again, a monitor has as long as
    ever to find out that the pod still fails."""
    held = one(sim)
    tell(sim, held, passing=False)
    sim.nodes[held.node].alive = False
    sim.run_for(150)
    assert not sim.cluster.actual.nodes[held.node].ready
    sim.nodes[held.node].alive = True
    sim.run_for(30)
    assert sim.cluster.actual.nodes[held.node].ready
    assert checked(sim) == [("monitor", False)]
    tell(sim, one(sim), passing=False)
    sim.run_for(50)
    assert checked(sim) == [("monitor", False)]
    sim.run_for(20)
    assert checked(sim) == [("monitor", False), (events.TIMER, True)]


def test_the_time_begins_when_the_node_calls_it_ready(sim: SimCluster) -> None:
    """Its containers are not ready for minutes, and so nobody checks it."""
    held = one(sim)
    tell(sim, held, passing=False)
    with_address(sim, ready=False)
    sim.run_for(150)
    assert checked(sim) == [("monitor", False)]
    with_address(sim)
    sim.run_for(50)
    assert checked(sim) == [("monitor", False)]


def scene(sim: SimCluster) -> Scene:
    """The state for views."""
    return Scene(sim.cluster, Happenings(), Templates(), sim.now)


def with_address(sim: SimCluster, *, ready: bool = True) -> Pod:
    """The first pod, which has an address and is as ready as this."""
    held = one(sim)
    assert held.seen is not None
    container = protocol.ContainerStatus(name="main", state="running", ready=ready)
    report(
        sim,
        held,
        phase="Running",
        ready=ready,
        ip="10.1.0.7",
        containers=(container,),
    )
    return one(sim)


def test_pods_to_check_are_those_that_their_nodes_call_ready(sim: SimCluster) -> None:
    """One that only the check holds back is among them, and known as failing; one that
    is unready for another reason is not."""
    held = with_address(sim)
    (found,) = wanted.checks(scene(sim), "", 900_000).pods
    assert (found.uid, found.ip, found.failing) == (held.uid, "10.1.0.7", False)
    assert found.check.port == 80
    tell(sim, held, passing=False)
    (found,) = wanted.checks(scene(sim), "", 900_000).pods
    assert found.failing
    with_address(sim, ready=False)
    assert wanted.checks(scene(sim), "", 900_000).pods == ()


def test_pods_to_check_come_in_pages(sim: SimCluster) -> None:
    """As many as fit; the next page begins behind the last."""
    container = protocol.ContainerStatus(name="main", state="running", ready=True)
    for held in sim.cluster.actual.pods_of(newest(sim).key):
        report(
            sim,
            held,
            phase="Running",
            ready=True,
            ip="10.1.0.7",
            containers=(container,),
        )
    names, after = [], ""
    for _ in range(3):
        page = wanted.checks(scene(sim), after, 600)
        names += [each.name for each in page.pods]
        after = page.more
    assert after == ""
    held_names = [e.name for e in sim.cluster.actual.pods_of(newest(sim).key)]
    assert names == sorted(held_names)


def test_the_condition_says_that_it_is_the_check(sim: SimCluster) -> None:
    """Ready is False with a reason of its own, while the containers are ready."""
    held = with_address(sim)
    tell(sim, held, passing=False)
    held = one(sim)
    view = scene(sim).template(held.template)
    found = {str(each["type"]): each for each in pod_views.conditions(held, view)}
    assert found["Ready"]["status"] == "False"
    assert found["Ready"]["reason"] == "ActiveCheckFailed"
    assert found["Ready"]["message"] == "the active check fails: answers with 500"
    assert found["ContainersReady"]["status"] == "True"


def test_a_deleted_deployment_asks_for_nothing(sim: SimCluster) -> None:
    """Its pods go; nothing is left that would ring."""
    tell(sim, one(sim), passing=False)
    assert owner(sim).uid
    sim.ask("deployment", "web", "delete", {})
    sim.settle()
    assert not sim.cluster.actual.pods
