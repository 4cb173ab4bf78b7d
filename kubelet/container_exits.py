"""How containers end, as the container runtime finds out.

1. The kernel (`container_processes`) says that something has ended, and how where it
   can: an engine knows 10 to 20 ms later. Otherwise the engine's events say so, and an
   inspection says how. Events may be lost: after each new connection, and now and then,
   all containers are compared with what is known.
2. Each run is told to have ended once: `Run.alive` becomes false here only, under the
   run's lock.
3. A container that is gone without us is an exit too: code 137, and a reason that says
   that nobody knows.
4. Without its infra container a pod has no network: its containers are killed, and the
   next start makes another one.
5. What carries our label and is nobody's is removed.
"""

import asyncio
import contextlib
import functools
import itertools
import logging
import os
from typing import Final

from adapters import engine
from adapters import engine_answers as answers
from kubelet import container_sandboxes, container_volumes, container_work
from kubelet import runtime as port
from kubelet.container_sandboxes import Pod, Run

LOOK_SECONDS: Final = 5.0
PING_SECONDS: Final = 10.0
"""An engine that has not answered by then hangs."""
LOOKS_PER_PATROL: Final = 3
RECONNECT_MIN: Final = 0.1
RECONNECT_MAX: Final = 3.0
UNKNOWN_CODE: Final = 137
FALLBACK_BYTES: Final = 2048
FALLBACK_LINES: Final = 80
_ENDINGS: Final = frozenset({"die", "died", "destroy", "remove", "oom"})
_LOOKS: Final = (0.004, 0.002, 0.004, 0.008, 0.015, 0.05, 0.1, 0.3, 1.0)
_DRAIN_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class Exits:
    """Watches the containers of one node."""

    def __init__(self, ground: container_work.Ground) -> None:
        self._ground = ground

    async def watch(self) -> None:
        """Follows the engine's events for ever, through all its absences."""
        ground = self._ground
        label = f"{container_sandboxes.OWNER}={ground.owner}"
        pause = RECONNECT_MIN
        while True:
            try:
                async for event in ground.engine.events(label):
                    if not event.id:
                        pause = RECONNECT_MIN
                        await self.reconcile()
                        self._answers(None)
                    elif event.action in _ENDINGS:
                        self._on_end(event)
                text = "the engine's events have ended"
            except (engine.EngineError, ValueError, TimeoutError) as error:
                text = str(error)
            _log.warning("%s; trying again in %g s", text, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT_MAX)
            await self._try_reconcile()  # some engines have no events at all

    async def patrol(self) -> None:
        """Compares now and then, and when an engine that was away answers; for ever."""
        for look in itertools.count(1):
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._ground.engine.ping(PING_SECONDS)
            except engine.EngineError as error:
                _log.warning("the engine is looked at again: %s", error)
                self._answers(error.how)
            else:
                if self._ground.trouble or look % LOOKS_PER_PATROL == 0:
                    await self._try_reconcile()

    async def reconcile(self) -> None:
        """What has ended or gone is on its way to be told. Raises `EngineError`."""
        ground = self._ground
        label = f"{container_sandboxes.OWNER}={ground.owner}"
        before = set(ground.pods)
        there = {each.id: each for each in await ground.engine.list(label)}
        known: set[str] = set()
        for pod in ground.pods.values():
            for run in pod.runs.values():
                known |= {run.id, run.previous_id}
                found = there.get(run.id)
                if run.alive and not (found and found.running):
                    ground.spawn(self._look(pod, run, run.id))
            known.add(pod.infra)
            found = there.get(pod.infra)
            if pod.infra and not (found and found.running):
                ground.spawn(self._infra_ended(pod, pod.infra))
        for each in there.values():
            uid = (each.labels or {}).get(container_sandboxes.UID, "")
            gone = uid in before and uid not in ground.pods  # since it was listed
            if each.id not in known and not gone and not self._busy(each):
                ground.spawn(self._remove_stray(each.id))

    async def settle(self, pod: Pod, run: Run, found: answers.Inspected | None) -> None:
        """Tells the end of a run as the engine has found it; its lock is held."""
        if not run.alive:
            return
        oom = run.oom or bool(run.cgroup and run.cgroup.oom_kills())
        self._over(run)
        code, reason, message = outcome(found, oom=oom)
        if found is not None:
            message = await self.last_words(pod, run, code) or message
        self._tell(pod, run, code, signal_of(code), reason, message)

    def watch_process(self, pod: Pod, run: Run, pid: int) -> None:
        """Afterwards the end of the run is seen at once where the kernel tells it."""
        identity = run.id

        def ended(status: int | None) -> None:
            self._ground.spawn(self._ended(pod, run, identity, status))

        self._ground.processes.add(identity, pid, ended)

    async def last_words(self, pod: Pod, run: Run, code: int) -> str:
        """What the container has left as its message (Kubernetes' rules: its file, else
        the end of its output if it failed and asked for that)."""
        text = container_volumes.last_words(pod.message_path(run.name, run.attempt))
        if text or not code or not _quotes_output(pod, run):
            return text
        output = b""
        try:
            async with asyncio.timeout(container_work.END_SECONDS):
                async for _, data in self._ground.engine.logs(
                    run.id, {"tail": str(FALLBACK_LINES)}
                ):
                    output = (output + data)[-FALLBACK_BYTES:]
        except (engine.EngineError, TimeoutError, ValueError) as error:
            _log.warning("the last words of %s are lost: %s", run.name, error)
        return output.decode(errors="replace")

    # --- helpers -------------------------------------------------------------------

    async def _try_reconcile(self) -> None:
        try:
            await self.reconcile()
        except engine.EngineError as error:
            _log.warning("containers cannot be compared: %s", error)
            self._answers(error.how)
        else:
            self._answers(None)

    def _answers(self, trouble: engine.Trouble | None) -> None:
        """Tells it where it is news whether the engine answers. How it fails is what it
        was at first: an engine that fails in many ways is not news all the time."""
        if (self._ground.trouble is None) != (trouble is None):
            self._ground.trouble = trouble
            self._ground.tell(port.NodeChanged())

    def _on_end(self, event: answers.Event) -> None:
        marks = event.actor.attributes or {}
        pod = self._ground.pods.get(marks.get(container_sandboxes.UID, ""))
        if pod is None:
            return
        name = marks.get(container_sandboxes.CONTAINER, "")
        if name == container_sandboxes.INFRA:
            self._ground.spawn(self._infra_ended(pod, event.id))
        elif name in pod.runs:
            self._ground.spawn(self._look(pod, pod.runs[name], event.id))

    def _over(self, run: Run) -> None:
        run.alive = False
        self._ground.watch.discard(run.id)
        self._ground.processes.discard(run.id)

    def _tell(
        self, pod: Pod, run: Run, code: int, signal: int, reason: str, message: str
    ) -> None:
        self._ground.tell(
            port.ContainerExited(
                uid=pod.uid,
                container=run.name,
                attempt=run.attempt,
                exit_code=code,
                signal=signal,
                reason=reason,
                message=message,
            )
        )

    async def _ended(
        self, pod: Pod, run: Run, identity: str, status: int | None
    ) -> None:
        """The kernel has told an end. The engine is asked only for what it alone knows:
        how, what was said last, or whether the memory was used up."""
        if status is not None:
            async with run.lock:
                if not run.alive or run.id != identity:
                    return
                code, signal = exit_of(status)
                kills = run.cgroup.oom_kills() if run.cgroup else None
                oom = run.oom or bool(kills)
                known = (oom or kills is not None) and not _quotes_output(pod, run)
                if known or not code:
                    self._over(run)
                    message = await self.last_words(pod, run, code)
                    reason = "OOMKilled" if oom and code else ""
                    self._tell(pod, run, code, signal, reason, message)
                    return
        await self._look(pod, run, identity)

    async def _look(self, pod: Pod, run: Run, identity: str) -> None:
        """An engine tells the end a little before it knows it itself."""
        async with run.lock:
            for pause in _LOOKS:
                if not run.alive or run.id != identity:
                    return
                await asyncio.sleep(pause)
                try:
                    found = await self._ground.engine.inspect(identity)
                except engine.EngineError as error:
                    _log.warning("the end of %s is looked at later: %s", run.id, error)
                    return
                if found is None or not found.state.running:
                    await self.settle(pod, run, found)

    async def _infra_ended(self, pod: Pod, identity: str) -> None:
        async with pod.lock:
            if pod.going or pod.infra != identity:
                return
            found = await container_work.persist(
                lambda: self._ground.engine.inspect(identity)
            )
            if found is not None and found.state.running:
                return
            _log.warning("pod %s has lost its network", pod.sandbox.name)
            pod.infra = ""
            await container_work.persist(lambda: self._ground.engine.remove(identity))
        for run in list(pod.runs.values()):
            async with run.lock:
                if run.alive:
                    kill = functools.partial(self._ground.engine.kill, run.id, "KILL")
                    await container_work.persist(kill)

    def _busy(self, each: answers.Listed) -> bool:
        """Whether its pod is being worked on: then it may be about to be known."""
        uid = (each.labels or {}).get(container_sandboxes.UID, "")
        pod = self._ground.pods.get(uid)
        return pod is not None and (
            pod.lock.locked() or any(run.lock.locked() for run in pod.runs.values())
        )

    async def _remove_stray(self, identity: str) -> None:
        _log.warning("container %s belongs to no pod and is removed", identity[:12])
        try:
            await self._ground.engine.remove(identity)
        except engine.EngineError as error:
            _log.warning("it is left for later: %s", error)


def outcome(found: answers.Inspected | None, *, oom: bool) -> tuple[int, str, str]:
    """Exit code, reason (empty for the usual one) and message of what has ended."""
    if found is None:
        return (
            UNKNOWN_CODE,
            "ContainerStatusUnknown",
            "The container could not be located when it ended: it was removed by "
            "somebody else",
        )
    code = found.state.exit_code
    if code < 0:  # the engine has no code for what it could not run to its end
        code = UNKNOWN_CODE
    killed = code != 0 and (oom or found.state.oom_killed)
    return code, "OOMKilled" if killed else "", found.state.error


async def drained(docker: engine.Engine, identity: str) -> None:
    """All that a container has said before its end can be read then: an engine goes on
    reading for a moment after it. Waits a little, not longer."""
    with contextlib.suppress(engine.EngineError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            for pause in _LOOKS:
                found = await docker.inspect(identity)
                if found is None or not found.state.running:
                    return
                await asyncio.sleep(pause)


def exit_of(status: int) -> tuple[int, int]:
    """Exit code and signal in a status of `wait`, as engines tell them."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return 128 + number, number
    return os.WEXITSTATUS(status), 0


def signal_of(code: int) -> int:
    """The signal in an exit code of an engine, which is 128 more than it; or 0."""
    return code - 128 if 128 < code <= 128 + 64 else 0


def _quotes_output(pod: Pod, run: Run) -> bool:
    """Whether the end of its output is its message."""
    spec = container_work.spec_of(pod, run.name)
    policy = spec.termination_message_policy if spec else ""
    return policy == "FallbackToLogsOnError"
