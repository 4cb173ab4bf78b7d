"""One pod's lifecycle: sandbox, init containers, containers, the end. Pure.

1. `now` and observations come in; what the runtime shall do comes out as effects, in
   order. No I/O, no clock, no dice.
2. Init containers run one after the other, each to success; one with the restart
   policy Always (a sidecar) only has to have started. Then all containers begin.
3. The phase follows spec 4.1: a pod whose container waits in CrashLoopBackOff is
   Running. It never leaves Succeeded or Failed.
4. `stop` says TERM to all, KILL after the grace; when the last container has ended
   the sandbox is removed, and then the status says `removed`, once.
5. After `activeDeadlineSeconds` all containers are stopped with the pod's grace; when
   the last has ended the pod is Failed, and stays until it is told to stop.
6. `restore` takes the place of `start` for a pod that runs already.

A container's own transitions are in `containers.py`.
"""

from typing import Final

import msgspec

from domain import podspec, protocol
from domain.pod_values import references
from kubelet import backoff, containers, runtime
from kubelet.effects import Effect as Effect
from kubelet.effects import Fact, ValuesFetched
from kubelet.effects import FetchValues as FetchValues
from kubelet.effects import KillContainer as KillContainer
from kubelet.effects import PullImage as PullImage
from kubelet.effects import RemoveSandbox as RemoveSandbox
from kubelet.effects import RunHook as RunHook
from kubelet.effects import RunProbe as RunProbe
from kubelet.effects import StartContainer as StartContainer
from kubelet.effects import StartSandbox as StartSandbox
from kubelet.effects import StopContainer as StopContainer

NEVER: Final = float("inf")
SANDBOX_RETRY: Final = 10.0
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
DEADLINE_TEXT: Final = "Pod was active on the node longer than the specified deadline"


class LifecycleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`backoff_cap`: the longest wait before a restart, 1 to 300 s (spec 4.4).

    Without `notes` nothing is said to people about pods, and without `chores` there is
    nobody who runs hooks and fetches values (hollow nodes).
    """

    backoff_cap: float = backoff.CAP
    notes: bool = True
    chores: bool = False


class PodLifecycle:
    """One pod of this node. The inputs return effects; then ask for `changed`."""

    __slots__ = (
        "_containers", "_effects", "_expired", "_init", "_initialized", "_ip",
        "_kill_at", "_notes", "_phase", "_removed", "_removing", "_retry_at",
        "_sandboxed", "_settings", "_shown", "_started_at", "_stopping", "pod",
    )  # fmt: skip

    def __init__(
        self, pod: runtime.Sandbox, settings: LifecycleSettings | None = None
    ) -> None:
        self.pod = pod
        self._settings = settings or LifecycleSettings()
        self._effects: list[Effect] = []
        self._notes: list[protocol.Note] = []
        self._expired = False  # its activeDeadlineSeconds are over
        self._init = [self._machine(c, init=True) for c in pod.spec.init_containers]
        self._containers = [self._machine(c) for c in pod.spec.containers]
        self._initialized = not self._init
        self._ip = ""
        self._phase: protocol.PodPhase = "Pending"
        self._sandboxed = False
        self._stopping = False
        self._removing = False
        self._removed = False
        self._kill_at = NEVER
        self._retry_at = NEVER
        self._started_at = 0.0
        self._shown: protocol.PodStatus | None = None

    # --- inputs --------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """The pod was assigned: set it up."""
        self._started_at = now
        self._effects.append(StartSandbox())
        return self._finish()

    def restore(
        self, now: float, held: runtime.HeldPod, told: protocol.PodStatus | None
    ) -> list[Effect]:
        """It runs since a former life of the kubelet, which `told` that of it: it goes
        on from there. What was never started begins."""
        begun = [each.started_at for each in held.containers if each.started_at]
        self._started_at = min(begun, default=now)
        self._ip, self._sandboxed = held.ip, True
        statuses: dict[str, protocol.ContainerStatus] = {}
        over = False
        if told is not None:
            self._started_at = told.started_at or self._started_at
            if told.phase in ("Succeeded", "Failed"):
                self._phase, over = told.phase, True
                self._expired = told.reason == DEADLINE_EXCEEDED
            statuses = {
                each.name: each for each in (*told.init_containers, *told.containers)
            }
        for each in held.containers:
            machine = self._find(each.name)
            if machine is not None:
                machine.stopping = over or self._deadline <= now  # so: no restart
                machine.restore(now, each, statuses.get(each.name))
        if self._deadline <= now:
            self._expire(now)
        self._advance()
        return self._finish()

    def update(self, now: float, spec: podspec.PodSpec) -> list[Effect]:
        """The pod is `spec` now: containers of another image are run anew. The runtime
        is told first, by the sandbox, which stays what it is."""
        self.pod = msgspec.structs.replace(self.pod, spec=spec)
        if self._sandboxed and not self._removing:
            self._effects.append(StartSandbox())
        for each in (*spec.init_containers, *spec.containers):
            machine = self._find(each.name)
            if machine is not None:
                machine.change(now, each)
        return self._finish()

    def stop(self, now: float, grace: float) -> list[Effect]:
        """The pod is to end within `grace` seconds; a later call can only shorten."""
        kill_at = now + max(grace, 0.0)
        if self._removing or (self._stopping and kill_at >= self._kill_at):
            return self._finish()
        self._stopping = True
        self._kill_at = kill_at
        self._retry_at = NEVER
        for machine in self._all():
            machine.stop(now, kill_at=kill_at, graceful=grace > 0)
        self._advance()
        return self._finish()

    def observe(self, now: float, fact: Fact) -> list[Effect]:
        """One observation about this pod."""
        match fact:
            case runtime.SandboxReady():
                self._ip = fact.ip
                self._sandboxed = True
            case runtime.SandboxFailed():
                self._on_sandbox_failed(now, fact)
            case runtime.SandboxRemoved():
                self._removed = self._removing
            case ValuesFetched():
                self.pod = msgspec.structs.replace(self.pod, values=fact.values)
                if self._sandboxed and not self._removing:
                    self._effects.append(StartSandbox())  # so the runtime has them too
                self._to_container(now, fact.container, fact)
            case _:
                self._to_container(now, fact.container, fact)
        self._advance()
        return self._finish()

    def tick(self, now: float) -> list[Effect]:
        """Time has passed: attempts, kills and probes that are due."""
        if self._retry_at <= now:
            self._retry_at = NEVER
            self._effects.append(StartSandbox())
        if self._deadline <= now:
            self._expire(now)
        for machine in self._all():
            machine.tick(now)
        self._advance()
        return self._finish()

    # --- outputs -------------------------------------------------------------------

    @property
    def wake(self) -> float:
        """When `tick` is due next; infinite when nothing is."""
        wake = min(self._retry_at, self._deadline)
        for machine in self._init:
            wake = min(wake, machine.wake)
        for machine in self._containers:
            wake = min(wake, machine.wake)
        return wake

    @property
    def ip(self) -> str:
        """The pod's address; empty before it has one."""
        return self._ip

    @property
    def removed(self) -> bool:
        """Nothing is left of the pod."""
        return self._removed

    def changed(self) -> protocol.PodStatus | None:
        """The status with the notes since the last call, if there is anything new."""
        status = self._status()
        if status == self._shown and not self._notes:
            return None
        self._shown = status
        notes = tuple(self._notes)
        self._notes.clear()
        return msgspec.structs.replace(status, notes=notes) if notes else status

    # --- helpers -------------------------------------------------------------------

    def _advance(self) -> None:
        if self._stopping:
            if not self._removing and all(m.state == "Done" for m in self._all()):
                self._removing = True
                self._effects.append(RemoveSandbox())
            return
        if not self._sandboxed or self._expired:
            return
        if not self._initialized:
            self._initialized = self._run_init()
        if self._initialized:
            for machine in self._containers:
                if machine.state == "Waiting":
                    machine.begin()

    @property
    def _deadline(self) -> float:
        """When `activeDeadlineSeconds` are over, if that still means something."""
        seconds = self.pod.spec.active_deadline_seconds
        ended = self._phase in ("Succeeded", "Failed")
        if seconds is None or ended or self._stopping or self._expired:
            return NEVER
        return self._started_at + seconds

    def _expire(self, now: float) -> None:
        """Rule 5."""
        self._expired = True
        self._retry_at = NEVER
        self._say(protocol.Note(reason=DEADLINE_EXCEEDED, message=DEADLINE_TEXT))
        seconds = self.pod.spec.termination_grace_period_seconds
        kill_at = now + (30.0 if seconds is None else float(seconds))
        for machine in self._all():
            machine.stop(now, kill_at=kill_at, graceful=kill_at > now)

    def _to_container(self, now: float, name: str, fact: Fact) -> None:
        machine = self._find(name)
        if machine is not None:
            machine.observe(now, fact)

    def _run_init(self) -> bool:
        """Begins the next init container; True when all have done their part."""
        for machine in self._init:
            sidecar = machine.spec.restart_policy == "Always"
            if machine.state == "Waiting":
                machine.begin()
                return False
            if not (machine.started if sidecar else machine.succeeded):
                return False
        return True

    def _on_sandbox_failed(self, now: float, fact: runtime.SandboxFailed) -> None:
        if self._stopping:
            return
        self._retry_at = now + SANDBOX_RETRY
        self._say(
            protocol.Note(
                reason="FailedCreatePodSandBox",
                message=f"Failed to create pod sandbox: {fact.message}",
                warning=True,
            )
        )

    def _status(self) -> protocol.PodStatus:
        pod = self.pod
        reason = "PodInitializing" if self._init else "ContainerCreating"
        self._phase = self._next_phase()
        failed = self._expired and self._phase == "Failed"
        statuses = tuple([m.status(reason) for m in self._containers])
        init = tuple([m.status("PodInitializing") for m in self._init])
        sidecars_ready = all(
            m.ready for m in self._init if m.spec.restart_policy == "Always"
        )
        return protocol.PodStatus(
            namespace=pod.namespace,
            name=pod.name,
            uid=pod.uid,
            phase=self._phase,
            ready=self._phase == "Running"
            and all(status.ready for status in statuses)
            and sidecars_ready,
            ip=self._ip,
            reason=DEADLINE_EXCEEDED if failed else "",
            message=DEADLINE_TEXT if failed else "",
            started_at=self._started_at,
            containers=statuses,
            init_containers=init,
            removed=self._removed,
        )

    def _next_phase(self) -> protocol.PodPhase:
        """Spec 4.1, from the containers; a final phase is kept."""
        if self._phase in ("Succeeded", "Failed"):
            return self._phase
        if self._expired:
            ended = all(m.state == "Done" for m in self._all())
            return "Failed" if ended else self._phase
        if not self._initialized:
            failed = any(m.state == "Done" and not m.succeeded for m in self._init)
            return "Failed" if failed else "Pending"
        machines = self._containers
        if all(m.state == "Done" for m in machines) and (
            self._removed or not self._stopping
        ):
            return "Succeeded" if all(m.succeeded for m in machines) else "Failed"
        if any(not (m.runs or m.ended or m.attempt) for m in machines):
            return "Pending"
        return "Running"

    def _machine(
        self, spec: podspec.Container, *, init: bool = False
    ) -> containers.ContainerMachine:
        pod = self.pod
        policy = pod.spec.restart_policy or "Always"
        if init and policy == "Always":
            policy = "OnFailure"  # an init container that succeeded has done its part
        grace = pod.spec.termination_grace_period_seconds
        return containers.ContainerMachine(
            spec,
            owner=f"{pod.name}_{pod.namespace}({pod.uid})",
            restart_policy=policy,
            grace=30.0 if grace is None else float(grace),
            backoff_cap=self._settings.backoff_cap,
            effects=self._effects,
            note=self._say,
            hooks=self._settings.chores,
            needs_values=self._settings.chores and bool(references(pod.spec)),
        )

    def _say(self, note: protocol.Note) -> None:
        if self._settings.notes:
            self._notes.append(note)

    def _find(self, name: str) -> containers.ContainerMachine | None:
        for machine in self._containers:
            if machine.spec.name == name:
                return machine
        return next((m for m in self._init if m.spec.name == name), None)

    def _all(self) -> list[containers.ContainerMachine]:
        return self._init + self._containers

    def _finish(self) -> list[Effect]:
        # The machines hold a reference to this very list, so it is emptied in place.
        effects = self._effects[:]
        self._effects.clear()
        return effects
