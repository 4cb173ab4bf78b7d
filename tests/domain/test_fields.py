"""Field errors print as in Kubernetes (spec 1.3)."""

import pytest

from domain import fields
from domain.errors import FieldError

VALUES: list[tuple[object, str]] = [
    (None, "null"),
    (True, "true"),
    (0, "0"),
    (-1, "-1"),
    ("", '""'),
    ('a"b\\c\n\x01é', '"a\\"b\\\\c\\n\\x01é"'),
    ("\u200b\U000e0001", '"\\u200b\\U000e0001"'),
    ({"b": "1", "a": "<&>"}, '{"a":"\\u003c\\u0026\\u003e","b":"1"}'),
    (["a", 1], '["a",1]'),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_values_are_printed_as_in_kubernetes(value: object, text: str) -> None:
    """Numbers bare, strings quoted as Go quotes them, the rest compact JSON (1.3)."""
    assert fields.value_text(value) == text


KINDS = [
    (fields.required("f"), "FieldValueRequired", "f: Required value"),
    (fields.required("f", "x"), "FieldValueRequired", "f: Required value: x"),
    (fields.invalid("f", 1, "x"), "FieldValueInvalid", "f: Invalid value: 1: x"),
    (
        fields.unsupported("f", "c", ["a", "b"]),
        "FieldValueNotSupported",
        'f: Unsupported value: "c": supported values: "a", "b"',
    ),
    (fields.duplicate("f", "a"), "FieldValueDuplicate", 'f: Duplicate value: "a"'),
    (fields.forbidden("f", "x"), "FieldValueForbidden", "f: Forbidden: x"),
    (
        fields.too_long("f", 3),
        "FieldValueTooLong",
        "f: Too long: may not be more than 3 bytes",
    ),
    (fields.not_found("f", "a"), "FieldValueNotFound", 'f: Not found: "a"'),
]


@pytest.mark.parametrize(("error", "reason", "text"), KINDS)
def test_each_kind_of_error_has_its_reason_and_text(
    error: FieldError, reason: str, text: str
) -> None:
    """The table of spec 1.3."""
    assert (error.reason, str(error)) == (reason, text)
