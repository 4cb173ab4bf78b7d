"""Random wishes and faults: S6, S7, S9, I1 to I4, I9 to I12, L1 and L7.

The rules are checked in `tests.domain.plans.cluster` after every single write. The last
test plants a fault in the planner for each rule and expects it to be found, so that no
rule is one that cannot fail.
"""

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from domain.plans import fenceposts, history, rolling, rollout, scaling
from tests.domain.plans.cluster import Cluster, run

Operation = tuple[str, Any]


def _fail_a_pod(cluster: Cluster, index: int) -> None:
    pods = [pod for owner in cluster.owners for pod in owner.active() if pod.ready]
    if pods:
        pods[index % len(pods)].ready = False


def _lose_a_pod(cluster: Cluster, index: int) -> None:
    """A pod is deleted by hand, or with its node; its ReplicaSet notices at once."""
    pods = [pod for owner in cluster.owners for pod in owner.active()]
    if pods:
        pods[index % len(pods)].terminating = True
        cluster._act()


def _break(cluster: Cluster, template: str) -> None:
    cluster.broken.add(template)


DO: dict[str, Callable[[Cluster, Any], object]] = {
    "template": lambda cluster, name: setattr(cluster, "template", name),
    "scale": lambda cluster, size: cluster.change(replicas=size),
    "surge": lambda cluster, room: cluster.change(max_surge=room),
    "unavailable": lambda cluster, room: cluster.change(max_unavailable=room),
    "pause": lambda cluster, paused: cluster.change(paused=paused),
    "ready": lambda cluster, count: cluster.become_available(count),
    "reap": lambda cluster, _: cluster.reap(),
    "fail": _fail_a_pod,
    "lose": _lose_a_pod,
    "break": _break,
    "wait": lambda cluster, seconds: setattr(cluster, "now", cluster.now + seconds),
    "sync": lambda cluster, count: [cluster.sync() for _ in range(count)],
    "settle": lambda cluster, _: cluster.settle(),
}

ARGUMENTS: dict[str, list[Any]] = {
    "template": ["A", "B", "C", "D"],
    "scale": [0, 1, 2, 3, 5, 10, 13],
    "surge": [0, 1, "25%", "100%"],
    "unavailable": [0, 1, "25%", "100%"],
    "pause": [True, False],
    "ready": [1, 2, 5],
    "reap": [0],
    "fail": [0, 1, 7],
    "lose": [0, 1, 7],
    "break": ["B", "C"],
    "wait": [1.0, 700.0],
    "sync": [1, 2, 3],
    "settle": [0],
}

operations = st.lists(
    st.sampled_from(sorted(ARGUMENTS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(ARGUMENTS[name]))
    ),
    max_size=30,
)


def play(script: list[Operation], cluster: Cluster) -> None:
    steps = [lambda each, n=name, a=arg: DO[n](each, a) for name, arg in script]
    run(steps, cluster)


@settings(deadline=None, max_examples=150)
@given(
    script=operations,
    replicas=st.sampled_from([0, 1, 3, 10]),
    strategy=st.sampled_from(["RollingUpdate", "Recreate"]),
    limit=st.sampled_from([0, 1, 10]),
    watches=st.booleans(),
)
def test_no_write_breaks_a_rule_and_every_path_ends_in_the_last_wish(
    script: list[Operation], replicas: int, strategy: str, limit: int, watches: bool
) -> None:
    """Safety after each write, and the fixed point at the end."""
    cluster = Cluster(
        replicas, strategy=strategy, revision_history_limit=limit, watches=watches
    )
    play(script, cluster)
    event(f"{strategy}: {min(len(cluster.log) // 5 * 5, 20)}+ writes of a size")


@settings(deadline=None, max_examples=50)
@given(script=operations, strategy=st.sampled_from(["RollingUpdate", "Recreate"]))
def test_the_same_script_gives_the_same_writes(
    script: list[Operation], strategy: str
) -> None:
    """A plan is a function of its facts (I13)."""
    first, second = Cluster(10, strategy=strategy), Cluster(10, strategy=strategy)
    play(script, first)
    play(script, second)

    assert first.log == second.log


def _greedy(original: Any) -> Any:
    def remove_available(wish: Any, active: Any, sizes: Any, available: int) -> Any:
        return original(wish, active, sizes, available + 1)

    return remove_available


def _boundless(original: Any) -> Any:
    def new_replicas(**facts: int) -> int:
        return int(original(**{**facts, "total": facts["new"]}))

    return new_replicas


def _impatient(_: Any) -> Any:
    return lambda *_: False


def _repeating(original: Any) -> Any:
    return lambda revisions: max(1, original(revisions) - 1)


def _eager(_: Any) -> Any:
    return lambda *_: True


def _restless(_: Any) -> Any:
    return lambda *_: True


def _forgetful(_: Any) -> Any:
    return lambda *_: ()


def _silent(_: Any) -> Any:
    return lambda *_: False


def _stubborn(_: Any) -> Any:
    return lambda *_: ()


FAULTS: list[tuple[ModuleType, str, Callable[[Any], Any], str]] = [
    (rolling, "remove_available", _greedy, "S6"),
    (fenceposts, "new_replicas", _boundless, "S7"),
    (rollout, "_old_pods_running", _impatient, "S9"),
    (history, "next_revision", _repeating, "I4"),
    (history, "_is_spent", _eager, "I12"),
    (scaling, "_is_stale", _restless, "L1, I11"),
    (history, "expired", _forgetful, "I12"),
    (rollout, "is_complete", _silent, "L3"),
    (rolling, "shrink_old", _stubborn, "L7"),
]


@pytest.mark.parametrize(
    ("module", "name", "fault", "rule"), FAULTS, ids=[each[1] for each in FAULTS]
)
def test_a_planted_fault_is_found(
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    fault: Callable[[Any], Any],
    rule: str,
) -> None:
    """Each rule fails for a planner that breaks it."""
    monkeypatch.setattr(module, name, fault(getattr(module, name)))
    dice = random.Random(1)
    found: set[str] = set()
    for _ in range(300):
        names = dice.choices(sorted(ARGUMENTS), k=20)
        script = [(each, dice.choice(ARGUMENTS[each])) for each in names]
        strategy = dice.choice(["RollingUpdate", "Recreate"])
        limit = dice.choice([0, 1])
        cluster = Cluster(5, strategy=strategy, revision_history_limit=limit)
        try:
            play(script, cluster)
        except AssertionError as failure:
            found.add(str(failure).splitlines()[0])
        if any(rule in each for each in found):
            return
    raise AssertionError(f"{rule} was never broken, only {found}")
