"""Time travel: each past state is, bit for bit, the state that there was (S4, I13).

While a simulated world runs, with crashes, replaced writers and bad wires, a digest of
what control knows is taken at the end of each step. Afterwards the log alone must lead
back to each of them: folded from its beginning, and from snapshots.
"""

import secrets
import zlib
from random import Random
from typing import Final

import pytest

from adapters.eventlog import Row
from domain import catalogue
from projections import snapshots
from projections.cluster import Cluster
from tests.properties.log_checkers import picture
from tests.simulation import actions, simulate, workload
from tests.support.cluster import SimCluster
from tests.support.watching import Watcher
from workers.outbox import Step

FIXED: Final = 10
NEW: Final = 10
LENGTH: Final = 40
"""So many actions of each plan are carried out."""
SNAPSHOTS: Final = 3
"""Taken at random ends of steps of each log."""
BEGINNINGS: Final = 3
"""So many ends of steps are reached by a fold of their own, from the beginning."""


class Moments(Watcher):
    """The digest of the live state at the end of each step, by position."""

    def __init__(self) -> None:
        self.digests: dict[int, int] = {}

    def after_step(self, sim: SimCluster, _step: Step, /) -> None:
        """Takes the digest; a step without events leaves the state as it is."""
        found = digest(sim.cluster)
        before = self.digests.setdefault(sim.cluster.position, found)
        assert found == before, "what is not recorded changes nothing"


def digest(cluster: Cluster) -> int:
    """All that the cluster knows, order included, in one number."""
    actual = cluster.actual
    known = [picture(cluster), [*actual.ended], actual.former_incarnations]
    # Text, because an encoder leaves out what is the very default, and not its equal.
    return zlib.crc32(repr(known).encode())


def live(seed: int) -> tuple[list[Row], dict[int, int]]:
    """The log of a world, and what there was at the end of each of its steps."""
    moments = Moments()
    plan = workload.plan(seed)
    world = simulate.build(plan, [moments])
    for action in plan.actions[:LENGTH]:
        actions.carry_out(world, action)
    last = max(moments.digests)
    assert last == len(world.log), "the end of the log is the end of a step"
    return [*world.log], moments.digests


def fold(cluster: Cluster, rows: list[Row]) -> None:
    """Afterwards these rows, which follow, are folded, and their last step settled."""
    for row in rows:
        cluster.fold(catalogue.decode(*row))
    cluster.settle()


def follow(
    cluster: Cluster, rows: list[Row], digests: dict[int, int], seed: int
) -> None:
    """Folds on step by step, and compares at the end of each."""
    ends = sorted(end for end in digests if end > cluster.position)
    for end in ends:
        fold(cluster, rows[cluster.position : end])
        assert digest(cluster) == digests[end], f"seed {seed}, position {end}"


def seeds() -> list[int]:
    """Fixed ones, and new ones in every run."""
    first = secrets.randbits(31)
    return [*range(FIXED), *range(first, first + NEW)]


@pytest.mark.timeout(120)
def test_every_past_state_is_the_state_that_there_was() -> None:
    """From position 1, from any snapshot, and over all steps on the way."""
    compared = 0
    for seed in seeds():
        rows, digests = live(seed)
        dice = Random(f"past/{seed}")
        ends = sorted(digests)
        follow(Cluster(), rows, digests, seed)
        for end in dice.sample(ends, min(BEGINNINGS, len(ends))):
            cluster = Cluster()
            fold(cluster, rows[:end])
            assert digest(cluster) == digests[end], f"seed {seed}, position {end}"
        for end in sorted(dice.sample(ends, min(SNAPSHOTS, len(ends)))):
            cluster = Cluster()
            fold(cluster, rows[:end])
            again = snapshots.decode(snapshots.encode(cluster))
            assert again.position == end, "a snapshot says of which moment it is"
            assert digest(again) == digests[end], f"seed {seed}, snapshot of {end}"
            follow(again, rows, digests, seed)
        compared += len(ends)

    assert compared > 1_000, "there were many moments"


def test_another_past_is_noticed() -> None:
    """The comparison can fail: one event that is left out makes other states."""
    rows, digests = live(3)
    reported = next(n for n, row in enumerate(rows) if row.topic == "pod.reported.v1")
    cluster = Cluster()
    for number, row in enumerate(rows):
        if number == reported:
            cluster.skip(row.position, row.stream, row.version)
        else:
            cluster.fold(catalogue.decode(*row))
        cluster.settle()
        known = digests.get(row.position)
        if number >= reported and known is not None:
            assert digest(cluster) != known
            return
    raise AssertionError("no end of a step was compared")
