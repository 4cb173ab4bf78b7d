"""A real Prometheus for a test: on loopback, at a free port, gone afterwards."""

import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.metrics.promtool import PROMETHEUS
from tests.support import ports
from tests.support.system import eventually


class Prometheus:
    """What a running server can be asked."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **query: str) -> object:
        """The `data` of an answer of its API."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]

    def answers(self) -> bool:
        """It is up."""
        try:
            self.get("status/buildinfo")
        except OSError:
            return False
        return True

    def names(self) -> set[str]:
        """The names of all metrics that it has seen."""
        found = self.get("label/__name__/values")
        assert isinstance(found, list)
        return set(found)

    def health(self) -> dict[str, str]:
        """`up`, `down` or `unknown` of each job's targets, the worst of them."""
        found = self.get("targets")
        assert isinstance(found, dict)
        health: dict[str, str] = {}
        for each in found["activeTargets"]:
            job = each["labels"]["job"]
            health[job] = min(health.get(job, "up"), each["health"])
        return health


@contextlib.contextmanager
def running(folder: Path, configuration: Path) -> Iterator[Prometheus]:
    """A server with this configuration and its data in `folder`."""
    assert PROMETHEUS is not None
    folder.mkdir(parents=True, exist_ok=True)
    port = ports.free_port()
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        server = Prometheus(port)
        eventually(server.answers, "Prometheus answers")
        yield server
    finally:
        process.terminate()
        process.wait(60)
