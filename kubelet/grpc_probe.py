"""A gRPC health check, grpc.health.v1.Health/Check, in the words of Kubernetes.

The two messages are one field each, so their codec is written here: no protobuf.
"""

import asyncio
from typing import Final

from kubelet import backoff

METHOD: Final = "/grpc.health.v1.Health/Check"
SERVING: Final = 1
STATUSES: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


async def check(host: str, port: int, service: str, timeout: float) -> str:  # noqa: ASYNC109  # it becomes a sentence
    """ "" if the service says that it serves within `timeout` s, else why it failed."""
    from grpclib import GRPCError  # who has such a probe pays for it
    from grpclib import Status as Code
    from grpclib.client import Channel, UnaryUnaryMethod
    from grpclib.exceptions import ProtocolError, StreamTerminatedError

    from kubelet.grpc_codec import HealthCodec

    address, wait = f"{host}:{port}", backoff.go_duration(timeout)
    channel = Channel(host, port, codec=HealthCodec())
    connected = False
    try:
        async with asyncio.timeout(timeout):
            await channel.__connect__()
            connected = True
            method = UnaryUnaryMethod(channel, METHOD, str, int)
            status = await method(service)
    except TimeoutError:
        if connected:
            return f"timeout: health rpc did not complete within {wait}"
        return (
            f'timeout: failed to connect service "{address}" within {wait}: '
            "context deadline exceeded"
        )
    except GRPCError as error:
        if error.status is Code.UNIMPLEMENTED:
            return (
                "error: this server does not implement the grpc health protocol "
                f"(grpc.health.v1.Health): {error.message or ''}"
            )
        return f"error: health rpc probe failed: {error.message or error.status.name}"
    except (OSError, ProtocolError, StreamTerminatedError, ValueError) as error:
        if connected:
            return f"error: health rpc probe failed: {error}"
        return f'error: failed to connect service at "{address}": {error}'
    finally:
        channel.close()
    if status == SERVING:
        return ""
    name = STATUSES[status] if 0 <= status < len(STATUSES) else str(status)
    return f'service unhealthy (responded with "{name}")'
