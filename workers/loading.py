"""From the store to the writer's state: the replay of a start, and later look-ups."""

import contextlib
import gc
import logging
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.archive_segment import Damaged
from adapters.eventlog import EventLog, Row
from domain import catalogue, command
from domain.errors import Permanent
from domain.events import Recorded
from domain.protocol import Answer
from projections import nearest
from workers.marks import Heard
from workers.state import State

PAGE: Final = 2_000
_log = logging.getLogger(__name__)


def load(state: State, log: EventLog) -> None:
    """Afterwards `state` has folded the whole log, and knows the last reports.

    It begins at the newest snapshot that this log stands behind. A snapshot that is
    not believed, and an event that cannot be read, are set aside with an alarm and
    counted; the rest goes on.
    """
    last = log.last_position()
    with _collecting_nothing():
        begin = _begin(state, log)
        while state.cluster.position < last:
            replay(state, log.read(state.cluster.position, PAGE))
        state.cluster.settle()
    _log.info(
        "the state is at position %d: the snapshot at %d and %d events behind it",
        state.cluster.position,
        begin,
        state.cluster.position - begin,
    )
    for source, sequence in log.all_tracked().items():
        _restore_report(state, source, sequence)


def replay(state: State, rows: Sequence[Row]) -> None:
    """Afterwards these rows are folded; the hottest loop of a start.

    One that cannot be read is set aside with an alarm, and counted.
    """
    decode, fold = catalogue.decode, state.cluster.fold
    for row in rows:
        try:
            recorded = decode(*row)
        except Permanent as error:
            _log.error("set aside: %s", error)
            state.count("events_unreadable")
            state.cluster.skip(row[0], row[1], row[2])
        else:
            fold(recorded)


def read(row: Row) -> Recorded | None:
    """The event of a row; None, and an alarm in the log, where it cannot be read."""
    try:
        return catalogue.decode(*row)
    except Permanent as error:
        _log.error("set aside: %s", error)
        return None


def answers(log: EventLog, streams: Sequence[str]) -> dict[str, Answer]:
    """The answers that the store has for these streams of commands.

    A command whose answer is in an archive that cannot be read is answered with that.
    """
    found: dict[str, Answer] = {}
    try:
        first = log.read_first(streams, 1)
    except Damaged as error:
        if len(streams) == 1:
            id_ = streams[0].partition("/")[2]
            return {streams[0]: unreadable(id_, streams[0], error)}
        for stream in streams:
            found.update(answers(log, [stream]))
        return found
    for stream, rows in first.items():
        recorded = read(rows[0])
        if recorded is None:
            continue
        event = recorded.event
        if isinstance(event, command.CommandAccepted | command.CommandRejected):
            found[stream] = event.answer
    return found


def last_version(log: EventLog, stream: str) -> int:
    """The last version of a stream; 0 where the log has nothing of it."""
    rows = log.read_stream(stream, limit=1, descending=True)
    return rows[0].version if rows else 0


def unreadable(id_: str, stream: str, error: Damaged) -> Answer:
    """The refusal of a command that needs what cannot be read; nothing is recorded."""
    text = f"{stream} is in the log already, and cannot be read: {error}"
    return Answer(
        id=id_, result="rejected", reason="InternalError", code=500, message=text
    )


def new_cluster_uid() -> str:
    """A uid for a cluster that is founded now; every other uid derives from it."""
    return str(uuid.uuid4())


@contextlib.contextmanager
def _collecting_nothing() -> Iterator[None]:
    """The collector would walk all that is loaded, again and again: a fold makes no
    cycles, and what it makes stays. So it does not look at it afterwards either."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def _begin(state: State, log: EventLog) -> int:
    """The position that the replay begins behind; `state` is what it was there."""
    found = nearest.find(log)
    for why in found.refused:
        _log.error("%s", why)
        state.count("snapshots_refused")
    if found.cluster is None:
        return 0
    state.cluster = found.cluster
    if found.cluster.unreadable:
        state.count("events_unreadable", found.cluster.unreadable)
    return found.cluster.position


def _restore_report(state: State, source: str, sequence: int) -> None:
    """Only the node's present incarnation matters; older ones are refused anyway."""
    kind, _, rest = source.partition("/")
    name, _, incarnation = rest.rpartition("/")
    use = state.cluster.actual.nodes.get(name)
    if kind == "report" and use and str(use.node.incarnation) == incarnation:
        state.heard[name] = Heard(last=sequence)
