"""Quantities read, compare and print as in Kubernetes (spec 2.3)."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain import quantities

CANONICAL = [
    ("0", "0"),
    ("-0", "0"),
    ("0.5", "500m"),
    (".5", "500m"),
    ("5.", "5"),
    ("+3", "3"),
    ("1000m", "1"),
    ("1500m", "1500m"),
    ("1000000", "1M"),
    ("1024", "1024"),
    ("128M", "128M"),
    ("1000k", "1M"),
    ("1024Ki", "1Mi"),
    ("1.5Gi", "1536Mi"),
    ("0.5Gi", "512Mi"),
    ("0.5Ki", "512"),
    ("1.5Ki", "1536"),
    ("0.1Gi", "107374182400m"),
    ("-1.5Gi", "-1536Mi"),
    ("1e3", "1e3"),
    ("1E3", "1e3"),
    ("12e-3", "12e-3"),
    ("1E", "1E"),
    ("100n", "100n"),
    ("0.1n", "1n"),
    ("-0.1n", "-1n"),
]


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_the_canonical_form_is_kubernetes(text: str, expected: str) -> None:
    """The largest suffix without a fraction, in the family that was written."""
    assert quantities.canonical(text) == expected


VALUES = [
    ("500m", "0.5", 500, 1),
    ("1", "1", 1000, 1),
    ("1.0001", "1.0001", 1001, 2),
    ("1u", "0.000001", 1, 1),
    ("-1500m", "-1.5", -1500, -1),
    ("64Mi", "67108864", 67108864000, 67108864),
    ("1e3", "1000", 1000000, 1000),
    ("1Ei", "1152921504606846976", 1152921504606846976000, 1152921504606846976),
]


@pytest.mark.parametrize(("text", "number", "milli", "whole"), VALUES)
def test_numbers_are_exact_and_round_up(
    text: str, number: str, milli: int, whole: int
) -> None:
    """`parse` is exact; thousandths and whole units are rounded up."""
    assert quantities.parse(text) == Decimal(number)
    assert quantities.cpu_milli(text) == min(milli, 2**63 - 1)
    assert quantities.whole(text) == whole


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 Gi",
        "1gi",
        "1K",
        "abc",
        "1.2.3",
        "--1",
        ".",
        "1e",
        "1e999",
        "0x1",
        "1Mi ",
        "1\n",
        "٣",
        "1mm",
        "1" * 65,
    ],
)
def test_a_text_that_is_no_quantity_is_refused_with_the_pattern(text: str) -> None:
    """The error quotes Kubernetes' pattern and the text."""
    with pytest.raises(ValueError, match="quantities must match the regular") as error:
        quantities.parse(text)
    assert text in str(error.value)


def test_huge_numbers_are_cut_to_64_bits() -> None:
    """What does not fit is the largest number that does, as in Kubernetes."""
    assert quantities.whole("1e99") == 2**63 - 1
    assert quantities.whole("-9E99") == -(2**63 - 1)
    assert quantities.cpu_milli("1e99") == 2**63 - 1


texts = st.builds(
    lambda sign, digits, fraction, suffix: f"{sign}{digits}{fraction}{suffix}",
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 10**12),
    st.sampled_from(["", ".", ".5", ".125", ".0001", ".1"]),
    st.sampled_from(
        ["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E-2", "e0"]
    ),
)


@given(texts)
@example("1685101453.125Ki")
def test_printing_never_changes_the_number(text: str) -> None:
    """Both forms mean the number that they were made from, and are stable; a binary
    one that no power of 1024 divides is printed without a suffix, and so is decimal
    from then on, as in Kubernetes."""
    for form in (quantities.canonical, quantities.shortest):
        printed = form(text)
        assert quantities.parse(printed) == quantities.parse(text)
        again = form(printed)
        if "i" in text and printed[-1].isdigit():
            assert quantities.parse(again) == quantities.parse(text)
            assert form(again) == again
        else:
            assert again == printed


@given(texts, texts)
def test_the_shortest_form_is_the_same_exactly_for_equal_numbers(
    a: str, b: str
) -> None:
    """Equal texts are equal numbers, and equal numbers are equal texts (spec 2.3)."""
    same = quantities.parse(a) == quantities.parse(b)
    assert (quantities.shortest(a) == quantities.shortest(b)) is same
    number = quantities.parse(a)
    respelt = f"{number:f}" if len(f"{number:f}") <= 64 else a
    assert quantities.shortest(respelt) == quantities.shortest(a)


@pytest.mark.parametrize(
    ("a", "b"), [("1024", "1Ki"), ("0.5", "500m"), ("1Gi", "1073741824"), ("1e3", "1k")]
)
def test_one_number_has_one_shortest_text(a: str, b: str) -> None:
    """However it was written."""
    assert quantities.shortest(a) == quantities.shortest(b)
