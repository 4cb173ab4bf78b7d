"""What a container's process is given: environment, command and arguments. Pure.

1. `$(NAME)` is replaced by a variable that was defined before; `$$(NAME)` is the text
   `$(NAME)`; an unknown one stays as it is. So Kubernetes does it.
2. `valueFrom.fieldRef` knows the fields of the downward API. There are no ConfigMaps
   and no Secrets: a reference to one is an error unless it is optional.
3. Nothing of the kubelet's own environment gets in but `PATH`, `LANG`, `TZ`.
"""

import re
from collections.abc import Mapping
from typing import Final

from domain import podspec
from kubelet import runtime

INHERITED: Final = ("PATH", "LANG", "TZ")
_REFERENCE: Final = re.compile(r"\$\$|\$\(([^()]*)\)")
_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(Exception):
    """The container's configuration names something that is not there."""


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
        config_map, secret = source.config_map_ref, source.secret_ref
        if config_map is not None and not config_map.optional:
            raise ConfigError(f'configmap "{config_map.name}" not found')
        if secret is not None and not secret.optional:
            raise ConfigError(f'secret "{secret.name}" not found')
    for variable in container.env:
        if variable.value_from is None:
            variables[variable.name] = expand(variable.value, variables)
            continue
        value = _value_from(variable.value_from, sandbox, container, ip, host_ip)
        if value is not None:
            variables[variable.name] = value
    return variables


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
        kind, _, name = source.resource_field_ref.resource.partition(".")
        resources = container.resources
        amounts = getattr(resources, kind, None) if resources else None
        amount = amounts.get(name) if isinstance(amounts, dict) else None
        return "0" if amount is None else str(amount)
    for key, kind in (
        (source.config_map_key_ref, "configmap"),
        (source.secret_key_ref, "secret"),
    ):
        if key is not None and not key.optional:
            raise ConfigError(f'{kind} "{key.name}" not found')
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
