"""The active checks that availability counts on: a worker of its own.

1. One task asks readers which pods there are, one begins the GETs that are due; each
   GET is a task. Nothing else of the monitor waits for any of them, nor they for it.
2. What a pod has answered so far decides (domain/active_check.py). Control is told when
   that is other than what it holds, with each answer until it knows; and every
   `REPEAT_SECONDS` that the check still fails. So a message may be lost, and so may
   the monitor.
3. It begins with what control holds: a pod that fails already passes with its first
   good answer, and a new monitor need not count anew.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from adapters import cancelling
from domain import active_check
from domain.active_check import Course
from domain.errors import Transient
from domain.protocol import PodCheck
from domain.wanted import PodToCheck
from gateway.monitoring.checks import Checks
from gateway.monitoring.measured import Numbers

POLL_SECONDS: Final = 2.0
TICK_SECONDS: Final = 0.25
REPEAT_SECONDS: Final = 15.0
"""A quarter of the time that control waits for a word (`active_check.PATIENCE`)."""
SHARE: Final = 0.1
"""Of its time that it may spend on asking which pods there are."""
AT_ONCE: Final = 256
_log = logging.getLogger(__name__)

Ask = Callable[[], Awaitable[Sequence[PodToCheck]]]
Say = Callable[[str, str, PodCheck], Awaitable[None]]
"""To the namespace and the pod that it is about; never raises."""


class _Watched:
    """One pod: what is asked of it, how it goes, and when it is asked next."""

    def __init__(self, pod: PodToCheck, due_at: float) -> None:
        self.pod = pod
        self.course = Course(failing=pod.failing)
        self.due_at = due_at
        self.said_at = float("-inf")
        self.task: asyncio.Task[None] | None = None


class Watching:
    """The worker: `run` until it is cancelled."""

    def __init__(self, ask: Ask, say: Say, checks: Checks, numbers: Numbers) -> None:
        self._ask = ask
        self._say = say
        self._checks = checks
        self._numbers = numbers
        self._pods: dict[str, _Watched] = {}
        """By uid."""

    async def run(self) -> None:
        """Checks what is asked for; trouble with the readers leaves it as it was."""
        following = asyncio.create_task(self._follow())
        try:
            while not following.done():
                now = time.monotonic()
                for each in self._pods.values():
                    if each.due_at <= now and each.task is None:
                        each.due_at = now + each.pod.check.interval_seconds
                        each.task = asyncio.create_task(self._check(each))
                await asyncio.sleep(TICK_SECONDS)
            following.result()
        finally:
            tasks = [each.task for each in self._pods.values() if each.task is not None]
            await cancelling.end(following, *tasks)

    async def _follow(self) -> None:
        told = ""
        while True:
            begin = time.monotonic()
            try:
                await self._take(await self._ask())
                told = ""
            except Transient as error:
                if str(error) != told:
                    _log.info("the pods to check are those of before: %s", error)
                    told = str(error)
            took = time.monotonic() - begin
            await asyncio.sleep(max(POLL_SECONDS, took / SHARE))

    async def _take(self, pods: Sequence[PodToCheck]) -> None:
        """Afterwards these are checked, and no others."""
        now, known = time.monotonic(), self._pods
        self._pods = {}
        for pod in pods:
            each = known.pop(pod.uid, None) or _Watched(pod, now)
            each.due_at = min(each.due_at, now + pod.check.interval_seconds)
            each.pod = pod
            self._pods[pod.uid] = each
        over = [each.task for each in known.values() if each.task is not None]
        if over:
            await cancelling.end(*over)

    async def _check(self, each: _Watched) -> None:
        pod, begin = each.pod, time.monotonic()
        try:
            trouble = await self._checks.trouble(pod.check, pod.ip)
            self._numbers.seconds["watch"].observe(time.monotonic() - begin)
            self._numbers.done["watch", "failed" if trouble else "ok"] += 1
            threshold = pod.check.failure_threshold
            each.course = active_check.after(each.course, not trouble, threshold)
            await self._tell(each, trouble)
        except Exception:  # a mistake of ours costs this one answer
            _log.exception("pod %s/%s", pod.namespace, pod.name)
        finally:
            each.task = None

    async def _tell(self, each: _Watched, trouble: str) -> None:
        """Rule 2, after an answer with this trouble."""
        pod, course, now = each.pod, each.course, time.monotonic()
        known = course.failing == pod.failing
        if known and (not course.failing or now - each.said_at < REPEAT_SECONDS):
            return
        each.said_at = now
        times = f", {course.failures} times in a row" if course.failures > 1 else ""
        said = PodCheck(
            uid=pod.uid,
            passing=not course.failing,
            detail=f"{trouble}{times}" if trouble else "it answers well",
        )
        await self._say(pod.namespace, pod.name, said)
