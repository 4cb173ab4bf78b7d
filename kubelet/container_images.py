"""Images of the container runtime: the pull policy, and who we are to a registry.

1. `Always` asks the registry each time, `IfNotPresent` when the image is not here,
   `Never` not at all. Without a policy it is `Always` for the tag `latest`.
2. Pods that want the same image wait for one pull; a few pulls go on at a time.
3. Logins are those of `docker login` and `podman login`: `auths` in the first file of
   `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json`, `~/.docker/config.json` and
   `$XDG_RUNTIME_DIR/containers/auth.json` that has one for the registry. Helpers
   (`credHelpers`, `credsStore`) are programs, and are not run.
4. What the node says of its images is what Kubernetes says: the largest ones with a few
   names each. It is looked at now and then, and after pulls.
"""

import asyncio
import base64
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from adapters import engine, engine_answers
from domain import podspec, protocol
from kubelet import images
from kubelet import runtime as port

PULLS_MAX: Final = 3
SEEN_SECONDS: Final = 1.0
"""So long an image that was seen is taken to be there still."""
LIST_SECONDS: Final = 60.0
PULLED_SECONDS: Final = 1.0
"""What is pulled within it is listed at once."""
NAMES_MAX: Final = 5
_HUB: Final = ("https://index.docker.io/v1/", "docker.io", "index.docker.io")
Tell = Callable[[port.Observation], None]

_log = logging.getLogger(__name__)


class Login(msgspec.Struct, frozen=True):
    """One of `auths`: the name and the password in base64."""

    auth: str = ""


class Logins(msgspec.Struct, frozen=True):
    """A file that a login has left."""

    auths: dict[str, Login] = {}


class Images:
    """The images of one engine."""

    def __init__(self, docker: engine.Engine, environ: Mapping[str, str]) -> None:
        self._engine = docker
        self._environ = environ
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(PULLS_MAX)
        self._seen: dict[str, tuple[float, engine_answers.Image]] = {}
        self._pulled = asyncio.Event()
        self.listed: tuple[protocol.ContainerImage, ...] = ()
        """What the node says of its images."""

    async def pull(self, uid: str, spec: podspec.Container, tell: Tell) -> None:
        """Tells `ImagePulled` or `ImageFailed`, and before it what is under way."""
        name, begun = spec.image, time.monotonic()

        def failed(reason: str, message: str) -> None:
            tell(
                port.ImageFailed(
                    uid=uid, container=spec.name, message=message, reason=reason
                )
            )

        try:
            full = images.normalise(name)
        except ValueError as error:
            text = f'Failed to apply default image tag "{name}": {error}'
            failed("InvalidImageName", text)
            return
        usual = "Always" if full.endswith(":latest") else "IfNotPresent"
        policy = spec.image_pull_policy or usual
        try:
            here = policy != "Always" and await self.find(name) is not None
            if not here and policy == "Never":
                failed(
                    "ErrImageNeverPull",
                    f'Container image "{name}" is not present with pull policy of '
                    "Never",
                )
                return
            if not here:
                tell(port.ImagePulling(uid=uid, container=spec.name))
                await self._fetch(full)
        except engine.EngineError as error:
            failed("ErrImagePull", str(error))
            return
        took = time.monotonic() - begun
        tell(
            port.ImagePulled(
                uid=uid,
                container=spec.name,
                present=here,
                seconds=0.0 if here else took,
            )
        )

    async def find(self, name: str) -> engine_answers.Image | None:
        """The image if the engine has it; by its full name, or as it is written (what
        was built with Podman has `localhost/` before its name).

        One start of a container asks several times; the engine is asked once.
        """
        now = time.monotonic()
        seen = self._seen.get(name)
        if seen is not None and now - seen[0] < SEEN_SECONDS:
            return seen[1]
        found = await self._engine.image(images.normalise(name))
        found = found or await self._engine.image(name)
        self._seen = {n: s for n, s in self._seen.items() if now - s[0] < SEEN_SECONDS}
        if found is not None:
            self._seen[name] = now, found
        return found

    async def look(self, names: Iterable[str]) -> None:
        """Asks for these images ahead of time; what goes wrong is told to who needs
        them."""
        with contextlib.suppress(engine.EngineError, ValueError):
            await asyncio.gather(*(self.find(name) for name in set(names)))

    async def refresh(self) -> bool:
        """Whether `listed` is another one now. An engine that does not answer changes
        nothing."""
        try:
            found = described(await self._engine.images())
        except engine.EngineError as error:
            _log.info("images are listed later: %s", error)
            return False
        changed, self.listed = found != self.listed, found
        return changed

    async def follow(self, changed: Callable[[], None]) -> None:
        """Lists them for ever, and says when something is new."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LIST_SECONDS):
                    await self._pulled.wait()
                    await asyncio.sleep(PULLED_SECONDS)
            self._pulled.clear()
            if await self.refresh():
                changed()

    async def _fetch(self, full: str) -> None:
        pull = self._pulls.get(full)
        if pull is None:
            pull = self._pulls[full] = asyncio.create_task(self._fetch_once(full))
            pull.add_done_callback(lambda _: self._pulls.pop(full, None))
        await asyncio.shield(pull)

    async def _fetch_once(self, full: str) -> None:
        async with self._slots:
            await self._engine.pull(full, auth_header(full, self._environ))
            self._pulled.set()

    def tasks(self) -> list[asyncio.Task[None]]:
        """The pulls that are under way."""
        return list(self._pulls.values())


def described(
    found: Iterable[engine_answers.ListedImage],
) -> tuple[protocol.ContainerImage, ...]:
    """Kubernetes' shape: digests before tags, the largest first, and not too many.
    What has no name can be used by nobody."""
    images = [
        protocol.ContainerImage(names=tuple(names[:NAMES_MAX]), size_bytes=each.size)
        for each in found
        if (names := _names(each))
    ]
    images.sort(key=lambda image: (-image.size_bytes, image.names))
    return tuple(images[: protocol.IMAGES_MAX])


def auth_header(full: str, environ: Mapping[str, str]) -> str:
    """`X-Registry-Auth` for an image by its full name; empty if nobody logged in."""
    for path in _files(environ):
        login = _find(full, _read(path))
        if login is not None:
            name, _, password = login.partition(":")
            registry = full.partition("/")[0]
            data = msgspec.json.encode(
                {"username": name, "password": password, "serveraddress": registry}
            )
            return base64.urlsafe_b64encode(data).decode()
    return ""


def _names(found: engine_answers.ListedImage) -> list[str]:
    every = (*sorted(found.repo_digests or ()), *sorted(found.repo_tags or ()))
    return [name for name in every if "<none>" not in name]


def _files(environ: Mapping[str, str]) -> list[Path]:
    found = []
    if named := environ.get("REGISTRY_AUTH_FILE"):
        found.append(Path(named))
    if named := environ.get("DOCKER_CONFIG"):
        found.append(Path(named) / "config.json")
    if home := environ.get("HOME"):
        found.append(Path(home) / ".docker" / "config.json")
    if user := environ.get("XDG_RUNTIME_DIR"):
        found.append(Path(user) / "containers" / "auth.json")
    return found


def _read(path: Path) -> Logins:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Logins)
    except FileNotFoundError:
        return Logins()
    except (OSError, msgspec.MsgspecError) as error:
        _log.warning("logins in %s are left out: %s", path, error)
        return Logins()


def _find(full: str, logins: Logins) -> str | None:
    """`name:password`; the longest entry that `full` begins with wins, as in Podman."""
    path = full.partition("@")[0].rpartition(":")[0] or full
    registry = path.partition("/")[0]
    wanted = ["/".join(path.split("/")[:n]) for n in range(path.count("/") + 1, 0, -1)]
    wanted += [f"https://{registry}", f"https://{registry}/v1/"]
    wanted += _HUB if registry == "docker.io" else ()
    for name in wanted:
        login = logins.auths.get(name)
        if login is None or not login.auth:
            continue
        try:
            text = base64.b64decode(login.auth, validate=True).decode()
        except ValueError:
            _log.warning("the login for %s is no base64 and is left out", name)
            continue
        return text.rstrip("\0")
    return None
