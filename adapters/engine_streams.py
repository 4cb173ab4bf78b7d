"""The byte streams of a container engine: frames, and sessions with a container.

1. Without a terminal an engine sends frames: a byte that names the stream (1 stdout,
   2 stderr), three zeros, the length in four bytes, the data.
2. A `Session` is a connection that was handed over to the container's streams.
"""

import struct
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from aiodocker.stream import Stream

_HEADER: Final = struct.Struct(">BxxxL")


class Demultiplexer:
    """Turns bytes, cut anywhere, into (stream, data)."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that are complete now."""
        rest = self._rest
        rest += data
        while len(rest) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(rest)
            end = _HEADER.size + length
            if len(rest) < end:
                return
            yield stream, bytes(rest[_HEADER.size : end])
            del rest[:end]


class Session:
    """The streams of a command; `identity` is the engine's name of it, if it has one.

    aiodocker does not show the connection, but a half-closed one is what says that the
    input has ended; so its `_resp` is used here.
    """

    def __init__(self, stream: Stream, identity: str = "") -> None:
        self.identity = identity
        self._stream = stream

    async def write(self, data: bytes) -> None:
        """Waits while the other side does not read. Raises `OSError` if it is gone."""
        try:
            await self._stream.write_in(data)
        except (AssertionError, RuntimeError) as error:  # aiodocker's way to say so
            raise ConnectionResetError("the session has ended") from error

    async def end_input(self) -> None:
        """The other side reads an end of file."""
        response = self._stream._resp
        connection = None if response is None else response.connection
        transport = None if connection is None else connection.transport
        if transport is not None and transport.can_write_eof():
            transport.write_eof()

    async def chunks(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """(stream, data) until the end."""
        while (message := await self._stream.read_out()) is not None:
            if message.data:
                yield message.stream, message.data

    async def close(self) -> None:
        """The connection is gone afterwards."""
        if self._stream._resp is None or self._stream._resp.connection is None:
            self._stream._closed = True  # the other side was faster
            return
        await self._stream.close()
