"""What a long log costs whoever reads it: `replay`, `past`.

1. A reading is one function in a process of its own, which nothing else has warmed up
   or filled. It takes the store's URL and gives figures (see results.FIGURES).
2. What is measured is the shipped code: the start of the writer, and the reader with
   its service, bytes in and bytes out. Only the broker is left out.
3. The store is only read. Snapshots are kept in memory, spaced as the api spaces them,
   so a log is the same before and after.
4. Of `past`, moments and objects are drawn from a fixed seed: every run asks the same.
"""

import asyncio
import gc
import pathlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from adapters import eventstore
from adapters.eventlog import EventLog
from domain import queries
from gateway.reader import Reader
from gateway.service import Service
from projections import nearest, snapshots
from rollbook.bench.results import percentiles
from workers import loading
from workers.state import State

QUESTIONS: Final = 300
QUESTIONS_WHOLE: Final = 20
PATIENCE_SECONDS: Final = 20.0
SEED: Final = 14
Figures = dict[str, float]


class View:
    """A log as it is, with snapshots of its own: all that is written stays here."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.snapshots: dict[int, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def save_snapshot(
        self, _name: str, position: int, _version: int, state: bytes
    ) -> None:
        """See `EventLog.save_snapshot`."""
        self.snapshots[position] = state

    def load_snapshot(
        self, _name: str, _version: int, at_most: int | None = None
    ) -> tuple[int, bytes] | None:
        """See `EventLog.load_snapshot`."""
        fitting = [at for at in self.snapshots if at_most is None or at <= at_most]
        return (max(fitting), self.snapshots[max(fitting)]) if fitting else None

    def discard_snapshot(self, _name: str, position: int, _version: int) -> None:
        """See `EventLog.discard_snapshot`."""
        self.snapshots.pop(position, None)


# --- replay -----------------------------------------------------------------------


def replay(store: str) -> Figures:
    """The writer's start on the whole log, and on a snapshot with events behind it.

    So many events are behind the snapshot as there are at most when it comes to it.
    """
    log = eventstore.open_log(store, read_only=True)
    last = log.last_position()
    view = View(log)
    seconds, busy = _started(view)
    figures = {
        "events": float(last),
        **_bytes_per_event(store, last),
        "replay_rate": last / seconds,
        "replay_cpu_rate": last / busy,
    }
    behind = _cut_before_the_end(view, last)
    gc.collect()
    seconds, _ = _started(view)
    figures["tail_events"] = float(behind)
    figures["snapshot_start"] = seconds
    log.close()
    return figures


def _started(view: View) -> tuple[float, float]:
    """The seconds that the writer's start took, and those of the processor."""
    state = State()
    begun, busy = time.perf_counter(), time.process_time()
    loading.load(state, view)
    state.wake(state.cluster.timestamp)
    return time.perf_counter() - begun, time.process_time() - busy


def _bytes_per_event(store: str, events: int) -> Figures:
    """Of a log in a file: rows, index and seals."""
    file = pathlib.Path(store.removeprefix("sqlite://"))
    if not store.startswith("sqlite://") or not events:
        return {}
    return {"event_bytes": file.stat().st_size / events}


def _cut_before_the_end(view: View, last: int) -> int:
    """Afterwards there is a snapshot as old as a snapshot becomes; how old that is."""
    state = State()
    aim = max(1, last - nearest.EVERY_EVENTS)
    while state.cluster.position < aim:
        position = state.cluster.position
        loading.replay(state, view.read(position, min(loading.PAGE, aim - position)))
    rows = view.read(aim, loading.PAGE)
    for row in rows:  # to the end of the step: a snapshot is cut between two
        recorded = loading.read(row)
        if recorded is None or recorded.timestamp != state.cluster.timestamp:
            break
        state.replay(recorded)
    state.cluster.settle()
    data = snapshots.encode(state.cluster)
    view.save_snapshot(snapshots.NAME, state.cluster.position, 0, data)
    return last - state.cluster.position


# --- past -------------------------------------------------------------------------


def past(
    store: str, questions: int = QUESTIONS, whole: int = QUESTIONS_WHOLE
) -> Figures:
    """What `--at` takes, for one object of each kind and for the whole cluster."""
    return asyncio.run(_past(store, questions, whole))


async def _past(store: str, questions: int, whole: int) -> Figures:
    log = eventstore.open_log(store, read_only=True)
    view = View(log)
    reader = Reader(view)
    gc.disable()  # as the api does until its first fold is done
    begun = time.perf_counter()
    await reader.catch_up()
    figures = {"folded": time.perf_counter() - begun}
    gc.enable()
    gc.collect()
    gc.freeze()
    service = Service(reader)
    begun = time.perf_counter()
    await service.past.index()
    figures["indexed"] = time.perf_counter() - begun
    dice = random.Random(SEED)  # noqa: S311  # it draws questions, not secrets
    try:
        for name, draw in _kinds(reader).items():
            asked = [
                draw(dice, _moment(dice, reader.position)) for _ in range(questions)
            ]
            figures |= percentiles(name, await _answered(service, asked))
        asked = [
            _get("pod", "", "", _moment(dice, reader.position)) for _ in range(whole)
        ]
        seconds = await _answered(service, asked)
        figures |= percentiles("at_whole", seconds)
    finally:
        service.past.close()
        await reader.close()
    return figures


Question = tuple[str, bytes]
Draw = Callable[[random.Random, queries.Moment], Question]


def _kinds(reader: Reader) -> dict[str, Draw]:
    """By the names of their figures, the questions about one object."""
    cluster = reader.cluster
    pods, nodes = (
        list(cluster.actual.pods),
        [u.node.key for u in cluster.actual.node_list],
    )
    sets, owners = list(cluster.desired.replicasets), list(cluster.desired.deployments)

    def about(kind: str, keys: Sequence[str], format_: str) -> Draw:
        def draw(dice: random.Random, at: queries.Moment) -> Question:
            _, _, rest = dice.choice(keys).partition("/")
            namespace, _, name = rest.rpartition("/")
            return _get(kind, namespace, name, at, format_)

        return draw

    found: dict[str, Draw] = {}
    if pods:
        found["at_pod"] = about("pod", pods, "table")
    if nodes:
        found["at_node"] = about("node", nodes, "table")
    if sets:
        found["at_replicaset"] = about("replicaset", sets, "table")
    if owners:
        found["at_deployment"] = about("deployment", owners, "table")
        found["at_deployment_full"] = about("deployment", owners, "object")
    return found


def _moment(dice: random.Random, last: int) -> queries.Moment:
    return queries.Moment(position=dice.randint(1, last))


def _get(
    kind: str, namespace: str, name: str, at: queries.Moment, format_: str = "table"
) -> Question:
    asked = {"kind": kind, "format": format_, "at": at}
    if name:
        asked |= {"namespace": namespace, "name": name}
    return "get", msgspec.json.encode(asked)


async def _answered(service: Service, asked: Sequence[Question]) -> list[float]:
    """The seconds that each answer took, one question after the other.

    An object that was not there then is an answer too. Slow answers are asked for less
    often: after `PATIENCE_SECONDS` a fifteenth of the questions is enough.
    """
    seconds: list[float] = []
    enough = -(-len(asked) // 15)
    for verb, data in asked:
        if sum(seconds) > PATIENCE_SECONDS and len(seconds) >= enough:
            break
        begun = time.perf_counter()
        said = await service.answer(verb, data)
        seconds.append(time.perf_counter() - begun)
        error = msgspec.json.decode(said, type=queries.GetAnswer).error
        assert error is None or error.reason == "NotFound", error
    return seconds
