"""Makes `FieldError`s with Kubernetes' texts (spec 1.3).

1. The text is the kind of error, then the value where spec 1.3 says so, then a detail.
2. Numbers, booleans and null print bare, strings quoted, everything else as compact
   JSON, the keys of maps sorted.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from domain.errors import FieldError

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_GO_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_HTML_ESCAPES: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def required(path: str, detail: str = "") -> FieldError:
    """What must be there is not."""
    return _error("FieldValueRequired", path, "Required value", detail)


def invalid(path: str, value: object, detail: str) -> FieldError:
    """The value breaks the rule that `detail` states."""
    head = f"Invalid value: {value_text(value)}"
    return _error("FieldValueInvalid", path, head, detail)


def unsupported(path: str, value: object, supported: Iterable[str]) -> FieldError:
    """The value is none of `supported`, which are listed in the given order."""
    listed = ", ".join(quote(each) for each in supported)
    head = f"Unsupported value: {value_text(value)}"
    return _error("FieldValueNotSupported", path, head, f"supported values: {listed}")


def duplicate(path: str, value: object) -> FieldError:
    """The value must be unique in its list and is not."""
    head = f"Duplicate value: {value_text(value)}"
    return _error("FieldValueDuplicate", path, head, "")


def forbidden(path: str, detail: str) -> FieldError:
    """The field may not be there at all."""
    return _error("FieldValueForbidden", path, "Forbidden", detail)


def too_long(path: str, limit: int) -> FieldError:
    """More than `limit` bytes."""
    detail = f"may not be more than {limit} bytes"
    return _error("FieldValueTooLong", path, "Too long", detail)


def not_found(path: str, value: object) -> FieldError:
    """The value refers to something that is not there."""
    return _error("FieldValueNotFound", path, f"Not found: {value_text(value)}", "")


def not_negative(path: str, value: int | None) -> list[FieldError]:
    """An error when `value` is there and below 0."""
    if value is None or value >= 0:
        return []
    return [invalid(path, value, "must be greater than or equal to 0")]


def each_invalid(path: str, value: object, details: Iterable[str]) -> list[FieldError]:
    """One error about the same value for each of `details`."""
    return [invalid(path, value, detail) for detail in details]


def value_text(value: object) -> str:
    """`value` as it stands in an error (rule 2)."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return quote(value)
        case _:
            return _ENCODER.encode(value).decode().translate(_HTML_ESCAPES)


def quote(text: str) -> str:
    """`text` in double quotes, escaped as Go's `%q` does."""
    return f'"{"".join(_quoted(character) for character in text)}"'


def _error(reason: str, path: str, head: str, detail: str) -> FieldError:
    message = f"{head}: {detail}" if detail else head
    return FieldError(reason=reason, message=message, field=path)


def _quoted(character: str) -> str:
    escaped = _GO_ESCAPES.get(character)
    if escaped is not None:
        return escaped
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
