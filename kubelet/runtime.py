"""The port to whatever runs containers, shaped like the CRI in small.

1. The methods without `async` only ask. What came of it is always an observation, also
   when nothing had to be done; so a pod costs no task, and the callers stay pure.
2. Asking is idempotent: starting what runs, stopping what is gone and removing what
   was never there are successes, and each is answered.
3. A container is named by (uid of the pod, name, attempt); attempt 0 is its first run.
   Each attempt that was started is observed to exit exactly once.
4. `stop_container` and `kill_container` before the start is done take effect as soon as
   the container has started.

`process_runtime` and `hollow_runtime` implement it; one contract suite runs on both
(tests/kubelet/test_runtime_contract.py).
"""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec

from domain import podspec, protocol
from kubelet import values as pod_values

ProbeKind = Literal["Startup", "Liveness", "Readiness"]


class Fact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The base of all observations: which pod it is about."""

    uid: str


class SandboxReady(Fact, frozen=True, kw_only=True, gc=False):
    """The pod has its address; containers can be started."""

    ip: str


class SandboxFailed(Fact, frozen=True, kw_only=True, gc=False):
    """The pod could not be set up; it can be tried again."""

    message: str


class SandboxRemoved(Fact, frozen=True, kw_only=True, gc=False):
    """Nothing is left of the pod, its logs neither."""


class ImagePulling(Fact, frozen=True, kw_only=True, gc=False):
    """The image is not here yet and is being fetched."""

    container: str


class ImagePulled(Fact, frozen=True, kw_only=True, gc=False):
    """The image is here; `present` says that it had been here before."""

    container: str
    present: bool
    seconds: float = 0.0


class ImageFailed(Fact, frozen=True, kw_only=True, gc=False):
    """No such image, or no way to it. `reason` is the container's waiting reason."""

    container: str
    message: str
    reason: str = "ErrImagePull"


class ContainerStarted(Fact, frozen=True, kw_only=True, gc=False):
    """It runs. With `ready` False a `ContainerBecameReady` will follow."""

    container: str
    attempt: int
    container_id: str
    ready: bool = True


class ContainerBecameReady(Fact, frozen=True, kw_only=True, gc=False):
    """A runtime that knows better than a probe says that the container is ready."""

    container: str
    attempt: int


class ContainerFailed(Fact, frozen=True, kw_only=True, gc=False):
    """It could not be started. `reason` is the container's waiting reason."""

    container: str
    attempt: int
    reason: str
    message: str


class ContainerExited(Fact, frozen=True, kw_only=True, gc=False):
    """It ran and ended. `exit_code` is 128 + `signal` where a signal ended it."""

    container: str
    attempt: int
    exit_code: int
    signal: int = 0
    reason: str = ""
    message: str = ""


class Probed(Fact, frozen=True, kw_only=True, gc=False):
    """The answer to one probe; `message` says why it failed."""

    container: str
    attempt: int
    kind: ProbeKind
    success: bool
    message: str = ""


class NodeChanged(msgspec.Struct, frozen=True, gc=False):
    """What `node_info` says is another thing now; it is about no pod."""


PodObservation = (
    SandboxReady
    | SandboxFailed
    | SandboxRemoved
    | ImagePulling
    | ImagePulled
    | ImageFailed
    | ContainerStarted
    | ContainerBecameReady
    | ContainerFailed
    | ContainerExited
    | Probed
)
Observation = PodObservation | NodeChanged


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """All that a runtime needs to know of a pod."""

    uid: str
    namespace: str
    name: str
    node: str
    spec: podspec.PodSpec
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    values: pod_values.Values = pod_values.NONE
    """Of its ConfigMaps and Secrets, before one of its containers is started."""


class SandboxState(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `list()`: a pod and the containers of it that run now."""

    uid: str
    ip: str
    running: tuple[str, ...]


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a command inside a container ended; `output` is both streams, cut."""

    exit_code: int
    output: str


class HeldContainer(msgspec.Struct, frozen=True, kw_only=True):
    """A container that a former life of the kubelet left: it runs, or it has ended.

    Of several attempts the last one. Times are seconds since the epoch, 0 if unknown.
    """

    name: str
    attempt: int
    container_id: str
    started_at: float = 0.0
    running: bool = True
    finished_at: float = 0.0
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""


class HeldPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that a former life of the kubelet left, as it was started."""

    sandbox: Sandbox
    ip: str
    containers: tuple[HeldContainer, ...] = ()


class ContainerUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a running container has used: CPU seconds since its start, bytes now."""

    uid: str
    container: str
    cpu_seconds: float
    memory_bytes: int


class StreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A session with a container: a new command in it, or its own first process.

    Without a `command` the session is attached to what the container runs. With `tty`
    there is one output stream.
    """

    command: tuple[str, ...] = ()
    stdin: bool = False
    tty: bool = False
    width: int = 80
    height: int = 24


StreamChannel = Literal["stdout", "stderr"]


class Stream(Protocol):
    """An open session. Whoever opened it closes it."""

    async def write(self, data: bytes) -> None:
        """Hands bytes to the standard input; waits while it is full."""

    async def end_input(self) -> None:
        """The standard input ends here."""

    async def resize(self, width: int, height: int) -> None:
        """The terminal has these many columns and rows; nothing without a tty."""

    def chunks(self) -> AsyncIterator[tuple[StreamChannel, bytes]]:
        """The output as it comes, until both streams have ended."""

    async def exit_code(self) -> int:
        """How the command ended, once it has; of a session that only attaches, 0."""

    async def close(self) -> None:
        """Ends the session and a command that still runs in it."""


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a container's output: those that satisfy all of these.

    `since` is seconds since the epoch, 0 for all; `tail` -1 for all. With `follow`
    the stream goes on until the container ends.
    """

    tail: int = -1
    since: float = 0.0
    timestamps: bool = False
    previous: bool = False
    follow: bool = False


class Runtime(Protocol):
    """See the rules at the top of the file."""

    name: str

    async def open(self) -> None:
        """Clean up after a former life; afterwards the methods below may be used."""

    async def close(self) -> None:
        """End every pod that is still there (unless they are kept), then let go."""

    def start_sandbox(self, sandbox: Sandbox) -> None:
        """Answered by `SandboxReady` or `SandboxFailed`.

        For a pod that is there already: its containers are these from now on; those
        that run run on.
        """

    def remove_sandbox(self, uid: str) -> None:
        """Kills what still runs in it; answered by `SandboxRemoved`."""

    def pull_image(self, uid: str, container: str) -> None:
        """Answered by `ImagePulled` or `ImageFailed`."""

    def start_container(self, uid: str, container: str, attempt: int) -> None:
        """Answered by `ContainerStarted` or `ContainerFailed`."""

    def stop_container(self, uid: str, container: str) -> None:
        """Asks it to end (TERM); its exit is observed when it comes."""

    def kill_container(self, uid: str, container: str) -> None:
        """Ends it and all its children now (KILL); the exit is observed."""

    def probe(self, uid: str, container: str, attempt: int, kind: ProbeKind) -> None:
        """Answered by `Probed` within the probe's timeout and a little."""

    async def observations(self) -> Sequence[Observation]:
        """All that was observed since the last call, in order; waits for the first."""

    async def exec(
        self,
        uid: str,
        container: str,
        command: tuple[str, ...],
        timeout: float,  # noqa: ASYNC109  # the command's, it is killed then
    ) -> ExecResult:
        """Run `command` beside the container.

        Raises `LookupError` if it does not run, `TimeoutError` after `timeout` s.
        """

    def logs(
        self, uid: str, container: str, options: LogOptions
    ) -> AsyncIterator[bytes]:
        """The output in chunks of whole lines. Raises `LookupError` without one."""

    async def open_stream(
        self, uid: str, container: str, request: StreamRequest
    ) -> Stream:
        """Opens a session. Raises `LookupError` if the container does not run, and
        `domain.errors.Rejected` for what this runtime cannot do."""

    async def usage(self) -> tuple[ContainerUsage, ...]:
        """What the running containers use, as far as it can be told."""

    def held(self) -> tuple[HeldPod, ...]:
        """The pods that a former life left, after `open`; they are this one's now.

        What happens to them from then on is observed like everything else.
        """

    def list(self) -> tuple[SandboxState, ...]:
        """Every pod that the runtime holds."""

    def node_info(self) -> protocol.NodeInfo:
        """What this machine is and has."""
