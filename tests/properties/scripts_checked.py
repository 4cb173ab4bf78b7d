"""Short stories of active checks that availability counts on: see scripts.py."""

from typing import Any, Final

from domain.active_check import ANNOTATION, PodChecked
from domain.pod import Pod
from tests.properties import active_check_checkers, checkers
from tests.properties.scripts import Script, cluster, create, set_image
from tests.simulation.active_checks import word
from tests.support.cluster import SimCluster, manifest, rolling

ASKED: Final = "{port: 80, interval: 5s}"


def _checked_cluster(replicas: int, **spec: Any) -> SimCluster:
    """A Deployment `web` whose pods are ready and to be checked."""
    sim = cluster()
    checked = (each() for each in active_check_checkers.SUITE)
    sim.watchers = (*checked, *sim.watchers)
    sim.state.watchers = sim.watchers
    create(sim, replicas, **spec)
    changes = {"changes": {ANNOTATION: ASKED}, "overwrite": True}
    sim.ask("deployment", "web", "annotate", changes)
    return sim


def _pods(sim: SimCluster, name: str = "web") -> list[Pod]:
    found = sim.cluster.actual.pods.values()
    return [each for each in found if each.name.startswith(name) and each.active]


def _say(sim: SimCluster, held: Pod, *, passing: bool) -> None:
    sim.step(word(held, passing=passing))


def _available(sim: SimCluster) -> int:
    owner = sim.cluster.desired.deployments["deployment/default/web"]
    held = sim.cluster.desired.replicasets_of(owner)
    return sum(sim.cluster.actual.tally(each.key).available for each in held)


def nodes_go_on_to_call_it_ready() -> SimCluster:
    """A pod that fails stays, and is not ready: not when its container starts anew, not
    when control does, and not when a node tells all that it has. When it passes, its
    minReadySeconds begin."""
    sim = _checked_cluster(4, minReadySeconds=10)
    sim.run_for(20.0)
    one = _pods(sim)[0]
    _say(sim, one, passing=False)
    assert _available(sim) == 3, "one of four is held back"
    node = sim.nodes[one.node]
    node.say(sim.now, one.uid, "unready")
    sim.run_for(3.0)
    sim.crash_control()
    node.cut(sim.now)
    node.connect(sim.now)
    sim.run_for(3.0)
    assert len(_pods(sim)) == 4, "no pod ends, and no pod is made"
    _say(sim, one, passing=True)
    assert _available(sim) == 3, "its minReadySeconds begin anew"
    sim.run_for(20.0)
    assert _available(sim) == 4, "all four are available again"
    checkers.rest(sim)
    return sim


def the_monitor_dies() -> SimCluster:
    """What nobody repeats holds nothing back: after a minute and a look."""
    sim = _checked_cluster(3)
    for each in _pods(sim):
        _say(sim, each, passing=False)
    assert _available(sim) == 0, "all three are held back"
    sim.run_for(70.0)
    assert _available(sim) == 3, "a dead monitor holds no pod back"
    checkers.rest(sim)
    return sim


def nobody_asked() -> SimCluster:
    """A word on pods whose Deployment does not ask, or asks no more."""
    sim = _checked_cluster(2)
    sim.ask("deployment", "api", "create", {"manifest": manifest("api", replicas=2)})
    sim.settle()
    _say(sim, _pods(sim, "api")[0], passing=False)
    assert not sim.of(PodChecked), "nobody asked"
    _say(sim, _pods(sim)[0], passing=False)
    changes = {"changes": {ANNOTATION: None}, "overwrite": True}
    sim.ask("deployment", "web", "annotate", changes)
    sim.run_for(10.0)
    _say(sim, _pods(sim)[0], passing=False)
    assert _available(sim) == 2, "what is not asked for any more holds nothing back"
    checkers.rest(sim)
    return sim


def a_rollout_waits() -> SimCluster:
    """The new pods fail: the old ones stay, but for maxUnavailable. They pass, and it
    ends."""
    sim = _checked_cluster(4, minReadySeconds=10, strategy=rolling(1, 1))
    sim.run_for(20.0)
    old = {each.key for each in _pods(sim)}
    set_image(sim, "app:2")
    for _ in range(20):
        sim.run_for(2.0)
        for each in _pods(sim):
            if each.ready and each.key not in old:
                _say(sim, each, passing=False)
    left = {each.key for each in _pods(sim)} & old
    assert len(left) == 3, "one may be unavailable"
    for each in _pods(sim):
        _say(sim, each, passing=True)
    sim.run_for(60.0)
    assert not {each.key for each in _pods(sim)} & old, "the rollout ends"
    checkers.rest(sim)
    return sim


SCRIPTS: Final[tuple[Script, ...]] = (
    nodes_go_on_to_call_it_ready,
    the_monitor_dies,
    nobody_asked,
    a_rollout_waits,
)
