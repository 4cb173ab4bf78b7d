"""The benchmark itself: it runs, says everything that it promises, and is not lenient.

1. A tiny run goes through all scenarios on real processes. Its figures say nothing.
2. The check of the log that stands behind each verdict must be able to fail.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import eventlog, memory_log
from benchmarks import audit, report, results
from domain import catalogue, pod
from domain.events import Event, Recorded
from domain.node import NodeBecameReady, NodeRegistered
from domain.protocol import NodeInfo, PodObservation

ROOT = Path(__file__).parent.parent
ROOM = {"cpu": "1", "memory": "1Gi", "pods": "2"}


@pytest.mark.e2e
def test_a_small_run_prints_every_figure_and_succeeds(tmp_path: Path) -> None:
    """50 pods on 3 nodes: every row is there, the log is right, the status is 0."""
    target = tmp_path / "figures.json"
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/run.py"),
            *("--pods", "50", "--nodes", "3", "--json", str(target)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    labels = [*report.OPERATIONS.values()]
    labels += [
        f"{each}, {quantile}"
        for each in report.LATENCIES.values()
        for quantile in ("p50", "p99")
    ]
    labels += ["store, per pod ever created", "EVENTS on disk", "idle, all processes"]
    labels += ["  control ", "  api ", "  hollow ", "  nats ", "  benchmark "]
    labels += ["pass: the log is right"]
    assert [each for each in labels if each not in done.stdout] == []
    document = json.loads(target.read_text())
    assert document["rates"].keys() == {"create/50", "roll/50", "undo/50"}
    assert all(rate > 0 for rate in document["rates"].values())
    assert document["runs"][0]["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--pods", "1000", "--nodes", "3"), "do not fit on 3 nodes"),
        (("--pods", "0"), "0 is below 1"),
        (("--store", "memory:"), "--store takes one size and one run"),
        (("--store", "memory:", "--pods", "9"), "not shared by processes"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    arguments: tuple[str, ...], sentence: str
) -> None:
    """A wish that would end in a hang or in a wrong figure is status 2, with why."""
    done = subprocess.run(
        [sys.executable, "benchmarks/run.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())


def test_the_audit_finds_a_node_that_holds_more_than_it_can() -> None:
    """A third pod on a node with room for two is a problem, with its position."""
    found = _audited(*_pods_on_one_node(3))
    assert found.problems == [
        "position 8: worker holds 3 pods, more than it can",
    ]


def test_the_audit_is_content_with_a_log_that_is_right() -> None:
    """Two pods on a node with room for two are no problem."""
    assert _audited(*_pods_on_one_node(2)).problems == []


def test_the_audit_finds_too_many_and_too_few_pods() -> None:
    """Surge and availability are checked at the end of a step."""
    found = _audited(*_pods_on_one_node(2), bounds=(1, 1))
    assert "position 2: 0 pods available, at least 1 promised" in found.problems
    assert found.problems[-1] == "position 6: 2 pods, at most 1 allowed"


def test_the_audit_finds_a_scenario_that_ended_wrong() -> None:
    """Counts, readiness, owners and the completion are compared with what was asked."""
    wrong = _audited(*_pods_on_one_node(2)).final(pods=3, revision=1)
    assert wrong == [
        "2 pods exist, not 3",
        "2 pods are not available",
        "2 pods do not belong to the current ReplicaSet",
        "revision 1 was said to be complete with no pods available",
    ]


def test_the_audit_counts_a_terminating_pod_as_unavailable() -> None:
    """From the request to end it on, a pod counts for nothing but its node's room."""
    ready = pod.PodReported(
        incarnation=1, sequence=1, seen=PodObservation(phase="Running", ready=True)
    )
    end = pod.PodTerminationRequested(why="test", reason="ScaledDown")
    found = _audited(*_pods_on_one_node(1), ("pod/default/p0", ready))
    assert [each.available for each in found.pods.values()] == [1]
    found = _audited(
        *_pods_on_one_node(1), ("pod/default/p0", ready), ("pod/default/p0", end)
    )
    assert [each.available for each in found.pods.values()] == [0]
    assert found.nodes["worker"].held == 1


@pytest.mark.parametrize(
    ("milliseconds", "p50", "p99"),
    [
        ([7], 7, 7),
        ([1, 2], 1, 2),
        (range(1, 101), 50, 99),
        (range(1, 201), 100, 198),
    ],
)
def test_quantiles_are_by_nearest_rank(
    milliseconds: list[int], p50: int, p99: int
) -> None:
    """A quantile is a value that was measured; nothing is interpolated."""
    found = results.quantiles([each / 1000 for each in milliseconds])
    assert found.p50 == pytest.approx(p50)
    assert found.p99 == pytest.approx(p99)


def _pods_on_one_node(count: int) -> list[tuple[str, Event]]:
    info = NodeInfo(capacity=ROOM, allocatable=ROOM)
    registered = NodeRegistered(uid="n", boot_id="b", incarnation=1, info=info)
    story: list[tuple[str, Event]] = [
        ("node/worker", registered),
        ("node/worker", NodeBecameReady()),
    ]
    for number in range(count):
        key = f"pod/default/p{number}"
        created = pod.PodCreated(uid=f"u{number}", owner="replicaset/default/r")
        story += [(key, created), (key, pod.PodScheduled(node="worker"))]
    return story


def _audited(
    *story: tuple[str, Event], bounds: tuple[int, int] | None = None
) -> audit.Audit:
    """An audit of this story, each event a step of its own."""
    log = memory_log.MemoryLog()
    versions: dict[str, int] = {}
    rows = []
    for position, (stream, event) in enumerate(story, 1):
        versions[stream] = version = versions.get(stream, 0) + 1
        recorded = Recorded(
            position, stream, version, float(position), "test", 0, "", event
        )
        state = catalogue.encode(recorded)
        rows.append(eventlog.Row(position, stream, version, event.TOPIC, state))
    log.append(rows)
    found = audit.Audit(log, cpu_milli=100, memory=1)
    if bounds is not None:
        found.bounds(*bounds)
    found.advance()
    return found
