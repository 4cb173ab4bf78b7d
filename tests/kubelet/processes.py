"""Process runtimes for tests, and waiting for processes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil

from domain import podspec
from kubelet import process_runtime, runtime
from tests.kubelet.builders import container, template
from tests.kubelet.harness import GUARD


def shell(script: str, **fields: object) -> podspec.PodTemplateSpec:
    """A pod whose container `web` runs a shell script."""
    return template(container(command=("sh", "-c", script), **fields))


def make(folder: Path, **options: object) -> process_runtime.ProcessRuntime:
    """A runtime whose files lie in `folder`. Its addresses are nobody else's on this
    machine: other processes run tests at the same time, and pods on the same ports."""
    return process_runtime.ProcessRuntime("n1", folder / "node", **options)  # type: ignore[arg-type]  # test data


def pid_of(started: runtime.ContainerStarted) -> int:
    """The process behind a container."""
    return int(started.container_id.removeprefix("process://"))


async def true(condition: Callable[[], object]) -> None:
    """Waits until it holds; the guard is against hanging only."""
    async with asyncio.timeout(GUARD):
        while not condition():  # noqa: ASYNC110  # files and processes tell nobody
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    """Waits until there is no such process, or only its zombie."""
    async with asyncio.timeout(GUARD):
        while psutil.pid_exists(pid):
            try:
                if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                    return
            except psutil.NoSuchProcess:
                return
            await asyncio.sleep(0.01)
