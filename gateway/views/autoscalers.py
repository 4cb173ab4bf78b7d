"""HorizontalPodAutoscalers as JSON, as rows and as text (spec 5.6, 6.2, 6.12).

1. Conditions and the time of the last change come from the log, so the past has them;
   what is measured is live only, and `<unknown>` where nobody has said it.
2. `currentReplicas` is the wanted size of the target, as the autoscaler reads it.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from domain import names, times
from domain.plain import PlainObject
from domain.protocol import AutoscalerReading
from gateway.views.podtemplates import Lines
from gateway.views.scene import JSON, NONE, UNKNOWN, Scene

METRICS_SHOWN: Final = 2
_KINDS: Final = {"Deployment": "deployment", "ReplicaSet": "replicaset"}


def status(at: Scene, held: PlainObject) -> JSON:
    """The object's status; before the first look there is nearly none."""
    scaling = held.scaling
    if scaling is None:
        return {"currentMetrics": None, "desiredReplicas": 0}
    current, desired = replicas(at, held)
    found: JSON = {
        "currentReplicas": current,
        "desiredReplicas": desired,
        "currentMetrics": measured(at, held) or None,
        "conditions": [
            {
                "type": each.type,
                "status": each.status,
                "lastTransitionTime": times.rfc3339_seconds(each.changed_at),
                "reason": each.reason,
                "message": each.message,
            }
            for each in scaling.conditions
        ],
    }
    if scaling.rescaled_at:
        found["lastScaleTime"] = times.rfc3339_seconds(scaling.rescaled_at)
    return found


def replicas(at: Scene, held: PlainObject) -> tuple[int, int]:
    """The target's size, and the one that the autoscaler wants for it."""
    if held.scaling is None:
        return 0, 0
    wanted = _map(_map(held.content.get("spec")).get("scaleTargetRef"))
    kind = _KINDS.get(str(wanted.get("kind")), "")
    key = names.key(kind, held.namespace, str(wanted.get("name")))
    desired = at.cluster.desired
    target = desired.deployments.get(key) or desired.replicasets.get(key)
    size = target.replicas if target is not None else 0
    # A wish and its size are one step: they differ for the time of that step at most.
    return size, size


def measured(at: Scene, held: PlainObject) -> list[JSON]:
    """The metrics as they were measured last; [] where that is not known."""
    said = reading(at, held)
    if said is None:
        return []
    found = msgspec.json.decode(said.metrics)
    return [each for each in found or () if isinstance(each, dict)]


def reading(at: Scene, held: PlainObject) -> AutoscalerReading | None:
    """What it saw last, if that is known."""
    live = at.live
    return live.autoscaler(held.key, held.uid) if live is not None else None


def row(at: Scene, held: PlainObject) -> tuple[str, ...]:
    """The cells between the name and the age."""
    spec = _map(held.content.get("spec"))
    least, most = spec.get("minReplicas"), spec.get("maxReplicas")
    return (
        _reference(spec),
        targets(at, held),
        "<unset>" if least is None else str(least),
        str(most),
        str(replicas(at, held)[0]),
    )


def targets(at: Scene, held: PlainObject) -> str:
    """The metrics as they are, and what they shall be."""
    metrics = _maps(_map(held.content.get("spec")).get("metrics"))
    now = measured(at, held)
    shown = [_target(each, _at(now, i)) for i, each in enumerate(metrics)]
    if not shown:
        return NONE
    more = len(shown) - METRICS_SHOWN
    text = ", ".join(shown[:METRICS_SHOWN])
    return f"{text} + {more} more..." if more > 0 else text


def lines(at: Scene, held: PlainObject) -> Lines:
    """The body of `describe` behind the creation's time, as kubectl prints it."""
    spec = _map(held.content.get("spec"))
    now = measured(at, held)
    yield f"Reference:\t{_reference(spec)}"
    yield "Metrics:\t( current / target )"
    for index, metric in enumerate(_maps(spec.get("metrics"))):
        yield _metric_line(metric, _at(now, index))
    least = spec.get("minReplicas")
    yield f"Min replicas:\t{'<unset>' if least is None else least}"
    yield f"Max replicas:\t{spec.get('maxReplicas')}"
    behavior = _map(spec.get("behavior"))
    if behavior:
        yield "Behavior:"
        yield from _direction("Scale Up", _map(behavior.get("scaleUp")))
        yield from _direction("Scale Down", _map(behavior.get("scaleDown")))
    current, desired = replicas(at, held)
    kind = _map(spec.get("scaleTargetRef")).get("kind")
    yield f"{kind} pods:\t{current} current / {desired} desired"
    conditions = held.scaling.conditions if held.scaling is not None else ()
    if conditions:
        yield "Conditions:"
        yield "  Type\tStatus\tReason\tMessage"
        yield "  ----\t------\t------\t-------"
        for each in conditions:
            yield f"  {each.type}\t{each.status}\t{each.reason}\t{each.message}"


# --- parts ------------------------------------------------------------------------


def _reference(spec: JSON) -> str:
    wanted = _map(spec.get("scaleTargetRef"))
    return f"{wanted.get('kind', '')}/{wanted.get('name', '')}"


def _at(measured_now: list[JSON], index: int) -> JSON:
    """What was measured of the metric at that place of the specification."""
    return measured_now[index] if index < len(measured_now) else {}


def _source(metric: JSON) -> JSON:
    kind = str(metric.get("type", ""))
    return _map(metric.get(f"{kind[:1].lower()}{kind[1:]}"))


def _current(now: JSON, field: str) -> str:
    found = _map(_source(now).get("current")).get(field)
    return UNKNOWN if found is None else str(found)


def _target(metric: JSON, now: JSON) -> str:
    """One metric of a row: its present value and the wanted one."""
    kind, source = metric.get("type"), _source(metric)
    target = _map(source.get("target"))
    percent, average = target.get("averageUtilization"), target.get("averageValue")
    if kind in ("Resource", "ContainerResource"):
        if percent is None:
            return f"{source.get('name')}: {_current(now, 'averageValue')}/{average}"
        value = _current(now, "averageUtilization")
        value = value if value == UNKNOWN else f"{value}%"
        return f"{source.get('name', '')}: {value}/{percent}%"
    if average is None:
        return f"{_current(now, 'value')}/{target.get('value')}"
    value = _current(now, "averageValue")
    is_single = kind in ("External", "Object")
    return f"{value}/{average}{' (avg)' if is_single else ''}"


def _metric_line(metric: JSON, now: JSON) -> str:
    """One metric of `describe`."""
    kind, source = metric.get("type"), _source(metric)
    target = _map(source.get("target"))
    percent, average = target.get("averageUtilization"), target.get("averageValue")
    if kind in ("Resource", "ContainerResource"):
        of = f" of container {source.get('container')}" if "container" in source else ""
        head = f"  resource {source.get('name')}{of} on pods"
        if percent is None:
            return f"{head}:\t{_current(now, 'averageValue')} / {average}"
        value = _current(now, "averageUtilization")
        if value != UNKNOWN:
            value = f"{value}% ({_current(now, 'averageValue')})"
        return f"{head}  (as a percentage of request):\t{value} / {percent}%"
    name = _map(source.get("metric")).get("name")
    if kind == "Pods":
        return f'  "{name}" on pods:\t{_current(now, "averageValue")} / {average}'
    head = f'  "{name}" '
    if kind == "Object":
        about = _map(source.get("describedObject"))
        head += f"on {about.get('kind')}/{about.get('name')} "
    if average is None:
        value = _current(now, "value")
        return f"{head}(target value):\t{value} / {target.get('value')}"
    value = _current(now, "averageValue")
    return f"{head}(target average value):\t{value} / {average}"


def _direction(name: str, rules: JSON) -> Iterator[str]:
    if not rules:
        return
    yield f"  {name}:"
    window = rules.get("stabilizationWindowSeconds")
    if window is not None:
        yield f"    Stabilization Window: {window} seconds"
    policies = _maps(rules.get("policies"))
    if policies:
        yield f"    Select Policy: {rules.get('selectPolicy') or 'Max'}"
        yield "    Policies:"
        for each in policies:
            yield (
                f"      - Type: {each.get('type')}\tValue: {each.get('value')}\t"
                f"Period: {each.get('periodSeconds')} seconds"
            )


def _maps(found: object) -> list[JSON]:
    if not isinstance(found, list | tuple):
        return []
    return [each for each in found if isinstance(each, dict)]


def _map(found: object) -> JSON:
    return found if isinstance(found, dict) else {}
