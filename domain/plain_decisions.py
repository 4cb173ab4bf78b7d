"""What each command to a plain object means: the events that carry it out, or none.

1. One place validates, with Kubernetes' texts, and tells what the difference is;
   nothing is returned when it is so already.
2. A namespace is not deleted but asked to go: what is in it goes first
   (workers/namespaces.py). Those that are always there stay.
3. In a namespace that is on its way out nothing new is created.
4. An object with finalizers is asked to go as well. While it is on its way it gets no
   new ones, and taking away the last one is its end (spec 1.2).
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

import msgspec

from domain import (
    fields,
    manifest_decisions,
    objects,
    plain,
    plain_defaults,
    plain_manifests,
    plain_validation,
)
from domain.errors import (
    FieldError,
    Rejected,
    already_exists,
    conflict,
    invalid,
    not_found,
    uid_conflict,
)
from domain.events import Event
from domain.manifest_decisions import Asked
from domain.plain import PlainObject
from domain.plain_manifests import PlainManifest

Command = (
    plain.CreateObject | plain.ApplyObject | plain.ReplaceObject | plain.DeleteObject
)

_HEAD: Final = frozenset({"apiVersion", "kind", "metadata"})


def decide(
    kind: str, state: PlainObject | None, command: Command, asked: Asked
) -> list[Event]:
    """The events that carry `command` out; `[]` when it is so already.

    `kind` is one of `plain.KINDS`. Raises `Rejected` with Kubernetes' reason and text.
    """
    resource = plain.KINDS[kind][0]
    if isinstance(command, plain.CreateObject):
        if state is not None:
            deleting = state.stage == plain.DELETING
            raise already_exists(resource, asked.name, deleting=deleting)
        return _create(kind, _decoded(kind, command.manifest, asked), asked)
    if isinstance(command, plain.ApplyObject):
        return _apply(kind, state, command, asked)
    if state is None:
        raise not_found(resource, asked.name)
    match command:
        case plain.ReplaceObject():
            manifest = _decoded(kind, command.manifest, asked)
            version = manifest.metadata.resource_version
            if version and version != str(state.position):
                raise conflict(resource, asked.name)
            return _change_to(state, manifest)
        case plain.DeleteObject():
            if command.uid not in ("", state.uid):
                raise uid_conflict(wanted=command.uid, found=state.uid)
            return _delete(state)
        case _:
            assert_never(command)


def create_namespace(uid: str, name: str) -> plain.ObjectCreated:
    """The namespace that a command creates on its way, with what it is for."""
    return plain.ObjectCreated(
        uid=uid, content=plain.namespace_content(), labels={plain.NAME_LABEL: name}
    )


def refuse_terminating(resource: str, name: str, namespace: str) -> Rejected:
    """The 403 for something new in a namespace that is on its way out."""
    return Rejected(
        "Forbidden",
        f'{resource} "{name}" is forbidden: unable to create new content in namespace '
        f"{namespace} because it is being terminated",
        causes=(
            FieldError(
                reason="NamespaceTerminating",
                message=f"namespace {namespace} is being terminated",
                field="metadata.namespace",
            ),
        ),
    )


def manifest_of(state: PlainObject) -> PlainManifest:
    """The object as its manifest: what `apply` merges into."""
    raw = {
        **state.content,
        "metadata": msgspec.to_builtins(
            manifest_decisions.metadata_of(
                state.namespace,
                state.name,
                state.labels,
                state.annotations,
                state.owner_references,
            )
        ),
    }
    found: PlainManifest = msgspec.convert(raw, plain_manifests.BY_KIND[state.kind])
    meta = msgspec.structs.replace(
        found.metadata,
        generate_name=state.generate_name,
        finalizers=state.finalizers,
    )
    return msgspec.structs.replace(found, metadata=meta)


def _decoded(kind: str, raw: Mapping[str, object], asked: Asked) -> PlainManifest:
    struct = plain_manifests.BY_KIND[kind]
    found: objects.Manifest = manifest_decisions.decode(raw, asked, struct)
    assert isinstance(found, PlainManifest), "it is of a plain kind"
    return plain_defaults.default(found)


def _create(kind: str, manifest: PlainManifest, asked: Asked) -> list[Event]:
    broken = plain_validation.errors(manifest)
    if broken:
        raise invalid(plain.KINDS[kind][1], asked.name, broken)
    meta = manifest.metadata
    return [
        plain.ObjectCreated(
            uid=asked.uid,
            content=content_of(manifest),
            labels=meta.labels,
            annotations=meta.annotations,
            owner_references=meta.owner_references,
            generate_name=meta.generate_name,
            finalizers=unique(meta.finalizers),
        )
    ]


def unique(finalizers: Sequence[str]) -> tuple[str, ...]:
    """Each finalizer once, in its order: they are a set."""
    return tuple(dict.fromkeys(finalizers))


def content_of(manifest: PlainManifest) -> plain.Content:
    """The manifest's JSON beside `apiVersion`, `kind` and `metadata`."""
    raw = manifest_decisions.as_json(manifest)
    return {key: value for key, value in raw.items() if key not in _HEAD}


def _apply(
    kind: str, state: PlainObject | None, command: plain.ApplyObject, asked: Asked
) -> list[Event]:
    raw = command.manifest
    wanted = _decoded(kind, raw, asked)
    if state is None:
        extra = manifest_decisions.remembered(raw)
        whole = manifest_decisions.with_annotations(wanted, extra)
        return _create(kind, whole, asked)
    merged = manifest_decisions.applied(manifest_of(state), raw, asked)
    return _change_to(state, plain_defaults.default(merged))


def _change_to(state: PlainObject, manifest: PlainManifest) -> list[Event]:
    broken = plain_validation.update_errors(manifest_of(state), manifest)
    if broken:
        raise invalid(plain.KINDS[state.kind][1], state.name, broken)
    meta, content = manifest.metadata, content_of(manifest)
    finalizers = unique(meta.finalizers)
    leaving = state.stage == plain.DELETING
    new = [each for each in finalizers if each not in state.finalizers]
    if leaving and new:
        raise invalid(plain.KINDS[state.kind][1], state.name, [_no_new(new)])
    annotations, references = meta.annotations, meta.owner_references
    told = manifest_decisions.annotations_differ(state.annotations, annotations)
    same = (content, meta.labels, references, finalizers) == (
        state.content,
        state.labels,
        state.owner_references,
        state.finalizers,
    )
    if same and not told:
        return []
    events: list[Event] = [
        plain.ObjectReplaced(
            content=content if content != state.content else None,
            labels=meta.labels if meta.labels != state.labels else None,
            annotations=annotations if annotations != state.annotations else None,
            owner_references=(
                references if references != state.owner_references else None
            ),
            finalizers=finalizers if finalizers != state.finalizers else None,
        )
    ]
    if leaving and not finalizers and state.kind != plain.NAMESPACE:
        events.append(plain.ObjectDeleted(why="its last finalizer was taken away"))
    return events


def _no_new(finalizers: Sequence[str]) -> FieldError:
    """Kubernetes' refusal of finalizers for what is on its way out (rule 4)."""
    listed = ", ".join(f'"{each}"' for each in finalizers)
    return fields.forbidden(
        "metadata.finalizers",
        "no new finalizers can be added if the object is being deleted, found new "
        f"finalizers []string{{{listed}}}",
    )


def _delete(state: PlainObject) -> list[Event]:
    """Asked for again, what is on its way goes on going (rules 2 and 4)."""
    if state.kind != plain.NAMESPACE and not state.finalizers:
        return [plain.ObjectDeleted(why="a user deleted it")]
    if state.name in plain.FIRST_NAMESPACES:
        raise Rejected(
            "Forbidden",
            f'namespaces "{state.name}" is forbidden: this namespace may not be '
            "deleted",
        )
    return [] if state.stage == plain.DELETING else [plain.ObjectDeletionRequested()]
