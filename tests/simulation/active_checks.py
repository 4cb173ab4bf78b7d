"""Who checks the pods of a simulated world for its availability: the other monitor.

1. `ActiveMonitor` says how the checks go of pods that their nodes call ready and whose
   Deployment asks for it: what control does not hold yet every `AGAIN` seconds, and a
   failing check that it holds now and then.
2. It may find any pods bad, change its mind with each word, be dead, or speak of what
   is none of its business. Wires lose, repeat and reorder its words like all others.
3. Everything is drawn from dice of a seed of its own: equal plans, equal words.
"""

import zlib
from collections.abc import Iterator
from random import Random
from typing import Final

import msgspec

from domain import active_check, protocol
from domain.pod import Pod
from projections.cluster import Cluster
from tests.simulation.hollow_node import NEVER
from workers.checking import CheckInput

AGAIN: Final = 5.0
REPEAT: Final = 20.0
"""Seconds between two words on a pod that goes on to fail."""


def asking(cluster: Cluster) -> Iterator[Pod]:
    """The pods that are to be checked, as the question `checks` answers it."""
    for owner in cluster.desired.deployments.values():
        if active_check.asked(owner.annotations) is None:
            continue
        for replicaset in cluster.desired.replicasets_of(owner):
            for held in cluster.actual.pods_of(replicaset.key):
                use = cluster.actual.nodes.get(held.node)
                heard = use is not None and use.ready
                if heard and held.active and held.seen is not None and held.seen.ready:
                    yield held


class ActiveMonitor:
    """See rule 2. `how` is good, bad, some, flapping, dead or wrong."""

    def __init__(self) -> None:
        self.how = "good"
        self.dice = Random(0)
        self._at = 0.0
        self._said: dict[str, float] = {}

    def next_at(self, cluster: Cluster) -> float:
        """When it looks again."""
        if self.how == "dead" or not any(True for _ in asking(cluster)):
            return NEVER
        return self._at

    def say(self, cluster: Cluster, now: float) -> list[CheckInput]:
        """What it says now."""
        if now < self.next_at(cluster):
            return []
        self._at = now + AGAIN
        found: list[CheckInput] = []
        for held in asking(cluster):
            fails = self._fails(held)
            known = fails == bool(held.check_failed)
            repeats = now - self._said.get(held.uid, 0.0) >= REPEAT
            if known and not (fails and repeats):
                continue
            self._said[held.uid] = now
            found.append(word(held, passing=not fails))
        return [*found, *self._strange(cluster)]

    def _fails(self, held: Pod) -> bool:
        match self.how:
            case "bad":
                return True
            case "some":
                return zlib.crc32(held.uid.encode()) % 5 < 2
            case "flapping":
                return self.dice.random() < 0.3
        return False

    def _strange(self, cluster: Cluster) -> list[CheckInput]:
        if self.how != "wrong":
            return []
        pods = [each for each in cluster.actual.pods.values() if each.owner]
        if not pods:
            return []
        one = self.dice.choice(pods)
        other = msgspec.structs.replace(one, uid="another")
        unknown = msgspec.structs.replace(one, name="nobody")
        garbage = CheckInput(namespace="default", pod=one.name, data=b'{"uid":1}')
        asked = {held.key for held in asking(cluster)}
        unasked = [each for each in pods if each.key not in asked][:1]
        strangers = [other, unknown, *unasked]
        return [garbage, *(word(each, passing=False) for each in strangers)]


def word(held: Pod, *, passing: bool) -> CheckInput:
    """The monitor's word on this pod."""
    detail = "it answers well" if passing else "it answers with 500"
    said = protocol.PodCheck(uid=held.uid, passing=passing, detail=detail)
    data = msgspec.json.encode(said)
    return CheckInput(namespace=held.namespace, pod=held.name, data=data)
