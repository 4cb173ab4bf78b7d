"""Bodies in Kubernetes' protobuf, as newer clients send them."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Rejected
from gateway.kube import protobuf

_Part = tuple[int, "int | str | bytes | list[_Part]"]


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _message(*parts: _Part) -> bytes:
    """The bytes of a message, written independently of what reads it."""
    out = b""
    for number, value in parts:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
            continue
        if isinstance(value, list):
            value = _message(*value)
        data = value.encode() if isinstance(value, str) else value
        out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return out


def _body(version: str, kind: str, *parts: _Part) -> bytes:
    about: list[_Part] = [(1, version), (2, kind)]
    return b"k8s\x00" + _message((1, about), (2, _message(*parts)))


META: _Part = (
    1,
    [(1, "web"), (2, ""), (3, ""), (7, 0), (8, b""), (11, [(1, "a"), (2, "b")])],
)


def test_a_deployment() -> None:
    """Numbers, lists, maps, quantities and IntOrStrings come out as JSON has them."""
    container: _Part = (
        2,
        [
            (1, "nginx"),
            (2, "nginx:1.9.1"),
            (6, [(3, 80), (4, "TCP")]),
            (8, [(1, [(1, "cpu"), (2, [(1, "200m")])])]),
            (11, [(1, [(2, [(1, "/ready"), (2, [(1, 1), (2, 0), (3, "http")])])])]),
        ],
    )
    volume: _Part = (1, [(1, "cache"), (2, [(2, b"")])])
    spec: _Part = (
        2,
        [
            (1, 0),
            (2, [(1, [(1, "a"), (2, "b")])]),
            (3, [(2, [volume, container])]),
            (4, [(1, "RollingUpdate"), (2, [(1, [(1, 0), (2, 2)])])]),
        ],
    )
    found = protobuf.decode(_body("apps/v1", "Deployment", META, spec))
    assert found == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"a": "b"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "spec": {
                    "volumes": [{"name": "cache", "emptyDir": {}}],
                    "containers": [
                        {
                            "name": "nginx",
                            "image": "nginx:1.9.1",
                            "ports": [{"containerPort": 80, "protocol": "TCP"}],
                            "resources": {"limits": {"cpu": "200m"}},
                            "readinessProbe": {
                                "httpGet": {"path": "/ready", "port": "http"}
                            },
                        }
                    ],
                }
            },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 2},
            },
        },
    }


def test_what_is_only_bytes_is_base64() -> None:
    """A Secret's data is base64 in JSON; empty values stay."""
    data: list[_Part] = [
        (2, [(1, "key"), (2, b"\x00\xff")]),
        (2, [(1, "none"), (2, b"")]),
    ]
    found = protobuf.decode(_body("v1", "Secret", META, *data))
    assert found["data"] == {"key": base64.b64encode(b"\x00\xff").decode(), "none": ""}


def test_negative_numbers_and_times() -> None:
    """An int is signed; a time is RFC 3339, one that was never set is left out."""
    lease: _Part = (2, [(2, -1), (3, [(1, 1_700_000_000), (2, 5_000)])])
    found = protobuf.decode(_body("coordination.k8s.io/v1", "Lease", META, lease))
    assert found["spec"] == {
        "leaseDurationSeconds": -1,
        "acquireTime": "2023-11-14T22:13:20.000005Z",
    }


def test_unknown_fields_are_skipped() -> None:
    """A newer client's fields cost nothing, whatever their wire type."""
    extra = _varint(900 << 3 | 1) + b"12345678" + _varint(901 << 3 | 5) + b"1234"
    body = _body("v1", "ConfigMap", META, (2, [(1, "a"), (2, "b")]), (902, "new"))
    about = b"k8s\x00" + extra + body[4:]
    assert protobuf.decode(about)["data"] == {"a": "b"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"k8s",
        b"k8s\x00",
        b"k8s\x00\x0a",
        b"k8s\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"k8s\x00\x0a\x7fabc",
        b"k8s\x00\x0b",
        _body("v1", "Pod", (1, 7)),
        _body("v1", "Pod", (1, [(1, b"\xff\xfe")])),
        _body("v1", "Nonsense"),
        _body("zap/v9", "Pod"),
        _body("v1", "Pod", (1, [(17, [(7, [(1, b"{")])])])),
    ],
)
def test_a_broken_body_is_a_bad_request(body: bytes) -> None:
    """It is refused with a reason."""
    with pytest.raises(Rejected) as refused:
        protobuf.decode(body)
    assert refused.value.reason == "BadRequest"


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(noise: bytes) -> None:
    """Whatever comes is decoded or refused, behind a good envelope too."""
    for body in (noise, b"k8s\x00" + noise, _body("v1", "Pod", (1, noise), (2, noise))):
        with contextlib.suppress(Rejected):
            assert protobuf.decode(body)["kind"]
