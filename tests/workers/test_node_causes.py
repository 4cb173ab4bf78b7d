"""Causes of what becomes of a node's pods: its health, and nothing else about it.

`why` shows these chains to people; what a node merely went through in the meantime (a
label, an account of its reports) would send them the wrong way.
"""

from collections.abc import Callable

import pytest

from domain import node, pod
from domain.events import Recorded
from tests.support.cluster import SimCluster, manifest
from workers.state import Settings

LOST = "worker-1"


def account_for_reports(sim: SimCluster) -> None:
    """An account of the node's last reports falls due after it was lost."""
    sim.run_for(200.0)
    assert sim.of(node.ReportsCounted)[-1].position > sim.of(node.NodeLost)[-1].position


def label_it(sim: SimCluster) -> None:
    """Somebody labels the node while its pods' time runs out."""
    said = sim.ask("node", LOST, "label", {"changes": {"rack": "7"}})
    assert said.result == "accepted"


def cordon_it(sim: SimCluster) -> None:
    """Somebody cordons the node while its pods' time runs out."""
    assert sim.ask("node", LOST, "cordon").result == "accepted"


def cause_of(sim: SimCluster, effect: Recorded) -> Recorded:
    """The event that another one names as its cause."""
    found = sim.events[effect.cause - 1]
    assert found.position == effect.cause
    return found


@pytest.mark.parametrize("meanwhile", [account_for_reports, label_it, cordon_it])
def test_an_eviction_is_caused_by_the_loss_of_the_node(
    meanwhile: Callable[[SimCluster], None],
) -> None:
    """Given a lost node to which something else happens: because it was lost."""
    sim = SimCluster(3, settings=Settings(count_reports_every=180.0))
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=3)})
    sim.settle()
    sim.nodes[LOST].cut(sim.now)
    sim.run_for(60.0)
    meanwhile(sim)
    sim.run_for(400.0)

    evicted = sim.of(pod.PodTerminationRequested)[0]
    lost = cause_of(sim, evicted)
    assert isinstance(lost.event, node.NodeLost)
    unready = cause_of(sim, lost)
    assert isinstance(unready.event, node.NodeBecameUnready)
    assert unready.cause == 0, "the clock begins the chain"


def test_an_eviction_for_a_taint_is_caused_by_that_taint() -> None:
    """Given a NoExecute taint, then another one that evicts nobody: the first."""
    sim = SimCluster(1)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=1)})
    sim.settle()
    harmless = {"key": "disk", "value": "slow", "effect": "NoSchedule"}
    hard = {"key": "disk", "value": "broken", "effect": "NoExecute"}
    sim.ask("node", LOST, "taint", {"taints": [harmless]})
    sim.ask("node", LOST, "taint", {"taints": [harmless, hard]})
    sim.run_for(5.0)

    tainted = cause_of(sim, sim.of(pod.PodTerminationRequested)[0])
    assert isinstance(tainted.event, node.NodeTainted)
    assert hard["effect"] in {each.effect for each in tainted.event.taints}
