"""What is said of a node whose kubelet describes it otherwise."""

import msgspec
import pytest

from domain import podspec, protocol
from tests.gateway.support import service_of
from tests.gateway.test_why import why
from tests.support.cluster import SimCluster

AWAY = podspec.Taint(
    key="rollbook/engine-unavailable", value="not-answering", effect="NoSchedule"
)
IMAGE = protocol.ContainerImage(names=("web:1",), size_bytes=1)


@pytest.mark.asyncio
async def test_a_node_says_in_which_way_it_is_another_one() -> None:
    """A failing engine is told with its taint, and when it is over; images by name of
    what changed alone."""
    sim = SimCluster(1)
    sim.settle()
    worker = sim.nodes["worker-1"]
    steps = ({"taints": (AWAY,)}, {"taints": ()}, {"images": (IMAGE,)})
    for changed in steps:
        worker.describe(sim.now, msgspec.structs.replace(worker.info, **changed))
        sim.run_for(5.0)
    found = await why(await service_of(sim), stream="node/worker-1", all=True)
    said = [
        link.words
        for chain in found.chains
        for link in chain.links
        if "otherwise" in link.words
    ]
    subject = "the kubelet of node worker-1 describes it otherwise: "
    assert said == [
        f"{subject}its images",
        f"{subject}it has no taints of its own any more",
        f"{subject}its taints are rollbook/engine-unavailable=not-answering:NoSchedule",
    ]
