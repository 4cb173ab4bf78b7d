"""What a checker is, and the arithmetic that checkers do by themselves.

1. A checker looks on (tests/support/cluster.py) and asserts one property, with a
   sentence that says what must hold.
2. `reached` counts how often its guard was met: a property that nothing ever met
   was not checked.
3. Nothing here is taken from the planners: an oracle that shares their arithmetic
   would share their faults.
"""

from fractions import Fraction
from typing import Final, Literal, NamedTuple

import msgspec

from domain import podspec
from domain.deployment import Deployment
from domain.pod import Pod
from domain.replicaset import ReplicaSet
from tests.support.watching import Watcher
from workers.state import State

HASH: Final = "pod-template-hash"


class Checker(Watcher):
    """One property; `kind` says whether it holds always or in the end."""

    id: str = ""
    kind: Literal["safety", "liveness"] = "safety"

    def __init__(self) -> None:
        self.reached: int = 0


class Room(NamedTuple):
    """How far a rollout may go over and under the wanted size."""

    surge: int
    unavailable: int


def room(owner: Deployment) -> Room:
    """Spec 2.6 in fractions: surge rounds up, unavailable down, not both are zero."""
    if owner.spec.strategy.type == "Recreate":
        return Room(0, 0)
    update = owner.spec.strategy.rolling_update
    assert update is not None, "a default fills it in"
    surge = -(-_share(update.max_surge, owner.replicas) // 1)
    unavailable = _share(update.max_unavailable, owner.replicas) // 1
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Room(int(surge), int(min(unavailable, owner.replicas)))


def _share(value: int | str | None, replicas: int) -> Fraction:
    assert value is not None, "a default fills it in"
    if isinstance(value, int):
        return Fraction(value)
    return Fraction(int(value.removesuffix("%")) * replicas, 100)


def half_away(value: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def replicasets_of(state: State, owner: Deployment) -> list[ReplicaSet]:
    """The ReplicaSets that the Deployment controls, oldest first."""
    held = [
        each
        for each in state.cluster.desired.replicasets.values()
        if each.owner == owner.key and each.owner_uid == owner.uid
    ]
    return sorted(held, key=lambda each: (each.created_at, each.name))


def pods_of(state: State, replicaset: ReplicaSet) -> list[Pod]:
    """Every pod that names this very ReplicaSet as its owner, not one before it."""
    mine = (replicaset.key, replicaset.uid)
    pods = state.cluster.actual.pods.values()
    return [each for each in pods if (each.owner, each.owner_uid) == mine]


def is_available(state: State, pod: Pod) -> bool:
    """Ready, not on its way out, and for long enough as far as that was recorded."""
    held = state.cluster.desired.replicasets.get(pod.owner)
    waits = held.min_ready_seconds if held is not None else 0
    return is_active(pod) and pod.ready and pod.ready_seconds >= waits


def is_terminal(pod: Pod) -> bool:
    """It has ended for good."""
    return pod.phase in ("Failed", "Succeeded")


def is_active(pod: Pod) -> bool:
    """It counts for its ReplicaSet."""
    return pod.stage != "terminating" and not is_terminal(pod)


def plain(template: podspec.PodTemplateSpec) -> bytes:
    """The template as text without the hash label: equal templates, equal texts."""
    values = dict(template.metadata.labels)
    values.pop(HASH, None)
    bare = msgspec.structs.replace(
        template, metadata=msgspec.structs.replace(template.metadata, labels=values)
    )
    return msgspec.json.encode(bare, order="deterministic")


def template_of(state: State, replicaset: ReplicaSet) -> bytes:
    """The `plain` template of a ReplicaSet."""
    return plain(state.cluster.desired.templates[replicaset.template].template)


def owner_of(state: State, replicaset_key: str) -> Deployment | None:
    """The living Deployment that controls this ReplicaSet."""
    held = state.cluster.desired.replicasets.get(replicaset_key)
    owner = state.cluster.desired.deployments.get(held.owner) if held else None
    return owner if owner and held and owner.uid == held.owner_uid else None


def is_rolling(owner: Deployment) -> bool:
    """Its strategy is a rolling update."""
    return owner.spec.strategy.type == "RollingUpdate"
