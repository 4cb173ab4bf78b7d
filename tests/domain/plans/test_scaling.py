"""The scale path: whole, saturated, in proportion (spec 2.9)."""

import msgspec
import pytest

from domain.plans import fenceposts, scaling
from domain.plans.fenceposts import Fenceposts
from domain.plans.rollout import ReplicaSetFacts


def sets(
    sizes: list[int], maximum: int | None, *, desired: int | None = 1
) -> list[ReplicaSetFacts]:
    """ReplicaSets of these sizes, oldest first, sized once for another Deployment."""
    return [
        ReplicaSetFacts(
            key=f"replicaset/default/web-{index}",
            name=f"web-{index}",
            uid=f"u{index}",
            created_at=float(index),
            template_matches=False,
            replicas=size,
            desired_replicas=desired,
            max_replicas=maximum,
        )
        for index, size in enumerate(sizes)
    ]


def wish(
    replicas: int,
    surge: int,
    *,
    strategy: str = fenceposts.ROLLING_UPDATE,
    status_replicas: int = 0,
    old_running: bool = False,
) -> scaling.Scaling:
    return scaling.Scaling(
        replicas=replicas,
        strategy=strategy,
        fenceposts=Fenceposts(surge=surge, unavailable=0),
        status_replicas=status_replicas,
        old_running=old_running,
    )


def sizes_after(
    found: tuple[scaling.ScaleReplicaSet, ...], before: list[ReplicaSetFacts]
) -> list[int]:
    written = {each.key: each.after for each in found}
    return [written.get(each.key, each.replicas) for each in before]


@pytest.mark.parametrize(
    ("replicas", "surge", "maximum", "before", "with_new", "after"),
    [
        (12, 0, 10, [10], True, [12]),
        (5, 0, 10, [10], True, [5]),
        (10, 0, 5, [3, 2], True, [6, 4]),
        (3, 0, 5, [3, 2], True, [2, 1]),
        (4, 0, 9, [1, 8], True, [0, 4]),
        (10, 0, 7, [2, 3, 2], True, [3, 4, 3]),
        (8, 0, 13, [3, 8, 2], True, [2, 5, 1]),
        (4, 0, 3, [1, 1, 1], True, [1, 1, 2]),
        (2, 0, 3, [1, 1, 1], True, [0, 1, 1]),
        (5, 0, 4, [2, 2], False, [2, 3]),
        (0, 0, 6, [1, 2, 3], True, [0, 0, 0]),
        (6, 0, None, [0, 0, 0], True, [0, 0, 6]),
        (20, 2, 12, [6, 6], True, [11, 11]),
        (50, 6, 13, [8, 5], True, [34, 22]),
        (14, 0, 10, [3, 7], False, [4, 10]),
        (30, 3, 13, [8, 5], True, [20, 13]),
        (120, 20, 120, [100, 20], True, [117, 23]),
        (2, 1, 3, [1, 2], True, [1, 2]),
    ],
)
def test_the_sizes_of_spec_2_9(
    replicas: int,
    surge: int,
    maximum: int | None,
    before: list[int],
    with_new: bool,
    after: list[int],
) -> None:
    """Every row of the table, sizes oldest to newest."""
    every = sets(before, maximum)
    new = every[-1] if with_new else None
    old = every[:-1] if with_new else every

    found = scaling.plan(wish(replicas, surge), new, old)

    assert sizes_after(found, every) == after


def test_every_resized_one_gets_the_new_annotations() -> None:
    """120 replicas and surge 20 are annotated 120 / 140 on both (spec 2.9)."""
    every = sets([100, 20], 120, desired=100)

    found = scaling.plan(wish(120, 20), every[1], every[:1])

    assert {(each.desired, each.maximum) for each in found} == {(120, 140)}
    assert len(found) == 2


def test_annotations_are_refreshed_where_the_size_stays() -> None:
    """An unchanged size with stale annotations is written all the same."""
    every = sets([1, 2], 3, desired=1)

    found = scaling.plan(wish(2, 1), every[1], every[:1])

    assert [(each.before, each.after) for each in found] == [(2, 2), (1, 1)]


def test_nothing_is_written_twice() -> None:
    """Sizes and annotations that are right already are no write (I11)."""
    every = sets([1, 2], 3, desired=2)

    assert scaling.plan(wish(2, 1), every[1], every[:1]) == ()


def test_saturated_new_one_ends_the_old_ones() -> None:
    """Size, annotation and available pods all say N: the old ones go to 0."""
    old, new = sets([2, 5], 5, desired=5)
    new = msgspec.structs.replace(new, available=5)

    found = scaling.plan(wish(5, 0), new, [old])

    assert [(each.key, each.after) for each in found] == [(old.key, 0)]


@pytest.mark.parametrize(("desired", "available"), [(5, 4), (4, 5), (None, 5)], ids=str)
def test_not_saturated_is_in_proportion(desired: int | None, available: int) -> None:
    """One sign missing, and old pods are not all ended at once."""
    old, new = sets([2, 5], 7, desired=desired)
    new = msgspec.structs.replace(new, available=available)

    assert not scaling.is_saturated(5, new)
    assert sizes_after(scaling.plan(wish(5, 2), new, [old]), [old]) == [2]


@pytest.mark.parametrize(
    ("replicas", "surge", "size", "annotation", "status", "expected"),
    [
        (0, 0, 10, None, 0, -10),
        (10, 0, 5, None, 0, 0),
        (120, 0, 50, None, 100, 10),
        (120, 0, 50, 0, 100, 10),
        (120, 0, 50, 100, 0, 10),
        (120, 10, 50, 110, 0, 9),
        (10, 0, 6, 12, 0, -1),
        (100, 10, 50, 130, 0, -8),
    ],
)
def test_the_fractions_of_spec_2_9(
    replicas: int,
    surge: int,
    size: int,
    annotation: int | None,
    status: int,
    expected: int,
) -> None:
    """A share of the limit when it was last scaled, rounded half away from zero."""
    (only,) = sets([size], annotation)

    found = scaling.fraction(wish(replicas, surge, status_replicas=status), only)

    assert found == expected


@pytest.mark.parametrize(
    ("sizes", "desired", "expected"),
    [
        ([3], 3, False),
        ([3], 2, True),
        ([0], 2, False),
        ([3], None, False),
        ([3, 1], 2, True),
    ],
)
def test_a_scaling_is_recognised_by_the_annotation(
    sizes: list[int], desired: int | None, expected: bool
) -> None:
    """Only active ReplicaSets with a readable annotation tell (spec 2.2, step 9)."""
    assert scaling.is_scaling_event(3, sets(sizes, 3, desired=desired)) is expected


def test_recreate_leaves_several_active_ones_to_the_strategy() -> None:
    """Nothing is resized in proportion under Recreate (spec 2.9, rule 4)."""
    every = sets([3, 2], 5)

    assert scaling.plan(wish(10, 0, strategy="Recreate"), every[1], every[:1]) == ()


@pytest.mark.parametrize(("old_running", "after"), [(True, [0, 2]), (False, [0, 5])])
def test_recreate_does_not_grow_the_new_one_while_old_pods_run(
    old_running: bool, after: list[int]
) -> None:
    """I3 holds on the scale path too."""
    every = sets([0, 2], 2)

    found = scaling.plan(
        wish(5, 0, strategy="Recreate", old_running=old_running), every[1], every[:1]
    )

    assert sizes_after(found, every) == after


def test_with_nothing_at_all_there_is_nothing_to_scale() -> None:
    """A Deployment that was created paused has no ReplicaSet (spec 2.11)."""
    assert scaling.plan(wish(5, 0), None, []) == ()


def test_without_an_active_or_new_one_the_youngest_grows() -> None:
    """It is the latest revision that is started again (spec 2.9, rule 1)."""
    every = sets([0, 0], 2)

    assert sizes_after(scaling.plan(wish(5, 0), None, every), every) == [0, 5]
