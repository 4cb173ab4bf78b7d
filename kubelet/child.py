"""Child processes of the kubelet: what is run beside a container, and ends with it.

1. A child is started in a session of its own, and dies with this process, whatever
   ends it (PR_SET_PDEATHSIG). That is set between fork and exec, which is safe only
   because the kubelet's process has one thread: nothing may use the loop's executor.
2. The end of a child is an event of the loop (a pidfd), not something to poll for.
3. When a child ends, what it left in its process group is killed, before its pid is
   given back to the system.

Containers outlive the kubelet instead: `shims.py`.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from kubelet import shim, shims

_PR_SET_PDEATHSIG: Final = 1
OUTPUT_MAX: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
_libc: Final = ctypes.CDLL(None, use_errno=True)

OnOutput = Callable[[str, bytes], None]
"""Called with `stdout` or `stderr` and what was written; empty at its end."""
OnExit = Callable[[int, int], None]
"""Called with the exit code (128 + signal) and the signal (or 0)."""


class Child:
    """One process that was started here, and its group."""

    def __init__(self, process: subprocess.Popen[bytes], on_exit: OnExit) -> None:
        self.pid = process.pid
        self._process = process
        self._on_exit = on_exit
        self._pipes: list[_Pipe] = []
        self._pidfd = os.pidfd_open(process.pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pidfd, self._ended)

    def signal_group(self, number: int) -> None:
        """Sends `number` to the process and all its children; harmless if gone."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _ended(self) -> None:
        # It is a zombie now: its pid cannot be anybody else's until it is waited for.
        self.signal_group(signal.SIGKILL)
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        for pipe in self._pipes:
            pipe.finish()
        code = self._process.wait()
        self._on_exit(128 - code if code < 0 else code, max(-code, 0))


def start(
    command: tuple[str, ...],
    *,
    env: dict[str, str],
    cwd: Path,
    on_exit: OnExit,
    on_output: OnOutput,
) -> Child:
    """Starts `command`; its output goes to `on_output`.

    Raises `OSError` with a sentence if it cannot be started.
    """
    program = shims.program(command[0], env, cwd)
    parent = os.getpid()

    def die_with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before the line above

    process = subprocess.Popen(
        command,
        executable=program,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  # one thread
    )
    child = Child(process, on_exit)
    if process.stdout and process.stderr:
        child._pipes = [
            _Pipe("stdout", process.stdout.fileno(), process.stdout.close, on_output),
            _Pipe("stderr", process.stderr.fileno(), process.stderr.close, on_output),
        ]
    return child


async def run(
    command: tuple[str, ...],
    *,
    env: dict[str, str],
    cwd: Path,
    timeout: float,  # noqa: ASYNC109  # the command is killed then
) -> tuple[int, bytes]:
    """Runs `command` to its end; its exit code, and what it said on both streams (cut
    at `OUTPUT_MAX` bytes).

    Raises `OSError` if it cannot be started, `TimeoutError` after `timeout` seconds;
    then, and when this is cancelled, nothing of it is left.
    """
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    output = bytearray()

    def on_output(_: str, data: bytes) -> None:
        output.extend(data[: OUTPUT_MAX - len(output)])

    def on_exit(code: int, _: int) -> None:
        if not ended.done():
            ended.set_result(code)

    process = start(command, env=env, cwd=cwd, on_exit=on_exit, on_output=on_output)
    try:
        async with asyncio.timeout(timeout):
            return await asyncio.shield(ended), bytes(output)
    finally:
        process.signal_group(signal.SIGKILL)
        if not ended.done():
            await ended


def created(pid: int) -> float:
    """When the process started, in clock ticks since the machine's start; 0 if it is
    not there."""
    return float(shim.start_ticks(pid))


def is_same(pid: int, start: float) -> bool:
    """Whether `pid` is still the process for which `created` said `start`."""
    return start > 0 and created(pid) == start


def kill_marked(marks: set[str], variable: str) -> int:
    """Kills every process whose environment names one of `marks`; returns how many.

    The mark is a uid that only this node's own pods carry, so nobody else's process
    can be meant; a process is held by a pidfd while its environment is read.
    """
    killed = 0
    for process in psutil.process_iter():
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError:
            continue
        try:
            if process.environ().get(variable) in marks:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                killed += 1
        except (psutil.Error, OSError):
            pass
        finally:
            os.close(pidfd)
    return killed


class _Pipe:
    """One output of a child, read whenever there is something."""

    def __init__(
        self,
        stream: str,
        descriptor: int,
        close: Callable[[], None],
        on_output: OnOutput,
    ) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._close = close
        self._on_output = on_output
        self._open = True
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        self._loop.add_reader(descriptor, self._read)

    def _read(self) -> bool:
        """Reads once; False when there is nothing more for now."""
        if not self._open:
            return False
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._on_output(self._stream, data)
            return True
        self.close()
        return False

    def finish(self) -> None:
        """The process has ended: takes what is left, then closes."""
        for _ in range(64):  # 4 MiB; a pipe holds less, unless somebody still writes
            if not self._read():
                break
        self.close()

    def close(self) -> None:
        """Closes; what is still in it is lost."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            self._close()
            self._on_output(self._stream, b"")
