"""What the writer counts about itself, as plain numbers; read by a scrape alone.

On the way of a step these are additions of integers. What can be read off the state
when somebody asks (`Look`) is not counted at all.
"""

import time
from collections.abc import Callable, Mapping

import msgspec

from adapters import histogram
from adapters.histogram import Histogram
from workers.mailbox import Mailbox
from workers.state import State

STANDING_BY = "standing by: the log has another writer"
REPLAYING = "the log is being replayed"


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The writer at one moment.

    `decided` is the last position that is decided, `committed` the last on disk,
    `published` the last in the stream EVENTS. `waiting` and `dirty` are lengths of
    queues by name, `counters` what was refused, `commands` what became of commands by
    (verb, result).
    """

    decided: int
    committed: int
    published: int
    waiting: Mapping[str, int]
    dirty: Mapping[str, int]
    counters: Mapping[str, int]
    commands: Mapping[tuple[str, str], int]
    reports: int
    connected: bool


def counters(at: State, mail: Mailbox) -> dict[str, int]:
    """What was refused, dropped, repeated or out of order, by name."""
    return {
        **at.counters,
        "reports_dropped": mail.dropped,
        "syncs_repeated": mail.syncs_repeated,
    }


def look(
    at: State,
    mail: Mailbox,
    committed: int,
    published: int,
    commits: int,
    connected: bool,
) -> Look:
    """The writer now: `commits` steps wait to be committed."""
    return Look(
        decided=at.cluster.position,
        committed=committed,
        published=published,
        waiting={**mail.lengths(), "commits": commits},
        dirty={
            "namespaces": len(at.dirty_namespaces),
            "dependents": len(at.dependents),
            "deployments": len(at.dirty_deployments),
            "replicasets": len(at.dirty_replicasets) + len(at.lacking),
            "nodes": len(at.dirty_nodes),
            "pods without a node": len(at.cluster.actual.waiting),
        },
        counters=counters(at, mail),
        commands=at.commands,
        reports=mail.reports,
        connected=connected,
    )


class Numbers:
    """Counted since the process began."""

    def __init__(self) -> None:
        self.unready = STANDING_BY
        """Why it does not work (yet); empty when it does."""
        self.steps = 0
        self.events = 0
        self.step = Histogram()
        self.append = Histogram()
        self.rollouts = Histogram(histogram.SLOW)
        self.look: Callable[[], Look] | None = None
        """None before it works."""

    def stepped(self, begin: float, events: int, rollouts: list[float]) -> None:
        """A step that began at `begin` (of `perf_counter`) made so many events; these
        `rollouts` (their seconds) came to their end. Afterwards the list is empty."""
        self.step.observe(time.perf_counter() - begin)
        self.steps += 1
        self.events += events
        if rollouts:
            for each in rollouts:
                self.rollouts.observe(each)
            rollouts.clear()
