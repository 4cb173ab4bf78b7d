"""Child processes: started in a session of their own, their end seen at once.

1. A child is named by (pid, time of its start): a pid alone is soon somebody else's,
   and nothing is ever signalled without that check or an open pidfd.
2. The end of a child is an event of the loop (a pidfd), not something to poll for.
3. When a child ends, what it left in its process group is killed, before its pid is
   given back to the system: a container ends with its first process.
4. A bound child dies with this process, whatever ends it (PR_SET_PDEATHSIG). That is
   set between fork and exec, which is safe only because the kubelet's process has one
   thread: nothing in it may use the loop's executor.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from kubelet import reaper

_PR_SET_PDEATHSIG: Final = 1
OUTPUT_MAX: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
_libc: Final = ctypes.CDLL(None, use_errno=True)

OnOutput = Callable[[str, bytes], None]
"""Called with `stdout` or `stderr` and what was written; empty at its end."""
OnExit = Callable[[int, int], None]
"""Called with the exit code (128 + signal) and the signal (or 0)."""


class _Watched:
    """A process, and its group, whose end the loop will tell."""

    def __init__(self, pid: int, start: float, on_exit: OnExit) -> None:
        self.pid = pid
        self.created = start
        self._on_exit = on_exit
        self._pidfd = os.pidfd_open(pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pidfd, self._ended)

    def signal_group(self, number: int) -> None:
        """Sends `number` to the process and all its children; harmless if gone."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def let_go(self) -> None:
        """Leaves the process alone from now on: it outlives this one."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _ended(self) -> None:
        raise NotImplementedError


class Child(_Watched):
    """One process that was started here, and its group."""

    def __init__(self, process: subprocess.Popen[bytes], on_exit: OnExit) -> None:
        super().__init__(process.pid, created(process.pid), on_exit)
        self._process = process
        self._pipes: list[_Pipe] = []

    def let_go(self) -> None:
        """Leaves the process alone from now on: it outlives this one."""
        super().let_go()
        for pipe in self._pipes:
            pipe.close()
        self._process.returncode = 0  # else its destructor complains that it runs

    def _ended(self) -> None:
        # It is a zombie now: its pid cannot be anybody else's until it is waited for.
        self.signal_group(signal.SIGKILL)
        super().let_go()
        for pipe in self._pipes:
            pipe.finish()
        code = self._process.wait()
        self._on_exit(128 - code if code < 0 else code, max(-code, 0))


class Adopted(_Watched):
    """A process of a former life of the same node: its end is seen, not its code."""

    def signal_group(self, number: int) -> None:
        """As `Child.signal_group`; never to somebody who has its pid by now."""
        if is_same(self.pid, self.created):
            super().signal_group(number)

    def _ended(self) -> None:
        self.let_go()
        self._on_exit(137, 0)


def start(
    command: tuple[str, ...],
    *,
    env: dict[str, str],
    cwd: Path,
    on_exit: OnExit,
    on_output: OnOutput | None = None,
    output: Path | None = None,
    bound: bool = True,
) -> Child:
    """Starts `command`; its output goes to `on_output` or to the file `output`.

    Raises `OSError` with a sentence if it cannot be started.
    """
    if not cwd.is_dir():
        raise OSError(f'chdir to cwd ("{cwd}"): no such file or directory')
    program = shutil.which(command[0], path=env.get("PATH"))
    if program is None and "/" in command[0] and (cwd / command[0]).is_file():
        program = command[0]
    if program is None:
        missing = "no such file or directory" if "/" in command[0] else (
            "executable file not found in $PATH"
        )  # fmt: skip
        raise OSError(f'exec: "{command[0]}": {missing}')
    parent = os.getpid()

    def die_with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before the line above

    with contextlib.ExitStack() as files:
        sink: int = subprocess.PIPE
        if output is not None:
            sink = files.enter_context(output.open("ab")).fileno()
        process = subprocess.Popen(
            command,
            executable=program,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=die_with_parent if bound else None,  # noqa: PLW1509  # one thread
        )
    child = Child(process, on_exit)
    if on_output is not None and process.stdout and process.stderr:
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
    """When the process started, seconds since the epoch; 0 if there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def is_same(pid: int, start_time: float) -> bool:
    """Whether `pid` is still the process that started at `start_time`."""
    return start_time > 0 and abs(created(pid) - start_time) < 0.02


def start_reaper(mark: str) -> subprocess.Popen[bytes]:
    """A process that kills all that carries `mark` when this process has ended."""
    return subprocess.Popen(
        [sys.executable, "-S", "-E", reaper.__file__, mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end_reaper(process: subprocess.Popen[bytes], mark: str) -> None:
    """Does its work here and now, and ends it."""
    reaper.kill_all(mark)
    process.kill()
    process.communicate()


def kill_group(pid: int, start_time: float) -> None:
    """Kills the process group of `pid`, if `pid` is what started at `start_time`."""
    try:
        pidfd = os.pidfd_open(pid)  # held, the pid cannot become somebody else's
    except OSError:
        return
    try:
        if is_same(pid, start_time):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
    finally:
        os.close(pidfd)


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
