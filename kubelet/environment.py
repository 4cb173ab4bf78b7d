"""What a container's process is given: environment, command and arguments. Pure.

1. `$(NAME)` is replaced by a variable that was defined before; `$$(NAME)` is the text
   `$(NAME)`; an unknown one stays as it is. So Kubernetes does it.
2. `valueFrom.fieldRef` knows the fields of the downward API. ConfigMaps and Secrets
   are those of `Sandbox.values`: a reference to what is not there is an error unless
   it is optional. With `envFrom` a key that cannot be a variable's name is left out.
3. Nothing of the kubelet's own environment gets in but `PATH`, `LANG`, `TZ`.
"""

import re
from collections.abc import Mapping
from typing import Final

from domain import podspec
from domain.pod_values import Kind, Reference
from kubelet import runtime
from kubelet.values import ConfigError as ConfigError

INHERITED: Final = ("PATH", "LANG", "TZ")
_REFERENCE: Final = re.compile(r"\$\$|\$\(([^()]*)\)")
_Source = podspec.ConfigMapEnvSource | podspec.SecretEnvSource
_Selector = podspec.ConfigMapKeySelector | podspec.SecretKeySelector
_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its references replaced; see rule 1."""

    def replaced(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


def build(
    sandbox: runtime.Sandbox,
    container: podspec.Container,
    *,
    ip: str,
    host_ip: str,
    inherited: Mapping[str, str],
    image: Mapping[str, str],
) -> dict[str, str]:
    """The whole environment; the container's own variables win over the image's.

    Raises `ConfigError` for a reference to what is not there.
    """
    variables = {n: inherited[n] for n in INHERITED if n in inherited}
    variables |= {
        "HOSTNAME": sandbox.spec.hostname or sandbox.name,
        "POD_NAME": sandbox.name,
        "POD_NAMESPACE": sandbox.namespace,
        "POD_UID": sandbox.uid,
        "POD_IP": ip,
        "NODE_NAME": sandbox.node,
    }
    variables |= image
    for source in container.env_from:
        variables |= _all_of(source, sandbox)
    for variable in container.env:
        if variable.value_from is None:
            variables[variable.name] = expand(variable.value, variables)
            continue
        value = _value_from(variable.value_from, sandbox, container, ip, host_ip)
        if value is not None:
            variables[variable.name] = value
    return variables


def _all_of(source: podspec.EnvFromSource, sandbox: runtime.Sandbox) -> dict[str, str]:
    found: dict[str, str] = {}
    given: tuple[tuple[Kind, _Source | None], ...] = (
        ("configmap", source.config_map_ref),
        ("secret", source.secret_ref),
    )
    for kind, named in given:
        if named is None:
            continue
        reference = Reference(kind, named.name)
        data = sandbox.values.all(reference, optional=bool(named.optional)) or {}
        for key, value in data.items():
            name = source.prefix + key
            if name and "=" not in name and "\0" not in name:
                found[name] = value.decode(errors="replace")
    return found


def _value_from(
    source: podspec.EnvVarSource,
    sandbox: runtime.Sandbox,
    container: podspec.Container,
    ip: str,
    host_ip: str,
) -> str | None:
    if source.field_ref is not None:
        return field(source.field_ref.field_path, sandbox, ip=ip, host_ip=host_ip)
    if source.resource_field_ref is not None:
        return resource(source.resource_field_ref, container)
    given: tuple[tuple[Kind, _Selector | None], ...] = (
        ("configmap", source.config_map_key_ref),
        ("secret", source.secret_key_ref),
    )
    for kind, selector in given:
        if selector is None:
            continue
        value = sandbox.values.key(
            Reference(kind, selector.name),
            selector.key,
            sandbox.namespace,
            optional=bool(selector.optional),
        )
        return None if value is None else value.decode(errors="replace")
    return None


def field(path: str, sandbox: runtime.Sandbox, *, ip: str, host_ip: str) -> str:
    """The value of a field of the pod. Raises `ConfigError` for an unknown one."""
    simple = {
        "metadata.name": sandbox.name,
        "metadata.namespace": sandbox.namespace,
        "metadata.uid": sandbox.uid,
        "spec.nodeName": sandbox.node,
        "spec.serviceAccountName": sandbox.spec.service_account_name or "default",
        "status.podIP": ip,
        "status.podIPs": ip,
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
    }
    if path in simple:
        return simple[path]
    match = _SUBSCRIPT.fullmatch(path)
    if match is None:
        raise ConfigError(f"unsupported fieldPath: {path}")
    values = sandbox.labels if match[1] == "labels" else sandbox.annotations
    return values.get(match[2], "")


def file_field(path: str, sandbox: runtime.Sandbox, *, ip: str, host_ip: str) -> str:
    """As `field`, and all labels or annotations, one `key="value"` a line."""
    whole = {
        "metadata.labels": sandbox.labels,
        "metadata.annotations": sandbox.annotations,
    }
    if path in whole:
        pairs = sorted(whole[path].items())
        return "\n".join(f"{key}={_quoted(value)}" for key, value in pairs)
    return field(path, sandbox, ip=ip, host_ip=host_ip)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def resource(
    source: podspec.ResourceFieldSelector, container: podspec.Container
) -> str:
    """The amount of a container's request or limit; "0" if it has none."""
    kind, _, name = source.resource.partition(".")
    amounts = getattr(container.resources, kind, None)
    amount = amounts.get(name) if isinstance(amounts, dict) else None
    return "0" if amount is None else str(amount)
