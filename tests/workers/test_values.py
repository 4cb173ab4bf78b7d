"""What a node may read of ConfigMaps and Secrets: what its own pods name."""

from typing import Any

import msgspec
import pytest

from domain import protocol
from domain.pod import Pod
from tests.support.cluster import SimCluster, manifest
from tests.workers import scenes
from workers import values

META = {"apiVersion": "v1"}
CONF: dict[str, Any] = {
    **META, "kind": "ConfigMap", "metadata": {"name": "conf"},
    "data": {"greeting": "hello"}, "binaryData": {"raw": "/w=="},
}  # fmt: skip
OTHER: dict[str, Any] = {**CONF, "metadata": {"name": "other"}}
SECRET: dict[str, Any] = {
    **META, "kind": "Secret", "metadata": {"name": "sec"}, "stringData": {"pw": "hush"},
}  # fmt: skip


@pytest.fixture
def sim() -> SimCluster:
    """Two nodes, and a pod that names `conf`, `sec` and `none`."""
    sim = SimCluster(2)
    for each in (CONF, OTHER, SECRET):
        scenes.make(sim, each)
    raw: dict[str, Any] = manifest("web", replicas=1)
    raw["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [
        {"configMapRef": {"name": "conf"}},
        {"configMapRef": {"name": "none", "optional": True}},
        {"secretRef": {"name": "sec"}},
    ]
    scenes.make(sim, raw)
    return sim


def web(sim: SimCluster) -> Pod:
    """The pod."""
    (found,) = sim.cluster.actual.pods.values()
    return found


def ask(sim: SimCluster, node: str = "", **fields: Any) -> protocol.ValuesReply:
    """A question about `web`, unless told otherwise, from its own node."""
    pod = web(sim)
    request = protocol.ValuesRequest(
        **{
            "namespace": pod.namespace, "pod": pod.name, "uid": pod.uid,
            "kind": "configmap", "name": "conf", **fields,
        }
    )  # fmt: skip
    return values.answer(sim.cluster, node or pod.node, msgspec.json.encode(request))


def test_a_node_reads_what_its_pod_names(sim: SimCluster) -> None:
    """A ConfigMap's texts and bytes; a Secret's values in base64; what is not there."""
    assert ask(sim) == protocol.ValuesReply(
        found=True, data={"greeting": "hello"}, binary={"raw": "/w=="}
    )
    assert ask(sim, kind="secret", name="sec") == protocol.ValuesReply(
        found=True, binary={"pw": "aHVzaA=="}
    )
    assert ask(sim, name="none") == protocol.ValuesReply()


@pytest.mark.parametrize("fields", [
    {"name": "other"},
    {"kind": "secret", "name": "conf"},
    {"namespace": "kube-system"},
    {"pod": "another"},
    {"uid": "of-a-former-pod"},
])  # fmt: skip
def test_a_node_reads_nothing_else(sim: SimCluster, fields: dict[str, str]) -> None:
    """Not of another object, namespace or pod, though they are there."""
    reply = ask(sim, **fields)
    assert (reply.found, reply.data, reply.binary) == (False, {}, {})
    assert reply.error


def test_another_node_reads_nothing(sim: SimCluster) -> None:
    """The pod is not bound to it."""
    others = [name for name in sim.cluster.actual.nodes if name != web(sim).node]
    assert ask(sim, others[0]).error == "no such pod is bound to this node"


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"kind":"node"}'])
def test_rubbish_is_answered(sim: SimCluster, data: bytes) -> None:
    """With what is wrong; nothing ends."""
    assert values.answer(sim.cluster, "n", data).error.startswith("unreadable: ")


def test_a_reply_does_not_show_what_it_holds(sim: SimCluster) -> None:
    """Replies may get into logs of trouble."""
    assert "aHVzaA" not in repr(ask(sim, kind="secret", name="sec"))
