"""S4: folding is a pure function of the log, wherever one begins and ends."""

import pytest

from domain import catalogue
from projections import snapshots
from projections.cluster import Cluster
from tests.properties.log_checkers import compare
from tests.properties.scripts import SCRIPTS, Script
from tests.support.cluster import SimCluster


def folded(sim: SimCluster, upto: int | None = None) -> Cluster:
    """A replay of the stored log from its first event."""
    cluster = Cluster()
    for row in sim.log[:upto]:
        cluster.fold(catalogue.decode(*row))
    cluster.settle()
    return cluster


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_replay_comes_to_what_was_known(script: Script) -> None:
    """The stored log, decoded and folded, is the writer's state to the last tally."""
    sim = script()

    compare(folded(sim), sim.cluster)


def test_two_replays_of_one_log_are_the_same_at_every_step() -> None:
    """Time travel: the state at the end of each step is a fold up to there."""
    sim = SCRIPTS[0]()
    ends = [step.position for step in sim.steps if step.events]
    going = Cluster()
    for end in ends:
        for row in sim.log[going.position : end]:
            going.fold(catalogue.decode(*row))
        going.settle()
        compare(folded(sim, end), going)

    assert len(ends) > 5


def test_what_is_stored_is_what_was_recorded() -> None:
    """Encoding and decoding an event loses nothing (S5)."""
    for script in SCRIPTS:
        sim = script()
        for row, recorded in zip(sim.log, sim.events, strict=True):
            assert catalogue.decode(*row) == recorded


def test_words_that_many_pods_share_are_one_object() -> None:
    """A pod costs memory for what is its own: namespace, owner and node are shared, by
    the fold as well as by what a snapshot is decoded to, and so is its key."""
    going = folded(SCRIPTS[0]())
    for cluster in (going, snapshots.decode(snapshots.encode(going))):
        pods = cluster.actual.pods
        assert len(pods) > 2
        for name in ("namespace", "owner", "owner_uid", "node"):
            words = [getattr(held, name) for held in pods.values()]
            assert len(set(map(id, words))) == len(set(words)), name
        keys = {id(key) for key in pods}
        listed = {id(key) for use in cluster.actual.node_list for key in use.pods}
        assert listed
        assert listed <= keys
