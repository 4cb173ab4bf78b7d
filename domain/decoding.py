"""Untyped manifests into structs, as strictly as Kubernetes (spec 1.2, 8.2).

1. All unknown fields and all wrong types are found in one pass and named by path.
2. `null` is the same as absent; in a map of texts it is the empty text.
3. A bare number is accepted where a quantity is expected (`cpu: 1`).
4. `managedFields`, `selfLink` and `status` are accepted and dropped.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final, TypeVar

import msgspec
from msgspec import inspect

from domain import quantities

T = TypeVar("T", bound=msgspec.Struct)

_DROPPED: Final = {"ObjectMeta": frozenset({"managedFields", "selfLink"})}
_DEPTH_MAX: Final = 64


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a manifest, in the order of the document."""

    unknown: list[str]
    """Paths of unknown fields."""
    wrong: list[str]
    """Sentences about values of a wrong type, each with its path."""


def convert(raw: Mapping[str, object], struct: type[T]) -> tuple[T | None, Findings]:
    """`raw` as `struct`, or None when there are findings."""
    found, findings = cleaned(raw, struct)
    if findings.wrong or findings.unknown:
        return None, findings
    return msgspec.convert(found, struct), findings


def cleaned(
    raw: Mapping[str, object], struct: type[msgspec.Struct]
) -> tuple[dict[str, object], Findings]:
    """`raw` as far as `struct` knows it: without unknown fields and nulls.

    What it may be converted to is certain only where nothing is of a wrong type.
    """
    findings = Findings(unknown=[], wrong=[])
    found = _clean(raw, _type_of(struct), "", findings)
    return found if isinstance(found, dict) else {}, findings


@cache
def _type_of(struct: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(struct)


@cache
def _fields_of(struct: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    kind = _type_of(struct)
    assert isinstance(kind, inspect.StructType)
    return {field.encode_name: field.type for field in kind.fields}


def _clean(raw: object, kind: inspect.Type, path: str, findings: Findings) -> object:
    """`raw` without what is dropped, its numbers for quantities turned into text."""
    if path.count(".") > _DEPTH_MAX:
        findings.wrong.append(f"{path[:80]}…: nested too deeply")
        return None
    match kind:
        case inspect.StructType():
            return _struct(raw, kind, path, findings)
        case inspect.DictType():
            return _map(raw, kind, path, findings)
        case inspect.VarTupleType():
            return _list(raw, kind, path, findings)
        case inspect.UnionType():
            return _clean(raw, _member(raw, kind), path, findings)
        case inspect.Metadata(type=inner, extra=extra):
            if extra and extra.get("quantity"):
                return _quantity(raw, path, findings)
            return _clean(raw, inner, path, findings)
        case _:
            return _scalar(raw, kind, path, findings)


def _struct(
    raw: object, kind: inspect.StructType, path: str, findings: Findings
) -> object:
    if not isinstance(raw, Mapping):
        return _refuse(raw, "an object", path, findings)
    fields = _fields_of(kind.cls)
    dropped = _DROPPED.get(kind.cls.__name__, frozenset())
    cleaned: dict[str, object] = {}
    for key, value in raw.items():
        inner = f"{path}.{key}" if path else str(key)
        field = fields.get(key)
        if field is None:
            if key not in dropped:
                findings.unknown.append(inner)
        elif value is not None:
            cleaned[key] = _clean(value, field, inner, findings)
    return cleaned


def _map(raw: object, kind: inspect.DictType, path: str, findings: Findings) -> object:
    if not isinstance(raw, Mapping):
        return _refuse(raw, "an object", path, findings)
    cleaned: dict[str, object] = {}
    for key, value in raw.items():
        if not isinstance(key, str) or not _is_unicode(key):
            _refuse(key, "a string as key", path, findings)
            continue
        text = value is None and isinstance(kind.value_type, inspect.StrType)
        cleaned[key] = (
            "" if text else _clean(value, kind.value_type, f"{path}[{key}]", findings)
        )
    return cleaned


def _list(
    raw: object, kind: inspect.VarTupleType, path: str, findings: Findings
) -> object:
    if not isinstance(raw, list | tuple):
        return _refuse(raw, "a list", path, findings)
    return [
        _clean(value, kind.item_type, f"{path}[{index}]", findings)
        for index, value in enumerate(raw)
    ]


def _member(raw: object, kind: inspect.UnionType) -> inspect.Type:
    """The member of a union that `raw` looks like; `None` is never left here."""
    members = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
    if isinstance(raw, str):
        return next((e for e in members if isinstance(e, inspect.StrType)), members[0])
    return members[0]


def _scalar(raw: object, kind: inspect.Type, path: str, findings: Findings) -> object:
    match kind:
        case inspect.StrType():
            good = isinstance(raw, str) and _is_unicode(raw)
            return raw if good else _refuse(raw, "a string", path, findings)
        case inspect.BoolType():
            good = isinstance(raw, bool)
            return raw if good else _refuse(raw, "true or false", path, findings)
        case inspect.IntType(ge=low, le=high):
            if isinstance(raw, bool) or not isinstance(raw, int):
                return _refuse(raw, "an integer", path, findings)
            if low is not None and high is not None and not low <= raw <= high:
                expected = f"an integer between {low} and {high}"
                return _refuse(raw, expected, path, findings)
            return raw
        case _:
            raise AssertionError(f"manifests have no fields of type {kind}")


def _quantity(raw: object, path: str, findings: Findings) -> object:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        raw = str(raw)
    if not isinstance(raw, str):
        return _refuse(raw, "a quantity", path, findings)
    try:
        quantities.parse(raw)
    except ValueError as error:
        findings.wrong.append(f"{path}: {error}")
    return raw


def _is_unicode(text: str) -> bool:
    """Half a character (a lone surrogate) can be in JSON and in no encoding."""
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)


def _refuse(raw: object, expected: str, path: str, findings: Findings) -> object:
    """Notes the wrong type; what it gives back stands in for the value."""
    where = path or "the object"
    findings.wrong.append(f"{where}: expected {expected}, got {_say(raw)}")
    return raw


def _say(raw: object) -> str:
    match raw:
        case None:
            return "null"
        case bool():
            return str(raw).lower()
        case int() | float():
            return f"the number {raw}"
        case str():
            if not _is_unicode(raw):
                return "a string with half a character"
            shown = raw if len(raw) <= 40 else f"{raw[:40]}…"
            return f'the string "{shown}"'
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return f"a {type(raw).__name__}"
