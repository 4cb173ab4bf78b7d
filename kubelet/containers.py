"""One container's lifecycle: a table of transitions and what follows. Pure.

1. Everything that moves a container is in `TABLE`; what is not in a state's row does
   not move it: an observation that comes too late is dropped.
2. An exit is judged by the restart policy, then by the back-off (`backoff.py`).
3. What Kubernetes shows and says about it, spec 4.1 and 4.4 to the letter, is made in
   this file: `status` and the notes.

`lifecycle.py` decides when a container's turn comes and when its pod ends.
"""

from collections.abc import Callable
from typing import Final, Literal

from domain import podspec, protocol
from kubelet import backoff, probe_results, runtime
from kubelet.effects import (
    Effect,
    KillContainer,
    PullImage,
    RunProbe,
    StartContainer,
    StopContainer,
)

NEVER: Final = float("inf")

State = Literal[
    "Waiting",  # not its turn yet
    "Pulling",
    "PullFailed",  # ErrImagePull, then ImagePullBackOff
    "Starting",
    "StartFailed",  # CreateContainerConfigError and the like
    "Running",
    "Stopping",  # told to end; what follows depends on the restart policy
    "Exited",  # judged at once: never seen from outside
    "CrashLoop",
    "Done",
]
Event = Literal[
    "begin", "pulled", "pull failed", "started", "start failed", "exited", "stop",
    "back off", "finish",
]  # fmt: skip

TABLE: Final[dict[State, dict[Event, State]]] = {
    "Waiting": {"begin": "Pulling", "stop": "Done"},
    "Pulling": {"pulled": "Starting", "pull failed": "PullFailed", "stop": "Done"},
    "PullFailed": {"begin": "Pulling", "stop": "Done"},
    "Starting": {
        "started": "Running",
        "start failed": "StartFailed",
        "exited": "Exited",
        "stop": "Stopping",
    },
    "StartFailed": {"begin": "Pulling", "stop": "Done"},
    "Running": {"exited": "Exited", "stop": "Stopping"},
    "Stopping": {"exited": "Exited"},
    "Exited": {"begin": "Pulling", "back off": "CrashLoop", "finish": "Done"},
    "CrashLoop": {"begin": "Pulling", "stop": "Done"},
    "Done": {},
}

ERROR_SHOWN: Final = 1.0
"""ErrImagePull is shown for so long before it is called ImagePullBackOff."""
CONFIG_RETRY: Final = 10.0


Say = Callable[[protocol.Note], None]


class ContainerMachine:
    """One container of one pod."""

    __slots__ = (
        "_alive", "_backoff", "_changed", "_effects", "_grace", "_name", "_note",
        "_owner", "_probes", "_pull_backoff", "_restart_policy", "_runtime_ready",
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
        """Whether there is a process, as far as is known."""
        return self._alive

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
        if self.runs:
            return protocol.ContainerStatus(
                name=self._name,
                state="running",
                ready=self.ready,
                started=self.started,
                restarts=self.restarts,
                started_at=self.started_at,
                container_id=self.container_id,
                last=self.last,
            )
        ended = self.ended
        if ended is None or self.state in ("CrashLoop", "PullFailed"):
            return protocol.ContainerStatus(
                name=self._name,
                state="waiting",
                reason=self.reason or waiting_reason,
                message=self.message,
                restarts=self.restarts,
                container_id=self.container_id,
                last=ended or self.last,
            )
        return protocol.ContainerStatus(
            name=self._name,
            state="terminated",
            reason=ended.reason,
            message=ended.message,
            restarts=self.restarts,
            started_at=ended.started_at,
            finished_at=ended.finished_at,
            exit_code=ended.exit_code,
            signal=ended.signal,
            container_id=self.container_id,
            last=self.last,
        )

    # --- what the pod tells --------------------------------------------------------

    def begin(self) -> None:
        """Its turn, or its next attempt: the image first."""
        if self._move("begin"):
            self.due = NEVER
            self._effects.append(PullImage(self._name))

    def stop(self, now: float, *, kill_at: float, graceful: bool) -> None:
        """The pod ends: no more restarts, and the end of what runs by `kill_at`."""
        first, self.stopping = not self.stopping, True
        before = self.state
        self._move("stop")
        self.due = NEVER
        if self.state != "Stopping":
            return
        self.kill_at = min(self.kill_at, kill_at)
        if before != "Stopping" and graceful:
            self._effects.append(StopContainer(self._name))
        if first and self.runs:
            self._say("Killing", f"Stopping container {self._name}")
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
        if self.kill_at <= now:
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

    def observe(self, now: float, fact: runtime.Observation) -> None:
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

    # --- transitions ---------------------------------------------------------------

    def _move(self, event: Event) -> bool:
        target = TABLE[self.state].get(event)
        if target is None:
            return False
        self.state = target
        return True

    def _on_pulled(self, fact: runtime.ImagePulled) -> None:
        if not self._move("pulled"):
            return
        image = self.spec.image
        if fact.present:
            text = (
                f'Container image "{image}" already present on machine and can be '
                "accessed by the pod"
            )
        else:
            took = backoff.go_duration(round(fact.seconds, 3))
            text = f'Successfully pulled image "{image}" in {took} '
            text += f"({took} including waiting)"
        self._say("Pulled", text)
        self._pull_backoff = None
        self.reason = self.message = ""
        if self.ended is not None and self.attempt == self.restarts:
            self.attempt += 1
        self._effects.append(StartContainer(self._name, self.attempt))

    def _on_pull_failed(self, now: float, fact: runtime.ImageFailed) -> None:
        if not self._move("pull failed"):
            return
        if self._pull_backoff is None:
            self._pull_backoff = backoff.Backoff(self._backoff.cap)
        self._pull_backoff.advance(now, failed_at=now)
        self.reason, self.message = fact.reason, fact.message
        self.due = now + min(ERROR_SHOWN, self._pull_backoff.delay)
        failed = f'Failed to pull image "{self.spec.image}": {fact.message}'
        self._say("Failed", failed, warning=True)
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
        self.kill_at = NEVER
        self._probes = []
        changed, self._changed = self._changed, False
        if self.stopping or not (changed or self._restarts(fact.exit_code)):
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

    # --- helpers -------------------------------------------------------------------

    def _restart(self, now: float, why: str, grace: float) -> None:
        """What runs is told to end; its exit begins the next run."""
        self._say("Killing", why)
        self._move("stop")
        self.kill_at = now + grace
        self._effects.append(StopContainer(self._name))

    def _next_run(self) -> None:
        self.restarts = self.attempt
        if self.ended is not None:
            self.last, self.ended = self.ended, None

    def _retry(self, now: float) -> None:
        pulls = self._pull_backoff
        if self.state == "PullFailed" and pulls and self.reason != "ImagePullBackOff":
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
        self.kill_at = NEVER
        self._effects.append(KillContainer(self._name))

    def _active_probes(self) -> list[probe_results.ProbeResult]:
        for result in self._probes:
            if result.kind == "Startup" and not result.passed:
                return [result]
        return [result for result in self._probes if result.kind != "Startup"]

    def _restarts(self, exit_code: int) -> bool:
        """Spec 4.4: the first matching rule, else the container's, else the pod's."""
        for rule in self.spec.restart_policy_rules:
            codes = rule.exit_codes
            if codes is not None and (
                (exit_code in codes.values) == (codes.operator == "In")
            ):
                return True
        policy = self.spec.restart_policy or self._restart_policy
        return policy == "Always" or (policy == "OnFailure" and exit_code != 0)

    def _say(self, reason: str, message: str, *, warning: bool = False) -> None:
        self._note(
            protocol.Note(
                reason=reason, message=message, warning=warning, container=self._name
            )
        )
