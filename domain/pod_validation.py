"""Kubernetes' rules for a pod specification (spec 1.4, 1.7), containers apart.

1. The order is Kubernetes': volumes, containers, init containers, restart
   and DNS policy, node selector, security, pull secrets, affinity, topology, names,
   deadlines, tolerations, host aliases.
2. A volume with errors is no volume: mounts of it are not found.
3. The defaults have been applied.
"""

from typing import Final

import msgspec

from domain import fields, quantities, syntax
from domain.affinity_validation import affinity_errors
from domain.container_validation import (
    amount_errors,
    containers_errors,
    init_containers_errors,
    resources_errors,
)
from domain.errors import FieldError
from domain.podspec import PodSpec, Toleration, TopologySpreadConstraint
from domain.volumes import Volume

RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")
DNS_POLICIES: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
TAINT_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
SPREAD_ACTIONS: Final = ("DoNotSchedule", "ScheduleAnyway")
PREEMPTION_POLICIES: Final = ("PreemptLowerPriority", "Never")
SYSTEMS: Final = ("linux", "windows")
SECONDS_MAX: Final = 2**31 - 1


def pod_spec_errors(spec: PodSpec, path: str) -> list[FieldError]:
    """Every rule that the specification breaks; paths begin with `path`."""
    errors: list[FieldError] = []
    found, volumes = _volumes_errors(spec.volumes, f"{path}.volumes")
    errors += found
    errors += containers_errors(spec.containers, volumes, f"{path}.containers")
    errors += init_containers_errors(
        spec.init_containers, spec.containers, volumes, f"{path}.initContainers"
    )
    if spec.resources is not None:
        errors += resources_errors(spec.resources, f"{path}.resources")
    policy = spec.restart_policy
    if policy not in RESTART_POLICIES:
        where = f"{path}.restartPolicy"
        errors.append(fields.unsupported(where, policy, RESTART_POLICIES))
    if spec.dns_policy not in DNS_POLICIES:
        where = f"{path}.dnsPolicy"
        errors.append(fields.unsupported(where, spec.dns_policy, DNS_POLICIES))
    for key, value in spec.node_selector.items():
        where = f"{path}.nodeSelector"
        errors += fields.each_invalid(where, key, syntax.qualified_name(key))
        errors += fields.each_invalid(where, value, syntax.label_value(value))
    errors += _security_errors(spec, f"{path}.securityContext")
    for index, secret in enumerate(spec.image_pull_secrets):
        if not secret.name:
            errors.append(fields.required(f"{path}.imagePullSecrets[{index}].name"))
    if spec.affinity is not None:
        errors += affinity_errors(spec.affinity, f"{path}.affinity")
    for index, gate in enumerate(spec.readiness_gates):
        said = syntax.qualified_name(gate.condition_type)
        where = f"{path}.readinessGates[{index}].conditionType"
        errors += fields.each_invalid(where, gate.condition_type, said)
    for index, each in enumerate(spec.topology_spread_constraints):
        where = f"{path}.topologySpreadConstraints[{index}]"
        errors += _spread_errors(each, where)
    errors += _names_errors(spec, path)
    for index, toleration in enumerate(spec.tolerations):
        errors += _toleration_errors(toleration, f"{path}.tolerations[{index}]")
    return errors + _late_errors(spec, path)


def _names_errors(spec: PodSpec, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for field, value, rule in (
        ("serviceAccountName", spec.service_account_name, syntax.dns_subdomain),
        ("nodeName", spec.node_name, syntax.dns_subdomain),
    ):
        if value:
            errors += fields.each_invalid(f"{path}.{field}", value, rule(value))
    deadline = spec.active_deadline_seconds
    if deadline is not None and not 1 <= deadline <= SECONDS_MAX:
        where = f"{path}.activeDeadlineSeconds"
        detail = f"must be between 1 and {SECONDS_MAX}, inclusive"
        errors.append(fields.invalid(where, deadline, detail))
    for field, value, rule in (
        ("hostname", spec.hostname, syntax.dns_label),
        ("subdomain", spec.subdomain, syntax.dns_label),
    ):
        if value:
            errors += fields.each_invalid(f"{path}.{field}", value, rule(value))
    return errors


def _late_errors(spec: PodSpec, path: str) -> list[FieldError]:
    """Host aliases, classes, overhead and operating system."""
    errors: list[FieldError] = []
    for index, alias in enumerate(spec.host_aliases):
        for hostname in alias.hostnames:
            where = f"{path}.hostAliases[{index}].hostnames"
            said = syntax.dns_subdomain(hostname)
            errors += fields.each_invalid(where, hostname, said)
    if spec.priority_class_name:
        name = spec.priority_class_name
        where = f"{path}.priorityClassName"
        errors += fields.each_invalid(where, name, syntax.dns_subdomain(name))
    if spec.runtime_class_name is not None:
        name = spec.runtime_class_name
        where = f"{path}.runtimeClassName"
        errors += fields.each_invalid(where, name, syntax.dns_subdomain(name))
    preemption = spec.preemption_policy
    if preemption is not None and preemption not in PREEMPTION_POLICIES:
        where = f"{path}.preemptionPolicy"
        errors.append(fields.unsupported(where, preemption, PREEMPTION_POLICIES))
    for name, text in spec.overhead.items():
        errors += amount_errors(text, f"{path}.overhead[{name}]")
    if spec.os is not None and not spec.os.name:
        errors.append(fields.required(f"{path}.os.name"))
    elif spec.os is not None and spec.os.name not in SYSTEMS:
        errors.append(fields.unsupported(f"{path}.os.name", spec.os.name, SYSTEMS))
    return errors


def _security_errors(spec: PodSpec, path: str) -> list[FieldError]:
    context = spec.security_context
    if context is None:
        return []
    errors: list[FieldError] = []
    for field, value in (
        ("runAsUser", context.run_as_user),
        ("runAsGroup", context.run_as_group),
        ("fsGroup", context.fs_group),
    ):
        if value is not None and not 0 <= value <= SECONDS_MAX:
            detail = f"must be between 0 and {SECONDS_MAX}, inclusive"
            errors.append(fields.invalid(f"{path}.{field}", value, detail))
    if spec.share_process_namespace and spec.host_pid:
        where = f"{path.removesuffix('.securityContext')}.shareProcessNamespace"
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        errors.append(fields.invalid(where, True, detail))
    return errors


def _spread_errors(spread: TopologySpreadConstraint, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if spread.max_skew <= 0:
        detail = "must be greater than zero"
        errors.append(fields.invalid(f"{path}.maxSkew", spread.max_skew, detail))
    if not spread.topology_key:
        errors.append(fields.required(f"{path}.topologyKey", "can not be empty"))
    action = spread.when_unsatisfiable
    if action not in SPREAD_ACTIONS:
        where = f"{path}.whenUnsatisfiable"
        errors.append(fields.unsupported(where, action, SPREAD_ACTIONS))
    return errors


def _toleration_errors(toleration: Toleration, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    key, operator, effect = toleration.key, toleration.operator, toleration.effect
    if key:
        said = syntax.qualified_name(key)
        errors += fields.each_invalid(f"{path}.key", key, said)
    elif operator != "Exists":
        detail = (
            "operator must be Exists when `key` is empty, which means "
            '"match all values and all keys"'
        )
        errors.append(fields.invalid(f"{path}.operator", operator, detail))
    if toleration.toleration_seconds is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        errors.append(fields.invalid(f"{path}.effect", effect, detail))
    if operator in ("", "Equal"):
        said = syntax.label_value(toleration.value)
        errors += fields.each_invalid(f"{path}.operator", toleration.value, said)
    elif operator != "Exists":
        supported = ("Equal", "Exists")
        errors.append(fields.unsupported(f"{path}.operator", operator, supported))
    elif toleration.value:
        detail = "value must be empty when `operator` is 'Exists'"
        errors.append(fields.invalid(f"{path}.operator", toleration, detail))
    if effect and effect not in TAINT_EFFECTS:
        errors.append(fields.unsupported(f"{path}.effect", effect, TAINT_EFFECTS))
    return errors


def _volumes_errors(
    volumes: tuple[Volume, ...], path: str
) -> tuple[list[FieldError], set[str]]:
    """The errors, and the names of the volumes without any."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    good: set[str] = set()
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        found = _source_errors(volume, where)
        if not volume.name:
            found.append(fields.required(f"{where}.name"))
        else:
            said = syntax.dns_label(volume.name)
            found += fields.each_invalid(f"{where}.name", volume.name, said)
        if volume.name in seen:
            found.append(fields.duplicate(f"{where}.name", volume.name))
        seen.add(volume.name)
        if not found:
            good.add(volume.name)
        errors += found
    return errors, good


def _source_errors(volume: Volume, path: str) -> list[FieldError]:
    """Exactly one source; the first is checked, the others are refused."""
    given = [
        (name, source)
        for field, name in _json_names(volume).items()
        if isinstance(source := getattr(volume, field), msgspec.Struct)
    ]
    if not given:
        return [fields.required(path, "must specify a volume type")]
    first, source = given[0]
    names = _json_names(source)
    errors = [
        fields.required(f"{path}.{first}.{names[field]}")
        for field in _NEEDED.get(first, ())
        if not getattr(source, field)
    ]
    empty = volume.empty_dir
    if empty is not None and empty.size_limit is not None:
        errors += _size_errors(empty.size_limit, f"{path}.emptyDir.sizeLimit")
    detail = "may not specify more than 1 volume type"
    errors += [fields.forbidden(f"{path}.{name}", detail) for name, _ in given[1:]]
    return errors


def _json_names(value: msgspec.Struct) -> dict[str, str]:
    """Kubernetes' name of each field."""
    names = value.__struct_encode_fields__
    return dict(zip(value.__struct_fields__, names, strict=True))


def _size_errors(text: str, path: str) -> list[FieldError]:
    try:
        negative = quantities.parse(text) < 0
    except ValueError as error:
        return [fields.invalid(path, text, str(error))]
    if negative:
        detail = "SizeLimit field must be a valid resource quantity"
        return [fields.forbidden(path, detail)]
    return []


_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "hostPath": ("path",),
    "secret": ("secret_name",),
    "configMap": ("name",),
    "persistentVolumeClaim": ("claim_name",),
    "nfs": ("server", "path"),
    "iscsi": ("target_portal", "iqn"),
    "csi": ("driver",),
    "ephemeral": ("volume_claim_template",),
}
"""What each source cannot do without."""
