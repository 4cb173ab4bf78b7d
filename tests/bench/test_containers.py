"""`rollbook bench containers` on a real engine, in small."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapters import engine
from rollbook import cli
from rollbook.bench import runner
from rollbook.bench.system import Failure
from tests.support import podman


@pytest.mark.e2e
def test_containers_are_measured_beside_the_engine(tmp_path: Path) -> None:
    """Two pods: every figure is there, the log is right, no container is left."""
    file = tmp_path / "figures.json"
    with podman.engine() as running:
        done = CliRunner().invoke(
            cli.main,
            ["bench", "containers", "--pods", "2", "--json", str(file)],
            env={"DOCKER_HOST": running.url},
        )
        left = running.run("ps", "--all", "--quiet")
    assert done.exit_code == 0, done.output
    outcomes = json.loads(file.read_text())["outcomes"]
    alone, together = (set(each["figures"]) for each in outcomes)
    assert {"engine_start_p50", "start_p50", "start_share"} <= alone
    assert {"engine_end_p50", "end_p50", "end_p99"} <= alone
    assert {"rate", "start_p99"} <= together
    assert left == ""


def test_without_an_engine_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is missing; `all` leaves it out."""
    monkeypatch.setattr(engine, "candidates", lambda _: [])
    with pytest.raises(Failure, match="no container engine"):
        runner.jobs(runner.Options(names=("containers",)))
    assert "containers" in runner.APART


def test_one_real_node_is_on_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no hollow ones beside it."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere")
    (job,) = runner.jobs(runner.Options(names=("containers",), quick=True))
    assert (job.pods, job.shape.nodes, job.shape.hosts()) == (12, 1, {})
    assert job.shape.engine == "unix:///somewhere"
