"""Who measures in a simulated world: kubelets that sample a load, and a monitor.

1. A Deployment has a load (`Load`) that its ready pods share. Each node samples its own
   pods every 15 seconds, once somebody asked for an autoscaler, and may lie.
2. `Monitor` answers what the shipped code wants measured, each when it is due, and
   again until it is taken. It may be dead, late, wrong or talkative. Wires lose, repeat
   and reorder its words like all others.
3. Everything is drawn from dice of a seed of its own: equal plans, equal words.
"""

import math
from collections.abc import Iterator
from random import Random
from typing import Final

import msgspec

from domain import analysis, analysis_run, protocol
from domain.analysis import Check
from domain.deployment import Deployment
from projections.cluster import Cluster
from tests.simulation.hollow_node import NEVER, USAGE_EVERY, HollowNode
from workers.analysing import MeasurementInput
from workers.metric_intake import MetricInput

METRIC: Final = "queue"
"""The external metric that says the load of `web` too."""
AGAIN: Final = 5.0
"""Seconds after which the monitor says again what is still wanted."""
NANO_PER_MILLI: Final = 1_000_000
LIES: Final[dict[str, tuple[float | None, float | None]]] = {
    "none": (None, None),
    "not a number": (float("nan"), 1.0),
    "negative": (-5.0, 1.0),
    "absurd": (1e30, 1.0),
    "half": (None, 2.0**20),
}
"""What a node may say instead of CPU and memory; each must be refused."""
HONEST: Final = ("nothing", "strangers", "idle", "busy")
"""How a node may be wrong with figures that nobody can tell from true ones."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Thousandths of a core: `base`, and a wave of `height` above it."""

    base: int
    height: int = 0
    period: float = 600.0

    def at(self, now: float) -> int:
        """The load of all pods together."""
        turn = math.sin(2 * math.pi * (now % self.period) / self.period)
        return self.base + round(self.height * (1 + turn) / 2)


class Loads:
    """The loads by Deployment, and who shares them."""

    def __init__(self) -> None:
        self.of: dict[str, Load] = {}

    def share(self, name: str, nodes: list[HollowNode], now: float) -> int:
        """What each ready pod of the Deployment uses."""
        load = self.of.get(name)
        if load is None:
            return 0
        return load.at(now) // max(sum(each.serving(name) for each in nodes), 1)

    def freeze(self, now: float) -> None:
        """Every load stays what it is now."""
        self.of = {name: Load(base=load.at(now)) for name, load in self.of.items()}


def usage(node: HollowNode, share: dict[str, int], how: str) -> protocol.Usage | None:
    """What the node says of its pods; `how` is `true`, or how it is wrong."""
    if how == "nothing":
        return None
    pods = []
    for uid, held in node.pods.items():
        app = held.run.name.partition("-")[0]
        milli = share.get(app, 0) if node.is_serving(uid) else 0
        milli = {"idle": 0, "busy": 4_000}.get(how, milli)
        cpu, memory = LIES.get(how, (float(milli * NANO_PER_MILLI), 2.0**20))
        used = protocol.ContainerUsage(name="main", cpu=cpu, memory=memory)
        pods.append(
            protocol.PodUsage(
                namespace=held.run.namespace,
                name="another-pod" if how == "strangers" else held.run.name,
                uid=uid,
                containers=(used,),
            )
        )
    return protocol.Usage(window=USAGE_EVERY, pods=tuple(pods)) if pods else None


def published(load: int, how: str, now: float) -> MetricInput:
    """The load as an external metric, or something that must be refused."""
    said: dict[str, object] = {"value": f"{load}m", "labels": {"of": "web"}}
    if how == "garbage":
        said["value"] = "lots"
    elif how == "old":
        said["at"] = now - 3_600.0
    elif how == "future":
        said["at"] = now + 3_600.0
    elif how == "negative":
        said["value"] = -1
    data = msgspec.json.encode(said)
    return MetricInput(user="alice", namespace="default", metric=METRIC, data=data)


class Wanted(msgspec.Struct, frozen=True):
    """One measurement that is wanted, and when it is due."""

    owner: Deployment
    check: Check
    number: int
    due_at: float

    @property
    def key(self) -> tuple[str, int, int, str, int]:
        """What makes it this one."""
        run = self.owner.run
        return self.owner.uid, run.revision, run.round, self.check.name, self.number


def wanted(cluster: Cluster) -> Iterator[Wanted]:
    """Every measurement that is wanted, as the question `wanted` answers it."""
    for owner in cluster.desired.deployments.values():
        policy = analysis.policy(owner.annotations)
        if owner.spec.paused or not policy.checks:
            continue
        if cluster.desired.new_replicaset(owner) is None:
            continue
        for check in analysis_run.wanted(policy, owner.run):
            number = analysis_run.taken(owner.run, check) + 1
            yield Wanted(owner, check, number, analysis_run.due_at(owner.run, check))


class Monitor:
    """See rule 2. `how` is good, bad, mixed, dead, late, wrong or talkative."""

    def __init__(self) -> None:
        self.how = "good"
        self.dice = Random(0)
        self._next: dict[tuple[str, int, int, str, int], float] = {}
        self._said: list[MeasurementInput] = []

    def next_at(self, cluster: Cluster) -> float:
        """When it says something next."""
        if self.how == "dead":
            return NEVER
        times = [self._next.get(each.key, each.due_at) for each in wanted(cluster)]
        return min(times, default=NEVER)

    def say(self, cluster: Cluster, now: float) -> list[MeasurementInput]:
        """What it says now."""
        if self.how == "dead":
            return []
        found: list[MeasurementInput] = []
        for each in wanted(cluster):
            at = self._next.get(each.key, each.due_at)
            if self.how == "late" and each.key not in self._next:
                at = each.due_at + self.dice.choice((20.0, 59.0, 61.0, 90.0))
                self._next[each.key] = at
            if at > now:
                continue
            self._next[each.key] = now + AGAIN
            found += self._words(each, now)
        self._said += found
        return found

    def _words(self, asked: Wanted, now: float) -> list[MeasurementInput]:
        value: float | None = 0.01
        if self.how == "bad":
            value = 0.2
        elif self.how != "good":
            value = self.dice.choice((0.01, 0.01, 0.01, 0.2, None))
        right = self._word(asked, now, value)
        if self.how == "wrong":
            changes = self.dice.choice(_WRONG)
            return [self._word(asked, now, 0.2, **changes), _unreadable(asked.owner)]
        if self.how == "talkative":
            old = self.dice.choice(self._said) if self._said else right
            other = self._word(asked, now, 0.2)
            return [right, old, right, other]
        return [right]

    @staticmethod
    def _word(
        asked: Wanted, now: float, value: float | None, **changes: object
    ) -> MeasurementInput:
        uid, revision, round_, check, number = asked.key
        said = protocol.Measurement(
            uid=uid,
            revision=revision,
            round=round_,
            check=check,
            number=number,
            value=value,
            error="" if value is not None else "no answer",
            at=now,
        )
        said = msgspec.structs.replace(said, **changes)
        return _input(asked.owner, msgspec.json.encode(said))


_WRONG: Final[tuple[dict[str, object], ...]] = (
    {"revision": 1_000},
    {"round": 1_000},
    {"number": 1_000},
    {"number": 0},
    {"uid": "another"},
    {"check": "another"},
    {"error": "both"},
)


def _unreadable(owner: Deployment) -> MeasurementInput:
    return _input(owner, b'{"uid":"u","revision":1,"round":1,"check":"e","value":NaN}')


def _input(owner: Deployment, data: bytes) -> MeasurementInput:
    return MeasurementInput(namespace=owner.namespace, deployment=owner.name, data=data)
