"""A node as JSON and as a row."""

from typing import Final

import msgspec

from domain import times
from domain.ages import age
from domain.node import Node
from gateway.views import scene
from gateway.views.scene import JSON, NONE, UNKNOWN, Scene

ROLE_PREFIX: Final = "node-role.kubernetes.io/"
ROLE_LABEL: Final = "kubernetes.io/role"

COLUMNS: Final = (
    ("NAME", False),
    ("STATUS", False),
    ("ROLES", False),
    ("AGE", False),
    ("VERSION", False),
    ("INTERNAL-IP", True),
    ("EXTERNAL-IP", True),
    ("OS-IMAGE", True),
    ("KERNEL-VERSION", True),
    ("CONTAINER-RUNTIME", True),
)


def cells(at: Scene, held: Node) -> tuple[str, ...]:
    """The row of spec 6.2."""
    info = held.info
    kernel = info.kernel_version or UNKNOWN
    if info.kernel_version and info.architecture:
        kernel = f"{kernel} ({info.architecture})"
    return (
        held.name,
        status(held),
        roles(held) or NONE,
        age(held.created_at, at.now),
        info.kubelet_version,
        info.address or NONE,
        NONE,
        info.os_image or UNKNOWN,
        kernel,
        info.runtime or UNKNOWN,
    )


def status(held: Node) -> str:
    """`Ready` or `NotReady`, and whether new pods are kept away (spec 6.2)."""
    word = "Ready" if held.status == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if held.cordoned else word


def roles(held: Node) -> str:
    """The roles that its labels give it, sorted; empty where there is none."""
    found: set[str] = set()
    for key, value in held.all_labels().items():
        if key.startswith(ROLE_PREFIX) and key != ROLE_PREFIX:
            found.add(key.removeprefix(ROLE_PREFIX))
        elif key == ROLE_LABEL and value:
            found.add(value)
    return ",".join(sorted(found))


def document(_at: Scene, held: Node) -> JSON:
    """The v1 object with its status."""
    spec: JSON = {}
    if held.cordoned:
        spec["unschedulable"] = True
    taints = held.all_taints()
    if taints:
        spec["taints"] = msgspec.to_builtins(taints)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": scene.metadata(
            name=held.name,
            namespace="",
            uid=held.uid,
            position=held.position,
            created_at=held.created_at,
            labels=held.all_labels(),
            annotations=held.annotations,
        ),
        "spec": spec,
        "status": _status(held),
    }


def addresses(held: Node) -> list[tuple[str, str]]:
    """Where the node can be reached, by type."""
    known = [("InternalIP", held.info.address)] if held.info.address else []
    return [*known, ("Hostname", held.name)]


def _status(held: Node) -> JSON:
    info = held.info
    since = times.rfc3339_seconds(held.changed_at)
    images: JSON = {"images": msgspec.to_builtins(info.images)} if info.images else {}
    return {
        "capacity": info.capacity,
        "allocatable": info.allocatable,
        "conditions": [
            {
                "type": "Ready",
                "status": held.status,
                "reason": held.reason,
                "message": held.message,
                # Heartbeats are not in the log: what is known is the last change.
                "lastHeartbeatTime": since,
                "lastTransitionTime": since,
            }
        ],
        "addresses": [
            {"type": type_, "address": address} for type_, address in addresses(held)
        ],
        "nodeInfo": {
            "machineID": "",
            "systemUUID": "",
            "bootID": held.boot_id,
            "kernelVersion": info.kernel_version,
            "osImage": info.os_image,
            "containerRuntimeVersion": info.runtime,
            "kubeletVersion": info.kubelet_version,
            "kubeProxyVersion": "",
            "operatingSystem": info.operating_system,
            "architecture": info.architecture,
        },
        **images,
    }
