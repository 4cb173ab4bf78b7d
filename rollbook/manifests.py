"""Reads manifests: files, folders and text, YAML or JSON, into raw objects.

1. Nothing is judged here but the text itself: what the objects mean is decoded by
   `domain.objects`.
2. YAML is read as Kubernetes reads it: `yes` and `on` are booleans, dates and clock
   times are plain texts, `0644` is octal, and a key that is written twice is refused.
3. Empty documents are skipped, and an object of kind `List` becomes its items.
4. PyYAML is imported when something is read, so that commands without files start fast.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from domain import objects
from domain.errors import Rejected

if TYPE_CHECKING:
    import yaml

SUFFIXES: Final = (".json", ".yaml", ".yml")
STDIN: Final = "-"
NODES_MAX: Final = 100_000
DEPTH_MAX: Final = 64
SIZE_MAX: Final = 3 * 1024 * 1024


class LoadedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a file, as parsed."""

    raw: dict[str, object]
    source: str
    """The file, or where else the text came from; for messages."""


def load(text: str, source: str) -> list[LoadedManifest]:
    """All objects in `text`, in order; `source` names the text in messages.

    Raises `Rejected("BadRequest")` when the text is no YAML, a document is no object,
    or a key is written twice in one map: every such key is named by its path.
    """
    import yaml

    if len(text) > SIZE_MAX:
        raise _bad(source, f"the text is longer than {SIZE_MAX} characters")
    try:
        _refuse_depth(text)
        return [
            LoadedManifest(raw=raw, source=source)
            for document in yaml.compose_all(text, Loader=_loader())
            if document is not None
            for raw in _objects(document, source)
        ]
    except yaml.YAMLError as error:
        raise _bad(source, _sentence(error)) from error
    except RecursionError as error:
        raise _bad(source, "the text is nested too deeply") from error


def load_files(
    paths: Sequence[str], *, recursive: bool = False, stdin: str = ""
) -> list[LoadedManifest]:
    """All objects of the files, folders and standard input (`-`, as `stdin`).

    A folder gives its .json, .yaml and .yml files, sorted by path, those of its folders
    only when `recursive`. Raises `Rejected("BadRequest")` when a path does not exist,
    cannot be read, or a folder holds no manifest.
    """
    loaded: list[LoadedManifest] = []
    for path in paths:
        if path == STDIN:
            loaded += load(stdin, "STDIN")
            continue
        for file in _files(Path(path), recursive):
            loaded += load(_read(file), str(file))
    return loaded


def _refuse_depth(text: str) -> None:
    """The parser's composer recurses in C: what is too deep must not reach it."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise yaml.YAMLError(f"the text is nested more than {DEPTH_MAX} deep")


def _files(path: Path, recursive: bool) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.iterdir()
    files = sorted(each for each in found if each.suffix in SUFFIXES and each.is_file())
    if not files:
        raise _bad(str(path), f"no file ends in {', '.join(SUFFIXES)}")
    return files


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise _bad(str(path), "the path does not exist") from None
    except UnicodeDecodeError:
        raise _bad(str(path), "the file is not UTF-8 text") from None
    except OSError as error:
        raise _bad(str(path), f"cannot be read: {error.strerror}") from error


class _Reader:
    """Turns composed YAML nodes into plain values; one reader per document."""

    def __init__(self) -> None:
        self._visited = 0
        self.duplicates: list[str] = []

    def value(self, node: "yaml.Node", path: str) -> object:
        """The value of `node`; keys that are there twice are noted by their path.

        Aliases are followed, so visits are counted: a short text can mean a huge or an
        endless value.
        """
        import yaml

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

    def _mapping(self, node: "yaml.MappingNode", path: str) -> dict[str, object]:
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
    import yaml

    result: dict[str, object] = {}
    for each in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(each, dict):
            raise yaml.YAMLError(f"{path}: only an object can be merged")
        result |= each
    return result


def _scalar(tag: str, text: str) -> object:
    import yaml

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
        raise yaml.YAMLError(f'"{text[:40]}" is not a number') from None


def _integer(text: str) -> int:
    octal = len(text.lstrip("+-")) > 1 and text.lstrip("+-").isdigit()
    return int(text, 8 if octal and text.lstrip("+-").startswith("0") else 0)


def _objects(document: "yaml.Node", source: str) -> list[dict[str, object]]:
    """The objects of one document: itself, or the items of a List."""
    reader = _Reader()
    raw = reader.value(document, "")
    if raw is None:
        return []
    if not isinstance(raw, dict):
        raise _bad(source, "a manifest must be an object with apiVersion and kind")
    if reader.duplicates:
        _refuse_duplicates(raw, reader.duplicates, source)
    items = raw.get("items")
    if raw.get("kind") != "List" or not isinstance(items, list | None):
        return [raw]
    for index, item in enumerate(items or []):
        if not isinstance(item, dict):
            raise _bad(source, f"items[{index}] must be an object")
    return list(items or [])


def _refuse_duplicates(
    raw: dict[str, object], duplicates: Sequence[str], source: str
) -> NoReturn:
    """Kubernetes' answer, which names the unknown fields of the same object too."""
    if (raw.get("apiVersion"), raw.get("kind")) in objects.KINDS:
        objects.decode_manifest(raw, duplicates=duplicates)
    listed = ", ".join(f'duplicate field "{path}"' for path in duplicates)
    raise _bad(source, f"strict decoding error: {listed}")


def _key(node: "yaml.Node") -> str:
    """A key as JSON would have it: its text."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    raise yaml.YAMLError("a key must be a text")


def _sentence(error: Exception) -> str:
    """What the parser says, on one line, with the place where it says it."""
    return " ".join(str(error).split())


def _bad(source: str, text: str) -> Rejected:
    return Rejected("BadRequest", f"error parsing {source}: {text}")


@functools.cache
def _loader() -> "type[yaml.CSafeLoader]":
    """PyYAML's loader with the scalars of rule 2."""
    import yaml

    class Loader(yaml.CSafeLoader):
        """Has no scalars but those that are added to it here."""

    Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in _SCALARS:
        compiled = re.compile(rf"(?:{pattern})\Z")
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", compiled, list(first))
    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\Z"), [""])
    return Loader


_EXPONENT: Final = "(?:[eE][-+]?[0-9]+)"
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
    ("merge", "<<", "<"),
)
"""Tag, pattern and first characters of each plain scalar that is not a text."""
