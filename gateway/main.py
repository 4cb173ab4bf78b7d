"""The readers' process: open the log, fold it, and answer questions over NATS.

1. A log that nobody has created yet, and a broker that does not answer yet, are waited
   for. Neither ends the process later either: answers then speak for what is folded.
2. Nothing is answered before the log has been folded once to its end.
3. TERM or INT end it. So does what cannot get better by waiting: a damaged log, a
   login that is refused.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from adapters import (
    cancelling,
    collector,
    eventstore,
    exposing,
    nats_service,
    nats_wire,
)
from adapters.eventlog import EventLog
from domain import errors
from gateway.measuring import Numbers
from gateway.reader import PAGE_ROWS, POLL_SECONDS, Reader
from gateway.service import WAIT_SECONDS, Service

if TYPE_CHECKING:
    from adapters.exposition import Board
    from gateway.kube import api_server

CONNECTION_NAME: Final = "rollbook-api"
WATCH_SECONDS: Final = 0.5
CONNECT_SECONDS: Final = 5.0

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Is told now and then how far the reader is, and how far the log."""
_log = logging.getLogger(__name__)


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a reader is told. Durations in seconds."""

    nats_url: str
    user: str
    secret: str
    store_url: str
    version: str = ""
    poll_seconds: float = POLL_SECONDS
    wait_seconds: float = WAIT_SECONDS
    page_rows: int = PAGE_ROWS
    listen: str = "127.0.0.1"
    api_port: int = 0
    """The port of the Kubernetes API; 0 serves none."""
    api_address: str = ""
    """`host:port` where clients find it, if that is elsewhere."""
    api_socket: int = -1
    """A descriptor that listens there already; -1 is none."""
    tls_folder: Path | None = None
    """Where the certificates lie; those that are missing are made."""
    metrics_listen: str = "127.0.0.1"
    metrics_port: int = 0
    """0 serves no metrics."""

    def __repr__(self) -> str:
        return f"ApiSettings({self.user} at {self.nats_url})"  # never the secret


async def run(
    settings: ApiSettings,
    *,
    stop: asyncio.Event | None = None,
    ready: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> None:
    """Answers until `stop` is set (default: TERM or INT); then everything is closed.

    `ready` is called once, when questions are answered. Raises `Permanent` where it
    makes no sense to go on.
    """
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work = asyncio.create_task(_serve(settings, ready, progress))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        await cancelling.end(work, stopped)


async def _serve(
    settings: ApiSettings,
    ready: Callable[[], None] | None,
    progress: Progress | None,
) -> None:
    """Works until it is cancelled, and closes what it has opened."""
    async with contextlib.AsyncExitStack() as undo:
        reader = Reader(await _opened(settings), page_rows=settings.page_rows)
        undo.push_async_callback(reader.close)
        numbers = Numbers(reader)

        def board() -> "Board":
            from gateway import exposition

            return exposition.board(numbers)

        port = settings.metrics_port
        await undo.enter_async_context(
            exposing.shown(settings.metrics_listen, port, board)
        )
        api = None
        if settings.api_port:
            api = await _kubernetes_api(settings, reader, undo)
            numbers.watch(api.server.requests, lambda: api.server.streams)
        await _first_fold(reader)
        service = Service(reader, wait_seconds=settings.wait_seconds)
        undo.callback(service.past.close)
        if api is not None:
            service.authority = api.authority
        counters = nats_wire.Counters()
        client = await _patiently(lambda: _connected(settings, counters))
        undo.push_async_callback(nats_wire.close, client)

        async def heard(message: nats_wire.Msg) -> None:
            reader.hear(message.data, time.time())

        async def measured(message: nats_wire.Msg) -> None:
            reader.live.hear(message.data)

        await client.subscribe(nats_wire.COMMITTED, cb=heard)
        await client.subscribe(nats_wire.LIVE, cb=measured)
        endpoints = await nats_service.serve(
            client, service.verbs, service.answer, settings.version
        )
        undo.push_async_callback(endpoints.close)
        parts = [
            reader.follow(settings.poll_seconds),
            service.past.follow(),
            _watch(client, reader, progress),
        ]
        if api is not None:
            api.open(service.past)
            parts.append(api.follow())
        _log.info("answering at position %d", reader.position)
        numbers.unready = ""
        if ready is not None:
            ready()
        await cancelling.until_one_ends(*parts)


async def _kubernetes_api(
    settings: ApiSettings, reader: Reader, undo: contextlib.AsyncExitStack
) -> "api_server.ApiServer":
    """Afterwards the port is open; it says that it is not ready yet."""
    from gateway.kube import api_server

    assert settings.tls_folder is not None, "a port is served with certificates"
    api = api_server.ApiServer(
        reader,
        api_server.Settings(
            nats_url=settings.nats_url,
            listen=settings.listen,
            port=settings.api_port,
            tls_folder=settings.tls_folder,
            version=settings.version,
            address=settings.api_address,
            socket=settings.api_socket,
        ),
    )
    undo.push_async_callback(api.stop)
    await api.start()
    return api


async def _opened(settings: ApiSettings) -> EventLog:
    """The log, as soon as there is one."""
    url = settings.store_url

    async def open_it() -> EventLog:
        return await asyncio.to_thread(eventstore.open_log, url, read_only=True)

    return await _patiently(open_it)


async def _connected(
    settings: ApiSettings, counters: nats_wire.Counters
) -> nats_wire.Client:
    return await nats_wire.connect(
        settings.nats_url,
        settings.user,
        settings.secret,
        CONNECTION_NAME,
        timeout=CONNECT_SECONDS,
        counters=counters,
    )


async def _first_fold(reader: Reader) -> None:
    """Folds the log to its end. What it leaves behind lives as long as the process:
    the collector need not look at it again and again, neither now nor later."""
    gc.disable()
    try:
        await _patiently(reader.catch_up)
        collector.settle()
    finally:
        gc.enable()


async def _watch(
    client: nats_wire.Client, reader: Reader, progress: Progress | None
) -> None:
    """Returns never; raises `Permanent` when the broker has ended the connection."""
    while not client.is_closed:
        if progress is not None:
            progress(reader.position, max(reader.committed, reader.position))
        await asyncio.sleep(WATCH_SECONDS)
    raise errors.Permanent(
        "the NATS server has ended the connection for good: is the login still known?"
    )


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, asked again as long as it is `Transient`."""
    told = ""
    while True:
        try:
            return await work()
        except errors.Transient as error:
            if str(error) != told:
                _log.info("waiting: %s", error)
                told = str(error)
            await asyncio.sleep(error.delay)
