"""The check behind each verdict of the benchmark is not lenient: it can fail."""

from domain import node, pod
from tests.bench import stories
from tests.bench.stories import audited, bound, deployed, ready


def test_a_log_that_is_right_has_no_problems() -> None:
    """Two pods, asked for, bound, Ready, and said to be complete."""
    found = audited(
        *stories.node(), *deployed(2), *bound("a", "b"), *ready("a", "b"),
        stories.COMPLETED,
    )  # fmt: skip
    assert found.problems == []
    assert found.settled({stories.KEY: 2}) == []
    assert found.created == 2


def test_a_node_that_is_given_more_than_it_has_is_found() -> None:
    """S15: a second pod on a node with room for one, with its position."""
    found = audited(*stories.node(pods="1"), *deployed(2), *bound("a", "b"))
    assert found.problems == [
        "position 9: worker is given 2 pods, more than it can (S15)"
    ]


def test_more_pods_than_the_surge_allows_are_found() -> None:
    """S7: 25 % of 2, rounded up, is one more; the fourth pod is too many."""
    found = audited(*stories.node(), *deployed(2), *bound("a", "b", "c"))
    assert found.problems == []
    found = audited(*stories.node(), *deployed(2), *bound("a", "b", "c", "d"))
    assert found.problems == [f"position 13: {stories.KEY} has 4 pods, at most 3 (S7)"]


def test_too_few_available_pods_are_found_where_the_controller_ended_some() -> None:
    """S6: of 4 at least 3 stay available; the controller may end one, not two."""
    names = ("a", "b", "c", "d")
    before = [*stories.node(), *deployed(4), *bound(*names), *ready(*names)]
    first = ("pod/default/a", stories.SCALED_DOWN)
    second = ("pod/default/b", stories.SCALED_DOWN)
    assert audited(*before, first).problems == []
    (problem,) = audited(*before, first, second).problems
    assert "2 are left, at least 3 promised (S6)" in problem


def test_pods_that_nobody_of_ours_ended_are_no_breach() -> None:
    """S6 speaks of the controller's own decisions: a user may delete what he wants."""
    names = ("a", "b", "c", "d")
    deleted = pod.PodTerminationRequested(why="asked", reason="Deleted")
    found = audited(
        *stories.node(), *deployed(4), *bound(*names), *ready(*names),
        ("pod/default/a", deleted), ("pod/default/b", deleted),
    )  # fmt: skip
    assert found.problems == []
    assert found.groups[stories.KEY].available == 2


def test_a_pod_that_is_bound_twice_is_found() -> None:
    """S8: one binding in a pod's life."""
    again = ("pod/default/a", pod.PodScheduled(node="worker"))
    found = audited(*stories.node(), *deployed(1), *bound("a"), again)
    assert "position 8: pod/default/a is bound a second time (S8)" in found.problems


def test_a_name_that_is_given_twice_is_found() -> None:
    """S8: the name of a pod that is gone is never used again."""
    gone = ("pod/default/a", pod.PodRemoved())
    found = audited(*stories.node(), *deployed(1), *bound("a"), gone, *bound("a"))
    assert found.problems == [
        "position 9: the name pod/default/a is given a second time (S8)"
    ]


def test_what_did_not_settle_as_asked_is_told() -> None:
    """Numbers, readiness and the completion are compared with what was asked."""
    found = audited(*stories.node(), *deployed(2), *bound("a", "b"), *ready("a"))
    assert found.settled({stories.KEY: 2}) == [
        f"{stories.KEY} has 2 pods, 1 of them available, and 2 were asked for",
        f"revision 1 of {stories.KEY} was never complete",
    ]
    assert found.settled({}) == [f"{stories.KEY} exists"]


def test_an_api_that_says_something_else_is_told() -> None:
    """What the api says of a Deployment is held against the log."""
    found = audited(*stories.node(), *deployed(1), *bound("a"), *ready("a"))
    told = {
        "metadata": {"namespace": "default", "name": "web"},
        "status": {"replicas": 1, "availableReplicas": 1},
    }
    assert found.compare([told]) == []
    told["status"] = {"replicas": 1}
    assert found.compare([told]) == [
        f"the api says (1, 0) of {stories.KEY}, the log (1, 1) (pods, available)"
    ]
    assert "nothing" in found.compare([])[0]


def test_the_pods_of_a_node_that_is_not_ready_are_not_available() -> None:
    """Spec 4.5; and where no loss was planned, the loss itself is a problem."""
    lost = (
        "node/worker",
        node.NodeBecameUnready(status="Unknown", reason="r", message="m"),
    )
    found = audited(*stories.node(), *deployed(1), *bound("a"), *ready("a"), lost)
    assert found.groups[stories.KEY].available == 0
    assert found.unready_at == [9.0]
    assert found.problems == ["position 9: worker was lost: the machine is too slow"]


def test_the_course_of_the_cluster_is_kept() -> None:
    """Pods and available pods over time, from a moment on."""
    found = audited(*stories.node(), *deployed(1), *bound("a"), *ready("a"))
    course = found.course(since=6.0)
    assert [(point.pods, point.available) for point in course][-1] == (1, 1)
    assert course[0].at == 0.0
