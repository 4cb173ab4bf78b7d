"""The node as its engine knows it: what there is to give, and what can be limited."""

import contextlib
import socket

import msgspec

from adapters import engine_answers as answers
from domain import protocol
from kubelet import container_sandboxes, machine


def describe(
    version: answers.Version, info: answers.Info, address: str
) -> protocol.NodeInfo:
    """The node: what the engine has to give, and in labels what it can limit."""
    found = machine.describe(f"{version.name}://{version.version}")
    room = dict(found.capacity)
    if info.ncpu:
        room["cpu"] = str(info.ncpu)
    if info.mem_total:
        room["memory"] = f"{info.mem_total // 1024}Ki"
    facts = {
        "engine": version.name,
        "engine-rootless": info.rootless,
        "cgroup": f"v{info.cgroup_version}",
        "limits-memory": info.memory_limit,
        "limits-swap": info.swap_limit,
        "limits-cpu": info.cpu_cfs_quota,
        "limits-pids": info.pids_limit,
    }
    labels = {
        container_sandboxes.PREFIX + name: str(value).lower()
        for name, value in facts.items()
    }
    return msgspec.structs.replace(
        found, capacity=room, allocatable=room, labels=labels, address=address
    )


def host_address() -> str:
    """This machine's address on the way out; nothing is sent for it."""
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.connect(("192.0.2.1", 9))  # an address that nobody has (RFC 5737)
        return str(sock.getsockname()[0])
    return machine.HOST_IP
