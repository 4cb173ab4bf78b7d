"""Every pod that ever lived has a why: its chains end where something began.

Logs are those of the simulated clusters: rollouts, scalings, broken images, nodes that
fall silent, restarts of control, and the random plans of the simulator.
"""

from random import Random

import pytest

from adapters.memory_log import MemoryLog
from domain import queries
from domain.events import Recorded
from gateway.explaining import answering, chains
from gateway.explaining.history import History
from tests.gateway.support import Written
from tests.simulation import actions, simulate, workload
from tests.support.cluster import SimCluster, manifest, rolling

ROOTS = {"command", "report", "timer", "system"}
IMAGES = ("app:1", "app:2", "app:bad")


def lived(seed: int) -> SimCluster:
    """A cluster to which 25 things happened, drawn by the seed."""
    dice = Random(seed)
    sim = SimCluster()
    sim.broken.add("app:bad")
    wish = manifest("web", strategy=rolling(1, 1), progressDeadlineSeconds=20)
    sim.ask("deployment", "web", "create", {"manifest": wish})
    for _ in range(25):
        match dice.randrange(7):
            case 0:
                sim.ask("deployment", "web", "scale", {"replicas": dice.randrange(7)})
            case 1:
                images = {"images": {"main": dice.choice(IMAGES)}}
                sim.ask("deployment", "web", "set-image", images)
            case 2:
                sim.ask("deployment", "web", "undo")
            case 3:
                keys = [*sim.cluster.actual.pods]
                if keys:
                    name = dice.choice(keys).rpartition("/")[2]
                    sim.ask("pod", name, "delete")
            case 4:
                node = dice.choice([*sim.nodes.values()])
                node.alive = not node.alive
                if node.alive:
                    node.boot(sim.now)
            case 5:
                sim.crash_control()
            case _:
                sim.run_for(dice.choice((1.0, 20.0, 400.0)))
        sim.run_for(1.0)
    return sim


def check_log(events: list[Recorded], written: Written) -> int:
    """Every event's chain ends well; every pod is answered for. How many pods."""
    log = MemoryLog(written.store, read_only=True)
    end = log.last_position()
    at = History(log, end)
    for each in events:
        chain, cut = chains.follow(at, each)
        assert cut == 0, f"the chain of {each.position} dangles at {cut}"
        assert chains.root_of(chain[-1]) in ROOTS, (
            f"{each.position} leads to {chain[-1]}, which began nothing"
        )
        positions = [link.position for link in chain]
        assert positions == sorted(set(positions), reverse=True), "causes decrease"
    streams = {each.stream for each in events if each.stream.startswith("pod/")}
    for stream in sorted(streams):
        asked = queries.WhyQuery(stream=stream)
        found = answering.answer(log, asked, None, position=end, now=0.0)
        assert found is not None
        assert found.chains, f"{stream} has no why"
        for told in found.chains:
            assert told.joins or told.root in ROOTS, f"{stream}: {told}"
    return len(streams)


@pytest.mark.parametrize("seed", range(6))
def test_chains_of_a_cluster_end_well(seed: int) -> None:
    """S14, read back from the store: a command, a report, a timer or the founding."""
    sim = lived(seed)
    assert check_log(sim.events, Written(sim)) > 0, "pods have lived"


@pytest.mark.parametrize("seed", [1, 2])
def test_chains_of_the_simulator_end_well(seed: int) -> None:
    """The same for the simulator's plans, with crashes, faults and many users."""
    plan = workload.plan(seed)
    world = simulate.build(plan, ())
    try:
        for action in plan.actions:
            actions.carry_out(world, action)
        check_log(world.events, Written(world))
    finally:
        world.close()


def test_a_dangling_chain_would_be_found() -> None:
    """The check fails where a cause is missing: an actor that begins nothing."""
    sim = SimCluster()
    sim.ask("deployment", "web", "create", {"manifest": manifest("web")})
    sim.settle()
    last = sim.events[-1]
    planted = Recorded(
        last.position, last.stream, last.version, 0.0, "scheduler", 0, "", last.event
    )
    with pytest.raises(AssertionError, match="began nothing"):
        check_log([planted], Written(sim))
