"""When commands are acknowledged (workers/acknowledging.py)."""

import asyncio
from pathlib import Path

import pytest

from adapters import nats_intake, nats_streams
from adapters.memory_log import MemoryLog, MemoryStore
from tests.support import nats
from workers.control import Control, ControlSettings

COMMANDS = 50


@pytest.mark.asyncio
async def test_commands_are_acknowledged_many_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acknowledgement is a round trip, in which no other command comes in: there are
    far fewer of them than commands. Who ends in good order leaves none behind."""
    asked: list[int] = []
    real = nats_intake.CommandIntake.ack

    async def ack(self: nats_intake.CommandIntake, last: int) -> None:
        asked.append(last)
        await real(self, last)

    monkeypatch.setattr(nats_intake.CommandIntake, "ack", ack)
    # Only the first and the last one then, however slow the machine is.
    monkeypatch.setattr("workers.acknowledging.SECONDS", 3600.0)
    store = MemoryStore()
    async with nats.broker(tmp_path) as broker:
        control = Control(
            ControlSettings(
                nats_url=broker.server.url,
                user="control",
                secret=broker.server.credential("control").secret,
                store_url="",
            ),
            MemoryLog(store),
        )
        stop, ready = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(control.run(stop, ready.set))
        async with asyncio.timeout(nats.WAIT_SECONDS):
            await ready.wait()
            client = await broker.connect("admin")
            for _ in range(COMMANDS):
                await nats.send_command(client)
            while control._decided < COMMANDS:  # noqa: ASYNC110  # it offers nothing
                await asyncio.sleep(0.01)
            stop.set()
            await running
        watcher = await broker.connect("control")
        info = await watcher.jetstream().stream_info(nats_streams.COMMANDS)

    assert info.state.messages == 0
    assert len(asked) <= 2
    assert asked[-1] == COMMANDS
