"""Steps: what a fraction is in pods, and when a step is done."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.analysis import Policy, parse_steps
from domain.analysis_run import Run
from domain.plans import fenceposts, progressive, rolling, scaling
from domain.plans.progressive import Hold, Plan, Sizes


class View(NamedTuple):
    """A ReplicaSet as resizing sees it."""

    key: str
    created_at: float
    replicas: int
    available: int
    desired_replicas: int | None = None
    max_replicas: int | None = None

    @property
    def name(self) -> str:
        """The tie-break."""
        return self.key


def at(steps: str, **run: object) -> tuple[Policy, Run]:
    """A policy of these steps, and a run of revision 2 in the middle of them."""
    return Policy(steps=parse_steps(steps)), Run(revision=2, **run)  # type: ignore[arg-type]  # the fields of Run


@pytest.mark.parametrize(
    ("percent", "replicas", "surge", "hold"),
    [
        (10, 10, 1, Hold(new=1, old=9)),
        (10, 3, 1, Hold(new=1, old=2)),
        (50, 5, 0, Hold(new=3, old=2)),
        (95, 10, 3, Hold(new=9, old=1)),
        (99, 2, 1, Hold(new=1, old=1)),
        (10, 1, 1, Hold(new=1, old=1)),
        (10, 1, 0, None),
        (0, 4, 1, Hold(new=0, old=4)),
        (100, 10, 1, None),
        (50, 0, 1, None),
    ],
)
def test_a_fraction_in_pods(
    percent: int, replicas: int, surge: int, hold: Hold | None
) -> None:
    """Rules 1 and 2: rounded up, and one old pod stays, except where there is one pod
    and no room for a second."""
    assert progressive.fraction(percent, replicas=replicas, surge=surge) == hold


def test_no_step_before_the_revision_has_begun() -> None:
    """The first fraction holds from the first pod on; the step is reached after it."""
    policy, _ = at("10%")
    sizes = Sizes(replicas=10, surge=3, old=10)
    assert progressive.plan(policy, Run(), sizes, 0.0) == Plan(hold=Hold(new=1, old=9))
    found = progressive.plan(policy, Run(revision=2), sizes, 0.0)
    assert found.reach == 1


@pytest.mark.parametrize(
    ("new", "available", "old", "reach"),
    [
        (0, 0, 10, 0),
        (1, 0, 9, 0),
        (1, 1, 10, 0),
        (1, 1, 9, 2),
        (4, 4, 6, 2),
    ],
)
def test_a_step_of_pods(new: int, available: int, old: int, reach: int) -> None:
    """Rule 4: done when the new ones are available and the old ones have given way;
    more than its fraction (another rollout left them) is enough."""
    policy, run = at("10%, pause", step=1)
    sizes = Sizes(replicas=10, surge=3, new=new, available=available, old=old)
    assert progressive.plan(policy, run, sizes, 0.0).reach == reach


def test_a_pause_by_time() -> None:
    """It waits for the time, says when to look again, and is over on the second."""
    policy, run = at("10%, pause 1m, 50%", step=2, step_at=100.0)
    sizes = Sizes(replicas=10, surge=3, new=1, available=1, old=9)
    before = progressive.plan(policy, run, sizes, 159.0)
    assert (before.reach, before.waiting, before.wake_at) == (0, True, 160.0)
    after = progressive.plan(policy, run, sizes, 160.0)
    assert (after.reach, after.timed) == (3, True)


@pytest.mark.parametrize("steps", ["10%, pause, 50%", "10%, analyse, 50%"])
def test_what_waits_is_ended_by_promoting(steps: str) -> None:
    """Rule 4: a person ends a pause, and leaves out an analysis."""
    sizes = Sizes(replicas=10, surge=3, new=1, available=1, old=9)
    policy, run = at(steps, step=2)
    assert progressive.plan(policy, run, sizes, 1e9).reach == 0
    policy, run = at(steps, step=2, promoted=2)
    assert progressive.plan(policy, run, sizes, 0.0).reach == 3


@pytest.mark.parametrize(
    ("verdict", "reach"), [("", 0), ("fail", 0), ("inconclusive", 0), ("pass", 3)]
)
def test_an_analysis_that_passes_ends_its_step(verdict: str, reach: int) -> None:
    """Rule 4: nothing but that, and a person."""
    policy, run = at("10%, analyse, 50%", step=2, verdict=verdict)
    sizes = Sizes(replicas=10, surge=3, new=1, available=1, old=9)
    assert progressive.plan(policy, run, sizes, 0.0).reach == reach


@pytest.mark.parametrize(
    "run", [Run(revision=3, rolled_back=True), Run(revision=3, full=True, step=1)]
)
def test_a_rollback_has_no_steps(run: Run) -> None:
    """Nor has a rollout that was promoted in full."""
    policy, _ = at("10%, pause")
    sizes = Sizes(replicas=10, surge=3, old=10)
    assert progressive.plan(policy, run, sizes, 0.0) == Plan()


def test_nothing_is_held_back_where_nothing_ran() -> None:
    """Rule 5: the first revision, and a size of none."""
    policy, run = at("10%, pause", step=1)
    assert progressive.plan(policy, run, Sizes(replicas=10, surge=3), 0.0) == Plan()
    sizes = Sizes(replicas=0, surge=0, old=3)
    assert progressive.plan(policy, run, sizes, 0.0) == Plan()


@given(
    replicas=st.integers(0, 40),
    surge=st.integers(0, 10),
    unavailable=st.integers(0, 10),
    percent=st.integers(0, 100),
    news=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    olds=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4),
)
def test_a_hold_only_makes_it_wait(
    replicas: int,
    surge: int,
    unavailable: int,
    percent: int,
    news: tuple[int, int],
    olds: list[tuple[int, int]],
) -> None:
    """Rule 3, safety: held, the new one never grows more and the old ones never shrink
    more than they would; past its fraction the new one does not grow at all, and below
    theirs the old ones do not shrink at all."""
    room = fenceposts.resolve(surge, unavailable, replicas)
    hold = progressive.fraction(percent, replicas=replicas, surge=room.surge)
    free = scaling.Scaling(
        replicas=replicas,
        strategy=fenceposts.ROLLING_UPDATE,
        fenceposts=room,
        status_replicas=0,
        old_running=False,
    )
    held = scaling.Scaling(
        replicas=replicas,
        strategy=fenceposts.ROLLING_UPDATE,
        fenceposts=room,
        status_replicas=0,
        old_running=False,
        hold=hold,
    )
    new = View("new", 9.0, news[0], min(news))
    old = [View(f"old-{i}", float(i), n, min(n, a)) for i, (n, a) in enumerate(olds)]
    plain, kept = rolling.new_size(free, new, old), rolling.new_size(held, new, old)
    assert kept <= max(plain, new.replicas)
    if hold is not None and new.replicas < replicas:
        assert kept <= max(hold.new, new.replicas)
    before = sum(each.replicas for each in old)
    left = _after(old, rolling.shrink_old(held, new, old))
    assert left >= _after(old, rolling.shrink_old(free, new, old))
    if hold is not None and left < before:
        assert left >= hold.old


@given(
    replicas=st.integers(1, 60),
    former=st.integers(1, 60),
    surge=st.sampled_from(["25%", "1", "0"]),
    percent=st.integers(1, 99),
)
def test_a_resize_in_the_middle_keeps_the_fraction(
    replicas: int, former: int, surge: str, percent: int
) -> None:
    """Scaled in the middle, the new one has no more than its fraction of the new size,
    and no pod of the resize is lost by that."""
    limit: int | str = surge if surge.endswith("%") else int(surge)
    room = fenceposts.resolve(limit, 1, former)
    was = progressive.fraction(percent, replicas=former, surge=room.surge)
    if was is None:
        return
    most = former + room.surge
    new = View("new", 9.0, was.new, was.new, former, most)
    old = View("old", 1.0, was.old, was.old, former, most)
    now = fenceposts.resolve(limit, 1, replicas)
    hold = progressive.fraction(percent, replicas=replicas, surge=now.surge)
    wish = scaling.Scaling(
        replicas=replicas,
        strategy=fenceposts.ROLLING_UPDATE,
        fenceposts=now,
        status_replicas=former,
        old_running=True,
        hold=hold,
    )
    writes = {each.key: each.after for each in scaling.plan(wish, new, [old])}
    if hold is None or not writes:
        return
    assert writes["new"] <= max(hold.new, min(new.replicas, writes["new"]))
    if was.new <= hold.new:
        assert writes["new"] <= hold.new
    assert sum(writes.values()) == replicas + now.surge


def _after(old: list[View], writes: tuple[scaling.ScaleReplicaSet, ...]) -> int:
    sizes = {each.key: each.replicas for each in old}
    for write in writes:
        sizes[write.key] = write.after
    return sum(sizes.values())
