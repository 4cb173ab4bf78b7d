"""When a snapshot is worth its making, and which of those in a store may be believed.

1. The spacing grows with the state: so many events or as many as there are objects,
   whichever is more. So all the snapshots of a log together cost a fixed part of its
   folding, however large the cluster grows.
2. What the spacing never reaches is taken by time, never for more than one part in
   `SHARE_OF_TIME` of it: soon where it spares a start some work, else some time later
   if there is anything new.
3. A snapshot is believed only where it is whole and its own log stands behind it: the
   cluster was founded under its uid, and at its position there is an event of its
   time. A log that went back and grew again is another log.
4. What is not believed is discarded, and told; the next older one is tried.
"""

import contextlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from domain import catalogue, command
from domain.errors import Permanent, Transient
from domain.events import Recorded
from projections import snapshots
from projections.cluster import Cluster

EVERY_EVENTS: Final = 50_000
EVERY_OBJECTS: Final = 1
EVERY_SECONDS: Final = 900.0
SOON_SECONDS: Final = 60.0
WORTH_EVENTS: Final = 5_000
"""To fold fewer than these takes a start no time that anybody would notice."""
WORTH_OBJECTS: Final = 0.25
"""Writing a snapshot takes, for an object, between a half and a quarter of what folding
an event takes."""
SHARE_OF_TIME: Final = 100

Row = tuple[int, str, int, str, bytes]


class Log(Protocol):
    """What is asked of a log; `adapters.eventlog` says what is promised."""

    def read(self, after: int, limit: int) -> Sequence[Row]:
        """The rows behind a position."""

    def last_position(self) -> int:
        """The position of the last row."""

    def load_snapshot(
        self, name: str, version: int, at_most: int | None = None
    ) -> tuple[int, bytes] | None:
        """The furthest snapshot not beyond `at_most`."""

    def discard_snapshot(self, name: str, position: int, version: int) -> None:
        """Forget that one."""


class Found(NamedTuple):
    """The nearest snapshot that is believed; None where none is."""

    cluster: Cluster | None
    data: bytes
    refused: tuple[str, ...]
    """Why others were not, in words for the log; each was discarded."""


def is_due(cluster: Cluster, events: int, seconds: float, cost: float) -> bool:
    """Whether a snapshot should be taken now (rules 1 and 2).

    `events` and `seconds` count from the last one; `cost` is how many seconds of the
    processor it took.
    """
    if events >= max(EVERY_EVENTS, EVERY_OBJECTS * _objects(cluster)):
        return True
    if not events or seconds < SHARE_OF_TIME * cost:
        return False
    soon = seconds >= SOON_SECONDS and is_worth_it(cluster, events)
    return soon or seconds >= EVERY_SECONDS


def is_worth_it(cluster: Cluster, events: int) -> bool:
    """Whether a start is spared more by a snapshot, with so many events behind the last
    one, than the snapshot costs; then it is worth a wait of who ends."""
    return events >= max(WORTH_EVENTS, WORTH_OBJECTS * _objects(cluster))


def find(log: Log, at_most: int | None = None) -> Found:
    """The nearest snapshot not beyond `at_most` that is believed (rules 3 and 4).

    Raises what the log raises.
    """
    version = snapshots.version()
    refused: list[str] = []
    while True:
        held = log.load_snapshot(snapshots.NAME, version, at_most)
        if held is None:
            return Found(None, b"", tuple(refused))
        position, data = held
        try:
            cluster = snapshots.decode(data)
            _believe(log, cluster, position)
        except snapshots.Damaged as error:
            refused.append(f"the snapshot at {position} is not used: {error}")
            with contextlib.suppress(Permanent, Transient):  # it is in nobody's way
                log.discard_snapshot(snapshots.NAME, position, version)
            at_most = position - 1
            continue
        return Found(cluster, data, tuple(refused))


def _believe(log: Log, cluster: Cluster, position: int) -> None:
    """Raises `Damaged` unless this log stands behind the cluster (rule 3)."""
    if cluster.position != position:
        raise snapshots.Damaged(f"it says of itself that it is at {cluster.position}")
    last = log.last_position()
    if position > last:
        raise snapshots.Damaged(f"the log ends at {last}: it has gone back")
    founded = _event(log, 1)
    if founded is not None and isinstance(founded.event, command.ClusterFounded):
        uid = founded.event.uid
        if uid != cluster.uid:
            raise snapshots.Damaged(f"it is of the cluster {cluster.uid}, not of {uid}")
    event = _event(log, position)
    if event is None or event.timestamp != cluster.timestamp:
        raise snapshots.Damaged("the log has another event at its position")


def _objects(cluster: Cluster) -> int:
    held = cluster.desired
    return (
        len(cluster.actual.pods)
        + len(cluster.actual.nodes)
        + len(held.replicasets)
        + len(held.deployments)
    )


def _event(log: Log, position: int) -> Recorded | None:
    rows = log.read(position - 1, 1)
    try:
        return catalogue.decode(*rows[0]) if rows else None
    except Permanent:
        return None
