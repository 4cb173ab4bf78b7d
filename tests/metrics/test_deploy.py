"""deploy/: what dashboards, alerts and scrapes name is what a cluster serves."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.metrics import prometheus, promtool
from tests.support import system
from tests.support.system import System, eventually

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "rollbook.json"
RULES = DEPLOY / "prometheus" / "rules.yml"
CONFIGURATION = DEPLOY / "prometheus" / "prometheus.yml"

NOT_AT_ONCE = {
    "kube_pod_container_status_waiting_reason",
    "kube_pod_status_unschedulable",
    "kube_horizontalpodautoscaler_status_current_replicas",
    "kube_horizontalpodautoscaler_status_desired_replicas",
}
"""Families that have no sample while all is well, or before an autoscaler has measured;
tests/metrics/test_kubestate.py has them."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\{\{.*?\}\}|\[[^\]]*\]|\{[^}]*\}')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)")
_NAME = re.compile(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()")
_WORDS = {"by", "without", "on", "ignoring", "or", "and", "unless", "bool", "le"}

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "app:1"}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 4
  metrics:
  - type: Pods
    pods:
      metric: {name: requests}
      target: {type: AverageValue, averageValue: "10"}
"""


def names(expression: str) -> set[str]:
    """The metrics that an expression of PromQL is about."""
    bare = _GROUPING.sub(" ", _STRING.sub(" ", expression))
    found = {name for name in _NAME.findall(bare) if name not in _WORDS}
    return {name for name in found if not re.fullmatch(r"[0-9.]+[a-z]*", name)}


def dashboard_expressions() -> Iterator[str]:
    """Every query of the dashboard, and that of its variable."""
    held: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in held["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]
    for variable in held["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(
                r"label_values\((\w+), \w+\)", variable["query"]["query"]
            )
            assert match
            yield match[1]


def rule_expressions() -> Iterator[str]:
    """The expression of each alert."""
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum by (le) (rate(a_bucket[5m]))", {"a_bucket"}),
        ('histogram_quantile(0.99, a{b="c_d"} > 0.5) or vector(0)', {"a"}),
        ("topk(10, increase(a_total[$__rate_interval]) > 3)", {"a_total"}),
    ],
)
def test_the_metrics_of_an_expression_are_found(
    expression: str, found: set[str]
) -> None:
    """Functions, labels, groupings and strings are no metrics."""
    assert names(expression) == found


@promtool.needs_promtool
def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    """promtool reads both without a complaint."""
    assert promtool.complaints_of_file("config", CONFIGURATION) == ""
    assert promtool.complaints_of_file("rules", RULES) == ""


def test_the_scraped_targets_are_the_services_of_the_compose_file() -> None:
    """Each target is a service of docker-compose.yml that serves metrics there."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))[
        "services"
    ]
    held = yaml.safe_load(CONFIGURATION.read_text("utf-8"))
    targets = {
        target
        for job in held["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    serving = {
        f"{name}:{service['environment']['ROLLBOOK_METRICS_PORT']}"
        for name, service in services.items()
        if "ROLLBOOK_METRICS_PORT" in service.get("environment", {})
    }

    assert targets == serving


def test_every_panel_and_alert_says_something() -> None:
    """Panels have a title and a query, alerts a summary and what to do."""
    held: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    panels = [panel for panel in held["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in held["panels"]]

    assert len(ids) == len(set(ids))
    assert all(panel["title"] and panel["targets"] for panel in panels)
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "description"}
            assert rule["labels"]["severity"] in ("warning", "critical")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A cluster that serves metrics, with a monitor and some objects."""
    folder = tmp_path_factory.mktemp("metrics") / "data"
    options = ("--runtime", "hollow", "--nodes", "2", "--metrics", "--monitor")
    with system.running(folder, *options) as found:
        file = folder.parent / "web.yaml"
        file.write_text(MANIFEST)
        found.cli("apply", "-f", str(file))
        found.cli("rollout", "status", "deployment/web", "--timeout", "180s")
        yield found


def targets(cluster: System) -> dict[str, str]:
    """The address of each job's first target, as `up` has written them."""
    held = yaml.safe_load((cluster.folder / "prometheus.yml").read_text("utf-8"))
    return {
        job["job_name"]: job["static_configs"][0]["targets"][0]
        for job in held["scrape_configs"]
    }


def fetched(address: str, path: str = "/metrics") -> str:
    """What a process answers."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
        text: bytes = answer.read()
    return text.decode()


@pytest.mark.e2e
def test_every_metric_that_is_named_is_served(cluster: System) -> None:
    """No panel and no alert is about a metric that there is not: it would be empty, or
    silent, for ever."""
    wanted: set[str] = {"up"}
    for expression in (*dashboard_expressions(), *rule_expressions()):
        wanted |= names(expression)
    assert len(wanted) > 30

    def all_are_served() -> bool:
        assert wanted - served_names(cluster) - NOT_AT_ONCE == set()
        return True

    eventually(all_are_served, "what is counted has happened once")


def served_names(cluster: System) -> set[str]:
    """Under which names anything can be asked for, of all processes."""
    served = {"up"}
    for address in targets(cluster).values():
        text = fetched(address)
        served |= set(re.findall(r"^([a-zA-Z_:][\w:]*)", text, re.M))
        served |= {
            match + "_total" for match in re.findall(r"# TYPE (\w+) counter", text)
        }
        histograms = re.findall(r"# TYPE (\w+) histogram", text)
        served |= {name + "_bucket" for name in histograms}
        served |= set(re.findall(r"# TYPE (\w+) ", text))
    return served


@pytest.mark.e2e
@promtool.needs_promtool
@pytest.mark.parametrize("part", ["control", "api", "kubelet", "monitor"])
def test_promtool_takes_what_each_process_serves(cluster: System, part: str) -> None:
    """The pages of real processes are without a complaint, and they say that they are
    well."""
    address = targets(cluster)[f"rollbook-{part}"]

    assert promtool.complaints(fetched(address)) == ""
    assert fetched(address, "/readyz") == "ok\n"
    assert fetched(address, "/livez") == "ok\n"


@pytest.mark.e2e
@promtool.needs_prometheus
def test_a_real_prometheus_scrapes_the_cluster(cluster: System, tmp_path: Path) -> None:
    """With the file that `up` has written every target is up and the metrics of
    objects, of the log and of kubelets are there."""
    text = (cluster.folder / "prometheus.yml").read_text("utf-8")
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(text.replace("15s", "1s"))

    with prometheus.running(tmp_path, configuration) as server:
        eventually(lambda: set(server.health().values()) == {"up"}, "targets are up")
        assert server.health().keys() == targets(cluster).keys()
        expected = {
            "kube_deployment_status_replicas_available",
            "rollbook_events_total",
            "kubelet_running_pods",
            "rollbook_monitor_duration_seconds_bucket",
        }
        eventually(lambda: expected <= server.names(), "metrics are there")

        def ready() -> str:
            query = "sum(kube_pod_status_ready{condition='true'})"
            found = server.get("query", query=query)
            assert isinstance(found, dict)
            return str(found["result"][0]["value"][1])

        eventually(lambda: ready() == "2", "both pods are ready")
