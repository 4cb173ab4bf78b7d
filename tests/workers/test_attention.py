"""Whether the writer could hear (workers/attention.py)."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from adapters import cancelling, nats_wire
from adapters.memory_log import MemoryLog, MemoryStore
from domain import catalogue, node, protocol
from domain.plans import node_health
from tests.kubelet.builders import NODE
from tests.support import nats
from workers import attention
from workers.control import Control, ControlSettings
from workers.settings import Settings

GRACE = 3.0


@pytest.mark.parametrize(
    ("grace", "passed", "lapsed"),
    [
        (2.0, 0.9, False),
        (2.0, 1.1, True),
        (50.0, 12.0, False),
        (50.0, 13.0, True),
    ],
)
def test_a_lapse_is_a_part_of_the_nodes_grace(
    grace: float, passed: float, lapsed: bool
) -> None:
    """A quarter of it, and never less than a second; it is told once."""
    now = 1000.0
    held = attention.Attention(lambda: now, grace)
    assert not held.lapsed()
    now += passed
    assert held.lapsed() is lapsed
    assert not held.lapsed()


@pytest.mark.asyncio
async def test_a_writer_that_stood_still_takes_no_node_for_lost(tmp_path: Path) -> None:
    """A machine was held for longer than a node may be silent. Its timers were due when
    it went on, before anything was heard: each time every node became unready, and the
    pods with them. Now the silence that nobody listened to does not count."""
    store = MemoryStore()
    async with nats.broker(tmp_path) as broker:
        control = Control(
            ControlSettings(
                nats_url=broker.server.url,
                user="control",
                secret=broker.server.credential("control").secret,
                store_url="",
                writer=Settings(
                    health=node_health.Config(monitor_grace=GRACE, startup_grace=GRACE)
                ),
            ),
            MemoryLog(store),
        )
        stop, ready = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(control.run(stop, ready.set))
        try:
            async with asyncio.timeout(nats.WAIT_SECONDS):
                await ready.wait()
                client = await broker.connect("node-worker-1")
                beating = asyncio.create_task(beats(client))
                while "NodeBecameReady" not in kinds(store):  # noqa: ASYNC110  # a log
                    await asyncio.sleep(0.01)
                time.sleep(GRACE + 1.0)  # noqa: ASYNC251  # everything is held
                held = control._state.heard["worker-1"]
                before = held.last
                while held.last < before + 5:  # noqa: ASYNC110  # a number
                    await asyncio.sleep(0.01)
        finally:
            await cancelling.end(beating)
            stop.set()
            await cancelling.end(running)
    assert node.NodeBecameUnready.__name__ not in kinds(store)


async def beats(client: nats_wire.Client) -> None:
    """A node that registers and says ten times a second that it is well."""
    asked = protocol.SyncRequest(boot_id="b", node=NODE)
    answer = await client.request(
        nats_wire.sync_subject("worker-1"),
        msgspec.json.encode(asked),
        timeout=nats.WAIT_SECONDS,
    )
    told = msgspec.json.decode(answer.data, type=protocol.SyncReply)
    for sequence in range(1, 100_000):
        report = protocol.Report(
            incarnation=told.incarnation,
            sequence=sequence,
            position=told.position,
            full=sequence == 1,
            node=NODE if sequence == 1 else None,
        )
        await client.publish(
            nats_wire.report_subject("worker-1"), msgspec.json.encode(report)
        )
        await asyncio.sleep(0.1)


def kinds(store: MemoryStore) -> list[str]:
    """The names of all events in the log."""
    return [type(catalogue.decode(*row).event).__name__ for row in store.rows]
