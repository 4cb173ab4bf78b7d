"""The second half of an examination: read every event, fold it, compare with the api.

1. Every event is decoded by the catalogue and folded as the processes fold it. What
   cannot be read or folded is found and passed over.
2. An event that its object's table does not allow (domain/pod.py and the others) is
   found: the writer makes none, so somebody else did.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from adapters.eventlog import EventLog
from domain import catalogue
from domain.events import Recorded
from domain.seals import Stored
from projections import digests, snapshots
from projections.cluster import Cluster
from rollbook.verdicts import Check, Verdict

PAGE: Final = 2_000


def leading(rows: Sequence[Stored], after: int) -> Sequence[Stored]:
    """The rows behind position `after` up to the first gap."""
    if rows and rows[-1][0] == after + len(rows):
        return rows
    count = 0
    while count < len(rows) and rows[count][0] == after + count + 1:
        count += 1
    return rows[:count]


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
        self._fold(rows)
        self.seconds += time.perf_counter() - began

    def give_up(self, why: str) -> None:
        """Nothing more is folded."""
        self.given_up = True
        for check in self.checks:
            check.skipped = why

    def up_to(
        self,
        log: EventLog,
        position: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Afterwards the log is folded up to `position`, as far as it goes."""
        while self.cluster.position < position and not self.given_up:
            after = self.cluster.position
            rows = log.scan(after, min(PAGE, position - after))
            dense = leading(rows, after)
            if dense:
                self.page(dense)
            if len(dense) < min(PAGE, position - after):
                return
            if progress is not None:
                progress(self.cluster.position, position)

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

    def _fold(self, rows: Sequence[Stored]) -> None:
        """The hottest loop of an examination: what is good is not looked at twice."""
        cluster = self.cluster
        decode, fold = catalogue.decode, cluster.fold
        desired, actual, plain = cluster.desired, cluster.actual, cluster.plain
        for row in rows:
            recorded: Recorded | None = None
            try:
                recorded = decode(*row)
                fold(recorded)
            except Exception as error:  # see _failed: altered events may do anything
                self._failed(row, recorded, error)
                continue
            aside = desired.set_aside + actual.set_aside + plain.set_aside
            if aside != self._set_aside:
                self._set_aside = aside
                name = type(recorded.event).__name__
                text = f"position {row[0]}: {name} cannot happen to {row[1]} as it is"
                self.legal.find(row[0], row[0], text)

    def _failed(self, row: Stored, recorded: Recorded | None, error: Exception) -> None:
        """`Permanent`, or what bad data makes of an upcast or of a fold."""
        position = row[0]
        if recorded is None:
            self.readable.find(position, position, str(error))
            self._pass(row)
            return
        text = f"position {position} cannot be folded: {error!r}"
        self.legal.find(position, position, text)
        self.cluster.position = max(self.cluster.position, position)

    def _pass(self, row: Stored) -> None:
        try:
            self.cluster.skip(row[0], row[1], row[2])
        except Exception:  # its names are damaged too
            self.cluster.position = row[0]
