"""The scenario `api` on real processes: every figure is there, the log is right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rollbook.bench import kube

ROLLBOOK = Path(sys.executable).with_name("rollbook")


@pytest.mark.e2e
def test_the_api_is_measured_with_all_numbers_of_clients(tmp_path: Path) -> None:
    """Rates and times of each kind of request, and of a watch."""
    figures = tmp_path / "figures.json"
    size = ("--pods", "20", "--nodes", "3")
    done = subprocess.run(
        [str(ROLLBOOK), "bench", "api", *size, "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    (outcome,) = json.loads(figures.read_text())["outcomes"]
    for verb in ("get", "list", "patch"):
        for clients in kube.CLIENTS:
            assert outcome["figures"][f"{verb}_{clients}_rate"] > 0
            assert outcome["figures"][f"{verb}_{clients}_p99"] > 0
    assert outcome["figures"]["told_p99"] > 0
    assert "log ok: api, 20 pods" in done.stdout
