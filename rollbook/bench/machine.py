"""What the figures were measured on."""

import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from adapters import nats_server
from rollbook import processes

_SYNCS: Final = 101
_GIB: Final = 1024**3


def described(folder: Path | None = None) -> dict[str, str]:
    """Machine and versions; the disk is that of `folder`, or of temporary files."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    broker = _said([str(nats_server.find_binary()), "--version"]).rpartition("v")[2]
    sqlite = _said(
        [sys.executable, "-c", "import sqlite3; print(sqlite3.sqlite_version)"]
    )
    found = {
        "cores": f"{cores or os.cpu_count()} × {_processor()}",
        "memory": f"{psutil.virtual_memory().total / _GIB:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "nats-server": broker,
        "sqlite": sqlite,
        "disk sync": f"p50 {_sync_milliseconds(folder):.2f} ms for 4 KiB and fdatasync",
        "load": f"{os.getloadavg()[0]:.1f} before the first run",
        "rollbook": processes.version(),
    }
    if commit := _commit():
        found["commit"] = commit
    return found


def _commit() -> str:
    """The commit of the checkout that this file lies in; "" where there is none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    commit = _said(["git", "-C", str(root), "rev-parse", "--short", "HEAD"])
    changed = _said(["git", "-C", str(root), "status", "--porcelain", "-uno"])
    return f"{commit}, with changes" if commit and changed else commit


def _said(command: list[str]) -> str:
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip()
    return ""


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _sync_milliseconds(folder: Path | None) -> float:
    """What durability costs here: a disk in memory would flatter every figure."""
    times = []
    with tempfile.TemporaryFile(buffering=0, dir=folder) as file:
        for _ in range(_SYNCS):
            begun = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return sorted(times)[_SYNCS // 2] * 1000
