"""Containers of a pod (core/v1), as structs; `domain.metadata` has the conventions."""

from __future__ import annotations

import msgspec

from domain.metadata import Int32, Int64, IntOrString, Quantity, ResourceList, Value


class ResourceClaim(Value, frozen=True, kw_only=True):
    """A claim of the pod that this container uses."""

    name: str = ""
    request: str = ""


class ResourceRequirements(Value, frozen=True, kw_only=True):
    """What the scheduler reserves and what the container may not exceed."""

    limits: ResourceList = msgspec.field(default_factory=dict)
    requests: ResourceList = msgspec.field(default_factory=dict)
    claims: tuple[ResourceClaim, ...] = ()


class Container(Value, frozen=True, kw_only=True):
    """One process with its image, environment, probes and limits."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    env: tuple[EnvVar, ...] = ()
    resources: ResourceRequirements = msgspec.field(
        default_factory=ResourceRequirements
    )
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    restart_policy: str | None = None
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    volume_devices: tuple[VolumeDevice, ...] = ()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = ""
    termination_message_policy: str = ""
    image_pull_policy: str = ""
    security_context: SecurityContext | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False


class EphemeralContainer(Container, frozen=True, kw_only=True):
    """A debugging container that is added to a running pod."""

    target_container_name: str = ""


class ContainerPort(Value, frozen=True, kw_only=True):
    """A port that the container listens on."""

    name: str = ""
    host_port: Int32 = 0
    container_port: Int32 = 0
    protocol: str = ""
    host_ip: str = msgspec.field(default="", name="hostIP")


class EnvFromSource(Value, frozen=True, kw_only=True):
    """All keys of a ConfigMap or Secret as variables."""

    prefix: str = ""
    config_map_ref: ConfigMapEnvSource | None = None
    secret_ref: SecretEnvSource | None = None


class ConfigMapEnvSource(Value, frozen=True, kw_only=True):
    """Which ConfigMap."""

    name: str = ""
    optional: bool | None = None


class SecretEnvSource(Value, frozen=True, kw_only=True):
    """Which Secret."""

    name: str = ""
    optional: bool | None = None


class EnvVar(Value, frozen=True, kw_only=True):
    """One variable: a value, or where the value comes from."""

    name: str = ""
    value: str = ""
    value_from: EnvVarSource | None = None


class EnvVarSource(Value, frozen=True, kw_only=True):
    """Exactly one of these is set."""

    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: ConfigMapKeySelector | None = None
    secret_key_ref: SecretKeySelector | None = None
    file_key_ref: FileKeySelector | None = None


class ConfigMapKeySelector(Value, frozen=True, kw_only=True):
    """One key of a ConfigMap."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class SecretKeySelector(Value, frozen=True, kw_only=True):
    """One key of a Secret."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class FileKeySelector(Value, frozen=True, kw_only=True):
    """One key of an environment file in a volume."""

    volume_name: str = ""
    path: str = ""
    key: str = ""
    optional: bool | None = None


class ContainerResizePolicy(Value, frozen=True, kw_only=True):
    """Whether a resize of this resource restarts the container."""

    resource_name: str = ""
    restart_policy: str = ""


class ContainerRestartRule(Value, frozen=True, kw_only=True):
    """What happens after certain exit codes."""

    action: str = ""
    exit_codes: ContainerRestartRuleOnExitCodes | None = None


class ContainerRestartRuleOnExitCodes(Value, frozen=True, kw_only=True):
    """In or NotIn a set of exit codes."""

    operator: str = ""
    values: tuple[Int32, ...] = ()


class VolumeMount(Value, frozen=True, kw_only=True):
    """Where a volume of the pod appears in the container."""

    name: str = ""
    read_only: bool = False
    recursive_read_only: str | None = None
    mount_path: str = ""
    sub_path: str = ""
    mount_propagation: str | None = None
    sub_path_expr: str = ""


class VolumeDevice(Value, frozen=True, kw_only=True):
    """Where a block device of the pod appears in the container."""

    name: str = ""
    device_path: str = ""


class Probe(Value, frozen=True, kw_only=True):
    """One question to a container, how often, and how many answers count."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: Int32 = 0
    timeout_seconds: Int32 = 0
    period_seconds: Int32 = 0
    success_threshold: Int32 = 0
    failure_threshold: Int32 = 0
    termination_grace_period_seconds: Int64 | None = None


class ExecAction(Value, frozen=True, kw_only=True):
    """Run a command in the container; exit code 0 is success."""

    command: tuple[str, ...] = ()


class HTTPGetAction(Value, frozen=True, kw_only=True):
    """Ask over HTTP; 200 to 399 is success."""

    path: str = ""
    port: IntOrString = 0
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


class HTTPHeader(Value, frozen=True, kw_only=True):
    """One header of the request."""

    name: str = ""
    value: str = ""


class TCPSocketAction(Value, frozen=True, kw_only=True):
    """Open a connection; that it opens is success."""

    port: IntOrString = 0
    host: str = ""


class GRPCAction(Value, frozen=True, kw_only=True):
    """Ask the gRPC health service."""

    port: Int32 = 0
    service: str | None = None


class Lifecycle(Value, frozen=True, kw_only=True):
    """What runs after the start and before the stop of a container."""

    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str | None = None


class LifecycleHandler(Value, frozen=True, kw_only=True):
    """Exactly one of these is set."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class SleepAction(Value, frozen=True, kw_only=True):
    """Wait."""

    seconds: Int64 = 0


class SecurityContext(Value, frozen=True, kw_only=True):
    """Users, capabilities and confinement of one container."""

    capabilities: Capabilities | None = None
    privileged: bool | None = None
    se_linux_options: SELinuxOptions | None = None
    windows_options: WindowsSecurityContextOptions | None = None
    run_as_user: Int64 | None = None
    run_as_group: Int64 | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    proc_mount: str | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None


class Capabilities(Value, frozen=True, kw_only=True):
    """Capabilities added to and taken from the runtime's default."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SELinuxOptions(Value, frozen=True, kw_only=True):
    """The SELinux label."""

    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class WindowsSecurityContextOptions(Value, frozen=True, kw_only=True):
    """Users and credentials on Windows."""

    gmsa_credential_spec_name: str | None = None
    gmsa_credential_spec: str | None = None
    run_as_user_name: str | None = None
    host_process: bool | None = None


class SeccompProfile(Value, frozen=True, kw_only=True):
    """Which system calls are allowed."""

    type: str = ""
    localhost_profile: str | None = None


class AppArmorProfile(Value, frozen=True, kw_only=True):
    """Which AppArmor profile confines the container."""

    type: str = ""
    localhost_profile: str | None = None


class ObjectFieldSelector(Value, frozen=True, kw_only=True):
    """A field of the pod, such as `metadata.name`."""

    api_version: str = ""
    field_path: str = ""


class ResourceFieldSelector(Value, frozen=True, kw_only=True):
    """A limit or request of a container, divided by `divisor`."""

    container_name: str = ""
    resource: str = ""
    divisor: Quantity = ""
