"""A process's numbers for Prometheus, over HTTP: /metrics, /livez and /readyz.

1. Numbers are read when they are asked for: between two scrapes nothing is computed,
   and no object has a metric of its own that would have to be taken away later.
2. What is long (the series of ten thousand pods) comes in pieces, and the loop runs
   between two of them: a scrape delays nothing else.
3. On loopback unless told otherwise, since it asks nobody who they are. Nothing can be
   changed over it, and it serves few at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from adapters.histogram import Histogram
from domain.errors import Permanent

AT_ONCE: Final = 4
COLLECT_SECONDS: Final = 10.0
"""So long a scrape may wait for its numbers; Prometheus gives up after ten, too."""
WRITE_SECONDS: Final = 10.0
"""A client that takes no bytes for so long is cut off."""
TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_EOF: Final = b"# EOF\n"

Form = Literal["text", "openmetrics"]
Collect = Callable[[], Awaitable[Iterable[Metric]]]
Pages = Callable[[Form], AsyncIterator[bytes]]
_log = logging.getLogger(__name__)
_quiet = logging.getLogger("rollbook.metrics.http")
_quiet.setLevel(logging.CRITICAL)  # what a broken client does is no news


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is served; port 0 serves nothing."""

    listen: str = "127.0.0.1"
    port: int = 0


class Board:
    """What a process shows. All of it is asked in the loop that serves."""

    def __init__(
        self,
        collect: Collect,
        *,
        why_unready: Callable[[], str],
        pages: Pages | None = None,
    ) -> None:
        """`why_unready` is "" for a process that works; `pages` are whole families in
        the form that was asked for, none of which `collect` has too."""
        self.collect = collect
        self.why_unready = why_unready
        self.pages = pages


@contextlib.asynccontextmanager
async def serving(settings: Settings, board: Board) -> AsyncIterator[None]:
    """Serves `board` meanwhile. Raises `Permanent` where the port cannot be had."""
    if not settings.port:
        yield
        return
    runner = _runner(_Server(board))
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.listen, settings.port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise Permanent(
                f"the metrics cannot be served on {settings.listen}:{settings.port}: "
                f"{error.strerror or error}; take another --metrics-port"
            ) from error
        yield
    finally:
        await runner.cleanup()


# --- families ---------------------------------------------------------------------


def gauge(name: str, told: str, value: float) -> Metric:
    """One number that goes up and down."""
    return GaugeMetricFamily(name, told, value=value)


def gauges(
    name: str, told: str, label: str, values: Mapping[str, float]
) -> GaugeMetricFamily:
    """One number for each value of a label."""
    family = GaugeMetricFamily(name, told, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def counter(name: str, told: str, value: float) -> Metric:
    """One number that only grows; `name` without `_total`."""
    return CounterMetricFamily(name, told, value=value)


def counters(
    name: str,
    told: str,
    labels: Iterable[str],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    """Numbers that only grow, by their labels; `name` without `_total`."""
    family = CounterMetricFamily(name, told, labels=list(labels))
    for key, value in [*values]:
        family.add_metric(list(key), value)
    return family


def histogram(name: str, told: str, held: Histogram) -> Metric:
    """One histogram of durations in seconds."""
    return histograms(name, told, (), [((), held)])


def histograms(
    name: str,
    told: str,
    labels: Iterable[str],
    held: Iterable[tuple[tuple[str, ...], Histogram]],
) -> Metric:
    """Histograms by their labels."""
    family = HistogramMetricFamily(name, told, labels=list(labels))
    for key, each in [*held]:
        family.add_metric(list(key), each.buckets(), each.total)
    return family


# --- the server -------------------------------------------------------------------


class _Found:
    """What was collected, as the library's writers want to have it."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """The families."""
        return self._families


class _Server:
    def __init__(self, board: Board) -> None:
        self._board = board
        self._running = 0
        self._process = ProcessCollector(registry=None)
        self.routes = [
            web.get("/metrics", self._metrics),
            web.get("/livez", self._live),
            web.get("/readyz", self._ready),
        ]

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _: web.Request) -> web.Response:
        why = self._board.why_unready()
        return web.Response(status=503 if why else 200, text=f"{why or 'ok'}\n")

    async def _metrics(self, http: web.Request) -> web.StreamResponse:
        if self._running >= AT_ONCE:
            return web.Response(status=503, text="too many scrapes at once\n")
        self._running += 1
        try:
            return await self._answer(http)
        finally:
            self._running -= 1

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        form: Form = "text"
        if "application/openmetrics-text" in http.headers.get("Accept", ""):
            form = "openmetrics"
        try:
            async with asyncio.timeout(COLLECT_SECONDS):
                found = [*await self._board.collect()]
        except TimeoutError:
            return web.Response(status=503, text="the numbers did not come in time\n")
        head = _written([*found, *self._process.collect()], form)
        kind = TEXT_TYPE if form == "text" else OPENMETRICS_TYPE
        if self._board.pages is None:
            return web.Response(body=head, headers={"Content-Type": kind})
        return await self._stream(http, head, form, kind, self._board.pages)

    async def _stream(
        self, http: web.Request, head: bytes, form: Form, kind: str, pages: Pages
    ) -> web.StreamResponse:
        end = _EOF if form == "openmetrics" else b""
        response = web.StreamResponse(headers={"Content-Type": kind})
        try:
            await response.prepare(http)
            await response.write(head.removesuffix(end))
            async for piece in pages(form):
                async with asyncio.timeout(WRITE_SECONDS):
                    await response.write(piece)
                await asyncio.sleep(0)
            await response.write(end)
            await response.write_eof()
        except TimeoutError:
            if http.transport is not None:
                http.transport.abort()
        except ConnectionResetError:
            pass  # whoever asked has gone
        return response


def _runner(server: _Server) -> web.AppRunner:
    app = web.Application(client_max_size=1024)
    app.add_routes(server.routes)
    return web.AppRunner(
        app,
        access_log=None,
        logger=_quiet,
        handler_cancellation=True,
        keepalive_timeout=75.0,
        shutdown_timeout=1.0,
    )


def _written(families: Iterable[Metric], form: Form) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found([*families]))
    writers: dict[Form, Callable[[CollectorRegistry], bytes]] = {
        "text": generate_latest,
        "openmetrics": openmetrics.generate_latest,
    }
    return writers[form](registry)
