"""A node on a real engine for tests, and the containers that are run on it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from domain import podspec
from kubelet import container_runtime, container_settings
from tests.kubelet.builders import container, template
from tests.kubelet.harness import Harness
from tests.support import podman

IMAGE = "example.org/busybox:1"
SLEEPER = ("sh", "-c", "trap 'exit 0' TERM; echo on; sleep 9999 & wait")
ALLOWED = container_settings.Rules(pids_limit=12)


@contextlib.contextmanager
def engine() -> Iterator[podman.Podman]:
    """A container engine of our own, with an image."""
    with podman.engine() as running:
        root = running.folder / "busybox.tar"
        root.write_bytes(podman.busybox())
        changes = ["CMD env", "ENV PATH=/bin", "ENV FROM_IMAGE=yes"]
        options = [word for change in changes for word in ("--change", change)]
        running.run("import", *options, str(root), IMAGE)
        yield running


class Bench:
    """A node whose kubelet can be replaced by another life of it."""

    def __init__(self, engine: podman.Podman, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.lives: list[container_runtime.ContainerRuntime] = []

    async def open(
        self,
        *,
        keep_pods: bool = False,
        rules: container_settings.Rules = ALLOWED,
        url: str = "",
    ) -> Harness:
        """Another life of the same node."""
        life = container_runtime.ContainerRuntime(
            "n1",
            self.folder / "node",
            engine_url=url or self.engine.url,
            rules=rules,
            keep_pods=keep_pods,
            environ={},
        )
        await life.open()
        self.lives.append(life)
        return Harness(life)

    async def ids(self) -> set[str]:
        """All containers of the engine, also those of others, that run or not."""
        return set(self.engine.run("ps", "--all", "--quiet", "--no-trunc").split())


def web(*command: str, **fields: object) -> podspec.Container:
    """The container `web`, which runs this in a shell; it sleeps by default."""
    words = ("sh", "-c", *command) if command else SLEEPER
    return container("web", **{"image": IMAGE, "command": words, **fields})


def resources(**limits: str) -> podspec.ResourceRequirements:
    """These limits."""
    return podspec.ResourceRequirements(limits=limits)


async def said(harness: Harness, *command: str, **fields: object) -> str:
    """What a container says that runs this to its end, and its exit is taken."""
    await harness.start(template(web(*command, **fields)))
    await harness.exited()
    return (await harness.log()).decode()
