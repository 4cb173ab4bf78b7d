"""Deployments, ReplicaSets and Pods as people write them, and their defaults.

1. A manifest keeps what was written: `replicas` absent is `None`, 0 is 0 (spec 1.1).
2. `default_*` fills in what Kubernetes' API server fills in, nothing else; doing it
   twice changes nothing.
3. `decode_manifest` is the only way in for untyped data; what it returns may still
   break rules, which `domain.validation` tells.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from domain import decoding, syntax, template
from domain.errors import Rejected
from domain.labels import LabelSelector
from domain.metadata import Int32, IntOrString, ObjectMeta, Value
from domain.plain_manifests import BY_KIND, PlainManifest
from domain.podspec import Container, PodSpec, PodTemplateSpec, Toleration


class RollingUpdate(Value, frozen=True, kw_only=True):
    """How far a rolling update may go over and under the wanted size (spec 2.6)."""

    max_unavailable: IntOrString | None = None
    max_surge: IntOrString | None = None


class DeploymentStrategy(Value, frozen=True, kw_only=True):
    """`RollingUpdate` or `Recreate`."""

    type: str = ""
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Value, frozen=True, kw_only=True):
    """What a Deployment asks for (spec 1.1)."""

    replicas: Int32 | None = None
    selector: LabelSelector | None = None
    template: PodTemplateSpec = msgspec.field(default_factory=PodTemplateSpec)
    strategy: DeploymentStrategy = msgspec.field(default_factory=DeploymentStrategy)
    min_ready_seconds: Int32 = 0
    revision_history_limit: Int32 | None = None
    paused: bool = False
    progress_deadline_seconds: Int32 | None = None


class ReplicaSetSpec(Value, frozen=True, kw_only=True):
    """What a ReplicaSet asks for (spec 1.1)."""

    replicas: Int32 | None = None
    min_ready_seconds: Int32 = 0
    selector: LabelSelector | None = None
    template: PodTemplateSpec = msgspec.field(default_factory=PodTemplateSpec)


class DeploymentManifest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """An apps/v1 Deployment without its status."""

    api_version: str = "apps/v1"
    kind: str = "Deployment"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)


class ReplicaSetManifest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """An apps/v1 ReplicaSet without its status."""

    api_version: str = "apps/v1"
    kind: str = "ReplicaSet"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: ReplicaSetSpec = msgspec.field(default_factory=ReplicaSetSpec)


class PodManifest(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A v1 Pod without its status."""

    api_version: str = "v1"
    kind: str = "Pod"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)


Manifest = DeploymentManifest | ReplicaSetManifest | PodManifest | PlainManifest

KINDS: Final[dict[tuple[str, str], type[Manifest]]] = {
    ("apps/v1", "Deployment"): DeploymentManifest,
    ("apps/v1", "ReplicaSet"): ReplicaSetManifest,
    ("v1", "Pod"): PodManifest,
    **{(struct().api_version, struct().kind): struct for struct in BY_KIND.values()},
}

S = TypeVar("S", bound=Value)
DEFAULT_REPLICAS: Final = 1
DEFAULT_FENCEPOST: Final = "25%"
DEFAULT_REVISION_HISTORY_LIMIT: Final = 10
DEFAULT_PROGRESS_DEADLINE_SECONDS: Final = 600
DEFAULT_TOLERATION_SECONDS: Final = 300
DEFAULT_TOLERATED: Final = (
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
)


def decode_manifest(
    raw: Mapping[str, object], *, duplicates: Sequence[str] = ()
) -> Manifest:
    """`raw` (parsed JSON or YAML) as a manifest; `status` is accepted and dropped.

    `duplicates` are paths of keys that were written twice, which only the parser can
    know. Raises `Rejected("BadRequest")` with Kubernetes' words that name every unknown
    and every duplicate field, or every value of a wrong type.
    """
    version, kind = raw.get("apiVersion"), raw.get("kind")
    for field, value in (("apiVersion", version), ("Kind", kind)):
        if not isinstance(value, str) or not value:
            raise Rejected(
                "BadRequest",
                f"Object '{field}' is missing: every object needs apiVersion and kind, "
                "for example apiVersion: apps/v1, kind: Deployment",
            )
    struct = KINDS.get((str(version), str(kind)))
    if struct is None:
        raise Rejected(
            "BadRequest", f'no matches for kind "{kind}" in version "{version}"'
        )
    return decode_as(raw, struct, duplicates=duplicates)


def decode_as(
    raw: Mapping[str, object], struct: type[S], *, duplicates: Sequence[str] = ()
) -> S:
    """`raw` as a manifest of that kind; see `decode_manifest`."""
    version, kind = raw.get("apiVersion"), raw.get("kind")
    body = {key: value for key, value in raw.items() if key != "status"}
    manifest, findings = decoding.convert(body, struct)
    texts = list(findings.wrong)
    if not texts:
        strict = [f'unknown field "{path}"' for path in findings.unknown]
        strict += [f'duplicate field "{path}"' for path in duplicates]
        texts = [f"strict decoding error: {', '.join(strict)}"] if strict else []
    if texts or manifest is None:
        short = str(version).rpartition("/")[2]
        raise Rejected(
            "BadRequest",
            f'{kind} in version "{short}" cannot be handled as a {kind}: '
            f"{', '.join(texts)}",
        )
    return manifest


def default_deployment(manifest: DeploymentManifest) -> DeploymentManifest:
    """The manifest with every default of spec 1.1 and a normalised template.

    Afterwards `replicas`, `revision_history_limit`, `progress_deadline_seconds` and the
    strategy's type are set; the template of two equal Deployments is `==`.
    """
    spec = manifest.spec
    return replace(
        manifest,
        spec=replace(
            spec,
            replicas=_or(spec.replicas, DEFAULT_REPLICAS),
            revision_history_limit=_or(
                spec.revision_history_limit, DEFAULT_REVISION_HISTORY_LIMIT
            ),
            progress_deadline_seconds=_or(
                spec.progress_deadline_seconds, DEFAULT_PROGRESS_DEADLINE_SECONDS
            ),
            strategy=_default_strategy(spec.strategy),
            template=template.normalise(spec.template),
        ),
    )


def default_replicaset(manifest: ReplicaSetManifest) -> ReplicaSetManifest:
    """The manifest with its size set and a normalised template (spec 1.1)."""
    spec = manifest.spec
    filled = replace(
        spec,
        replicas=_or(spec.replicas, DEFAULT_REPLICAS),
        template=template.normalise(spec.template),
    )
    return replace(manifest, spec=filled)


def default_pod(manifest: PodManifest) -> PodManifest:
    """The manifest with the specification that a node would be given."""
    return replace(manifest, spec=default_pod_spec(manifest.spec))


def default_pod_spec(spec: PodSpec) -> PodSpec:
    """`spec` normalised, with what is filled in for pods and never for templates.

    Requests are taken from limits, service links are on, ports are opened on the node
    when the pod uses its network, and a pod stays 300 seconds on a node that is not
    ready or unreachable, unless it says otherwise (spec 1.1, 4.7).
    """
    spec = template.normalise_spec(spec)
    host = spec.host_network
    links = spec.enable_service_links
    return replace(
        spec,
        containers=tuple(_pod_container(each, host) for each in spec.containers),
        init_containers=tuple(_pod_container(e, host) for e in spec.init_containers),
        enable_service_links=True if links is None else links,
        tolerations=spec.tolerations + _missing_tolerations(spec.tolerations),
    )


def int_or_percent(value: int | str, total: int, *, round_up: bool) -> int:
    """`value` itself, or its percentage of `total` rounded as told (spec 2.6).

    Raises ValueError when a text is not a percentage.
    """
    if isinstance(value, int):
        return value
    if not syntax.is_percentage(value):
        raise ValueError(f'"{value}" is neither a number nor a percentage like 25%')
    hundredths = int(value[:-1]) * total
    return -(-hundredths // 100) if round_up else hundredths // 100


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _default_strategy(strategy: DeploymentStrategy) -> DeploymentStrategy:
    kind = strategy.type or "RollingUpdate"
    rolling = strategy.rolling_update
    if kind == "RollingUpdate":
        given = rolling or RollingUpdate()
        unavailable, surge = given.max_unavailable, given.max_surge
        rolling = RollingUpdate(
            max_unavailable=DEFAULT_FENCEPOST if unavailable is None else unavailable,
            max_surge=DEFAULT_FENCEPOST if surge is None else surge,
        )
    return DeploymentStrategy(type=kind, rolling_update=rolling)


def _pod_container(container: Container, host_network: bool) -> Container:
    resources = container.resources
    if resources.limits:
        requests = {**resources.limits, **resources.requests}
        resources = replace(resources, requests=requests)
    ports = container.ports
    if host_network:
        ports = tuple(
            replace(port, host_port=port.host_port or port.container_port)
            for port in ports
        )
    return replace(container, resources=resources, ports=ports)


def _missing_tolerations(present: tuple[Toleration, ...]) -> tuple[Toleration, ...]:
    return tuple(
        Toleration(
            key=key,
            operator="Exists",
            effect="NoExecute",
            toleration_seconds=DEFAULT_TOLERATION_SECONDS,
        )
        for key in DEFAULT_TOLERATED
        if not any(
            each.key in (key, "") and each.effect in ("NoExecute", "")
            for each in present
        )
    )
