"""A Deployment: a template, a number of replicas, and how to get from one to the next.

1. Everything that a user says about it is an event of its own kind, so that history
   needs no comparing; what one command changed shares that command's cause.
2. Only a change of the template makes a revision (spec 2.3). A revision is kept for
   ever, and undoing to one is a new revision with the old template (S10).
3. The generation grows once per command that changes the spec or the annotations
   (spec 1.2). Reconciling is part of the same step, so what is observed is always
   the current generation.
4. Its status is not here: it is counted from pods (projections/rollouts.py).
5. The selector never changes (spec 1.4).
"""

from typing import Final, Literal

import msgspec

from domain import analysis_run, objects, podspec
from domain.analysis_run import Left, Run
from domain.events import Event, Recorded, next_stage

CHANGE_CAUSE: Final = "kubernetes.io/change-cause"
ROLLBACK_TO: Final = "deprecated.deployment.rollback.to"
"""The annotation that asks for a rollback, deprecated since apps/v1 (spec 2.5)."""
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"

# --- commands ---------------------------------------------------------------------


class Command(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """What a user asks of a Deployment."""


class CreateDeployment(Command, frozen=True, kw_only=True):
    """Create the Deployment of this manifest; refused if the name is taken."""

    manifest: dict[str, object]


class ApplyDeployment(Command, frozen=True, kw_only=True):
    """Make the Deployment what this manifest says.

    What an earlier apply set and this one leaves out is removed; what others set
    stays (a three-way merge, domain/apply.py).
    """

    manifest: dict[str, object]


class ReplaceDeployment(Command, frozen=True, kw_only=True):
    """Put this manifest in the place of the Deployment.

    Refused as a conflict if it carries a resourceVersion that is not current.
    """

    manifest: dict[str, object]


class ScaleDeployment(Command, frozen=True, kw_only=True):
    """Run `replicas` pods; refused unless it is at `current_replicas`, if given."""

    replicas: int
    current_replicas: int | None = None


class SetImage(Command, frozen=True, kw_only=True):
    """Run these images: container name (or `*`) to image."""

    images: dict[str, str]


class SetResources(Command, frozen=True, kw_only=True):
    """Give these containers (none: all) these limits and requests."""

    containers: tuple[str, ...] = ()
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}


class PauseDeployment(Command, frozen=True, kw_only=True):
    """Start no rollout until resumed."""


class ResumeDeployment(Command, frozen=True, kw_only=True):
    """Roll out what was changed meanwhile."""


class RestartDeployment(Command, frozen=True, kw_only=True):
    """Replace all pods by new ones of the same kind, as a rolling update."""


class RollbackDeployment(Command, frozen=True, kw_only=True):
    """Run the template of revision `to_revision` again; 0 is the one before.

    `to` names the revision by its tag instead; only one of both may be given.
    """

    to_revision: int = 0
    to: str = ""


class TagRevision(Command, frozen=True, kw_only=True):
    """Name `revision` (0: the current one) `tag`, or with `remove` take the tag away.

    A tag that is on another revision is moved with `overwrite` only.
    """

    tag: str
    revision: int = 0
    remove: bool = False
    overwrite: bool = False


class DeleteDeployment(Command, frozen=True, kw_only=True):
    """Remove the Deployment and what it owns, or (`orphan`) leave that running."""

    propagation: Literal["background", "orphan", "foreground"] = "background"
    uid: str = ""


# --- events -----------------------------------------------------------------------


class DeploymentCreated(Event, frozen=True, kw_only=True):
    """The Deployment exists; every default is filled in."""

    TOPIC = "deployment.created.v1"
    uid: str
    spec: objects.DeploymentSpec
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    change_cause: str = ""
    generate_name: str = ""


class DeploymentTemplateChanged(Event, frozen=True, kw_only=True):
    """Its pods shall be of `template`; `change_cause` is what the user wrote."""

    TOPIC = "deployment.template-changed.v1"
    template: podspec.PodTemplateSpec
    change_cause: str = ""


class DeploymentRolledBack(Event, frozen=True, kw_only=True):
    """Its pods shall be of `template` again, which is that of `to_revision`."""

    TOPIC = "deployment.rolled-back.v1"
    to_revision: int
    template: podspec.PodTemplateSpec
    change_cause: str = ""


class DeploymentRollbackDeclined(Event, frozen=True, kw_only=True):
    """A rollback that an annotation asks for was not carried out (spec 2.15)."""

    TOPIC = "deployment.rollback-declined.v1"
    reason: Literal[
        "DeploymentRollbackRevisionNotFound", "DeploymentRollbackTemplateUnchanged"
    ]
    message: str
    revision: int = 0
    """The revision that should have been left; 0 where an annotation asked."""


class DeploymentScaled(Event, frozen=True, kw_only=True):
    """It shall run `after` pods instead of `before`."""

    TOPIC = "deployment.scaled.v1"
    before: int
    after: int


class DeploymentConfigured(Event, frozen=True, kw_only=True):
    """The spec is this now; replicas, pause and template are as they were."""

    TOPIC = "deployment.configured.v1"
    strategy: objects.DeploymentStrategy
    min_ready_seconds: int
    revision_history_limit: int
    progress_deadline_seconds: int


class DeploymentPaused(Event, frozen=True, kw_only=True):
    """No rollout starts or goes on."""

    TOPIC = "deployment.paused.v1"


class DeploymentResumed(Event, frozen=True, kw_only=True):
    """Rollouts go on; the progress deadline starts anew."""

    TOPIC = "deployment.resumed.v1"


class DeploymentAnnotated(Event, frozen=True, kw_only=True):
    """Its annotations are these now."""

    TOPIC = "deployment.annotated.v1"
    annotations: dict[str, str]


class DeploymentLabelled(Event, frozen=True, kw_only=True):
    """Its labels are these now."""

    TOPIC = "deployment.labelled.v1"
    labels: dict[str, str]


class DeploymentDeletionRequested(Event, frozen=True, kw_only=True):
    """It goes when all that it owns is gone (foreground deletion, spec 1.2)."""

    TOPIC = "deployment.deletion-requested.v1"


class DeploymentDeleted(Event, frozen=True, kw_only=True):
    """It is gone; what it owned follows, or runs on unmanaged (`orphan`)."""

    TOPIC = "deployment.deleted.v1"
    propagation: Literal["background", "orphan", "foreground"] = "background"


class RevisionStarted(Event, frozen=True, kw_only=True):
    """`revision` is being rolled out by `replicaset` (a name)."""

    TOPIC = "deployment.revision-started.v1"
    revision: int
    replicaset: str


class RolloutCompleted(Event, frozen=True, kw_only=True):
    """Every pod is of `revision`, and available (spec 2.12)."""

    TOPIC = "deployment.rollout-completed.v1"
    revision: int


class RolloutStalled(Event, frozen=True, kw_only=True):
    """`revision` made no progress for its deadline (spec 2.12); it goes on trying."""

    TOPIC = "deployment.rollout-stalled.v1"
    revision: int


class RevisionTagged(Event, frozen=True, kw_only=True):
    """`revision` is called `tag` now, and no other one is."""

    TOPIC = "deployment.revision-tagged.v1"
    tag: str
    revision: int


class RevisionUntagged(Event, frozen=True, kw_only=True):
    """No revision is called `tag` any more."""

    TOPIC = "deployment.revision-untagged.v1"
    tag: str


class HashCollided(Event, frozen=True, kw_only=True):
    """The name that its template's hash gives is taken by something else (2.4)."""

    TOPIC = "deployment.hash-collided.v1"
    collision_count: int


# --- state and transition table ---------------------------------------------------

ABSENT: Final = "absent"
PRESENT: Final = "present"
PAUSED: Final = "paused"
DELETING: Final = "deleting"

_STAYS: Final[tuple[type[Event], ...]] = (
    DeploymentTemplateChanged,
    DeploymentRolledBack,
    DeploymentRollbackDeclined,
    DeploymentScaled,
    DeploymentConfigured,
    DeploymentAnnotated,
    DeploymentLabelled,
    RevisionStarted,
    RolloutCompleted,
    RolloutStalled,
    RevisionTagged,
    RevisionUntagged,
    HashCollided,
    *analysis_run.EVENTS,
)

TRANSITIONS: Final[dict[str, dict[type[Event], str]]] = {
    ABSENT: {DeploymentCreated: PRESENT},
    PRESENT: {
        **dict.fromkeys(_STAYS, PRESENT),
        DeploymentPaused: PAUSED,
        DeploymentDeletionRequested: DELETING,
        DeploymentDeleted: ABSENT,
    },
    PAUSED: {
        **dict.fromkeys(_STAYS, PAUSED),
        DeploymentResumed: PRESENT,
        DeploymentDeletionRequested: DELETING,
        DeploymentDeleted: ABSENT,
    },
    DELETING: {
        **dict.fromkeys(_STAYS, DELETING),
        DeploymentPaused: DELETING,
        DeploymentResumed: DELETING,
        DeploymentDeleted: ABSENT,
    },
}


class Deployment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Deployment as the log tells it.

    `generation_cause` is the cause of the last event that raised the generation.
    """

    namespace: str
    name: str
    uid: str
    stage: str
    created_at: float
    version: int
    position: int
    generation: int
    generation_cause: int
    spec: objects.DeploymentSpec
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    revision: int = 0
    collision_count: int | None = None
    deletion_at: float = 0.0
    """When its foreground deletion was asked for; 0 while it was not."""
    tags: dict[str, int] = {}
    """The names that users gave to revisions."""
    generate_name: str = ""
    run: Run = Run()
    """The rollout of its template, as far as that is not Kubernetes'."""
    left: Left | None = None

    @property
    def key(self) -> str:
        """The stream of the Deployment."""
        return f"deployment/{self.namespace}/{self.name}"

    @property
    def template(self) -> podspec.PodTemplateSpec:
        """The template that is asked for, normalised."""
        assert self.spec.template is not None, "validation requires a template"
        return self.spec.template

    @property
    def replicas(self) -> int:
        """The size that is asked for."""
        assert self.spec.replicas is not None, "a default fills it in"
        return self.spec.replicas


# --- evolve -----------------------------------------------------------------------


def template_in(event: Event) -> podspec.PodTemplateSpec | None:
    """The template that an event of a Deployment holds, if it holds one."""
    if isinstance(event, DeploymentCreated):
        return event.spec.template
    if isinstance(event, DeploymentTemplateChanged | DeploymentRolledBack):
        return event.template
    return None


def evolve(deployment: Deployment | None, recorded: Recorded) -> Deployment | None:
    """The Deployment after the event; None once it is gone.

    Raises `IllegalTransition`, and changes nothing, where the table has no entry.
    """
    event = recorded.event
    was = deployment.stage if deployment else ABSENT
    stage = next_stage(TRANSITIONS, was, type(event))
    if deployment is None:
        assert isinstance(event, DeploymentCreated)
        return _created(recorded, event, stage)
    if stage == ABSENT:
        return None
    change = _change(deployment, event)
    if isinstance(event, DeploymentDeletionRequested):
        change["deletion_at"] = recorded.timestamp
    if _raises_generation(event) and deployment.generation_cause != recorded.cause:
        change["generation"] = deployment.generation + 1
        change["generation_cause"] = recorded.cause
    run, left = _runs(deployment, recorded)
    return msgspec.structs.replace(
        deployment,
        stage=stage,
        version=recorded.version,
        position=recorded.position,
        run=run,
        left=left,
        **change,
    )


def _created(recorded: Recorded, event: DeploymentCreated, stage: str) -> Deployment:
    _, namespace, name = recorded.stream.split("/", 2)
    return Deployment(
        namespace=namespace,
        name=name,
        uid=event.uid,
        stage=stage,
        created_at=recorded.timestamp,
        version=recorded.version,
        position=recorded.position,
        generation=1,
        generation_cause=recorded.cause,
        spec=event.spec,
        labels=event.labels,
        annotations=event.annotations,
        generate_name=event.generate_name,
    )


def _runs(deployment: Deployment, recorded: Recorded) -> tuple[Run, Left | None]:
    """The rollout, and the one that was left, after the event."""
    replace, event, now = msgspec.structs.replace, recorded.event, recorded.timestamp
    run, left, was = deployment.run, deployment.left, deployment.template
    match event:
        case DeploymentTemplateChanged() | DeploymentRolledBack():
            anew = Run(rolled_back=isinstance(event, DeploymentRolledBack))
            return analysis_run.leave(run, left, was, event.template, anew)
        case RevisionStarted():
            return analysis_run.started(run, event.revision, now), None
        case DeploymentRollbackDeclined():
            run = replace(run, gave_up=run.gave_up or event.revision > 0)
        case DeploymentResumed():
            run = analysis_run.resumed(run, now)
        case RolloutCompleted():
            run = replace(run, done=True)
        case RolloutStalled():
            run = replace(run, stalled=True)
        case _:
            run = analysis_run.evolve(run, recorded)
    return run, left


def _raises_generation(event: Event) -> bool:
    return isinstance(
        event,
        DeploymentTemplateChanged
        | DeploymentRolledBack
        | DeploymentScaled
        | DeploymentConfigured
        | DeploymentPaused
        | DeploymentResumed
        | DeploymentAnnotated,
    )


def _change(deployment: Deployment, event: Event) -> dict[str, object]:
    replace = msgspec.structs.replace
    spec = deployment.spec
    match event:
        case DeploymentTemplateChanged() | DeploymentRolledBack():
            return {"spec": replace(spec, template=event.template)}
        case DeploymentScaled():
            return {"spec": replace(spec, replicas=event.after)}
        case DeploymentConfigured():
            return {"spec": replace(spec, **msgspec.structs.asdict(event))}
        case DeploymentPaused():
            return {"spec": replace(spec, paused=True)}
        case DeploymentResumed():
            return {"spec": replace(spec, paused=False)}
        case DeploymentAnnotated():
            return {"annotations": event.annotations}
        case DeploymentLabelled():
            return {"labels": event.labels}
        case RevisionStarted():
            return {"revision": event.revision}
        case RevisionTagged():
            return {"tags": {**deployment.tags, event.tag: event.revision}}
        case RevisionUntagged():
            tags = deployment.tags
            return {"tags": {tag: tags[tag] for tag in tags if tag != event.tag}}
        case HashCollided():
            return {"collision_count": event.collision_count}
        case RolloutCompleted() | RolloutStalled() | DeploymentDeletionRequested():
            return {}
        case DeploymentRollbackDeclined():
            return {}
        case _ if isinstance(event, analysis_run.EVENTS):
            return {}
        case _:
            raise AssertionError(f"{type(event).__name__} is in the table, not here")
