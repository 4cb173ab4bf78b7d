"""The container runtime on a real engine: what a pod is, its limits, its volumes."""

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio

from adapters import engine as docker
from domain import podspec, volumes
from domain.pod_values import Reference
from kubelet import (
    container_runtime,
    container_settings,
    runtime,
)
from kubelet.values import Values
from tests.kubelet import containerbench
from tests.kubelet.builders import container, sandbox, template
from tests.kubelet.containerbench import IMAGE, SLEEPER, Bench, resources, said, web
from tests.kubelet.harness import GUARD, Harness
from tests.support import podman, ports

pytestmark = pytest.mark.asyncio


@pytest.fixture(scope="module")
def engine() -> Iterator[podman.Podman]:
    """A container engine of our own, with an image."""
    with containerbench.engine() as running:
        yield running


@pytest_asyncio.fixture
async def bench(engine: podman.Podman, tmp_path: Path) -> AsyncIterator[Bench]:
    """A node; nothing of it is left afterwards."""
    found = Bench(engine, tmp_path)
    yield found
    for life in found.lives:
        await life.close()


@pytest_asyncio.fixture
async def harness(bench: Bench) -> Harness:
    """An open node."""
    return await bench.open()


# --- what a pod is ----------------------------------------------------------------


async def test_the_containers_of_a_pod_share_its_network(harness: Harness) -> None:
    """One serves, the other asks at 127.0.0.1; from here it is the pod's address."""
    serve = web("echo hello > /tmp/index.html; echo on; httpd -f -p 8080 -h /tmp")
    ask = container("ask", image=IMAGE, command=SLEEPER)
    await harness.start(template(serve, ask))
    harness.ports.start_container("u1", "ask", 0)
    await harness.until(runtime.ContainerStarted, container="ask")
    await harness.listening()
    command = ("sh", "-c", "until wget -q -O - http://127.0.0.1:8080/; do :; done")
    answer = await harness.ports.exec("u1", "ask", command, GUARD)
    assert answer.output.strip().endswith("hello")
    (state,) = harness.ports.list()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{state.ip}:8080/") as response,
    ):
        assert await response.text() == "hello\n"


async def test_a_host_port_is_published(harness: Harness) -> None:
    """`hostPort` leads to the container's port."""
    host_port = ports.free_port()
    port = podspec.ContainerPort(container_port=8080, host_port=host_port)
    await harness.start(
        template(web("echo on; httpd -f -p 8080 -h /etc", ports=(port,)))
    )
    await harness.listening()
    async with asyncio.timeout(GUARD), aiohttp.ClientSession() as session:
        while True:
            try:
                url = f"http://127.0.0.1:{host_port}/passwd"
                async with session.get(url) as response:
                    assert "root" in await response.text()
                    break
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def test_a_pod_on_the_hosts_network_has_the_hosts_address(
    harness: Harness,
) -> None:
    """`hostNetwork`: the interfaces are the machine's."""
    await harness.start(template(web(), host_network=True))
    (state,) = harness.ports.list()
    assert state.ip == harness.ports.node_info().address
    inside = await harness.ports.exec("u1", "web", ("cat", "/proc/net/dev"), GUARD)
    names = re.findall(r"^ *(\S+):", inside.output, re.MULTILINE)
    assert set(names) == set(os.listdir("/sys/class/net"))


async def test_a_container_is_told_who_it_is(harness: Harness) -> None:
    """Its own variables, the pod's, and those of its image; the host name is the
    pod's."""
    env = (
        podspec.EnvVar(name="GREETING", value="hello $(POD_NAME)"),
        podspec.EnvVar(
            name="IP",
            value_from=podspec.EnvVarSource(
                field_ref=podspec.ObjectFieldSelector(field_path="status.podIP")
            ),
        ),
    )
    text = await said(harness, "hostname; env; echo $0", env=env)
    lines = text.splitlines()
    (state,) = harness.ports.list()
    assert lines[0] == "pod-u1"
    assert {"GREETING=hello pod-u1", f"IP={state.ip}", "FROM_IMAGE=yes"} <= set(lines)


async def test_command_and_arguments_are_kubernetes(harness: Harness) -> None:
    """Without a command the image's runs; references in arguments are replaced."""
    await harness.start(template(container("web", image=IMAGE)))
    assert (await harness.exited()).exit_code == 0
    assert b"FROM_IMAGE=yes" in await harness.log()
    spec = container(
        "web", image=IMAGE, command=("echo", "$(POD_NAME)"), args=("$$(A)", "$(B)"),
        working_dir="/tmp",
    )  # fmt: skip
    await harness.start(template(spec), uid="u2")
    await harness.exited("u2")
    assert await harness.log("u2") == b"pod-u2 $(A) $(B)\n"


# --- limits -----------------------------------------------------------------------


async def test_memory_beyond_the_limit_is_oom_killed(harness: Harness) -> None:
    """Also at the very first moment, and told so by no engine."""
    command = ("dd", "if=/dev/zero", "of=/dev/null", "bs=300M")
    limits = resources(memory="16Mi")
    spec = container("web", image=IMAGE, command=command, resources=limits)
    await harness.start(template(spec))
    ended = await harness.exited()
    assert (ended.exit_code, ended.signal, ended.reason) == (137, 9, "OOMKilled")


async def test_a_kill_is_no_oom(harness: Harness) -> None:
    """A container with a limit that is killed otherwise has the usual reason."""
    await harness.start(template(web(resources=resources(memory="64Mi"))))
    harness.ports.kill_container("u1", "web")
    ended = await harness.exited()
    assert (ended.exit_code, ended.reason) == (137, "")


async def test_the_processor_is_shared_as_limited(harness: Harness) -> None:
    """A loop that may use a fifth of a core is not given half of one."""
    spin = web("echo on; while :; do :; done", resources=resources(cpu="200m"))
    await harness.start(template(spin))
    await harness.listening()
    (before,), begun = await harness.ports.usage(), time.monotonic()
    await asyncio.sleep(1.0)
    (after,), took = await harness.ports.usage(), time.monotonic() - begun
    used = after.cpu_seconds - before.cpu_seconds
    assert 0 < used / took < 0.5
    assert 0 < after.memory_bytes < 2**26


async def test_processes_are_counted(harness: Harness) -> None:
    """A container cannot have more of them than the node allows."""
    text = await said(
        harness, "i=0; while [ $i -lt 30 ]; do sleep 9 & i=$((i+1)); done; echo $i"
    )
    assert "30" not in text.splitlines()[-1]
    assert "can't fork" in text


async def test_confinement(harness: Harness) -> None:
    """User, read-only root, capabilities, no new privileges: as the kernel sees it."""
    context = podspec.SecurityContext(
        run_as_user=1000,
        run_as_group=2000,
        read_only_root_filesystem=True,
        allow_privilege_escalation=False,
        capabilities=podspec.Capabilities(drop=("ALL",)),
    )
    command = "id -u; id -g; touch /x; cat /proc/self/status"
    text = await said(harness, command, security_context=context)
    assert text.startswith("1000\n2000\n")
    assert "Read-only file system" in text
    assert re.search(r"CapBnd:\s+0000000000000000", text)
    assert re.search(r"NoNewPrivs:\s+1", text)


@pytest.mark.parametrize(
    "context",
    [
        podspec.SecurityContext(privileged=True),
        podspec.SecurityContext(capabilities=podspec.Capabilities(add=("SYS_ADMIN",))),
        podspec.SecurityContext(run_as_non_root=True),
    ],
    ids=["privileged", "SYS_ADMIN", "runAsNonRoot"],
)
async def test_what_the_node_does_not_allow_is_not_started(
    harness: Harness, context: podspec.SecurityContext
) -> None:
    """`CreateContainerConfigError`, with what to do; nothing was made."""
    harness.ports.start_sandbox(sandbox("u1", template(web(security_context=context))))
    await harness.until(runtime.SandboxReady)
    harness.ports.start_container("u1", "web", 0)
    failed = await harness.until(runtime.ContainerFailed)
    assert failed.reason == "CreateContainerConfigError"
    assert "not allow" in failed.message or "runAsNonRoot" in failed.message


# --- volumes ----------------------------------------------------------------------


async def test_volumes(bench: Bench) -> None:
    """emptyDir on disk and in memory, a ConfigMap's file, a hostPath that the node
    allows, and a part of a volume."""
    shared = bench.folder / "shared"
    shared.mkdir()
    (shared / "greeting").write_text("hello")
    harness = await bench.open(
        rules=container_settings.Rules(host_paths=(str(shared),))
    )
    given = (
        volumes.Volume(name="disk", empty_dir=volumes.EmptyDirVolumeSource()),
        volumes.Volume(
            name="memory",
            empty_dir=volumes.EmptyDirVolumeSource(medium="Memory", size_limit="1Mi"),
        ),
        volumes.Volume(
            name="config", config_map=volumes.ConfigMapVolumeSource(name="settings")
        ),
        volumes.Volume(
            name="host",
            host_path=volumes.HostPathVolumeSource(path=str(shared), type="Directory"),
        ),
    )
    mounts = (
        podspec.VolumeMount(name="disk", mount_path="/disk"),
        podspec.VolumeMount(name="disk", mount_path="/part", sub_path="a/b"),
        podspec.VolumeMount(name="memory", mount_path="/memory"),
        podspec.VolumeMount(name="config", mount_path="/config", read_only=True),
        podspec.VolumeMount(name="host", mount_path="/host", read_only=True),
    )
    command = (
        "echo part > /part/file; cat /disk/a/b/file /config/key /host/greeting; echo;"
        "grep -c ' /memory tmpfs ' /proc/mounts;"
        "dd if=/dev/zero of=/memory/big bs=2M count=1; touch /host/x"
    )
    pod = template(web(command, volume_mounts=mounts), volumes=given)
    values = Values(objects={Reference("configmap", "settings"): {"key": b"value\n"}})
    box = runtime.Sandbox(
        uid="u1", namespace="default", name="p", node="n1", spec=pod.spec, values=values
    )
    harness.ports.start_sandbox(box)
    await harness.until(runtime.SandboxReady)
    harness.ports.start_container("u1", "web", 0)
    await harness.exited()
    text = (await harness.log()).decode()
    assert text.startswith("part\nvalue\nhello\n1\n")
    assert "No space left on device" in text
    assert "Read-only file system" in text
    harness.ports.remove_sandbox("u1")
    await harness.until(runtime.SandboxRemoved)
    pods = bench.folder / "node" / "pods"
    assert not list(pods.iterdir())
    assert pods.stat().st_mode & 0o077 == 0  # the files of Secrets lie there
    assert not [
        each
        for each in psutil.disk_partitions(all=True)
        if str(bench.folder) in each.mountpoint
    ]


async def test_a_host_path_that_is_not_allowed(harness: Harness) -> None:
    """The message says which one, and where it can be allowed."""
    given = volumes.Volume(
        name="etc", host_path=volumes.HostPathVolumeSource(path="/etc")
    )
    mount = podspec.VolumeMount(name="etc", mount_path="/etc")
    pod = template(web(volume_mounts=(mount,)), volumes=(given,))
    harness.ports.start_sandbox(sandbox("u1", pod))
    await harness.until(runtime.SandboxReady)
    harness.ports.start_container("u1", "web", 0)
    failed = await harness.until(runtime.ContainerFailed)
    assert failed.reason == "CreateContainerConfigError"
    assert "/etc" in failed.message
    assert "--allow-host-path" in failed.message


# --- images -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [
        ("no-such:1", "IfNotPresent", "ErrImagePull"),
        ("nginx:1", "Never", "ErrImageNeverPull"),
        (IMAGE, "Always", "ErrImagePull"),
        ("No/Such", "Always", "InvalidImageName"),
        ("private/app:1", "Always", "ErrImagePull"),
    ],
)
async def test_images_that_cannot_be_had(
    harness: Harness, image: str, policy: str, reason: str
) -> None:
    """Each with its reason, and a message; `Always` does not take what is here."""
    spec = container("web", image=image, image_pull_policy=policy)
    harness.ports.start_sandbox(sandbox("u1", template(spec)))
    harness.ports.pull_image("u1", "web")
    failed = await harness.until(runtime.ImageFailed)
    assert failed.reason == reason
    assert failed.message


async def test_a_login_opens_a_private_registry(bench: Bench, tmp_path: Path) -> None:
    """That of `docker login`, read when it is needed."""
    login = {"auth": base64.b64encode(podman.LOGIN.encode()).decode()}
    logins = {"auths": {bench.engine.registry: login}}
    (tmp_path / "config.json").write_text(json.dumps(logins))
    life = container_runtime.ContainerRuntime(
        "n1",
        tmp_path / "node",
        engine_url=bench.engine.url,
        environ={"DOCKER_CONFIG": str(tmp_path)},
    )
    await life.open()
    bench.lives.append(life)
    harness = Harness(life)
    spec = container("web", image=f"{bench.engine.registry}/private/app:1")
    harness.ports.start_sandbox(sandbox("u1", template(spec)))
    harness.ports.pull_image("u1", "web")
    assert not (await harness.until(runtime.ImagePulled)).present


# --- many -------------------------------------------------------------------------


async def test_many_pods_at_once(harness: Harness) -> None:
    """All come up, each with an address of its own, and all go."""
    uids = [f"m{number}" for number in range(12)]
    await asyncio.gather(
        *(_come_and_go(harness.ports, uid) for uid in uids),
        _gather(harness, uids),
    )
    assert harness.ports.list() == ()


async def _come_and_go(ports: runtime.Runtime, uid: str) -> None:
    ports.start_sandbox(sandbox(uid, template(web()), name=f"pod-{uid}"))
    ports.start_container(uid, "web", 0)


async def _gather(harness: Harness, uids: list[str]) -> None:
    for uid in uids:
        await harness.until(runtime.ContainerStarted, uid=uid)
    assert len({state.ip for state in harness.ports.list()}) == len(uids)
    for uid in uids:
        harness.ports.remove_sandbox(uid)
    for uid in uids:
        await harness.until(runtime.SandboxRemoved, uid=uid)


async def test_an_engine_is_found(engine: podman.Podman) -> None:
    """By `DOCKER_HOST`, with its name and version; none where nobody listens."""
    found = await docker.find({"DOCKER_HOST": engine.url})
    assert found is not None
    assert (found.name, found.url) == ("podman", engine.url)
    assert found.version[0].isdigit()
    assert await docker.find({"DOCKER_HOST": "unix:///no/such.sock"}) is None
