"""The monitor's process: one connection to the broker, and everything that measures.

1. A broker or a reader that does not answer is waited for. TERM and INT end it, and so
   does what cannot get better by waiting: a login that is refused.
2. It may publish metrics, measurements and checks and ask three questions; it can
   change nothing (adapters/nats_configuration.py). Whether a number matters is the
   writer's business.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from adapters import cancelling, exposing, nats_wire
from domain import errors
from domain.protocol import Measurement, MetricMessage, PodCheck
from gateway.monitoring import watching
from gateway.monitoring.answering import Answering, Sources
from gateway.monitoring.asking import Cluster
from gateway.monitoring.checks import Checks
from gateway.monitoring.commands import Commands
from gateway.monitoring.configuration import Configuration
from gateway.monitoring.hearing import Hearing
from gateway.monitoring.measured import Numbers
from gateway.monitoring.prometheus import Prometheus
from gateway.monitoring.publishing import Queries, Scraping
from gateway.monitoring.scraping import Scraper
from gateway.monitoring.values import Values
from gateway.monitoring.watching import Watching

if TYPE_CHECKING:
    from adapters.exposition import Board

CONNECTION_NAME: Final = "rollbook-monitor"
WATCH_SECONDS: Final = 0.5
POD_CONNECTIONS: Final = 128
CHECK_CONNECTIONS: Final = watching.AT_ONCE
EVERY_METRIC: Final = "rollbook.metric.*.*.*"
_ENCODER: Final = msgspec.json.Encoder()
_log = logging.getLogger(__name__)


class MonitorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a monitor is told."""

    nats_url: str
    user: str
    secret: str
    configuration: Configuration = Configuration()
    metrics_listen: str = "127.0.0.1"
    metrics_port: int = 0
    """0 serves no metrics."""

    def __repr__(self) -> str:
        return f"MonitorSettings({self.user} at {self.nats_url})"  # never the secret


async def run(
    settings: MonitorSettings,
    stop: asyncio.Event,
    ready: Callable[[], None] | None = None,
) -> None:
    """Measures until `stop` is set; then nothing is left running.

    `ready` is called once it is connected. Raises `Permanent` where it makes no sense
    to go on.
    """
    numbers = Numbers()

    def board() -> "Board":
        from gateway.monitoring import exposition

        return exposition.board(numbers)

    async with exposing.shown(settings.metrics_listen, settings.metrics_port, board):
        work = asyncio.create_task(_serve(settings, numbers, ready))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            await cancelling.end(work, stopped)


class _Speaker:
    """Publishes; what is lost is said again, by whoever has to say it."""

    def __init__(self, client: nats_wire.Client, user: str, numbers: Numbers) -> None:
        self._client = client
        self._user = user
        self._numbers = numbers

    async def metric(self, namespace: str, metric: str, said: MetricMessage) -> None:
        """A value of a metric."""
        subject = nats_wire.metric_subject(self._user, namespace, metric)
        await self._say("metric", subject, said)

    async def measurement(
        self, namespace: str, deployment: str, said: Measurement
    ) -> None:
        """A measurement of an analysis."""
        subject = nats_wire.measurement_subject(namespace, deployment)
        await self._say("measurement", subject, said)

    async def check(self, namespace: str, pod: str, said: PodCheck) -> None:
        """How the active check of a pod goes."""
        await self._say("check", nats_wire.check_subject(namespace, pod), said)

    async def _say(self, what: str, subject: str, said: msgspec.Struct) -> None:
        try:
            await self._client.publish(subject, _ENCODER.encode(said))
        except nats_wire.TROUBLE as error:
            self._numbers.published[f"{what} not sent"] += 1
            _log.info("not sent on %s: %s", subject, error)
        else:
            self._numbers.published[what] += 1


async def _serve(
    settings: MonitorSettings, numbers: Numbers, ready: Callable[[], None] | None
) -> None:
    """Works until it is cancelled, and closes what it has opened."""
    told = settings.configuration
    async with contextlib.AsyncExitStack() as undo:
        client = await _connected(settings)
        undo.push_async_callback(nats_wire.close, client)
        pods = await undo.enter_async_context(_session(POD_CONNECTIONS))
        prometheus = None
        if told.prometheus:
            session = await undo.enter_async_context(_session(0))
            prometheus = Prometheus(told.prometheus, session, told.token_file)
        values, cluster = Values(), Cluster(client)
        speaker = _Speaker(client, settings.user, numbers)
        sources = Sources(prometheus, Checks(pods), Commands(told.commands), values)
        answering = Answering(cluster.wanted, speaker.measurement, sources, numbers)

        async def wanted() -> frozenset[tuple[str, str]]:
            return answering.metrics | await cluster.pods_metrics()

        async def committed(_: nats_wire.Msg) -> None:
            answering.wake()

        scraper = Scraper(pods)
        scraping = Scraping(
            told.scrape,
            scraper,
            cluster.places,
            wanted,
            speaker.metric,
            values,
            numbers,
        )
        await client.subscribe(nats_wire.COMMITTED, cb=committed)
        hearing = Hearing(values, numbers, settings.user)

        async def published(message: nats_wire.Msg) -> None:
            hearing.hear(message.subject, message.data, time.time())

        await client.subscribe(EVERY_METRIC, cb=published)
        session = await undo.enter_async_context(_session(CHECK_CONNECTIONS))
        own = Checks(session, watching.AT_ONCE)
        watched = Watching(cluster.checks, speaker.check, own, numbers)
        parts = [answering.run(), scraping.run(), watched.run()]
        parts.append(_watch(client, numbers))
        if prometheus is not None:
            queries = Queries(prometheus, speaker.metric, values, numbers)
            parts += [queries.run(metric) for metric in told.metrics]
        _log.info("measuring; %s", told.prometheus or "no Prometheus is known")
        if ready is not None:
            ready()
        await cancelling.until_one_ends(*parts)


def _session(connections: int) -> aiohttp.ClientSession:
    """A client without cookies and without a proxy of the environment: it asks what it
    is told to ask, and nobody in between. 0 connections are bounded by the asker."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=10),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=60.0),
        max_line_size=16_384,
        max_field_size=16_384,
        trust_env=False,
    )


async def _connected(settings: MonitorSettings) -> nats_wire.Client:
    """The connection, as soon as there is a broker."""
    told = ""
    while True:
        try:
            return await nats_wire.connect(
                settings.nats_url, settings.user, settings.secret, CONNECTION_NAME
            )
        except errors.Transient as error:
            if str(error) != told:
                _log.info("waiting: %s", error)
                told = str(error)
            await asyncio.sleep(error.delay)


async def _watch(client: nats_wire.Client, numbers: Numbers) -> None:
    """Returns never; raises `Permanent` when the broker has ended the connection."""
    while not client.is_closed:
        numbers.unready = "" if client.is_connected else "the broker is away"
        await asyncio.sleep(WATCH_SECONDS)
    raise errors.Permanent(
        "the NATS server has ended the connection for good: is the login still known?"
    )
