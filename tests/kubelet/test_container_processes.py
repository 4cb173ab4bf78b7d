"""The end of a container's first process, as the kernel tells it."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelet import container_processes
from tests.kubelet.harness import GUARD

pytestmark = pytest.mark.asyncio


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process of our own that waits."""
    with subprocess.Popen(["sleep", "9999"]) as started:
        yield started
        started.kill()


def kernel_tells() -> bool:
    """Whether this kernel keeps the status of a process that was waited for."""
    with subprocess.Popen(["true"]) as process:
        descriptor = os.pidfd_open(process.pid)
    try:
        return container_processes.exit_status(descriptor) is not None
    except OSError:
        return False
    finally:
        os.close(descriptor)


def groups(folder: Path, pid: int, text: str) -> Path:
    """A /proc in which the process is in this control group."""
    place = folder / str(pid)
    place.mkdir()
    (place / "cgroup").write_text(text)
    return folder


class Told:
    """What an `ExitWatch` calls, and what it was told."""

    def __init__(self) -> None:
        self.statuses: list[int | None] = []
        self._news = asyncio.Event()

    def __call__(self, status: int | None) -> None:
        self.statuses.append(status)
        self._news.set()

    async def once(self) -> int | None:
        """The first status."""
        async with asyncio.timeout(GUARD):
            await self._news.wait()
        return self.statuses[0]


@pytest.mark.parametrize(
    ("command", "status"),
    [("kill -KILL $$", 9), ("exit 3", 3 << 8), ("exit 143", 143 << 8), ("exit 0", 0)],
    ids=["signal", "code", "code-like-a-signal", "success"],
)
async def test_an_end_is_told_once_with_its_status(
    tmp_path: Path, command: str, status: int
) -> None:
    """What its parent has waited for, on a kernel that keeps it; else None."""
    line = ["sh", "-c", f"read; {command}"]
    with subprocess.Popen(line, stdin=-1) as process:  # noqa: ASYNC220  # as it is
        proc = groups(tmp_path, process.pid, "0::/libpod_parent/libpod-abc\n")
        watch, told = container_processes.ExitWatch(proc), Told()
        watch.add("abc", process.pid, told)
        process.communicate()
    assert await told.once() == (status if kernel_tells() else None)
    watch.discard("abc")
    watch.close()
    await asyncio.sleep(0)
    assert len(told.statuses) == 1


async def test_an_end_that_nobody_waits_for_is_told_without_its_status(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """The engine's process that should take it may be stopped."""
    proc = groups(tmp_path, process.pid, "0::/docker/abc\n")
    watch, told = container_processes.ExitWatch(proc), Told()
    watch.add("abc", process.pid, told)
    process.kill()
    assert await told.once() is None
    watch.close()


async def test_an_older_kernel_tells_the_end_alone(
    process: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How it has ended is the engine's to say then."""
    monkeypatch.setattr(container_processes, "_GET_INFO", 0)
    proc = groups(tmp_path, process.pid, "0::/docker/abc\n")
    watch, told = container_processes.ExitWatch(proc), Told()
    watch.add("abc", process.pid, told)
    process.kill()
    process.wait()
    assert await told.once() is None
    watch.close()


@pytest.mark.parametrize("text", ["0::/user.slice\n", ""], ids=["another's", "none"])
async def test_a_process_of_somebody_else_is_not_watched(
    process: subprocess.Popen[bytes], tmp_path: Path, text: str
) -> None:
    """The engine counts its processes otherwise than we do: its events are left."""
    proc = groups(tmp_path, process.pid, text)
    watch, told = container_processes.ExitWatch(proc), Told()
    watch.add("abc", process.pid, told)
    process.kill()
    process.wait()
    await asyncio.sleep(0)
    assert told.statuses == []
    watch.close()


@pytest.mark.parametrize("end", ["discard", "close"])
async def test_what_is_not_watched_any_more_is_not_told(
    process: subprocess.Popen[bytes], tmp_path: Path, end: str
) -> None:
    """Its descriptor is closed; a second `add` of the same one changes nothing."""
    proc = groups(tmp_path, process.pid, "0::/docker-abc.scope\n")
    watch, told = container_processes.ExitWatch(proc), Told()
    watch.add("abc", process.pid, told)
    watch.add("abc", process.pid, told)
    if end == "discard":
        watch.discard("abc")
    watch.close()
    process.kill()
    process.wait()
    await asyncio.sleep(0)
    assert told.statuses == []


async def test_a_process_that_is_gone_is_not_watched(tmp_path: Path) -> None:
    """Nor is one that never was; nothing is raised."""
    watch = container_processes.ExitWatch(tmp_path)
    for pid in (0, -1, 2**22 + 1):
        watch.add("abc", pid, Told())
    watch.close()
