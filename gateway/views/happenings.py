"""What happened, as v1 Events and as the rows of `get events` (spec 6.13)."""

from typing import Final

from domain import times
from domain.ages import age
from gateway.views import scene
from gateway.views.scene import JSON, Scene
from projections.happenings import Happening

NODE_NAMESPACE: Final = "default"
"""Where Kubernetes keeps what is said about objects without a namespace."""

API_VERSIONS: Final = {
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "ReplicaSet": "apps/v1",
}

COLUMNS: Final = (
    ("LAST SEEN", False),
    ("TYPE", False),
    ("REASON", False),
    ("OBJECT", False),
    ("SUBOBJECT", True),
    ("SOURCE", True),
    ("MESSAGE", False),
    ("FIRST SEEN", True),
    ("COUNT", True),
    ("NAME", True),
)


def cells(at: Scene, held: Happening) -> tuple[str, ...]:
    """The row; a line is never folded, so it was first seen when it was last seen."""
    seen = age(held.at, at.now)
    return (
        seen,
        held.type,
        held.reason,
        f"{held.kind.lower()}/{held.name}",
        subobject(held),
        f"{held.source}, {held.host}" if held.host else held.source,
        held.message.strip(),
        seen,
        "1",
        held.event_name,
    )


def namespace(held: Happening) -> str:
    """The namespace of the line itself."""
    return held.namespace or NODE_NAMESPACE


def subobject(held: Happening) -> str:
    """The part of the object that the line is about."""
    return f"spec.containers{{{held.container}}}" if held.container else ""


def document(_at: Scene, held: Happening) -> JSON:
    """The v1 Event."""
    seen = times.rfc3339_seconds(held.at)
    involved: JSON = {
        "apiVersion": API_VERSIONS.get(held.kind, "v1"),
        "kind": held.kind,
        "name": held.name,
        "uid": held.uid,
    }
    if held.namespace:
        involved["namespace"] = held.namespace
    if held.container:
        involved["fieldPath"] = subobject(held)
    source: JSON = {"component": held.source}
    if held.host:
        source["host"] = held.host
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": scene.metadata(
            name=held.event_name,
            namespace=namespace(held),
            uid="",
            position=held.position,
            created_at=held.at,
            labels={},
            annotations={},
        ),
        "involvedObject": involved,
        "type": held.type,
        "reason": held.reason,
        "message": held.message,
        "source": source,
        "reportingComponent": held.source,
        "reportingInstance": held.host,
        "firstTimestamp": seen,
        "lastTimestamp": seen,
        "eventTime": None,
        "count": 1,
    }
