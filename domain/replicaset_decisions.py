"""What each command to a ReplicaSet means: the events that carry it out, or none.

1. A ReplicaSet is changed as a Deployment is: one place validates, and tells which
   events the difference makes; nothing is returned when it is so already.
2. The annotations by which Deployments keep their books (spec 2.5) are facts of a
   ReplicaSet and not its annotations: one that is created with them has them, so that
   whoever adopts it goes on counting; later they are the Deployment's alone.
"""

import re
from collections.abc import Mapping
from typing import Final, assert_never

import msgspec

from domain import labels, manifest_decisions, objects, owners, podspec, validation
from domain import replicaset as r
from domain import template as templates
from domain.errors import already_exists, conflict, invalid, not_found
from domain.events import Event
from domain.manifest_decisions import Asked
from domain.replicaset import ReplicaSet

RESOURCE: Final = "replicasets.apps"
_OWNED: Final = manifest_decisions.OwnerEvents(
    released=r.ReplicaSetReleased,
    changed=lambda kept: r.ReplicaSetOwnersChanged(references=kept),
    adopted=lambda owner, uid: r.ReplicaSetAdopted(owner=owner, owner_uid=uid),
)
KIND: Final = "ReplicaSet.apps"

_BOOKS: Final = "deployment.kubernetes.io/"
_REVISION: Final = f"{_BOOKS}revision"
_DESIRED: Final = f"{_BOOKS}desired-replicas"
_MAXIMUM: Final = f"{_BOOKS}max-replicas"
_NUMBER: Final = re.compile(r"[0-9]{1,18}|[0-8][0-9]{18}", re.ASCII)

Command = (
    r.CreateReplicaSet
    | r.ApplyReplicaSet
    | r.ReplaceReplicaSet
    | r.ScaleReplicaSet
    | r.SetReplicaSetImage
    | r.DeleteReplicaSet
)


def decide(
    state: ReplicaSet | None,
    template: podspec.PodTemplateSpec,
    command: Command,
    asked: Asked,
    standing: owners.Standing,
) -> list[Event]:
    """The events that carry `command` out; `[]` when it is so already.

    `template` is that of `state`, of no meaning while there is none. Raises `Rejected`
    with Kubernetes' reason and text.
    """
    if isinstance(command, r.CreateReplicaSet):
        if state is not None:
            deleting = state.stage == r.DELETING
            raise already_exists(RESOURCE, asked.name, deleting=deleting)
        return _create(_decoded(command.manifest, asked), asked, standing)
    if isinstance(command, r.ApplyReplicaSet):
        return _apply(state, template, command, asked, standing)
    if state is None:
        raise not_found(RESOURCE, asked.name)
    match command:
        case r.ReplaceReplicaSet():
            manifest = _decoded(command.manifest, asked)
            version = manifest.metadata.resource_version
            if version and version != str(state.position):
                raise conflict(RESOURCE, asked.name)
            return _change_to(state, template, manifest, asked, standing)
        case r.ScaleReplicaSet():
            return _scale(state, command)
        case r.SetReplicaSetImage():
            return _set_images(state, template, command, asked, standing)
        case r.DeleteReplicaSet():
            if command.uid not in ("", state.uid):
                raise conflict(RESOURCE, asked.name)
            return _delete(state, command)
        case _:
            assert_never(command)


def manifest_of(
    state: ReplicaSet,
    template: podspec.PodTemplateSpec,
    references: owners.References,
) -> objects.ReplicaSetManifest:
    """The ReplicaSet as its manifest: what `apply` merges into."""
    return objects.ReplicaSetManifest(
        metadata=manifest_decisions.metadata_of(
            state.namespace, state.name, state.labels, state.annotations, references
        ),
        spec=objects.ReplicaSetSpec(
            replicas=state.replicas,
            min_ready_seconds=state.min_ready_seconds,
            selector=state.selector,
            template=template,
        ),
    )


def _decoded(raw: Mapping[str, object], asked: Asked) -> objects.ReplicaSetManifest:
    return objects.default_replicaset(
        manifest_decisions.decode(raw, asked, objects.ReplicaSetManifest)
    )


def _create(
    manifest: objects.ReplicaSetManifest, asked: Asked, standing: owners.Standing
) -> list[Event]:
    errors = validation.replicaset_errors(manifest)
    if errors:
        raise invalid(KIND, asked.name, errors)
    spec, meta = manifest.spec, manifest.metadata
    assert spec.replicas is not None, "a default fills it in"
    return [
        r.ReplicaSetCreated(
            uid=asked.uid,
            replicas=spec.replicas,
            selector=spec.selector or labels.LabelSelector(),
            template=spec.template,
            labels=meta.labels,
            annotations=_own(meta.annotations),
            min_ready_seconds=spec.min_ready_seconds,
            revision=_number(meta.annotations, _REVISION) or 0,
            desired=_number(meta.annotations, _DESIRED),
            maximum=_number(meta.annotations, _MAXIMUM),
            generate_name=meta.generate_name,
        ),
        *_owned(standing, meta.owner_references, asked),
    ]


def _owned(
    standing: owners.Standing, wanted: owners.References, asked: Asked
) -> list[Event]:
    found = owners.change(
        standing, wanted, namespace=asked.namespace, controller="deployment"
    )
    return manifest_decisions.owned(found, _OWNED)


def _apply(
    state: ReplicaSet | None,
    template: podspec.PodTemplateSpec,
    command: r.ApplyReplicaSet,
    asked: Asked,
    standing: owners.Standing,
) -> list[Event]:
    raw = command.manifest
    wanted = _decoded(raw, asked)
    if state is None:
        extra = manifest_decisions.remembered(raw)
        whole = manifest_decisions.with_annotations(wanted, extra)
        return _create(whole, asked, standing)
    live = manifest_of(state, template, standing.shown)
    merged = objects.default_replicaset(manifest_decisions.applied(live, raw, asked))
    return _change_to(state, template, merged, asked, standing)


def _change_to(
    state: ReplicaSet,
    template: podspec.PodTemplateSpec,
    manifest: objects.ReplicaSetManifest,
    asked: Asked,
    standing: owners.Standing,
) -> list[Event]:
    errors = validation.replicaset_update_errors(state.selector, manifest)
    if errors:
        raise invalid(KIND, asked.name, errors)
    spec, meta = manifest.spec, manifest.metadata
    assert spec.replicas is not None, "a default fills it in"
    annotations = _own(meta.annotations)
    events = _owned(standing, meta.owner_references, asked)
    if meta.labels != state.labels:
        events.append(r.ReplicaSetLabelled(labels=meta.labels))
    if spec.template != template:
        events.append(r.ReplicaSetTemplateChanged(template=spec.template))
    if spec.min_ready_seconds != state.min_ready_seconds:
        events.append(
            r.ReplicaSetConfigured(
                min_ready_seconds=spec.min_ready_seconds, annotations=annotations
            )
        )
        annotated = True
    else:
        annotated = annotations == state.annotations
    if spec.replicas != state.replicas:
        events.append(_scaled(state, spec.replicas))
    told = manifest_decisions.annotations_differ(state.annotations, annotations)
    if not annotated and (events or told):
        events.append(r.ReplicaSetAnnotated(annotations=annotations))
    return events


def _scale(state: ReplicaSet, command: r.ScaleReplicaSet) -> list[Event]:
    manifest_decisions.check_scale(
        state.name, state.replicas, command.current_replicas, command.replicas
    )
    if command.replicas == state.replicas:
        return []
    return [_scaled(state, command.replicas)]


def _set_images(
    state: ReplicaSet,
    template: podspec.PodTemplateSpec,
    command: r.SetReplicaSetImage,
    asked: Asked,
    standing: owners.Standing,
) -> list[Event]:
    manifest = manifest_of(state, template, standing.shown)
    new = templates.set_images(template, command.images)
    spec = msgspec.structs.replace(manifest.spec, template=new)
    changed = msgspec.structs.replace(manifest, spec=spec)
    return _change_to(state, template, changed, asked, standing)


def _scaled(state: ReplicaSet, replicas: int) -> r.ReplicaSetScaled:
    return r.ReplicaSetScaled(
        before=state.replicas,
        after=replicas,
        why="a user scaled it",
        desired=state.desired,
        maximum=state.maximum,
    )


def _delete(state: ReplicaSet, command: r.DeleteReplicaSet) -> list[Event]:
    """Foreground waits for the pods; asked for again it waits on (spec 1.2)."""
    if not command.foreground:
        why = "a user deleted it"
        return [r.ReplicaSetDeleted(why=why, orphan=command.orphan)]
    return [] if state.stage == r.DELETING else [r.ReplicaSetDeletionRequested()]


def _own(annotations: Mapping[str, str]) -> dict[str, str]:
    """The annotations without the books that can be read (rule 2)."""
    return {
        key: value
        for key, value in annotations.items()
        if key not in (_REVISION, _DESIRED, _MAXIMUM)
        or _number(annotations, key) is None
    }


def _number(annotations: Mapping[str, str], key: str) -> int | None:
    """The number in an annotation; None where it is none that Kubernetes could read."""
    text = annotations.get(key, "")
    return int(text) if _NUMBER.fullmatch(text) else None
