"""PostStart and PreStop hooks, values and deadlines, as a pod's machine sees them."""

import pytest

from domain import podspec, protocol, volumes
from domain.pod_values import Reference
from kubelet import containers, effects, lifecycle, runtime
from kubelet.values import Values
from tests.kubelet.builders import Driven, container, template

SLEEP = podspec.LifecycleHandler(sleep=podspec.SleepAction(seconds=1))
PROBED = podspec.Probe(tcp_socket=podspec.TCPSocketAction(port=80))


def hooked(
    *, post: bool = False, pre: bool = False, grace: int = 30, **fields: object
) -> Driven:
    """A pod whose container `web` has these hooks, told to start."""
    hooks = podspec.Lifecycle(
        post_start=SLEEP if post else None, pre_stop=SLEEP if pre else None
    )
    web = container(lifecycle=hooks, **fields)
    pod = Driven(template(web, termination_grace_period_seconds=grace), chores=True)
    pod.started()
    return pod


def ended(pod: Driven, kind: effects.HookKind, why: str = "", attempt: int = 0) -> None:
    """The hook is over."""
    pod.observe(
        effects.HookEnded(
            uid="u1", container="web", attempt=attempt, kind=kind, message=why
        )
    )


def said(pod: Driven) -> list[tuple[str, str]]:
    """The reasons and texts of all notes."""
    return [(note.reason, note.message) for note in pod.notes]


# --- PostStart ----------------------------------------------------------------------


def test_a_container_runs_when_its_post_start_hook_is_over() -> None:
    """Until then it is waiting, its pod Pending, and nothing is probed."""
    pod = hooked(post=True, readiness_probe=PROBED)
    assert pod.take()[-1] == effects.RunHook("web", 0, "PostStart")
    assert (pod.web.state, pod.web.reason) == ("waiting", "ContainerCreating")
    assert pod.status.phase == "Pending"
    pod.pass_time(30)
    assert pod.take() == []
    ended(pod, "PostStart")
    assert (pod.web.state, pod.web.started, pod.status.phase) == (
        "running", True, "Running",
    )  # fmt: skip
    pod.pass_time(1)
    assert isinstance(pod.take()[0], lifecycle.RunProbe)


def test_a_failed_post_start_hook_kills_the_container() -> None:
    """The events are Kubernetes', without the hook's own words, which may be secret;
    then the restart policy decides, and the next run has its hook too."""
    pod = hooked(post=True)
    pod.take()
    ended(pod, "PostStart", "the password is hunter2")
    assert ("FailedPostStartHook", "PostStartHook failed") in said(pod)
    assert ("Killing", "FailedPostStartHook") in said(pod)
    assert "hunter2" not in str(said(pod))
    assert pod.take() == [effects.StopContainer("web")]
    pod.exited(143)
    assert pod.take() == [effects.StartContainer("web", 1)]
    pod.started()
    assert pod.take() == [effects.RunHook("web", 1, "PostStart")]
    assert pod.web.restarts == 1


def test_a_container_that_ends_in_its_post_start_hook_is_an_exit() -> None:
    """What the hook says later is of a former run."""
    pod = hooked(post=True)
    pod.exited(3)
    ended(pod, "PostStart")
    pod.started()
    states = []
    for attempt in (0, 1):
        ended(pod, "PostStart", attempt=attempt)
        states.append(pod.web.state)
    assert states == ["waiting", "running"]
    assert pod.web.last is not None
    assert pod.web.last.exit_code == 3


# --- PreStop ------------------------------------------------------------------------


def test_pre_stop_comes_before_term_and_within_the_grace() -> None:
    """TERM when the hook is over; KILL at the end of the grace, counted from the
    stop (spec 4.3)."""
    pod = hooked(pre=True)
    pod.take()
    pod.stop(30)
    assert pod.take() == [effects.RunHook("web", 0, "PreStop")]
    pod.pass_time(10)
    ended(pod, "PreStop")
    assert pod.take() == [effects.StopContainer("web")]
    pod.pass_time(19)
    assert pod.take() == []
    pod.pass_time(1)
    assert pod.take() == [effects.KillContainer("web")]


def test_a_hook_that_takes_the_whole_grace_leaves_two_seconds() -> None:
    """TERM still comes before KILL, and the container has 2 s for it."""
    pod = hooked(pre=True)
    pod.take()
    pod.stop(30)
    pod.pass_time(30)
    assert pod.take()[1:] == [effects.StopContainer("web")]
    pod.pass_time(containers.HOOK_GRACE)
    assert pod.take() == [effects.KillContainer("web")]
    ended(pod, "PreStop")
    assert pod.take() == []


def test_a_failed_pre_stop_hook_is_told_and_changes_nothing_else() -> None:
    """Event FailedPreStopHook, then TERM."""
    pod = hooked(pre=True)
    pod.take()
    pod.stop(30)
    ended(pod, "PreStop", "no such file")
    assert said(pod)[-1] == ("FailedPreStopHook", "PreStopHook failed")
    assert pod.take()[-1] == effects.StopContainer("web")


def test_without_grace_there_is_no_hook() -> None:
    """Grace 0 is KILL at once; also where the hook runs already."""
    pod = hooked(pre=True)
    pod.take()
    pod.stop(0)
    assert pod.take() == [effects.KillContainer("web")]
    pod = hooked(pre=True)
    pod.take()
    pod.stop(30)
    pod.stop(0)
    assert pod.take()[1:] == [effects.KillContainer("web")]


def test_a_failed_liveness_probe_runs_the_pre_stop_hook() -> None:
    """Whatever ends a container that runs."""
    once = podspec.Probe(
        tcp_socket=podspec.TCPSocketAction(port=80), failure_threshold=1
    )
    pod = hooked(pre=True, liveness_probe=once)
    pod.pass_time(1)
    pod.take()
    pod.probed("Liveness", False, "dead")
    assert pod.take() == [effects.RunHook("web", 0, "PreStop")]


def test_where_nobody_runs_hooks_there_are_none() -> None:
    """A hollow node: the container runs at once, and TERM comes at once."""
    hooks = podspec.Lifecycle(post_start=SLEEP, pre_stop=SLEEP)
    pod = Driven(template(container(lifecycle=hooks)))
    pod.started()
    assert pod.web.state == "running"
    pod.take()
    pod.stop(30)
    assert pod.take() == [effects.StopContainer("web")]


# --- activeDeadlineSeconds ----------------------------------------------------------


def test_after_its_deadline_a_pod_fails() -> None:
    """Its containers are stopped with grace; then it is Failed, DeadlineExceeded, and
    nothing is restarted; it stays until it is told to stop."""
    pod = Driven(
        template(active_deadline_seconds=60, termination_grace_period_seconds=10)
    )
    pod.started()
    pod.take()
    pod.pass_time(60)
    text = "Pod was active on the node longer than the specified deadline"
    assert ("DeadlineExceeded", text) in said(pod)
    assert pod.take() == [effects.StopContainer("web")]
    assert pod.status.phase == "Running"
    pod.pass_time(10)
    assert pod.take() == [effects.KillContainer("web")]
    pod.exited(137)
    assert (pod.status.phase, pod.status.reason, pod.status.message) == (
        "Failed", "DeadlineExceeded", text,
    )  # fmt: skip
    pod.pass_time(1000)
    assert pod.take() == []
    pod.stop(30)
    assert pod.status.removed


def test_a_pod_that_has_not_started_by_its_deadline_fails() -> None:
    """The time counts from the pod's start, not from its container's."""
    pod = Driven(template(active_deadline_seconds=60), frozenset({"nginx:1.7.9"}))
    pod.pass_time(60)
    assert (pod.status.phase, pod.status.reason) == ("Failed", "DeadlineExceeded")


def test_a_pod_that_succeeds_in_time_has_no_deadline() -> None:
    """Succeeded stays."""
    pod = Driven(template(active_deadline_seconds=60, restart_policy="Never"))
    pod.started()
    pod.exited(0)
    pod.pass_time(100)
    assert (pod.status.phase, pod.status.reason) == ("Succeeded", "")


# --- values -------------------------------------------------------------------------


def with_values() -> podspec.PodTemplateSpec:
    """A pod with a variable of the ConfigMap `c`."""
    source = podspec.EnvVarSource(
        config_map_key_ref=podspec.ConfigMapKeySelector(name="c", key="k")
    )
    return template(container(env=(podspec.EnvVar(name="K", value_from=source),)))


GIVEN = Values(objects={Reference("configmap", "c"): {"k": b"v"}})


def fetched(pod: Driven, values: Values, problem: str = "") -> None:
    """Somebody has answered."""
    pod.observe(
        effects.ValuesFetched(
            uid="u1", container="web", attempt=0, values=values, problem=problem
        )
    )


def test_values_are_fetched_before_a_container_starts() -> None:
    """For each start anew, so that a restart sees what they are by then; the runtime
    is told of them by the sandbox."""
    pod = Driven(with_values(), chores=True)
    assert pod.take() == [effects.FetchValues("web", 0)]
    fetched(pod, GIVEN)
    assert pod.take() == [effects.StartContainer("web", 0)]
    assert pod.machine.pod.values == GIVEN
    pod.started()
    pod.exited(1)
    assert pod.take() == [effects.FetchValues("web", 1)]


def test_a_pod_without_references_asks_for_nothing() -> None:
    """Most pods."""
    pod = Driven(template(), chores=True)
    assert pod.take() == [effects.StartContainer("web", 0)]


def test_a_volume_that_cannot_be_made_is_tried_again() -> None:
    """The pod stays ContainerCreating; the event comes once, not at each try."""
    source = volumes.ConfigMapVolumeSource(name="c")
    spec = template(volumes=(podspec.Volume(name="v", config_map=source),))
    pod = Driven(spec, chores=True)
    why = 'MountVolume.SetUp failed for volume "v" : configmap "c" not found'
    for _ in range(3):
        assert pod.take() == [effects.FetchValues("web", 0)]
        fetched(pod, Values(), why)
        assert (pod.web.state, pod.web.reason) == ("waiting", "ContainerCreating")
        pod.pass_time(containers.MOUNT_RETRY)
    assert said(pod).count(("FailedMount", why)) == 1
    fetched(pod, GIVEN)
    assert pod.take()[-1] == effects.StartContainer("web", 0)


def test_a_pod_can_be_stopped_while_it_waits_for_values() -> None:
    """An answer that comes then starts nothing."""
    pod = Driven(with_values(), chores=True)
    pod.take()
    pod.stop(30)
    fetched(pod, GIVEN)
    assert pod.take() == []
    assert pod.status.removed


# --- adoption -----------------------------------------------------------------------


def held(**fields: object) -> runtime.HeldContainer:
    """`web` in its third run."""
    return runtime.HeldContainer(
        name="web", attempt=2, container_id="test://web", started_at=900.0,
        **fields,  # type: ignore[arg-type]  # test data
    )  # fmt: skip


LAST = protocol.Termination(exit_code=4, reason="Error", finished_at=899.0)
TOLD = protocol.PodStatus(
    namespace="default", name="web-1", uid="u1", phase="Running", ready=True,
    ip="127.9.0.1", started_at=800.0,
    containers=(
        protocol.ContainerStatus(
            name="web", state="running", ready=True, started=True, restarts=2,
            started_at=900.25, container_id="test://web", last=LAST,
        ),
    ),
)  # fmt: skip


def test_an_adopted_pod_is_what_it_was() -> None:
    """The status that the former life told, to the last field; nothing is started,
    nothing is said."""
    pod = Driven(template(), held=(held(),), told=TOLD)
    assert pod.status == TOLD
    assert pod.take() == []


def test_an_adopted_pod_of_which_nothing_was_told() -> None:
    """What the runtime holds is enough for all but the last termination."""
    pod = Driven(template(), held=(held(),))
    assert (pod.status.phase, pod.status.started_at) == ("Running", 900.0)
    assert (pod.web.restarts, pod.web.started_at) == (2, 900.0)


@pytest.mark.parametrize("ready", [True, False])
def test_readiness_outlives_the_kubelet(ready: bool) -> None:
    """Neither flaps a ready pod nor is one ready that was not: the probe's next
    answers decide."""
    (web,) = TOLD.containers
    before = protocol.ContainerStatus(
        name="web",
        state="running",
        ready=ready,
        started=True,
        container_id="test://web",
    )
    told = protocol.PodStatus(
        namespace="default", name="web-1", uid="u1", containers=(before,)
    )
    web_probed = container(readiness_probe=PROBED)
    pod = Driven(template(web_probed), held=(held(),), told=told)
    assert pod.web.ready is ready
    assert pod.status.ready is ready
    for _ in range(3):
        pod.probed("Readiness", not ready)
    assert pod.web.ready is not ready
    assert web.ready


def test_an_exit_that_nobody_saw_is_an_exit() -> None:
    """Its code and time are the runtime's; it counts as a restart, and the policy
    decides."""
    gone = held(running=False, finished_at=950.0, exit_code=7, message="why")
    pod = Driven(template(), held=(gone,), told=TOLD)
    assert pod.take() == [effects.StartContainer("web", 3)]
    pod.started()
    assert pod.web.restarts == 3
    last = pod.web.last
    assert last is not None
    assert (last.exit_code, last.finished_at, last.message) == (7, 950.0, "why")


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_a_pod_that_succeeded_meanwhile(policy: str) -> None:
    """It is Succeeded now."""
    gone = held(running=False, finished_at=950.0, exit_code=0)
    pod = Driven(template(restart_policy=policy), held=(gone,), told=TOLD)
    assert pod.status.phase == "Succeeded"
    assert pod.take() == []


def test_a_pod_that_had_failed_stays_failed() -> None:
    """Also with a restart policy that would run its containers again."""
    gone = held(running=False, finished_at=950.0, exit_code=137)
    text = lifecycle.DEADLINE_TEXT
    told = protocol.PodStatus(
        namespace="default", name="web-1", uid="u1", phase="Failed",
        reason="DeadlineExceeded", message=text, started_at=800.0,
    )  # fmt: skip
    pod = Driven(template(active_deadline_seconds=60), held=(gone,), told=told)
    assert (pod.status.phase, pod.status.reason) == ("Failed", "DeadlineExceeded")
    pod.pass_time(100)
    assert pod.take() == []


def test_a_deadline_goes_on_through_a_restart() -> None:
    """It is counted from the pod's own start."""
    pod = Driven(template(active_deadline_seconds=250), held=(held(),), told=TOLD)
    pod.pass_time(49)
    assert pod.take() == []
    pod.pass_time(1)
    assert pod.take() == [effects.StopContainer("web")]


def test_what_was_not_started_before_begins() -> None:
    """Init containers that are done are not run again; a container that the former
    life had not come to is started."""
    spec = podspec.PodSpec(
        init_containers=(container("init"),),
        containers=(container("web"),),
        restart_policy="Always",
    )
    done = runtime.HeldContainer(
        name="init", attempt=0, container_id="i", running=False, finished_at=900.0
    )
    pod = Driven(podspec.PodTemplateSpec(spec=spec), held=(done,))
    assert pod.take() == [effects.StartContainer("web", 0)]


def test_an_adopted_pod_can_be_stopped() -> None:
    """With its grace, like any other."""
    pod = Driven(template(), held=(held(),), told=TOLD)
    pod.stop(30)
    assert pod.take() == [effects.StopContainer("web")]
    pod.exited(143)
    assert pod.status.removed
