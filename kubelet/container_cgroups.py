"""What the kernel says of a container: its use of the machine, and who ran out of it.

1. A container's control groups are those of its first process. Both versions of
   cgroups are read; what is not there is None, and the engine has to be asked instead.
2. That a container was killed for its memory is known only while its group is there,
   and some engines do not notice (Podman 4 with cgroups 1). So it is watched from the
   start: version 1 by an eventfd, version 2 by a file that becomes urgent.
"""

import asyncio
import contextlib
import os
import re
import select
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path("/sys/fs/cgroup")
OOM_LOOK_SECONDS: Final = 0.02
OOM_LOOKS: Final = 50
_NANO: Final = 1e9
_MICRO: Final = 1e6


class Cgroup(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of a container; with version 2 both are the same one."""

    version: int
    memory: Path
    cpu: Path

    def usage(self) -> tuple[float, int] | None:
        """CPU seconds since the start, and bytes of memory that are in use: without
        the file pages that nobody has asked for lately. None if it has ended."""
        try:
            if self.version == 1:
                cpu = int((self.cpu / "cpuacct.usage").read_text()) / _NANO
                used = int((self.memory / "memory.usage_in_bytes").read_text())
                idle = _fields(self.memory / "memory.stat").get("total_inactive_file")
            else:
                cpu = _fields(self.cpu / "cpu.stat")["usage_usec"] / _MICRO
                used = int((self.memory / "memory.current").read_text())
                idle = _fields(self.memory / "memory.stat").get("inactive_file")
        except (OSError, ValueError, KeyError):
            return None
        return cpu, max(used - (idle or 0), 0)

    def oom_kills(self) -> int | None:
        """How many of its processes were killed for memory; None if it has ended."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        try:
            return _fields(self.memory / name).get("oom_kill", 0)
        except (OSError, ValueError):
            return None


def find(pid: int, root: Path = ROOT, proc: Path = Path("/proc")) -> Cgroup | None:
    """The control groups of a process; None if it has ended or they are not here."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    paths: dict[str, str] = {}
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    if "memory" in paths:
        found = Cgroup(
            version=1,
            memory=root / "memory" / paths["memory"],
            cpu=root / "cpuacct" / paths.get("cpuacct", ""),
        )
    else:
        found = Cgroup(version=2, memory=root / paths[""], cpu=root / paths[""])
    return (
        found if paths.get("memory", paths.get("")) and found.memory.is_dir() else None
    )


class OomWatch:
    """Calls back when a process of a container was killed for memory."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[int, ...]] = {}
        self._urgent = select.epoll()
        self._by_descriptor: dict[int, Callable[[], None]] = {}

    def add(self, identity: str, cgroup: Cgroup, found: Callable[[], None]) -> None:
        """Watches until `discard`; `found` is called once at most."""
        if identity in self._events:
            return
        if cgroup.oom_kills():
            found()
            return
        with contextlib.suppress(OSError):  # not ours to watch: the engine is asked
            if cgroup.version == 1:
                self._add_eventfd(identity, cgroup, found)
            else:
                self._add_urgent(identity, cgroup, found)

    def discard(self, identity: str) -> None:
        """Afterwards it is not watched."""
        loop = asyncio.get_running_loop()
        for descriptor in self._events.pop(identity, ()):
            if self._by_descriptor.pop(descriptor, None) is None:
                loop.remove_reader(descriptor)
            else:
                self._urgent.unregister(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Nothing is watched any more."""
        for identity in list(self._events):
            self.discard(identity)
        if not self._urgent.closed:
            asyncio.get_running_loop().remove_reader(self._urgent.fileno())
            self._urgent.close()

    def _add_eventfd(
        self, identity: str, cgroup: Cgroup, found: Callable[[], None]
    ) -> None:
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(cgroup.memory / "memory.oom_control", os.O_RDONLY)
            try:
                text = f"{event} {control}"
                (cgroup.memory / "cgroup.event_control").write_text(text)
            finally:
                os.close(control)
        except OSError:
            os.close(event)
            raise

        loop = asyncio.get_running_loop()

        def look(left: int) -> None:
            if identity not in self._events:
                return
            kills = cgroup.oom_kills()
            if kills == 0 and left:  # the kernel tells it a little before it does it
                loop.call_later(OOM_LOOK_SECONDS, look, left - 1)
            elif kills != 0:
                self.discard(identity)
                found()

        def happened() -> None:
            times = os.eventfd_read(event)
            if cgroup.oom_kills() is None and times == 1:
                self.discard(identity)  # the removal of the group is told so too
            else:
                look(OOM_LOOKS)

        loop.add_reader(event, happened)
        self._events[identity] = (event,)

    def _add_urgent(
        self, identity: str, cgroup: Cgroup, found: Callable[[], None]
    ) -> None:
        descriptor = os.open(cgroup.memory / "memory.events", os.O_RDONLY)
        os.read(descriptor, 4096)  # what is urgent is what comes after a look
        self._urgent.register(descriptor, select.EPOLLPRI)
        self._events[identity] = (descriptor,)

        def happened() -> None:
            text = os.pread(descriptor, 4096, 0).decode()
            if re.search(r"^oom_kill [1-9]", text, re.MULTILINE):
                self.discard(identity)
                found()

        self._by_descriptor[descriptor] = happened
        asyncio.get_running_loop().add_reader(self._urgent.fileno(), self._look)

    def _look(self) -> None:
        for descriptor, _ in self._urgent.poll(0):
            with contextlib.suppress(OSError):  # the group is gone
                self._by_descriptor[descriptor]()


def _fields(path: Path) -> dict[str, int]:
    """A file of lines `name number`."""
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
