"""Pods on paper: their delays and their dice."""

import pytest
from msgspec.structs import replace

from kubelet import hollow_runtime, pods
from tests.kubelet.builders import run, sandbox, template


def pod_on(settings: hollow_runtime.HollowSettings) -> hollow_runtime.HollowPods:
    """A hollow node with one pod whose container was asked for at 0."""
    hollow = hollow_runtime.HollowPods("n1", settings)
    hollow.start_sandbox(0.0, sandbox("u1", template()))
    hollow.pull_image(0.0, "u1", "web")
    hollow.observe(0.0)
    hollow.start_container(0.0, "u1", "web", 0)
    return hollow


def times(hollow: hollow_runtime.HollowPods) -> list[tuple[float, str]]:
    """All that will be observed, with its time."""
    found: list[tuple[float, str]] = []
    while hollow.wake != hollow_runtime.NEVER and len(found) < 100:
        now = hollow.wake
        found += [(now, type(fact).__name__) for fact in hollow.observe(now)]
    return found


def test_delays() -> None:
    """Started, ready, crashed when the settings say so."""
    settings = hollow_runtime.HollowSettings(
        start_delay=(2, 2), ready_delay=(3, 3), crash_after=(10, 10)
    )
    assert times(pod_on(settings)) == [
        (2, "ContainerStarted"),
        (5, "ContainerBecameReady"),
        (12, "ContainerExited"),
    ]


def test_the_same_seed_is_the_same_life() -> None:
    """And another one is another."""

    def life(seed: int) -> list[tuple[float, str]]:
        return times(
            pod_on(hollow_runtime.HollowSettings(start_delay=(0, 9), seed=seed))
        )

    assert life(1) == life(1)
    assert life(1) != life(2)


def test_a_stop_takes_its_time_and_a_kill_does_not() -> None:
    """The exit comes after the stop delay, or at once."""
    settings = hollow_runtime.HollowSettings(stop_delay=(4, 4))
    hollow = pod_on(settings)
    hollow.observe(0.0)
    hollow.stop_container(1.0, "u1", "web")
    hollow.stop_container(2.0, "u1", "web")
    assert hollow.wake == 5.0
    hollow.kill_container(3.0, "u1", "web")
    assert times(hollow) == [(3.0, "ContainerExited")]


class Wired:
    """`Pods` on a hollow node, with a clock that the test moves."""

    def __init__(self, settings: hollow_runtime.HollowSettings) -> None:
        self.now = 0.0
        self.hollow = hollow_runtime.HollowPods("n1", settings)
        self.pods = pods.Pods("n1", self)  # type: ignore[arg-type]  # it asks `hollow`

    def __getattr__(self, name: str) -> object:
        method = getattr(self.hollow, name)
        return lambda *arguments: method(self.now, *arguments)

    def pass_time(self, seconds: float) -> None:
        """Everything happens when it is due."""
        end = self.now + seconds
        while (wake := min(self.hollow.wake, self.pods.wake)) <= end:
            self.now = max(self.now, wake)
            self.pods.observe(self.now, self.hollow.observe(self.now))
            self.pods.tick(self.now)
        self.now = end


def test_a_crash_loop_on_paper_follows_the_back_off() -> None:
    """Crash after 1 s each: the restarts of the first ten minutes."""
    wired = Wired(hollow_runtime.HollowSettings(crash_after=(1, 1)))
    wired.pods.start(0.0, run("u1"), template())
    wired.pass_time(600)
    (status,) = wired.pods.changes()
    # Starts at 0, 1, 12, 33, 74, 155, 316; the next would be at 617.
    assert status.containers[0].restarts == 6
    assert status.containers[0].reason == "CrashLoopBackOff"
    assert status.phase == "Running"


def test_a_thousand_pods_need_no_timer_each() -> None:
    """All start, all stop, nothing is left."""
    wired = Wired(hollow_runtime.HollowSettings(start_delay=(0, 1), stop_delay=(0, 1)))
    pod = template()
    for number in range(1000):
        wired.pods.start(wired.now, run(f"u{number}"), pod)
    wired.pass_time(1)
    assert sum(status.ready for status in wired.pods.changes()) == 1000
    for number in range(1000):
        wired.pods.stop(wired.now, f"u{number}", 30)
    wired.pass_time(1)
    assert sum(status.removed for status in wired.pods.changes()) == 1000
    assert (len(wired.pods), wired.hollow.list()) == (0, ())


@pytest.mark.parametrize(
    ("image", "phase"), [("nginx:1", "Running"), ("bad", "Pending")]
)
def test_broken_images(image: str, phase: str) -> None:
    """The patterns must match the whole name."""
    wired = Wired(hollow_runtime.HollowSettings(broken_images=("bad|ngin",)))
    pod = template()
    spec = pod.spec.containers[0]
    pod = replace(pod, spec=replace(pod.spec, containers=(replace(spec, image=image),)))
    wired.pods.start(0.0, run("u1"), pod)
    wired.pass_time(0)
    (status,) = wired.pods.changes()
    assert status.phase == phase
