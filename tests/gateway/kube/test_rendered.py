"""Renderings that are kept: a list is what it would be without them, and cheaper."""

from collections.abc import Sequence

import pytest

from gateway.kube.rendered import Rendered
from gateway.kube.request import JSON
from tests.gateway.kube.simulated import (
    DEPLOYMENTS,
    MERGE,
    STRATEGIC,
    WEB,
    Api,
    web,
)

CORE = "/api/v1/namespaces/default"
LISTS = (
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/api/v1/pods",
    "/api/v1/nodes",
    "/api/v1/configmaps",
    "/api/v1/namespaces",
    "/apis/autoscaling/v1/horizontalpodautoscalers",
)
TEMPLATE = {"spec": {"containers": [{"name": "web", "image": "nginx:2"}]}}
CHANGES: Sequence[tuple[str, str, JSON]] = (
    ("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}, "data": {"a": "1"}}),
    ("PATCH", f"{WEB}/scale", {"spec": {"replicas": 5}}),
    ("PATCH", f"{CORE}/configmaps/a", {"data": {"a": "2"}}),
    ("PATCH", WEB, {"metadata": {"labels": {"tier": "web"}}}),
    ("PATCH", WEB, {"spec": {"template": TEMPLATE}}),
    ("PATCH", WEB, {"metadata": {"annotations": {"kubernetes.io/change-cause": "x"}}}),
    ("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}}),
    ("DELETE", f"{CORE}/configmaps/a", {}),
    ("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}, "data": {"b": "1"}}),
    ("DELETE", WEB, {"propagationPolicy": "Foreground"}),
    ("POST", DEPLOYMENTS, {**web(), "metadata": {"name": "next"}}),
)
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


async def listed(api: Api, rendered: Rendered) -> list[JSON]:
    """Every list, in every form, with these renderings."""
    api.changes.rendered = rendered
    return [
        (await api.ask("GET", path, accept=accept)).document
        for path in LISTS
        for accept in ("", TABLE, METADATA)
    ]


@pytest.mark.asyncio
async def test_a_list_is_what_it_would_be_if_all_were_rendered_anew(
    running: Api,
) -> None:
    """After each change, of every kind: nothing that was kept is shown too long."""
    kept = running.changes.rendered
    for method, path, body in CHANGES:
        type_ = STRATEGIC if path == WEB else MERGE
        if method == "PATCH":
            done = await running.ask(method, path, body, type_=type_)
        else:
            done = await running.ask(method, path, body)
        assert done.code < 300, (path, done.document)
        running.sim.settle()
        await running.reader.catch_up()
        anew = await listed(running, Rendered(0))
        assert await listed(running, kept) == anew, path
    assert kept.hits > kept.misses


@pytest.mark.asyncio
async def test_only_what_has_changed_is_rendered_again(running: Api) -> None:
    """A label on one pod: it, its ReplicaSet and its Deployment."""
    kept = running.changes.rendered
    running.sim.settle()
    for path in LISTS:
        await running.ask("GET", path)
    misses = kept.misses
    name = next(iter(running.reader.cluster.actual.pods)).rpartition("/")[2]
    label = {"metadata": {"labels": {"a": "b"}}}
    await running.ask("PATCH", f"{CORE}/pods/{name}", label, type_=MERGE)
    for path in LISTS[:4]:
        await running.ask("GET", path)
    assert kept.misses - misses == 3


@pytest.mark.asyncio
async def test_what_is_kept_is_bounded_and_goes_with_its_object(running: Api) -> None:
    """Where there is no room an object is rendered each time; of what is gone nothing
    is kept."""
    small = Rendered(2_000)
    running.changes.rendered = small
    first = await running.ask("GET", "/api/v1/pods")
    again = await running.ask("GET", "/api/v1/pods")
    assert (first.document, small.size <= 2_000) == (again.document, True)
    assert small.hits < small.misses

    kept = running.changes.rendered = Rendered()
    made: JSON = {"metadata": {"name": "a"}, "data": {"a": "1" * 1_000}}
    await running.ask("POST", f"{CORE}/configmaps", made)
    await running.ask("GET", f"{CORE}/configmaps/a")
    assert kept.size > 1_000
    await running.ask("DELETE", f"{CORE}/configmaps/a")
    assert kept.size < 1_000
