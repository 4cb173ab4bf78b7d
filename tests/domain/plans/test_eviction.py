"""When pods leave a node that they do not tolerate any more (spec 4.7, 7.5)."""

import msgspec
import pytest

from domain import times
from domain.plans import node_health
from domain.plans import tolerations as pod_tolerations
from domain.podspec import Taint, Toleration
from tests.domain.plans.nodes import Nodes

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"


def tolerating(seconds: int | None, key: str = "k") -> Toleration:
    return Toleration(
        key=key, operator="Exists", effect="NoExecute", toleration_seconds=seconds
    )


K = Taint(key="k", effect="NoExecute")
L = Taint(key="l", effect="NoExecute")


@pytest.mark.parametrize(
    ("tolerations", "taints", "expected"),
    [
        ([], [K], 100.0),
        ([tolerating(None)], [K], None),
        ([tolerating(200)], [K], 300.0),
        ([tolerating(0)], [K], 100.0),
        ([tolerating(-5)], [K], 100.0),
        ([tolerating(25), tolerating(5)], [K], 125.0),
        ([tolerating(25), tolerating(5, "l")], [K, L], 105.0),
        ([tolerating(25), tolerating(None, "l")], [K, L], 125.0),
        ([tolerating(None), tolerating(None, "l")], [K, L], None),
        ([tolerating(25)], [K, L], 100.0),
        ([tolerating(25), tolerating(5, "other")], [K], 125.0),
        ([Toleration(operator="Exists", toleration_seconds=7)], [K, L], 107.0),
    ],
)
def test_when_a_pod_leaves(
    tolerations: list[Toleration], taints: list[Taint], expected: float | None
) -> None:
    """The least of the tolerations used, the first that fits each taint (spec 4.7)."""
    assert node_health.eviction_time(tolerations, taints, 100.0) == expected


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], [NOT_READY, UNREACHABLE]),
        ([tolerating(5, NOT_READY)], [UNREACHABLE]),
        ([Toleration(key=NOT_READY, operator="Exists")], [UNREACHABLE]),
        (
            [Toleration(key=NOT_READY, operator="Exists", effect="NoSchedule")],
            [NOT_READY, UNREACHABLE],
        ),
        ([Toleration(operator="Exists")], []),
    ],
)
def test_admission_adds_what_is_not_tolerated(
    given: list[Toleration], added: list[str]
) -> None:
    """300 s for not-ready and unreachable, unless the pod says otherwise (4.7)."""
    found = pod_tolerations.with_default_tolerations(given)

    assert list(found) == [*given, *(tolerating(300, key) for key in added)]


@pytest.mark.parametrize(
    ("seconds", "evicted_at"), [(0, 51.0), (200, 251.0), (None, None)]
)
def test_each_pod_has_its_own_time(
    seconds: int | None, evicted_at: float | None
) -> None:
    """tolerationSeconds 0 is now, none is for ever (spec 4.7, 7.5)."""
    nodes = Nodes()
    nodes.add("dead", "alive")
    nodes.pods["dead"][0].tolerations = (tolerating(seconds, UNREACHABLE),)
    found = nodes.look(51.0, "alive")
    for now in (250.0, 251.0, 9999.0):
        if found.evict:
            break
        found = nodes.look(now, "alive")

    assert (nodes.now if found.evict else None) == evicted_at


def test_a_taint_of_a_user_evicts_whoever_does_not_tolerate_it() -> None:
    """At once, or after its own seconds from when the taint was set (spec 7.5)."""
    nodes = Nodes()
    nodes.add("a", pods=3)
    strict, patient, stoic = nodes.pods["a"]
    patient.tolerations = (tolerating(25),)
    stoic.tolerations = (tolerating(None),)
    taint = msgspec.structs.replace(K, time_added=times.rfc3339(100.0))
    nodes.change("a", taints=(taint,))
    first = nodes.look(100.0, "a")
    second = nodes.look(125.0, "a")

    assert [each.pod for each in first.evict] == [strict.key]
    assert first.wake_at == 125.0
    assert [each.pod for each in second.evict] == [patient.key]


def test_removing_the_taint_cancels_the_eviction() -> None:
    """A conformance test of spec 7.5."""
    nodes = Nodes()
    nodes.add("a")
    nodes.pods["a"][0].tolerations = (tolerating(25),)
    nodes.change("a", taints=(K,))
    nodes.look(0.0, "a")
    nodes.change("a", taints=())

    assert node_health.is_empty(nodes.look(40.0, "a"))


@pytest.mark.parametrize(
    ("seconds", "evicted_at"),
    [
        pytest.param(10, 200.0, id="tolerated for a while: no news"),
        pytest.param(None, 200.0, id="tolerated for ever: no news"),
        pytest.param(0, 150.0, id="tolerated not at all: now"),
    ],
)
def test_another_taint_keeps_the_time_that_is_set(
    seconds: int | None, evicted_at: float
) -> None:
    """Spec 4.7: a deletion that is scheduled keeps its start, and the earlier trigger
    wins; a shorter toleration of what comes later does not count from before it."""
    nodes = Nodes()
    nodes.add("a")
    other = msgspec.structs.replace(K, key="other")
    nodes.pods["a"][0].tolerations = (
        tolerating(100, K.key),
        tolerating(seconds, other.key),
    )
    first = msgspec.structs.replace(K, time_added=times.rfc3339(100.0))
    later = msgspec.structs.replace(other, time_added=times.rfc3339(150.0))
    nodes.change("a", taints=(first,))
    nodes.look(100.0, "a")
    nodes.change("a", taints=(later, first))
    gone = next(
        now for now in (150.0, 160.0, 199.0, 200.0) if nodes.look(now, "a").evict
    )
    assert gone == evicted_at


def test_a_pod_that_came_later_has_its_time_from_then() -> None:
    """A toleration begins when the pod is subject to the taint."""
    nodes = Nodes()
    nodes.add("dead", "alive")
    nodes.pods["dead"][0].bound_at = 200.0
    nodes.look(51.0, "alive")

    assert nodes.look(499.0, "alive").evict == ()
    assert len(nodes.look(500.0, "alive").evict) == 1


@pytest.mark.parametrize("time_added", [None, "yesterday"])
def test_a_taint_without_a_readable_time_does_no_harm(time_added: str | None) -> None:
    """Its time began just now, whenever that is; the plan goes on."""
    nodes = Nodes()
    nodes.add("a")
    nodes.pods["a"][0].tolerations = (tolerating(25),)
    taint = msgspec.structs.replace(K, time_added=time_added)
    nodes.change("a", taints=(taint,))

    assert nodes.look(10.0, "a").wake_at == 35.0
