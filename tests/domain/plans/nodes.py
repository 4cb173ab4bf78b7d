"""Nodes that say what a test lets them say, with the plans of node health applied."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from domain.plans import node_health
from domain.plans.node_health import Health, NodeFacts, NodeHealthPlan
from domain.podspec import Toleration


@dataclass
class Pod:
    key: str
    tolerations: Sequence[Toleration] = ()
    bound_at: float = 0.0
    terminating: bool = False


@dataclass
class Nodes:
    """Nodes that say what a test lets them say; plans are applied to them."""

    facts: dict[str, NodeFacts] = field(default_factory=dict)
    pods: dict[str, list[Pod]] = field(default_factory=dict)
    health: Health = field(default_factory=Health)
    now: float = 0.0

    def add(self, *names: str, zone: str = "a", pods: int = 1) -> None:
        for name in names:
            self.facts[name] = NodeFacts(
                name=name,
                registered_at=self.now,
                heartbeat_at=self.now,
                reported="True",
                status="True",
                reason="KubeletReady",
                labels={node_health.ZONE: zone},
            )
            self.pods[name] = [Pod(f"pod/default/{name}-{i}") for i in range(pods)]

    def change(self, name: str, **facts: object) -> None:
        self.facts[name] = msgspec.structs.replace(self.facts[name], **facts)

    def beat(self, *names: str) -> None:
        for name in names:
            self.change(name, heartbeat_at=self.now)

    def look(self, now: float, *alive: str) -> NodeHealthPlan:
        """Let `alive` be heard at `now`, plan, and apply the plan."""
        self.now = now
        self.beat(*alive)
        plan = node_health.plan(
            list(self.facts.values()), self.health, now, pods=self._pods
        )
        for each in plan.unready:
            self.change(
                each.node, status=each.status, reason=each.reason, changed_at=now
            )
        for name in plan.ready:
            self.change(
                name, status="True", reason="Ready", lost_at=None, changed_at=now
            )
        for name in plan.spared:
            self.change(name, lost_at=None)
        for name in plan.lost:
            self.change(name, lost_at=now)
        for evicted in plan.evict:
            self._pod(evicted.pod).terminating = True
        self.health = plan.health
        return plan

    def _pods(self, node: str) -> Iterable[Pod]:
        return self.pods[node]

    def _pod(self, key: str) -> Pod:
        return next(
            pod for pods in self.pods.values() for pod in pods if pod.key == key
        )
