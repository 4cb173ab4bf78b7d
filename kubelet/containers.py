"""One container's lifecycle: a table of transitions and what follows. Pure.

1. Everything that moves a container is in `transitions.TABLE`; what is not in a
   state's row does not move it.
2. An exit is judged by the restart policy, then by the back-off (`backoff.py`).
3. What Kubernetes shows and says about it is made to the letter of spec 4.1 and 4.4,
   here (the notes) and in `shown.py`.
4. A container whose PostStart hook runs is not running yet; the PreStop hook comes
   before TERM, within the grace.

`lifecycle.py` decides when a container's turn comes and when its pod ends.
"""

from collections.abc import Callable
from typing import Final

from domain import podspec, protocol
from kubelet import backoff, probe_results, runtime, shown
from kubelet.effects import (
    Effect,
    Fact,
    FetchValues,
    HookEnded,
    HookKind,
    KillContainer,
    PullImage,
    RunHook,
    RunProbe,
    StartContainer,
    StopContainer,
    ValuesFetched,
)
from kubelet.transitions import TABLE, Event, State

NEVER: Final = float("inf")
ERROR_SHOWN: Final = 1.0
"""ErrImagePull is shown for so long before it is called ImagePullBackOff."""
UNTRIED: Final = {
    "ErrImageNeverPull": "ErrImageNeverPull", "InvalidImageName": "InspectFailed"
}  # fmt: skip
"""Why nothing was pulled, which stays the reason, and what Kubernetes' event is."""
CONFIG_RETRY: Final = 10.0
MOUNT_RETRY: Final = 2.0
HOOK_GRACE: Final = 2.0
"""After its PreStop hook a container has at least so long to end, as in Kubernetes."""

Say = Callable[[protocol.Note], None]


class ContainerMachine:
    """One container of one pod."""

    __slots__ = (
        "_alive", "_backoff", "_changed", "_effects", "_grace", "_hook", "_hooks",
        "_name", "_needs_values", "_note", "_owner", "_probes", "_problem",
        "_pull_backoff", "_restart_policy", "_runtime_ready",
        "attempt", "container_id", "due", "ended", "kill_at", "last", "message",
        "reason", "restarts", "spec", "started_at", "state", "stopping",
    )  # fmt: skip

    def __init__(
        self,
        spec: podspec.Container,
        *,
        owner: str,
        restart_policy: str,
        grace: float,
        backoff_cap: float,
        effects: list[Effect],
        note: Say,
        hooks: bool = False,
        needs_values: bool = False,
    ) -> None:
        self.spec = spec
        self.state: State = "Waiting"
        self.attempt = 0  # the run that was started last, or is being started
        self.restarts = 0  # what is shown: an attempt counts once it has run
        self.container_id = ""
        self.started_at = 0.0
        self._alive = False
        self._changed = False  # what runs is not what is asked for any more
        self.ended: protocol.Termination | None = None  # of the newest run
        self.last: protocol.Termination | None = None  # of the run before a restart
        self.reason = ""  # why it waits, where it is not obvious from the state
        self.message = ""
        self.due = NEVER  # the next attempt
        self.kill_at = NEVER
        self.stopping = False  # the pod ends: no restart
        self._name = spec.name
        self._owner = owner  # <pod>_<namespace>(<uid>)
        self._restart_policy = restart_policy
        self._grace = grace
        self._runtime_ready = False
        self._backoff = backoff.Backoff(backoff_cap)
        self._pull_backoff: backoff.Backoff | None = None
        self._probes: list[probe_results.ProbeResult] = []
        self._effects = effects
        self._note = note
        self._hooks = hooks  # whether there is somebody who runs them
        self._hook: HookKind | None = None  # the one that runs
        self._needs_values = needs_values
        self._problem = ""  # why its volumes could not be made

    # --- what the pod asks ---------------------------------------------------------

    @property
    def wake(self) -> float:
        """When something is due: an attempt, a kill, a probe."""
        wake = min(self.due, self.kill_at)
        if self._probes and self.state == "Running":
            for result in self._active_probes():
                wake = min(wake, result.due)
        return wake

    @property
    def runs(self) -> bool:
        """Whether there is a process, as far as is known, and its PostStart hook (if
        any) is over."""
        return self._alive and self._hook != "PostStart"

    @property
    def started(self) -> bool:
        """Runs, and its startup probe (if any) has passed."""
        return self.runs and all(
            result.passed for result in self._probes if result.kind == "Startup"
        )

    @property
    def ready(self) -> bool:
        """Spec 4.2: runs, has started, and its readiness probe (if any) passes."""
        return (
            self.runs
            and self._runtime_ready
            and all(r.passed for r in self._probes if r.kind != "Liveness")
        )

    @property
    def succeeded(self) -> bool:
        """It ended for good, and well."""
        return (
            self.state == "Done" and self.ended is not None and not self.ended.exit_code
        )

    def status(self, waiting_reason: str) -> protocol.ContainerStatus:
        """What `get pods` shows; `waiting_reason` where nothing better is known."""
        return shown.status(self, waiting_reason)

    # --- what the pod tells --------------------------------------------------------

    def begin(self) -> None:
        """Its turn, or its next attempt: the image first."""
        if self._move("begin"):
            self.due = NEVER
            self._effects.append(PullImage(self._name))

    def restore(
        self,
        now: float,
        held: runtime.HeldContainer,
        told: protocol.ContainerStatus | None,
    ) -> None:
        """It was started by a former life of the kubelet, which `told` that of it: it
        goes on as it was. What has ended meanwhile is judged as an exit is."""
        if told is not None and told.container_id != held.container_id:
            told = None  # of another run
        self.attempt = self.restarts = held.attempt
        self.container_id = held.container_id
        self.started_at = held.started_at or now
        self.state, self._alive, self._runtime_ready = "Running", True, True
        if told is not None:
            self.started_at = told.started_at or self.started_at
            self.last = told.last
        if held.running:
            self._begin_probes(now)
            for result in self._probes:
                if told is not None and result.kind != "Liveness":
                    result.passed = (
                        told.ready if result.kind == "Readiness" else told.started
                    )
            return
        fact = runtime.ContainerExited(
            uid="", container=self._name, attempt=held.attempt,
            exit_code=held.exit_code, signal=held.signal, reason=held.reason,
            message=held.message,
        )  # fmt: skip
        self._on_exited(held.finished_at or now, fact)

    def stop(self, now: float, *, kill_at: float, graceful: bool) -> None:
        """The pod ends: no more restarts, and the end of what runs by `kill_at`."""
        first, self.stopping = not self.stopping, True
        before = self.state
        self._move("stop")
        self.due = NEVER
        if self.state != "Stopping":
            return
        self.kill_at = min(self.kill_at, kill_at)
        if first and self._alive:
            self._say("Killing", f"Stopping container {self._name}")
        if before != "Stopping" and graceful:
            self._terminate()
        if self.kill_at <= now:
            self._kill()

    def change(self, now: float, spec: podspec.Container) -> None:
        """The container is `spec` now. With another image what runs ends and begins
        anew, whatever the restart policy, and every back-off is fresh (spec 4.4)."""
        before, self.spec = self.spec, spec
        if spec.image == before.image or self.stopping:
            return
        self._backoff = backoff.Backoff(self._backoff.cap)
        self._pull_backoff = None
        if self.state in ("PullFailed", "StartFailed", "CrashLoop"):
            self.reason = self.message = ""
            self.begin()
        elif self.state in ("Starting", "Running"):
            self._changed = True
            text = f"Container {self._name} definition changed, will be restarted"
            self._restart(now, text, self._grace)

    def tick(self, now: float) -> None:
        """Carries out what is due by `now`."""
        if self.kill_at <= now and self._hook == "PreStop":
            self._after_pre_stop(now)  # its time is over; TERM still comes before KILL
        elif self.kill_at <= now:
            self._kill()
        if self.due <= now:
            self._retry(now)
        if self._probes and self.state == "Running":
            for result in self._active_probes():
                if result.due <= now:
                    result.ask(now)
                    self._effects.append(
                        RunProbe(self._name, self.attempt, result.kind)
                    )

    def observe(self, now: float, fact: Fact) -> None:
        """One observation about this container; a late one changes nothing."""
        attempt = getattr(fact, "attempt", self.attempt)
        if attempt != self.attempt:
            return
        match fact:
            case runtime.ImagePulling():
                self._say("Pulling", f'Pulling image "{self.spec.image}"')
            case runtime.ImagePulled():
                self._on_pulled(fact)
            case runtime.ImageFailed():
                self._on_pull_failed(now, fact)
            case runtime.ContainerStarted():
                self._on_started(now, fact)
            case runtime.ContainerBecameReady():
                self._runtime_ready = True
            case runtime.ContainerFailed():
                self._on_start_failed(now, fact)
            case runtime.ContainerExited():
                self._on_exited(now, fact)
            case runtime.Probed():
                self._on_probed(now, fact)
            case HookEnded():
                self._on_hook_ended(now, fact)
            case ValuesFetched():
                self._on_values(now, fact)

    # --- transitions ---------------------------------------------------------------

    def _move(self, event: Event) -> bool:
        target = TABLE[self.state].get(event)
        if target is None:
            return False
        self.state = target
        return True

    def _on_pulled(self, fact: runtime.ImagePulled) -> None:
        if not self._move("fetch" if self._needs_values else "pulled"):
            return
        self._say("Pulled", shown.pulled(self.spec.image, fact))
        self._pull_backoff = None
        self.reason = self.message = ""
        if self.ended is not None and self.attempt == self.restarts:
            self.attempt += 1
        asked = FetchValues if self._needs_values else StartContainer
        self._effects.append(asked(self._name, self.attempt))

    def _on_pull_failed(self, now: float, fact: runtime.ImageFailed) -> None:
        if not self._move("pull failed"):
            return
        if self._pull_backoff is None:
            self._pull_backoff = backoff.Backoff(self._backoff.cap)
        self._pull_backoff.advance(now, failed_at=now)
        self.reason, self.message = fact.reason, fact.message
        self.due = now + self._pull_backoff.delay
        event, text = UNTRIED.get(fact.reason), fact.message
        if event is None:
            self.due = min(self.due, now + ERROR_SHOWN)
            text = f'Failed to pull image "{self.spec.image}": {text}'
        self._say(event or "Failed", text, warning=True)
        self._say("Failed", f"Error: {fact.reason}", warning=True)

    def _on_started(self, now: float, fact: runtime.ContainerStarted) -> None:
        self.container_id = fact.container_id
        self._runtime_ready = fact.ready
        stopped = self.state == "Stopping" and not self._alive
        if not (stopped or self._move("started")):
            return
        self.started_at = now
        self._alive = True
        self._next_run()
        if stopped:
            return  # it was stopped while it started; its exit follows
        self._say("Created", "Container created")
        self._say("Started", "Container started")
        hooks = self.spec.lifecycle
        if self._hooks and hooks is not None and hooks.post_start is not None:
            self._run_hook("PostStart")
        else:
            self._begin_probes(now)

    def _on_start_failed(self, now: float, fact: runtime.ContainerFailed) -> None:
        self._say("Failed", f"Error: {fact.message}", warning=True)
        ran = fact.reason == "RunContainerError"
        if ran or self.state == "Stopping":
            exit_fact = runtime.ContainerExited(
                uid=fact.uid, container=self._name, attempt=self.attempt,
                exit_code=128, reason="StartError", message=fact.message,
            )  # fmt: skip
            self._on_exited(now, exit_fact)
        elif self._move("start failed"):
            self.reason, self.message = fact.reason, fact.message
            self.due = now + CONFIG_RETRY

    def _on_exited(self, now: float, fact: runtime.ContainerExited) -> None:
        if not self._move("exited"):
            return
        if not self._alive:  # it could not even be started
            self.started_at = now
            self._next_run()
        usual = "Error" if fact.exit_code else "Completed"
        self.ended = protocol.Termination(
            exit_code=fact.exit_code,
            reason=fact.reason or usual,
            started_at=self.started_at,
            finished_at=now,
            signal=fact.signal,
            message=fact.message,
        )
        self._alive = False
        self._hook = None
        self.kill_at = NEVER
        self._probes = []
        changed, self._changed = self._changed, False
        policy = self._restart_policy
        again = changed or shown.restarts(self.spec, policy, fact.exit_code)
        if self.stopping or not again:
            self._move("finish")
            return
        ready_at = self._backoff.ready_at(now)
        if ready_at <= now:
            self._backoff.advance(now, failed_at=now)
            self.begin()
            return
        self._move("back off")
        self.due = ready_at
        wait = backoff.go_duration(self._backoff.delay)
        self.reason = "CrashLoopBackOff"
        self.message = (
            f"back-off {wait} restarting failed container={self._name} "
            f"pod={self._owner}"
        )
        text = f"Back-off restarting failed container {self._name} in pod {self._owner}"
        self._say("BackOff", text, warning=True)

    def _on_probed(self, now: float, fact: runtime.Probed) -> None:
        result = next((r for r in self._probes if r.kind == fact.kind), None)
        if result is None or self.state != "Running":
            return
        if not fact.success and not result.silent:
            text = f"{fact.kind} probe failed: {fact.message}"
            self._say("Unhealthy", text, warning=True)
        counts = result.answer(fact.success)
        if not counts:
            return
        if not result.passed and fact.kind != "Readiness":
            text = f"Container {self._name} failed {fact.kind.lower()} probe, "
            grace = result.probe.termination_grace_period_seconds
            seconds = self._grace if grace is None else float(grace)
            self._restart(now, f"{text}will be restarted", seconds)

    def _on_hook_ended(self, now: float, fact: HookEnded) -> None:
        if self._hook != fact.kind:
            return
        if fact.message:  # not shown: it may hold what a secret says
            reason, text = f"Failed{fact.kind}Hook", f"{fact.kind}Hook failed"
            self._say(reason, text, warning=True)
        if fact.kind == "PreStop":
            self._after_pre_stop(now)
            return
        self._hook = None
        if self.state == "Running" and fact.message:
            self._restart(now, "FailedPostStartHook", self._grace)
        elif self.state == "Running":
            self._begin_probes(now)

    def _on_values(self, now: float, fact: ValuesFetched) -> None:
        if self.state != "Fetching":
            return
        if not fact.problem:
            self._move("fetched")
            self._effects.append(StartContainer(self._name, self.attempt))
        else:
            self._move("start failed")
            self.due = now + MOUNT_RETRY
            if fact.problem != self._problem:
                self._say("FailedMount", fact.problem, warning=True)
        self._problem = fact.problem

    # --- helpers -------------------------------------------------------------------

    def _begin_probes(self, now: float) -> None:
        spec = self.spec
        if spec.startup_probe or spec.liveness_probe or spec.readiness_probe:
            found: list[tuple[runtime.ProbeKind, podspec.Probe | None]] = [
                ("Startup", spec.startup_probe),
                ("Liveness", spec.liveness_probe),
                ("Readiness", spec.readiness_probe),
            ]
            self._probes = [
                probe_results.ProbeResult(kind, probe, now)
                for kind, probe in found
                if probe is not None
            ]

    def _run_hook(self, kind: HookKind) -> None:
        self._hook = kind
        self._effects.append(RunHook(self._name, self.attempt, kind))

    def _terminate(self) -> None:
        """Its PreStop hook if it has one, then TERM."""
        hooks = self.spec.lifecycle
        wanted = self._hooks and hooks is not None and hooks.pre_stop is not None
        if wanted and self._alive:
            self._run_hook("PreStop")
        else:
            self._effects.append(StopContainer(self._name))

    def _after_pre_stop(self, now: float) -> None:
        self._hook = None
        self.kill_at = max(self.kill_at, now + HOOK_GRACE)
        self._effects.append(StopContainer(self._name))

    def _restart(self, now: float, why: str, grace: float) -> None:
        """What runs is told to end; its exit begins the next run."""
        self._say("Killing", why)
        self._move("stop")
        self.kill_at = now + grace
        self._terminate()

    def _next_run(self) -> None:
        self.restarts = self.attempt
        if self.ended is not None:
            self.last, self.ended = self.ended, None

    def _retry(self, now: float) -> None:
        pulls = self._pull_backoff
        shown_once = self.reason not in {*UNTRIED, "ImagePullBackOff"}
        if self.state == "PullFailed" and pulls and shown_once:
            image = self.spec.image
            self.message = (
                f'Back-off pulling image "{image}": {self.reason}: {self.message}'
            )
            self.due += max(pulls.delay - ERROR_SHOWN, 0.0)
            self.reason = "ImagePullBackOff"
            self._say("BackOff", f'Back-off pulling image "{image}"')
            self._say("Failed", "Error: ImagePullBackOff", warning=True)
            return
        if self.state == "CrashLoop" and self.ended is not None:
            self._backoff.advance(now, failed_at=self.ended.finished_at)
        self.begin()

    def _kill(self) -> None:
        self._hook = None
        self.kill_at = NEVER
        self._effects.append(KillContainer(self._name))

    def _active_probes(self) -> list[probe_results.ProbeResult]:
        for result in self._probes:
            if result.kind == "Startup" and not result.passed:
                return [result]
        return [result for result in self._probes if result.kind != "Startup"]

    def _say(self, reason: str, message: str, *, warning: bool = False) -> None:
        self._note(
            protocol.Note(
                reason=reason, message=message, warning=warning, container=self._name
            )
        )
