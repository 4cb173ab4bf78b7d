"""One object's change in a step, and who waits to be told of it.

1. What a change is to somebody follows from what that one has picked.
2. What waits is bounded; who does not fetch it is ended, and can come back.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.kube import forms
from gateway.kube.forms import Form, Shown
from gateway.kube.kinds import Held, Kind, Picked

BACKLOG_CHANGES: Final = 20_000


class Side(NamedTuple):
    """An object before or after a step, as far as selectors look at it."""

    held: Held
    labels: Mapping[str, str]


class Change:
    """One object's change in one step; `after` is None for one that is gone."""

    __slots__ = (
        "_encoded",
        "after",
        "before",
        "namespace",
        "position",
        "several",
        "shown",
    )

    def __init__(
        self,
        namespace: str,
        position: int,
        before: Side | None,
        after: Side | None,
        shown: Shown,
    ) -> None:
        self.namespace = namespace
        self.position = position
        self.before = before
        self.after = after
        self.shown = shown
        self.several = False
        """The same event has changed other objects of this kind."""
        self._encoded: dict[tuple[Form, str], bytes] = {}

    def type_for(self, picked: Picked) -> str:
        """What it is to who has picked those objects; "" if nothing.

        An object that enters the selection is ADDED, one that leaves it DELETED.
        """
        if picked.namespace and picked.namespace != self.namespace:
            return ""
        was = self.before is not None and picked.matches(*self.before)
        now = self.after is not None and picked.matches(*self.after)
        if now:
            return "MODIFIED" if was else "ADDED"
        return "DELETED" if was else ""

    def encoded(self, kind: Kind, form: Form, type_: str) -> bytes:
        """The event of a watch; made once for all watchers."""
        found = self._encoded.get((form, type_))
        if found is None:
            found = forms.event(form, kind.table, type_, self.shown)
            self._encoded[form, type_] = found
        return found


class Watcher:
    """Who watches a feed: what has happened and is not fetched yet."""

    def __init__(self, backlog: int = BACKLOG_CHANGES) -> None:
        self.ended = ""
        """Why nothing more comes."""
        self._room = backlog
        self._pending: deque[list[Change]] = deque()
        self._count = 0
        self._woken = asyncio.Event()

    def offer(self, changes: list[Change]) -> None:
        """Those of one step; nobody's list is changed afterwards."""
        if self.ended:
            return
        self._count += len(changes)
        if self._count > self._room:
            self.end("it cannot keep up")
            return
        self._pending.append(changes)
        self._woken.set()

    def end(self, why: str) -> None:
        """Afterwards nothing more is offered; what waits is let go of."""
        self.ended = why
        self._pending.clear()
        self._woken.set()

    def take(self) -> list[list[Change]]:
        """What waits, a list for each step; nothing waits afterwards."""
        found = [*self._pending]
        self._pending.clear()
        self._count = 0
        self._woken.clear()
        return found

    async def wait(self, seconds: float) -> bool:
        """Whether there is something before `seconds` are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
                return True
        return False
