"""Plain objects as rows, as JSON and as text: Kubernetes' columns (spec 6.2)."""

from typing import Any

import pytest

from domain import queries
from gateway.service import Service
from tests.gateway.support import Written, ask, table
from tests.support.cluster import SimCluster

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
METRICS = [
    {
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 60},
        },
    },
    {
        "type": "Resource",
        "resource": {
            "name": "memory",
            "target": {"type": "AverageValue", "averageValue": "200Mi"},
        },
    },
    {
        "type": "External",
        "external": {
            "metric": {"name": "queue"},
            "target": {"type": "AverageValue", "averageValue": "30"},
        },
    },
]
OBJECTS: list[tuple[str, str, dict[str, Any], list[str], list[str]]] = [
    ("configmap", "ConfigMap", {"data": {"a": "1"}, "binaryData": {"b": "eA=="}},
     ["NAME", "DATA", "AGE"], ["one", "2"]),
    ("secret", "Secret", {"stringData": {"a": "hush"}},
     ["NAME", "TYPE", "DATA", "AGE"], ["one", "Opaque", "1"]),
    ("serviceaccount", "ServiceAccount", {},
     ["NAME", "SECRETS", "AGE"], ["one", "0"]),
    ("lease", "Lease", {"spec": {"holderIdentity": "me"}},
     ["NAME", "HOLDER", "AGE"], ["one", "me"]),
    ("namespace", "Namespace", {},
     ["NAME", "STATUS", "AGE"], ["one", "Active"]),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler",
     {"spec": {"scaleTargetRef": TARGET, "maxReplicas": 3, "metrics": METRICS}},
     ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"],
     ["one", "Deployment/web",
      "cpu: <unknown>/60%, memory: <unknown>/200Mi + 1 more...", "1", "3", "0"]),
]  # fmt: skip
VERSIONS = {
    "Lease": "coordination.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}


async def served(*wanted: str) -> tuple[Service, SimCluster]:
    """A service that has folded one object, `one`, of each of these kinds."""
    sim = SimCluster(nodes=1)
    for own, kind, content, _, _ in OBJECTS:
        if own in wanted:
            head = {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind}
            body = {"manifest": {**head, "metadata": {"name": "one"}, **content}}
            answer = sim.ask(own, "one", "create", body)
            assert answer.result == "accepted", answer.message
    reader = await Written(sim).folded()
    return Service(reader, now=lambda: sim.now), sim


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("own", "columns", "cells"), [(row[0], *row[3:]) for row in OBJECTS]
)
async def test_a_row_has_kubernetes_columns(
    own: Any, columns: list[str], cells: list[str]
) -> None:
    """By name, without a look at any other kind."""
    service, _ = await served(own)

    found = await table(
        service, queries.GetQuery(kind=own, namespace="default", name="one")
    )

    assert found[0] == columns
    (row,) = found[1]
    assert row[:-1] == cells


@pytest.mark.asyncio
async def test_what_every_namespace_has_is_listed() -> None:
    """ServiceAccount `default` and the authority's file, of which nothing is recorded:
    in lists, by name, and with the certificate where the API has one."""
    service, _ = await served("namespace")
    service.authority = "PEM"
    both: Any = {"serviceaccount": "default", "configmap": "kube-root-ca.crt"}
    for own, name in both.items():
        _, rows = await table(service, queries.GetQuery(kind=own, namespace="one"))
        assert [row[0] for row in rows] == [name]
    asked = queries.GetQuery(
        kind="configmap", namespace="one", name="kube-root-ca.crt", format="object"
    )
    found: Any = await ask(service, "get", asked)
    assert found["items"][0]["data"] == {"ca.crt": "PEM"}


@pytest.mark.asyncio
async def test_a_document_is_the_object_as_its_api_serves_it() -> None:
    """Head, metadata and content; a Secret's values are base64."""
    service, sim = await served("secret")
    asked = queries.GetQuery(
        kind="secret", namespace="default", name="one", format="object"
    )

    found: Any = await ask(service, "get", asked)

    (item,) = found["items"]
    held = sim.cluster.plain.objects["secret/default/one"]
    assert (item["apiVersion"], item["kind"]) == ("v1", "Secret")
    assert item["metadata"]["uid"] == held.uid
    assert item["metadata"]["resourceVersion"] == str(held.position)
    assert (item["type"], item["data"]) == ("Opaque", {"a": "aHVzaA=="})


@pytest.mark.asyncio
async def test_describing_a_secret_does_not_tell_it() -> None:
    """Its keys and how long their values are, as kubectl does it."""
    service, _ = await served("secret")
    asked = queries.DescribeQuery(kind="secret", namespace="default", name="one")

    found: Any = await ask(service, "describe", asked)

    assert "a:  4 bytes" in found["text"]
    assert "aHVzaA==" not in found["text"]
    assert "hush" not in found["text"]


@pytest.mark.asyncio
@pytest.mark.parametrize("own", [row[0] for row in OBJECTS])
async def test_every_plain_kind_can_be_described(own: Any) -> None:
    """It begins with the name; what is not there is not found."""
    service, _ = await served(own)

    found: Any = await ask(
        service,
        "describe",
        queries.DescribeQuery(kind=own, namespace="default", name="one"),
    )
    missing: Any = await ask(
        service,
        "describe",
        queries.DescribeQuery(kind=own, namespace="default", name="two"),
    )

    assert found["text"].splitlines()[0].split() == ["Name:", "one"]
    assert missing["error"]["reason"] == "NotFound"


@pytest.mark.asyncio
async def test_the_past_of_a_namespace_is_that_of_its_stream_and_the_beginning() -> (
    None
):
    """`default` was there from the first event on, though none is about it."""
    service, _ = await served("namespace")
    moment = queries.Moment(position=1)
    asked = queries.GetQuery(kind="namespace", name="default", at=moment)
    too_early = queries.GetQuery(kind="namespace", name="one", at=moment)

    _, rows = await table(service, asked)
    missing: Any = await ask(service, "get", too_early)

    assert [row[:2] for row in rows] == [["default", "Active"]]
    assert missing["error"]["message"] == 'namespaces "one" not found'
