"""HorizontalPodAutoscalers in their two versions: v2 is kept, v1 is another spelling.

1. v1 knows one target, the percentage of the CPU that pods ask for; in v2 that is one
   of the metrics.
2. What v1 has no field for goes along in annotations, as Kubernetes does it, so that
   v1 read and written back loses nothing.
"""

from typing import Final

import msgspec

JSON = dict[str, object]

KIND: Final = "horizontalpodautoscaler"
METRICS: Final = "autoscaling.alpha.kubernetes.io/metrics"
BEHAVIOR: Final = "autoscaling.alpha.kubernetes.io/behavior"
CONDITIONS: Final = "autoscaling.alpha.kubernetes.io/conditions"
CURRENT_METRICS: Final = "autoscaling.alpha.kubernetes.io/current-metrics"
CURRENT: Final = "currentCPUUtilizationPercentage"
TARGET: Final = "targetCPUUtilizationPercentage"


def to_v2(document: JSON) -> JSON:
    """The object of version v1 as v2 has it; one that is v2 already stays as it is."""
    if document.get("apiVersion", "autoscaling/v1") != "autoscaling/v1":
        return document
    spec = _object(document, "spec")
    metadata = _object(document, "metadata")
    annotations = _object(metadata, "annotations")
    metrics: list[object] = []
    if (percent := spec.pop(TARGET, None)) is not None:
        metrics.append(_cpu(percent))
    metrics += _listed(annotations.pop(METRICS, None))
    behavior = _decoded(annotations.pop(BEHAVIOR, None))
    for told in (CONDITIONS, CURRENT_METRICS):
        annotations.pop(told, None)
    if metrics:
        spec["metrics"] = metrics
    if isinstance(behavior, dict):
        spec["behavior"] = behavior
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return {
        **document,
        "apiVersion": "autoscaling/v2",
        "metadata": metadata,
        "spec": spec,
    }


def to_v1(document: JSON) -> JSON:
    """The object of version v2 as v1 has it."""
    spec = _object(document, "spec")
    metadata = _object(document, "metadata")
    annotations = _object(metadata, "annotations")
    others: list[object] = []
    for metric in _listed(spec.pop("metrics", None)):
        percent = _cpu_percent(metric)
        if percent is not None and TARGET not in spec:
            spec[TARGET] = percent
        else:
            others.append(metric)
    if others:
        annotations[METRICS] = msgspec.json.encode(others).decode()
    if (behavior := spec.pop("behavior", None)) is not None:
        annotations[BEHAVIOR] = msgspec.json.encode(behavior).decode()
    status = document.get("status")
    if isinstance(status, dict):
        status, told = _status(status)
        annotations |= told
    if annotations:
        metadata["annotations"] = annotations
    found = {
        **document,
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": spec,
    }
    if isinstance(status, dict):
        found["status"] = status
    return found


def _status(status: JSON) -> tuple[JSON, JSON]:
    """The status as v1 has it, and the annotations that hold the rest (rule 2)."""
    kept = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
    found = {key: status[key] for key in kept if key in status}
    others: list[object] = []
    for metric in _listed(status.get("currentMetrics")):
        percent = _current_percent(metric)
        if percent is not None and CURRENT not in found:
            found[CURRENT] = percent
        else:
            others.append(metric)
    told: JSON = {}
    if others:
        told[CURRENT_METRICS] = msgspec.json.encode(others).decode()
    if conditions := status.get("conditions"):
        told[CONDITIONS] = msgspec.json.encode(conditions).decode()
    return found, told


def _current_percent(metric: object) -> object:
    """The percentage of the CPU that is measured, else None."""
    if not isinstance(metric, dict) or metric.get("type") != "Resource":
        return None
    resource = _object(metric, "resource")
    if resource.get("name") != "cpu":
        return None
    return _object(resource, "current").get("averageUtilization")


def _cpu(percent: object) -> JSON:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _cpu_percent(metric: object) -> object:
    """The percentage of a metric that v1 has a field for, else None."""
    if not isinstance(metric, dict) or metric.get("type") != "Resource":
        return None
    resource = _object(metric, "resource")
    return (
        _object(resource, "target").get("averageUtilization")
        if resource.get("name") == "cpu"
        else None
    )


def _listed(value: object) -> list[object]:
    if isinstance(value, str):
        value = _decoded(value)
    return list(value) if isinstance(value, list) else []


def _decoded(value: object) -> object:
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else None
    except msgspec.MsgspecError:
        return None


def _object(document: JSON, key: str) -> JSON:
    """A copy of the part."""
    found = document.get(key)
    return dict(found) if isinstance(found, dict) else {}
