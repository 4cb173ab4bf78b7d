"""The end of a container's first process, as the kernel tells it."""

import asyncio
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


def groups(folder: Path, pid: int, text: str) -> Path:
    """A /proc in which the process is in this control group."""
    place = folder / str(pid)
    place.mkdir()
    (place / "cgroup").write_text(text)
    return folder


async def test_an_end_is_told_once(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """At once, and never again."""
    proc = groups(tmp_path, process.pid, "0::/libpod_parent/libpod-abc\n")
    watch, told = container_processes.ExitWatch(proc), asyncio.Event()
    watch.add("abc", process.pid, told.set)
    process.kill()
    async with asyncio.timeout(GUARD):
        await told.wait()
    watch.discard("abc")
    watch.close()


@pytest.mark.parametrize("text", ["0::/user.slice\n", ""], ids=["another's", "none"])
async def test_a_process_of_somebody_else_is_not_watched(
    process: subprocess.Popen[bytes], tmp_path: Path, text: str
) -> None:
    """The engine counts its processes otherwise than we do: its events are left."""
    proc = groups(tmp_path, process.pid, text)
    watch, told = container_processes.ExitWatch(proc), asyncio.Event()
    watch.add("abc", process.pid, told.set)
    process.kill()
    process.wait()
    await asyncio.sleep(0)
    assert not told.is_set()
    watch.close()


@pytest.mark.parametrize("end", ["discard", "close"])
async def test_what_is_not_watched_any_more_is_not_told(
    process: subprocess.Popen[bytes], tmp_path: Path, end: str
) -> None:
    """Its descriptor is closed; a second `add` of the same one changes nothing."""
    proc = groups(tmp_path, process.pid, "0::/docker-abc.scope\n")
    watch, told = container_processes.ExitWatch(proc), asyncio.Event()
    watch.add("abc", process.pid, told.set)
    watch.add("abc", process.pid, told.set)
    if end == "discard":
        watch.discard("abc")
    watch.close()
    process.kill()
    process.wait()
    await asyncio.sleep(0)
    assert not told.is_set()


async def test_a_process_that_is_gone_is_not_watched(tmp_path: Path) -> None:
    """Nor is one that never was; nothing is raised."""
    watch = container_processes.ExitWatch(tmp_path)
    for pid in (0, -1, 2**22 + 1):
        watch.add("abc", pid, lambda: None)
    watch.close()
