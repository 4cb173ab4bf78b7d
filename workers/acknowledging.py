"""When commands are acknowledged: behind them, and many at a time.

An acknowledgement is a round trip in which no other command comes in, and the broker
rewrites its stream. What is not acknowledged when the writer dies comes again, and the
log recognises it.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from adapters import nats_wire

SECONDS: Final = 1.0
BYTES: Final = 16 * 1024 * 1024
"""Of commands that wait for it: then it is sooner."""


class Acknowledging:
    """Used by the task that fetches."""

    def __init__(self, commands: nats_wire.CommandIntake) -> None:
        self._commands = commands
        self._done = 0
        self._next_at = 0.0
        self._held = 0

    def fetched(self, raw: Sequence[nats_wire.RawCommand]) -> None:
        """These wait for it now."""
        self._held += sum(len(item.data) for item in raw)

    async def up_to(self, decided: int) -> None:
        """Afterwards the commands up to this sequence, which are on disk, are
        acknowledged, if it is time."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._next_at and self._held <= BYTES:
            return
        if decided != self._done:
            self._done, self._held = decided, 0
            await self._commands.ack(decided)
            self._next_at = loop.time() + SECONDS
