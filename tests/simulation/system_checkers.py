"""Safety that the checkers of tests/properties leave open, one class for a property."""

import zlib
from typing import Final

from domain import deployment, owners, pod, replicaset
from domain.deployment import Deployment
from domain.events import (
    DEPLOYMENT_CONTROLLER,
    REPLICASET_CONTROLLER,
    Event,
    Recorded,
)
from projections import status
from tests.properties.checking import (
    HASH,
    Checker,
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
from tests.properties.rollout_checkers import secured
from tests.properties.watched_checkers import is_automatic
from tests.simulation.world import World
from tests.support.cluster import SimCluster
from workers.outbox import Step
from workers.state import State


class Unchanged(Checker):
    """S5: no event that was committed ever changes."""

    id = "S5"

    def __init__(self) -> None:
        super().__init__()
        self._sums: list[int] = []

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """Remembers what was committed."""
        for row in sim.log[len(sim.log) - len(step.events) :]:
            self._sums.append(zlib.crc32(row.state))

    def after_restart(self, sim: SimCluster, _before: object, /) -> None:
        """After every restart the log holds what it held."""
        self._check(sim)

    def at_rest(self, sim: SimCluster) -> None:
        """The same at the end."""
        self._check(sim)

    def _check(self, sim: SimCluster) -> None:
        self.reached += 1
        sums = [zlib.crc32(row.state) for row in sim.log]
        assert sums == self._sums, "what was committed is there, byte for byte"


class NoSelfRollback(Checker):
    """S11: a rollout that stalls is rolled back by users only, unless one asked for it
    (tests/properties/watched_checkers.py)."""

    id = "S11"

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def before(self, state: State, stream: str, _event: Event, _actor: str, /) -> None:
        """Remembers whether a user asks for a rollback by annotation."""
        owner = state.cluster.desired.deployments.get(stream)
        self._asked = owner is not None and deployment.ROLLBACK_TO in owner.annotations

    def after(self, _state: State, recorded: Recorded, /) -> None:
        """Looks at each stall and at each rollback."""
        if isinstance(recorded.event, deployment.RolloutStalled):
            self.reached += 1
        if is_automatic(recorded.event) and not recorded.command_id:
            return
        if isinstance(recorded.event, deployment.DeploymentRolledBack):
            assert recorded.command_id or self._asked, "nobody asked for this rollback"


class RequestedRollbacks(Checker):
    """S11, spec 2.5: an annotation asks once, and what it asks for is carried out by
    the Deployment's controller with the request taken away in the same step."""

    id = "S11"

    def after_step(self, _sim: SimCluster, step: Step, /) -> None:
        """Looks at what the controller made of requests."""
        for recorded in step.events:
            by_annotation = isinstance(
                recorded.event,
                deployment.DeploymentRolledBack | deployment.DeploymentRollbackDeclined,
            )
            if not by_annotation or recorded.command_id or is_automatic(recorded.event):
                continue
            self.reached += 1
            after = [
                each.event
                for each in step.events
                if each.stream == recorded.stream and each.position > recorded.position
            ]
            cleared = after and (
                isinstance(after[0], deployment.DeploymentAnnotated)
                and deployment.ROLLBACK_TO not in after[0].annotations
            )
            assert cleared, f"{recorded.stream} would be rolled back again and again"

    def at_rest(self, sim: SimCluster) -> None:
        """Nothing that can be carried out is left."""
        for owner in sim.cluster.desired.deployments.values():
            asked = owner.annotations.get(deployment.ROLLBACK_TO, "")
            assert not asked.isdigit(), f"{owner.key} is still asked to go to {asked}"


class ReplacedWriters(Checker):
    """S12: the store refuses a writer that was replaced (checked in world.py)."""

    id = "S12"

    def at_rest(self, sim: SimCluster) -> None:
        """Counts the refusals; an append that is not refused fails at once."""
        if isinstance(sim, World):
            self.reached += sim.refusals


class SilencedWriters(Checker):
    """S12: nothing that a replaced writer would say without an event is sent."""

    id = "S12"

    def at_rest(self, sim: SimCluster) -> None:
        """Counts them; a word that is not held back fails at once (world.py)."""
        if isinstance(sim, World):
            self.reached += sim.silenced


class SizesAndSurge(Checker):
    """I1: sizes add up to `replicas + maxSurge` at most, unless they shrink to it."""

    id = "I1"

    def __init__(self) -> None:
        super().__init__()
        self._before = 0

    def before(self, state: State, stream: str, event: Event, _actor: str, /) -> None:
        """Remembers the sum."""
        self._before = 0
        owner = owner_of(state, stream)
        if isinstance(event, replicaset.ReplicaSetScaled) and owner is not None:
            self._before = _sum(state, owner)
        elif isinstance(event, replicaset.ReplicaSetCreated) and event.owner:
            held = state.cluster.desired.deployments.get(event.owner)
            self._before = _sum(state, held) if held is not None else 0

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks every write of the controller."""
        event = recorded.event
        if recorded.actor != DEPLOYMENT_CONTROLLER or not isinstance(
            event, replicaset.ReplicaSetScaled | replicaset.ReplicaSetCreated
        ):
            return
        owner = owner_of(state, recorded.stream)
        if owner is None or not is_rolling(owner):
            return
        held = replicasets_of(state, owner)
        if any(each.replicas and each.desired != owner.replicas for each in held):
            return  # a scaling is in progress
        self.reached += 1
        total, limit = _sum(state, owner), owner.replicas + room(owner).surge
        assert total <= max(limit, self._before), (
            f"the sizes of {owner.key} grew to {total}; {limit} is the limit"
        )


def _sum(state: State, owner: Deployment) -> int:
    return sum(each.replicas for each in replicasets_of(state, owner))


class SecuredPods(Checker):
    """I2: no pod that a rollout counts on is ended by a ReplicaSet."""

    id = "I2"

    def __init__(self) -> None:
        super().__init__()
        self._before = 0

    def before(self, state: State, stream: str, event: Event, actor: str, /) -> None:
        """Remembers how many pods were counted on."""
        self._before = 0
        owner = self._owner(state, stream)
        ended = isinstance(event, pod.PodTerminationRequested)
        if not ended or actor != REPLICASET_CONTROLLER or owner is None:
            return
        held = state.cluster.actual.pods[stream]
        pods = [
            each
            for each in state.cluster.actual.pods.values()
            if each.owner == held.owner and each.active
        ]
        if any(each.ready and not is_available(state, each) for each in pods):
            return  # Kubernetes ranks by readiness, not by availability (spec 3.6)
        self._before = secured(state, owner)

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks that it did not become fewer."""
        owner = self._owner(state, recorded.stream)
        if not self._before or owner is None or owner.stage == deployment.DELETING:
            return
        self.reached += 1
        left = secured(state, owner)
        assert left >= self._before, (
            f"the end of {recorded.stream} takes {owner.key} from {self._before} to "
            f"{left} available pods within its sizes"
        )

    @staticmethod
    def _owner(state: State, stream: str) -> Deployment | None:
        held = state.cluster.actual.pods.get(stream)
        return owner_of(state, held.owner) if held is not None else None


class RecreatedPods(Checker):
    """I3: under Recreate no pod is created while one of another template is left.

    A Deployment that became Recreate in the middle of a rolling update is left out,
    one of whose ReplicaSets a user scales by hand, and one that adopts a ReplicaSet
    which a user has made, or which was left with pods in the middle of a rolling
    update: that keeps its size, and makes a pod again that is lost, until the
    Deployment acts.
    """

    id = "I3"

    def __init__(self) -> None:
        super().__init__()
        self._pure: dict[str, bool] = {}

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks each new pod."""
        for owner in state.cluster.desired.deployments.values():
            pure = self._pure.get(owner.uid, True) and not is_rolling(owner)
            self._pure[owner.uid] = pure
        event = recorded.event
        if isinstance(event, replicaset.ReplicaSetScaled) and recorded.command_id:
            owner_scaled = owner_of(state, recorded.stream)
            if owner_scaled is not None:
                self._pure[owner_scaled.uid] = False
        if isinstance(event, replicaset.ReplicaSetAdopted):
            taken = state.cluster.desired.replicasets[recorded.stream]
            if HASH not in taken.labels or taken.replicas:
                self._pure[event.owner_uid] = False
        if not isinstance(event, pod.PodCreated) or not event.owner:
            return
        found = owner_of(state, event.owner)
        if found is None or not self._pure[found.uid]:
            return
        mine = state.cluster.desired.replicasets[event.owner]
        if template_of(state, mine) != plain(found.template):
            return
        self.reached += 1
        others = [
            each
            for held in replicasets_of(state, found)
            if held.key != mine.key and template_of(state, held) != plain(
                found.template
            )
            for each in pods_of(state, held)
        ]  # fmt: skip
        assert all(is_terminal(each) for each in others), (
            f"{recorded.stream} is created while a pod of an older template is left"
        )


class Generations(Checker):
    """I6: the generation grows with each command that changes what is asked for."""

    id = "I6"

    def __init__(self) -> None:
        super().__init__()
        self._was: dict[str, tuple[int, object, int]] = {}

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Compares with what was asked for before."""
        owner = state.cluster.desired.deployments.get(recorded.stream)
        if owner is None:
            return
        found = status.deployment_status(
            state.cluster.desired, state.cluster.actual, owner
        )
        seen = getattr(found, "observed_generation", owner.generation)
        assert seen <= owner.generation, "what was observed is not ahead"
        generation, asked, cause = self._was.get(owner.uid, (0, None, -1))
        changed = asked != (owner.spec, owner.annotations)
        if changed and owner.stage != deployment.DELETING:
            self.reached += 1
            again = recorded.cause == cause
            assert owner.generation == generation + (not again), (
                f"{type(recorded.event).__name__} changes {owner.key} and takes its "
                f"generation from {generation} to {owner.generation}"
            )
        elif not changed and not recorded.command_id:
            assert owner.generation == generation, "only users raise a generation"
        self._was[owner.uid] = (
            owner.generation,
            (owner.spec, owner.annotations),
            recorded.cause if changed else cause,
        )


class OneController(Checker):
    """I7: an object names at most one controller, and what something else controls is
    left alone by ours; only who names owners that are gone is collected."""

    id = "I7"

    def __init__(self) -> None:
        super().__init__()
        self._foreign = False

    def before(self, state: State, stream: str, _event: Event, _actor: str, /) -> None:
        """Remembers whether something else controls the object."""
        held = _member(state, stream)
        named = state.cluster.desired.references.of(stream)
        self._foreign = held is not None and any(
            each.controller and each.uid != held.owner_uid for each in named
        )

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Looks at the object, and at who has changed it."""
        event = recorded.event
        if self._foreign and recorded.actor in (
            DEPLOYMENT_CONTROLLER,
            REPLICASET_CONTROLLER,
        ):
            self.reached += 1
            collected = (
                isinstance(
                    event, pod.PodOwnersChanged | replicaset.ReplicaSetOwnersChanged
                )
                or getattr(event, "why", "") == "its owners were deleted"
            )
            # A ReplicaSet goes on keeping its own size, whoever controls it.
            own = recorded.stream.startswith("replicaset/") and (
                recorded.actor == REPLICASET_CONTROLLER
            )
            assert collected or own, (
                f"{recorded.actor} did {type(event).__name__} to {recorded.stream}, "
                "which something else controls"
            )
        held = _member(state, recorded.stream)
        if held is None:
            return
        named = state.cluster.desired.references.of(recorded.stream)
        shown = owners.shown(named, held.owner, held.owner_uid)
        count = sum(each.controller is True for each in shown)
        assert count <= 1, f"{recorded.stream} names {count} controllers"


def _member(state: State, stream: str) -> pod.Pod | replicaset.ReplicaSet | None:
    found = state.cluster.actual.pods.get(stream)
    return found or state.cluster.desired.replicasets.get(stream)


SUITE: Final[tuple[type[Checker], ...]] = (
    Unchanged,
    NoSelfRollback,
    RequestedRollbacks,
    OneController,
    ReplacedWriters,
    SilencedWriters,
    SizesAndSurge,
    SecuredPods,
    RecreatedPods,
    Generations,
)
