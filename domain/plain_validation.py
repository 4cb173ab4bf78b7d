"""Kubernetes' rules for the plain kinds; all run, and errors come in its order.

1. Names are DNS subdomains; that of a namespace is a DNS label (spec 1.5).
2. The keys and values of a ConfigMap or a Secret are at most `DATA_BYTES_MAX` bytes
   together. One that is immutable stays so, and its data stays as it is.
3. Defaults (domain/plain_defaults.py) were applied before.
"""

import base64
import re
from collections.abc import Mapping
from typing import Final

from domain import fields, quantities, syntax, validation
from domain import plain_manifests as m
from domain.errors import FieldError
from domain.metadata import ObjectMeta

DATA_BYTES_MAX: Final = 1024 * 1024
_KEY_LENGTH_MAX: Final = 253
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_RULE: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
    "'[-._a-zA-Z0-9]+')"
)
_IMMUTABLE: Final = "field is immutable when `immutable` is set"
_POSITIVE: Final = "must be greater than 0"
_SECRET_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
"""What the data of a Secret of this type must have."""
_BASIC_AUTH: Final = "kubernetes.io/basic-auth"
_ACCOUNT_TOKEN: Final = "kubernetes.io/service-account-token"  # noqa: S105 # a type
_ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"

_SOURCES: Final = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_POLICY_TYPES: Final = ("Pods", "Percent")
_SELECT_POLICIES: Final = ("Disabled", "Max", "Min")
_WINDOW_MAX: Final = 3600
_PERIOD_MAX: Final = 1800


def errors(manifest: m.PlainManifest) -> list[FieldError]:
    """Every rule that a new object breaks; [] if none."""
    match manifest:
        case m.ConfigMapManifest():
            found = validation.metadata_errors(manifest.metadata)
            return found + _data_errors(manifest.data, manifest.binary_data)
        case m.SecretManifest():
            found = validation.metadata_errors(manifest.metadata)
            return found + _secret_errors(manifest)
        case m.NamespaceManifest():
            return _namespace_errors(manifest.metadata)
        case m.LeaseManifest():
            found = validation.metadata_errors(manifest.metadata)
            return found + _lease_errors(manifest.spec)
        case m.HorizontalPodAutoscalerManifest():
            found = validation.metadata_errors(manifest.metadata)
            return found + _autoscaler_errors(manifest.spec)
        case m.ServiceAccountManifest():
            return validation.metadata_errors(manifest.metadata)


def update_errors(old: m.PlainManifest, new: m.PlainManifest) -> list[FieldError]:
    """The rules that an object breaks when it takes the place of `old`."""
    found = errors(new)
    match old, new:
        case m.SecretManifest(), m.SecretManifest():
            if old.type != new.type:
                found.append(fields.invalid("type", new.type, "field is immutable"))
            if old.immutable:
                found += _changed(
                    ("immutable", bool(new.immutable)), ("data", old.data == new.data)
                )
        case m.ConfigMapManifest(immutable=True), m.ConfigMapManifest():
            found += _changed(
                ("immutable", bool(new.immutable)),
                ("data", old.data == new.data),
                ("binaryData", old.binary_data == new.binary_data),
            )
    return found


def _changed(*kept: tuple[str, bool]) -> list[FieldError]:
    """Each field with whether it is as it was; those that are not may not be."""
    return [fields.forbidden(field, _IMMUTABLE) for field, same in kept if not same]


# --- ConfigMaps, Secrets, namespaces and leases -----------------------------------


def _namespace_errors(metadata: ObjectMeta) -> list[FieldError]:
    """The name has a rule of its own (rule 1)."""
    path = "metadata.name"
    found = validation.metadata_errors(metadata)
    if not metadata.name:
        return found
    said = syntax.dns_label(metadata.name)
    named = fields.each_invalid(path, metadata.name, said)
    return named + [each for each in found if each.field != path]


def _data_errors(
    data: Mapping[str, str], binary: Mapping[str, str]
) -> list[FieldError]:
    found: list[FieldError] = []
    for key in data:
        path = f"data[{key}]"
        found += fields.each_invalid(path, key, _key_rules(key))
        if key in binary:
            detail = "duplicate of key present in binaryData"
            found.append(fields.invalid(path, key, detail))
    for key in binary:
        found += fields.each_invalid(f"binaryData[{key}]", key, _key_rules(key))
    size = sum(len(value.encode()) for value in data.values())
    size += sum(map(_decoded_size, binary.values()))
    if size > DATA_BYTES_MAX:
        found.append(fields.too_long("[]", DATA_BYTES_MAX))
    return found


def _secret_errors(manifest: m.SecretManifest) -> list[FieldError]:
    found: list[FieldError] = []
    data, kind = manifest.data, manifest.type
    for key in data:
        found += fields.each_invalid(f"data[{key}]", key, _key_rules(key))
    if sum(map(_decoded_size, data.values())) > DATA_BYTES_MAX:
        found.append(fields.too_long("data", DATA_BYTES_MAX))
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in data:
            found.append(fields.required(f"data[{key}]"))
    if kind == _BASIC_AUTH and not {"username", "password"} & data.keys():
        found.append(fields.required("data[username]"))
        found.append(fields.required("data[password]"))
    if kind == _ACCOUNT_TOKEN and not manifest.metadata.annotations.get(_ACCOUNT_NAME):
        found.append(fields.required(f"metadata.annotations[{_ACCOUNT_NAME}]"))
    return found


def _key_rules(key: str) -> list[str]:
    """What is wrong with `key` as a key of a ConfigMap or a Secret."""
    said = []
    if len(key) > _KEY_LENGTH_MAX:
        said.append(f"must be no more than {_KEY_LENGTH_MAX} characters")
    if not _KEY.fullmatch(key):
        said.append(_KEY_RULE)
    if key in (".", ".."):
        said.append(f"must not be '{key}'")
    elif key.startswith(".."):
        said.append("must not start with '..'")
    return said


def _decoded_size(text: str) -> int:
    return len(base64.b64decode(text))


def _lease_errors(spec: m.LeaseSpec) -> list[FieldError]:
    found: list[FieldError] = []
    duration = spec.lease_duration_seconds
    if duration is not None and duration <= 0:
        path = "spec.leaseDurationSeconds"
        found.append(fields.invalid(path, duration, _POSITIVE))
    transitions = spec.lease_transitions
    return found + fields.not_negative("spec.leaseTransitions", transitions)


# --- HorizontalPodAutoscalers (spec 5.1) ------------------------------------------


def _autoscaler_errors(spec: m.AutoscalerSpec) -> list[FieldError]:
    found: list[FieldError] = []
    least, most = spec.min_replicas, spec.max_replicas
    if least is not None and least < 1:
        detail = "must be greater than or equal to 1"
        found.append(fields.invalid("spec.minReplicas", least, detail))
    if most < 1:
        detail = "must be set and greater than 0"
        found.append(fields.required("spec.maxReplicas", detail))
    elif least is not None and most < least:
        detail = "must be greater than or equal to `minReplicas`"
        found.append(fields.invalid("spec.maxReplicas", most, detail))
    found += _target_ref_errors(spec.scale_target_ref, "spec.scaleTargetRef")
    for index, metric in enumerate(spec.metrics):
        found += _metric_errors(metric, f"spec.metrics[{index}]")
    if spec.behavior is not None:
        path = "spec.behavior"
        found += _rules_errors(spec.behavior.scale_up, f"{path}.scaleUp")
        found += _rules_errors(spec.behavior.scale_down, f"{path}.scaleDown")
    return found


def _target_ref_errors(
    reference: m.CrossVersionObjectReference, path: str
) -> list[FieldError]:
    found = [
        fields.required(f"{path}.{field}")
        for field, value in (("kind", reference.kind), ("name", reference.name))
        if not value
    ]
    has_group = "/" in reference.api_version
    if not has_group and reference.kind != "ReplicationController":
        where, detail = f"{path}.apiVersion", "apiVersion must specify API group"
        found.append(fields.invalid(where, reference.api_version, detail))
    return found


def _metric_errors(metric: m.MetricSpec, path: str) -> list[FieldError]:
    if not metric.type:
        return [fields.required(f"{path}.type", "must specify a metric source type")]
    if metric.type not in _SOURCES:
        return [fields.unsupported(f"{path}.type", metric.type, _SOURCES)]
    given = {
        "containerResource": metric.container_resource,
        "external": metric.external,
        "object": metric.of_object,
        "pods": metric.pods,
        "resource": metric.resource,
    }
    wanted = _SOURCES[metric.type]
    found: list[FieldError] = []
    for name, source in given.items():
        where = f"{path}.{name}"
        if name == wanted and source is None:
            detail = "must populate information for the given metric source"
            found.append(fields.required(where, detail))
        elif name != wanted and source is not None:
            detail = "must populate the given metric source only"
            found.append(fields.forbidden(where, detail))
        elif source is not None:
            found += _source_errors(source, where)
    return found


def _source_errors(
    source: m.ObjectMetric
    | m.NamedMetric
    | m.ResourceMetric
    | m.ContainerResourceMetric,
    path: str,
) -> list[FieldError]:
    found: list[FieldError] = []
    if isinstance(source, m.ResourceMetric | m.ContainerResourceMetric):
        if not source.name:
            found.append(
                fields.required(f"{path}.name", "must specify a resource name")
            )
        if isinstance(source, m.ContainerResourceMetric) and not source.container:
            detail = "must specify a container name"
            found.append(fields.required(f"{path}.container", detail))
    elif not source.metric.name:
        detail = "must specify a metric name"
        found.append(fields.required(f"{path}.metric.name", detail))
    return found + _target_errors(source, f"{path}.target")


def _target_errors(
    source: m.ObjectMetric
    | m.NamedMetric
    | m.ResourceMetric
    | m.ContainerResourceMetric,
    path: str,
) -> list[FieldError]:
    target = source.target
    found: list[FieldError] = []
    if not target.type:
        found.append(
            fields.required(f"{path}.type", "must specify a metric target type")
        )
    elif target.type not in ("AverageValue", "Utilization", "Value"):
        kinds = ("Utilization", "Value", "AverageValue")
        found.append(fields.unsupported(f"{path}.type", target.type, kinds))
    percent = target.average_utilization
    if percent is not None and percent < 1:
        where = f"{path}.averageUtilization"
        found.append(fields.invalid(where, percent, _POSITIVE))
    for field, value in (
        ("value", target.value),
        ("averageValue", target.average_value),
    ):
        if value is not None and quantities.parse(value) <= 0:
            found.append(fields.invalid(f"{path}.{field}", value, "must be positive"))
    average = target.average_value
    if isinstance(source, m.ResourceMetric | m.ContainerResourceMetric):
        if percent is None and average is None:
            detail = "must set either a target raw value or a target utilization"
            found.append(fields.required(f"{path}.averageUtilization", detail))
        if percent is not None and average is not None:
            detail = "may not set both a target raw value and a target utilization"
            found.append(fields.forbidden(f"{path}.averageValue", detail))
    elif target.value is None and average is None:
        detail = "must set either a target value or a target average value"
        found.append(fields.required(f"{path}.averageValue", detail))
    return found


def _rules_errors(rules: m.ScalingRules | None, path: str) -> list[FieldError]:
    if rules is None:
        return []
    found: list[FieldError] = []
    window = rules.stabilization_window_seconds
    if window is not None and not 0 <= window <= _WINDOW_MAX:
        detail = "must be greater than or equal to zero"
        if window > 0:
            detail = f"must be less than or equal to {_WINDOW_MAX}"
        where = f"{path}.stabilizationWindowSeconds"
        found.append(fields.invalid(where, window, detail))
    select = rules.select_policy
    if select is not None and select not in _SELECT_POLICIES:
        where = f"{path}.selectPolicy"
        found.append(fields.unsupported(where, select, _SELECT_POLICIES))
    tolerance = rules.tolerance
    if tolerance is not None and quantities.parse(tolerance) < 0:
        detail = "must be greater than or equal to zero"
        found.append(fields.invalid(f"{path}.tolerance", tolerance, detail))
    if not rules.policies:
        detail = "must specify at least one Policy"
        found.append(fields.required(f"{path}.policies", detail))
    for index, policy in enumerate(rules.policies or ()):
        found += _policy_errors(policy, f"{path}.policies[{index}]")
    return found


def _policy_errors(policy: m.ScalingPolicy, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if policy.type not in _POLICY_TYPES:
        found.append(fields.unsupported(f"{path}.type", policy.type, _POLICY_TYPES))
    if policy.value <= 0:
        detail = "must be greater than zero"
        found.append(fields.invalid(f"{path}.value", policy.value, detail))
    if not 0 < policy.period_seconds <= _PERIOD_MAX:
        detail = "must be greater than zero"
        if policy.period_seconds > 0:
            detail = f"must be less than or equal to {_PERIOD_MAX}"
        where = f"{path}.periodSeconds"
        found.append(fields.invalid(where, policy.period_seconds, detail))
    return found
