"""A kubelet by itself is killed and started again: its pods do not notice.

Real processes: control, api and the broker by `rollbook up` without nodes of its own,
and one `rollbook kubelet` beside them, as on a machine that somebody looks after.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.system import SCRIPT, System, eventually, running

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {script: "mkfifo fifo; read x < fifo; exit 7"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: none
        command: [sh, -c, "$(SCRIPT)"]
        env:
        - name: SCRIPT
          valueFrom: {configMapKeyRef: {name: conf, key: script}}
"""


class Kubelet:
    """`rollbook kubelet` of node worker-1 of a system."""

    def __init__(self, system: System, *runtime: str) -> None:
        self.data = system.folder / "beside"
        self._runtime = runtime or ("--runtime", "process")
        self._context = system.folder / "node-worker-1" / "context.toml"
        self._errors = system.folder.parent / "kubelet.err"
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Afterwards it has said that it is ready."""
        with self._errors.open("a") as errors:
            self._process = subprocess.Popen(
                [
                    *(str(SCRIPT), "kubelet", "--node", "worker-1"),
                    *self._runtime,
                    *("--data", str(self.data)),
                    *("--context", str(self._context), *options),
                ],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("ready"), self._errors.read_text()

    def end(self, number: int) -> None:
        """Afterwards the signal has ended it."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        process.send_signal(number)
        process.wait(60)
        process.stdout.close()
        self._process = None

    def close(self) -> None:
        """Afterwards neither it nor any pod of it runs."""
        if self._process is not None:
            self.end(signal.SIGKILL)
        self.start("--end-pods")
        self.end(signal.SIGTERM)


@contextmanager
def beside(system: System) -> Iterator[Kubelet]:
    """A kubelet that was started, with the pods of `MANIFEST`."""
    kubelet = Kubelet(system)
    kubelet.start()
    try:
        file = system.folder.parent / "web.yaml"
        file.write_text(MANIFEST)
        system.cli("apply", "-f", str(file))
        eventually(lambda: len(shown(system)) == 2, "both pods run")
        yield kubelet
    finally:
        kubelet.close()


def shown(system: System) -> dict[str, dict[str, Any]]:
    """The container's status of each pod that is ready, by the pod's name."""
    listed = json.loads(system.cli("get", "pods", "-o", "json"))["items"]
    return {
        each["metadata"]["name"]: each["status"]["containerStatuses"][0]
        for each in listed
        if each["status"].get("containerStatuses", [{}])[0].get("ready")
    }


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose one node is somebody else's business."""
    folder = tmp_path_factory.mktemp("lives") / "data"
    with running(folder, "--nodes", "1", "--no-restart") as made:
        made.kill("worker-1")  # its login is used by the kubelet beside
        yield made


def fifo(kubelet: Kubelet, pod: str) -> Path:
    """What ends the container of that pod when something is written to it."""
    (found,) = kubelet.data.glob(f"pods/default_{pod}_*/main/root/fifo")
    return found


def test_pods_do_not_notice_that_their_kubelet_was_killed(system: System) -> None:
    """Killed with -9 while one container ends: the other runs on in the same process
    without a restart; the exit that nobody saw is reported with its code."""
    with beside(system) as kubelet:
        before = shown(system)
        stays, ends = sorted(before)
        pid = int(before[stays]["containerID"].removeprefix("process://"))
        kubelet.end(signal.SIGKILL)
        os.kill(pid, 0)
        fifo(kubelet, ends).write_text("now\n")
        left = f"pods/default_{ends}_*/main/0.exit"
        eventually(lambda: [*kubelet.data.glob(left)], "the container has ended")
        kubelet.start()
        eventually(lambda: shown(system)[ends]["restartCount"] == 1, "it is restarted")
        after = shown(system)
        assert after[stays] == before[stays]
        assert after[ends]["lastState"]["terminated"]["exitCode"] == 7

        kubelet.end(signal.SIGTERM)
        os.kill(pid, 0)
        kubelet.start()
        eventually(lambda: len(shown(system)) == 2, "both are there again")
        assert shown(system) == after


def test_pods_that_were_deleted_meanwhile_end(system: System) -> None:
    """What control does not know any more is stopped when the kubelet is back."""
    with beside(system) as kubelet:
        pids = [
            int(each["containerID"].removeprefix("process://"))
            for each in shown(system).values()
        ]
        kubelet.end(signal.SIGKILL)
        system.cli("delete", "deployment", "web", "--wait=false", ok=True)
        for pid in pids:
            os.kill(pid, 0)
        kubelet.start()
        eventually(lambda: not any(map(_runs, pids)), "the pods have ended")


GOING = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: main, image: {image}, command: [sh, -c, "{command}"]}}
"""


def pods_that_go_meanwhile(
    system: System, kubelet: Kubelet, image: str, left: Callable[[], list[str]]
) -> None:
    """The kubelet, which was started, is killed, and what it ran is deleted: at once
    and with grace, while it runs and after its end, and one whose name is given again.
    In its next life nothing of them is `left` (the names of pods)."""
    commands = {
        name: "true" if "ended" in name else "sleep 9999"
        for name in ("graced", "forced", "again", "ended", "ended-forced", "stays")
    }

    def create(*names: str) -> None:
        path = system.folder.parent / "going.yaml"
        texts = [
            GOING.format(name=name, image=image, command=commands[name])
            for name in names
        ]
        path.write_text("---".join(texts))
        system.cli("apply", "-f", str(path))

    def phases() -> dict[str, str]:
        listed = json.loads(system.cli("get", "pods", "-o", "json"))["items"]
        return {each["metadata"]["name"]: each["status"]["phase"] for each in listed}

    create(*commands)
    wanted = {n: "Succeeded" if "ended" in n else "Running" for n in commands}
    eventually(lambda: phases() == wanted, "all run or have run")
    assert sorted(left()) == sorted(commands)

    kubelet.end(signal.SIGKILL)
    system.cli("delete", "pod", "graced", "ended", "--wait=false")
    at_once = ("--grace-period=0", "--force")
    system.cli("delete", "pod", "forced", "ended-forced", "again", *at_once)
    create("again")
    kubelet.start()
    eventually(
        lambda: phases() == {"stays": "Running", "again": "Running"},
        "what was deleted is gone, and what has its name runs",
    )
    eventually(lambda: sorted(left()) == ["again", "stays"], "nothing of it is left")
    system.cli("delete", "pod", "again", "stays")


def test_nothing_is_left_of_pods_that_went_meanwhile(system: System) -> None:
    """Neither their processes nor their folders."""
    kubelet = Kubelet(system)
    pods = kubelet.data / "pods"

    def left() -> list[str]:
        found = {each.name for each in pods.glob("*")}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                place = Path(process.cwd())
                if place.is_relative_to(pods):
                    found.add(place.relative_to(pods).parts[0])
        return [each.split("_")[1] for each in found]

    kubelet.start()
    try:
        pods_that_go_meanwhile(system, kubelet, "none", left)
    finally:
        kubelet.close()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
