"""Containers, volumes and templates in the words of `describe` (spec 6.4, 6.12).

Everything here writes lines whose cells end with tabs; `tabs.align` lays them out, and
`rollout history --revision` shows the tabs as they are.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email import utils
from typing import Final

import msgspec

from domain import podspec
from domain.podspec import Container, Probe, Toleration
from domain.protocol import ContainerStatus, Termination
from gateway.views import scene
from gateway.views.scene import NONE

ANNOTATION_LENGTH_MAX: Final = 140
Lines = Iterator[str]


def template_lines(
    template: podspec.PodTemplateSpec, *, change_cause: tuple[str, str] | None = None
) -> Lines:
    """The Pod Template block; `change_cause` is shown among its annotations."""
    annotations = {**template.metadata.annotations}
    if change_cause is not None:
        annotations[change_cause[0]] = change_cause[1]
    spec = template.spec
    yield "Pod Template:"
    yield from label_lines("  Labels", template.metadata.labels)
    if annotations:
        yield from annotation_lines("  Annotations", annotations)
    if spec.service_account_name:
        yield f"  Service Account:\t{spec.service_account_name}"
    if spec.init_containers:
        yield "  Init Containers:"
        yield from container_lines(spec.init_containers, None, indent="   ")
    yield "  Containers:" if spec.containers else "  Containers: <none>"
    yield from container_lines(spec.containers, None, indent="   ")
    yield from volume_lines(spec, "  ")
    yield from spread_lines(spec, "  ")
    if spec.priority_class_name:
        yield f"  Priority Class Name:\t{spec.priority_class_name}"
    yield from label_lines("  Node-Selectors", spec.node_selector)
    yield from toleration_lines("  Tolerations", spec.tolerations)


def label_lines(title: str, labels: Mapping[str, str]) -> Lines:
    """`key=value`, sorted by key, one per line."""
    yield from _listed(title, [f"{key}={labels[key]}" for key in sorted(labels)])


def annotation_lines(title: str, annotations: Mapping[str, str]) -> Lines:
    """`key: value`, sorted; long values and those of several lines stand below."""
    shown = scene.shown_annotations(dict(annotations))
    texts: list[str] = []
    for key in sorted(shown):
        value = shown[key].removesuffix("\n")
        if len(value) + len(key) + 2 > ANNOTATION_LENGTH_MAX or "\n" in value:
            texts.append(f"{key}:")
            texts += [f"  {_shorten(line)}" for line in value.split("\n")]
        else:
            texts.append(f"{key}: {value}")
    yield from _listed(title, texts)


def toleration_lines(title: str, tolerations: Sequence[Toleration]) -> Lines:
    """Each toleration as kubectl writes it, sorted by key."""
    ordered = sorted(tolerations, key=lambda each: each.key)
    yield from _listed(title, [_toleration(each) for each in ordered])


def container_lines(
    containers: Sequence[Container],
    statuses: Mapping[str, ContainerStatus] | None,
    *,
    indent: str,
) -> Lines:
    """Each container; with `statuses` also what it is doing."""
    for container in containers:
        status = (statuses or {}).get(container.name)
        yield f"{indent}{container.name}:"
        if status is not None:
            yield f"    Container ID:\t{status.container_id}"
        yield f"    Image:\t{container.image}"
        if status is not None:
            yield "    Image ID:\t"
        yield from _ports(container)
        yield from _words("Command", container.command)
        yield from _words("Args", container.args)
        if status is not None:
            yield from _state_lines(status)
        yield from _resources("Limits", container.resources.limits)
        yield from _resources("Requests", container.resources.requests)
        yield from _probes(container)
        yield from _environment(container)
        yield from _mounts(container)


def volume_lines(spec: podspec.PodSpec, indent: str) -> Lines:
    """The volumes; the source as its type and its fields."""
    if not spec.volumes:
        yield f"{indent}Volumes:\t{NONE}"
        return
    yield f"{indent}Volumes:"
    for volume in spec.volumes:
        yield f"  {indent[:1]}{volume.name}:"
        fields: dict[str, object] = msgspec.to_builtins(volume)
        sources = [(key, value) for key, value in fields.items() if key != "name"]
        for kind, source in sources:
            yield from _volume(kind, source if isinstance(source, dict) else {})


def spread_lines(spec: podspec.PodSpec, indent: str) -> Lines:
    """The topology spread constraints, nothing where there are none."""
    texts = []
    for each in spec.topology_spread_constraints:
        text = f"{each.topology_key}:{each.when_unsatisfiable} when max skew"
        texts.append(f"{text} {each.max_skew} is exceeded")
    if texts:
        yield from _listed(f"{indent}Topology Spread Constraints", texts)


def moment(at: float) -> str:
    """`Mon, 23 Nov 2026 06:19:01 +0000`."""
    return utils.format_datetime(datetime.fromtimestamp(int(at), UTC))


# --- one thing each ---------------------------------------------------------------


def _listed(title: str, texts: Sequence[str]) -> Lines:
    yield f"{title}:\t{texts[0] if texts else NONE}"
    for text in texts[1:]:
        yield f"\t{text}"


def _shorten(text: str) -> str:
    room = ANNOTATION_LENGTH_MAX - 2
    return text if len(text) <= room else f"{text[:room]}..."


def _toleration(held: Toleration) -> str:
    text = held.key
    if held.value:
        text += f"={held.value}"
    if held.effect:
        text += f":{held.effect}"
    if held.operator == "Exists" and not held.value:
        text += " op=Exists" if text else "op=Exists"
    if held.toleration_seconds is not None:
        text += f" for {held.toleration_seconds}s"
    return text


def _ports(container: Container) -> Lines:
    ports = [f"{each.container_port}/{each.protocol}" for each in container.ports]
    hosts = [f"{each.host_port}/{each.protocol}" for each in container.ports]
    plural = "s" if len(ports) > 1 else ""
    yield f"    Port{plural}:\t{', '.join(ports) or NONE}"
    yield f"    Host Port{plural}:\t{', '.join(hosts) or NONE}"


def _words(title: str, words: Sequence[str]) -> Lines:
    if words:
        yield f"    {title}:"
        yield from (f"      {line}" for word in words for line in word.split("\n"))


def _resources(title: str, found: Mapping[str, str]) -> Lines:
    if found:
        yield f"    {title}:"
        yield from (f"      {name}:\t{found[name]}" for name in sorted(found))


def _probes(container: Container) -> Lines:
    for title, probe in (
        ("Liveness", container.liveness_probe),
        ("Readiness", container.readiness_probe),
        ("Startup", container.startup_probe),
    ):
        if probe is not None:
            yield f"    {title}:\t{_probe(probe)}"


def _probe(held: Probe) -> str:
    times_ = (
        f"delay={held.initial_delay_seconds}s timeout={held.timeout_seconds}s "
        f"period={held.period_seconds}s #success={held.success_threshold} "
        f"#failure={held.failure_threshold}"
    )
    if held.exec is not None:
        return f"exec [{' '.join(held.exec.command)}] {times_}"
    if held.http_get is not None:
        http = held.http_get
        address = f"{http.scheme.lower()}://{http.host}:{http.port}{http.path}"
        return f"http-get {address} {times_}"
    if held.tcp_socket is not None:
        return f"tcp-socket {held.tcp_socket.host}:{held.tcp_socket.port} {times_}"
    if held.grpc is not None:
        return f"grpc <pod>:{held.grpc.port} {held.grpc.service or ''} {times_}"
    return f"unknown {times_}"


def _environment(container: Container) -> Lines:
    if container.env_from:
        yield "    Environment Variables from:"
        for source in container.env_from:
            ref = source.config_map_ref or source.secret_ref
            kind = "ConfigMap" if source.config_map_ref is not None else "Secret"
            name = ref.name if ref is not None else ""
            prefix = f" with prefix '{source.prefix}'" if source.prefix else ""
            optional = _bool(ref is not None and ref.optional)
            yield f"      {name}\t{kind}{prefix}\tOptional: {optional}"
    yield "    Environment:" if container.env else f"    Environment:\t{NONE}"
    for variable in container.env:
        first, *rest = _value(variable).split("\n")
        yield f"      {variable.name}:\t{first}"
        yield from (f"      \t{line}" for line in rest)


def _value(variable: podspec.EnvVar) -> str:
    source = variable.value_from
    if source is None:
        return variable.value
    if source.field_ref is not None:
        return f" ({source.field_ref.api_version}:{source.field_ref.field_path})"
    if source.resource_field_ref is not None:
        return f" ({source.resource_field_ref.resource})"
    if source.secret_key_ref is not None:
        key = source.secret_key_ref
        text = f"<set to the key '{key.key}' in secret '{key.name}'>"
        return f"{text}\tOptional: {_bool(key.optional)}"
    if source.config_map_key_ref is not None:
        named = source.config_map_key_ref
        text = f"<set to the key '{named.key}' of config map '{named.name}'>"
        return f"{text}\tOptional: {_bool(named.optional)}"
    return ""


def _mounts(container: Container) -> Lines:
    mounts = sorted(container.volume_mounts, key=lambda each: each.mount_path)
    yield "    Mounts:" if mounts else f"    Mounts:\t{NONE}"
    for mount in mounts:
        flags = ["ro" if mount.read_only else "rw"]
        if mount.sub_path:
            flags.append(f"path={json.dumps(mount.sub_path)}")
        yield f"      {mount.mount_path} from {mount.name} ({','.join(flags)})"


_VOLUMES: Final[dict[str, tuple[str, tuple[tuple[str, str, str], ...]]]] = {
    "hostPath": (
        "HostPath (bare host directory volume)",
        (("Path", "path", ""), ("HostPathType", "type", "")),
    ),
    "emptyDir": (
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        (("Medium", "medium", ""), ("SizeLimit", "sizeLimit", "<unset>")),
    ),
    "secret": (
        "Secret (a volume populated by a Secret)",
        (("SecretName", "secretName", ""), ("Optional", "optional", "false")),
    ),
    "configMap": (
        "ConfigMap (a volume populated by a ConfigMap)",
        (("Name", "name", ""), ("Optional", "optional", "false")),
    ),
    "persistentVolumeClaim": (
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same "
        "namespace)",
        (("ClaimName", "claimName", ""), ("ReadOnly", "readOnly", "false")),
    ),
}


def _volume(kind: str, source: Mapping[str, object]) -> Lines:
    """A source that kubectl has no words for is shown as its type alone."""
    words, fields = _VOLUMES.get(kind, (kind, ()))
    yield f"    Type:\t{words}"
    for title, field, absent in fields:
        value = source.get(field, absent)
        shown = _bool(value) if isinstance(value, bool) else value
        yield f"    {title}:\t{shown}"


def _bool(value: bool | None) -> str:
    return "true" if value else "false"


# --- what a container is doing ----------------------------------------------------


def _state_lines(status: ContainerStatus) -> Lines:
    if status.state == "running":
        yield "    State:\tRunning"
        yield from _time("Started", status.started_at)
    elif status.state == "terminated":
        ended = Termination(
            exit_code=status.exit_code,
            reason=status.reason,
            message=status.message,
            signal=status.signal,
            started_at=status.started_at,
            finished_at=status.finished_at,
        )
        yield from _termination("State", ended)
    else:
        yield "    State:\tWaiting"
        if status.reason:
            yield f"      Reason:\t{status.reason}"
    if status.last is not None:
        yield from _termination("Last State", status.last)
    yield f"    Ready:\t{status.ready}"
    yield f"    Restart Count:\t{status.restarts}"


def _termination(title: str, ended: Termination) -> Lines:
    yield f"    {title}:\tTerminated"
    if ended.reason:
        yield f"      Reason:\t{ended.reason}"
    if ended.message:
        yield f"      Message:\t{ended.message}"
    yield f"      Exit Code:\t{ended.exit_code}"
    if ended.signal:
        yield f"      Signal:\t{ended.signal}"
    yield from _time("Started", ended.started_at)
    yield from _time("Finished", ended.finished_at)


def _time(title: str, at: float) -> Lines:
    """A node's time; nothing where it has not said it."""
    if at:
        yield f"      {title}:\t{moment(at)}"


def joined(lines: Iterable[str]) -> str:
    """The lines as one text, each ended."""
    return "".join(f"{line}\n" for line in lines)
