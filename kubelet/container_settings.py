"""From a pod's specification to what an engine is asked to make. Pure.

1. An infra container holds the pod's network; the pod's containers join it. What the
   pod as a whole wants (ports of the host, hosts, name servers, sysctls) is its.
2. What gives a container power over the machine is refused unless the node allows it
   (`Rules.allow_privileged`): privileged, the host's processes or its IPC, an unmasked
   /proc, no seccomp, and capabilities beyond the `baseline` of the Pod Security
   Standards. The host's network is allowed, as its ports are.
3. Limits that the engine cannot set on this machine are left out (`Traits`); the node
   says in its labels which ones it can set.
4. The engine never restarts anything: restarts are the lifecycle's, they are events.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from domain import podspec, quantities
from kubelet import environment, runtime

CPU_PERIOD: Final = 100_000
CPU_QUOTA_MIN: Final = 1_000
CPU_SHARES_MIN: Final = 2
LOG_LIMITS: Final = {"max-size": "10m", "max-file": "2"}
TERMINATION_LOG: Final = "/dev/termination-log"
BASELINE_CAPABILITIES: Final = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
Body = dict[str, object]


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine can do on this machine."""

    podman: bool = False
    memory: bool = True
    swap: bool = True
    cpu: bool = True
    pids: bool = True


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the node allows. `host_paths` are the folders that `hostPath` may name, with
    all that is below; `pids_limit` counts for each container, 0 is none; `network` is
    the engine's network that pods are in."""

    allow_privileged: bool = False
    host_paths: tuple[str, ...] = ()
    pids_limit: int = 4096
    network: str = "bridge"


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A path of the machine as it appears in a container."""

    source: str
    target: str
    read_only: bool = False


def infra(
    sandbox: runtime.Sandbox,
    *,
    image: str,
    labels: Mapping[str, str],
    rules: Rules,
) -> Body:
    """The infra container of a pod. Raises `ConfigError` for what is not allowed."""
    spec = sandbox.spec
    pod = spec.security_context
    if not rules.allow_privileged:
        for wanted, name in ((spec.host_pid, "hostPID"), (spec.host_ipc, "hostIPC")):
            if wanted:
                raise _refused(f"pod {sandbox.name} wants {name}")
    host: Body = {
        "NetworkMode": "host" if spec.host_network else rules.network,
        "IpcMode": "host" if spec.host_ipc else "shareable",
        "RestartPolicy": {"Name": "no"},
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ExtraHosts": [
            f"{name}:{alias.ip}"
            for alias in spec.host_aliases
            for name in alias.hostnames
        ],
        "LogConfig": {"Type": "json-file", "Config": LOG_LIMITS},
    }
    if pod is not None and pod.sysctls:
        host["Sysctls"] = {each.name: each.value for each in pod.sysctls}
    if spec.dns_config is not None:
        dns = spec.dns_config
        host["Dns"] = list(dns.nameservers)
        host["DnsSearch"] = list(dns.searches)
        host["DnsOptions"] = [
            f"{option.name}:{option.value}" if option.value else option.name
            for option in dns.options
        ]
    body: Body = {"Image": image, "Labels": dict(labels), "HostConfig": host}
    if not spec.host_network:
        body["Hostname"] = hostname(sandbox)
        exposed, bound = _ports(spec)
        body["ExposedPorts"], host["PortBindings"] = exposed, bound
    return body


def container(
    sandbox: runtime.Sandbox,
    spec: podspec.Container,
    *,
    image: str,
    infra_id: str,
    env: Mapping[str, str],
    mounts: tuple[Mount, ...],
    labels: Mapping[str, str],
    rules: Rules,
    traits: Traits,
) -> Body:
    """One container of a pod. Raises `ConfigError` for what is not allowed."""
    pod = sandbox.spec
    joined = f"container:{infra_id}"
    host: Body = {
        "NetworkMode": "host" if pod.host_network else joined,
        "IpcMode": "host" if pod.host_ipc else joined,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": LOG_LIMITS},
        "Mounts": [
            {
                "Type": "bind",
                "Source": mount.source,
                "Target": mount.target,
                "ReadOnly": mount.read_only,
            }
            for mount in mounts
        ],
        **_limits(spec, rules, traits),
        **_confinement(sandbox, spec, rules),
    }
    if pod.host_pid or pod.share_process_namespace:
        host["PidMode"] = "host" if pod.host_pid else joined
    body: Body = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Labels": dict(labels),
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin and spec.stdin_once,
        "User": user(sandbox, spec),
        "HostConfig": host,
    }
    if spec.command:
        body["Entrypoint"] = [environment.expand(word, env) for word in spec.command]
    if spec.args:
        body["Cmd"] = [environment.expand(word, env) for word in spec.args]
    if spec.working_dir:
        body["WorkingDir"] = spec.working_dir
    if traits.podman and not pod.host_network:
        # Docker takes the name of the container whose network is joined, and wants no
        # other; Podman wants to be told.
        body["Hostname"] = hostname(sandbox)
    return body


def user(sandbox: runtime.Sandbox, spec: podspec.Container) -> str:
    """`uid:gid`, `uid`, or empty for the image's own user."""
    own, pod = _contexts(sandbox, spec)
    number = pod.run_as_user if own.run_as_user is None else own.run_as_user
    group = pod.run_as_group if own.run_as_group is None else own.run_as_group
    if number is None:
        if group is not None:
            raise environment.ConfigError("runAsGroup is specified without a runAsUser")
        return ""
    return str(number) if group is None else f"{number}:{group}"


def must_not_be_root(sandbox: runtime.Sandbox, spec: podspec.Container) -> bool:
    """Whether `runAsNonRoot` holds for this container."""
    own, pod = _contexts(sandbox, spec)
    return bool(
        pod.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root
    )


def check_non_root(
    sandbox: runtime.Sandbox, spec: podspec.Container, image_user: str
) -> None:
    """Raises `ConfigError` if the container would run as root and must not."""
    if not must_not_be_root(sandbox, spec):
        return
    said = user(sandbox, spec)
    name = (said or image_user).partition(":")[0]
    if name in ("", "0", "root"):
        whose = "the pod's runAsUser" if said else "image"
        raise environment.ConfigError(
            f"container has runAsNonRoot and {whose} will run as root"
        )
    if not name.isdecimal():
        raise environment.ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            "cannot verify user is non-root"
        )


def hostname(sandbox: runtime.Sandbox) -> str:
    """The pod's own name for itself, at most 63 characters."""
    return (sandbox.spec.hostname or sandbox.name)[:63].rstrip("-.")


def _limits(spec: podspec.Container, rules: Rules, traits: Traits) -> Body:
    limits, requests = spec.resources.limits, spec.resources.requests
    found: Body = {}
    if "memory" in limits and traits.memory:
        memory = quantities.whole(limits["memory"])
        found["Memory"] = memory
        if traits.swap:
            found["MemorySwap"] = memory  # both together: no swap beyond it
    cpu = limits.get("cpu")
    if cpu is not None and traits.cpu:
        quota = quantities.cpu_milli(cpu) * CPU_PERIOD // 1000
        found["CpuPeriod"] = CPU_PERIOD
        found["CpuQuota"] = max(quota, CPU_QUOTA_MIN)
    shares = requests.get("cpu", cpu)
    if traits.cpu:
        milli = 0 if shares is None else quantities.cpu_milli(shares)
        found["CpuShares"] = max(milli * 1024 // 1000, CPU_SHARES_MIN)
    if rules.pids_limit and traits.pids:
        found["PidsLimit"] = rules.pids_limit
    return found


def _confinement(
    sandbox: runtime.Sandbox, spec: podspec.Container, rules: Rules
) -> Body:
    context, pod = _contexts(sandbox, spec)
    capabilities = context.capabilities or podspec.Capabilities()
    add = [name.upper().removeprefix("CAP_") for name in capabilities.add]
    drop = [name.upper().removeprefix("CAP_") for name in capabilities.drop]
    profile = context.seccomp_profile or pod.seccomp_profile
    unconfined = profile is not None and profile.type == "Unconfined"
    if not rules.allow_privileged:
        beyond = sorted(set(add) - BASELINE_CAPABILITIES)
        for wanted, name in (
            (context.privileged, "privileged"),
            (context.proc_mount == "Unmasked", "procMount Unmasked"),
            (unconfined, "seccompProfile Unconfined"),
            (bool(beyond), f"the capabilities {', '.join(beyond)}"),
        ):
            if wanted:
                raise _refused(f"container {spec.name} wants {name}")
    if profile is not None and profile.type == "Localhost":
        raise environment.ConfigError("seccompProfile Localhost is not supported")
    options = ["seccomp=unconfined"] if unconfined else []
    if context.allow_privilege_escalation is False:
        options.append("no-new-privileges")
    groups = list(pod.supplemental_groups)
    if pod.fs_group is not None:
        groups.append(pod.fs_group)
    return {
        "Privileged": bool(context.privileged),
        "CapAdd": add,
        "CapDrop": drop,
        "ReadonlyRootfs": bool(context.read_only_root_filesystem),
        "SecurityOpt": options,
        "GroupAdd": [str(group) for group in groups],
    }


def _ports(
    spec: podspec.PodSpec,
) -> tuple[dict[str, dict[str, str]], dict[str, list[dict[str, str]]]]:
    """What is exposed, and where the host publishes it."""
    exposed: dict[str, dict[str, str]] = {}
    bound: dict[str, list[dict[str, str]]] = {}
    for each in (*spec.init_containers, *spec.containers):
        for port in each.ports:
            if not port.host_port:
                continue
            name = f"{port.container_port}/{(port.protocol or 'TCP').lower()}"
            exposed[name] = {}
            bound.setdefault(name, []).append(
                {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
            )
    return exposed, bound


def _refused(what: str) -> environment.ConfigError:
    return environment.ConfigError(
        f"{what}: this node does not allow it (its kubelet has to be started with "
        "--allow-privileged)"
    )


def _contexts(
    sandbox: runtime.Sandbox, spec: podspec.Container
) -> tuple[podspec.SecurityContext, podspec.PodSecurityContext]:
    return (
        spec.security_context or podspec.SecurityContext(),
        sandbox.spec.security_context or podspec.PodSecurityContext(),
    )
