"""What every runtime promises (kubelet/runtime.py), asked of each of them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from domain import podspec
from kubelet import (
    container_runtime,
    hollow_runtime,
    node,
    process_runtime,
    runtime,
)
from tests.kubelet.builders import container, sandbox, template
from tests.kubelet.harness import GUARD, Harness
from tests.support import podman

pytestmark = pytest.mark.asyncio

SLEEPER = container(
    command=("sh", "-c", "trap 'exit 0' TERM; echo on; sleep 9999 & wait")
)


@pytest.fixture(scope="module")
def engine() -> Iterator[podman.Podman]:
    """A container engine of our own."""
    with podman.engine() as running:
        yield running


@pytest_asyncio.fixture(params=["process", "hollow", "container"])
async def harness(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Harness]:
    """One of the runtimes, opened; closed afterwards."""
    ports: runtime.Runtime
    if request.param == "container":
        ours = request.getfixturevalue("engine")
        ours.run("image", "rm", "--force", "docker.io/library/nginx:1.7.9")
        ports = container_runtime.ContainerRuntime(
            "n1", tmp_path / "node", engine_url=ours.url, environ={}
        )
    elif request.param == "process":
        ports = process_runtime.ProcessRuntime("n1", tmp_path / "node")
    else:
        settings = hollow_runtime.HollowSettings(broken_images=(".*no-such.*",))
        ports = hollow_runtime.HollowRuntime("n1", settings, node.Clock())
    await ports.open()
    yield Harness(ports)
    await ports.close()


async def test_a_pod_starts_runs_and_is_removed(harness: Harness) -> None:
    """Sandbox with an address, image, container; stopped, exit 0, removed, gone."""
    started = await harness.start(template(SLEEPER))
    assert started.container_id
    (state,) = harness.ports.list()
    assert (state.uid, state.running) == ("u1", ("web",))
    assert state.ip
    await harness.listening()
    harness.ports.stop_container("u1", "web")
    assert (await harness.exited()).exit_code == 0
    assert harness.ports.list()[0].running == ()
    harness.ports.remove_sandbox("u1")
    await harness.until(runtime.SandboxRemoved, uid="u1")
    assert harness.ports.list() == ()


async def test_every_pod_has_an_address_of_its_own(harness: Harness) -> None:
    """Three pods on one node, three addresses."""
    ips = set()
    for uid in ("a", "b", "c"):
        harness.ports.start_sandbox(sandbox(uid, template()))
        ips.add((await harness.until(runtime.SandboxReady, uid=uid)).ip)
    assert len(ips) == 3


async def test_asking_twice_is_answered_twice_and_runs_once(harness: Harness) -> None:
    """Rule 2: a start of what runs is a success, and it is the same container."""
    first = await harness.start(template(SLEEPER))
    second = await harness.start(template(SLEEPER))
    assert first.container_id == second.container_id


async def test_a_pod_that_is_told_again_is_what_it_was_told_last(
    harness: Harness,
) -> None:
    """A sandbox that is there keeps its address and what runs in it, and its
    containers' images are those of the newest specification."""
    await harness.start(template(SLEEPER))
    (before,) = harness.ports.list()
    harness.ports.start_sandbox(sandbox("u1", template(container(image="no-such:1"))))
    assert (await harness.until(runtime.SandboxReady)).ip == before.ip
    assert harness.ports.list() == (before,)
    harness.ports.pull_image("u1", "web")
    await harness.until(runtime.ImageFailed)


async def test_removing_what_was_never_there_is_a_success(harness: Harness) -> None:
    """Rule 2."""
    harness.ports.stop_container("ghost", "web")
    harness.ports.kill_container("ghost", "web")
    harness.ports.remove_sandbox("ghost")
    await harness.until(runtime.SandboxRemoved, uid="ghost")


async def test_a_killed_container_exits_with_137(harness: Harness) -> None:
    """KILL: exit code 128 + 9, and the signal."""
    await harness.start(template(SLEEPER))
    harness.ports.kill_container("u1", "web")
    ended = await harness.exited()
    assert (ended.exit_code, ended.signal, ended.attempt) == (137, 9, 0)


async def test_a_removed_pod_takes_its_containers_along(harness: Harness) -> None:
    """Rule 3 as well: the exit is observed, before the removal."""
    await harness.start(template(SLEEPER))
    harness.ports.remove_sandbox("u1")
    assert (await harness.exited()).exit_code == 137
    await harness.until(runtime.SandboxRemoved, uid="u1")
    assert harness.ports.list() == ()


async def test_a_stop_right_after_the_start_is_not_lost(harness: Harness) -> None:
    """Rule 4: it ends, though nobody waited for its start."""
    harness.ports.start_sandbox(sandbox("u1", template(SLEEPER)))
    await harness.until(runtime.SandboxReady)
    harness.ports.pull_image("u1", "web")
    await harness.until(runtime.ImagePulled)
    harness.ports.start_container("u1", "web", 0)
    if harness.ports.name == "container":
        # The kernel keeps TERM from a container's first process until that has a
        # handler: it gets what it cannot overhear.
        harness.ports.kill_container("u1", "web")
    else:
        harness.ports.stop_container("u1", "web")
    await harness.until(runtime.ContainerStarted)
    await harness.exited()


async def test_another_attempt_is_another_run(harness: Harness) -> None:
    """Rule 3: attempts are told apart, and each exits once."""
    for attempt in range(3):
        await harness.start(template(SLEEPER), attempt=attempt)
        harness.ports.kill_container("u1", "web")
        assert (await harness.exited()).attempt == attempt
    assert not [f for f in harness.seen if isinstance(f, runtime.ContainerExited)]


async def test_an_image_that_is_not_there_cannot_be_pulled(harness: Harness) -> None:
    """`ErrImagePull`, with a message."""
    pod = template(container(image="no-such:1"))
    harness.ports.start_sandbox(sandbox("u1", pod))
    await harness.until(runtime.SandboxReady)
    harness.ports.pull_image("u1", "web")
    failed = await harness.until(runtime.ImageFailed)
    assert failed.reason == "ErrImagePull"
    assert "not found" in failed.message


async def test_an_image_is_present_after_the_first_pull(harness: Harness) -> None:
    """So that people see whether something was fetched."""
    found = []
    for uid in ("a", "b"):
        harness.ports.start_sandbox(sandbox(uid, template()))
        await harness.until(runtime.SandboxReady)
        harness.ports.pull_image(uid, "web")
        found.append((await harness.until(runtime.ImagePulled)).present)
    assert found == [False, True]


async def test_a_probe_is_answered(harness: Harness) -> None:
    """With the attempt and the kind that it was asked for."""
    action = podspec.ExecAction(command=("true",))
    check = podspec.Probe(exec=action, timeout_seconds=int(GUARD))
    web = container(command=SLEEPER.command, liveness_probe=check)
    await harness.start(template(web))
    harness.ports.probe("u1", "web", 0, "Liveness")
    answer = await harness.until(runtime.Probed)
    assert (answer.kind, answer.attempt, answer.success) == ("Liveness", 0, True)


async def test_a_command_runs_beside_the_container(harness: Harness) -> None:
    """`exec` in what runs; in what does not, `LookupError`."""
    await harness.start(template(SLEEPER))
    result = await harness.ports.exec("u1", "web", ("true",), GUARD)
    assert result.exit_code == 0
    with pytest.raises(LookupError):
        await harness.ports.exec("u1", "other", ("true",), GUARD)


async def test_logs_of_what_is_not_there(harness: Harness) -> None:
    """`LookupError`, before the first chunk."""
    with pytest.raises(LookupError):
        await harness.log("ghost")


async def test_the_node_says_what_it_has(harness: Harness) -> None:
    """The resources that the scheduler counts."""
    info = harness.ports.node_info()
    assert {"cpu", "memory", "pods"} <= info.capacity.keys()
    engines = {"container": "podman"}
    assert info.runtime.startswith(engines.get(harness.ports.name, harness.ports.name))
