"""Kubernetes' rules for the containers of a pod (spec 1.7).

1. Within a container: name, image, message policy, ports, env, envFrom, mounts, pull
   policy, resources, then uniqueness of the name, lifecycle and probes.
2. The defaults have been applied.
"""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import Final

from domain import fields, quantities, syntax
from domain.containers import (
    Container,
    ContainerPort,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Probe,
    ResourceRequirements,
    VolumeMount,
)
from domain.errors import FieldError

PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES: Final = ("FallbackToLogsOnError", "File")
PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
SCHEMES: Final = ("HTTP", "HTTPS")
STANDARD_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES: Final = "hugepages-"
_ONLY_SIDECARS: Final = (
    "may not be set for init containers without restartPolicy=Always"
)
_ONE_HANDLER: Final = "may not specify more than 1 handler type"


def containers_errors(
    containers: Sequence[Container], volumes: Collection[str], path: str
) -> list[FieldError]:
    """The rules for the containers of a pod whose good volumes are `volumes`."""
    if not containers:
        return [fields.required(path)]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, each in enumerate(containers):
        where = f"{path}[{index}]"
        errors += _container_errors(each, volumes, where)
        if each.name in seen:
            errors.append(fields.duplicate(f"{where}.name", each.name))
        seen.add(each.name)
        errors += _lifecycle_errors(each.lifecycle, f"{where}.lifecycle")
        errors += _liveness_errors(each.liveness_probe, f"{where}.livenessProbe")
        errors += _readiness_errors(each.readiness_probe, f"{where}.readinessProbe")
        errors += _liveness_errors(each.startup_probe, f"{where}.startupProbe")
    return errors + _host_port_errors(containers, path)


def init_containers_errors(
    inits: Sequence[Container],
    containers: Sequence[Container],
    volumes: Collection[str],
    path: str,
) -> list[FieldError]:
    """The rules for init containers; only a sidecar may have probes and lifecycle."""
    errors: list[FieldError] = []
    seen = {each.name for each in containers}
    for index, each in enumerate(inits):
        where = f"{path}[{index}]"
        errors += _container_errors(each, volumes, where)
        if each.name in seen:
            errors.append(fields.duplicate(f"{where}.name", each.name))
        seen.add(each.name)
        policy = each.restart_policy
        sidecar = policy == "Always"
        if policy not in (None, "Always", "OnFailure", "Never"):
            supported = ("Always", "Never", "OnFailure")
            path_ = f"{where}.restartPolicy"
            errors.append(fields.unsupported(path_, policy, supported))
        if sidecar:
            errors += _lifecycle_errors(each.lifecycle, f"{where}.lifecycle")
            errors += _liveness_errors(each.liveness_probe, f"{where}.livenessProbe")
            errors += _readiness_errors(each.readiness_probe, f"{where}.readinessProbe")
            errors += _liveness_errors(each.startup_probe, f"{where}.startupProbe")
            continue
        for field, value in (
            ("lifecycle", each.lifecycle),
            ("livenessProbe", each.liveness_probe),
            ("readinessProbe", each.readiness_probe),
            ("startupProbe", each.startup_probe),
        ):
            if value is not None:
                detail = (
                    "may not be set for init containers without restartPolicy=Always"
                )
                errors.append(fields.forbidden(f"{where}.{field}", detail))
    return errors + _host_port_errors(inits, path)


def resources_errors(resources: ResourceRequirements, path: str) -> list[FieldError]:
    """Names and amounts of resources; a request may not exceed its limit."""
    errors: list[FieldError] = []
    for name, text in resources.limits.items():
        errors += _resource_errors(name, text, f"{path}.limits[{name}]")
    for name, text in resources.requests.items():
        errors += _resource_errors(name, text, f"{path}.requests[{name}]")
        limit = resources.limits.get(name)
        amount, most = _parsed(text), None if limit is None else _parsed(limit)
        if limit is None:
            if not _overcommits(name):
                detail = "Limit must be set for non overcommitable resources"
                errors.append(fields.required(f"{path}.limits", detail))
        elif amount is None or most is None:
            continue
        elif amount != most and not _overcommits(name):
            detail = f"must be equal to {name} limit of {limit}"
            errors.append(fields.invalid(f"{path}.requests", text, detail))
        elif amount > most:
            detail = f"must be less than or equal to {name} limit of {limit}"
            errors.append(fields.invalid(f"{path}.requests", text, detail))
    return errors


def amount_errors(text: str, path: str) -> list[FieldError]:
    """An amount must be a quantity and not negative."""
    try:
        amount = quantities.parse(text)
    except ValueError as error:
        return [fields.invalid(path, text, str(error))]
    if amount < 0:
        detail = "must be greater than or equal to 0"
        return [fields.invalid(path, text, detail)]
    return []


def _container_errors(
    container: Container, volumes: Collection[str], path: str
) -> list[FieldError]:
    errors: list[FieldError] = []
    if not container.name:
        errors.append(fields.required(f"{path}.name"))
    else:
        said = syntax.dns_label(container.name)
        errors += fields.each_invalid(f"{path}.name", container.name, said)
    if not container.image:
        errors.append(fields.required(f"{path}.image"))
    policy = container.termination_message_policy
    if policy not in MESSAGE_POLICIES:
        where = f"{path}.terminationMessagePolicy"
        errors.append(fields.unsupported(where, policy, MESSAGE_POLICIES))
    errors += _ports_errors(container.ports, f"{path}.ports")
    for index, variable in enumerate(container.env):
        errors += _env_errors(variable, f"{path}.env[{index}]")
    for index, source in enumerate(container.env_from):
        errors += _env_from_errors(source, f"{path}.envFrom[{index}]")
    errors += _mounts_errors(container.volume_mounts, volumes, f"{path}.volumeMounts")
    pull = container.image_pull_policy
    if pull not in PULL_POLICIES:
        where = f"{path}.imagePullPolicy"
        errors.append(fields.unsupported(where, pull, PULL_POLICIES))
    return errors + resources_errors(container.resources, f"{path}.resources")


def _ports_errors(ports: Sequence[ContainerPort], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        said = syntax.port_name(port.name) if port.name else []
        errors += fields.each_invalid(f"{where}.name", port.name, said)
        if port.name and not said:
            if port.name in seen:
                errors.append(fields.duplicate(f"{where}.name", port.name))
            seen.add(port.name)
        number, host = port.container_port, port.host_port
        if number == 0:
            errors.append(fields.required(f"{where}.containerPort"))
        else:
            said = syntax.port_number(number)
            errors += fields.each_invalid(f"{where}.containerPort", number, said)
        if host != 0:
            said = syntax.port_number(host)
            errors += fields.each_invalid(f"{where}.hostPort", host, said)
        if port.protocol not in PROTOCOLS:
            found = fields.unsupported(f"{where}.protocol", port.protocol, PROTOCOLS)
            errors.append(found)
    return errors


def _host_port_errors(containers: Sequence[Container], path: str) -> list[FieldError]:
    """The same port of the node twice, in whichever containers."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, each in enumerate(containers):
        for number, port in enumerate(each.ports):
            if port.host_port == 0:
                continue
            key = f"{port.protocol}/{port.host_ip}/{port.host_port}"
            if key in seen:
                where = f"{path}[{index}].ports[{number}].hostPort"
                errors.append(fields.duplicate(where, key))
            seen.add(key)
    return errors


def _env_errors(variable: EnvVar, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not variable.name:
        errors.append(fields.required(f"{path}.name"))
    else:
        said = syntax.environment_name(variable.name)
        errors += fields.each_invalid(f"{path}.name", variable.name, said)
    if variable.value_from is not None:
        where = f"{path}.valueFrom"
        errors += _env_source_errors(variable.value_from, variable.value, where)
    return errors


def _env_source_errors(source: EnvVarSource, value: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if source.field_ref is not None and not source.field_ref.field_path:
        errors.append(fields.required(f"{path}.fieldRef.fieldPath"))
    resource = source.resource_field_ref
    if resource is not None and not resource.resource:
        errors.append(fields.required(f"{path}.resourceFieldRef.resource"))
    for field, key in (
        ("configMapKeyRef", source.config_map_key_ref),
        ("secretKeyRef", source.secret_key_ref),
    ):
        if key is not None and not key.name:
            errors.append(fields.required(f"{path}.{field}.name"))
        if key is not None and not key.key:
            errors.append(fields.required(f"{path}.{field}.key"))
    given = sum(
        getattr(source, field) is not None for field in source.__struct_fields__
    )
    if given == 0:
        detail = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
            "`secretKeyRef`"
        )
        errors.append(fields.invalid(path, "", detail))
    elif value:
        detail = "may not be specified when `value` is not empty"
        errors.append(fields.invalid(path, "", detail))
    elif given > 1:
        detail = "may not have more than one field specified at a time"
        errors.append(fields.invalid(path, "", detail))
    return errors


def _env_from_errors(source: EnvFromSource, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if source.prefix:
        said = syntax.environment_name(source.prefix)
        errors += fields.each_invalid(f"{path}.prefix", source.prefix, said)
    config, secret = source.config_map_ref, source.secret_ref
    if config is not None and not config.name:
        errors.append(fields.required(f"{path}.configMapRef.name"))
    if secret is not None and not secret.name:
        errors.append(fields.required(f"{path}.secretRef.name"))
    if config is None and secret is None:
        detail = "must specify one of: `configMapRef` or `secretRef`"
        errors.append(fields.invalid(path, "", detail))
    elif config is not None and secret is not None:
        detail = "may not have more than one field specified at a time"
        errors.append(fields.invalid(path, "", detail))
    return errors


def _mounts_errors(
    mounts: Sequence[VolumeMount], volumes: Collection[str], path: str
) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        where = f"{path}[{index}]"
        if not mount.name:
            errors.append(fields.required(f"{where}.name"))
        if mount.name not in volumes:
            errors.append(fields.not_found(f"{where}.name", mount.name))
        if not mount.mount_path:
            errors.append(fields.required(f"{where}.mountPath"))
        if mount.mount_path in seen:
            detail = "must be unique"
            errors.append(
                fields.invalid(f"{where}.mountPath", mount.mount_path, detail)
            )
        seen.add(mount.mount_path)
        for field, value in (
            ("subPath", mount.sub_path),
            ("subPathExpr", mount.sub_path_expr),
        ):
            said = _descending(value)
            errors += fields.each_invalid(f"{where}.{field}", value, said)
        if mount.sub_path and mount.sub_path_expr:
            detail = "subPathExpr and subPath are mutually exclusive"
            errors.append(
                fields.invalid(f"{where}.subPathExpr", mount.sub_path_expr, detail)
            )
    return errors


def _descending(path: str) -> Iterator[str]:
    """A path inside a volume may not leave it."""
    if path.startswith("/"):
        yield "must be a relative path"
    if ".." in path.split("/"):
        yield "must not contain '..'"


def _resource_errors(name: str, text: str, path: str) -> list[FieldError]:
    errors = fields.each_invalid(path, name, syntax.qualified_name(name))
    standard = name in STANDARD_RESOURCES or name.startswith(_HUGE_PAGES)
    if not errors and "/" not in name and not standard:
        for rule in (
            "must be a standard resource type or fully qualified",
            "must be a standard resource for containers",
        ):
            errors.append(fields.invalid(path, name, rule))
    errors += amount_errors(text, path)
    amount = _parsed(text)
    if amount is not None and not _overcommits(name) and amount % 1:
        errors.append(fields.invalid(path, text, "must be an integer"))
    return errors


def _overcommits(name: str) -> bool:
    """Whether a node may promise more of it than it has: not so for devices."""
    return name in STANDARD_RESOURCES or not (
        "/" in name or name.startswith(_HUGE_PAGES)
    )


def _parsed(text: str) -> Decimal | None:
    try:
        return quantities.parse(text)
    except ValueError:
        return None


def _liveness_errors(probe: Probe | None, path: str) -> list[FieldError]:
    """Also for startup probes: one success is enough, and more is not allowed."""
    if probe is None:
        return []
    errors = _probe_errors(probe, path)
    if probe.success_threshold != 1:
        where = f"{path}.successThreshold"
        errors.append(fields.invalid(where, probe.success_threshold, "must be 1"))
    return errors


def _readiness_errors(probe: Probe | None, path: str) -> list[FieldError]:
    if probe is None:
        return []
    errors = _probe_errors(probe, path)
    grace = probe.termination_grace_period_seconds
    if grace is not None:
        where = f"{path}.terminationGracePeriodSeconds"
        detail = "must not be set for readinessProbes"
        errors.append(fields.invalid(where, grace, detail))
    return errors


def _probe_errors(probe: Probe, path: str) -> list[FieldError]:
    handler = LifecycleHandler(
        exec=probe.exec, http_get=probe.http_get, tcp_socket=probe.tcp_socket
    )
    errors = _handler_errors(handler, probe.grpc is not None, path)
    if probe.grpc is not None:
        said = syntax.port_number(probe.grpc.port)
        errors += fields.each_invalid(f"{path}.grpc.port", probe.grpc.port, said)
    for field, value in (
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        errors += fields.not_negative(f"{path}.{field}", value)
    grace = probe.termination_grace_period_seconds
    if grace is not None and grace <= 0:
        where = f"{path}.terminationGracePeriodSeconds"
        errors.append(fields.invalid(where, grace, "must be greater than 0"))
    return errors


def _lifecycle_errors(lifecycle: Lifecycle | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if lifecycle is not None and lifecycle.post_start is not None:
        errors += _handler_errors(lifecycle.post_start, False, f"{path}.postStart")
    if lifecycle is not None and lifecycle.pre_stop is not None:
        errors += _handler_errors(lifecycle.pre_stop, False, f"{path}.preStop")
    return errors


def _handler_errors(
    handler: LifecycleHandler, grpc: bool, path: str
) -> list[FieldError]:
    """Exactly one handler; the first is checked, the others are refused."""
    errors: list[FieldError] = []
    given = [
        name
        for name, value in (
            ("exec", handler.exec),
            ("httpGet", handler.http_get),
            ("tcpSocket", handler.tcp_socket),
            ("grpc", grpc or None),
            ("sleep", handler.sleep),
        )
        if value is not None
    ]
    if not given:
        return [fields.required(path, "must specify a handler type")]
    first = given[0]
    where = f"{path}.{first}"
    if first == "exec" and handler.exec is not None and not handler.exec.command:
        errors.append(fields.required(f"{where}.command"))
    elif first == "httpGet" and handler.http_get is not None:
        errors += _http_errors(handler.http_get, where)
    elif first == "tcpSocket" and handler.tcp_socket is not None:
        errors += _port_errors(handler.tcp_socket.port, f"{where}.port")
    elif first == "sleep" and handler.sleep is not None and handler.sleep.seconds < 0:
        seconds = handler.sleep.seconds
        detail = "must be greater than or equal to 0"
        errors.append(fields.invalid(f"{where}.seconds", seconds, detail))
    errors += [fields.forbidden(f"{path}.{name}", _ONE_HANDLER) for name in given[1:]]
    return errors


def _http_errors(action: HTTPGetAction, path: str) -> list[FieldError]:
    errors = _port_errors(action.port, f"{path}.port")
    if action.scheme not in SCHEMES:
        errors.append(fields.unsupported(f"{path}.scheme", action.scheme, SCHEMES))
    for header in action.http_headers:
        said = syntax.header_name(header.name)
        errors += fields.each_invalid(f"{path}.httpHeaders", header.name, said)
    return errors


def _port_errors(port: int | str, path: str) -> list[FieldError]:
    said = syntax.port_number(port) if isinstance(port, int) else syntax.port_name(port)
    return fields.each_invalid(path, port, said)
