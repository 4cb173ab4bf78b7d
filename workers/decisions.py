"""Which decision a command asks for, and what it needs to see to be decided.

1. One function per kind; each returns the events with their streams, or raises
   `Rejected`. None of them changes the state.
2. What is decided about an object is in `domain`; this file only brings along what a
   decision must see.
"""

from typing import Final

import msgspec

from domain import (
    active_check,
    analysis,
    analysis_run,
    command,
    deployment,
    deployment_decisions,
    names,
    node,
    node_manifest,
    owners,
    plain,
    plain_decisions,
    pod,
    pod_decisions,
    pod_sessions,
    podspec,
    replicaset,
    replicaset_decisions,
    validation,
)
from domain.errors import Rejected, conflict, invalid, not_found, uid_conflict
from domain.events import Event
from domain.manifest_decisions import Asked
from domain.pod import Pod
from domain.protocol import CommandMessage, Grant, Preconditions
from domain.replicaset import ReplicaSet
from workers import namespaces, revisions
from workers.state import State

RESOURCES: Final = {
    "deployment": "deployments.apps",
    "replicaset": "replicasets.apps",
    "pod": "pods",
    "node": "nodes",
    **{kind: resource for kind, (resource, _) in plain.KINDS.items()},
}
KINDS: Final = {
    "deployment": "Deployment.apps",
    "replicaset": "ReplicaSet.apps",
    "pod": "Pod",
    "node": "Node",
    **{kind: title for kind, (_, title) in plain.KINDS.items()},
}
_CREATING: Final = ("create", "apply")
"""The verbs by which something new may come to be."""


_NO_TEMPLATE: Final = podspec.PodTemplateSpec()


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The object that a command names, as its subject says."""

    namespace: str
    kind: str
    name: str
    verb: str

    @property
    def key(self) -> str:
        """The stream of the object."""
        return names.key(self.kind, self.namespace, self.name)

    @property
    def is_namespaced(self) -> bool:
        """Objects of its kind are in a namespace."""
        return self.kind not in names.CLUSTER_KINDS


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """The events of a command; `message` where an unchanged answer needs words.

    `grant` is a session that it opens, on the node `on`; the rest of it is filled in
    when the command is accepted.
    """

    events: list[tuple[str, Event]]
    revision: int = 0
    message: str = ""
    warnings: tuple[str, ...] = ()
    grant: Grant | None = None
    on: str = ""


def decide(state: State, at: Target, message: CommandMessage) -> Decided:
    """What `message`, sent to the object `at`, asks for.

    Raises `Rejected` with Kubernetes' reason and text.
    """
    kind = command.VERBS.get((at.kind, at.verb))
    if kind is None:
        known = ", ".join(verb for held, verb in command.VERBS if held == at.kind)
        text = f"{at.kind} knows: {known}" if known else f'no kind "{at.kind}"'
        raise Rejected("MethodNotAllowed", f'unknown verb "{at.verb}": {text}')
    try:
        body = msgspec.json.decode(message.body, type=kind)
    except msgspec.MsgspecError as error:
        raise Rejected("BadRequest", f"body of {at.verb}: {error}") from error
    _check_preconditions(state, at, message.preconditions)
    new = at.verb in _CREATING and state.cluster.held(at.key) is None
    if new and at.is_namespaced:
        namespaces.check(
            state,
            message,
            namespace=at.namespace,
            resource=RESOURCES[at.kind],
            name=at.name,
        )
    decided = _decide(state, at, body, message.cause)
    if decided.events and _brings_namespace(state, at):
        # Last to be known, first to be told: the object's uid has made room for it.
        first = namespaces.creation(state, at.namespace)
        return msgspec.structs.replace(decided, events=[first, *decided.events])
    return decided


def _decide(state: State, at: Target, body: command.Command, cause: str) -> Decided:
    match body:
        case command.LabelObject() | command.AnnotateObject():
            return _metadata(state, at, body)
        case (
            pod.CreatePod()
            | pod.ApplyPod()
            | pod.ReplacePod()
            | pod.SetPodImage()
            | pod.DeletePod()
            | pod.EvictPod()
        ):
            return _pod(state, at, body)
        case pod_sessions.ExecPod() | pod_sessions.AttachPod():
            return _session(state, at, body)
        case (
            node.CordonNode()
            | node.UncordonNode()
            | node.TaintNode()
            | node.ReplaceNode()
            | node.DeleteNode()
        ):
            return _node(state, at, body)
        case (
            replicaset.CreateReplicaSet()
            | replicaset.ApplyReplicaSet()
            | replicaset.ReplaceReplicaSet()
            | replicaset.ScaleReplicaSet()
            | replicaset.SetReplicaSetImage()
            | replicaset.DeleteReplicaSet()
        ):
            return _replicaset(state, at, body)
        case (
            plain.CreateObject()
            | plain.ApplyObject()
            | plain.ReplaceObject()
            | plain.DeleteObject()
        ):
            return _plain(state, at, body)
        case _:
            return _deployment(state, at, body, cause)


def _check_preconditions(
    state: State, at: Target, wanted: Preconditions | None
) -> None:
    """Raises `Rejected` unless the object is the one that the sender has seen."""
    if wanted is None:
        return
    held = state.cluster.held(at.key)
    if held is None:
        raise not_found(RESOURCES[at.kind], at.name)
    if wanted.uid and wanted.uid != held.uid:
        raise uid_conflict(wanted=wanted.uid, found=held.uid)
    if wanted.position is not None and held.position > wanted.position:
        raise conflict(RESOURCES[at.kind], at.name)


def _brings_namespace(state: State, at: Target) -> bool:
    """The command creates its namespace too, if it creates anything."""
    return (
        at.verb in _CREATING
        and at.is_namespaced
        and namespaces.is_missing(state, namespace=at.namespace)
    )


# --- deployments ------------------------------------------------------------------


def _deployment(
    state: State, at: Target, body: deployment_decisions.Command, cause: str
) -> Decided:
    key = names.deployment_key(at.namespace, at.name)
    held = state.cluster.desired.deployments.get(key)
    asked = _asked(state, at, cause)
    found = deployment_decisions.decide(
        held,
        body,
        asked,
        revisions.revisions(state, key),
        revisions.fallback(state, key) if _is_abort(body) else 0,
    )
    warnings = tuple(validation.name_warnings(at.name)) if held is None else ()
    message = ""
    if not found and isinstance(body, deployment.RollbackDeployment):
        assert held is not None, "a rollback of nothing is refused"
        revision = deployment_decisions.rollback_revision(held, body)
        message = (
            f"skipped rollback (current template already matches revision {revision})"
        )
    return Decided(
        events=[*_orphaned(state, key, found), *((key, event) for event in found)],
        revision=_next_revision(held, found),
        message=message,
        warnings=warnings,
    )


def _is_abort(body: deployment_decisions.Command) -> bool:
    return isinstance(body, analysis_run.AbortRollout)


def _next_revision(held: deployment.Deployment | None, found: list[Event]) -> int:
    """The revision that the command's change of the template becomes; 0 for none."""
    changed = any(deployment.template_in(event) is not None for event in found)
    if not changed:
        return 0
    if held is None:
        return 0 if deployment.DeploymentPaused() in found else 1
    return 0 if held.spec.paused else held.revision + 1


# --- replicasets, pods and nodes --------------------------------------------------


def _replicaset(
    state: State, at: Target, body: replicaset_decisions.Command
) -> Decided:
    desired = state.cluster.desired
    held = desired.replicasets.get(at.key)
    template = desired.templates[held.template].template if held else _NO_TEMPLATE
    standing = _standing(state, at.key, held)
    asked = _asked(state, at)
    found = replicaset_decisions.decide(held, template, body, asked, standing)
    orphaned = _orphaned(state, at.key, found)
    return _decided(at, found, new=held is None, before=orphaned)


def _pod(state: State, at: Target, body: pod_decisions.Command) -> Decided:
    held = state.cluster.actual.pods.get(at.key)
    live = _live(state, held) if held is not None else _NO_TEMPLATE
    standing = _standing(state, at.key, held)
    found = pod_decisions.decide(held, live, body, _asked(state, at), standing)
    return _decided(at, found, new=held is None)


def _session(state: State, at: Target, body: pod_sessions.Command) -> Decided:
    held = state.cluster.actual.pods.get(at.key)
    spec = _live(state, held).spec if held is not None else _NO_TEMPLATE.spec
    container = pod_sessions.container(held, spec, at.name, body)
    assert held is not None, "a session with no pod is refused"
    grant = Grant(
        id="",
        user="",
        namespace=at.namespace,
        name=at.name,
        uid=held.uid,
        container=container,
        position=0,
        command=body.command if isinstance(body, pod_sessions.ExecPod) else (),
        stdin=body.stdin,
        tty=body.tty,
    )
    return Decided(events=[], grant=grant, on=held.node)


def _live(state: State, held: Pod) -> podspec.PodTemplateSpec:
    """What the pod runs by, with the labels and annotations that it has."""
    actual = state.cluster.actual
    found = state.cluster.desired.templates[held.template].template
    meta = msgspec.structs.replace(
        found.metadata,
        labels=actual.labels_of(held),
        annotations=actual.annotations_of(held),
    )
    return msgspec.structs.replace(found, metadata=meta)


def _asked(state: State, at: Target, cause: str = "") -> Asked:
    return Asked(
        namespace=at.namespace,
        name=at.name,
        now=state.now,
        # The command's own event comes first, then that of the namespace, if it is
        # new; so the object's is the one after these.
        uid=state.uid_after(2 if _brings_namespace(state, at) else 1),
        cause=cause,
    )


def _standing(state: State, key: str, held: ReplicaSet | Pod | None) -> owners.Standing:
    """The owners of an object as they are (domain/owners.py)."""
    return owners.Standing(
        references=state.cluster.desired.references.of(key),
        owner=held.owner if held is not None else "",
        owner_uid=held.owner_uid if held is not None else "",
        uid_of=state.cluster.uid_of,
    )


def _orphaned(state: State, key: str, found: list[Event]) -> list[tuple[str, Event]]:
    """What named the object as one of its owners does not any more, when the object is
    deleted and what it owns shall stay (spec 1.2). What it controls is released by its
    controller."""
    if not any(_orphans(event) for event in found):
        return []
    desired, pods = state.cluster.desired, state.cluster.actual.pods
    uid = state.cluster.uid_of(key)
    events: list[tuple[str, Event]] = []
    for dependent in desired.references.dependents_of(key):
        held = desired.replicasets.get(dependent) or pods[dependent]
        kept = desired.references.of(dependent)
        left = owners.released(kept, uid)
        if held.owner_uid == uid or left == kept:
            continue
        is_pod = isinstance(held, Pod)
        kind = pod.PodOwnersChanged if is_pod else replicaset.ReplicaSetOwnersChanged
        events.append((dependent, kind(references=left)))
    return events


def _orphans(event: Event) -> bool:
    if isinstance(event, deployment.DeploymentDeleted):
        return event.propagation == "orphan"
    return isinstance(event, replicaset.ReplicaSetDeleted) and event.orphan


def _decided(
    at: Target,
    found: list[Event],
    *,
    new: bool,
    before: list[tuple[str, Event]] | None = None,
) -> Decided:
    return Decided(
        events=[*(before or []), *((at.key, event) for event in found)],
        warnings=tuple(validation.name_warnings(at.name)) if new else (),
    )


def _node(
    state: State,
    at: Target,
    body: node.CordonNode
    | node.UncordonNode
    | node.TaintNode
    | node.ReplaceNode
    | node.DeleteNode,
) -> Decided:
    use = state.cluster.actual.nodes.get(at.name)
    if use is None:
        raise not_found(RESOURCES["node"], at.name)
    key = names.node_key(at.name)
    if isinstance(body, node.ReplaceNode):
        found = node_manifest.replace(use.node, body, _asked(state, at))
    else:
        found = node.decide(use.node, body, state.now)
    return Decided(events=[(key, event) for event in found])


def _plain(state: State, at: Target, body: plain_decisions.Command) -> Decided:
    held = state.cluster.plain.objects.get(at.key)
    asked = _asked(state, at)
    if not at.is_namespaced:
        asked = msgspec.structs.replace(asked, namespace="")
    found = plain_decisions.decide(at.kind, held, body, asked)
    return Decided(events=[(at.key, event) for event in found])


# --- labels and annotations -------------------------------------------------------


def _metadata(
    state: State, at: Target, body: command.LabelObject | command.AnnotateObject
) -> Decided:
    key, current = _current(state, at, body)
    word = "label" if isinstance(body, command.LabelObject) else "annotation"
    changed = dict(current)
    for name, value in body.changes.items():
        if value is None:
            changed.pop(name, None)
            continue
        if name in current and current[name] != value and not body.overwrite:
            raise Rejected(
                "BadRequest",
                f"'{name}' already has a value ({current[name]}), and --overwrite is "
                "false",
            )
        changed[name] = value
    if word == "label" and at.kind == plain.NAMESPACE:
        changed[plain.NAME_LABEL] = at.name
    if word == "label":
        errors = validation.label_errors(changed, "metadata.labels")
    else:
        errors = validation.annotation_errors(changed, "metadata.annotations")
    if errors:
        raise invalid(KINDS[at.kind], at.name, errors)
    held = state.cluster.held(key)
    if word == "annotation" and isinstance(held, deployment.Deployment):
        errors = active_check.errors(changed)
        errors += analysis.errors(changed, strategy=held.spec.strategy.type)
        if errors:
            raise invalid(KINDS[at.kind], at.name, errors)
    if changed == current:
        return Decided(events=[])
    return Decided(events=[(key, _changed(at.kind, word, changed))])


def _current(
    state: State, at: Target, body: command.LabelObject | command.AnnotateObject
) -> tuple[str, dict[str, str]]:
    """The object's key, and its labels or annotations now."""
    cluster = state.cluster
    is_label = isinstance(body, command.LabelObject)
    held = cluster.held(at.key)
    if held is None:
        raise not_found(RESOURCES[at.kind], at.name)
    if isinstance(held, Pod):
        return at.key, _pod_metadata(state, held, is_label=is_label)
    return at.key, held.labels if is_label else held.annotations


def _pod_metadata(state: State, held: Pod, *, is_label: bool) -> dict[str, str]:
    actual = state.cluster.actual
    return actual.labels_of(held) if is_label else actual.annotations_of(held)


def _changed(kind: str, word: str, values: dict[str, str]) -> Event:
    match kind, word:
        case "deployment", "label":
            return deployment.DeploymentLabelled(labels=values)
        case "deployment", _:
            return deployment.DeploymentAnnotated(annotations=values)
        case "replicaset", "label":
            return replicaset.ReplicaSetLabelled(labels=values)
        case "replicaset", _:
            return replicaset.ReplicaSetAnnotated(annotations=values)
        case "pod", "label":
            return pod.PodLabelled(labels=values)
        case "pod", _:
            return pod.PodAnnotated(annotations=values)
        case "node", "label":
            return node.NodeLabelled(labels=values)
        case "node", _:
            return node.NodeAnnotated(annotations=values)
        case _, "label":
            return plain.ObjectReplaced(labels=values)
        case _:
            return plain.ObjectReplaced(annotations=values)
