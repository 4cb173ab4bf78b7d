"""Strategic merge patch: a merge patch that knows lists and takes directives.

1. A list of objects with a merge key is merged item by item; of values, added to if
   `schema.PATCH_SETS` says so; any other list is replaced.
2. `$patch: delete` or `replace` stands in a map or in an item of a list: an item to
   delete goes, an item to replace means the whole list, and is none of it itself.
   `$retainKeys: [..]` drops every key that is not named.
3. `$setElementOrder/<list>` says in which order the merged items come; an item that
   only the live list has keeps its place relative to its neighbours.
4. `$deleteFromPrimitiveList/<list>` takes values out of a list of values.
5. null removes a key.
"""

from collections.abc import Callable, Sequence
from typing import Final

from domain.errors import Rejected
from gateway.kube.patching import schema

JSON = dict[str, object]

DIRECTIVE: Final = "$patch"
RETAIN: Final = "$retainKeys"
ORDER: Final = "$setElementOrder/"
REMOVE: Final = "$deleteFromPrimitiveList/"


def apply(document: JSON, patch: object) -> JSON:
    """The document after the patch.

    Raises `Rejected` (BadRequest) for directives that make no sense, and for items
    without their list's merge key.
    """
    if not isinstance(patch, dict):
        raise Rejected("BadRequest", "a strategic merge patch is an object")
    return _map(document, patch)


def _map(live: JSON, patch: JSON) -> JSON:
    match patch.get(DIRECTIVE, "merge"):
        case "replace":
            return {k: _cleaned(v) for k, v in patch.items() if k != DIRECTIVE}
        case "delete":
            return {}
        case "merge":
            pass
        case other:
            raise Rejected("BadRequest", f"Unknown patch type found: {other!r}")
    result = _retained(live, patch)
    for key, value in patch.items():
        if key.startswith(REMOVE):
            _remove(result, key.removeprefix(REMOVE), _values(key, value))
    for key, value in patch.items():
        if not key.startswith("$"):
            _set(result, key, value, _order_of(patch, key))
    for key, value in patch.items():
        name = key.removeprefix(ORDER)
        if key.startswith(ORDER) and name not in patch and name in result:
            _reorder(result, name, _values(key, value))
    return result


def _retained(live: JSON, patch: JSON) -> JSON:
    wanted = patch.get(RETAIN)
    if wanted is None:
        return dict(live)
    keys = _values(RETAIN, wanted)
    added = [k for k in patch if not k.startswith("$") and k not in keys]
    if added:
        raise Rejected(
            "BadRequest", f"{RETAIN} must name every key that is set: {added} are not"
        )
    return {key: value for key, value in live.items() if key in keys}


def _set(result: JSON, key: str, value: object, order: Sequence[object] | None) -> None:
    held = result.get(key)
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        merged = _map(held if isinstance(held, dict) else {}, value)
        if value.get(DIRECTIVE) == "delete":
            result.pop(key, None)
        else:
            result[key] = merged
    elif isinstance(value, list):
        live = held if isinstance(held, list) else []
        result[key] = _list(key, live, value, order)
    else:
        result[key] = value


def _list(
    name: str, live: list[object], patch: list[object], order: Sequence[object] | None
) -> list[object]:
    if name in schema.PATCH_SETS:
        merged = live + [value for value in patch if value not in live]
        return _ordered(name, merged, live, order)
    if name not in schema.PATCH_KEYS:
        return [_cleaned(item) for item in patch if not _is_directive(item)]
    if any(isinstance(i, dict) and i.get(DIRECTIVE) == "replace" for i in patch):
        return [_cleaned(item) for item in patch if not _is_directive(item)]
    return _ordered(name, _items(name, live, patch), live, order)


def _items(name: str, live: list[object], patch: list[object]) -> list[object]:
    """The live items with the patch's merged in, new ones behind them."""
    merged = {_key(name, item): item for item in live if isinstance(item, dict)}
    for item in patch:
        if not isinstance(item, dict):
            raise Rejected("BadRequest", f"{name}: an item of the patch is no object")
        identity = _key(name, item)
        if item.get(DIRECTIVE) == "delete":
            merged.pop(identity, None)
        else:
            held = merged.get(identity, {})
            assert isinstance(held, dict), "only objects were put there"
            merged[identity] = _map(held, item)
    return list(merged.values())


def _key(name: str, item: JSON) -> object:
    key = schema.PATCH_KEYS[name]
    value = item.get(key)
    if isinstance(value, str | int):
        return value
    raise Rejected(
        "BadRequest", f"map: {item!r} does not contain declared merge key: {key}"
    )


def _is_directive(item: object) -> bool:
    return isinstance(item, dict) and DIRECTIVE in item


def _order_of(patch: JSON, name: str) -> list[object] | None:
    key = ORDER + name
    return _values(key, patch[key]) if key in patch else None


def _values(key: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise Rejected("BadRequest", f"{key}: a list was expected")
    return value


def _remove(result: JSON, name: str, gone: list[object]) -> None:
    held = result.get(name)
    if isinstance(held, list):
        result[name] = [value for value in held if value not in gone]


def _reorder(result: JSON, name: str, order: list[object]) -> None:
    held = result[name]
    if isinstance(held, list):
        result[name] = _ordered(name, held, held, order)


def _ordered(
    name: str,
    merged: list[object],
    live: list[object],
    order: Sequence[object] | None,
) -> list[object]:
    """Rule 3: those that the order names as it says, the others where they were."""
    if order is None:
        return merged
    identify = _identity_of(name)
    wanted = {identify(each): at for at, each in enumerate(order)}
    was = {identify(each): at for at, each in enumerate(live)}
    named = sorted(
        (each for each in merged if identify(each) in wanted),
        key=lambda each: wanted[identify(each)],
    )
    others = [each for each in merged if identify(each) not in wanted]
    result: list[object] = []
    for each in named:
        place = was.get(identify(each))
        while (
            place is not None and others and was.get(identify(others[0]), place) < place
        ):
            result.append(others.pop(0))
        result.append(each)
    return result + others


def _identity_of(name: str) -> Callable[[object], object]:
    """What tells an item of that list from the others, as something hashable."""
    key = schema.PATCH_KEYS.get(name)

    def identify(item: object) -> object:
        if key is not None and isinstance(item, dict):
            item = item.get(key)
        return repr(item) if isinstance(item, dict | list) else item

    return identify


def _cleaned(value: object) -> object:
    """The value as it is to stand in the document: without directives and nulls."""
    if isinstance(value, dict):
        return {
            key: _cleaned(held)
            for key, held in value.items()
            if held is not None and not key.startswith("$")
        }
    if isinstance(value, list):
        return [_cleaned(item) for item in value if not _is_directive(item)]
    return value
