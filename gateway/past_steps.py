"""A Deployment or a ReplicaSet in the middle of a step: what was counted when the step
before ended, and the events of the step up to the position.

1. What the step changes in counts follows from the pods that it speaks of: those alone
   are folded, from their own streams, and then the step itself, by the code that folds
   everything. So the cost is that of a step and not that of all pods that ever were.
2. Which pods are meant is told by name, for a generated name begins with that of its
   ReplicaSet; of other pods with an owner the index of families knows (`odd`). One that
   is taken without need changes nothing.
3. What concerns pods that the step does not name (a node that turns unready, another
   minReadySeconds, owners that change) is left to the fold of everything: None.
4. These functions block and are called in threads, like those of past_folding.py.
"""

import bisect
import contextlib
import operator
from collections.abc import Sequence
from typing import Final, NamedTuple

from adapters.eventlog import EventLog, Row
from domain import deployment, node, pod, replicaset
from gateway import past_folding, past_timelines
from gateway.past_families import Families
from gateway.past_folding import Folded
from projections import status
from projections.cluster import Cluster
from projections.happenings import Happenings

ROWS_MAX: Final = 8_192
"""A step with more events before the position is not looked through."""

_QUIET: Final = frozenset({pod.PodScheduled.TOPIC, pod.PodUnschedulable.TOPIC})
"""No count depends on these."""
_OF_OTHERS: Final = frozenset(
    kind.TOPIC
    for kind in (
        node.NodeBecameUnready,
        pod.PodAdopted,
        pod.PodReleased,
        pod.PodOwnersChanged,
        pod.PodConfigured,
        replicaset.ReplicaSetAdopted,
        replicaset.ReplicaSetConfigured,
        replicaset.ReplicaSetTemplateChanged,
    )
)
"""Rule 3."""
_CREATED: Final = replicaset.ReplicaSetCreated.TOPIC
_REVISION: Final = deployment.RevisionStarted
_STARTED: Final = _REVISION.TOPIC
_POSITION: Final = operator.attrgetter("position")


class Step(NamedTuple):
    """Where a position stands: behind `before`, the end of a step, come `rows`, events
    of one other step up to the position; none where `before` is the position."""

    before: int
    rows: Sequence[Row]


def step_at(log: EventLog, position: int) -> Step | None:
    """The step of the position; None where it cannot be told, or is too long."""
    mine = _time_of(log, position)
    following = log.read(position, 1)
    if mine is None or (following and _time_of(log, position + 1) is None):
        return None
    if not following or _time_of(log, position + 1) != mine:
        return Step(position, ())
    # Times grow: back in strides, then by halving. `low` lies before the step.
    low, high, stride = position, position, 1
    while low and low == high:
        low = max(0, position - stride)
        stride *= 4
        if low and (found := _time_of(log, low)) == mine:
            high = low
        elif low and found is None:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        found = _time_of(log, middle)
        if found is None:
            return None
        low, high = (low, middle) if found == mine else (middle, high)
    if position - low > ROWS_MAX:
        return None
    return Step(low, log.read(low, position - low))


def _time_of(log: EventLog, position: int) -> float | None:
    """When the event happened; None where it cannot be read."""
    found = past_folding.decoded(log.read(position - 1, 1)[0])
    return found.timestamp if found is not None else None


def inside(
    log: EventLog,
    families: Families,
    key: str,
    step: Step,
    seen: past_timelines.Seen,
    *,
    told: bool,
) -> Folded | None:
    """The Deployment or ReplicaSet `key` behind the rows of `step`, of which there are
    some; `seen` is what was there at its beginning. None where rule 3 says so.

    `families` has read the log up to there. The lines of what happened to the object
    and its ReplicaSets are there if they are to be `told`.
    """
    topics = {row.topic for row in step.rows}
    if topics & _OF_OTHERS:
        return None
    position = step.rows[-1].position
    gathered = past_folding.Gathered(log, position)
    gathered.take([key])
    if key.startswith("replicaset/"):
        mine = [key]
        gathered.take(gathered.owners_of(key))
    elif told or _STARTED in topics:  # a new revision is compared with the last one
        mine = families.replicasets_of(key)
    else:
        new = [row.stream for row in step.rows if row.topic == _CREATED]
        mine = [*seen.counts, *new]
    gathered.take(mine)
    pods = _pods(families, mine, step.rows)
    gathered.give({key: rows for key, rows in pods.items() if rows[0].version == 1})
    gathered.take(pods)
    gathered.take(families.ever_unready(gathered.pods_nodes))
    events = gathered.events()
    begin = bisect.bisect_right(events, step.before, key=_POSITION)
    cluster, happenings = Cluster(), Happenings()
    revision = max(
        (each.position for each in events[:begin] if type(each.event) is _REVISION),
        default=0,
    )
    for each in events[:begin]:
        with contextlib.suppress(Exception):  # past_folding.py, rule 3
            cluster.desired.evolve(each)
            cluster.actual.evolve(each)
            if each.stream.startswith("pod/"):
                continue
            if each.position >= revision or isinstance(each.event, past_folding.LIVES):
                cluster.rollouts.evolve(each)  # of revisions, only the last one matters
            if told:
                happenings.evolve(each, None, cluster)
    _as_seen(cluster, key, seen)
    for each in events[begin:]:
        cluster.timestamp = each.timestamp  # the step has begun: nothing is settled
        cluster.position = each.position - 1
        past_folding.fold(cluster, happenings, each)
    past_folding.settle(cluster)
    cluster.position = position
    last = past_folding.decoded(step.rows[-1])
    cluster.timestamp = last.timestamp if last is not None else cluster.timestamp
    return Folded(cluster, happenings)


def _pods(
    families: Families, mine: Sequence[str], rows: Sequence[Row]
) -> dict[str, list[Row]]:
    """Rule 2: the pods of the step that may be in the charge of these ReplicaSets, and
    what the step says of them; those that it only binds are left out."""
    prefixes = tuple(f"pod/{key.partition('/')[2]}-" for key in mine)
    odd = families.odd()
    found: dict[str, list[Row]] = {}
    for row in rows:
        stream = row.stream
        if stream.startswith(prefixes) or stream in odd:
            found.setdefault(stream, []).append(row)
    return {
        stream: mine
        for stream, mine in found.items()
        if any(row.topic not in _QUIET for row in mine)
    }


def _as_seen(cluster: Cluster, key: str, seen: past_timelines.Seen) -> None:
    """Afterwards all is counted as it was then, and the step before is settled."""
    desired, actual, rollouts = cluster.desired, cluster.actual, cluster.rollouts
    for name, counts in seen.counts.items():
        held = desired.replicasets.get(name)
        if held is not None:
            actual._tallies[held.uid] = past_timelines.tally(counts)
    rollouts.touched.clear()
    owner, rollout = desired.deployments.get(key), rollouts.by_key.get(key)
    if owner is not None and rollout is not None:
        rollout.conditions = seen.conditions
        rollout.status = status.deployment_status(desired, actual, owner)
