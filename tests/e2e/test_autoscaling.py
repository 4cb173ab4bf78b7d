"""An autoscaler over real processes that burn CPU: out with the load, and in again."""

import json
from pathlib import Path

import pytest

from tests.support.system import System, eventually, running

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: burner}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: burner}}}}
  template:
    metadata: {{labels: {{app: burner}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: burner:1.0
        args: ["--file", "{load}"]
        resources: {{requests: {{cpu: 100m}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: burner}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: burner}}
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}
  behavior:
    scaleDown: {{stabilizationWindowSeconds: 2}}
"""


@pytest.mark.e2e
def test_the_size_follows_the_load_and_why_tells_it(tmp_path: Path) -> None:
    """The load of each pod rises above the target: as many pods as there may be; it
    falls: one again. `get hpa` shows the load, and `why` the figures of the decision.
    """
    load = tmp_path / "load"
    load.write_text("0")
    options = ("--nodes", "1", "--usage-interval", "1", "--autoscale-interval", "1")
    with running(tmp_path / "data", *options) as system:
        (tmp_path / "all.yaml").write_text(MANIFEST.format(load=load))
        system.cli("apply", "-f", str(tmp_path / "all.yaml"))
        eventually(lambda: "cpu: 0%/50%" in system.cli("get", "hpa"), "it is measured")
        assert _size(system) == 1

        load.write_text("120")
        eventually(lambda: _size(system) == 3, "it scales out")
        told = system.cli("why", "deployment/burner")
        assert "HorizontalPodAutoscaler burner scaled Deployment burner from" in told
        assert " to 3 pods because cpu was " in told
        assert " % of 50 % on " in told
        assert "SuccessfulRescale" in system.cli("describe", "hpa", "burner")

        load.write_text("0")
        eventually(lambda: _size(system) == 1, "it scales in")
        told = system.cli("why", "hpa/burner")
        assert "All metrics below target" in system.cli("describe", "hpa", "burner")
        assert " to 1 pod because cpu was " in told


def _size(system: System) -> int:
    found = json.loads(system.cli("get", "deployment", "burner", "-o", "json"))
    return int(found["spec"]["replicas"])
