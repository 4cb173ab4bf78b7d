"""Pods as ordinary processes of this machine; implements `runtime.Runtime`.

1. A container with a `command` runs as it is written. Without one its image is looked
   up in the image catalogue (`images.py`); what is not there cannot be pulled.
2. Each pod has an address of its own in 127.0.0.0/8, in `POD_IP`. Plain processes have
   to bind to it themselves; images of the catalogue do.
3. A port below 1024 that this user may not bind is served on 8000 + port; probes ask
   there, and `ROLLBOOK_ADDRESS` of the container says where it really listens.
4. Everything of a pod lies in one folder: `sandbox.json` (who runs, by pid and time of
   start), one folder per container with its working directory and logs.
5. Pods die with their kubelet, also with one that is killed (`child.py`, `reaper.py`).
   What a former life left all the same is killed by `open`. With `keep_pods` neither
   happens: the next life adopts what it finds, and cannot know their exit codes.
"""

import asyncio
import os
import platform
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Final

import psutil

from adapters import cancelling
from domain import errors, podspec, protocol
from kubelet import (
    addresses,
    child,
    container_logs,
    environment,
    images,
    launch,
    probes,
    sandboxes,
)
from kubelet import runtime as port

CHUNK: Final = 128 * 1024
RUNS_KEPT: Final = 2


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
        address_folder: Path | None = None,
    ) -> None:
        self._node = node
        self._folder = folder
        self._keep = keep_pods
        self._address_folder = address_folder
        self._catalogue = images.Catalogue(image_folders)
        self._present: set[str] = set()
        self._pods: dict[str, sandboxes.Pod] = {}
        self._facts: list[port.Observation] = []
        self._news = asyncio.Event()
        self._prober = probes.Prober()
        self._lock = -1
        self._life = secrets.token_hex(16)
        self._reaper: subprocess.Popen[bytes] | None = None
        self._addresses: addresses.Addresses | None = None

    # --- life ----------------------------------------------------------------------

    async def open(self) -> None:
        """See `port.Runtime`. Raises `Permanent` if another kubelet has the folder."""
        pods = self._folder / "pods"
        pods.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = sandboxes.lock(self._folder)
        self._addresses = addresses.Addresses(self._node, self._address_folder)
        left = sandboxes.saved(pods)
        if self._keep:
            for folder, record in left:
                self._adopt(folder, record)
            return
        if left:
            sandboxes.end_former_life([record for _, record in left], launch.MARK)
        for folder in pods.iterdir():
            shutil.rmtree(folder, ignore_errors=True)
        self._reaper = child.start_reaper(self._life)

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
        if self._reaper is not None:
            child.end_reaper(self._reaper, self._life)
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
                pod = sandboxes.Pod(sandbox.uid, self._addresses.allocate(), folder)
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
        if pod is None:
            return
        spec = pod.spec(container)
        begun = time.monotonic()
        image, policy = spec.image, spec.image_pull_policy
        try:
            full = images.normalise(image)
            # What a command names is there; the image's name means nothing then.
            known = bool(spec.command) or self._catalogue.find(image) is not None
        except ValueError as error:
            text = f'Failed to apply default image tag "{image}": {error}'
            self._not_pulled(uid, container, text, "InvalidImageName")
            return
        if not known and policy == "Never":
            text = f'Container image "{image}" is not present with pull policy of Never'
            self._not_pulled(uid, container, text, "ErrImageNeverPull")
            return
        present = known and policy != "Always" and full in self._present
        if not present:
            self._tell(port.ImagePulling(uid=uid, container=container))
        if not known:
            text = images.not_found(image)
            self._not_pulled(uid, container, text, "ErrImagePull")
            return
        self._present.add(full)
        took = time.monotonic() - begun
        self._tell(
            port.ImagePulled(
                uid=uid, container=container, present=present, seconds=took
            )
        )

    def start_container(self, uid: str, container: str, attempt: int) -> None:
        """See `port.Runtime`."""
        pod = self._pods.get(uid)
        if pod is None or pod.sandbox is None:
            self._cannot_start(
                uid, container, attempt, "CreateContainerError", "it has no sandbox"
            )
            return
        run = pod.runs.get(container)
        if run is None:
            run = pod.runs[container] = sandboxes.Run(container, pod.folder)
        if run.process is None:
            try:
                self._launch(pod, pod.sandbox, run, attempt)
            except environment.ConfigError as error:
                self._cannot_start(
                    uid, container, attempt, "CreateContainerConfigError", str(error)
                )
                return
            except (OSError, ValueError) as error:
                self._cannot_start(
                    uid, container, attempt, "RunContainerError", str(error)
                )
                return
        elif isinstance(run.process, child.Adopted):
            run.attempt = attempt  # what runs already is what is asked for
        assert run.process is not None
        pod.save()
        self._tell(
            port.ContainerStarted(
                uid=uid,
                container=container,
                attempt=run.attempt,
                container_id=f"process://{run.process.pid}",
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
        spec = pod.spec(container)
        wanted = {
            "Startup": spec.startup_probe,
            "Liveness": spec.liveness_probe,
            "Readiness": spec.readiness_probe,
        }[kind]
        if wanted is None:
            return
        self._spawn(pod, self._probe(pod, spec, attempt, kind, wanted))

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
        pod = self._pods.get(uid)
        run = pod.runs.get(container) if pod else None
        if pod is None or run is None or run.process is None:
            name = pod.name if pod else uid
            raise LookupError(f'container "{container}" in pod "{name}" does not run')
        code, output = await child.run(
            command, env=run.env, cwd=run.cwd, timeout=timeout
        )
        return port.ExecResult(exit_code=code, output=output.decode(errors="replace"))

    async def logs(
        self, uid: str, container: str, options: port.LogOptions
    ) -> AsyncIterator[bytes]:
        """See `port.Runtime`."""
        pod = self._pods.get(uid)
        run = pod.runs.get(container) if pod else None
        if pod is None or run is None:
            name = pod.name if pod else uid
            raise LookupError(f'container "{container}" in pod "{name}" has no logs')
        attempt = run.attempt - 1 if options.previous else run.attempt
        path = run.log_path(attempt)
        if not path.exists():
            raise LookupError(f'run {attempt} of "{container}" in "{pod.name}" is gone')
        reader = container_logs.LogReader(
            path, since=options.since, timestamps=options.timestamps
        )
        try:
            for chunk in container_logs.chunks(reader.first(options.tail), CHUNK):
                yield chunk
            follow = options.follow and not options.previous
            while follow:
                follow = run.process is not None and run.attempt == attempt
                for chunk in container_logs.chunks(reader.more(), CHUNK):
                    yield chunk
                if follow:
                    await asyncio.sleep(0.2)
        finally:
            reader.close()

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
        room = {
            "cpu": str(os.cpu_count() or 1),
            "memory": f"{psutil.virtual_memory().total // 1024}Ki",
            "pods": "110",
        }
        try:
            image = platform.freedesktop_os_release()["PRETTY_NAME"]
        except (OSError, KeyError):
            image = platform.system()
        machine = platform.machine()
        return protocol.NodeInfo(
            capacity=room,
            allocatable=room,
            address=launch.HOST_IP,
            runtime=f"process://{platform.python_version()}",
            os_image=image,
            kernel_version=platform.release(),
            architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
            operating_system=platform.system().lower(),
        )

    # --- helpers -------------------------------------------------------------------

    def _launch(
        self,
        pod: sandboxes.Pod,
        sandbox: port.Sandbox,
        run: sandboxes.Run,
        attempt: int,
    ) -> None:
        spec = pod.spec(run.name)
        plan = launch.prepare(
            sandbox,
            spec,
            ip=pod.ip,
            root=run.root,
            catalogue=self._catalogue,
            life=self._life,
        )
        run.env, run.cwd = plan.env, plan.cwd
        self._open_log(run, attempt)

        def on_exit(code: int, number: int) -> None:
            self._ended(pod, run, attempt, code, number)

        log = run.log
        run.process = child.start(
            plan.command,
            env=plan.env,
            cwd=plan.cwd,
            on_exit=on_exit,
            on_output=None if log is None else log.write,
            output=run.log_path(attempt) if log is None else None,
            bound=not self._keep,
        )
        run.attempt = attempt
        run.ended = asyncio.Event()

    def _open_log(self, run: sandboxes.Run, attempt: int) -> None:
        """A pod that shall outlive this process writes its file itself."""
        run.folder.mkdir(parents=True, exist_ok=True)
        if run.log is not None:
            run.log.close()
        path = run.log_path(attempt)
        run.log = None if self._keep else container_logs.LogWriter(path)
        old = run.log_path(attempt - RUNS_KEPT)
        old.unlink(missing_ok=True)
        old.with_name(old.name + ".1").unlink(missing_ok=True)

    def _ended(
        self,
        pod: sandboxes.Pod,
        run: sandboxes.Run,
        attempt: int,
        code: int,
        number: int,
    ) -> None:
        adopted = isinstance(run.process, child.Adopted)
        run.process = None
        run.ended.set()
        if run.log is not None:
            run.log.close()
        if pod.uid in self._pods:
            pod.save()
        reason = message = ""
        if adopted:
            reason = "ContainerStatusUnknown"
            message = "The container outlived a kubelet, which cannot know its end"
        fact = port.ContainerExited(
            uid=pod.uid,
            container=run.name,
            attempt=attempt,
            exit_code=code,
            signal=number,
            reason=reason,
            message=message,
        )
        self._tell(fact)

    def _adopt(self, folder: Path, record: sandboxes.Record) -> None:
        assert self._addresses is not None
        pod = sandboxes.Pod(record.uid, self._addresses.allocate(record.ip), folder)
        for name, found in record.containers.items():
            if child.is_same(found.pid, found.created):
                run = pod.runs[name] = sandboxes.Run(name, folder)
                run.attempt = found.attempt
                run.process = child.Adopted(
                    found.pid, found.created, self._adopted_exit(pod, run)
                )
        self._pods[record.uid] = pod

    def _adopted_exit(self, pod: sandboxes.Pod, run: sandboxes.Run) -> child.OnExit:
        return lambda code, number: self._ended(pod, run, run.attempt, code, number)

    def _cannot_start(
        self, uid: str, container: str, attempt: int, reason: str, message: str
    ) -> None:
        self._tell(
            port.ContainerFailed(
                uid=uid,
                container=container,
                attempt=attempt,
                reason=reason,
                message=message,
            )
        )

    def _not_pulled(self, uid: str, container: str, text: str, reason: str) -> None:
        self._tell(
            port.ImageFailed(uid=uid, container=container, message=text, reason=reason)
        )

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
        self._pods.pop(pod.uid, None)
        for run in pod.runs.values():
            if run.log is not None:
                run.log.close()
        if self._addresses is not None:
            self._addresses.release(pod.ip)
        shutil.rmtree(pod.folder, ignore_errors=True)

    def _spawn(self, pod: sandboxes.Pod, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        pod.tasks.add(task)
        task.add_done_callback(pod.tasks.discard)

    async def _probe(
        self,
        pod: sandboxes.Pod,
        spec: podspec.Container,
        attempt: int,
        kind: port.ProbeKind,
        probe: podspec.Probe,
    ) -> None:
        async def execute(command: tuple[str, ...], seconds: float) -> port.ExecResult:
            return await self.exec(pod.uid, spec.name, command, seconds)

        def port_of(wanted: int | str) -> int:
            return launch.probed_port(spec, wanted)

        why = await self._prober.run(probe, ip=pod.ip, port_of=port_of, execute=execute)
        self._tell(
            port.Probed(
                uid=pod.uid,
                container=spec.name,
                attempt=attempt,
                kind=kind,
                success=not why,
                message=why,
            )
        )

    def _tell(self, fact: port.Observation) -> None:
        self._facts.append(fact)
        self._news.set()
