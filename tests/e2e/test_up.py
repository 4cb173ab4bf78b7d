"""`rollbook up`: ready, used, stopped; and what an idle cluster writes."""

import contextlib
import functools
import json
import signal
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from domain.node import ReportsCounted
from tests.support import stores
from tests.support.kubeapi import Api, configmap
from tests.support.system import System, eventually, running

IDLE_SECONDS = 60.0
REST_SECONDS = 2.0
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.e2e
def test_ctrl_c_ends_every_process_that_it_started(tmp_path: Path) -> None:
    """After INT no process is left, no pod's process either, and the status is 0."""
    system = System(tmp_path / "c", "--nodes", "2")
    system.folder.mkdir()
    system.start()
    try:
        system.cli("create", "deployment", "web", "--image=nginx:1.9.1")
        system.cli("rollout", "status", "deployment/web", "--timeout=180s")
        pids = json.loads((system.folder / "processes.json").read_text())
        family = [psutil.Process(pids["up"])]
        family += family[0].children(recursive=True)
        # The broker, control, api, two kubelets, and the pod's web server.
        assert len(family) >= 7, family
        family[0].send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(family[1:], timeout=60)
    finally:
        status = system.stop()

    assert not alive
    assert status == 0


@pytest.mark.e2e
def test_what_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """Even a kill −9 of the supervisor ends its processes: the kernel tells them."""
    system = System(tmp_path / "c", "--nodes", "1")
    system.folder.mkdir()
    system.start()
    try:
        supervisor = psutil.Process(system.pid("up"))
        family = supervisor.children(recursive=True)
        supervisor.kill()
        _, alive = psutil.wait_procs(family, timeout=60)
    finally:
        system.stop()

    assert not alive


@pytest.mark.e2e
def test_one_folder_is_one_cluster(tmp_path: Path) -> None:
    """A second `up` on the same folder is refused in a sentence, and harms nothing."""
    with running(tmp_path / "c", "--nodes", "1") as system:
        said = system.cli("up", "--data", str(system.folder), ok=False)

        assert "another `rollbook up` runs" in said
        assert "No resources found" in system.cli("get", "pods", ok=False)


@pytest.mark.e2e
def test_two_clusters_run_side_by_side(tmp_path: Path) -> None:
    """Two folders are two clusters: neither sees the other's objects."""
    one, two = tmp_path / "one", tmp_path / "two"
    with running(one, "--nodes", "1") as first, running(two, "--nodes", "1") as second:
        first.cli("create", "deployment", "web", "--image=nginx:1.9.1")

        assert "web" in first.cli("get", "deployments")
        assert "No resources found" in second.cli("get", "deployments", ok=False)


@pytest.mark.e2e
def test_clusters_that_start_at_once_have_a_port_each(tmp_path: Path) -> None:
    """Nobody names a port, and three look for one in the same moment: each kubeconfig
    leads to its own cluster, also after the api has been started again."""
    systems = [System(tmp_path / str(number), "--nodes", "0") for number in range(3)]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(System.start, systems))
        for each in systems:
            path = each.folder / "kubeconfig"
            process = psutil.Process(each.pid("api"))
            process.kill()
            process.wait(60)
            # Nobody is refused meanwhile: a connection waits for the next api.
            eventually(functools.partial(creates, each), "the next api")
            assert context_of(each)["api_address"] in path.read_text()
        for each in systems:
            assert names_of(each) == {"kube-root-ca.crt", each.folder.name}
    finally:
        for each in systems:
            each.stop()


def creates(system: System) -> bool:
    """A ConfigMap of the name of its folder could be created."""
    body = configmap(system.folder.name)
    found = Api(system.folder / "kubeconfig").ask("POST", CONFIGMAPS, body)
    return found.code == 201


def context_of(system: System) -> dict[str, str]:
    """The context of its user."""
    return tomllib.loads((system.folder / "context.toml").read_text())


def names_of(system: System) -> set[str]:
    """The ConfigMaps of its namespace `default`."""
    found = Api(system.folder / "kubeconfig").ask("GET", CONFIGMAPS)
    return {each["metadata"]["name"] for each in found.document["items"]}


@pytest.mark.e2e
@pytest.mark.postgres
def test_an_idle_cluster_writes_nothing(tmp_path: Path) -> None:
    """100 nodes with heartbeats, a settled Deployment: in a minute no event but
    `ReportsCounted` (L1: when desired equals actual nothing is emitted). Over both
    stores at the same time, for it is a minute of waiting."""
    with contextlib.ExitStack() as stack:
        systems = [
            stack.enter_context(_settled(tmp_path / kind, kind))
            for kind in (stores.SQLITE, stores.POSTGRESQL)
            if kind == stores.SQLITE or stores.has_postgresql()
        ]
        before = [len(_facts(each)) for each in systems]
        time.sleep(IDLE_SECONDS)
        written = [
            _facts(each)[count:] for each, count in zip(systems, before, strict=True)
        ]

    assert written == [[]] * len(systems)


@contextlib.contextmanager
def _settled(folder: Path, store_kind: str) -> Iterator[System]:
    """A cluster in which nothing has happened for a few seconds after a rollout."""
    options = ("--runtime", "hollow", "--nodes", "100")
    with (
        stores.opened(store_kind) as store,
        running(folder, *options, store=store) as system,
    ):
        system.cli("create", "deployment", "web", "--image=nginx", "--replicas=50")
        system.cli("rollout", "status", "deployment/web", "--timeout=180s")
        eventually(lambda: _counts(system) == (100, 50), "100 nodes, 50 pods ready")

        def rests() -> bool:
            before = _facts(system)
            time.sleep(REST_SECONDS)
            return _facts(system) == before

        eventually(rests, "what follows from the rollout has happened")
        yield system


def _facts(system: System) -> list[tuple[int, str, str]]:
    """What is in the log beside the counts of reports."""
    return [
        (event.position, event.stream, type(event.event).__name__)
        for event in system.events()
        if not isinstance(event.event, ReportsCounted)
    ]


def _counts(system: System) -> tuple[int, int]:
    nodes = json.loads(system.cli("get", "nodes", "-o", "json"))["items"]
    ready = sum(
        condition["status"] == "True"
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    )
    web = json.loads(system.cli("get", "deployment", "web", "-o", "json"))
    return ready, web["status"].get("availableReplicas", 0)
