"""Short stories about who listens, and to whom: see scripts.py.

The checkers of subscriber_checkers.py look on here, and nowhere else among the scripts:
what they watch is not touched by the other mutants.
"""

from random import Random
from typing import Final

from kubelet.hollow_runtime import HollowSettings
from tests.properties import checkers, subscriber_checkers
from tests.properties.scripts import Script, create, scale
from tests.simulation.world import World
from tests.support import simulated_broker
from tests.support.cluster import SimCluster
from workers.state import Settings


def harmed_stream() -> SimCluster:
    """EVENTS is deleted, truncated and purged; wires are bad; control is killed."""
    listening = [each() for each in subscriber_checkers.SUITE]
    sim = SimCluster(watchers=listening)
    try:
        create(sim, 3)
        for number, how in enumerate((*simulated_broker.FAULTS, "broker away"), 2):
            sim.harm.append((how, 13))
            scale(sim, 2 * number)
            sim.settle()
        for number in range(6):
            sim.faults = Random(number)
            scale(sim, 3 * number)
            sim.run_for(8.0)
            sim.crash_control()
        checkers.rest(sim)
    finally:
        sim.close()
    return sim


def replaced_control() -> SimCluster:
    """A control was paused for a while; it wakes up and hears a node ask (S12)."""
    world = World(
        2,
        allocatable={"cpu": "4", "memory": "8Gi", "pods": "110"},
        settings=Settings(),
        hollow=HollowSettings(),
        watchers=(),
    )
    create(world, 2)
    world.replace_control()
    paused, world.zombie = world.zombie, None
    scale(world, 6)
    world.settle()
    world.zombie = paused
    for worker in world.nodes.values():
        worker.connect(world.now)
    world.run_for(30.0)
    assert world.silenced, "it had something to say"
    runs = sum(len(worker.pods) for worker in world.nodes.values())
    assert runs == 6, "nothing is run or ended on its word"
    return world


def purged_under_two() -> SimCluster:
    """EVENTS is purged while the relay of a replaced control runs beside the new one:
    the one goes on where it was, the other begins with the log (L6)."""
    copies = subscriber_checkers.Copies()
    world = World(
        2,
        allocatable={"cpu": "4", "memory": "8Gi", "pods": "110"},
        settings=Settings(),
        hollow=HollowSettings(),
        watchers=[copies],
    )
    try:
        create(world, 2)
        world.run_for(2 * simulated_broker.WINDOW)
        world.harm.append(("stream purged", 0))
        world.replace_control()
        scale(world, 3)
        checkers.rest(world)
    finally:
        world.close()
    return world


SCRIPTS: Final[tuple[Script, ...]] = (
    harmed_stream,
    replaced_control,
    purged_under_two,
)
