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

from adapters import yaml_text
from domain.errors import Rejected
from gateway.kube import protobuf
from gateway.kube.request import JSON
from gateway.kube.statuses import Failure

DEPTH_MAX: Final = yaml_text.DEPTH_MAX
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
        found = next(yaml_text.documents(body.decode("utf-8-sig")), None)
    except ValueError as error:
        raise _unreadable(what, f"yaml parse error: {error}") from error
    if found is None:
        return Body(value=None)
    return Body(value=found.value, duplicates=found.duplicates)


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
