"""What a path and a method mean: which verb, on which resource, on which object.

/api/v1/…                       the core group
/apis/<group>/<version>/…       any other
…/<plural>                      all objects, in all namespaces
…/namespaces/<ns>/<plural>      those of one namespace
…/<plural>/<name>[/<part>]      one object, or a part of it
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.kube import resources, statuses
from gateway.kube.request import Verb
from gateway.kube.resources import Resource
from gateway.kube.statuses import Failure

_FALSE: Final = frozenset({"0", "false"})
_OBJECT: Final[dict[str, Verb]] = {
    "GET": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_COLLECTION: Final[dict[str, Verb]] = {
    "GET": "list",
    "POST": "create",
    "DELETE": "deletecollection",
}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes."""

    verb: Verb
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def is_true(text: str | None) -> bool:
    """Whether a query's parameter says yes: all does but `0` and `false`, as the API
    server reads it."""
    return text is not None and text.lower() not in _FALSE


def find(method: str, path: str, params: Mapping[str, str]) -> Route:
    """The route of a request under `/api/` or `/apis/`; HEAD is GET.

    Raises `Failure`: 404 in plain text for an unknown group (as the API server says
    it), 404 for an unknown resource, 405 for a method that it does not take.
    """
    parts = [part for part in path.split("/") if part]
    group, version, rest = _group(parts)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        inside = resources.find(group, version, rest[2])
        if inside is not None or group or _part("namespaces", rest[2]) is None:
            namespace, rest = rest[1], rest[2:]
    resource = resources.find(group, version, rest[0])
    if resource is None or len(rest) > 3 or bool(namespace) > resource.namespaced:
        raise statuses.plain(404)
    name = rest[1] if len(rest) > 1 else ""
    part = rest[2] if len(rest) > 2 else ""
    verb = _verb("GET" if method == "HEAD" else method, name, part, params)
    _check(resource, verb, name, part, namespace)
    return Route(
        verb=verb, resource=resource, namespace=namespace, name=name, subresource=part
    )


def _group(parts: Sequence[str]) -> tuple[str, str, list[str]]:
    """Group, version and what follows."""
    if parts[0] == "api":
        group, rest = "", list(parts[1:])
    else:
        group, rest = parts[1] if len(parts) > 1 else "", list(parts[2:])
    if len(rest) < 2 or not resources.of_version(group, rest[0]):
        raise not_a_page()
    return group, rest[0], rest[1:]


def not_a_page() -> Failure:
    """The 404 that is no Status: a path that no part of the API has."""
    return Failure(404, "", "404 page not found")


def _part(plural: str, name: str) -> object:
    held = resources.find("", "v1", plural)
    return held.subresource(name) if held is not None else None


def _verb(method: str, name: str, part: str, params: Mapping[str, str]) -> Verb:
    if part and method == "POST":
        return "create"
    found = (_OBJECT if name else _COLLECTION).get(method)
    if found is None:
        raise statuses.plain(405)
    if found == "list" and is_true(params.get("watch")):
        return "watch"
    return found


def _never_one(resource: Resource) -> Failure:
    """The 405 that says why: kubectl shows its message alone."""
    reason, _ = statuses.MESSAGES[405]
    text = f"{resource.qualified} are not kept here: none can be created or changed"
    return Failure(405, reason, text, details={})


def _only_seen() -> Failure:
    """A status is counted from what runs; nobody writes it."""
    reason, _ = statuses.MESSAGES[405]
    text = "a status is what Rollbook has seen, and cannot be written"
    return Failure(405, reason, text, details={})


def _check(
    resource: Resource, verb: Verb, name: str, part: str, namespace: str
) -> None:
    """Raises `Failure` unless the resource takes that verb there."""
    if part:
        held = resource.subresource(part)
        if held is None:
            raise statuses.plain(404)
        allowed: Sequence[str] = held.verbs
    else:
        allowed = resource.verbs
    if resource.empty and verb not in allowed:
        raise _never_one(resource)
    needs_namespace = name or verb in ("create", "deletecollection")
    if resource.namespaced and needs_namespace and not namespace:
        raise statuses.plain(405 if verb != "get" else 404)
    if verb not in allowed and part == "status":
        raise _only_seen()
    if verb not in allowed:
        raise statuses.plain(405)
