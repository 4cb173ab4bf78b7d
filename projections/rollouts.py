"""How each Deployment's rollouts went: conditions, and every revision ever.

1. A revision is never dropped and never renumbered: running its template again is a
   new one that says where it came from (S10).
2. A revision's cause is what the user wrote for that change; if nothing was written,
   what was changed. It is never inherited from another revision.
3. Conditions that follow from counting pods are settled once per step, when all of a
   step's events are folded: `settle`. All events of a step share a timestamp, so a
   replay settles at the same places and comes to the same conditions, bit for bit.
4. The rules of the conditions are those of spec 2.11 to 2.13.
"""

import bisect
import operator
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from domain import analysis_run, deployment, replicaset, template_changes
from domain.deployment import Deployment
from domain.events import Recorded
from domain.plans import rollout as plan
from domain.pod import Pod
from projections import rollout_requests, status
from projections.actual import Actual
from projections.desired import Desired
from projections.rollout_requests import Request
from projections.status import Condition, DeploymentStatus, set_condition

VERSION: Final = 1

Result = Literal[
    "pending", "progressing", "stalled", "complete", "superseded", "rolled back"
]
PROGRESSING: Final = "Progressing"
NEW_AVAILABLE: Final = "NewReplicaSetAvailable"
DEADLINE_EXCEEDED: Final = "ProgressDeadlineExceeded"


class Revision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One template that the Deployment was asked to run, and what came of it.

    `position` is that of the request, `template` that of the event which holds the
    ReplicaSet's template, `cause` the CHANGE-CAUSE, `origin` where it came from.
    """

    revision: int
    replicaset: str
    template: int
    position: int
    started_at: float
    who: str
    cause: str
    origin: str = ""
    result: Result = "progressing"
    ended_at: float = 0.0
    completed: bool = False
    command: str = ""
    """The id of the command that asked for it."""
    failed: bool = False  # its analysis has, maybe after it was complete


class Rollout:
    """What is remembered of one Deployment, from its creation to its deletion."""

    __slots__ = (
        "_by_replicaset",
        "_indexed",
        "conditions",
        "crashes",
        "request",
        "revisions",
        "status",
        "uid",
    )

    def __init__(self, uid: str, request: Request) -> None:
        self.uid = uid
        self.request = request
        self.conditions: tuple[Condition, ...] = ()
        self.revisions: list[Revision] = []
        self.status = DeploymentStatus()
        self.crashes = 0
        """How often containers of the present revision's pods were started again."""
        self._by_replicaset: dict[str, list[int]] = {}
        self._indexed = 0

    def condition(self, type_: str) -> Condition | None:
        """The condition of this type, if it is set."""
        return next((held for held in self.conditions if held.type == type_), None)

    def find(self, revision: int) -> Revision | None:
        """The revision of this number, if there ever was one."""
        index = self.index(revision)
        return self.revisions[index] if index >= 0 else None

    def run_by(self, replicaset: str) -> Sequence[int]:
        """The revisions that this ReplicaSet (its name) has run, oldest first."""
        for held in self.revisions[self._indexed :]:
            self._by_replicaset.setdefault(held.replicaset, []).append(held.revision)
        self._indexed = len(self.revisions)
        return self._by_replicaset.get(replicaset, ())

    def index(self, revision: int) -> int:
        """Where in `revisions` this number is; -1 where it is not.

        The numbers grow, though not always by one (spec 2.5).
        """
        key = operator.attrgetter("revision")
        index = bisect.bisect_left(self.revisions, revision, key=key)
        known = index < len(self.revisions)
        return index if known and self.revisions[index].revision == revision else -1


class Rollouts:
    """The rollouts of every living Deployment; `evolve` and `settle` change it."""

    def __init__(self, desired: Desired, actual: Actual) -> None:
        self._desired = desired
        self._actual = actual
        self.by_key: dict[str, Rollout] = {}
        self.touched: dict[str, None] = {}  # since the last `settle`

    def evolve(self, recorded: Recorded, owner: str = "") -> None:
        """Afterwards the event is remembered (Desired and Actual come first).

        `owner` is the key of the ReplicaSet that the event's pod belongs to.
        """
        kind, _, _ = recorded.stream.partition("/")
        if kind == "pod":
            held = self._desired.replicasets.get(owner)
            if held is not None and held.owner:
                self.touched[held.owner] = None
        elif kind == "deployment":
            self._deployment(recorded)
            self.touched[recorded.stream] = None
        elif kind == "replicaset":
            self._replicaset(recorded)

    def touch(self, replicaset_key: str) -> None:
        """The counts of this ReplicaSet changed by an event of another object."""
        held = self._desired.replicasets.get(replicaset_key)
        if held is not None and held.owner:
            self.touched[held.owner] = None

    def lost(self, key: str, recorded: Recorded) -> None:
        """With the event a ReplicaSet left this Deployment, and its pods with it."""
        self.touched[key] = None
        self._disturbed(key, recorded)

    def crashed(self, before: Pod, held: Pod) -> None:
        """Containers of the pod may have been started again."""
        times = analysis_run.crashes(held.seen) - analysis_run.crashes(before.seen)
        owner = self._desired.owner_of(held.owner)
        rollout = self.by_key.get(owner.key) if owner is not None else None
        if rollout is None or not rollout.revisions:
            return
        last, name = rollout.revisions[-1], held.owner.rpartition("/")[2]
        # The ReplicaSet may have run before: what it did then is another story.
        if last.replicaset == name and held.created_at >= last.started_at:
            rollout.crashes += max(0, times)

    def settle(self, now: float) -> None:
        """Rule 3: afterwards the conditions are those of the counts."""
        while self.touched:
            key, _ = self.touched.popitem()
            owner = self._desired.deployments.get(key)
            rollout = self.by_key.get(key)
            if owner is not None and rollout is not None:
                self._settle_one(owner, rollout, now)

    # --- conditions -----------------------------------------------------------------

    def _settle_one(self, owner: Deployment, rollout: Rollout, now: float) -> None:
        before = rollout.status
        after = status.deployment_status(self._desired, self._actual, owner)
        rollout.status = after
        self._availability(owner, rollout, after, now)
        if not owner.spec.paused:
            self._failure(owner, rollout)
        if not status.has_deadline(owner):
            rollout.conditions = tuple(
                held for held in rollout.conditions if held.type != PROGRESSING
            )
            return
        held = rollout.condition(PROGRESSING)
        done = held is not None and held.reason == NEW_AVAILABLE
        if owner.spec.paused or (done and after.replicas == after.updated):
            return
        if plan.has_progressed(before, after):
            self._progressing(
                owner, rollout, "ReplicaSetUpdated", "{} is progressing.", now, True
            )

    def _availability(
        self,
        owner: Deployment,
        rollout: Rollout,
        after: DeploymentStatus,
        now: float,
    ) -> None:
        enough = after.available >= owner.replicas - status.room(owner).unavailable
        rollout.conditions = set_condition(
            rollout.conditions,
            type_="Available",
            status="True" if enough else "False",
            reason=f"MinimumReplicas{'A' if enough else 'Una'}vailable",
            message=(
                "Deployment has minimum availability."
                if enough
                else "Deployment does not have minimum availability."
            ),
            now=now,
        )

    def _failure(self, owner: Deployment, rollout: Rollout) -> None:
        """ReplicaFailure is that of the new ReplicaSet, else the first one's (2.12)."""
        new = self._desired.new_replicaset(owner)
        sets = self._desired.replicasets_of(owner)
        failing = [held for held in sets if held.failure]
        first = next((held for held in failing if new and held.uid == new.uid), None)
        first = first or (failing[0] if failing else None)
        if first is None:
            rollout.conditions = tuple(
                held for held in rollout.conditions if held.type != "ReplicaFailure"
            )
            return
        rollout.conditions = set_condition(
            rollout.conditions,
            type_="ReplicaFailure",
            status="True",
            reason=first.failure,
            message=first.failure_message,
            now=first.failed_at,  # that of the ReplicaSet's condition (spec 2.12)
        )

    def _progressing(
        self,
        owner: Deployment,
        rollout: Rollout,
        reason: str,
        text: str,
        now: float,
        always: bool = False,
        value: str = "True",
    ) -> None:
        if not status.has_deadline(owner):
            return
        new = self._desired.new_replicaset(owner)
        subject = f'ReplicaSet "{new.name}"' if new else f'Deployment "{owner.name}"'
        rollout.conditions = set_condition(
            rollout.conditions,
            type_=PROGRESSING,
            status=value,
            reason=reason,
            message=text.format(subject),
            now=now,
            always=always,
        )

    # --- the fold -------------------------------------------------------------------

    def _deployment(self, recorded: Recorded) -> None:
        event, key, now = recorded.event, recorded.stream, recorded.timestamp
        if isinstance(event, deployment.DeploymentDeleted):
            self.by_key.pop(key, None)
            return
        owner = self._desired.deployments.get(key)
        if owner is None:
            return
        if isinstance(event, deployment.DeploymentCreated):
            annotated = event.annotations.get(deployment.CHANGE_CAUSE, "")
            request = rollout_requests.made(recorded, event.change_cause, annotated)
            self.by_key[key] = Rollout(event.uid, request)
            return
        rollout = self.by_key.get(key)
        if rollout is None:
            return
        annotated = rollout.request.annotated
        match event:
            case deployment.DeploymentTemplateChanged():
                rollout.request = rollout_requests.made(
                    recorded, event.change_cause, annotated
                )
            case deployment.DeploymentRolledBack():
                rollout.request = rollout_requests.made(
                    recorded, event.change_cause, annotated, event.to_revision
                )
            case deployment.RevisionStarted():
                used = rollout.revisions[-1].position if rollout.revisions else 0
                request = rollout_requests.started(rollout.request, used, recorded)
                rollout.request = request
                self._start(owner, rollout, event, now)
            case deployment.RolloutCompleted():
                # Availability is judged before progress (spec 2.12's order).
                after = status.deployment_status(self._desired, self._actual, owner)
                self._availability(owner, rollout, after, now)
                text = "{} has successfully progressed."
                self._progressing(owner, rollout, NEW_AVAILABLE, text, now)
                _end(rollout, event.revision, "complete", now)
            case deployment.RolloutStalled():
                self._progressing(
                    owner,
                    rollout,
                    DEADLINE_EXCEEDED,
                    "{} has timed out progressing.",
                    now,
                    value="False",
                )
                _end(rollout, event.revision, "stalled", now)
            case analysis_run.RolloutStepReached() | analysis_run.RolloutPromoted():
                # The deadline did not run while a step waited, and starts anew.
                text = "{} is progressing."
                self._progressing(owner, rollout, "ReplicaSetUpdated", text, now, True)
            case analysis_run.AnalysisEnded(verdict="fail"):
                last = rollout.revisions.pop()
                rollout.revisions.append(msgspec.structs.replace(last, failed=True))
            case deployment.DeploymentPaused() | deployment.DeploymentResumed():
                self._pause(owner, rollout, now)
            case deployment.DeploymentAnnotated():
                _recause(rollout, event.annotations)
            case _:
                pass
        self._watch(owner, rollout, now)

    def _watch(self, owner: Deployment, rollout: Rollout, now: float) -> None:
        """A deadline that is set on what is there begins with that (spec 2.4, 2.11)."""
        if not status.has_deadline(owner) or rollout.condition(PROGRESSING) is not None:
            return
        last = rollout.revisions[-1] if rollout.revisions else None
        if owner.spec.paused:
            self._pause(owner, rollout, now)
        elif last is not None and last.completed:
            text = "{} has successfully progressed."
            self._progressing(owner, rollout, NEW_AVAILABLE, text, now)
        elif last is not None:
            self._found(owner, rollout, last.replicaset, now)

    def _pause(self, owner: Deployment, rollout: Rollout, now: float) -> None:
        """Spec 2.11: resuming starts the deadline anew, unless it has passed."""
        held = rollout.condition(PROGRESSING)
        if held is not None and held.reason == DEADLINE_EXCEEDED:
            return
        word = "Paused" if owner.spec.paused else "Resumed"
        self._progressing(
            owner,
            rollout,
            f"Deployment{word}",
            f"Deployment is {word.lower()}",
            now,
            value="Unknown",
        )

    def _replicaset(self, recorded: Recorded) -> None:
        held = self._desired.replicasets.get(recorded.stream)
        if held is None or not held.owner:
            return
        self.touched[held.owner] = None
        if not isinstance(recorded.event, replicaset.ReplicaSetCreated):
            self._disturbed(held.owner, recorded)
            return
        owner = self._desired.deployments.get(held.owner)
        rollout = self.by_key.get(held.owner)
        if owner is not None and rollout is not None and status.has_deadline(owner):
            rollout.conditions = set_condition(
                rollout.conditions,
                type_=PROGRESSING,
                status="True",
                reason="NewReplicaSetCreated",
                message=f'Created new replica set "{held.name}"',
                now=recorded.timestamp,
                # The deadline counts from the start of its own revision.
                always=True,
            )

    def _disturbed(self, key: str, recorded: Recorded) -> None:
        """The ReplicaSet of the revision that runs may be fit for it no longer."""
        rollout = self.by_key.get(key)
        if rollout is None or not rollout.revisions:
            return
        last, name = rollout.revisions[-1], recorded.stream.rpartition("/")[2]
        if last.replicaset == name and last.position == rollout.request.position:
            rollout.request = rollout_requests.disturbed(rollout.request, recorded)

    def _start(
        self,
        owner: Deployment,
        rollout: Rollout,
        event: deployment.RevisionStarted,
        now: float,
    ) -> None:
        key = f"replicaset/{owner.namespace}/{event.replicaset}"
        held = self._desired.replicasets[key]
        request = rollout.request
        last = rollout.revisions[-1] if rollout.revisions else None
        rollout.crashes = 0
        if last is not None and last.failed and request.rolled_back_to:
            rollout.revisions[-1] = msgspec.structs.replace(last, result="rolled back")
        if last is not None and last.result in ("progressing", "stalled", "pending"):
            undone = bool(request.rolled_back_to)
            _end(rollout, last.revision, "rolled back" if undone else "superseded", now)
        rollout.revisions.append(
            Revision(
                revision=event.revision,
                replicaset=event.replicaset,
                template=held.template,
                position=request.position,
                started_at=request.at,
                who=request.who,
                cause=request.written or self._words(request, last, held.template),
                origin=_origin(request, last),
                command=request.command,
            )
        )
        # What comes is measured against the start of the revision, when none of its
        # pods were there: Kubernetes sees that moment too, between two writes.
        rollout.status = status.deployment_status(self._desired, self._actual, owner)
        progressing = rollout.condition(PROGRESSING)
        if owner.spec.paused:
            return  # what is paused makes no progress, and what stalled stays (I10)
        if progressing is None:
            self._found(owner, rollout, event.replicaset, now)
        elif (
            progressing.reason != "NewReplicaSetCreated" or progressing.updated_at < now
        ):
            # A former template that runs again is progress in itself.
            text = "{} is progressing."
            self._progressing(owner, rollout, "ReplicaSetUpdated", text, now, True)

    def _found(
        self, owner: Deployment, rollout: Rollout, name: str, now: float
    ) -> None:
        self._progressing(
            owner, rollout, "FoundNewReplicaSet", f'Found new replica set "{name}"', now
        )

    def _words(self, request: Request, last: Revision | None, position: int) -> str:
        """What was changed, where the user wrote nothing (rule 2)."""
        if request.rolled_back_to:
            return f"rolled back to revision {request.rolled_back_to}"
        new = self._desired.templates[position].template
        if last is None:
            pairs = ", ".join(
                f"{container.name}={container.image}"
                for container in new.spec.containers
            )
            return f"created with image {pairs}"
        old = self._desired.templates[last.template].template
        return template_changes.describe_change(old, new)


def _origin(request: Request, last: Revision | None) -> str:
    if request.rolled_back_to:
        return f"revision {request.rolled_back_to}"
    return f"revision {last.revision}" if last is not None else "create"


def _end(rollout: Rollout, revision: int, result: Result, now: float) -> None:
    """A revision that was complete stays so: what comes after a pause, or when a node
    is lost, is the story of its pods and no longer that of its rollout."""
    index = rollout.index(revision)
    if index < 0 or rollout.revisions[index].completed:
        return
    rollout.revisions[index] = msgspec.structs.replace(
        rollout.revisions[index],
        result=result,
        ended_at=now,
        completed=result == "complete",
    )


def _recause(rollout: Rollout, annotations: dict[str, str]) -> None:
    """An annotation that has changed is the cause of the last change (spec 2.5).

    That is the current revision's, unless the template was changed since: then it is
    that of the revision which is about to start. One that stands there from another
    change, beside annotations that were changed now, says nothing.
    """
    written = annotations.get(deployment.CHANGE_CAUSE, "")
    request, last = rollout.request, rollout.revisions[-1:]
    if written == request.annotated:
        return
    rollout.request = msgspec.structs.replace(
        request, written=written or request.written, annotated=written
    )
    if written and last and last[0].position == request.position:
        rollout.revisions[-1] = msgspec.structs.replace(last[0], cause=written)
