"""The kubelet's side of `shim.py`: containers that run on without their kubelet.

1. A process is named by its pid and its start (`shim.start_ticks`): a pid alone is
   soon somebody else's, and nothing is signalled without that check.
2. The end of a container is an event of the loop: the end of its shim, which has
   written the exit file before. A shim that left none was killed: then what it held
   is killed too, and its end is told as `UNKNOWN`.
3. A start waits for the shim's answer: a fork and an exec, a few milliseconds.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from kubelet import shim

ANSWER_SECONDS: Final = 30.0
ANSWER_MAX: Final = 128 * 1024


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a container ended, as its exit file says it."""

    exit_code: int
    signal: int = 0
    finished_at: float = 0.0


UNKNOWN: Final = Exit(exit_code=137)
"""The end of a container that nobody saw; compare with `is`."""


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Where a shim writes: the output, who runs, and how it ended."""

    log: Path
    identity: Path
    exit: Path


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A container's process and its shim, each by pid and start."""

    pid: int
    start: int
    shim: int
    shim_start: int
    started_at: float = 0.0

    def signal_group(self, number: int) -> None:
        """Sends `number` to the process and all its children; harmless if gone."""
        if self.start and shim.start_ticks(self.pid) == self.start:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


class _Answer(msgspec.Struct, frozen=True):
    error: str = ""


class Contained:
    """A container that a shim holds; `on_exit` is called once, when it has ended."""

    def __init__(
        self, identity: Identity, exit_path: Path, on_exit: Callable[[Exit], None]
    ) -> None:
        self.identity = identity
        self._exit_path = exit_path
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._pidfd = _pidfd(identity.shim, identity.shim_start)
        if self._pidfd < 0:
            self._loop.call_soon(self._ended)
        else:
            self._loop.add_reader(self._pidfd, self._ended)

    @property
    def pid(self) -> int:
        """The container's first process."""
        return self.identity.pid

    @property
    def created(self) -> float:
        """When that started, as `child.created` tells it."""
        return float(self.identity.start)

    def signal_group(self, number: int) -> None:
        """Sends `number` to the process and all its children; harmless if gone."""
        self.identity.signal_group(number)

    def let_go(self) -> None:
        """Leaves the container alone from now on: it outlives this process."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _ended(self) -> None:
        self.let_go()
        self._on_exit(read_exit(self.identity, self._exit_path))


class Shims:
    """Starts containers under shims. `close` when done: what runs runs on."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(
        self,
        command: tuple[str, ...],
        *,
        env: dict[str, str],
        cwd: Path,
        files: Files,
    ) -> Identity:
        """Afterwards `command` runs; what becomes of it goes to `files`.

        Raises `OSError` with a sentence if it cannot be started.
        """
        request = {
            "command": command,
            "program": program(command[0], env, cwd),
            "env": env,
            "cwd": str(cwd),
            "log": str(files.log),
            "identity": str(files.identity),
            "exit": str(files.exit),
        }
        data = msgspec.json.encode(request)
        if self._process is not None and self._process.poll() is not None:
            self.close()  # a shim that was just forked may still hold its socket
        try:
            self._send(data)
        except OSError:  # the one that forks shims was killed: another one can too
            self.close()
            self._send(data)
        try:
            answer = self._receive()
        except OSError as error:  # it is not known whether anything was started
            self.close()
            raise OSError(f"no shim has answered: {error or 'in time'}") from error
        found = msgspec.json.decode(answer, type=_Answer)
        if found.error:
            raise OSError(found.error)
        return msgspec.json.decode(answer, type=Identity)

    def close(self) -> None:
        """Ends the process that forks shims; the shims are their own."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            self._socket = self._open()
        self._socket.sendall(len(data).to_bytes(8, "little") + data)

    def _receive(self) -> bytes:
        assert self._socket is not None, "something was sent"
        answer = b""
        while not answer.endswith(b"\n"):
            more = self._socket.recv(ANSWER_MAX)
            if not more:
                raise ConnectionError("it was killed")
            answer += more
        return answer

    def _open(self) -> socket.socket:
        mine, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", "-P", shim.__file__],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={},
            )
        mine.settimeout(ANSWER_SECONDS)
        return mine


def program(name: str, env: dict[str, str], cwd: Path) -> str:
    """The file that `name` means in that environment and folder.

    Raises `OSError` with a sentence if there is none.
    """
    if not cwd.is_dir():
        raise OSError(f'chdir to cwd ("{cwd}"): no such file or directory')
    found = shutil.which(name, path=env.get("PATH"))
    if found is None and "/" in name and (cwd / name).is_file():
        found = name
    if found is None:
        missing = "no such file or directory" if "/" in name else (
            "executable file not found in $PATH"
        )  # fmt: skip
        raise OSError(f'exec: "{name}": {missing}')
    return found


def runs(identity: Identity) -> bool:
    """Whether the container's shim is there, and so its end will be told."""
    return bool(identity.shim_start) and (
        shim.start_ticks(identity.shim) == identity.shim_start
    )


def read_identity(path: Path) -> Identity | None:
    """Who a shim said that runs; None if it said nothing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError):
        return None


def read_exit(identity: Identity, path: Path) -> Exit:
    """How a container ended whose shim is gone; nothing of it runs afterwards."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Exit)
    except (OSError, msgspec.DecodeError):
        identity.signal_group(signal.SIGKILL)
        return UNKNOWN


def _pidfd(pid: int, start: int) -> int:
    """A descriptor that names that very process; -1 if it is gone."""
    try:
        found = os.pidfd_open(pid)
    except OSError:
        return -1
    if shim.start_ticks(pid) == start:  # held, the pid cannot become somebody else's
        return found
    os.close(found)
    return -1
