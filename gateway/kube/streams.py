"""`pods/exec` and `pods/attach`: a WebSocket to the user, a session to the node.

1. What can be known from the state is checked before the upgrade, and refused with a
   Status. Then the command is sent as the user, over the user's own connection, and is
   in the log; what is wrong from then on is told on the channel for errors.
2. The subprotocols are `v5.channel.k8s.io` and `v4.channel.k8s.io`: the first byte of
   each message is its channel (0 standard input, 1 output, 2 errors, 3 the outcome,
   4 the size of the terminal). In v5 a message on channel 255 closes the one it names.
3. SPDY, which kubectl spoke before 1.30, is refused with a sentence.
4. Who goes away ends the session, and what runs in it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from adapters import cancelling, session_client
from domain import errors, pod_sessions
from domain.pod import Pod
from gateway.kube import commands, kinds, routes
from gateway.kube.commander import Commander
from gateway.kube.commands import Command
from gateway.kube.logins import Logins
from gateway.kube.logs import container_of
from gateway.kube.objects import Objects
from gateway.kube.request import JSON, Request
from gateway.kube.server import Socket
from gateway.kube.statuses import Failure

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
OUTCOME: Final = 3
RESIZE: Final = 4
CLOSE: Final = 255
V5: Final = "v5.channel.k8s.io"
PROTOCOLS: Final = (V5, "v4.channel.k8s.io")
ACTIONS: Final = frozenset({"exec", "attach", "portforward"})
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
USED_EVERY_SECONDS: Final = 60.0
_OUTPUTS: Final = {"stdout": STDOUT, "stderr": STDERR}
_SUCCESS: Final[JSON] = {"metadata": {}, "status": "Success"}
_log = logging.getLogger(__name__)


class _Size(msgspec.Struct, frozen=True):
    """A message on the channel of sizes."""

    Width: int
    Height: int


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the parameters ask for."""

    node: str
    body: pod_sessions.ExecPod | pod_sessions.AttachPod
    outputs: frozenset[str]


class Streams:
    """Opens sessions for users; every method runs in one loop."""

    def __init__(self, objects: Objects, logins: Logins, commander: Commander) -> None:
        self._objects = objects
        self._logins = logins
        self._commander = commander

    async def open(self, request: Request) -> Socket:
        """What serves the session. Raises `Rejected`, or `Failure` (rules 1 and 3)."""
        if request.subresource == "portforward":
            raise Failure(
                405,
                "MethodNotAllowed",
                "ports of pods are not forwarded: a pod's address (kubectl get pods -o "
                "wide) can be reached from its node",
                details={},
            )
        state = await self._objects.current()
        kind = kinds.of(request.resource)
        held: Pod | None = kind.find(state.scene, request.namespace, request.name)
        if held is None:
            raise errors.not_found("pods", request.name)
        params = request.params
        container = container_of(
            held, state.scene.template(held.template), params.get("container", "")
        )
        if not held.node:
            text = f"pod {held.name} does not have a host assigned"
            raise Failure(400, "BadRequest", text)
        if held.terminal:
            raise Failure(
                400,
                "BadRequest",
                "cannot exec into a container in a completed pod; current phase is "
                f"{held.phase}",
            )
        flags = {name: routes.is_true(params.get(name)) for name in _FLAGS}
        if not any(flags[name] for name in ("stdin", "stdout", "stderr")):
            text = "you must specify at least 1 of stdin, stdout, stderr"
            raise Failure(400, "BadRequest", text)
        wanted = _Wanted(
            node=held.node,
            body=_body(request, container, flags),
            outputs=frozenset(name for name in _OUTPUTS if flags[name]),
        )

        async def serve(http: web.Request) -> web.StreamResponse:
            return await self._serve(http, request, wanted)

        return Socket(serve)

    async def _serve(
        self, http: web.Request, request: Request, wanted: _Wanted
    ) -> web.StreamResponse:
        """The upgraded connection, up to its end. Raises `Failure` for no upgrade."""
        _check_upgrade(http)
        if isinstance(wanted.body, pod_sessions.ExecPod):
            command = tuple(http.query.getall("command", []))
            body = msgspec.structs.replace(wanted.body, command=command)
            wanted = msgspec.structs.replace(wanted, body=body)
            if not any(command):
                text = "you must specify at least one command for the container"
                raise Failure(400, "BadRequest", text)
        socket = web.WebSocketResponse(
            protocols=PROTOCOLS,
            max_msg_size=MESSAGE_BYTES_MAX,
            timeout=2.0,
        )
        await socket.prepare(http)
        keeper = asyncio.create_task(self._keep_login(request))
        try:
            outcome = await self._session(socket, request, wanted)
            with contextlib.suppress(ConnectionError):
                await _send(socket, OUTCOME, msgspec.json.encode(outcome))
                await socket.close()
        except _GoneError:
            pass  # and the session has ended with it
        finally:
            await cancelling.end(keeper)
        return socket

    async def _session(
        self, socket: web.WebSocketResponse, request: Request, wanted: _Wanted
    ) -> JSON:
        """How it went, as a Status. Raises `_GoneError` when the user has gone."""
        try:
            answer = await self._commander.send(
                request,
                request.name,
                Command(request.subresource, wanted.body),
                told=commands.told(request, ""),
                dry_run=False,
            )
            exchange = await self._logins.exchange(request.user)
            async with session_client.opened(
                exchange,
                user=request.user.name,
                node=wanted.node,
                session=answer.id,
            ) as session:
                # So clients know that they are connected before anything is said.
                await _send(socket, STDOUT if wanted.outputs else OUTCOME, b"")
                await _both_ways(socket, session, wanted)
                return _outcome(session.exit_code or 0)
        except Failure as failure:
            return failure.document()
        except errors.Rejected as refused:
            return Failure(refused.code, refused.reason, refused.message).document()
        except errors.Transient as error:
            return Failure(503, "ServiceUnavailable", str(error)).document()
        except ConnectionError as error:
            raise _GoneError from error
        except (_GoneError, asyncio.CancelledError):
            raise
        except Exception as error:
            _log.exception("%s of %s", request.subresource, request.name)
            text = f"Internal error occurred: {type(error).__name__}: {error}"
            return Failure(500, "InternalError", text).document()

    async def _keep_login(self, request: Request) -> None:
        """The user's connection is used, though nothing is asked over it."""
        while True:
            await asyncio.sleep(USED_EVERY_SECONDS)
            with contextlib.suppress(Failure):
                await self._logins.exchange(request.user)


_FLAGS: Final = ("stdin", "stdout", "stderr", "tty")


class _GoneError(Exception):
    """The user has closed the connection."""


def _body(
    request: Request, container: str, flags: Mapping[str, bool]
) -> pod_sessions.ExecPod | pod_sessions.AttachPod:
    stdin, tty = flags["stdin"], flags["tty"]
    if request.subresource == "exec":
        return pod_sessions.ExecPod(
            command=(), container=container, stdin=stdin, tty=tty
        )
    return pod_sessions.AttachPod(container=container, stdin=stdin, tty=tty)


def _check_upgrade(http: web.Request) -> None:
    upgrade = http.headers.get("Upgrade", "").lower()
    if upgrade.startswith("spdy"):
        raise Failure(
            400,
            "BadRequest",
            "SPDY is not spoken here: use kubectl 1.30 or newer (it speaks WebSocket; "
            "KUBECTL_REMOTE_COMMAND_WEBSOCKETS must not be false), or `rollbook exec`",
        )
    if upgrade != "websocket" or http.method != "GET":
        raise Failure(400, "BadRequest", "Upgrade request required")
    offered = http.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
    if not set(offered) & set(PROTOCOLS):
        text = f"no subprotocol in common: offer {' or '.join(PROTOCOLS)}"
        raise Failure(400, "BadRequest", text)


async def _both_ways(
    socket: web.WebSocketResponse, session: session_client.Session, wanted: _Wanted
) -> None:
    """Until the session has ended. Raises `_GoneError`, or what ended it."""

    async def outward() -> None:
        async for channel, data in session.chunks():
            if channel in wanted.outputs:
                await _send(socket, _OUTPUTS[channel], data)

    jobs = [
        asyncio.create_task(outward()),
        asyncio.create_task(_inward(socket, session, is_open=wanted.body.stdin)),
    ]
    try:
        await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        for job in jobs:
            if job.done():
                job.result()
    finally:
        await cancelling.end(*jobs)


async def _inward(
    socket: web.WebSocketResponse, session: session_client.Session, *, is_open: bool
) -> None:
    """What the user sends; ends only by raising."""
    while True:
        message = await socket.receive()
        if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
            raise _GoneError
        data = message.data
        data = data.encode() if isinstance(data, str) else data
        match data[:1]:
            case b"\x00" if is_open:
                await session.write(data[1:])
            case b"\x04":
                with contextlib.suppress(msgspec.MsgspecError):
                    size = msgspec.json.decode(data[1:], type=_Size)
                    await session.resize(size.Width, size.Height)
            case b"\xff" if socket.ws_protocol == V5 and data[1:] == b"\x00":
                if is_open:
                    await session.end_input()
                is_open = False


async def _send(socket: web.WebSocketResponse, channel: int, data: bytes) -> None:
    if socket.closed:
        raise _GoneError
    await socket.send_bytes(bytes([channel]) + data)


def _outcome(code: int) -> JSON:
    """The Status of a session that has ended with this exit code."""
    if code == 0:
        return _SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
