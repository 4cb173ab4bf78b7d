"""`/openapi/v3`: what clients validate, explain and patch by.

1. The index names each document with the hash of its text, so that clients keep it
   until it changes; with its hash a document may be kept for ever.
2. A document has the schemas of one group version, and its paths as far as clients ask
   for them: which parameters an operation takes.
"""

import functools
import hashlib
import json
from typing import Final

from aiohttp import web

from gateway.kube import resources, routes, schemas
from gateway.kube.request import JSON
from gateway.kube.resources import Resource

PATH: Final = "/openapi/v3"
_PATCHES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_OPERATIONS: Final = {
    "get": "get",
    "list": "get",
    "create": "post",
    "update": "put",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "delete",
}
_OF_LISTS: Final = frozenset({"list", "create", "deletecollection"})
_WRITES: Final = frozenset({"create", "update", "patch"})
_WORDS: Final = {
    "list": "list",
    "create": "post",
    "update": "put",
    "deletecollection": "deletecollection",
}


async def answer(http: web.Request) -> web.Response:
    """The index, or the document of a group version. Raises `Failure` 404."""
    inside = http.path.removeprefix(PATH).strip("/")
    if not inside:
        return _response(http, index(), "no-cache")
    documents = _documents()
    if inside not in documents:
        raise routes.not_a_page()
    kept = "public, max-age=31536000, immutable" if "hash" in http.query else "no-cache"
    return _response(http, documents[inside], kept)


@functools.cache
def index() -> bytes:
    """The addresses of all documents."""
    paths = {
        name: {"serverRelativeURL": f"{PATH}/{name}?hash={_hash(document)}"}
        for name, document in _documents().items()
    }
    return json.dumps({"paths": paths}, separators=(",", ":")).encode()


@functools.cache
def _documents() -> dict[str, bytes]:
    """The documents by the path of their group version: `apis/apps/v1`."""
    groups = {"": ("v1",), **resources.groups()}
    found: dict[str, bytes] = {}
    for group, versions in groups.items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            document = made(path, resources.of_version(group, version))
            found[path] = json.dumps(document, separators=(",", ":")).encode()
    return found


def made(path: str, served: tuple[Resource, ...]) -> JSON:
    """The document of one group version, which is served under `path`."""
    return {
        "openapi": "3.0.0",
        "info": {"title": "Rollbook", "version": "v1.36.0"},
        "paths": paths(path, served),
        "components": {"schemas": schemas.components(served)},
    }


def paths(path: str, served: tuple[Resource, ...]) -> dict[str, JSON]:
    """The paths of these resources, each with its operations."""
    found: dict[str, JSON] = {}
    for resource in served:
        inside = "namespaces/{namespace}/" if resource.namespaced else ""
        base = f"/{path}/{inside}{resource.plural}"
        for verb in resource.verbs:
            if verb in _OPERATIONS:
                place = base if verb in _OF_LISTS else f"{base}/{{name}}"
                at = found.setdefault(place, {"parameters": _places(place)})
                at[_OPERATIONS[verb]] = _operation(resource, verb)
    return found


def _operation(resource: Resource, verb: str) -> JSON:
    schema = {"$ref": schemas.PREFIX + schemas.name_of(resource)}
    content = {"application/json": {"schema": schema}}
    found: JSON = {
        "operationId": f"{verb}{resource.version.title()}{resource.kind}",
        "parameters": [*_parameters(verb)],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": _WORDS.get(verb, verb),
        schemas.KIND: {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
    }
    if verb in _WRITES:
        types = _PATCHES if verb == "patch" else ("application/json",)
        body = {"type": "object"} if verb == "patch" else schema
        found["requestBody"] = {
            "content": {each: {"schema": body} for each in types},
            "required": True,
        }
    return found


def _parameters(verb: str) -> list[JSON]:
    names = {"pretty": "string"}
    if verb in _WRITES:
        names |= dict.fromkeys(("dryRun", "fieldManager", "fieldValidation"), "string")
        if verb == "patch":
            names["force"] = "boolean"
    elif verb in ("delete", "deletecollection"):
        names |= dict.fromkeys(("dryRun", "propagationPolicy"), "string")
        names["gracePeriodSeconds"] = "integer"
    elif verb == "list":
        names |= dict.fromkeys(
            (
                "continue",
                "fieldSelector",
                "labelSelector",
                "resourceVersion",
                "resourceVersionMatch",
            ),
            "string",
        )
        names |= dict.fromkeys(("limit", "timeoutSeconds"), "integer")
        names |= dict.fromkeys(
            ("allowWatchBookmarks", "sendInitialEvents", "watch"), "boolean"
        )
    return [
        {"name": name, "in": "query", "schema": {"type": type_, "uniqueItems": True}}
        for name, type_ in names.items()
    ]


def _places(path: str) -> list[JSON]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("name", "namespace")
        if f"{{{name}}}" in path
    ]


def _hash(document: bytes) -> str:
    return hashlib.sha512(document).hexdigest().upper()


def _response(http: web.Request, body: bytes, kept: str) -> web.Response:
    headers = {
        "Content-Type": "application/json",
        "ETag": f'"{_hash(body)}"',
        "Cache-Control": kept,
        "Vary": "Accept",
    }
    if http.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    response = web.Response(body=body, headers=headers)
    response.enable_compression()
    return response
