"""Safety of rollouts: sizes, availability, Recreate, revisions, history."""

from fractions import Fraction

from domain import analysis, deployment, pod, replicaset
from domain.deployment import Deployment
from domain.events import (
    DEPLOYMENT_CONTROLLER,
    REPLICASET_CONTROLLER,
    Event,
    Recorded,
)
from domain.replicaset import ReplicaSet
from tests.properties.checking import (
    Checker,
    half_away,
    is_active,
    is_available,
    is_rolling,
    is_terminal,
    owner_of,
    plain,
    pods_of,
    replicasets_of,
    room,
    template_of,
)
from tests.support.cluster import SimCluster
from workers.outbox import Step
from workers.state import State

EXCEEDED = "ProgressDeadlineExceeded"
IN_PROPORTION = "scaled in proportion, in the middle of a rollout"


def secured(state: State, owner: Deployment) -> int:
    """The available pods that sizes leave: those beyond a size are on their way out."""
    total = 0
    for held in replicasets_of(state, owner):
        pods = pods_of(state, held)
        total += min(held.replicas, sum(is_available(state, each) for each in pods))
    return total


class LeastAvailable(Checker):
    """S6, I2: shrinking never takes available pods below `replicas - maxUnavailable`.

    A proportional scaling is left out: the user asked for it (I2).
    """

    id = "S6"

    def __init__(self) -> None:
        super().__init__()
        self._before = 0

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """Remembers how many were secured."""
        if isinstance(event, replicaset.ReplicaSetScaled):
            owner = owner_of(state, stream)
            self._before = secured(state, owner) if owner is not None else 0

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks each write that makes a ReplicaSet smaller."""
        event = recorded.event
        if (
            not isinstance(event, replicaset.ReplicaSetScaled)
            or recorded.actor != DEPLOYMENT_CONTROLLER
            or event.after >= event.before
            or event.why == IN_PROPORTION
        ):
            return
        owner = owner_of(state, recorded.stream)
        if owner is None or not is_rolling(owner):
            return
        self.reached += 1
        least = min(self._before, owner.replicas - room(owner).unavailable)
        left = secured(state, owner)
        assert left >= least, (
            f"{recorded.stream} {event.before}→{event.after} leaves {left} available "
            f"pods of {owner.key}; at least {least} must stay"
        )


class Victims(Checker):
    """S6, spec 3.6: no ready pod ends while one that is not ready could."""

    id = "S6"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks the pod that a ReplicaSet has chosen."""
        event = recorded.event
        if (
            not isinstance(event, pod.PodTerminationRequested)
            or recorded.actor != REPLICASET_CONTROLLER
        ):
            return
        victim = state.cluster.actual.pods[recorded.stream]
        held = state.cluster.desired.replicasets.get(victim.owner)
        owner = owner_of(state, victim.owner)
        if owner is not None and owner.stage == deployment.DELETING:
            return
        if held is None or held.uid != victim.owner_uid or not victim.ready:
            return
        self.reached += 1
        active = [each for each in pods_of(state, held) if is_active(each)]
        assert len(active) >= held.replicas, "no more pods end than are too many"
        spare = len(active) - held.replicas
        unready = sum(not each.ready for each in active)
        assert unready <= spare, (
            f"{victim.name} was ready and ends, while {unready} others are not ready"
        )


class SizeLimit(Checker):
    """S7, I1: sizes never grow beyond `replicas + maxSurge`."""

    id = "S7"

    def __init__(self) -> None:
        super().__init__()
        self._pods: dict[str, int] = {}

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks each write that makes a ReplicaSet larger."""
        event = recorded.event
        if recorded.actor != DEPLOYMENT_CONTROLLER:
            return
        if isinstance(event, replicaset.ReplicaSetScaled):
            growth = event.after - event.before
        elif isinstance(event, replicaset.ReplicaSetCreated):
            growth = event.replicas
        else:
            return
        owner = owner_of(state, recorded.stream)
        if owner is None or growth <= 0:
            return
        self.reached += 1
        total = sum(each.replicas for each in replicasets_of(state, owner))
        limit = owner.replicas + room(owner).surge
        assert total <= limit or total <= limit + _shrinking(state, owner), (
            f"the sizes of {owner.key} add up to {total}; {limit} is the limit"
        )

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """Pods that a step leaves active: within the limit, unless there were more."""
        counts: dict[str, int] = {}
        for key, owner in sim.cluster.desired.deployments.items():
            active = sum(
                is_active(each)
                for held in replicasets_of(sim.state, owner)
                for each in pods_of(sim.state, held)
            )
            limit = owner.replicas + room(owner).surge
            sizes = sum(each.replicas for each in replicasets_of(sim.state, owner))
            limit = max(limit, sizes)
            counts[key] = active
            assert step.more or active <= max(limit, self._pods.get(key, 0)), (
                f"{key} has {active} active pods; {limit} is the limit"
            )
        self._pods = counts


def _shrinking(state: State, owner: Deployment) -> int:
    """What a resizing that goes on has still to take: its writes are one batch."""
    stale = [
        each
        for each in replicasets_of(state, owner)
        if each.replicas and each.desired != owner.replicas
    ]
    return sum(each.replicas for each in stale)


class Recreate(Checker):
    """S9, I3: Recreate starts nothing new while a pod of an old template is left."""

    id = "S9"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks each ReplicaSet that grows."""
        event = recorded.event
        if isinstance(event, replicaset.ReplicaSetCreated):
            grows = event.replicas > 0
        elif isinstance(event, replicaset.ReplicaSetScaled):
            grows = event.after > event.before
        else:
            return
        owner = owner_of(state, recorded.stream)
        if (
            owner is None
            or is_rolling(owner)
            or not grows
            or recorded.actor != DEPLOYMENT_CONTROLLER
        ):
            return
        held = state.cluster.desired.replicasets[recorded.stream]
        if template_of(state, held) != plain(owner.template):
            return
        others = [
            each
            for other in replicasets_of(state, owner)
            if other.key != held.key
            for each in pods_of(state, other)
        ]
        self.reached += bool(others) or bool(held.revision > 1)
        assert all(is_terminal(each) for each in others), (
            f"{held.name} grows while a pod of an older template is left"
        )


class Proportion(Checker):
    """S9, spec 2.9: a resizing in the middle of a rollout gives the exact sizes."""

    id = "S9"

    def __init__(self) -> None:
        super().__init__()
        self._wanted: dict[str, int] = {}
        self._noted: tuple[int | None, int | None] = (None, None)
        """The annotations that the resizing gives, besides the sizes."""

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """Works out all sizes when the first of them is about to be written."""
        if not _is_proportional(event):
            for key, size in self._wanted.items():
                held = state.cluster.desired.replicasets.get(key)
                assert held is None or held.replicas == size, (
                    f"{key} has {held.replicas if held else 0} pods after a resizing "
                    f"in proportion; {size} is its share"
                )
            self._wanted = {}
            return
        owner = owner_of(state, stream)
        if owner is None or (self._wanted and not self._is_written(state)):
            return
        if analysis.policy(owner.annotations).steps:
            return  # a step holds other shares (tests/workers/test_watched_properties)
        self.reached += 1
        self._wanted = self._shares(state, owner)
        assert isinstance(event, replicaset.ReplicaSetScaled), "it is in proportion"
        self._noted = event.desired, event.maximum

    def _is_written(self, state: State) -> bool:
        """Nothing is left to write: what comes now is another resizing. One may not go
        the whole way, where a size that was given by hand asks for more than there is.
        """
        for key, size in self._wanted.items():
            held = state.cluster.desired.replicasets.get(key)
            if held is None or held.replicas != size:
                return False
            if (held.desired, held.maximum) != self._noted:
                return False
        return True

    def after_step(self, sim: SimCluster, _step: Step, /) -> None:
        """A batch ends with its step."""
        self.before(sim.state, "", deployment.DeploymentPaused(), "")

    @staticmethod
    def _shares(state: State, owner: Deployment) -> dict[str, int]:
        """Spec 2.9, step 3, in fractions."""
        active = [each for each in replicasets_of(state, owner) if each.replicas]
        surge = room(owner).surge
        allowed = owner.replicas + surge if owner.replicas else 0
        add = allowed - sum(each.replicas for each in active)
        if add > 0:
            active.reverse()
        active.sort(key=lambda each: -each.replicas)
        pods = sum(
            is_active(each)
            for held in replicasets_of(state, owner)
            for each in pods_of(state, held)
        )
        shares: dict[str, int] = {}
        added = 0
        for each in active:
            before = each.maximum or pods
            share = (
                half_away(Fraction(each.replicas * allowed, before)) if before else 0
            )
            share = share - each.replicas if before else 0
            if owner.replicas == 0:
                share = -each.replicas
            rest = add - added
            # A size that a user gave by hand may ask for the other direction.
            share = max(0, min(share, rest)) if add > 0 else min(0, max(share, rest))
            share = share if add and rest else 0
            shares[each.key] = each.replicas + share
            added += share
        first = active[0].key
        shares[first] = max(0, shares[first] + add - added)
        return shares


def _is_proportional(event: Event) -> bool:
    return isinstance(event, replicaset.ReplicaSetScaled) and event.why == IN_PROPORTION


class Revisions(Checker):
    """S10, I4: revisions only grow and are kept; undo restores the exact template."""

    id = "S10"

    def __init__(self) -> None:
        super().__init__()
        self._templates: dict[str, dict[int, bytes]] = {}

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Keeps a history of its own and compares."""
        event, key = recorded.event, recorded.stream
        if not key.startswith("deployment/"):
            return
        owner = state.cluster.desired.deployments.get(key)
        if owner is None:
            return
        known = self._templates.setdefault(owner.uid, {})
        if isinstance(event, deployment.RevisionStarted):
            assert event.revision > max(known, default=0), "revisions only grow (I4)"
            held = state.cluster.desired.replicasets[
                f"replicaset/{owner.namespace}/{event.replicaset}"
            ]
            assert template_of(state, held) == plain(owner.template), (
                "a revision runs the template that was asked for"
            )
            assert held.revision == event.revision, "the ReplicaSet says the same"
            known[event.revision] = plain(owner.template)
        elif isinstance(event, deployment.DeploymentRolledBack):
            self.reached += 1
            assert plain(event.template) == known[event.to_revision], (
                f"undo to revision {event.to_revision} restores another template"
            )
            assert plain(owner.template) == plain(event.template)
        rolled = state.cluster.rollouts.by_key[key].revisions
        assert [each.revision for each in rolled] == sorted(known), (
            "every revision stays in the history"
        )


class OneReplicaSet(Checker):
    """I4: a Deployment never creates a second ReplicaSet for a template."""

    id = "I4"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Compares a new ReplicaSet with those that are there."""
        event = recorded.event
        if not isinstance(event, replicaset.ReplicaSetCreated) or not event.owner:
            return
        self.reached += 1
        owner = state.cluster.desired.deployments[event.owner]
        held = replicasets_of(state, owner)
        texts = [template_of(state, each) for each in held]
        assert texts.count(plain(event.template)) == 1, (
            f"{owner.key} has a ReplicaSet of this template already"
        )
        assert plain(event.template) == plain(owner.template), (
            "a new ReplicaSet has the Deployment's template"
        )
        assert not owner.spec.paused, "a paused Deployment creates none (I10)"


class Paused(Checker):
    """I10: a paused Deployment starts nothing, and its deadline neither passes nor is
    forgotten once it has passed."""

    id = "I10"

    def __init__(self) -> None:
        super().__init__()
        self._exceeded: dict[str, bool] = {}

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """Compares the conditions of those that were paused throughout the step."""
        resumed = {
            each.stream
            for each in step.events
            if isinstance(each.event, deployment.DeploymentResumed)
        }
        found: dict[str, bool] = {}
        for key, owner in sim.cluster.desired.deployments.items():
            if not owner.spec.paused:
                continue
            held = sim.cluster.rollouts.by_key[key].condition("Progressing")
            found[owner.uid] = held is not None and held.reason == EXCEEDED
            was = self._exceeded.get(owner.uid, found[owner.uid])
            watched = owner.spec.progress_deadline_seconds not in (None, 2**31 - 1)
            assert found[owner.uid] == was or key in resumed or not watched, (
                f"{key} is paused, and its deadline counts as "
                f"{'passed' if found[owner.uid] else 'not passed'} all at once"
            )
        self._exceeded = found

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks what happens to a Deployment while it is paused."""
        owner = state.cluster.desired.deployments.get(recorded.stream)
        if owner is None or not owner.spec.paused:
            return
        self.reached += 1
        assert not isinstance(
            recorded.event, deployment.RolloutStalled | deployment.RolloutCompleted
        ), "a paused rollout neither stalls nor completes"


class History(Checker):
    """I12: cleaning up takes only ReplicaSets that are old and empty."""

    id = "I12"

    def __init__(self) -> None:
        super().__init__()
        self._held: ReplicaSet | None = None
        self._pods = 0
        self._new = False

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """Remembers the ReplicaSet that is about to go."""
        self._held = None
        if isinstance(event, replicaset.ReplicaSetDeleted):
            self._held = state.cluster.desired.replicasets.get(stream)
            if self._held is not None:
                pods = pods_of(state, self._held)
                self._pods = sum(is_active(each) for each in pods)
                self._new = self._is_new(state, self._held)

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks it, if its Deployment lives on."""
        if self._held is None or recorded.actor != DEPLOYMENT_CONTROLLER:
            return
        owner = state.cluster.desired.deployments.get(self._held.owner)
        if owner is None or owner.uid != self._held.owner_uid:
            return
        if owner.stage == deployment.DELETING:
            return
        self.reached += 1
        assert self._held.replicas == self._pods == 0, (
            f"{self._held.name} was deleted with {self._pods} pods"
        )
        assert not self._new, "the new ReplicaSet stays"

    @staticmethod
    def _is_new(state: State, held: ReplicaSet) -> bool:
        """Of all that have the Deployment's template it is the oldest (spec 2.3)."""
        owner = owner_of(state, held.key)
        if owner is None:
            return False
        equal = [
            each
            for each in replicasets_of(state, owner)
            if template_of(state, each) == plain(owner.template)
        ]
        return bool(equal) and equal[0].key == held.key
