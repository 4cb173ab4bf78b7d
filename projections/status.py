"""The status of a Deployment or a ReplicaSet: counted from pods, never stored.

The formulas are those of spec 2.13 and 3.7. Because counting, deciding and recording
share one step, there is no lag between a ReplicaSet's status and the truth.
"""

import msgspec

from domain.deployment import Deployment
from domain.plans import fenceposts, rollout
from projections.actual import Actual
from projections.desired import Desired


class DeploymentStatus(rollout.Counts, frozen=True, kw_only=True):
    """The counters of spec 2.13."""

    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    unavailable: int = 0
    terminating: int = 0


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of spec 2.12; times are seconds since the epoch."""

    type: str
    status: str
    reason: str
    message: str
    updated_at: float
    transitioned_at: float


def deployment_status(
    desired: Desired, actual: Actual, owner: Deployment
) -> DeploymentStatus:
    """The counters of `owner` now."""
    new = desired.new_replicaset(owner)
    replicas = ready = available = terminating = wanted = updated = 0
    for held in desired.replicasets_of(owner):
        counts = actual.tally(held.key)
        replicas += counts.active
        ready += counts.ready
        available += counts.available
        terminating += counts.terminating
        wanted += held.replicas
        if new is not None and held.uid == new.uid:
            updated = counts.active
    return DeploymentStatus(
        replicas=replicas,
        updated=updated,
        ready=ready,
        available=available,
        unavailable=max(0, wanted - available),
        terminating=terminating,
    )


def room(owner: Deployment) -> fenceposts.Fenceposts:
    """How far a rollout of `owner` may go over and under its size (spec 2.6)."""
    strategy = owner.spec.strategy
    update = strategy.rolling_update
    surge = update.max_surge if update is not None else None
    unavailable = update.max_unavailable if update is not None else None
    return fenceposts.for_strategy(
        strategy.type,
        0 if surge is None else surge,
        0 if unavailable is None else unavailable,
        owner.replicas,
    )


def has_deadline(owner: Deployment) -> bool:
    """Progress is watched at all (spec 2.12)."""
    return owner.spec.progress_deadline_seconds not in (None, rollout.NO_DEADLINE)


def set_condition(
    conditions: tuple[Condition, ...],
    *,
    type_: str,
    status: str,
    reason: str,
    message: str,
    now: float,
    always: bool = False,
) -> tuple[Condition, ...]:
    """The list with this condition set, by the rule of spec 2.12.

    The same status and reason leave it untouched unless `always`; otherwise it moves
    to the end, and its transition time stays while its status does.
    """
    was = next((held for held in conditions if held.type == type_), None)
    if was and not always and (was.status, was.reason) == (status, reason):
        return conditions
    since = was.transitioned_at if was and was.status == status else now
    condition = Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        updated_at=now,
        transitioned_at=since,
    )
    return (*(held for held in conditions if held.type != type_), condition)
