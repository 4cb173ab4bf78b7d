"""What measuring and autoscaling cost: `autoscale`.

1. Deployments of ten pods, whose kubelets report usage every 15 s; nothing happens.
   The processor time of the system is taken before there is any autoscaler, and with
   one for each Deployment, looked at every 15 s.
2. The load is as wanted, so nothing is scaled: it is the cost of looking.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from kubelet import hollow_usage
from rollbook.bench import session as sessions
from rollbook.bench import system
from rollbook.bench.results import Outcome
from rollbook.bench.session import Session

EACH: Final = 10
SECONDS: Final = 45.0
SECONDS_SMALL: Final = 6.0
USAGE_SECONDS: Final = 15.0
_SETTLING: Final = 1.2
"""Of an interval: so long until everything has been looked at once."""
_LARGE: Final = 1_000
_AT_ONCE: Final = 100


async def autoscale(
    session: Session, pods: int, names: Sequence[str]
) -> AsyncIterator[Outcome]:
    """Usage alone, then with an autoscaler for each Deployment."""
    del names
    made = [f"scaled-{number}" for number in range(max(1, pods // EACH))]
    session.wanted |= {sessions.key(name): EACH for name in made}
    await _all(session, [deployment(name) for name in made])
    for name in made:
        await session.completed(name, 1)
    seconds = SECONDS if pods >= _LARGE else SECONDS_SMALL
    yield await _cost(session, pods, "usage", seconds)
    await _all(session, [manifest(name) for name in made])
    yield await _cost(session, pods, "autoscale", seconds)


async def _all(session: Session, manifests: list[dict[str, object]]) -> None:
    """Afterwards each of them is created."""
    for first in range(0, len(manifests), _AT_ONCE):
        group = manifests[first : first + _AT_ONCE]
        await asyncio.gather(*(session.cluster.create(each) for each in group))


async def _cost(session: Session, pods: int, what: str, seconds: float) -> Outcome:
    """The cores of each role, and the events that were written."""
    await asyncio.sleep(USAGE_SECONDS * _SETTLING)
    found: dict[str, float] = {}

    async def act() -> dict[str, float]:
        before, position = session.system.cpu(), session.log.last_position()
        await asyncio.sleep(seconds)
        after, written = session.system.cpu(), session.log.last_position() - position
        found.update({role: after[role] - before[role] for role in after})
        return {
            "idle_cores": sum(found[role] for role in system.SYSTEM) / seconds,
            "idle_events": float(written),
        }

    outcome = await session.measure(what, pods, act)
    cores = {role: used / seconds for role, used in found.items()}
    return msgspec.structs.replace(outcome, cpu=cores)


def deployment(name: str) -> dict[str, object]:
    """Pods that use a little less than the target: by Kubernetes' rounding, it."""
    load = {hollow_usage.CPU: "9500u"}
    template = {"metadata": {"labels": {"app": name}, "annotations": load}}
    found = sessions.manifest(name, EACH)
    spec = found["spec"]
    assert isinstance(spec, dict), "it has one"
    spec["template"] = {**spec["template"], **template}
    return found


def manifest(name: str) -> dict[str, object]:
    """An autoscaler that reads its metric and finds the size right."""
    target = {"type": "AverageValue", "averageValue": "10m"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": name,
            },
            "minReplicas": 1,
            "maxReplicas": 2 * EACH,
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": target}}
            ],
        },
    }
