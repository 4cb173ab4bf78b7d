"""What each command to a pod means: the events that carry it out, or none.

1. A pod is what it was created as. Only its images, its labels and annotations, an
   added toleration and its deadline may change (spec 1.7); all else is refused with
   Kubernetes' text, and nothing of the command happens.
2. A deletion is graceful: see `pod.terminate`. One by force does not wait for the node.
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

import msgspec

from domain import (
    fields,
    manifest_decisions,
    objects,
    owners,
    pod,
    podspec,
    template,
    template_changes,
    validation,
)
from domain.errors import (
    FieldError,
    already_exists,
    conflict,
    invalid,
    not_found,
    uid_conflict,
)
from domain.events import Event
from domain.manifest_decisions import Asked
from domain.pod import Pod

RESOURCE: Final = "pods"
_OWNED: Final = manifest_decisions.OwnerEvents(
    released=pod.PodReleased,
    changed=lambda kept: pod.PodOwnersChanged(references=kept),
    adopted=lambda owner, uid: pod.PodAdopted(owner=owner, owner_uid=uid),
)
KIND: Final = "Pod"

UPDATE_RULE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
    "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)
_DEADLINE: Final = "spec.activeDeadlineSeconds"

Command = (
    pod.CreatePod
    | pod.ApplyPod
    | pod.ReplacePod
    | pod.SetPodImage
    | pod.DeletePod
    | pod.EvictPod
)


def decide(
    state: Pod | None,
    live: podspec.PodTemplateSpec,
    command: Command,
    asked: Asked,
    standing: owners.Standing,
) -> list[Event]:
    """The events that carry `command` out; `[]` when it is so already.

    `live` is what `state` runs by, with the labels and annotations that it has; of no
    meaning while there is no pod. Raises `Rejected` with Kubernetes' reason and text.
    """
    match command:
        case pod.CreatePod():
            if state is not None:
                deleting = state.stage == pod.TERMINATING
                raise already_exists(RESOURCE, asked.name, deleting=deleting)
            return _create(_decoded(command.manifest, asked), asked, standing)
        case pod.ApplyPod():
            return _apply(state, live, command, asked, standing)
        case pod.ReplacePod():
            if state is None:
                raise not_found(RESOURCE, asked.name)
            return _replace(state, live, command, asked, standing)
        case pod.SetPodImage():
            if state is None:
                raise not_found(RESOURCE, asked.name)
            current = manifest_of(state, live, standing.shown)
            return _set_images(current, command, asked)
        case pod.DeletePod() | pod.EvictPod():
            if state is None:
                raise not_found(RESOURCE, asked.name)
            return _delete(state, live, command, asked)
        case _:
            assert_never(command)


def _decoded(raw: Mapping[str, object], asked: Asked) -> objects.PodManifest:
    return objects.default_pod(
        manifest_decisions.decode(raw, asked, objects.PodManifest)
    )


def _create(
    manifest: objects.PodManifest, asked: Asked, standing: owners.Standing
) -> list[Event]:
    errors = validation.pod_errors(manifest)
    if errors:
        raise invalid(KIND, asked.name, errors)
    return [
        pod.PodCreated(uid=asked.uid, own=_own(manifest)),
        *_owned(standing, manifest.metadata.owner_references, asked),
    ]


def _owned(
    standing: owners.Standing, wanted: owners.References, asked: Asked
) -> list[Event]:
    found = owners.change(
        standing, wanted, namespace=asked.namespace, controller="replicaset"
    )
    return manifest_decisions.owned(found, _OWNED)


def _own(manifest: objects.PodManifest) -> podspec.PodTemplateSpec:
    meta = manifest.metadata
    kept = type(meta)(
        generate_name=meta.generate_name,
        labels=meta.labels,
        annotations=meta.annotations,
    )
    return podspec.PodTemplateSpec(metadata=kept, spec=manifest.spec)


# --- apply and replace --------------------------------------------------------------


def _apply(
    state: Pod | None,
    live: podspec.PodTemplateSpec,
    command: pod.ApplyPod,
    asked: Asked,
    standing: owners.Standing,
) -> list[Event]:
    raw = command.manifest
    wanted = _decoded(raw, asked)
    if state is None:
        extra = manifest_decisions.remembered(raw)
        whole = manifest_decisions.with_annotations(wanted, extra)
        return _create(whole, asked, standing)
    current = manifest_of(state, live, standing.shown)
    merged = objects.default_pod(manifest_decisions.applied(current, raw, asked))
    events = _change_to(current, merged, asked)
    return _owned(standing, merged.metadata.owner_references, asked) + events


def _replace(
    state: Pod,
    live: podspec.PodTemplateSpec,
    command: pod.ReplacePod,
    asked: Asked,
    standing: owners.Standing,
) -> list[Event]:
    manifest = _decoded(command.manifest, asked)
    version = manifest.metadata.resource_version
    if version and version != str(state.position):
        raise conflict(RESOURCE, asked.name)
    current = manifest_of(state, live, standing.shown)
    events = _change_to(current, manifest, asked)
    return _owned(standing, manifest.metadata.owner_references, asked) + events


def _set_images(
    current: objects.PodManifest, command: pod.SetPodImage, asked: Asked
) -> list[Event]:
    whole = podspec.PodTemplateSpec(spec=current.spec)
    spec = template.set_images(whole, command.images).spec
    return _change_to(current, msgspec.structs.replace(current, spec=spec), asked)


def manifest_of(
    state: Pod, live: podspec.PodTemplateSpec, references: owners.References
) -> objects.PodManifest:
    """The pod as its manifest: what `apply` merges into."""
    spec = objects.default_pod_spec(live.spec)
    if state.node:
        spec = msgspec.structs.replace(spec, node_name=state.node)
    meta = live.metadata
    named = manifest_decisions.metadata_of(
        state.namespace, state.name, meta.labels, meta.annotations, references
    )
    return objects.PodManifest(
        metadata=msgspec.structs.replace(named, generate_name=meta.generate_name),
        spec=spec,
    )


def _change_to(
    current: objects.PodManifest, manifest: objects.PodManifest, asked: Asked
) -> list[Event]:
    errors = validation.pod_errors(manifest)
    errors += update_errors(current.spec, manifest.spec)
    if errors:
        raise invalid(KIND, asked.name, errors)
    old, new = current.metadata, manifest.metadata
    events: list[Event] = []
    if manifest.spec != current.spec:
        meta = type(old)(
            generate_name=old.generate_name,
            labels=old.labels,
            annotations=old.annotations,
        )
        own = podspec.PodTemplateSpec(metadata=meta, spec=manifest.spec)
        events.append(pod.PodConfigured(own=own))
    if new.labels != old.labels:
        events.append(pod.PodLabelled(labels=new.labels))
    told = manifest_decisions.annotations_differ(old.annotations, new.annotations)
    if new.annotations != old.annotations and (events or told):
        events.append(pod.PodAnnotated(annotations=new.annotations))
    return events


def update_errors(old: podspec.PodSpec, new: podspec.PodSpec) -> list[FieldError]:
    """The rules that a pod of specification `old` breaks when it becomes `new`."""
    kinds = (
        ("containers", old.containers, new.containers),
        ("initContainers", old.init_containers, new.init_containers),
    )
    for kind, before, after in kinds:
        if len(before) != len(after):
            text = "pod updates may not add or remove containers"
            return [fields.forbidden(f"spec.{kind}", text)]
    errors = _deadline_errors(old.active_deadline_seconds, new.active_deadline_seconds)
    if not _only_added(old.tolerations, new.tolerations):
        text = "existing toleration can not be modified except its tolerationSeconds"
        errors.append(fields.forbidden("spec.tolerations", text))
    allowed = msgspec.structs.replace(
        new,
        containers=_with_images(new.containers, old.containers),
        init_containers=_with_images(new.init_containers, old.init_containers),
        active_deadline_seconds=old.active_deadline_seconds,
        tolerations=old.tolerations,
    )
    if allowed != old:
        what = template_changes.describe_change(
            podspec.PodTemplateSpec(spec=old), podspec.PodTemplateSpec(spec=allowed)
        )
        errors.append(fields.forbidden("spec", f"{UPDATE_RULE}\n{what}"))
    return errors


def _with_images(
    containers: Sequence[podspec.Container], images: Sequence[podspec.Container]
) -> tuple[podspec.Container, ...]:
    pairs = zip(containers, images, strict=True)
    return tuple(
        msgspec.structs.replace(each, image=other.image) for each, other in pairs
    )


def _deadline_errors(old: int | None, new: int | None) -> list[FieldError]:
    """It may be set once, and then only come nearer."""
    if new is None and old is not None:
        text = "must not update from a positive integer to nil value"
        return [fields.invalid(_DEADLINE, new, text)]
    if new is not None and old is not None and new > old:
        text = "must be less than or equal to previous value"
        return [fields.invalid(_DEADLINE, new, text)]
    return []


def _only_added(
    old: Sequence[podspec.Toleration], new: Sequence[podspec.Toleration]
) -> bool:
    def timeless(each: podspec.Toleration) -> podspec.Toleration:
        return msgspec.structs.replace(each, toleration_seconds=None)

    kept = [timeless(each) for each in new]
    return all(timeless(each) in kept for each in old)


# --- delete -----------------------------------------------------------------------


def _delete(
    state: Pod,
    live: podspec.PodTemplateSpec,
    command: pod.DeletePod | pod.EvictPod,
    asked: Asked,
) -> list[Event]:
    evict = isinstance(command, pod.EvictPod)
    if isinstance(command, pod.DeletePod) and command.uid not in ("", state.uid):
        raise uid_conflict(wanted=command.uid, found=state.uid)
    own = live.spec.termination_grace_period_seconds
    found = pod.terminate(
        state,
        why="a user evicted it" if evict else "a user deleted it",
        reason="Evicted" if evict else "Deleted",
        grace=pod.grace_of(state, command.grace, 30.0 if own is None else float(own)),
        now=asked.now,
    )
    if command.grace == 0 and state.node and not state.terminal:
        # Forced: nobody waits for the node, which stops the stranger when it can.
        found.append(pod.PodRemoved(why="a user removed it by force"))
    return found
