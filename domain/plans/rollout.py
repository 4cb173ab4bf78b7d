"""One sync of a Deployment: what its ReplicaSets should become next (spec 2.2).

1. The new ReplicaSet is the oldest one that has the Deployment's template; all others
   are old (spec 2.3). The caller compares the templates.
2. In every sync: the pause or resume condition, the new ReplicaSet's revision, and what
   it takes over from the Deployment. Then one of, in this order: paused (resize and
   clean up), scaling (resize), Recreate, rolling update.
3. The first write of sizes ends the sync. The caller applies the plan, folds what that
   causes, and asks again until the plan is empty; a Deployment that is complete and
   unchanged has an empty plan (I11).
4. Rolling update: the new one grows into the surge; then old ones shrink, those that
   are not available first, as far as availability can be spared (spec 2.7).
5. Recreate: nothing new before every old pod is gone or terminal (spec 2.10).
6. A deadline that passes changes the condition and nothing else (spec 2.12). Without
   one Kubernetes shows no condition; facts keep it, so that completion is told once.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from domain.plans import fenceposts, history, rolling, scaling
from domain.plans.progressive import Hold
from domain.plans.scaling import ScaleReplicaSet as ScaleReplicaSet

NO_DEADLINE: Final = 2**31 - 1
"""The progress deadline that means: none."""
DEADLINE_SLACK: Final = 1.0
"""Seconds after the deadline at which it is looked at again (spec 2.12)."""

AVAILABLE: Final = "NewReplicaSetAvailable"
CREATED: Final = "NewReplicaSetCreated"
EXCEEDED: Final = "ProgressDeadlineExceeded"
FOUND: Final = "FoundNewReplicaSet"
PAUSED: Final = "DeploymentPaused"
RESUMED: Final = "DeploymentResumed"
UPDATED: Final = "ReplicaSetUpdated"

_DOMAIN: Final = "deployment.kubernetes.io/"
NOT_COPIED: Final = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        f"{_DOMAIN}revision",
        f"{_DOMAIN}revision-history",
        f"{_DOMAIN}desired-replicas",
        f"{_DOMAIN}max-replicas",
        "deprecated.deployment.rollback.to",
    }
)
"""The annotations of a Deployment that its ReplicaSets do not get (spec 2.5)."""

Direction = Literal[
    "none",
    "deleting",
    "paused",
    "scaling",
    "creating",
    "new up",
    "new down",
    "old down",
    "waiting for old pods",
    "cleaning up",
]


# --- facts ------------------------------------------------------------------------


class ReplicaSetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A ReplicaSet that the Deployment controls, and what its pods amount to."""

    key: str
    name: str
    uid: str
    created_at: float
    template_matches: bool
    """Its template is the Deployment's, the hash label apart (spec 2.3)."""
    replicas: int
    """Its size (spec)."""
    status_replicas: int = 0
    """Its active pods."""
    ready: int = 0
    available: int = 0
    terminating: int = 0
    running: int = 0
    """Its pods that are not Failed or Succeeded, terminating ones included."""
    revision: int = 0
    """0 when it has none, or none that can be read."""
    revision_history: tuple[int, ...] = ()
    desired_replicas: int | None = None
    max_replicas: int | None = None
    min_ready_seconds: int = 0
    annotations: dict[str, str] = {}
    deleting: bool = False
    observed: bool = True
    """Its status speaks of its latest generation."""


class Progressing(msgspec.Struct, frozen=True, kw_only=True):
    """The Progressing condition, as far as it decides something."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    last_update: float


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a Deployment's status (spec 2.13)."""

    replicas: int
    updated: int
    ready: int
    available: int


class DeploymentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment's wish and what is recorded of its rollout."""

    key: str
    name: str
    replicas: int
    strategy: str = fenceposts.ROLLING_UPDATE
    max_surge: int | str = "25%"
    max_unavailable: int | str = "25%"
    min_ready_seconds: int = 0
    paused: bool = False
    revision_history_limit: int = 10
    progress_deadline_seconds: int | None = 600
    deleting: bool = False
    revision: int = 0
    annotations: dict[str, str] = {}
    status_replicas: int = 0
    progressing: Progressing | None = None
    hold: Hold | None = None  # what a step keeps to; None without steps
    recorded: Counts | None = None
    """The counts of the last sync, by which progress is seen (spec 2.12).

    None when the caller sees progress itself and moves `progressing.last_update`.
    """


# --- plan -------------------------------------------------------------------------


class CreateReplicaSet(msgspec.Struct, frozen=True, kw_only=True):
    """Create the new ReplicaSet; its name, labels and template are the caller's."""

    replicas: int
    revision: int
    desired: int
    maximum: int
    min_ready_seconds: int
    annotations: dict[str, str]


class ReviseReplicaSet(msgspec.Struct, frozen=True, kw_only=True):
    """Give the new ReplicaSet this revision; `history` is all its former ones."""

    key: str
    revision: int
    history: tuple[int, ...]


class ConfigureReplicaSet(msgspec.Struct, frozen=True, kw_only=True):
    """Give the new ReplicaSet these; `annotations` is all that it has then."""

    key: str
    min_ready_seconds: int
    annotations: dict[str, str]


class RolloutPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync changes, to be applied in the order of the fields."""

    paused: bool = False
    resumed: bool = False
    revise: ReviseReplicaSet | None = None
    configure: ConfigureReplicaSet | None = None
    found: bool = False
    create: CreateReplicaSet | None = None
    revision: int | None = None
    """The Deployment's revision, where it changes."""
    scale: tuple[ScaleReplicaSet, ...] = ()
    """In order; one ReplicaSet may appear twice (unhealthy, then healthy pods)."""
    delete: tuple[str, ...] = ()
    progressed: bool = False
    completed: bool = False
    stalled: bool = False
    progressing: Progressing | None = None
    """The Progressing condition that all of this ends in, where it changes."""
    direction: Direction = "none"
    wake_at: float | None = None
    """When to ask again although nothing has changed: the progress deadline."""


_INERT: Final = ("direction", "wake_at")


def is_empty(found: RolloutPlan) -> bool:
    """Whether the plan writes nothing."""
    return found == RolloutPlan(**{name: getattr(found, name) for name in _INERT})


def plan(
    deployment: DeploymentFacts, replica_sets: Sequence[ReplicaSetFacts], now: float
) -> RolloutPlan:
    """What the next sync of `deployment` writes, given all that it controls."""
    if deployment.deleting:
        return RolloutPlan(direction="deleting")
    new, old = split(replica_sets)
    wish = scaling.Scaling(
        replicas=deployment.replicas,
        strategy=deployment.strategy,
        fenceposts=_fenceposts(deployment),
        status_replicas=deployment.status_replicas,
        old_running=_old_pods_running(old),
        hold=deployment.hold,
    )
    found = _bookkeeping(deployment, new, old, now)
    if deployment.paused:
        writes, limit = scaling.plan(wish, new, old), deployment.revision_history_limit
        # What was just resized is still seen with its former size: clean up later.
        spent = () if writes else history.expired(old, limit)
        return _replace(found, scale=writes, delete=spent, direction="paused")
    if scaling.is_scaling_event(deployment.replicas, replica_sets):
        writes = scaling.plan(wish, new, old)
        if writes:
            found = _replace(found, scale=writes, direction="scaling")
            return _with_timer(found, deployment)
    step = _recreate if deployment.strategy == fenceposts.RECREATE else _roll
    found = step(found, deployment, wish, new, old, now)
    found = _judge(found, deployment, counts(new, old), new, now)
    return _with_timer(found, deployment)


def split(
    replica_sets: Iterable[ReplicaSetFacts],
) -> tuple[ReplicaSetFacts | None, tuple[ReplicaSetFacts, ...]]:
    """The new ReplicaSet, and the old ones oldest first (spec 2.3)."""
    by_age = sorted(replica_sets, key=scaling.age)
    new = next((each for each in by_age if each.template_matches), None)
    return new, tuple(each for each in by_age if each is not new)


def counts(new: ReplicaSetFacts | None, old: Iterable[ReplicaSetFacts]) -> Counts:
    """The Deployment's status (spec 2.13)."""
    everything = [*old, new] if new is not None else list(old)
    return Counts(
        replicas=sum(each.status_replicas for each in everything),
        updated=new.status_replicas if new is not None else 0,
        ready=sum(each.ready for each in everything),
        available=sum(each.available for each in everything),
    )


def is_complete(status: Counts, replicas: int) -> bool:
    """Whether all pods are of the new template, and available (spec 2.12)."""
    return status.updated == status.replicas == status.available == replicas


def has_progressed(before: Counts, after: Counts) -> bool:
    """Whether a rollout came nearer to its end (spec 2.12)."""
    return (
        after.updated > before.updated
        or after.replicas - after.updated < before.replicas - before.updated
        or after.ready > before.ready
        or after.available > before.available
    )


def has_deadline(deployment: DeploymentFacts) -> bool:
    """Whether progress is watched at all (spec 2.12)."""
    return deployment.progress_deadline_seconds not in (None, NO_DEADLINE)


def has_timed_out(
    deployment: DeploymentFacts, current: Progressing | None, now: float
) -> bool:
    """Whether the deadline has passed, strictly, since the last progress (2.12)."""
    deadline = deployment.progress_deadline_seconds
    if not has_deadline(deployment) or deadline is None or current is None:
        return False
    if current.reason == AVAILABLE:
        return False
    return current.reason == EXCEEDED or current.last_update + deadline < now


# --- steps ------------------------------------------------------------------------


def _bookkeeping(
    deployment: DeploymentFacts,
    new: ReplicaSetFacts | None,
    old: Sequence[ReplicaSetFacts],
    now: float,
) -> RolloutPlan:
    """Pause, resume, revision and annotations: what every sync sees to."""
    found = RolloutPlan()
    watched = has_deadline(deployment)
    reason = deployment.progressing.reason if deployment.progressing else None
    # A deadline that was exceeded stays exceeded through a pause (spec 2.11).
    if watched and reason != EXCEEDED:
        if deployment.paused and reason != PAUSED:
            found = _condition(found, "Unknown", PAUSED, now, paused=True)
        elif not deployment.paused and reason == PAUSED:
            found = _condition(found, "Unknown", RESUMED, now, resumed=True)
    if new is None:
        return found
    # No number is used twice, also when the ReplicaSet that had it was deleted (I4).
    used = [each.revision for each in old]
    used += [deployment.revision] * (deployment.revision > new.revision)
    target = max(history.next_revision(used), new.revision)
    if target > new.revision:
        former = history.extended(new.revision_history, new.revision)
        revise = ReviseReplicaSet(key=new.key, revision=target, history=former)
        found = _replace(found, revise=revise)
        if deployment.recorded is None and not (watched and deployment.paused):
            # Nobody compares counts, so a revision that starts again is the progress.
            found = _condition(found, "True", UPDATED, now, progressed=True)
    if target != deployment.revision:
        found = _replace(found, revision=target)
    annotations = {**new.annotations, **_copied(deployment)}
    if (new.min_ready_seconds, new.annotations) != (
        deployment.min_ready_seconds,
        annotations,
    ):
        configure = ConfigureReplicaSet(
            key=new.key,
            min_ready_seconds=deployment.min_ready_seconds,
            annotations=annotations,
        )
        found = _replace(found, configure=configure)
    if watched and deployment.progressing is None and found.progressing is None:
        found = _condition(found, "True", FOUND, now, found=True)
    return found


def _roll(
    found: RolloutPlan,
    deployment: DeploymentFacts,
    wish: scaling.Scaling,
    new: ReplicaSetFacts | None,
    old: Sequence[ReplicaSetFacts],
    now: float,
) -> RolloutPlan:
    """Steps A, B and C of spec 2.7."""
    size = rolling.new_size(wish, new, old)
    if new is None:
        return _create(found, deployment, wish, size, old, now)
    if size != new.replicas:
        up = size > new.replicas
        why = "the surge leaves room for new pods" if up else "larger than wanted"
        write = scaling.scale(wish, new, size, why)
        return _replace(found, scale=(write,), direction="new up" if up else "new down")
    writes = rolling.shrink_old(wish, new, old)
    if writes:
        return _replace(found, scale=writes, direction="old down")
    return _clean_up(found, deployment, new, old)


def _recreate(
    found: RolloutPlan,
    deployment: DeploymentFacts,
    wish: scaling.Scaling,
    new: ReplicaSetFacts | None,
    old: Sequence[ReplicaSetFacts],
    now: float,
) -> RolloutPlan:
    """Spec 2.10: end the old, wait until they are gone, then start the new."""
    writes = tuple(
        scaling.scale(wish, each, 0, "Recreate ends every old pod first")
        for each in old
        if each.replicas > 0
    )
    if writes:
        return _replace(found, scale=writes, direction="old down")
    if wish.old_running:
        return _replace(found, direction="waiting for old pods")
    if new is None:
        return _create(found, deployment, wish, deployment.replicas, old, now)
    if new.replicas != deployment.replicas:
        up = new.replicas < deployment.replicas
        write = scaling.scale(wish, new, deployment.replicas, "every old pod is gone")
        direction: Direction = "new up" if up else "new down"
        return _replace(found, scale=(write,), direction=direction)
    return _clean_up(found, deployment, new, old)


def _create(
    found: RolloutPlan,
    deployment: DeploymentFacts,
    wish: scaling.Scaling,
    size: int,
    old: Sequence[ReplicaSetFacts],
    now: float,
) -> RolloutPlan:
    # Revisions only grow (I4), even where the ReplicaSet of the last one was deleted.
    known = [deployment.revision, *(each.revision for each in old)]
    revision = history.next_revision(known)
    create = CreateReplicaSet(
        replicas=size,
        revision=revision,
        desired=wish.replicas,
        maximum=wish.replicas + wish.fenceposts.surge,
        min_ready_seconds=deployment.min_ready_seconds,
        annotations=_copied(deployment),
    )
    found = _condition(found, "True", CREATED, now, create=create, revision=revision)
    return _replace(found, direction="creating")


def _clean_up(
    found: RolloutPlan,
    deployment: DeploymentFacts,
    new: ReplicaSetFacts,
    old: Sequence[ReplicaSetFacts],
) -> RolloutPlan:
    if not is_complete(counts(new, old), deployment.replicas):
        return found
    spent = history.expired(old, deployment.revision_history_limit)
    return _replace(found, delete=spent, direction="cleaning up") if spent else found


def _judge(
    found: RolloutPlan,
    deployment: DeploymentFacts,
    status: Counts,
    new: ReplicaSetFacts | None,
    now: float,
) -> RolloutPlan:
    """The table of spec 2.12, first match wins."""
    current = found.progressing or deployment.progressing
    reason = current.reason if current is not None else None
    if reason == AVAILABLE and status.replicas == status.updated:
        # It is finished: scaling it is no rollout, and never times out.
        return found
    exists = new is not None or found.create is not None
    if exists and is_complete(status, deployment.replicas):
        found = _replace(found, progressed=False)
        return _condition(found, "True", AVAILABLE, now, completed=True)
    before = deployment.recorded
    if before is not None and has_progressed(before, status):
        return _condition(found, "True", UPDATED, now, progressed=True)
    if has_timed_out(deployment, current, now) and reason != EXCEEDED:
        return _condition(found, "False", EXCEEDED, now, stalled=True)
    return found


# --- helpers ----------------------------------------------------------------------


def _fenceposts(deployment: DeploymentFacts) -> fenceposts.Fenceposts:
    return fenceposts.for_strategy(
        deployment.strategy,
        deployment.max_surge,
        deployment.max_unavailable,
        deployment.replicas,
    )


def _old_pods_running(old: Iterable[ReplicaSetFacts]) -> bool:
    """Spec 2.10: a terminating pod still runs; a failed or succeeded one does not."""
    return any(each.status_replicas > 0 or each.running > 0 for each in old)


def _copied(deployment: DeploymentFacts) -> dict[str, str]:
    return {
        key: value
        for key, value in deployment.annotations.items()
        if key not in NOT_COPIED
    }


def _with_timer(found: RolloutPlan, deployment: DeploymentFacts) -> RolloutPlan:
    """The plan that asks to be looked at again when its deadline has passed."""
    current = found.progressing or deployment.progressing
    deadline = deployment.progress_deadline_seconds
    if not has_deadline(deployment) or deadline is None or current is None:
        return found
    if current.reason in (AVAILABLE, EXCEEDED):
        return found
    return _replace(found, wake_at=current.last_update + deadline + DEADLINE_SLACK)


def _condition(
    base: RolloutPlan,
    status: Literal["True", "False", "Unknown"],
    reason: str,
    now: float,
    **buckets: object,
) -> RolloutPlan:
    condition = Progressing(status=status, reason=reason, last_update=now)
    return _replace(base, progressing=condition, **buckets)


def _replace(base: RolloutPlan, **buckets: object) -> RolloutPlan:
    return msgspec.structs.replace(base, **buckets)
