"""The container runtime where the engine is no help: it hangs, lies, is full, is gone.

The engine is a server here that speaks the API as long as it is told to.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from aiohttp import web

from adapters import engine
from domain import errors
from kubelet import (
    container_exits,
    container_images,
    container_runtime,
    runtime,
)
from tests.kubelet.builders import sandbox, template
from tests.kubelet.harness import GUARD, Harness

pytestmark = pytest.mark.asyncio

Mood = Literal["well", "hangs", "nonsense", "wrong", "full", "dies", "cut"]
WORDS: dict[Mood, str] = {
    "hangs": "has not answered",
    "nonsense": "cannot be understood",
    "wrong": "cannot be understood",
    "full": "no space left on device",
    "dies": "does not answer",
    "cut": "does not answer",
}
CALL_SECONDS = 0.2
"""How long an engine that hangs is waited for; one that answers has all the time."""
LISTS_BEFORE = 2
"""How often containers are listed before a test begins: at the start, and when the
engine's events are there."""


class FakeEngine:
    """Answers well enough for a pod, unless its mood is another one."""

    def __init__(self) -> None:
        self.mood: Mood = "well"
        self.released = asyncio.Event()
        self.asked_again = asyncio.Event()
        self.asked: list[str] = []
        self._made = 0
        self._killed: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request, in the mood of the moment."""
        path = request.path.removeprefix("/v1.41")
        self.asked.append(f"{request.method} {path}")
        if self.asked.count("GET /containers/json") > LISTS_BEFORE + 1:
            self.asked_again.set()
        if path == "/events":
            return await self._events(request)
        match self.mood:
            case "hangs":
                await self.released.wait()
            case "nonsense":
                return web.Response(body=b"\xff{", content_type="application/json")
            case "wrong":
                return web.json_response([{"Id": 7, "State": "up"}])
            case "full":
                text = "write /var/lib: no space left on device"
                return web.json_response({"message": text}, status=500)
            case "dies":
                assert request.transport is not None
                request.transport.abort()
            case "cut":
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b'{"Id":')
                assert request.transport is not None
                request.transport.abort()
                return response
        return self._well(request.method, path)

    def _well(self, method: str, path: str) -> web.Response:
        if path == "/version":
            return web.json_response(
                {"Version": "1", "ApiVersion": "1.41", "Arch": "amd64"}
            )
        if path == "/_ping":
            return web.Response(text="OK")
        if path in ("/info", "/containers/json", "/images/json"):
            return web.json_response({} if path == "/info" else [])
        if path.startswith("/images/create"):
            return web.Response(text='{"status": "Pulling"}\n')
        if path.startswith("/images/"):
            return web.json_response({"Id": "sha256:1"})
        if path == "/containers/create":
            self._made += 1
            return web.json_response({"Id": f"c{self._made}"})
        identity = path.split("/")[2]
        if path.endswith("/kill"):
            self._killed.add(identity)
        if method == "GET":
            return web.json_response(
                {
                    "Id": identity,
                    "State": {"Running": identity not in self._killed},
                    "NetworkSettings": {"IPAddress": "10.9.8.7"},
                }
            )
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await self.released.wait()
        return response


@contextlib.asynccontextmanager
async def serving(fake: FakeEngine, path: Path) -> AsyncIterator[str]:
    """The engine's URL; it listens in the block."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield f"unix://{path}"
    finally:
        fake.released.set()
        await runner.cleanup()


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[tuple[FakeEngine, str]]:
    """An engine that listens, and its URL."""
    # Not below pytest's own folder: the path of a socket may have 107 bytes only.
    with tempfile.TemporaryDirectory(prefix="rollbook-fake-") as folder:
        found = FakeEngine()
        async with serving(found, Path(folder) / "s") as url:
            yield found, url


@pytest_asyncio.fixture
async def harness(
    fake: tuple[FakeEngine, str], tmp_path: Path
) -> AsyncIterator[Harness]:
    """A node on that engine, opened while it was well."""
    ports = container_runtime.ContainerRuntime(
        "n1", tmp_path, engine_url=fake[1], environ={}, call_seconds=GUARD
    )
    await ports.open()
    yield Harness(ports)
    fake[0].mood = "well"
    await ports.close()


def turn(harness: Harness, fake: FakeEngine, mood: Mood) -> None:
    """The engine is in this mood from now on."""
    fake.mood = mood
    ports = harness.ports
    assert isinstance(ports, container_runtime.ContainerRuntime)
    ports._ground.engine._seconds = CALL_SECONDS if mood == "hangs" else GUARD


@pytest.mark.parametrize("mood", WORDS)
async def test_the_sandbox_fails_with_words(
    harness: Harness, fake: tuple[FakeEngine, str], mood: Mood
) -> None:
    """And can be tried again: then it is there."""
    turn(harness, fake[0], mood)
    harness.ports.start_sandbox(sandbox("u1", template()))
    failed = await harness.until(runtime.SandboxFailed)
    assert WORDS[mood] in failed.message
    turn(harness, fake[0], "well")
    fake[0].released.set()
    harness.ports.start_sandbox(sandbox("u1", template()))
    assert (await harness.until(runtime.SandboxReady)).ip == "10.9.8.7"


@pytest.mark.parametrize("mood", WORDS)
async def test_the_image_fails_with_words(
    harness: Harness,
    fake: tuple[FakeEngine, str],
    mood: Mood,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`ErrImagePull`; the next try succeeds."""
    monkeypatch.setattr(container_images, "SEEN_SECONDS", 0.0)
    harness.ports.start_sandbox(sandbox("u1", template()))
    await harness.until(runtime.SandboxReady)
    turn(harness, fake[0], mood)
    harness.ports.pull_image("u1", "web")
    failed = await harness.until(runtime.ImageFailed)
    assert failed.reason == "ErrImagePull"
    assert WORDS[mood] in failed.message
    turn(harness, fake[0], "well")
    harness.ports.pull_image("u1", "web")
    assert (await harness.until(runtime.ImagePulled)).present


@pytest.mark.parametrize("mood", WORDS)
async def test_the_container_fails_with_words(
    harness: Harness, fake: tuple[FakeEngine, str], mood: Mood
) -> None:
    """`CreateContainerError`; the next try succeeds."""
    harness.ports.start_sandbox(sandbox("u1", template()))
    await harness.until(runtime.SandboxReady)
    turn(harness, fake[0], mood)
    harness.ports.start_container("u1", "web", 0)
    failed = await harness.until(runtime.ContainerFailed)
    assert failed.reason == "CreateContainerError"
    assert WORDS[mood] in failed.message
    turn(harness, fake[0], "well")
    harness.ports.start_container("u1", "web", 0)
    started = await harness.until(runtime.ContainerStarted)
    assert started.container_id.startswith("docker://c")


@pytest.mark.parametrize("mood", WORDS)
async def test_a_pod_is_not_gone_before_the_engine_says_so(
    harness: Harness, fake: tuple[FakeEngine, str], mood: Mood
) -> None:
    """A removal is never given up, nor told too soon."""
    harness.ports.start_sandbox(sandbox("u1", template()))
    await harness.until(runtime.SandboxReady)
    turn(harness, fake[0], mood)
    harness.ports.remove_sandbox("u1")
    async with asyncio.timeout(GUARD):
        await fake[0].asked_again.wait()
    assert [state.uid for state in harness.ports.list()] == ["u1"]
    turn(harness, fake[0], "well")
    await harness.until(runtime.SandboxRemoved)
    assert harness.ports.list() == ()


@pytest.mark.parametrize(
    ("mood", "how"),
    [
        ("hangs", "not-answering"),
        ("nonsense", "not-understood"),
        ("wrong", "not-understood"),
        ("full", "refusing"),
        ("dies", "not-reachable"),
        ("cut", "not-reachable"),
    ],
)
async def test_a_node_without_its_engine_takes_no_new_pods(
    fake: tuple[FakeEngine, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mood: Mood,
    how: str,
) -> None:
    """A taint says so, and how it fails, as long as it does; it is asked of itself,
    though no pod wants anything."""
    monkeypatch.setattr(container_exits, "LOOK_SECONDS", 0.05)
    patience = CALL_SECONDS if mood == "hangs" else GUARD
    monkeypatch.setattr(container_exits, "PING_SECONDS", patience)
    ports = container_runtime.ContainerRuntime(
        "n1", tmp_path, engine_url=fake[1], environ={}
    )
    await ports.open()
    harness = Harness(ports)
    assert harness.ports.node_info().taints == ()
    fake[0].mood = mood
    await harness.until(runtime.NodeChanged)
    (taint,) = harness.ports.node_info().taints
    assert (taint.key, taint.effect) == ("rollbook/engine-unavailable", "NoSchedule")
    assert taint.value == how
    monkeypatch.setattr(container_exits, "PING_SECONDS", GUARD)
    fake[0].mood = "well"
    fake[0].released.set()
    await harness.until(runtime.NodeChanged)
    assert harness.ports.node_info().taints == ()
    await ports.close()


async def test_a_hundred_pods_do_not_storm_the_engine(
    harness: Harness, fake: tuple[FakeEngine, str]
) -> None:
    """No more calls are under way than allowed; none is forgotten."""
    fake[0].mood = "hangs"
    for number in range(100):
        harness.ports.start_sandbox(sandbox(f"u{number}", template()))
    async with asyncio.timeout(GUARD):
        while created(fake[0]) < engine.CALLS_MAX:  # noqa: ASYNC110  # calls tell nobody
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # one more would have come by then
    assert created(fake[0]) == engine.CALLS_MAX
    fake[0].mood = "well"
    fake[0].released.set()
    for number in range(100):
        uid = f"u{number}"
        fact = await harness.until(runtime.Fact, uid=uid)
        assert isinstance(fact, runtime.SandboxReady | runtime.SandboxFailed)


def created(fake: FakeEngine) -> int:
    """How many containers the engine was asked to create."""
    return fake.asked.count("POST /containers/create")


@pytest.mark.parametrize("mood", WORDS)
async def test_a_node_without_a_sound_engine_does_not_start(
    fake: tuple[FakeEngine, str], tmp_path: Path, mood: Mood
) -> None:
    """It ends with what is wrong; its folder is free for the next try."""
    fake[0].mood = mood
    ports = container_runtime.ContainerRuntime(
        "n1", tmp_path, engine_url=fake[1], environ={}, call_seconds=CALL_SECONDS
    )
    with pytest.raises(errors.Permanent, match="the container engine"):
        await ports.open()
    await ports.close()
    fake[0].mood = "well"
    again = container_runtime.ContainerRuntime(
        "n1", tmp_path, engine_url=fake[1], environ={}
    )
    await again.open()
    await again.close()


@pytest.mark.parametrize("url", ["unix:///no/such.sock", "nonsense", "http://[", ""])
async def test_a_node_without_an_engine_says_what_to_do(
    tmp_path: Path, url: str
) -> None:
    """An address that is none, one where nobody listens, or none at all."""
    ports = container_runtime.ContainerRuntime(
        "n1", tmp_path, engine_url=url, environ={"DOCKER_HOST": "unix:///no/such.sock"}
    )
    with pytest.raises(errors.Permanent, match="engine"):
        await ports.open()


@pytest.mark.parametrize("mood", WORDS)
async def test_an_engine_that_does_not_answer_is_not_found(
    fake: tuple[FakeEngine, str], mood: Mood
) -> None:
    """Nobody waits for it for long."""
    fake[0].mood = mood
    assert await engine.find({"DOCKER_HOST": fake[1]}, CALL_SECONDS) is None
    fake[0].mood = "well"
    found = await engine.find({"DOCKER_HOST": fake[1]}, GUARD)
    assert found is not None
    assert (found.name, found.version) == ("docker", "1")
