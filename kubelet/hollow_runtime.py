"""Pods that only exist on paper: thousands of them in one process.

1. `HollowPods` is pure: asked at `now`, it knows what will be observed and when. One
   heap holds all of it; a pod costs no task. The simulator may use it as it is.
2. The dice are seeded by (seed, node): the same life twice is the same life.
3. `HollowRuntime` is its shell: the clock, and the wait for what is due next.
"""

import asyncio
import heapq
import random
import re
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from domain import errors, protocol
from kubelet import hollow_usage, runtime

NEVER: Final = float("inf")


class HollowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How hollow pods behave. Each pair is a range in seconds, evenly drawn.

    `crash_after`: containers exit with `crash_code` so long after their start; None:
    never. `broken_images`: regular expressions (the whole name must match) of images
    that cannot be pulled. `restarts_cured`: from that attempt on nothing crashes.
    """

    start_delay: tuple[float, float] = (0.0, 0.0)
    ready_delay: tuple[float, float] = (0.0, 0.0)
    stop_delay: tuple[float, float] = (0.0, 0.0)
    crash_after: tuple[float, float] | None = None
    crash_code: int = 1
    crash_images: tuple[str, ...] = (".*",)
    restarts_cured: int = 1_000_000
    broken_images: tuple[str, ...] = ()
    seed: int = 0
    cpu: str = "32"
    memory: str = "256Gi"
    pods: str = "110"


class _Container:
    """One container of a hollow pod."""

    __slots__ = (
        "attempt",
        "metered_at",
        "ready_at",
        "running",
        "starting",
        "stop_wanted",
        "used",
    )

    def __init__(self) -> None:
        self.attempt = -1
        self.starting = False
        self.running = False
        self.stop_wanted = False
        self.ready_at = 0.0
        self.used = 0.0
        self.metered_at = 0.0


class _Pod:
    """One hollow pod."""

    __slots__ = ("containers", "going", "ip", "load", "sandbox")

    def __init__(self, sandbox: runtime.Sandbox, ip: str) -> None:
        self.sandbox = sandbox
        self.ip = ip
        self.going = False
        self.load = hollow_usage.load(sandbox.annotations)
        self.containers: dict[str, _Container] = {}


class HollowPods:
    """The pods of one hollow node. Pure: every method is told what time it is."""

    def __init__(self, node: str, settings: HollowSettings) -> None:
        self.settings = settings
        self._dice = random.Random(f"{settings.seed}/{node}")  # noqa: S311  # no secret
        self._broken = [re.compile(pattern) for pattern in settings.broken_images]
        self._crashing = [re.compile(pattern) for pattern in settings.crash_images]
        self._pods: dict[str, _Pod] = {}
        self._images: set[str] = set()
        self._heap: list[tuple[float, int, runtime.PodObservation]] = []
        self._order = 0
        self._addresses = 0

    @property
    def wake(self) -> float:
        """When something will be observed next; infinite when nothing will."""
        return self._heap[0][0] if self._heap else NEVER

    def observe(self, now: float) -> list[runtime.PodObservation]:
        """All that has come to pass by `now`, in order."""
        facts: list[runtime.PodObservation] = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, fact = heapq.heappop(heap)
            if self._comes_to_pass(now, fact):
                facts.append(fact)
        return facts

    def list(self) -> tuple[runtime.SandboxState, ...]:
        """Every pod, with the containers that run."""
        return tuple(
            runtime.SandboxState(
                uid=uid,
                ip=pod.ip,
                running=tuple(n for n, c in pod.containers.items() if c.running),
            )
            for uid, pod in self._pods.items()
        )

    def usage(self, now: float) -> tuple[runtime.ContainerUsage, ...]:
        """What the running containers have used, by their pods' load."""
        found = []
        for uid, pod in self._pods.items():
            for name, state in pod.containers.items():
                if state.running:
                    state.used += pod.load.cpu * max(0.0, now - state.metered_at)
                    state.metered_at = now
                    used = runtime.ContainerUsage(
                        uid=uid, container=name,
                        cpu_seconds=state.used, memory_bytes=pod.load.memory,
                    )  # fmt: skip
                    found.append(used)
        return tuple(found)

    def start_sandbox(self, now: float, sandbox: runtime.Sandbox) -> None:
        """The pod gets an address at once; one that is on its way out is a new one."""
        pod = self._pods.get(sandbox.uid)
        if pod is not None and pod.going:
            # Who had it removed is gone (a kubelet was killed): nobody waits for that.
            self._forget(sandbox.uid)
            pod = None
        if pod is None:
            self._addresses += 1
            high, low = divmod(self._addresses, 254)
            ip = f"10.{high // 256 % 256}.{high % 256}.{low + 1}"
            pod = self._pods[sandbox.uid] = _Pod(sandbox, ip)
        pod.sandbox = sandbox
        pod.load = hollow_usage.load(sandbox.annotations)
        self._plan(now, runtime.SandboxReady(uid=sandbox.uid, ip=pod.ip))

    def remove_sandbox(self, now: float, uid: str) -> None:
        """What still runs is killed, then nothing is left."""
        pod = self._pods.get(uid)
        if pod is not None:
            pod.going = True
            for name in pod.containers:
                self.kill_container(now, uid, name)
        self._plan(now, runtime.SandboxRemoved(uid=uid))

    def pull_image(self, now: float, uid: str, container: str) -> None:
        """An image is there unless its name is among the broken ones."""
        image = self._image(uid, container)
        if any(pattern.fullmatch(image) for pattern in self._broken):
            message = f"failed to pull image {image!r}: not found"
            self._plan(
                now, runtime.ImageFailed(uid=uid, container=container, message=message)
            )
            return
        present = image in self._images
        self._images.add(image)
        self._plan(
            now, runtime.ImagePulled(uid=uid, container=container, present=present)
        )

    def start_container(
        self, now: float, uid: str, container: str, attempt: int
    ) -> None:
        """It starts after the start delay, and is ready after the ready delay."""
        pod = self._pods.get(uid)
        if pod is None:
            failed = runtime.ContainerFailed(
                uid=uid, container=container, attempt=attempt,
                reason="CreateContainerError", message="the pod has no sandbox",
            )  # fmt: skip
            self._plan(now, failed)
            return
        state = pod.containers.setdefault(container, _Container())
        if state.attempt == attempt and state.starting:
            return  # its start is on the way, and answers this as well
        if state.attempt == attempt and state.running:
            self._plan(now, self._started(uid, container, state, now))
            return
        state.attempt = attempt
        state.starting, state.running, state.stop_wanted = True, False, False
        started_at = now + self._draw(self.settings.start_delay)
        delay = self._draw(self.settings.ready_delay)
        state.ready_at = started_at + delay
        self._plan(started_at, self._started(uid, container, state, started_at))
        if delay:
            became = runtime.ContainerBecameReady(
                uid=uid, container=container, attempt=attempt
            )
            self._plan(state.ready_at, became)
        crash = self.settings.crash_after
        if crash is not None and attempt < self.settings.restarts_cured:
            image = self._image(uid, container)
            if any(pattern.fullmatch(image) for pattern in self._crashing):
                code = self.settings.crash_code
                exited = self._exit(uid, container, attempt, code)
                self._plan(started_at + self._draw(crash), exited)

    def stop_container(self, now: float, uid: str, container: str) -> None:
        """It ends with exit code 0 after the stop delay."""
        state = self._state(uid, container)
        if state is None or state.stop_wanted:
            return
        state.stop_wanted = True
        if state.running:
            exited = self._exit(uid, container, state.attempt, 0)
            self._plan(now + self._draw(self.settings.stop_delay), exited)

    def kill_container(self, now: float, uid: str, container: str) -> None:
        """It ends at once with 137."""
        state = self._state(uid, container)
        if state is not None and (state.running or state.starting):
            state.stop_wanted = True
            killed = self._exit(uid, container, state.attempt, 137, signal=9)
            self._plan(now, killed)

    def probe(
        self, now: float, uid: str, container: str, attempt: int,
        kind: runtime.ProbeKind,
    ) -> None:  # fmt: skip
        """Succeeds from the moment that the container is ready."""
        state = self._state(uid, container)
        success = (
            state is not None
            and state.running
            and (kind == "Liveness" or state.ready_at <= now)
        )
        probed = runtime.Probed(
            uid=uid, container=container, attempt=attempt, kind=kind,
            success=success, message="" if success else "not ready yet",
        )  # fmt: skip
        self._plan(now, probed)

    # --- helpers -------------------------------------------------------------------

    def _comes_to_pass(self, now: float, fact: runtime.PodObservation) -> bool:
        """What was planned happens, unless something else happened before it."""
        match fact:
            case runtime.SandboxRemoved():
                self._pods.pop(fact.uid, None)
            case runtime.ContainerStarted():
                state = self._state(fact.uid, fact.container)
                if state is None or state.attempt != fact.attempt:
                    return False
                if not state.starting:
                    return state.running
                state.starting, state.running = False, True
                state.used, state.metered_at = 0.0, now
                if state.stop_wanted:
                    state.stop_wanted = False
                    self.stop_container(now, fact.uid, fact.container)
            case runtime.ContainerBecameReady():
                state = self._state(fact.uid, fact.container)
                return bool(state and state.attempt == fact.attempt and state.running)
            case runtime.ContainerExited():
                state = self._state(fact.uid, fact.container)
                if state is None or state.attempt != fact.attempt:
                    return False
                if state.starting:  # killed before it ran: it starts now, then it ends
                    self._plan(now, self._started(fact.uid, fact.container, state, now))
                    self._plan(now, fact)
                    return False
                ran, state.running = state.running, False
                return ran
        return True

    def _forget(self, uid: str) -> None:
        """Afterwards the pod is gone, and nothing that was planned for it happens."""
        del self._pods[uid]
        self._heap = [planned for planned in self._heap if planned[2].uid != uid]
        heapq.heapify(self._heap)

    def _plan(self, at: float, fact: runtime.PodObservation) -> None:
        self._order += 1  # what is planned for the same moment keeps its order
        heapq.heappush(self._heap, (at, self._order, fact))

    def _state(self, uid: str, container: str) -> _Container | None:
        pod = self._pods.get(uid)
        return pod.containers.get(container) if pod else None

    def _image(self, uid: str, container: str) -> str:
        pod = self._pods.get(uid)
        if pod is None:
            return ""
        spec = pod.sandbox.spec
        for candidate in spec.containers + spec.init_containers:
            if candidate.name == container:
                return candidate.image
        return ""

    def _draw(self, span: tuple[float, float]) -> float:
        low, high = span
        return low if low == high else self._dice.uniform(low, high)

    @staticmethod
    def _started(
        uid: str, container: str, state: _Container, at: float
    ) -> runtime.ContainerStarted:
        return runtime.ContainerStarted(
            uid=uid,
            container=container,
            attempt=state.attempt,
            container_id=f"hollow://{uid}/{container}/{state.attempt}",
            ready=state.ready_at <= at,
        )

    @staticmethod
    def _exit(
        uid: str, container: str, attempt: int, code: int, signal: int = 0
    ) -> runtime.ContainerExited:
        return runtime.ContainerExited(
            uid=uid, container=container, attempt=attempt, exit_code=code, signal=signal
        )


class HollowRuntime:
    """`HollowPods` with a clock: implements `runtime.Runtime`."""

    name = "hollow"

    def __init__(
        self, node: str, settings: HollowSettings, clock: Callable[[], float]
    ) -> None:
        self._pods = HollowPods(node, settings)
        self._settings = settings
        self._clock = clock
        self._asked = asyncio.Event()

    async def open(self) -> None:
        """Nothing is left of a former life."""

    async def close(self) -> None:
        """Hollow pods end with their process."""

    def start_sandbox(self, sandbox: runtime.Sandbox) -> None:
        """See `runtime.Runtime`."""
        self._pods.start_sandbox(self._clock(), sandbox)
        self._asked.set()

    def remove_sandbox(self, uid: str) -> None:
        """See `runtime.Runtime`."""
        self._pods.remove_sandbox(self._clock(), uid)
        self._asked.set()

    def pull_image(self, uid: str, container: str) -> None:
        """See `runtime.Runtime`."""
        self._pods.pull_image(self._clock(), uid, container)
        self._asked.set()

    def start_container(self, uid: str, container: str, attempt: int) -> None:
        """See `runtime.Runtime`."""
        self._pods.start_container(self._clock(), uid, container, attempt)
        self._asked.set()

    def stop_container(self, uid: str, container: str) -> None:
        """See `runtime.Runtime`."""
        self._pods.stop_container(self._clock(), uid, container)
        self._asked.set()

    def kill_container(self, uid: str, container: str) -> None:
        """See `runtime.Runtime`."""
        self._pods.kill_container(self._clock(), uid, container)
        self._asked.set()

    def probe(
        self, uid: str, container: str, attempt: int, kind: runtime.ProbeKind
    ) -> None:
        """See `runtime.Runtime`."""
        self._pods.probe(self._clock(), uid, container, attempt, kind)
        self._asked.set()

    async def observations(self) -> list[runtime.PodObservation]:
        """See `runtime.Runtime`."""
        while True:
            self._asked.clear()
            facts = self._pods.observe(self._clock())
            if facts:
                return facts
            delay = self._pods.wake - self._clock()
            try:
                async with asyncio.timeout(None if delay == NEVER else max(delay, 0)):
                    await self._asked.wait()
            except TimeoutError:
                pass

    async def exec(
        self,
        uid: str,
        container: str,
        command: tuple[str, ...],
        timeout: float,  # noqa: ASYNC109  # the command's
    ) -> runtime.ExecResult:
        """There is nothing to run a command in: it succeeds and says nothing."""
        del command, timeout
        self._require(uid, container)
        return runtime.ExecResult(exit_code=0, output="")

    async def open_stream(
        self, uid: str, container: str, request: runtime.StreamRequest
    ) -> runtime.Stream:
        """There is nothing to open a session with: refused."""
        del request
        self._require(uid, container)
        raise errors.Rejected(
            "BadRequest",
            "this node is hollow: it runs nothing, so there is nothing to exec into or "
            "to attach to",
        )

    async def logs(
        self, uid: str, container: str, options: runtime.LogOptions
    ) -> AsyncIterator[bytes]:
        """Hollow containers say nothing."""
        self._require(uid, container)
        if options.follow:
            yield b""

    async def usage(self) -> tuple[runtime.ContainerUsage, ...]:
        """See `runtime.Runtime`."""
        return self._pods.usage(self._clock())

    def held(self) -> tuple[runtime.HeldPod, ...]:
        """See `runtime.Runtime`: nothing of a hollow pod outlives its process."""
        return ()

    def list(self) -> tuple[runtime.SandboxState, ...]:
        """See `runtime.Runtime`."""
        return self._pods.list()

    def node_info(self) -> protocol.NodeInfo:
        """A node as large as the settings say."""
        room = {
            "cpu": self._settings.cpu,
            "memory": self._settings.memory,
            "pods": self._settings.pods,
        }
        return protocol.NodeInfo(
            capacity=room, allocatable=room, runtime="hollow://1", architecture="amd64"
        )

    def _require(self, uid: str, container: str) -> None:
        if container not in {n for s in self.list() if s.uid == uid for n in s.running}:
            raise LookupError(f'container "{container}" in pod "{uid}" does not run')
