"""A Deployment with its ReplicaSets and pods, small enough to check after every write.

It does what the rest of the system does around the planners: it applies a plan, lets
each ReplicaSet create and end its pods (by the real planner), and lets pods become
available, fail and go away when a test says so. Every rule of spec 8.1 that speaks of a
single write is checked right after that write.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import msgspec

from domain.plans import fenceposts, replicas, rollout
from domain.plans.rollout import DeploymentFacts, Progressing, RolloutPlan

SYNCS_MAX: Final = 200
"""More syncs than any of these changes needs; beyond it, it does not settle."""


@dataclass(eq=False)
class Pod:
    """A pod, as the planners see it."""

    uid: str
    created_at: float
    node: str | None = "worker"
    phase: str = "Running"
    ready: bool = False
    ready_at: float | None = None
    deletion_cost: int = 0
    restarts: int = 0
    terminating: bool = False


@dataclass(eq=False)
class Owner:
    """A ReplicaSet with its pods."""

    name: str
    template: str
    created_at: float
    replicas: int
    revision: int
    desired: int | None
    maximum: int | None
    min_ready_seconds: int
    annotations: dict[str, str]
    history: tuple[int, ...] = ()
    pods: list[Pod] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"replicaset/default/{self.name}"

    def active(self) -> list[Pod]:
        return [pod for pod in self.pods if not pod.terminating]

    def facts(self, template: str) -> rollout.ReplicaSetFacts:
        active = self.active()
        ready = sum(pod.ready for pod in active)
        return rollout.ReplicaSetFacts(
            key=self.key,
            name=self.name,
            uid=self.name,
            created_at=self.created_at,
            template_matches=self.template == template,
            replicas=self.replicas,
            status_replicas=len(active),
            ready=ready,
            available=ready,
            terminating=len(self.pods) - len(active),
            running=len(self.pods),
            revision=self.revision,
            revision_history=self.history,
            desired_replicas=self.desired,
            max_replicas=self.maximum,
            min_ready_seconds=self.min_ready_seconds,
            annotations=self.annotations,
        )


class Cluster:
    """One Deployment; `log` has a line for each change of a size."""

    def __init__(self, replicas: int, *, watches: bool = True, **wish: object) -> None:
        base = DeploymentFacts(
            key="deployment/default/web", name="web", replicas=replicas
        )
        self.wish = msgspec.structs.replace(base, **wish)
        self.template = "A"
        self.owners: list[Owner] = []
        self.now = 1000.0
        self.log: list[str] = []
        self.completed: list[int] = []
        self.broken: set[str] = set()
        """Templates whose pods never become available."""
        self.highest = 0
        self._watches = watches
        self._serial = count(1)
        self._counts = rollout.Counts(replicas=0, updated=0, ready=0, available=0)

    # --- what tests do ------------------------------------------------------------

    def sync(self) -> RolloutPlan:
        """One sync: plan, apply, let the ReplicaSets act, check."""
        before = self.facts()
        owners = [each.facts(self.template) for each in self.owners]
        plan = rollout.plan(before, owners, self.now)
        if self._watches:
            new, old = rollout.split(owners)
            self._counts = rollout.counts(new, old)
        self._check_plan(before, plan)
        self._apply(plan)
        self.now += 0.001
        return plan

    def settle(self) -> list[RolloutPlan]:
        """Sync until nothing is written any more; the plans that wrote."""
        plans: list[RolloutPlan] = []
        while True:
            plan = self.sync()
            if rollout.is_empty(plan):
                return plans
            plans.append(plan)
            assert len(plans) < SYNCS_MAX, "a Deployment settles (L1, I11)"

    def become_available(self, limit: int = 10**6) -> int:
        """Up to `limit` pods become ready, oldest first; how many did."""
        waiting = [
            pod
            for owner in self.owners
            if owner.template not in self.broken
            for pod in owner.active()
            if not pod.ready
        ][:limit]
        for pod in waiting:
            pod.ready, pod.ready_at = True, self.now
        return len(waiting)

    def reap(self) -> int:
        """Terminating pods are gone; how many were."""
        gone = 0
        for owner in self.owners:
            active = owner.active()
            gone += len(owner.pods) - len(active)
            owner.pods = active
        return gone

    def finish(self) -> None:
        """Settle with pods that become available and go away, until all is calm."""
        for _ in range(SYNCS_MAX):
            self.settle()
            if not self.become_available() + self.reap():
                return
        raise AssertionError("a rollout ends (L3)")

    # --- what tests look at -------------------------------------------------------

    def facts(self) -> DeploymentFacts:
        return msgspec.structs.replace(
            self.wish,
            status_replicas=sum(len(owner.active()) for owner in self.owners),
            recorded=self._counts if self._watches else None,
        )

    def sizes(self) -> dict[str, int]:
        """The size of each template's ReplicaSet."""
        return {owner.template: owner.replicas for owner in self.owners}

    def available(self) -> int:
        return sum(pod.ready for owner in self.owners for pod in owner.active())

    def room(self) -> fenceposts.Fenceposts:
        wish = self.wish
        return fenceposts.for_strategy(
            wish.strategy, wish.max_surge, wish.max_unavailable, wish.replicas
        )

    def change(self, **wish: object) -> None:
        self.wish = msgspec.structs.replace(self.wish, **wish)

    def reason(self) -> str | None:
        return self.wish.progressing.reason if self.wish.progressing else None

    # --- applying a plan ----------------------------------------------------------

    def _apply(self, plan: RolloutPlan) -> None:
        total, available = self._total(), self.available()
        for change in (plan.revise, plan.configure):
            if isinstance(change, rollout.ReviseReplicaSet):
                owner = self._owner(change.key)
                assert change.revision > owner.revision, "revisions only grow (I4)"
                owner.revision, owner.history = change.revision, change.history
            elif change is not None:
                owner = self._owner(change.key)
                owner.min_ready_seconds = change.min_ready_seconds
                owner.annotations = change.annotations
        if plan.create is not None:
            self._create(plan.create)
        for write in plan.scale:
            owner = self._owner(write.key)
            assert owner.replicas == write.before, "a write knows the size before"
            assert write.after >= 0, "no size is negative"
            owner.replicas = write.after
            owner.desired, owner.maximum = write.desired, write.maximum
            if write.before != write.after:
                self.log.append(f"{owner.template} {write.before}→{write.after}")
        for key in plan.delete:
            owner = self._owner(key)
            assert not owner.replicas, "no ReplicaSet with a size is deleted (I12)"
            assert not owner.active(), "no ReplicaSet with pods is deleted (I12)"
            self.owners.remove(owner)
        if plan.revision is not None:
            self.wish = msgspec.structs.replace(self.wish, revision=plan.revision)
        if plan.progressing is not None:
            self._progress(plan.progressing)
        if plan.completed:
            self.completed.append(self.wish.revision)
        self._act()
        self._check_sizes(plan, total, available)

    def _progress(self, progressing: Progressing) -> None:
        self.wish = msgspec.structs.replace(self.wish, progressing=progressing)

    def _create(self, create: rollout.CreateReplicaSet) -> None:
        assert not self.wish.paused, "a paused Deployment creates no ReplicaSet (I10)"
        assert self.template not in self.sizes(), "one ReplicaSet a template (I4)"
        assert create.revision > self.highest, "revisions only grow (I4)"
        self.highest = create.revision
        serial = next(self._serial)
        self.owners.append(
            Owner(
                name=f"web-{serial}",
                template=self.template,
                created_at=self.now,
                replicas=create.replicas,
                revision=create.revision,
                desired=create.desired,
                maximum=create.maximum,
                min_ready_seconds=create.min_ready_seconds,
                annotations=create.annotations,
            )
        )
        if create.replicas:
            self.log.append(f"{self.template} 0→{create.replicas}")

    def _act(self) -> None:
        """Every ReplicaSet creates or ends pods until it has its size."""
        for owner in self.owners:
            active = owner.active()
            plan = replicas.plan(
                len(active),
                owner.replicas,
                pods=active,
                related=lambda _: 0,
                now=self.now,
            )
            for pod in plan.terminate:
                pod.terminating = True
            if plan.create:
                self._check_recreate(owner)
            for _ in range(plan.create):
                uid = f"pod-{next(self._serial):06d}"
                owner.pods.append(Pod(uid=uid, created_at=self.now))

    def _owner(self, key: str) -> Owner:
        return next(owner for owner in self.owners if owner.key == key)

    def _total(self) -> int:
        return sum(owner.replicas for owner in self.owners)

    # --- the rules of spec 8.1 ----------------------------------------------------

    def _check_plan(self, before: DeploymentFacts, plan: RolloutPlan) -> None:
        exceeded = rollout.EXCEEDED
        was = before.progressing.reason if before.progressing else None
        became = plan.progressing.reason if plan.progressing else was
        if before.paused:
            assert (was == exceeded) == (became == exceeded), (
                "a paused Deployment neither exceeds its deadline nor recovers (I10)"
            )
        if plan.stalled:
            assert plan.wake_at is None, "a deadline that passed has no timer"

    def _check_recreate(self, owner: Owner) -> None:
        if self.wish.strategy != "Recreate" or owner.template != self.template:
            return
        others = [pod for each in self.owners if each is not owner for pod in each.pods]
        assert not others, "Recreate: no new pod while an old one is left (I3, S9)"

    def _check_sizes(self, plan: RolloutPlan, total: int, available: int) -> None:
        room, wanted = self.room(), self.wish.replicas
        if self._total() > total and wanted > 0:
            assert self._total() <= wanted + room.surge, (
                "sizes never grow beyond replicas + maxSurge (I1, S7)"
            )
        if plan.direction == "old down" and self.wish.strategy != "Recreate":
            least = min(available, wanted - room.unavailable)
            assert self.available() >= least, (
                "shrinking never takes available pods below the least (I2, S6)"
            )


def run(operations: Sequence[Callable[[Cluster], object]], cluster: Cluster) -> None:
    """Do all of it with a bounded number of syncs after each; then let it finish.

    At the end everything that spec 8.1 says of a settled Deployment holds.
    """
    for operation in operations:
        operation(cluster)
    cluster.broken.clear()
    cluster.change(paused=False)
    cluster.finish()
    new = [owner for owner in cluster.owners if owner.template == cluster.template]
    assert len(new) == 1, "there is one ReplicaSet of the wanted template (I4)"
    owner = new[0]
    assert cluster._total() == owner.replicas == cluster.wish.replicas, (
        "any path of wishes ends where the last one alone would (L7)"
    )
    assert cluster.available() == cluster.wish.replicas, "all of it is available (L1)"
    assert owner.revision == max(each.revision for each in cluster.owners), (
        "the new one has the highest revision (I4)"
    )
    assert cluster.wish.revision == owner.revision, "the Deployment says the same (I4)"
    assert cluster.reason() == rollout.AVAILABLE, "completion is recorded (L3)"
    assert len(cluster.owners) - 1 <= cluster.wish.revision_history_limit, (
        "old ones beyond the limit are gone (I12)"
    )
    before = msgspec.structs.asdict(cluster.wish)
    cluster.now += 10_000
    assert rollout.is_empty(cluster.sync()), "it is a fixed point (I11)"
    assert msgspec.structs.asdict(cluster.wish) == before, "nothing moved (I11)"
