"""The pod specification (core/v1) as structs; `domain.metadata` has the conventions.

`Container` and its parts live in `domain.containers`, the sources of volumes in
`domain.volumes`, `ObjectMeta` in `domain.metadata`; the names that the outside needs
most can be had from here.
"""

from __future__ import annotations

import msgspec

from domain.containers import (
    AppArmorProfile as AppArmorProfile,
)
from domain.containers import (
    Capabilities as Capabilities,
)
from domain.containers import (
    ConfigMapEnvSource as ConfigMapEnvSource,
)
from domain.containers import (
    ConfigMapKeySelector as ConfigMapKeySelector,
)
from domain.containers import (
    Container as Container,
)
from domain.containers import (
    ContainerPort as ContainerPort,
)
from domain.containers import (
    ContainerResizePolicy as ContainerResizePolicy,
)
from domain.containers import (
    ContainerRestartRule as ContainerRestartRule,
)
from domain.containers import (
    ContainerRestartRuleOnExitCodes as ContainerRestartRuleOnExitCodes,
)
from domain.containers import (
    EnvFromSource as EnvFromSource,
)
from domain.containers import (
    EnvVar as EnvVar,
)
from domain.containers import (
    EnvVarSource as EnvVarSource,
)
from domain.containers import (
    EphemeralContainer as EphemeralContainer,
)
from domain.containers import (
    ExecAction as ExecAction,
)
from domain.containers import (
    FileKeySelector as FileKeySelector,
)
from domain.containers import (
    GRPCAction as GRPCAction,
)
from domain.containers import (
    HTTPGetAction as HTTPGetAction,
)
from domain.containers import (
    HTTPHeader as HTTPHeader,
)
from domain.containers import (
    Lifecycle as Lifecycle,
)
from domain.containers import (
    LifecycleHandler as LifecycleHandler,
)
from domain.containers import (
    ObjectFieldSelector as ObjectFieldSelector,
)
from domain.containers import (
    Probe as Probe,
)
from domain.containers import (
    ResourceClaim as ResourceClaim,
)
from domain.containers import (
    ResourceFieldSelector as ResourceFieldSelector,
)
from domain.containers import (
    ResourceRequirements as ResourceRequirements,
)
from domain.containers import (
    SeccompProfile as SeccompProfile,
)
from domain.containers import (
    SecretEnvSource as SecretEnvSource,
)
from domain.containers import (
    SecretKeySelector as SecretKeySelector,
)
from domain.containers import (
    SecurityContext as SecurityContext,
)
from domain.containers import (
    SELinuxOptions as SELinuxOptions,
)
from domain.containers import (
    SleepAction as SleepAction,
)
from domain.containers import (
    TCPSocketAction as TCPSocketAction,
)
from domain.containers import (
    VolumeDevice as VolumeDevice,
)
from domain.containers import (
    VolumeMount as VolumeMount,
)
from domain.containers import (
    WindowsSecurityContextOptions as WindowsSecurityContextOptions,
)
from domain.labels import LabelSelector
from domain.metadata import (
    Int32,
    Int64,
    ResourceList,
    Value,
)
from domain.metadata import (
    LocalObjectReference as LocalObjectReference,
)
from domain.metadata import (
    ObjectMeta as ObjectMeta,
)
from domain.metadata import (
    OwnerReference as OwnerReference,
)
from domain.volumes import Volume as Volume


class PodSpec(Value, frozen=True, kw_only=True):
    """What a pod runs, where it may run, and how it ends."""

    volumes: tuple[Volume, ...] = ()
    init_containers: tuple[Container, ...] = ()
    containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[EphemeralContainer, ...] = ()
    restart_policy: str = ""
    termination_grace_period_seconds: Int64 | None = None
    active_deadline_seconds: Int64 | None = None
    dns_policy: str = ""
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    service_account_name: str = ""
    service_account: str = ""
    automount_service_account_token: bool | None = None
    node_name: str = ""
    host_network: bool = False
    host_pid: bool = msgspec.field(default=False, name="hostPID")
    host_ipc: bool = msgspec.field(default=False, name="hostIPC")
    share_process_namespace: bool | None = None
    security_context: PodSecurityContext | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    hostname: str = ""
    subdomain: str = ""
    affinity: Affinity | None = None
    scheduler_name: str = ""
    tolerations: tuple[Toleration, ...] = ()
    host_aliases: tuple[HostAlias, ...] = ()
    priority_class_name: str = ""
    priority: Int32 | None = None
    dns_config: PodDNSConfig | None = None
    readiness_gates: tuple[PodReadinessGate, ...] = ()
    runtime_class_name: str | None = None
    enable_service_links: bool | None = None
    preemption_policy: str | None = None
    overhead: ResourceList = msgspec.field(default_factory=dict)
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    set_hostname_as_fqdn: bool | None = msgspec.field(
        default=None, name="setHostnameAsFQDN"
    )
    os: PodOS | None = None
    host_users: bool | None = None
    scheduling_gates: tuple[PodSchedulingGate, ...] = ()
    resource_claims: tuple[PodResourceClaim, ...] = ()
    resources: ResourceRequirements | None = None
    hostname_override: str | None = None
    scheduling_group: PodSchedulingGroup | None = None


class PodTemplateSpec(Value, frozen=True, kw_only=True):
    """What a Deployment wants each of its pods to be: a revision is one of these."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)


class PodSecurityContext(Value, frozen=True, kw_only=True):
    """Users, groups and kernel settings of all containers."""

    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsSecurityContextOptions | None = None
    run_as_user: Int64 | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: tuple[Int64, ...] = ()
    supplemental_groups_policy: str | None = None
    fs_group: Int64 | None = None
    sysctls: tuple[Sysctl, ...] = ()
    fs_group_change_policy: str | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None
    se_linux_change_policy: str | None = None


class Sysctl(Value, frozen=True, kw_only=True):
    """One kernel parameter."""

    name: str = ""
    value: str = ""


class Affinity(Value, frozen=True, kw_only=True):
    """Where the pod wants to be, or not to be."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAntiAffinity | None = None


class NodeAffinity(Value, frozen=True, kw_only=True):
    """Rules about the labels of nodes."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[
        PreferredSchedulingTerm, ...
    ] = ()


class NodeSelector(Value, frozen=True, kw_only=True):
    """A node must satisfy one of the terms."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class NodeSelectorTerm(Value, frozen=True, kw_only=True):
    """All requirements of a term must hold; an empty term matches nothing."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class NodeSelectorRequirement(Value, frozen=True, kw_only=True):
    """One sentence about a node label: In, NotIn, Exists, DoesNotExist, Gt, Lt."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class PreferredSchedulingTerm(Value, frozen=True, kw_only=True):
    """A wish about nodes, worth `weight` points (1 to 100)."""

    weight: Int32 = 0
    preference: NodeSelectorTerm = msgspec.field(default_factory=NodeSelectorTerm)


class PodAffinity(Value, frozen=True, kw_only=True):
    """Near which pods this one wants to be."""

    required_during_scheduling_ignored_during_execution: tuple[
        PodAffinityTerm, ...
    ] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[
        WeightedPodAffinityTerm, ...
    ] = ()


class PodAntiAffinity(Value, frozen=True, kw_only=True):
    """Near which pods this one does not want to be."""

    required_during_scheduling_ignored_during_execution: tuple[
        PodAffinityTerm, ...
    ] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[
        WeightedPodAffinityTerm, ...
    ] = ()


class PodAffinityTerm(Value, frozen=True, kw_only=True):
    """A set of pods, and the node label that says what near means."""

    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    topology_key: str = ""
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class WeightedPodAffinityTerm(Value, frozen=True, kw_only=True):
    """A wish about pods, worth `weight` points (1 to 100)."""

    weight: Int32 = 0
    pod_affinity_term: PodAffinityTerm = msgspec.field(default_factory=PodAffinityTerm)


class Toleration(Value, frozen=True, kw_only=True):
    """A taint that this pod can live with (spec 4.7)."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    toleration_seconds: Int64 | None = None


class Taint(Value, frozen=True, kw_only=True):
    """What a node does not want; a pod needs a toleration to get or stay there."""

    key: str = ""
    value: str = ""
    effect: str = ""
    time_added: str | None = None


class TopologySpreadConstraint(Value, frozen=True, kw_only=True):
    """How evenly pods are spread over the values of a node label."""

    max_skew: Int32 = 0
    topology_key: str = ""
    when_unsatisfiable: str = ""
    label_selector: LabelSelector | None = None
    min_domains: Int32 | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    match_label_keys: tuple[str, ...] = ()


class HostAlias(Value, frozen=True, kw_only=True):
    """One line of the pod's hosts file."""

    ip: str = ""
    hostnames: tuple[str, ...] = ()


class PodDNSConfig(Value, frozen=True, kw_only=True):
    """Name servers and search paths beside those of `dnsPolicy`."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[PodDNSConfigOption, ...] = ()


class PodDNSConfigOption(Value, frozen=True, kw_only=True):
    """One resolver option."""

    name: str = ""
    value: str | None = None


class PodReadinessGate(Value, frozen=True, kw_only=True):
    """A condition that must be True before the pod is ready."""

    condition_type: str = ""


class PodOS(Value, frozen=True, kw_only=True):
    """The operating system that the pod needs."""

    name: str = ""


class PodSchedulingGate(Value, frozen=True, kw_only=True):
    """While a gate is there the pod is not scheduled."""

    name: str = ""


class PodResourceClaim(Value, frozen=True, kw_only=True):
    """A claim for a device, by name or by template."""

    name: str = ""
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodSchedulingGroup(Value, frozen=True, kw_only=True):
    """The group of pods that is scheduled together with this one."""

    pod_group_name: str | None = None
