"""The writer's process: open the log as its one writer, or stand by, then work.

A second control waits here while the first one has the log, and takes over when it has
gone; the store is what lets only one of them in.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from adapters import eventstore, exposing
from adapters.eventlog import AnotherWriter, EventLog
from workers.control import Control, ControlSettings
from workers.measuring import Numbers

if TYPE_CHECKING:
    from adapters.exposition import Board

STANDBY_SECONDS: Final = 1.0
"""A second writer looks this often whether the first has gone."""
_log = logging.getLogger(__name__)


async def run(
    settings: ControlSettings,
    stop: asyncio.Event,
    ready: Callable[[], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Opens the log as its one writer and works until `stop` is set.

    While another writer has the log this one stands by. `ready` is called once it
    works, `progress` now and then with the last position on disk and the last one
    decided.

    Raises `Permanent` if the log cannot be served, `Transient` if it is out of reach.
    """
    numbers = Numbers()

    def board() -> "Board":
        from workers import exposition

        return exposition.board(numbers)

    async with exposing.shown(settings.metrics_listen, settings.metrics_port, board):
        log = await _open_log(settings.store_url, stop)
        if log is None:
            return
        try:
            await Control(settings, log, numbers=numbers).run(stop, ready, progress)
        finally:
            log.close()


async def _open_log(url: str, stop: asyncio.Event) -> EventLog | None:
    """The log, as soon as it has no other writer; None if `stop` comes first."""
    told = False
    while not stop.is_set():
        try:
            return await asyncio.to_thread(eventstore.open_log, url)
        except AnotherWriter as error:
            if not told:
                _log.warning("standing by while the log has a writer: %s", error.holder)
            told = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STANDBY_SECONDS):
                await stop.wait()
    return None
