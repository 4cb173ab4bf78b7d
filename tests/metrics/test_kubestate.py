"""All objects as metrics: the names and labels of kube-state-metrics."""

import asyncio
import re

import pytest

from domain.plain import PlainObject
from domain.protocol import AutoscalerReading
from gateway.kubestate import rendering
from gateway.kubestate.rendering import Form
from gateway.kubestate.state import KubeState
from projections.cluster import Cluster
from tests.metrics import promtool
from tests.support.cluster import SimCluster, manifest

EXPECTED = {
    "kube_deployment_status_replicas": {"namespace", "deployment"},
    "kube_deployment_status_replicas_ready": {"namespace", "deployment"},
    "kube_deployment_status_replicas_available": {"namespace", "deployment"},
    "kube_deployment_status_replicas_unavailable": {"namespace", "deployment"},
    "kube_deployment_status_replicas_updated": {"namespace", "deployment"},
    "kube_deployment_status_observed_generation": {"namespace", "deployment"},
    "kube_deployment_spec_replicas": {"namespace", "deployment"},
    "kube_deployment_spec_paused": {"namespace", "deployment"},
    "kube_deployment_spec_strategy_rollingupdate_max_unavailable": {
        "namespace",
        "deployment",
    },
    "kube_deployment_spec_strategy_rollingupdate_max_surge": {
        "namespace",
        "deployment",
    },
    "kube_deployment_metadata_generation": {"namespace", "deployment"},
    "kube_deployment_created": {"namespace", "deployment"},
    "kube_deployment_labels": {"namespace", "deployment"},
    "kube_deployment_status_condition": {
        "namespace",
        "deployment",
        "reason",
        "condition",
        "status",
    },
    "kube_replicaset_status_replicas": {"namespace", "replicaset"},
    "kube_replicaset_status_fully_labeled_replicas": {"namespace", "replicaset"},
    "kube_replicaset_status_ready_replicas": {"namespace", "replicaset"},
    "kube_replicaset_status_observed_generation": {"namespace", "replicaset"},
    "kube_replicaset_spec_replicas": {"namespace", "replicaset"},
    "kube_replicaset_metadata_generation": {"namespace", "replicaset"},
    "kube_replicaset_created": {"namespace", "replicaset"},
    "kube_replicaset_owner": {
        "namespace",
        "replicaset",
        "owner_kind",
        "owner_name",
        "owner_is_controller",
    },
    "kube_pod_info": {
        "namespace",
        "pod",
        "uid",
        "host_ip",
        "pod_ip",
        "node",
        "created_by_kind",
        "created_by_name",
        "priority_class",
        "host_network",
    },
    "kube_pod_status_phase": {"namespace", "pod", "uid", "phase"},
    "kube_pod_status_ready": {"namespace", "pod", "uid", "condition"},
    "kube_pod_container_status_restarts_total": {
        "namespace",
        "pod",
        "uid",
        "container",
    },
    "kube_pod_container_status_ready": {"namespace", "pod", "uid", "container"},
    "kube_pod_container_status_running": {"namespace", "pod", "uid", "container"},
    "kube_pod_owner": {
        "namespace",
        "pod",
        "uid",
        "owner_kind",
        "owner_name",
        "owner_is_controller",
    },
    "kube_pod_created": {"namespace", "pod", "uid"},
    "kube_node_info": {
        "node",
        "kernel_version",
        "os_image",
        "container_runtime_version",
        "kubelet_version",
        "kubeproxy_version",
        "provider_id",
        "pod_cidr",
        "system_uuid",
        "internal_ip",
    },
    "kube_node_status_condition": {"node", "condition", "status"},
    "kube_node_status_capacity": {"node", "resource", "unit"},
    "kube_node_status_allocatable": {"node", "resource", "unit"},
    "kube_node_spec_unschedulable": {"node"},
    "kube_node_created": {"node"},
}
"""By name: the labels of its samples, as kube-state-metrics documents them."""

_SAMPLE = re.compile(r"(\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def story() -> SimCluster:
    """A Deployment of three pods on two nodes, in its second revision."""
    sim = SimCluster(nodes=2)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=3)})
    sim.settle()
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.settle()
    return sim


async def page(cluster: Cluster, form: Form = "text") -> str:
    """The whole page."""
    pieces = [piece async for piece in KubeState(lambda: cluster).pages(form)]
    return b"".join(pieces).decode()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Each sample of a page by name and labels."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = _SAMPLE.fullmatch(line)
            assert match, line
            key = match[1], tuple(sorted(_LABEL.findall(match[2])))
            assert key not in found, f"twice: {line}"
            found[key] = float(match[3])
    return found


def total(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of a name that have these labels."""
    return sum(
        value
        for (each, held), value in samples(text).items()
        if each == name and labels.items() <= dict(held).items()
    )


@pytest.mark.asyncio
async def test_names_and_labels_are_those_of_kube_state_metrics() -> None:
    """Each name of the table is there, and its samples have exactly its labels."""
    found = samples(await page(story().state.cluster))
    labels = {name: {key for key, _ in held} for name, held in found}

    for name, expected in EXPECTED.items():
        assert name in labels, name
        held = {key for key in labels[name] if not key.startswith("label_")}
        assert held == expected, name


@pytest.mark.asyncio
async def test_the_numbers_are_those_of_the_objects() -> None:
    """Phases, conditions and counts say what the cluster is."""
    text = await page(story().state.cluster)

    assert total(text, "kube_deployment_spec_replicas", deployment="web") == 3
    assert total(text, "kube_deployment_status_replicas_available") == 3
    assert total(text, "kube_pod_status_phase", phase="Running") == 3
    assert total(text, "kube_pod_status_phase", phase="Pending") == 0
    assert total(text, "kube_pod_status_phase") == 3  # each pod is in one phase
    assert total(text, "kube_pod_status_ready", condition="true") == 3
    assert total(text, "kube_replicaset_spec_replicas") == 3
    assert total(text, "kube_replicaset_owner", owner_name="web") == 2
    available = {"condition": "Available", "status": "true"}
    assert total(text, "kube_deployment_status_condition", **available) == 1
    ready = {"condition": "Ready", "status": "true"}
    assert total(text, "kube_node_status_condition", **ready) == 2


AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
        },
        "minReplicas": 2,
        "maxReplicas": 7,
    },
}


@pytest.mark.asyncio
async def test_autoscalers_show_their_bounds_and_what_they_measured() -> None:
    """What one wants is shown once it has measured, and not before."""
    sim = story()
    answer = sim.ask(
        "horizontalpodautoscaler", "web", "create", {"manifest": AUTOSCALER}
    )
    assert answer is not None
    sim.settle()
    before = await page(sim.state.cluster)

    def reading(held: PlainObject) -> AutoscalerReading:
        return AutoscalerReading(
            key=held.key, uid=held.uid, at=1.0, current=3, desired=5
        )

    state = KubeState(lambda: sim.state.cluster, reading)
    after = b"".join([piece async for piece in state.pages("text")]).decode()
    prefix = "kube_horizontalpodautoscaler_"

    for text in (before, after):
        assert total(text, f"{prefix}spec_min_replicas") == 2
        assert total(text, f"{prefix}spec_max_replicas") == 7
    assert f"{prefix}status" not in before
    assert total(after, f"{prefix}status_current_replicas") == 3
    assert total(after, f"{prefix}status_desired_replicas") == 5


@pytest.mark.asyncio
async def test_what_waits_says_why() -> None:
    """Pods that no node takes: they are pending and unschedulable."""
    sim = SimCluster(nodes=0)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=2)})
    sim.settle()
    text = await page(sim.state.cluster)

    assert total(text, "kube_pod_status_unschedulable") == 2
    assert total(text, "kube_pod_status_phase", phase="Pending") == 2
    assert total(text, "kube_pod_status_scheduled", condition="false") == 2


@pytest.mark.asyncio
async def test_what_is_gone_leaves_no_series() -> None:
    """Nothing is kept from scrape to scrape: a deleted object has no sample."""
    sim = story()
    state = KubeState(lambda: sim.state.cluster)
    before = [piece async for piece in state.pages("text")]
    sim.ask("deployment", "web", "delete", {})
    sim.settle()
    after = b"".join([piece async for piece in state.pages("text")]).decode()

    assert b"kube_pod_info" in b"".join(before)
    assert "kube_pod_" not in after
    assert "kube_deployment_" not in after
    assert "kube_node_info" in after


@promtool.needs_promtool
@pytest.mark.asyncio
async def test_promtool_has_nothing_to_say() -> None:
    """The page is one that Prometheus takes without a complaint."""
    assert promtool.complaints(await page(story().state.cluster)) == ""


@pytest.mark.asyncio
async def test_openmetrics_names_a_counter_without_its_total() -> None:
    """The family has the short name there, its samples the long one."""
    text = await page(story().state.cluster, "openmetrics")

    assert "# TYPE kube_pod_container_status_restarts counter\n" in text
    assert "\nkube_pod_container_status_restarts_total{" in text


@pytest.mark.asyncio
async def test_each_family_is_one_block() -> None:
    """The format wants the lines of a family together, under one head."""
    text = await page(story().state.cluster)
    heads = re.findall(r"# TYPE (\w+) ", text)
    blocks = [line.partition("{")[0] for line in text.splitlines() if line[0] != "#"]
    order = [name for i, name in enumerate(blocks) if i == 0 or blocks[i - 1] != name]

    assert len(heads) == len(set(heads))
    assert order == heads


@pytest.mark.asyncio
async def test_a_large_cluster_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No piece has more lines than its bound and one object's: others work between."""
    monkeypatch.setattr(rendering, "PIECE_LINES", 50)
    sim = SimCluster(nodes=4)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=200)})
    sim.settle()
    cluster = sim.state.cluster
    pieces = [piece async for piece in KubeState(lambda: cluster).pages("text")]

    assert len(pieces) > 50
    assert max(piece.count(b"\n") for piece in pieces) <= 50 + 7
    assert samples(b"".join(pieces).decode()) == samples(await page(cluster))


@pytest.mark.asyncio
async def test_the_loop_runs_while_rows_are_made() -> None:
    """Thousands of objects are no reason to stop everything else."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    made = await rendering.rows(str, range(5 * rendering.ROWS_AT_ONCE))
    other.cancel()

    assert len(made) == 5 * rendering.ROWS_AT_ONCE
    assert turns >= 4


@pytest.mark.parametrize(
    ("value", "text"),
    [("plain", "plain"), ('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb")],
)
def test_labels_are_escaped(value: str, text: str) -> None:
    """What people write into a label cannot end it."""
    assert rendering.quoted(value) == text
