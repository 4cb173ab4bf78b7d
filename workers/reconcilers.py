"""Desired against actual: each dirty object's plan, turned into events.

1. A reconciler asks its planner (domain/plans) and emits what the plan names; it makes
   no choice of its own. What it emits marks what must be looked at next.
2. Every event names its cause: the position that made its object dirty (S14).
3. Where desired equals actual nothing is emitted: an idle cluster writes nothing.
4. Pods are ended before a Deployment is looked at, so that it never counts on pods that
   are to go (S6), and before others are created, so that a rollout's pods never exceed
   its surge, not even between two events of a step (S7).
"""

from domain import (
    deployment,
    events,
    ids,
    labels,
    names,
    pod,
    replicaset,
    template,
)
from domain.deployment import Deployment
from domain.labels import LabelSelector
from domain.plans import replicas, rollout
from domain.replicaset import ReplicaSet
from projections import status
from workers import analysing, namespaces, owning, placing, rollbacks
from workers.state import State


def run(state: State, bound: int) -> bool:
    """Plans for what is dirty until nothing is, or `bound` events were made.

    Returns whether something is left. Ending comes before rollouts, these before
    creating, and that before placement: a step sees a wish through to its pods' nodes.
    """
    while len(state.events) < bound:
        if state.dirty_namespaces:
            namespaces.collect(state, *state.dirty_namespaces.pop(), bound)
        elif state.dependents:
            owning.collect(state, *state.dependents.pop())
        elif state.dirty_replicasets:
            _end_first(state, *state.dirty_replicasets.pop())
        elif state.dirty_deployments:
            reconcile_deployment(state, *state.dirty_deployments.pop())
        elif state.lacking:
            reconcile_replicaset(state, *state.lacking.pop())
        elif state.place_cause and state.cluster.actual.waiting:
            if placing.place_waiting(state, bound):
                state.place_cause = 0
        else:
            state.place_cause = 0
            return False
    return state.dirty


# --- deployments ------------------------------------------------------------------


def reconcile_deployment(state: State, key: str, cause: int) -> None:
    """One sync of spec 2.2; a plan that writes marks the Deployment for another."""
    owner = state.cluster.desired.deployments.get(key)
    _collect_replicasets(state, key, cause)
    if owner is None:
        return
    if owner.stage == deployment.DELETING:
        _delete_foreground(state, owner, cause)
        return
    _claim_replicasets(state, owner, cause)
    if rollbacks.carry_out(state, owner, cause):
        return
    if analysing.advance(state, owner, cause):
        return
    found = rollout.plan(
        _deployment_facts(state, owner), _facts(state, owner), state.now
    )
    if found.wake_at is not None:
        state.timers.set("progress", key, found.wake_at)
    if not rollout.is_empty(found):
        _carry_out(state, owner, found, cause)


def _carry_out(
    state: State, owner: Deployment, found: rollout.RolloutPlan, cause: int
) -> None:
    def emit(stream: str, event: events.Event) -> None:
        actor = events.DEPLOYMENT_CONTROLLER
        state.emit(stream, event, actor=actor, cause=cause)

    new = state.cluster.desired.new_replicaset(owner)
    if found.revise is not None:
        emit(
            found.revise.key,
            replicaset.ReplicaSetRevised(revision=found.revise.revision),
        )
    if found.configure is not None:
        emit(
            found.configure.key,
            replicaset.ReplicaSetConfigured(
                min_ready_seconds=found.configure.min_ready_seconds,
                annotations=found.configure.annotations,
            ),
        )
    if found.create is not None:
        name = _create_replicaset(state, owner, found.create, cause)
        if name is None:
            return
        emit(
            owner.key,
            deployment.RevisionStarted(revision=found.create.revision, replicaset=name),
        )
    elif found.revision is not None and new is not None:
        started = deployment.RevisionStarted(
            revision=found.revision, replicaset=new.name
        )
        emit(owner.key, started)
    if _waits_anew(new, found.configure):
        # What is available was counted before: look again before anything shrinks.
        return
    for write in found.scale:
        emit(
            write.key,
            replicaset.ReplicaSetScaled(
                before=write.before,
                after=write.after,
                why=write.why,
                desired=write.desired,
                maximum=write.maximum,
            ),
        )
    for spent in found.delete:
        limit = owner.spec.revision_history_limit
        why = f"more than revisionHistoryLimit={limit} old ReplicaSets"
        emit(spent, replicaset.ReplicaSetDeleted(why=why))
    if found.completed:
        if (told := state.cluster.rollouts.by_key.get(owner.key)) is not None:
            state.completed.append(state.now - told.request.at)
        emit(owner.key, deployment.RolloutCompleted(revision=_revision(state, owner)))
    if found.stalled:
        stalled = deployment.RolloutStalled(revision=_revision(state, owner))
        state.emit(owner.key, stalled, actor=events.TIMER, cause=cause)


def _waits_anew(
    new: ReplicaSet | None, configure: rollout.ConfigureReplicaSet | None
) -> bool:
    """The new ReplicaSet's minReadySeconds has just been changed."""
    if new is None or configure is None:
        return False
    return new.min_ready_seconds != configure.min_ready_seconds


def _revision(state: State, owner: Deployment) -> int:
    held = state.cluster.desired.deployments.get(owner.key)
    return held.revision if held is not None else owner.revision


def _create_replicaset(
    state: State, owner: Deployment, wanted: rollout.CreateReplicaSet, cause: int
) -> str | None:
    """Creates the new ReplicaSet (spec 2.4); None where its name is taken by another,
    which is recorded as a collision and tried again with the next hash."""
    taken = state.cluster.desired.replicasets
    hashed = template.template_hash(owner.template, owner.collision_count)
    name = names.replicaset_name(owner.name, hashed)
    key = names.replicaset_key(owner.namespace, name)
    actor = events.DEPLOYMENT_CONTROLLER
    if key in taken:
        count = (owner.collision_count or 0) + 1
        state.emit(
            owner.key,
            deployment.HashCollided(collision_count=count),
            actor=actor,
            cause=cause,
        )
        return None
    labelled = template.with_hash(owner.template, hashed)
    selector = owner.spec.selector or LabelSelector()
    state.emit(
        key,
        replicaset.ReplicaSetCreated(
            uid=state.uid_after(0),
            replicas=wanted.replicas,
            selector=_with_hash(selector, hashed),
            template=labelled,
            owner=owner.key,
            owner_uid=owner.uid,
            labels=labelled.metadata.labels,
            annotations=wanted.annotations,
            min_ready_seconds=wanted.min_ready_seconds,
            revision=wanted.revision,
            desired=wanted.desired,
            maximum=wanted.maximum,
        ),
        actor=actor,
        cause=cause,
    )
    return name


def _with_hash(selector: LabelSelector, hashed: str) -> LabelSelector:
    return LabelSelector(
        match_labels={**selector.match_labels, "pod-template-hash": hashed},
        match_expressions=selector.match_expressions,
    )


def _claim_replicasets(state: State, owner: Deployment, cause: int) -> None:
    """Adopts matching ReplicaSets that nobody owns, releases those that match no
    more (spec 3.3)."""
    desired = state.cluster.desired
    selector = owner.spec.selector
    actor = events.DEPLOYMENT_CONTROLLER
    for held in desired.loose_replicasets():
        if (
            held.namespace == owner.namespace
            and held.stage != replicaset.DELETING
            and not desired.references.is_controlled(held.key)
            and _selects(selector, held.labels)
        ):
            adopted = replicaset.ReplicaSetAdopted(owner=owner.key, owner_uid=owner.uid)
            state.emit(held.key, adopted, actor=actor, cause=cause)
    for held in desired.replicasets_of(owner):
        if not _selects(selector, held.labels):
            released = replicaset.ReplicaSetReleased()
            state.emit(held.key, released, actor=actor, cause=cause)


def _selects(selector: LabelSelector | None, values: dict[str, str]) -> bool:
    return labels.matches(selector, values)


def _collect_replicasets(state: State, key: str, cause: int) -> None:
    """What a Deployment that is gone owned goes, or stays unowned if it was to."""
    for held in state.cluster.desired.strays_of(key):
        event: events.Event
        orphan = state.cluster.desired.orphaning.get(held.owner_uid, False)
        if orphan or owning.has_other_owner(state, held):
            event = replicaset.ReplicaSetReleased()
        else:
            event = replicaset.ReplicaSetDeleted(why="its Deployment was deleted")
        actor = events.DEPLOYMENT_CONTROLLER
        state.emit(held.key, event, actor=actor, cause=cause)


def _delete_foreground(state: State, owner: Deployment, cause: int) -> None:
    """Pods first, then their ReplicaSets, then the Deployment itself."""
    actor = events.DEPLOYMENT_CONTROLLER
    for held in state.cluster.desired.replicasets_of(owner):
        if owning.has_other_owner(state, held):
            released = replicaset.ReplicaSetReleased()
            state.emit(held.key, released, actor=actor, cause=cause)
            continue
        _end_members(state, held, "its Deployment is being deleted", cause)
    if not state.cluster.desired.replicasets_of(owner):
        deleted = deployment.DeploymentDeleted(propagation="foreground")
        state.emit(owner.key, deleted, actor=actor, cause=cause)


def _end_members(state: State, held: ReplicaSet, why: str, cause: int) -> None:
    """Ends the pods of a ReplicaSet, and the ReplicaSet itself once it has none."""
    for member in state.cluster.actual.pods_of(held.key):
        if owning.has_other_owner(state, member):
            actor = events.REPLICASET_CONTROLLER
            state.emit(member.key, pod.PodReleased(), actor=actor, cause=cause)
        elif member.stage != pod.TERMINATING:
            _terminate(state, member, why, cause)
    if not state.cluster.actual.owns_pods(held.key):
        gone = replicaset.ReplicaSetDeleted(why=why)
        actor = events.REPLICASET_CONTROLLER
        state.emit(held.key, gone, actor=actor, cause=cause)


def _deployment_facts(state: State, owner: Deployment) -> rollout.DeploymentFacts:
    update = owner.spec.strategy.rolling_update
    surge = update.max_surge if update is not None else None
    unavailable = update.max_unavailable if update is not None else None
    counted = status.deployment_status(
        state.cluster.desired, state.cluster.actual, owner
    )
    stands = analysing.stands(state, owner)
    deadline = owner.spec.progress_deadline_seconds
    return rollout.DeploymentFacts(
        key=owner.key,
        name=owner.name,
        replicas=owner.replicas,
        strategy=owner.spec.strategy.type,
        max_surge=0 if surge is None else surge,
        max_unavailable=0 if unavailable is None else unavailable,
        min_ready_seconds=owner.spec.min_ready_seconds,
        paused=owner.spec.paused,
        revision_history_limit=owner.spec.revision_history_limit or 0,
        # No progress is expected of a rollout while it waits at a step.
        progress_deadline_seconds=None if stands.waiting else deadline,
        revision=owner.revision,
        annotations=owner.annotations,
        status_replicas=counted.replicas,
        progressing=_progressing(state, owner),
        hold=stands.hold,
    )


def _progressing(state: State, owner: Deployment) -> rollout.Progressing | None:
    """The condition; without one, what is remembered of the revision stands for it,
    so that completing is recorded once even where no deadline is watched."""
    rolled = state.cluster.rollouts.by_key.get(owner.key)
    if rolled is None:
        return None
    held = rolled.condition("Progressing")
    last = rolled.revisions[-1] if rolled.revisions else None
    done = last is not None and last.completed
    if held is None:
        if last is None:
            return None
        reason = rollout.AVAILABLE if done else rollout.UPDATED
        return rollout.Progressing(
            status="True", reason=reason, last_update=last.started_at
        )
    reason = held.reason
    if reason == rollout.AVAILABLE and not done:
        reason = rollout.UPDATED
    value = held.status
    assert value in ("True", "False", "Unknown")
    return rollout.Progressing(
        status=value,  # type: ignore[arg-type]  # narrowed by the assertion above
        reason=reason,
        last_update=held.updated_at,
    )


def _facts(state: State, owner: Deployment) -> list[rollout.ReplicaSetFacts]:
    desired, actual = state.cluster.desired, state.cluster.actual
    new = desired.new_replicaset(owner)
    facts = []
    for held in desired.replicasets_of(owner):
        counts = actual.tally(held.key)
        facts.append(
            rollout.ReplicaSetFacts(
                key=held.key,
                name=held.name,
                uid=held.uid,
                created_at=held.created_at,
                template_matches=new is not None and new.uid == held.uid,
                replicas=held.replicas,
                status_replicas=counts.active,
                ready=counts.ready,
                available=counts.available,
                terminating=counts.terminating,
                running=counts.running,
                revision=held.revision,
                revision_history=held.former_revisions,
                desired_replicas=held.desired,
                max_replicas=held.maximum,
                min_ready_seconds=held.min_ready_seconds,
                annotations=held.annotations,
                deleting=held.stage == replicaset.DELETING,
            )
        )
    return facts


# --- replicasets ------------------------------------------------------------------


def _end_first(state: State, key: str, cause: int) -> None:
    """Rule 4: a ReplicaSet that lacks pods waits for those that have too many."""
    held = state.cluster.desired.replicasets.get(key)
    if held is not None and state.cluster.actual.tally(key).active < held.replicas:
        state.lacking.add(key, cause, wish=True)
    else:
        reconcile_replicaset(state, key, cause)


def reconcile_replicaset(state: State, key: str, cause: int) -> None:
    """Creates missing pods and ends surplus ones (spec 3.2)."""
    actual = state.cluster.actual
    held = state.cluster.desired.replicasets.get(key)
    if actual.has_strays(key):
        _collect_pods(state, key, cause)
    if held is None:
        return
    owner = state.cluster.desired.owner_of(key)
    if owner is not None and owner.stage == deployment.DELETING:
        return
    if held.stage == replicaset.DELETING:
        _end_members(state, held, "its ReplicaSet is being deleted", cause)
        return
    _claim_pods(state, held, cause)
    counts = actual.tally(key)
    refusal = state.cluster.desired.templates[held.template].refusal
    if refusal and counts.active < held.replicas:
        _fail(state, held, refusal, cause)
        return
    if held.failure:
        recovered = replicaset.ReplicaSetRecovered()
        state.emit(key, recovered, actor=events.REPLICASET_CONTROLLER, cause=cause)
    if counts.active == held.replicas:
        return
    found = _replica_plan(state, held, counts.active)
    if found.create:
        actual.forget_order(held)
    actor = events.REPLICASET_CONTROLLER
    base = f"{held.name}-"
    for _ in range(found.create):
        name = ids.name_at(base, state.cluster.position + 1)
        created = pod.PodCreated(
            uid=state.uid_after(0),
            template=held.template,
            owner=held.key,
            owner_uid=held.uid,
        )
        stream = names.pod_key(held.namespace, name)
        state.emit(stream, created, actor=actor, cause=cause)
    for victim in found.terminate:
        _terminate(state, victim, f"{held.name} has more than {held.replicas}", cause)


def _replica_plan(
    state: State, held: ReplicaSet, active: int
) -> replicas.ReplicaPlan[pod.Pod]:
    """See `replicas.plan`. The order of many pods is kept up instead of made anew."""
    actual = state.cluster.actual
    surplus = min(active - held.replicas, replicas.BURST)
    if surplus > 0 and active >= state.settings.ordered_from:
        first = actual.first_to_end(held, surplus, state.now)
        return replicas.ReplicaPlan(terminate=tuple(first))
    # Without a controller no pod is related to another (spec 3.6, criterion 5).
    group = state.cluster.desired.group_of(held.key) if held.owner else ()
    # Whoever creates does not look at the pods: they may be 50,000 (8 % of a roll).
    members = actual.pods_of(held.key) if surplus > 0 else []
    return replicas.plan(
        active,
        held.replicas,
        pods=(each for each in members if each.active and each.owner_uid == held.uid),
        related=lambda node: actual.siblings(group, node),
        now=state.now,
    )


def _fail(state: State, held: ReplicaSet, refusal: str, cause: int) -> None:
    """No pod can be made of its template. It is said once: trying again could not
    come out otherwise, because nothing but the template decides it."""
    if held.failure:
        return
    message = refusal
    if not refusal.startswith("unable"):
        name = ids.name_at(f"{held.name}-", state.cluster.position + 1)
        message = f'Pod "{name}" is invalid: {refusal}'
    failed = replicaset.ReplicaSetFailed(reason="FailedCreate", message=message)
    state.emit(held.key, failed, actor=events.REPLICASET_CONTROLLER, cause=cause)


def _terminate(state: State, held: pod.Pod, why: str, cause: int) -> None:
    own = state.cluster.desired.templates[held.template].grace
    grace = pod.grace_of(held, None, own)
    for event in pod.terminate(
        held, why=why, reason="ScaledDown", grace=grace, now=state.now
    ):
        state.emit(held.key, event, actor=events.REPLICASET_CONTROLLER, cause=cause)


def _claim_pods(state: State, held: ReplicaSet, cause: int) -> None:
    """Adopts matching pods that nobody owns, releases those that match no more."""
    actual = state.cluster.actual
    actor = events.REPLICASET_CONTROLLER
    for key in [*actual.loose]:
        loose = actual.pods[key]
        if loose.namespace != held.namespace or not loose.active:
            continue
        if state.cluster.desired.references.is_controlled(key):
            continue
        if _selects(held.selector, actual.labels_of(loose)):
            adopted = pod.PodAdopted(owner=held.key, owner_uid=held.uid)
            state.emit(key, adopted, actor=actor, cause=cause)
    if not actual.relabelled:
        return
    for key in [*actual.relabelled]:
        mine = actual.pods[key]
        if mine.owner_uid != held.uid or not mine.active:
            continue
        if not _selects(held.selector, actual.labels_of(mine)):
            state.emit(key, pod.PodReleased(), actor=actor, cause=cause)


def _collect_pods(state: State, key: str, cause: int) -> None:
    """The pods of a ReplicaSet that is gone go, or stay unowned if they were to."""
    replicaset_now = state.cluster.desired.replicasets.get(key)
    uid = replicaset_now.uid if replicaset_now is not None else ""
    for held in state.cluster.actual.pods_of(key):
        if held.owner_uid == uid:
            continue
        orphan = state.cluster.desired.orphaning.get(held.owner_uid, False)
        if orphan or owning.has_other_owner(state, held):
            actor = events.REPLICASET_CONTROLLER
            state.emit(held.key, pod.PodReleased(), actor=actor, cause=cause)
        elif held.stage != pod.TERMINATING:
            _terminate(state, held, "its ReplicaSet was deleted", cause)
