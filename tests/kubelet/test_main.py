"""The kubelet's process against a real broker; control is a few lines here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from adapters import nats_server, nats_wire
from domain import errors, podspec, protocol
from kubelet import agent, logs_service, main
from tests.kubelet.builders import container, run, stop, template
from tests.support import ports

GUARD = 60.0
TEMPLATES = {
    "t": template(container(command=("sh", "-c", "echo hello; sleep 1000"))),
    "pull": template(container(image="nowhere/nothing:1")),
    "crash": template(container(command=("sh", "-c", "echo once; exit 1"))),
}


class Control:
    """Answers syncs, hears reports, assigns."""

    def __init__(self, client: nats_wire.Client) -> None:
        self.client = client
        self.incarnation = 0
        self.boots: list[str] = []
        self.position = 1
        self.wanted: dict[str, protocol.PodRun] = {}
        self.heard: dict[str, protocol.PodStatus] = {}
        self.reports: list[protocol.Report] = []
        self.messages = 0
        self.news = asyncio.Event()

    async def start(self) -> None:
        """Listens."""
        await self.client.subscribe("rollbook.sync.*", cb=self.on_sync)
        await self.client.subscribe("rollbook.report.*", cb=self.on_report)
        await self.client.flush()

    async def on_sync(self, message: Msg) -> None:
        """Grants an incarnation per boot."""
        request = msgspec.json.decode(message.data, type=protocol.SyncRequest)
        if request.boot_id not in self.boots:
            self.boots.append(request.boot_id)
            self.incarnation += 1
        reply = protocol.SyncReply(
            position=self.position,
            incarnation=self.incarnation,
            templates=TEMPLATES,
            run=tuple(self.wanted.values()),
        )
        await message.respond(msgspec.json.encode(reply))

    async def on_report(self, message: Msg) -> None:
        """Remembers the newest status of each pod and confirms."""
        self.messages += 1
        report = msgspec.json.decode(message.data, type=protocol.Report)
        self.reports.append(report)
        self.heard |= {pod.uid: pod for pod in report.pods}
        self.news.set()
        await self.assign(confirmed=(report.sequence,), step=0)

    async def assign(self, *, step: int = 1, **fields: object) -> None:
        """Publishes the next link of the chain."""
        message = protocol.Assignment(
            from_position=self.position,
            to_position=self.position + step,
            incarnation=self.incarnation,
            templates=TEMPLATES,
            **fields,  # type: ignore[arg-type]  # test data
        )
        self.position += step
        subject = nats_wire.assign_subject("n1")
        await self.client.publish(subject, msgspec.json.encode(message))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for reports until `condition` holds."""
        async with asyncio.timeout(GUARD):
            while not condition():
                self.news.clear()
                await self.news.wait()


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[nats_server.EmbeddedServer]:
    """A real server with one node and one user, on a free port."""
    server = nats_server.EmbeddedServer(
        tmp_path / "nats", nodes=["n1"], port=ports.free_port()
    )
    async with server:
        yield server


@pytest_asyncio.fixture
async def control(broker: nats_server.EmbeddedServer) -> AsyncIterator[Control]:
    """Control, listening."""
    login = broker.credential("control")
    client = await nats_wire.connect(broker.url, login.login, login.secret, "control")
    heart = Control(client)
    await heart.start()
    yield heart
    await nats_wire.close(client)


def settings_for(
    broker: nats_server.EmbeddedServer, folder: Path, **fields: object
) -> main.KubeletSettings:
    """The settings of the kubelet of `n1`."""
    login = broker.credential("node-n1")
    return main.KubeletSettings(
        node="n1", url=broker.url, user=login.login, secret=login.secret,
        data=folder / "kubelet", **{"heartbeat": 0.5, **fields},  # type: ignore[arg-type]  # test data
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(settings: main.KubeletSettings) -> AsyncIterator[None]:
    """A kubelet from the moment that it is ready, until it has stopped."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(main.run(settings, stop=stopping, ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    async with asyncio.timeout(GUARD):
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(GUARD):
            await task


@pytest.mark.parametrize("runtime", ["process", "hollow"])
@pytest.mark.asyncio
async def test_a_pod_comes_and_goes(
    broker: nats_server.EmbeddedServer, control: Control, tmp_path: Path, runtime: str
) -> None:
    """Assigned, Running, stopped, removed; heartbeats in between."""
    async with running(settings_for(broker, tmp_path, runtime=runtime)):
        await control.until(lambda: bool(control.reports))
        assert control.reports[0].full
        await control.assign(run=(run("a"), run("b")))
        await control.until(lambda: {"a", "b"} <= control.heard.keys())
        await control.until(lambda: all(p.ready for p in control.heard.values()))
        assert {p.phase for p in control.heard.values()} == {"Running"}
        count = len(control.reports)
        await control.until(lambda: len(control.reports) > count + 2)
        assert control.reports[-1].pods == ()
        await control.assign(stop=(stop("a", 0),))
        await control.until(lambda: control.heard["a"].removed)
        assert not control.heard["b"].removed


@pytest.mark.asyncio
async def test_a_restarted_kubelet_runs_its_pods_again(
    broker: nats_server.EmbeddedServer, control: Control, tmp_path: Path
) -> None:
    """Another boot: another incarnation, a full report, the same uids."""
    control.wanted = {"a": run("a")}
    settings = settings_for(broker, tmp_path, stop_grace_max=0.0)
    for incarnation in (1, 2):
        control.heard.clear()
        async with running(settings):
            await control.until(lambda: "a" in control.heard)
            await control.until(lambda: control.heard["a"].ready)
        assert control.incarnation == incarnation
    assert not [p for r in control.reports for p in r.pods if p.removed]


@pytest.mark.asyncio
async def test_a_broker_that_restarts_costs_nothing(
    broker: nats_server.EmbeddedServer, control: Control, tmp_path: Path
) -> None:
    """Cut off and back: the pod ran on, and a full report follows."""
    async with running(settings_for(broker, tmp_path)):
        await control.assign(run=(run("a"),))
        await control.until(lambda: "a" in control.heard)
        await control.until(lambda: control.heard["a"].ready)
        before = control.heard["a"].containers[0].container_id
        control.wanted = {"a": run("a")}
        await broker.restart()
        count = len(control.reports)
        await control.until(lambda: any(r.full for r in control.reports[count:]))
        assert control.heard["a"].containers[0].container_id == before


@pytest.mark.asyncio
async def test_rubbish_on_the_wire_costs_nothing(
    broker: nats_server.EmbeddedServer, control: Control, tmp_path: Path
) -> None:
    """An unreadable assignment is left out; the next one is obeyed."""
    async with running(settings_for(broker, tmp_path, runtime="hollow")):
        for rubbish in (b"", b"{", b"[]", b'{"fromPosition":"x"}', b"\xff" * 1000):
            await control.client.publish(nats_wire.assign_subject("n1"), rubbish)
        await control.assign(run=(run("a"),))
        await control.until(lambda: "a" in control.heard)


async def ask(client: nats_wire.Client, request: bytes) -> list[Msg]:
    """All messages of one answer."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    subject = nats_wire.node_subject("n1", "logs")
    await client.publish(subject, request, reply=inbox)
    answers = []
    async with asyncio.timeout(GUARD):
        async for message in subscription.messages:
            answers.append(message)
            headers = message.headers or {}
            if headers.keys() & {logs_service.END, logs_service.ERROR}:
                break
    await subscription.unsubscribe()
    return answers


@pytest.mark.asyncio
async def test_logs_over_the_wire(
    broker: nats_server.EmbeddedServer, control: Control, tmp_path: Path
) -> None:
    """Parts with numbers, then the end; an error is a sentence."""
    login = broker.credential("admin")
    user = await nats_wire.connect(broker.url, login.login, login.secret, "user")
    async with running(settings_for(broker, tmp_path, stop_grace_max=0.0)):
        await control.assign(run=(run("a"),))
        await control.until(lambda: "a" in control.heard)
        await control.until(lambda: control.heard["a"].ready)
        request = b'{"namespace":"default","name":"pod-a","tail":5}'
        answers = await ask(user, request)
        async with asyncio.timeout(GUARD):
            while len(answers) < 2:  # the process has started, its output may come
                answers = await ask(user, request)
        assert [m.data for m in answers] == [b"hello\n", b""]
        assert [dict(m.headers or {}) for m in answers] == [
            {"Rollbook-Part": "1"},
            {"Rollbook-End": "1"},
        ]
        for wrong, sentence in [
            (b'{"namespace":"x","name":"y"}', 'pod "y" in namespace "x" is not here'),
            (b"{}", "Object missing required field `namespace`"),
            (
                b'{"namespace":"default","name":"pod-a","container":"z"}',
                "container z is not valid for pod pod-a",
            ),
        ]:
            (answer,) = await ask(user, wrong)
            assert dict(answer.headers or {}) == {"Rollbook-Error": sentence}
    await nats_wire.close(user)


@pytest.mark.asyncio
async def test_logs_of_a_pod_that_cannot_start_or_not_stay(
    broker: nats_server.EmbeddedServer, control: Control, tmp_path: Path
) -> None:
    """One that waits is refused by its name; between two runs, the last one is read."""
    login = broker.credential("admin")
    user = await nats_wire.connect(broker.url, login.login, login.secret, "user")
    async with running(settings_for(broker, tmp_path, stop_grace_max=0.0)):
        await control.assign(run=(run("a", "pull"), run("b", "crash")))
        await control.until(lambda: {"a", "b"} <= control.heard.keys())
        await control.until(lambda: "Image" in waits_for(control, "a"))
        (answer,) = await ask(user, b'{"namespace":"default","name":"pod-a"}')
        assert (answer.headers or {})["Rollbook-Error"].startswith(
            'container "web" in pod "pod-a" is waiting to start: '
        )
        await control.until(lambda: waits_for(control, "b") == "CrashLoopBackOff")
        for request in (
            b'{"namespace":"default","name":"pod-b"}',
            b'{"namespace":"default","name":"pod-b","previous":true}',
        ):
            assert [m.data for m in await ask(user, request)] == [b"once\n", b""]
    await nats_wire.close(user)


def waits_for(control: Control, uid: str) -> str:
    """What the container of a pod waits for, as it was reported."""
    (container,) = control.heard[uid].containers
    return container.reason if container.state == "waiting" else ""


@pytest.mark.asyncio
async def test_logs_are_never_sent_where_a_node_reports(
    broker: nats_server.EmbeddedServer, control: Control, tmp_path: Path
) -> None:
    """Who asks names the subject of the answer: it must not be a report's."""
    login = broker.credential("admin")
    user = await nats_wire.connect(broker.url, login.login, login.secret, "user")
    async with running(settings_for(broker, tmp_path, runtime="hollow", heartbeat=60)):
        await control.until(lambda: bool(control.reports))
        count = control.messages
        subject = nats_wire.node_subject("n1", "logs")
        await user.publish(subject, b"{}", reply=nats_wire.report_subject("n1"))
        await ask(user, b"{}")  # it is answered after the one before
        await control.client.flush()
        assert control.messages == count
    await nats_wire.close(user)


@pytest.mark.asyncio
async def test_a_wrong_secret_ends_the_kubelet(
    broker: nats_server.EmbeddedServer, tmp_path: Path
) -> None:
    """With a sentence, not with a loop."""
    right = settings_for(broker, tmp_path, runtime="hollow")
    settings = msgspec.structs.replace(right, secret="wrong")
    with pytest.raises(errors.Permanent, match="refuses the user"):
        await main.run(settings, stop=asyncio.Event())


def test_overrides_and_labels() -> None:
    """What is given wins over what was found."""
    found = protocol.NodeInfo(
        capacity={"cpu": "2", "memory": "1Gi"}, allocatable={"cpu": "2"},
        architecture="amd64",
    )  # fmt: skip
    settings = main.KubeletSettings(
        node="n1", cpu="8", labels={"disk": "ssd"}, taints=(podspec.Taint(key="k"),)
    )
    info = main.node_info(found, "n1", settings)
    assert info.capacity == info.allocatable == {"cpu": "8", "memory": "1Gi"}
    assert info.labels["kubernetes.io/hostname"] == "n1"
    assert info.labels["disk"] == "ssd"
    assert info.taints[0].key == "k"


@pytest.mark.asyncio
async def test_many_hollow_nodes_in_one_process(tmp_path: Path) -> None:
    """Each has a name, and a login of its own where one is given."""
    names = [f"hollow-{number}" for number in range(5)]
    server = nats_server.EmbeddedServer(
        tmp_path / "nats", nodes=names, port=ports.free_port()
    )
    async with server:
        login = server.credential("control")
        client = await nats_wire.connect(server.url, login.login, login.secret, "c")
        control = Control(client)
        await control.start()
        secrets = {
            f"node-{name}": server.credential(f"node-{name}").secret for name in names
        }
        settings = main.KubeletSettings(url=server.url, nodes=5, secrets=secrets)
        async with running(settings):
            await control.until(lambda: sum(r.full for r in control.reports) >= 5)
            assert len(control.boots) == 5
        await nats_wire.close(client)


def test_settings_have_working_defaults() -> None:
    """Heartbeat and report interval as the agent has them."""
    settings = main.KubeletSettings(node="x")
    assert settings.heartbeat == agent.HEARTBEAT
    assert settings.report_interval == agent.REPORT_INTERVAL
    assert settings.names() == ("x",)
