"""What is measured, as readers see it: `usage`, and autoscalers with their figures."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from domain import autoscaler, protocol
from domain.pod import Pod
from gateway.explaining import words_autoscalers
from gateway.live_readings import FRESH_SECONDS
from gateway.reader import Reader
from gateway.service import Service
from tests.gateway.support import Written, ask
from tests.support.cluster import SimCluster
from tests.workers import scenes
from tests.workers.test_autoscaling import KEY, started, under_load
from workers import metric_intake

IDLE = protocol.Usage(window=15.0, pods=())


def used(held: Pod, cpu: float, memory: float) -> protocol.PodUsage:
    """A pod with one container that used so much."""
    return protocol.PodUsage(
        namespace=held.namespace,
        name=held.name,
        uid=held.uid,
        containers=(protocol.ContainerUsage(name="main", cpu=cpu, memory=memory),),
    )


async def measured() -> tuple[Service, Reader, SimCluster, list[Pod]]:
    """Three pods of which two have been measured, seen by a service."""
    sim = SimCluster(nodes=1)
    scenes.deploy(sim, replicas=3)
    pods = sorted(sim.cluster.actual.pods.values(), key=lambda each: each.name)
    reader = await Written(sim).folded()
    node = protocol.NodeUsage(
        node=pods[0].node,
        at=sim.now,
        window=15.0,
        pods=(used(pods[0], 250e6, 64.0), used(pods[1], 100e6, 36.0)),
    )
    reader.live.hear(msgspec.json.encode(protocol.Live(usage=(node,))))
    return Service(reader, now=lambda: sim.now), reader, sim, pods


async def rows(service: Service, **question: Any) -> list[Mapping[str, Any]]:
    """The rows of an answer, which must not be a refusal."""
    answer: Any = await ask(service, "usage", question)
    assert "error" not in answer, answer
    return list(answer.get("rows", ()))


@pytest.mark.asyncio
async def test_usage_of_pods_and_of_their_nodes() -> None:
    """A pod of which nobody has said anything has no row; a node is its pods together.
    Billionths of a core, and bytes."""
    service, _, sim, pods = await measured()
    found = await rows(service, kind="pod")
    assert [(row["name"], row["cpu"], row["memory"]) for row in found] == [
        (pods[0].name, 250_000_000, 64),
        (pods[1].name, 100_000_000, 36),
    ]
    assert found[0]["containers"] == [
        {"name": "main", "cpu": 250_000_000, "memory": 64}
    ]
    (node,) = await rows(service, kind="node")
    assert (node["cpu"], node["memory"], node["window"]) == (350_000_000, 100, 15.0)
    assert node["at"] == sim.now


@pytest.mark.asyncio
async def test_a_node_that_runs_nothing_uses_nothing() -> None:
    """Of a node without pods zero is known, as soon as it has said so, and for as long
    as it says so; a node that has said nothing has no row."""
    sim = SimCluster(nodes=2)
    sim.settle()
    reader = await Written(sim).folded()
    service = Service(reader, now=lambda: sim.now)
    assert await rows(service, kind="node") == []
    heard: list[protocol.NodeUsage] = []
    for usage in (protocol.Usage(window=0.0, pods=()), IDLE):
        metric_intake.take_usage(sim.state, "worker-1", usage, sim.now)
        heard += sim.state.measured
        sim.state.measured.clear()
    assert [each.window for each in heard] == [15.0], "one of no length is refused"
    reader.live.hear(msgspec.json.encode(protocol.Live(usage=tuple(heard))))
    (row,) = await rows(service, kind="node")
    assert (row["name"], row["cpu"], row["memory"]) == ("worker-1", 0, 0)
    assert (row["at"], row["window"]) == (sim.now, 15.0)
    sim.jump(FRESH_SECONDS + 1.0)
    assert await rows(service, kind="node") == []


@pytest.mark.asyncio
async def test_pods_that_are_not_measured_yet_are_not_nothing() -> None:
    """A node that spoke before its pods were there is unknown until they are."""
    sim = SimCluster(nodes=1)
    scenes.deploy(sim, replicas=1)
    reader = await Written(sim).folded()
    spoke = protocol.NodeUsage(node="worker-1", at=sim.now, window=15.0, pods=())
    reader.live.hear(msgspec.json.encode(protocol.Live(usage=(spoke,))))
    assert await rows(Service(reader, now=lambda: sim.now), kind="node") == []


@pytest.mark.asyncio
async def test_usage_is_selected_and_paged() -> None:
    """By name, by namespace, by selector, and in pages."""
    service, _, _, pods = await measured()
    assert len(await rows(service, name=pods[1].name, namespace="default")) == 1
    assert await rows(service, namespace="other") == []
    assert await rows(service, selector="app=other") == []
    assert len(await rows(service, selector="app=web")) == 2
    answer: Any = await ask(service, "usage", {"limit": 1})
    assert (answer["total"], len(answer["rows"])) == (3, 1)
    assert [row["name"] for row in answer["rows"]] == [pods[0].name]
    rest = await rows(service, **{"continue": answer["continue"]})
    assert [row["name"] for row in rest] == [pods[1].name]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"name": "nobody", "namespace": "default"}, "NotFound"),
        ({"kind": "node", "name": "nobody"}, "NotFound"),
        ({"limit": -1}, "BadRequest"),
        ({"selector": "a in"}, "BadRequest"),
        ({"at": {"position": 1}}, "BadRequest"),
    ],
)
async def test_questions_that_have_no_answer(
    question: dict[str, Any], reason: str
) -> None:
    """Who is not there, what makes no sense, and the past, which nobody keeps."""
    service, *_ = await measured()
    answer: Any = await ask(service, "usage", question)
    assert answer["error"]["reason"] == reason


@pytest.mark.asyncio
async def test_readings_go_out_of_date() -> None:
    """A node that went silent shows nothing after a while, and pods that are gone are
    forgotten; what is no message changes nothing."""
    service, reader, sim, pods = await measured()
    reader.live.hear(b"nonsense")
    assert len(await rows(service)) == 2
    sim.jump(FRESH_SECONDS + 1.0)
    assert await rows(service) == []
    later = protocol.NodeUsage(
        node="n", at=sim.now + FRESH_SECONDS, window=15.0,
        pods=(used(pods[2], 1.0, 1.0),),
    )  # fmt: skip
    reader.live.hear(msgspec.json.encode(protocol.Live(usage=(later,))))
    assert [*reader.live.pods] == [pods[2].key]


async def autoscaled() -> tuple[Service, SimCluster]:
    """An autoscaler that has just scaled out, as a reader sees it that was there."""
    sim = started()
    under_load(sim, 160, 40.0)
    reader = await Written(sim).folded()
    for done in sim.steps:
        if done.live is not None:
            reader.live.hear(msgspec.json.encode(done.live))
    return Service(reader, now=lambda: sim.now), sim


@pytest.mark.asyncio
async def test_an_autoscaler_is_shown_with_what_it_measured() -> None:
    """Spec 6.2 and 6.12: TARGETS and REPLICAS; the status of spec 5.6; describe."""
    service, _ = await autoscaled()
    asked = {"kind": "horizontalpodautoscaler", "name": "web", "namespace": "default"}
    table: Any = await ask(service, "get", asked)
    assert table["rows"][0]["cells"][1:6] == [
        "Deployment/web", "cpu: 160%/80%", "1", "10", "4",
    ]  # fmt: skip
    found: Any = await ask(service, "get", {**asked, "format": "object"})
    status = found["items"][0]["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (4, 4)
    assert status["lastScaleTime"].endswith("Z")
    assert [each["type"] for each in status["conditions"]] == [
        "AbleToScale", "ScalingActive", "ScalingLimited",
    ]  # fmt: skip
    current = status["currentMetrics"][0]["resource"]["current"]
    assert current == {"averageValue": "160m", "averageUtilization": 160}
    text: Any = await ask(service, "describe", asked)
    lines = [" ".join(line.split()) for line in text["text"].splitlines()]
    assert (
        "resource cpu on pods (as a percentage of request): 160% (160m) / 80%" in lines
    )
    assert "Deployment pods: 4 current / 4 desired" in lines
    assert any("Normal SuccessfulRescale" in line for line in lines)


@pytest.mark.asyncio
async def test_why_tells_the_figures() -> None:
    """`why` of the Deployment and of the autoscaler: the size, because of this much of
    that on so many pods, and in the end the wish of whoever made the autoscaler."""
    service, _ = await autoscaled()
    for stream in ("deployment/default/web", KEY):
        answer: Any = await ask(service, "why", {"stream": stream})
        links = [link for chain in answer["chains"] for link in chain["links"]]
        words = " | ".join(link["words"] for link in links)
        assert (
            "scaled Deployment web from 2 to 4 pods because cpu was 160 % of 80 %"
            in (words)
        )
        assert "HorizontalPodAutoscaler web was created" in words
    assert "keeps Deployment web between 1 and 10 pods: now 4" in answer["sentence"]


@pytest.mark.parametrize(
    ("name", "value", "target", "words"),
    [
        ("cpu", "143%", "80%", "cpu was 143 % of 80 %"),
        ("cpu", "50m", "100m", "cpu was 50m of 100m"),
        ("memory", "123731968", "200Mi", "memory was 118Mi of 200Mi"),
        ("memory", "3221225472", "2Gi", "memory was 3Gi of 2Gi"),
        ("jobs", "18500m", "10", "jobs was 18.5 of 10"),
        ("jobs", "12", "10", "jobs was 12 of 10"),
    ],
)
def test_figures_are_told_as_people_say_them(
    name: str, value: str, target: str, words: str
) -> None:
    """A share with its sign, memory in binary units, any other metric as a number."""
    held = autoscaler.Figure(type="External", name=name, value=value, target=target)
    assert words_autoscalers.figure(held) == words
