"""Kubernetes' rules for Deployments, ReplicaSets and Pods (spec 1.3 to 1.8).

1. All rules run, and errors come in Kubernetes' order: metadata, replicas, selector,
   template, strategy, minReadySeconds, revisionHistoryLimit, progressDeadlineSeconds;
   on an update the immutable selector last.
2. Defaults are applied first, so a manifest may be given as it was written.
3. A selector that cannot be understood hides the errors of the template, as there.
4. The oddities that spec 1.4 marks as QUIRK are kept.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from domain import active_check, analysis, fields, labels, objects, syntax
from domain.affinity_validation import requirement_errors
from domain.errors import FieldError
from domain.labels import LabelSelector, LabelSelectorRequirement
from domain.metadata import ObjectMeta, OwnerReference
from domain.objects import (
    DeploymentManifest,
    DeploymentSpec,
    DeploymentStrategy,
    PodManifest,
    ReplicaSetManifest,
    RollingUpdate,
)
from domain.pod_validation import pod_spec_errors
from domain.podspec import PodTemplateSpec

ANNOTATIONS_BYTES_MAX: Final = 256 * 1024
STRATEGIES: Final = ("Recreate", "RollingUpdate")
_OF_DELETIONS: Final = ("foregroundDeletion", "orphan")
"""Finalizers that a deletion shows, and that clients send back with what they read."""


class _InternalRolling(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    max_unavailable: int | str
    max_surge: int | str


class _InternalStrategy(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How Kubernetes prints a strategy of an unknown type (spec 1.4, QUIRK)."""

    type: str
    rolling_update: _InternalRolling | None = None


def deployment_errors(manifest: DeploymentManifest) -> list[FieldError]:
    """Every rule that a new Deployment breaks, in Kubernetes' order; [] if none."""
    spec = objects.default_deployment(manifest).spec
    errors = metadata_errors(manifest.metadata)
    errors += no_finalizers(manifest.metadata)
    errors += fields.not_negative("spec.replicas", spec.replicas)
    errors += _selected_template_errors(spec.selector, spec.template)
    errors += _strategy_errors(spec.strategy)
    errors += fields.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    limit = spec.revision_history_limit
    errors += fields.not_negative("spec.revisionHistoryLimit", limit)
    errors += _deadline_errors(spec)
    annotations = manifest.metadata.annotations
    errors += active_check.errors(annotations)
    return errors + analysis.errors(annotations, strategy=spec.strategy.type)


def deployment_update_errors(
    old_spec: DeploymentSpec, new_manifest: DeploymentManifest
) -> list[FieldError]:
    """The rules that a Deployment breaks when it replaces one with `old_spec`."""
    errors = deployment_errors(new_manifest)
    return errors + _selector_changed(old_spec.selector, new_manifest.spec.selector)


def replicaset_errors(manifest: ReplicaSetManifest) -> list[FieldError]:
    """Every rule that a new ReplicaSet breaks, in Kubernetes' order; [] if none."""
    spec = objects.default_replicaset(manifest).spec
    errors = metadata_errors(manifest.metadata)
    errors += no_finalizers(manifest.metadata)
    errors += fields.not_negative("spec.replicas", spec.replicas)
    errors += fields.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    return errors + _selected_template_errors(spec.selector, spec.template)


def replicaset_update_errors(
    old_selector: LabelSelector, new_manifest: ReplicaSetManifest
) -> list[FieldError]:
    """The rules that a ReplicaSet breaks when it replaces one of that selector."""
    errors = replicaset_errors(new_manifest)
    return errors + _selector_changed(old_selector, new_manifest.spec.selector)


def pod_errors(manifest: PodManifest) -> list[FieldError]:
    """Every rule that a new Pod breaks; stricter about images than a template is."""
    spec = objects.default_pod(manifest).spec
    errors = metadata_errors(manifest.metadata)
    errors += no_finalizers(manifest.metadata)
    errors += pod_spec_errors(spec, "spec")
    for kind, containers in (
        ("containers", spec.containers),
        ("initContainers", spec.init_containers),
    ):
        for index, each in enumerate(containers):
            if each.image != each.image.strip():
                path = f"spec.{kind}[{index}].image"
                detail = "must not have leading or trailing whitespace"
                errors.append(fields.invalid(path, each.image, detail))
    if spec.ephemeral_containers:
        path = "spec.ephemeralContainers"
        errors.append(fields.forbidden(path, "cannot be set on create"))
    return errors


def scale_errors(replicas: int) -> list[FieldError]:
    """The rule of the scale subresource (spec 1.8)."""
    return fields.not_negative("spec.replicas", replicas)


def label_errors(
    values: Mapping[str, str], path: str = "metadata.labels"
) -> list[FieldError]:
    """Bad keys and values, all reported at `path` itself (spec 1.6)."""
    errors: list[FieldError] = []
    for key, value in values.items():
        errors += fields.each_invalid(path, key, syntax.qualified_name(key))
        errors += fields.each_invalid(path, value, syntax.label_value(value))
    return errors


def annotation_errors(
    values: Mapping[str, str], path: str = "metadata.annotations"
) -> list[FieldError]:
    """Bad keys, and more than 256 KiB in total (spec 1.6)."""
    errors: list[FieldError] = []
    size = 0
    for key, value in values.items():
        errors += fields.each_invalid(path, key, syntax.qualified_name(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_BYTES_MAX:
        errors.append(fields.too_long(path, ANNOTATIONS_BYTES_MAX))
    return errors


def name_warnings(name: str) -> list[str]:
    """The warning about a name that is a subdomain but not a label (spec 1.5)."""
    said = syntax.dns_label(name)
    if not said or syntax.dns_subdomain(name):
        return []
    return [
        "metadata.name: this is used in Pod names and hostnames, which can result in "
        f"surprising behavior; a DNS label is recommended: [{' '.join(said)}]"
    ]


def metadata_errors(metadata: ObjectMeta) -> list[FieldError]:
    """The rules for names, labels, annotations and owners (spec 1.5, 1.6).

    An absent namespace is no error: it is filled in from the request.
    """
    errors: list[FieldError] = []
    name, prefix, space = metadata.name, metadata.generate_name, metadata.namespace
    if prefix:
        said = syntax.name_prefix(prefix)
        errors += fields.each_invalid("metadata.generateName", prefix, said)
    if name:
        said = syntax.dns_subdomain(name)
        errors += fields.each_invalid("metadata.name", name, said)
    elif not prefix:
        detail = "name or generateName is required"
        errors.append(fields.required("metadata.name", detail))
    if space:
        said = syntax.dns_label(space)
        errors += fields.each_invalid("metadata.namespace", space, said)
    errors += label_errors(metadata.labels)
    errors += annotation_errors(metadata.annotations)
    errors += _owner_errors(metadata.owner_references)
    for finalizer in metadata.finalizers:
        said = syntax.qualified_name(finalizer)
        errors += fields.each_invalid("metadata.finalizers", finalizer, said)
    return errors


def no_finalizers(metadata: ObjectMeta) -> list[FieldError]:
    """A kind whose objects can be held back by nothing but a foreground deletion."""
    return [
        fields.forbidden(
            "metadata.finalizers",
            f'leave "{each}" out: only ConfigMaps, Secrets, ServiceAccounts, Leases, '
            "HorizontalPodAutoscalers and namespaces wait for finalizers",
        )
        for each in metadata.finalizers
        if each not in _OF_DELETIONS
    ]


def selector_errors(selector: LabelSelector, path: str) -> list[FieldError]:
    """The rules for the parts of a selector; that it is empty is no error here."""
    errors = label_errors(selector.match_labels, f"{path}.matchLabels")
    for index, each in enumerate(selector.match_expressions):
        errors += _requirement_errors(each, f"{path}.matchExpressions[{index}]")
    return errors


def _requirement_errors(
    requirement: LabelSelectorRequirement, path: str
) -> list[FieldError]:
    errors = requirement_errors(requirement, path)
    for index, value in enumerate(requirement.values):
        said = syntax.label_value(value)
        errors += fields.each_invalid(f"{path}.values[{index}]", value, said)
    return errors


def _selected_template_errors(
    selector: LabelSelector | None, template: PodTemplateSpec
) -> list[FieldError]:
    """The selector, then the template, which the selector must select."""
    path, errors = "spec.selector", list[FieldError]()
    if selector is None:
        errors.append(fields.required(path))
    else:
        errors += selector_errors(selector, path)
        if errors:
            return [*errors, fields.invalid(path, selector, "invalid label selector")]
        if labels.is_empty(selector):
            detail = "empty selector is invalid for deployment"
            errors.append(fields.invalid(path, selector, detail))
    if not labels.matches(selector, template.metadata.labels):
        detail = "`selector` does not match template `labels`"
        shown = template.metadata.labels or None
        errors.append(fields.invalid("spec.template.metadata.labels", shown, detail))
    return errors + _template_errors(template)


def _template_errors(template: PodTemplateSpec) -> list[FieldError]:
    """The rules for a template of pods that are kept running (spec 1.4)."""
    path, spec = "spec.template", template.spec
    errors = label_errors(template.metadata.labels, f"{path}.labels")
    errors += annotation_errors(template.metadata.annotations, f"{path}.annotations")
    errors += pod_spec_errors(spec, f"{path}.spec")
    if spec.ephemeral_containers:
        detail = "ephemeral containers not allowed in pod template"
        errors.append(fields.forbidden(f"{path}.spec.ephemeralContainers", detail))
    if spec.restart_policy != "Always":
        where = f"{path}.spec.restartPolicy"
        errors.append(fields.unsupported(where, spec.restart_policy, ["Always"]))
    if spec.active_deadline_seconds is not None:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        errors.append(fields.forbidden(f"{path}.spec.activeDeadlineSeconds", detail))
    return errors


def _strategy_errors(strategy: DeploymentStrategy) -> list[FieldError]:
    path, rolling = "spec.strategy", strategy.rolling_update
    match strategy.type:
        case "Recreate":
            if rolling is None:
                return []
            detail = "may not be specified when strategy `type` is 'Recreate'"
            return [fields.forbidden(f"{path}.rollingUpdate", detail)]
        case "RollingUpdate":
            return _rolling_errors(rolling or RollingUpdate(), f"{path}.rollingUpdate")
        case kind:
            return [fields.unsupported(path, _internal(kind, rolling), STRATEGIES)]


def _internal(kind: str, rolling: RollingUpdate | None) -> _InternalStrategy:
    if rolling is None:
        return _InternalStrategy(type=kind)
    inner = _InternalRolling(
        max_unavailable=rolling.max_unavailable or 0, max_surge=rolling.max_surge or 0
    )
    return _InternalStrategy(type=kind, rolling_update=inner)


def _rolling_errors(rolling: RollingUpdate, path: str) -> list[FieldError]:
    unavailable, surge = rolling.max_unavailable, rolling.max_surge
    errors = _int_or_percent_errors(unavailable, f"{path}.maxUnavailable")
    errors += _int_or_percent_errors(surge, f"{path}.maxSurge")
    where = f"{path}.maxUnavailable"
    if _literal(unavailable) == 0 and _literal(surge) == 0:
        detail = "may not be 0 when `maxSurge` is 0"
        errors.append(fields.invalid(where, unavailable, detail))
    percent = isinstance(unavailable, str) and syntax.is_percentage(unavailable)
    if percent and _literal(unavailable) > 100:
        detail = "must not be greater than 100%"
        errors.append(fields.invalid(where, unavailable, detail))
    return errors


def _int_or_percent_errors(value: int | str | None, path: str) -> list[FieldError]:
    if isinstance(value, str):
        if syntax.is_percentage(value):
            return []
        return [fields.invalid(path, value, syntax.PERCENT_RULE)]
    return fields.not_negative(path, value)


def _literal(value: int | str | None) -> int:
    """The number that is written, percent or not; 0 when it is none."""
    if isinstance(value, int):
        return value
    percentage = f"{(value or '').removesuffix('%')}%"
    return int(percentage[:-1]) if syntax.is_percentage(percentage) else 0


def _deadline_errors(spec: DeploymentSpec) -> list[FieldError]:
    path, deadline = "spec.progressDeadlineSeconds", spec.progress_deadline_seconds
    errors = fields.not_negative(path, deadline)
    if deadline is not None and deadline <= spec.min_ready_seconds:
        detail = "must be greater than minReadySeconds"
        errors.append(fields.invalid(path, deadline, detail))
    return errors


def _selector_changed(
    old: LabelSelector | None, new: LabelSelector | None
) -> list[FieldError]:
    if old == new:
        return []
    return [fields.invalid("spec.selector", new, "field is immutable")]


def _owner_errors(owners: tuple[OwnerReference, ...]) -> list[FieldError]:
    """The paths have no index: Kubernetes does not tell which reference it is."""
    path, errors = "metadata.ownerReferences", list[FieldError]()
    first = ""
    for owner in owners:
        errors += _owner_reference_errors(owner, path)
        if not owner.controller:
            continue
        named = f"{owner.kind}/{owner.name}"
        if first:
            detail = (
                'Only one reference can have Controller set to true. Found "true" in '
                f"references for {first} and {named}"
            )
            errors.append(fields.invalid(path, owners, detail))
        first = first or named
    return errors


def _owner_reference_errors(owner: OwnerReference, path: str) -> list[FieldError]:
    group, slash, version = owner.api_version.partition("/")
    # One word is a version of the core group; two slashes are no version at all.
    known = (version if slash else group) if "/" not in version else ""
    errors = [
        fields.invalid(f"{path}.{field}", value, f"{what} not be empty")
        for field, value, told, what in (
            ("apiVersion", owner.api_version, known, "version must"),
            ("kind", owner.kind, owner.kind, "must"),
            ("name", owner.name, owner.name, "must"),
            ("uid", owner.uid, owner.uid, "must"),
        )
        if not told
    ]
    if (owner.api_version, owner.kind) == ("v1", "Event"):
        detail = "/v1, Kind=Event is disallowed from being an owner"
        errors.append(fields.invalid(path, owner, detail))
    return errors
