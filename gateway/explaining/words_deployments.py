"""The words for the events of a Deployment (see words.py)."""

from collections.abc import Sequence

from domain import deployment, events, objects, podspec, template_changes
from domain.events import Event, Recorded
from domain.metadata import OwnerReference
from domain.plans import rollout
from gateway.explaining import phrases


def created(
    recorded: Recorded, event: deployment.DeploymentCreated, _earlier: Event | None
) -> str:
    pods = phrases.counted(event.spec.replicas or 0, "pod")
    return (
        f"{phrases.thing(recorded.stream)} was created with {pods} of "
        f"{phrases.images(event.spec.template)}"
    )


def template(
    recorded: Recorded,
    event: deployment.DeploymentTemplateChanged,
    earlier: Event | None,
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} was given another template: "
        f"{template_change(_template_in(earlier), event.template)}"
    )


def rolled_back(
    recorded: Recorded, event: deployment.DeploymentRolledBack, earlier: Event | None
) -> str:
    changed = template_change(_template_in(earlier), event.template)
    said = f"{phrases.thing(recorded.stream)} was rolled back to revision "
    said = f"{said}{event.to_revision}: {changed}"
    if recorded.actor == events.DEPLOYMENT_CONTROLLER and event.change_cause:
        return f"{said} ({phrases.short(event.change_cause)})"
    return said


def declined(
    recorded: Recorded,
    event: deployment.DeploymentRollbackDeclined,
    _earlier: Event | None,
) -> str:
    name = phrases.thing(recorded.stream)
    return f"{name} was not rolled back{phrases.behind(event.message)}"


def scaled(
    recorded: Recorded, event: deployment.DeploymentScaled, _earlier: Event | None
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} was scaled from {event.before} to "
        f"{event.after}"
    )


def configured(
    recorded: Recorded, event: deployment.DeploymentConfigured, earlier: Event | None
) -> str:
    """What changed of how it rolls out; all of it where nothing is known of before."""
    now = _settings(
        event.strategy,
        event.min_ready_seconds,
        event.revision_history_limit,
        event.progress_deadline_seconds,
    )
    if isinstance(earlier, deployment.DeploymentCreated):
        spec = earlier.spec
        before = _settings(
            spec.strategy,
            spec.min_ready_seconds,
            spec.revision_history_limit,
            spec.progress_deadline_seconds,
        )
    elif isinstance(earlier, deployment.DeploymentConfigured):
        before = _settings(
            earlier.strategy,
            earlier.min_ready_seconds,
            earlier.revision_history_limit,
            earlier.progress_deadline_seconds,
        )
    else:
        before = {}
    changed = [f"{key} {now[key]}" for key in now if before.get(key) != now[key]]
    said = phrases.listed(changed) or "nothing that shows"
    return f"{phrases.thing(recorded.stream)} was configured anew: {said}"


def paused(
    recorded: Recorded, _event: deployment.DeploymentPaused, _earlier: Event | None
) -> str:
    return f"{phrases.thing(recorded.stream)} was paused"


def resumed(
    recorded: Recorded, _event: deployment.DeploymentResumed, _earlier: Event | None
) -> str:
    return f"{phrases.thing(recorded.stream)} was resumed"


def annotated(
    recorded: Recorded, event: deployment.DeploymentAnnotated, earlier: Event | None
) -> str:
    return annotation_words(recorded, event.annotations, earlier)


def labelled(
    recorded: Recorded, event: deployment.DeploymentLabelled, earlier: Event | None
) -> str:
    return label_words(recorded, event.labels, earlier)


def deleting(
    recorded: Recorded,
    _event: deployment.DeploymentDeletionRequested,
    _earlier: Event | None,
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} is to be deleted once all that it owns is "
        "gone"
    )


def deleted(
    recorded: Recorded, event: deployment.DeploymentDeleted, _earlier: Event | None
) -> str:
    said = f"{phrases.thing(recorded.stream)} was deleted"
    return f"{said}; what it owned runs on" if event.propagation == "orphan" else said


def started(
    recorded: Recorded, event: deployment.RevisionStarted, _earlier: Event | None
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} began to roll out revision {event.revision} "
        f"with ReplicaSet {event.replicaset}"
    )


def completed(
    recorded: Recorded, event: deployment.RolloutCompleted, _earlier: Event | None
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} completed the rollout of revision "
        f"{event.revision}"
    )


def stalled(
    recorded: Recorded, event: deployment.RolloutStalled, earlier: Event | None
) -> str:
    seconds = None
    if isinstance(earlier, deployment.DeploymentCreated):
        seconds = earlier.spec.progress_deadline_seconds
    elif isinstance(earlier, deployment.DeploymentConfigured):
        seconds = earlier.progress_deadline_seconds
    deadline = f" of {seconds} s" if seconds not in (None, rollout.NO_DEADLINE) else ""
    return (
        f"{phrases.thing(recorded.stream)} made no progress with revision "
        f"{event.revision} and the progress deadline{deadline} passed"
    )


def collided(
    recorded: Recorded, event: deployment.HashCollided, _earlier: Event | None
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} found the name of its ReplicaSet taken and "
        f"tries another (collision {event.collision_count})"
    )


def tagged(
    recorded: Recorded, event: deployment.RevisionTagged, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    return f"revision {event.revision} of {name} was tagged {event.tag}"


def untagged(
    recorded: Recorded, event: deployment.RevisionUntagged, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    return f"the tag {event.tag} was taken from the revisions of {name}"


def owner_words(recorded: Recorded, references: Sequence[OwnerReference]) -> str:
    """`… names as its owners: ConfigMap web`."""
    named = [f"{each.kind} {each.name}" for each in references]
    owners = phrases.listed(named) or "nobody"
    return f"{phrases.thing(recorded.stream)} was given as owners: {owners}"


def template_change(
    before: podspec.PodTemplateSpec | None, after: podspec.PodTemplateSpec
) -> str:
    """What changed in the template; its images where nothing is known of before."""
    if before is None:
        return phrases.images(after)
    return template_changes.describe_change(before, after) or "the same as before"


def label_words(
    recorded: Recorded, labels: dict[str, str], earlier: Event | None
) -> str:
    """`… was labelled: tier=web`."""
    before = getattr(earlier, "labels", None)
    said = phrases.changes(before, labels, ())
    return f"{phrases.thing(recorded.stream)} was labelled: {said}"


def annotation_words(
    recorded: Recorded, annotations: dict[str, str], earlier: Event | None
) -> str:
    """`… was annotated: team=a`; what `apply` remembers is but named."""
    before = getattr(earlier, "annotations", None)
    hidden = rollout.NOT_COPIED
    said = phrases.changes(before, annotations, hidden)
    return f"{phrases.thing(recorded.stream)} was annotated: {said}"


def _template_in(earlier: Event | None) -> podspec.PodTemplateSpec | None:
    return deployment.template_in(earlier) if earlier is not None else None


def _settings(
    strategy: objects.DeploymentStrategy,
    min_ready: int,
    history: int | None,
    deadline: int | None,
) -> dict[str, str]:
    shown = strategy.type
    if strategy.rolling_update is not None:
        update = strategy.rolling_update
        shown = (
            f"{shown} ({update.max_unavailable} max unavailable, "
            f"{update.max_surge} max surge)"
        )
    return {
        "strategy": shown,
        "minReadySeconds": str(min_ready),
        "revisionHistoryLimit": str(history),
        "progressDeadlineSeconds": str(deadline),
    }
