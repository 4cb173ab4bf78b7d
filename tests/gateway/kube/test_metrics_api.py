"""`metrics.k8s.io/v1beta1`: what `kubectl top` reads, in its units."""

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
import pytest_asyncio

from domain import protocol
from domain.errors import Rejected
from domain.pod import Pod
from gateway.kube import routes
from gateway.kube.metrics_api import Metrics
from gateway.kube.request import JSON, Request, User
from gateway.kube.statuses import Failure
from gateway.live_readings import FRESH_SECONDS
from tests.gateway.kube.watching import Api
from tests.gateway.support import Written
from tests.support.cluster import SimCluster
from tests.workers import scenes

GROUP = "/apis/metrics.k8s.io/v1beta1"
PODS = f"{GROUP}/namespaces/default/pods"
Used = tuple[str, float | None, float | None]
"""A container, billionths of a core, bytes."""


class Scene:
    """Three pods on one node, and what answers questions about them."""

    def __init__(self) -> None:
        self.sim = SimCluster(nodes=1)
        scenes.deploy(self.sim, replicas=3)
        held = self.sim.cluster.actual.pods.values()
        self.pods: list[Pod] = sorted(held, key=lambda each: each.name)
        self.api = Api(Written(self.sim), self.sim.now)
        self._metrics = Metrics(self.api.objects, lambda: self.api.reader.live)

    def measure(self, *pods: tuple[Pod, Sequence[Used]], window: float = 15.0) -> None:
        """The node has said what these pods use."""
        usage = protocol.NodeUsage(
            node=pods[0][0].node,
            at=self.sim.now,
            window=window,
            pods=tuple(
                protocol.PodUsage(
                    namespace=pod.namespace,
                    name=pod.name,
                    uid=pod.uid,
                    containers=tuple(
                        protocol.ContainerUsage(name=name, cpu=cpu, memory=memory)
                        for name, cpu, memory in used
                    ),
                )
                for pod, used in pods
            ),
        )
        live = protocol.Live(usage=(usage,))
        self.api.reader.live.hear(msgspec.json.encode(live))

    async def get(self, path: str, **params: str) -> JSON:
        """The document at a path."""
        route = routes.find("GET", path, params)
        request = Request(
            user=User(name="ann", secret="s"),
            verb=route.verb,
            resource=route.resource,
            namespace=route.namespace,
            name=route.name,
            params=params,
        )
        reply = await self._metrics.answer(request)
        document = reply.document
        assert isinstance(document, dict)
        return document

    async def names(self, path: str, **params: str) -> list[str]:
        """The names of a list."""
        items = (await self.get(path, **params))["items"]
        assert isinstance(items, list)
        return [each["metadata"]["name"] for each in items]


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    """Nothing is measured yet."""
    found = Scene()
    await found.api.fold()
    yield found
    found.api.close()


@pytest.mark.asyncio
async def test_a_pod_with_its_containers(scene: Scene) -> None:
    """Each container by itself; when it was measured, and over how long."""
    pod = scene.pods[0]
    main, side = ("main", 12_000_001.0, 34.0 * 2**20), ("side", 0.0, 1.0)
    scene.measure((pod, [main, side]))
    found = await scene.get(f"{PODS}/{pod.name}")
    metadata, time = found["metadata"], found["timestamp"]
    assert isinstance(time, str)
    assert time.endswith("Z")
    assert metadata == {
        "name": pod.name, "namespace": "default", "creationTimestamp": time,
    }  # fmt: skip
    assert (found["kind"], found["window"]) == ("PodMetrics", "15.000s")
    assert found["apiVersion"] == "metrics.k8s.io/v1beta1"
    assert found["containers"] == [
        {"name": "main", "usage": {"cpu": "12000001n", "memory": "34816Ki"}},
        {"name": "side", "usage": {"cpu": "0n", "memory": "1Ki"}},
    ]
    assert "usage" not in found


@pytest.mark.asyncio
async def test_a_node_is_its_pods_together(scene: Scene) -> None:
    """A node has no namespace and no containers."""
    one, two, _ = scene.pods
    scene.measure((one, [("c", 2e8, 2048.0)]), (two, [("c", 3e8, 1025.0)]))
    found = await scene.get(f"{GROUP}/nodes/{one.node}")
    assert found["kind"] == "NodeMetrics"
    assert found["usage"] == {"cpu": "500000000n", "memory": "4Ki"}
    assert "containers" not in found
    metadata = found["metadata"]
    assert isinstance(metadata, dict)
    assert [*metadata] == ["name", "creationTimestamp"]


@pytest.mark.asyncio
async def test_lists(scene: Scene) -> None:
    """By name, of a namespace, of all, and by labels; nothing of who is unknown."""
    one, two, _ = scene.pods
    scene.measure((two, [("c", 1.0, 1.0)]), (one, [("c", 1.0, 1.0)]))
    listed = await scene.get(PODS)
    assert (listed["kind"], listed["metadata"]) == ("PodMetricsList", {})
    both = [one.name, two.name]
    assert await scene.names(PODS) == both
    assert await scene.names(f"{GROUP}/pods") == both
    assert await scene.names(PODS, labelSelector="app=web") == both
    assert await scene.names(PODS, labelSelector="app=other") == []
    assert await scene.names(f"{GROUP}/namespaces/other/pods") == []
    assert await scene.names(f"{GROUP}/nodes") == [one.node]


@pytest.mark.asyncio
async def test_what_was_measured_in_part_is_not_there(scene: Scene) -> None:
    """A number that is missing is never shown as 0: the pod comes once all of its
    containers are measured, as in Kubernetes; its node is the others together."""
    half, whole, _ = scene.pods
    scene.measure(
        (half, [("c", None, 2048.0), ("d", 1.0, 1024.0)]), (whole, [("c", 7.0, 1024.0)])
    )
    assert await scene.names(PODS) == [whole.name]
    with pytest.raises(Rejected) as caught:
        await scene.get(f"{PODS}/{half.name}")
    assert caught.value.reason == "NotFound"
    node = await scene.get(f"{GROUP}/nodes/{half.node}")
    assert node["usage"] == {"cpu": "7n", "memory": "1Ki"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "measured", ["never", "long ago", "of a pod before it, with the same name"]
)
async def test_nothing_is_known_of_it(scene: Scene, measured: str) -> None:
    """kubectl reads NotFound as: not yet. Lists leave out what is not known."""
    pod = scene.pods[0]
    if measured == "long ago":
        scene.measure((pod, [("c", 1.0, 1.0)]))
        scene.api.now += FRESH_SECONDS + 1.0
    elif measured != "never":
        former = msgspec.structs.replace(pod, uid="another")
        scene.measure((former, [("c", 1.0, 1.0)]))
    for path, said in (
        (
            f"{PODS}/{pod.name}",
            f'podmetrics.metrics.k8s.io "default/{pod.name}" not found',
        ),
        (
            f"{GROUP}/nodes/{pod.node}",
            f'nodemetrics.metrics.k8s.io "{pod.node}" not found',
        ),
    ):
        with pytest.raises(Rejected) as caught:
            await scene.get(path)
        assert (caught.value.reason, str(caught.value)) == ("NotFound", said)
    assert await scene.names(PODS) == []
    assert await scene.names(f"{GROUP}/nodes") == []


@pytest.mark.asyncio
async def test_questions_that_are_refused(scene: Scene) -> None:
    """Fields pick nothing, a selector must be one, and who is not there is not."""
    scene.measure((scene.pods[0], [("c", 1.0, 1.0)]))
    with pytest.raises(Failure, match="fieldSelector") as failed:
        await scene.get(PODS, fieldSelector="metadata.name=a")
    assert failed.value.code == 400
    with pytest.raises(Rejected) as caught:
        await scene.get(PODS, labelSelector="a in")
    assert caught.value.reason == "BadRequest"
    with pytest.raises(Rejected, match='"nobody" not found'):
        await scene.get(f"{PODS}/nobody")
