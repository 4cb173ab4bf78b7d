"""A ReplicaSet: a template and a number of pods that shall run it.

1. A ReplicaSet of a Deployment is one revision's pods; its name ends with the hash
   of its template (spec 2.4). One that a user applied stands by itself.
2. `revision` only grows; the numbers that it had before stay in `former_revisions`
   (spec 2.5).
3. `desired` and `maximum` are the Deployment's size and limit when this ReplicaSet
   was last created or scaled: that is how a scaling is recognised (spec 2.2, 2.9).
4. How many pods it has is not its state: pods are counted in projections/actual.py.
"""

from typing import Final, Literal

import msgspec

from domain import owners, podspec
from domain.events import Event, Recorded, next_stage
from domain.labels import LabelSelector

# --- commands ---------------------------------------------------------------------


class CreateReplicaSet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Keep this many pods of this template, by itself."""

    manifest: dict[str, object]


class ApplyReplicaSet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Make the ReplicaSet what this manifest says; merged as a Deployment's is."""

    manifest: dict[str, object]


class ReplaceReplicaSet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Put this manifest in the place of the ReplicaSet.

    Refused as a conflict if it carries a resourceVersion that is not current.
    """

    manifest: dict[str, object]


class ScaleReplicaSet(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """Keep `replicas` pods; refused unless it is at `current_replicas`, if given."""

    replicas: int
    current_replicas: int | None = None


class SetReplicaSetImage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Run these images in the pods that it creates from now on: container name (or
    `*`) to image. The pods that are there stay as they are (spec 3.10)."""

    images: dict[str, str]


class DeleteReplicaSet(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """Remove the ReplicaSet, and unless `orphan` its pods; `foreground`: after them."""

    orphan: bool = False
    foreground: bool = False
    uid: str = ""


# --- events -----------------------------------------------------------------------


class ReplicaSetCreated(Event, frozen=True, kw_only=True):
    """It shall keep `replicas` pods of `template`."""

    TOPIC = "replicaset.created.v1"
    uid: str
    replicas: int
    selector: LabelSelector
    template: podspec.PodTemplateSpec
    owner: str = ""
    owner_uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    min_ready_seconds: int = 0
    revision: int = 0
    desired: int | None = None
    maximum: int | None = None
    generate_name: str = ""


class ReplicaSetScaled(Event, frozen=True, kw_only=True):
    """It shall keep `after` pods instead of `before`; `why` is one sentence.

    Where the sizes are equal only the Deployment's numbers were refreshed (2.9).
    """

    TOPIC = "replicaset.scaled.v1"
    before: int
    after: int
    why: str
    desired: int | None = None
    maximum: int | None = None


class ReplicaSetRevised(Event, frozen=True, kw_only=True):
    """It runs `revision` now: its template was asked for again (spec 2.5)."""

    TOPIC = "replicaset.revised.v1"
    revision: int


class ReplicaSetConfigured(Event, frozen=True, kw_only=True):
    """What it takes over from its Deployment, its template apart, is this now."""

    TOPIC = "replicaset.configured.v1"
    min_ready_seconds: int
    annotations: dict[str, str]


class ReplicaSetTemplateChanged(Event, frozen=True, kw_only=True):
    """The pods that it creates from now on are of `template` (spec 3.10)."""

    TOPIC = "replicaset.template-changed.v1"
    template: podspec.PodTemplateSpec


class ReplicaSetFailed(Event, frozen=True, kw_only=True):
    """It could not create or end a pod; the first message stands (spec 3.7)."""

    TOPIC = "replicaset.failed.v1"
    reason: Literal["FailedCreate", "FailedDelete"]
    message: str


class ReplicaSetRecovered(Event, frozen=True, kw_only=True):
    """What failed does not fail any more, or is not wanted any more."""

    TOPIC = "replicaset.recovered.v1"


class ReplicaSetAdopted(Event, frozen=True, kw_only=True):
    """A Deployment whose selector matches took it over (spec 3.3)."""

    TOPIC = "replicaset.adopted.v1"
    owner: str
    owner_uid: str


class ReplicaSetReleased(Event, frozen=True, kw_only=True):
    """Its Deployment let it go (spec 3.3)."""

    TOPIC = "replicaset.released.v1"


class ReplicaSetOwnersChanged(Event, frozen=True, kw_only=True):
    """The owners that a manifest named are these now (domain/owners.py, rule 2)."""

    TOPIC = "replicaset.owners-changed.v1"
    references: owners.References


class ReplicaSetLabelled(Event, frozen=True, kw_only=True):
    """Its labels are these now."""

    TOPIC = "replicaset.labelled.v1"
    labels: dict[str, str]


class ReplicaSetAnnotated(Event, frozen=True, kw_only=True):
    """Its annotations are these now."""

    TOPIC = "replicaset.annotated.v1"
    annotations: dict[str, str]


class ReplicaSetDeletionRequested(Event, frozen=True, kw_only=True):
    """It goes when all its pods are gone (foreground deletion, spec 1.2)."""

    TOPIC = "replicaset.deletion-requested.v1"


class ReplicaSetDeleted(Event, frozen=True, kw_only=True):
    """It is gone; `orphan` tells that its pods run on, unmanaged."""

    TOPIC = "replicaset.deleted.v1"
    why: str
    orphan: bool = False


# --- state and transition table ---------------------------------------------------

ABSENT: Final = "absent"
PRESENT: Final = "present"
DELETING: Final = "deleting"

_STAYS: Final[tuple[type[Event], ...]] = (
    ReplicaSetScaled,
    ReplicaSetRevised,
    ReplicaSetConfigured,
    ReplicaSetTemplateChanged,
    ReplicaSetFailed,
    ReplicaSetRecovered,
    ReplicaSetAdopted,
    ReplicaSetReleased,
    ReplicaSetOwnersChanged,
    ReplicaSetLabelled,
    ReplicaSetAnnotated,
)

TRANSITIONS: Final[dict[str, dict[type[Event], str]]] = {
    ABSENT: {ReplicaSetCreated: PRESENT},
    PRESENT: {
        **dict.fromkeys(_STAYS, PRESENT),
        ReplicaSetDeletionRequested: DELETING,
        ReplicaSetDeleted: ABSENT,
    },
    DELETING: {**dict.fromkeys(_STAYS, DELETING), ReplicaSetDeleted: ABSENT},
}


class ReplicaSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ReplicaSet as the log tells it.

    `template` is the position of the event that holds its template; `generation`
    grows with each change of its spec (spec 1.2), once for all that one command of a
    user changes: `generation_cause` is the cause of the last such change.
    """

    namespace: str
    name: str
    uid: str
    stage: str
    created_at: float
    version: int
    position: int
    generation: int
    replicas: int
    selector: LabelSelector
    template: int
    owner: str = ""
    owner_uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    min_ready_seconds: int = 0
    revision: int = 0
    former_revisions: tuple[int, ...] = ()
    desired: int | None = None
    maximum: int | None = None
    failure: str = ""
    """The reason of its ReplicaFailure condition; empty while it has none."""
    failure_message: str = ""
    failed_at: float = 0.0
    generation_cause: int = 0
    deletion_at: float = 0.0
    """When its foreground deletion was asked for; 0 while it was not."""
    generate_name: str = ""

    @property
    def key(self) -> str:
        """The stream of the ReplicaSet."""
        return f"replicaset/{self.namespace}/{self.name}"


# --- evolve -----------------------------------------------------------------------


def template_in(event: Event) -> podspec.PodTemplateSpec | None:
    """The template that an event of a ReplicaSet holds, if it holds one."""
    if isinstance(event, ReplicaSetCreated | ReplicaSetTemplateChanged):
        return event.template
    return None


def evolve(replicaset: ReplicaSet | None, recorded: Recorded) -> ReplicaSet | None:
    """The ReplicaSet after the event; None once it is gone.

    Raises `IllegalTransition`, and changes nothing, where the table has no entry.
    """
    event = recorded.event
    was = replicaset.stage if replicaset else ABSENT
    stage = next_stage(TRANSITIONS, was, type(event))
    if replicaset is None:
        assert isinstance(event, ReplicaSetCreated)
        return _created(recorded, event, stage)
    if stage == ABSENT:
        return None
    change = _change(replicaset, recorded)
    by_user = recorded.cause if recorded.command_id else 0
    if _changes_spec(replicaset, event):
        if not by_user or by_user != replicaset.generation_cause:
            change["generation"] = replicaset.generation + 1
        change["generation_cause"] = by_user
    return msgspec.structs.replace(
        replicaset,
        stage=stage,
        version=recorded.version,
        position=recorded.position,
        **change,
    )


def _created(recorded: Recorded, event: ReplicaSetCreated, stage: str) -> ReplicaSet:
    _, namespace, name = recorded.stream.split("/", 2)
    return ReplicaSet(
        namespace=namespace,
        name=name,
        uid=event.uid,
        stage=stage,
        created_at=recorded.timestamp,
        version=recorded.version,
        position=recorded.position,
        generation=1,
        replicas=event.replicas,
        selector=event.selector,
        template=recorded.position,
        owner=event.owner,
        owner_uid=event.owner_uid,
        labels=event.labels,
        annotations=event.annotations,
        min_ready_seconds=event.min_ready_seconds,
        revision=event.revision,
        desired=event.desired,
        maximum=event.maximum,
        generate_name=event.generate_name,
    )


def _changes_spec(replicaset: ReplicaSet, event: Event) -> bool:
    match event:
        case ReplicaSetScaled():
            return event.after != event.before
        case ReplicaSetConfigured():
            return event.min_ready_seconds != replicaset.min_ready_seconds
        case _:
            return isinstance(event, ReplicaSetTemplateChanged)


def _change(replicaset: ReplicaSet, recorded: Recorded) -> dict[str, object]:
    event = recorded.event
    match event:
        case ReplicaSetScaled():
            return {
                "replicas": event.after,
                "desired": event.desired,
                "maximum": event.maximum,
            }
        case ReplicaSetRevised():
            former = replicaset.former_revisions
            if replicaset.revision:
                former = (*former, replicaset.revision)
            return {"revision": event.revision, "former_revisions": former}
        case ReplicaSetConfigured():
            return {
                "min_ready_seconds": event.min_ready_seconds,
                "annotations": event.annotations,
            }
        case ReplicaSetTemplateChanged():
            return {"template": recorded.position}
        case ReplicaSetFailed():
            return {
                "failure": event.reason,
                "failure_message": event.message,
                "failed_at": recorded.timestamp,
            }
        case ReplicaSetRecovered():
            return {"failure": "", "failure_message": "", "failed_at": 0.0}
        case ReplicaSetAdopted():
            return {"owner": event.owner, "owner_uid": event.owner_uid}
        case ReplicaSetReleased():
            return {"owner": "", "owner_uid": ""}
        case ReplicaSetOwnersChanged():
            return {}
        case ReplicaSetLabelled():
            return {"labels": event.labels}
        case ReplicaSetDeletionRequested():
            return {"deletion_at": recorded.timestamp}
        case ReplicaSetAnnotated():
            return {"annotations": event.annotations}
        case _:
            raise AssertionError(f"{type(event).__name__} is in the table, not here")
