"""What an engine is asked to make of a pod's specification."""

import shutil
from pathlib import Path

import pytest

from domain import podspec
from kubelet import container_sandboxes, container_settings, environment
from kubelet.container_settings import Rules, Traits
from tests.kubelet.builders import container, sandbox, template

POWERS = [
    podspec.SecurityContext(privileged=True),
    podspec.SecurityContext(proc_mount="Unmasked"),
    podspec.SecurityContext(seccomp_profile=podspec.SeccompProfile(type="Unconfined")),
    podspec.SecurityContext(capabilities=podspec.Capabilities(add=("NET_ADMIN",))),
    podspec.SecurityContext(capabilities=podspec.Capabilities(add=("cap_sys_admin",))),
]


def made(
    spec: podspec.Container,
    rules: Rules | None = None,
    traits: Traits | None = None,
    **pod: object,
) -> dict[str, object]:
    """The body for the container `spec` of a pod."""
    return container_settings.container(
        sandbox("u1", template(spec, **pod)),
        spec,
        image="sha256:1",
        infra_id="abc",
        env={"A": "1"},
        mounts=(),
        labels={},
        rules=rules or Rules(),
        traits=traits or Traits(),
    )


def host(body: dict[str, object]) -> dict[str, object]:
    """The part of the body about the machine."""
    found = body["HostConfig"]
    assert isinstance(found, dict)
    return found


def infra(rules: Rules, **pod: object) -> dict[str, object]:
    """The body for the infra container."""
    box = sandbox("u1", template(**pod))
    return container_settings.infra(box, image="i", labels={}, rules=rules)


@pytest.mark.parametrize(
    ("limits", "requests", "expected"),
    [
        ({}, {}, {"CpuShares": 2}),
        ({"memory": "64Mi"}, {}, {"Memory": 2**26, "MemorySwap": 2**26}),
        ({"cpu": "500m"}, {}, {"CpuQuota": 50_000, "CpuShares": 512}),
        ({"cpu": "2"}, {"cpu": "250m"}, {"CpuQuota": 200_000, "CpuShares": 256}),
        ({"cpu": "1m"}, {}, {"CpuQuota": 1_000, "CpuShares": 2}),
    ],
)
def test_resources(
    limits: dict[str, str], requests: dict[str, str], expected: dict[str, int]
) -> None:
    """Limits are hard ones, CPU requests are shares, and each has a smallest value."""
    resources = podspec.ResourceRequirements(limits=limits, requests=requests)
    found = host(made(container(resources=resources)))
    names = ("Memory", "MemorySwap", "CpuQuota", "CpuShares")
    assert {name: found[name] for name in names if name in found} == {
        **({"CpuShares": 2} if "cpu" not in limits else {}),
        **expected,
    }
    assert found["PidsLimit"] == Rules().pids_limit


def test_limits_that_the_engine_cannot_set_are_left_out() -> None:
    """Better without them than not at all; the node's labels say so."""
    limits = {"memory": "64Mi", "cpu": "1"}
    spec = container(resources=podspec.ResourceRequirements(limits=limits))
    traits = Traits(memory=False, swap=False, cpu=False, pids=False)
    found = host(made(spec, traits=traits))
    assert not found.keys() & {"Memory", "MemorySwap", "CpuQuota", "PidsLimit"}


@pytest.mark.parametrize("context", POWERS)
def test_power_over_the_machine_is_refused(context: podspec.SecurityContext) -> None:
    """Unless the node allows it; then it is asked for."""
    spec = container(security_context=context)
    with pytest.raises(environment.ConfigError, match="does not allow it"):
        made(spec)
    assert made(spec, Rules(allow_privileged=True))


@pytest.mark.parametrize("field", ["host_pid", "host_ipc"])
def test_the_hosts_processes_and_memory_are_refused(field: str) -> None:
    """Of the whole pod, so the pod is not even set up."""
    with pytest.raises(environment.ConfigError, match="does not allow it"):
        infra(Rules(), **{field: True})
    assert infra(Rules(allow_privileged=True), **{field: True})


def test_what_is_harmless_is_asked_for() -> None:
    """Capabilities of the baseline, no new privileges, a read-only root."""
    context = podspec.SecurityContext(
        capabilities=podspec.Capabilities(add=("CAP_CHOWN",), drop=("ALL",)),
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
    )
    found = host(made(container(security_context=context)))
    assert found["CapAdd"] == ["CHOWN"]
    assert found["CapDrop"] == ["ALL"]
    assert found["SecurityOpt"] == ["no-new-privileges"]
    assert found["ReadonlyRootfs"] is True
    assert found["Privileged"] is False


@pytest.mark.parametrize(
    ("own", "pod", "expected"),
    [
        (None, (None, None), ""),
        (1, (None, None), "1"),
        (None, (1, 2), "1:2"),
        (0, (1, 2), "0:2"),
    ],
)
def test_the_user(
    own: int | None, pod: tuple[int | None, int | None], expected: str
) -> None:
    """The container's own word comes before the pod's, also if it is 0."""
    spec = container(security_context=podspec.SecurityContext(run_as_user=own))
    whole = podspec.PodSecurityContext(run_as_user=pod[0], run_as_group=pod[1])
    body = made(spec, security_context=whole)
    assert body["User"] == expected


@pytest.mark.parametrize(
    ("number", "image", "complaint"),
    [
        (None, "", "image will run as root"),
        (None, "0:0", "image will run as root"),
        (None, "nginx", "non-numeric user"),
        (0, "1000", "runAsUser will run as root"),
        (None, "1000:0", ""),
        (5, "", ""),
    ],
)
def test_run_as_non_root(number: int | None, image: str, complaint: str) -> None:
    """What cannot be shown not to be root is refused."""
    context = podspec.SecurityContext(run_as_non_root=True, run_as_user=number)
    spec = container(security_context=context)
    box = sandbox("u1", template(spec))
    if not complaint:
        container_settings.check_non_root(box, spec, image)
        return
    with pytest.raises(environment.ConfigError, match=complaint):
        container_settings.check_non_root(box, spec, image)


def test_containers_join_the_infra_container() -> None:
    """Network and IPC; processes if the pod says so; restarts are nobody's but ours."""
    found = host(made(container()))
    assert found["NetworkMode"] == found["IpcMode"] == "container:abc"
    assert "PidMode" not in found
    assert found["RestartPolicy"] == {"Name": "no"}
    shared = host(made(container(), share_process_namespace=True))
    assert shared["PidMode"] == "container:abc"


def test_what_the_whole_pod_wants_is_the_infra_containers() -> None:
    """Published ports, names of hosts, name servers, sysctls."""
    port = podspec.ContainerPort(container_port=80, host_port=8080, host_ip="127.0.0.1")
    box = sandbox(
        "u1",
        template(
            container(ports=(port,)),
            host_aliases=(podspec.HostAlias(ip="10.0.0.1", hostnames=("db",)),),
            dns_config=podspec.PodDNSConfig(
                nameservers=("10.0.0.53",),
                options=(podspec.PodDNSConfigOption(name="ndots", value="2"),),
            ),
        ),
    )
    body = container_settings.infra(box, image="i", labels={}, rules=Rules())
    found = host(body)
    assert found["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]
    }
    assert found["ExtraHosts"] == ["db:10.0.0.1"]
    assert (found["Dns"], found["DnsOptions"]) == (["10.0.0.53"], ["ndots:2"])
    assert found["CapDrop"] == ["ALL"]


@pytest.mark.parametrize("podman", [True, False])
def test_only_podman_wants_to_be_told_the_name_of_the_host(podman: bool) -> None:
    """Docker refuses a name where the network is another container's."""
    body = made(container(), traits=Traits(podman=podman))
    assert ("Hostname" in body) == podman


def test_a_kubelet_has_its_name_from_its_folder(tmp_path: Path) -> None:
    """Drawn once; a folder that is moved keeps it, and a copy gets another one: two
    kubelets never share containers."""
    first = tmp_path / "first"
    first.mkdir()
    name = container_sandboxes.scope(first)
    assert container_sandboxes.scope(first) == name
    shutil.copytree(first, tmp_path / "copy")
    copied = container_sandboxes.scope(tmp_path / "copy")
    assert copied != name
    assert container_sandboxes.scope(tmp_path / "copy") == copied
    moved = first.rename(tmp_path / "moved")
    assert container_sandboxes.scope(moved) == name
    (moved / "identity.json").write_text("no json")
    assert container_sandboxes.scope(moved) != name


def test_pods_are_in_the_network_of_the_node() -> None:
    """The engine's usual one, or that of `--pod-network`; the host's if it says so."""
    for rules, host, wanted in (
        (container_settings.Rules(), False, "bridge"),
        (container_settings.Rules(network="pods"), False, "pods"),
        (container_settings.Rules(network="pods"), True, "host"),
    ):
        pod = sandbox("u1", template(host_network=host))
        body = container_settings.infra(pod, image="i", labels={}, rules=rules)
        settings = body["HostConfig"]
        assert isinstance(settings, dict)
        assert settings["NetworkMode"] == wanted
