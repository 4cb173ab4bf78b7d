"""The messages of grpc.health.v1 on the wire: a service's name, and a status.

`HealthCheckRequest {string service = 1}`, `HealthCheckResponse {Status status = 1}`.
"""

from typing import Any

from grpclib.encoding.base import CodecBase


class HealthCodec(CodecBase):
    """A `str` is a request, an `int` a response; either way round."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        """The message's bytes; a field with its default is left out."""
        if message_type is str:
            text = message.encode()
            return b"\x0a" + _varint(len(text)) + text if text else b""
        return b"\x08" + _varint(message) if message else b""

    def decode(self, data: bytes, message_type: Any) -> Any:
        """The value of field 1; fields that are not known are skipped.

        Raises `ValueError` for what is no message.
        """
        found: Any = "" if message_type is str else 0
        place = 0
        while place < len(data):
            key, place = _read(data, place)
            number, kind = key >> 3, key & 7
            value: bytes | int
            if kind == 0:
                value, place = _read(data, place)
            elif kind == 2:
                size, place = _read(data, place)
                value, place = data[place : place + size], place + size
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
                value, place = data[place : place + size], place + size
            else:
                raise ValueError(f"a message with an unknown wire type {kind}")
            if number == 1 and isinstance(value, bytes) == (message_type is str):
                found = value.decode() if isinstance(value, bytes) else value
        return found


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        number |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if byte < 0x80:
            return number, place
    raise ValueError("a number without an end")
