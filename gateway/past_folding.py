"""Folds of the log up to a position: of the whole cluster, and of one object's part.

1. Both come to the same: the state of an object after a fold of only those streams that
   its view is made from is its state after a fold of everything. Every event of those
   streams is folded by the same code, in the order of positions, and steps are settled
   at the same places.
2. Exactly the events up to the position are folded, and what they changed is settled,
   be it the end of a step or not. A fold may go on only from the end of a step.
3. What cannot be read or folded is passed over, as the reader does (reader.py, rule 3);
   it is the reader who raises the alarm.
4. These functions block and are called in threads. They let others run after each
   slice of about a millisecond, so that no live answer waits long.
"""

import contextlib
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from adapters.eventlog import EventLog, Row
from domain import catalogue, deployment, errors, node, pod, replicaset
from domain.events import Recorded
from gateway import past_timelines
from gateway.past_families import Families
from projections import nearest, snapshots
from projections.actual import Actual
from projections.cluster import Cluster
from projections.desired import Desired
from projections.happenings import Happenings
from projections.tallies import Tally

PAGE_ROWS: Final = 2_000
SLICE_EVENTS: Final = 128
PAUSE_SECONDS: Final = 0.0002
SNAPSHOT_WORTH: Final = 5_000
"""So many events are folded as quickly as a snapshot is decoded."""
_VERSIONS: Final = 8
"""Most pods have no more events."""

Kind = Literal["deployment", "replicaset", "pod", "node"]
PARTS: Final = ("deployment/", "replicaset/", "pod/", "node/")
"""The beginnings of the keys of what its own streams and their kin tell all about."""
Part = Literal["revisions", "counts", "status", "described", "all"]
"""What of an object: a Deployment's revisions alone; the state with its counts, without
conditions that follow from former pods; with them; with what happened to the object
too; or everything, with the pods and all that happened. `part` knows the third and the
fourth as the last alone."""
RECORDED: Final = frozenset({"counts", "status", "described"})
"""The parts that need no pods where what was counted is known."""


class Folded(NamedTuple):
    """A state of the past; nobody changes it any more."""

    cluster: Cluster
    happenings: Happenings


# --- the whole cluster ------------------------------------------------------------


def whole(log: EventLog, position: int, known: Folded | None = None) -> Folded:
    """The cluster at `position`, from the nearest snapshot or from `known`.

    `known` is a fold up to some position that is not behind `position`.
    """
    base = _base(log, position, known)
    cluster, happenings = base
    while cluster.position < position:
        limit = min(PAGE_ROWS, position - cluster.position)
        rows = log.read(cluster.position, limit)
        if not rows:
            raise errors.Transient(f"the store has no position {cluster.position + 1}")
        _fold_rows(cluster, happenings, rows)
    settle(cluster)
    return base


def _base(log: EventLog, position: int, known: Folded | None) -> Folded:
    """A copy to go on from, as near as there is one."""
    near = 0
    if known is not None and _may_go_on(log, known.cluster, position):
        near = known.cluster.position
    if position - near > SNAPSHOT_WORTH:
        held = log.load_snapshot(snapshots.NAME, snapshots.version(), position)
        if held is not None and held[0] > near:
            found = nearest.find(log, position)
            if found.cluster is not None:
                rest = snapshots.decode_rest(found.data)
                return Folded(found.cluster, rest.happenings)
    if known is not None and near:
        copied = copied_once({})
        return Folded(copied(known.cluster), copied(known.happenings))
    return Folded(Cluster(), Happenings())


def _may_go_on(log: EventLog, cluster: Cluster, position: int) -> bool:
    """Rule 2: a step that was settled in its middle has not been as it is now."""
    if cluster.position == position:
        return True
    rows = log.read(cluster.position, 1)
    following = decoded(rows[0]) if rows else None
    return following is not None and following.timestamp != cluster.timestamp


def _fold_rows(cluster: Cluster, happenings: Happenings, rows: Sequence[Row]) -> None:
    decode, fold, evolve = catalogue.decode, cluster.fold, happenings.evolve
    for index, row in enumerate(rows):
        try:
            recorded = decode(*row)
            if recorded.timestamp != cluster.timestamp:
                settle(cluster)
                cluster.timestamp = recorded.timestamp
            evolve(recorded, fold(recorded), cluster)
        except Exception:  # rule 3, be it read or folded that it cannot be
            cluster.position = row[0]
        if not index % SLICE_EVENTS:
            time.sleep(PAUSE_SECONDS)


def fold(cluster: Cluster, happenings: Happenings, recorded: Recorded) -> None:
    """Afterwards the event is part of both, as far as it can be (rule 3)."""
    if recorded.timestamp != cluster.timestamp:
        settle(cluster)
        cluster.timestamp = recorded.timestamp
    with contextlib.suppress(Exception):  # rule 3
        happenings.evolve(recorded, cluster.fold(recorded), cluster)


def settle(cluster: Cluster) -> None:
    """Afterwards the step has ended, as far as it can (rule 3)."""
    with contextlib.suppress(Exception):  # what was passed over before has left this
        cluster.settle()


def decoded(row: Row) -> Recorded | None:
    """The event, or None where it cannot be read."""
    try:
        return catalogue.decode(*row)
    except Exception:  # whatever an upcast makes of bad data
        return None


class copied_once:  # noqa: N801  # called like a function
    """Copies of states that share what is frozen; each object is copied once."""

    def __init__(self, known: dict[int, Any]) -> None:
        self._known = known

    def __call__(self, value: Any) -> Any:
        """A copy that no later fold of `value` reaches, and the other way round."""
        kind = type(value)
        if kind in _FROZEN or isinstance(value, msgspec.Struct):
            return value
        found = self._known.get(id(value))
        if found is not None:
            return found
        if isinstance(value, dict):
            found = self._known[id(value)] = {}
            # In one go, for a view may fill a cache of the original meanwhile.
            found.update((k, self._inner(v)) for k, v in list(value.items()))
        elif isinstance(value, list):
            found = self._known[id(value)] = [self._inner(v) for v in value]
        elif isinstance(value, deque):
            found = self._known[id(value)] = deque(value, value.maxlen)
        elif kind.__module__.startswith("projections."):
            found = self._known[id(value)] = object.__new__(kind)
            for name in _attributes(value):
                setattr(found, name, self(getattr(value, name)))
        else:
            return value
        return found

    def _inner(self, value: Any) -> Any:
        kind = type(value)
        return value if kind in _FROZEN else self(value)


_FROZEN: Final = frozenset({str, int, float, bool, tuple, type(None), pod.Pod})


def _attributes(value: object) -> list[str]:
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    return [*slots, *getattr(value, "__dict__", ())]


def _slots(kind: type) -> Iterable[str]:
    found: Iterable[str] = kind.__dict__.get("__slots__", ())
    return found


# --- one object -------------------------------------------------------------------


def part(
    log: EventLog, families: Families, key: str, position: int, wanted: Part
) -> Folded:
    """The object `key` at `position`, with what its views need around it.

    `families` has read the log up to there.
    """
    gathered = Gathered(log, position)
    kind, _, name = key.partition("/")
    gathered.take([key])
    if kind == "namespace":
        gathered.take(["cluster/rollbook"])  # with it the first ones were there
    if kind == "deployment":
        mine = families.replicasets_of(key)
        gathered.take(mine)
        if wanted != "revisions":
            living = wanted == "counts"
            gathered.take(families.pods_of(mine, position, living=living))
    elif kind == "replicaset":
        living = wanted == "counts"
        gathered.take(families.pods_of([key], position, living=living))
        gathered.take_around(gathered.owners_of(key))
    elif kind == "node" and wanted == "all":
        gathered.take(families.pods_on(name, position))
    # A pod's template stands with the ReplicaSet that made it.
    gathered.take_around(gathered.pods_owners)
    gathered.take(gathered.pods_nodes)
    if wanted == "counts":
        return gathered.counted()
    return gathered.folded()


def recorded(
    log: EventLog,
    families: Families | None,
    key: str,
    position: int,
    seen: past_timelines.Seen,
) -> Folded | None:
    """The Deployment or ReplicaSet `key` at `position` without any pod: what follows
    from pods is what the reader has `seen` at the end of that step.

    None where `position` is no such end, or not surely. With `families`, which has read
    the log up to there, the lines of what happened to a Deployment are there too.
    """
    ends = [decoded(row) for row in log.read(position - 1, 2)]
    last = ends[0] if ends else None
    if last is None or (len(ends) > 1 and ends[1] is None):
        return None
    if len(ends) > 1 and ends[1] is not None and ends[1].timestamp == last.timestamp:
        return None
    gathered = Gathered(log, position)
    gathered.take([key, *seen.counts])
    if key.startswith("replicaset/"):
        gathered.take(gathered.owners_of(key))
    elif families is not None:
        gathered.take(families.replicasets_of(key))
    found = gathered.wanted(_Counted(seen.counts), told=families is not None)
    rollout = found.cluster.rollouts.by_key.get(key)
    if rollout is not None:
        rollout.conditions = seen.conditions
    found.cluster.timestamp = last.timestamp
    return found


class _Counted(Cluster):
    """A state without pods, whose ReplicaSets' counts are known."""

    def __init__(self, counts: dict[str, past_timelines.Counts]) -> None:
        super().__init__()
        self.actual = _CountedActual(self.desired, counts)


class _CountedActual(Actual):
    def __init__(
        self, desired: Desired, counts: dict[str, past_timelines.Counts]
    ) -> None:
        super().__init__(desired)
        self._known = counts

    def tally(self, replicaset_key: str) -> Tally:
        """The counts that were recorded."""
        known = self._known.get(replicaset_key)
        return past_timelines.tally(known) if known is not None else Tally()


class Gathered:
    """The streams that are read, each up to the position."""

    def __init__(self, log: EventLog, position: int) -> None:
        self.pods_owners: dict[str, None] = {}
        self.pods_nodes: dict[str, None] = {}
        self._log = log
        self._position = position
        self._streams: dict[str, list[Recorded]] = {}
        self._around: set[str] = set()

    def take(self, streams: Iterable[str]) -> None:
        """Afterwards these streams are read and will be folded."""
        missing = [each for each in streams if each not in self._streams]
        for stream, rows in self._log.read_first(missing, _VERSIONS).items():
            whole_stream = rows
            last = rows[-1]
            if len(rows) == _VERSIONS and last.position < self._position:
                rest = self._log.read_stream(stream, last.version)
                whole_stream = [*rows, *rest]
            self._streams[stream] = self._decoded(whole_stream)

    def give(self, streams: Mapping[str, Iterable[Row]]) -> None:
        """The same for streams whose rows are known."""
        for stream, rows in streams.items():
            self._streams[stream] = self._decoded(rows)

    def take_around(self, streams: Iterable[str]) -> None:
        """The same for streams of which only the wanted state is needed."""
        streams = [each for each in streams if each not in self._streams]
        self._around.update(streams)
        self.take(streams)

    def owners_of(self, key: str) -> list[str]:
        """The Deployments that ever owned the ReplicaSet, up to the position."""
        found = (each.event for each in self._streams.get(key, ()))
        kinds = (replicaset.ReplicaSetCreated, replicaset.ReplicaSetAdopted)
        return [each.owner for each in found if isinstance(each, kinds) and each.owner]

    def _decoded(self, rows: Iterable[Row]) -> list[Recorded]:
        found = []
        for row in rows:
            if row.position > self._position:
                break
            recorded = decoded(row)
            if recorded is None:
                continue
            found.append(recorded)
            match recorded.event:
                case pod.PodCreated(owner=owner) | pod.PodAdopted(owner=owner):
                    if owner:
                        self.pods_owners[owner] = None
                case pod.PodScheduled(node=name):
                    self.pods_nodes[f"node/{name}"] = None
                case _:
                    pass
        return found

    def events(self) -> list[Recorded]:
        """All that was taken, in the order of the log."""
        found = [each for held in self._streams.values() for each in held]
        found.sort(key=lambda each: each.position)
        return found

    def counted(self) -> Folded:
        """The state without what follows from former pods, which costs the most.

        ReplicaSets that are gone are left out, and the others' pods counted at the end.
        """
        for stream, events in [*self._streams.items()]:
            if stream.startswith(("replicaset/", "deployment/")):
                self._around.add(stream)
                ended = events and isinstance(
                    events[-1].event, replicaset.ReplicaSetDeleted
                )
                if ended and stream not in self.pods_owners:
                    del self._streams[stream]
        found = self.folded()
        for key in found.cluster.desired.replicasets:
            found.cluster.actual.recount(key)
        return found

    def folded(self) -> Folded:
        """The state and the lines after all that was taken."""
        cluster, happenings = Cluster(), Happenings()
        for index, each in enumerate(self.events()):
            if each.stream in self._around:
                cluster.desired.evolve(each)
            elif not isinstance(each.event, node.ReportsCounted) or (
                each is self._streams[each.stream][-1]
            ):
                cluster.position = each.position - 1
                fold(cluster, happenings, each)
            if not (index + 1) % SLICE_EVENTS:
                time.sleep(PAUSE_SECONDS)
        settle(cluster)
        cluster.position = self._position
        rows = self._log.read(self._position - 1, 1)
        last = decoded(rows[0]) if rows else None
        if last is not None:
            cluster.timestamp = last.timestamp
        return Folded(cluster, happenings)

    def wanted(self, cluster: Cluster, *, told: bool) -> Folded:
        """What was wanted, without what follows from pods; the lines if `told`."""
        happenings = Happenings()
        for index, each in enumerate(self.events()):
            with contextlib.suppress(Exception):  # rule 3
                cluster.desired.evolve(each)
                if isinstance(each.event, LIVES):
                    cluster.rollouts.evolve(each)
                if told:
                    happenings.evolve(each, None, cluster)
            if not (index + 1) % SLICE_EVENTS:
                time.sleep(PAUSE_SECONDS)
        cluster.position = self._position
        return Folded(cluster, happenings)


LIVES: Final = deployment.DeploymentCreated | deployment.DeploymentDeleted
"""The events between which a Deployment has conditions."""
