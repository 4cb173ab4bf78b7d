"""The demo's web server as a container image, and what the demo asks of the engine.

The image is busybox and a shell script, put together here: nothing is fetched. Its
server ends as one in a cluster should: asked to end, it serves on for a moment, until
whoever asks it knows that it is going.
"""

import asyncio
import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from adapters import engine

REPOSITORY: Final = "localhost/rollbook-demo"
_APPLETS: Final = ("sh", "echo", "httpd", "sleep", "kill", "cat", "tar", "test", "stty")
_SERVE: Final = """#!/bin/sh
echo "nginx $VERSION" > /www/index.html
httpd -f -p 80 -h /www &
trap 'sleep 1; kill $!; exit 0' TERM
echo serving
while true; do wait $!; done
"""


class Missing(Exception):
    """What the demo needs and this machine has not; the text says what to do."""


def image_name(version: str) -> str:
    """The name of the image of this version."""
    return f"{REPOSITORY}:{version}"


def busybox() -> Path:
    """A busybox that needs no library. Raises `Missing`."""
    found = shutil.which("busybox")
    if found is None or b"/ld-linux" in Path(found).read_bytes()[:8192]:
        raise Missing(
            "the demo's image is made of a busybox without libraries: install the "
            "package busybox-static"
        )
    return Path(os.path.realpath(found))


def archive(version: str) -> bytes:
    """The image as a docker-archive, what `docker load` reads."""
    layer = _layer()
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": "arm64" if os.uname().machine == "aarch64" else "amd64",
            "os": "linux",
            "config": {
                "Env": ["PATH=/bin", f"VERSION={version}"],
                "Cmd": ["/bin/serve"],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    identity = hashlib.sha256(config).hexdigest()
    manifest = {
        "Config": f"{identity}.json",
        "RepoTags": [image_name(version)],
        "Layers": [f"{digest}.tar"],
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _add(tar, f"{identity}.json", config)
        _add(tar, f"{digest}.tar", layer)
        _add(tar, "manifest.json", json.dumps([manifest]).encode())
    return buffer.getvalue()


def address(given: str) -> str:
    """The engine's URL; one is looked for if none is given. Raises `Missing`."""
    if given:
        return given
    found = asyncio.run(engine.find(os.environ))
    if found is None:
        raise Missing(
            "no container engine answers: start Docker or Podman, or name its socket "
            "with --engine (docs/containers.md)"
        )
    return found.url


def load(url: str, versions: tuple[str, ...]) -> None:
    """Afterwards the engine has the images of these versions."""

    async def work(client: engine.Engine) -> None:
        for version in versions:
            await client.load(archive(version))

    _with(url, work)


def unload(url: str, versions: tuple[str, ...]) -> None:
    """Afterwards it has them no more, unless somebody else uses them."""

    async def work(client: engine.Engine) -> None:
        for version in versions:
            await client.remove_image(image_name(version))

    _with(url, work)


def kill(url: str, container: str) -> None:
    """`docker kill` of one container."""

    async def work(client: engine.Engine) -> None:
        await client.kill(container, "KILL")

    _with(url, work)


def _with(url: str, work: Callable[[engine.Engine], Awaitable[None]]) -> None:
    async def whole() -> None:
        client = engine.Engine(url)
        try:
            await work(client)
        finally:
            await client.close()

    asyncio.run(whole())


def _layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "www"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        _add(tar, "bin/busybox", busybox().read_bytes(), 0o755)
        _add(tar, "bin/serve", _SERVE.encode(), 0o755)
        _add(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\n")
        for applet in _APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
