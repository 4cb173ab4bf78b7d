"""Probes that the kubelet runs itself: HTTP, TCP, exec, gRPC (spec 1.7, 4.4).

Each returns "" for success, else why it failed, in the words of Kubernetes. Whether
the answer counts is the business of `probe_results.py`.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from domain import podspec
from kubelet import grpc_probe, runtime

BODY_MAX: Final = 10 * 1024
Exec = Callable[[tuple[str, ...], float], Awaitable[runtime.ExecResult]]
PortOf = Callable[[int | str], int]


class Prober:
    """Runs probes; one HTTP session for all of them. `close` when done."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def run(
        self, probe: podspec.Probe, *, ip: str, port_of: PortOf, execute: Exec
    ) -> str:
        """One probe. `port_of` turns a port or its name into what really listens."""
        timeout = float(probe.timeout_seconds or 1)
        try:
            if probe.exec is not None:
                return await _exec(probe.exec, timeout, execute)
            if probe.http_get is not None:
                return await self._http(probe.http_get, timeout, ip, port_of)
            if probe.tcp_socket is not None:
                port = port_of(probe.tcp_socket.port)
                return await _tcp(probe.tcp_socket.host or ip, port, timeout)
            if probe.grpc is not None:
                return await grpc_probe.check(
                    ip, probe.grpc.port, probe.grpc.service or "", timeout
                )
        except LookupError as error:
            return str(error)
        return "must specify a handler type"

    async def close(self) -> None:
        """Ends the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _http(
        self,
        get: podspec.HTTPGetAction,
        timeout: float,  # noqa: ASYNC109  # it becomes a sentence
        ip: str,
        port_of: PortOf,
    ) -> str:
        if self._session is None:
            # Every probe has a connection of its own: an old one proves nothing.
            connector = aiohttp.TCPConnector(force_close=True, limit=0, ssl=False)
            self._session = aiohttp.ClientSession(connector=connector)
        host, port = get.host or ip, port_of(get.port)
        url = url_of(get, ip, port)
        headers = {"User-Agent": "kube-probe/1.36", "Accept": "*/*"}
        headers |= {header.name: header.value for header in get.http_headers}
        try:
            async with self._session.get(
                url,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                await response.content.read(BODY_MAX)
                if 200 <= response.status < 400:
                    return ""
                return f"HTTP probe failed with statuscode: {response.status}"
        except TimeoutError:
            return (
                f'Get "{url}": context deadline exceeded '
                "(Client.Timeout exceeded while awaiting headers)"
            )
        except aiohttp.ClientConnectorError as error:
            return f'Get "{url}": dial tcp {host}:{port}: {_reason(error.os_error)}'
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f'Get "{url}": {error}'


def url_of(get: podspec.HTTPGetAction, ip: str, port: int) -> str:
    """Where the request goes, at the pod's address unless it names a host."""
    scheme = (get.scheme or "HTTP").lower()
    path = get.path if get.path.startswith("/") else f"/{get.path}"
    return f"{scheme}://{get.host or ip}:{port}{path}"


def number_of(spec: podspec.Container, wanted: int | str) -> int:
    """The port of that number or name.

    Raises `LookupError` for a name that the container does not have.
    """
    if isinstance(wanted, int):
        return wanted
    for port in spec.ports:
        if port.name == wanted:
            return port.container_port
    if not wanted.isdecimal():
        raise LookupError(f'couldn\'t find port: "{wanted}"')
    return int(wanted)


async def _tcp(host: str, port: int, timeout: float) -> str:  # noqa: ASYNC109  # says it
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, kind, _, _, address = found[0]
            with socket.socket(family, kind) as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
    except TimeoutError:
        return f"dial tcp {host}:{port}: i/o timeout"
    except OSError as error:
        return f"dial tcp {host}:{port}: {_reason(error)}"
    return ""


async def _exec(
    action: podspec.ExecAction,
    timeout: float,  # noqa: ASYNC109  # it becomes a sentence
    execute: Exec,
) -> str:
    command = tuple(action.command)
    try:
        result = await execute(command, timeout)
    except TimeoutError:
        return f'command timed out: "{" ".join(command)}" timed out after {timeout:g}s'
    except OSError as error:
        return str(error)
    if not result.exit_code:
        return ""
    return result.output.strip() or f"exit status {result.exit_code}"


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    return f"connect: {error.strerror or error}".lower()
