"""One node: its agent, its pods and its runtime, put together. No NATS in here.

1. What goes out is handed to a `Wire`; what comes in is handed to the `on_…` methods.
2. One timer for the node: the earliest of what its agent, its pods and the batching
   of statuses are waiting for.
3. A change waits `SETTLE` seconds for those that follow at once (sandbox, image,
   start), so that a pod that starts quickly is reported once, as running. Where nothing
   follows so quickly (`ends_at_once`), the end of a container does not wait.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from domain import errors, protocol
from kubelet import (
    agent,
    agent_effects,
    effects,
    lifecycle,
    memory,
    pods,
    runtime,
    usage,
)

NEVER: Final = float("inf")
SETTLE: Final = 0.005
_log = logging.getLogger(__name__)


class Clock:
    """Seconds since the epoch that never jump: the start by the wall clock, the rest
    by the monotonic clock, on a grid of microseconds."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """The time now."""
        return round(self._offset + time.monotonic(), 6)


class Wire(Protocol):
    """Where a node's messages go."""

    def send_report(self, node: str, report: protocol.Report) -> None:
        """Publishes; losing it is harmless."""

    def send_sync(self, node: str, attempt: int, request: protocol.SyncRequest) -> None:
        """Asks; `Node.on_sync_reply` or `on_sync_failed` must follow."""


async def measure_all(
    nodes: Mapping[str, "Node"], interval: float, counters: Counter[str]
) -> None:
    """Samples each node once in an interval, one after the other all along it; never
    returns. A node that cannot be sampled is counted."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        for each in [*nodes.values()]:
            due += interval / len(nodes)
            await asyncio.sleep(max(0.0, due - loop.time()))
            try:
                await each.measure()
            except (OSError, errors.RollbookError) as error:
                counters["usage not sampled"] += 1
                _log.warning("usage of %s is not known: %s", each.name, error)
        due = max(due, loop.time())


class Node:
    """One node. `adopt` before anything else, `stop` at the end."""

    def __init__(
        self,
        name: str,
        machine: agent.Agent,
        ports: runtime.Runtime,
        wire: Wire,
        clock: Callable[[], float],
        settings: lifecycle.LifecycleSettings | None = None,
        memories: memory.Memory | None = None,
        describe: Callable[[], protocol.NodeInfo] | None = None,
        *,
        ends_at_once: bool = False,
    ) -> None:
        """`describe` is what the node is now, for a runtime that says it changed."""
        self.name = name
        self._describe = describe
        self._ends_at_once = ends_at_once
        self.agent = machine
        self.runtime = ports
        self.pods = pods.Pods(name, ports, settings)
        self._wire = wire
        self._clock = clock
        self._memory = memories
        self.meter = usage.Meter()
        self._wake_agent = NEVER
        self._flush_at = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self.synced = asyncio.Event()
        self._empty = asyncio.Event()

    # --- inputs --------------------------------------------------------------------

    def adopt(self) -> None:
        """Before the first sync: takes over what a former life of the kubelet left."""
        now = self._clock()
        held = self.runtime.held()
        told = self._memory.load() if held and self._memory is not None else {}
        for pod in held:
            self.pods.adopt(now, pod, told.get(pod.sandbox.uid))
        self.agent.adopt(self.pods.changes())
        self._settle()

    def on_fact(self, fact: effects.Fact) -> None:
        """Something that no runtime sees: what came of a hook, or of values."""
        self.pods.observe(self._clock(), (fact,))
        self._settle()

    async def run(self) -> None:
        """Hands on what the runtime sees, until it is cancelled."""
        while True:
            facts = await self.runtime.observations()
            about_pods = [f for f in facts if not isinstance(f, runtime.NodeChanged)]
            if len(about_pods) < len(facts) and self._describe is not None:
                changed = self.agent.on_node_changed(self._clock(), self._describe())
                self._apply(changed)
            self.pods.observe(self._clock(), about_pods)
            self._settle()
            if self._ends_at_once and any(map(self._is_loss, about_pods)):
                self._flush_at = max(self._clock(), self.agent.report_at)
                self._settle()

    async def measure(self) -> None:
        """Samples what the pods have used; the next report carries it as rates."""
        samples = await self.runtime.usage()
        found = self.meter.read(self._clock(), samples, self.agent.identify)
        if found is not None:
            self._apply(self.agent.on_usage(self._clock(), found))

    def on_connected(self) -> None:
        """The wire is there (again)."""
        self._apply(self.agent.on_connected(self._clock()))

    def on_connection_lost(self) -> None:
        """The wire is gone; the last assignment is obeyed."""
        self._apply(self.agent.on_connection_lost(self._clock()))

    def on_assignment(self, message: protocol.Assignment) -> None:
        """`rollbook.assign.<node>`."""
        self._apply(self.agent.on_assignment(self._clock(), message))

    def on_sync_reply(self, attempt: int, reply: protocol.SyncReply) -> None:
        """The answer to a sync."""
        self._apply(self.agent.on_sync_reply(self._clock(), attempt, reply))
        if self.agent.synced and not self.synced.is_set():
            self.synced.set()

    def on_sync_failed(self, attempt: int, error: str) -> None:
        """No answer to a sync."""
        self._apply(self.agent.on_sync_failed(self._clock(), attempt, error))

    async def stop(self, *, keep_pods: bool, grace_max: float) -> None:
        """Ends all pods with their grace, at most `grace_max` s, and the runtime.

        Nothing is reported about that: the pods are still this node's, and its next
        life runs them again.
        """
        self.on_connection_lost()
        if not keep_pods and len(self.pods):
            self._empty.clear()
            grace = self.pods.stop_all(self._clock())
            self._settle()
            try:
                async with asyncio.timeout(min(grace, grace_max) + 1.0):
                    await self._empty.wait()
            except TimeoutError:
                pass  # `close` kills what is left
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.pods.chores is not None:
            await self.pods.chores.close()
        await self.runtime.close()

    # --- helpers -------------------------------------------------------------------

    def _is_loss(self, fact: runtime.Observation) -> bool:
        """Whether a container has ended that nobody had told to."""
        return isinstance(fact, runtime.ContainerExited) and not (
            self.agent.is_ending(fact.uid)
        )

    def _apply(self, wanted: list[agent_effects.Effect]) -> None:
        now = self._clock()
        for effect in wanted:
            match effect:
                case agent_effects.SendReport():
                    self._wire.send_report(self.name, effect.report)
                case agent_effects.SendSync():
                    self._wire.send_sync(self.name, effect.attempt, effect.request)
                case agent_effects.StartPod():
                    self.pods.start(now, effect.pod, effect.template)
                case agent_effects.UpdatePod():
                    self.pods.update(now, effect.uid, effect.template)
                case agent_effects.StopPod():
                    self.pods.stop(now, effect.uid, effect.grace)
                case agent_effects.KillPod():
                    self.pods.stop(now, effect.uid, 0.0)
                case agent_effects.WakeAt():
                    self._wake_agent = effect.time
        self._settle()

    def _settle(self) -> None:
        """Plans the flush of changed statuses, and the node's one timer."""
        if self.pods.touched and self._flush_at == NEVER:
            self._flush_at = max(self._clock() + SETTLE, self.agent.report_at)
        wake = min(self._flush_at, self._wake_agent, self.pods.wake)
        if wake == NEVER:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(wake - self._clock(), 0.0)
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock()
        if self.pods.wake <= now:
            self.pods.tick(now)
        if self._flush_at <= now:
            self._flush_at = NEVER
            changes = self.pods.changes()
            found = self.agent.on_runtime(now, changes)
            if changes and self._memory is not None:
                self._memory.save(self.agent.statuses())
            self._apply(found)
            if not len(self.pods):
                self._empty.set()
        if self._wake_agent <= now:
            self._wake_agent = NEVER
            self._apply(self.agent.on_tick(now))
        self._settle()
