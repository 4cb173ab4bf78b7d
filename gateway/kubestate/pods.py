"""The families of pods and of their containers (kube_pod_*)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from domain import owners, pod, quantities
from domain.metadata import OwnerReference
from domain.pod import Pod
from domain.podspec import Container
from domain.protocol import ContainerStatus
from gateway.kubestate.rendering import Family, number, quoted
from gateway.views import podstates
from gateway.views.scene import TemplateView
from projections.cluster import Cluster

PHASES: Final = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
_UNITS: Final = {"cpu": "core", "memory": "byte"}


class Row(NamedTuple):
    """A pod and what its lines are made of; `head` is the labels that all share."""

    head: str
    held: Pod
    view: TemplateView
    host_ip: str
    owner: OwnerReference | None
    containers: Sequence[ContainerStatus]


def row(cluster: Cluster, view: TemplateView, held: Pod) -> Row:
    """The row of a pod."""
    use = cluster.actual.nodes.get(held.node)
    kept = cluster.desired.references.of(held.key)
    shown = owners.shown(kept, held.owner, held.owner_uid)
    return Row(
        f'namespace="{held.namespace}",pod="{held.name}",uid="{held.uid}"',
        held,
        view,
        use.node.info.address if use is not None else "",
        next((each for each in shown if each.controller), None),
        podstates.statuses(held, view.spec),
    )


def _info(at: Row, out: list[str]) -> None:
    held, owner = at.held, at.owner
    kind, name = ("", "") if owner is None else (quoted(owner.kind), quoted(owner.name))
    network = "true" if at.view.spec.host_network else "false"
    out.append(
        f'kube_pod_info{{{at.head},host_ip="{quoted(at.host_ip)}",'
        f'pod_ip="{quoted(held.seen.ip if held.seen is not None else "")}",'
        f'node="{quoted(held.node)}",created_by_kind="{kind}",'
        f'created_by_name="{name}",priority_class="",host_network="{network}"}} 1'
    )


def _owner(at: Row, out: list[str]) -> None:
    owner = at.owner
    kind, name = ("", "") if owner is None else (quoted(owner.kind), quoted(owner.name))
    controls = "true" if owner is not None else ""
    out.append(
        f'kube_pod_owner{{{at.head},owner_kind="{kind}",owner_name="{name}",'
        f'owner_is_controller="{controls}"}} 1'
    )


def _created(at: Row, out: list[str]) -> None:
    out.append(f"kube_pod_created{{{at.head}}} {number(at.held.created_at)}")


def _start_time(at: Row, out: list[str]) -> None:
    held = at.held
    if held.seen is not None:
        since = held.seen.started_at or held.scheduled_at
        out.append(f"kube_pod_start_time{{{at.head}}} {number(since)}")


def _deletion(at: Row, out: list[str]) -> None:
    held = at.held
    if held.stage == pod.TERMINATING:
        ends = held.deletion_at + held.grace
        out.append(f"kube_pod_deletion_timestamp{{{at.head}}} {number(ends)}")


def _phase(at: Row, out: list[str]) -> None:
    head, phase = at.head, at.held.phase
    for each in PHASES:
        value = 1 if each == phase else 0
        out.append(f'kube_pod_status_phase{{{head},phase="{each}"}} {value}')


def _reason(at: Row, out: list[str]) -> None:
    seen = at.held.seen
    if seen is not None and seen.reason:
        why = quoted(seen.reason)
        out.append(f'kube_pod_status_reason{{{at.head},reason="{why}"}} 1')


def _ready(at: Row, out: list[str]) -> None:
    _condition("kube_pod_status_ready", at.head, at.held.ready, out)


def _scheduled(at: Row, out: list[str]) -> None:
    _condition("kube_pod_status_scheduled", at.head, bool(at.held.node), out)


def _unschedulable(at: Row, out: list[str]) -> None:
    if at.held.unschedulable and not at.held.node:
        out.append(f"kube_pod_status_unschedulable{{{at.head}}} 1")


def _condition(name: str, head: str, holds: bool, out: list[str]) -> None:
    yes, no = (1, 0) if holds else (0, 1)
    out.append(f'{name}{{{head},condition="true"}} {yes}')
    out.append(f'{name}{{{head},condition="false"}} {no}')
    out.append(f'{name}{{{head},condition="unknown"}} 0')


# --- containers -------------------------------------------------------------------


def _container_info(at: Row, out: list[str]) -> None:
    seen = {each.name: each.container_id for each in at.containers}
    for each in at.view.spec.containers:
        image = quoted(each.image)
        out.append(
            f'kube_pod_container_info{{{at.head},container="{each.name}",'
            f'image_spec="{image}",image="{image}",image_id="",'
            f'container_id="{quoted(seen.get(each.name, ""))}"}} 1'
        )


def _restarts(at: Row, out: list[str]) -> None:
    out += [
        f"kube_pod_container_status_restarts_total{{{at.head},"
        f'container="{each.name}"}} {each.restarts}'
        for each in at.containers
    ]


def _container_ready(at: Row, out: list[str]) -> None:
    out += [
        f"kube_pod_container_status_ready{{{at.head},"
        f'container="{each.name}"}} {int(each.ready)}'
        for each in at.containers
    ]


def _running(at: Row, out: list[str]) -> None:
    _state(at, "running", out)


def _waiting(at: Row, out: list[str]) -> None:
    _state(at, "waiting", out)


def _terminated(at: Row, out: list[str]) -> None:
    _state(at, "terminated", out)


def _state(at: Row, state: str, out: list[str]) -> None:
    out += [
        f"kube_pod_container_status_{state}{{{at.head},"
        f'container="{each.name}"}} {1 if each.state == state else 0}'
        for each in at.containers
    ]


def _waiting_reason(at: Row, out: list[str]) -> None:
    for each in at.containers:
        if each.state == "waiting" and each.reason:
            _why(at, "waiting_reason", each.name, each.reason, out)


def _terminated_reason(at: Row, out: list[str]) -> None:
    for each in at.containers:
        if each.state == "terminated" and each.reason:
            _why(at, "terminated_reason", each.name, each.reason, out)


def _last_terminated_reason(at: Row, out: list[str]) -> None:
    for each in at.containers:
        if each.last is not None and each.last.reason:
            _why(at, "last_terminated_reason", each.name, each.last.reason, out)


def _why(at: Row, what: str, container: str, reason: str, out: list[str]) -> None:
    out.append(
        f"kube_pod_container_status_{what}{{{at.head},"
        f'container="{container}",reason="{quoted(reason)}"}} 1'
    )


def _requests(at: Row, out: list[str]) -> None:
    for each in at.view.spec.containers:
        _resources(at, each, "requests", each.resources.requests, out)


def _limits(at: Row, out: list[str]) -> None:
    for each in at.view.spec.containers:
        _resources(at, each, "limits", each.resources.limits, out)


def _resources(
    at: Row, container: Container, what: str, found: dict[str, str], out: list[str]
) -> None:
    for resource, unit in _UNITS.items():
        amount = found.get(resource)
        if amount is None:
            continue
        try:
            value = float(quantities.parse(amount))
        except ValueError:
            continue
        out.append(
            f"kube_pod_container_resource_{what}{{{at.head},"
            f'container="{container.name}",node="{quoted(at.held.node)}",'
            f'resource="{resource}",unit="{unit}"}} {number(value)}'
        )


FAMILIES: Final = (
    Family("kube_pod_info", "What a pod is and where.", _info),
    Family("kube_pod_owner", "Who controls the pod.", _owner),
    Family("kube_pod_created", "When it was created, Unix time.", _created),
    Family("kube_pod_start_time", "When its node took it, Unix time.", _start_time),
    Family(
        "kube_pod_deletion_timestamp", "When it must be gone, Unix time.", _deletion
    ),
    Family("kube_pod_status_phase", "The phase of the pod.", _phase),
    Family("kube_pod_status_reason", "Why the pod is as it is.", _reason),
    Family("kube_pod_status_ready", "Whether the pod is ready.", _ready),
    Family("kube_pod_status_scheduled", "Whether it has a node.", _scheduled),
    Family("kube_pod_status_unschedulable", "No node takes it.", _unschedulable),
    Family("kube_pod_container_info", "A container of a pod.", _container_info),
    Family(
        "kube_pod_container_status_restarts_total",
        "How often the container was started again.",
        _restarts,
        "counter",
    ),
    Family("kube_pod_container_status_ready", "It is ready.", _container_ready),
    Family("kube_pod_container_status_running", "It runs.", _running),
    Family("kube_pod_container_status_waiting", "It waits.", _waiting),
    Family("kube_pod_container_status_terminated", "It has ended.", _terminated),
    Family(
        "kube_pod_container_status_waiting_reason", "Why it waits.", _waiting_reason
    ),
    Family(
        "kube_pod_container_status_terminated_reason",
        "Why it has ended.",
        _terminated_reason,
    ),
    Family(
        "kube_pod_container_status_last_terminated_reason",
        "Why its run before has ended.",
        _last_terminated_reason,
    ),
    Family("kube_pod_container_resource_requests", "What it asks for.", _requests),
    Family("kube_pod_container_resource_limits", "What it may use.", _limits),
)
