"""Measurements for analyses: each wanted one is taken when it is due, and answered.

1. A measurement is one task. Whatever becomes of it is an answer: a number, or an
   error that says why there is none. None waits for another's source.
2. An answer may be lost. While it is still wanted it is said again, the same; the
   writer takes the first (protocol.Measurement).
3. What is not wanted any more is given up.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from adapters import cancelling
from domain.errors import Transient
from domain.protocol import Measurement
from domain.wanted import Wanted
from gateway.monitoring.checks import Checks
from gateway.monitoring.commands import Commands
from gateway.monitoring.measured import Numbers, Unmeasured, finite
from gateway.monitoring.prometheus import Prometheus, filled
from gateway.monitoring.values import Values

POLL_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 0.25
"""So long it is not asked again, however often it is woken."""
REPEAT_SECONDS: Final = 5.0
MEASURE_SECONDS: Final = 120.0
AT_ONCE: Final = 1_000
_log = logging.getLogger(__name__)

Ask = Callable[[], Awaitable[Sequence[Wanted]]]
Say = Callable[[str, str, Measurement], Awaitable[None]]
"""To the namespace and the Deployment that it is about; never raises."""
_Key = tuple[str, int, int, str, int]


class Sources:
    """Where numbers come from; no Prometheus where none is named."""

    def __init__(
        self,
        prometheus: Prometheus | None,
        checks: Checks,
        commands: Commands,
        values: Values,
    ) -> None:
        self._prometheus = prometheus
        self._checks = checks
        self._commands = commands
        self._values = values

    async def number(self, wanted: Wanted) -> float:
        """The number of the wanted check. Raises `Unmeasured`."""
        source = wanted.source
        about = {
            "namespace": wanted.namespace,
            "deployment": wanted.deployment,
            "replicaset": wanted.replicaset,
            "revision": str(wanted.revision),
        }
        if source.prometheus is not None:
            if self._prometheus is None:
                raise Unmeasured("the monitor knows no Prometheus: --prometheus URL")
            return await self._prometheus.number(filled(source.prometheus, about))
        if source.check is not None:
            return await self._checks.number(source.check, wanted.targets)
        if source.command is not None:
            return await self._commands.number(source.command, about)
        if source.metric is not None:
            pods = [each.name for each in wanted.targets]
            now = time.time()
            return self._values.number(wanted.namespace, source.metric, pods, now)
        raise Unmeasured("the check has a source that this monitor does not know")


def kind(wanted: Wanted) -> str:
    """The source of the wanted check, by the name of its field."""
    names = ("prometheus", "check", "command", "metric")
    return next((n for n in names if getattr(wanted.source, n) is not None), "metric")


class Answering:
    """The loop: `run` until it is cancelled; `wake` when something may be new."""

    def __init__(self, ask: Ask, say: Say, sources: Sources, numbers: Numbers) -> None:
        self._ask = ask
        self._say = say
        self._sources = sources
        self._numbers = numbers
        self._woken = asyncio.Event()
        self._running: dict[_Key, asyncio.Task[None]] = {}
        self._said: dict[_Key, tuple[float, Measurement]] = {}
        self.metrics: frozenset[tuple[str, str]] = frozenset()
        """The custom metrics that checks name, each with its namespace."""

    @property
    def busy(self) -> int:
        """How many measurements are being taken."""
        return len(self._running)

    def wake(self) -> None:
        """Something was committed."""
        self._woken.set()

    async def run(self) -> None:
        """Answers what is wanted; trouble with the readers only delays it."""
        told = ""
        try:
            while True:
                wait = POLL_SECONDS
                try:
                    wait = await self._consider(await self._ask())
                    told = ""
                except Transient as error:
                    if str(error) != told:
                        _log.info("waiting: %s", error)
                        told = str(error)
                await asyncio.sleep(PAUSE_SECONDS)
                try:
                    async with asyncio.timeout(max(0.0, wait - PAUSE_SECONDS)):
                        await self._woken.wait()
                except TimeoutError:
                    pass
                self._woken.clear()
        finally:
            await cancelling.end(*self._running.values())

    async def _consider(self, wanted: Sequence[Wanted]) -> float:
        """Begins what is due, ends what is over; how long nothing will be due."""
        now, wait = time.time(), POLL_SECONDS
        keys = {_key(each): each for each in wanted}
        self.metrics = frozenset(
            (each.namespace, each.source.metric)
            for each in wanted
            if each.source.metric is not None
        )
        self._said = {key: it for key, it in self._said.items() if key in keys}
        over = [task for key, task in self._running.items() if key not in keys]
        if over:
            await cancelling.end(*over)
        for key, each in keys.items():
            if key in self._running:
                continue
            if key in self._said:
                await self._repeat(key, each, now)
            elif each.due_at > now:
                wait = min(wait, each.due_at - now)
            elif len(self._running) < AT_ONCE:
                self._begin(key, each)
        return wait

    def _begin(self, key: _Key, wanted: Wanted) -> None:
        task = asyncio.create_task(self._measure(key, wanted))
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _measure(self, key: _Key, wanted: Wanted) -> None:
        source, begin = kind(wanted), time.monotonic()
        value: float | None = None
        why = ""
        try:
            async with asyncio.timeout(MEASURE_SECONDS):
                value = finite(await self._sources.number(wanted))
        except Unmeasured as error:
            why = str(error)
        except TimeoutError:
            why = f"it took longer than {MEASURE_SECONDS:g} s"
        except Exception as error:  # a mistake of ours costs this one measurement
            _log.exception("%s of %s", wanted.check, wanted.deployment)
            why = f"{type(error).__name__}: {error}"
        self._numbers.seconds[source].observe(time.monotonic() - begin)
        self._numbers.done[source, "failed" if why else "ok"] += 1
        found = Measurement(
            uid=wanted.uid,
            revision=wanted.revision,
            round=wanted.round,
            check=wanted.check,
            number=wanted.taken + 1,
            value=value,
            error=why,
            at=round(time.time(), 6),
        )
        self._said[key] = (time.time(), found)
        await self._say(wanted.namespace, wanted.deployment, found)

    async def _repeat(self, key: _Key, wanted: Wanted, now: float) -> None:
        at, found = self._said[key]
        if now - at >= REPEAT_SECONDS:
            self._said[key] = (now, found)
            await self._say(wanted.namespace, wanted.deployment, found)


def _key(wanted: Wanted) -> _Key:
    return (
        wanted.uid,
        wanted.revision,
        wanted.round,
        wanted.check,
        wanted.taken + 1,
    )
