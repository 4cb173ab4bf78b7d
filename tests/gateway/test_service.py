"""Questions and answers: selectors, pages, history, and every bad question."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from adapters.eventlog import Row
from adapters.memory_log import MemoryLog
from domain import errors, queries
from gateway import listing
from gateway import service as service_module
from gateway.reader import Reader
from gateway.service import Service
from tests.gateway.support import (
    WAIT_SECONDS,
    Written,
    ask,
    service_of,
    two_namespaces,
)
from tests.support.cluster import SimCluster, manifest


async def get(service: Service, **asked: object) -> queries.GetAnswer:
    """One page."""
    data = await service.answer("get", msgspec.json.encode(asked))
    return msgspec.json.decode(data, type=queries.GetAnswer)


async def every_page(service: Service, **asked: object) -> list[queries.GetAnswer]:
    """All pages of a list."""
    pages = [await get(service, **asked)]
    while pages[-1].continue_:
        pages.append(await get(service, **{**asked, "continue": pages[-1].continue_}))
        assert len(pages) < 1000, "pages that never end"
    assert all(page.error is None for page in pages), pages[-1].error
    return pages


def names_of(pages: Sequence[queries.GetAnswer]) -> list[str]:
    """`namespace/name` of every row, in order."""
    return [f"{row.namespace}/{row.name}" for page in pages for row in page.rows]


# --- lists ------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_rows_come_in_order_of_namespace_and_name() -> None:
    """Spec 6.2: server order; no namespace is all of them."""
    service = await service_of(two_namespaces())
    everywhere = await every_page(service, kind="deployment")
    assert names_of(everywhere) == ["default/a", "default/b", "other/a"]
    one = await every_page(service, kind="deployment", namespace="default")
    assert names_of(one) == ["default/a", "default/b"]
    assert names_of(await every_page(service, kind="pod", namespace="empty")) == []


SELECTED: tuple[tuple[str, str, str, list[str]], ...] = (
    ("deployment", "", "metadata.name=a", ["default/a", "other/a"]),
    ("deployment", "", "metadata.name!=a", ["default/b"]),
    ("deployment", "", "metadata.name==a,metadata.namespace=other", ["other/a"]),
    ("node", "kubernetes.io/hostname in (worker-1)", "", ["/worker-1"]),
    ("node", "", "metadata.name!=worker-1", ["/worker-2"]),
    ("replicaset", "app=nobody", "", []),
)


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "selector", "fields", "found"), SELECTED)
async def test_selectors_pick_objects(
    kind: str, selector: str, fields: str, found: list[str]
) -> None:
    """Labels and fields, both of which must hold."""
    service = await service_of(two_namespaces())
    pages = await every_page(
        service, kind=kind, selector=selector, fieldSelector=fields, format="name"
    )
    assert names_of(pages) == found


@pytest.mark.asyncio
async def test_pods_are_selected_by_labels_node_and_phase() -> None:
    """The labels of a pod are those of its template, unless it has its own."""
    sim = two_namespaces()
    moved = next(p for p in sim.cluster.actual.pods.values() if "/a-" in p.key)
    sim.ask(
        "pod",
        moved.name,
        "label",
        {"changes": {"app": "b"}, "overwrite": True},
        namespace=moved.namespace,
    )
    service = await service_of(sim)
    pods = sim.cluster.actual.pods.values()
    for node in ("worker-1", "worker-2"):
        asked = f"spec.nodeName={node},status.phase=Running"
        pages = await every_page(service, kind="pod", fieldSelector=asked)
        assert set(names_of(pages)) == {
            f"{held.namespace}/{held.name}"
            for held in pods
            if held.node == node and held.phase == "Running"
        }
    labelled = names_of(await every_page(service, kind="pod", selector="app=b"))
    assert f"{moved.namespace}/{moved.name}" in labelled
    assert len(labelled) == 4


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 7])
@pytest.mark.parametrize("form", ["table", "object", "name"])
async def test_pages_hold_everything_once(limit: int, form: str) -> None:
    """A page says how to go on exactly if there is more behind it."""
    service = await service_of(two_namespaces())
    whole = names_of(await every_page(service, kind="pod"))
    pages = await every_page(service, kind="pod", limit=limit, format=form)
    assert len(whole) == 6
    assert len(pages) == -(-6 // limit)
    if form == "object":
        items = [msgspec.json.decode(each) for page in pages for each in page.items]
        found = [f"{x['metadata']['namespace']}/{x['metadata']['name']}" for x in items]
        assert found == whole
    else:
        assert names_of(pages) == whole
        assert all(bool(page.columns) == (form == "table") for page in pages)


@pytest.mark.asyncio
async def test_nodes_and_events_come_in_pages_too() -> None:
    """Objects without a namespace, and lines of one object, go on where they ended."""
    service = await service_of(two_namespaces())
    nodes = await every_page(service, kind="node", limit=1)
    assert names_of(nodes) == ["/worker-1", "/worker-2"]
    whole = names_of(await every_page(service, kind="event"))
    assert names_of(await every_page(service, kind="event", limit=3)) == whole
    assert len(set(whole)) == len(whole) > 15
    namespace, _, name = whole[5].partition("/")
    (page,) = await every_page(service, kind="event", name=name, namespace=namespace)
    assert names_of([page]) == [whole[5]]


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["table", "object"])
async def test_no_answer_is_larger_than_a_message_may_be(form: str) -> None:
    """Rule 3: what finds no room comes with the next page."""
    sim = two_namespaces()
    service = Service(await Written(sim).folded(), answer_bytes=2_500)
    asked = {"kind": "event" if form == "table" else "pod", "format": form}
    pages = await every_page(service, **asked)
    assert len(pages) > 1
    data = await service.answer("get", msgspec.json.encode(asked))
    assert len(data) <= 2_500 + 1_000  # the headers and the envelope
    roomy = await every_page(await service_of(sim), **asked)
    assert len(roomy) == 1
    assert sum(len(p.rows) + len(p.items) for p in pages) == len(roomy[0].rows) + len(
        roomy[0].items
    )


@pytest.mark.asyncio
async def test_one_object_that_no_message_can_carry_is_refused_with_advice() -> None:
    """A page must make progress: an object that is too large is an error, no loop."""
    service = Service(await Written(two_namespaces()).folded(), answer_bytes=100)
    found = await get(service, kind="pod", format="object")
    assert found.error is not None
    assert (found.error.reason, found.error.code) == ("RequestEntityTooLarge", 413)


@pytest.mark.asyncio
async def test_one_object_by_name() -> None:
    """The object, or Kubernetes' NotFound; a namespace is needed where there is one."""
    service = await service_of(two_namespaces())
    one = await get(service, kind="deployment", namespace="other", name="a")
    assert names_of([one]) == ["other/a"]
    gone = await get(service, kind="deployment", namespace="other", name="b")
    assert gone.error == queries.QueryError(
        reason="NotFound", message='deployments.apps "b" not found', code=404
    )
    anywhere = await get(service, kind="pod", name="x")
    assert anywhere.error is not None
    assert anywhere.error.reason == "BadRequest"


# --- waiting and status -----------------------------------------------------------


@pytest.mark.asyncio
async def test_an_answer_speaks_for_the_position_that_was_waited_for() -> None:
    """Rule 1 of queries: read your own writes; what does not come is a timeout."""
    sim = two_namespaces()
    written = Written(sim)
    reader = await written.folded()
    service = Service(reader, wait_seconds=WAIT_SECONDS)
    follower = asyncio.create_task(reader.follow(poll_seconds=0.01))
    answer = sim.ask("deployment", "b", "scale", {"replicas": 7})
    asking = asyncio.create_task(
        get(service, kind="deployment", waitFor=answer.position)
    )
    await asyncio.sleep(0)
    written.append(sim)
    found = await asking
    assert found.position >= answer.position
    assert [row.cells[1] for row in found.rows] == ["2", "7", "1"]
    follower.cancel()
    impatient = Service(reader, wait_seconds=0.01)
    late = await get(impatient, kind="pod", waitFor=10**9)
    assert late.error is not None
    assert (late.error.reason, late.error.code) == ("Timeout", 504)


@pytest.mark.asyncio
async def test_status_says_how_far_this_reader_is() -> None:
    """Position, what was set aside, and how many objects there are; no body needed."""
    sim = two_namespaces()
    sim.nodes["worker-2"].die()
    sim.run_for(70)
    written = Written(sim)
    end = len(sim.log)
    written.add([Row(end + 1, "pod/default/x", 1, "unknown.v1", b"{}")])
    service = Service(await written.folded(), now=lambda: 42.0)
    data = await service.answer("status", b"")
    found = msgspec.json.decode(data, type=queries.StatusAnswer)
    assert (found.position, found.committed) == (end + 1, end + 1)
    assert (found.unreadable, found.started_at) == (1, 42.0)
    events = found.counts.pop("event")
    assert found.counts == {"deployment": 3, "replicaset": 3, "pod": 6, "node": 2}
    assert events > 20
    assert found.nodes_ready == 1
    assert found.control_heard_at == 0.0


# --- history and commands ---------------------------------------------------------


@pytest.mark.asyncio
async def test_the_history_has_every_revision_and_whose_it_was() -> None:
    """S10: nothing goes with its ReplicaSet: who, why, from where, how it ended."""
    sim = SimCluster(nodes=1)
    body = {"manifest": manifest(replicas=1, revisionHistoryLimit=0)}
    sim.ask("deployment", "web", "create", body, cause="the first")
    sim.settle()
    for image in ("app:2", "app:3"):
        sim.ask("deployment", "web", "set-image", {"images": {"main": image}})
        sim.settle()
    service = await service_of(sim)
    found = await ask(service, "history", {"namespace": "default", "name": "web"})
    rows = found["revisions"]
    assert isinstance(rows, list)
    assert [
        [r.get(k) for k in ("revision", "cause", "who", "from", "result", "present")]
        for r in rows
    ] == [
        [1, "the first", "admin", "create", "complete", False],
        [2, "image main=app:1 → app:2", "admin", "revision 1", "complete", False],
        [3, "image main=app:2 → app:3", "admin", "revision 2", "complete", True],
    ]
    assert ["app:1" in rows[0]["template"], "app:3" in rows[2]["template"]] == [
        True
    ] * 2
    assert rows[0]["position"] < rows[1]["position"] <= len(sim.log)
    missing = await ask(service, "history", {"namespace": "default", "name": "x"})
    assert missing["error"] == {
        "reason": "NotFound",
        "message": 'deployments.apps "x" not found',
        "code": 404,
    }


@pytest.mark.asyncio
async def test_what_became_of_a_command() -> None:
    """L2: the answer that was given, or none while nothing was decided."""
    sim = two_namespaces()
    given = sim.ask("deployment", "nothere", "scale", {"replicas": 1}, id_="mine")
    service = await service_of(sim)
    found = await ask(service, "command", {"id": "mine"})
    answer = found["answer"]
    assert isinstance(answer, dict)
    assert answer["reason"] == given.reason == "NotFound"
    assert "answer" not in await ask(service, "command", {"id": "never"})


# --- bad questions ----------------------------------------------------------------

BAD = (
    ("get", b"", "kind"),
    ("get", b"\xff\xfe", "JSON"),
    ("get", b"[]", "array"),
    ("get", b'{"kind": "potato"}', "potato"),
    ("get", b'{"kind": "pod", "limit": "many"}', "limit"),
    ("get", b'{"kind": "pod", "limit": -1}', "limit"),
    ("get", b'{"kind": "pod", "waitFor": 1.5}', "waitFor"),
    ("get", b'{"kind": "pod", "selector": "(("}', "(("),
    ("get", b'{"kind": "pod", "fieldSelector": "spec.hat=red"}', "spec.hat"),
    ("get", b'{"kind": "pod", "fieldSelector": "nothing"}', "nothing"),
    ("get", b'{"kind": "pod", "continue": "nonsense"}', "nonsense"),
    ("describe", b'{"kind": "event", "name": "x"}', "kind"),
    ("history", b'{"namespace": "default"}', "name"),
    ("command", b"{}", "id"),
    ("log", b'{"after": -1}', "after"),
    ("log", b'{"types": ["PodExploded"]}', "PodExploded"),
    ("status", b"nonsense", "JSON"),
)


@pytest.mark.asyncio
@pytest.mark.parametrize(("verb", "data", "named"), BAD)
async def test_a_bad_question_is_told_what_is_wrong(
    verb: str, data: bytes, named: str
) -> None:
    """Bad input: a clear answer that names it, a count, and the service goes on."""
    service = await service_of(two_namespaces())
    found = msgspec.json.decode(await service.answer(verb, data))
    assert set(found) == {"error"}
    assert (found["error"]["reason"], found["error"]["code"]) == ("BadRequest", 400)
    assert named in found["error"]["message"]
    assert service.counters["refused.BadRequest"] == 1
    assert service.counters[f"asked.{verb}"] == 1
    assert (await get(service, kind="node")).error is None


class Away(MemoryLog):
    """A store that does not answer for streams."""

    def read_stream(self, *_args: object, **_options: object) -> list[Row]:
        """Never."""
        raise errors.Transient("the server is being restarted")


@pytest.mark.asyncio
async def test_a_store_that_is_away_is_said_to_be_so() -> None:
    """What is folded is answered; what needs the store says 503, to be asked again."""
    written = Written(two_namespaces())
    reader = Reader(Away(written.store, read_only=True))
    await reader.catch_up()
    service = Service(reader)
    found = await ask(service, "command", {"id": "unknown"})
    error = found["error"]
    assert isinstance(error, dict)
    assert (error["reason"], error["code"]) == ("ServiceUnavailable", 503)
    assert (await get(service, kind="node")).error is None


@pytest.mark.asyncio
async def test_a_text_that_no_message_can_carry_is_refused() -> None:
    """Rule 3 for what has no pages: an error that says so, not a broken connection."""
    service = Service(await Written(two_namespaces()).folded(), answer_bytes=-3_500)
    found = await ask(service, "describe", {"kind": "node", "name": "worker-1"})
    error = found["error"]
    assert isinstance(error, dict)
    assert (error["reason"], error["code"]) == ("RequestEntityTooLarge", 413)


@pytest.mark.asyncio
async def test_too_many_questions_at_once_are_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that wait are bounded: one more is told to ask again, at once."""
    monkeypatch.setattr(service_module, "CONCURRENT_MAX", 2)
    service = Service(await Written(two_namespaces()).folded(), wait_seconds=3_600)
    waiting = [
        asyncio.create_task(get(service, kind="pod", waitFor=10**9)) for _ in range(2)
    ]
    await asyncio.sleep(0)
    refused = await get(service, kind="pod")
    assert refused.error is not None
    assert (refused.error.reason, refused.error.code) == ("TooManyRequests", 429)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (await get(service, kind="pod")).error is None


@pytest.mark.asyncio
async def test_a_mistake_of_ours_costs_one_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception is an answer with InternalError and an alarm."""
    service = await service_of(two_namespaces())

    def broken(*_: object) -> queries.GetAnswer:
        raise KeyError("template 7")

    with monkeypatch.context() as patched:
        patched.setattr(listing, "answer", broken)
        found = await get(service, kind="pod")
    assert found.error is not None
    assert (found.error.reason, found.error.code) == ("InternalError", 500)
    assert "template 7" in caplog.text
    assert (await get(service, kind="pod")).error is None
