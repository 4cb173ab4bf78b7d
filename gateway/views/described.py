"""The texts of `describe` for Deployments, ReplicaSets and pods (spec 6.12)."""

from collections.abc import Iterable, Sequence
from typing import Final

from domain import autoscaler, deployment, labels, pod, podspec, replicaset
from domain.ages import age, human
from domain.plain import PlainObject
from gateway.views import (
    deployments,
    plain,
    pods,
    podstates,
    podtemplates,
    replicasets,
    scene,
    tabs,
)
from gateway.views.podtemplates import Lines, annotation_lines, joined, label_lines
from gateway.views.scene import NONE, Scene
from projections import happenings_autoscalers
from projections.happenings import Happening

EVENTS_MAX: Final = 100
"""So many lines of what happened are shown: the newest."""


def of_deployment(at: Scene, held: deployment.Deployment) -> str:
    """A Deployment with its ReplicaSets and what happened to it."""
    happened = at.happenings.of("Deployment", held.namespace, held.name)
    return text(_deployment(at, held), at, happened, held.uid)


def of_replicaset(at: Scene, held: replicaset.ReplicaSet) -> str:
    """A ReplicaSet with its pods counted by phase and what happened to it."""
    happened = at.happenings.of("ReplicaSet", held.namespace, held.name)
    return text(_replicaset(at, held), at, happened, held.uid)


def of_pod(at: Scene, held: pod.Pod) -> str:
    """A pod with its containers and what happened to it."""
    happened = at.happenings.of("Pod", held.namespace, held.name)
    return text(_pod(at, held), at, happened, held.uid)


def of_plain(at: Scene, held: PlainObject) -> str:
    """A plain object; only what an autoscaler does is told as events."""
    lines = list(plain.described(at, held))
    if held.kind == autoscaler.KIND:
        kind, space = happenings_autoscalers.KIND, held.namespace
        return text(lines, at, at.happenings.of(kind, space, held.name), held.uid)
    if held.kind not in ("namespace", "secret"):  # kubectl tells no events of these
        lines.append(f"Events:\t{NONE}")
    return tabs.align(joined(lines))


def text(
    body: Iterable[str], at: Scene, happened: Sequence[Happening], uid: str
) -> str:
    """The body and the events about the object of that uid, each laid out by itself.

    Lines about an earlier object of the same name are not shown.
    """
    mine = [held for held in happened if held.uid == uid]
    if not mine:
        return tabs.align(joined([*body, f"Events:\t{NONE}"]))
    return tabs.align(joined(body)) + tabs.align(joined(_events(at, mine)))


def template_text(
    template: podspec.PodTemplateSpec, change_cause: tuple[str, str] | None = None
) -> str:
    """The Pod Template block with literal tabs, as `rollout history` prints it."""
    found = podtemplates.template_lines(template, change_cause=change_cause)
    return joined(found)


def condition_lines(rows: Iterable[tuple[str, str, str]]) -> Lines:
    """The block of conditions with reasons; nothing where there is none."""
    shown = [f"  {type_} \t{status}\t{reason}" for type_, status, reason in rows]
    if shown:
        yield from ("Conditions:", "  Type\tStatus\tReason", "  ----\t------\t------")
        yield from shown


def _events(at: Scene, happened: Sequence[Happening]) -> Lines:
    newest = happened[-EVENTS_MAX:]
    left_out = len(happened) - len(newest)
    yield from (
        f"Events:  ({left_out} earlier ones are not shown)" if left_out else "Events:",
        "  Type\tReason\tAge\tFrom\tMessage",
        "  ----\t------\t----\t----\t-------",
    )
    for held in newest:
        seen = age(held.at, at.now)
        message = held.message.strip()
        yield f"  {held.type}\t{held.reason}\t{seen}\t{held.source}\t{message}"


def _head(name: str, namespace: str) -> Lines:
    yield f"Name:\t{name}"
    yield f"Namespace:\t{namespace}"


# --- Deployments ------------------------------------------------------------------


def _deployment(at: Scene, held: deployment.Deployment) -> Lines:
    counted = deployments.counts(at, held)
    strategy = held.spec.strategy
    yield from _head(held.name, held.namespace)
    yield f"CreationTimestamp:\t{podtemplates.moment(held.created_at)}"
    yield from label_lines("Labels", held.labels)
    yield from annotation_lines("Annotations", deployments.annotations(held))
    yield f"Selector:\t{labels.format_selector(held.spec.selector)}"
    yield (
        f"Replicas:\t{held.replicas} desired | {counted.updated} updated | "
        f"{counted.replicas} total | {counted.available} available | "
        f"{counted.unavailable} unavailable"
    )
    yield f"StrategyType:\t{strategy.type}"
    yield f"MinReadySeconds:\t{held.spec.min_ready_seconds}"
    if strategy.rolling_update is not None:
        update = strategy.rolling_update
        yield (
            f"RollingUpdateStrategy:\t{update.max_unavailable} max unavailable, "
            f"{update.max_surge} max surge"
        )
    yield from podtemplates.template_lines(held.template)
    conditions = deployments.conditions(at, held)
    yield from condition_lines((c.type, c.status, c.reason) for c in conditions)
    yield from _replicasets(at, held)


def _replicasets(at: Scene, held: deployment.Deployment) -> Lines:
    desired = at.cluster.desired
    owned = desired.replicasets_of(held)
    if not owned:
        return
    new = desired.new_replicaset(held)
    old = [each for each in owned if new is None or each.uid != new.uid]
    yield f"OldReplicaSets:\t{_sizes(at, old)}"
    yield f"NewReplicaSet:\t{_sizes(at, [new] if new is not None else [])}"


def _sizes(at: Scene, found: Sequence[replicaset.ReplicaSet]) -> str:
    shown = [
        f"{each.name} ({at.cluster.actual.tally(each.key).active}/{each.replicas} "
        "replicas created)"
        for each in found
    ]
    return ", ".join(shown) or NONE


# --- ReplicaSets ------------------------------------------------------------------


def _replicaset(at: Scene, held: replicaset.ReplicaSet) -> Lines:
    yield from _head(held.name, held.namespace)
    yield f"Selector:\t{labels.format_selector(held.selector)}"
    yield from label_lines("Labels", held.labels)
    yield from annotation_lines("Annotations", replicasets.annotations(held))
    if controller := scene.controlled_by(at, held):
        yield f"Controlled By:\t{controller}"
    counted = at.cluster.actual.tally(held.key)
    yield f"Replicas:\t{counted.active} current / {held.replicas} desired"
    phases = [each.phase for each in at.cluster.actual.pods_of(held.key)]
    yield (
        f"Pods Status:\t{phases.count('Running')} Running / "
        f"{phases.count('Pending')} Waiting / {phases.count('Succeeded')} Succeeded / "
        f"{phases.count('Failed')} Failed"
    )
    yield from podtemplates.template_lines(replicasets.template(at, held))
    if held.failure:
        yield from condition_lines([("ReplicaFailure", "True", held.failure)])


# --- pods -------------------------------------------------------------------------


def _pod(at: Scene, held: pod.Pod) -> Lines:
    view = at.template(held.template)
    spec, seen = view.spec, held.seen
    yield from _head(held.name, held.namespace)
    yield f"Priority:\t{spec.priority or 0}"
    if spec.priority_class_name:
        yield f"Priority Class Name:\t{spec.priority_class_name}"
    if spec.service_account_name:
        yield f"Service Account:\t{spec.service_account_name}"
    on = f"{held.node}/{pods.host_ip(at, held)}" if held.node else NONE
    yield f"Node:\t{on}"
    if pods.started_at(held):
        yield f"Start Time:\t{podtemplates.moment(pods.started_at(held))}"
    yield from label_lines("Labels", at.pod_labels(held))
    yield from annotation_lines("Annotations", at.pod_annotations(held))
    if held.stage == pod.TERMINATING and not held.terminal:
        lasts = human(at.now - held.deletion_at - held.grace)
        yield f"Status:\tTerminating (lasts {lasts})"
        yield f"Termination Grace Period:\t{int(held.grace)}s"
    else:
        yield f"Status:\t{held.phase}"
    if seen is not None and seen.reason:
        yield f"Reason:\t{seen.reason}"
    if seen is not None and seen.message:
        yield f"Message:\t{seen.message}"
    ip = seen.ip if seen is not None else ""
    yield f"IP:\t{ip}"
    yield from ("IPs:", f"  IP:\t{ip}") if ip else (f"IPs:\t{NONE}",)
    if controller := scene.controlled_by(at, held):
        yield f"Controlled By:\t{controller}"
    if spec.init_containers:
        initial = {each.name: each for each in podstates.init_statuses(held, spec)}
        yield "Init Containers:"
        yield from podtemplates.container_lines(
            spec.init_containers, initial, indent="  "
        )
    running = {each.name: each for each in podstates.statuses(held, spec)}
    yield "Containers:"
    yield from podtemplates.container_lines(spec.containers, running, indent="  ")
    yield from ("Conditions:", "  Type\tStatus")
    for each in pods.conditions(held, view):
        yield f"  {each['type']} \t{each['status']} "
    yield from podtemplates.volume_lines(spec, "")
    yield f"QoS Class:\t{view.qos}"
    yield from label_lines("Node-Selectors", spec.node_selector)
    yield from podtemplates.toleration_lines("Tolerations", spec.tolerations)
    yield from podtemplates.spread_lines(spec, "")
