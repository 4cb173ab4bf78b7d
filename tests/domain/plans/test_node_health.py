"""Heartbeats, lost nodes and disrupted zones (spec 4.5, 4.6)."""

import msgspec
import pytest

from domain.plans import node_health
from domain.plans.node_health import DEFAULTS, Health, Zone
from tests.domain.plans.nodes import Nodes

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"


# --- spec 4.5 and 4.6: the timeline -----------------------------------------------


def test_the_timeline_of_a_dead_node() -> None:
    """50 s: Unknown and lost at once. 300 s later its pods go (spec 4.6)."""
    nodes = Nodes()
    nodes.add("dead", "alive")

    at_50 = nodes.look(50.0, "alive")
    after_50 = nodes.look(at_50.wake_at or 0.0, "alive")
    before_end = nodes.look(349.0, "alive")
    at_end = nodes.look(before_end.wake_at or 0.0, "alive")

    assert node_health.is_empty(at_50)
    assert at_50.wake_at == pytest.approx(50.000001, abs=1e-9)
    (unready,) = after_50.unready
    assert (unready.node, unready.status, unready.reason, unready.message) == (
        "dead",
        "Unknown",
        "NodeStatusUnknown",
        "Kubelet stopped posting node status.",
    )
    assert after_50.lost == ("dead",)
    assert node_health.is_empty(before_end)
    assert before_end.wake_at == pytest.approx(350.000001, abs=1e-6)
    (evicted,) = at_end.evict
    assert evicted.pod == "pod/default/dead-0"
    assert evicted.reason == "DeletionByTaintManager"
    assert evicted.message == "Taint manager: deleting due to NoExecute taint"


def test_nothing_is_told_twice() -> None:
    """A dead node with its pods evicted writes nothing more (L1)."""
    nodes = Nodes()
    nodes.add("dead", "alive")
    for now in (51.0, 400.0):
        nodes.look(now, "alive")
    found = nodes.look(401.0, "alive")

    assert node_health.is_empty(found)
    assert found.wake_at == pytest.approx(451.000001)


def test_a_node_that_was_never_heard_has_60_seconds() -> None:
    """The startup grace, and another reason (spec 4.5)."""
    nodes = Nodes()
    nodes.add("alive", "new")
    nodes.change("new", heartbeat_at=None, reported=None, status="Unknown", reason="")

    assert node_health.is_empty(nodes.look(60.0, "alive"))
    (unready,) = nodes.look(60.1, "alive").unready
    assert unready.reason == "NodeStatusNeverUpdated"
    assert unready.message == "Kubelet never posted node status."


def test_recovery_before_the_end_keeps_the_pods() -> None:
    """Heard again, the node is ready and no longer lost (spec 4.6)."""
    nodes = Nodes()
    nodes.add("ill", "alive")
    nodes.look(51.0, "alive")
    back = nodes.look(340.0, "ill", "alive")
    later = nodes.look(380.0, "ill", "alive")

    assert back.ready == ("ill",)
    assert back.evict == ()
    assert node_health.is_empty(later)


def test_an_unhealthy_kubelet_is_not_ready() -> None:
    """Ready=False in the kubelet's own words, with the not-ready taint (spec 4.6)."""
    nodes = Nodes()
    nodes.add("ill", "alive")
    nodes.change("ill", reported="False", reported_message="disk is gone")
    (unready,) = nodes.look(5.0, "ill", "alive").unready

    assert (unready.status, unready.reason, unready.message) == (
        "False",
        "KubeletNotReady",
        "disk is gone",
    )
    assert nodes.facts["ill"].lost_at == 5.0


def test_from_not_ready_to_unreachable_the_pods_time_goes_on() -> None:
    """Swapping the taints resets nothing: 300 s from the first (spec 4.6)."""
    nodes = Nodes()
    nodes.add("ill", "alive")
    nodes.change("ill", reported="False")
    nodes.look(5.0, "ill", "alive")
    swapped = nodes.look(100.0, "alive")
    early = nodes.look(304.9, "alive")
    due = nodes.look(305.0, "alive")

    assert swapped.unready[0].status == "Unknown"
    assert early.evict == ()
    assert len(due.evict) == 1


def test_silence_that_nobody_listened_to_proves_nothing() -> None:
    """After the writer's own start every node has the whole grace time (spec 4.5)."""
    nodes = Nodes(health=Health(restarted_at=1000.0))
    nodes.add("a", "b")

    assert node_health.is_empty(nodes.look(1050.0))
    assert len(nodes.look(1050.1).unready) == 2


def test_restarted_timers_do_not_make_a_silent_node_ready() -> None:
    """It has to be heard for that."""
    nodes = Nodes()
    nodes.add("dead", "alive")
    nodes.look(51.0, "alive")
    nodes.health = msgspec.structs.replace(nodes.health, restarted_at=100.0)

    assert nodes.look(101.0, "alive").ready == ()


# --- spec 4.6: zones --------------------------------------------------------------


@pytest.mark.parametrize(
    ("ready", "unready", "state"),
    [
        (5, 0, "Normal"),
        (0, 1, "FullDisruption"),
        (0, 9, "FullDisruption"),
        (1, 2, "Normal"),
        (1, 3, "PartialDisruption"),
        (9, 11, "PartialDisruption"),
        (46, 54, "Normal"),
        (45, 55, "PartialDisruption"),
    ],
)
def test_the_states_of_a_zone(ready: int, unready: int, state: str) -> None:
    """More than 2 and at least 55 % for partial, all of them for full (spec 4.6)."""
    assert node_health.zone_state(ready, unready) == state


@pytest.mark.parametrize(
    ("state", "size", "rate"),
    [
        ("Normal", 3, 0.1),
        ("FullDisruption", 3, 0.1),
        ("PartialDisruption", 50, 0.0),
        ("PartialDisruption", 51, 0.01),
    ],
)
def test_the_rates_of_a_zone(
    state: node_health.ZoneState, size: int, rate: float
) -> None:
    """A small zone in partial disruption is stopped, a large one slowed (spec 4.6)."""
    assert node_health.zone_rate(state, size) == rate


def test_the_first_node_is_lost_at_once_and_others_10_seconds_apart() -> None:
    """0.1 nodes a second in each zone, burst 1 (spec 4.5)."""
    nodes = Nodes()
    nodes.add("a1", "a2", "a3", "b1", "b2", zone="a")
    nodes.add("c1", "c2", zone="c")
    alive = ("a3", "b1", "b2", "c2")
    nodes.look(40.0, *alive)
    first = nodes.look(51.0, *alive)
    waiting = nodes.look(60.9, *alive)
    second = nodes.look(61.0, *alive)

    assert first.lost == ("a1", "c1")
    assert first.wake_at == 61.0
    assert waiting.lost == ()
    assert second.lost == ("a2",)


def test_a_small_zone_in_partial_disruption_loses_nobody() -> None:
    """3 of 4 nodes silent: rather ours than theirs (spec 4.6)."""
    nodes = Nodes()
    nodes.add("a", "b", "c", "d")
    for now in (51.0, 100.0, 1000.0):
        found = nodes.look(now, "d")
        assert found.lost == ()
        assert found.evict == ()
    assert nodes.health.zones["/a"].state == "PartialDisruption"


def test_when_every_zone_is_dark_nobody_is_lost_and_the_lost_are_spared() -> None:
    """A one-node or fully cut off cluster evicts nothing (spec 4.6)."""
    nodes = Nodes()
    nodes.add("a1", "a2", zone="a")
    nodes.add("b1", zone="b")
    assert nodes.look(51.0, "a2", "b1").lost == ("a1",)

    dark = nodes.look(102.0)
    still = nodes.look(5000.0)

    assert nodes.health.suspended
    assert dark.spared == ("a1",)
    assert (dark.lost, dark.evict) == ((), ())
    assert node_health.is_empty(still)
    assert still.wake_at is None


def test_when_light_returns_all_timers_start_anew() -> None:
    """300 s from being lost again, and a slot only after 10 s (spec 4.6)."""
    nodes = Nodes()
    nodes.add("a1", "a2")
    nodes.look(102.0)
    assert nodes.health.suspended

    back = nodes.look(5000.0, "a2")
    lost = nodes.look(back.wake_at or 0.0, "a2")
    early = nodes.look(5309.0, "a2")
    due = nodes.look(5310.0, "a2")

    assert back.ready == ("a2",)
    assert (back.lost, back.evict) == ((), ())
    assert nodes.health.restarted_at == 5000.0
    assert (back.wake_at, lost.lost) == (5010.0, ("a1",))
    assert early.evict == ()
    assert len(due.evict) == 1


def test_one_dark_zone_among_others_goes_on_at_the_usual_rate() -> None:
    """Only when all are dark does it stop (spec 4.6)."""
    nodes = Nodes()
    nodes.add("a1", zone="a")
    nodes.add("b1", zone="b")

    assert nodes.look(51.0, "b1").lost == ("a1",)


def test_a_node_can_be_left_out_of_the_zones() -> None:
    """The exclude-disruption label: it counts for no zone (spec 4.6)."""
    nodes = Nodes()
    nodes.add("a1", "a2")
    label = {node_health.ZONE: "a", node_health.EXCLUDED: ""}
    nodes.change("a2", labels=label)
    nodes.look(51.0, "a2")

    assert nodes.health.suspended


def test_a_change_of_rate_gives_no_slot_that_was_not_there() -> None:
    """A stopped zone that may go on waits for a whole interval first."""
    nodes = Nodes()
    nodes.add("a", "b", "c", "d")
    nodes.look(51.0, "d")
    back = nodes.look(60.0, "c", "d")

    assert back.lost == ()
    assert nodes.health.zones["/a"] == Zone(state="Normal", rate=0.1, next_at=70.0)
    assert nodes.look(70.0, "c", "d").lost == ("a",)


@pytest.mark.parametrize(
    ("labels", "zone"),
    [
        ({}, ""),
        ({node_health.ZONE: "z"}, "/z"),
        ({node_health.REGION: "r"}, "r/"),
        ({node_health.REGION: "r", node_health.ZONE: "z"}, "r/z"),
    ],
)
def test_a_zone_is_region_and_zone(labels: dict[str, str], zone: str) -> None:
    """Both labels name it (spec 4.6)."""
    assert node_health.zone_of(labels) == zone


def test_the_limits_are_those_of_kubernetes() -> None:
    """The constants of spec 4.5 and 4.6."""
    assert (DEFAULTS.monitor_grace, DEFAULTS.startup_grace) == (50, 60)
    assert DEFAULTS.toleration_seconds == 300
    assert (DEFAULTS.rate, DEFAULTS.rate_disrupted) == (0.1, 0.01)
    assert (DEFAULTS.large_zone, DEFAULTS.unhealthy_fraction) == (50, 0.55)
