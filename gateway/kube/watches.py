"""`watch`: what happens to the objects of a resource, from any position on.

1. Changes come in the order of their versions, each once, all of a step in one piece.
   A client that goes on from the last version that it has seen misses nothing; only
   where one event has changed several objects may it see one of them again.
2. Recent changes are in memory. For older ones the state of then is taken up again
   and the log folded on: no position is too old, so there is no 410.
3. Without a version, or with `sendInitialEvents`, first comes what is there, then
   (with bookmarks) a bookmark that says so.
4. A bookmark tells each minute how far everything has been told, and once more at the
   end of the watch's time.
5. A watch that cannot go on just ends: the client takes it up again.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

from adapters.eventlog import EventLog
from domain import errors
from gateway import past_folding
from gateway.kube import forms, kinds, objects, routes
from gateway.kube.changes import Changes, Feed
from gateway.kube.forms import Form
from gateway.kube.kinds import Kind, Picked
from gateway.kube.objects import Objects, State
from gateway.kube.request import Request
from gateway.kube.statuses import Failure
from gateway.kube.watchers import Change, Watcher
from gateway.past import Past
from gateway.past_folding import Folded
from gateway.reader import PAGE_ROWS, Reader
from projections.cluster import Cluster
from projections.happenings import Happenings

SECONDS_MIN: Final = 1_800
"""A watch that says nothing lasts so long, or up to twice."""
BOOKMARK_SECONDS: Final = 60.0
INITIAL_END: Final = "k8s.io/initial-events-end"
PIECE_EVENTS: Final = 200
_BOOKMARKS: Final = "allowWatchBookmarks"
_dice: Final = random.SystemRandom()


class Watches:
    """Serves watches of what `reader` folds and `changes` follows."""

    def __init__(
        self,
        reader: Reader,
        past: Past,
        changes: Changes,
        read: Objects,
        *,
        bookmark_seconds: float = BOOKMARK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._past = past
        self._changes = changes
        self._objects = read
        self._bookmark_seconds = bookmark_seconds
        self._clock = clock

    async def watch(self, request: Request, form: Form) -> AsyncGenerator[bytes, None]:
        """The events, in pieces. What is wrong with the request is raised at once:
        `Rejected` or `Failure`."""
        kind, params = kinds.of(request.resource), request.params
        picked = kinds.picked(kind, request.namespace, params)
        _check(params)
        ends_at = self._clock() + _seconds(params)
        told = _Told(kind, picked, form, routes.is_true(params.get(_BOOKMARKS)))
        tabular = form.shape == "table"
        self._changes.feed(kind, tabular=tabular)
        initial = params.get("sendInitialEvents")
        shows = routes.is_true(initial) if initial is not None else None
        asked = objects.asked_state(params, listing=False)
        state = await self._objects.state(asked)
        # From here on nothing is awaited until the watcher is in its place.
        feed = self._changes.feed(kind, tabular=tabular)
        watcher = Watcher()
        if shows or (shows is None and not asked.position):
            first = self._initial(told, state, marked=bool(shows))
        elif asked.position:
            first = self._missed(told, feed, asked.position)
        else:
            first = _pieces([])
        feed.watchers.add(watcher)
        return self._run(told, feed, watcher, first, ends_at)

    async def _run(
        self,
        told: "_Told",
        feed: Feed,
        watcher: Watcher,
        first: AsyncGenerator[bytes, None],
        ends_at: float,
    ) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in first:
                yield piece
            bookmark_at = self._clock() + self._bookmark_seconds
            while True:
                now = self._clock()
                piece = b"".join(told.step(step) for step in watcher.take())
                if piece:
                    yield piece
                    continue
                if watcher.ended:
                    return
                if now >= min(bookmark_at, ends_at):
                    bookmark_at = now + self._bookmark_seconds
                    if told.bookmarks:
                        yield told.bookmark(self._changes.position)
                if now >= ends_at:
                    return
                await watcher.wait(min(bookmark_at, ends_at) - now)
        finally:
            feed.watchers.discard(watcher)

    def _initial(
        self, told: "_Told", state: State, *, marked: bool
    ) -> AsyncGenerator[bytes, None]:
        """What is there (rule 3), rendered as a list is."""
        found = objects.chosen(told.kind, state, told.picked)
        found.sort(key=told.kind.key)
        position = state.position
        rendering = objects.Rendering(told.kind, state, found, told.form)

        async def pieces() -> AsyncGenerator[bytes, None]:
            async for some in rendering.slices():
                yield b"".join(told.added(each) for each in some)
            if marked and told.bookmarks:
                yield told.bookmark(position, {INITIAL_END: "true"})

        return pieces()

    def _missed(
        self, told: "_Told", feed: Feed, position: int
    ) -> AsyncGenerator[bytes, None]:
        """What has happened since `position` (rule 2)."""
        again = position == feed.since and position == self._changes.several_at
        if position >= feed.since and not again:
            return _pieces(told.steps(feed.behind(position)))
        until = self._changes.position
        authority = self._changes.authority
        pages = history(
            self._reader, self._past, feed, position, until, authority=authority
        )

        async def pieces() -> AsyncGenerator[bytes, None]:
            async for page in pages:
                for piece in told.steps(page):
                    yield piece

        return pieces()


class _Told:
    """What one watcher is told, and how."""

    def __init__(self, kind: Kind, picked: Picked, form: Form, bookmarks: bool) -> None:
        self.kind = kind
        self.picked = picked
        self.form = form
        self.bookmarks = bookmarks
        self._headed = form.shape == "table"

    def step(self, changes: list[Change]) -> bytes:
        """The events of one step, in one piece."""
        found: list[bytes] = []
        for each in changes:
            type_ = each.type_for(self.picked)
            if not type_:
                continue
            if self._headed:
                self._headed = False
                shown, table = each.shown, self.kind.table
                found.append(forms.event(self.form, table, type_, shown, headed=True))
            else:
                found.append(each.encoded(self.kind, self.form, type_))
        return b"".join(found)

    def steps(self, changes: list[Change]) -> list[bytes]:
        """The events of many steps, in a few pieces."""
        pieces = [
            self.step(changes[index : index + PIECE_EVENTS])
            for index in range(0, len(changes), PIECE_EVENTS)
        ]
        return [piece for piece in pieces if piece]

    def added(self, shown: forms.Shown) -> bytes:
        """An object that is there at the begin."""
        headed, self._headed = self._headed, False
        return forms.event(self.form, self.kind.table, "ADDED", shown, headed=headed)

    def bookmark(
        self, position: int, annotations: dict[str, object] | None = None
    ) -> bytes:
        """See `forms.bookmark`."""
        return forms.bookmark(self.form, self.kind.resource, position, annotations)


async def history(
    reader: Reader,
    past: Past,
    of: Feed,
    after: int,
    until: int,
    *,
    authority: str = "",
) -> AsyncGenerator[list[Change], None]:
    """The changes behind `after` up to `until`, the end of a step, a page at a time.

    They are the same ones that a watcher was told then: the fold begins before the step
    of `after`, so that its steps are whole.
    """
    log = reader.log
    begin = await asyncio.to_thread(_before_step, log, after)
    folded = Folded(Cluster(), Happenings())
    if begin:
        known = await past.whole(begin)
        folded = await asyncio.to_thread(_copied, known)
    followed = Changes(authority=authority, clock=lambda: 0.0, rendered_bytes=0)
    followed.start(begin)
    feed = followed.feed(of.kind, tabular=of.form.shape == "table")
    feed.bounded = False
    while folded.cluster.position < until:
        await asyncio.to_thread(_fold_on, log, folded, followed, until)
        found = feed.behind(after)
        feed.recent.clear()
        if found:
            yield found


def _before_step(log: EventLog, position: int) -> int:
    """The last position before the step that `position` is in."""
    when: float | None = None
    while position:
        rows = log.read(position - 1, 1)
        recorded = past_folding.decoded(rows[0]) if rows else None
        if recorded is not None:
            if when is not None and recorded.timestamp != when:
                return position
            when = recorded.timestamp
        position -= 1
    return 0


def _copied(known: Folded) -> Folded:
    copied = past_folding.copied_once({})
    return Folded(copied(known.cluster), copied(known.happenings))


def _fold_on(log: EventLog, folded: Folded, followed: Changes, until: int) -> None:
    """Folds a page, in a thread; a step is told when the next one begins, or at the
    end. What cannot be folded is passed over, as the reader does."""
    cluster, happenings = folded
    rows = log.read(cluster.position, min(PAGE_ROWS, until - cluster.position))
    if not rows:
        raise errors.Transient(f"the store has no position {cluster.position + 1}")
    for row in rows:
        recorded = past_folding.decoded(row)
        if recorded is not None:
            if recorded.timestamp != cluster.timestamp:
                _end_step(folded, followed)
                cluster.timestamp = recorded.timestamp
            followed.before(recorded, cluster)
            with contextlib.suppress(Exception):
                was = cluster.fold(recorded)
                happenings.evolve(recorded, was, cluster)
                followed.after(recorded, was, cluster, happenings)
        cluster.position = row.position
    if cluster.position >= until:
        _end_step(folded, followed)


def _end_step(folded: Folded, followed: Changes) -> None:
    cluster, happenings = folded
    with contextlib.suppress(Exception):
        cluster.settle()
    followed.step_ended(cluster, happenings)


async def _pieces(found: list[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in found:
        yield piece


def _check(params: Mapping[str, str]) -> None:
    """Raises `Failure` 422 for parameters that do not go together."""
    match, initial = params.get("resourceVersionMatch"), params.get("sendInitialEvents")
    field, forbidden = "resourceVersionMatch", "FieldValueForbidden"
    if initial is None and match:
        why = (
            "Forbidden: resourceVersionMatch is forbidden for watch unless "
            "sendInitialEvents is provided"
        )
        raise objects.options_invalid(field, forbidden, why)
    if initial is not None and match != "NotOlderThan":
        why = (
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
            "NotOlderThan"
        )
        raise objects.options_invalid(field, forbidden, why)


def _seconds(params: Mapping[str, str]) -> float:
    """How long the watch lasts."""
    text = params.get("timeoutSeconds", "")
    if text and (not text.isdecimal() or len(text) > 9):
        raise Failure(400, "BadRequest", f'timeoutSeconds: "{text}" is no number')
    return float(text or 0) or _dice.uniform(SECONDS_MIN, 2 * SECONDS_MIN)
