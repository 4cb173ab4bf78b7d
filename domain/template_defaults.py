"""The defaults of a pod template (spec 1.1), and its one canonical way to be written.

1. What Kubernetes' API server fills in for a template is filled in here; what it fills
   in for pods alone is in `domain.objects.default_pod_spec`.
2. What Kubernetes holds to be equal is written the same way: quantities by their
   number, a divisor of 0 like an absent one.
3. What is there stays; so doing it twice changes nothing.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec.structs import replace

from domain import quantities
from domain.metadata import ObjectMeta, ResourceList
from domain.podspec import (
    Container,
    ContainerPort,
    EnvVar,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    Probe,
    ResourceFieldSelector,
    ResourceRequirements,
)
from domain.volumes import (
    DownwardAPIVolumeFile,
    EphemeralVolumeSource,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimTemplate,
    Volume,
    VolumeProjection,
)

C = TypeVar("C", bound=Container)

DEFAULT_GRACE_SECONDS: Final = 30
DEFAULT_FILE_MODE: Final = 0o644
DEFAULT_TOKEN_SECONDS: Final = 3600


def normalise(template: PodTemplateSpec) -> PodTemplateSpec:
    """The template with all defaults, written in the one canonical way (rule 1)."""
    return replace(template, spec=normalise_spec(template.spec))


def normalise_spec(spec: PodSpec) -> PodSpec:
    """The same for the pod specification alone."""
    grace = spec.termination_grace_period_seconds
    own = spec.resources
    account = spec.service_account_name or spec.service_account
    return replace(
        spec,
        volumes=tuple(_volume(each) for each in spec.volumes),
        init_containers=tuple(_container(each) for each in spec.init_containers),
        containers=tuple(_container(each) for each in spec.containers),
        ephemeral_containers=tuple(_container(e) for e in spec.ephemeral_containers),
        restart_policy=spec.restart_policy or "Always",
        termination_grace_period_seconds=(
            DEFAULT_GRACE_SECONDS if grace is None else grace
        ),
        dns_policy=spec.dns_policy or "ClusterFirst",
        service_account_name=account,
        service_account=account,
        security_context=spec.security_context or PodSecurityContext(),
        scheduler_name=spec.scheduler_name or "default-scheduler",
        overhead=canonical_resources(spec.overhead),
        resources=None if own is None else _resources(own),
    )


def _container(container: C) -> C:
    policy = container.image_pull_policy or default_pull_policy(container.image)
    return replace(
        container,
        ports=tuple(_port(each) for each in container.ports),
        env=tuple(_env(each) for each in container.env),
        resources=_resources(container.resources),
        liveness_probe=_probe(container.liveness_probe),
        readiness_probe=_probe(container.readiness_probe),
        startup_probe=_probe(container.startup_probe),
        lifecycle=_lifecycle(container.lifecycle),
        termination_message_path=(
            container.termination_message_path or "/dev/termination-log"
        ),
        termination_message_policy=container.termination_message_policy or "File",
        image_pull_policy=policy,
    )


def default_pull_policy(image: str) -> str:
    """`Always` for the tag `latest` or neither tag nor digest, else `IfNotPresent`.

    The colon of a registry's port is no tag: `localhost:5000/web` has none.
    """
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    untagged = not tag and not digest
    return "Always" if untagged or tag == "latest" else "IfNotPresent"


def _port(port: ContainerPort) -> ContainerPort:
    return port if port.protocol else replace(port, protocol="TCP")


def _env(variable: EnvVar) -> EnvVar:
    source = variable.value_from
    if source is None:
        return variable
    field, resource = source.field_ref, source.resource_field_ref
    if field is not None and not field.api_version:
        field = replace(field, api_version="v1")
    source = replace(source, field_ref=field, resource_field_ref=_divided(resource))
    return replace(variable, value_from=source)


def _divided(selector: ResourceFieldSelector | None) -> ResourceFieldSelector | None:
    """A divisor of 0 means 1 and is what Kubernetes stores for an absent one."""
    if selector is None or not selector.divisor:
        return selector
    divisor = _quantity(selector.divisor)
    return replace(selector, divisor="" if divisor == "0" else divisor)


def _probe(probe: Probe | None) -> Probe | None:
    if probe is None:
        return None
    grpc = probe.grpc
    if grpc is not None and grpc.service is None:
        grpc = replace(grpc, service="")
    return replace(
        probe,
        http_get=_http_get(probe.http_get),
        grpc=grpc,
        timeout_seconds=probe.timeout_seconds or 1,
        period_seconds=probe.period_seconds or 10,
        success_threshold=probe.success_threshold or 1,
        failure_threshold=probe.failure_threshold or 3,
    )


def _http_get(action: HTTPGetAction | None) -> HTTPGetAction | None:
    if action is None:
        return None
    path, scheme = action.path or "/", action.scheme or "HTTP"
    return replace(action, path=path, scheme=scheme)


def _lifecycle(lifecycle: Lifecycle | None) -> Lifecycle | None:
    if lifecycle is None:
        return None
    return replace(
        lifecycle,
        post_start=_handler(lifecycle.post_start),
        pre_stop=_handler(lifecycle.pre_stop),
    )


def _handler(handler: LifecycleHandler | None) -> LifecycleHandler | None:
    if handler is None:
        return None
    return replace(handler, http_get=_http_get(handler.http_get))


def _resources(resources: ResourceRequirements) -> ResourceRequirements:
    return replace(
        resources,
        limits=canonical_resources(resources.limits),
        requests=canonical_resources(resources.requests),
    )


def canonical_resources(amounts: Mapping[str, str]) -> ResourceList:
    """The same amounts, each number written in its one way; what is none stays."""
    return {name: _quantity(text) for name, text in amounts.items()}


def _quantity(text: str) -> str:
    try:
        return quantities.shortest(text)
    except ValueError:
        return text


def _volume(volume: Volume) -> Volume:
    empty, host = volume.empty_dir, volume.host_path
    secret, config = volume.secret, volume.config_map
    downward, projected = volume.downward_api, volume.projected
    if empty is not None and empty.size_limit is not None:
        empty = replace(empty, size_limit=_quantity(empty.size_limit))
    if host is not None and host.type is None:
        host = replace(host, type="")
    if secret is not None:
        secret = replace(secret, default_mode=_mode(secret.default_mode))
    if config is not None:
        config = replace(config, default_mode=_mode(config.default_mode))
    if downward is not None:
        items = tuple(_file(each) for each in downward.items)
        mode = _mode(downward.default_mode)
        downward = replace(downward, items=items, default_mode=mode)
    if projected is not None:
        sources = tuple(_projection(each) for each in projected.sources)
        mode = _mode(projected.default_mode)
        projected = replace(projected, sources=sources, default_mode=mode)
    iscsi, image = volume.iscsi, volume.image
    if iscsi is not None and not iscsi.iscsi_interface:
        iscsi = replace(iscsi, iscsi_interface="default")
    if image is not None and not image.pull_policy:
        image = replace(image, pull_policy=default_pull_policy(image.reference))
    return replace(
        volume,
        empty_dir=empty,
        host_path=host,
        secret=secret,
        config_map=config,
        downward_api=downward,
        projected=projected,
        iscsi=iscsi,
        image=image,
        ephemeral=_ephemeral(volume.ephemeral),
    )


def _mode(mode: int | None) -> int:
    return DEFAULT_FILE_MODE if mode is None else mode


def _file(file: DownwardAPIVolumeFile) -> DownwardAPIVolumeFile:
    field = file.field_ref
    if field is not None and not field.api_version:
        field = replace(field, api_version="v1")
    resource = _divided(file.resource_field_ref)
    return replace(file, field_ref=field, resource_field_ref=resource)


def _projection(source: VolumeProjection) -> VolumeProjection:
    token, downward = source.service_account_token, source.downward_api
    if token is not None and token.expiration_seconds is None:
        token = replace(token, expiration_seconds=DEFAULT_TOKEN_SECONDS)
    if downward is not None:
        items = tuple(_file(each) for each in downward.items)
        downward = replace(downward, items=items)
    return replace(source, service_account_token=token, downward_api=downward)


def _ephemeral(source: EphemeralVolumeSource | None) -> EphemeralVolumeSource | None:
    if source is None or source.volume_claim_template is None:
        return source
    claim = source.volume_claim_template
    spec = claim.spec or PersistentVolumeClaimSpec()
    filled = replace(
        spec,
        volume_mode="Filesystem" if spec.volume_mode is None else spec.volume_mode,
        resources=replace(
            spec.resources,
            limits=canonical_resources(spec.resources.limits),
            requests=canonical_resources(spec.resources.requests),
        ),
    )
    metadata = claim.metadata or ObjectMeta()
    template = PersistentVolumeClaimTemplate(metadata=metadata, spec=filled)
    return replace(source, volume_claim_template=template)
