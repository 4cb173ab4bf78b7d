"""What the container runtime does for one pod: set up, start, signal, take down.

1. A pod's lock is held while its infra container is made or removed, a run's lock while
   that run is started, signalled or found ended: so what was asked first is done first.
2. What an engine refuses is told with its words. What it does not answer is asked again
   where nobody else would ask: signals and removals are never given up.
3. A container whose start failed is removed; if even that fails, it is a stray that
   `container_exits` finds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from adapters import engine
from adapters import engine_answers as answers
from domain import podspec
from kubelet import (
    container_cgroups,
    container_images,
    container_processes,
    container_sandboxes,
    container_settings,
    container_volumes,
    environment,
)
from kubelet import runtime as port
from kubelet.container_sandboxes import INFRA, Pod, Run

RETRY_MIN: Final = 0.2
RETRY_MAX: Final = 5.0
END_SECONDS: Final = 20.0
END_POLL_MAX: Final = 0.2
T = TypeVar("T")
Trouble = engine.Trouble

_log = logging.getLogger(__name__)


class Ground(msgspec.Struct, kw_only=True):
    """What all parts of one container runtime share."""

    engine: engine.Engine
    owner: str
    folder: Path
    images: container_images.Images
    rules: container_settings.Rules
    traits: container_settings.Traits
    pause: str
    host_ip: str
    scheme: str
    """`docker` or `podman`, the beginning of a container's id."""
    tell: Callable[[port.Observation], None]
    pods: dict[str, Pod]
    watch: container_cgroups.OomWatch
    processes: container_processes.ExitWatch
    tasks: set[asyncio.Task[None]]
    trouble: Trouble | None = None
    """What is wrong with the engine."""

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Works on it beside everything else; a bug in it is logged and stays there."""
        task = asyncio.get_running_loop().create_task(_guarded(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Ends(Protocol):
    """Who tells the ends of containers."""

    async def settle(self, pod: Pod, run: Run, found: answers.Inspected | None) -> None:
        """Tells how a run has ended, while its lock is held."""

    def watch_process(self, pod: Pod, run: Run, pid: int) -> None:
        """Finds out when it ends."""


class Work:
    """The operations."""

    def __init__(self, ground: Ground, ends: Ends) -> None:
        self._ground = ground
        self._ends = ends

    async def set_up(self, pod: Pod) -> None:
        """Tells `SandboxReady`, or `SandboxFailed`."""
        spec = pod.sandbox.spec
        images = [each.image for each in (*spec.init_containers, *spec.containers)]
        self._ground.spawn(self._ground.images.look(images))
        try:
            async with pod.lock:
                await self._ensure_infra(pod)
        except (engine.EngineError, environment.ConfigError, OSError) as error:
            self._ground.tell(port.SandboxFailed(uid=pod.uid, message=str(error)))
            return
        self._ground.tell(port.SandboxReady(uid=pod.uid, ip=pod.ip))

    async def start(self, pod: Pod, name: str, attempt: int) -> None:
        """Tells `ContainerStarted`, or `ContainerFailed`."""
        run = pod.run(name)
        async with run.lock:
            if run.alive:
                if run.adopted:
                    run.attempt = attempt  # what runs already is what is asked for
                self._started(pod, run)
                return
            failed = await self._try_start(pod, run, attempt)
            if failed and await self._has_lost_network(pod):
                failed = await self._try_start(pod, run, attempt)
            if failed:
                self._ground.tell(failed)

    async def signal(self, pod: Pod, name: str, *, kill: bool) -> None:
        """It has got the signal, unless it has ended: then that is told.

        The lock is not held meanwhile: some engines answer a KILL when it has taken
        effect, a quarter of a second later than it can be told.
        """
        run = pod.runs.get(name)
        if run is None:
            return
        async with run.lock:  # a start that is under way comes first
            alive, identity = run.alive, run.id
            number = "KILL" if kill else run.stop_signal
        docker = self._ground.engine
        if not alive or await persist(lambda: docker.kill(identity, number)):
            return
        async with run.lock:
            if run.alive and run.id == identity:
                found = await persist(lambda: docker.inspect(identity))
                if found is None or not found.state.running:
                    await self._ends.settle(pod, run, found)

    async def remove(self, pod: Pod) -> None:
        """Tells `SandboxRemoved` when nothing is left; not sooner."""
        pod.going = True
        async with pod.lock:
            await persist(lambda: self._take_down(pod))
            await container_volumes.remove(pod.folder)
            self._ground.pods.pop(pod.uid, None)
        self._ground.tell(port.SandboxRemoved(uid=pod.uid))

    # --- the infra container -------------------------------------------------------

    async def _ensure_infra(self, pod: Pod) -> None:
        if pod.infra:
            return
        if pod.going:
            raise environment.ConfigError("the pod is being removed")
        ground, sandbox = self._ground, pod.sandbox
        body = container_settings.infra(
            sandbox,
            image=ground.pause,
            labels=container_sandboxes.labels(ground.owner, sandbox, INFRA, 0),
            rules=ground.rules,
        )
        name = container_sandboxes.container_name(ground.owner, sandbox, INFRA, 0)
        made = await self._replace(name, body)
        try:
            await ground.engine.start(made)
            found = await ground.engine.inspect(made)
            if found is None or not found.state.running:
                raise engine.EngineError("the infra container has ended at once")
            ip = ground.host_ip if sandbox.spec.host_network else found.ip
            if not ip:
                raise engine.EngineError("the engine has given the pod no address")
        except engine.EngineError:
            await self._discard(made)
            raise
        pod.infra, pod.ip = made, ip

    async def _join(self, pod: Pod) -> None:
        """The pod has its network afterwards; a new one, if the infra container was
        lost."""
        async with pod.lock:
            had = pod.infra
            await self._ensure_infra(pod)
        if pod.infra != had:
            self._ground.tell(port.SandboxReady(uid=pod.uid, ip=pod.ip))

    async def _has_lost_network(self, pod: Pod) -> bool:
        """Whether that may be why a start failed; then another one can be made."""
        docker = self._ground.engine
        async with pod.lock:
            if not pod.infra:
                return True
            try:
                found = await docker.inspect(pod.infra)
            except engine.EngineError:
                return False
            if found is not None and found.state.running:
                return False
            lost, pod.infra = pod.infra, ""
        await self._discard(lost)
        return True

    # --- a container ---------------------------------------------------------------

    async def _try_start(
        self, pod: Pod, run: Run, attempt: int
    ) -> port.ContainerFailed | None:
        """Why it could not be started; None if it was, and that is told."""
        reason = "CreateContainerError"
        try:
            if pod.going:
                raise LookupError("the pod is being removed")
            made = await self._create(pod, run, run.name, attempt)
            reason = "RunContainerError"
            await self._start(pod, run, run.name, made, attempt)
        except environment.ConfigError as error:
            reason, message = "CreateContainerConfigError", str(error)
        except (engine.EngineError, LookupError) as error:
            message = str(error.args[0]) if error.args else str(error)
        except OSError as error:
            message = str(error)
        else:
            return None
        return port.ContainerFailed(
            uid=pod.uid,
            container=run.name,
            attempt=attempt,
            reason=reason,
            message=message,
        )

    async def _create(self, pod: Pod, run: Run, name: str, attempt: int) -> str:
        ground, sandbox, spec = self._ground, pod.sandbox, pod.spec(name)
        await self._join(pod)
        image = await ground.images.find(spec.image)
        if image is None:
            raise engine.EngineError(f'image "{spec.image}" is not on this machine')
        user = image.config.user if image.config else ""
        container_settings.check_non_root(sandbox, spec, user)
        variables = environment.build(
            sandbox,
            spec,
            ip=pod.ip,
            host_ip=ground.host_ip,
            inherited={},
            image={},
        )
        folders = await container_volumes.prepare(
            sandbox, pod.folder / "volumes", ip=pod.ip, host_ip=ground.host_ip
        )
        mounts = container_volumes.mounts(
            sandbox, spec, folders, ground.rules, variables
        )
        words = container_volumes.last_words_mount(
            spec, pod.message_path(name, attempt)
        )
        body = container_settings.container(
            sandbox,
            spec,
            image=image.id,
            infra_id=pod.infra,
            env=variables,
            mounts=(*mounts, words),
            labels=container_sandboxes.labels(ground.owner, sandbox, name, attempt),
            rules=ground.rules,
            traits=ground.traits,
        )
        unique = container_sandboxes.container_name(
            ground.owner, sandbox, name, attempt
        )
        made = await self._replace(unique, body)
        if made == run.id:
            run.id = ""
        return made

    async def _start(
        self, pod: Pod, run: Run, name: str, made: str, attempt: int
    ) -> None:
        docker = self._ground.engine
        run.oom, run.cgroup = False, None
        try:
            limited = "memory" in pod.spec(name).resources.limits
            if limited and self._ground.traits.podman:
                # Before its first instruction: it may run out of memory at once.
                await docker.initialise(made)
                self._watch(run, await docker.inspect(made))
            await docker.start(made)
            found = await docker.inspect(made)
            if found is None:
                raise engine.EngineError("the container is gone after its start")
        except engine.EngineError:
            await self._discard(made)
            raise
        oldest, run.previous_id, run.id = run.previous_id, run.id, made
        run.attempt, run.alive, run.adopted = attempt, True, False
        signal = str(found.config.stop_signal)
        run.stop_signal = signal or "TERM"
        if run.cgroup is None:
            self._watch(run, found)
        self._started(pod, run)
        if found.state.running:
            self._ends.watch_process(pod, run, found.state.pid)
        else:
            await self._ends.settle(pod, run, found)
        if oldest:
            await self._discard(oldest)

    def _watch(self, run: Run, found: answers.Inspected | None) -> None:
        if found is not None and found.state.pid:
            watch_memory(self._ground, run, found)

    def _started(self, pod: Pod, run: Run) -> None:
        self._ground.tell(
            port.ContainerStarted(
                uid=pod.uid,
                container=run.name,
                attempt=run.attempt,
                container_id=f"{self._ground.scheme}://{run.id}",
            )
        )

    async def _replace(self, name: str, body: container_settings.Body) -> str:
        """A new container of that name, instead of one that an attempt before left."""
        docker = self._ground.engine
        try:
            return await docker.create(name, body)
        except engine.Unavailable:
            raise
        except engine.EngineError as error:
            left = await docker.inspect(name)
            marks = (left.config.labels or {}) if left else {}
            if left is None or marks.get(container_sandboxes.OWNER) != (
                self._ground.owner
            ):
                raise error
            await docker.remove(left.id)
            return await docker.create(name, body)

    async def _discard(self, container: str) -> None:
        try:
            await self._ground.engine.remove(container)
        except engine.EngineError as error:
            _log.warning("a container is left for later: %s", error)

    # --- the end -------------------------------------------------------------------

    async def _take_down(self, pod: Pod) -> None:
        docker, ground = self._ground.engine, self._ground
        await asyncio.gather(*(self._end(pod, run) for run in pod.runs.values()))
        mine = f"{container_sandboxes.UID}={pod.uid}"
        infra = []
        for each in await docker.list(mine):
            marks = each.labels or {}
            if marks.get(container_sandboxes.OWNER) != ground.owner:
                continue
            if marks.get(container_sandboxes.CONTAINER) == INFRA:
                infra.append(each.id)
            else:
                await docker.remove(each.id)
        for last in infra:
            await docker.remove(last)
        pod.infra = ""

    async def _end(self, pod: Pod, run: Run) -> None:
        docker = self._ground.engine
        async with run.lock:
            if not run.alive:
                return
            await docker.kill(run.id, "KILL")
            pause = 0.01
            async with asyncio.timeout(END_SECONDS):
                while True:
                    found = await docker.inspect(run.id)
                    if found is None or not found.state.running:
                        break
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, END_POLL_MAX)
            await self._ends.settle(pod, run, found)


def watch_memory(ground: Ground, run: Run, found: answers.Inspected) -> None:
    """Afterwards `run.oom` becomes true when it is killed for its memory."""
    run.cgroup = container_cgroups.find(found.state.pid)

    def killed() -> None:
        run.oom = True

    if run.cgroup is not None:
        ground.watch.add(found.id, run.cgroup, killed)


def spec_of(pod: Pod, name: str) -> podspec.Container | None:
    """The specification of a container; None if the pod has none of that name."""
    try:
        return pod.spec(name)
    except LookupError:
        return None


async def persist(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks until there is an answer, less and less often."""
    pause = RETRY_MIN
    while True:
        try:
            return await ask()
        except (engine.EngineError, TimeoutError) as error:
            _log.warning("asked again in %g s: %s", pause, error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, RETRY_MAX)


async def _guarded(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except Exception:
        _log.exception("work on a pod has failed")
