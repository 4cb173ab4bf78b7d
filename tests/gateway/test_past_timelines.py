"""The past from what was recorded: the same as from a fold of everything."""

import random

import pytest

from adapters.eventlog import EventLog
from adapters.memory_log import MemoryLog
from domain import queries
from gateway import past_folding, past_steps, past_timelines
from gateway.past import Past
from gateway.past_families import Families
from gateway.past_folding import Folded, Part
from gateway.past_timelines import Timelines
from gateway.reader import Reader
from projections import snapshots
from tests.gateway.eventful import ask, eventful, folded, keys, scaled, scene, serving
from tests.gateway.support import Written
from tests.gateway.test_past import shown
from tests.support.cluster import SimCluster

PARTS: tuple[Part, ...] = ("counts", "status", "described")


async def recorded(sim: SimCluster, bytes_max: int = 1 << 26) -> Reader:
    """A reader that has recorded all steps of the simulation, or the newest ones."""
    reader = Written(sim).reader(page_rows=50)
    reader.timelines = Timelines(bytes_max)
    await reader.catch_up()
    return reader


def ends(sim: SimCluster) -> set[int]:
    """The last position of each step."""
    return set({each.timestamp: each.position for each in sim.events}.values())


def owners(sim: SimCluster) -> list[str]:
    """All Deployments and ReplicaSets that ever were."""
    kinds = ("deployment/", "replicaset/")
    return [key for key in keys(sim.events) if key.startswith(kinds)]


def parts_of(key: str) -> list[Part]:
    """What can be recorded of the object."""
    return [p for p in PARTS if key.startswith("deployment/") or p != "described"]


def from_record(
    log: EventLog,
    families: Families,
    timelines: Timelines,
    key: str,
    position: int,
    *,
    told: bool = True,
) -> Folded | None:
    """The object from what was recorded, if that tells it."""
    step = past_steps.step_at(log, position)
    assert step is not None, "every event can be read"
    seen = timelines.seen(key, step.before)
    if seen is None:
        return None
    if step.rows:
        return past_steps.inside(log, families, key, step, seen, told=told)
    return past_folding.recorded(log, families, key, position, seen)


def differing(
    sim: SimCluster, reader: Reader, positions: list[int], *, left: bool = False
) -> list[str]:
    """The objects that are shown otherwise than after a fold of everything, or that
    were not recorded (unless some may be `left` to that fold); one for each position,
    object and part."""
    log = reader.log
    families = Families()
    families.catch_up(log, log.last_position())
    found = []
    for position in positions:
        everything = scene(past_folding.whole(log, position), sim.now)
        for key in owners(sim):
            for part in parts_of(key):
                told = part == "described"
                lines = reader.timelines
                mine = from_record(log, families, lines, key, position, told=told)
                if mine is None and left:
                    continue
                assert mine is None or left or not mine.cluster.actual.pods
                expected = shown(everything, key, part)
                if mine is None or expected != shown(scene(mine, sim.now), key, part):
                    found.append(f"{position} {key} {part}")
    return found


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(6))
async def test_what_was_recorded_shows_what_the_fold_of_everything_shows(
    seed: int,
) -> None:
    """Rule 5 of past: all Deployments and ReplicaSets, living and gone, at random ends
    of steps, without a single pod."""
    sim = eventful(seed)
    reader = await recorded(sim)
    dice = random.Random(seed)
    positions = dice.sample(sorted(ends(sim)), 25)
    assert differing(sim, reader, [*positions, max(ends(sim))]) == []
    kept = reader.timelines
    assert any(len(set(line.words)) > 1 for line in kept._conditions.values())
    assert sum(len(line.positions) for line in kept._counts.values()) > 5


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(6))
async def test_the_middle_of_a_step_is_told_from_the_step_alone(seed: int) -> None:
    """Rule 1 of past_steps.py: at random positions inside steps all that is not left to
    the fold of everything, which is little, is shown as that shows it."""
    sim = eventful(seed)
    reader = await recorded(sim)
    log = reader.log
    inner = sorted(set(range(1, log.last_position() + 1)) - ends(sim))
    positions = random.Random(seed).sample(inner, 25)
    assert differing(sim, reader, positions, left=True) == []
    families = Families()
    families.catch_up(log, log.last_position())
    told = [
        from_record(log, families, reader.timelines, key, position) is not None
        for position in positions
        for key in owners(sim)
    ]
    assert sum(told) > 0.6 * len(told)


@pytest.mark.asyncio
async def test_a_step_is_found_from_every_position_in_it() -> None:
    """Its rows begin behind the end of the step before, however many they are."""
    sim = eventful(1)
    log = (await recorded(sim)).log
    steps = sorted(ends(sim))
    for position in range(1, log.last_position() + 1):
        step = past_steps.step_at(log, position)
        assert step is not None
        if position in ends(sim):
            assert (step.before, step.rows) == (position, ())
        else:
            before = max((end for end in steps if end < position), default=0)
            assert step.before == before
            expected = range(before + 1, position + 1)
            assert [row.position for row in step.rows] == [*expected]


@pytest.mark.asyncio
async def test_a_wrong_entry_is_noticed() -> None:
    """The comparison above can fail: one count, and one time of one condition."""
    sim = eventful(0)
    reader = await recorded(sim)
    position = max(ends(sim))
    lines, desired = reader.timelines, reader.cluster.desired
    assert differing(sim, reader, [position]) == []
    key = next(iter(desired.replicasets))
    lines._counts[key].numbers[-5] += 1
    wrong = differing(sim, reader, [position])
    assert f"{position} {key} counts" in wrong
    lines._counts[key].numbers[-5] -= 1
    owner = next(
        each for each in desired.deployments if reader.cluster.rollouts.by_key[each]
    )
    lines._conditions[owner].times[-1] += 60.0
    assert f"{position} {owner} status" in differing(sim, reader, [position])


@pytest.mark.asyncio
async def test_what_is_recorded_has_a_bound_and_what_is_left_of_it_is_right() -> None:
    """Rule 3: the older half goes, several times, and is not answered for."""
    sim = eventful(0)
    whole = await recorded(sim)
    reader = await recorded(sim, bytes_max=whole.timelines.bytes // 4)
    lines = reader.timelines
    assert lines.bytes == lines._measured()
    assert whole.timelines.bytes == whole.timelines._measured()
    assert lines.bytes < whole.timelines.bytes
    assert 0 < lines.begin < max(ends(sim))
    left = [each for each in sorted(ends(sim)) if each >= lines.begin]
    assert differing(sim, reader, left[:20]) == []
    assert lines.seen("deployment/default/a", lines.begin - 1) is None


@pytest.mark.asyncio
async def test_what_is_covered_begins_with_the_snapshot_of_the_fold() -> None:
    """Objects that were there before are known from then on; before it, nothing is."""
    sim = eventful(4)
    written = Written(sim)
    log = MemoryLog(written.store, read_only=True)
    steps = sorted(ends(sim))
    cut = steps[len(steps) // 2]
    early = folded(log, cut)
    data = snapshots.encode(early.cluster, early.happenings)
    written.writer.save_snapshot(snapshots.NAME, cut, snapshots.version(), data)
    reader = await written.folded()
    assert reader.timelines.begin == cut
    assert reader.timelines.seen("deployment/default/a", cut - 1) is None
    assert differing(sim, reader, [each for each in steps if each >= cut][:20]) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(3))
async def test_a_snapshot_keeps_what_was_recorded_before_it(seed: int) -> None:
    """A reader that begins with a snapshot of another one answers for all that this one
    had seen, and goes on as it would have."""
    sim = eventful(seed)
    written = Written(sim)
    whole = await recorded(sim)
    steps = sorted(ends(sim))
    cut = steps[len(steps) // 2]
    first = written.reader(page_rows=50)
    await first._fold_up_to(cut)
    kept = first.timelines.kept()
    made = snapshots.cut(first.cluster, first.happenings, lines=kept)
    data = snapshots.whole(snapshots.frames(made))
    written.writer.save_snapshot(snapshots.NAME, cut, snapshots.version(), data)
    reader = await written.folded()
    assert first.timelines.begin == reader.timelines.begin == 0
    assert reader.timelines.bytes == reader.timelines._measured()
    assert reader.timelines.kept() == whole.timelines.kept()
    assert differing(sim, reader, random.Random(seed).sample(steps, 15)) == []


@pytest.mark.asyncio
async def test_too_much_is_not_kept_and_neither_is_what_is_not_certain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A snapshot without lines is a good one: what is covered begins with it."""
    lines = (await recorded(eventful(0))).timelines
    assert lines.kept() is not None
    monkeypatch.setattr(past_timelines, "KEPT_MAX", lines.bytes - 1)
    assert lines.kept() is None
    monkeypatch.undo()
    lines.stop()
    assert lines.kept() is None


@pytest.mark.asyncio
async def test_after_what_cannot_be_folded_nothing_more_is_covered() -> None:
    """Rule 4: what was covered before stays answered."""
    sim = eventful(0)
    steps = sorted(ends(sim))
    lines = (await recorded(sim)).timelines
    held = folded(MemoryLog(Written(sim).store, read_only=True), steps[-1]).cluster
    lines.stop()
    held.position += 1
    lines.step_ended(held)
    assert lines.seen("deployment/default/a", steps[-1]) is not None
    assert lines.seen("deployment/default/a", steps[-1] + 1) is None


@pytest.mark.asyncio
async def test_questions_are_answered_from_what_was_recorded() -> None:
    """get, its document and describe of a Deployment; inside a step, too."""
    sim, position, _ = scaled()
    service = await serving(sim)
    web = {"namespace": "default", "name": "web", "at": {"position": position}}
    for verb, more in (("get", {}), ("get", {"format": "object"}), ("describe", {})):
        before = service.past.recorded
        found = await ask(service, verb, {"kind": "deployment", **web, **more})
        assert service.past.recorded == before + 1, (verb, more)
        alone = Past(MemoryLog(Written(sim).store, read_only=True))
        service.past, used = alone, service.past
        assert await ask(service, verb, {"kind": "deployment", **web, **more}) == found
        assert alone.recorded == 0
        alone.close()
        service.past = used
    inside = next(
        each.position
        for each, following in zip(sim.events, sim.events[1:], strict=False)
        if each.timestamp == following.timestamp and each.position > position // 2
    )
    before = service.past.recorded
    asked = queries.GetQuery(
        kind="deployment",
        namespace="default",
        name="web",
        at=queries.Moment(position=inside),
    )
    await ask(service, "get", asked)
    assert service.past.recorded == before + 1, "from its step"
    service.past.close()
