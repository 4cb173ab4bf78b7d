"""What one can wait for, as kubectl's `wait --for` writes it; and when it is so.

1. `delete`: the object is not there any more.
2. `create`: it is there.
3. `condition=Available[=True]`: a condition of its status, in any case.
4. `jsonpath='{.status.phase}'[=Running]`: a value of it, or that it has one.
"""

from collections.abc import Callable, Mapping

from rollbook import jsonpath
from rollbook.failures import Failure

Object = Mapping[str, object]
Condition = Callable[[Object | None], bool]


def parse(text: str) -> Condition:
    """Whether the object (None: there is none) is what `text` says.

    Raises `Failure` for a text that says nothing known.
    """
    form, _, rest = text.partition("=")
    match form.lower():
        case "delete":
            return lambda found: found is None
        case "create":
            return lambda found: found is not None
        case "condition" if rest:
            name, _, wanted = rest.partition("=")
            return lambda found: _has_condition(found, name, wanted or "True")
        case "jsonpath" if rest:
            return _value(rest)
    raise Failure(f'error: unrecognized condition: "{text}"')


def number(found: object, *path: str) -> int:
    """The whole number at a path of an object; 0 where there is none."""
    value = at(found, *path)
    return value if isinstance(value, int) else 0


def text_at(found: object, *path: str) -> str:
    """The text at a path of an object; empty where there is none."""
    value = at(found, *path)
    return value if isinstance(value, str) else ""


def items_at(found: object, *path: str) -> list[object]:
    """The list at a path of an object; empty where there is none."""
    value = at(found, *path)
    return value if isinstance(value, list) else []


def map_at(found: object, *path: str) -> dict[str, object]:
    """The map at a path of an object; empty where there is none."""
    value = at(found, *path)
    return value if isinstance(value, dict) else {}


def at(found: object, *path: str) -> object:
    """What is at a path of an object, or None."""
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def condition(found: object, name: str) -> dict[str, object]:
    """The condition of that name (in any case), empty where there is none."""
    for each in items_at(found, "status", "conditions"):
        if isinstance(each, dict) and text_at(each, "type").lower() == name.lower():
            return each
    return {}


def _has_condition(found: object, name: str, wanted: str) -> bool:
    return text_at(condition(found, name), "status").lower() == wanted.lower()


def _value(text: str) -> Condition:
    """`{.status.phase}=Running` or `{.status.podIP}`, with or without quotes."""
    expression, brace, wanted = text.strip("'").rpartition("}")
    if not brace:
        raise Failure(
            f'error: invalid jsonpath condition "{text}": write {{.a.b}}=value'
        )
    path, wanted = expression + brace, wanted.lstrip("'")
    if wanted and not wanted.startswith("="):
        raise Failure(
            f'error: jsonpath wait format must be {{.a.b}}=value, not "{text}"'
        )
    jsonpath.find(path, {})  # a bad path is told at once

    def holds(found: Object | None) -> bool:
        values = jsonpath.find(path, found) if found is not None else []
        if not wanted:
            return bool(values)
        return any(jsonpath.shown(value) == wanted[1:].strip("'\"") for value in values)

    return holds
