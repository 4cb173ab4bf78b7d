"""What has arrived and waits for a step: bounded, fair between nodes, in order.

1. Commands keep their order; when too many wait the broker keeps the rest.
2. Each node has a queue of its own. A node that sends too much loses its oldest
   reports (it repeats what is not confirmed) and slows nobody but itself.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from workers.intake import CommandInput, Input, ReportInput

REPORTS_PER_NODE: Final = 256
REPORTS_PER_NODE_AND_STEP: Final = 16
COMMANDS_WAITING_MAX: Final = 4_000


class Mailbox:
    """One reader (`take`), many writers, all on one event loop."""

    def __init__(self) -> None:
        self._others: list[Input] = []
        self._commands: deque[tuple[CommandInput | None, int]] = deque()
        self._reports: dict[str, deque[ReportInput]] = {}
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.taken_sequence = 0
        """The stream sequence up to which commands were handed to steps."""
        self.dropped = 0
        """Reports of nodes that sent more than their share."""

    def put(self, item: Input) -> None:
        """A sync, or something of control's own."""
        self._others.append(item)
        self._arrived.set()

    def put_report(self, item: ReportInput) -> None:
        """A report; the oldest of the same node goes when too many wait."""
        queue = self._reports.get(item.node)
        if queue is None:
            queue = self._reports[item.node] = deque()
        elif len(queue) >= REPORTS_PER_NODE:
            queue.popleft()
            self.dropped += 1
        queue.append(item)
        self._arrived.set()

    async def put_commands(self, items: Sequence[CommandInput], last: int) -> None:
        """Commands up to stream sequence `last`; waits while too many wait already."""
        while len(self._commands) > COMMANDS_WAITING_MAX:
            self._room.clear()
            await self._room.wait()
        self._commands.extend((item, 0) for item in items)
        # The batch's end is acknowledged once all of it went through a step.
        self._commands.append((None, last))
        self._arrived.set()

    async def take(self, commands: int, wait: float | None) -> list[Input]:
        """What a step takes now; waits up to `wait` seconds (None: for ever) for it."""
        if not self._arrived.is_set() and wait != 0.0:
            try:
                async with asyncio.timeout(wait):
                    await self._arrived.wait()
            except TimeoutError:
                pass
        # What is on the sockets already comes along: it shares the commit.
        await asyncio.sleep(0)
        taken = self._others
        self._others = []
        self._take_commands(taken, commands)
        self._take_reports(taken)
        if not (self._commands or self._reports or self._others):
            self._arrived.clear()
        return taken

    def _take_commands(self, taken: list[Input], limit: int) -> None:
        count = 0
        while self._commands and count < limit:
            item, last = self._commands.popleft()
            if item is None:
                self.taken_sequence = last
            else:
                taken.append(item)
                count += 1
        if len(self._commands) <= COMMANDS_WAITING_MAX:
            self._room.set()

    def _take_reports(self, taken: list[Input]) -> None:
        empty = []
        for node, queue in self._reports.items():
            share = min(len(queue), REPORTS_PER_NODE_AND_STEP)
            taken.extend(queue.popleft() for _ in range(share))
            if not queue:
                empty.append(node)
        for node in empty:
            del self._reports[node]
