"""`/openapi/v2`: the same schemas for clients that know no other (kubectl up to 1.28).

1. Those clients take it in protobuf only: the messages of gnostic's OpenAPIv2, by the
   numbers of their fields.
2. Extensions (`x-kubernetes-…`) travel as YAML text, for which JSON will do.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Final

from aiohttp import web

from gateway.kube import openapi, resources, schemas
from gateway.kube.request import JSON
from gateway.kube.statuses import Failure

PATH: Final = "/openapi/v2"
MEDIA_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_METHODS: Final = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
_QUERY, _PATH = 3, 4
"""Where in a parameter's union one of the query stands, and one of the path."""


async def answer(http: web.Request) -> web.Response:
    """The document. Raises `Failure` 406 for who wants it in another form."""
    accept = http.headers.get("Accept", "")
    if "proto-openapi.spec.v2" not in accept and "*/*" not in accept:
        raise Failure(
            406,
            "NotAcceptable",
            f"only the following media types are accepted: {MEDIA_TYPE}",
            details={},
        )
    body = document()
    etag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
    headers = {"Content-Type": MEDIA_TYPE, "ETag": etag, "Vary": "Accept"}
    if http.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    response = web.Response(body=body, headers=headers)
    response.enable_compression()
    return response


@functools.cache
def document() -> bytes:
    """The Document message: all schemas, and the parameters of all operations."""
    served = resources.RESOURCES
    definitions = (
        _bytes(1, _named(name, _schema(schema)))
        for name, schema in schemas.components(served).items()
    )
    paths: dict[str, JSON] = {}
    for each in served:
        path = f"apis/{each.group}" if each.group else "api"
        paths |= openapi.paths(f"{path}/{each.version}", (each,))
    items = (_bytes(2, _named(path, _path_item(at))) for path, at in paths.items())
    info = _text(1, "Rollbook") + _text(2, "v1.36.0")
    return b"".join(
        (
            _text(1, "2.0"),
            _bytes(2, info),
            _bytes(8, b"".join(items)),
            _bytes(9, b"".join(definitions)),
        )
    )


# --- schemas ----------------------------------------------------------------------


def _schema(found: JSON) -> bytes:
    """A Schema message, its fields in the order of their numbers."""
    return b"".join(_schema_parts(found))


def _schema_parts(found: JSON) -> Iterator[bytes]:
    target = found.get("$ref")
    whole = found.get("allOf")
    if isinstance(whole, list) and len(whole) == 1:
        target = whole[0]["$ref"]  # beside a reference v2 takes a description
    if isinstance(target, str):
        yield _text(1, target.replace(schemas.PREFIX, "#/definitions/"))
    if "format" in found:
        yield _text(2, str(found["format"]))
    if "description" in found:
        yield _text(4, str(found["description"]))
    for name in _listed(found.get("required")):
        yield _text(19, str(name))
    for value in _listed(found.get("enum")):
        yield _bytes(20, _text(2, json.dumps(value)))
    values = found.get("additionalProperties")
    if isinstance(values, dict):
        yield _bytes(21, _bytes(1, _schema(values)))
    if type_ := found.get("type") or ("string" if "oneOf" in found else ""):
        yield _bytes(22, _text(1, str(type_)))  # v2 has no `oneOf`
    items = found.get("items")
    if isinstance(items, dict):
        yield _bytes(23, _bytes(1, _schema(items)))
    properties = found.get("properties")
    if isinstance(properties, dict):
        named = (_bytes(1, _named(n, _schema(s))) for n, s in properties.items())
        yield _bytes(25, b"".join(named))
    yield from _extensions(31, found)


def _extensions(number: int, found: JSON) -> Iterator[bytes]:
    """Rule 2."""
    for name, value in found.items():
        if name.startswith("x-"):
            yield _bytes(number, _named(name, _text(2, json.dumps(value))))


# --- paths ------------------------------------------------------------------------


def _path_item(at: JSON) -> bytes:
    found = [
        _bytes(number, _operation(operation))
        for method, number in _METHODS.items()
        if isinstance(operation := at.get(method), dict)
    ]
    found += [_bytes(9, _parameter(each, _PATH)) for each in _maps(at["parameters"])]
    return b"".join(found)


def _operation(operation: JSON) -> bytes:
    found = [_text(5, str(operation["operationId"]))]
    parameters = _maps(operation["parameters"])
    found += [_bytes(8, _parameter(each, _QUERY)) for each in parameters]
    response = _bytes(1, _text(1, "OK"))
    found.append(_bytes(9, _bytes(2, _text(1, "200") + _bytes(2, response))))
    found += _extensions(13, operation)
    return b"".join(found)


def _parameter(parameter: JSON, place: int) -> bytes:
    """A ParametersItem: a parameter that is no body, in the query or in the path."""
    schema = parameter["schema"]
    assert isinstance(schema, dict), "a parameter has a schema"
    inside = b"".join(
        (
            _varint(1 << 3) + b"\x01" if place == _PATH else b"",
            _text(2, str(parameter["in"])),
            _text(4, str(parameter["name"])),
            _text(5 if place == _PATH else 6, str(schema["type"])),
        )
    )
    return _bytes(1, _bytes(2, _bytes(place, inside)))


# --- protobuf ---------------------------------------------------------------------


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _bytes(2, value)


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()


def _maps(value: object) -> list[JSON]:
    return [each for each in _listed(value) if isinstance(each, dict)]
