"""A kubelet that goes on with the pods of its former life: agent, node and memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from domain import protocol
from kubelet import agent, agent_effects, lifecycle, memory, node, process_runtime
from tests.kubelet.builders import NODE, container, run, stop, template
from tests.kubelet.harness import GUARD
from tests.kubelet.processes import true
from tests.kubelet.scene import Scene, reports, started, status

# --- the agent ----------------------------------------------------------------------


def adopted(*uids: str) -> Scene:
    """An agent that has adopted these pods and has asked for its first list."""
    scene = Scene()
    scene.agent.adopt([status(uid) for uid in uids])
    return scene.connect()


def test_what_control_still_wants_is_not_started_again() -> None:
    """It counts as started in this life: it is only told what it is (rule 2)."""
    scene = adopted("a").sync(run=(run("a"), run("b")))
    assert started(scene.sent) == ["b"]
    assert [e.uid for e in scene.sent if isinstance(e, agent_effects.UpdatePod)] == [
        "a"
    ]


def test_what_control_does_not_know_any_more_is_stopped_with_grace() -> None:
    """As it is for pods that were started in this life."""
    scene = adopted("a").sync()
    stops = [
        (e.uid, e.grace) for e in scene.sent if isinstance(e, agent_effects.StopPod)
    ]
    assert stops == [("a", scene.agent.settings.orphan_grace)]


def test_what_control_wants_to_end_is_stopped_with_its_grace() -> None:
    """A deletion that came while there was no kubelet."""
    scene = adopted("a").sync(stop=(stop("a", 7),))
    stops = [
        (e.uid, e.grace) for e in scene.sent if isinstance(e, agent_effects.StopPod)
    ]
    assert stops == [("a", 7)]


def test_the_first_report_is_of_all_adopted_pods() -> None:
    """Nothing is said of them before the first list; then all of it at once."""
    scene = adopted("a", "b")
    scene.after(5)
    assert reports(scene.sent) == []
    scene.sync(run=(run("a"), run("b")))
    scene.after(1)
    (first, *_) = reports(scene.sent)
    assert first.full
    assert {pod.uid for pod in first.pods} == {"a", "b"}


# --- the memory ---------------------------------------------------------------------


def test_the_memory_keeps_statuses_without_their_notes(tmp_path: Path) -> None:
    """And not what is removed."""
    kept = memory.Memory(tmp_path / "statuses.json")
    note = protocol.Note(reason="Started", message="Container started")
    kept.save([status("a", notes=(note,)), status("b", removed=True)])
    assert memory.Memory(tmp_path / "statuses.json").load() == {"a": status("a")}


@pytest.mark.parametrize("content", [None, b"", b"{", b'[{"uid": 1}]'])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, content: bytes | None) -> None:
    """The node starts all the same."""
    path = tmp_path / "statuses.json"
    if content is not None:
        path.write_bytes(content)
    assert memory.Memory(path).load() == {}


# --- a node with the process runtime ------------------------------------------------


class Silent:
    """A wire that keeps what is said."""

    def __init__(self) -> None:
        self.reports: list[protocol.Report] = []
        self.attempt = 0

    def send_report(self, node: str, report: protocol.Report) -> None:
        """See `node.Wire`."""
        del node
        self.reports.append(report)

    def send_sync(self, node: str, attempt: int, request: protocol.SyncRequest) -> None:
        """See `node.Wire`."""
        del node, request
        self.attempt = attempt


class Life:
    """One life of the kubelet of node `n1`; its pods run on when it ends."""

    def __init__(self, folder: Path, boot: str) -> None:
        self.folder = folder
        self.wire = Silent()
        ports = process_runtime.ProcessRuntime("n1", folder / "n1", keep_pods=True)
        self.node = node.Node(
            "n1", agent.Agent(NODE, boot), ports, self.wire, node.Clock(),
            lifecycle.LifecycleSettings(), memory.Memory(folder / "statuses.json"),
        )  # fmt: skip
        self._task: asyncio.Task[None] | None = None

    async def begin(self, incarnation: int, *uids: str, **other: object) -> None:
        """Opened, adopted, and synced with these pods to run."""
        await self.node.runtime.open()
        self.node.adopt()
        self._task = asyncio.create_task(self.node.run())
        self.node.on_connected()
        reply = protocol.SyncReply(
            position=1, incarnation=incarnation, templates=POD,
            run=tuple(run(uid) for uid in uids), **other,  # type: ignore[arg-type]  # test data
        )  # fmt: skip
        self.node.on_sync_reply(self.wire.attempt, reply)

    async def until(self, uid: str, **wanted: object) -> protocol.PodStatus:
        """The pod's status once it was reported with these fields."""
        async with asyncio.timeout(GUARD):
            while True:
                for report in self.wire.reports:
                    for pod in report.pods:
                        if pod.uid == uid and all(
                            getattr(pod, name) == value
                            for name, value in wanted.items()
                        ):
                            return pod
                await asyncio.sleep(0.01)

    async def ready(self, uid: str) -> protocol.PodStatus:
        """The pod's status once it is ready, and its process has begun to work: before
        that TERM would end it unheard."""
        found = await self.until(uid, ready=True)
        await true(lambda: list(self.folder.glob("n1/pods/*/web/root/here")))
        return found

    async def end(self, *, keep: bool = True) -> None:
        """The kubelet is gone; nobody hears any more how its pods end."""
        if self._task is not None:
            self._task.cancel()
        await self.node.stop(keep_pods=keep, grace_max=0.0)


SCRIPT = "trap 'exit 0' TERM; touch here; sleep 1000 & wait"
POD = {"t": template(container(command=("sh", "-c", SCRIPT)))}


@pytest_asyncio.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A node's folder; in the end a life that control gives nothing ends all."""
    yield tmp_path
    last = Life(tmp_path, "last")
    await last.begin(9)
    for state in last.node.runtime.list():
        last.node.runtime.remove_sandbox(state.uid)
    async with asyncio.timeout(GUARD):
        while last.node.runtime.list():  # noqa: ASYNC110  # processes tell nobody
            await asyncio.sleep(0.01)
    await last.end()


@pytest.mark.asyncio
async def test_a_pod_that_control_still_wants_is_not_touched(folder: Path) -> None:
    """The next life reports it to the last field as the former one did."""
    first = Life(folder, "one")
    await first.begin(1, "a")
    before = await first.ready("a")
    await first.end()
    second = Life(folder, "two")
    await second.begin(2, "a")
    after = await second.until("a", ready=True)
    assert msgspec.structs.replace(after, notes=()) == msgspec.structs.replace(
        before, notes=()
    )
    assert after.notes == ()
    await second.end()


@pytest.mark.asyncio
async def test_a_pod_that_control_has_forgotten_ends(folder: Path) -> None:
    """It gets TERM and its grace; then its removal is reported."""
    first = Life(folder, "one")
    await first.begin(1, "a")
    await first.ready("a")
    await first.end()
    second = Life(folder, "two")
    await second.begin(2)
    gone = await second.until("a", removed=True)
    assert gone.containers[0].exit_code == 0
    assert second.node.runtime.list() == ()
    await second.end()


@pytest.mark.asyncio
async def test_a_node_without_memory_goes_on_too(folder: Path) -> None:
    """The runtime knows enough: the same container, no restart."""
    first = Life(folder, "one")
    await first.begin(1, "a")
    before = await first.ready("a")
    await first.end()
    (folder / "statuses.json").unlink()
    second = Life(folder, "two")
    await second.begin(2, "a")
    after = await second.until("a", ready=True)
    assert after.containers[0].container_id == before.containers[0].container_id
    assert after.containers[0].restarts == 0
    await second.end()
