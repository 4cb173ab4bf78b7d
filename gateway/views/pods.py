"""A pod as JSON and as a row."""

from collections.abc import Sequence
from typing import Final

import msgspec

from domain import names, pod, times
from domain.ages import age
from domain.plans import node_health
from domain.pod import Pod
from domain.protocol import ContainerStatus
from gateway.views import podstates, scene
from gateway.views.scene import JSON, NONE, Scene, TemplateView

COLUMNS: Final = (
    ("NAME", False),
    ("READY", False),
    ("STATUS", False),
    ("RESTARTS", False),
    ("AGE", False),
    ("IP", True),
    ("NODE", True),
    ("NOMINATED NODE", True),
    ("READINESS GATES", True),
)


def cells(at: Scene, held: Pod) -> tuple[str, ...]:
    """The row of spec 6.2."""
    shown = podstates.shown(held, at.template(held.template), at.now)
    return (
        held.name,
        shown.ready,
        shown.status,
        shown.restarts,
        age(held.created_at, at.now),
        (held.seen.ip if held.seen is not None else "") or NONE,
        held.node or NONE,
        NONE,
        NONE,
    )


def document(at: Scene, held: Pod) -> JSON:
    """The v1 object with its status (spec 4)."""
    view = at.template(held.template)
    metadata = scene.metadata(
        name=held.name,
        namespace=held.namespace,
        uid=held.uid,
        position=held.position,
        created_at=held.created_at,
        labels=at.pod_labels(held),
        annotations=at.pod_annotations(held),
    )
    if prefix := generate_name(at, held):
        metadata["generateName"] = prefix
    if references := scene.owner_references(at, held):
        metadata["ownerReferences"] = msgspec.to_builtins(references)
    if held.stage == pod.TERMINATING:
        ends_at = held.deletion_at + held.grace
        metadata["deletionTimestamp"] = times.rfc3339_seconds(ends_at)
        metadata["deletionGracePeriodSeconds"] = int(held.grace)
    spec = {**view.document}
    if held.node:
        spec["nodeName"] = held.node
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": _status(at, held, view),
    }


def generate_name(at: Scene, held: Pod) -> str:
    """What its name was made of; "" where it was given one.

    One that was adopted had its name before, and one that was released keeps it.
    """
    prefix = f"{held.owner.rpartition('/')[2]}-"
    if held.owner and held.name.startswith(prefix[: names.BASE_LENGTH_MAX]):
        return prefix
    desired = at.cluster.desired
    if desired.brings_template(held.key):
        own = desired.templates[held.template].template.metadata.generate_name
        return own if own and held.name.startswith(own[: names.BASE_LENGTH_MAX]) else ""
    return held.name[: -names.SUFFIX_LENGTH]


def host_ip(at: Scene, held: Pod) -> str:
    """The address of the pod's node, as far as it is known."""
    use = at.cluster.actual.nodes.get(held.node)
    return use.node.info.address if use is not None else ""


def started_at(held: Pod) -> float:
    """When its node took it, seconds since the epoch; 0 while none has."""
    if held.seen is None:
        return 0.0
    return held.seen.started_at or held.scheduled_at


def conditions(held: Pod, view: TemplateView) -> list[JSON]:
    """The conditions of spec 4.2, in the kubelet's order."""
    disrupted = _disrupted(held)
    if held.seen is None:
        return [_scheduled(held), *disrupted]
    seen = held.seen
    since = held.ready_at or held.scheduled_at
    initialised = podstates.is_initialised(held, view)
    found = podstates.statuses(held, view.spec)
    unready = [each.name for each in found if not each.ready]
    contained = bool(found) and not unready and held.phase == "Running"
    sandboxed = held.phase != "Pending" or (bool(seen.ip) and not held.terminal)
    why = _why_unready(held, unready)
    gone = ("NodeNotReady", "Node is not ready") if contained else why
    if contained and held.check_failed:
        gone = ("ActiveCheckFailed", f"the active check fails: {held.check_failed}")
    uninitialised = ("ContainersNotInitialized", "init containers are not through")
    return [
        _condition("PodReadyToStartContainers", sandboxed, held.scheduled_at),
        _condition("Initialized", initialised, held.scheduled_at, uninitialised),
        _condition("Ready", held.ready, since, gone),
        _condition("ContainersReady", contained, since, why),
        _scheduled(held),
        *disrupted,
    ]


def _disrupted(held: Pod) -> list[JSON]:
    """The condition of a pod that a taint of its node ends (spec 4.6)."""
    if not held.disrupted:
        return []
    evict = node_health.Evict(pod=held.key, node=held.node)
    found = _condition("DisruptionTarget", True, held.deletion_at)
    return [found | {"reason": evict.reason, "message": evict.message}]


def _scheduled(held: Pod) -> JSON:
    if held.node:
        return _condition("PodScheduled", True, held.scheduled_at)
    why = ("Unschedulable", held.unschedulable) if held.unschedulable else ("", "")
    return _condition("PodScheduled", False, held.created_at, why)


def _why_unready(held: Pod, unready: list[str]) -> tuple[str, str]:
    if held.phase == "Succeeded":
        return "PodCompleted", ""
    if held.phase == "Failed":
        return "PodFailed", ""
    text = f"containers with unready status: [{' '.join(unready)}]"
    return "ContainersNotReady", text


def _condition(
    type_: str, value: bool, since: float, otherwise: tuple[str, str] = ("", "")
) -> JSON:
    found: JSON = {"type": type_, "status": "True" if value else "False"}
    reason, message = otherwise
    if not value and reason:
        found["reason"] = reason
        if message:
            found["message"] = message
    found["lastProbeTime"] = None
    found["lastTransitionTime"] = times.rfc3339_seconds(since)
    return found


def _status(at: Scene, held: Pod, view: TemplateView) -> JSON:
    seen = held.seen
    found: JSON = {"phase": held.phase, "conditions": conditions(held, view)}
    if seen is not None:
        for name, value in (("reason", seen.reason), ("message", seen.message)):
            if value:
                found[name] = value
        host = host_ip(at, held)
        if host:
            found["hostIP"] = host
            found["hostIPs"] = [{"ip": host}]
        if seen.ip:
            found["podIP"] = seen.ip
            found["podIPs"] = [{"ip": seen.ip}]
        found["startTime"] = times.rfc3339_seconds(started_at(held))
        spec = view.spec
        images = {e.name: e.image for e in (*spec.containers, *spec.init_containers)}
        initial = podstates.init_statuses(held, spec)
        if initial:
            found["initContainerStatuses"] = _containers(initial, images)
        running = podstates.statuses(held, spec)
        if running:
            found["containerStatuses"] = _containers(running, images)
    found["qosClass"] = view.qos
    return found


def _containers(found: Sequence[ContainerStatus], images: dict[str, str]) -> list[JSON]:
    return [_container(each, images.get(each.name, "")) for each in found]


def _container(held: ContainerStatus, image: str) -> JSON:
    last: JSON = {}
    if held.last is not None:
        last["terminated"] = _terminated(
            exit_code=held.last.exit_code,
            reason=held.last.reason,
            message=held.last.message,
            signal=held.last.signal,
            started_at=held.last.started_at,
            finished_at=held.last.finished_at,
        )
    return {
        "name": held.name,
        "state": _state(held),
        "lastState": last,
        "ready": held.ready,
        "restartCount": held.restarts,
        "image": image,
        "imageID": "",
        "containerID": held.container_id,
        "started": held.started,
    }


def _state(held: ContainerStatus) -> JSON:
    if held.state == "running":
        return {"running": {"startedAt": _moment(held.started_at)}}
    if held.state == "terminated":
        ended = _terminated(
            exit_code=held.exit_code,
            reason=held.reason,
            message=held.message,
            signal=held.signal,
            started_at=held.started_at,
            finished_at=held.finished_at,
            container_id=held.container_id,
        )
        return {"terminated": ended}
    waiting: JSON = {}
    for name, value in (("reason", held.reason), ("message", held.message)):
        if value:
            waiting[name] = value
    return {"waiting": waiting}


def _terminated(
    *,
    exit_code: int,
    reason: str,
    message: str,
    signal: int,
    started_at: float,
    finished_at: float,
    container_id: str = "",
) -> JSON:
    """How a container ended; which one it was is not known of one before the last."""
    found: JSON = {"exitCode": exit_code}
    if signal:
        found["signal"] = signal
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    found["startedAt"] = _moment(started_at)
    found["finishedAt"] = _moment(finished_at)
    if container_id:
        found["containerID"] = container_id
    return found


def _moment(at: float) -> str | None:
    """A node's time; null where it has not said it."""
    return times.rfc3339_seconds(at) if at else None
