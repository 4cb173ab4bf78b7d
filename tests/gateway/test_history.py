"""History as it is asked for: pages, single revisions, tags, and what came of each."""

from typing import Any

import msgspec
import pytest

from domain import queries
from gateway.service import Service
from tests.gateway.support import Written, service_of
from tests.support.cluster import SimCluster, manifest

KEY = {"namespace": "default", "name": "web"}


async def page(service: Service, **asked: object) -> queries.HistoryAnswer:
    """One answer, as it comes over the wire."""
    data = await service.answer("history", msgspec.json.encode({**KEY, **asked}))
    return msgspec.json.decode(data, type=queries.HistoryAnswer)


async def pages(service: Service, **asked: object) -> list[queries.HistoryAnswer]:
    """All pages of a history."""
    found = [await page(service, **asked)]
    while found[-1].continue_:
        found.append(await page(service, **asked, **{"continue": found[-1].continue_}))
        assert len(found) < 1000, "pages that never end"
    return found


def numbers(answers: list[queries.HistoryAnswer]) -> list[int]:
    """The revisions of all pages, in their order."""
    return [row.revision for answer in answers for row in answer.revisions]


def many(count: int, **spec: Any) -> SimCluster:
    """A Deployment that was given `count` images, one after the other."""
    sim = SimCluster(nodes=1)
    body = {"manifest": manifest(replicas=1, **spec)}
    sim.ask("deployment", "web", "create", body)
    sim.settle()
    for number in range(2, count + 1):
        set_image(sim, f"app:{number}")
        sim.settle()
    return sim


def set_image(sim: SimCluster, image: str) -> None:
    """Ask for another image, and no more."""
    sim.ask("deployment", "web", "set-image", {"images": {"main": image}})


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 0])
@pytest.mark.parametrize("present", [False, True])
async def test_pages_hold_every_revision_once_and_in_order(
    limit: int, present: bool
) -> None:
    """Whatever the size of a page; `present` are those whose ReplicaSet is there."""
    sim = many(7, revisionHistoryLimit=3)
    sim.ask("deployment", "web", "undo", {"toRevision": 5})
    sim.settle()
    service = await service_of(sim)
    found = await pages(service, limit=limit, present=present)
    assert numbers(found) == ([4, 5, 6, 7, 8] if present else [*range(1, 9)])
    assert {(each.current, each.total) for each in found} == {(8, 8)}
    assert all(len(each.revisions) <= (limit or 1000) for each in found)


@pytest.mark.asyncio
async def test_a_page_ends_where_a_message_would_be_too_large() -> None:
    """Nothing is left out: what has no room is on the next page."""
    sim = many(9)
    service = Service(await Written(sim).folded(), answer_bytes=2_500)
    found = await pages(service)
    assert numbers(found) == [*range(1, 10)]
    assert len(found) > 2
    assert all(row.template for each in found for row in each.revisions)


@pytest.mark.asyncio
async def test_a_template_that_no_message_can_carry_costs_its_text_only() -> None:
    """The row itself, who and why, always fits."""
    service = Service(await Written(many(2)).folded(), answer_bytes=600)
    found = await pages(service)
    assert numbers(found) == [1, 2]
    assert not any(row.template for each in found for row in each.revisions)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("which", "before", "wanted"),
    [
        ([2], False, [2]),
        (["2"], True, [1, 2]),
        ([1], True, [1]),
        (["good"], False, [3]),
        (["good", 1], False, [1, 3]),
        ([0], True, [3, 4]),
        ([42, "nobody", -1], True, []),
    ],
)
async def test_single_revisions_by_number_or_tag(
    which: list[object], before: bool, wanted: list[int]
) -> None:
    """Those that there are, oldest first; 0 is the current one."""
    sim = many(4)
    sim.ask("deployment", "web", "tag", {"tag": "good", "revision": 3})
    service = await service_of(sim)
    found = await page(service, revisions=which, before=before)
    assert numbers([found]) == wanted
    tags = {row.revision: row.tags for row in found.revisions if row.tags}
    assert tags == ({3: ("good",)} if 3 in wanted else {})


@pytest.mark.asyncio
async def test_rows_without_templates_say_the_rest() -> None:
    """A table needs no templates, and is not made to wait for them."""
    service = await service_of(many(2))
    plain = await page(service, templates=False)
    full = await page(service)
    assert [row.template for row in plain.revisions] == ["", ""]
    assert all("Containers:" in row.template for row in full.revisions)
    images = [
        msgspec.json.decode(row.pod_template)["spec"]["containers"][0]["image"]
        for row in full.revisions
    ]
    assert images == ["app:1", "app:2"]
    assert plain.revisions == tuple(
        msgspec.structs.replace(row, template="", pod_template=queries.NOTHING)
        for row in full.revisions
    )


@pytest.mark.asyncio
async def test_what_came_of_each_revision_and_how_long_it_took() -> None:
    """Complete, superseded, rolled back, stalled, paused and in progress, with TOOK
    from the request to that moment."""
    sim = many(1, progressDeadlineSeconds=60)
    set_image(sim, "app:2")  # 2: superseded before anything is ready
    sim.jump(7.0)
    set_image(sim, "app:3")  # 3: rolled back while it is in progress
    sim.jump(3.0)
    sim.ask("deployment", "web", "undo", {"toRevision": 1})
    sim.settle()
    sim.broken.add("app:bad")
    set_image(sim, "app:bad")  # 5: stalled
    sim.run_for(90.0)

    async def seen() -> list[tuple[int, str, float | None]]:
        found = await page(await service_of(sim), templates=False)
        return [
            (row.revision, row.result, row.took and float(int(row.took)))
            for row in found.revisions
        ]

    until_stalled = [
        (1, "complete", 0.0),
        (2, "superseded", 7.0),
        (3, "rolled back", 3.0),
        (4, "complete", 0.0),
    ]
    found = await seen()
    assert found[:4] == until_stalled
    assert found[4][:2] == (5, "stalled")
    assert found[4][2] is not None
    assert found[4][2] >= 60.0
    set_image(sim, "app:6")
    assert (await seen())[5] == (6, "in progress", None)
    sim.ask("deployment", "web", "pause")
    assert (await seen())[5] == (6, "paused", None)
    sim.ask("deployment", "web", "resume")
    sim.settle()
    complete = (await seen())[5]
    assert complete[:2] == (6, "complete")
    sim.ask("deployment", "web", "pause")
    sim.jump(1000.0)
    sim.ask("deployment", "web", "resume")
    sim.settle()
    assert (await seen())[5] == complete, "a pause afterwards is not part of it"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"limit": -1}, "limit: -1 is negative"),
        ({"continue": "x"}, 'continue: "x" is not from an answer'),
        ({"revisions": [1] * 101}, "revisions: 101 are more than 100 at once"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(
    asked: dict[str, object], text: str
) -> None:
    """A refusal that names the field, and nothing else."""
    found = await page(await service_of(many(1)), **asked)
    assert found.error is not None
    assert (found.error.reason, found.error.message) == ("BadRequest", text)
