"""What goes into a container and comes out of it: commands, sessions, output.

1. A command that is given up is killed by the number of its process, if that is in the
   container's control group still: engines have no call for it.
2. Output is given in chunks of whole lines; a terminal's as it comes.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final

from adapters import engine, engine_streams
from kubelet import runtime as port
from kubelet.container_sandboxes import Pod, Run

OUTPUT_MAX: Final = 64 * 1024
END_SECONDS: Final = 10.0
KILLED: Final = 137
_POLL_SECONDS: Final = 0.02
_CHANNELS: Final[dict[int, port.StreamChannel]] = {2: "stderr"}


async def execute(
    docker: engine.Engine, pod: Pod, run: Run, command: tuple[str, ...], seconds: float
) -> port.ExecResult:
    """Runs a command to its end, for at most `seconds`.

    Raises `LookupError` if the container does not run, `TimeoutError`, and `OSError`
    with the engine's words if the command cannot be run.
    """
    try:
        session = await docker.open_exec(run.id, command)
    except engine.EngineError as error:
        raise _not_run(pod, run, error) from error
    output = b""
    try:
        async with asyncio.timeout(seconds):
            async for _, data in session.chunks():
                output = (output + data)[:OUTPUT_MAX]
            code = await _exit_code(docker, session.identity)
    except TimeoutError:
        await _kill(docker, run, session.identity)
        raise
    except engine.EngineError as error:
        raise OSError(str(error)) from error
    finally:
        await session.close()
    return port.ExecResult(exit_code=code, output=output.decode(errors="replace"))


class ContainerStream:
    """A session; see `port.Stream`."""

    def __init__(
        self, docker: engine.Engine, run: Run, session: engine_streams.Session
    ) -> None:
        self._engine = docker
        self._run = run
        self._container = run.id
        self._session = session
        self._closed = False

    async def write(self, data: bytes) -> None:
        """See `port.Stream`."""
        await self._session.write(data)

    async def end_input(self) -> None:
        """See `port.Stream`."""
        await self._session.end_input()

    async def resize(self, width: int, height: int) -> None:
        """See `port.Stream`."""
        kind, identity = "containers", self._container
        if self._session.identity:
            kind, identity = "exec", self._session.identity
        with contextlib.suppress(engine.EngineError):  # it has ended, or has no tty
            await self._engine.resize(kind, identity, width, height)

    async def chunks(self) -> AsyncGenerator[tuple[port.StreamChannel, bytes], None]:
        """See `port.Stream`."""
        async for number, data in self._session.chunks():
            yield _CHANNELS.get(number, "stdout"), data

    async def exit_code(self) -> int:
        """See `port.Stream`. Raises `OSError` if the engine does not say."""
        if not self._session.identity:
            return 0
        try:
            return await _exit_code(self._engine, self._session.identity)
        except engine.EngineError as error:
            raise OSError(str(error)) from error

    async def close(self) -> None:
        """See `port.Stream`."""
        if self._closed:
            return
        self._closed = True
        await self._session.close()
        if self._session.identity:
            await _kill(self._engine, self._run, self._session.identity)


async def open_stream(
    docker: engine.Engine, pod: Pod, run: Run, request: port.StreamRequest
) -> ContainerStream:
    """Opens a session. Raises `LookupError` if the container does not run."""
    try:
        if request.command:
            session = await docker.open_exec(
                run.id, request.command, stdin=request.stdin, tty=request.tty
            )
        else:
            session = await docker.open_attach(run.id, stdin=request.stdin)
    except engine.EngineError as error:
        raise _not_run(pod, run, error) from error
    stream = ContainerStream(docker, run, session)
    if request.tty:
        await stream.resize(request.width, request.height)
    return stream


async def logs(
    docker: engine.Engine, container: str, options: port.LogOptions
) -> AsyncIterator[bytes]:
    """The output in chunks of whole lines. Raises `LookupError` if there is none, and
    `OSError` with the engine's words."""
    params: dict[str, str | int] = {
        "timestamps": int(options.timestamps),
        "follow": int(options.follow),
        "tail": "all" if options.tail < 0 else options.tail,
    }
    if options.since:
        params["since"] = f"{options.since:.6f}"
    rest: dict[int, bytes] = {}
    try:
        async for stream, data in docker.logs(container, params):
            head, newline, tail = (rest.pop(stream, b"") + data).rpartition(b"\n")
            rest[stream] = tail
            if len(tail) > OUTPUT_MAX:
                head, newline = head + newline + rest.pop(stream), b""
            if head or newline:
                yield head + newline
    except engine.EngineError as error:
        if error.status == 404:
            raise LookupError(str(error)) from error
        raise OSError(str(error)) from error
    for tail in rest.values():
        if tail:
            yield tail


async def _exit_code(docker: engine.Engine, identity: str) -> int:
    """An engine ends the streams a little before it knows the code."""
    async with asyncio.timeout(END_SECONDS):
        while True:
            state = await docker.exec_state(identity)
            if not state.running and state.exit_code is not None:
                return state.exit_code
            await asyncio.sleep(_POLL_SECONDS)


async def _kill(docker: engine.Engine, run: Run, identity: str) -> None:
    with contextlib.suppress(engine.EngineError, OSError):
        state = await docker.exec_state(identity)
        if not state.running or not state.pid:
            return
        descriptor = os.pidfd_open(state.pid)
        try:
            if run.id in _groups(state.pid):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def _groups(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text()


def _not_run(pod: Pod, run: Run, error: engine.EngineError) -> Exception:
    ended = error.status in (404, 409) or "running containers" in str(error)
    if ended or not run.alive:
        return LookupError(
            f'container "{run.name}" in pod "{pod.sandbox.name}" does not run'
        )
    return OSError(str(error))
