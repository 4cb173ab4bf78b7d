"""Watches: what a client that follows a log is promised."""

import asyncio
import random
from collections.abc import AsyncGenerator

import pytest

from gateway.kube.watchers import Watcher
from gateway.kube.watches import INITIAL_END
from tests.gateway.eventful import eventful
from tests.gateway.kube.watching import Api, Told, decoded, key, steps, taken, version
from tests.gateway.support import Written
from tests.support.cluster import SimCluster

KINDS = (
    "deployments",
    "replicasets",
    "pods",
    "nodes",
    "namespaces",
    "serviceaccounts",
    "configmaps",
    "events",
)
LOGS: dict[int, SimCluster] = {}


def log_of(seed: int) -> SimCluster:
    """An eventful log; made once."""
    if seed not in LOGS:
        LOGS[seed] = eventful(seed)
    return LOGS[seed]


async def followed(
    sim: SimCluster, plural: str, **params: str
) -> tuple[Api, Written, list[list[Told]]]:
    """A watch over the whole log, which grows a step at a time; its pieces."""
    written = Written()
    api = Api(written, sim.now)
    await api.fold()
    stream = await api.watch(plural, **params)
    pieces: list[list[Told]] = []
    watcher = asyncio.create_task(_collect(stream, pieces))
    for rows in steps(sim.log):
        written.add(rows)
        await api.reader.catch_up()
        for _ in range(3):
            await asyncio.sleep(0)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    return api, written, pieces


async def _collect(
    stream: AsyncGenerator[bytes, None], pieces: list[list[Told]]
) -> None:
    """Fetches until it is cancelled; what was fetched before counts."""
    while True:
        pieces.append(decoded(await anext(stream)))


@pytest.mark.asyncio
@pytest.mark.parametrize("plural", KINDS)
async def test_whoever_applies_the_events_of_a_watch_has_what_a_list_shows(
    plural: str,
) -> None:
    """Reliable and atomic: after each step a client's cache is the list, versions and
    all; each step comes in one piece, and versions never go back."""
    sim = log_of(1)
    written = Written()
    api = Api(written, sim.now)
    await api.fold()
    stream = await api.watch(plural)
    cache: dict[tuple[str, str], Told] = {}
    seen: set[tuple[int, tuple[str, str], str]] = set()
    last = 0
    for rows in steps(sim.log):
        written.add(rows)
        await api.reader.catch_up()
        shown = {key(each): each for each in (await api.list(plural))["items"]}
        while cache != shown:
            piece = decoded(await asyncio.wait_for(anext(stream), 60))
            for event in piece:
                found = event["object"]
                assert version(event) >= last
                last = version(event)
                once = (last, key(found), event["type"])
                assert once not in seen
                seen.add(once)
                if event["type"] == "DELETED":
                    del cache[key(found)]
                else:
                    assert (event["type"] == "ADDED") == (key(found) not in cache)
                    cache[key(found)] = found
            assert cache == shown, "a step comes in one piece"
    assert cache
    await stream.aclose()
    api.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("plural", KINDS)
@pytest.mark.parametrize("how", ["memory", "history"])
async def test_a_watch_can_be_taken_up_at_any_position(plural: str, how: str) -> None:
    """Resumable: from every position the rest of the events comes, the same ones,
    whether they are still in memory or are made from the log again."""
    sim = log_of(2)
    api, written, pieces = await followed(sim, plural)
    whole = [event for piece in pieces for event in piece]
    assert len(whole) > 3
    dice = random.Random(plural)
    positions = {0: 1, 1: sim.log[-1].position}
    chosen = [*positions.values(), *(dice.randint(1, len(sim.log)) for _ in range(12))]
    if how == "history":
        api.close()
        api = Api(written, sim.now)
        await api.fold()
    for position in chosen:
        stream = await api.watch(
            plural, resourceVersion=str(position), timeoutSeconds="0"
        )
        expected = [each for each in whole if version(each) > position]
        again = [each for each in whole if version(each) == position]
        found: list[Told] = []
        while len(found) < len(expected):
            found += decoded(await asyncio.wait_for(anext(stream), 60))
        assert found[-len(expected) :] == expected or not expected
        extra = found[: len(found) - len(expected)]
        assert not extra or (extra == again and len(again) > 1)
        await stream.aclose()
    api.close()


@pytest.mark.asyncio
async def test_an_object_that_enters_or_leaves_a_selection_is_added_or_deleted() -> (
    None
):
    """With a selector a client's cache is what a list with that selector shows, at
    each step: MODIFIED becomes ADDED or DELETED at its edges."""
    sim = log_of(3)
    for params in (
        {"labelSelector": "app=a"},
        {"labelSelector": "app!=a,pod-template-hash"},
        {"fieldSelector": "status.phase=Running"},
        {"fieldSelector": "spec.nodeName=node-1,status.phase!=Running"},
    ):
        written = Written()
        api = Api(written, sim.now)
        await api.fold()
        stream = await api.watch("pods", "default", **params)
        cache: dict[tuple[str, str], Told] = {}
        for rows in steps(sim.log):
            written.add(rows)
            await api.reader.catch_up()
            listed = (await api.list("pods", "default", **params))["items"]
            shown = {key(each): each for each in listed}
            while cache != shown:
                for event in decoded(await asyncio.wait_for(anext(stream), 60)):
                    found = event["object"]
                    if event["type"] == "DELETED":
                        del cache[key(found)]
                    else:
                        assert (event["type"] == "ADDED") == (key(found) not in cache)
                        cache[key(found)] = found
        await stream.aclose()
        api.close()


@pytest.mark.asyncio
async def test_what_is_there_comes_first_and_a_bookmark_says_that_it_was_all() -> None:
    """`sendInitialEvents` gives each object as ADDED, then a bookmark with the version
    of the list; a watch without a version does the same without the bookmark."""
    sim = log_of(2)
    api = Api(Written(sim), sim.now)
    await api.fold()
    listed = await api.list("pods")
    stream = await api.watch(
        "pods",
        sendInitialEvents="true",
        allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan",
        timeoutSeconds="1",
    )
    *added, mark, end = await taken(stream)
    assert [each["type"] for each in added] == ["ADDED"] * len(listed["items"])
    assert [each["object"] for each in added] == listed["items"]
    assert mark["type"] == end["type"] == "BOOKMARK"
    assert mark["object"]["kind"] == "Pod"
    assert mark["object"]["metadata"]["annotations"] == {INITIAL_END: "true"}
    assert version(mark) == int(listed["metadata"]["resourceVersion"])
    assert "annotations" not in end["object"]["metadata"]
    for params in ({}, {"resourceVersion": "0"}):
        plain = await taken(await api.watch("pods", timeoutSeconds="1", **params))
        assert plain == added
    api.close()


@pytest.mark.asyncio
async def test_only_the_first_event_of_a_watched_table_has_columns() -> None:
    """`kubectl get -w` is told each object as a table of one row."""
    sim = log_of(2)
    api = Api(Written(sim), sim.now)
    await api.fold()
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    events = await taken(await api.watch("nodes", "", accept, timeoutSeconds="1"))
    tables = [each["object"] for each in events]
    assert len(tables) == len((await api.list("nodes"))["items"])
    assert {each["kind"] for each in tables} == {"Table"}
    assert [bool(each["columnDefinitions"]) for each in tables] == [
        index == 0 for index in range(len(tables))
    ]
    assert all(len(each["rows"]) == 1 for each in tables)
    api.close()


def test_a_watcher_that_does_not_fetch_is_ended_and_keeps_nothing() -> None:
    """A backlog is bounded; its owner comes back with the last version it has seen."""
    watcher = Watcher(backlog=2)
    change = object()
    watcher.offer([change, change])  # type: ignore[list-item]  # it is not looked at
    assert [len(step) for step in watcher.take()] == [2]
    watcher.offer([change, change])  # type: ignore[list-item]  # it is not looked at
    watcher.offer([change])  # type: ignore[list-item]  # it is not looked at
    assert watcher.ended == "it cannot keep up"
    assert watcher.take() == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("plural", "kind", "name"),
    [
        ("serviceaccounts", "ServiceAccount", "default"),
        ("configmaps", "ConfigMap", "kube-root-ca.crt"),
    ],
)
async def test_what_every_namespace_has_comes_and_goes_with_it(
    plural: str, kind: str, name: str
) -> None:
    """ADDED and DELETED with the namespace, MODIFIED as its version is. A real object
    of that name takes the place of the derived one, which comes back behind it."""
    sim = SimCluster()
    own = kind.lower()
    space, real = _manifest("Namespace", "x"), _manifest(kind, name)
    for of, called, verb, body, inside in (
        ("namespace", "x", "create", space, ""),
        ("namespace", "x", "label", {"changes": {"a": "b"}}, ""),
        (own, name, "create", real, "x"),
        ("namespace", "x", "label", {"changes": {"c": "d"}}, ""),
        (own, name, "delete", {}, "x"),
        ("namespace", "x", "delete", {}, ""),
    ):
        answer = sim.ask(of, called, verb, body, namespace=inside)
        assert answer.result == "accepted", answer
        sim.settle()
    api, _, pieces = await followed(sim, plural)
    events = [each for piece in pieces for each in piece]
    firsts = [each for each in events if key(each["object"])[0] != "x"]
    assert [(e["type"], key(e["object"])[1]) for e in firsts] == [("ADDED", name)] * 4
    found = [each for each in events if key(each["object"])[0] == "x"]
    uids = [each["object"]["metadata"]["uid"] for each in found]
    derived, created = uids[0], uids[3]
    assert derived != created
    assert [(e["type"], u) for e, u in zip(found, uids, strict=True)][:6] == [
        ("ADDED", derived),
        ("MODIFIED", derived),
        ("DELETED", derived),
        ("ADDED", created),
        ("DELETED", created),
        ("ADDED", derived),
    ]
    assert (found[-1]["type"], uids[-1]) == ("DELETED", derived)
    versions = [version(each) for each in events]
    assert versions == sorted(versions)
    again = await taken(
        await api.watch(plural, resourceVersion="1", timeoutSeconds="1")
    )
    since = [each for each in again if key(each["object"])[0] == "x"]
    assert since == found
    api.close()


def _manifest(kind: str, name: str) -> Told:
    """The body of a command that creates an object with nothing in it."""
    wanted = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    return {"manifest": wanted}
