"""Label selectors match, print and parse as in Kubernetes (spec 1.4, 3.3)."""

import pytest

from domain import labels
from domain.errors import Rejected
from domain.labels import LabelSelector, LabelSelectorRequirement


def expression(key: str, operator: str, *values: str) -> LabelSelector:
    requirement = LabelSelectorRequirement(key=key, operator=operator, values=values)
    return LabelSelector(match_expressions=(requirement,))


MATCHES = [
    (LabelSelector(), {}, True),
    (LabelSelector(), {"a": "b"}, True),
    (LabelSelector(match_labels={"a": "b"}), {"a": "b", "c": "d"}, True),
    (LabelSelector(match_labels={"a": "b"}), {"a": "c"}, False),
    (LabelSelector(match_labels={"a": ""}), {}, False),
    (expression("a", "In", "x", "y"), {"a": "y"}, True),
    (expression("a", "In", "x", "y"), {"a": "z"}, False),
    (expression("a", "In", "x"), {}, False),
    (expression("a", "NotIn", "x"), {"a": "x"}, False),
    (expression("a", "NotIn", "x"), {"a": "y"}, True),
    (expression("a", "NotIn", "x"), {}, True),
    (expression("a", "Exists"), {"a": ""}, True),
    (expression("a", "Exists"), {}, False),
    (expression("a", "DoesNotExist"), {}, True),
    (expression("a", "DoesNotExist"), {"a": ""}, False),
    (expression("a", "Gt", "9"), {"a": "10"}, True),
    (expression("a", "Gt", "9"), {"a": "9"}, False),
    (expression("a", "Lt", "9"), {"a": "8"}, True),
    (expression("a", "Lt", "9"), {"a": "x"}, False),
    (expression("a", "Lt", "9"), {}, False),
    (expression("a", "Near", "x"), {"a": "x"}, False),
]


@pytest.mark.parametrize(("selector", "target", "expected"), MATCHES)
def test_every_operator_selects_as_in_kubernetes(
    selector: LabelSelector, target: dict[str, str], expected: bool
) -> None:
    """The four operators, the two of questions, the empty selector, absent keys."""
    assert labels.matches(selector, target) is expected


def test_all_requirements_must_hold() -> None:
    """One requirement that fails is enough to leave an object out."""
    selector = labels.parse_selector("app=web,tier in (front,back),!old")
    assert labels.matches(selector, {"app": "web", "tier": "back"})
    assert not labels.matches(selector, {"app": "web", "tier": "db"})
    assert not labels.matches(selector, {"app": "web", "tier": "back", "old": "1"})


def test_an_absent_selector_matches_nothing() -> None:
    """A missing selector and an empty one are opposites (spec 1.4)."""
    assert not labels.matches(None, {})
    assert not labels.is_empty(None)
    assert labels.is_empty(LabelSelector())
    assert not labels.is_empty(LabelSelector(match_labels={"a": "b"}))


FORMATS = [
    ("pod-template-hash=5d78,app=web", "app=web,pod-template-hash=5d78"),
    (
        "a=b,c!=d,e in (y,x),f notin (z),g,!h",
        "a=b,c notin (d),e in (x,y),f notin (z),g,!h",
    ),
    (" a = b , x ", "a=b,x"),
    ("a==b", "a=b"),
    ("a=", "a="),
    ("", ""),
    ("a.example.com/b=c", "a.example.com/b=c"),
    ("in in (in)", "in in (in)"),
    ("a in ()", "a in ()"),
    ("b<7, a > 5", "a>5,b<7"),
    ("a in (x,,y)", "a in (,x,y)"),
]


@pytest.mark.parametrize(("text", "printed"), FORMATS)
def test_a_selector_text_is_read_and_printed_sorted_by_key(
    text: str, printed: str
) -> None:
    """What `-l` accepts, in the form that kubectl prints; that form reads the same."""
    selector = labels.parse_selector(text)
    assert labels.format_selector(selector) == printed
    again = labels.parse_selector(printed)
    assert labels.format_selector(again) == printed


def test_not_equal_also_matches_an_absent_key() -> None:
    """`c!=d` means NotIn."""
    selector = labels.parse_selector("c!=d")
    assert selector == expression("c", "NotIn", "d")
    assert labels.matches(selector, {})


def test_two_values_for_one_key_match_nothing() -> None:
    """`a=b,a=c` are two sentences that cannot both hold."""
    selector = labels.parse_selector("a=b,a=c")
    assert not labels.matches(selector, {"a": "b"})
    assert not labels.matches(selector, {"a": "c"})


@pytest.mark.parametrize(
    "text",
    ["a,", ",a", "a>x", "a>", "a=b c", "a in x", "a in (x", "=b", "a in (/)", "a/b/c"],
)
def test_a_text_that_is_no_selector_is_refused_with_an_example(text: str) -> None:
    """The refusal quotes the text and says how to write one."""
    with pytest.raises(Rejected, match="unable to parse selector") as refused:
        labels.parse_selector(text)
    assert refused.value.reason == "BadRequest"
    assert f'"{text}"' in refused.value.message
