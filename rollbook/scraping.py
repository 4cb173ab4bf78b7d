"""Where the processes of `rollbook up` serve their metrics, and a Prometheus for them.

`DATA/prometheus.yml` is a whole configuration, written anew at each start because
ports are: `prometheus --config.file=DATA/prometheus.yml` scrapes this cluster.
"""

from pathlib import Path
from typing import Final

import yaml

from adapters.nats_server import free_port

FIRST_PORT: Final = 9640
FILE: Final = "prometheus.yml"
INTERVAL: Final = "15s"
_HEAD: Final = """\
# Written by `rollbook up --metrics` at each start: changes made here are lost.
# Alerts and dashboards for it are in the folder deploy/ of the source.
"""


class Ports:
    """A port for each process, the first free ones from `FIRST_PORT` on."""

    def __init__(self) -> None:
        self._next = FIRST_PORT
        self.by_process: dict[str, int] = {}

    def take(self, process: str) -> int:
        """The port of this process from now on."""
        port = free_port(self._next)
        while port in self.by_process.values():
            port = free_port()
        self._next += 1
        self.by_process[process] = port
        return port

    def write(self, data: Path, listen: str) -> Path:
        """Afterwards the file is there; where it is."""
        path = data / FILE
        path.write_text(_HEAD + configuration(self.by_process, listen), "utf-8")
        return path


def configuration(ports: dict[str, int], listen: str) -> str:
    """Prometheus' configuration for processes at these ports.

    Jobs are named as in deploy/, one for each part; the nodes are one job.
    """
    jobs: dict[str, list[str]] = {}
    for process, port in ports.items():
        part = process if process in ("control", "api", "monitor") else "kubelet"
        jobs.setdefault(f"rollbook-{part}", []).append(f"{listen}:{port}")
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": INTERVAL},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": targets}]}
                for job, targets in jobs.items()
            ],
        },
        sort_keys=False,
    )
