"""The container runtime on a real engine: ends, other lives, sessions, output."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from domain import podspec
from kubelet import (
    container_exits,
    container_processes,
    container_runtime,
    container_sandboxes,
    runtime,
)
from tests.kubelet import containerbench
from tests.kubelet.builders import container, sandbox, template
from tests.kubelet.containerbench import IMAGE, Bench, web
from tests.kubelet.harness import GUARD, Harness
from tests.support import podman

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


# --- ends -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "policy", "code", "message"),
    [
        ("echo why > /dev/termination-log; exit 3", "File", 3, "why\n"),
        ("echo the last line; exit 4", "FallbackToLogsOnError", 4, "the last line\n"),
        ("echo the last line", "FallbackToLogsOnError", 0, ""),
    ],
    ids=["file", "output", "success"],
)
async def test_last_words(
    harness: Harness, command: str, policy: str, code: int, message: str
) -> None:
    """`terminationMessagePath` and `terminationMessagePolicy`."""
    await harness.start(template(web(command, termination_message_policy=policy)))
    ended = await harness.exited()
    assert (ended.exit_code, ended.message) == (code, message)


@pytest.mark.parametrize("kernel", ["newer", "older"])
@pytest.mark.parametrize(
    ("command", "code", "number"),
    [("exit 3", 3, 0), ("exit 0", 0, 0), ("exec sleep 9999", 137, 9)],
    ids=["code", "success", "killed"],
)
async def test_an_end_is_the_same_whoever_tells_it(
    harness: Harness,
    monkeypatch: pytest.MonkeyPatch,
    kernel: str,
    command: str,
    code: int,
    number: int,
) -> None:
    """A kernel that keeps the exit status tells it before the engine does; and all that
    was said before can be read at once."""
    if kernel == "older":
        monkeypatch.setattr(container_processes, "_GET_INFO", 0)
    said = "yes 0123456789 | head -c 300000; echo; echo last; sleep 0.2"
    await harness.start(template(web(f"{said}; {command}")))
    if number:
        await harness.listening(said=b"last")
        harness.ports.kill_container("u1", "web")
    ended = await harness.exited()
    assert (ended.exit_code, ended.signal, ended.reason) == (code, number, "")
    assert (await harness.log()).endswith(b"last\n")
    await harness.start(template(web("exit 5")), attempt=1)
    assert (await harness.exited()).exit_code == 5


async def test_a_command_that_is_not_there(harness: Harness) -> None:
    """`RunContainerError` with the engine's words; no container is left behind."""
    spec = container("web", image=IMAGE, command=("/no/such/program",))
    harness.ports.start_sandbox(sandbox("u1", template(spec)))
    await harness.until(runtime.SandboxReady)
    harness.ports.start_container("u1", "web", 0)
    failed = await harness.until(runtime.ContainerFailed)
    assert failed.reason == "RunContainerError"
    assert "/no/such/program" in failed.message


async def test_what_is_removed_behind_our_back_has_ended(
    bench: Bench, harness: Harness
) -> None:
    """It is told as an exit whose code nobody knows, and it can be started again."""
    started = await harness.start(template(web()))
    bench.engine.run("rm", "--force", "--time", "0", started.container_id[9:])
    ended = await harness.exited()
    assert ended.exit_code == 137
    again = await harness.start(template(web()), attempt=1)
    assert again.container_id != started.container_id


async def test_a_pod_that_has_lost_its_network_gets_another(
    bench: Bench, harness: Harness
) -> None:
    """Without its infra container the rest is killed; the next start makes one."""
    started = await harness.start(template(web()))
    (infra,) = await bench.ids() - {started.container_id[9:]}
    bench.engine.run("rm", "--force", "--depend", "--time", "0", infra)
    await harness.exited()
    command = ("cat", "/proc/net/dev")
    async with asyncio.timeout(GUARD):
        for attempt in range(1, 1000):  # the engine may be at it still
            harness.ports.start_container("u1", "web", attempt)
            await harness.ports.observations()
            with contextlib.suppress(LookupError):
                inside = await harness.ports.exec("u1", "web", command, GUARD)
                break
    assert "eth0" in inside.output


# --- another life -----------------------------------------------------------------


async def test_another_life_adopts_what_it_finds(bench: Bench) -> None:
    """The same containers, still running; what has ended meanwhile is known; what
    ends later is observed; what belongs to no pod is removed, what is somebody
    else's is not."""
    first = await bench.open(keep_pods=True)
    ended = container("job", image=IMAGE, command=("sh", "-c", "exit 7"))
    started = await first.start(template(web(), ended))
    first.ports.start_container("u1", "job", 2)
    await first.until(runtime.ContainerExited, container="job")
    (before,) = first.ports.list()
    await first.ports.close()
    labels = ["--label", f"rollbook/owner={_owner(bench)}"]
    stray = bench.engine.run("create", *labels, IMAGE, "true")
    other = bench.engine.run("create", IMAGE, "true")

    second = await bench.open()
    (pod,) = second.ports.held()
    assert (pod.sandbox.name, pod.ip) == ("pod-u1", before.ip)
    found = {each.name: each for each in pod.containers}
    assert found["web"].running
    assert found["web"].container_id == started.container_id
    assert found["web"].started_at > 0
    job = found["job"]
    assert (job.running, job.exit_code, job.attempt) == (False, 7, 2)
    assert second.ports.list() == (before,)
    there = await bench.ids()
    assert other in there
    assert stray not in there
    bench.engine.run("rm", other)
    second.ports.kill_container("u1", "web")
    assert (await second.exited()).exit_code == 137


async def test_a_killed_engine_service_costs_no_pod(bench: Bench) -> None:
    """What ends while nobody can be asked is observed when the engine is back; what
    was asked meanwhile is carried out then."""
    socket = bench.engine.folder / "second.sock"
    with bench.engine.service(socket):
        harness = await bench.open(url=f"unix://{socket}")
        started = await harness.start(template(web()))
        await harness.start(template(web()), uid="u2")
    bench.engine.run("kill", started.container_id[9:])
    harness.ports.kill_container("u2", "web")
    harness.ports.start_sandbox(sandbox("u3", template(web())))
    assert (await harness.until(runtime.SandboxFailed, uid="u3")).message
    with bench.engine.service(socket):
        assert (await harness.exited("u1")).exit_code == 137
        assert (await harness.exited("u2")).exit_code == 137
        harness.ports.start_sandbox(sandbox("u3", template(web())))
        await harness.until(runtime.SandboxReady, uid="u3")
        await harness.ports.close()


async def test_strays_are_found_while_we_live(bench: Bench, harness: Harness) -> None:
    """As after a start that nobody saw succeed."""
    labels = ["--label", f"rollbook/owner={_owner(bench)}"]
    stray = bench.engine.run("create", *labels, IMAGE, "true")
    ports = harness.ports
    assert isinstance(ports, container_runtime.ContainerRuntime)
    await container_exits.Exits(ports._ground).reconcile()
    async with asyncio.timeout(GUARD):
        await asyncio.gather(*ports._ground.tasks)
    assert stray not in await bench.ids()


def _owner(bench: Bench) -> str:
    ports = bench.lives[0]
    if ports._opened is not None:
        return ports._opened.owner
    folder = bench.folder / "node"
    return container_sandboxes.owner(container_sandboxes.scope(folder), "n1")


# --- commands, sessions, output ---------------------------------------------------


async def test_a_command_that_takes_too_long_is_killed(harness: Harness) -> None:
    """`TimeoutError`; nothing of it runs on."""
    await harness.start(template(web()))
    with pytest.raises(TimeoutError):
        await harness.ports.exec("u1", "web", ("sleep", "4711"), 0.3)
    until_alone = "while pidof sleep | grep -q ' '; do :; done"
    command = ("sh", "-c", until_alone)  # one of them is the container's own
    assert not (await harness.ports.exec("u1", "web", command, GUARD)).exit_code


async def test_a_session_has_two_streams_and_an_end(harness: Harness) -> None:
    """Input until its end, both outputs told apart, the exit code."""
    await harness.start(template(web()))
    request = runtime.StreamRequest(
        command=("sh", "-c", "wc -c; echo oops >&2; exit 9"), stdin=True
    )
    stream = await harness.ports.open_stream("u1", "web", request)
    await stream.write(b"x" * 100_000)
    await stream.end_input()
    found = {"stdout": b"", "stderr": b""}
    async for channel, data in stream.chunks():
        found[channel] += data
    assert (found["stdout"].strip(), found["stderr"]) == (b"100000", b"oops\n")
    assert await stream.exit_code() == 9
    await stream.close()


async def test_a_session_with_a_terminal(harness: Harness) -> None:
    """It has the size that it was given, and then another one."""
    await harness.start(template(web()))
    request = runtime.StreamRequest(
        command=("sh",), stdin=True, tty=True, width=100, height=30
    )
    stream = await harness.ports.open_stream("u1", "web", request)
    output = b""

    async def until(wanted: bytes) -> None:
        nonlocal output
        async with asyncio.timeout(GUARD):
            async for _, data in stream.chunks():
                output += data
                if wanted in output:
                    return

    # The engine sets the size beside the command: the shell is asked until it is so.
    await stream.write(b"until [ \"$(stty size)\" = '30 100' ]; do :; done; echo A$?\n")
    await until(b"A0")
    await stream.resize(120, 40)
    await stream.write(b"until [ \"$(stty size)\" = '40 120' ]; do :; done; echo B$?\n")
    await until(b"B0")
    await stream.write(b"exit 3\n")
    await until(b"never")
    assert await stream.exit_code() == 3
    await stream.close()


async def test_attaching_shows_what_the_container_says(harness: Harness) -> None:
    """And what it is told is its input."""
    spec = container("web", image=IMAGE, command=("cat",), stdin=True)
    await harness.start(template(spec))
    request = runtime.StreamRequest(stdin=True)
    stream = await harness.ports.open_stream("u1", "web", request)
    await stream.write(b"hello\n")
    async with asyncio.timeout(GUARD):
        assert await anext(aiter(stream.chunks())) == ("stdout", b"hello\n")
    assert await stream.exit_code() == 0
    await stream.close()


async def test_logs(harness: Harness) -> None:
    """Tail, timestamps, the run before, and following until the end."""
    loop = (
        "trap 'echo bye; exit 0' TERM; echo one; echo two >&2; echo on; sleep 99 & wait"
    )
    await harness.start(template(web("echo before")))
    await harness.exited()
    await harness.start(template(web(loop)), attempt=1)
    await harness.listening()
    assert await harness.log(previous=True) == b"before\n"
    assert set((await harness.log()).split()) == {b"one", b"two", b"on"}
    assert len((await harness.log(tail=1)).splitlines()) == 1
    assert await harness.log(since=time.time() + 3600) == b""
    line = (await harness.log(tail=1, timestamps=True)).decode()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*Z \w+\n", line)
    follow = asyncio.create_task(harness.log(follow=True))
    harness.ports.stop_container("u1", "web")
    async with asyncio.timeout(GUARD):
        assert (await follow).endswith(b"bye\n")


@pytest.mark.parametrize("kind", ["http", "tcp", "exec"])
async def test_probes_reach_the_pod(harness: Harness, kind: str) -> None:
    """At the pod's address, by the name of the port; `exec` inside."""
    port = podspec.ContainerPort(name="www", container_port=8080)
    check = {
        "http": podspec.Probe(
            http_get=podspec.HTTPGetAction(path="/passwd", port="www")
        ),
        "tcp": podspec.Probe(tcp_socket=podspec.TCPSocketAction(port=8080)),
        "exec": podspec.Probe(exec=podspec.ExecAction(command=("test", "-e", "/tmp"))),
    }[kind]
    check = podspec.Probe(
        exec=check.exec, http_get=check.http_get, tcp_socket=check.tcp_socket,
        timeout_seconds=int(GUARD),
    )  # fmt: skip
    spec = web("httpd -f -p 8080 -h /etc", ports=(port,), readiness_probe=check)
    await harness.start(template(spec))
    async with asyncio.timeout(GUARD):
        while True:
            harness.ports.probe("u1", "web", 0, "Readiness")
            if (await harness.until(runtime.Probed)).success:
                break
