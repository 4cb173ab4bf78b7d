"""A Deployment as JSON and as a row; the columns are Rollbook's own."""

from typing import Final

import msgspec

from domain import deployment, labels, times
from domain.ages import age
from domain.deployment import Deployment
from gateway.views import scene, steps
from gateway.views.scene import JSON, NONE, Scene
from projections import status
from projections.status import Condition, DeploymentStatus

COLUMNS: Final = (
    ("NAME", False),
    ("DESIRED", False),
    ("CURRENT", False),
    ("UP-TO-DATE", False),
    ("AVAILABLE", False),
    ("AGE", False),
    ("CONTAINERS", True),
    ("IMAGES", True),
    ("SELECTOR", True),
)


def cells(at: Scene, held: Deployment) -> tuple[str, ...]:
    """The row: desired beside actual, and how many are of the newest template."""
    counted = counts(at, held)
    containers, images = scene.containers_cells(held.template.spec)
    return (
        held.name,
        str(held.replicas),
        str(counted.replicas),
        str(counted.updated),
        str(counted.available),
        age(held.created_at, at.now),
        containers,
        images,
        labels.format_selector(held.spec.selector) or NONE,
    )


def document(at: Scene, held: Deployment) -> JSON:
    """The apps/v1 object with its full status."""
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
    if held.stage == deployment.DELETING:
        metadata |= scene.foreground_deletion(held.deletion_at)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": _spec(held),
        "status": _status(at, held),
    }


def annotations(held: Deployment) -> dict[str, str]:
    """The Deployment's annotations with its revision (spec 2.5)."""
    if not held.revision:
        return held.annotations
    return {**held.annotations, scene.REVISION: str(held.revision)}


def counts(at: Scene, held: Deployment) -> DeploymentStatus:
    """The counters of spec 2.13 now."""
    return status.deployment_status(at.cluster.desired, at.cluster.actual, held)


def conditions(at: Scene, held: Deployment) -> tuple[Condition, ...]:
    """The conditions of spec 2.12, in the order of their last replacement; where a
    rollout is among its steps, that comes last."""
    rollout = at.cluster.rollouts.by_key.get(held.key)
    found = rollout.conditions if rollout is not None else ()
    step = steps.condition(held)
    return found if step is None else (*found, step)


def _spec(held: Deployment) -> JSON:
    found: JSON = msgspec.to_builtins(held.spec)
    found["replicas"] = held.replicas
    found["template"] = scene.template_document(held.template)
    return found


def _status(at: Scene, held: Deployment) -> JSON:
    """Counters that are zero are left out, as Kubernetes does; reconciling is part of
    the step, so what is observed is the current generation."""
    counted = counts(at, held)
    found: JSON = {"observedGeneration": held.generation}
    for name, value in (
        ("replicas", counted.replicas),
        ("updatedReplicas", counted.updated),
        ("readyReplicas", counted.ready),
        ("availableReplicas", counted.available),
        ("unavailableReplicas", counted.unavailable),
    ):
        if value:
            found[name] = value
    found["terminatingReplicas"] = counted.terminating
    if held.collision_count is not None:
        found["collisionCount"] = held.collision_count
    shown = [_condition(each) for each in conditions(at, held)]
    if shown:
        found["conditions"] = shown
    return found


def _condition(held: Condition) -> JSON:
    return {
        "type": held.type,
        "status": held.status,
        "reason": held.reason,
        "message": held.message,
        "lastUpdateTime": times.rfc3339_seconds(held.updated_at),
        "lastTransitionTime": times.rfc3339_seconds(held.transitioned_at),
    }
