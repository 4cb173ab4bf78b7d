"""What has arrived and waits for a step: bounded, fair between nodes, in order.

1. Commands keep their order; when too many wait the broker keeps the rest.
2. Each node has a queue of its own. A node that sends too much loses its oldest
   reports (it repeats what is not confirmed) and slows nobody but itself.
3. Of a node's syncs only the newest waits, in the place of the first: whoever asks
   again no longer listens for the answer to what it asked before.
4. What a step takes is bounded in what it will cost, not only in number: a step that
   takes long makes every kubelet repeat itself, and the next one takes longer.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from workers.analysing import MeasurementInput
from workers.checking import CheckInput
from workers.intake import CommandInput, Input, ReportInput, SyncInput
from workers.metric_intake import MetricInput

REPORTS_PER_NODE: Final = 256
REPORTS_PER_NODE_AND_STEP: Final = 16
REPORT_BYTES_PER_STEP: Final = 1 << 20
"""About 3,000 pods' statuses, or a tenth of a second."""
LISTED_PER_STEP: Final = 4_000
"""Pods in the full lists of a step. 1,000 nodes of 200 pods that ask at once are
answered in 50 steps of 20 ms; in one step they stopped everything for seconds."""
LIST_COST: Final = 20
"""What a list costs beside its pods, in pods."""
COMMANDS_WAITING_MAX: Final = 4_000
METRICS_WAITING_MAX: Final = 10_000


class Mailbox:
    """One reader (`take`), many writers, all on one event loop."""

    def __init__(self) -> None:
        self._others: list[Input] = []
        self._commands: deque[tuple[CommandInput | None, int]] = deque()
        self._reports: dict[str, deque[tuple[float, ReportInput]]] = {}
        self._syncs: dict[str, SyncInput] = {}
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.taken_sequence = 0
        """The stream sequence up to which commands were handed to steps."""
        self.metrics_dropped = 0
        """Metrics' values that came while too many waited."""
        self.dropped = 0
        """Reports of nodes that sent more than their share."""
        self.reports = 0
        """Reports that came, whatever became of them."""
        self.syncs_repeated = 0
        """Syncs that took the place of one of the same node (rule 3)."""

    def put(self, item: Input) -> None:
        """Something of control's own."""
        self._others.append(item)
        self._arrived.set()

    def put_metric(self, item: MetricInput | MeasurementInput | CheckInput) -> None:
        """What is measured; when too many wait it is dropped, as the next will come."""
        if len(self._others) >= METRICS_WAITING_MAX:
            self.metrics_dropped += 1
            return
        self.put(item)

    def put_sync(self, item: SyncInput) -> None:
        """A sync; it takes the place of one of the same node that still waits."""
        self.syncs_repeated += item.node in self._syncs
        self._syncs[item.node] = item
        self._arrived.set()

    def put_report(self, item: ReportInput) -> None:
        """A report; the oldest of the same node goes when too many wait."""
        self.reports += 1
        queue = self._reports.get(item.node)
        if queue is None:
            queue = self._reports[item.node] = deque()
        elif len(queue) >= REPORTS_PER_NODE:
            queue.popleft()
            self.dropped += 1
        queue.append((time.monotonic(), item))
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

    @property
    def waits(self) -> bool:
        """Something is here for the next step."""
        return self._arrived.is_set()

    def lengths(self) -> dict[str, int]:
        """How much waits, by what it is."""
        return {
            "commands": sum(item is not None for item, _ in self._commands),
            "reports": sum(map(len, self._reports.values())),
            "syncs": len(self._syncs),
        }

    async def take(
        self, commands: int, wait: float | None, pods: Callable[[str], int]
    ) -> list[Input]:
        """What a step takes now; waits up to `wait` seconds (None: for ever) for it.

        `pods` tells how many pods the list of a node would have.
        """
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
        self._take_syncs(taken, pods)
        self._take_commands(taken, commands)
        self._take_reports(taken)
        if not (self._commands or self._reports or self._others or self._syncs):
            self._arrived.clear()
        return taken

    def _take_syncs(self, taken: list[Input], pods: Callable[[str], int]) -> None:
        left = LISTED_PER_STEP
        while self._syncs and left > 0:
            node = next(iter(self._syncs))
            taken.append(self._syncs.pop(node))
            left -= LIST_COST + pods(node)

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
        """Node by node; one that is not done waits behind all others."""
        now, left = time.monotonic(), REPORT_BYTES_PER_STEP
        for node in [*self._reports]:
            if left <= 0:
                return
            queue = self._reports.pop(node)
            for _ in range(min(len(queue), REPORTS_PER_NODE_AND_STEP)):
                came_at, item = queue.popleft()
                left -= len(item.data)
                waited = round(now - came_at, 6)
                taken.append(msgspec.structs.replace(item, waited=waited))
            if queue:
                self._reports[node] = queue
