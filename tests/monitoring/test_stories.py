"""End to end: real pods are measured, and what they say decides.

One cluster of real processes with a monitor and, where there is one, a real
Prometheus; its images are a web server that answers well and one that answers 500.
"""

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from domain import active_check, analysis_run
from tests.metrics import prometheus, promtool
from tests.support import ports, system
from tests.support.system import System, eventually

pytestmark = pytest.mark.e2e
PORT = 8080
IMAGE = """
image = "app:{tag}"
command = ["{{python}}", "-S", "{{images}}/webapp.py"]
args = ["{{ip}}", "{{port}}", "{status}", "{load}"]
ports = [8080]
"""


def manifest(
    name: str,
    image: str,
    *,
    annotations: dict[str, str],
    replicas: int = 2,
    seconds: int = 0,
) -> str:
    """A Deployment whose pods ask to be read, and are ready when they answer."""
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    labels = {"app": name}
    container = {
        "name": "main",
        "image": image,
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "replicas": replicas,
            "minReadySeconds": seconds,
            "progressDeadlineSeconds": 3_600,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": scraped},
                "spec": {
                    "containers": [container],
                    "terminationGracePeriodSeconds": 1,
                },
            },
        },
    }
    return yaml.safe_dump(document)


def analysed(**check: object) -> dict[str, str]:
    """The annotations of a Deployment that a failed check rolls back."""
    source = {"interval": "1s", "count": 3, "inconclusiveLimit": 60, **check}
    return {
        "rollbook/auto-rollback": "analysis",
        "rollbook/analysis": yaml.safe_dump([source]),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything of this module lies, with the images."""
    found = tmp_path_factory.mktemp("stories")
    images = found / "images"
    images.mkdir()
    source = Path(__file__).with_name("webapp.py")
    (images / "webapp.py").write_text(source.read_text())
    for tag, status, load in (("good", 200, 5), ("bad", 500, 5), ("busy", 200, 40)):
        text = IMAGE.format(tag=tag, status=status, load=load)
        (images / f"app_{tag}.toml").write_text(text)
    return found


@pytest.fixture(scope="module")
def prometheus_url(folder: Path) -> Iterator[str]:
    """A Prometheus that reads the pods in `targets.json`; a dead port without one."""
    if promtool.PROMETHEUS is None:
        yield f"http://127.0.0.1:{ports.free_port()}"
        return
    targets = folder / "targets.json"
    targets.write_text("[]")
    job = {
        "job_name": "pods",
        "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
    }
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})
    )
    with prometheus.running(folder / "prometheus", configuration) as server:
        yield server.url


@pytest.fixture(scope="module")
def cluster(folder: Path, prometheus_url: str) -> Iterator[System]:
    """The cluster, with its monitor."""
    file = folder / "monitor.yaml"
    file.write_text("scrape: {interval: 1s}\n")
    options = {
        "--nodes": "1",
        "--images": str(folder / "images"),
        "--prometheus": prometheus_url,
        "--monitor-config": str(file),
    }
    given = [word for pair in options.items() for word in pair]
    with system.running(folder / "data", *given) as found:
        yield found


def apply(cluster: System, text: str) -> None:
    """The objects are what the text says."""
    file = cluster.folder.parent / "manifest.yaml"
    file.write_text(text)
    cluster.cli("apply", "-f", str(file))


def image(cluster: System, name: str) -> str:
    """The image that the Deployment asks for now."""
    held = json.loads(cluster.cli("get", "deployment", name, "-o", "json"))
    containers = held["spec"]["template"]["spec"]["containers"]
    assert isinstance(containers[0]["image"], str)
    return containers[0]["image"]


def rolled_out(cluster: System, name: str) -> None:
    """Waits for the rollout's end."""
    cluster.cli("rollout", "status", f"deployment/{name}", "--timeout", "180s")


def told(cluster: System, name: str) -> list[str]:
    """The events of the Deployment, by their names."""
    stream = f"deployment/default/{name}"
    events = [each for each in cluster.events() if each.stream == stream]
    return [type(each.event).__name__ for each in events]


def test_a_revision_that_answers_errors_is_rolled_back(cluster: System) -> None:
    """Its pods are ready, and yet it is bad: the active check sees it, the revision
    before runs again, and the log tells what was measured."""
    check = analysed(name="answers", check={"port": PORT}, min=1)
    apply(cluster, manifest("checked", "app:good", annotations=check))
    rolled_out(cluster, "checked")
    apply(cluster, manifest("checked", "app:bad", annotations=check))

    eventually(lambda: image(cluster, "checked") == "app:good", "rolled back")
    rolled_out(cluster, "checked")
    assert "DeploymentRolledBack" in told(cluster, "checked")


def test_a_good_revision_passes(cluster: System) -> None:
    """What answers well stays."""
    check = analysed(name="answers", check={"port": PORT}, min=1)
    apply(cluster, manifest("passing", "app:good", annotations=check))
    rolled_out(cluster, "passing")
    apply(cluster, manifest("passing", "app:busy", annotations=check))
    rolled_out(cluster, "passing")

    taken = "MeasurementTaken"
    eventually(lambda: told(cluster, "passing").count(taken) >= 3, "it was measured")
    assert image(cluster, "passing") == "app:busy"
    assert "DeploymentRolledBack" not in told(cluster, "passing")


def test_a_metric_of_the_pods_rolls_back(cluster: System) -> None:
    """A number that the pods serve themselves, read by the monitor from those of the
    new revision alone."""
    check = analysed(name="load", metric="app_load", max=10)
    apply(cluster, manifest("loaded", "app:good", annotations=check))
    rolled_out(cluster, "loaded")
    apply(cluster, manifest("loaded", "app:busy", annotations=check))

    eventually(lambda: image(cluster, "loaded") == "app:good", "rolled back")


def test_a_pod_whose_active_check_fails_is_not_available(cluster: System) -> None:
    """Its containers are ready for their node, and it answers 500: it is not ready, the
    Deployment counts it as unavailable, `why` tells of it, and the READY column counts
    containers. When it answers well it is back."""
    check = {"rollbook/active-check": f"{{port: {PORT}, interval: 1s}}"}
    apply(cluster, manifest("asked", "app:good", annotations=check))
    rolled_out(cluster, "asked")
    name, address = pods(cluster, "asked")[0]
    post(address, "/break")

    eventually(lambda: available(cluster, "asked") == 1, "it is not available")
    held = json.loads(cluster.cli("get", "pod", name, "-o", "json"))
    conditions = {each["type"]: each for each in held["status"]["conditions"]}
    assert conditions["Ready"]["status"] == "False"
    assert conditions["Ready"]["reason"] == "ActiveCheckFailed"
    assert "answers with 500, 3 times in a row" in conditions["Ready"]["message"]
    assert conditions["ContainersReady"]["status"] == "True"
    assert "1/1" in cluster.cli("get", "pod", name)
    assert "ActiveCheckFailed" in cluster.cli("describe", "pod", name)
    why = cluster.cli("why", f"pod/{name}")
    assert "fails its active check, so it is not ready" in why
    assert "fails its active check" in cluster.cli("why", "deployment/asked")

    post(address, "/mend")
    eventually(lambda: available(cluster, "asked") == 2, "it is available again")
    told = [
        each.event.passing
        for each in cluster.events()
        if each.stream == f"pod/default/{name}"
        and isinstance(each.event, active_check.PodChecked)
    ]
    assert told == [False, True], "an event for each change, and for nothing else"


def test_a_rollout_waits_for_what_fails_its_active_check(cluster: System) -> None:
    """A revision whose pods are ready for their node and answer 500: the first of them
    never becomes available, the old ones stay, and `why` says what it waits for. When
    the new pods answer well the rollout ends."""
    check = {"rollbook/active-check": f"{{port: {PORT}, interval: 1s}}"}
    apply(cluster, manifest("waits", "app:good", annotations=check))
    rolled_out(cluster, "waits")
    old = {name for name, _ in pods(cluster, "waits")}
    apply(cluster, manifest("waits", "app:bad", annotations=check, seconds=3_000))

    def failing() -> list[str]:
        held = json.loads(cluster.cli("get", "pods", "-l", "app=waits", "-o", "json"))
        return [
            pod["metadata"]["name"]
            for pod in held["items"]
            for each in pod["status"]["conditions"]
            if each.get("reason") == "ActiveCheckFailed"
        ]

    eventually(lambda: failing() != [], "the new pod fails its check")
    apply(cluster, manifest("waits", "app:bad", annotations=check, seconds=0))
    (new,) = {name for name, _ in pods(cluster, "waits")} - old
    assert failing() == [new]
    assert old <= {name for name, _ in pods(cluster, "waits")}, "the old ones serve on"
    assert available(cluster, "waits") == 2
    assert "fails its active check" in cluster.cli("why", "deployment/waits")
    assert "ActiveCheckFailed" in cluster.cli("get", "events")

    def ended() -> bool:
        now = pods(cluster, "waits")
        for name, address in now:
            if name not in old:
                post(address, "/mend")
        return len(now) == 2 and not failing() and not old & {name for name, _ in now}

    eventually(ended, "only the new pods are left, and they answer well")
    rolled_out(cluster, "waits")


@promtool.needs_prometheus
def test_what_prometheus_knows_rolls_back(cluster: System, folder: Path) -> None:
    """A query about the new ReplicaSet's pods, answered by a real Prometheus."""
    query = 'max(app_errors{replicaset="$replicaset"})'
    check = analysed(name="errors", prometheus=query, max=0)
    apply(cluster, manifest("queried", "app:good", annotations=check))
    rolled_out(cluster, "queried")
    apply(cluster, manifest("queried", "app:bad", annotations=check))

    def seen_and_rolled_back() -> bool:
        (folder / "targets.json").write_text(json.dumps(targets(cluster, "queried")))
        return image(cluster, "queried") == "app:good"

    eventually(seen_and_rolled_back, "rolled back")
    rolled_out(cluster, "queried")
    tells_why(cluster, "queried")


def tells_why(cluster: System, name: str) -> None:
    """Every place that tells of the rollback has its reason with the figures: the
    history (ours and kubectl's), and `why`, down to the measurement and to the user who
    asked for all that."""
    cause = "rolled back from revision 2: errors 1 > 0 in 1 of 1 measurement"
    history = cluster.cli("rollout", "history", f"deployment/{name}")
    assert f"3         {cause}" in history
    assert "2         image main=app:good → app:bad" in history

    why = cluster.cli("why", f"deployment/{name}")
    told = (
        "it served what had been asked for by then:",
        f"Deployment {name} was rolled back to revision 1",
        "errors 1 > 0",
    )
    places = [why.find(words) for words in told]
    assert -1 not in places, why
    assert places == sorted(places), why

    if (kubectl := shutil.which("kubectl")) is not None:
        environment = os.environ | {"KUBECONFIG": str(cluster.folder / "kubeconfig")}
        said = subprocess.run(
            [kubectl, "rollout", "history", f"deployment/{name}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        assert "REVISION  CHANGE-CAUSE" in said
        assert f"3         {cause}" in said


def test_a_prometheus_that_hangs_delays_only_who_asks_it(
    folder: Path, tmp_path: Path
) -> None:
    """A server that takes connections and never answers: a revision that is measured by
    its pods' own words is rolled back meanwhile; who asks the dead one still waits, and
    says so when its time is over."""
    with socket.create_server(("127.0.0.1", 0)) as dead:
        port = dead.getsockname()[1]
        file = tmp_path / "monitor.yaml"
        file.write_text("scrape: {interval: 1s}\n")
        options = {
            "--nodes": "1",
            "--images": str(folder / "images"),
            "--prometheus": f"http://127.0.0.1:{port}",
            "--monitor-config": str(file),
        }
        given = [word for pair in options.items() for word in pair]
        with system.running(tmp_path / "data", *given) as cluster:
            asking = analysed(name="asked", prometheus="q", max=0)
            loaded = analysed(name="load", metric="app_load", max=10)
            for name, check in (("waits", asking), ("goes", loaded)):
                apply(cluster, manifest(name, "app:good", annotations=check))
                rolled_out(cluster, name)
            apply(cluster, manifest("goes", "app:busy", annotations=loaded))
            eventually(lambda: image(cluster, "goes") == "app:good", "rolled back")

            eventually(lambda: errors(cluster, "waits"), "the dead one's time is over")
            assert all("10 s" in each for each in errors(cluster, "waits"))
            assert image(cluster, "waits") == "app:good"
            ended = "AnalysisEnded"
            assert ended not in told(cluster, "waits"), "it goes on trying"
            dead.settimeout(30.0)
            with dead.accept()[0] as asked:
                assert asked.recv(3) == b"POS", "it was asked"


def errors(cluster: System, name: str) -> list[str]:
    """Why measurements of the Deployment gave no number."""
    stream = f"deployment/default/{name}"
    return [
        each.event.error
        for each in cluster.events()
        if each.stream == stream
        and isinstance(each.event, analysis_run.MeasurementTaken)
    ]


def test_an_autoscaler_scales_by_what_pods_say(cluster: System) -> None:
    """A metric of type Pods: each pod says 40 where 10 are wanted: there are more."""
    apply(cluster, manifest("scaled", "app:busy", annotations={}, replicas=1))
    rolled_out(cluster, "scaled")
    target = {"type": "AverageValue", "averageValue": "10"}
    metric = {"metric": {"name": "app_load"}, "target": target}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"}
    spec = {
        "scaleTargetRef": owner,
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [{"type": "Pods", "pods": metric}],
    }
    document = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "scaled"},
        "spec": spec,
    }
    apply(cluster, yaml.safe_dump(document))

    def size() -> int:
        held = json.loads(cluster.cli("get", "deployment", "scaled", "-o", "json"))
        return int(held["spec"]["replicas"])

    eventually(lambda: size() == 3, "it was scaled up")


def available(cluster: System, name: str) -> int:
    """How many pods of the Deployment are available."""
    held = json.loads(cluster.cli("get", "deployment", name, "-o", "json"))
    return int(held["status"].get("availableReplicas", 0))


def pods(cluster: System, app: str) -> list[tuple[str, str]]:
    """The pods of an app with their addresses."""
    held = json.loads(cluster.cli("get", "pods", "-l", f"app={app}", "-o", "json"))
    return [(p["metadata"]["name"], p["status"]["podIP"]) for p in held["items"]]


def post(address: str, path: str) -> None:
    """Tells a pod's server to answer otherwise."""
    url = f"http://{address}:{PORT}{path}"
    with urllib.request.urlopen(url, data=b"", timeout=30) as answer:
        assert answer.status == 204


def targets(cluster: System, app: str) -> list[dict[str, object]]:
    """The pods of an app as Prometheus' file of targets."""
    held = json.loads(cluster.cli("get", "pods", "-l", f"app={app}", "-o", "json"))
    return [
        {
            "targets": [f"{pod['status']['podIP']}:{PORT}"],
            "labels": {"replicaset": pod["metadata"]["ownerReferences"][0]["name"]},
        }
        for pod in held["items"]
        if "podIP" in pod["status"]
    ]
