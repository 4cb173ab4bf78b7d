"""Short stories about what gets lost, and about what must be said: see scripts.py."""

from typing import Final

from tests.properties import checkers
from tests.properties.scripts import Script, cluster, create, scale, set_image
from tests.support.cluster import SimCluster


def replaced_while_it_ends() -> SimCluster:
    """Spec 3.10: a replacement does not wait for the old pod to disappear."""
    sim = cluster()
    create(sim, 3)
    victim = next(iter(sim.cluster.actual.pods.values()))
    sim.ask("pod", victim.name, "delete")
    active = [held for held in sim.cluster.actual.pods.values() if held.active]
    assert len(active) == 3, "a pod that is asked to end is replaced in the same step"
    checkers.rest(sim)
    return sim


def nothing_to_revert() -> SimCluster:
    """Spec 6.8, row 6: a rollback to what runs already says so."""
    sim = cluster()
    create(sim, 2)
    set_image(sim, "app:2")
    sim.settle()
    answer = sim.ask("deployment", "web", "undo", {"toRevision": 2})
    assert answer.result == "unchanged", "there was nothing to do"
    assert "already matches revision 2" in answer.message, "the user is told why"
    checkers.rest(sim)
    return sim


def a_report_is_lost() -> SimCluster:
    """The report of one pod is lost, the next one arrives: the first is said again."""
    sim = cluster(nodes=1)
    create(sim, 2)
    worker = next(iter(sim.nodes.values()))
    first, second = worker.pods
    sim.jump(1.0)
    worker.say(sim.now, first, "failed")
    assert worker.up, "a change is reported at once"
    worker.up.clear()
    sim.jump(0.3)
    worker.say(sim.now, second, "unready")
    sim.run_for(30.0)
    failed = [held for held in sim.cluster.actual.pods.values() if held.terminal]
    assert [held.uid for held in failed] == [first], (
        "what was in the lost report is in another one"
    )
    checkers.rest(sim)
    return sim


def refused_twice() -> SimCluster:
    """S3: a command that was refused stays refused, also when it would be good now."""
    sim = cluster()
    create(sim, 2)
    first = sim.ask("deployment", "web", "scale", {"replicas": -1}, id_="mine")
    again = sim.ask("deployment", "web", "scale", {"replicas": 5}, id_="mine")
    assert again == first, "the same id has one answer"
    checkers.rest(sim)
    return sim


def an_assignment_is_lost() -> SimCluster:
    """The last message to the nodes is lost, and no other follows (bug B3)."""
    sim = cluster()
    create(sim, 3)
    scale(sim, 6)
    for worker in sim.nodes.values():
        worker.down.clear()
    sim.run_for(60.0)
    assert sum(len(worker.pods) for worker in sim.nodes.values()) == 6, (
        "a kubelet that has missed what it was told is noticed by its heartbeat"
    )
    checkers.rest(sim)
    return sim


def a_full_report_crosses() -> SimCluster:
    """A full report is on its way while its node is given another pod (bug B1's kin):
    it says nothing about that pod."""
    sim = cluster(nodes=1)
    create(sim, 2)
    worker = next(iter(sim.nodes.values()))
    worker.connect(sim.now)
    held: list[bytes] = []
    for _ in range(20):
        sim.pump()
        worker.tick(sim.now)
        if worker.up and b'"full":true' in worker.up[-1]:
            held = [*worker.up]
            worker.up.clear()
            break
        sim.round(sim.now + 0.05, progress=False)
    assert held, "a kubelet that connects says how all of its pods are"
    scale(sim, 4)
    position = len(sim.log)
    worker.up[:0] = held
    sim.pump()
    assert "PodRemoved" not in sim.kinds(position), (
        "a full report judges only what its node had been told"
    )
    checkers.rest(sim)
    return sim


def ended_by_force() -> SimCluster:
    """A pod that is deleted by force ends on its node too (bug B6)."""
    sim = cluster()
    create(sim, 3)
    victim = next(iter(sim.cluster.actual.pods.values()))
    sim.ask("pod", victim.name, "delete", {"grace": 0})
    checkers.rest(sim)
    assert victim.uid not in {
        uid for worker in sim.nodes.values() for uid in worker.pods
    }, "what is gone runs nowhere"
    return sim


SCRIPTS: Final[tuple[Script, ...]] = (
    replaced_while_it_ends,
    nothing_to_revert,
    a_report_is_lost,
    refused_twice,
    an_assignment_is_lost,
    a_full_report_crosses,
    ended_by_force,
)
