"""The arithmetic of autoscalers, by the tables and examples of spec 5.3 and 5.5."""

from collections.abc import Mapping, Sequence

import pytest

from domain import autoscaling
from domain.autoscaling import (
    Behavior,
    Memory,
    MetricError,
    PodFacts,
    Policy,
    Rules,
    Sample,
    Tolerances,
)

NOW = 10_000.0
OLD = NOW - 3_600.0
USUAL = Tolerances()


def pod(name: str, **facts: object) -> PodFacts:
    """A pod that has been running and ready for an hour."""
    usual: dict[str, object] = {
        "phase": "Running",
        "terminating": False,
        "ready": True,
        "ready_changed_at": OLD + 5.0,
        "started_at": OLD,
    }
    return PodFacts(name=name, **{**usual, **facts})  # type: ignore[arg-type] # a table


def pods(*which: PodFacts | int) -> list[PodFacts]:
    """Pods `p0`, `p1`, …: usual ones, or the ones given."""
    found: list[PodFacts] = []
    for each in which:
        if isinstance(each, int):
            found += [pod(f"p{len(found) + i}") for i in range(each)]
        else:
            found.append(each)
    return found


def samples(*values: int | None) -> dict[str, Sample]:
    """The samples of `p0`, `p1`, …; None for a pod that says nothing."""
    return {
        f"p{i}": Sample(value=value, at=NOW - 1.0, window=15.0)
        for i, value in enumerate(values)
        if value is not None
    }


def utilization(
    current: int,
    target: int,
    who: Sequence[PodFacts],
    said: Mapping[str, Sample],
    tolerances: Tolerances = USUAL,
    request: int = 1_000,
) -> autoscaling.Proposal:
    """`by_utilization` of the CPU, every pod asking for `request` thousandths."""
    requests = {each.name: request for each in who}
    return autoscaling.by_utilization(
        current, target, who, said, requests, tolerances, NOW, cpu=True
    )


# --- 5.3 groups -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "group"),
    [
        ({"terminating": True}, "ignored"),
        ({"phase": "Failed"}, "ignored"),
        ({"phase": "Pending"}, "unready"),
        ({"ready": None}, "unready"),
        ({"started_at": None}, "unready"),
        ({"started_at": NOW - 299.0, "ready": False}, "unready"),
        ({"started_at": NOW - 299.0, "ready_changed_at": NOW - 17.0}, "ready"),
        ({"started_at": NOW - 299.0, "ready_changed_at": NOW - 15.0}, "unready"),
        ({"ready": False, "ready_changed_at": OLD + 29.0}, "unready"),
        ({"ready": False, "ready_changed_at": OLD + 30.0}, "ready"),
        ({"phase": "Succeeded"}, "ready"),
        ({}, "ready"),
    ],
)
def test_a_pod_belongs_to_the_group_that_the_table_says(
    facts: dict[str, object], group: str
) -> None:
    """Spec 5.3: the table of groups, for the CPU, each row and its edges."""
    found = autoscaling.group([pod("p0", **facts)], samples(500), NOW, cpu=True)
    assert getattr(found, group) == ("p0",)


@pytest.mark.parametrize("facts", [{"ready": False}, {"started_at": None}, {}])
def test_only_the_cpu_asks_for_readiness(facts: dict[str, object]) -> None:
    """Spec 5.3: of any other metric a pod's sample counts, ready or not."""
    found = autoscaling.group([pod("p0", **facts)], samples(500), NOW, cpu=False)
    assert found.ready == ("p0",)


def test_a_pod_without_a_sample_is_missing() -> None:
    """Spec 5.3: running and unheard of is neither ready nor unready."""
    assert autoscaling.group([pod("p0")], {}, NOW, cpu=True).missing == ("p0",)


# --- 5.3 utilization --------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "target", "values", "percent", "replicas"),
    [
        (3, 50, (900, 900, 900), 90, 6),  # the worked example: 1.8 * 3, rounded up
        (3, 50, (900, 900, None), 90, 4),  # one is missing: 60 % in the second pass
        (3, 50, (520, 520, 520), 52, 3),  # 1.04 is within the tolerance
        (3, 50, (550, 550, 550), 55, 3),  # 1.1 is just within
        (3, 50, (560, 560, 560), 56, 4),
        (3, 50, (450, 450, 450), 45, 3),
        (3, 50, (440, 440, 440), 44, 3),  # 0.88 * 3, rounded up
        (4, 50, (100, 100, 100, 100), 10, 1),
        (4, 50, (100, 100, 100, None), 10, 3),  # missing: all of its request
        (2, 100, (1_009, 1_000), 100, 2),  # the percentage is cut, not rounded
        (3, 80, (0, 0, 0), 0, 0),
        (2, 50, (None, 600), 60, 2),  # up, but 30 % with the silent one: kept
        (2, 150, (None, 1_000), 100, 2),  # down; the silent one counts 150 %
    ],
)
def test_utilization_asks_for_this_many_pods(
    current: int,
    target: int,
    values: tuple[int | None, ...],
    percent: int,
    replicas: int,
) -> None:
    """Spec 5.3: the formula, its worked examples, and the second pass."""
    found = utilization(current, target, pods(len(values)), samples(*values))
    assert (found.percent, found.replicas) == (percent, replicas)


def test_unready_pods_dampen_the_way_up() -> None:
    """Spec 5.3: on the way up an unready pod is taken to use nothing."""
    who = pods(2, pod("p2", phase="Pending"))
    assert utilization(3, 30, who, samples(700, 700, 700)).replicas == 5
    assert utilization(3, 30, pods(3), samples(700, 700, 700)).replicas == 7


def test_unready_pods_do_not_count_on_the_way_down() -> None:
    """Spec 5.3: the size follows the ready ones alone."""
    who = pods(2, pod("p2", phase="Pending"))
    assert utilization(3, 50, who, samples(100, 100, 5_000)).replicas == 1


@pytest.mark.parametrize(
    ("who", "said", "text"),
    [
        ([], {}, autoscaling.NO_PODS),
        (pods(2), {}, autoscaling.NO_SAMPLES),
        ([pod("p0", phase="Pending")], samples(500), autoscaling.NO_SAMPLES),
        ([pod("p0", terminating=True)], samples(500), autoscaling.NO_SAMPLES),
    ],
)
def test_without_values_there_is_no_answer(
    who: list[PodFacts], said: dict[str, Sample], text: str
) -> None:
    """Spec 5.3: an error, never a size."""
    with pytest.raises(MetricError, match=text[:20]):
        utilization(3, 50, who, said)


def test_tolerances_differ_by_direction() -> None:
    """Spec 5.1, 7.6: `tolerance` up 2 % and down 30 %."""
    wide = Tolerances(up=0.02, down=0.3)
    assert utilization(10, 50, pods(10), samples(*[520] * 10), wide).replicas == 11
    assert utilization(10, 50, pods(10), samples(*[350] * 10), wide).replicas == 10
    assert utilization(10, 50, pods(10), samples(*[340] * 10), wide).replicas == 7


def test_a_tolerance_of_ten_never_scales() -> None:
    """Spec 7.6: with `tolerance: 10` nothing is far enough from the target."""
    all_of = Tolerances(up=10.0, down=10.0)
    assert (
        utilization(3, 10, pods(3), samples(1_000, 1_000, 1_000), all_of).replicas == 3
    )


# --- 5.3 averages and single values -----------------------------------------------


@pytest.mark.parametrize(
    ("current", "target", "values", "replicas"),
    [
        (3, 15_000, (20_000, 10_000, 30_000), 4),
        (3, 20_000, (20_000, 20_000, 20_999), 3),
        (3, 20_000, (5_000, 5_000, 5_000), 1),
        (3, 20_000, (50_000, None, 40_000), 5),
        (3, 20_000, (5_000, 5_000, None), 2),
    ],
)
def test_averages_ask_for_this_many_pods(
    current: int, target: int, values: tuple[int | None, ...], replicas: int
) -> None:
    """Spec 5.3: averageValue of the pods, missing ones at the target or at nothing."""
    who = pods(len(values))
    found = autoscaling.by_average(current, target, who, samples(*values), USUAL, NOW)
    assert found.replicas == replicas


@pytest.mark.parametrize(
    ("current", "value", "target", "replicas"),
    [(3, 20_000, 10_000, 6), (3, 10_500, 10_000, 3), (3, 1, 10_000, 1), (0, 1, 10, 1)],
)
def test_a_value_asks_for_this_many_pods(
    current: int, value: int, target: int, replicas: int
) -> None:
    """Spec 5.3: Object and External with `value`, by the ready pods."""
    who = pods(3, pod("p3", ready=False))
    assert autoscaling.by_value(current, value, target, who, USUAL).replicas == replicas


@pytest.mark.parametrize(
    ("there", "value", "target", "replicas", "average"),
    [
        (3, 50_000, 10_000, 5, 16_667),
        (5, 50_000, 10_000, 5, 10_000),
        (3, 31_000, 10_000, 3, 10_334),
        (0, 50_000, 10_000, 5, 0),
        (3, 2**62, 1, autoscaling.INT32_MAX, -(-(2**62) // 3)),
    ],
)
def test_a_value_per_pod_asks_for_this_many_pods(
    there: int, value: int, target: int, replicas: int, average: int
) -> None:
    """Spec 5.3: Object and External with `averageValue`, by status.replicas."""
    found = autoscaling.by_value_per_pod(there, value, target, USUAL)
    assert (found.replicas, found.average) == (replicas, average)


# --- 5.5 --------------------------------------------------------------------------


def settled(
    proposal: int,
    current: int,
    *,
    behavior: Behavior | None = None,
    memory: Memory | None = None,
    least: int = 1,
    most: int = 100,
) -> tuple[int, str, str, bool]:
    """The size, and the reasons of both conditions."""
    found = autoscaling.settle(
        proposal,
        current,
        least=least,
        most=most,
        behavior=behavior,
        memory=memory or Memory(),
        now=NOW,
    )
    return found.replicas, found.stabilized, found.limited, found.is_limited


@pytest.mark.parametrize(
    ("proposal", "current", "recent", "most", "expected"),
    [
        (5, 3, (), 100, (5, "ReadyForNewScale", "DesiredWithinRange", False)),
        (9, 1, (), 100, (4, "ReadyForNewScale", "ScaleUpLimit", True)),
        (9, 4, (), 100, (8, "ReadyForNewScale", "ScaleUpLimit", True)),
        (9, 4, (), 7, (7, "ReadyForNewScale", "TooManyReplicas", True)),
        (0, 4, (), 100, (1, "ReadyForNewScale", "TooFewReplicas", True)),
        (1, 4, ((1.0, 4),), 100, (4, "ScaleDownStabilized", "DesiredWithinRange", 0)),
        (1, 4, ((300.0, 3),), 100, (3, "ScaleDownStabilized", "DesiredWithinRange", 0)),
        (1, 4, ((301.0, 4),), 100, (1, "ReadyForNewScale", "DesiredWithinRange", 0)),
    ],
)
def test_without_behavior(
    proposal: int,
    current: int,
    recent: tuple[tuple[float, int], ...],
    most: int,
    expected: tuple[int, str, str, bool],
) -> None:
    """Spec 5.5: five minutes of the highest, at most double or four, the bounds."""
    memory = Memory(recommendations=tuple((NOW - age, size) for age, size in recent))
    assert settled(proposal, current, memory=memory, most=most) == expected


def behavior(
    *,
    up: tuple[Policy, ...] = (),
    down: tuple[Policy, ...] = (),
    up_window: float = 0.0,
    down_window: float = 0.0,
    select: str = "Max",
) -> Behavior:
    """The defaults of spec 5.5 where nothing is given."""
    percent = Policy(percent=True, value=100, period=15.0)
    four = Policy(percent=False, value=4, period=15.0)
    return Behavior(
        up=Rules(window=up_window, select=select, policies=up or (four, percent)),
        down=Rules(window=down_window, select=select, policies=down or (percent,)),
    )


@pytest.mark.parametrize(
    ("current", "up", "down", "sizes"),
    [
        (2, Policy(percent=True, value=50, period=60.0), None, [3, 5, 8]),
        (7, None, Policy(percent=True, value=25, period=60.0), [5, 3, 2]),
        (1, Policy(percent=False, value=1, period=60.0), None, [2, 3, 4]),
        (3, None, Policy(percent=False, value=1, period=60.0), [2, 1, 1]),
    ],
)
def test_policies_limit_each_period(
    current: int, up: Policy | None, down: Policy | None, sizes: list[int]
) -> None:
    """Spec 5.5, 7.6: +50 % a minute is 2 → 3 → 5, −25 % is 7 → 5 → 3, and so on; in
    the same minute nothing more happens."""
    rules = behavior(up=(up,) if up else (), down=(down,) if down else ())
    memory, now = Memory(), NOW
    for size in sizes:
        for _ in range(2):  # and once more in the same period
            found = autoscaling.settle(
                100 if up else 0,
                current,
                least=1,
                most=100,
                behavior=rules,
                memory=memory,
                now=now,
            )
            memory = autoscaling.changed(memory, now, current, found.replicas)
            current = found.replicas
            assert current == size
        now += 60.0


@pytest.mark.parametrize(
    ("select", "proposal", "expected"),
    [
        ("Max", 50, 20),
        ("Min", 50, 14),
        ("Disabled", 50, 10),
        ("Max", 0, 5),
        ("Min", 0, 9),
        ("Disabled", 0, 10),
    ],
)
def test_select_policy(select: str, proposal: int, expected: int) -> None:
    """Spec 5.5: Max is the boldest in either direction, Disabled none at all."""
    one = Policy(percent=False, value=1, period=15.0)
    half = Policy(percent=True, value=50, period=15.0)
    rules = behavior(down=(one, half), select=select)
    assert settled(proposal, 10, behavior=rules)[0] == expected


def test_windows_wait_for_the_whole_of_their_length() -> None:
    """Spec 5.5, 7.6: up needs the lowest of its window, down the highest of its."""
    seen = Memory(recommendations=((NOW - 100.0, 4), (NOW - 50.0, 9)))
    up = behavior(up_window=180.0)
    assert settled(9, 4, behavior=up, memory=seen)[:2] == (4, "ScaleUpStabilized")
    down = behavior(down_window=60.0)
    assert settled(1, 9, behavior=down, memory=seen)[:2] == (9, "ScaleDownStabilized")
    short = behavior(down_window=50.0)
    assert settled(1, 9, behavior=short, memory=seen)[:2] == (1, "ReadyForNewScale")


@pytest.mark.parametrize("proposal", [0, 1, 5, 50, autoscaling.INT32_MAX])
@pytest.mark.parametrize("current", [1, 3, 10, 20])
@pytest.mark.parametrize("with_behavior", [False, True])
def test_the_bounds_hold_whatever_is_proposed(
    proposal: int, current: int, *, with_behavior: bool
) -> None:
    """Spec 5.5: the size is never below `minReplicas` nor above `maxReplicas`, unless
    it was there before."""
    rules = behavior() if with_behavior else None
    size = settled(proposal, current, behavior=rules, least=2, most=15)[0]
    assert min(2, current) <= size <= max(15, current)
