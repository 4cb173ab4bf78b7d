"""The bodies of requests as JSON: from JSON, YAML or Kubernetes' protobuf.

1. No media type means JSON: old clients send none with POST and DELETE.
2. A body is nested at most `DEPTH_MAX` deep, and a YAML text means at most
   `NODES_MAX` values, whatever its aliases say: what is more is refused, never tried.
3. Keys that are written twice are told by their path; the last one counts.
4. YAML is read with the core schema of YAML 1.1, as Kubernetes' clients write it.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import yaml

from domain.errors import Rejected
from gateway.kube import protobuf
from gateway.kube.request import JSON
from gateway.kube.statuses import Failure

DEPTH_MAX: Final = 64
NODES_MAX: Final = 100_000
JSON_TYPE: Final = "application/json"
YAML_TYPE: Final = "application/yaml"
ACCEPTED: Final = (JSON_TYPE, YAML_TYPE, protobuf.MEDIA_TYPE)


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded body.

    `lenient`: its encoding writes what was not said too (Go's zeros in protobuf), so
    that fields that are not known say nothing about the user.
    """

    value: object
    duplicates: tuple[str, ...] = ()
    lenient: bool = False


def media_type(content_type: str) -> str:
    """The type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def decode(body: bytes, content_type: str, what: str) -> Body:
    """The object in the body; `what` is the kind that was expected, for messages.

    Raises `Failure` 415 for another media type, and `Rejected` (BadRequest) for what
    is broken, nested too deeply, or no object.
    """
    media = media_type(content_type) or JSON_TYPE
    if media == protobuf.MEDIA_TYPE:
        return Body(value=protobuf.decode(body), lenient=True)
    if media not in ACCEPTED:
        raise Failure(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types "
            f"include: {', '.join(ACCEPTED)}",
        )
    found = from_yaml(body, what) if media == YAML_TYPE else from_json(body, what)
    if not isinstance(found.value, dict):
        raise _unreadable(what, "an object was expected")
    return found


def document(found: Body) -> JSON:
    """The body as an object; `decode` has seen to that."""
    assert isinstance(found.value, dict), "decode refuses anything else"
    return found.value


def from_json(body: bytes, what: str) -> Body:
    """Any value in JSON. Raises `Rejected` (BadRequest)."""
    try:
        value = msgspec.json.decode(body)
        _refuse_depth(value)
        return Body(value=value, duplicates=_duplicates(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise _unreadable(what, f"json parse error: {error}") from error
    except RecursionError as error:
        raise _unreadable(what, _TOO_DEEP) from error


def from_yaml(body: bytes, what: str) -> Body:
    """Any value in YAML or JSON, one document. Raises `Rejected` (BadRequest)."""
    if body.lstrip()[:1] in (b"{", b"["):
        try:
            return from_json(body, what)
        except Rejected:
            pass  # YAML's flow style begins so too
    try:
        text = body.decode("utf-8-sig")
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            # The composer recurses in C: what is too deep must not reach it.
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_MAX:
                raise yaml.YAMLError(_TOO_DEEP)
        reader = _Reader()
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        value = reader.value(node, "", 0) if node is not None else None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        sentence = " ".join(str(error).split())
        raise _unreadable(what, f"yaml parse error: {sentence}") from error
    return Body(value=value, duplicates=tuple(reader.duplicates))


_TOO_DEEP: Final = f"the body is nested more than {DEPTH_MAX} deep"


def _unreadable(what: str, why: str) -> Rejected:
    return Rejected(
        "BadRequest",
        f"the object provided is unrecognized (must be of type {what}): couldn't get "
        f"version/kind; {why}",
    )


def _refuse_depth(value: object) -> None:
    """Raises ValueError for a value that is nested too deeply."""
    level: Sequence[object] = [value]
    for _ in range(DEPTH_MAX + 1):
        if not level:
            return
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    raise ValueError(_TOO_DEEP)


# --- keys that are written twice ----------------------------------------------------


class _Twice(dict[str, object]):
    """An object some of whose keys were written more than once."""

    twice: tuple[str, ...] = ()


def _duplicates(body: bytes) -> tuple[str, ...]:
    """The paths of keys that stand in the JSON twice, in the order of the text."""

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(found)
        if len(result) == len(found):
            return result
        twice = _Twice(result)
        counted = Counter(key for key, _ in found)
        twice.twice = tuple(key for key, times in counted.items() if times > 1)
        return twice

    found: list[str] = []
    _collect(json.loads(body, object_pairs_hook=pairs), "", found)
    return tuple(dict.fromkeys(found))


def _collect(value: object, path: str, found: list[str]) -> None:
    if isinstance(value, dict):
        twice = value.twice if isinstance(value, _Twice) else ()
        for key, inner in value.items():
            here = f"{path}.{key}" if path else key
            if key in twice:
                found.append(here)
            _collect(inner, here, found)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _collect(inner, f"{path}[{index}]", found)


# --- YAML ---------------------------------------------------------------------------


class _Reader:
    """Turns composed YAML nodes into plain values."""

    def __init__(self) -> None:
        self.duplicates: list[str] = []
        self._visited = 0

    def value(self, node: yaml.Node, path: str, depth: int) -> object:
        """The value of `node`. Raises `YAMLError` for what JSON has not."""
        self._visited += 1
        if self._visited > NODES_MAX:
            raise yaml.YAMLError(f"the text means more than {NODES_MAX} values")
        if depth > DEPTH_MAX:
            raise yaml.YAMLError(_TOO_DEEP)
        if isinstance(node, yaml.MappingNode):
            return self._map(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(each, f"{path}[{index}]", depth + 1)
                for index, each in enumerate(node.value)
            ]
        return _scalar(node)

    def _map(self, node: yaml.MappingNode, path: str, depth: int) -> JSON:
        own: JSON = {}
        merged: JSON = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.YAMLError(f"{path or 'the document'}: a key must be a text")
            key = str(key_node.value)
            here = f"{path}.{key}" if path else key
            value = self.value(value_node, here, depth + 1)
            if key_node.tag == "tag:yaml.org,2002:merge":
                for each in value if isinstance(value, list) else [value]:
                    if not isinstance(each, dict):
                        raise yaml.YAMLError(f"{here}: only an object can be merged")
                    merged = each | merged
                continue
            if key in own:
                self.duplicates.append(here)
            own[key] = value
        return merged | own


def _scalar(node: yaml.Node) -> object:
    """A text, a number, a truth value or nothing; a date stays the text that it is."""
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool":
            return text.lower() in ("true", "yes", "on")
        case "int" | "float" as kind:
            return _number(text, kind)
        case "str" | "timestamp":
            return text
        case _:
            raise yaml.YAMLError(f"the tag {node.tag} is not supported")


def _number(text: str, kind: str) -> int | float | str:
    """The number; a text (`12:30`) where only YAML 1.1 took it for one."""
    bare = text.replace("_", "").lower()
    try:
        if kind == "int":
            digits = bare.lstrip("+-")
            is_octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
            return int(bare, 8 if is_octal else 0)
        value = float(bare)
    except ValueError:
        if bare.lstrip("+-") in (".inf", ".nan"):
            raise yaml.YAMLError(f'"{text}" is not a number of JSON') from None
        return text
    return value


def go_text(value: object) -> str:
    """The value as Go prints a map (`map[a:1 b:[x y]]`): in messages about patches."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case dict():
            inside = " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value))
            return f"map[{inside}]"
        case list():
            return f"[{' '.join(map(go_text, value))}]"
        case _:
            return str(value)


def strict_findings(
    unknown: Sequence[str], duplicates: Sequence[str]
) -> tuple[str, ...]:
    """What strict decoding finds, each as Kubernetes says it."""
    found = [f'unknown field "{path}"' for path in unknown]
    return tuple(found + [f'duplicate field "{path}"' for path in duplicates])


def validation_of(params: Mapping[str, str]) -> str:
    """`Strict`, `Warn` or `Ignore`; Warn where nothing is said.

    Raises `Rejected` (BadRequest) for anything else.
    """
    asked = params.get("fieldValidation", "") or "Warn"
    if asked not in ("Strict", "Warn", "Ignore"):
        raise Rejected(
            "BadRequest",
            f'invalid fieldValidation "{asked}": use Ignore, Warn or Strict',
        )
    return asked
