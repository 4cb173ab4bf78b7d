"""Spec 4.1 to 4.4: phases, restarts, probes and the end of a pod."""

import itertools
from typing import get_args

import msgspec
import pytest

from domain import podspec
from kubelet import lifecycle, runtime, transitions
from tests.kubelet.builders import Driven, container, template

OWNER = "web-1_default(u1)"


def probe(**fields: int) -> podspec.Probe:
    """A TCP probe with the defaults of spec 1.1 unless told otherwise."""
    default = podspec.Probe(tcp_socket=podspec.TCPSocketAction(port=80))
    return msgspec.structs.replace(default, **fields)


# --- the table ----------------------------------------------------------------------


def test_the_table_names_every_state() -> None:
    """Final states stand in the table too, with an empty row."""
    assert set(transitions.TABLE) == set(get_args(transitions.State))
    assert transitions.TABLE["Done"] == {}


@pytest.mark.parametrize("state", get_args(transitions.State))
def test_every_state_can_be_reached_and_left(state: transitions.State) -> None:
    """Each state but the first has a way in, each but the last a way out."""
    into = {target for row in transitions.TABLE.values() for target in row.values()}
    assert state == "Waiting" or state in into
    assert state == "Done" or transitions.TABLE[state]


# --- phases (4.1) -------------------------------------------------------------------


def test_pending_until_every_container_has_started() -> None:
    """Two containers: Pending with one, Running with both, ready with both."""
    pod = Driven(template(container("web"), container("side")))
    assert pod.status.phase == "Pending"
    assert [c.reason for c in pod.status.containers] == ["ContainerCreating"] * 2
    pod.started("web")
    assert (pod.status.phase, pod.status.ready) == ("Pending", False)
    pod.started("side")
    assert (pod.status.phase, pod.status.ready) == ("Running", True)
    assert pod.status.ip == "127.9.0.1"


@pytest.mark.parametrize(("policy", "code", "phase", "state", "reason"), [
    ("Always", 0, "Running", "terminated", "Completed"),
    ("Always", 1, "Running", "terminated", "Error"),
    ("OnFailure", 0, "Succeeded", "terminated", "Completed"),
    ("OnFailure", 1, "Running", "terminated", "Error"),
    ("Never", 0, "Succeeded", "terminated", "Completed"),
    ("Never", 1, "Failed", "terminated", "Error"),
])  # fmt: skip
def test_what_an_exit_means(
    policy: str, code: int, phase: str, state: str, reason: str
) -> None:
    """4.1 and 4.4: the restart policy decides between a restart and the end."""
    pod = Driven(template(restart_policy=policy))
    pod.started()
    pod.take()
    pod.exited(code)
    assert (pod.status.phase, pod.web.state, pod.web.reason) == (phase, state, reason)
    assert pod.web.exit_code == code
    assert not pod.status.ready
    restarted = lifecycle.StartContainer("web", 1) in pod.take()
    assert restarted == (phase == "Running")


def test_a_final_phase_is_kept() -> None:
    """4.1: a pod never leaves Failed, not even while it is taken down."""
    pod = Driven(template(restart_policy="Never"))
    pod.started()
    pod.exited(1)
    pod.stop(30)
    assert (pod.status.phase, pod.status.removed) == ("Failed", True)


# --- restarts (4.4) -----------------------------------------------------------------


def test_the_first_restart_is_at_once_then_the_back_off_doubles() -> None:
    """10s, 20s, 40s, 1m20s, 2m40s, 5m0s, 5m0s, with the message to the letter."""
    pod = Driven(template())
    waits = []
    for count in range(8):
        pod.started()
        assert pod.web.restarts == count
        pod.exited(1)
        if count == 0:
            continue
        assert (pod.web.state, pod.web.reason) == ("waiting", "CrashLoopBackOff")
        assert pod.status.phase == "Running"
        waits.append(pod.machine.wake - pod.now)
        texts = ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"]
        assert pod.web.message == (
            f"back-off {texts[count - 1]} restarting failed container=web pod={OWNER}"
        )
        assert pod.web.last is not None
        assert pod.web.last.exit_code == 1
        pod.pass_time(waits[-1])
    assert waits == [10, 20, 40, 80, 160, 300, 300]


def test_a_crash_is_told_to_people() -> None:
    """The warning of spec 4.4, at each back-off."""
    pod = Driven(template())
    for _ in range(2):
        pod.started()
        pod.exited(1)
    note = pod.notes[-1]
    assert (note.reason, note.warning) == ("BackOff", True)
    assert note.message == f"Back-off restarting failed container web in pod {OWNER}"


def test_a_restart_counts_once_it_has_run() -> None:
    """Between exit and restart the state is `terminated`; `last` is set after it."""
    pod = Driven(template())
    pod.started()
    pod.exited(137, signal=9)
    assert (pod.web.state, pod.web.restarts, pod.web.last) == ("terminated", 0, None)
    assert (pod.web.exit_code, pod.web.signal) == (137, 9)
    pod.started()
    assert (pod.web.state, pod.web.restarts) == ("running", 1)
    assert pod.web.last is not None
    assert pod.web.last.exit_code == 137


def test_containers_of_a_pod_back_off_on_their_own() -> None:
    """4.4: the key of a back-off holds the container's name."""
    pod = Driven(template(container("web"), container("side")))
    for _ in range(2):
        pod.started("web")
        pod.exited(1, "web")
    pod.started("side")
    assert pod.status.containers[0].reason == "CrashLoopBackOff"
    assert pod.status.containers[1].state == "running"
    assert (pod.status.phase, pod.status.ready) == ("Running", False)


def test_what_cannot_be_executed_crashes_too() -> None:
    """A missing executable is StartError, exit code 128, then the back-off."""
    pod = Driven(template())
    for attempt in range(2):
        pod.observe(
            runtime.ContainerFailed(
                uid="u1", container="web", attempt=attempt,
                reason="RunContainerError", message="no such file",
            )
        )  # fmt: skip
    assert pod.web.reason == "CrashLoopBackOff"
    assert pod.web.last is not None
    assert (pod.web.last.reason, pod.web.last.exit_code) == ("StartError", 128)
    assert ("Failed", "Error: no such file") in {
        (n.reason, n.message) for n in pod.notes
    }


def test_a_bad_configuration_is_tried_again() -> None:
    """CreateContainerConfigError stays until it can be started; nothing crashed."""
    pod = Driven(template())
    pod.take()
    pod.observe(
        runtime.ContainerFailed(
            uid="u1", container="web", attempt=0,
            reason="CreateContainerConfigError", message='secret "s" not found',
        )
    )  # fmt: skip
    assert pod.web.reason == "CreateContainerConfigError"
    pod.pass_time(10)
    assert pod.take() == [lifecycle.StartContainer("web", 0)]
    pod.started()
    assert (pod.web.state, pod.web.restarts) == ("running", 0)


@pytest.mark.parametrize(("code", "restarts"), [(42, True), (1, False)])
def test_a_restart_rule_wins_over_the_policies(code: int, restarts: bool) -> None:
    """4.4: the first matching rule, then the container's policy, then the pod's."""
    rule = podspec.ContainerRestartRule(
        action="Restart",
        exit_codes=podspec.ContainerRestartRuleOnExitCodes(operator="In", values=(42,)),
    )
    web = container(restart_policy="Never", restart_policy_rules=(rule,))
    pod = Driven(template(web))
    pod.started()
    pod.take()
    pod.exited(code)
    assert bool(pod.take()) == restarts


# --- images (4.4) -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        ("ErrImageNeverPull", "ErrImageNeverPull"),
        ("InvalidImageName", "InspectFailed"),
    ],
)
def test_an_image_that_is_not_pulled_at_all_keeps_its_reason(
    reason: str, event: str
) -> None:
    """Nothing backs off from a pull that was not tried: whoever looks, whenever, sees
    why; and it is looked for again."""
    pod = Driven(template(), frozenset({"nginx:1.7.9"}), why_broken=reason)
    for _ in range(600):
        assert (pod.web.state, pod.web.reason) == ("waiting", reason)
        pod.pass_time(1)
    texts = {(n.reason, n.message, n.warning) for n in pod.notes}
    assert texts == {(event, "not found", True), ("Failed", f"Error: {reason}", True)}
    pod.broken.clear()
    pod.pass_time(300)
    pod.started()
    assert pod.status.phase == "Running"


def test_a_bad_image_is_pulled_again_with_back_off() -> None:
    """ErrImagePull, then ImagePullBackOff; pulls after 10, 20, 40 … 300 s."""
    pod = Driven(template(container(image="nginx:1.91")), frozenset({"nginx:1.91"}))
    seen: list[str] = []
    pulls: list[float] = []
    begun = pod.now
    while len(pulls) < 7:
        if pod.web.reason == "ErrImagePull" and seen[-1:] != ["ErrImagePull"]:
            pulls.append(pod.now - begun)
        seen.append(pod.web.reason)
        pod.pass_time(pod.machine.wake - pod.now)
    assert set(seen) == {"ErrImagePull", "ImagePullBackOff"}
    waits = [after - before for before, after in itertools.pairwise(pulls)]
    assert waits == [10, 20, 40, 80, 160, 300]
    assert pod.status.phase == "Pending"
    assert pod.web.restarts == 0
    texts = {(n.reason, n.message, n.warning) for n in pod.notes}
    assert texts == {
        ("Failed", 'Failed to pull image "nginx:1.91": not found', True),
        ("Failed", "Error: ErrImagePull", True),
        ("BackOff", 'Back-off pulling image "nginx:1.91"', False),
        ("Failed", "Error: ImagePullBackOff", True),
    }
    pod.broken.clear()
    pod.pass_time(300)
    pod.started()
    assert pod.status.ready


# --- init containers ----------------------------------------------------------------


def test_init_containers_run_in_order_and_to_success() -> None:
    """Nothing else begins before; a failed one is repeated (policy Always)."""
    pod = Driven(template(init_containers=(container("one"), container("two"))))
    assert pod.take() == [lifecycle.StartContainer("one", 0)]
    assert pod.web.reason == "PodInitializing"
    pod.started("one")
    pod.exited(1, "one")
    assert pod.take() == [lifecycle.StartContainer("one", 1)]
    pod.started("one")
    pod.exited(0, "one")
    assert pod.take() == [lifecycle.StartContainer("two", 0)]
    pod.started("two")
    assert pod.status.phase == "Pending"
    pod.exited(0, "two")
    assert pod.take() == [lifecycle.StartContainer("web", 0)]
    pod.started()
    assert (pod.status.phase, pod.status.ready) == ("Running", True)


def test_a_sidecar_only_has_to_have_started() -> None:
    """An init container with policy Always goes on, and counts for readiness."""
    sidecar = container("side", restart_policy="Always")
    pod = Driven(template(init_containers=(sidecar,)))
    pod.started("side")
    pod.started()
    assert pod.status.ready
    pod.exited(1, "side")
    assert not pod.status.ready


# --- probes (4.2, 4.4) --------------------------------------------------------------


def test_not_ready_before_the_first_success() -> None:
    """A readiness probe: ready with the first success, not with the start."""
    pod = Driven(template(container(readiness_probe=probe())))
    pod.started()
    assert (pod.web.ready, pod.web.started, pod.status.ready) == (False, True, False)
    pod.probed("Readiness", True)
    assert (pod.web.ready, pod.status.ready) == (True, True)


@pytest.mark.parametrize(("threshold", "needed"), [(0, 3), (3, 3), (1, 1), (5, 5)])
def test_ready_is_lost_after_failure_threshold(threshold: int, needed: int) -> None:
    """Defaults of 1.1: three failures in a row; a success in between starts anew."""
    pod = Driven(
        template(container(readiness_probe=probe(failure_threshold=threshold)))
    )
    pod.started()
    pod.probed("Readiness", True)
    for _ in range(needed - 1):
        pod.probed("Readiness", False, "no")
        assert pod.status.ready
    pod.probed("Readiness", True)
    for _ in range(needed):
        assert pod.status.ready
        pod.probed("Readiness", False, "no")
    assert not pod.status.ready
    assert pod.web.state == "running"


def test_success_threshold_counts_in_a_row() -> None:
    """`successThreshold: 2` needs two, and a failure starts anew."""
    pod = Driven(template(container(readiness_probe=probe(success_threshold=2))))
    pod.started()
    for answer, ready in [(True, False), (False, False), (True, False), (True, True)]:
        pod.probed("Readiness", answer)
        assert pod.status.ready == ready


def test_a_failed_liveness_probe_restarts_the_container() -> None:
    """Unhealthy, Killing, TERM, after the grace KILL, then the usual restart."""
    web = container(liveness_probe=probe(failure_threshold=1))
    pod = Driven(template(web, termination_grace_period_seconds=5))
    pod.started()
    pod.take()
    pod.probed("Liveness", False, "connection refused")
    assert pod.take() == [lifecycle.StopContainer("web")]
    assert [(n.reason, n.message) for n in pod.notes[-2:]] == [
        ("Unhealthy", "Liveness probe failed: connection refused"),
        ("Killing", "Container web failed liveness probe, will be restarted"),
    ]
    pod.pass_time(5)
    assert pod.take() == [lifecycle.KillContainer("web")]
    pod.exited(137, signal=9)
    assert pod.take() == [lifecycle.StartContainer("web", 1)]


def test_the_startup_probe_holds_the_others_back() -> None:
    """Only startup is asked until it passes; then liveness and readiness are."""
    web = container(
        startup_probe=probe(period_seconds=1, failure_threshold=30),
        liveness_probe=probe(period_seconds=1),
        readiness_probe=probe(period_seconds=1),
    )
    pod = Driven(template(web))
    pod.started()
    pod.take()
    pod.pass_time(5)
    assert {e.kind for e in pod.take() if isinstance(e, lifecycle.RunProbe)} == {
        "Startup"
    }
    assert not pod.web.started
    pod.probed("Startup", True)
    assert pod.web.started
    pod.pass_time(2)
    assert {e.kind for e in pod.take() if isinstance(e, lifecycle.RunProbe)} == {
        "Liveness",
        "Readiness",
    }


@pytest.mark.parametrize("delay", [0, 7])
def test_probes_come_at_their_period(delay: int) -> None:
    """`initialDelaySeconds`, then every `periodSeconds`; at 0 very soon."""
    web = container(liveness_probe=probe(initial_delay_seconds=delay, period_seconds=3))
    pod = Driven(template(web))
    pod.started()
    pod.take()
    asked: list[float] = []
    start = pod.now
    while len(asked) < 3:
        pod.pass_time(pod.machine.wake - pod.now)
        asked += [pod.now - start for e in pod.take()]
    first = delay or 0.1
    assert asked == pytest.approx([first, first + 3, first + 6])


def test_an_answer_about_a_former_run_changes_nothing() -> None:
    """A probe that is answered after the restart is not held against the new run."""
    pod = Driven(template(container(readiness_probe=probe())))
    pod.started()
    pod.exited(1)
    pod.started()
    pod.observe(
        runtime.Probed(
            uid="u1", container="web", attempt=0, kind="Readiness", success=True
        )
    )
    assert not pod.status.ready


# --- the end (4.3) ------------------------------------------------------------------


def test_term_then_kill_at_the_end_of_the_grace() -> None:
    """TERM at once, KILL after the grace, removed when the process is gone."""
    pod = Driven(template())
    pod.started()
    pod.take()
    pod.stop(30)
    assert pod.take() == [lifecycle.StopContainer("web")]
    assert (pod.notes[-1].reason, pod.notes[-1].message) == (
        "Killing",
        "Stopping container web",
    )
    pod.pass_time(29)
    assert pod.take() == []
    pod.pass_time(1)
    assert pod.take() == [lifecycle.KillContainer("web")]
    assert not pod.status.removed
    pod.exited(137, signal=9)
    assert (pod.status.removed, pod.status.ready) == (True, False)


def test_a_second_stop_can_only_shorten() -> None:
    """4.3: 30 s, then 60 s, then 2 s: killed after 2 s."""
    pod = Driven(template())
    pod.started()
    pod.stop(30)
    pod.stop(60)
    pod.stop(2)
    pod.take()
    pod.pass_time(2)
    assert pod.take() == [lifecycle.KillContainer("web")]


def test_grace_zero_kills_at_once() -> None:
    """No TERM, no waiting."""
    pod = Driven(template())
    pod.started()
    pod.take()
    pod.stop(0)
    assert pod.take() == [lifecycle.KillContainer("web")]


def test_an_exit_while_stopping_is_not_restarted() -> None:
    """The restart policy does not hold for a pod that ends."""
    pod = Driven(template())
    pod.started()
    pod.stop(30)
    pod.take()
    pod.exited(0)
    assert pod.take() == []
    assert (pod.status.phase, pod.status.removed) == ("Succeeded", True)


@pytest.mark.parametrize("when", ["pulling", "starting", "crashing", "broken image"])
def test_a_pod_can_be_stopped_at_any_time(when: str) -> None:
    """Whatever it was doing, it is removed and nothing starts afterwards."""
    broken = frozenset({"nginx:1.7.9"}) if when == "broken image" else frozenset()
    pod = Driven(template(), broken)
    if when == "crashing":
        for _ in range(2):
            pod.started()
            pod.exited(1)
    pod.stop(30)
    if when in ("pulling", "starting"):
        pod.started()
        pod.exited(143, signal=15)
    pod.take()
    assert pod.status.removed
    pod.pass_time(1000)
    assert pod.take() == []


def test_a_sandbox_that_fails_is_set_up_again() -> None:
    """FailedCreatePodSandBox, then another attempt after 10 s."""
    machine = Driven(template()).machine
    machine = lifecycle.PodLifecycle(machine.pod)
    assert machine.start(0.0) == [lifecycle.StartSandbox()]
    machine.observe(0.0, runtime.SandboxFailed(uid="u1", message="disk full"))
    status = machine.changed()
    assert status is not None
    assert status.notes[0].reason == "FailedCreatePodSandBox"
    assert machine.tick(9.9) == []
    assert machine.tick(10.0) == [lifecycle.StartSandbox()]
