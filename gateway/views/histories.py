"""The revisions of a Deployment, a page at a time (S10: none is ever missing).

1. A page costs what its rows cost: nothing is worked out for a revision that is not on
   it, however many there are. A page ends after `LIMIT_MAX` rows, or where the answer
   would get too large for one message.
2. A page begins where the one before it ended, by number: revisions that come
   meanwhile have greater numbers, so each is shown once.
"""

import bisect
import heapq
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from domain import deployment, podspec, queries, times
from domain.deployment import Deployment
from domain.errors import Rejected
from gateway.views import described
from gateway.views.scene import Scene
from projections.rollouts import Revision, Rollout

USER: Final = "user/"
LIMIT_MAX: Final = 1_000
ASKED_MAX: Final = 100
"""So many revisions can be asked for by number or tag."""

_encode = msgspec.json.Encoder().encode


class _At(NamedTuple):
    """What the rows of one answer are made from."""

    scene: Scene
    held: Deployment
    rollout: Rollout
    tags: dict[int, list[str]]
    templates: bool


def answer(
    at: Scene, held: Deployment, asked: queries.HistoryQuery, bytes_max: int
) -> queries.HistoryAnswer:
    """The page of `held`'s history that `asked` asks for, of `bytes_max` at most.

    A single row that is larger comes without its template. Raises `Rejected` for a
    limit or a `continue_` that is none, and where too many revisions are named.
    """
    rollout = at.cluster.rollouts.by_key.get(held.key)
    if rollout is None:
        return queries.HistoryAnswer(position=at.cluster.position)
    if asked.limit < 0:
        raise Rejected("BadRequest", f"limit: {asked.limit} is negative")
    if len(asked.revisions) > ASKED_MAX:
        text = f"revisions: {len(asked.revisions)} are more than {ASKED_MAX} at once"
        raise Rejected("BadRequest", text)
    tags: dict[int, list[str]] = {}
    for tag, number in held.tags.items():
        tags.setdefault(number, []).append(tag)
    of = _At(at, held, rollout, tags, asked.templates)
    rows: list[queries.RevisionRow] = []
    limit = min(asked.limit or LIMIT_MAX, LIMIT_MAX)
    room, more = bytes_max, False
    for revision in _wanted(of, asked):
        row = _row(of, revision)
        needs = len(_encode(row)) + 1  # and the comma
        more = len(rows) == limit or (needs > room and bool(rows))
        if more:
            break
        if needs > room:
            nothing = queries.NOTHING
            row = msgspec.structs.replace(row, template="", pod_template=nothing)
        room -= needs
        rows.append(row)
    return queries.HistoryAnswer(
        position=at.cluster.position,
        revisions=tuple(rows),
        current=held.revision,
        total=len(rollout.revisions),
        continue_=str(rows[-1].revision) if more else "",
    )


def _wanted(of: _At, asked: queries.HistoryQuery) -> Iterator[Revision]:
    """The revisions that are asked for behind the last page, oldest first, lazily."""
    after = _after(asked.continue_)
    rollout = of.rollout
    if asked.revisions:
        indexes = {rollout.index(_number(of.held, each)) for each in asked.revisions}
        indexes.discard(-1)
        if asked.before:
            indexes |= {index - 1 for index in indexes if index}
        chosen: Iterable[Revision] = (rollout.revisions[i] for i in sorted(indexes))
        yield from (each for each in chosen if each.revision > after)
    elif asked.present:
        for number in heapq.merge(*_present(of, after)):
            found = rollout.find(number)
            if found is not None:
                yield found
    else:
        start = bisect.bisect_right(
            rollout.revisions, after, key=operator.attrgetter("revision")
        )
        for index in range(start, len(rollout.revisions)):
            yield rollout.revisions[index]


def _present(of: _At, after: int) -> Iterator[Sequence[int]]:
    """The numbers behind `after` that each ReplicaSet which is there has run."""
    for each in of.scene.cluster.desired.replicasets_of(of.held):
        numbers = of.rollout.run_by(each.name)
        yield numbers[bisect.bisect_right(numbers, after) :]


def _number(held: Deployment, asked: int | str) -> int:
    if isinstance(asked, str):
        asked = int(asked) if _is_number(asked) else held.tags.get(asked, -1)
    return asked or held.revision


def _after(continue_: str) -> int:
    if continue_ and not _is_number(continue_):
        raise Rejected("BadRequest", f'continue: "{continue_}" is not from an answer')
    return int(continue_ or 0)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def _row(of: _At, revision: Revision) -> queries.RevisionRow:
    desired = of.scene.cluster.desired
    key = f"replicaset/{of.held.namespace}/{revision.replicaset}"
    mine = desired.replicasets.get(key)
    present = mine is not None and mine.owner_uid == of.held.uid
    text, document = "", queries.NOTHING
    if of.templates:
        written = None
        cause = mine.annotations.get(deployment.CHANGE_CAUSE, "") if mine else ""
        # Spec 6.4: what the ReplicaSet carries is shown with its template; what it
        # carries of another revision is not.
        if present and cause and cause == revision.cause:
            written = (deployment.CHANGE_CAUSE, cause)
        facts = desired.templates.get(revision.template)
        template = facts.template if facts is not None else podspec.PodTemplateSpec()
        text = described.template_text(template, written)
        document = msgspec.Raw(_encode(template))
    return queries.RevisionRow(
        revision=revision.revision,
        cause=revision.cause,
        when=revision.started_at,
        who=revision.who.removeprefix(USER),
        from_=revision.origin,
        result=_result(of, revision),
        replicaset=revision.replicaset,
        present=present,
        position=revision.position,
        template=text,
        pod_template=document,
        took=_took(revision),
        tags=tuple(sorted(of.tags.get(revision.revision, ()))),
        command=revision.command,
    )


def _result(of: _At, revision: Revision) -> queries.RevisionResult:
    match revision.result:
        case "complete" | "superseded" | "rolled back" | "stalled":
            return revision.result
        case _:
            return "paused" if of.held.spec.paused else "in progress"


def _took(revision: Revision) -> float | None:
    """Seconds on the log's microsecond grid: a difference of floats is beside it."""
    if not revision.ended_at:
        return None
    return times.grid(revision.ended_at - revision.started_at)
