"""Time travel: any state since the first position, as it was answered then."""

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from adapters.eventlog import Row
from adapters.memory_log import MemoryLog
from domain import queries, times
from domain.errors import Rejected
from domain.events import Recorded
from gateway import differences, past_folding
from gateway.past import Past
from gateway.past_families import Families
from gateway.past_folding import Folded, Part
from gateway.views import described, described_nodes, histories
from gateway.views.scene import Scene
from projections import snapshots
from tests.gateway.eventful import ask, eventful, folded, keys, scaled, scene, serving
from tests.gateway.support import Written, table
from tests.support.cluster import SimCluster


def shown(at: Scene, key: str, part: Part) -> object:
    """All that readers are shown of an object, as far as this part has to know it."""
    kind, _, rest = key.partition("/")
    namespace, _, name = rest.rpartition("/")
    source = differences._SOURCES[kind]
    held = source.find(at, namespace, name)
    if held is None:
        return None
    if part == "revisions":
        asked = queries.HistoryQuery(namespace=namespace, name=name)
        return histories.answer(at, held, asked, 1_000_000).revisions
    document = source.document(at, held)
    if part in ("counts", "status"):
        if kind == "deployment" and part == "counts":
            document = {}
        return source.cells(at, held), document
    describe: dict[str, Callable[[Scene, Any], str]] = {
        "deployment": described.of_deployment,
        "replicaset": described.of_replicaset,
        "pod": described.of_pod,
        "node": described_nodes.of_node,
    }
    return source.cells(at, held), document, describe[kind](at, held)


# --- one object and the whole cluster ---------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_an_objects_own_fold_shows_what_the_fold_of_everything_shows(seed: int) -> None:
    """Rule 1 of past_folding: all kinds, living and gone, at random positions, in the
    middle of steps too, and whatever is asked of them."""
    sim = eventful(seed)
    log = MemoryLog(Written(sim).store, read_only=True)
    last = log.last_position()
    families = Families()
    families.catch_up(log, last)
    dice = random.Random(seed)
    compared = 0
    for position in [*(dice.randrange(1, last + 1) for _ in range(12)), last]:
        everything = scene(folded(log, position), sim.now)
        for key in keys(sim.events):
            parts: list[Part] = ["counts", "all"]
            if key.startswith("deployment/"):
                parts.append("revisions")
            for part in parts:
                alone = past_folding.part(log, families, key, position, part)
                assert alone.cluster.position == position
                found = shown(scene(alone, sim.now), key, part)
                assert found == shown(everything, key, part), (position, key, part)
                compared += found is not None
    assert compared > 50, "the log has objects to compare"


def test_the_index_of_families_forgets_nobody_and_counts_nobody_twice() -> None:
    """Pods that were given away, or are gone, are still those of their former owner."""
    sim = eventful(3)
    log = MemoryLog(Written(sim).store, read_only=True)
    families = Families()
    for until in range(1, log.last_position() + 1, 37):
        families.catch_up(log, until)
    families.catch_up(log, log.last_position())
    for owner, pods in _members(sim.events).items():
        found = families.pods_of([owner], log.last_position(), living=False)
        assert sorted(found) == sorted(pods), owner


def _members(events: list[Recorded]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in events:
        owner = getattr(each.event, "owner", "")
        if each.stream.startswith("pod/") and owner:
            found.setdefault(owner, set()).add(each.stream)
    return found


# --- the whole cluster ------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_a_fold_goes_on_from_what_is_known_and_leaves_it_alone(seed: int) -> None:
    """From any earlier state, the end of a step or not, the same comes out, and the
    earlier state is what it was."""
    sim = eventful(seed)
    log = MemoryLog(Written(sim).store, read_only=True)
    last = log.last_position()
    dice = random.Random(seed)
    for _ in range(6):
        early, late = sorted(dice.randrange(1, last + 1) for _ in range(2))
        known = folded(log, early)
        went_on = past_folding.whole(log, late, known)
        assert digest(went_on) == digest(folded(log, late))
        assert digest(known) == digest(folded(log, early))


def test_a_fold_begins_at_the_nearest_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the snapshot the log before it is not needed, and the answer is the same."""
    monkeypatch.setattr(past_folding, "SNAPSHOT_WORTH", 10)
    sim = eventful(1)
    written = Written(sim)
    log = MemoryLog(written.store, read_only=True)
    last = log.last_position()
    cut = next(
        position
        for position in range(last // 2, last)
        if sim.events[position].timestamp != sim.events[position - 1].timestamp
    )
    plain = folded(log, last)
    early = folded(log, cut)
    data = snapshots.encode(early.cluster, early.happenings)
    written.writer.save_snapshot(snapshots.NAME, cut, snapshots.version(), data)
    asked: list[int] = []

    class Counting(MemoryLog):
        """Remembers where it was read."""

        def read(self, after: int, limit: int) -> list[Row]:
            if limit > 1:
                asked.append(after)
            return super().read(after, limit)

    counting = Counting(written.store, read_only=True)
    assert digest(past_folding.whole(counting, last)) == digest(plain)
    assert min(asked) >= cut


def digest(state: Folded) -> object:
    """All that there is in a state, as text."""
    made = snapshots.cut(state.cluster, state.happenings)
    return [msgspec.msgpack.encode(each) for each in made]


@pytest.mark.asyncio
async def test_identical_questions_share_one_fold() -> None:
    """Ten who ask for the same state at the same time are answered with one."""
    log = MemoryLog(Written(eventful(0)).store, read_only=True)
    past = Past(log)
    found = await asyncio.gather(*(past.whole(50) for _ in range(10)))
    assert all(each is found[0] for each in found)
    parts = await asyncio.gather(
        *(past.part("deployment/default/a", 40, "all") for _ in range(10))
    )
    assert all(each is parts[0] for each in parts)
    past.close()


@pytest.mark.asyncio
async def test_what_is_kept_has_a_bound() -> None:
    """Of the states that were asked for, the one asked for last is always kept."""
    log = MemoryLog(Written(eventful(0)).store, read_only=True)
    past = Past(log, memory=1)
    for position in range(10, 60, 10):
        await past.whole(position)
    assert list(past._wholes) == [50]
    past.close()


# --- moments ----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_time_is_the_last_step_at_or_before_it() -> None:
    """Exactly then, a microsecond before, and in the gap behind it."""
    sim = eventful(0)
    past = Past(MemoryLog(Written(sim).store, read_only=True))
    steps = sorted({each.timestamp for each in sim.events})
    for before, when in itertools.pairwise(steps):
        for time, expected in ((when, when), (times.grid(when - 1e-6), before)):
            at = await past.locate(queries.Moment(time=time), sim.now)
            last = max(e.position for e in sim.events if e.timestamp <= expected)
            assert (at.position, at.now) == (last, time)
    past.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (queries.Moment(position=0), "at.position: 0 is outside the log"),
        (queries.Moment(position=-3), "at.position: -3 is outside the log"),
        (queries.Moment(position=10**9), "at.position: 1000000000 is outside the log"),
        (queries.Moment(time=5.0), "at.time: 1970-01-01T00:00:05.000000Z is outside"),
        (queries.Moment(time=4e9), "at.time: 2096-10-02T07:06:40.000000Z is outside"),
        (queries.Moment(time=1e300), "at.time: 1e+300 seconds since the epoch is out"),
        (queries.Moment(time=-1e18), "at.time: -1e+18 seconds since the epoch is out"),
        (queries.Moment(), "at: give either a position or a time"),
        (queries.Moment(position=1, time=1.0), "at: give either a position or a time"),
    ],
)
async def test_a_moment_that_the_log_has_not_is_refused(
    moment: queries.Moment, words: str
) -> None:
    """The message names the field, what was given, and the first and last moments."""
    sim = SimCluster(nodes=1)
    past = Past(MemoryLog(Written(sim).store, read_only=True))
    with pytest.raises(Rejected) as refused:
        await past.locate(moment, sim.now)
    assert words in refused.value.message
    if "outside" in words:
        last = sim.events[-1]
        told = f"position {last.position} ({times.rfc3339(last.timestamp)})"
        assert told in refused.value.message
    past.close()


@pytest.mark.asyncio
async def test_an_empty_log_has_no_past() -> None:
    """Nothing has happened yet, and that is what is said."""
    past = Past(Written().writer)
    with pytest.raises(Rejected, match="nothing has happened yet"):
        await past.locate(queries.Moment(position=1), 0.0)
    past.close()


# --- the questions ----------------------------------------------------------------


@pytest.mark.asyncio
async def test_get_shows_the_state_of_then_with_the_ages_of_then() -> None:
    """A list and one object, by position and by time; `position` says of when."""
    sim, position, when = scaled()
    service = await serving(sim)
    for at in (queries.Moment(position=position), queries.Moment(time=when)):
        for name in ("", "web"):
            asked = queries.GetQuery(
                kind="deployment", namespace="default", name=name, at=at
            )
            _, rows = await table(service, asked)
            assert rows[0][:5] == ["web", "3", "3", "3", "3"]
            assert rows[0][5].endswith("s"), (
                "an age of then, not of a quarter of an hour later"
            )
            found = await ask(service, "get", asked)
            assert found["position"] == position
    now = queries.GetQuery(kind="deployment", namespace="default")
    assert (await table(service, now))[1][0][1] == "1"
    service.past.close()


@pytest.mark.asyncio
async def test_pages_describe_history_log_and_events_speak_of_then() -> None:
    """Every verb that reads takes `at`, and the wire says which position it means."""
    sim, position, _ = scaled()
    service = await serving(sim)
    at = {"position": position}
    web = {"namespace": "default", "name": "web", "at": at}
    page = await ask(
        service, "get", {"kind": "pod", "limit": 2, "format": "name", "at": at}
    )
    assert len(page["rows"]) == 2
    rest = {"kind": "pod", "format": "name", "continue": page["continue"], "at": at}
    assert len((await ask(service, "get", rest))["rows"]) == 1
    described_then = await ask(service, "describe", {"kind": "deployment", **web})
    assert "3 desired | 3 updated | 3 total | 3 available" in described_then["text"]
    assert "Scaled down" not in described_then["text"]
    history = await ask(service, "history", web)
    assert [row["revision"] for row in history["revisions"]] == [1]
    lines = await ask(service, "get", {"kind": "event", "format": "object", "at": at})
    assert not any("Scaled down" in each["message"] for each in lines["items"])
    log = await ask(service, "log", {"limit": 5_000, "at": at})
    assert [row["position"] for row in log["events"]] == [*range(1, position + 1)]
    service.past.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("verb", ["status", "command"])
async def test_a_question_about_now_refuses_at(verb: str) -> None:
    """It is not silently answered for another moment than the one asked for."""
    service = await serving(SimCluster(nodes=1))
    found = await ask(service, verb, {"id": "x", "at": {"position": 1}})
    assert found["error"]["reason"] == "BadRequest"
    assert found["error"]["message"].startswith("at: ")
    service.past.close()
