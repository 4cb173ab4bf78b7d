"""Metrics that pods serve themselves."""

import asyncio

import msgspec
import pytest
from aiohttp import web

from gateway.monitoring import scraping
from gateway.monitoring.configuration import Scraped
from gateway.monitoring.measured import Unmeasured
from gateway.monitoring.scraping import Place, Scraper
from tests.monitoring.servers import answering, asking

PAGE = """\
# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b"} 10 1700000000000
http_requests_total{code="500"} 2
http_requests_total_other 99
# TYPE queue gauge
queue 7.5
broken NaN
"""


def pod(
    annotations: dict[str, str],
    ip: str = "10.0.0.7",
    ready: str = "True",
    ports: tuple[int, ...] = (8080,),
    deleted: bool = False,
) -> msgspec.Raw:
    """A pod as Kubernetes' JSON."""
    metadata: dict[str, object] = {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u1",
        "annotations": {f"prometheus.io/{k}": v for k, v in annotations.items()},
    }
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    document = {
        "metadata": metadata,
        "spec": {"containers": [{"ports": [{"containerPort": p} for p in ports]}]},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
    }
    return msgspec.Raw(msgspec.json.encode(document))


@pytest.mark.parametrize(
    ("annotations", "url"),
    [
        ({"scrape": "true"}, "http://10.0.0.7:8080/metrics"),
        ({"scrape": "true", "port": "9102"}, "http://10.0.0.7:9102/metrics"),
        ({"scrape": "true", "path": "m"}, "http://10.0.0.7:8080/m"),
        ({"scrape": "true", "scheme": "https"}, "https://10.0.0.7:8080/metrics"),
    ],
)
def test_the_annotations_say_where(annotations: dict[str, str], url: str) -> None:
    """The usual ones; without a port the first of the containers'."""
    assert scraping.place(pod(annotations)) == Place("shop", "web-1", "u1", url)


def test_an_address_of_ipv6_is_in_brackets() -> None:
    """As it must be in a URL."""
    found = scraping.place(pod({"scrape": "true"}, ip="fd00::7"))

    assert found is not None
    assert found.url == "http://[fd00::7]:8080/metrics"


@pytest.mark.parametrize(
    "document",
    [
        pod({}),
        pod({"scrape": "yes"}),
        pod({"scrape": "true"}, ip=""),
        pod({"scrape": "true"}, ready="False"),
        pod({"scrape": "true"}, deleted=True),
        pod({"scrape": "true", "port": "http"}),
        pod({"scrape": "true", "scheme": "file"}),
        msgspec.Raw(b"{}"),
    ],
)
def test_others_are_left_alone(document: msgspec.Raw) -> None:
    """Who does not ask, who is not ready, who goes, who asks for what there is not."""
    assert scraping.place(document) is None


def test_the_wanted_series_are_summed() -> None:
    """Over all labels; a longer name is another series; NaN is no value."""
    wanted = frozenset({"http_requests_total", "queue", "broken", "missing"})

    assert scraping.read(PAGE, wanted) == {"http_requests_total": 12.0, "queue": 7.5}


def test_nothing_else_is_read() -> None:
    """Lines that nobody wants cost nothing, not even where they are broken."""
    page = "queue 1\nother{ 5\n"

    assert scraping.read(page, frozenset({"queue"})) == {"queue": 1.0}


PLACE = Place("shop", "web-1", "u1", "")
RATE = (Scraped(name="rps", series="http_requests_total", rate=True),)


@pytest.mark.asyncio
async def test_a_rate_is_that_of_two_scrapes() -> None:
    """Not of one; a counter that went back has none; another pod's is its own."""
    async with asking(answering(200)) as (_, session):
        scraper = Scraper(session)

        def rate(value: float, now: float, place: Place = PLACE) -> list[float]:
            said = {"http_requests_total": value}
            return [each.value for each in scraper.values(place, said, RATE, now)]

        assert rate(10, 100.0) == []
        assert rate(40, 110.0) == [3.0]
        assert rate(5, 120.0) == []
        assert rate(15, 125.0) == [2.0]
        assert rate(99, 130.0, PLACE._replace(uid="u2")) == []
        scraper.keep([])
        assert rate(100, 140.0) == []


@pytest.mark.asyncio
async def test_a_pod_is_read() -> None:
    """What it says of the wanted series comes back."""
    async with asking(answering(200, PAGE)) as (url, session):
        place = PLACE._replace(url=f"{url}/metrics")
        found = await Scraper(session).answer(place, frozenset({"queue"}))

    assert found == {"queue": 7.5}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, "queue 1", "answers with 500"),
        (302, "", "answers with 302"),
        (200, "queue{ 1", "cannot be read"),
        (200, "queue one", "cannot be read"),
        (200, "queue 1\n" + "# \n" * 1000, "more than"),
    ],
)
async def test_garbage_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, status: int, body: str, why: str
) -> None:
    """What is no page of metrics, and one that is too long."""
    monkeypatch.setattr(scraping, "ANSWER_BYTES", 1000)
    async with asking(answering(status, body)) as (url, session):
        place = PLACE._replace(url=url)
        with pytest.raises(Unmeasured, match=why):
            await Scraper(session).answer(place, frozenset({"queue"}))


@pytest.mark.asyncio
async def test_a_pod_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `SCRAPE_SECONDS`."""
    monkeypatch.setattr(scraping, "SCRAPE_SECONDS", 0.05)

    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    async with asking(hang) as (url, session):
        place = PLACE._replace(url=url)
        with pytest.raises(Unmeasured, match="did not answer"):
            await Scraper(session).answer(place, frozenset({"queue"}))
