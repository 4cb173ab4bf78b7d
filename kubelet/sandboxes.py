"""The pods of the process runtime: what is held of each, and its record on disk."""

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Final

import msgspec

from domain import errors, podspec
from kubelet import child, container_logs, machine, runtime, shims, values

RUNS_KEPT: Final = 2

_log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """`sandbox.json`: the pod, for the next life of the kubelet.

    `boot_id` is the machine's: after a restart of that, nothing of the pod runs.
    """

    boot_id: str
    ip: str
    sandbox: runtime.Sandbox


class Run:
    """The newest run of one container; `identity` says who it is or was."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / safe(name)
        self.attempt = -1
        self.process: shims.Contained | None = None
        self.identity: shims.Identity | None = None
        self.env: dict[str, str] = {}
        self.cwd = self.root
        self.ended = asyncio.Event()

    @property
    def root(self) -> Path:
        """The container's working directory, unless it names one."""
        return self.folder / "root"

    @property
    def message_path(self) -> Path:
        """Where the container leaves its termination message."""
        return self.folder / "termination-log"

    def log_path(self, attempt: int) -> Path:
        """Where the output of that run lies."""
        return self.folder / f"{attempt}.log"

    def files(self, attempt: int) -> shims.Files:
        """What the shim of that run writes."""
        return shims.Files(
            log=self.log_path(attempt),
            identity=self.folder / f"{attempt}.run",
            exit=self.folder / f"{attempt}.exit",
        )

    def make_room(self, attempt: int) -> None:
        """Afterwards this run can be started, and the oldest one is forgotten."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.message_path.write_bytes(b"")
        files = self.files(attempt)
        stale = [files.identity, files.exit]
        files = self.files(attempt - RUNS_KEPT)
        rotated = files.log.with_name(files.log.name + ".1")
        for path in (*stale, files.log, rotated, files.identity, files.exit):
            path.unlink(missing_ok=True)

    def restore(self) -> bool:
        """Takes up the newest run that a former life of the kubelet started; whether
        there is one."""
        attempts = [
            int(path.stem)
            for path in self.folder.glob("*.run")
            if path.stem.isdecimal()
        ]
        for attempt in sorted(attempts, reverse=True):
            identity = shims.read_identity(self.files(attempt).identity)
            if identity is not None:
                self.attempt, self.identity = attempt, identity
                return True
        return False

    def last_words(self, spec: podspec.Container, attempt: int, failed: bool) -> str:
        """The termination message of the run that has just ended."""
        wanted = spec.termination_message_policy == "FallbackToLogsOnError"
        return container_logs.last_words(
            self.message_path, self.log_path(attempt), from_log=wanted and failed
        )

    def log(self, pod: str, options: runtime.LogOptions) -> AsyncGenerator[bytes, None]:
        """Its lines, or those of the run before. Raises `LookupError` without them."""
        attempt = self.attempt - 1 if options.previous else self.attempt
        path = self.log_path(attempt)
        if not path.exists():
            raise LookupError(f'run {attempt} of "{self.name}" in "{pod}" is gone')
        return container_logs.stream(
            path, options, lambda: self.process is not None and self.attempt == attempt
        )


class Pod:
    """One pod and what runs of it."""

    def __init__(self, sandbox: runtime.Sandbox, ip: str, folder: Path) -> None:
        self.uid = sandbox.uid
        self.ip = ip
        self.folder = folder
        self.sandbox = sandbox
        self.runs: dict[str, Run] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.sandbox.name

    def spec(self, name: str) -> podspec.Container:
        """The specification of a container, init containers included."""
        spec = self.sandbox.spec
        for container in spec.containers + spec.init_containers:
            if container.name == name:
                return container
        raise LookupError(f'container "{name}" in pod "{self.name}" not found')

    def running(self) -> list[Run]:
        """The containers that have a process."""
        return [run for run in self.runs.values() if run.process is not None]

    def kill_strays(self) -> None:
        """Ends what a shim started whose answer was lost."""
        for path in self.folder.glob("*/*.run"):
            identity = shims.read_identity(path)
            if identity is not None:
                identity.signal_group(signal.SIGKILL)

    def save(self) -> None:
        """Writes the record; a reader sees the old one or the new one, never half."""
        record = Record(
            boot_id=machine.boot_id(),
            ip=self.ip,
            # What ConfigMaps and Secrets hold is not for the disk.
            sandbox=msgspec.structs.replace(self.sandbox, values=values.NONE),
        )
        temporary = self.folder / "sandbox.new"
        try:
            temporary.write_bytes(msgspec.json.encode(record))
            temporary.replace(self.folder / "sandbox.json")
        except OSError as error:  # a full disk: the pod goes on, unrecorded
            _log.warning("pod %s is not recorded: %s", self.name, error)


def lock(folder: Path) -> int:
    """A descriptor that holds `folder` for this process until it is closed.

    Raises `Permanent` if another process holds it.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise errors.Permanent(
            f"another kubelet uses the folder {folder}: stop it, or give this one a "
            "folder of its own"
        ) from None
    return descriptor


def safe(name: str) -> str:
    """`name` as the name of a file: one component, never a way out of a folder."""
    return name.replace("/", "_") if name.strip(".") else "_"


def saved(folder: Path) -> list[tuple[Path, Record]]:
    """The readable records below `folder`, with the folders of their pods."""
    found = []
    for path in sorted(folder.glob("*/sandbox.json")):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError):
            continue
        found.append((path.parent, record))
    return found


def end_former_life(left: Iterable[tuple[Path, Record]], variable: str) -> None:
    """Kills what a former life of this node left running, and nothing else: what its
    shims name, and what carries the uid of a recorded pod in `variable`."""
    uids = set()
    for folder, record in left:
        uids.add(record.sandbox.uid)
        if record.boot_id != machine.boot_id():
            continue
        for path in folder.glob("*/*.run"):
            identity = shims.read_identity(path)
            if identity is not None:
                identity.signal_group(signal.SIGKILL)
    if uids:
        child.kill_marked(uids, variable)
