"""The end of a container as the kernel tells it: at once. An engine takes a while.

1. The first process of a container on this machine is watched by a descriptor of it
   (pidfd). It is the container's if its control group bears the container's id;
   otherwise the engine is elsewhere, or counts its processes otherwise, and only its
   own events are left.
2. Linux 6.15 and newer keep the exit status for whoever holds the descriptor, once the
   process's parent (the engine's) has taken it: a moment after the end. Where nobody
   tells the status, that it has ended is a hint, and how is the engine's to say.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
LOOK_SECONDS: Final = 0.001
LOOKS: Final = 50
"""So often the status is looked for; parents that take it later are slow engines."""
# `struct pidfd_info` of linux/pidfd.h, its first version: a mask of what is asked for
# and then of what is there, twelve numbers, the status.
_INFO: Final = struct.Struct("=QQ11Ii")
_GET_INFO: Final = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_EXIT: Final = 1 << 3

Ended = Callable[[int | None], None]
"""Is given the status that `wait` gives, or None where it is not known here."""


class ExitWatch:
    """Calls back when a container has ended."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._descriptors: dict[str, int] = {}

    def add(self, identity: str, pid: int, ended: Ended) -> None:
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
        loop = asyncio.get_running_loop()

        def happened() -> None:
            loop.remove_reader(descriptor)
            look(LOOKS)

        def look(left: int) -> None:
            if self._descriptors.get(identity) != descriptor:
                return
            try:
                status = exit_status(descriptor)
            except OSError:  # an older kernel
                status, left = None, 0
            if status is None and left:
                loop.call_later(LOOK_SECONDS, look, left - 1)
                return
            self.discard(identity)
            ended(status)

        self._descriptors[identity] = descriptor
        loop.add_reader(descriptor, happened)

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


def exit_status(descriptor: int) -> int | None:
    """The status of a process that has ended and was waited for; None before.

    Raises `OSError` where the kernel does not tell.
    """
    raw = bytearray(_INFO.size)
    struct.pack_into("=Q", raw, 0, _EXIT)
    fcntl.ioctl(descriptor, _GET_INFO, raw, True)
    mask, *_, status = _INFO.unpack(raw)
    return int(status) if mask & _EXIT else None
