"""The state of the past that a replay begins with.

1. Where the store can be read from here, the nearest snapshot is taken and what is
   behind it folded. Elsewhere the log is folded from its first event on, which comes
   over the wire; of more than `EVENTS_MAX` events that is refused.
2. A replay begins between two steps: what happened at one time happened as a whole.
"""

import asyncio
from typing import Final

from adapters import eventstore
from domain import errors
from domain.events import Recorded
from domain.queries import LogRow
from gateway import past_folding
from projections.cluster import Cluster
from rollbook import client, telling
from rollbook.failures import Failure

EVENTS_MAX: Final = 1_000_000
_STEP: Final = 2_000


async def before(asked: client.Cluster, position: int, store: str) -> Cluster:
    """The cluster as it was before the step of the event at `position`.

    `store` is its URL, or empty. Raises `Failure` where the log is too long (rule 1).
    """
    end = await _end_before(asked, position)
    if end == 0:
        return Cluster()
    if store:
        try:
            return await asyncio.to_thread(_from_store, store, end)
        except errors.RollbookError:
            pass  # the wire has the same
    if end > EVENTS_MAX:
        raise Failure(
            f"error: {end} events lie before that, more than the {EVENTS_MAX} that can "
            "be folded over the wire: run it where the store can be read"
        )
    cluster = Cluster()
    async for row in asked.log(until=end):
        fold(cluster, row)
    cluster.settle()
    return cluster


def fold(cluster: Cluster, row: LogRow) -> Recorded | None:
    """Afterwards the row is part of the state; None for one that cannot be read."""
    found = telling.recorded(row)
    if found is None:
        cluster.skip(row.position, row.stream, row.version)
    else:
        cluster.fold(found)
    return found


def _from_store(store: str, position: int) -> Cluster:
    log = eventstore.open_log(store, read_only=True)
    try:
        return past_folding.whole(log, position).cluster
    finally:
        log.close()


async def _end_before(asked: client.Cluster, position: int) -> int:
    """The last position of the step before that of `position`; 0 for none."""
    high = position
    at = ""
    while high > 0:
        low = max(0, high - _STEP)
        rows = [row async for row in asked.log(after=low, until=high)]
        for row in reversed(rows):
            if at and row.at != at:
                return row.position
            at = row.at
        high = low
    return 0
