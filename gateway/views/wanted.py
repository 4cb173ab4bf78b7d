"""What `rollbook monitor` is to measure now: the answers to `wanted` and `checks`.

1. Only what the log says decides it, so every reader gives the same answer.
2. A measurement of the new revision's pods names those that are ready now.
3. An active check is for pods that their nodes say are ready: one that only the check
   holds back is among them, or it would never come back.
"""

from collections.abc import Iterator

from domain import active_check, analysis, analysis_run
from domain.deployment import Deployment
from domain.pod import Pod
from domain.wanted import ChecksAnswer, PodToCheck, Target, Wanted, WantedAnswer
from gateway.views.scene import Scene

TARGETS_MAX = 100
"""Pods that an active check is sent to, the first of the revision's in their order."""


def answer(at: Scene, room: int) -> WantedAnswer:
    """Every measurement that is wanted, as far as `room` bytes hold it."""
    found: list[Wanted] = []
    size = 0
    for owner in at.cluster.desired.deployments.values():
        for each in of_deployment(at, owner):
            size += 1_000 + 100 * len(each.targets)
            if size > room:
                break
            found.append(each)
    found.sort(key=lambda each: (each.namespace, each.deployment, each.check))
    return WantedAnswer(position=at.cluster.position, wanted=tuple(found))


def of_deployment(at: Scene, owner: Deployment) -> Iterator[Wanted]:
    """The measurements of one Deployment that are wanted; none while it is paused."""
    policy = analysis.policy(owner.annotations)
    if owner.spec.paused or not policy.checks:
        return
    new = at.cluster.desired.new_replicaset(owner)
    if new is None:
        return
    for check in analysis_run.wanted(policy, owner.run):
        pods = check.check is not None or check.metric is not None
        yield Wanted(
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


def checks(at: Scene, after: str, room: int) -> ChecksAnswer:
    """The pods to check whose keys come after `after`, as far as `room` bytes hold."""
    checks = {
        held.key: (held, check)
        for owner in at.cluster.desired.deployments.values()
        if (check := active_check.asked(owner.annotations)) is not None
        for replicaset in at.cluster.desired.replicasets_of(owner)
        for held in at.cluster.actual.pods_of(replicaset.key)
        if held.key > after
    }
    page: list[PodToCheck] = []
    size, last = 0, after
    for key in sorted(checks):
        held, check = checks[key]
        found = _to_check(at, held, check)
        if found is None:
            continue
        size += 500 + len(check.path)
        if size > room and page:
            return ChecksAnswer(pods=tuple(page), more=last)
        page.append(found)
        last = key
    return ChecksAnswer(pods=tuple(page))


def _to_check(
    at: Scene, held: Pod, check: active_check.ActiveCheck
) -> PodToCheck | None:
    """Rule 3."""
    seen, use = held.seen, at.cluster.actual.nodes.get(held.node)
    if not held.active or seen is None or not seen.ip or use is None or not use.ready:
        return None
    if not seen.ready or held.phase != "Running":
        return None
    return PodToCheck(
        namespace=held.namespace,
        name=held.name,
        uid=held.uid,
        ip=seen.ip,
        check=check,
        failing=bool(held.check_failed),
    )


def _targets(at: Scene, replicaset: str) -> tuple[Target, ...]:
    ready = [
        Target(name=held.name, ip=held.seen.ip, node=held.node)
        for held in at.cluster.actual.pods_of(replicaset)
        if held.active and held.ready and held.seen is not None and held.seen.ip
    ]
    return tuple(ready[:TARGETS_MAX])
