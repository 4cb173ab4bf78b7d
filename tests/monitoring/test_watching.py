"""Active checks that availability counts on: who is asked, what control is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
from aiohttp import web

from adapters import cancelling
from domain.active_check import ActiveCheck
from domain.errors import Transient
from domain.protocol import PodCheck
from domain.wanted import PodToCheck
from gateway.monitoring import watching
from gateway.monitoring.checks import Checks
from gateway.monitoring.measured import Numbers
from gateway.monitoring.watching import Watching
from tests.monitoring.servers import serving


class Server:
    """A pod's server: what it answers next, and what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.hangs = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.asked.put_nowait(request.path)
        if self.hangs:
            await asyncio.Event().wait()
        return web.Response(status=self.status)

    async def answers(self, number: int) -> None:
        """Waits until it was asked so often from now on, and the last was answered."""
        while not self.asked.empty():
            self.asked.get_nowait()
        for _ in range(number + 1):
            await self.asked.get()


class Desk:
    """The two ends of the worker: which pods there are, and what was said."""

    def __init__(self) -> None:
        self.pods: Sequence[PodToCheck] = ()
        self.said: asyncio.Queue[tuple[str, PodCheck]] = asyncio.Queue()
        self.trouble = False

    async def ask(self) -> Sequence[PodToCheck]:
        """As `Cluster.checks`."""
        if self.trouble:
            raise Transient("no reader answers")
        return self.pods

    async def say(self, namespace: str, name: str, said: PodCheck) -> None:
        """As the speaker."""
        assert namespace == "shop"
        self.said.put_nowait((name, said))


def pod(url: str, name: str = "web-1", *, failing: bool = False) -> PodToCheck:
    """A pod that is to be checked as often as can be."""
    port = urlsplit(url).port
    assert port is not None
    return PodToCheck(
        namespace="shop",
        name=name,
        uid=f"uid-{name}",
        ip="127.0.0.1",
        check=ActiveCheck(path="/healthz", port=port, interval="0s"),
        failing=failing,
    )


@contextlib.asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[None]:
    """The worker over this desk."""
    async with aiohttp.ClientSession() as session:
        worker = Watching(desk.ask, desk.say, Checks(session), Numbers())
        task = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            await cancelling.end(task)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker turns quickly."""
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(watching, "TICK_SECONDS", 0.01)


@pytest.mark.asyncio
async def test_two_failures_say_nothing_and_three_do() -> None:
    """A pod that answers well twice and badly twice is of no interest; a third failure
    in a row is told, with what it answered."""
    desk, server = Desk(), Server()
    statuses = iter([200, 500, 500, 200, 500, 500, 500])

    async def handle(request: web.Request) -> web.StreamResponse:
        server.status = next(statuses, 500)
        return await server.handle(request)

    async with serving(handle) as url, running(desk):
        desk.pods = [pod(url)]
        name, said = await desk.said.get()
        assert server.asked.qsize() >= 7, "the first four failures were not in a row"
        assert await server.asked.get() == "/healthz"
    assert (name, said.uid, said.passing) == ("web-1", "uid-web-1", False)
    assert said.detail.endswith("/healthz answers with 500, 3 times in a row")


@pytest.mark.asyncio
async def test_a_failing_pod_passes_with_its_first_good_answer() -> None:
    """A monitor that begins with a pod that control holds for failing confirms that at
    once while it is so, and says that it passes when it does."""
    desk, server = Desk(), Server()
    server.status = 503
    async with serving(server.handle) as url, running(desk):
        desk.pods = [pod(url, failing=True)]
        _, said = await desk.said.get()
        assert not said.passing
        server.status = 204
        while not said.passing:
            _, said = await desk.said.get()
        assert said.detail == "it answers well"


@pytest.mark.asyncio
async def test_what_control_knows_is_repeated_now_and_then() -> None:
    """A pod that goes on to fail costs a message every `REPEAT_SECONDS`, not one for
    each answer."""
    desk, server = Desk(), Server()
    server.status = 503
    async with serving(server.handle) as url, running(desk):
        desk.pods = [pod(url, failing=True)]
        await desk.said.get()
        await server.answers(10)
        assert desk.said.empty()


@pytest.mark.asyncio
async def test_a_good_pod_is_never_spoken_of() -> None:
    """Nothing is sent for what control knows."""
    desk, server = Desk(), Server()
    async with serving(server.handle) as url, running(desk):
        desk.pods = [pod(url)]
        await server.answers(5)
    assert desk.said.empty()


@pytest.mark.asyncio
async def test_a_pod_that_hangs_delays_no_other() -> None:
    """One that takes a connection and never answers: the other is checked on."""
    desk, slow, bad = Desk(), Server(), Server()
    slow.hangs, bad.status = True, 500
    async with serving(slow.handle) as dead, serving(bad.handle) as url, running(desk):
        desk.pods = [pod(dead, "slow"), pod(url, "bad")]
        await slow.asked.get()
        for _ in range(3):
            name, _ = await desk.said.get()
            assert name == "bad"
        assert slow.asked.empty(), "it is not asked again before it has answered"
        desk.pods = []


@pytest.mark.asyncio
async def test_a_pod_that_is_not_named_any_more_is_left_alone() -> None:
    """It became unready for another reason, or it went: nobody asks it."""
    desk, gone, kept = Desk(), Server(), Server()
    async with (
        serving(gone.handle) as url,
        serving(kept.handle) as other,
        running(desk),
    ):
        desk.pods = [pod(url, "gone"), pod(other, "kept")]
        await gone.answers(1)
        desk.pods = [pod(other, "kept")]
        await kept.answers(20)
        while not gone.asked.empty():
            gone.asked.get_nowait()
        await kept.answers(5)
        assert gone.asked.empty()


@pytest.mark.asyncio
async def test_without_readers_it_goes_on() -> None:
    """What was asked for last is checked on, so that no pod is lifted for that."""
    desk, server = Desk(), Server()
    server.status = 500
    async with serving(server.handle) as url, running(desk):
        desk.pods = [pod(url)]
        await desk.said.get()
        desk.trouble = True
        await server.answers(5)
        _, said = await desk.said.get()
        assert not said.passing


def test_the_wire_form() -> None:
    """What is not said is left out, and read as not said."""
    data = msgspec.json.encode(PodCheck(uid="u", passing=True))
    assert data == b'{"uid":"u","passing":true}'
