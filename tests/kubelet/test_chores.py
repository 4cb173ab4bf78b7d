"""Hooks and values carried out for real: processes, a web server, a source."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from domain import podspec, protocol, volumes
from domain.pod_values import Reference
from kubelet import chores, effects, process_runtime, runtime
from tests.kubelet.builders import container, sandbox, template
from tests.kubelet.harness import GUARD, Harness

pytestmark = pytest.mark.asyncio


class Source:
    """Answers with these objects; the first `silent` times not at all."""

    def __init__(self, silent: int = 0, **objects: dict[str, str]) -> None:
        self.silent = silent
        self.objects = objects
        self.asked: list[protocol.ValuesRequest] = []

    async def fetch_values(
        self, node: str, request: protocol.ValuesRequest
    ) -> protocol.ValuesReply:
        """See `chores.Source`."""
        assert node == "n1"
        self.asked.append(request)
        if len(self.asked) <= self.silent:
            raise ConnectionError("nobody is there")
        found = self.objects.get(request.name)
        return protocol.ValuesReply(found=found is not None, data=found or {})


class Desk:
    """Chores over a process runtime, and what they told."""

    def __init__(self, folder: Path) -> None:
        self.ports = process_runtime.ProcessRuntime("n1", folder / "n1")
        self.told: asyncio.Queue[effects.Fact] = asyncio.Queue()
        self.source = Source()

    async def hook(
        self, handler: podspec.LifecycleHandler, kind: effects.HookKind = "PostStart"
    ) -> str:
        """The message of a hook of `web`, which runs."""
        hooks = podspec.Lifecycle(post_start=handler, pre_stop=handler)
        pod = template(container(command=("sleep", "1000"), lifecycle=hooks))
        await Harness(self.ports).start(pod)
        made = chores.Chores(self.ports, self.source, self.told.put_nowait)
        (state,) = self.ports.list()
        asked = effects.RunHook("web", 0, kind)
        made.run_hook(sandbox("u1", pod), state.ip, asked)
        async with asyncio.timeout(GUARD):
            fact = await self.told.get()
        await made.close()
        assert isinstance(fact, effects.HookEnded)
        assert (fact.container, fact.attempt, fact.kind) == ("web", 0, kind)
        return fact.message

    async def values(self, pod: runtime.Sandbox) -> effects.ValuesFetched:
        """What comes of fetching the values of that pod."""
        made = chores.Chores(self.ports, self.source, self.told.put_nowait)
        made.fetch_values(pod, effects.FetchValues("web", 0))
        async with asyncio.timeout(GUARD):
            fact = await self.told.get()
        await made.close()
        assert isinstance(fact, effects.ValuesFetched)
        return fact


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """An opened runtime with its chores; closed afterwards."""
    made = Desk(tmp_path)
    await made.ports.open()
    yield made
    await made.ports.close()


def command(*words: str) -> podspec.LifecycleHandler:
    """A hook that runs that in the container."""
    return podspec.LifecycleHandler(exec=podspec.ExecAction(command=words))


@pytest.mark.parametrize(("words", "message"), [
    (("true",), ""),
    (("sh", "-c", "test -n $POD_IP"), ""),
    (("sh", "-c", "echo no; exit 3"), "exit status 3: no"),
    (("no-such",), 'exec: "no-such": executable file not found in $PATH'),
])  # fmt: skip
async def test_exec_hooks(desk: Desk, words: tuple[str, ...], message: str) -> None:
    """In the container's own environment; exit code 0 is success."""
    assert await desk.hook(command(*words)) == message


@pytest.mark.parametrize("kind", ["PostStart", "PreStop"])
async def test_sleep_hooks(desk: Desk, kind: effects.HookKind) -> None:
    """They succeed when the time is over."""
    handler = podspec.LifecycleHandler(sleep=podspec.SleepAction(seconds=0))
    assert await desk.hook(handler, kind) == ""


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_http_hooks(desk: Desk, status: int) -> None:
    """Any answer is a success, as in Kubernetes; the header and the path arrive."""
    seen = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["X-Why"]))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/hook", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    get = podspec.HTTPGetAction(
        path="hook", port=port, host="127.0.0.1",
        http_headers=(podspec.HTTPHeader(name="X-Why", value="start"),),
    )  # fmt: skip
    assert await desk.hook(podspec.LifecycleHandler(http_get=get)) == ""
    await runner.cleanup()
    assert seen == [("/hook", "start")]


async def test_an_http_hook_that_nobody_answers_fails(desk: Desk) -> None:
    """So does one to a port that the container does not name."""
    get = podspec.HTTPGetAction(path="/", port=18999)
    assert await desk.hook(podspec.LifecycleHandler(http_get=get))
    get = podspec.HTTPGetAction(path="/", port="admin")
    found = await desk.hook(podspec.LifecycleHandler(http_get=get))
    assert found == 'couldn\'t find port: "admin"'


async def test_a_pod_that_is_gone_has_no_chores(desk: Desk) -> None:
    """What is still done for it ends, and tells nothing."""
    handler = podspec.LifecycleHandler(sleep=podspec.SleepAction(seconds=1000))
    pod = sandbox("u1", template(container(lifecycle=podspec.Lifecycle(
        post_start=handler))))  # fmt: skip
    made = chores.Chores(desk.ports, desk.source, desk.told.put_nowait)
    made.run_hook(pod, "127.0.0.1", effects.RunHook("web", 0, "PostStart"))
    made.forget("u1")
    await made.close()
    assert desk.told.empty()


# --- values -------------------------------------------------------------------------


def named(*names: str) -> runtime.Sandbox:
    """A pod with all variables of these ConfigMaps."""
    sources = tuple(
        podspec.EnvFromSource(config_map_ref=podspec.ConfigMapEnvSource(name=name))
        for name in names
    )
    return sandbox("u1", template(container(env_from=sources)))


async def test_values_are_asked_for_by_pod(desk: Desk) -> None:
    """One question for each object; what is not there is left out."""
    desk.source = Source(c={"k": "v"})
    fact = await desk.values(named("c", "none"))
    assert fact.values.objects == {Reference("configmap", "c"): {"k": b"v"}}
    assert fact.problem == ""
    assert desk.source.asked[0] == protocol.ValuesRequest(
        namespace="default", pod="web-1", uid="u1", kind="configmap", name="c"
    )


async def test_nobody_answers_at_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again: a control that is away is no missing ConfigMap."""
    monkeypatch.setattr(chores, "ASK_AGAIN_SECONDS", 0.0)
    desk.source = Source(silent=3, c={"k": "v"})
    fact = await desk.values(named("c"))
    assert len(fact.values.objects) == 1
    assert len(desk.source.asked) == 4


async def test_a_volume_without_its_object_is_a_problem(desk: Desk) -> None:
    """Found out before the container is started."""
    source = volumes.ConfigMapVolumeSource(name="none")
    pod = named()
    spec = msgspec.structs.replace(
        pod.spec, volumes=(podspec.Volume(name="v", config_map=source),)
    )
    fact = await desk.values(msgspec.structs.replace(pod, spec=spec))
    assert fact.problem == (
        'MountVolume.SetUp failed for volume "v" : configmap "none" not found'
    )
