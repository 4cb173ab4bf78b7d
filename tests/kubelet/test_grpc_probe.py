"""gRPC probes against a real server, in the words of Kubernetes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from kubelet import grpc_probe
from kubelet.grpc_codec import HealthCodec
from tests.kubelet.harness import GUARD

NOT_SERVING = 2


class Health:
    """grpc.health.v1.Health: `""` serves, `down` does not, `slow` never answers."""

    async def check(self, stream: "Stream[str, int]") -> None:
        """One question."""
        service = await stream.recv_message()
        if service == "slow":
            await asyncio.sleep(GUARD)
        if service == "strange":
            raise GRPCError(Status.NOT_FOUND, "unknown service")
        if service == "old":
            raise GRPCError(Status.UNIMPLEMENTED, "no such method")
        await stream.send_message(NOT_SERVING if service == "down" else 1)

    def __mapping__(self) -> Mapping[str, Handler]:
        """What the server serves."""
        return {
            grpc_probe.METHOD: Handler(self.check, Cardinality.UNARY_UNARY, str, int)
        }


@asynccontextmanager
async def served(*handlers: Health) -> AsyncIterator[int]:
    """The port of a server with these handlers."""
    server = Server(handlers, codec=HealthCodec())
    await server.start("127.0.0.1", 0)
    assert isinstance(server._server, asyncio.Server)
    try:
        yield server._server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.asyncio
@pytest.mark.parametrize(("service", "message"), [
    ("", ""),
    ("down", 'service unhealthy (responded with "NOT_SERVING")'),
    ("strange", "error: health rpc probe failed: unknown service"),
    ("old", "error: this server does not implement the grpc health protocol "
     "(grpc.health.v1.Health): no such method"),
])  # fmt: skip
async def test_answers(service: str, message: str) -> None:
    """SERVING is success, all else says what it is."""
    async with served(Health()) as port:
        assert await grpc_probe.check("127.0.0.1", port, service, GUARD) == message


@pytest.mark.asyncio
async def test_no_answer_in_time() -> None:
    """The timeout, as Go prints it."""
    async with served(Health()) as port:
        found = await grpc_probe.check("127.0.0.1", port, "slow", 0.25)
    assert found == "timeout: health rpc did not complete within 250ms"


@pytest.mark.asyncio
async def test_nobody_listens() -> None:
    """It cannot be asked."""
    async with served() as port:
        pass
    found = await grpc_probe.check("127.0.0.1", port, "", GUARD)
    assert found.startswith(f'error: failed to connect service at "127.0.0.1:{port}": ')


@pytest.mark.asyncio
async def test_who_speaks_something_else() -> None:
    """A failure, not a crash."""

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await grpc_probe.check("127.0.0.1", port, "", 5)


@pytest.mark.parametrize(("kind", "value", "data"), [
    (str, "", b""),
    (str, "svc", b"\x0a\x03svc"),
    (int, 0, b""),
    (int, 1, b"\x08\x01"),
    (int, 300, b"\x08\xac\x02"),
])  # fmt: skip
def test_the_codec(kind: type, value: object, data: bytes) -> None:
    """Field 1, as protobuf writes it; a default is not written."""
    assert HealthCodec().encode(value, kind) == data
    assert HealthCodec().decode(data, kind) == value


def test_fields_that_are_not_known_are_skipped() -> None:
    """Of every wire type there is."""
    data = (
        b"\x10\x05" + b"\x1a\x02hi" + b"\x25\0\0\0\0" + b"\x29" + bytes(8) + b"\x08\x01"
    )
    assert HealthCodec().decode(data, int) == 1


@pytest.mark.parametrize("data", [b"\x08", b"\x80", b"\x0b", b"\x08" + b"\xff" * 20])
def test_rubbish_is_refused(data: bytes) -> None:
    """`ValueError`, which the probe turns into a failure."""
    with pytest.raises(ValueError):  # noqa: PT011  # its text is for the probe's message
        HealthCodec().decode(data, int)
