"""What a pod is doing, in the words of `get pods`: STATUS, READY and RESTARTS.

The rules are those of spec 6.2, in its order. A node that reports a pod without its
containers (it runs none) is taken at its word for all of them: `statuses`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from domain import pod
from domain.ages import human
from domain.pod import Pod
from domain.podspec import PodSpec
from domain.protocol import ContainerStatus
from gateway.views.scene import TemplateView

NODE_LOST = "NodeLost"


class Shown(NamedTuple):
    """The three cells of a pod."""

    status: str
    ready: str
    restarts: str


class _Start(NamedTuple):
    """How far the init containers are; `word` is "" once the pod is initialised."""

    word: str
    ready: int
    restarts: int
    restarted_at: float
    sidecar_restarts: int
    sidecar_restarted_at: float


class _Run(NamedTuple):
    """What the regular containers make of the pod."""

    word: str
    ready: int
    restarts: int
    restarted_at: float


def shown(held: Pod, template: TemplateView, now: float) -> Shown:
    """The cells of the pod at `now`."""
    seen = held.seen
    reason = seen.reason if seen is not None else ""
    total = len(template.spec.containers) + len(template.sidecars)
    start = _starting(held, template)
    word = start.word or reason or held.phase
    ready, restarts, at = start.ready, start.restarts, start.restarted_at
    if not start.word:
        run = _running(held, statuses(held, template.spec))
        word = run.word or word
        ready += run.ready
        restarts = start.sidecar_restarts + run.restarts
        at = max(start.sidecar_restarted_at, run.restarted_at)
    if held.stage == pod.TERMINATING:
        if reason == NODE_LOST:
            word = "Unknown"
        elif not held.terminal:
            word = "Terminating"
    text = f"{restarts} ({human(now - at)} ago)" if restarts and at else str(restarts)
    return Shown(word, f"{ready}/{total}", text)


def statuses(held: Pod, spec: PodSpec) -> Sequence[ContainerStatus]:
    """The containers as the node sees them; nothing before it has said anything."""
    seen = held.seen
    if seen is None:
        return ()
    if seen.containers or held.terminal:
        return seen.containers
    running = held.phase == "Running"
    return [
        ContainerStatus(
            name=each.name,
            state="running" if running else "waiting",
            reason="" if running else "ContainerCreating",
            ready=running and seen.ready,
            started=running,
            started_at=seen.started_at if running else 0.0,
        )
        for each in spec.containers
    ]


def init_statuses(held: Pod, spec: PodSpec) -> Sequence[ContainerStatus]:
    """The init containers as the node sees them, those not yet heard of waiting."""
    seen = held.seen
    if seen is None or not spec.init_containers:
        return ()
    known = {each.name: each for each in seen.init_containers}
    if not known and held.phase != "Pending":
        done = msgspec.structs.replace
        over = ContainerStatus(name="", state="terminated", reason="Completed")
        return [done(over, name=each.name) for each in spec.init_containers]
    return [
        known.get(each.name)
        or ContainerStatus(name=each.name, reason="PodInitializing")
        for each in spec.init_containers
    ]


def is_initialised(held: Pod, template: TemplateView) -> bool:
    """Every init container has done what it is there for."""
    return held.seen is not None and not _starting(held, template).word


def _starting(held: Pod, template: TemplateView) -> _Start:
    """Rule 2: the first init container that is not through gives the word."""
    word, ready, restarts, at = "", 0, 0, 0.0
    sidecar_restarts, sidecar_at = 0, 0.0
    for index, each in enumerate(init_statuses(held, template.spec)):
        ended = each.last.finished_at if each.last is not None else 0.0
        restarts += each.restarts
        at = max(at, ended)
        sidecar = each.name in template.sidecars
        if sidecar:
            sidecar_restarts += each.restarts
            sidecar_at = max(sidecar_at, ended)
        if each.state == "terminated" and each.exit_code == 0:
            continue
        if sidecar and each.started:
            ready += each.ready
            continue
        if each.state == "terminated":
            word = f"Init:{each.reason or _ending(each)}"
        elif (
            each.state == "waiting" and each.reason and each.reason != "PodInitializing"
        ):
            word = f"Init:{each.reason}"
        else:
            word = f"Init:{index}/{len(template.spec.init_containers)}"
        break
    return _Start(word, ready, restarts, at, sidecar_restarts, sidecar_at)


def _running(held: Pod, found: Sequence[ContainerStatus]) -> _Run:
    """Rule 3: from the last container to the first, so that the first one wins."""
    word, failed, running = "", "", False
    ready, restarts, at = 0, 0, 0.0
    for each in reversed(found):
        restarts += each.restarts
        if each.last is not None:
            at = max(at, each.last.finished_at)
        if each.state == "waiting" and each.reason:
            word = each.reason
        elif each.state == "terminated":
            word = each.reason or _ending(each)
            if word != "Completed":
                failed = word
        elif each.state == "running" and each.ready:
            running = True
            ready += 1
    if word == "Completed" and running:
        word = "Running" if held.ready else failed or "NotReady"
    return _Run(word, ready, restarts, at)


def _ending(each: ContainerStatus) -> str:
    return f"Signal:{each.signal}" if each.signal else f"ExitCode:{each.exit_code}"
