"""Bodies that no API server should take: each is a request that must be refused."""

import json
from typing import Final

from tests.support import kubeapi

OBJECTS: Final = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/default/deployments"
BODY_BYTES_MAX: Final = 3 * 1024 * 1024
"""The API server's own limit for a request."""
PROTOBUF: Final = "application/vnd.kubernetes.protobuf"


def _nested(depth: int) -> bytes:
    return (
        b'{"metadata":{"name":"deep"},"data":'
        + b'{"a":' * depth
        + b"1"
        + b"}" * (depth + 1)
    )


def _patched(body: bytes, kind: str) -> tuple[str, str, bytes, str]:
    return ("PATCH", f"{OBJECTS}/victim", body, f"application/{kind}")


JSON_PATCH: Final = "json-patch+json"
MERGE_PATCH: Final = "merge-patch+json"
STRATEGIC: Final = "strategic-merge-patch+json"
APPLY: Final = "apply-patch+yaml"
BODIES: Final = {
    "too large": ("POST", OBJECTS, b" " * (BODY_BYTES_MAX + 1), kubeapi.JSON),
    "too deep": ("POST", OBJECTS, _nested(100_000), kubeapi.JSON),
    "deep": ("POST", OBJECTS, _nested(900), kubeapi.JSON),
    "a patch too deep": _patched(_nested(100_000), MERGE_PATCH),
    "a strategic patch too deep": _patched(_nested(50_000), STRATEGIC),
    "an apply too deep": _patched(b"[" * 50_000, APPLY),
    "an apply that expands": _patched(
        b"\n".join(
            [b"a0: &a0 [x,x,x,x,x,x,x,x,x]"]
            + [
                b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9))
                for n in range(1, 12)
            ]
        ),
        APPLY,
    ),
    "an apply that holds itself": _patched(b"data: &a\n  b: *a\n", APPLY),
    "an apply of many documents": _patched(b"---\na: 1\n---\nb: 2\n", APPLY),
    "an apply with objects": _patched(b"!!python/object/apply:os.getcwd []", APPLY),
    "no JSON": ("POST", OBJECTS, b"{", kubeapi.JSON),
    "nothing": ("POST", OBJECTS, b"", kubeapi.JSON),
    "a list": ("POST", OBJECTS, b"[]", kubeapi.JSON),
    "null": ("POST", OBJECTS, b"null", kubeapi.JSON),
    "a number": ("POST", OBJECTS, b"1", kubeapi.JSON),
    "not UTF-8": ("POST", OBJECTS, b'{"metadata":{"name":"\xff"}}', kubeapi.JSON),
    "half a character": (
        "POST", OBJECTS, b'{"metadata":{"name":"s"},"data":{"a":"\\ud800"}}',
        kubeapi.JSON,
    ),
    "a name of another type": ("POST", OBJECTS, b'{"metadata":{"name":7}}',
                               kubeapi.JSON),
    "metadata of another type": ("POST", OBJECTS, b'{"metadata":[]}', kubeapi.JSON),
    "a huge number": (
        "POST", DEPLOYMENTS,
        json.dumps(kubeapi.deployment("huge")).replace(
            '"replicas": 1', '"replicas": 1' + "0" * 400
        ).encode(),
        kubeapi.JSON,
    ),
    "another kind": (
        "POST", DEPLOYMENTS, b'{"apiVersion":"v1","kind":"Pod","metadata":{}}',
        kubeapi.JSON,
    ),
    "a type that nobody knows": ("POST", OBJECTS, b"{}", "application/xml"),
    "no type": ("POST", OBJECTS, b"\x00\x01", "application/octet-stream"),
    "a patch of no known type": _patched(b"{}", "x"),
    "protobuf without its mark": ("POST", OBJECTS, b"{}", PROTOBUF),
    "protobuf that ends early": ("POST", OBJECTS, b"k8s\x00\x0a\xff\xff", PROTOBUF),
    "protobuf of endless numbers": ("POST", OBJECTS, b"k8s\x00" + b"\xff" * 64,
                                    PROTOBUF),
    "protobuf of groups": ("POST", OBJECTS, b"k8s\x00" + b"\x0b" * 100_000, PROTOBUF),
    "a JSON patch that is none": _patched(b'{"op":"add"}', JSON_PATCH),
    "a JSON patch off the path": _patched(
        b'[{"op":"remove","path":"/data/zz/y"}]', JSON_PATCH
    ),
    "a JSON patch without an end": _patched(
        json.dumps(
            [{"op": "copy", "from": "/data", "path": "/data/x"} for _ in range(200)]
        ).encode(),
        JSON_PATCH,
    ),
    "a JSON patch that renames": _patched(
        b'[{"op":"replace","path":"/metadata/name","value":"other"}]', JSON_PATCH
    ),
    "a merge patch that moves": _patched(
        b'{"metadata":{"namespace":"other"}}', MERGE_PATCH
    ),
    "a JSON patch of all": _patched(b'[{"op":"replace","path":"","value":1}]',
                                    JSON_PATCH),
    "a merge patch that is no object": _patched(b"3", MERGE_PATCH),
    "a strategic patch of the wrong shape": (
        "PATCH", f"{DEPLOYMENTS}/victim",
        b'{"spec":{"template":{"spec":{"containers":{"a":1}}}}}',
        f"application/{STRATEGIC}",
    ),
    "a strategic patch of unknown orders": (
        "PATCH", f"{DEPLOYMENTS}/victim",
        b'{"spec":{"template":{"spec":{"$patch":"explode","containers":[7]}}}}',
        f"application/{STRATEGIC}",
    ),
}  # fmt: skip
