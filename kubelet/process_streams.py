"""Sessions of the process runtime: a command beside a container, or its own output.

1. A command runs in a session (of the system) of its own, with pipes or, for a tty,
   with a terminal of which it is the leader. It dies with this process, with its
   container, and with whoever opened it; and with it all of its process group.
2. Output is read only when somebody asks for it, and input is taken only as far as the
   command reads: nothing piles up here.
3. An attached session sees what the container says from now on. What the process
   runtime starts has no standard input, so nobody can speak to it.
"""

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from adapters import cancelling
from domain import errors
from kubelet import child, shims
from kubelet.runtime import StreamChannel, StreamRequest

CHUNK: Final = 32 * 1024
SIDE_MAX: Final = 10_000
"""No terminal has more columns or rows."""
_EOT: Final = b"\x04"
_RESTORED: Final = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGTSTP,
)
"""What a kubelet that was started in the background may ignore (or block), and its
children would too: Ctrl-C would then do nothing."""
_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)


def start(
    request: StreamRequest, *, env: dict[str, str], cwd: Path, until: asyncio.Event
) -> "CommandStream":
    """Starts the command; it is killed when `until` is set (its container has ended).

    Raises `OSError` with a sentence if it cannot be started.
    """
    if request.tty:
        env = {"TERM": "xterm", **env}
    program = shims.program(request.command[0], env, cwd)
    opened: list[int] = []
    try:
        return _started(request, program, env, cwd, until, opened)
    except BaseException:
        for descriptor in opened:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        raise


def _started(
    request: StreamRequest,
    program: str,
    env: dict[str, str],
    cwd: Path,
    until: asyncio.Event,
    opened: list[int],
) -> "CommandStream":
    theirs: list[int] = []
    outputs: dict[StreamChannel, int]
    if request.tty:
        ours, terminal = pty.openpty()
        opened += [ours, terminal]
        _set_size(ours, request.width, request.height)
        theirs = [terminal] * 3
        outputs, entry = {"stdout": ours}, ours
    else:
        pipes = [os.pipe() for _ in range(3)]
        opened += [each for pipe in pipes for each in pipe]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        outputs, entry = {"stdout": pipes[1][0], "stderr": pipes[2][0]}, pipes[0][1]
    parent = os.getpid()
    is_tty = request.tty

    def prepare() -> None:
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if is_tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before the first line

    process = subprocess.Popen(
        request.command,
        executable=program,
        env=env,
        cwd=cwd,
        stdin=theirs[0],
        stdout=theirs[1],
        stderr=theirs[2],
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509  # the kubelet has one thread (child.py)
    )
    for descriptor in dict.fromkeys(theirs):
        os.close(descriptor)
        opened.remove(descriptor)
    for descriptor in {*outputs.values(), entry}:
        os.set_blocking(descriptor, False)
    stream = CommandStream(process, outputs, entry, until, tty=request.tty)
    if not request.stdin and not request.tty:
        stream.close_input()
    opened.clear()
    return stream


class CommandStream:
    """A command that was started for a session; implements `runtime.Stream`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        outputs: dict[StreamChannel, int],
        entry: int,
        until: asyncio.Event,
        *,
        tty: bool,
    ) -> None:
        self._outputs = outputs
        self._entry = entry
        self._tty = tty
        self._code = 0
        self._ended = asyncio.Event()
        self._child = child.Child(process, self._on_exit)
        self._keeper = asyncio.create_task(self._kill_when(until))

    async def write(self, data: bytes) -> None:
        """See `runtime.Stream`; what nobody reads any more is dropped."""
        rest = memoryview(data)
        while rest and self._entry >= 0 and not self._ended.is_set():
            try:
                rest = rest[os.write(self._entry, rest) :]
            except BlockingIOError:
                await self._ready([], [self._entry])
            except OSError:
                return

    async def end_input(self) -> None:
        """See `runtime.Stream`; a terminal is told in its own way."""
        if self._tty:
            await self.write(_EOT)
        else:
            self.close_input()

    def close_input(self) -> None:
        """Afterwards the command reads the end of its input; not for a terminal."""
        if self._entry >= 0 and not self._tty:
            os.close(self._entry)
            self._entry = -1

    async def resize(self, width: int, height: int) -> None:
        """See `runtime.Stream`."""
        if self._tty and self._entry >= 0:
            _set_size(self._entry, width, height)

    async def chunks(self) -> AsyncIterator[tuple[StreamChannel, bytes]]:
        """See `runtime.Stream`."""
        while self._outputs:
            over = self._ended.is_set()  # asked first: what was said by then is there
            idle = True
            for channel in list(self._outputs):
                data = self._read(channel, over=over)
                if data:
                    idle = False
                    yield channel, data
            if idle and self._outputs:
                await self._ready(list(self._outputs.values()), [])

    async def exit_code(self) -> int:
        """See `runtime.Stream`."""
        await self._ended.wait()
        return self._code

    async def close(self) -> None:
        """See `runtime.Stream`."""
        self._child.signal_group(signal.SIGKILL)
        await self._ended.wait()
        await cancelling.end(self._keeper)
        for descriptor in {*self._outputs.values(), self._entry} - {-1}:
            os.close(descriptor)
        self._outputs.clear()
        self._entry = -1

    # --- helpers -------------------------------------------------------------------

    def _read(self, channel: StreamChannel, *, over: bool) -> bytes:
        """What is there now; afterwards an output that has ended is closed."""
        descriptor = self._outputs[channel]
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            if not over:
                return b""
            data = b""  # somebody outside the group may still hold the other end
        except OSError as error:
            if error.errno != errno.EIO:  # so a terminal ends that nobody has open
                raise
            data = b""
        if not data:
            del self._outputs[channel]
            if descriptor != self._entry:
                os.close(descriptor)
        return data

    async def _ready(self, readable: list[int], writable: list[int]) -> None:
        """Waits until one of them can be used, or the command has ended."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        for descriptor in readable:
            loop.add_reader(descriptor, ready.set)
        for descriptor in writable:
            loop.add_writer(descriptor, ready.set)
        ended = asyncio.create_task(self._ended.wait())
        ended.add_done_callback(lambda _: ready.set())
        try:
            await ready.wait()
        finally:
            for descriptor in readable:
                loop.remove_reader(descriptor)
            for descriptor in writable:
                loop.remove_writer(descriptor)
            await cancelling.end(ended)

    def _on_exit(self, code: int, _: int) -> None:
        self._code = code
        self._ended.set()

    async def _kill_when(self, until: asyncio.Event) -> None:
        await until.wait()
        self._child.signal_group(signal.SIGKILL)


class OutputStream:
    """What a container says from now on; implements `runtime.Stream`.

    `pieces` is its log, followed from its end.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    async def write(self, data: bytes) -> None:
        """There is nobody to speak to."""

    async def end_input(self) -> None:
        """There is no input."""

    async def resize(self, width: int, height: int) -> None:
        """There is no terminal."""

    async def chunks(self) -> AsyncIterator[tuple[StreamChannel, bytes]]:
        """See `runtime.Stream`."""
        async for piece in self._pieces:
            if piece:
                yield "stdout", piece

    async def exit_code(self) -> int:
        """See `runtime.Stream`."""
        return 0

    async def close(self) -> None:
        """See `runtime.Stream`."""
        end = getattr(self._pieces, "aclose", None)
        if end is not None:
            await end()


def refuse_input(request: StreamRequest, container: str) -> None:
    """Raises `Rejected` for an attached session that wants to speak (rule 3)."""
    if request.stdin or request.tty:
        raise errors.Rejected(
            "BadRequest",
            f'container "{container}" was started without a standard input or a '
            "terminal, as all are by the process runtime: attach without -i and -t, "
            "or use exec",
        )


def _set_size(descriptor: int, width: int, height: int) -> None:
    columns, rows = (min(max(side, 0), SIDE_MAX) for side in (width, height))
    with contextlib.suppress(OSError):
        fcntl.ioctl(
            descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0)
        )
