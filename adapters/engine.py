"""A container engine behind the Docker Engine API (Docker, Podman); through aiodocker.

1. This is the only place that talks to an engine. Every call has a time limit, and at
   most `CALLS_MAX` are under way, so that a hundred pods at once are a queue.
2. Whatever goes wrong is an `EngineError` with the engine's words; an `Unavailable` if
   there was no answer, in time or that could be understood: then it may be tried again.
3. What an engine sends is checked on its way in. Fields that nobody needs are left
   out; one that is needed and missing is an answer that cannot be understood.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import aiodocker
import aiohttp
import msgspec

from adapters import engine_answers as answers
from adapters import engine_streams
from domain import errors

CALLS_MAX: Final = 8
CALL_SECONDS: Final = 60.0
FIND_SECONDS: Final = 5.0
PULL_IDLE_SECONDS: Final = 120.0
PULL_SECONDS: Final = 1800.0
CHUNK: Final = 64 * 1024
LIBPOD: Final = "v4.0.0"
"""The version of Podman's own API, for the one call that Docker's has not."""
LINE_MAX: Final = 8 * 1024 * 1024
T = TypeVar("T")
Params = Mapping[str, str | int]


Trouble = Literal["refusing", "not-reachable", "not-answering", "not-understood"]


class EngineError(errors.RollbookError):
    """The engine said no. `status` is that of HTTP, 0 within a stream."""

    how: Trouble = "refusing"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(EngineError):
    """There was no answer that could be understood."""

    def __init__(self, message: str, how: Trouble = "not-reachable") -> None:
        super().__init__(message)
        self.how = how


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that answers: `name` is `docker` or `podman`; `why` it was asked."""

    url: str
    name: str
    version: str
    why: str


def candidates(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Where an engine may listen, the likeliest first: (URL, why it is asked).

    A `DOCKER_HOST` is the only one: whoever set it does not mean another engine.
    """
    if named := environ.get("DOCKER_HOST", ""):
        return [(named, "DOCKER_HOST names it")]
    user = environ.get("XDG_RUNTIME_DIR", "")
    paths = ["/var/run/docker.sock"]
    paths += [f"{user}/docker.sock"] if user else []
    paths += ["/run/podman/podman.sock"]
    paths += [f"{user}/podman/podman.sock"] if user else []
    return [
        (f"unix://{path}", f"there is a socket at {path}")
        for path in paths
        if Path(path).is_socket() and os.access(path, os.R_OK | os.W_OK)
    ]


async def find(
    environ: Mapping[str, str],
    seconds: float = FIND_SECONDS,
) -> Found | None:
    """The first engine that answers within `seconds`; None if none does."""
    for url, why in candidates(environ):
        try:
            engine = Engine(url, call_seconds=seconds)
        except ValueError:
            continue
        try:
            version = await engine.version()
        except EngineError:
            continue
        finally:
            await engine.close()
        return Found(url=url, name=version.name, version=version.version, why=why)
    return None


class Engine:
    """A connection to one engine. `close` when done."""

    def __init__(self, url: str, *, call_seconds: float = CALL_SECONDS) -> None:
        """Raises `ValueError` for a URL that is not one of an engine."""
        self.url = url
        self._seconds = call_seconds
        self._docker = aiodocker.Docker(url)
        self._slots = asyncio.Semaphore(CALLS_MAX)

    async def close(self) -> None:
        """Ends every call that is under way."""
        await self._docker.close()

    # --- the engine itself ---------------------------------------------------------

    async def version(self) -> answers.Version:
        """Who it is; this also settles the version of the API."""
        async with self._call("version"):
            return await self._negotiate()

    async def ping(self, seconds: float) -> None:
        """It answers within so many seconds, however many calls are waiting here.
        Raises `EngineError` if not. (`version` would be no ping: Podman starts a few
        programs for it.)"""
        async with (
            self._translated("a ping", seconds),
            self._open("GET", "_ping") as response,
        ):
            said = await response.read()
            if said.strip() != b"OK":
                raise ValueError(f"{said[:100]!r} is not OK")

    async def info(self) -> answers.Info:
        """What it can do on this machine."""
        return await self._json("GET", "info", answers.Info)

    async def events(self, label: str) -> AsyncGenerator[answers.Event, None]:
        """What happens to containers with that label, from now on, for ever.

        The first event is an empty one: the engine listens. Raises `EngineError`.
        """
        filters = {"label": [label], "type": ["container"]}
        params = {"filters": msgspec.json.encode(filters).decode()}
        async with self._open("GET", "events", params=params) as response:
            yield answers.Event()
            async for line in _lines(response):
                yield answers.decode(line, answers.Event)

    # --- images --------------------------------------------------------------------

    async def image(self, name: str) -> answers.Image | None:
        """The image if it is on this machine."""
        try:
            return await self._json("GET", f"images/{name}/json", answers.Image)
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    async def images(self) -> tuple[answers.ListedImage, ...]:
        """All images that it has."""
        return await self._json("GET", "images/json", tuple[answers.ListedImage, ...])

    async def pull(self, name: str, auth: str = "") -> None:
        """Fetches an image; `auth` is the header `X-Registry-Auth`.

        Gives up after `PULL_IDLE_SECONDS` without progress.
        """
        reference, _, digest = name.partition("@")
        head, _, tag = reference.rpartition(":")
        params = {"fromImage": name} if digest else {"fromImage": head, "tag": tag}
        headers = {"X-Registry-Auth": auth} if auth else {}
        said = 0
        async with (
            self._translated(f"pull of {name}", PULL_SECONDS),
            self._open("POST", "images/create", params, headers) as response,
        ):
            async for line in _lines(response, PULL_IDLE_SECONDS):
                progress = answers.decode(line, answers.Progress)
                said += 1
                if progress.error:
                    raise EngineError(progress.error.strip())
        if not said:
            raise Unavailable(f"the engine ended the pull of {name} without a word")

    async def load(self, archive: bytes) -> None:
        """Takes in the images of a docker-archive (a tar)."""
        async with (
            self._translated("load of an image", self._seconds),
            self._open(
                "POST",
                "images/load",
                headers={"Content-Type": "application/x-tar"},
                data=archive,
            ) as response,
        ):
            async for line in _lines(response):
                progress = answers.decode(line, answers.Progress)
                if progress.error:
                    raise EngineError(progress.error.strip())

    async def remove_image(self, name: str) -> None:
        """There is none of that name afterwards; 409 if a container uses it."""
        try:
            await self._done("DELETE", f"images/{name}")
        except EngineError as error:
            if error.status != 404:
                raise

    # --- containers ----------------------------------------------------------------

    async def list(self, label: str) -> tuple[answers.Listed, ...]:
        """All containers with that label (`name=value`), also those that have ended."""
        filters = msgspec.json.encode({"label": [label]}).decode()
        params: Params = {"all": 1, "filters": filters}
        return await self._json(
            "GET", "containers/json", tuple[answers.Listed, ...], params
        )

    async def create(self, name: str, body: Mapping[str, object]) -> str:
        """The id of a new container. 409 if the name is taken."""
        made = await self._json(
            "POST", "containers/create", answers.Created, {"name": name}, body
        )
        return made.id

    async def start(self, container: str) -> None:
        """It runs afterwards, or it has run; 404 if there is none."""
        await self._done("POST", f"containers/{container}/start")

    async def initialise(self, container: str) -> None:
        """Its process is there, and waits for `start`. Only Podman can do that."""
        await self._done("POST", f"libpod/containers/{container}/init")

    async def kill(self, container: str, signal: str) -> bool:
        """Whether it was there and ran, and has got the signal."""
        try:
            path = f"containers/{container}/kill"
            await self._done("POST", path, {"signal": signal})
        except Unavailable:
            raise
        except EngineError:  # each engine has its own words for "it has ended"
            found = await self.inspect(container)
            if found is None or not found.state.running:
                return False
            raise
        return True

    async def inspect(self, container: str) -> answers.Inspected | None:
        """The state of a container; None if there is none."""
        try:
            return await self._json(
                "GET", f"containers/{container}/json", answers.Inspected
            )
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    async def remove(self, container: str) -> None:
        """It is killed if it runs; afterwards there is none, nor its own volumes."""
        try:
            await self._done("DELETE", f"containers/{container}", {"force": 1, "v": 1})
        except EngineError as error:
            if error.status != 404:
                raise

    async def stats(self, container: str) -> answers.Stats:
        """What it uses at this moment."""
        return await self._json(
            "GET",
            f"containers/{container}/stats",
            answers.Stats,
            {"stream": "false", "one-shot": "true"},
        )

    async def logs(
        self, container: str, params: Params
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """The output as (stream, bytes): 1 is stdout, 2 stderr; 0 of a terminal."""
        found = await self.inspect(container)
        if found is None:
            raise EngineError(f"no such container: {container}", 404)
        every: Params = {"stdout": 1, "stderr": 1, **params}
        path = f"containers/{container}/logs"
        async with self._open("GET", path, every) as response:
            if found.config.tty:
                async for data in response.content.iter_chunked(CHUNK):
                    yield 0, data
                return
            split = engine_streams.Demultiplexer()
            async for data in response.content.iter_chunked(CHUNK):
                for piece in split.feed(data):
                    yield piece

    # --- sessions ------------------------------------------------------------------

    async def open_exec(
        self,
        container: str,
        command: tuple[str, ...],
        *,
        stdin: bool = False,
        tty: bool = False,
    ) -> engine_streams.Session:
        """Runs a command in a container that runs. 404 or 409 if it does not."""
        body = {
            "Cmd": list(command),
            "AttachStdin": stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": tty,
        }
        path = f"containers/{container}/exec"
        made = await self._json("POST", path, answers.Created, body=body)
        handle = self._docker.containers.exec(made.id)
        handle._tty = tty  # else aiodocker asks the engine for what we know
        stream = handle.start(detach=False)
        async with self._call("exec"):
            await stream._init()  # opens it; else the first read would
        return engine_streams.Session(stream, made.id)

    async def open_attach(
        self, container: str, *, stdin: bool = False
    ) -> engine_streams.Session:
        """The streams of what the container runs, from now on."""
        stream = self._docker.containers.container(container).attach(
            stdin=stdin, stdout=True, stderr=True
        )
        async with self._call("attach"):
            await stream._init()
        return engine_streams.Session(stream)

    async def exec_state(self, identity: str) -> answers.ExecState:
        """Whether the command of a session runs, and how it ended."""
        return await self._json("GET", f"exec/{identity}/json", answers.ExecState)

    async def resize(self, kind: str, identity: str, width: int, height: int) -> None:
        """The terminal of an `exec` or of `containers` has another size."""
        await self._done("POST", f"{kind}/{identity}/resize", {"w": width, "h": height})

    # --- helpers -------------------------------------------------------------------

    async def _negotiate(self) -> answers.Version:
        async with self._open("GET", "version") as response:
            found = answers.decode(await response.read(), answers.Version)
        if not re.fullmatch(r"\d+\.\d+", found.api_version):
            raise ValueError(f"{found.api_version!r} is no version of the API")
        self._docker.api_version = f"v{found.api_version}"
        return found

    async def _json(
        self,
        method: str,
        path: str,
        kind: type[T],
        params: Params | None = None,
        body: Mapping[str, object] | None = None,
    ) -> T:
        data = None if body is None else msgspec.json.encode(body)
        async with (
            self._call(f"{method} {path}"),
            self._open(method, path, params, data=data) as response,
        ):
            return answers.decode(await response.read(), kind)

    async def _done(self, method: str, path: str, params: Params | None = None) -> None:
        async with (
            self._call(f"{method} {path}"),
            self._open(method, path, params) as response,
        ):
            await response.read()

    @contextlib.asynccontextmanager
    async def _call(self, what: str) -> AsyncIterator[None]:
        async with self._slots, self._translated(what, self._seconds):
            yield

    @contextlib.asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; raises `EngineError` for a refusal.

        `aiodocker` has most of these calls, but none of them gives the bytes of a log.
        """
        docker = self._docker
        if path == "version":
            url = f"{docker.docker_host}/{path}"
        else:
            if docker.api_version == "auto":
                await self._negotiate()
            libpod = path.startswith("libpod/")
            version = LIBPOD if libpod else docker.api_version
            url = f"{docker.docker_host}/{version}/{path}"
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            async with docker.session.request(
                method,
                url,
                params=params,
                headers=sent,
                data=data,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._seconds),
                read_bufsize=CHUNK,
            ) as response:
                if response.status >= 400:
                    raise EngineError(
                        answers.refusal(await response.read()), response.status
                    )
                yield response
        except (aiohttp.ClientError, OSError) as error:
            raise _trouble(f"{method} {path}", self.url, error) from error

    @contextlib.asynccontextmanager
    async def _translated(self, what: str, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise Unavailable(
                f"the engine at {self.url} has not answered {what} in {seconds:g} s",
                "not-answering",
            ) from error
        except aiodocker.DockerError as error:
            if error.status == 900:  # aiodocker's own number for "no connection"
                raise Unavailable(error.message) from error
            raise EngineError(error.message, error.status) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _trouble(what, self.url, error) from error
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
            # What aiodocker raises for an answer that is no answer.
            raise Unavailable(
                f"the engine at {self.url} has answered {what} with what cannot be "
                f"understood: {error}",
                "not-understood",
            ) from error


def _trouble(what: str, url: str, error: Exception) -> Unavailable:
    return Unavailable(f"the engine at {url} does not answer {what}: {error}")


async def _lines(
    response: aiohttp.ClientResponse, idle: float | None = None
) -> AsyncGenerator[bytes, None]:
    """The lines of a stream of JSON; none may be longer than `LINE_MAX`."""
    rest = b""
    chunks: AsyncIterator[Any] = response.content.iter_any()
    while True:
        async with asyncio.timeout(idle):
            data = await anext(chunks, b"")
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > LINE_MAX:
            raise Unavailable("the engine sends a line without an end")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
