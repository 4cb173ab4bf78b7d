"""The second half of an examination: read every event, fold it, compare with the api.

1. Every event is decoded by the catalogue and folded as the processes fold it. What
   cannot be read or folded is found and passed over.
2. An event that its object's table does not allow (domain/pod.py and the others) is
   found: the writer makes none, so somebody else did.
"""

import time
from collections.abc import Sequence
from typing import Final

from adapters.eventlog import EventLog
from domain import catalogue
from domain.seals import Stored
from projections import digests, snapshots
from projections.cluster import Cluster
from rollbook.verdicts import Check, Verdict

PAGE: Final = 2_000


class Folding:
    """What the rows come to; `page` for each page, in order, from the first row on."""

    def __init__(self) -> None:
        self.readable = Check("events")
        self.legal = Check("folding")
        self.live = Check("live state")
        self.live.skipped = "it was not compared"
        self.checks = [self.readable, self.legal, self.live]
        self.cluster = Cluster()
        self.seconds = 0.0
        self.given_up = False
        self.compared_at = 0
        """The position at which the api had folded the same; 0 while unknown."""
        self._set_aside = 0

    def page(self, rows: Sequence[Stored]) -> None:
        """Afterwards these rows are folded; the end of a page need not be a step's."""
        if self.given_up:
            return
        began = time.perf_counter()
        for row in rows:
            self._fold(row)
        self.seconds += time.perf_counter() - began

    def give_up(self, why: str) -> None:
        """Nothing more is folded."""
        self.given_up = True
        for check in self.checks:
            check.skipped = why

    def up_to(self, log: EventLog, position: int) -> None:
        """Afterwards the log is folded up to `position`, as far as it goes."""
        while self.cluster.position < position and not self.given_up:
            after = self.cluster.position
            rows = log.scan(after, min(PAGE, position - after))
            if not rows or rows[0][0] != after + 1:
                return
            self.page(rows)

    def digest(self) -> str:
        """The digest of what is folded; its last event must end a step."""
        self.cluster.settle()
        return digests.digest(snapshots.cut(self.cluster))

    def verdicts(self) -> list[Verdict]:
        """The lines of this half."""
        cluster = self.cluster
        objects = (
            len(cluster.desired.deployments)
            + len(cluster.desired.replicasets)
            + len(cluster.actual.pods)
            + len(cluster.actual.nodes)
        )
        at = f"the api has folded the same at position {self.compared_at}"
        if self.compared_at:
            self.live.skipped = ""
        return [
            self.readable.verdict("each can be read"),
            self.legal.verdict(f"every change is a legal one; {objects:,} objects"),
            self.live.verdict(at),
        ]

    def _fold(self, row: Stored) -> None:
        cluster = self.cluster
        position = row[0]
        try:
            recorded = catalogue.decode(*row)
        except Exception as error:  # Permanent, or what bad data makes of an upcast
            self.readable.find(position, position, str(error))
            self._pass(row)
            return
        try:
            cluster.fold(recorded)
        except Exception as error:  # a fold of altered events may end in anything
            text = f"position {position} cannot be folded: {error!r}"
            self.legal.find(position, position, text)
            cluster.position = max(cluster.position, position)
            return
        aside = cluster.desired.set_aside + cluster.actual.set_aside
        if aside != self._set_aside:
            self._set_aside = aside
            name = type(recorded.event).__name__
            text = f"position {position}: {name} cannot happen to {row[1]} as it is"
            self.legal.find(position, position, text)

    def _pass(self, row: Stored) -> None:
        try:
            self.cluster.skip(row[0], row[1], row[2])
        except Exception:  # its names are damaged too
            self.cluster.position = row[0]
