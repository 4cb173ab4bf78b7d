"""The way of docker-compose.yml: `setup`, then each process by itself.

tests/test_compose.py reads the file; here its commands, its environment, its order and
its health checks are tried, with processes instead of containers.
"""

import json
from pathlib import Path

import psutil
import pytest

from tests.support import stores
from tests.support.composed import SERVICES, composed
from tests.support.kubeapi import Api


@pytest.mark.e2e
@stores.both
def test_what_the_compose_file_starts_rolls_out_a_deployment(
    tmp_path: Path, store: str
) -> None:
    """Every health check passes, pods run on both nodes, the kubeconfig leads to the
    Kubernetes API, and TERM ends it all."""
    with composed(tmp_path / "c", store) as system:
        system.cli("create", "deployment", "web", "--image=nginx:1.9.1", "--replicas=4")
        system.cli("rollout", "status", "deployment/web", "--timeout=180s")
        pods = json.loads(system.cli("get", "pods", "-o", "json"))["items"]
        kube = Api(system.folder / "volumes" / "admin" / "kubeconfig")
        seen = kube.ask("GET", "/apis/apps/v1/namespaces/default/deployments/web")
        overview = system.cli(*SERVICES["cli"]["command"])
        family = [
            child
            for each in system.processes.values()
            for child in psutil.Process(each.pid).children(recursive=True)
        ]
        statuses = system.stop()

    assert (seen.code, kube.host) == (200, "localhost")
    assert {pod["spec"]["nodeName"] for pod in pods} == {"worker-1", "worker-2"}
    assert "failing" not in overview
    # What a broker's status is after TERM is its own affair.
    del statuses["nats"]
    assert statuses == {"control": 0, "api": 0, "kubelet-1": 0, "kubelet-2": 0}
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


@pytest.mark.e2e
def test_setup_may_run_again(tmp_path: Path) -> None:
    """`docker compose up` runs it each time: no context and no secret changes."""
    with composed(tmp_path / "c", f"sqlite://{tmp_path}/rollbook.db") as system:
        files = {
            path: path.read_bytes()
            for path in (system.folder / "volumes").rglob("*")
            if path.name in ("context.toml", "secrets.json")
        }
        again = system.run("setup")

        assert again.returncode == 0, again.stderr
        assert len(files) == 7, "six contexts, and the broker's secrets"
        assert {path: path.read_bytes() for path in files} == files
        assert "worker-1" in system.cli("get", "nodes")
