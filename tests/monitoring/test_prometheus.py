"""Questions to a Prometheus, and what is made of its answers."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from gateway.monitoring import prometheus
from gateway.monitoring.measured import Unmeasured
from gateway.monitoring.prometheus import Prometheus, filled
from tests.monitoring.servers import answering, asking


def vector(*values: str) -> str:
    """An answer with one sample for each value."""
    result = [
        {"metric": {"__name__": "a", "n": str(n)}, "value": [1.5, value]}
        for n, value in enumerate(values)
    ]
    data = {"resultType": "vector", "result": result}
    return json.dumps({"status": "success", "data": data})


SCALAR = '{"status":"success","data":{"resultType":"scalar","result":[1.5,"7"]}}'
MATRIX = '{"status":"success","data":{"resultType":"matrix","result":[]}}'
REFUSED = '{"status":"error","errorType":"bad_data","error":"parse error at char 3"}'


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "number"), [(vector("0.25"), 0.25), (vector("1e3"), 1000.0), (SCALAR, 7.0)]
)
async def test_one_number_is_read(body: str, number: float) -> None:
    """A vector of one sample and a scalar both are a number."""
    async with asking(answering(200, body)) as (url, session):
        assert await Prometheus(url, session).number("q") == number


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, vector(), "no result"),
        (200, vector("1", "2"), "2 results"),
        (200, vector("NaN"), "nan"),
        (200, vector("+Inf"), "inf"),
        (200, vector("much"), "no number"),
        (200, MATRIX, "no vector"),
        (400, REFUSED, "parse error at char 3"),
        (200, "<html>a proxy</html>", "status 200"),
        (200, "{", "no vector"),
        (503, "busy", "status 503"),
        (302, "", "status 302"),
        (200, '{"status":"success","data":null}', "refuses"),
    ],
)
async def test_everything_else_is_a_reason(status: int, body: str, why: str) -> None:
    """Nothing is decided by what is no number: the reason says what came instead."""
    async with asking(answering(status, body)) as (url, session):
        with pytest.raises(Unmeasured, match=why):
            await Prometheus(url, session).number("q")


@pytest.mark.asyncio
async def test_one_that_is_not_there_is_a_reason() -> None:
    """A refused connection is told, and no exception of a library comes out."""
    async with asking(answering(200)) as (_, session):
        with pytest.raises(Unmeasured, match="cannot be asked"):
            await Prometheus("http://127.0.0.1:1", session).number("q")


@pytest.mark.asyncio
async def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks has an answer after `QUERY_SECONDS`, those in the queue too."""
    monkeypatch.setattr(prometheus, "QUERY_SECONDS", 0.05)

    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    async with asking(hang) as (url, session):
        asked = Prometheus(url, session)
        found = await asyncio.gather(
            *(asked.number("q") for _ in range(3 * prometheus.AT_ONCE)),
            return_exceptions=True,
        )

    assert all(isinstance(each, Unmeasured) for each in found)


@pytest.mark.asyncio
async def test_an_answer_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than `ANSWER_BYTES` are not read."""
    monkeypatch.setattr(prometheus, "ANSWER_BYTES", 1000)
    async with asking(answering(200, "{" + " " * 2000)) as (url, session):
        with pytest.raises(Unmeasured, match="more than 1000 bytes"):
            await Prometheus(url, session).number("q")


@pytest.mark.asyncio
async def test_the_query_and_the_token_arrive(tmp_path: Path) -> None:
    """The query is a form's field, as long as it likes; the token is read each time."""
    seen: list[tuple[str, str, str]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        token = request.headers.get("Authorization", "")
        seen.append((request.path, str(form["query"]), token))
        return web.Response(text=vector("1"))

    file = tmp_path / "token"
    file.write_text("first\n")
    query = 'sum(rate(a{b=~"c$"}[1m]))'
    async with asking(handle) as (url, session):
        asked = Prometheus(f"{url}/", session, file)
        await asked.number(query)
        file.write_text("second")
        await asked.number(query)

    assert seen == [
        ("/api/v1/query", query, "Bearer first"),
        ("/api/v1/query", query, "Bearer second"),
    ]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ('a{b="$namespace"}', 'a{b="shop"}'),
        ('a{pod=~"$replicaset-.+"}', 'a{pod=~"web-5d-.+"}'),
        ('a{b=~"c$"}', 'a{b=~"c$"}'),
        ("rate(a[$interval])", "rate(a[$interval])"),
        ("$namespaces", "$namespaces"),
    ],
)
def test_variables_are_filled_in(query: str, text: str) -> None:
    """Those of the revision are; a dollar of PromQL stays what it is."""
    values = {"namespace": "shop", "replicaset": "web-5d"}

    assert filled(query, values) == text
