"""Pods as containers of an engine with Docker's API; implements `runtime.Runtime`.

1. A pod is an infra container of our own making, which holds the network, and its
   containers, which join it (`container_settings`, `container_pause`).
2. Nothing waits for an engine here: what is asked becomes a task, and what came of it
   is an observation (`container_work`). Ends are seen by `container_exits`.
3. Containers outlive this process. What a former life left is adopted by `open`; with
   `keep_pods` it is left by `close`, otherwise it is removed.
4. An engine that dies takes no pod along: when it is back, everything is compared.
   Only at `open` there has to be one.
"""

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from adapters import cancelling, engine
from adapters import engine_answers as answers
from domain import errors, podspec, protocol
from domain import node as domain_node
from kubelet import (
    container_cgroups,
    container_exits,
    container_images,
    container_machine,
    container_pause,
    container_processes,
    container_sandboxes,
    container_settings,
    container_streams,
    container_work,
    machine,
    probes,
    sandboxes,
)
from kubelet import runtime as port
from kubelet.container_sandboxes import Pod, Run

CLOSE_SECONDS: Final = 60.0


class ContainerRuntime:
    """See the rules at the top of the file."""

    name = "container"

    def __init__(
        self,
        node: str,
        folder: Path,
        *,
        engine_url: str = "",
        cluster: str = "",
        rules: container_settings.Rules | None = None,
        keep_pods: bool = False,
        environ: Mapping[str, str] | None = None,
        call_seconds: float = engine.CALL_SECONDS,
    ) -> None:
        """`cluster` tells the containers of two clusters on one engine apart; without
        it the folder does. An empty `engine_url` is looked for (adapters/engine.py)."""
        self._node = node
        self._folder = folder.absolute()  # the engine is told paths below it
        self._url = engine_url
        self._cluster = cluster
        self._rules = rules or container_settings.Rules()
        self._keep = keep_pods
        self._environ = os.environ if environ is None else environ
        self._seconds = call_seconds
        self._facts: list[port.Observation] = []
        self._news = asyncio.Event()
        self._prober = probes.Prober()
        self._lock = -1
        self._held: tuple[port.HeldPod, ...] = ()
        self._info = machine.describe("")
        self._loops: list[asyncio.Task[None]] = []
        self._opened: container_work.Ground | None = None
        self._exits_of: container_exits.Exits | None = None

    async def open(self) -> None:
        """See `port.Runtime`. Raises `Permanent` without an engine that can be used."""
        (self._folder / "pods").mkdir(mode=0o700, parents=True, exist_ok=True)
        # The files of Secrets are below: containers get in by their mounts.
        (self._folder / "pods").chmod(0o700)
        self._lock = sandboxes.lock(self._folder)
        docker = None
        try:
            docker = engine.Engine(await self._address(), call_seconds=self._seconds)
            ground = await self._prepare(docker)
            await ground.images.refresh()
            await self._adopt(ground)
        except (engine.EngineError, ValueError, OSError) as error:
            raise errors.Permanent(f"the container engine: {error}") from error
        finally:
            if self._opened is None:
                if docker is not None:
                    await docker.close()
                self._unlock()
        exits = self._exits_of = container_exits.Exits(ground)
        changed = functools.partial(self._tell, port.NodeChanged())
        self._loops = [
            asyncio.create_task(exits.watch()),
            asyncio.create_task(exits.patrol()),
            asyncio.create_task(ground.images.follow(changed)),
        ]

    async def close(self) -> None:
        """See `port.Runtime`. A dead engine keeps its pods after `CLOSE_SECONDS`."""
        ground = self._opened
        if ground is not None:
            if not self._keep:
                work = self._work(ground)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        pods = list(ground.pods.values())
                        await asyncio.gather(*(work.remove(pod) for pod in pods))
            await cancelling.end(*self._loops, *ground.tasks, *ground.images.tasks())
            ground.watch.close()
            ground.processes.close()
            await ground.engine.close()
            self._opened = None
        await self._prober.close()
        self._unlock()

    # --- what the port asks --------------------------------------------------------

    def start_sandbox(self, sandbox: port.Sandbox) -> None:
        """See `port.Runtime`."""
        ground = self._ground
        pod = ground.pods.get(sandbox.uid)
        if pod is None:
            place = container_sandboxes.pod_folder(ground.folder, sandbox.uid)
            pod = ground.pods[sandbox.uid] = Pod(sandbox, place)
        pod.sandbox = sandbox
        pod.save()
        ground.spawn(self._work(ground).set_up(pod))

    def remove_sandbox(self, uid: str) -> None:
        """See `port.Runtime`."""
        pod = self._ground.pods.get(uid)
        if pod is None:
            self._tell(port.SandboxRemoved(uid=uid))
        elif not pod.going:
            pod.going = True
            self._ground.spawn(self._work(self._ground).remove(pod))

    def pull_image(self, uid: str, container: str) -> None:
        """See `port.Runtime`."""
        pod = self._ground.pods.get(uid)
        if pod is not None:
            spec = pod.spec(container)
            self._ground.spawn(self._ground.images.pull(uid, spec, self._tell))

    def start_container(self, uid: str, container: str, attempt: int) -> None:
        """See `port.Runtime`."""
        pod = self._ground.pods.get(uid)
        if pod is None:
            failed = port.ContainerFailed(
                uid=uid,
                container=container,
                attempt=attempt,
                reason="CreateContainerError",
                message="it has no sandbox",
            )
            self._tell(failed)
            return
        self._ground.spawn(self._work(self._ground).start(pod, container, attempt))

    def stop_container(self, uid: str, container: str) -> None:
        """See `port.Runtime`."""
        self._signal(uid, container, kill=False)

    def kill_container(self, uid: str, container: str) -> None:
        """See `port.Runtime`."""
        self._signal(uid, container, kill=True)

    def probe(
        self, uid: str, container: str, attempt: int, kind: port.ProbeKind
    ) -> None:
        """See `port.Runtime`."""
        pod = self._ground.pods.get(uid)
        if pod is not None:
            self._ground.spawn(self._probe(pod, container, attempt, kind))

    async def observations(self) -> list[port.Observation]:
        """See `port.Runtime`."""
        while not self._facts:
            self._news.clear()
            await self._news.wait()
        facts, self._facts = self._facts, []
        return facts

    async def exec(
        self,
        uid: str,
        container: str,
        command: tuple[str, ...],
        timeout: float,  # noqa: ASYNC109  # the command is killed then
    ) -> port.ExecResult:
        """See `port.Runtime`. Raises `OSError` if it cannot be started."""
        pod, run = self._running(uid, container)
        docker = self._ground.engine
        return await container_streams.execute(docker, pod, run, command, timeout)

    async def logs(
        self, uid: str, container: str, options: port.LogOptions
    ) -> AsyncIterator[bytes]:
        """See `port.Runtime`. Raises `OSError` if the engine does not answer."""
        pod = self._ground.pods.get(uid)
        run = pod.runs.get(container) if pod else None
        wanted = ""
        if run is not None:
            wanted = run.previous_id if options.previous else run.id
        if not wanted:
            name = pod.sandbox.name if pod else uid
            raise LookupError(f'container "{container}" in pod "{name}" has no logs')
        if run is not None and not (run.alive and run.id == wanted):
            await container_exits.drained(self._ground.engine, wanted)
        async for chunk in container_streams.logs(self._ground.engine, wanted, options):
            yield chunk

    async def open_stream(
        self, uid: str, container: str, request: port.StreamRequest
    ) -> port.Stream:
        """See `port.Runtime`. Raises `OSError` if the engine refuses."""
        pod, run = self._running(uid, container)
        docker = self._ground.engine
        return await container_streams.open_stream(docker, pod, run, request)

    async def usage(self) -> tuple[port.ContainerUsage, ...]:
        """See `port.Runtime`: from the kernel, else from the engine."""
        runs = [
            (pod.uid, run)
            for pod in self._ground.pods.values()
            for run in pod.runs.values()
            if run.alive
        ]
        found = await asyncio.gather(*(self._used(uid, run) for uid, run in runs))
        return tuple(each for each in found if each is not None)

    def held(self) -> tuple[port.HeldPod, ...]:
        """See `port.Runtime`."""
        return self._held

    def list(self) -> tuple[port.SandboxState, ...]:
        """See `port.Runtime`."""
        return tuple(
            port.SandboxState(
                uid=pod.uid,
                ip=pod.ip,
                running=tuple(n for n, run in pod.runs.items() if run.alive),
            )
            for pod in self._ground.pods.values()
        )

    def node_info(self) -> protocol.NodeInfo:
        """See `port.Runtime`. A node whose engine does not answer has a taint that says
        how: what it runs runs on, and new pods go elsewhere."""
        ground = self._opened
        if ground is None:
            return self._info
        how, images = ground.trouble or "", ground.images.listed
        away = podspec.Taint(
            key=domain_node.ENGINE_TAINT, value=how, effect="NoSchedule"
        )
        taints = (away,) if how else ()
        return msgspec.structs.replace(self._info, taints=taints, images=images)

    # --- helpers -------------------------------------------------------------------

    @property
    def _ground(self) -> container_work.Ground:
        assert self._opened is not None, "`open` comes first"
        return self._opened

    def _work(self, ground: container_work.Ground) -> container_work.Work:
        exits = self._exits_of or container_exits.Exits(ground)
        return container_work.Work(ground, exits)

    async def _address(self) -> str:
        if self._url:
            return self._url
        found = await engine.find(self._environ)
        if found is None:
            raise errors.Permanent(
                "no container engine answers: start Docker or Podman (podman system "
                "service), or name its socket in DOCKER_HOST"
            )
        return found.url

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _prepare(self, docker: engine.Engine) -> container_work.Ground:
        """Asks who the engine is, and hands it the image of infra containers."""
        version, info = await docker.version(), await docker.info()
        pause = container_pause.image_name(version.arch)
        if await docker.image(pause) is None:
            await docker.load(container_pause.archive(version.arch))
        cluster = self._cluster or container_sandboxes.scope(self._folder)
        traits = container_settings.Traits(
            podman=version.name == "podman",
            memory=info.memory_limit,
            swap=info.swap_limit,
            cpu=info.cpu_cfs_quota,
            pids=info.pids_limit,
        )
        host_ip = container_machine.host_address()
        self._info = container_machine.describe(version, info, host_ip)
        return container_work.Ground(
            engine=docker,
            owner=container_sandboxes.owner(cluster, self._node),
            folder=self._folder,
            images=container_images.Images(docker, self._environ),
            rules=self._rules,
            traits=traits,
            pause=pause,
            host_ip=host_ip,
            scheme=version.name,
            tell=self._tell,
            pods={},
            watch=container_cgroups.OomWatch(),
            processes=container_processes.ExitWatch(),
            tasks=set(),
        )

    async def _adopt(self, ground: container_work.Ground) -> None:
        docker = ground.engine
        label = f"{container_sandboxes.OWNER}={ground.owner}"
        listed = await docker.list(label)
        seen = await asyncio.gather(*(docker.inspect(each.id) for each in listed))
        known = {each.id: each for each in seen if each is not None}
        pods, strays = container_sandboxes.adopt(known.values(), self._folder)
        await asyncio.gather(*(docker.remove(each) for each in strays))
        ground.pods.update(pods)
        exits = container_exits.Exits(ground)
        held = []
        for pod in pods.values():
            containers = []
            for run in pod.runs.values():
                found = known[run.id]
                run.stop_signal = str(found.config.stop_signal) or "TERM"
                if run.alive:
                    container_work.watch_memory(ground, run, found)
                    exits.watch_process(pod, run, found.state.pid)
                containers.append(await _held(ground, exits, pod, run, found))
            held.append(
                port.HeldPod(
                    sandbox=pod.sandbox, ip=pod.ip, containers=tuple(containers)
                )
            )
        self._held = tuple(held)
        self._opened = ground

    def _running(self, uid: str, container: str) -> tuple[Pod, Run]:
        pod = self._ground.pods.get(uid)
        run = pod.runs.get(container) if pod else None
        if pod is None or run is None or not run.alive:
            name = pod.sandbox.name if pod else uid
            raise LookupError(f'container "{container}" in pod "{name}" does not run')
        return pod, run

    def _signal(self, uid: str, container: str, *, kill: bool) -> None:
        pod = self._ground.pods.get(uid)
        if pod is not None:
            work = self._work(self._ground)
            self._ground.spawn(work.signal(pod, container, kill=kill))

    async def _used(self, uid: str, run: Run) -> port.ContainerUsage | None:
        found = run.cgroup.usage() if run.cgroup else None
        if found is None:
            try:
                stats = await self._ground.engine.stats(run.id)
            except engine.EngineError:
                return None  # it has just ended, or the engine is away
            memory = stats.memory_stats
            idle = memory.stats or {}
            unused = idle.get("total_inactive_file", idle.get("inactive_file", 0))
            nanos = stats.cpu_stats.cpu_usage.total_usage
            found = nanos / 1e9, max(memory.usage - unused, 0)
        return port.ContainerUsage(
            uid=uid, container=run.name, cpu_seconds=found[0], memory_bytes=found[1]
        )

    async def _probe(
        self, pod: Pod, container: str, attempt: int, kind: port.ProbeKind
    ) -> None:
        spec = pod.spec(container)
        wanted = {
            "Startup": spec.startup_probe,
            "Liveness": spec.liveness_probe,
            "Readiness": spec.readiness_probe,
        }[kind]
        if wanted is None:
            return

        def port_of(name: int | str) -> int:
            if isinstance(name, int) or name.isdecimal():
                return int(name)
            for each in spec.ports:
                if each.name == name:
                    return each.container_port
            raise LookupError(f'couldn\'t find port: "{name}"')

        async def execute(command: tuple[str, ...], seconds: float) -> port.ExecResult:
            return await self.exec(pod.uid, container, command, seconds)

        why = await self._prober.run(
            wanted, ip=pod.ip, port_of=port_of, execute=execute
        )
        self._tell(
            port.Probed(
                uid=pod.uid,
                container=container,
                attempt=attempt,
                kind=kind,
                success=not why,
                message=why,
            )
        )

    def _tell(self, fact: port.Observation) -> None:
        self._facts.append(fact)
        self._news.set()


async def _held(
    ground: container_work.Ground,
    exits: container_exits.Exits,
    pod: Pod,
    run: Run,
    found: answers.Inspected,
) -> port.HeldContainer:
    identity = f"{ground.scheme}://{run.id}"
    began = container_sandboxes.started_at(found)
    if run.alive:
        return port.HeldContainer(
            name=run.name,
            attempt=run.attempt,
            container_id=identity,
            started_at=began,
        )
    code, reason, message = container_exits.outcome(found, oom=False)
    return port.HeldContainer(
        name=run.name,
        attempt=run.attempt,
        container_id=identity,
        started_at=began,
        running=False,
        finished_at=container_sandboxes.finished_at(found),
        exit_code=code,
        signal=container_exits.signal_of(code),
        reason=reason,
        message=await exits.last_words(pod, run, code) or message,
    )
