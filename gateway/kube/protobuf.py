"""Bodies in Kubernetes' protobuf: `application/vnd.kubernetes.protobuf`.

1. A body is `k8s\\0` and an envelope (apiVersion, kind, the raw object). Numbers and
   names of the fields stand in `protobuf_fields.json`, as far as our kinds need them.
2. The result is the object as JSON. Go writes every zero that is no pointer: texts
   that are empty and times that are zero are left out, numbers and truth values stay.
3. A field that the table does not have is skipped: a newer client may know more.
4. Lengths are checked against what is there, and the depth is bounded: a broken body
   is a bad request, never a failure.
"""

import base64
import functools
from importlib import resources
from typing import Final, NamedTuple

import msgspec

from domain import times
from domain.errors import Rejected

JSON = dict[str, object]
MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
MAGIC: Final = b"k8s\x00"
DEPTH_MAX: Final = 64

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GROUPS: Final = {
    "v1": "core.v1",
    "events.k8s.io/v1": "events.v1",
    "authentication.k8s.io/v1": "authentication.v1",
    "authorization.k8s.io/v1": "authorization.v1",
    "coordination.k8s.io/v1": "coordination.v1",
}
# Parts that Go embeds: their fields stand beside the others in JSON.
_INLINE: Final = frozenset(
    {"volumeSource", "handler", "ephemeralContainerCommon", "localObjectReference"}
)
_TIMES: Final = frozenset({"apis.meta.v1.Time", "apis.meta.v1.MicroTime"})
_ENVELOPE: Final = "runtime.Unknown"
_OPTIONS: Final = "apis.meta.v1.DeleteOptions"


class Field(NamedTuple):
    """A field of a message: `kind` is a scalar's name or a message's."""

    name: str
    kind: str
    repeated: bool


def decode(body: bytes) -> JSON:
    """The object in the body as JSON, with its apiVersion and kind.

    Raises `Rejected` (BadRequest) for what is broken or of a kind that is not known.
    """
    if not body.startswith(MAGIC):
        raise Rejected("BadRequest", "the body does not begin like Kubernetes protobuf")
    try:
        envelope = _message(memoryview(body)[len(MAGIC) :], _ENVELOPE, 0)
        about = envelope.get("typeMeta")
        raw = envelope.get("raw", b"")
        assert isinstance(about, dict | None), "the table says so"
        assert isinstance(raw, bytes), "the table says so"
        version = str((about or {}).get("apiVersion", ""))
        kind = str((about or {}).get("kind", ""))
        document = _message(memoryview(raw), _name_of(version, kind), 0)
    except (IndexError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise Rejected("BadRequest", f"the protobuf body is broken: {error}") from error
    metadata = document.get("metadata")
    if isinstance(metadata, dict) and not metadata.get("generation"):
        metadata.pop("generation", None)
    return {"apiVersion": version, "kind": kind, **document}


def _name_of(version: str, kind: str) -> str:
    if kind == "DeleteOptions":
        return _OPTIONS
    group = _GROUPS.get(version, version.replace("/", "."))
    name = f"{group}.{kind}"
    if name not in _table():
        raise Rejected(
            "BadRequest", f'no kind "{kind}" is registered for version "{version}"'
        )
    return name


@functools.cache
def _table() -> dict[str, dict[int, Field]]:
    text = resources.files("gateway.kube").joinpath("protobuf_fields.json").read_bytes()
    listed = msgspec.json.decode(text, type=dict[str, str])
    table: dict[str, dict[int, Field]] = {}
    for message, fields in listed.items():
        table[message] = {}
        for field in filter(None, fields.split(", ")):
            number, name, kind = field.split(" ")
            bare = kind.removeprefix("*")
            table[message][int(number)] = Field(name, bare, bare != kind)
    return table


def _message(data: memoryview, name: str, depth: int) -> JSON:
    if depth > DEPTH_MAX:
        raise ValueError(f"it is nested more than {DEPTH_MAX} deep")
    fields = _table()[name]
    found: JSON = {}
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        value, at = _value(data, at, tag & 7)
        field = fields.get(tag >> 3)
        if field is None:
            continue
        _put(found, field, _converted(field, value, depth))
    return found


def _put(found: JSON, field: Field, value: object) -> None:
    if field.name in _INLINE and isinstance(value, dict):
        found.update(value)
    elif field.kind.endswith("Entry") and isinstance(value, dict):
        entries = found.setdefault(field.name, {})
        assert isinstance(entries, dict), "only entries are put there"
        entries[str(value.get("key", ""))] = value.get("value", "")
    elif field.repeated:
        held = found.setdefault(field.name, [])
        assert isinstance(held, list), "only items are put there"
        held.extend(value if isinstance(value, list) else [value])
    elif value is not None and (value != "" or field.name in ("key", "value")):
        found[field.name] = value


def _converted(field: Field, value: int | bytes, depth: int) -> object:
    kind = field.kind
    if isinstance(value, int):
        if kind == "bool":
            return bool(value)
        if kind != "int":
            raise ValueError(f"{field.name} is not a number")
        return value - (1 << 64) if value >> 63 else value
    if kind == "str":
        return value.decode("utf-8")
    if kind == "bytes":
        return (
            value if field.name in ("raw", "Raw") else base64.b64encode(value).decode()
        )
    if kind == "int" and field.repeated:
        return _packed(value)
    if kind in ("int", "bool"):
        raise ValueError(f"{field.name} is a number")
    return _special(kind, _message(memoryview(value), kind, depth + 1))


def _special(kind: str, message: JSON) -> object:
    """Messages that are not objects in JSON."""
    if kind == "util.intstr.IntOrString":
        number = message.get("type", 0) == 0
        return message.get("intVal", 0) if number else message.get("strVal", "")
    if kind == "api.resource.Quantity":
        return message.get("string", "0")
    if kind in _TIMES:
        return _time(message, micro=kind.endswith("MicroTime"))
    if kind == "apis.meta.v1.FieldsV1":
        raw = message.get("Raw", b"")
        assert isinstance(raw, bytes), "the table says so"
        return msgspec.json.decode(raw) if raw else {}
    if kind == "authentication.v1.ExtraValue":
        return message.get("items", [])
    return message


def _time(message: JSON, *, micro: bool) -> str | None:
    """None for a time that was never set."""
    seconds, nanos = message.get("seconds", 0), message.get("nanos", 0)
    assert isinstance(seconds, int), "the table says so"
    assert isinstance(nanos, int), "the table says so"
    if not seconds or seconds < 0:
        return None
    if micro:
        return times.rfc3339(seconds + nanos / 1e9)
    return times.rfc3339_seconds(float(seconds))


def _packed(value: bytes) -> list[int]:
    data, at, found = memoryview(value), 0, []
    while at < len(data):
        number, at = _varint(data, at)
        found.append(number)
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _value(data: memoryview, at: int, wire: int) -> tuple[int | bytes, int]:
    if wire == _VARINT:
        return _varint(data, at)
    if wire == _BYTES:
        length, at = _varint(data, at)
    elif wire == _FIXED64:
        length = 8
    elif wire == _FIXED32:
        length = 4
    else:
        raise ValueError(f"wire type {wire} is not one of Kubernetes'")
    if at + length > len(data):
        raise ValueError(f"{length} bytes were announced, {len(data) - at} are there")
    return bytes(data[at : at + length]), at + length
