"""The HTTPS server of the Kubernetes API: requests in, replies and streams out.

1. A request is bounded in all directions: size of head and body, time to arrive, open
   connections, requests at once. What is over a bound gets a clear answer, or none if
   it never asked anything, and costs the others nothing.
2. Whoever asks is known first (`logins`), and is nobody else (no impersonation); only
   health, version and the paths that tell nothing are open to everybody.
3. What a handler raises becomes a Status. Our own mistake is a 500 that is logged,
   and costs that answer alone.
4. A watch is a chunked stream that ends when its client goes, when its time is over,
   or when the server stops; a client that does not read is cut off.
"""

import asyncio
import contextlib
import functools
import logging
import socket
import ssl
import time
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec
from aiohttp import web

from domain import errors
from gateway.kube import discovery, routes, statuses
from gateway.kube.logins import Logins
from gateway.kube.request import Reply, Request, User
from gateway.kube.routes import Route
from gateway.kube.statuses import Failure
from gateway.measuring import Requests

BODY_BYTES_MAX: Final = 3 * 1024 * 1024
"""The API server's own limit for a request."""
BODY_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 90.0
WRITE_SECONDS: Final = 30.0
"""A client that takes nothing for so long is cut off."""
FIRST_SECONDS: Final = 10.0
"""So long a new connection has for its handshake, and then for its first request."""
CONNECTIONS_MAX: Final = 2_000
AT_ONCE: Final = 512
BODIES_MAX: Final = 256
COMPRESSED_BYTES: Final = 128 * 1024
WARNING: Final = '299 - "{}"'
WARNINGS_MAX: Final = 32
WARNING_CHARS: Final = 256
"""Clients read only so much of a head."""
_QUOTED: Final = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " "),
    **str.maketrans({"\\": "\\\\", '"': '\\"'}),
}
"""What a header cannot carry as it is: fields in a body are called anything."""
JSON_TYPE: Final = "application/json"
_IMPERSONATED: Final = {
    "Impersonate-User": "users",
    "Impersonate-Group": "groups",
    "Impersonate-Uid": "uids",
}
ROUTE: Final = web.RequestKey("route", Route)

Open = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.http")
_quiet.setLevel(logging.CRITICAL)  # a client's broken request is no news of ours


class Stream(msgspec.Struct, frozen=True):
    """An endless answer: pieces of bytes, and what they are."""

    pieces: AsyncGenerator[bytes, None]
    media_type: str = JSON_TYPE


class Socket(msgspec.Struct, frozen=True):
    """A connection that is upgraded: what serves it, to its end. Raises `Failure`
    where it is not to be upgraded."""

    serve: Open


class Handlers(Protocol):
    """What answers a request about objects."""

    async def handle(self, request: Request) -> Reply | Stream | Socket:
        """The answer. Raises `Failure` or `Rejected`."""


class Server:
    """Serves `handlers`; every method runs in one loop."""

    def __init__(self, logins: Logins, handlers: Handlers, version: str) -> None:
        """Nothing is served yet; see `ready`."""
        self.counters: Counter[str] = Counter()
        """`asked.<verb>` and `answered.<code>`."""
        self.requests = Requests()
        self._logins = logins
        self._handlers = handlers
        self._version = version
        self._running = 0
        self._bodies = 0
        self._streams: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._busy: set[web.RequestHandler] = set()
        """The connections on which a request is answered."""
        self._idle: dict[web.RequestHandler, float] = {}
        """The others, and when they are closed, on the monotonic clock."""
        self.ready = False
        """The log is folded: before, there is nothing to answer from, and all but
        health and version is 503."""
        self.extra: dict[str, Open] = {}
        """More paths for users who are known, with all below: each its own answer."""

    async def start(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        listening: socket.socket | None = None,
    ) -> int:
        """Afterwards requests are answered on the port that comes back: that of
        `listening`, where somebody has taken it before."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_quiet,
            handler_cancellation=True,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=1.0,
            shutdown_timeout=2.0,
            max_line_size=16_384,
            max_field_size=16_384,
        )
        await self._runner.setup()
        handler = self._runner.server
        assert handler is not None, "it is set up"
        serve = functools.partial(
            asyncio.get_running_loop().create_server,
            handler,
            ssl=tls,
            backlog=1_024,
            ssl_handshake_timeout=FIRST_SECONDS if tls is not None else None,
        )
        if listening is not None:
            self._listener = await serve(sock=listening)
        else:
            self._listener = await serve(host=host, port=port, reuse_address=True)
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Afterwards nothing is open: streams end first."""
        for task in list(self._streams):
            task.cancel()
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def tidy(self, now: float) -> None:
        """Afterwards connections that have asked nothing for long are closed (rule 1);
        of too many idle ones those that have been idle longest. `now` is monotonic."""
        if self._runner is None or self._runner.server is None:
            return
        open_now = dict.fromkeys(self._runner.server.connections)
        for gone in self._idle.keys() - open_now.keys():
            del self._idle[gone]
        for each in open_now:
            if each not in self._busy:
                self._idle.setdefault(each, now + FIRST_SECONDS)
        over = len(open_now) - CONNECTIONS_MAX
        by_end = sorted(self._idle.items(), key=lambda item: item[1])
        for index, (each, ends_at) in enumerate(by_end):
            if ends_at <= now or index < over:
                self.counters["connections.cut"] += 1
                del self._idle[each]
                if each.transport is not None:
                    each.transport.abort()

    # --- one request ----------------------------------------------------------------

    @property
    def streams(self) -> int:
        """How many answers without an end are open."""
        return len(self._streams)

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        begin = time.perf_counter()
        found = await self._answered(http)
        route = http.get(ROUTE)
        if route is not None and isinstance(found, web.Response):
            took = time.perf_counter() - begin
            self.requests.observe(route.verb, route.resource.plural, found.status, took)
        return found

    async def _answered(self, http: web.Request) -> web.StreamResponse:
        if self._running >= AT_ONCE:
            return self._failed(
                _too_many("too many requests are being answered: try again")
            )
        self._running += 1
        counted = True
        self._busy.add(http.protocol)
        self._idle.pop(http.protocol, None)
        try:
            answer = await self._respond(http)
            if isinstance(answer, Stream):
                self._running -= 1  # a stream waits most of its time
                counted = False
                return await self._stream(http, answer)
            if isinstance(answer, Socket):
                self._running -= 1  # and so does a socket
                counted = False
                return await self._socket(http, answer)
            return answer
        except Failure as failure:
            return self._failed(failure)
        except errors.Transient as error:
            text = f"not at the moment: {error}"
            return self._failed(
                Failure(503, "ServiceUnavailable", text, headers={"Retry-After": "1"})
            )
        except (web.HTTPException, ConnectionResetError, asyncio.CancelledError):
            raise
        except Exception as error:
            _log.exception("%s %s", http.method, http.rel_url)
            text = f"Internal error occurred: {type(error).__name__}: {error}"
            return self._failed(Failure(500, "InternalError", text))
        finally:
            self._running -= counted
            self._busy.discard(http.protocol)
            self._idle[http.protocol] = time.monotonic() + IDLE_SECONDS

    async def _respond(self, http: web.Request) -> web.StreamResponse | Stream | Socket:
        path = http.path.rstrip("/")  # some clients ask for `/version/`
        if path in ("/healthz", "/livez", "/readyz") or path == "/version":
            return self._open(path, verbose="verbose" in http.query)
        if not self.ready:
            raise Failure(
                503,
                "ServiceUnavailable",
                "the log is being folded: try again",
                headers={"Retry-After": "1"},
            )
        user = await self._logins.user(http.headers.get("Authorization", ""))
        _check_impersonation(http, user)
        for prefix, answer in self.extra.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return await answer(http)
        if (found := _discovered(http)) is not None:
            return found
        if not path.startswith(("/api/", "/apis/")):
            raise routes.not_a_page()
        params = {key: http.query.getall(key)[-1] for key in http.query}
        try:
            route = routes.find(http.method, path.rstrip("/"), params)
        except IndexError:
            raise routes.not_a_page() from None
        http[ROUTE] = route
        async with self._arriving(http):
            request = await _request(http, user, route, params)
        self.counters[f"asked.{route.verb}"] += 1
        try:
            reply = await self._handlers.handle(request)
        except errors.Rejected as refused:
            raise statuses.of_rejected(refused, route.resource, route.name) from refused
        if isinstance(reply, Stream | Socket):
            return reply
        return self._response(http, reply)

    @contextlib.asynccontextmanager
    async def _arriving(self, http: web.Request) -> AsyncGenerator[None, None]:
        """A body is on its way: those that come slowly keep no reader waiting, for
        they are bounded by themselves. Raises `Failure` 429."""
        if not http.can_read_body:
            yield
            return
        if self._bodies >= BODIES_MAX:
            raise _too_many("too many bodies are on their way: try again")
        self._bodies += 1
        self._running -= 1
        try:
            yield
        finally:
            self._bodies -= 1
            self._running += 1

    def _open(self, path: str, *, verbose: bool) -> web.Response:
        if path == "/version":
            return _json(200, version_document(self._version))
        if path == "/readyz" and not self.ready:
            return web.Response(
                status=503, text="the log is being folded", content_type="text/plain"
            )
        log = "[+]log ok" if self.ready else "[-]log is being folded"
        text = f"[+]ping ok\n{log}\n{path[1:]} check passed\n"
        return web.Response(text=text if verbose else "ok", content_type="text/plain")

    def _response(self, http: web.Request, reply: Reply) -> web.Response:
        body = reply.document
        data = body if isinstance(body, bytes) else msgspec.json.encode(body) + b"\n"
        headers = {
            "Content-Type": reply.media_type,
            "Cache-Control": "no-cache, private",
        }
        headers |= reply.headers
        accepted = http.headers.get("Accept-Encoding", "")
        if len(data) > COMPRESSED_BYTES and "gzip" in accepted:
            packer = zlib.compressobj(1, wbits=31)
            data = packer.compress(data) + packer.flush()
            headers["Content-Encoding"] = "gzip"
            headers["Vary"] = "Accept-Encoding"
        response = web.Response(status=reply.code, body=data, headers=headers)
        for text in _told(reply.warnings):
            response.headers.add("Warning", WARNING.format(text.translate(_QUOTED)))
        self.counters[f"answered.{reply.code}"] += 1
        return response

    def _failed(self, failure: Failure) -> web.Response:
        self.counters[f"answered.{failure.code}"] += 1
        if not failure.reason:
            return web.Response(
                status=failure.code,
                body=failure.message.encode() + b"\n",
                headers={"Content-Type": "text/plain; charset=utf-8"},
            )
        return _json(failure.code, failure.document(), failure.headers)

    async def _stream(self, http: web.Request, answer: Stream) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "Content-Type": answer.media_type,
                "Cache-Control": "no-cache, private",
            }
        )
        task = asyncio.current_task()
        assert task is not None, "a handler is a task"
        self._streams.add(task)
        try:
            await response.prepare(http)
            async with contextlib.aclosing(answer.pieces) as pieces:
                async for piece in pieces:
                    async with asyncio.timeout(WRITE_SECONDS):
                        await response.write(piece)
            await response.write_eof()
        except TimeoutError:
            self.counters["streams.cut"] += 1
            if http.transport is not None:
                http.transport.abort()
        except ConnectionResetError:
            pass  # the client has gone, which is how most watches end
        finally:
            self._streams.discard(task)
        return response

    async def _socket(self, http: web.Request, answer: Socket) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None, "a handler is a task"
        self._streams.add(task)
        try:
            return await answer.serve(http)
        finally:
            self._streams.discard(task)


def _check_impersonation(http: web.Request, user: User) -> None:
    """Raises `Failure` 403 for who wants to be somebody else: the broker knows nothing
    of that, and a request that is carried out all the same is worse than a refusal."""
    for header, what in _IMPERSONATED.items():
        if name := http.headers.get(header):
            raise Failure(
                403,
                "Forbidden",
                f'{what} "{name}" is forbidden: User "{user.name}" cannot impersonate '
                f'resource "{what}" in API group "" at the cluster scope',
                details={"name": name, "kind": what},
            )


def _too_many(text: str) -> Failure:
    return Failure(429, "TooManyRequests", text, headers={"Retry-After": "1"})


def _told(warnings: Sequence[str]) -> list[str]:
    """As much of the warnings as fits into a head, and how many there are beside."""
    found = [
        text if len(text) <= WARNING_CHARS else f"{text[: WARNING_CHARS - 1]}…"
        for text in dict.fromkeys(warnings[:WARNINGS_MAX])
    ]
    if len(warnings) > WARNINGS_MAX:
        found.append(f"and {len(warnings) - WARNINGS_MAX} more")
    return found


def version_document(version: str) -> dict[str, object]:
    """`/version`: as old a Kubernetes as the behaviour follows, and who we are."""
    return {
        "major": "1",
        "minor": "36",
        "gitVersion": f"v1.36.0+rollbook-{version}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(0)),
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


async def _request(
    http: web.Request, user: User, route: Route, params: dict[str, str]
) -> Request:
    body = b""
    if http.can_read_body:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await http.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise Failure(
                413,
                "RequestEntityTooLarge",
                f"Request entity too large: limit is {BODY_BYTES_MAX}",
            ) from error
        except TimeoutError as error:
            raise Failure(
                408, "Timeout", f"the body did not arrive within {BODY_SECONDS:g} s"
            ) from error
    return Request(
        user=user,
        verb=route.verb,
        resource=route.resource,
        params=params,
        subresource=route.subresource,
        namespace=route.namespace,
        name=route.name,
        body=body,
        content_type=http.headers.get("Content-Type", ""),
        accept=http.headers.get("Accept", ""),
        agent=http.headers.get("User-Agent", "")[:256],
        command=http.headers.get("Kubectl-Command", "")[:256],
    )


def _discovered(http: web.Request) -> web.Response | None:
    """The document of discovery that the path names."""
    parts = [part for part in http.path.split("/") if part]
    if http.method not in ("GET", "HEAD"):
        return None
    form = discovery.wanted_form(http.headers.get("Accept", ""))
    document = None
    match parts:
        case [] if http.path == "/":
            document = discovery.index()
        case ["api" | "apis" as root]:
            document = discovery.root(root, form)
        case ["api", version]:
            document = discovery.version("", version)
        case ["apis", group]:
            document = discovery.group(group)
        case ["apis", group, version]:
            document = discovery.version(group, version)
        case _:
            return None
    if document is None:
        raise routes.not_a_page()
    headers = {
        "Content-Type": document.media_type,
        "ETag": document.etag,
        "Vary": "Accept",
        "Cache-Control": "public",
    }
    if http.headers.get("If-None-Match") == document.etag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=document.body, headers=headers)


def _json(
    code: int, document: dict[str, object], headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        status=code,
        body=msgspec.json.encode(document) + b"\n",
        headers={"Content-Type": JSON_TYPE, **(headers or {})},
    )
