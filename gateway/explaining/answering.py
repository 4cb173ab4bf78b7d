"""The answer to `why`: which events of an object's life are told, and in which order.

1. Of an object: its last change first; then, where the last change is only a report of
   it, what people mean by "why": why it was told to end, why it is there.
2. Several objects that had one name one after the other are told apart by their uids;
   the last one is meant unless another is asked for.
3. With `all` every change is told, newest first; changes that share their cause are
   one chain with several heads, and a chain that was told before is only pointed to.
4. Reading is bounded (history.py); what is left out is said (`more`).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from adapters.eventlog import EventLog
from domain import (
    active_check,
    autoscaler,
    command,
    deployment,
    events,
    names,
    node,
    plain,
    pod,
    replicaset,
    times,
)
from domain.ages import human
from domain.errors import Rejected
from domain.events import Event, Recorded
from domain.queries import WhyAnswer, WhyLife, WhyQuery
from gateway import logreading
from gateway.explaining import phrases
from gateway.explaining.chains import Chains
from gateway.explaining.history import LIFE_MAX, History
from gateway.explaining.waiting import Seen

LIMIT_MAX: Final = 500
LIVES_MAX: Final = 20

_BIRTHS: Final[tuple[type[Event], ...]] = (
    deployment.DeploymentCreated,
    replicaset.ReplicaSetCreated,
    pod.PodCreated,
    node.NodeRegistered,
    plain.ObjectCreated,
)
_ENDS: Final[tuple[type[Event], ...]] = (
    deployment.DeploymentDeleted,
    replicaset.ReplicaSetDeleted,
    pod.PodRemoved,
    node.NodeRemoved,
    plain.ObjectDeleted,
)
_ASKED_TO_END: Final[tuple[type[Event], ...]] = (
    deployment.DeploymentDeletionRequested,
    replicaset.ReplicaSetDeletionRequested,
    pod.PodTerminationRequested,
    pod.PodFailed,
    plain.ObjectDeletionRequested,
)
_TROUBLE: Final[tuple[type[Event], ...]] = (
    deployment.RolloutStalled,
    replicaset.ReplicaSetFailed,
    pod.PodUnschedulable,
    active_check.PodChecked,
    node.NodeBecameUnready,
)
_SILENT: Final[tuple[type[Event], ...]] = (node.ReportsCounted,)
"""Events that account for nothing that changed."""


class Life(msgspec.Struct, frozen=True):
    """The events of one object that were read, newest first; `whole`: to its birth,
    with a `gap` before it where the life is too long to be read."""

    events: tuple[Recorded, ...]
    whole: bool
    gap: bool = False

    @property
    def birth(self) -> Recorded | None:
        """Its creation, if it was read."""
        return self.events[-1] if self.whole else None

    @property
    def end(self) -> Recorded | None:
        """Its end, if it has ended."""
        last = self.events[0]
        return last if isinstance(last.event, _ENDS) else None

    @property
    def uid(self) -> str:
        """Its uid, as its creation says."""
        return str(getattr(self.birth.event, "uid", "")) if self.birth else ""

    def last(self, *kinds: type[Event]) -> Recorded | None:
        """The newest of its events of these types."""
        return next((e for e in self.events if isinstance(e.event, kinds)), None)


def check(asked: WhyQuery) -> None:
    """Raises `Rejected` for a question that makes no sense."""
    if bool(asked.stream) == bool(asked.about):
        raise Rejected("BadRequest", "stream, about: one of both must be given")
    if min(asked.about, asked.limit) < 0:
        raise Rejected("BadRequest", "about and limit: none may be negative")
    if asked.stream:
        try:
            names.split_key(asked.stream)
        except ValueError as error:
            raise Rejected("BadRequest", f"stream: {error}") from error


def answer(
    log: EventLog, asked: WhyQuery, seen: Seen | None, *, position: int, now: float
) -> WhyAnswer | None:
    """Why what is asked about is so; None where the log has nothing of it.

    `seen` is the object as it is at `position`, behind which nothing is looked at; it
    is not told of where an object of another uid is asked about. Raises `Rejected`.
    """
    at = History(log, position)
    if asked.about:
        return _of_event(at, asked.about, now)
    most = logreading.ROWS_MAX if asked.uid else LIFE_MAX
    lives = [*islice(_lives(at, asked.stream, most), LIVES_MAX)]
    if not lives:
        return None
    if seen is not None and not lives[0].whole:
        lives[0] = _with_birth(at, lives[0], seen)
    chosen = _chosen(lives, asked, seen)
    if chosen is None:
        known = phrases.listed([each.uid for each in lives if each.uid])
        raise Rejected(
            "NotFound",
            f'no {phrases.thing(asked.stream)} of the uid "{asked.uid}": the log has '
            f"{known}",
        )
    present = seen is not None and chosen is lives[0]
    chains = Chains(at)
    limit = min(asked.limit or LIMIT_MAX, LIMIT_MAX)
    more = _every(chains, chosen, limit) if asked.all else _telling(chains, chosen)
    shown = seen if present else None
    return WhyAnswer(
        position=position,
        now=now,
        stream=asked.stream,
        uid=chosen.uid or (shown.uid if shown is not None else ""),
        present=present,
        sentence=shown.sentence if shown is not None else _sentence(at, chosen, now),
        waits=shown.waits if shown is not None else (),
        chains=tuple(chains.made),
        earlier=tuple(_life(each) for each in lives if each is not chosen),
        more=more,
    )


def _of_event(at: History, about: int, now: float) -> WhyAnswer:
    found = at.event(about)
    if found is None:
        raise Rejected("NotFound", f"position {about}: the log ends at {at.until}")
    chains = Chains(at)
    chains.add("why this happened", found)
    when = times.rfc3339_seconds(found.timestamp)
    return WhyAnswer(
        position=at.until,
        now=now,
        stream=found.stream,
        sentence=f"at {when}, {human(now - found.timestamp)} ago: {at.words(found)}",
        chains=tuple(chains.made),
    )


# --- which object -----------------------------------------------------------------


def _lives(at: History, stream: str, most: int) -> Iterator[Life]:
    """The objects that had the name, newest first; the last one may be cut (rule 4)."""
    events: list[Recorded] = []
    for found in at.backwards(stream, most=most):
        if isinstance(found.event, _ENDS) and events:
            yield Life(tuple(events), whole=False)
            events = []
        events.append(found)
        if _is_birth(found):
            yield Life(tuple(events), whole=True)
            events = []
    if events:
        yield Life(tuple(events), whole=False)


def _with_birth(at: History, life: Life, seen: Seen) -> Life:
    """The life of an object that exists with its creation, whose time is known."""
    stream = life.events[0].stream
    birth = at.first_since(stream, seen.created_at, _BIRTHS)
    if birth is None or birth.position >= life.events[-1].position:
        return life
    return Life((*life.events, birth), whole=True, gap=True)


def _is_birth(found: Recorded) -> bool:
    """A command is its own beginning."""
    return isinstance(found.event, _BIRTHS) or found.stream.startswith("command/")


def _chosen(lives: Sequence[Life], asked: WhyQuery, seen: Seen | None) -> Life | None:
    if not asked.uid:
        return lives[0]
    for each in lives:
        if each.uid == asked.uid:
            return each
    # The beginning of a long life was not read, but what is there now is known.
    current = seen is not None and seen.uid == asked.uid and not lives[0].whole
    return lives[0] if current else None


def _life(each: Life) -> WhyLife:
    birth, end = each.birth, each.end
    return WhyLife(
        uid=each.uid,
        created=birth.position if birth is not None else 0,
        ended=end.position if end is not None else 0,
    )


def _sentence(at: History, life: Life, now: float) -> str:
    """What is known of an object that is gone, or as it was then."""
    last, birth = life.events[0], life.birth
    name = phrases.thing(last.stream)
    if isinstance(last.event, command.CommandAccepted | command.CommandRejected):
        return at.words(last)
    if life.end is None:
        return f"{name} as it was at position {at.until}: {at.words(last)}"
    when = times.rfc3339_seconds(last.timestamp)
    said = f"{name} has been gone for {human(now - last.timestamp)} ({when})"
    if birth is not None:
        said += f", after a life of {human(last.timestamp - birth.timestamp)}"
    bound = life.last(pod.PodScheduled)
    if bound is not None and isinstance(bound.event, pod.PodScheduled):
        said += f" on node {bound.event.node}"
    return said


# --- what is told -----------------------------------------------------------------


def _telling(chains: Chains, life: Life) -> bool:
    """Rule 1; returns whether there is more to tell than that."""
    changes = [each for each in life.events if not isinstance(each.event, _SILENT)]
    last = changes[0] if changes else life.events[0]
    ending = life.last(*_ASKED_TO_END)
    if life.end is not None:
        chains.add("how it ended", life.end)
    elif last is not life.birth and last is not ending:
        chains.add("its last change", last)
    if ending is not None:
        went = "why it went" if life.end is not None else "why it is ending"
        chains.add(went, ending)
    trouble = life.last(*_TROUBLE)
    if trouble is not None and _still(life, trouble):
        chains.add("what is wrong with it", trouble)
    decided = life.last(autoscaler.AutoscalerRescaled)
    if decided is not None:
        chains.add("its last decision", decided)
    sized = life.last(deployment.DeploymentScaled, replicaset.ReplicaSetScaled)
    if sized is not None and sized.actor == events.AUTOSCALER:
        chains.add("why it has its size", sized)
    gone = life.end is not None
    birth = life.last(pod.PodScheduled) or life.birth
    if birth is not None:
        chains.add("why it was there" if gone else "why it is there", birth)
    told = sum(len(each.links) for each in chains.made)
    return len(changes) > told or life.gap or not life.whole


def _still(life: Life, trouble: Recorded) -> bool:
    """Nothing has happened since that would have ended the trouble."""
    if isinstance(trouble.event, active_check.PodChecked):
        return not trouble.event.passing
    ended_by: dict[type[Event], tuple[type[Event], ...]] = {
        deployment.RolloutStalled: (
            deployment.RolloutCompleted,
            deployment.RevisionStarted,
        ),
        replicaset.ReplicaSetFailed: (replicaset.ReplicaSetRecovered,),
        pod.PodUnschedulable: (pod.PodScheduled,),
        node.NodeBecameUnready: (node.NodeBecameReady,),
    }
    enders = (*ended_by[type(trouble.event)], *_ENDS)
    since = life.last(*enders)
    return since is None or since.position < trouble.position


def _every(chains: Chains, life: Life, limit: int) -> bool:
    """Rule 3; returns whether there are older changes."""
    shown, rest = life.events[:limit], life.events[limit:]
    for head, shared in _by_cause(shown):
        chains.add("", head, shared)
    return bool(rest) or life.gap or not life.whole


def _by_cause(
    changes: Iterable[Recorded],
) -> Iterator[tuple[Recorded, list[Recorded]]]:
    """Each change with the further ones that have the same cause; newest first."""
    groups: dict[tuple[int, int], list[Recorded]] = {}
    for each in changes:
        key = (each.cause, 0 if each.cause else each.position)
        groups.setdefault(key, []).append(each)
    for first, *others in groups.values():
        yield first, others
