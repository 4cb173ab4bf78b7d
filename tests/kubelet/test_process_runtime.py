"""Pods as real processes: exits, groups, grace, logs, probes, files."""

import asyncio
import os
import signal
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from domain import podspec, volumes
from domain.pod_values import Reference
from kubelet import runtime, sandboxes, values
from tests.kubelet.builders import container, sandbox, template
from tests.kubelet.harness import GUARD, Harness
from tests.kubelet.processes import gone, make, pid_of, shell

pytestmark = pytest.mark.asyncio
SLOW = int(GUARD)
"""The timeout of a probe that is to say something else than that it took too long."""


@pytest_asyncio.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    """A process runtime, opened; closed afterwards."""
    ports = make(tmp_path)
    await ports.open()
    yield Harness(ports)
    await ports.close()


@pytest.mark.parametrize("code", [0, 1, 3, 255])
async def test_exit_codes_are_seen(harness: Harness, code: int) -> None:
    """As the process said it."""
    await harness.start(shell(f"exit {code}"))
    ended = await harness.exited()
    assert (ended.exit_code, ended.signal) == (code, 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
async def test_a_death_by_signal_from_outside_is_seen(
    harness: Harness, number: int
) -> None:
    """`kill -9` by anybody: 128 + the number."""
    started = await harness.start(shell("sleep 1000 & wait"))
    os.kill(pid_of(started), number)
    ended = await harness.exited()
    assert (ended.exit_code, ended.signal) == (128 + number, number)


async def test_children_end_with_the_first_process(harness: Harness) -> None:
    """A container is its first process: what that leaves behind is killed."""
    await harness.start(shell("sleep 1000 & echo $!; exit 0"))
    await harness.exited()
    child = int(await harness.log())
    await gone(child)


async def test_a_stop_is_asked_for_and_a_kill_is_not(harness: Harness) -> None:
    """TERM can be answered in one's own way; who ignores it is killed."""
    script = "trap 'echo bye; exit 7' TERM; echo on; sleep 1000 & wait"
    await harness.start(shell(script))
    await harness.listening()
    harness.ports.stop_container("u1", "web")
    assert (await harness.exited()).exit_code == 7
    assert await harness.log() == b"on\nbye\n"
    await harness.start(shell("trap '' TERM; echo on; sleep 1000"), uid="u2")
    await harness.listening("u2")
    harness.ports.stop_container("u2", "web")
    harness.ports.kill_container("u2", "web")
    assert (await harness.exited("u2")).signal == signal.SIGKILL


async def test_command_arguments_and_variables(harness: Harness) -> None:
    """`$(VAR)` in values, command and arguments; fields of the pod; `$$` escapes."""

    def field(path: str) -> podspec.EnvVarSource:
        return podspec.EnvVarSource(
            field_ref=podspec.ObjectFieldSelector(field_path=path)
        )

    env = (
        podspec.EnvVar(name="WHO", value_from=field("metadata.name")),
        podspec.EnvVar(name="WHERE", value_from=field("spec.nodeName")),
        podspec.EnvVar(name="IP", value_from=field("status.podIP")),
        podspec.EnvVar(name="TEXT", value="$(WHO)@$(WHERE) $$(WHO) $(NONE)"),
    )
    web = container(
        command=("sh", "-c", 'echo "$0 $1 $TEXT $IP"; pwd'),
        args=("$(WHO)", "$(NONE)"),
        env=env,
    )
    await harness.start(template(web))
    await harness.exited()
    (state,) = harness.ports.list()
    first, second = (await harness.log()).decode().splitlines()
    assert first == f"pod-u1 $(NONE) pod-u1@n1 $(WHO) $(NONE) {state.ip}"
    assert second.endswith("/web/root")


async def test_nothing_of_the_kubelets_environment_gets_in(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets of the kubelet are not the pods'."""
    monkeypatch.setenv("NATS_SECRET", "hush")
    await harness.start(shell("env"))
    await harness.exited()
    assert b"hush" not in await harness.log()


@pytest.mark.parametrize(("fields", "reason", "message"), [
    ({"command": ("/no/such",)}, "RunContainerError",
     'exec: "/no/such": no such file or directory'),
    ({"command": ("no-such",)}, "RunContainerError",
     'exec: "no-such": executable file not found in $PATH'),
    ({"command": ("true",), "working_dir": "/no/such"}, "RunContainerError",
     'chdir to cwd ("/no/such"): no such file or directory'),
    ({"command": ("true",), "env": (podspec.EnvVar(
        name="S", value_from=podspec.EnvVarSource(
            secret_key_ref=podspec.SecretKeySelector(name="s", key="k"))),)},
     "CreateContainerConfigError", 'secret "s" not found'),
])  # fmt: skip
async def test_what_cannot_be_started(
    harness: Harness, fields: dict[str, object], reason: str, message: str
) -> None:
    """The waiting reason of spec 4.4, and a sentence that says what is wrong."""
    pod = template(container(**fields))
    harness.ports.start_sandbox(sandbox("u1", pod))
    harness.ports.pull_image("u1", "web")
    harness.ports.start_container("u1", "web", 0)
    failed = await harness.until(runtime.ContainerFailed)
    assert (failed.reason, failed.message) == (reason, message)
    assert not [f for f in harness.seen if isinstance(f, runtime.ContainerStarted)]


# --- logs ---------------------------------------------------------------------------


async def test_logs_of_this_run_and_the_previous(harness: Harness) -> None:
    """Both streams, the tail, timestamps, `previous`; older runs are not kept."""
    for attempt in range(3):
        pod = shell(f"echo one {attempt}; echo two {attempt} >&2; exit 1")
        await harness.start(pod, attempt=attempt)
        await harness.exited()
    assert sorted((await harness.log()).splitlines()) == [b"one 2", b"two 2"]
    assert len(await harness.log(tail=1)) == len(b"two 2\n")
    assert await harness.log(tail=0) == b""
    stamped = (await harness.log(tail=1, timestamps=True)).decode()
    assert len(stamped.split(" ")[0]) == len("2026-01-01T00:00:00.000000000Z")
    assert sorted((await harness.log(previous=True)).splitlines()) == [
        b"one 1",
        b"two 1",
    ]
    assert await harness.log(since=4102444800.0) == b""


async def test_following_ends_with_the_container(harness: Harness) -> None:
    """What comes later is seen, and then the stream ends by itself."""
    await harness.start(shell("echo a; sleep 0.3; echo b"))
    assert await harness.log(follow=True) == b"a\nb\n"


async def test_a_line_without_an_end_and_a_very_long_one(harness: Harness) -> None:
    """Nothing is lost of either."""
    await harness.start(shell("head -c 100000 /dev/zero | tr '\\0' x; printf end"))
    await harness.exited()
    assert await harness.log() == b"x" * 100000 + b"end\n"


# --- the web server and the probes --------------------------------------------------


def nginx(**fields: object) -> podspec.PodTemplateSpec:
    """The catalogue's web server on a port that anybody may use."""
    return template(
        container(
            ports=(podspec.ContainerPort(name="http", container_port=18080),), **fields
        )
    )


async def answered(harness: Harness, kind: runtime.ProbeKind) -> runtime.Probed:
    """One probe's answer."""
    harness.ports.probe("u1", "web", 0, kind)
    return await harness.until(runtime.Probed)


async def test_the_web_server_says_its_version_and_its_pod(harness: Harness) -> None:
    """Two pods on the same port, each at its own address; TERM ends it with 0."""
    pages = {}
    for uid, image in (("u1", "nginx:1.7.9"), ("u2", "nginx:1.9.1")):
        await harness.start(nginx(image=image), uid=uid)
        await harness.listening(uid, b"listens")
    for state in harness.ports.list():
        url = f"http://{state.ip}:18080/"
        with await asyncio.to_thread(urllib.request.urlopen, url) as response:
            pages[state.uid] = response.read().decode()
    assert pages == {
        "u1": "nginx 1.7.9\npod pod-u1\n",
        "u2": "nginx 1.9.1\npod pod-u2\n",
    }
    harness.ports.stop_container("u1", "web")
    assert (await harness.exited()).exit_code == 0


@pytest.mark.parametrize(("path", "message"), [
    ("/healthz", ""),
    ("healthz", ""),
    ("/none", "HTTP probe failed with statuscode: 404"),
])  # fmt: skip
async def test_http_probes(harness: Harness, path: str, message: str) -> None:
    """200 to 399 is success; the port may be named."""
    get = podspec.HTTPGetAction(path=path, port="http")
    check = podspec.Probe(http_get=get, timeout_seconds=SLOW)
    await harness.start(nginx(readiness_probe=check))
    await harness.listening(said=b"listens")
    answer = await answered(harness, "Readiness")
    assert (answer.success, answer.message) == (not message, message)


@pytest.mark.parametrize("probe", [
    podspec.Probe(
        http_get=podspec.HTTPGetAction(path="/", port=18081), timeout_seconds=SLOW
    ),
    podspec.Probe(
        tcp_socket=podspec.TCPSocketAction(port=18081), timeout_seconds=SLOW
    ),
])  # fmt: skip
async def test_nobody_listens(harness: Harness, probe: podspec.Probe) -> None:
    """The words of Kubernetes."""
    await harness.start(nginx(liveness_probe=probe))
    answer = await answered(harness, "Liveness")
    assert not answer.success
    assert answer.message.endswith(":18081: connect: connection refused")


async def test_tcp_probe(harness: Harness) -> None:
    """That it opens is success."""
    check = podspec.Probe(
        tcp_socket=podspec.TCPSocketAction(port=18080), timeout_seconds=SLOW
    )
    await harness.start(nginx(liveness_probe=check))
    await harness.listening(said=b"listens")
    assert (await answered(harness, "Liveness")).success


@pytest.mark.parametrize(("command", "seconds", "success", "message"), [
    (("sh", "-c", "test -n $POD_IP"), SLOW, True, ""),
    (("sh", "-c", "echo no; exit 4"), SLOW, False, "no"),
    (("sh", "-c", "exit 4"), SLOW, False, "exit status 4"),
    (("sleep", "100"), 1, False,
     'command timed out: "sleep 100" timed out after 1s'),
    (("no-such",), SLOW, False,
     'exec: "no-such": executable file not found in $PATH'),
])  # fmt: skip
async def test_exec_probes(
    harness: Harness,
    command: tuple[str, ...],
    seconds: int,
    success: bool,
    message: str,
) -> None:
    """Exit code 0 is success; what it printed is the message."""
    action = podspec.ExecAction(command=command)
    check = podspec.Probe(exec=action, timeout_seconds=seconds)
    await harness.start(nginx(startup_probe=check))
    answer = await answered(harness, "Startup")
    assert (answer.success, answer.message) == (success, message)


# --- files --------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "policy", "message"), [
    ('printf done > "$ROLLBOOK_TERMINATION_LOG"; exit 1', "File", "done"),
    ("echo said; exit 1", "File", ""),
    ("echo said; exit 1", "FallbackToLogsOnError", "said\n"),
    ("echo said; exit 0", "FallbackToLogsOnError", ""),
])  # fmt: skip
async def test_termination_messages(
    harness: Harness, script: str, policy: str, message: str
) -> None:
    """What the container left in its file; with the fallback and an exit that is not 0,
    the end of its log where the file is empty."""
    await harness.start(shell(script, termination_message_policy=policy))
    assert (await harness.exited()).message == message


async def test_volumes_are_files_in_the_working_directory(harness: Harness) -> None:
    """A process has no mounts: its volumes are at their mount paths below its working
    directory; those of one pod share an emptyDir."""
    spec = podspec.PodSpec(
        containers=(
            container(
                command=("sh", "-c", "cat etc/web/greeting; echo x > tmp/mark; ls tmp"),
                volume_mounts=(
                    podspec.VolumeMount(name="conf", mount_path="/etc/web"),
                    podspec.VolumeMount(name="room", mount_path="/tmp"),
                ),
            ),
        ),
        volumes=(
            podspec.Volume(
                name="conf", config_map=volumes.ConfigMapVolumeSource(name="c")
            ),
            podspec.Volume(name="room", empty_dir=volumes.EmptyDirVolumeSource()),
        ),
    )
    given = values.Values(
        objects={Reference("configmap", "c"): {"greeting": b"hello\n"}}
    )
    pod = msgspec.structs.replace(
        sandbox("u1", podspec.PodTemplateSpec(spec=spec)), values=given
    )
    harness.ports.start_sandbox(pod)
    harness.ports.start_container("u1", "web", 0)
    await harness.exited()
    assert await harness.log() == b"hello\nmark\n"


async def test_the_disk_does_not_get_the_secrets(
    harness: Harness, tmp_path: Path
) -> None:
    """The record of a pod is without what its Secrets hold."""
    given = values.Values(objects={Reference("secret", "s"): {"k": b"hush-hush"}})
    pod = msgspec.structs.replace(sandbox("u1", template()), values=given)
    harness.ports.start_sandbox(pod)
    await harness.until(runtime.SandboxReady)
    for path in (tmp_path / "node").rglob("sandbox.json"):
        record = msgspec.json.decode(path.read_bytes(), type=sandboxes.Record)
        assert record.sandbox.values == values.NONE
