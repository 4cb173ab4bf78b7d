"""The pods of the container runtime: what is held of each, and how it is found again.

1. Every container that this kubelet makes carries labels: whose it is (`OWNER`: the
   cluster and the node), which pod, which container, which attempt. Nothing without
   our owner's label is ever looked at.
2. The infra container carries the pod's specification, so that another life of the
   kubelet knows the pod. What the pod was told since is in a file, which wins. Neither
   has values of Secrets.
3. What carries our label and belongs to no pod that can be read is a stray.
"""

import asyncio
import contextlib
import hashlib
import logging
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from adapters import engine_answers as answers
from adapters import private_files
from domain import podspec, times
from kubelet import container_cgroups, runtime
from kubelet import values as pod_values

PREFIX: Final = "rollbook/"
OWNER: Final = PREFIX + "owner"
UID: Final = PREFIX + "pod-uid"
CONTAINER: Final = PREFIX + "container"
ATTEMPT: Final = PREFIX + "attempt"
SANDBOX: Final = PREFIX + "sandbox"
INFRA: Final = "POD"
"""The name of the infra container; no container of a pod can be called so."""
_NAME_MAX: Final = 60

_log = logging.getLogger(__name__)


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a kubelet's folder, and where that lay when it was used last."""

    name: str
    folder: str


class Run:
    """The newest run of one container. `lock` is held by whoever works on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.attempt = -1
        self.id = ""
        self.previous_id = ""
        self.alive = False
        self.adopted = False
        self.oom = False
        self.stop_signal = "TERM"
        self.cgroup: container_cgroups.Cgroup | None = None
        self.lock = asyncio.Lock()


class Pod:
    """One pod; `infra` is the id of the container that holds its network."""

    def __init__(self, sandbox: runtime.Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.infra = ""
        self.ip = ""
        self.going = False
        self.runs: dict[str, Run] = {}
        self.lock = asyncio.Lock()
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return self.sandbox.uid

    @property
    def record(self) -> Path:
        """The file with what the pod was told last."""
        return self.folder / "sandbox.json"

    def run(self, name: str) -> Run:
        """The run of that container; a new one if there was none."""
        found = self.runs.get(name)
        if found is None:
            found = self.runs[name] = Run(name)
        return found

    def spec(self, name: str) -> podspec.Container:
        """The specification of a container, init containers included.

        Raises `LookupError`.
        """
        spec = self.sandbox.spec
        for container in spec.containers + spec.init_containers:
            if container.name == name:
                return container
        raise LookupError(f'container "{name}" in pod "{self.sandbox.name}" not found')

    def message_path(self, name: str, attempt: int) -> Path:
        """The file of a run's last words."""
        return self.folder / "containers" / name / f"{attempt}.message"

    def save(self) -> None:
        """Writes the record; a full disk costs only what the pod was told last."""
        temporary = self.folder / "sandbox.new"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_bytes(encoded(self.sandbox))
            temporary.replace(self.record)
        except OSError as error:
            _log.warning("pod %s is not recorded: %s", self.sandbox.name, error)


def owner(cluster: str, node: str) -> str:
    """The value of `OWNER` for the containers of one node of one cluster."""
    return f"{cluster}.{node}"


def scope(folder: Path) -> str:
    """Whose containers are this kubelet's: a name that is drawn once for its folder and
    moves with it, but not with a copy of it: two kubelets never share containers.

    Raises `OSError`.
    """
    path = folder / "identity.json"
    here = str(folder.resolve())
    known = _identity(path)
    if known is not None and known.folder != here:
        original = _identity(Path(known.folder) / path.name)
        if original is not None and original.name == known.name:
            known = None  # this folder is the copy
    if known is None or known.folder != here:
        name = known.name if known is not None else secrets.token_hex(8)
        known = Identity(name=name, folder=here)
        private_files.write(path, msgspec.json.encode(known))
    return known.name


def _identity(path: Path) -> Identity | None:
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    return None


def labels(
    whose: str, sandbox: runtime.Sandbox, container: str, attempt: int
) -> dict[str, str]:
    """The labels of a container; those below `io.kubernetes` are for people's tools."""
    found = {
        OWNER: whose,
        UID: sandbox.uid,
        CONTAINER: container,
        ATTEMPT: str(attempt),
        "io.kubernetes.pod.name": sandbox.name,
        "io.kubernetes.pod.namespace": sandbox.namespace,
        "io.kubernetes.pod.uid": sandbox.uid,
        "io.kubernetes.container.name": container,
    }
    if container == INFRA:
        found[SANDBOX] = encoded(sandbox).decode()
    return found


def container_name(
    whose: str, sandbox: runtime.Sandbox, container: str, attempt: int
) -> str:
    """Unique on the engine, so that no run is ever started twice."""
    mark = hashlib.sha256(f"{whose}/{sandbox.uid}".encode()).hexdigest()[:12]
    pod = f"{sandbox.namespace}_{sandbox.name}"[:_NAME_MAX].rstrip("-._")
    return f"rollbook_{pod}_{container}_{mark}_{attempt}"


def encoded(sandbox: runtime.Sandbox) -> bytes:
    """The sandbox as JSON, without the values of its Secrets."""
    return msgspec.json.encode(msgspec.structs.replace(sandbox, values=pod_values.NONE))


def pod_folder(folder: Path, sandbox_uid: str) -> Path:
    """Where a pod's files lie."""
    safe = sandbox_uid.replace("/", "_") if sandbox_uid.strip(".") else "_"
    return folder / "pods" / safe


def decoded(label: str, record: Path) -> runtime.Sandbox | None:
    """What a pod was told: from its file, else from its label; None if neither can be
    read."""
    texts: list[bytes] = []
    with contextlib.suppress(OSError):
        texts.append(record.read_bytes())
    texts.append(label.encode())
    for text in texts:
        try:
            return msgspec.json.decode(text, type=runtime.Sandbox)
        except msgspec.MsgspecError:
            continue
    return None


def adopt(
    found: Iterable[answers.Inspected], folder: Path
) -> tuple[dict[str, Pod], list[str]]:
    """The pods that these containers are, and the ids of the strays among them."""
    pods: dict[str, Pod] = {}
    strays: list[str] = []
    rest: list[answers.Inspected] = []
    for each in found:
        marks = each.config.labels or {}
        uid = marks.get(UID, "")
        if marks.get(CONTAINER) != INFRA:
            rest.append(each)
            continue
        place = pod_folder(folder, uid)
        sandbox = decoded(marks.get(SANDBOX, ""), place / "sandbox.json")
        if sandbox is None or sandbox.uid != uid or uid in pods:
            strays.append(each.id)
            continue
        pod = pods[uid] = Pod(sandbox, place)
        if each.state.running:
            pod.infra, pod.ip = each.id, each.ip
        else:
            strays.append(each.id)
    rest.sort(key=_attempt, reverse=True)
    for each in rest:
        marks = each.config.labels or {}
        owned = pods.get(marks.get(UID, ""))
        ran = each.state.running or bool(started_at(each))
        if owned is None or _attempt(each) < 0 or not ran:
            strays.append(each.id)
            continue
        run = owned.run(marks.get(CONTAINER, ""))
        if not run.id:
            run.id, run.attempt = each.id, _attempt(each)
            run.alive = run.adopted = each.state.running
        elif not run.previous_id:
            run.previous_id = each.id
        else:
            strays.append(each.id)
    return pods, strays


def started_at(found: answers.Inspected) -> float:
    """Seconds since the epoch; 0 if it never ran."""
    return _instant(found.state.started_at)


def finished_at(found: answers.Inspected) -> float:
    """Seconds since the epoch; 0 if it has not ended."""
    return _instant(found.state.finished_at)


def _instant(text: str) -> float:
    try:
        return max(times.parse(text), 0.0)  # engines write the year 1 for "never"
    except (ValueError, OverflowError):
        return 0.0


def _attempt(found: answers.Inspected) -> int:
    text = (found.config.labels or {}).get(ATTEMPT, "")
    return int(text) if text.isdecimal() else -1
