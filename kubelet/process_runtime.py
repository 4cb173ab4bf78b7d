"""Pods as ordinary processes of this machine; implements `runtime.Runtime`.

1. A container with a `command` runs as it is written. Without one its image is looked
   up in the image catalogue (`images.py`); what is not there cannot be pulled.
2. Each pod has an address of its own in 127.0.0.0/8, in `POD_IP`. Plain processes have
   to bind to it themselves; images of the catalogue do.
3. A port below 1024 that this user may not bind is served on 8000 + port; probes ask
   there, and `ROLLBOOK_ADDRESS` of the container says where it really listens.
4. Everything of a pod lies in one folder: `sandbox.json` (the pod, and who runs, by
   pid and start), `volumes`, one folder per container with its working directory, its
   logs and its exits. A volume appears in the working directory, at its mount path.
5. Containers run under shims (`shim.py`), which outlive the kubelet: `open` adopts the
   pods of its former life, `held` names them. After a restart of the machine nothing
   is adopted.
6. Without `keep_pods` the pods end with their kubelet, also with one that is killed;
   or, where it has a `supervisor` that starts it again, with that (`guard.py`).
"""

import asyncio
import contextlib
import os
import platform
import shutil
import signal
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path

from adapters import cancelling
from domain import errors, protocol
from kubelet import (
    addresses,
    adoption,
    child,
    guard,
    images,
    launch,
    machine,
    probes,
    probing,
    process_streams,
    process_usage,
    pulling,
    sandboxes,
    shims,
)
from kubelet import runtime as port


class ProcessRuntime:
    """See the rules at the top of the file."""

    name = "process"

    def __init__(
        self,
        node: str,
        folder: Path,
        *,
        image_folders: tuple[Path, ...] = (),
        keep_pods: bool = False,
        supervisor: int = 0,
    ) -> None:
        self._node = node
        self._folder = folder
        self._keep = keep_pods
        self._supervisor = supervisor
        self._puller = pulling.Puller(images.Catalogue(image_folders))
        self._pods: dict[str, sandboxes.Pod] = {}
        self._facts: list[port.Observation] = []
        self._news = asyncio.Event()
        self._prober = probes.Prober()
        self._shims = shims.Shims()
        self._lock = -1
        self._guard: guard.Guard | None = None
        self._addresses: addresses.Addresses | None = None
        self._held: tuple[port.HeldPod, ...] = ()

    # --- life ----------------------------------------------------------------------

    async def open(self) -> None:
        """See `port.Runtime`. Raises `Permanent` if another kubelet has the folder."""
        pods = self._folder / "pods"
        pods.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = sandboxes.lock(self._folder)
        self._guard = guard.Guard(self._folder)
        self._guard.end_former()
        self._addresses = addresses.Addresses(self._node)
        left = sandboxes.saved(pods)
        if self._keep or self._supervisor:
            self._adopt(left)
        else:
            sandboxes.end_former_life(left, launch.MARK)
        kept = {pod.folder for pod in self._pods.values()}
        for folder in pods.iterdir():
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)
        if not self._keep:
            self._guard.watch(self._supervisor or os.getpid())

    async def close(self) -> None:
        """See `port.Runtime`."""
        for pod in list(self._pods.values()):
            await cancelling.end(*pod.tasks)
            if self._keep:
                for run in pod.running():
                    if run.process is not None:
                        run.process.let_go()
            else:
                await self._end(pod)
        await self._prober.close()
        self._shims.close()
        if self._guard is not None:
            if not self._keep:
                self._guard.kill_all()
            self._guard.close()
        if self._addresses is not None:
            self._addresses.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # --- what the port asks --------------------------------------------------------

    def start_sandbox(self, sandbox: port.Sandbox) -> None:
        """See `port.Runtime`."""
        pod = self._pods.get(sandbox.uid)
        try:
            if pod is None:
                assert self._addresses is not None, "`open` comes first"
                label = f"{sandbox.namespace}_{sandbox.name}_{sandbox.uid}"
                folder = self._folder / "pods" / sandboxes.safe(label)
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                pod = sandboxes.Pod(sandbox, self._addresses.allocate(), folder)
                self._pods[sandbox.uid] = pod
            pod.sandbox = sandbox
            pod.save()
        except (OSError, errors.RollbookError) as error:
            self._tell(port.SandboxFailed(uid=sandbox.uid, message=str(error)))
            return
        self._tell(port.SandboxReady(uid=pod.uid, ip=pod.ip))

    def remove_sandbox(self, uid: str) -> None:
        """See `port.Runtime`."""
        pod = self._pods.get(uid)
        if pod is None:
            self._tell(port.SandboxRemoved(uid=uid))
            return

        async def remove() -> None:
            await self._end(pod)
            self._tell(port.SandboxRemoved(uid=uid))

        self._spawn(pod, remove())

    def pull_image(self, uid: str, container: str) -> None:
        """See `port.Runtime`."""
        pod = self._pods.get(uid)
        if pod is not None:
            spec = pod.spec(container)
            for fact in self._puller.pull(uid, spec):
                self._tell(fact)

    def start_container(self, uid: str, container: str, attempt: int) -> None:
        """See `port.Runtime`."""
        pod = self._pods.get(uid)
        try:
            if pod is None:
                raise LookupError("it has no sandbox")
            run = pod.runs.get(container)
            if run is None:
                run = pod.runs[container] = sandboxes.Run(container, pod.folder)
            if run.process is None:
                self._launch(pod, run, attempt)
        except launch.FAILURES as error:
            fact = port.ContainerFailed(
                uid=uid,
                container=container,
                attempt=attempt,
                reason=launch.waiting_reason(error),
                message=str(error),
            )
            self._tell(fact)
            return
        self._tell(
            port.ContainerStarted(
                uid=uid,
                container=container,
                attempt=run.attempt,
                container_id=adoption.container_id(run),
            )
        )

    def stop_container(self, uid: str, container: str) -> None:
        """See `port.Runtime`."""
        self._signal(uid, container, signal.SIGTERM)

    def kill_container(self, uid: str, container: str) -> None:
        """See `port.Runtime`."""
        self._signal(uid, container, signal.SIGKILL)

    def probe(
        self, uid: str, container: str, attempt: int, kind: port.ProbeKind
    ) -> None:
        """See `port.Runtime`."""
        pod = self._pods.get(uid)
        if pod is None:
            return
        spec, ip = pod.spec(container), pod.ip
        asked = port.Probed(
            uid=uid, container=container, attempt=attempt, kind=kind, success=False
        )

        async def ask() -> None:
            self._tell(await probing.ask(self._prober, self, ip, spec, asked))

        self._spawn(pod, ask())

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
        run = self._running(uid, container)
        code, output = await child.run(
            command, env=run.env, cwd=run.cwd, timeout=timeout
        )
        return port.ExecResult(exit_code=code, output=output.decode(errors="replace"))

    async def open_stream(
        self, uid: str, container: str, request: port.StreamRequest
    ) -> port.Stream:
        """See `port.Runtime`. Raises `OSError` if it cannot be started."""
        run = self._running(uid, container)
        if request.command:
            return process_streams.start(
                request, env=run.env, cwd=run.cwd, until=run.ended
            )
        process_streams.refuse_input(request, container)
        return process_streams.OutputStream(
            self.logs(uid, container, port.LogOptions(tail=0, follow=True))
        )

    async def logs(
        self, uid: str, container: str, options: port.LogOptions
    ) -> AsyncIterator[bytes]:
        """See `port.Runtime`."""
        pod = self._pods.get(uid)
        run = pod.runs.get(container) if pod else None
        if pod is None or run is None:
            name = pod.name if pod else uid
            raise LookupError(f'container "{container}" in pod "{name}" has no logs')
        async with contextlib.aclosing(run.log(pod.name, options)) as lines:
            async for chunk in lines:
                yield chunk

    async def usage(self) -> tuple[port.ContainerUsage, ...]:
        """See `port.Runtime`."""
        return process_usage.sample(
            process_usage.Started(
                pod.uid, run.name, run.process.pid, run.process.created
            )
            for pod in self._pods.values()
            for run in pod.running()
            if run.process is not None
        )

    def held(self) -> tuple[port.HeldPod, ...]:
        """See `port.Runtime`."""
        return self._held

    def list(self) -> tuple[port.SandboxState, ...]:
        """See `port.Runtime`."""
        return tuple(
            port.SandboxState(
                uid=pod.uid,
                ip=pod.ip,
                running=tuple(n for n, c in pod.runs.items() if c.process),
            )
            for pod in self._pods.values()
        )

    def node_info(self) -> protocol.NodeInfo:
        """See `port.Runtime`."""
        return machine.describe(f"process://{platform.python_version()}")

    # --- helpers -------------------------------------------------------------------

    def _running(self, uid: str, container: str) -> sandboxes.Run:
        """Raises `LookupError` if it does not run."""
        pod = self._pods.get(uid)
        run = pod.runs.get(container) if pod else None
        if run is None or run.process is None:
            name = pod.name if pod else uid
            raise LookupError(f'container "{container}" in pod "{name}" does not run')
        return run

    def _launch(self, pod: sandboxes.Pod, run: sandboxes.Run, attempt: int) -> None:
        assert self._guard is not None, "`open` comes first"
        run.make_room(attempt)
        plan = launch.prepare(
            pod.sandbox,
            pod.spec(run.name),
            ip=pod.ip,
            run=run,
            folder=pod.folder,
            catalogue=self._puller.catalogue,
            mark=self._guard.mark,
        )
        run.identity = self._shims.start(
            plan.command,
            env=plan.env,
            cwd=plan.cwd,
            files=run.files(attempt),
        )
        run.env, run.cwd, run.attempt = plan.env, plan.cwd, attempt
        run.ended = asyncio.Event()
        self._watch(pod, run)

    def _watch(self, pod: sandboxes.Pod, run: sandboxes.Run) -> None:
        assert run.identity is not None, "it was started here or before"
        attempt = run.attempt

        def on_exit(found: shims.Exit) -> None:
            run.process = None
            run.ended.set()
            self._tell(adoption.exited(pod, run, attempt, found))

        run.process = shims.Contained(run.identity, run.files(attempt).exit, on_exit)

    def _adopt(self, left: Iterable[tuple[Path, sandboxes.Record]]) -> None:
        assert self._addresses is not None, "`open` comes first"
        held = []
        for folder, record in left:
            if record.boot_id != machine.boot_id():
                continue
            ip = self._addresses.allocate(record.ip)
            pod = sandboxes.Pod(record.sandbox, ip, folder)
            self._pods[pod.uid] = pod
            found = []
            for run in adoption.restored(pod):
                pod.runs[run.name] = run
                if adoption.runs(run):
                    self._watch(pod, run)
                else:
                    run.ended.set()
                found.append(adoption.container(pod, run))
            held.append(
                port.HeldPod(sandbox=pod.sandbox, ip=ip, containers=tuple(found))
            )
        self._held = tuple(held)

    def _signal(self, uid: str, container: str, number: int) -> None:
        pod = self._pods.get(uid)
        run = pod.runs.get(container) if pod else None
        if run is not None and run.process is not None:
            run.process.signal_group(number)

    async def _end(self, pod: sandboxes.Pod) -> None:
        """Afterwards nothing is left of the pod, neither processes nor files."""
        for run in pod.running():
            self.kill_container(pod.uid, run.name)
        await asyncio.gather(*(run.ended.wait() for run in pod.running()))
        pod.kill_strays()
        self._pods.pop(pod.uid, None)
        if self._addresses is not None:
            self._addresses.release(pod.ip)
        shutil.rmtree(pod.folder, ignore_errors=True)

    def _spawn(self, pod: sandboxes.Pod, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        pod.tasks.add(task)
        task.add_done_callback(pod.tasks.discard)

    def _tell(self, fact: port.Observation) -> None:
        self._facts.append(fact)
        self._news.set()
