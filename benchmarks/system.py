"""The system under measurement: `rollbook up` in a folder, and what its processes cost.

1. It is what a user runs: the real broker with its permissions, the store with full
   durability, control, api and the hollow kubelets as processes of their own.
2. What is started here is stopped here, whatever happens; nothing else is touched.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from adapters.nats_server import find_binary

SCRIPT: Final = Path(sys.executable).with_name("rollbook")
DRIVER: Final = "benchmark"
"""The name of this process among those that are measured."""
_STOP_SECONDS: Final = 90.0
_KIB: Final = 1024
_SYNCS: Final = 101


class Failure(Exception):
    """The benchmark cannot go on; the text says what was waited for."""


class System:
    """One cluster of `nodes` hollow nodes in `folder`; `store` "" is SQLite there."""

    def __init__(self, folder: Path, nodes: int, store: str) -> None:
        self.folder = folder
        self.nodes = nodes
        self.embedded = not store
        self.store = store or f"sqlite://{folder.absolute()}/rollbook.db"
        self._process: subprocess.Popen[str] | None = None
        self._watched: dict[str, psutil.Process] = {}

    @property
    def context(self) -> Path:
        """The context of the local user."""
        return self.folder / "context.toml"

    def start(self) -> None:
        """Afterwards every process has said that it works. Raises `Failure`."""
        errors = self.folder.with_suffix(".err")
        with errors.open("w") as sink:
            self._process = subprocess.Popen(
                [
                    *(str(SCRIPT), "up", "--runtime", "hollow"),
                    *("--nodes", str(self.nodes), "--data", str(self.folder)),
                    *("--store", self.store),
                ],
                stdout=subprocess.PIPE,
                stderr=sink,
                env=_environment(),
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None, "it is a pipe"
        line = self._process.stdout.readline()
        if not line.startswith("ready"):
            raise Failure(f"the system did not start: {errors.read_text()}")
        pids = json.loads((self.folder / "processes.json").read_text())
        self._watched = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._watched[DRIVER] = psutil.Process()

    def stop(self) -> None:
        """Afterwards nothing of it runs."""
        process = self._process
        if process is None:
            return
        self._process = None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()  # its children are told by the kernel, and end too
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def trouble(self) -> str:
        """What the supervisor and its children said last."""
        texts = [self.folder.with_suffix(".err").read_text()[-2000:]]
        texts += [
            f"--- {log.name}\n{log.read_text()[-2000:]}"
            for log in sorted((self.folder / "logs").glob("*.log"))
        ]
        return "\n".join(texts)

    def restarted(self) -> list[str]:
        """The processes that are not those that were started any more."""
        return [
            name for name, process in self._watched.items() if not process.is_running()
        ]

    def cpu(self) -> dict[str, float]:
        """CPU seconds, user and system, of each process since it began."""
        found = {}
        for name, process in self._watched.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found[name] = times.user + times.system
        return found

    def peak_memory(self) -> dict[str, int]:
        """Bytes of each process at its peak (VmHWM; where there is none, now)."""
        found = {}
        for name, process in self._watched.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[name] = _high_water(process.pid) or process.memory_info().rss
        return found

    def store_bytes(self) -> int:
        """The store's files after a checkpoint; 0 where it is not a file of ours.

        Only while nothing runs.
        """
        if not self.embedded:
            return 0
        file = self.folder / "rollbook.db"
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return sum(
            each.stat().st_size for each in self.folder.glob("rollbook.db*")
        )  # .lock is empty

    def events_bytes(self) -> int:
        """The folder of the stream EVENTS. Only while nothing runs."""
        folders = (self.folder / "nats").glob("**/streams/EVENTS")
        return sum(
            each.stat().st_size
            for folder in folders
            for each in folder.rglob("*")
            if each.is_file()
        )


@contextlib.contextmanager
def running(folder: Path, nodes: int, store: str) -> Iterator[System]:
    """A system that is ready, and that is gone after the block."""
    system = System(folder, nodes, store)
    try:
        system.start()
        yield system
    finally:
        system.stop()


def _environment() -> dict[str, str]:
    """What is measured does not depend on who measures it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ROLLBOOK_")
    }


def machine() -> dict[str, str]:
    """What the figures were measured on, the disk of temporary files included."""
    version = subprocess.run(
        [str(find_binary()), "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    memory = psutil.virtual_memory().total / _KIB**3
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return {
        "cores": f"{cores or os.cpu_count()} × {_processor()}",
        "memory": f"{memory:.1f} GiB",
        "kernel": f"{os.uname().sysname} {os.uname().release}",
        "python": sys.version.split()[0],
        "nats-server": version.rpartition("v")[2],
        "sqlite": sqlite3.sqlite_version,
        "disk sync": f"p50 {_sync_milliseconds():.2f} ms for 4 KiB and fdatasync",
        "load": f"{os.getloadavg()[0]:.1f} before the first run",
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine


def _sync_milliseconds() -> float:
    """What durability costs here: a disk in memory would flatter every figure."""
    times = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(_SYNCS):
            begun = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return sorted(times)[_SYNCS // 2] * 1000


def _high_water(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    return 0
