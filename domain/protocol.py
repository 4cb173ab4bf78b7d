"""What travels between users, control and kubelets: the messages as structs.

1. Everything on the wire is JSON of these structs, keys in camelCase.
2. Reports are level-triggered: a pod's status is always the full status. Losing a
   report is harmless (the kubelet repeats what is not confirmed), and so is a
   repeated one (incarnation and sequence say that it is old).
3. An incarnation is granted by control in the answer to a sync. It only grows, so
   that a report of a kubelet's former life is recognised, whatever its clock says.
4. Assignments chain: `from_position` must be the `to_position` of the message
   before, else the kubelet has missed one and asks for the full list (sync).

If a struct changes here, docs/nats.md is generated anew (`make docs`), and
kubelet/agent.py and workers/intake.py are the two readers.
"""

from typing import Final, Literal

import msgspec

from domain import pod_values, podspec
from domain.errors import FieldError

PodPhase = Literal["Pending", "Running", "Succeeded", "Failed"]
ContainerPhase = Literal["waiting", "running", "terminated"]


class Message(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"
):
    """The base of all structs on the wire."""


# --- kubelet → control ------------------------------------------------------------


class Termination(Message, frozen=True, kw_only=True):
    """How a container's previous run ended."""

    exit_code: int
    reason: str
    started_at: float = 0.0
    finished_at: float = 0.0
    signal: int = 0
    message: str = ""


class ContainerStatus(Message, frozen=True, kw_only=True):
    """One container as its node sees it; flat, because it is stored often.

    `reason` and `message` belong to the waiting or terminated state (spec 4.4).
    Times are the node's clock, seconds since the epoch, for display only.
    """

    name: str
    state: ContainerPhase = "waiting"
    reason: str = ""
    message: str = ""
    ready: bool = False
    started: bool = False
    restarts: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    signal: int = 0
    container_id: str = ""
    last: Termination | None = None


class Note(Message, frozen=True, kw_only=True):
    """Something that the kubelet tells people about a pod, a line of `get events`."""

    reason: str
    message: str
    warning: bool = False
    container: str = ""


class PodObservation(Message, frozen=True, kw_only=True):
    """All that a node knows of one pod, without saying which pod: stored as it is.

    `removed` is the last word: its containers are gone and nothing is left of it.
    """

    phase: PodPhase = "Pending"
    ready: bool = False
    ip: str = ""
    reason: str = ""
    message: str = ""
    started_at: float = 0.0
    containers: tuple[ContainerStatus, ...] = ()
    init_containers: tuple[ContainerStatus, ...] = ()
    notes: tuple[Note, ...] = ()
    removed: bool = False


class PodStatus(PodObservation, frozen=True, kw_only=True):
    """A pod's observation with the pod's identity: the item of a report."""

    namespace: str
    name: str
    uid: str


IMAGES_MAX: Final = 50
"""So many of a node's images are told, as in Kubernetes."""


class ContainerImage(Message, frozen=True, kw_only=True):
    """An image that a node has: its names, with digests and with tags, and bytes."""

    names: tuple[str, ...]
    size_bytes: int = 0


class NodeInfo(Message, frozen=True, kw_only=True):
    """What a node is: sent with a sync, and in a report when it changed.

    `capacity` and `allocatable` are quantities by resource name (`cpu`, `memory`,
    `pods`). `images` are the largest ones, the largest first.
    """

    capacity: dict[str, str]
    allocatable: dict[str, str]
    labels: dict[str, str] = {}
    address: str = ""
    kubelet_version: str = ""
    runtime: str = ""
    os_image: str = ""
    kernel_version: str = ""
    architecture: str = ""
    operating_system: str = "linux"
    taints: tuple[podspec.Taint, ...] = ()
    images: tuple[ContainerImage, ...] = ()


class ContainerUsage(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True
):
    """`[name, cpu, memory]`: what a container used, billionths of a core on average
    over the window and bytes at its end. What is no finite number is null."""

    name: str
    cpu: float | None = None
    memory: float | None = None


class PodUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """`[namespace, name, uid, containers]`: what the running containers of a pod used;
    a container that has only been seen once makes its pod wait for the next time."""

    namespace: str
    name: str
    uid: str
    containers: tuple[ContainerUsage, ...]


class Usage(Message, frozen=True, kw_only=True):
    """What pods of a node used in the `window` seconds before the report was sent; no
    pods say that it runs none."""

    window: float
    pods: tuple[PodUsage, ...]


class Report(Message, frozen=True, kw_only=True):
    """`rollbook.report.<node>`: what changed since the last confirmed report.

    `position` is how far the node has followed its assignments. With `full`, `pods` is
    every pod on the node that it was told of up to there: one that is missing is gone.
    A report without pods is a heartbeat. `usage` comes along now and then; it is never
    repeated or confirmed, and makes no events.
    """

    incarnation: int
    sequence: int
    position: int = 0
    full: bool = False
    pods: tuple[PodStatus, ...] = ()
    node: NodeInfo | None = None
    usage: Usage | None = None


class SyncRequest(Message, frozen=True, kw_only=True):
    """`rollbook.sync.<node>`: asks for the full list; also registers the node.

    `boot_id` is random per start of the kubelet. The same boot keeps its
    incarnation; another boot is granted the next one.
    """

    boot_id: str
    node: NodeInfo


class ValuesRequest(Message, frozen=True, kw_only=True):
    """`rollbook.values.<node>`: asks for a ConfigMap or Secret of a pod's namespace.

    Answered only if that very pod is bound to the node and names the object.
    """

    namespace: str
    pod: str
    uid: str
    kind: pod_values.Kind
    name: str


# --- control → kubelet ------------------------------------------------------------


class PodRun(Message, frozen=True, kw_only=True):
    """A pod that the node should run; `template` is a key of `templates`.

    One that runs already and comes with another template is changed in its place.
    """

    namespace: str
    name: str
    uid: str
    template: str
    created_at: float = 0.0
    labels: dict[str, str] | None = None
    """The pod's labels where they are no longer those of the template."""


class PodStop(Message, frozen=True, kw_only=True):
    """A pod that the node should stop, with `grace` seconds for its end."""

    namespace: str
    name: str
    uid: str
    grace: float = 30.0


class Assignment(Message, frozen=True, kw_only=True):
    """`rollbook.assign.<node>`: what changed in what the node should run.

    `confirmed` names the reports of `incarnation` that are safely in the store now;
    a report that is not named was lost on the way, even if a later one is.
    `resync`: this kubelet is unknown or out of date, it must sync.
    """

    from_position: int
    to_position: int
    incarnation: int
    confirmed: tuple[int, ...] = ()
    templates: dict[str, podspec.PodTemplateSpec] = {}
    run: tuple[PodRun, ...] = ()
    stop: tuple[PodStop, ...] = ()
    resync: bool = False


class Grant(Message, frozen=True, kw_only=True):
    """`rollbook.node.<node>.grant`: `user` may open the session `id` with a container.

    `id` is that of the command which asked for it, and `position` where that stands in
    the log: control says this once it is there, and a node opens no session without
    it. Without a `command` the session is attached to what the container runs.
    """

    id: str
    user: str
    namespace: str
    name: str
    uid: str
    container: str
    position: int
    command: tuple[str, ...] = ()
    stdin: bool = False
    tty: bool = False


class SyncReply(Message, frozen=True, kw_only=True):
    """The answer to a sync: all pods bound to the node that are not gone.

    A pod that the node runs and that is in neither list must be stopped.
    """

    position: int
    incarnation: int
    templates: dict[str, podspec.PodTemplateSpec] = {}
    run: tuple[PodRun, ...] = ()
    stop: tuple[PodStop, ...] = ()
    error: str = ""


class ValuesReply(Message, frozen=True, kw_only=True):
    """What the object holds: texts as they are, the values of `binary` in base64.

    With an `error` the question was not answered; it may be asked again.
    """

    found: bool = False
    data: dict[str, str] = {}
    binary: dict[str, str] = {}
    error: str = ""

    def __repr__(self) -> str:
        return f"ValuesReply(found={self.found})"  # secrets are not for logs


class Pulse(Message, frozen=True, kw_only=True):
    """`rollbook.committed`: everything up to `position` is on disk.

    Sent after each step that made events, and every two seconds with `counters`: what
    control has refused, dropped or seen repeated since its start, by name.
    """

    position: int
    counters: dict[str, int] = {}


# --- monitor → control ------------------------------------------------------------


class Measurement(Message, frozen=True, kw_only=True):
    """`rollbook.measurement.<namespace>.<deployment>`: one number of one check.

    It answers one `wanted.Wanted`: `uid`, `revision`, `round` and `check` are its, and
    `number` is its `taken` + 1, so that one which comes twice, late or from a second
    monitor is recognised. Exactly one of `value` (finite) and `error` (why there is no
    number: it counts as inconclusive) is given. `at` is the monitor's clock.
    """

    uid: str
    revision: int
    round: int
    check: str
    number: int
    value: float | None = None
    error: str = ""
    at: float = 0.0


class PodCheck(Message, frozen=True, kw_only=True):
    """`rollbook.check.<namespace>.<pod>`: how the active check of a pod goes.

    Said when it is other than control knows, and now and then while it fails: a failing
    check that nobody repeats is lifted. `uid` is the pod's, `detail` one line.
    """

    uid: str
    passing: bool
    detail: str = ""


class NodeUsage(Message, frozen=True, kw_only=True):
    """What pods of `node` used in the `window` seconds before `at` (the writer's
    clock); every figure has been checked. No pods: it runs none."""

    node: str
    at: float
    window: float
    pods: tuple[PodUsage, ...]


class AutoscalerReading(Message, frozen=True, kw_only=True):
    """What the autoscaler `key` of that `uid` measured last, at `at`.

    `metrics` is the JSON list `status.currentMetrics`; null where it measured nothing.
    """

    key: str
    uid: str
    at: float
    current: int
    desired: int
    metrics: msgspec.Raw = msgspec.Raw(b"null")


class Live(Message, frozen=True, kw_only=True):
    """`rollbook.live`: what is true now and never in the log."""

    usage: tuple[NodeUsage, ...] = ()
    autoscalers: tuple[AutoscalerReading, ...] = ()


# --- users ↔ control --------------------------------------------------------------


class MetricMessage(Message, frozen=True, kw_only=True):
    """`rollbook.metric.<user>.<namespace>.<metric>`: one value of a metric.

    `value` is a number or a quantity. It is one of the pod `pod`, one of the object
    `object` (`kind/name`, as in `ingress/main`), or, where neither is given, an
    external one. `at` (seconds since the epoch, now by default) and `window` say of
    when it is.
    """

    value: str | int | float
    pod: str = ""
    object: str = ""
    labels: dict[str, str] = {}
    at: float = 0.0
    window: float = 0.0


NO_MANAGED_FIELDS: Final = msgspec.Raw(b"[]")
"""The `managed_fields` of a command that says nothing of them: compare with `is`."""


class Preconditions(Message, frozen=True, kw_only=True):
    """What must be true of the object for a command to be decided at all.

    It exists; it has that `uid`, unless that is empty; its last event is not behind
    `position`, the newest that the sender has seen of it, unless that is absent.
    """

    uid: str = ""
    position: int | None = None


class CommandMessage(Message, frozen=True, kw_only=True):
    """`rollbook.cmd.<user>.<namespace>.<kind>.<name>.<verb>`: a command.

    `body` is the struct of that verb (domain/command.py). `cause` is what the
    user wrote about the change; `source` is the command line or program it came from,
    `agent` the User-Agent of an HTTP request, and `field_manager` the name under which
    it owns fields. `managed_fields` is the JSON list of who owns which field of the
    object after the command: it is kept as it is, for those who serve it.
    With `namespace_must_exist` nothing is created in a namespace that is not there;
    else the command creates the namespace too.
    """

    id: str
    body: msgspec.Raw = msgspec.Raw(b"{}")
    cause: str = ""
    source: str = ""
    dry_run: bool = False
    agent: str = ""
    field_manager: str = ""
    managed_fields: msgspec.Raw = NO_MANAGED_FIELDS
    preconditions: Preconditions | None = None
    namespace_must_exist: bool = False


class Answer(Message, frozen=True, kw_only=True):
    """What became of a command; kept with it in the log for ever.

    `position` is the place in the log of the command's last event of its own: a
    reader that has folded that far sees the command's effect.
    """

    id: str
    result: Literal["accepted", "rejected", "unchanged"]
    position: int = 0
    revision: int = 0
    name: str = ""
    reason: str = ""
    code: int = 0
    message: str = ""
    causes: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()
