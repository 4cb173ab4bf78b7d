"""The annotation `rollbook/active-check`, what answers come to, and a pod's fold."""

import msgspec
import pytest

from domain import active_check, events, pod
from domain.active_check import ANNOTATION, Course, PodChecked
from domain.events import Recorded
from domain.protocol import ContainerStatus, PodObservation

UP = PodObservation(
    phase="Running",
    ready=True,
    ip="10.1.0.7",
    containers=(ContainerStatus(name="main", state="running", ready=True),),
)


def test_nothing_is_asked_for_without_the_annotation() -> None:
    """Rule 1: a Deployment without it is Kubernetes'."""
    assert active_check.asked({"team": "a"}) is None
    assert active_check.errors({"team": "a"}) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("port: 80", ("/", 80, 10.0, 3, 60.0)),
        (
            '{"path": "/healthz", "port": 1, "interval": "1m", "failureThreshold": 1}',
            ("/healthz", 1, 60.0, 1, 180.0),
        ),
    ],
)
def test_it_is_read(text: str, found: tuple[object, ...]) -> None:
    """Rule 1: YAML or JSON; all but the port have defaults; patience is three
    intervals, and a minute at least."""
    check = active_check.asked({ANNOTATION: text})
    assert check is not None
    assert found == (
        check.path,
        check.port,
        check.interval_seconds,
        check.failure_threshold,
        check.patience,
    )
    assert active_check.errors({ANNOTATION: text}) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("true", "it is no check like"),
        ("{}", "missing required field `port`"),
        ("{port: 80, retries: 3}", "unknown field `retries`"),
        ("{port: 0}", "port: from 1"),
        ("{port: 80, path: healthz}", "path: it begins"),
        ("{port: 80, interval: soon}", "interval: a duration"),
        ("{port: 80, interval: 0s}", "interval: a duration"),
        ("{port: 80, failureThreshold: 0}", "failureThreshold: from 1"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    """At the annotation; one that stands there all the same asks for nothing."""
    (error,) = active_check.errors({ANNOTATION: text})
    assert error.field == f"metadata.annotations[{ANNOTATION}]"
    assert says in error.message
    assert active_check.asked({ANNOTATION: text}) is None


@pytest.mark.parametrize(
    ("answers", "failing"),
    [
        ("", False),
        ("..", False),
        ("...", True),
        ("..+..", False),
        ("...+", False),
        ("...+..", False),
        ("......", True),
    ],
)
def test_three_failures_in_a_row_fail_and_one_success_passes(
    answers: str, failing: bool
) -> None:
    """Rule 2: `.` is a failure and `+` a success."""
    course = Course()
    for each in answers:
        course = active_check.after(course, each == "+", 3)
    assert course.failing is failing


def folded(*facts: events.Event) -> pod.Pod:
    """The pod after it was created, bound, reported ready at 3.0, and these, each a
    second later than the one before."""
    came = pod.PodCreated(uid="u1", template=1)
    held: pod.Pod | None = None
    bound = pod.PodScheduled(node="worker-1")
    first = (came, bound, pod.PodReported(incarnation=1, sequence=1, seen=UP))
    for number, fact in enumerate((*first, *facts), start=1):
        recorded = Recorded(
            number, "pod/default/web-1", number, float(number), "x", 0, "", fact
        )
        held = pod.evolve(held, recorded)
    assert held is not None
    return held


FAILS = PodChecked(passing=False, detail="answers with 500")
PASSES = PodChecked(passing=True, detail="it answers well")


def test_a_pod_that_fails_is_not_ready() -> None:
    """Rule 3: from that event on, whatever its node says; and the reason is kept."""
    held = folded(pod.PodBecameAvailable(seconds=1), FAILS)
    assert (held.ready, held.ready_at, held.ready_seconds) == (False, 5.0, 0)
    assert held.check_failed == "answers with 500"


def test_a_later_word_of_its_node_does_not_lift_it() -> None:
    """The node says that it is ready, again."""
    again = pod.PodReported(incarnation=1, sequence=2, seen=UP)
    held = folded(FAILS, again)
    assert (held.ready, held.ready_at) == (False, 4.0)
    assert held.check_failed


def test_when_it_passes_it_is_ready_from_now_on() -> None:
    """Its minReadySeconds count anew, as after any flip (spec 4.2)."""
    held = folded(pod.PodBecameAvailable(seconds=9), FAILS, PASSES)
    assert (held.ready, held.ready_at, held.ready_seconds) == (True, 6.0, 0)
    assert held.check_failed == ""


def test_a_check_that_passes_makes_nothing_ready_by_itself() -> None:
    """The node says meanwhile that it is not: then it is not."""
    down = msgspec.structs.replace(UP, ready=False)
    held = folded(FAILS, pod.PodReported(incarnation=1, sequence=2, seen=down), PASSES)
    assert (held.ready, held.ready_at) == (False, 4.0)
