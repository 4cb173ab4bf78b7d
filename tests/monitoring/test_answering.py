"""Measurements for analyses: when they are taken, and what is answered."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

import aiohttp
import msgspec
import pytest
from aiohttp import web

from adapters import cancelling
from domain.analysis import Check, HttpCheck
from domain.errors import Transient
from domain.protocol import Measurement
from domain.wanted import Target, Wanted
from gateway.monitoring import answering
from gateway.monitoring.answering import Answering, Sources
from gateway.monitoring.checks import Checks
from gateway.monitoring.commands import Commands
from gateway.monitoring.measured import Numbers
from gateway.monitoring.prometheus import Prometheus
from gateway.monitoring.values import Values
from tests.monitoring.servers import answering as always
from tests.monitoring.servers import serving

ONE = '{"status":"success","data":{"resultType":"scalar","result":[1,"0.5"]}}'


def wanted(
    source: Check | None = None, name: str = "errors", **fields: object
) -> Wanted:
    """One measurement that is due."""
    found = Wanted(
        namespace="shop",
        deployment="web",
        uid="u1",
        revision=2,
        round=1,
        check=name,
        source=source or Check(name=name, prometheus="q", max=1),
        taken=0,
        due_at=0.0,
        replicaset="web-5d",
        targets=(Target(name="web-5d-1", ip="127.0.0.1", node="worker-1"),),
    )
    return msgspec.structs.replace(found, **fields)


class Desk:
    """The two ends of the loop: what is wanted, and what was said."""

    def __init__(self) -> None:
        self.wanted: Sequence[Wanted] = ()
        self.said: asyncio.Queue[Measurement] = asyncio.Queue()
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.trouble = False

    async def ask(self) -> Sequence[Wanted]:
        """As `Cluster.wanted`."""
        self.asked.put_nowait(None)
        if self.trouble:
            raise Transient("no reader answers")
        return self.wanted

    async def turns(self, number: int) -> None:
        """Waits until it was asked so often from now on."""
        while not self.asked.empty():
            self.asked.get_nowait()
        for _ in range(number):
            await self.asked.get()

    async def say(self, namespace: str, deployment: str, said: Measurement) -> None:
        """As the speaker."""
        assert (namespace, deployment) == ("shop", "web")
        self.said.put_nowait(said)


@contextlib.asynccontextmanager
async def running(
    desk: Desk, prometheus: str = "", values: Values | None = None
) -> AsyncIterator[Answering]:
    """The loop over this desk."""
    async with aiohttp.ClientSession() as session:
        sources = Sources(
            Prometheus(prometheus, session) if prometheus else None,
            Checks(session),
            Commands({}),
            values or Values(),
        )
        loop = Answering(desk.ask, desk.say, sources, Numbers())
        task = asyncio.create_task(loop.run())
        try:
            yield loop
        finally:
            await cancelling.end(task)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop turns quickly."""
    monkeypatch.setattr(answering, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(answering, "PAUSE_SECONDS", 0.01)


@pytest.mark.asyncio
async def test_what_is_due_is_measured_and_answered() -> None:
    """The answer has the identity of the question, its number is the next one."""
    desk = Desk()
    desk.wanted = [wanted(taken=3)]
    async with serving(always(200, ONE)) as url, running(desk, url):
        said = await desk.said.get()

    assert said.value == 0.5
    assert said.error == ""
    assert (said.uid, said.revision, said.round, said.check) == ("u1", 2, 1, "errors")
    assert said.number == 4
    assert abs(said.at - time.time()) < 3600


@pytest.mark.asyncio
async def test_what_is_not_due_waits() -> None:
    """It is asked for again and again, and measured when its time has come."""
    desk = Desk()
    desk.wanted = [wanted(due_at=time.time() + 3600)]
    async with serving(always(200, ONE)) as url, running(desk, url):
        await desk.turns(5)
        assert desk.said.empty()
        desk.wanted = [wanted(due_at=time.time() + 0.05)]
        assert (await desk.said.get()).value == 0.5


@pytest.mark.asyncio
async def test_each_source_gives_a_number_or_a_reason() -> None:
    """Prometheus, active check, custom metric and command, all in one round."""
    desk, values = Desk(), Values()
    values.set("shop", "load", "web-5d-1", 3.0, time.time())
    async with serving(always(200, ONE)) as url:
        port = int(url.rpartition(":")[2])
        desk.wanted = [
            wanted(Check(name="a", prometheus="q", max=1), "a"),
            wanted(Check(name="b", check=HttpCheck(port=port), min=1), "b"),
            wanted(Check(name="c", metric="load", max=1), "c"),
            wanted(Check(name="d", command="smoke", max=1), "d"),
            wanted(Check(name="e", metric="unknown", max=1), "e"),
        ]
        async with running(desk, url, values) as loop:
            said = [await desk.said.get() for _ in range(5)]
            assert loop.metrics == {("shop", "load"), ("shop", "unknown")}

    found = {each.check: each for each in said}
    assert {name: found[name].value for name in "abc"} == {"a": 0.5, "b": 1.0, "c": 3.0}
    assert "not in the monitor's file" in found["d"].error
    assert "no value of unknown in shop" in found["e"].error
    assert all((each.value is None) == bool(each.error) for each in said)


@pytest.mark.asyncio
async def test_without_a_prometheus_it_says_so() -> None:
    """The reason names the option that is missing."""
    desk = Desk()
    desk.wanted = [wanted()]
    async with running(desk):
        assert "--prometheus" in (await desk.said.get()).error


@pytest.mark.asyncio
async def test_a_dead_prometheus_delays_nothing_else() -> None:
    """While it hangs, what others are asked for is answered."""
    hanging, desk = asyncio.Event(), Desk()

    async def hang(_: web.Request) -> web.StreamResponse:
        hanging.set()
        await asyncio.sleep(3600)
        return web.Response()

    desk.wanted = [
        wanted(name="dead"),
        wanted(Check(name="e", metric="unknown", max=1), "e"),
    ]
    async with serving(hang) as url, running(desk, url):
        await hanging.wait()
        assert (await desk.said.get()).check == "e"


@pytest.mark.asyncio
async def test_what_is_still_wanted_is_said_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer may be lost on its way: it comes again, the same, not measured anew."""
    monkeypatch.setattr(answering, "REPEAT_SECONDS", 0.02)
    desk, asked = Desk(), 0

    async def count(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.Response(text=ONE)

    desk.wanted = [wanted()]
    async with serving(count) as url, running(desk, url):
        first, second = await desk.said.get(), await desk.said.get()

    assert first == second
    assert asked == 1


@pytest.mark.asyncio
async def test_the_next_one_is_measured_anew() -> None:
    """A measurement that the writer has taken makes the next one wanted."""
    desk = Desk()
    desk.wanted = [wanted()]
    async with serving(always(200, ONE)) as url, running(desk, url):
        assert (await desk.said.get()).number == 1
        desk.wanted = [wanted(taken=1)]
        assert (await desk.said.get()).number == 2


@pytest.mark.asyncio
async def test_what_is_not_wanted_any_more_is_given_up() -> None:
    """The revision is gone: its question is closed, and nothing is said of it."""
    begun, desk = asyncio.Event(), Desk()

    async def hang(_: web.Request) -> web.StreamResponse:
        begun.set()
        await asyncio.sleep(3600)
        return web.Response()

    desk.wanted = [wanted()]
    async with serving(hang) as url, running(desk, url) as loop:
        await begun.wait()
        desk.wanted = ()
        await desk.turns(2)
        assert not loop.busy

    assert desk.said.empty()


@pytest.mark.asyncio
async def test_readers_that_are_away_are_waited_for() -> None:
    """Trouble ends nothing: when they are back it goes on."""
    desk = Desk()
    desk.wanted, desk.trouble = [wanted()], True
    async with serving(always(200, ONE)) as url, running(desk, url):
        await desk.turns(3)
        desk.trouble = False
        assert (await desk.said.get()).value == 0.5


@pytest.mark.asyncio
async def test_a_mistake_of_ours_costs_one_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is an error like any other, and the loop goes on."""

    def broken(*_: object) -> Callable[[], float]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Values, "number", broken)
    desk = Desk()
    desk.wanted = [wanted(Check(name="e", metric="load", max=1), "e"), wanted()]
    async with serving(always(200, ONE)) as url, running(desk, url):
        said = {each.check: each for each in [await desk.said.get() for _ in "12"]}

    assert said["e"].error == "RuntimeError: a bug"
    assert said["errors"].value == 0.5
