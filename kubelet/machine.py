"""What this machine is and has, as a node tells it."""

import os
import platform
from pathlib import Path
from typing import Final

import psutil

from domain import protocol

HOST_IP: Final = "127.0.0.1"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def describe(runtime: str) -> protocol.NodeInfo:
    """The node's information; `runtime` is the runtime's name and version."""
    room = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "pods": "110",
    }
    try:
        image = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        image = platform.system()
    kind = platform.machine()
    return protocol.NodeInfo(
        capacity=room,
        allocatable=room,
        address=HOST_IP,
        runtime=runtime,
        os_image=image,
        kernel_version=platform.release(),
        architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(kind, kind),
        operating_system=platform.system().lower(),
    )


def boot_id() -> str:
    """Another one after each start of the machine; empty where there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
