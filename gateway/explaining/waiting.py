"""What an object is now, in one sentence, and what it waits for: pure, from the scene.

1. Pods that wait for the same reason make one line, with a few of their names; a
   Deployment of ten thousand pods has as many lines as it has troubles.
2. A line says what is so and, where a person can do something about it, nothing is
   made up: messages are those of the node, the scheduler and the planner.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from domain import (
    analysis,
    analysis_run,
    autoscaler,
    deployment,
    node,
    pod,
    replicaset,
)
from domain.ages import age, human
from domain.deployment import Deployment
from domain.node import Node
from domain.plain import PlainObject
from domain.plans import rollout
from domain.pod import Pod
from domain.replicaset import ReplicaSet
from gateway.explaining import phrases, words_pods
from gateway.views import autoscalers, deployments, nodes, podstates, steps
from gateway.views.scene import Scene

NAMES_MAX: Final = 3
LINES_MAX: Final = 20


class Seen:
    """An object that exists: which, what it is, and what it waits for."""

    def __init__(
        self,
        held: Deployment | ReplicaSet | Pod | Node | PlainObject,
        sentence: str,
        waits: Iterable[str] = (),
    ) -> None:
        self.uid = held.uid
        self.created_at = held.created_at
        self.sentence = sentence
        self.waits = tuple(waits)


def look(at: Scene, stream: str) -> Seen | None:
    """What is so of the object `stream`; None where there is none now."""
    kind, _, rest = stream.partition("/")
    desired, actual = at.cluster.desired, at.cluster.actual
    match kind:
        case "deployment":
            if (owner := desired.deployments.get(stream)) is not None:
                lines = [*_deployment_waits(at, owner)]
                return Seen(owner, _deployment(at, owner, bool(lines)), lines)
        case "replicaset":
            if (held := desired.replicasets.get(stream)) is not None:
                return Seen(held, _replicaset(at, held), _set_waits(at, held))
        case "pod":
            if (each := actual.pods.get(stream)) is not None:
                return Seen(each, _pod(at, each), _pod_waits(at, each))
        case "node":
            if (use := actual.nodes.get(rest)) is not None:
                return Seen(
                    use.node,
                    _node(at, use.node, len(use.pods)),
                    _node_waits(use.node),
                )
        case autoscaler.KIND:
            if (kept := at.cluster.plain.objects.get(stream)) is not None:
                return Seen(kept, _autoscaler(at, kept), _autoscaler_waits(kept))
    return None


# --- Deployments and ReplicaSets --------------------------------------------------


def _deployment(at: Scene, held: Deployment, waits: bool) -> str:
    counted = deployments.counts(at, held)
    name = phrases.thing(held.key)
    sizes = (
        f"{counted.updated} of {phrases.counted(held.replicas, 'pod')} "
        f"{'is' if counted.updated == 1 else 'are'} of the newest template, "
        f"{counted.available} available"
    )
    if held.stage == deployment.DELETING:
        return f"{name} is being deleted: {phrases.counted(counted.replicas, 'pod')}"
    if held.spec.paused:
        return f"{name} is paused at revision {held.revision}: {sizes}"
    behind = counted.updated < held.replicas  # in the middle of a step, for example
    doing = "is rolling out" if waits or behind else "has rolled out"
    return f"{name} {doing} revision {held.revision}: {sizes}"


def _deployment_waits(at: Scene, held: Deployment) -> Iterator[str]:
    """Conditions that are not well, then what pods wait for, new ReplicaSet first."""
    desired, actual = at.cluster.desired, at.cluster.actual
    if held.spec.paused:
        yield f"paused: `rollbook rollout resume deployment/{held.name}` goes on"
    for each in deployments.conditions(at, held):
        if each.type == steps.TYPE:
            yield each.message
            continue
        healthy = "False" if each.type == "ReplicaFailure" else "True"
        if each.status != healthy:
            since = age(each.transitioned_at, at.now)
            yield (
                f"{each.type} is {each.status} since {since}, {each.reason}"
                f"{phrases.behind(each.message)}"
            )
    new = desired.new_replicaset(held)
    mine = desired.replicasets_of(held)
    mine.sort(key=lambda each: new is None or each.uid != new.uid)
    lines = [line for each in mine for line in _lacking(at, each)]
    lines += _grouped(at, (p for each in mine for p in actual.pods_of(each.key)))
    if new is not None and not held.spec.paused:
        old = sum(actual.tally(e.key).active for e in mine if e.uid != new.uid)
        pods = phrases.counted(old, "pod")
        lines += [f"{pods} of older revisions to be replaced"] if old else []
    yield from lines[:LINES_MAX]
    if lines and not held.spec.paused:
        yield from _deadline(at, held)


def _lacking(at: Scene, held: ReplicaSet) -> Iterator[str]:
    if held.failure:
        yield f"{phrases.thing(held.key)}: {held.failure_message}"
        return
    missing = held.replicas - at.cluster.actual.tally(held.key).active
    if missing > 0:
        yield f"{phrases.thing(held.key)} lacks {phrases.counted(missing, 'pod')}"


def _deadline(at: Scene, held: Deployment) -> Iterator[str]:
    """When the progress deadline will pass, while it is running (spec 2.12)."""
    seconds = held.spec.progress_deadline_seconds
    if seconds in (None, rollout.NO_DEADLINE):
        return
    if analysis_run.waits(analysis.policy(held.annotations), held.run):
        return  # it does not run while a step waits
    for each in deployments.conditions(at, held):
        watched = each.reason not in (rollout.AVAILABLE, rollout.EXCEEDED)
        if each.type == "Progressing" and each.status == "True" and watched:
            left = each.updated_at + (seconds or 0) - at.now
            yield (
                f"the progress deadline of {seconds} s passes in "
                f"{human(max(0.0, left))} unless something moves"
            )


def _replicaset(at: Scene, held: ReplicaSet) -> str:
    counted = at.cluster.actual.tally(held.key)
    name = phrases.thing(held.key)
    of = f" of {phrases.thing(held.owner)}" if held.owner else ""
    said = (
        f"{name}{of} has {counted.active} of {phrases.counted(held.replicas, 'pod')}, "
        f"{counted.available} available"
    )
    return f"{said}; it is being deleted" if held.stage == replicaset.DELETING else said


def _set_waits(at: Scene, held: ReplicaSet) -> Iterator[str]:
    if held.failure:
        yield held.failure_message
    yield from [*_grouped(at, at.cluster.actual.pods_of(held.key))][:LINES_MAX]


# --- pods -------------------------------------------------------------------------


def _pod(at: Scene, held: Pod) -> str:
    shown = podstates.shown(held, at.template(held.template), at.now)
    name = phrases.thing(held.key)
    said = f"{name} is {shown.status} ({shown.ready} ready)"
    if held.restarts:
        said += f", restarted {words_pods.times(held.restarts)}"
    on = f" on node {held.node}" if held.node else ", without a node"
    by = f", of {phrases.thing(held.owner)}" if held.owner else ""
    return f"{said}{on}{by}, created {age(held.created_at, at.now)} ago"


def _pod_waits(at: Scene, held: Pod) -> Iterator[str]:
    reason = pod_reason(at, held)
    if reason:
        yield f"it {reason}"


def _grouped(at: Scene, members: Iterable[Pod]) -> Iterator[str]:
    """Rule 1: a line for each reason, with the names of a few pods."""
    groups: dict[str, tuple[str, list[str]]] = {}
    for held in members:
        reason = pod_reason(at, held)
        if reason:
            # A kubelet's message may name the pod that it is about.
            same = reason.replace(held.name, "").replace(held.uid, "")
            groups.setdefault(same, (reason, []))[1].append(held.name)
    for reason, found in groups.values():
        names = phrases.listed(found, NAMES_MAX)
        yield f"{'pod' if len(found) == 1 else 'pods'} {names}: {reason}"


def pod_reason(at: Scene, held: Pod) -> str:
    """Why the pod is not available, as a clause behind its name; empty if it is."""
    if held.stage == pod.TERMINATING:
        grace = f", with {held.grace:g} s for it" if held.grace else ""
        return f"is ending{grace}{phrases.behind(held.termination)}"
    if held.phase == "Succeeded":
        return "is through: its containers have ended well"
    if not held.node:
        return f"waits for a node{phrases.behind(held.unschedulable)}"
    silent = _node_trouble(at, held.node)
    if silent:
        return silent
    seen = held.seen
    if seen is None:
        return f"is bound to node {held.node}, which has not said anything of it yet"
    if seen.reason:
        return f"is {held.phase}: {seen.reason}{phrases.behind(seen.message)}"
    if not held.ready:
        view = at.template(held.template)
        containers = (
            *podstates.init_statuses(held, view.spec),
            *podstates.statuses(held, view.spec),
        )
        troubles = [told for each in containers if (told := words_pods.trouble(each))]
        if troubles:
            return phrases.listed(troubles, NAMES_MAX)
        if held.check_failed and seen.ready:
            return f"fails its active check{phrases.behind(held.check_failed)}"
        if held.phase == "Running":
            return "runs and is not ready"
        warnings = [note for note in seen.notes if note.warning]
        if warnings:
            said = f"{warnings[-1].reason}{phrases.behind(warnings[-1].message)}"
            return f"is being started by its node, which says {said}"
        return "is being started by its node"
    owner = at.cluster.desired.replicasets.get(held.owner)
    if owner is not None and held.ready_seconds < owner.min_ready_seconds:
        return (
            "is ready, and counts as available after its minReadySeconds of "
            f"{owner.min_ready_seconds} s"
        )
    return ""


def _node_trouble(at: Scene, name: str) -> str:
    use = at.cluster.actual.nodes.get(name)
    if use is None:
        return f"is on node {name}, which is not there any more"
    if use.ready or use.node.stage == node.STARTING:
        return ""
    return f"is on node {name}, which is not ready{phrases.behind(use.node.message)}"


# --- nodes ------------------------------------------------------------------------


def _node(at: Scene, held: Node, pods: int) -> str:
    since = age(held.changed_at, at.now)
    state = nodes.status(held).replace(",SchedulingDisabled", " and cordoned")
    on = phrases.counted(pods, "pod")
    return f"node {held.name} is {state} since {since}, with {on}"


def _node_waits(held: Node) -> Iterator[str]:
    if held.stage == node.STARTING:
        yield "its kubelet has registered it and sent no report yet"
    elif held.stage == node.UNREADY:
        yield f"{held.reason}{phrases.behind(held.message)}"
    if held.cordoned:
        yield f"it takes no new pods: `rollbook uncordon {held.name}` lets it"


# --- autoscalers ------------------------------------------------------------------


def _autoscaler(at: Scene, held: PlainObject) -> str:
    name = phrases.thing(held.key)
    reference, shown, least, most, size = autoscalers.row(at, held)
    kind, _, target = reference.partition("/")
    said = f"{name} keeps {kind} {target} between {least} and {most} pods"
    if held.scaling is None:
        return f"{said}; it has not looked at it yet"
    return f"{said}: now {size}, with {shown}"


def _autoscaler_waits(held: PlainObject) -> Iterator[str]:
    """The conditions that keep it from scaling."""
    for each in held.scaling.conditions if held.scaling is not None else ():
        limited = each.type == "ScalingLimited"
        if each.status != ("False" if limited else "True"):
            yield f"{each.type} is {each.status}, {each.reason}: {each.message}"
