"""What the processes of containers have used, read from the system in one pass.

1. A container is its first process with all its descendants. CPU is their time and
   that of the children they waited for, so that a worker that ended is not forgotten.
2. Memory is what is resident, each process by itself: pages that processes share count
   in each of them. (The proportional share would cost a walk over every mapping.)
3. A process that ends meanwhile is left out; a first process that is not the one that
   was started (its pid is somebody else's by now) makes no line.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import psutil

from kubelet import child
from kubelet.runtime import ContainerUsage


class Started(NamedTuple):
    """A container's first process: its pid with the time of its start."""

    uid: str
    container: str
    pid: int
    created: float


class _Process(NamedTuple):
    cpu_seconds: float
    memory_bytes: int


def sample(started: Iterable[Started]) -> tuple[ContainerUsage, ...]:
    """What each container has used, of those whose first process runs."""
    wanted = [*started]
    if not wanted:
        return ()
    children = _children()
    found = []
    for each in wanted:
        if not child.is_same(each.pid, each.created):
            continue
        parts = [part for pid in _tree(each.pid, children) if (part := _read(pid))]
        if parts:
            found.append(
                ContainerUsage(
                    uid=each.uid,
                    container=each.container,
                    cpu_seconds=sum(part.cpu_seconds for part in parts),
                    memory_bytes=sum(part.memory_bytes for part in parts),
                )
            )
    return tuple(found)


def _children() -> dict[int, list[int]]:
    """The children of each process of this machine."""
    found: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        found.setdefault(process.info["ppid"], []).append(process.pid)
    return found


def _tree(pid: int, children: dict[int, list[int]]) -> Iterator[int]:
    open_, seen = [pid], {pid}
    while open_:
        current = open_.pop()
        yield current
        for each in children.get(current, ()):
            if each not in seen:
                seen.add(each)
                open_.append(each)


def _read(pid: int) -> _Process | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
    except (psutil.Error, OSError):
        return None
    seconds = times.user + times.system + times.children_user + times.children_system
    return _Process(seconds, memory.rss)
