"""The pods of the process runtime: what is held of each, and its record on disk."""

import asyncio
import fcntl
import logging
import os
from pathlib import Path

import msgspec

from domain import errors, podspec
from kubelet import child, container_logs, runtime

_log = logging.getLogger(__name__)


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A container in `sandbox.json`."""

    pid: int
    created: float
    attempt: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """`sandbox.json`: enough to find the processes of a pod again."""

    uid: str
    ip: str
    containers: dict[str, Recorded] = {}


class Run:
    """The newest run of one container."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / safe(name)
        self.attempt = -1
        self.process: child.Child | child.Adopted | None = None
        self.log: container_logs.LogWriter | None = None
        self.env: dict[str, str] = {}
        self.cwd = self.root
        self.ended = asyncio.Event()

    @property
    def root(self) -> Path:
        """The container's working directory, unless it names one."""
        return self.folder / "root"

    def log_path(self, attempt: int) -> Path:
        """Where the output of that run lies."""
        return self.folder / f"{attempt}.log"


class Pod:
    """One pod. `sandbox` is None while an adopted one has not been asked for."""

    def __init__(self, uid: str, ip: str, folder: Path) -> None:
        self.uid = uid
        self.ip = ip
        self.folder = folder
        self.sandbox: runtime.Sandbox | None = None
        self.runs: dict[str, Run] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """How messages call it; an adopted one is known by its uid for a moment."""
        return self.uid if self.sandbox is None else self.sandbox.name

    def spec(self, name: str) -> podspec.Container:
        """The specification of a container, init containers included."""
        assert self.sandbox is not None, "asked for before it was started"
        spec = self.sandbox.spec
        for container in spec.containers + spec.init_containers:
            if container.name == name:
                return container
        raise LookupError(f'container "{name}" in pod "{self.name}" not found')

    def running(self) -> list[Run]:
        """The containers that have a process."""
        return [run for run in self.runs.values() if run.process is not None]

    def save(self) -> None:
        """Writes the record; a reader sees the old one or the new one, never half."""
        containers = {
            run.name: Recorded(
                pid=run.process.pid, created=run.process.created, attempt=run.attempt
            )
            for run in self.runs.values()
            if run.process is not None
        }
        record = Record(uid=self.uid, ip=self.ip, containers=containers)
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


def end_former_life(records: list[Record], variable: str) -> None:
    """Kills what a former life of this node left running, and nothing else: what is
    recorded, and what carries the uid of a recorded pod in `variable`."""
    for record in records:
        for found in record.containers.values():
            child.kill_group(found.pid, found.created)
    child.kill_marked({record.uid for record in records}, variable)
