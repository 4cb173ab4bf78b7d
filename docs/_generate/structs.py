"""What a struct says of itself: its fields as they stand in JSON, and its words.

1. Everything is read from the class: names, types, defaults, docstrings. A document
   never repeats by hand what a class says.
2. Types are told in JSON's words; a struct is named, and described once.
"""

import ast
import functools
import inspect
import itertools
import operator
import re
import textwrap
import typing
from functools import cache
from types import UnionType

import msgspec
from msgspec import inspect as types

Kind = type[msgspec.Struct]
_Field = tuple[str, object] | tuple[str, object, object]

NO_FIELDS = "It has no fields."


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field as it stands in JSON; `default` is empty where it must be given."""

    name: str
    type: str
    default: str
    words: str


def fields(kind: Kind) -> list[Field]:
    """The fields of `kind` in their order."""
    told = types.type_info(kind)
    assert isinstance(told, types.StructType), f"{kind.__name__} is no struct"
    words = _field_words(kind)
    return [
        Field(
            name=each.encode_name,
            type=in_words(each.type),
            default=_default(each),
            words=words.get(each.name, ""),
        )
        for each in told.fields
    ]


def words(kind: type) -> str:
    """The docstring of a class, without its indentation; empty if it has none.

    The fields that it names in backquotes are named as they stand in JSON.
    """
    own = kind.__dict__.get("__doc__")
    text = inspect.cleandoc(own) if own else ""
    if not issubclass(kind, msgspec.Struct):
        return text
    in_json = {each.name: each.encode_name for each in msgspec.structs.fields(kind)}
    return re.sub(
        r"`(\w+)`", lambda found: f"`{in_json.get(found[1], found[1])}`", text
    )


def summary(kind: type) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join(words(kind).partition("\n\n")[0].split())


def parts(kind: Kind) -> list[Kind]:
    """The structs that `kind` is made of, itself left out, each once, in order."""
    found: dict[Kind, None] = {}
    _collect(types.type_info(kind), found)
    found.pop(kind, None)
    return list(found)


@cache
def without_raw_defaults(kind: Kind) -> Kind:
    """A struct of the same JSON whose defaults are plain values, in its parts too.

    A default of the type `Raw` has no place in a schema. `kind` itself where it has
    none.
    """
    if not any(_has_raw_default(each) for each in (kind, *parts(kind))):
        return kind
    shown: list[_Field] = []
    for each in msgspec.structs.fields(kind):
        wanted, default = _without_raw_defaults(each.type), each.default
        if isinstance(default, msgspec.Raw):
            default = msgspec.json.decode(default)
        elif default is msgspec.NODEFAULT and not each.required:
            default = msgspec.field(default_factory=each.default_factory)
        whole = (each.name, wanted, default)
        shown.append(whole[:2] if each.required else whole)
    return msgspec.defstruct(
        kind.__name__,
        shown,
        namespace={"__doc__": words(kind)},
        rename={each.name: each.encode_name for each in msgspec.structs.fields(kind)},
        forbid_unknown_fields=kind.__struct_config__.forbid_unknown_fields,
        kw_only=True,
    )


def _without_raw_defaults(wanted: object) -> object:
    """The same annotation, its structs in their plain form."""
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return without_raw_defaults(wanted)
    inside = typing.get_args(wanted)
    plain = tuple(map(_without_raw_defaults, inside))
    if plain == inside:
        return wanted
    if isinstance(wanted, UnionType):
        return functools.reduce(operator.or_, plain)
    origin = typing.get_origin(wanted)
    assert origin is not None, "what has arguments has an origin"
    found: object = origin[plain]
    return found


def _has_raw_default(kind: Kind) -> bool:
    return any(
        isinstance(each.default, msgspec.Raw) for each in msgspec.structs.fields(kind)
    )


def in_words(told: types.Type) -> str:
    """A type in the words of JSON."""
    match told:
        case types.StructType():
            return told.cls.__name__
        case types.LiteralType():
            return " or ".join(f"`{value}`" for value in told.values)
        case types.UnionType():
            told_types = [in_words(each) for each in told.types]
            if told_types[-1] == "null":
                return f"{' or '.join(told_types[:-1])}, or null"
            return " or ".join(told_types)
        case types.VarTupleType() | types.ListType():
            return f"list of {in_words(told.item_type)}"
        case types.DictType():
            return f"map to {in_words(told.value_type)}"
        case types.Metadata():
            return in_words(told.type)
        case _:
            return _PLAIN.get(type(told), "any JSON")


_PLAIN: dict[type[types.Type], str] = {
    types.StrType: "string",
    types.IntType: "integer",
    types.FloatType: "number",
    types.BoolType: "boolean",
    types.NoneType: "null",
}


def _default(field: types.Field) -> str:
    if field.required:
        return ""
    value = field.default
    if value is msgspec.NODEFAULT:
        assert callable(field.default_factory), "a default is a value or a factory"
        value = field.default_factory()
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return msgspec.json.encode(value).decode()


def _collect(told: types.Type, found: dict[Kind, None]) -> None:
    match told:
        case types.StructType():
            if told.cls not in found:
                found[told.cls] = None
                for field in told.fields:
                    _collect(field.type, found)
        case types.UnionType():
            for each in told.types:
                _collect(each, found)
        case types.VarTupleType() | types.ListType():
            _collect(told.item_type, found)
        case types.DictType():
            _collect(told.value_type, found)
        case types.Metadata():
            _collect(told.type, found)


@cache
def _field_words(kind: Kind) -> dict[str, str]:
    """The docstrings that stand behind fields, those of the base classes too."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not issubclass(base, msgspec.Struct) or base is msgspec.Struct:
            continue
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):
            continue  # a class that was made by a function has no text
        body = getattr(ast.parse(source).body[0], "body", [])
        for field, behind in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match behind:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[field.target.id] = " ".join(text.split())
    return found
