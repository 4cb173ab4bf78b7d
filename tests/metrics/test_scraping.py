"""The Prometheus configuration that `rollbook up --metrics` writes."""

import socket
from pathlib import Path

import yaml

from rollbook import scraping
from rollbook.scraping import Ports
from tests.metrics import promtool


def test_each_process_has_a_port_and_each_part_a_job(tmp_path: Path) -> None:
    """Nodes are one job; ports are free and different."""
    ports = Ports()
    for process in ("control", "api", "worker-1", "worker-2", "monitor"):
        ports.take(process)
    held = yaml.safe_load(ports.write(tmp_path, "127.0.0.1").read_text())
    jobs = {
        job["job_name"]: job["static_configs"][0]["targets"]
        for job in held["scrape_configs"]
    }
    targets = [target for each in jobs.values() for target in each]

    assert jobs.keys() == {
        "rollbook-control",
        "rollbook-api",
        "rollbook-kubelet",
        "rollbook-monitor",
    }
    assert len(jobs["rollbook-kubelet"]) == 2
    assert len(set(targets)) == 5


def test_a_port_in_use_is_left_alone() -> None:
    """Two clusters on one machine do not meet."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", scraping.FIRST_PORT))
        except OSError:
            pass  # somebody else has it, which is as good
        else:
            taken.listen()
        assert Ports().take("control") != scraping.FIRST_PORT


@promtool.needs_promtool
def test_prometheus_takes_the_file(tmp_path: Path) -> None:
    """promtool reads it without a complaint."""
    ports = Ports()
    ports.take("control")

    path = ports.write(tmp_path, "127.0.0.1")
    assert promtool.complaints_of_file("config", path) == ""
