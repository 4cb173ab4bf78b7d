"""Ages and aligned text: the small rules of spec 6.1 and 6.12."""

import pytest

from domain import ages
from gateway.views import tabs

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400

AGES = (
    (-2, "<invalid>"),
    (-1, "0s"),
    (-0.5, "0s"),
    (0, "0s"),
    (119.9, "119s"),
    (2 * MINUTE, "2m"),
    (2 * MINUTE + 5, "2m5s"),
    (10 * MINUTE - 1, "9m59s"),
    (10 * MINUTE, "10m"),
    (179 * MINUTE + 59, "179m"),
    (3 * HOUR, "3h"),
    (3 * HOUR + 10 * MINUTE, "3h10m"),
    (8 * HOUR, "8h"),
    (47 * HOUR + 59 * MINUTE, "47h"),
    (2 * DAY + 3 * HOUR, "2d3h"),
    (7 * DAY, "7d"),
    (400 * DAY, "400d"),
    (2 * YEAR + 5 * DAY, "2y5d"),
    (9 * YEAR, "9y"),
)


@pytest.mark.parametrize(("seconds", "text"), AGES)
def test_ages_are_those_of_kubectl(seconds: float, text: str) -> None:
    """The table of spec 6.1, at its borders."""
    assert ages.human(seconds) == text


def test_the_age_of_no_moment_is_unknown() -> None:
    """Spec 6.1: a zero timestamp."""
    assert ages.age(0.0, 100.0) == "<unknown>"
    assert ages.age(40.0, 100.0) == "60s"


TEXTS = (
    ("no tabs stay as they are\n", "no tabs stay as they are\n"),
    ("a:\t1\nlonger:\t2\n", "a:       1\nlonger:  2\n"),
    ("a:\t1\nTitle\nlonger:\t2\n", "a:  1\nTitle\nlonger:  2\n"),
    ("a\tbb\tc\naaa\tb\tc\n", "a    bb  c\naaa  b   c\n"),
    ("a:\tx\n\ty\n", "a:  x\n    y\n"),
    ("a\t\n", "a  \n"),
    ("x\ty\tz\nlong\tw\nx\ty\tz\n", "x     y  z\nlong  w\nx     y  z\n"),
)


@pytest.mark.parametrize(("text", "aligned"), TEXTS)
def test_a_column_is_a_run_of_neighbouring_cells(text: str, aligned: str) -> None:
    """A cell ends with a tab; a line without one there ends the column."""
    assert tabs.align(text) == aligned
