"""What `rollbook monitor` is to measure now: the answer to the question `wanted`.

1. Only what the log says decides it, so every reader gives the same answer.
2. A measurement of the new revision's pods names those that are ready now.
"""

from collections.abc import Iterator

from domain import analysis, analysis_run, queries
from domain.deployment import Deployment
from gateway.views.scene import Scene

TARGETS_MAX = 100
"""Pods that an active check is sent to, the first of the revision's in their order."""


def answer(at: Scene, room: int) -> queries.WantedAnswer:
    """Every measurement that is wanted, as far as `room` bytes hold it."""
    found: list[queries.Wanted] = []
    size = 0
    for owner in at.cluster.desired.deployments.values():
        for each in of_deployment(at, owner):
            size += 1_000 + 100 * len(each.targets)
            if size > room:
                break
            found.append(each)
    found.sort(key=lambda each: (each.namespace, each.deployment, each.check))
    return queries.WantedAnswer(position=at.cluster.position, wanted=tuple(found))


def of_deployment(at: Scene, owner: Deployment) -> Iterator[queries.Wanted]:
    """The measurements of one Deployment that are wanted; none while it is paused."""
    policy = analysis.policy(owner.annotations)
    if owner.spec.paused or not policy.checks:
        return
    new = at.cluster.desired.new_replicaset(owner)
    if new is None:
        return
    for check in analysis_run.wanted(policy, owner.run):
        pods = check.check is not None or check.metric is not None
        yield queries.Wanted(
            namespace=owner.namespace,
            deployment=owner.name,
            uid=owner.uid,
            revision=owner.run.revision,
            round=owner.run.round,
            check=check.name,
            source=check,
            taken=analysis_run.taken(owner.run, check),
            due_at=analysis_run.due_at(owner.run, check),
            replicaset=new.name,
            targets=_targets(at, new.key) if pods else (),
        )


def _targets(at: Scene, replicaset: str) -> tuple[queries.Target, ...]:
    ready = [
        queries.Target(name=held.name, ip=held.seen.ip, node=held.node)
        for held in at.cluster.actual.pods_of(replicaset)
        if held.active and held.ready and held.seen is not None and held.seen.ip
    ]
    return tuple(ready[:TARGETS_MAX])
