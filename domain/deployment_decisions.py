"""What each command to a Deployment means: the events that carry it out, or none.

1. Nothing is returned when it is so already; a command sent twice does nothing twice.
2. Every change of the spec goes through `_change_to`: one place that validates, with
   Kubernetes' texts, and that tells which events the difference makes.
3. A broken rule raises `Rejected` before any event is made.
4. A tag is a DNS label that cannot be taken for a number, because an undo takes
   either. A Deployment has at most `TAGS_MAX`.
"""

from collections.abc import Mapping
from typing import Final, assert_never

import msgspec

from domain import (
    analysis_decisions,
    analysis_run,
    fields,
    manifest_decisions,
    objects,
    podspec,
    syntax,
    template,
    times,
    validation,
)
from domain import deployment as d
from domain.deployment import Deployment
from domain.errors import (
    FieldError,
    Rejected,
    already_exists,
    conflict,
    invalid,
    not_found,
)
from domain.events import Event
from domain.manifest_decisions import Asked
from domain.metadata import ObjectMeta
from domain.plans import history

RESOURCE = "deployments.apps"
KIND = "Deployment.apps"
TAGS_MAX: Final = 1_000

Command = (
    d.CreateDeployment
    | d.ApplyDeployment
    | d.ReplaceDeployment
    | d.ScaleDeployment
    | d.SetImage
    | d.SetResources
    | d.PauseDeployment
    | d.ResumeDeployment
    | d.RestartDeployment
    | d.RollbackDeployment
    | analysis_run.PromoteRollout
    | analysis_run.AbortRollout
    | d.TagRevision
    | d.DeleteDeployment
)


def decide(
    state: Deployment | None,
    command: Command,
    asked: Asked,
    revisions: Mapping[int, podspec.PodTemplateSpec],
    fallback: int = 0,
) -> list[Event]:
    """The events that carry `command` out; `[]` when it is so already.

    `revisions` are the templates that can be gone back to, without the hash label;
    `fallback` is the last of them that was complete, 0 for none.
    Raises `Rejected` with Kubernetes' reason and text.
    """
    if isinstance(command, d.CreateDeployment):
        if state is not None:
            deleting = state.stage == d.DELETING
            raise already_exists(RESOURCE, asked.name, deleting=deleting)
        return _create(_decoded(command.manifest, asked), asked)
    if isinstance(command, d.ApplyDeployment):
        return _apply(state, command, asked)
    if state is None:
        raise not_found(RESOURCE, asked.name)
    match command:
        case d.ReplaceDeployment():
            return _replace(state, command, asked)
        case d.ScaleDeployment():
            return _scale(state, command)
        case d.SetImage():
            new = template.set_images(state.template, command.images)
            return _change_template(state, new, asked)
        case d.SetResources():
            new = template.set_resources(
                state.template, command.containers, command.limits, command.requests
            )
            return _change_template(state, new, asked)
        case d.RestartDeployment():
            return _restart(state, asked)
        case d.PauseDeployment() | d.ResumeDeployment():
            return _pause(state, pause=isinstance(command, d.PauseDeployment))
        case d.RollbackDeployment():
            return _roll_back(state, command, asked, revisions)
        case analysis_run.PromoteRollout():
            return analysis_decisions.promote(state, command)
        case analysis_run.AbortRollout():
            cause = asked.cause
            return analysis_decisions.abort(state, revisions, fallback, cause)
        case d.TagRevision():
            return _tag(state, command, revisions)
        case d.DeleteDeployment():
            if command.uid and command.uid != state.uid:
                raise conflict(RESOURCE, asked.name)
            return _delete(state, command)
        case _:
            assert_never(command)


def _delete(state: Deployment, command: d.DeleteDeployment) -> list[Event]:
    """Foreground waits for what it owns; asked for again it waits on (spec 1.2)."""
    if command.propagation != "foreground":
        return [d.DeploymentDeleted(propagation=command.propagation)]
    if state.stage == d.DELETING:
        return []
    return [d.DeploymentDeletionRequested()]


def manifest_of(state: Deployment) -> objects.DeploymentManifest:
    """The Deployment as its manifest: what `apply` merges into."""
    return objects.DeploymentManifest(
        metadata=manifest_decisions.metadata_of(
            state.namespace, state.name, state.labels, state.annotations
        ),
        spec=state.spec,
    )


def _decoded(raw: Mapping[str, object], asked: Asked) -> objects.DeploymentManifest:
    return objects.default_deployment(
        manifest_decisions.decode(raw, asked, objects.DeploymentManifest)
    )


def _create(manifest: objects.DeploymentManifest, asked: Asked) -> list[Event]:
    errors = validation.deployment_errors(manifest)
    if errors:
        raise invalid(KIND, asked.name, errors)
    meta = manifest.metadata
    # One that begins paused is created and paused: two facts, one command.
    spec = msgspec.structs.replace(manifest.spec, paused=False)
    created = d.DeploymentCreated(
        uid=asked.uid,
        spec=spec,
        labels=meta.labels,
        annotations=meta.annotations,
        change_cause=asked.cause or meta.annotations.get(d.CHANGE_CAUSE, ""),
        generate_name=meta.generate_name,
    )
    return [created, d.DeploymentPaused()] if manifest.spec.paused else [created]


def _apply(
    state: Deployment | None, command: d.ApplyDeployment, asked: Asked
) -> list[Event]:
    raw = command.manifest
    wanted = _decoded(raw, asked)
    if state is None:
        extra = manifest_decisions.remembered(raw)
        return _create(manifest_decisions.with_annotations(wanted, extra), asked)
    merged = manifest_decisions.applied(manifest_of(state), raw, asked)
    return _change_to(state, objects.default_deployment(merged), asked)


def _replace(
    state: Deployment, command: d.ReplaceDeployment, asked: Asked
) -> list[Event]:
    manifest = _decoded(command.manifest, asked)
    version = manifest.metadata.resource_version
    if version and version != str(state.position):
        raise conflict(RESOURCE, asked.name)
    return _change_to(state, manifest, asked)


def _change_to(
    state: Deployment, manifest: objects.DeploymentManifest, asked: Asked
) -> list[Event]:
    errors = validation.deployment_errors(manifest)
    errors += validation.deployment_update_errors(state.spec, manifest)
    if errors:
        raise invalid(KIND, asked.name, errors)
    old, new, meta = state.spec, manifest.spec, manifest.metadata
    assert new.replicas is not None, "a default fills it in"
    assert new.revision_history_limit is not None
    assert new.progress_deadline_seconds is not None
    events: list[Event] = []
    if meta.labels != state.labels:
        events.append(d.DeploymentLabelled(labels=meta.labels))
    if _but_paused(old) != _but_paused(new):
        events.append(
            d.DeploymentConfigured(
                strategy=new.strategy,
                min_ready_seconds=new.min_ready_seconds,
                revision_history_limit=new.revision_history_limit,
                progress_deadline_seconds=new.progress_deadline_seconds,
            )
        )
    if new.replicas != state.replicas:
        events.append(d.DeploymentScaled(before=state.replicas, after=new.replicas))
    if new.paused != old.paused:
        events.append(d.DeploymentPaused() if new.paused else d.DeploymentResumed())
    if new.template != old.template:
        events.append(
            d.DeploymentTemplateChanged(
                template=new.template, change_cause=_written(state, meta, asked)
            )
        )
    told = manifest_decisions.annotations_differ(state.annotations, meta.annotations)
    if meta.annotations != state.annotations and (events or told):
        events.append(d.DeploymentAnnotated(annotations=meta.annotations))
    return events


def _written(state: Deployment, meta: ObjectMeta, asked: Asked) -> str:
    """The user's words for this change: not the annotation left from another one."""
    now = meta.annotations.get(d.CHANGE_CAUSE, "")
    changed = now != state.annotations.get(d.CHANGE_CAUSE, "")
    return asked.cause or (now if changed else "")


def _but_paused(spec: objects.DeploymentSpec) -> tuple[object, ...]:
    return (
        spec.strategy,
        spec.min_ready_seconds,
        spec.revision_history_limit,
        spec.progress_deadline_seconds,
    )


def _scale(state: Deployment, command: d.ScaleDeployment) -> list[Event]:
    manifest_decisions.check_scale(
        state.name, state.replicas, command.current_replicas, command.replicas
    )
    if command.replicas == state.replicas:
        return []
    return [d.DeploymentScaled(before=state.replicas, after=command.replicas)]


def _change_template(
    state: Deployment, new: podspec.PodTemplateSpec, asked: Asked
) -> list[Event]:
    spec = msgspec.structs.replace(state.spec, template=new)
    manifest = msgspec.structs.replace(manifest_of(state), spec=spec)
    return _change_to(state, objects.default_deployment(manifest), asked)


def _restart(state: Deployment, asked: Asked) -> list[Event]:
    if state.spec.paused:
        raise Rejected(
            "BadRequest",
            f'{RESOURCE} "{state.name}" can\'t restart paused deployment '
            "(run rollout resume first)",
        )
    moment = times.rfc3339_seconds(asked.now)
    meta = state.template.metadata
    if meta.annotations.get(d.RESTARTED_AT) == moment:
        raise Rejected(
            "BadRequest",
            "if restart has already been triggered within the past second, please "
            "wait before attempting to trigger another",
        )
    annotations = {**meta.annotations, d.RESTARTED_AT: moment}
    new = msgspec.structs.replace(
        state.template,
        metadata=msgspec.structs.replace(meta, annotations=annotations),
    )
    return _change_template(state, new, asked)


def _pause(state: Deployment, *, pause: bool) -> list[Event]:
    if pause == state.spec.paused:
        what = "is already paused" if pause else "is not paused"
        raise Rejected("BadRequest", f'{RESOURCE} "{state.name}" {what}')
    return [d.DeploymentPaused() if pause else d.DeploymentResumed()]


def _roll_back(
    state: Deployment,
    command: d.RollbackDeployment,
    asked: Asked,
    revisions: Mapping[int, podspec.PodTemplateSpec],
) -> list[Event]:
    """Spec 6.8, in its order of checks."""
    target = history.rollback_target(
        revisions, rollback_revision(state, command), deployment=state.name
    )
    if state.spec.paused:
        raise Rejected(
            "BadRequest",
            "you cannot rollback a paused deployment; resume it first with "
            "'kubectl rollout resume' and try again",
        )
    if revisions[target] == state.template:
        return []
    return [
        d.DeploymentRolledBack(
            to_revision=target, template=revisions[target], change_cause=asked.cause
        )
    ]


def rollback_revision(state: Deployment, command: d.RollbackDeployment) -> int:
    """The number of the revision that is asked for; 0 for the one before.

    Raises `Rejected` where there is no such tag, and where a number is given too.
    """
    if not command.to:
        return command.to_revision
    if command.to_revision:
        raise Rejected(
            "BadRequest",
            f"a rollback goes to revision {command.to_revision} or to tag "
            f'"{command.to}": give only one of both',
        )
    if command.to not in state.tags:
        raise _no_tag(command.to)
    return state.tags[command.to]


def _tag(
    state: Deployment,
    command: d.TagRevision,
    revisions: Mapping[int, podspec.PodTemplateSpec],
) -> list[Event]:
    tag, held = command.tag, state.tags.get(command.tag)
    if command.remove:
        if held is None:
            raise _no_tag(tag)
        if command.revision not in (0, held):
            text = f'tag "{tag}" is on revision {held}, not on {command.revision}'
            raise Rejected("Conflict", text)
        return [d.RevisionUntagged(tag=tag)]
    errors = _tag_errors(tag)
    if errors:
        raise invalid(KIND, state.name, errors)
    revision = command.revision or state.revision
    if revision not in revisions:
        raise Rejected(
            "NotFound", f"unable to find specified revision {revision} in history"
        )
    if held == revision:
        return []
    if held is not None and not command.overwrite:
        raise Rejected(
            "BadRequest",
            f"tag '{tag}' already has a value ({held}), and --overwrite is false",
        )
    if held is None and len(state.tags) >= TAGS_MAX:
        text = f"there are {TAGS_MAX} tags, as many as there may be: remove one"
        raise Rejected("Forbidden", text)
    return [d.RevisionTagged(tag=tag, revision=revision)]


def _tag_errors(tag: str) -> list[FieldError]:
    said = syntax.dns_label(tag)
    if not said and tag.isdecimal():
        said = ["must not be a number, which is that of a revision"]
    return fields.each_invalid("tag", tag, said)


def _no_tag(tag: str) -> Rejected:
    return Rejected("NotFound", f'unable to find specified tag "{tag}" in history')
