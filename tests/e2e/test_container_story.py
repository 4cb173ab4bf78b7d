"""Pods as real containers, from the command line to the engine and back.

A Podman of the test's own in a folder of its own; nothing of it is left. The story of
examples/demo.py runs on it, and then what only containers can do.
"""

import asyncio
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from domain import node
from tests.e2e import test_kubelet_lives, test_story
from tests.e2e.test_exec import Tool
from tests.e2e.test_kubectl import kubectls
from tests.kubelet import containerbench, test_container_faults
from tests.support import engine_proxy, podman, system
from tests.support.system import SCRIPT, System, eventually

pytestmark = pytest.mark.e2e

SERVE: Final = "mkdir /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www"
POD: Final = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 0
  {pod}
  containers:
  - name: main
    image: {image}
    command: [sh, -c, "{command}"]
    {fields}
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[podman.Podman]:
    """An engine of our own, with an image."""
    with containerbench.engine() as running:
        yield running


@pytest.fixture(scope="module")
def cluster(
    engine: podman.Podman, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """One node on that engine; it samples what its pods use each second."""
    folder = tmp_path_factory.mktemp("containers")
    options = (
        *("--runtime", "container", "--engine", engine.url),
        *("--nodes", "1", "--usage-interval", "1"),
    )
    with system.running(folder / "cluster", *options) as running:
        yield running


def run(
    cluster: System,
    name: str,
    command: str = "",
    *,
    image: str = containerbench.IMAGE,
    pod: str = "",
    fields: str = "",
) -> None:
    """Creates a pod with one container; it sleeps by default."""
    text = POD.format(
        name=name,
        image=image,
        command=command or "exec sleep 9999",
        pod=pod,
        fields=fields,
    )
    path = cluster.folder.parent / f"{name}.yaml"
    path.write_text(text)
    cluster.cli("apply", "-f", str(path))


def pod_of(cluster: System, name: str) -> dict[str, Any]:
    """The pod as Kubernetes shows it."""
    found: dict[str, Any] = json.loads(cluster.cli("get", "pod", name, "-o", "json"))
    return found


def state(cluster: System, name: str) -> dict[str, Any]:
    """What the pod's first container is."""
    found: dict[str, Any] = pod_of(cluster, name)["status"]["containerStatuses"][0]
    return found


def runs(cluster: System, name: str, restarts: int = 0) -> bool:
    """Whether its container runs, so many restarts later."""
    found = state(cluster, name)
    return "running" in found["state"] and found["restartCount"] == restarts


# --- the story --------------------------------------------------------------------


def test_the_story_comes_out_right(engine: podman.Podman) -> None:
    """Create, scale, roll under load without a failed request, an image that does not
    exist, undo, a container that is killed, a kubelet that is killed and goes on with
    its containers, and everything stopped and started."""
    said = test_story._run("--runtime", "container", "--engine", engine.url)
    assert said.splitlines()[-1].endswith("every step came out right")
    left = engine.run("ps", "--all", "--format", "{{.Names}}").split()
    assert left == []
    assert "rollbook-demo" not in engine.run("images", "--format", "{{.Repository}}")


# --- limits -----------------------------------------------------------------------


def test_who_takes_too_much_memory_is_told_so(cluster: System, tmp_path: Path) -> None:
    """OOMKilled, in `describe pod`, in `why`, and for kubectl."""
    run(
        cluster,
        "greedy",
        "exec dd if=/dev/zero of=/dev/null bs=300M",
        pod="restartPolicy: Never",
        fields="resources: {limits: {memory: 16Mi}}",
    )
    eventually(lambda: "terminated" in state(cluster, "greedy")["state"], "it ends")
    ended = state(cluster, "greedy")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    assert "OOMKilled" in cluster.cli("describe", "pod", "greedy")
    assert "OOMKilled" in cluster.cli("why", "pod/greedy")
    for program in kubectls()[-1:]:
        told = Tool(program, cluster, tmp_path).run("describe", "pod", "greedy")
        assert b"OOMKilled" in told.out, told


def test_a_limited_processor_is_seen_in_top(cluster: System) -> None:
    """A loop that may use a fifth of a core is measured to use no more than half."""
    run(cluster, "spin", "while :; do :; done",
        fields="resources: {limits: {cpu: 200m}}")  # fmt: skip
    eventually(lambda: runs(cluster, "spin"), "it runs")

    def used() -> int:
        line = cluster.cli("top", "pod", "spin", "--no-headers").split()
        return int(line[1].removesuffix("m"))

    eventually(lambda: used() > 0, "it is measured")
    assert used() < 500
    cluster.cli("delete", "pod", "spin")


# --- the node's images ------------------------------------------------------------


def test_a_node_lists_its_images(cluster: System, tmp_path: Path) -> None:
    """The largest first; soon after a pull there is one more, which is recorded
    once."""

    def listed() -> list[str]:
        text = cluster.cli("get", "node", "worker-1", "-o", "json")
        images = json.loads(text)["status"]["images"]
        sizes = [each["sizeBytes"] for each in images]
        assert sizes == sorted(sizes, reverse=True)
        return [name for each in images for name in each["names"]]

    assert containerbench.IMAGE in listed()
    position = len(cluster.events())
    run(cluster, "fetches", image="fetched:1")
    eventually(lambda: "docker.io/library/fetched:1" in listed(), "it is listed")
    recorded = [each.event for each in cluster.events()[position:]]
    assert [
        sum("fetched:1" in name for image in event.info.images for name in image.names)
        for event in recorded
        if isinstance(event, node.NodeChanged)
    ] == [1]
    for program in kubectls()[-1:]:
        command = ("get", "node", "worker-1", "-o", "yaml")
        told = Tool(program, cluster, tmp_path).run(*command)
        assert b"docker.io/library/fetched:1" in told.out, told
    cluster.cli("delete", "pod", "fetches")


# --- into a container -------------------------------------------------------------


@pytest.fixture(params=[SCRIPT, *kubectls()[-1:]], ids=lambda path: path.name)
def tool(request: pytest.FixtureRequest, cluster: System, tmp_path: Path) -> Tool:
    """What is used to get into a container: `rollbook`, and the newest kubectl."""
    return Tool(request.param, cluster, tmp_path)


@pytest.fixture(scope="module")
def inside(cluster: System) -> str:
    """A pod that waits."""
    run(cluster, "inside")
    eventually(lambda: runs(cluster, "inside"), "it runs")
    return "inside"


def test_a_command_in_a_container(tool: Tool, inside: str) -> None:
    """Both streams by themselves, input to its end, and the exit code."""
    script = "cat; echo err >&2; exit 7"
    ran = tool.run("exec", "-i", inside, "--", "sh", "-c", script, stdin=b"in" * 90_000)
    assert (ran.status, ran.out) == (7, b"in" * 90_000)
    assert ran.err == "err\ncommand terminated with exit code 7\n"


def test_a_terminal_in_a_container(tool: Tool, inside: str) -> None:
    """A tty on the other side, and Ctrl-C is a signal for what runs there."""
    script = "trap 'exit 5' INT; test -t 0 && echo is''-a-tty; while :; do :; done"
    ran = tool.talk(
        ("exec", "-it", inside, "--", "sh", "-c", script), [(b"is-a-tty", b"\x03")]
    )
    assert ran.status == 5, ran.out


def test_attach_talks_to_what_the_container_runs(tool: Tool, cluster: System) -> None:
    """`stdin: true`: what is typed reaches its first process."""
    name = f"reader-{tool.program.name}".replace(".", "-")
    command = "while read line; do echo said $line; done"
    run(cluster, name, command, fields="stdin: true")
    eventually(lambda: runs(cluster, name), "it runs")
    with subprocess.Popen(
        [str(tool.program), "attach", "-i", name],
        env=tool.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"said hello\n"
        process.kill()


def test_files_are_copied_both_ways(tool: Tool, inside: str) -> None:
    """By the container's own tar."""
    (tool.home / "in").mkdir()
    (tool.home / "in" / "file").write_bytes(bytes(range(256)) * 500)
    name = tool.program.name
    assert tool.run("cp", "in", f"{inside}:/tmp/{name}").status == 0
    assert tool.run("cp", f"{inside}:/tmp/{name}", "out").status == 0
    assert (tool.home / "out" / "file").read_bytes() == bytes(range(256)) * 500


# --- what goes wrong --------------------------------------------------------------


def test_a_container_that_is_removed_behind_our_back_comes_again(
    cluster: System, engine: podman.Podman
) -> None:
    """It is an exit whose reason is told, and the next container is another one."""
    run(cluster, "victim")
    eventually(lambda: runs(cluster, "victim"), "it runs")
    before = state(cluster, "victim")["containerID"]
    engine.run("rm", "--force", "--time", "0", before.removeprefix("podman://"))
    eventually(lambda: runs(cluster, "victim", 1), "it runs again")
    after = state(cluster, "victim")
    assert after["containerID"] != before
    ended = after["lastState"]["terminated"]
    # The engine kills before it removes, and the kubelet may have looked in between.
    assert (ended["exitCode"], ended["reason"]) in {
        (137, "Error"),
        (137, "ContainerStatusUnknown"),
    }
    assert ended["reason"] in cluster.cli("describe", "pod", "victim")
    cluster.cli("delete", "pod", "victim")


@pytest.mark.parametrize(
    ("name", "image", "fields", "reason", "words"),
    [
        ("never", "nobody:1", "imagePullPolicy: Never", "ErrImageNeverPull", "present"),
        ("none", "no-such:1", "", "ImagePullBackOff", "manifest unknown"),
        (
            "power",
            containerbench.IMAGE,
            "securityContext: {privileged: true}",
            "CreateContainerConfigError",
            "--allow-privileged",
        ),
    ],
    ids=["never", "none", "power"],
)
def test_a_pod_that_cannot_start_says_why(
    cluster: System, name: str, image: str, fields: str, reason: str, words: str
) -> None:
    """Its reason and the engine's or the node's words: `describe pod` and `why`."""
    run(cluster, name, image=image, fields=fields)
    eventually(lambda: reason in cluster.cli("get", "pod", name), reason)
    assert words in cluster.cli("describe", "pod", name)
    assert words in cluster.cli("why", f"pod/{name}")
    cluster.cli("delete", "pod", name)


def test_nothing_is_left_of_pods_that_went_meanwhile(
    engine: podman.Podman, tmp_path: Path
) -> None:
    """Deleted while their kubelet was away: no container is left, and no folder."""
    with system.running(tmp_path / "c", "--nodes", "1", "--no-restart") as cluster:
        cluster.kill("worker-1")  # its login is used by the kubelet beside
        kubelet = test_kubelet_lives.Kubelet(
            cluster, "--runtime", "container", "--engine", engine.url
        )
        kubelet.start()
        identity = json.loads((kubelet.data / "identity.json").read_text())["name"]
        owner = f"label=rollbook/owner={identity}.worker-1"

        def left() -> list[str]:
            command = ("ps", "--all", "--filter", owner, "--format", "json")
            marks = [each["Labels"] for each in json.loads(engine.run(*command))]
            names = {m["rollbook/pod-uid"]: m["io.kubernetes.pod.name"] for m in marks}
            folders = {each.name for each in (kubelet.data / "pods").iterdir()}
            return [names.get(each, each) for each in {*names, *folders}]

        try:
            test_kubelet_lives.pods_that_go_meanwhile(
                cluster, kubelet, containerbench.IMAGE, left
            )
        finally:
            kubelet.close()


@contextlib.contextmanager
def fake_engine() -> Iterator[str]:
    """The URL of an engine that runs nothing, and does so at once."""
    ready, stop = threading.Event(), threading.Event()
    # Not below pytest's own folder: the path of a socket may have 107 bytes only.
    folder = Path(tempfile.mkdtemp(prefix="rollbook-fake-"))

    async def serve() -> None:
        async with test_container_faults.serving(
            test_container_faults.FakeEngine(), folder / "s"
        ):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(system.PATIENCE_SECONDS)
        yield f"unix://{folder / 's'}"
    finally:
        stop.set()
        thread.join()
        shutil.rmtree(folder)


def test_a_hundred_pods_at_once(tmp_path: Path) -> None:
    """One node starts them all, and ends them all; none is forgotten."""
    with fake_engine() as url:
        options = ("--runtime", "container", "--engine", url, "--nodes", "1")
        with system.running(tmp_path / "c", *options) as cluster:
            many = ("many", "--image=app:1", "--replicas=100")
            cluster.cli("create", "deployment", *many)
            cluster.cli("rollout", "status", "deployment/many")
            cluster.cli("delete", "deployment", "many")
            eventually(
                lambda: (
                    not json.loads(cluster.cli("get", "pods", "-o", "json"))["items"]
                ),
                "all of them are gone",
            )


class Faulty(NamedTuple):
    """A cluster, and what its one node takes for its engine."""

    cluster: System
    proxy: engine_proxy.Proxy

    def described(self, kind: str, name: str) -> str:
        """What `describe` says."""
        return self.cluster.cli("describe", kind, name)

    def says(self, *words: str) -> bool:
        """Whether the node has these words in `describe`, and in `why`."""
        why = self.cluster.cli("why", "node/worker-1", "--limit", "3")
        shown = self.described("node", "worker-1")
        return all(each in shown and each in why for each in words)

    def heal(self) -> None:
        """The engine is well again, and the node says so."""
        self.proxy.turn("well")
        eventually(
            lambda: "engine-unavailable" not in self.described("node", "worker-1"),
            "the node takes pods again",
        )


@pytest.fixture(scope="module")
def faulty(
    engine: podman.Podman, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Faulty]:
    """A node whose engine can be made to fail."""
    folder = tmp_path_factory.mktemp("faulty") / "cluster"
    real = Path(engine.url.removeprefix("unix://"))
    with engine_proxy.between(engine.folder / "proxy.sock", real) as proxy:
        options = ("--runtime", "container", "--engine", proxy.url, "--nodes", "1")
        with system.running(folder, *options) as running:
            yield Faulty(running, proxy)


def test_an_engine_that_goes_away_takes_nothing_along(
    engine: podman.Podman, faulty: Faulty
) -> None:
    """What runs serves on; the node takes no new pods and says why; and when the
    engine is back, what has ended meanwhile is told and what waits is started."""
    cluster = faulty.cluster
    run(cluster, "server", SERVE)
    run(cluster, "victim")
    eventually(lambda: runs(cluster, "server"), "it runs")
    eventually(lambda: runs(cluster, "victim"), "it runs")
    before = state(cluster, "server")
    victim = state(cluster, "victim")["containerID"].removeprefix("podman://")
    address = pod_of(cluster, "server")["status"]["podIP"]

    faulty.proxy.turn("dies")
    away = "rollbook/engine-unavailable=not-reachable:NoSchedule"
    eventually(lambda: faulty.says(away), "the node says so")
    with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
        assert answer.read() == b"server\n"
    run(cluster, "late")
    eventually(
        lambda: "untolerated taint" in faulty.described("pod", "late"),
        "the pod says what it waits for",
    )
    engine.run("kill", victim)

    faulty.heal()
    eventually(lambda: runs(cluster, "late"), "what waited runs")
    eventually(lambda: runs(cluster, "victim", 1), "what has ended runs again")
    assert state(cluster, "server") == before


@pytest.mark.parametrize(
    ("mood", "word"), [("hangs", "not-answering"), ("nonsense", "not-understood")]
)
def test_an_engine_that_fails_otherwise_is_told_apart(
    faulty: Faulty, mood: engine_proxy.Mood, word: str
) -> None:
    """One that hangs, and one that answers nonsense: the node says which, once; and a
    pod that waits for it starts when it is well again."""
    cluster = faulty.cluster
    position = len(cluster.events())
    faulty.proxy.turn(mood)
    away = f"rollbook/engine-unavailable={word}:NoSchedule"
    eventually(lambda: faulty.says(away), "the node says so")
    run(cluster, f"after-{mood}")
    faulty.heal()
    eventually(lambda: runs(cluster, f"after-{mood}"), "what waited runs")
    taints = [
        each.event.info.taints
        for each in cluster.events()[position:]
        if isinstance(each.event, node.NodeChanged)
    ]
    told = [[taint.value for taint in held] for held, _ in itertools.groupby(taints)]
    assert told == [[word], []]


def test_a_full_disk_is_said_by_the_pod_that_finds_it(faulty: Faulty) -> None:
    """In the engine's words; the node goes on, and so does the pod when there is
    room."""
    cluster, words = faulty.cluster, "no space left on device"
    faulty.proxy.turn("full")
    run(cluster, "big")
    eventually(lambda: words in faulty.described("pod", "big"), "`describe` says so")
    assert words in cluster.cli("why", "pod/big")
    faulty.heal()
    eventually(lambda: runs(cluster, "big"), "it runs")
