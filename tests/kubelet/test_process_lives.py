"""Pods as real processes: what outlives a kubelet, what does not, and what is seen."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psutil
import pytest

from domain import errors
from kubelet import machine, sandboxes, shims
from tests.kubelet.builders import sandbox, template
from tests.kubelet.harness import GUARD, Harness
from tests.kubelet.processes import gone, make, pid_of, shell, true

pytestmark = pytest.mark.asyncio


async def test_two_kubelets_cannot_have_one_folder(tmp_path: Path) -> None:
    """The second one says what to do."""
    async with next_life(tmp_path):
        with pytest.raises(errors.Permanent, match="another kubelet uses the folder"):
            await make(tmp_path).open()


async def test_close_leaves_nothing(tmp_path: Path) -> None:
    """No process and no file of a pod."""
    ports = make(tmp_path)
    await ports.open()
    started = await Harness(ports).start(shell("trap '' TERM; sleep 1000 & wait"))
    await ports.close()
    await gone(pid_of(started))
    assert list((tmp_path / "node" / "pods").iterdir()) == []


LIFE = """
import asyncio, sys
from pathlib import Path
from kubelet import process_runtime
from tests.kubelet.builders import container, template
from tests.kubelet.harness import Harness

async def main():
    folder, keep, supervisor = Path(sys.argv[1]), sys.argv[2] == "keep", sys.argv[3]
    uid = sys.argv[4]
    ports = process_runtime.ProcessRuntime(
        "n1", folder / "node", keep_pods=keep, supervisor=int(supervisor))
    await ports.open()
    script = "sleep 1001 & echo $!; while true; do sleep 0.1; done"
    pod = template(container(command=("sh", "-c", script)))
    harness = Harness(ports)
    started = await harness.start(pod, uid)
    while not await harness.log(uid):
        await asyncio.sleep(0.01)
    child = (await harness.log(uid)).decode().strip()
    print(started.container_id.removeprefix("process://"), child, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def own_uid() -> str:
    """A uid that no other test's pod has. The next life ends all of this machine that
    carries it, and other processes run tests at the same time."""
    return f"left-{uuid.uuid4()}"


def former_life(
    folder: Path, keep: str, supervisor: int = 0, uid: str = "u1"
) -> tuple[int, int]:
    """A kubelet with one pod, killed with -9; the pids of the pod and of its child."""
    process = subprocess.Popen(
        [sys.executable, "-c", LIFE, str(folder), keep, str(supervisor), uid],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
    pod, child = map(int, line.split())
    return pod, child


async def test_pods_die_with_a_killed_kubelet(tmp_path: Path) -> None:
    """The kubelet gets -9: its pod and the pod's children die, the folder is free."""
    pod, child = await asyncio.to_thread(former_life, tmp_path, "bound", uid=own_uid())
    await gone(pod)
    await gone(child)
    ports = make(tmp_path)
    await ports.open()
    assert ports.list() == ()
    assert list((tmp_path / "node" / "pods").iterdir()) == []
    await ports.close()


def leave_record(folder: Path, uid: str, **identity: int) -> Path:
    """What a former life wrote of a pod with a container `web`; its pod's folder."""
    place = folder / "node" / "pods" / "x"
    (place / "web").mkdir(parents=True)
    record = sandboxes.Record(
        boot_id=machine.boot_id(), ip="127.2.0.2", sandbox=sandbox(uid, template())
    )
    (place / "sandbox.json").write_bytes(msgspec.json.encode(record))
    if identity:
        (place / "web" / "0.run").write_bytes(msgspec.json.encode(identity))
    return place


async def test_what_a_former_life_left_is_ended(tmp_path: Path) -> None:
    """Without the reaper too: the next life finds it by its mark and ends it."""
    uid = own_uid()
    leave_record(tmp_path, uid)
    left = await asyncio.create_subprocess_exec(
        "sleep", "1000", env={"ROLLBOOK_POD_UID": uid, "PATH": os.defpath}
    )
    ports = make(tmp_path)
    await ports.open()
    await ports.close()
    async with asyncio.timeout(GUARD):
        assert await left.wait() == -signal.SIGKILL


@pytest.mark.parametrize("keep", [False, True])
async def test_a_stranger_with_the_same_pid_is_left_alone(
    tmp_path: Path, keep: bool
) -> None:
    """A record names a process by pid and time of start: another one is not ours. As
    what it was is gone, and left no exit, it is told to have ended unseen."""
    stranger = await asyncio.create_subprocess_exec(
        "sleep", "1000", start_new_session=True
    )
    try:
        pid = stranger.pid
        leave_record(tmp_path, own_uid(), pid=pid, start=1, shim=pid, shim_start=1)
        ports = make(tmp_path, keep_pods=keep)
        await ports.open()
        held = [each for pod in ports.held() for each in pod.containers]
        assert [(each.running, each.reason) for each in held] == [
            (False, "ContainerStatusUnknown")
        ][: int(keep)]
        await ports.close()
        assert stranger.returncode is None
        assert psutil.Process(stranger.pid).status() != psutil.STATUS_ZOMBIE
    finally:
        stranger.kill()
        await stranger.wait()


async def test_nothing_is_adopted_after_a_restart_of_the_machine(
    tmp_path: Path,
) -> None:
    """Pids and starts mean nothing then: the pod's files go, it is held no more."""
    place = leave_record(tmp_path, "x")
    record = msgspec.json.decode(
        (place / "sandbox.json").read_bytes(), type=sandboxes.Record
    )
    other = msgspec.structs.replace(record, boot_id="another")
    (place / "sandbox.json").write_bytes(msgspec.json.encode(other))
    ports = make(tmp_path, keep_pods=True)
    await ports.open()
    assert (ports.held(), ports.list(), place.exists()) == ((), (), False)
    await ports.close()


@contextlib.asynccontextmanager
async def next_life(folder: Path) -> AsyncIterator[Harness]:
    """A kubelet that goes on with the pods; at its end they end too."""
    ports = make(folder, keep_pods=True)
    await ports.open()
    try:
        yield Harness(ports)
    finally:
        for state in ports.list():
            ports.remove_sandbox(state.uid)
        await true(lambda: not ports.list())
        await ports.close()


async def test_kept_pods_are_adopted(tmp_path: Path) -> None:
    """With `keep_pods` they outlive a killed kubelet. The next one holds them as they
    were: the same process, its log as it goes on, its environment for `exec`; and it
    sees how they end."""
    pid, child = await asyncio.to_thread(former_life, tmp_path, "keep")
    async with next_life(tmp_path) as harness:
        ports = harness.ports
        (held,) = ports.held()
        (web,) = held.containers
        assert held.sandbox.name == "pod-u1"
        assert (web.name, web.attempt, web.running) == ("web", 0, True)
        assert web.container_id == f"process://{pid}"
        assert await harness.log() == f"{child}\n".encode()
        found = await ports.exec("u1", "web", ("sh", "-c", "echo $POD_NAME"), GUARD)
        assert found.output == "pod-u1\n"
        started = await harness.start(shell("unused"))
        assert pid_of(started) == pid
        os.killpg(pid, signal.SIGTERM)
        ended = await harness.exited()
        assert (ended.exit_code, ended.signal) == (143, signal.SIGTERM)


async def test_an_exit_without_a_kubelet_is_told_with_its_code(tmp_path: Path) -> None:
    """The shim left it: the next life's `held` says the code and when it was."""
    ports = make(tmp_path, keep_pods=True)
    await ports.open()
    script = 'printf why > "$ROLLBOOK_TERMINATION_LOG"; read x < fifo; exit 7'
    started = await Harness(ports).start(shell(f"mkfifo fifo; {script}"))
    await ports.close()
    fifo = tmp_path / "node/pods/default_pod-u1_u1/web/root/fifo"
    await true(fifo.exists)
    await asyncio.to_thread(fifo.write_text, "go\n")
    await gone(pid_of(started))
    exit_file = fifo.parent.parent / "0.exit"
    await true(exit_file.exists)
    async with next_life(tmp_path) as harness:
        (web,) = harness.ports.held()[0].containers
        assert (web.running, web.exit_code, web.message) == (False, 7, "why")
        assert 0 < web.started_at <= web.finished_at


async def test_a_killed_shim_ends_its_container(tmp_path: Path) -> None:
    """Nobody could see its end any more: it is killed and told to be unknown."""
    async with next_life(tmp_path) as harness:
        started = await harness.start(shell("sleep 1000 & wait"))
        files = tmp_path / "node/pods/default_pod-u1_u1/web"
        identity = shims.read_identity(files / "0.run")
        assert identity is not None
        os.kill(identity.shim, signal.SIGKILL)
        ended = await harness.exited()
        assert (ended.exit_code, ended.reason) == (137, "ContainerStatusUnknown")
        await gone(pid_of(started))


async def test_pods_start_though_the_process_that_forks_shims_was_killed(
    tmp_path: Path,
) -> None:
    """Another one is started; what runs under the shims of the first runs on."""
    async with next_life(tmp_path) as harness:
        first = await harness.start(shell("sleep 1000"))
        forks = harness.ports._shims._process  # type: ignore[attr-defined]  # its pid
        forks.kill()
        forks.wait()
        await harness.start(shell("sleep 1000"), uid="u2")
        assert psutil.Process(pid_of(first)).status() != psutil.STATUS_ZOMBIE


async def test_with_a_supervisor_pods_end_with_that(tmp_path: Path) -> None:
    """A killed kubelet is started again by its supervisor and goes on with the pods;
    when the supervisor ends, however it ends, they end too."""
    supervisor = await asyncio.create_subprocess_exec("sleep", "1000")
    try:
        pid, _ = await asyncio.to_thread(former_life, tmp_path, "bound", supervisor.pid)
        again = make(tmp_path, supervisor=supervisor.pid)
        await again.open()
        assert [state.running for state in again.list()] == [("web",)]
    finally:
        supervisor.kill()
        await supervisor.wait()
    await gone(pid)
    assert (await Harness(again).exited()).signal == signal.SIGKILL
    await again.close()
