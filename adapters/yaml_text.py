"""YAML as Kubernetes reads it, into values that JSON has.

1. `yes` and `on` are booleans, dates and clock times are plain texts, `0644` is octal;
   `.inf` and `.nan` and tags of one's own are refused.
2. A key that is written twice in one map is noted by its path; whoever asked decides.
3. Texts are bounded: so deep, and so many values, aliases counted as often as they are
   followed. The depth is looked at first, because PyYAML's composer recurses in C.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec
import yaml

DEPTH_MAX: Final = 64
NODES_MAX: Final = 100_000
_TAG: Final = "tag:yaml.org,2002:"


class Unreadable(ValueError):
    """The text is no YAML, or more than JSON can say; one sentence with the place."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document; None where it is empty. `duplicates` are the paths of rule 2."""

    value: object
    duplicates: tuple[str, ...] = ()


def documents(text: str) -> Iterator[Document]:
    """The documents of `text`, in order. Raises `Unreadable`."""
    try:
        _refuse_depth(text)
        for node in yaml.compose_all(text, Loader=_Loader):
            reader = _Reader()
            value = None if node is None else reader.value(node, "")
            yield Document(value=value, duplicates=tuple(reader.duplicates))
    except yaml.YAMLError as error:
        text = str(error).replace('in "<unicode string>",', "at")
        raise Unreadable(" ".join(text.split())) from error
    except RecursionError as error:
        raise Unreadable("the text is nested too deeply") from error


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise yaml.YAMLError(f"the text is nested more than {DEPTH_MAX} deep")


_SCALARS: Final = (
    ("bool", "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE", "yYnNtTfF"),
    ("bool", "on|On|ON|off|Off|OFF", "oO"),
    ("null", "~|null|Null|NULL", "~nN"),
    ("int", "[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+)", "-+0"),
    ("int", "[-+]?(?:0|[1-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", "<<", "<"),
)
"""Tag, pattern and first characters of each plain scalar that is not a text."""


class _Loader(yaml.CSafeLoader):
    """Knows the plain scalars of rule 1, and no others."""


_Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        f"{_TAG}{_name}", re.compile(rf"(?:{_pattern})\Z"), list(_first)
    )
_Loader.add_implicit_resolver(f"{_TAG}null", re.compile(r"\Z"), [""])


class _Reader:
    """Turns composed YAML nodes into plain values; one reader per document."""

    def __init__(self) -> None:
        self._visited = 0
        self.duplicates: list[str] = []

    def value(self, node: yaml.Node, path: str) -> object:
        """The value of `node`; keys that are there twice are noted by their path.

        Aliases are followed, so visits are counted: a short text can mean a huge or an
        endless value.
        """
        self._visited += 1
        if self._visited > NODES_MAX:
            raise yaml.YAMLError(f"the text means more than {NODES_MAX} values")
        match node:
            case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
                return self._mapping(node, path)
            case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
                return [
                    self.value(each, f"{path}[{index}]")
                    for index, each in enumerate(node.value)
                ]
            case yaml.ScalarNode():
                return _scalar(node.tag, node.value)
            case _:
                raise yaml.YAMLError(
                    f"{path or 'the document'}: the tag {node.tag} is not supported"
                )

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, object]:
        mapped: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = _key(key_node)
            inner = f"{path}.{key}" if path else key
            value = self.value(value_node, inner)
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged |= _merged(value, inner)
                continue
            if key in mapped:
                self.duplicates.append(inner)
            mapped[key] = value
        return {**merged, **mapped}


def _merged(value: object, path: str) -> dict[str, object]:
    """What `<<` brings in: a map, or several of which the first one wins."""
    result: dict[str, object] = {}
    for each in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(each, dict):
            raise yaml.YAMLError(f"{path}: only an object can be merged")
        result |= each
    return result


def _scalar(tag: str, text: str) -> object:
    try:
        match tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() in ("true", "yes", "on")
            case "int":
                return _integer(text.replace("_", ""))
            case "float":
                return float(text)
            case _:
                raise yaml.YAMLError(f"the tag {tag} is not supported")
    except ValueError:
        raise yaml.YAMLError(f'"{text[:40]}" is not a number of JSON') from None


def _integer(text: str) -> int:
    octal = len(text.lstrip("+-")) > 1 and text.lstrip("+-").isdigit()
    return int(text, 8 if octal and text.lstrip("+-").startswith("0") else 0)


def _key(node: yaml.Node) -> str:
    """A key as JSON would have it: its text."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    raise yaml.YAMLError("a key must be a text")
