"""Values of custom metrics: from Prometheus and from pods to the writer."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from adapters import cancelling
from domain.protocol import MetricMessage
from gateway.monitoring import publishing
from gateway.monitoring.configuration import Metric, Scrape, Scraped
from gateway.monitoring.measured import Numbers, Unmeasured
from gateway.monitoring.prometheus import Prometheus, Sample
from gateway.monitoring.publishing import Queries, Scraping, message
from gateway.monitoring.scraping import Place, Scraper
from gateway.monitoring.values import Values
from tests.monitoring.servers import answering, serving
from tests.monitoring.test_prometheus import vector

METRIC = Metric(name="queue", query="q", namespace="shop", interval="0s")


class Desk:
    """What was said, and the values that were kept."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[str, str, MetricMessage]] = asyncio.Queue()
        self.values = Values()
        self.numbers = Numbers()

    async def say(self, namespace: str, metric: str, said: MetricMessage) -> None:
        """As the speaker."""
        self.said.put_nowait((namespace, metric, said))


def sample(value: str, **labels: str) -> Sample:
    """A sample of Prometheus."""
    return Sample(labels={"__name__": "a", **labels}, at=5.25, value=value)


@pytest.mark.parametrize(
    ("metric", "given", "said"),
    [
        (
            METRIC,
            sample("2", b="c"),
            MetricMessage(value=2.0, labels={"b": "c"}, at=5.25),
        ),
        (
            Metric(name="m", query="q", type="pods"),
            sample("2", pod="web-1"),
            MetricMessage(value=2.0, pod="web-1", at=5.25),
        ),
        (
            Metric(name="m", query="q", type="pods", pod_label="p"),
            sample("2", p="web-1"),
            MetricMessage(value=2.0, pod="web-1", at=5.25),
        ),
        (
            Metric(name="m", query="q", type="object", object="ingress/main"),
            sample("2", b="c"),
            MetricMessage(value=2.0, object="ingress/main", at=5.25),
        ),
    ],
)
def test_a_sample_becomes_a_message(
    metric: Metric, given: Sample, said: MetricMessage
) -> None:
    """External with its labels, of a pod, or of an object."""
    assert message(metric, given) == said


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "x", ""])
def test_garbage_is_refused(value: str) -> None:
    """Nothing may be scaled by what is no finite number."""
    with pytest.raises(Unmeasured):
        message(METRIC, sample(value))


def test_a_sample_of_pods_names_its_pod() -> None:
    """Otherwise it would be one of nobody."""
    with pytest.raises(Unmeasured, match="no label pod"):
        message(Metric(name="m", query="q", type="pods"), sample("1"))


@contextlib.asynccontextmanager
async def asked(desk: Desk, url: str, metric: Metric) -> AsyncIterator[None]:
    """The task of one metric of the file."""
    async with aiohttp.ClientSession() as session:
        queries = Queries(Prometheus(url, session), desk.say, desk.values, desk.numbers)
        task = asyncio.create_task(queries.run(metric))
        try:
            yield
        finally:
            await cancelling.end(task)


@pytest.mark.asyncio
async def test_a_query_is_published_at_its_interval() -> None:
    """Again and again; good samples also where others are garbage."""
    desk = Desk()
    page = answering(200, vector("NaN", "3"))
    async with serving(page) as url, asked(desk, url, METRIC):
        first, second = await desk.said.get(), await desk.said.get()

    assert first == second
    assert (first[0], first[1], first[2].value) == ("shop", "queue", 3.0)
    assert desk.numbers.done["prometheus", "garbage"] >= 1


@pytest.mark.asyncio
async def test_trouble_is_counted_and_passes() -> None:
    """A Prometheus that comes back is asked again."""
    desk, broken = Desk(), True

    async def handle(_: web.Request) -> web.StreamResponse:
        nonlocal broken
        status, broken = (503 if broken else 200), False
        return web.Response(status=status, text=vector("3"))

    async with serving(handle) as url, asked(desk, url, METRIC):
        assert (await desk.said.get())[2].value == 3.0
    assert desk.numbers.done["prometheus", "failed"] == 1


@pytest.mark.asyncio
async def test_too_many_results_are_a_mistake() -> None:
    """A query that forgot to aggregate floods nobody."""
    desk, turns = Desk(), asyncio.Semaphore(0)
    body = vector(*["1"] * (publishing.SAMPLES_MAX + 1))

    async def handle(_: web.Request) -> web.StreamResponse:
        turns.release()
        return web.Response(text=body)

    async with serving(handle) as url, asked(desk, url, METRIC):
        await turns.acquire()
        await turns.acquire()  # the first answer was looked at

    assert desk.said.empty()
    assert desk.numbers.done["prometheus", "failed"] >= 1


PAGE = "requests 5\nqueue 7\nother 9\n"


@contextlib.asynccontextmanager
async def read(
    desk: Desk, url: str, wanted: set[tuple[str, str]], scrape: Scrape
) -> AsyncIterator[list[str]]:
    """The reading of one pod in `shop` and of one that does not answer; the
    namespaces whose pods were listed."""
    places = [
        Place("shop", "web-1", "u1", url),
        Place("shop", "web-2", "u2", "http://127.0.0.1:1/"),
    ]
    listed: list[str] = []

    async def held(namespace: str) -> list[Place]:
        listed.append(namespace)
        return [each for each in places if namespace in ("", each.namespace)]

    async def wants() -> frozenset[tuple[str, str]]:
        return frozenset(wanted)

    async with aiohttp.ClientSession() as session:
        loop = Scraping(
            scrape, Scraper(session), held, wants, desk.say, desk.values, desk.numbers
        )
        task = asyncio.create_task(loop.run())
        try:
            yield listed
        finally:
            await cancelling.end(task)


@pytest.mark.asyncio
async def test_what_an_autoscaler_names_is_read_of_its_pods() -> None:
    """By namespace; what nobody names is not published, and a pod that does not answer
    keeps no other from being read."""
    desk = Desk()
    wanted = {("shop", "requests"), ("shop", "missing"), ("bank", "queue")}
    page = answering(200, PAGE)
    async with serving(page) as url, read(desk, url, wanted, Scrape()) as listed:
        namespace, metric, said = await desk.said.get()

    assert (namespace, metric, said.pod, said.value) == (
        "shop",
        "requests",
        "web-1",
        5.0,
    )
    assert desk.said.empty()
    assert listed == ["bank", "shop"]
    assert desk.values.number("shop", "requests", ["web-1"], time.time()) == 5.0


@pytest.mark.asyncio
async def test_the_metrics_of_the_file_are_read_of_all_pods() -> None:
    """Under the names of the file."""
    desk = Desk()
    scrape = Scrape(metrics=(Scraped(name="length", series="queue"),))
    page = answering(200, PAGE)
    async with serving(page) as url, read(desk, url, set(), scrape) as listed:
        namespace, metric, said = await desk.said.get()

    assert (namespace, metric, said.pod, said.value) == ("shop", "length", "web-1", 7.0)
    assert listed == [""]


@pytest.mark.asyncio
async def test_nobody_wants_and_nobody_is_asked() -> None:
    """No pod is listed and none is read as long as no metric is wanted."""
    desk = Desk()
    turns = asyncio.Semaphore(0)

    async def wants() -> frozenset[tuple[str, str]]:
        turns.release()
        return frozenset()

    async def places(_: str) -> list[Place]:
        raise AssertionError("pods were listed")

    async with aiohttp.ClientSession() as session:
        loop = Scraping(
            Scrape(interval="0s"),
            Scraper(session),
            places,
            wants,
            desk.say,
            desk.values,
            desk.numbers,
        )
        task = asyncio.create_task(loop.run())
        await turns.acquire()
        await turns.acquire()
        assert not task.done()
        await cancelling.end(task)

    assert not desk.numbers.done
