"""The words for the events of a ReplicaSet (see words.py)."""

from domain import events, podspec, replicaset
from domain.events import Event, Recorded
from gateway.explaining import phrases
from gateway.explaining.words_deployments import (
    annotation_words,
    label_words,
    owner_words,
    template_change,
)


def created(
    recorded: Recorded, event: replicaset.ReplicaSetCreated, _earlier: Event | None
) -> str:
    said = (
        f"{phrases.thing(recorded.stream)} was created with "
        f"{phrases.counted(event.replicas, 'pod')} of {phrases.images(event.template)}"
    )
    return f"{said}, for revision {event.revision}" if event.revision else said


def scaled(
    recorded: Recorded, event: replicaset.ReplicaSetScaled, _earlier: Event | None
) -> str:
    """The sizes of the Deployment explain what a rollout allows."""
    name = phrases.thing(recorded.stream)
    if event.before == event.after:
        return f"{name} stays at {event.after} and took over its Deployment's sizes"
    said = f"{name} was scaled from {event.before} to {event.after}"
    if event.why:
        said += phrases.behind(event.why)
    if recorded.actor == events.DEPLOYMENT_CONTROLLER and event.desired is not None:
        said += f" ({event.desired} wanted"
        said += f", at most {event.maximum})" if event.maximum is not None else ")"
    return said


def revised(
    recorded: Recorded, event: replicaset.ReplicaSetRevised, _earlier: Event | None
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} became revision {event.revision}: its "
        "template was asked for again"
    )


def configured(
    recorded: Recorded, event: replicaset.ReplicaSetConfigured, _earlier: Event | None
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} took over from its Deployment: "
        f"minReadySeconds {event.min_ready_seconds} and the annotations"
    )


def template(
    recorded: Recorded,
    event: replicaset.ReplicaSetTemplateChanged,
    earlier: Event | None,
) -> str:
    before = _template_in(earlier)
    return (
        f"{phrases.thing(recorded.stream)} was given another template, for pods that "
        f"it creates from now on: {template_change(before, event.template)}"
    )


def failed(
    recorded: Recorded, event: replicaset.ReplicaSetFailed, _earlier: Event | None
) -> str:
    doing = "create" if event.reason == "FailedCreate" else "end"
    return (
        f"{phrases.thing(recorded.stream)} could not {doing} a pod"
        f"{phrases.behind(event.message)}"
    )


def recovered(
    recorded: Recorded, _event: replicaset.ReplicaSetRecovered, earlier: Event | None
) -> str:
    was = earlier.message if isinstance(earlier, replicaset.ReplicaSetFailed) else ""
    tail = f" (it was: {phrases.short(was)})" if was else ""
    return f"{phrases.thing(recorded.stream)} does not fail any more{tail}"


def adopted(
    recorded: Recorded, event: replicaset.ReplicaSetAdopted, _earlier: Event | None
) -> str:
    return (
        f"{phrases.thing(recorded.stream)} was adopted by "
        f"{phrases.thing(event.owner)}, whose selector matches it"
    )


def released(
    recorded: Recorded, _event: replicaset.ReplicaSetReleased, earlier: Event | None
) -> str:
    owner = getattr(earlier, "owner", "")
    by = phrases.thing(owner) if owner else "its Deployment"
    return f"{phrases.thing(recorded.stream)} was let go of by {by}"


def owners(
    recorded: Recorded,
    event: replicaset.ReplicaSetOwnersChanged,
    _earlier: Event | None,
) -> str:
    return owner_words(recorded, event.references)


def labelled(
    recorded: Recorded, event: replicaset.ReplicaSetLabelled, earlier: Event | None
) -> str:
    return label_words(recorded, event.labels, earlier)


def annotated(
    recorded: Recorded, event: replicaset.ReplicaSetAnnotated, earlier: Event | None
) -> str:
    return annotation_words(recorded, event.annotations, earlier)


def deleting(
    recorded: Recorded,
    _event: replicaset.ReplicaSetDeletionRequested,
    _earlier: Event | None,
) -> str:
    return f"{phrases.thing(recorded.stream)} is to be deleted once its pods are gone"


def deleted(
    recorded: Recorded, event: replicaset.ReplicaSetDeleted, _earlier: Event | None
) -> str:
    said = f"{phrases.thing(recorded.stream)} was deleted{phrases.behind(event.why)}"
    return f"{said}; its pods run on" if event.orphan else said


def _template_in(earlier: Event | None) -> podspec.PodTemplateSpec | None:
    return replicaset.template_in(earlier) if earlier is not None else None
