"""From a seed to a plan: what happens in one simulated world, and when.

1. The whole plan is drawn before anything runs, so that it does not depend on what
   the code does, and a plan with fewer actions is a plan as well.
2. Plans have editions. What is drawn additionally is drawn with dice of its own, and
   only from its edition on, so that a seed which has once failed keeps its plan.

| edition | what it adds |
|---|---|
| 1 | |
| 2 | pods need time to start; the broker loses its stream of events, and goes away |
| 3 | objects made by hand, owners that users name, rollbacks asked for by annotation |
| 4 | rollouts in steps, which wait by time |
| 5 | autoscalers under loads, automatic rollbacks, analyses (workload_measured.py) |
| 6 | autoscalers that scale down at once, or nearly so |
| 7 | active checks that availability counts on (workload_checked.py) |
"""

from collections.abc import Iterable
from random import Random
from typing import Any, Final

import msgspec

from kubelet.hollow_runtime import HollowSettings
from tests.simulation import actions, workload_checked, workload_measured
from tests.simulation.actions import Action
from tests.support import simulated_broker
from tests.support.cluster import rolling

EDITION: Final = 7
"""The one from which new plans are drawn."""
NAMES: Final = ("web", "api", "job")
IMAGES: Final = ("app:1", "app:2", "app:3", "app:4", "app:bad", "app:worse")
LIMITS: Final[tuple[int | str, ...]] = (0, 1, 2, 3, "0%", "25%", "34%", "50%", "100%")
WAITS: Final = (0.0, 0.0, 0.05, 0.3, 1.0, 3.0, 8.0, 30.0)
INVALID: Final[tuple[tuple[str, str, object], ...]] = (
    ("deployment", "scale", {"replicas": -1}),
    ("deployment", "scale", {"replicas": "many"}),
    ("deployment", "scale", {"replicas": 3, "currentReplicas": 99}),
    ("deployment", "set-image", {"images": {"nobody": "app:1"}}),
    ("deployment", "undo", {"toRevision": 99}),
    ("deployment", "undo", {"toRevision": -1}),
    ("deployment", "apply", {"manifest": {"kind": "Deployment"}}),
    ("deployment", "create", {"manifest": {"apiVersion": "apps/v1", "kind": "Pod"}}),
    ("deployment", "fly", {}),
    ("pod", "delete", {}),
    ("node", "cordon", {}),
    ("nobody", "create", {}),
)


_STEPS: Final = (None, "10%, pause 20s", "50%", "pause 5s, 34%, pause 10s, 67%")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A world and what happens in it."""

    seed: int
    edition: int = EDITION
    nodes: int
    allocatable: dict[str, str]
    events_per_step: int
    hollow: HollowSettings
    actions: tuple[Action, ...]


def plan(seed: int, edition: int = EDITION) -> Plan:
    """The plan of this seed: equal seeds and editions, equal plans."""
    dice = Random(f"plan/{seed}")
    nodes = dice.randint(2, 5)
    cpu = dice.choice(("1", "2", "4"))
    wishes = [_declare(dice, name, "create") for name in NAMES[: dice.randint(1, 3)]]
    length = dice.randint(12, 80)
    first = Plan(
        seed=seed,
        edition=1,
        nodes=nodes,
        allocatable={"cpu": cpu, "memory": "8Gi", "pods": dice.choice(("12", "110"))},
        events_per_step=dice.choice((20, 100, 2_000)),
        hollow=HollowSettings(
            ready_delay=(0.0, dice.choice((0.0, 1.0, 5.0))),
            stop_delay=(0.0, dice.choice((0.0, 0.5, 8.0))),
            seed=seed,
        ),
        actions=(
            Action("image", 0.0, {"name": "app:bad", "broken": True}),
            *wishes,
            *(_action(dice) for _ in range(length)),
        ),
    )
    if edition == 1:
        return first
    second = _second(first)
    if edition == 2:
        return second
    third = _third(second)
    if edition == 3:
        return third
    fourth = _fourth(third)
    if edition == 4:
        return fourth
    fifth = _fifth(fourth)
    if edition == 5:
        return fifth
    sixth = _sixth(fifth)
    return sixth if edition == 6 else _seventh(sixth)


def _second(first: Plan) -> Plan:
    """The second edition of a plan."""
    dice = Random(f"plan/{first.seed}/2")
    start = dice.choice((0.0, 0.5, 3.0, 3.0, 9.0))
    found = [*first.actions]
    for _ in range(dice.choice((0, 1, 2, 4))):
        how = dice.choice((*simulated_broker.FAULTS, "broker away"))
        harm = {"how": how, "number": dice.randrange(60)}
        action = Action("broker", dice.choice(WAITS), harm)
        found.insert(dice.randrange(1, len(found)), action)
    return msgspec.structs.replace(
        first,
        edition=2,
        hollow=msgspec.structs.replace(first.hollow, start_delay=(0.0, start)),
        actions=tuple(found),
    )


def _third(second: Plan) -> Plan:
    """The third edition of a plan."""
    dice = Random(f"plan/{second.seed}/3")
    found = [*second.actions]
    for _ in range(dice.choice((0, 2, 4, 8))):
        kind = dice.choice([*_OWNING])
        action = Action(kind, dice.choice(WAITS), _OWNING[kind](dice))
        found.insert(dice.randrange(1, len(found) + 1), action)
    return msgspec.structs.replace(second, edition=3, actions=tuple(found))


def _fourth(third: Plan) -> Plan:
    """The fourth edition of a plan."""
    dice = Random(f"plan/{third.seed}/4")
    found = [*third.actions]
    for _ in range(dice.choice((0, 0, 2, 4))):
        how = {**_name(dice), "steps": dice.choice(_STEPS)}
        action = Action("watch", dice.choice(WAITS), how)
        found.insert(dice.randrange(1, len(found) + 1), action)
    return msgspec.structs.replace(third, edition=4, actions=tuple(found))


def _fifth(fourth: Plan) -> Plan:
    """The fifth edition of a plan."""
    dice = Random(f"plan/{fourth.seed}/5")
    found = _with(fourth, workload_measured.drawn(dice, NAMES), dice)
    return msgspec.structs.replace(fourth, edition=5, actions=found)


def _sixth(fifth: Plan) -> Plan:
    """The sixth edition of a plan."""
    dice = Random(f"plan/{fifth.seed}/6")
    found = [
        msgspec.structs.replace(each, args=workload_measured.hurried(dice, each.args))
        if each.kind == "autoscale" and dice.random() < 0.3
        else each
        for each in fifth.actions
    ]
    return msgspec.structs.replace(fifth, edition=6, actions=tuple(found))


def _seventh(sixth: Plan) -> Plan:
    """The seventh edition of a plan."""
    dice = Random(f"plan/{sixth.seed}/7")
    found = _with(sixth, workload_checked.drawn(dice, NAMES), dice)
    return msgspec.structs.replace(sixth, edition=7, actions=found)


def _with(
    before: Plan, episodes: Iterable[workload_measured.Episode], dice: Random
) -> tuple[Action, ...]:
    """The actions of the plan with these episodes between them."""
    found = [*before.actions]
    for episode in episodes:
        added = [Action(kind, dice.choice(WAITS), args) for kind, args in episode]
        at = dice.randrange(1, len(found) + 1)
        found[at:at] = added
    return tuple(found)


def _action(dice: Random) -> Action:
    kind = dice.choices([*_DRAWS], weights=[each[0] for each in _DRAWS.values()])[0]
    wait = dice.choice(WAITS)
    return Action(kind, wait, _DRAWS[kind][1](dice))


def _declare(dice: Random, name: str, verb: str) -> Action:
    return Action("declare", dice.choice(WAITS), _wish(dice, name, verb))


def _wish(dice: Random, name: str, verb: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "revisionHistoryLimit": dice.choice((0, 1, 2, 10)),
        "minReadySeconds": dice.choice((0, 0, 2, 10)),
    }
    if dice.random() < 0.3:
        spec["progressDeadlineSeconds"] = dice.choice((30, 60))
    if dice.random() < 0.1:
        spec["paused"] = True
    if dice.random() < 0.25:
        spec["strategy"] = {"type": "Recreate"}
    else:
        surge, unavailable = dice.choice(LIMITS), dice.choice(LIMITS)
        if surge in (0, "0%") and unavailable in (0, "0%"):
            surge = 1
        spec["strategy"] = rolling(surge, unavailable)
    pod: dict[str, Any] = {}
    if dice.random() < 0.3:
        pod["tolerations"] = [
            {
                "key": "maintenance",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 20,
            }
        ]
    if dice.random() < 0.3:
        pod["terminationGracePeriodSeconds"] = dice.choice((0, 2, 5))
    return {
        "name": name,
        "image": dice.choice(IMAGES[:5]),
        "size": dice.choice((0, 1, 2, 3, 4, 6, 8, 10)),
        "verb": verb,
        "spec": {**spec, "pod": pod},
    }


def _name(dice: Random) -> dict[str, Any]:
    return {"name": dice.choice(NAMES)}


def _pick(dice: Random) -> dict[str, Any]:
    return {"pick": dice.randrange(1_000)}


def _replicaset(dice: Random) -> dict[str, Any]:
    verb, body = dice.choice(
        (("scale", {"replicas": dice.randint(0, 5)}), ("delete", {}))
    )
    return {**_pick(dice), "verb": verb, "body": body}


def _invalid(dice: Random) -> dict[str, Any]:
    kind, verb, body = dice.choice(INVALID)
    return {"kind": kind, **_name(dice), "verb": verb, "body": body}


def _weather(dice: Random) -> dict[str, Any]:
    share = dice.choice((0.05, 0.2, 0.5))
    bad = {
        "lose": share * dice.random(),
        "delay": share * dice.random(),
        "repeat": share * dice.random(),
        "reorder": dice.random(),
    }
    seconds = dice.choice((2.0, 10.0, 60.0))
    return {"seed": dice.randrange(2**31), "seconds": seconds, "bad": bad}


_FAULTS: Final = (
    "partition",
    "power loss",
    "reboot",
    "kubelet crash",
    "back",
    "back",
)
_CRASHES: Final = (
    "now",
    "power",
    "before commit",
    "before saying",
    "half said",
    "pipelined",
    "lost",
    "torn",
    "kept",
    "written",
    "not written",
)

_DRAWS: Final[dict[str, tuple[int, Any]]] = {
    "declare": (
        6,
        lambda d: _wish(d, d.choice(NAMES), d.choice(("create", "apply", "apply"))),
    ),
    "scale": (8, lambda d: {**_name(d), "size": d.randint(0, 12)}),
    "set image": (12, lambda d: {**_name(d), "image": d.choice(IMAGES)}),
    "burst": (
        2,
        lambda d: {
            **_name(d),
            "images": [d.choice(IMAGES) for _ in range(d.choice((4, 20)))],
        },
    ),
    "undo": (6, lambda d: {**_name(d), "revision": d.choice((0, 0, 1, 2, 3))}),
    "rollout": (
        8,
        lambda d: {
            **_name(d),
            "verb": d.choice(("pause", "resume", "resume", "restart")),
        },
    ),
    "delete": (
        3,
        lambda d: {
            **_name(d),
            "how": d.choice(("background", "foreground", "orphan")),
        },
    ),
    "label pod": (3, lambda d: {**_pick(d), "value": d.choice((*NAMES, "loose"))}),
    "end pod": (
        5,
        lambda d: {
            **_pick(d),
            "verb": d.choice(("delete", "evict")),
            "grace": d.choice((None, None, 0, 3)),
        },
    ),
    "replicaset": (1, _replicaset),
    "annotate": (2, lambda d: {**_name(d), "value": d.choice("abc")}),
    "invalid": (3, _invalid),
    "dry run": (1, lambda d: {**_name(d), "size": d.randint(0, 9)}),
    "command again": (3, _pick),
    "garbage": (1, _pick),
    "node command": (
        4,
        lambda d: {**_pick(d), "verb": d.choice(("cordon", "uncordon", "delete"))},
    ),
    "taint": (
        2,
        lambda d: {**_pick(d), "effect": d.choice(("NoExecute", "NoSchedule", ""))},
    ),
    "drain": (1, _pick),
    "node fault": (
        9,
        lambda d: {
            **_pick(d),
            "how": d.choice(_FAULTS),
            "skew": d.choice((0.0, 0.0, 86_400.0, -86_400.0, 5.0)),
        },
    ),
    "pod fault": (4, lambda d: {**_pick(d), "said": d.choice(("failed", "unready"))}),
    "old message": (5, lambda d: {**_pick(d), "down": d.random() < 0.5}),
    "liar": (2, _pick),
    "image": (
        2,
        lambda d: {
            "name": d.choice(("app:bad", "app:worse")),
            "broken": d.random() < 0.5,
        },
    ),
    "crash": (12, lambda d: {"how": d.choice(_CRASHES)}),
    "replace control": (2, lambda _: {}),
    "weather": (8, _weather),
    "pause": (1, lambda d: {"seconds": d.choice((5.0, 120.0, 86_400.0))}),
    "wall": (1, lambda d: {"seconds": d.choice((86_400.0, -86_400.0, 30.0))}),
    "time": (3, lambda d: {"seconds": d.choice((20.0, 70.0, 400.0))}),
}

_OWNING: Final[dict[str, Any]] = {
    "make": lambda d: {
        **_pick(d),
        **_name(d),
        "kind": d.choice(("pod", "replicaset", "replicaset")),
        "image": d.choice(IMAGES[:3]),
        "size": d.randint(0, 4),
        "owners": d.choice(actions.OWNERS),
        "twin": d.random() < 0.3,
    },
    "give owners": lambda d: {
        **_pick(d),
        "kind": d.choice(("pod", "replicaset")),
        "owners": d.choice(actions.OWNERS),
        "verb": d.choice(("apply", "replace")),
    },
    "ask for a rollback": lambda d: {
        **_name(d),
        "revision": d.choice(("0", "0", "1", "2", "3", "99", "latest")),
    },
}
"""What the third edition adds."""
