"""The end of a container as the kernel tells it: at once. An engine takes a while.

1. The first process of a container on this machine is watched by a descriptor of it
   (pidfd). It is the container's if its control group bears the container's id;
   otherwise the engine is elsewhere, or counts its processes otherwise, and only its
   own events are left.
2. It is a hint alone: how the container has ended is the engine's to say.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")


class ExitWatch:
    """Calls back when a container has ended."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._descriptors: dict[str, int] = {}

    def add(self, identity: str, pid: int, ended: Callable[[], None]) -> None:
        """Watches until `discard`; `ended` is called once at most."""
        if identity in self._descriptors or pid <= 0:
            return
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:  # it is gone, or never was here: the engine tells
            return
        if not self._is_of(identity, pid):
            os.close(descriptor)
            return

        def happened() -> None:
            self.discard(identity)
            ended()

        self._descriptors[identity] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, happened)

    def discard(self, identity: str) -> None:
        """Afterwards it is not watched."""
        descriptor = self._descriptors.pop(identity, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Nothing is watched any more."""
        for identity in list(self._descriptors):
            self.discard(identity)

    def _is_of(self, identity: str, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return identity in (self._proc / str(pid) / "cgroup").read_text()
        return False
