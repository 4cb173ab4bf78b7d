"""The reader: whole steps, nothing blocked, whoever waits is told."""

import asyncio
import logging
from collections.abc import Sequence

import msgspec
import pytest

from adapters.eventlog import Row
from adapters.memory_log import MemoryLog
from domain import errors, protocol
from gateway.reader import Reader
from projections import status
from projections.cluster import Cluster
from tests.gateway.support import WAIT_SECONDS, Written
from tests.support.cluster import SimCluster, manifest


def rolled_out(replicas: int = 3) -> SimCluster:
    """A Deployment that has been updated once."""
    sim = SimCluster()
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=replicas)})
    sim.settle()
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.settle()
    return sim


def seen(cluster: Cluster) -> object:
    """What decisions and answers are made from, as something that can be compared."""
    return msgspec.to_builtins(
        [
            cluster.position,
            cluster.desired.deployments,
            cluster.desired.replicasets,
            cluster.actual.pods,
            [use.node for use in cluster.actual.node_list],
            {key: held.conditions for key, held in cluster.rollouts.by_key.items()},
            {key: held.revisions for key, held in cluster.rollouts.by_key.items()},
        ]
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("page_rows", [1, 2, 7, 1000])
async def test_a_reader_sees_what_the_writer_knows(page_rows: int) -> None:
    """S4: folding the committed log gives the writer's state, whatever the pages."""
    sim = rolled_out()
    reader = await Written(sim).folded(page_rows=page_rows)
    assert reader.position == reader.committed == len(sim.log)
    assert reader.unreadable_count == 0
    assert seen(reader.cluster) == seen(sim.cluster)


@pytest.mark.asyncio
async def test_a_page_that_ends_inside_a_step_is_not_shown_as_it_is() -> None:
    """S2: whoever looks while a long log is folded sees ends of steps only."""
    sim = rolled_out()
    ends = {0, *(done.position for done in sim.steps)}
    reader = Written(sim).reader(page_rows=2)
    positions: set[int] = set()
    folding = asyncio.create_task(reader.catch_up())
    while not folding.done():
        positions.add(reader.position)
        await asyncio.sleep(0)
    await folding
    assert len(positions) > 3, "the fold let others look"
    assert positions <= ends


@pytest.mark.asyncio
async def test_an_event_that_nobody_can_read_blocks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """L5: it is set aside with its reason and an alarm; all others are folded."""
    sim = rolled_out()
    spoilt = next(row for row in sim.log if row.stream == "node/worker-1")
    written = Written()
    unknown = "pod.teleported.v9"
    written.add(
        row._replace(state=b'{"at": 1') if row == spoilt else row for row in sim.log
    )
    last = len(sim.log)
    written.add([Row(last + 1, "pod/default/x", 1, unknown, b"{}")])
    sim.ask("deployment", "web", "scale", {"replicas": 4})
    written.add(row._replace(position=row.position + 1) for row in sim.log[last:])
    with caplog.at_level(logging.ERROR, logger="gateway.reader"):
        reader = await written.folded(page_rows=5)
    assert reader.position == len(sim.log) + 1
    aside = [(item.position, item.topic) for item in reader.unreadable]
    assert (spoilt.position, spoilt.topic) in aside
    assert (last + 1, unknown) in aside
    assert "newer version" in next(
        item.why for item in reader.unreadable if item.topic == unknown
    )
    assert reader.unreadable_count == len(aside)
    assert str(spoilt.position) in caplog.text
    (owner,) = reader.cluster.desired.deployments.values()
    assert owner.replicas == 4
    assert {"worker-2", "worker-3"} <= set(reader.cluster.actual.nodes)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "lost",
    [
        "replicaset.created.v1",
        "pod.created.v1",
        "pod.scheduled.v1",
        "node.registered.v1",
    ],
)
async def test_what_builds_on_an_unreadable_event_blocks_nothing_either(
    lost: str,
) -> None:
    """L5: later events whose object is not known are set aside or shown as gaps; the
    reader comes to the end, and another Deployment is complete."""
    sim = rolled_out()
    written = Written()
    written.add(
        row._replace(state=b"?") if row.topic == lost else row for row in sim.log
    )
    last = len(sim.log)
    sim.ask("deployment", "db", "create", {"manifest": manifest("db", replicas=2)})
    sim.settle()
    written.add(sim.log[last:])
    reader = await written.folded(page_rows=50)
    assert reader.position == len(sim.log)
    assert reader.unreadable_count >= sum(row.topic == lost for row in sim.log[:last])
    owner = reader.cluster.desired.deployments["deployment/default/db"]
    counts = status.deployment_status(
        reader.cluster.desired, reader.cluster.actual, owner
    )
    assert counts.available == 2


@pytest.mark.asyncio
async def test_whoever_waits_for_a_position_goes_on_when_it_is_folded() -> None:
    """Read your own writes: a wait ends with the fold, or with its time."""
    sim = rolled_out()
    written = Written(sim)
    reader = written.reader()
    follower = asyncio.create_task(reader.follow(poll_seconds=WAIT_SECONDS))
    end = len(sim.log)
    assert await reader.wait_for(end, WAIT_SECONDS)
    assert not await reader.wait_for(end + 1, 0.01)
    waits = [
        asyncio.create_task(reader.wait_for(end + 1, WAIT_SECONDS)) for _ in range(3)
    ]
    await asyncio.sleep(0)
    sim.ask("deployment", "web", "scale", {"replicas": 1})
    written.append(sim)
    reader.wake()
    assert await asyncio.gather(*waits) == [True] * 3
    assert reader.position == len(sim.log)
    follower.cancel()


@pytest.mark.asyncio
async def test_a_reader_that_nobody_wakes_looks_by_itself() -> None:
    """Rule 4: a lost wake-up costs a poll, nothing else."""
    sim = rolled_out()
    written = Written(sim)
    reader = written.reader()
    follower = asyncio.create_task(reader.follow(poll_seconds=0.01))
    assert await reader.wait_for(len(sim.log), WAIT_SECONDS)
    sim.ask("deployment", "web", "scale", {"replicas": 1})
    written.append(sim)
    async with asyncio.timeout(WAIT_SECONDS):
        while reader.position < len(sim.log):  # noqa: ASYNC110  # that is the point
            await asyncio.sleep(0.01)
    follower.cancel()


class Unsteady(MemoryLog):
    """A store that does not answer a few times."""

    failures = 3

    def read(self, after: int, limit: int) -> list[Row]:
        """The rows, once it answers again."""
        if self.failures:
            self.failures -= 1
            raise errors.Transient("the server is being restarted", delay=0.001)
        return super().read(after, limit)


@pytest.mark.asyncio
async def test_a_store_that_is_away_is_asked_again() -> None:
    """A reader survives a store that does not answer for a while."""
    sim = rolled_out()
    written = Written(sim)
    log = Unsteady(written.store, read_only=True)
    reader = Reader(log)
    follower = asyncio.create_task(reader.follow())
    assert await reader.wait_for(len(sim.log), WAIT_SECONDS)
    assert log.failures == 0
    assert seen(reader.cluster) == seen(sim.cluster)
    follower.cancel()


@pytest.mark.asyncio
async def test_a_log_that_has_gone_back_is_read_from_its_start() -> None:
    """Rule 5: nothing of the former log is left in the answers."""
    written = Written(rolled_out())
    reader = await written.folded()
    other = SimCluster(nodes=1)
    other.ask("deployment", "db", "create", {"manifest": manifest("db")})
    written.store.rows.clear()
    written.store.streams.clear()
    written.add(other.log)
    await reader.catch_up()
    assert reader.restarts == 1
    assert seen(reader.cluster) == seen(other.cluster)


def answers_of(sim: SimCluster) -> Sequence[protocol.Answer]:
    """All answers that were given."""
    return [*sim.store_answers.values()]


@pytest.mark.asyncio
async def test_an_answer_is_found_by_its_id_however_old_it_is() -> None:
    """L2: the newest are kept, the others read from their stream; refused ones too."""
    sim = rolled_out()
    sim.ask("deployment", "nothere", "scale", {"replicas": 1})
    reader = await Written(sim).folded(answers_kept=1)
    given = answers_of(sim)
    assert {each.result for each in given} >= {"accepted", "rejected"}
    for each in given:
        assert await reader.answer_to(each.id) == each
    assert await reader.answer_to("never-asked") is None
