"""Waits for what a runtime observes; the guards are against hanging only."""

import asyncio
from typing import TypeVar

import msgspec

from domain import podspec
from kubelet import runtime
from tests.kubelet.builders import sandbox

GUARD = 60.0
F = TypeVar("F", bound=msgspec.Struct)


class Harness:
    """A runtime, and all that was observed of it."""

    def __init__(self, ports: runtime.Runtime) -> None:
        self.ports = ports
        self.seen: list[runtime.Observation] = []

    async def until(self, kind: type[F], **fields: object) -> F:
        """The first observation of this kind with these fields that is not taken."""
        async with asyncio.timeout(GUARD):
            while True:
                for fact in self.seen:
                    if isinstance(fact, kind) and all(
                        getattr(fact, name) == value for name, value in fields.items()
                    ):
                        self.seen.remove(fact)
                        return fact
                self.seen += await self.ports.observations()

    async def start(
        self, template: podspec.PodTemplateSpec, uid: str = "u1", attempt: int = 0
    ) -> runtime.ContainerStarted:
        """Sandbox, image, container `web`."""
        self.ports.start_sandbox(sandbox(uid, template, name=f"pod-{uid}"))
        await self.until(runtime.SandboxReady, uid=uid)
        self.ports.pull_image(uid, "web")
        await self.until(runtime.ImagePulled, uid=uid)
        self.ports.start_container(uid, "web", attempt)
        return await self.until(runtime.ContainerStarted, uid=uid, attempt=attempt)

    async def exited(self, uid: str = "u1") -> runtime.ContainerExited:
        """The next exit in that pod."""
        return await self.until(runtime.ContainerExited, uid=uid)

    async def listening(self, uid: str = "u1", said: bytes = b"on") -> None:
        """Waits until a process has said `said`; hollow containers need no wait."""
        async with asyncio.timeout(GUARD):
            while self.ports.name != "hollow":
                if said in await self.log(uid):
                    break
                await asyncio.sleep(0.01)

    async def log(self, uid: str = "u1", **options: object) -> bytes:
        """The output of `web`."""
        wanted = runtime.LogOptions(**options)  # type: ignore[arg-type]  # test data
        chunks = [chunk async for chunk in self.ports.logs(uid, "web", wanted)]
        return b"".join(chunks)
