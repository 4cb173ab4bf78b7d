"""What the fifth and the sixth edition of a plan add: autoscalers, loads, guards and
measurements.

Half of the plans get nothing of it, a quarter autoscalers, a quarter guards (and some
both), so that the other editions' worlds are looked at on and on. What must meet to
come to something is drawn together, as an episode, and happens in one go.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

from domain import analysis
from tests.simulation import measuring

Drawn = tuple[str, dict[str, Any]]
Episode = tuple[Drawn, ...]

CHECKS: Final = (
    "- {name: errors, prometheus: q, max: 0.05, interval: 10s, count: 2}",
    "- {name: errors, prometheus: q, max: 0.05, interval: 5s, count: 4,"
    " failureLimit: 1, inconclusiveLimit: 1}",
    "- {name: errors, metric: m, max: 0.05, interval: 10s, initialDelay: 30s}\n"
    "- {name: up, check: {port: 80}, max: 0.5, interval: 5s, count: 1}",
    "{onFailure: pause, checks: [{name: errors, command: c, max: 0.05, count: 2}]}",
)
STEPS: Final = (
    "10%, analyse",
    "25%, analyse, 50%, pause, 75%, analyse",
    "50%, pause 20s",
    "pause",
)
MONITORS: Final = ("good", "bad", "mixed", "dead", "late", "wrong", "talkative")


def drawn(dice: Random, names: Sequence[str]) -> Iterator[Episode]:
    """The episodes that are added: the kind and the arguments of each action."""
    scaled, guarded = dice.choice(
        ((False, False), (False, False), (True, False), (False, True), (True, True))
    )
    if scaled:
        for each in _scaled(dice, names):
            yield (each,)
        yield tuple(_under_load(dice, names))
    if guarded:
        for each in _guarded(dice, names):
            yield (each,)
        for _ in range(dice.choice((1, 2))):
            yield tuple(_bad_release(dice, names))


def hurried(dice: Random, args: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an autoscaler that goes down with hardly any delay, and never
    up by itself: both together would turn without end (see `_autoscaler`)."""
    down = _rules(dice, (0, 15, 30))
    up = {**_rules(dice, (0,)), "selectPolicy": "Disabled"}
    behavior = {"scaleUp": up, "scaleDown": down}
    return {**args, "spec": {**args["spec"], "behavior": behavior}}


def _scaled(dice: Random, names: Sequence[str]) -> Iterator[Drawn]:
    for name in names[: dice.randint(1, 2)]:
        verb = "create"
        yield "autoscale", {"name": name, "verb": verb, "spec": _autoscaler(dice)}
        yield "load", {"name": name, "load": _load(dice)}
    for _ in range(dice.choice((2, 5, 9))):
        name = dice.choice(names)
        kind = dice.choice(("load", "load", "usage", "usage", "metric", "autoscale"))
        match kind:
            case "load":
                yield "load", {"name": name, "load": _load(dice)}
            case "usage":
                how = dice.choice(("true", *measuring.LIES, *measuring.HONEST))
                yield "usage fault", {"pick": dice.randrange(1_000), "how": how}
            case "metric":
                faults = ("", "nothing", "garbage", "old", "future", "negative")
                yield "metric fault", {"how": dice.choice(faults)}
            case _:
                verb = dice.choice(("apply", "apply", "create", "delete"))
                spec = _autoscaler(dice)
                yield "autoscale", {"name": name, "verb": verb, "spec": spec}
    for _ in range(dice.choice((1, 3))):  # long enough for something to come of it
        yield "time", {"seconds": dice.choice((70.0, 400.0))}


def _under_load(dice: Random, names: Sequence[str]) -> Iterator[Drawn]:
    """An autoscaler meets a load that goes up and comes down again."""
    name = dice.choice(names[:2])
    yield "declare", _wish(name, dice.choice((1, 2, 4)))
    yield "autoscale", {"name": name, "verb": "apply", "spec": _autoscaler(dice)}
    for base in (dice.choice((600, 2_000)), dice.choice((0, 50, 200))):
        yield "load", {"name": name, "load": {**_load(dice), "base": base}}
        how = dice.choice(("true", "true", *measuring.LIES, *measuring.HONEST))
        yield "usage fault", {"pick": dice.randrange(1_000), "how": how}
        yield "time", {"seconds": dice.choice((120.0, 400.0))}


def _wish(name: str, size: int) -> dict[str, Any]:
    spec: dict[str, Any] = {"progressDeadlineSeconds": 60}
    image = "app:1"
    return {"name": name, "image": image, "size": size, "verb": "apply", "spec": spec}


def _bad_release(dice: Random, names: Sequence[str]) -> Iterator[Drawn]:
    """A complete revision, a guard, and one that does not deserve to be complete."""
    name = dice.choice(names)
    changes = {**_policy(dice), analysis.STEPS: dice.choice((None, None, "50%"))}
    back = changes[analysis.AUTO_ROLLBACK]
    yield "declare", _wish(name, dice.choice((1, 2, 4)))
    yield "rollout", {"name": name, "verb": "resume"}
    yield "time", {"seconds": 20.0}
    yield "guard", {"name": name, "changes": changes}
    how = dice.choice(("bad", "bad", "mixed", "talkative", "late"))
    yield "monitor", {"how": how, "seed": dice.randrange(2**31)}
    stuck = back is None or "deadline" in back
    image = dice.choice(("app:bad", "app:worse") if stuck else ("app:3", "app:4"))
    if stuck:
        yield "image", {"name": image, "broken": True}
    yield "set image", {"name": name, "image": image}
    if back is not None and "crashes" in back:
        for _ in range(4):
            yield "crash loop", {"pick": dice.randrange(1_000), "times": 2}
    yield "time", {"seconds": dice.choice((70.0, 120.0))}


def _load(dice: Random) -> dict[str, Any]:
    return {
        "base": dice.choice((0, 50, 200, 600, 2_000)),
        "height": dice.choice((0, 0, 300, 1_500)),
        "period": dice.choice((60.0, 600.0)),
    }


def _autoscaler(dice: Random) -> dict[str, Any]:
    least = dice.choice((1, 1, 2, 3))
    metrics = dice.choice(
        (
            [_cpu({"type": "Utilization", "averageUtilization": 50})],
            [_cpu({"type": "Utilization", "averageUtilization": 80})],
            [_cpu({"type": "AverageValue", "averageValue": "100m"})],
            [_queue()],
            [_cpu({"type": "Utilization", "averageUtilization": 80}), _queue()],
        )
    )
    spec = {
        "minReplicas": least,
        "maxReplicas": least + dice.choice((0, 2, 6)),
        "metrics": metrics,
    }
    if dice.random() < 0.5:
        # A shorter window turns by itself: pods that have just started count on the
        # way up and not on the way down (spec 5.3), in Kubernetes too.
        up, down = _rules(dice, (0, 60, 300)), _rules(dice, (60, 300))
        spec["behavior"] = {"scaleUp": up, "scaleDown": down}
    return spec


def _cpu(target: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _queue() -> dict[str, Any]:
    metric = {"name": measuring.METRIC}
    target = {"type": "AverageValue", "averageValue": "100m"}
    return {"type": "External", "external": {"metric": metric, "target": target}}


def _rules(dice: Random, windows: Sequence[int]) -> dict[str, Any]:
    policy = {
        "type": dice.choice(("Pods", "Percent")),
        "value": dice.choice((1, 2, 50, 100)),
        "periodSeconds": dice.choice((15, 60)),
    }
    return {
        "stabilizationWindowSeconds": dice.choice(windows),
        "selectPolicy": dice.choice(("Max", "Min")),
        "policies": [policy],
    }


def _guarded(dice: Random, names: Sequence[str]) -> Iterator[Drawn]:
    for name in names[: dice.randint(1, 3)]:
        yield "guard", {"name": name, "changes": _policy(dice)}
    for _ in range(dice.choice((3, 6, 10))):
        name = dice.choice(names)
        kind = dice.choice(("guard", "monitor", "monitor", "step", "loop", "image"))
        match kind:
            case "guard":
                yield "guard", {"name": name, "changes": _policy(dice)}
            case "monitor":
                how, seed = dice.choice(MONITORS), dice.randrange(2**31)
                yield "monitor", {"how": how, "seed": seed}
            case "step":
                verb, body = dice.choice(
                    (("promote", {}), ("promote", {"full": True}), ("abort", {}))
                )
                yield "step", {"name": name, "verb": verb, "body": body}
            case "loop":
                pick, times = dice.randrange(1_000), dice.choice((2, 5))
                yield "crash loop", {"pick": pick, "times": times}
            case _:
                image = dice.choice(("app:1", "app:2", "app:bad", "app:bad"))
                yield "set image", {"name": name, "image": image}
    for _ in range(dice.choice((1, 3))):
        yield "time", {"seconds": dice.choice((20.0, 70.0))}


def _policy(dice: Random) -> dict[str, str | None]:
    """The annotations; what does not go together is refused, and changes nothing."""
    checks = dice.choice((None, *CHECKS))
    back = dice.choice(
        (None, "deadline", "crashes=1", "deadline, crashes=0", "analysis", "analysis")
    )
    if checks is None and back == "analysis":
        back = "deadline"
    if checks is not None and "pause" in checks and back == "analysis":
        back = "crashes"
    steps = dice.choice((None, None, *STEPS))
    if checks is None and steps is not None and "analyse" in steps:
        steps = None
    wanted = (back, steps, checks)
    return dict(zip(analysis.ANNOTATIONS, wanted, strict=True))
