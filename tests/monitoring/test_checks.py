"""Active checks: the share of a revision's pods that answer well."""

import asyncio

import pytest
from aiohttp import web

from domain.analysis import HttpCheck
from domain.wanted import Target
from gateway.monitoring import checks
from gateway.monitoring.checks import Checks
from gateway.monitoring.measured import Unmeasured
from tests.monitoring.servers import Handler, answering, asking


def pod(ip: str = "127.0.0.1") -> Target:
    """A ready pod at this address."""
    return Target(name="web-1", ip=ip, node="worker-1")


async def share(handler: Handler, *targets: Target, path: str = "/") -> float:
    """What a check of these pods measures; all on the port of one server."""
    async with asking(handler) as (url, session):
        check = HttpCheck(path=path, port=int(url.rpartition(":")[2]))
        return await Checks(session).number(check, targets)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "measured"),
    [
        (200, 1.0),
        (204, 1.0),
        (302, 1.0),
        (399, 1.0),
        (400, 0.0),
        (404, 0.0),
        (500, 0.0),
    ],
)
async def test_200_to_399_is_well(status: int, measured: float) -> None:
    """As for a kubelet's probe (spec 4.2); a redirection is not followed."""
    assert await share(answering(status), pod()) == measured


@pytest.mark.asyncio
async def test_a_pod_that_cannot_be_reached_is_not_well() -> None:
    """That is what is measured: one of two is a half."""
    assert await share(answering(200), pod(), pod("127.0.0.2")) == 0.5


@pytest.mark.asyncio
async def test_a_pod_that_hangs_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `CHECK_SECONDS` it counts as one that did not answer."""
    monkeypatch.setattr(checks, "CHECK_SECONDS", 0.05)

    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    assert await share(hang, pod()) == 0.0


@pytest.mark.asyncio
async def test_the_path_is_asked_as_it_is_written() -> None:
    """With its query."""
    seen = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request.raw_path)
        return web.Response()

    await share(handle, pod(), path="/healthz?deep=1")

    assert seen == ["/healthz?deep=1"]


@pytest.mark.asyncio
@pytest.mark.parametrize("targets", [(), (pod(""),)])
async def test_without_a_ready_pod_there_is_no_number(
    targets: tuple[Target, ...],
) -> None:
    """Nothing can be said of a revision that does not run."""
    with pytest.raises(Unmeasured, match="no pod"):
        await share(answering(200), *targets)
