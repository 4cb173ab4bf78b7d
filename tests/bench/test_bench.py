"""The benchmark itself, on real processes: it says all it promises, and ends clean."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.system import eventually

ROLLBOOK = Path(sys.executable).with_name("rollbook")
GUARD_SECONDS = 240


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`rollbook bench` with these words."""
    return subprocess.run(
        [str(ROLLBOOK), "bench", *arguments],
        capture_output=True,
        text=True,
        timeout=GUARD_SECONDS,
        check=False,
    )


@pytest.mark.e2e
def test_a_small_run_prints_every_figure_and_succeeds(tmp_path: Path) -> None:
    """Rollouts and a restart on one system: every row is there, the log is right."""
    figures, picture = tmp_path / "figures.json", tmp_path / "plot.svg"
    done = bench(
        *("create", "roll", "undo", "restart", "--pods", "40", "--nodes", "3"),
        *("--json", str(figures), "--svg", str(picture)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(figures.read_text())
    outcomes = {each["scenario"]: each for each in document["outcomes"]}
    assert outcomes.keys() == {"create", "roll", "undo", "restart"}
    for name in ("create", "roll", "undo"):
        assert outcomes[name]["figures"]["rate"] > 0
        assert f"log ok: {name}, 40 pods" in done.stdout
    assert outcomes["restart"]["figures"]["control_ready"] > 0
    assert "store_per_life" in outcomes["restart"]["figures"]
    assert {"nats-server", "python", "cores"} <= document["machine"].keys()
    assert picture.read_text().startswith("<svg")


@pytest.mark.e2e
def test_faults_are_measured_and_the_log_stays_right() -> None:
    """Deaths, lost nodes and a killed writer: replaced, and the log is right."""
    done = bench(
        *("reaction", "node-loss", "kill", "mixed", "--pods", "60", "--nodes", "4")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("reaction", "node-loss", "kill", "mixed create", "mixed delete"):
        assert f"log ok: {name}," in done.stdout, done.stdout


@pytest.mark.e2e
def test_a_deadline_reports_what_was_reached(tmp_path: Path) -> None:
    """It never hangs: what was waited for is told, and the status is 1."""
    figures = tmp_path / "figures.json"
    done = bench(
        *("create", "--pods", "4000", "--deadline", "0.05", "--json", str(figures))
    )
    assert done.returncode == 1
    (outcome,) = json.loads(figures.read_text())["outcomes"]
    assert "took longer than 0 s" in outcome["stopped"]
    assert "rate" not in outcome["figures"]


@pytest.mark.e2e
def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle: status 130, no process, no folder."""
    data = tmp_path / "data"
    process = subprocess.Popen(
        [str(ROLLBOOK), "bench", "idle", "--nodes", "3", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        deadline = time.monotonic() + GUARD_SECONDS
        while len(_children(process.pid)) < 4:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        children = _children(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=GUARD_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    # What it started dies with it, by the kernel's word to each process.
    eventually(lambda: not any(map(_runs, children)), "no process is left")
    assert list(data.iterdir()) == []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)
