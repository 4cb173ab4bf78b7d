"""`log`: the events as they stand in the store, in answers of bounded work."""

import msgspec
import pytest

from adapters.eventlog import Row
from domain import queries
from gateway import logreading
from gateway.service import Service
from tests.gateway.support import Written, ask, service_of, two_namespaces
from tests.support.cluster import SimCluster


async def log_rows(service: Service, **asked: object) -> list[queries.LogRow]:
    """All events that a question is about, over as many answers as it takes."""
    rows: list[queries.LogRow] = []
    after = 0
    while True:
        data = msgspec.json.encode({"after": after, **asked})
        found = msgspec.json.decode(
            await service.answer("log", data), type=queries.LogAnswer
        )
        assert found.error is None, found.error
        rows += found.events
        if found.last >= min(found.position, int(str(asked.get("until", 10**9)))):
            return rows
        assert found.last > after, "an answer must come further"
        after = found.last


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", [1, 3, 200])
@pytest.mark.parametrize(
    "stream", ["", "deployment/default/b", "pod/", "pod/default/", "node/worker-1"]
)
async def test_the_log_is_read_by_stream_and_by_prefix(stream: str, limit: int) -> None:
    """The events as they stand in the log, in order, however many answers it takes."""
    sim = two_namespaces()
    service = await service_of(sim)
    rows = await log_rows(service, stream=stream, limit=limit)
    wanted = [
        row
        for row in sim.log
        if row.stream == stream
        or (stream.endswith("/") and row.stream.startswith(stream))
        or not stream
    ]
    assert wanted
    assert [(r.position, r.stream, r.version) for r in rows] == [
        (w.position, w.stream, w.version) for w in wanted
    ]
    last = sim.events[rows[-1].position - 1]
    assert (rows[-1].type, rows[-1].actor, rows[-1].cause) == (
        type(last.event).__name__,
        last.actor,
        last.cause,
    )
    assert bytes(rows[-1].event) == msgspec.json.encode(last.event)


@pytest.mark.asyncio
async def test_the_log_is_read_between_two_positions_and_by_type() -> None:
    """`after` is not part of it, `until` is."""
    sim = two_namespaces()
    service = await service_of(sim)
    some = await log_rows(service, until=9, limit=2)
    assert [row.position for row in some] == [*range(1, 10)]
    typed = await log_rows(service, types=["PodCreated", "NodeRegistered"], limit=3)
    assert [row.position for row in typed] == [
        row.position
        for row in sim.log
        if row.topic in ("pod.created.v1", "node.registered.v1")
    ]
    one = await log_rows(
        service, stream="deployment/default/b", types=["RolloutCompleted"]
    )
    assert [row.type for row in one] == ["RolloutCompleted"]


@pytest.mark.asyncio
async def test_the_work_of_one_look_at_the_log_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rule 1: a question that finds nothing still comes to an answer that goes on."""
    monkeypatch.setattr(logreading, "ROWS_MAX", 10)
    monkeypatch.setattr(logreading, "PAGE_ROWS", 5)
    service = await service_of(two_namespaces())
    found = await ask(service, "log", {"stream": "pod/nowhere/"})
    assert (found["last"], found.get("events")) == (10, None)
    assert await log_rows(service, stream="pod/nowhere/") == []
    sparse = await log_rows(service, types=["RolloutCompleted"])
    assert len(sparse) == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("word", "alike"),
    [
        ("PodCreatd", "PodCreated"),
        ("podcreated", "PodCreated"),
        ("nothing", "AnalysisEnded"),
    ],
)
async def test_a_type_that_is_none_is_answered_with_those_like_it(
    word: str, alike: str
) -> None:
    """Whatever the case of its letters; where none is like it, with some of them."""
    service = await service_of(two_namespaces())
    asked = msgspec.json.encode({"types": [word]})
    data = await service.answer("log", asked)
    error = msgspec.json.decode(data, type=queries.LogAnswer).error
    assert error is not None
    assert error.message.startswith(
        f"types: {word} is not a type of event; they are named like {alike}"
    )


@pytest.mark.asyncio
async def test_the_log_shows_what_cannot_be_read_without_its_content() -> None:
    """An unknown topic is shown by its name; damage is shown as nothing."""
    written = Written(SimCluster(nodes=0))
    end = written.writer.last_position()
    unknown = b'{"at":"2026-01-01T00:00:00Z","actor":"x","event":{"a":1}}'
    written.add(
        [
            Row(end + 1, "pod/default/x", 1, "unknown.v1", unknown),
            Row(end + 2, "pod/default/x", 2, "pod.created.v1", b"\xff"),
        ]
    )
    service = Service(await written.folded())
    first, second = await log_rows(service, stream="pod/default/x")
    assert (first.type, bytes(first.event)) == ("unknown.v1", b'{"a":1}')
    assert (second.type, bytes(second.event)) == ("PodCreated", b"null")
