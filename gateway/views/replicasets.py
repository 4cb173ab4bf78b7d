"""A ReplicaSet as JSON and as a row."""

from typing import Final

import msgspec

from domain import deployment, labels, podspec, replicaset, times
from domain.ages import age
from domain.replicaset import ReplicaSet
from gateway.views import scene
from gateway.views.scene import JSON, NONE, Scene

PREFIX: Final = "deployment.kubernetes.io"

COLUMNS: Final = (
    ("NAME", False),
    ("DESIRED", False),
    ("CURRENT", False),
    ("READY", False),
    ("AGE", False),
    ("CONTAINERS", True),
    ("IMAGES", True),
    ("SELECTOR", True),
)


def cells(at: Scene, held: ReplicaSet) -> tuple[str, ...]:
    """The row of spec 6.2."""
    counted = at.cluster.actual.tally(held.key)
    containers, images = scene.containers_cells(template(at, held).spec)
    return (
        held.name,
        str(held.replicas),
        str(counted.active),
        str(counted.ready),
        age(held.created_at, at.now),
        containers,
        images,
        labels.format_selector(held.selector) or NONE,
    )


def document(at: Scene, held: ReplicaSet) -> JSON:
    """The apps/v1 object with its status (spec 3.7)."""
    metadata = scene.metadata(
        name=held.name,
        namespace=held.namespace,
        uid=held.uid,
        position=held.position,
        created_at=held.created_at,
        labels=held.labels,
        annotations=annotations(held),
        generate_name=held.generate_name,
    )
    metadata["generation"] = held.generation
    if references := scene.owner_references(at, held):
        metadata["ownerReferences"] = msgspec.to_builtins(references)
    owner = at.cluster.desired.owner_of(held.key)
    if held.stage == replicaset.DELETING:
        metadata |= scene.foreground_deletion(held.deletion_at)
    elif owner is not None and owner.stage == deployment.DELETING:
        metadata |= scene.foreground_deletion(owner.deletion_at)
    spec: JSON = {"replicas": held.replicas}
    if held.min_ready_seconds:
        spec["minReadySeconds"] = held.min_ready_seconds
    spec["selector"] = msgspec.to_builtins(held.selector)
    spec["template"] = scene.template_document(template(at, held))
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata,
        "spec": spec,
        "status": _status(at, held),
    }


def annotations(held: ReplicaSet) -> dict[str, str]:
    """Its annotations with those by which Kubernetes keeps its books (spec 2.5)."""
    found = {**held.annotations}
    if held.revision:
        found[scene.REVISION] = str(held.revision)
    if held.former_revisions:
        history = ",".join(map(str, held.former_revisions))
        found[f"{PREFIX}/revision-history"] = history
    if held.desired is not None:
        found[f"{PREFIX}/desired-replicas"] = str(held.desired)
    if held.maximum is not None:
        found[f"{PREFIX}/max-replicas"] = str(held.maximum)
    return found


def template(at: Scene, held: ReplicaSet) -> podspec.PodTemplateSpec:
    """The template of its pods, with the hash label; empty where it is not known."""
    facts = at.cluster.desired.templates.get(held.template)
    return facts.template if facts is not None else podspec.PodTemplateSpec()


def _status(at: Scene, held: ReplicaSet) -> JSON:
    counted = at.cluster.actual.tally(held.key)
    found: JSON = {"replicas": counted.active}
    for name, value in (
        ("fullyLabeledReplicas", counted.labelled),
        ("readyReplicas", counted.ready),
        ("availableReplicas", counted.available),
    ):
        if value:
            found[name] = value
    found["terminatingReplicas"] = counted.terminating
    found["observedGeneration"] = held.generation
    if held.failure:
        found["conditions"] = [
            {
                "type": "ReplicaFailure",
                "status": "True",
                "lastTransitionTime": times.rfc3339_seconds(held.failed_at),
                "reason": held.failure,
                "message": held.failure_message,
            }
        ]
    return found
