"""Small builders for pods, templates and messages, and a hand-driven lifecycle."""

from domain import podspec, protocol
from kubelet import effects, lifecycle, runtime

NODE = protocol.NodeInfo(
    capacity={"cpu": "2", "pods": "110"}, allocatable={"cpu": "2", "pods": "110"}
)


def container(name: str = "web", /, **fields: object) -> podspec.Container:
    """A container; `image` is nginx unless given."""
    return podspec.Container(name=name, **{"image": "nginx:1.7.9", **fields})  # type: ignore[arg-type]  # test data


def template(
    *containers: podspec.Container, **fields: object
) -> podspec.PodTemplateSpec:
    """A template with one nginx unless told otherwise."""
    spec = podspec.PodSpec(
        containers=containers or (container(),),
        **{"restart_policy": "Always", **fields},  # type: ignore[arg-type]  # test data
    )
    return podspec.PodTemplateSpec(spec=spec)


def sandbox(
    uid: str, pod: podspec.PodTemplateSpec, name: str = "web-1"
) -> runtime.Sandbox:
    """The sandbox of a pod in `default` on node `n1`."""
    return runtime.Sandbox(
        uid=uid, namespace="default", name=name, node="n1", spec=pod.spec
    )


def run(uid: str, key: str = "t") -> protocol.PodRun:
    """A pod to run, by its uid."""
    return protocol.PodRun(
        namespace="default", name=f"pod-{uid}", uid=uid, template=key
    )


def stop(uid: str, grace: float = 30.0) -> protocol.PodStop:
    """A pod to stop, by its uid."""
    return protocol.PodStop(
        namespace="default", name=f"pod-{uid}", uid=uid, grace=grace
    )


class Driven:
    """A `PodLifecycle` with a clock that the test moves.

    Sandboxes and images are there at once; what containers do is the test's business.
    """

    def __init__(
        self,
        pod: podspec.PodTemplateSpec,
        broken: frozenset[str] = frozenset(),
        *,
        chores: bool = False,
        held: tuple[runtime.HeldContainer, ...] | None = None,
        told: protocol.PodStatus | None = None,
        why_broken: str = "ErrImagePull",
    ) -> None:
        """With `held` the pod runs since a former life of the kubelet."""
        self.now = 1000.0
        settings = lifecycle.LifecycleSettings(chores=chores)
        self.machine = lifecycle.PodLifecycle(sandbox("u1", pod), settings)
        self.broken = set(broken)
        self.why_broken = why_broken
        self.effects: list[lifecycle.Effect] = []
        self.notes: list[protocol.Note] = []
        self.reasons: list[str] = []
        self._images = {c.name: c.image for c in pod.spec.containers}
        self._status: protocol.PodStatus | None = None
        if held is None:
            self._take(self.machine.start(self.now))
        else:
            found = runtime.HeldPod(
                sandbox=self.machine.pod, ip="127.9.0.1", containers=held
            )
            self._take(self.machine.restore(self.now, found, told))

    @property
    def status(self) -> protocol.PodStatus:
        """The newest status; there is one from the start."""
        assert self._status is not None
        return self._status

    @property
    def web(self) -> protocol.ContainerStatus:
        """The first container's status."""
        return self.status.containers[0]

    def pass_time(self, seconds: float) -> None:
        """Moves the clock in steps, so that everything happens when it is due."""
        end = self.now + seconds
        while self.machine.wake <= end:
            self.now = max(self.now, self.machine.wake)
            self._take(self.machine.tick(self.now))
        self.now = end

    def started(self, name: str = "web", attempt: int | None = None) -> None:
        """The container started."""
        self.observe(
            runtime.ContainerStarted(
                uid="u1", container=name, container_id=f"test://{name}",
                attempt=self._attempt(name) if attempt is None else attempt,
            )
        )  # fmt: skip

    def exited(self, code: int, name: str = "web", signal: int = 0) -> None:
        """The container ended."""
        self.observe(
            runtime.ContainerExited(
                uid="u1", container=name, attempt=self._attempt(name),
                exit_code=code, signal=signal,
            )
        )  # fmt: skip

    def probed(self, kind: runtime.ProbeKind, success: bool, message: str = "") -> None:
        """A probe of the first container was answered."""
        self.observe(
            runtime.Probed(
                uid="u1", container="web", attempt=self._attempt("web"), kind=kind,
                success=success, message=message,
            )
        )  # fmt: skip

    def observe(self, fact: effects.Fact) -> None:
        """Any observation."""
        self._take(self.machine.observe(self.now, fact))

    def stop(self, grace: float) -> None:
        """The pod is to end."""
        self._take(self.machine.stop(self.now, grace))

    def take(self) -> list[lifecycle.Effect]:
        """The effects since the last call that the driver did not answer itself."""
        effects, self.effects = self.effects, []
        return effects

    def _attempt(self, name: str) -> int:
        return next(m.attempt for m in self.machine._all() if m.spec.name == name)

    def _take(self, effects: list[lifecycle.Effect]) -> None:
        status = self.machine.changed()
        if status is not None:
            self._status = status
            self.notes += status.notes
        for effect in effects:
            match effect:
                case lifecycle.StartSandbox():
                    self.observe(runtime.SandboxReady(uid="u1", ip="127.9.0.1"))
                case lifecycle.PullImage(container=name):
                    self.observe(self._pulled(name))
                case lifecycle.RemoveSandbox():
                    self.observe(runtime.SandboxRemoved(uid="u1"))
                case _:
                    self.effects.append(effect)

    def _pulled(self, name: str) -> runtime.PodObservation:
        if self._images.get(name) in self.broken:
            return runtime.ImageFailed(
                uid="u1", container=name, message="not found", reason=self.why_broken
            )
        return runtime.ImagePulled(uid="u1", container=name, present=True)
