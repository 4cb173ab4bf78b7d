"""Sets of fields, as server-side apply keeps them (FieldsV1).

1. A path is a tuple of steps: `f:name` into a map, `k:{"name":"web"}` to an item of a
   list of objects, `v:"text"` to an item of a list of values.
2. A set holds the leaves, and of an item of a list also the item itself (written "."),
   so that an item can be owned apart from its fields.
3. A map or a list that is one value (`schema.ATOMIC`, a list without keys) is a leaf.
4. What names an object, and what the server alone writes, belongs to nobody.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from domain.errors import Rejected
from gateway.kube.patching import schema

JSON = dict[str, object]
Path = tuple[str, ...]
FieldSet = frozenset[Path]

NOBODYS: Final[FieldSet] = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata", "f:name"),
        ("f:metadata", "f:namespace"),
        ("f:metadata", "f:generateName"),
        ("f:metadata", "f:creationTimestamp"),
        ("f:metadata", "f:deletionTimestamp"),
        ("f:metadata", "f:deletionGracePeriodSeconds"),
        ("f:metadata", "f:generation"),
        ("f:metadata", "f:managedFields"),
        ("f:metadata", "f:resourceVersion"),
        ("f:metadata", "f:selfLink"),
        ("f:metadata", "f:uid"),
    }
)
ALWAYS_THERE: Final = frozenset(
    {"metadata", "spec", "template", "strategy", "containers", "status", "resources"}
)
"""Parts that every object has, empty or not: creating it does not set them."""


def values_of(document: JSON) -> dict[Path, object]:
    """Every owned path of the document with its value; items of lists have None."""
    return {
        path: value
        for path, value in _walk((), document)
        if path not in NOBODYS and path[:2] != ("f:metadata", "f:managedFields")
    }


def containers_of(document: JSON) -> FieldSet:
    """The maps and lists with something in them: they exist because somebody set them.

    Written "." beside what is in them; those that every object has are left out.
    """
    found: set[Path] = set()
    for path in values_of(document):
        for length in range(1, len(path)):
            step = path[length - 1]
            if step.startswith("f:") and step[2:] not in ALWAYS_THERE:
                found.add(path[:length])
    return frozenset(found)


def encode(paths: Iterable[Path]) -> JSON:
    """The set in the form of FieldsV1."""
    root: JSON = {}
    wanted = sorted(paths)
    for path in wanted:
        at = root
        for step in path:
            below = at.setdefault(step, {})
            assert isinstance(below, dict), "every node of the form is a map"
            at = below
    for path in wanted:
        node = _node(root, path)
        if node:
            node["."] = {}
    return _sorted(root)


def decode(form: object) -> FieldSet:
    """The set that a FieldsV1 form means.

    Raises `Rejected` (BadRequest) for what is none.
    """
    return frozenset(_decoded((), form))


def pretty(path: Path) -> str:
    """The path as messages name it: `.spec.containers[name="web"].image`."""
    text = ""
    for step in path:
        kind, rest = step[:2], step[2:]
        if kind == "f:":
            text += f".{rest}"
        elif kind == "k:":
            keys = msgspec.json.decode(rest, type=dict[str, object])
            inside = ",".join(f"{k}={_text(v)}" for k, v in sorted(keys.items()))
            text += f"[{inside}]"
        else:
            text += f"[={rest}]"
    return text


def remove(document: JSON, paths: Iterable[Path]) -> JSON:
    """The document without these fields and items; what is left empty stays."""
    result = document
    for path in sorted(paths, key=len, reverse=True):
        result = _without(result, path)
    return result


def item_step(name: str, item: JSON) -> str:
    """The step to an item of the list `name`, which has keys.

    Raises `Rejected` (BadRequest) where the item lacks one.
    """
    keys: JSON = {}
    for key in schema.LIST_KEYS[name]:
        value = item.get(key, schema.KEY_DEFAULTS.get(key))
        if value is None:
            raise Rejected(
                "BadRequest",
                f'{name}: element is missing the key field "{key}" by which the items '
                "of this list are told apart",
            )
        keys[key] = value
    return "k:" + _text(keys)


def is_objects(name: str, value: object) -> bool:
    """Whether this is a list whose items are told apart by keys."""
    return (
        name in schema.LIST_KEYS
        and isinstance(value, list)
        and all(isinstance(item, dict) for item in value)
    )


def _walk(path: Path, value: JSON) -> Iterator[tuple[Path, object]]:
    for key, held in value.items():
        here = (*path, f"f:{key}")
        if held is None:
            continue
        if isinstance(held, dict) and held and key not in schema.ATOMIC:
            yield from _walk(here, held)
        elif held and is_objects(key, held):
            assert isinstance(held, list), "is_objects has seen to that"
            for item in held:
                step = (*here, item_step(key, item))
                yield step, None
                yield from _walk(step, item)
        elif isinstance(held, list) and held and key in schema.LIST_SETS:
            for item in held:
                yield (*here, "v:" + _text(item)), None
        else:
            yield here, held


def _decoded(path: Path, form: object) -> Iterator[Path]:
    if not isinstance(form, dict):
        raise Rejected(
            "BadRequest", "metadata.managedFields: fieldsV1 is not an object"
        )
    if not form and path:
        yield path
    for step, below in form.items():
        if step == ".":
            yield path
        elif step[:2] in ("f:", "k:", "v:"):
            yield from _decoded((*path, step), below)
        else:
            raise Rejected(
                "BadRequest", f"metadata.managedFields: fieldsV1: unknown step {step!r}"
            )


def _node(root: JSON, path: Path) -> JSON:
    at = root
    for step in path:
        below = at[step]
        assert isinstance(below, dict), "every node of the form is a map"
        at = below
    return at


def _sorted(form: JSON) -> JSON:
    return {
        key: _sorted(below) if isinstance(below, dict) else below
        for key, below in sorted(form.items())
    }


def _without(document: JSON, path: Path) -> JSON:
    head, rest = path[0], path[1:]
    name = head[2:]
    if name not in document:
        return document
    if not rest:
        return {key: value for key, value in document.items() if key != name}
    held = document[name]
    if isinstance(held, dict) and rest[0].startswith("f:"):
        return {**document, name: _without(held, rest)}
    if isinstance(held, list):
        return {**document, name: list(_without_item(name, held, rest))}
    return document


def _without_item(name: str, items: list[object], path: Path) -> Iterator[object]:
    step, rest = path[0], path[1:]
    for item in items:
        if step.startswith("v:"):
            if "v:" + _text(item) != step:
                yield item
        elif not isinstance(item, dict) or item_step(name, item) != step:
            yield item
        elif rest:
            yield _without(item, rest)


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
