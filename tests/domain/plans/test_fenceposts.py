"""Fenceposts, the size of the new ReplicaSet, and rounding (spec 2.6)."""

import pytest

from domain.plans import fenceposts


@pytest.mark.parametrize(
    ("replicas", "max_surge", "max_unavailable", "surge", "unavailable"),
    [
        (1, "25%", "25%", 1, 0),
        (2, "25%", "25%", 1, 0),
        (3, "25%", "25%", 1, 0),
        (4, "25%", "25%", 1, 1),
        (5, "25%", "25%", 2, 1),
        (10, "25%", "25%", 3, 2),
        (10, "39%", "39%", 4, 3),
        (100, "25%", "25%", 25, 25),
        (2, "0%", "1%", 0, 1),
        (2, "1%", "0%", 1, 0),
        (5, 1, 10, 1, 5),
        (0, "25%", "25%", 0, 0),
        (0, 3, 2, 3, 0),
        (10, 0, 0, 0, 1),
    ],
)
def test_the_fenceposts_of_spec_2_6(
    replicas: int,
    max_surge: int | str,
    max_unavailable: int | str,
    surge: int,
    unavailable: int,
) -> None:
    """maxSurge rounds up, maxUnavailable down; both zero is 1; N is the cap."""
    found = fenceposts.resolve(max_surge, max_unavailable, replicas)

    assert (found.surge, found.unavailable) == (surge, unavailable)


def test_recreate_leaves_no_room() -> None:
    """During a Recreate there is neither surge nor unavailability (spec 2.10)."""
    found = fenceposts.for_strategy("Recreate", "50%", "50%", 10)

    assert (found.surge, found.unavailable) == (0, 0)


def test_what_is_no_percentage_is_refused() -> None:
    """A text without % is an error, not a number."""
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        fenceposts.resolve("3", 0, 10)


@pytest.mark.parametrize(
    ("wanted", "new", "total", "surge", "expected"),
    [
        (1, 5, 5, 1, 5),
        (6, 2, 5, 10, 6),
        (10, 0, 10, 2, 2),
        (10, 0, 5, 2, 7),
        (10, 2, 12, 2, 2),
        (10, 0, 10, 0, 0),
    ],
)
def test_the_size_of_the_new_replicaset_of_spec_2_6_and_2_7(
    wanted: int, new: int, total: int, surge: int, expected: int
) -> None:
    """It grows into the room below N + surge, and not beyond N."""
    found = fenceposts.new_replicas(wanted=wanted, new=new, total=total, surge=surge)

    assert found == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, 1), (1.5, 2), (2.5, 3), (-0.5, -1), (-2.5, -3), (2.4, 2), (-2.4, -2)],
)
def test_rounding_is_half_away_from_zero(value: float, expected: int) -> None:
    """Go's math.Round, in contrast to Python's (spec, reading conventions)."""
    assert fenceposts.round_half_away(value) == expected
    assert fenceposts.divide_half_away(round(value * 10), 10) == expected


def test_pythons_round_would_be_wrong() -> None:
    """The vectors above tell the two roundings apart."""
    assert round(2.5) != fenceposts.round_half_away(2.5)


def test_rounding_does_not_add_before_it_cuts() -> None:
    """The largest number below one half goes to 0, although adding 0.5 gives 1."""
    assert fenceposts.round_half_away(0.49999999999999994) == 0
