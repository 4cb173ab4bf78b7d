"""`diff`: what differs between two moments, no more and no less."""

import random
from collections.abc import AsyncIterator

import pytest

from adapters.memory_log import MemoryLog
from gateway import differences, listing
from gateway.service import Service
from tests.gateway.eventful import ask, eventful, folded, keys, scaled, scene, serving
from tests.gateway.support import Written
from tests.support.cluster import SimCluster


@pytest.mark.asyncio
async def test_diff_names_what_was_created_deleted_and_changed() -> None:
    """By field, of the Deployment and of what its pods' end changed in its owners."""
    sim, position, _ = scaled()
    service = await serving(sim)
    moments = {"before": {"position": position}, "after": {"time": sim.now}}
    found = await ask(service, "diff", moments)
    assert found["before"] == position
    assert found["after"] == found["position"] == sim.events[-1].position
    changes = {each["kind"]: each["change"] for each in found["changes"]}
    assert changes == {
        "deployment": "changed", "replicaset": "changed", "pod": "deleted",
    }  # fmt: skip
    assert sum(each["change"] == "deleted" for each in found["changes"]) == 2
    fields = {each["path"]: each for each in found["changes"][0]["fields"]}
    assert fields["spec.replicas"] == {"path": "spec.replicas", "before": 3, "after": 1}
    assert fields["status.readyReplicas"]["after"] == 1
    back = await ask(
        service, "diff", {"before": moments["after"], "after": moments["before"]}
    )
    assert [each["change"] for each in back["changes"]].count("created") == 2
    service.past.close()


@pytest.mark.asyncio
async def test_an_object_that_never_was_has_no_differences() -> None:
    """It is not found; one that is at neither moment, but was once, does not differ."""
    sim, position, _ = scaled()
    service = await serving(sim)
    now, early = {"position": position}, {"position": 1}
    of = {"kind": "deployment", "namespace": "default"}
    never = {"before": early, "after": now, **of, "name": "never"}
    refused = await ask(service, "diff", never)
    assert refused["error"]["reason"] == "NotFound"
    assert refused["error"]["message"] == 'deployments.apps "never" not found'
    (owner,) = sim.cluster.desired.deployments.values()
    young = {"before": early, "after": {"position": 2}, **of, "name": owner.name}
    found = await ask(service, "diff", young)
    assert "error" not in found
    assert not found.get("changes")
    service.past.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.asyncio
async def test_diff_finds_exactly_what_comparing_everything_finds(seed: int) -> None:
    """Work in proportion to what happened misses nothing (rule 1), in pages too."""
    sim = eventful(seed)
    log = MemoryLog(Written(sim).store, read_only=True)
    service = await serving(sim)
    dice = random.Random(seed)
    last = log.last_position()
    for _ in range(8):
        early, late = sorted(dice.randrange(1, last + 1) for _ in range(2))
        old, new = (scene(folded(log, each), 0.0) for each in (early, late))
        expected = {
            key: found.change
            for key in keys(sim.events)
            if (found := differences._difference(old, new, key)) is not None
        }
        asked = {
            "before": {"position": early}, "after": {"position": late}, "limit": 3,
        }  # fmt: skip
        got = {key: change async for key, change in pages(service, asked)}
        assert got == expected
        for key in list(expected)[:2]:
            kind, namespace, name = differences._split(key)
            one = {**asked, "kind": kind, "namespace": namespace, "name": name}
            assert [each async for each in pages(service, one)] == [
                (key, expected[key])
            ]
    service.past.close()


async def pages(
    service: Service, asked: dict[str, object]
) -> AsyncIterator[tuple[str, str]]:
    """The objects of all pages, each with what became of it."""
    while True:
        found = await ask(service, "diff", asked)
        changes = found.get("changes", [])
        assert isinstance(changes, list)
        for each in changes:
            place = listing.key_of(
                each["kind"], each.get("namespace", ""), each["name"]
            )
            yield place, each["change"]
        if "continue" not in found:
            return
        asked = {**asked, "continue": found["continue"]}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": {"b": 1}}, {"a": {}}, [("a.b", 1, None)]),
        ({}, {"a": {"b": 1}}, [("a", None, {"b": 1})]),
        ({"a": {"x.y/z": 1}}, {"a": {"x.y/z": 2}}, [("a['x.y/z']", 1, 2)]),
        (
            {"c": [{"name": "x", "v": 1}, {"name": "y"}]},
            {"c": [{"name": "y"}, {"name": "x", "v": 2}]},
            [("c[x].v", 1, 2)],
        ),
        (
            {"c": [{"type": "Ready"}]},
            {"c": []},
            [("c[Ready]", {"type": "Ready"}, None)],
        ),
        ({"c": ["a", "b"]}, {"c": ["a", "c"]}, [("c[1]", "b", "c")]),
        ({"a": None}, {}, []),
    ],
)
def test_a_difference_is_the_smallest_part_that_differs(
    before: object, after: object, expected: list[object]
) -> None:
    """Items of lists are known by their names; labels are one key each (rule 3)."""
    assert list(differences.different(before, after)) == expected


@pytest.mark.asyncio
async def test_diff_tells_of_plain_objects_and_of_secrets_no_value() -> None:
    """What was changed, by field, namespaces too; a Secret's values by their size,
    also where `apply` remembers them."""
    sim = SimCluster(nodes=1)

    def put(kind: str, verb: str, **content: object) -> None:
        head = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "one"}}
        namespace = "" if kind == "Namespace" else "default"
        body = {"manifest": {**head, **content}}
        answer = sim.ask(kind.lower(), "one", verb, body, namespace=namespace)
        assert answer.result == "accepted", answer.message

    put("ConfigMap", "create", data={"a": "1"})
    put("Secret", "apply", stringData={"user": "me", "password": "hush"})
    put("Namespace", "create")
    before = sim.events[-1].position
    put("ConfigMap", "replace", data={"a": "2"})
    put("Secret", "apply", stringData={"password": "hushed", "pin": "1234"})
    label = {"changes": {"a": "b"}}
    sim.ask("namespace", "one", "label", label, namespace="")
    service = await serving(sim)
    moments = {"before": {"position": before}, "after": {"time": sim.now}}
    found = await ask(service, "diff", {**moments, "namespace": "default"})
    told = {
        (each["kind"], field["path"]): (field.get("before"), field.get("after"))
        for each in found["changes"]
        for field in each["fields"]
        if "last-applied" not in field["path"]
    }
    assert told == {
        ("configmap", "data.a"): ("1", "2"),
        ("secret", "data.password"): ("4 bytes", "6 bytes"),
        ("secret", "data.pin"): (None, "4 bytes"),
        ("namespace", "metadata.labels.a"): (None, "b"),
    }
    assert "hush" not in str(found)
    one = {**moments, "kind": "namespace", "name": "one"}
    (only,) = (await ask(service, "diff", one))["changes"]
    assert (only["kind"], only["name"]) == ("namespace", "one")
    service.past.close()
