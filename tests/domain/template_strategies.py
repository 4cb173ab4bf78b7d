"""Pod templates drawn by Hypothesis, and other ways to write the same template."""

from hypothesis import strategies as st
from msgspec.structs import replace

from domain import containers, podspec, quantities, volumes
from domain.metadata import ObjectMeta

words = st.sampled_from(["a", "b", "web", "db"])
amounts = st.sampled_from(
    ["0", "100m", "0.1", "1", "1000m", "1024", "1Ki", "0.5Gi", "512Mi", "1e3", "128M"]
)
resource_lists = st.dictionaries(
    st.sampled_from(["cpu", "memory", "example.com/gpu"]), amounts, max_size=3
)
resources = st.builds(
    containers.ResourceRequirements, limits=resource_lists, requests=resource_lists
)
ports = st.builds(
    containers.ContainerPort,
    container_port=st.integers(1, 65535),
    protocol=st.sampled_from(["", "TCP", "UDP"]),
)
field_refs = st.builds(
    containers.ObjectFieldSelector,
    api_version=st.sampled_from(["", "v1"]),
    field_path=st.just("metadata.name"),
)
divided = st.builds(
    containers.ResourceFieldSelector,
    resource=st.just("limits.cpu"),
    divisor=st.sampled_from(["", "0", "0m", "1", "1000m", "1Mi"]),
)
variables = st.builds(
    containers.EnvVar,
    name=words,
    value_from=st.none()
    | st.builds(
        containers.EnvVarSource,
        field_ref=st.none() | field_refs,
        resource_field_ref=st.none() | divided,
    ),
)
http = st.builds(
    containers.HTTPGetAction,
    path=st.sampled_from(["", "/", "/ready"]),
    port=st.integers(1, 9) | words,
    scheme=st.sampled_from(["", "HTTP", "HTTPS"]),
)
probes = st.builds(
    containers.Probe,
    http_get=st.none() | http,
    grpc=st.none() | st.builds(containers.GRPCAction, port=st.integers(1, 9)),
    timeout_seconds=st.integers(0, 2),
    period_seconds=st.integers(0, 10),
    failure_threshold=st.integers(0, 3),
)
lifecycles = st.builds(
    containers.Lifecycle,
    pre_stop=st.none() | st.builds(containers.LifecycleHandler, http_get=http),
)
some_containers = st.builds(
    containers.Container,
    name=words,
    image=st.sampled_from(
        ["nginx", "nginx:latest", "nginx:1", "r:5000/x", "x@sha256:a"]
    ),
    image_pull_policy=st.sampled_from(["", "Always", "Never"]),
    ports=st.lists(ports, max_size=2).map(tuple),
    env=st.lists(variables, max_size=2).map(tuple),
    resources=resources,
    liveness_probe=st.none() | probes,
    lifecycle=st.none() | lifecycles,
    restart_policy=st.none() | st.just("Always"),
)
token_sources = st.builds(
    volumes.VolumeProjection,
    service_account_token=st.none()
    | st.builds(volumes.ServiceAccountTokenProjection, path=words),
)
some_volumes = st.one_of(
    st.builds(
        volumes.Volume,
        name=words,
        empty_dir=st.builds(
            volumes.EmptyDirVolumeSource, size_limit=st.none() | amounts
        ),
    ),
    st.builds(
        volumes.Volume,
        name=words,
        secret=st.builds(
            volumes.SecretVolumeSource, default_mode=st.none() | st.just(0o400)
        ),
        host_path=st.none() | st.builds(volumes.HostPathVolumeSource, path=words),
    ),
    st.builds(
        volumes.Volume,
        name=words,
        projected=st.builds(
            volumes.ProjectedVolumeSource,
            sources=st.lists(token_sources, max_size=1).map(tuple),
        ),
        ephemeral=st.none()
        | st.builds(
            volumes.EphemeralVolumeSource,
            volume_claim_template=st.builds(
                volumes.PersistentVolumeClaimTemplate,
                spec=st.builds(
                    volumes.PersistentVolumeClaimSpec,
                    resources=st.builds(
                        volumes.VolumeResourceRequirements, requests=resource_lists
                    ),
                ),
            ),
        ),
    ),
)
pod_specs = st.builds(
    podspec.PodSpec,
    containers=st.lists(some_containers, min_size=1, max_size=2).map(tuple),
    init_containers=st.lists(some_containers, max_size=2).map(tuple),
    volumes=st.lists(some_volumes, max_size=2).map(tuple),
    overhead=resource_lists,
    resources=st.none() | resources,
    termination_grace_period_seconds=st.sampled_from([None, 0, 5, 30]),
    dns_policy=st.sampled_from(["", "ClusterFirst", "Default"]),
    service_account=st.sampled_from(["", "robot"]),
    security_context=st.none() | st.just(podspec.PodSecurityContext()),
    host_network=st.booleans(),
    tolerations=st.lists(
        st.builds(
            podspec.Toleration,
            key=st.sampled_from(["", "node.kubernetes.io/not-ready", "own"]),
            effect=st.sampled_from(["", "NoExecute", "NoSchedule"]),
        ),
        max_size=2,
    ).map(tuple),
)
templates = st.builds(
    podspec.PodTemplateSpec,
    metadata=st.builds(
        ObjectMeta,
        labels=st.dictionaries(words, words, max_size=3),
        annotations=st.dictionaries(words, words, max_size=2),
    ),
    spec=pod_specs,
)


def respelt(template: podspec.PodTemplateSpec) -> podspec.PodTemplateSpec:
    """The same template, written differently: map order and units of quantities."""
    metadata = replace(
        template.metadata, labels=dict(reversed(template.metadata.labels.items()))
    )
    spec = replace(
        template.spec,
        containers=tuple(_respelt(each) for each in template.spec.containers),
    )
    return replace(template, metadata=metadata, spec=spec)


def _respelt(container: podspec.Container) -> podspec.Container:
    limits = {
        name: f"{quantities.parse(text):f}"
        for name, text in reversed(container.resources.limits.items())
    }
    return replace(container, resources=replace(container.resources, limits=limits))
