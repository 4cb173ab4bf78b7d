"""The families of nodes (kube_node_*)."""

from typing import Final, NamedTuple

from domain import quantities
from domain.node import Node
from gateway.kubestate.rendering import Family, number, quoted, statuses

_UNITS: Final = {"cpu": "core", "memory": "byte", "pods": "integer"}


class Row(NamedTuple):
    """A node; `head` is the labels that all its lines share."""

    head: str
    held: Node


def row(held: Node) -> Row:
    """The row of a node."""
    return Row(f'node="{quoted(held.name)}"', held)


def _info(at: Row, out: list[str]) -> None:
    info = at.held.info
    out.append(
        f'kube_node_info{{{at.head},kernel_version="{quoted(info.kernel_version)}",'
        f'os_image="{quoted(info.os_image)}",'
        f'container_runtime_version="{quoted(info.runtime)}",'
        f'kubelet_version="{quoted(info.kubelet_version)}",kubeproxy_version="",'
        f'provider_id="",pod_cidr="",system_uuid="",'
        f'internal_ip="{quoted(info.address)}"}} 1'
    )


def _created(at: Row, out: list[str]) -> None:
    out.append(f"kube_node_created{{{at.head}}} {number(at.held.created_at)}")


def _unschedulable(at: Row, out: list[str]) -> None:
    value = int(at.held.cordoned)
    out.append(f"kube_node_spec_unschedulable{{{at.head}}} {value}")


def _taint(at: Row, out: list[str]) -> None:
    out += [
        f'kube_node_spec_taint{{{at.head},key="{quoted(each.key)}",'
        f'value="{quoted(each.value or "")}",effect="{quoted(each.effect)}"}} 1'
        for each in at.held.all_taints()
    ]


def _condition(at: Row, out: list[str]) -> None:
    status = at.held.status.lower()
    name = "kube_node_status_condition"
    statuses(name, at.head, ',condition="Ready"', status, out)


def _capacity(at: Row, out: list[str]) -> None:
    _room("kube_node_status_capacity", at.head, at.held.info.capacity, out)


def _allocatable(at: Row, out: list[str]) -> None:
    _room("kube_node_status_allocatable", at.head, at.held.info.allocatable, out)


def _room(name: str, head: str, found: dict[str, str], out: list[str]) -> None:
    for resource, unit in _UNITS.items():
        try:
            value = float(quantities.parse(found[resource]))
        except (KeyError, ValueError):
            continue
        labels = f'{head},resource="{resource}",unit="{unit}"'
        out.append(f"{name}{{{labels}}} {number(value)}")


FAMILIES: Final = (
    Family("kube_node_info", "What a node is.", _info),
    Family("kube_node_created", "When it came, Unix time.", _created),
    Family("kube_node_spec_unschedulable", "It is cordoned.", _unschedulable),
    Family("kube_node_spec_taint", "A taint of the node.", _taint),
    Family("kube_node_status_condition", "The node's conditions.", _condition),
    Family("kube_node_status_capacity", "What the node has.", _capacity),
    Family("kube_node_status_allocatable", "What pods may have.", _allocatable),
)
