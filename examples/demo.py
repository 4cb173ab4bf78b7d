"""The story of a Deployment, from start to end, on real processes or real containers.

`make demo` and `make demo RUNTIME=container` run it. Each step does one thing with the
command line, checks what came of it, and prints one line; the exit status is 0 only if
every step came out right.

    python examples/demo.py [--runtime container] [--engine URL] [--verbose]
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import containers
import load
from load import fetch, is_ready

import rollbook
from adapters import cancelling

SCRIPT = str(Path(sys.executable).with_name("rollbook"))
MANIFEST = Path(__file__).with_name("nginx.yaml")
NAME = "deployment/nginx-deployment"
PATIENCE_SECONDS = 90.0
GOOD = ("1.7.9", "1.9.1")
# Short times of node failure, so that nobody has to wait five minutes.
UP = {
    "process": (
        *("--nodes", "3", "--no-restart", "--heartbeat", "0.5"),
        *("--node-monitor-grace-period", "5", "--default-toleration-seconds", "1"),
    ),
    "container": ("--nodes", "2", "--heartbeat", "0.5"),
}


class Failed(Exception):
    """A step did not come out as it should."""


class Demo:
    """The story's cluster, and what its steps share."""

    def __init__(self, folder: Path, store: str, engine: str, *, verbose: bool) -> None:
        """With an `engine` its pods are containers of that one."""
        self.folder = folder
        self.store = store
        self.engine = engine
        self.image = containers.REPOSITORY if engine else "nginx"
        self.verbose = verbose
        self.system: subprocess.Popen[str] | None = None
        self.answered = 0
        self.remembered = ""

    # --- helpers --------------------------------------------------------------------

    def start(self) -> None:
        runtime = "container" if self.engine else "process"
        options = ["--runtime", runtime, *UP[runtime]]
        options += ["--store", self.store] if self.store else []
        options += ["--engine", self.engine] if self.engine else []
        with (self.folder / "up.err").open("a") as errors:
            self.system = subprocess.Popen(
                [SCRIPT, "up", "--data", str(self.folder / "data"), *options],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self.system.stdout is not None
        line = self.system.stdout.readline()
        check(line.startswith("ready"), (self.folder / "up.err").read_text())

    def stop(self) -> None:
        if self.system is None:
            return
        self.system.send_signal(signal.SIGTERM)
        try:
            self.system.wait(60)
        except subprocess.TimeoutExpired:
            self.system.kill()
            self.system.wait()
        if self.system.stdout is not None:
            self.system.stdout.close()
        self.system = None

    def run(self, command: str, *, ok: bool = True) -> str:
        """What `rollbook <command>` says; it must succeed, or fail if not `ok`."""
        done = subprocess.run(
            [SCRIPT, *command.split()],
            env={**os.environ, "ROLLBOOK_CONTEXT": self.context},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = done.stdout + done.stderr
        if self.verbose:
            print(f"    $ rollbook {command}\n{said}")
        check((done.returncode == 0) == ok, f"rollbook {command}: {said}")
        return done.stdout if ok else said

    @property
    def context(self) -> str:
        return str(self.folder / "data" / "context.toml")

    def pods(self) -> list[dict[str, Any]]:
        """The pods that are not on their way out, as Kubernetes shows them."""
        items = json.loads(self.run("get pods -o json"))["items"]
        return [item for item in items if "deletionTimestamp" not in item["metadata"]]

    def eventually(self, holds: Callable[[], object], what: str) -> None:
        """Waits until it is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            check(time.monotonic() < deadline, f"did not come true: {what}")
            time.sleep(0.2)

    # --- the story ------------------------------------------------------------------

    def create(self) -> str:
        manifest = self.folder / "nginx.yaml"
        text = MANIFEST.read_text().replace("image: nginx:", f"image: {self.image}:")
        manifest.write_text(text)
        said = self.run(f"apply -f {manifest}")
        check("deployment.apps/nginx-deployment created" in said, said)
        said = self.run(f"rollout status {NAME} --timeout=90s")
        check("successfully rolled out" in said, said)
        return f"three replicas of {self.image}:1.7.9 are rolled out"

    def columns(self) -> str:
        lines = self.run("get deployments").splitlines()
        head = ["NAME", "DESIRED", "CURRENT", "UP-TO-DATE", "AVAILABLE", "AGE"]
        check(lines[0].split() == head, lines[0])
        check(lines[1].split()[1:5] == ["3"] * 4, lines[1])
        return "DESIRED CURRENT UP-TO-DATE AVAILABLE are all 3"

    def pages(self) -> str:
        pages = [fetch(item["status"]["podIP"]) for item in self.pods()]
        check(len(pages) == 3, f"{len(pages)} pods")
        check(all("nginx 1.7.9" in page for page in pages), str(pages))
        return "each pod serves its page, on an address of its own"

    def scale(self) -> str:
        said = self.run(f"scale {NAME} --replicas=4")
        check("deployment.apps/nginx-deployment scaled" in said, said)
        self.run(f"rollout status {NAME} --timeout=90s")
        self.eventually(lambda: len(self.pods()) == 4, "four pods")
        return "four replicas"

    def roll_under_load(self) -> str:
        answered, failed = asyncio.run(self._roll_under_load())
        check(answered > 50, f"only {answered} requests were answered")
        check(not failed, f"{len(failed)} of {answered} failed: {failed[:3]}")
        pages = [fetch(item["status"]["podIP"]) for item in self.pods()]
        check(all("nginx 1.9.1" in page for page in pages), str(pages))
        return (
            f"rolled to {self.image}:1.9.1 while {answered} requests were answered, "
            "0 failed"
        )

    async def _roll_under_load(self) -> tuple[int, list[str]]:
        """A client asks the ready pods, one after the other, during the update."""
        client = load.Load()
        async with rollbook.connect(self.context) as cluster:
            asking = asyncio.create_task(client.run(cluster))
            await asyncio.sleep(0.5)
            said = await asyncio.to_thread(
                self.run, f"set image {NAME} nginx={self.image}:1.9.1"
            )
            check("image updated" in said, said)
            status = f"rollout status {NAME} --timeout=90s"
            said = await asyncio.to_thread(self.run, status)
            check("successfully rolled out" in said, said)
            await asyncio.sleep(0.5)
            await cancelling.end(asking)
        return client.answered, client.failed

    def bad_image(self) -> str:
        self.run(f"set image {NAME} nginx={self.image}:1.91")
        said = self.run(f"rollout status {NAME} --timeout=4s", ok=False)
        check("timed out waiting for the condition" in said, said)

        def two_fail() -> bool:
            return self.run("get pods").count("ImagePull") == 2

        self.eventually(two_fail, "two pods have no image")
        rows = self.run("get pods").splitlines()
        check(sum(" Running " in row for row in rows) == 3, "\n".join(rows))
        ready = [item for item in self.pods() if is_ready(item)]
        pages = [fetch(item["status"]["podIP"]) for item in ready]
        check(len(pages) == 3, "three old pods still serve")
        check(all("nginx 1.9.1" in page for page in pages), str(pages))
        return (
            f"{self.image}:1.91 does not exist: the rollout stops, three old pods "
            "serve on"
        )

    def status_says_so(self) -> str:
        row = self.run("get deployments").splitlines()[1].split()
        check(row[1:5] == ["4", "5", "2", "3"], str(row))
        said = self.run(f"rollout status {NAME} --watch=false")
        check("2 out of 4 new replicas have been updated" in said, said)
        return "the status says so: 2 of 4 updated, 3 available"

    def undo(self) -> str:
        said = self.run(f"rollout undo {NAME}")
        check("rolled back" in said, said)
        self.run(f"rollout status {NAME} --timeout=90s")
        pages = [fetch(item["status"]["podIP"]) for item in self.pods()]
        check(all("nginx 1.9.1" in page for page in pages), str(pages))
        return "undone: all four serve nginx 1.9.1 again"

    def history(self) -> str:
        rows = re.findall(r"^(\d+)\s+(.*)$", self.run(f"rollout history {NAME}"), re.M)
        causes = {int(number): cause.strip() for number, cause in rows}
        wanted = {
            1: f"created with image nginx={self.image}:1.7.9",
            2: f"image nginx={self.image}:1.7.9 → {self.image}:1.9.1",
            3: f"image nginx={self.image}:1.9.1 → {self.image}:1.91",
            4: "rolled back to revision 2",
        }
        check(causes == wanted, str(causes))
        return "the history has the right cause for each of 4 revisions"

    def one_revision(self) -> str:
        said = self.run(f"rollout history {NAME} --revision=2")
        check("with revision #2" in said and f"{self.image}:1.9.1" in said, said)
        return "--revision=2 shows the template of then"

    def undo_to_first(self) -> str:
        self.run(f"rollout undo {NAME} --to-revision=1")
        self.run(f"rollout status {NAME} --timeout=90s")
        pages = [fetch(item["status"]["podIP"]) for item in self.pods()]
        check(all("nginx 1.7.9" in page for page in pages), str(pages))
        check("rolled back to revision 1" in self.run(f"rollout history {NAME}"), "")
        return "undone to revision 1: nginx 1.7.9, as revision 5"

    def kill_one(self) -> str:
        victim = self.pods()[0]
        status = victim["status"]["containerStatuses"][0]
        name = victim["metadata"]["name"]
        identity = status["containerID"].partition("://")[2]
        if self.engine:
            containers.kill(self.engine, identity)
        else:
            os.kill(int(identity), signal.SIGKILL)

        def restarted() -> bool:
            found = [each for each in self.pods() if each["metadata"]["name"] == name]
            return bool(
                found
                and found[0]["status"]["containerStatuses"][0]["restartCount"] == 1
                and is_ready(found[0])
            )

        self.eventually(restarted, f"{name} is restarted")
        what = "container" if self.engine else "process"
        return f"kill -9 of a pod's {what}: {name} was restarted"

    def kill_kubelet(self) -> str:
        pids = json.loads((self.folder / "data" / "processes.json").read_text())
        before = {item["spec"]["nodeName"] for item in self.pods()}
        victim = sorted(before)[0]
        lost = sum(item["spec"]["nodeName"] == victim for item in self.pods())
        os.kill(pids[victim], signal.SIGKILL)

        def replaced() -> bool:
            good = [item for item in self.pods() if is_ready(item)]
            nodes = {item["spec"]["nodeName"] for item in good}
            return len(good) == 4 and victim not in nodes

        self.eventually(replaced, f"the pods of {victim} run elsewhere")
        return f"kill -9 of a kubelet: its {lost} pods were replaced on other nodes"

    def adopt(self) -> str:
        """A kubelet that comes again says what it found in its first report, before
        anything of this second Deployment."""
        known = self.folder / "data" / "processes.json"
        pids = json.loads(known.read_text())
        before = runs(self.pods())
        os.kill(pids["worker-1"], signal.SIGKILL)

        def again() -> bool:
            return bool(json.loads(known.read_text())["worker-1"] != pids["worker-1"])

        self.eventually(again, "the kubelet is started again")
        self.run(f"create deployment late --image={self.image}:1.9.1 --replicas=2")
        self.run("rollout status deployment/late --timeout=90s")
        self.run("delete deployment late")
        self.eventually(lambda: len(self.pods()) == 4, "the four pods alone")
        check(runs(self.pods()) == before, f"{before}\n{runs(self.pods())}")
        return "kill -9 of a kubelet: the next one goes on with the same containers"

    def restart_all(self) -> str:
        history = self.run(f"rollout history {NAME} --all -o wide")
        pods = {item["metadata"]["name"] for item in self.pods()}
        self.stop()
        self.start()
        again = self.run(f"rollout history {NAME} --all -o wide")
        check(strip_ages(again) == strip_ages(history), f"{history}\n{again}")

        def same_pods() -> bool:
            names = {item["metadata"]["name"] for item in self.pods()}
            return names == pods and all(is_ready(item) for item in self.pods())

        self.eventually(same_pods, "the same pods are ready again")
        return "stopped and started on the same data: same history, same pods"

    def story(self) -> Iterator[Callable[[], str]]:
        """The steps in order."""
        yield self.create
        yield self.columns
        yield self.pages
        yield self.scale
        yield self.roll_under_load
        yield self.bad_image
        yield self.status_says_so
        yield self.undo
        yield self.history
        yield self.one_revision
        yield self.undo_to_first
        yield self.kill_one
        yield self.adopt if self.engine else self.kill_kubelet
        yield self.restart_all


def check(holds: object, otherwise: str) -> None:
    """Raises `Failed` unless it holds."""
    if not holds:
        raise Failed(otherwise)


def runs(items: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """The containers of these pods, and how often each was restarted."""
    statuses = [item["status"]["containerStatuses"][0] for item in items]
    return {(each["containerID"], each["restartCount"]) for each in statuses}


def strip_ages(text: str) -> str:
    """The text without what only time changes."""
    return re.sub(r"\b\d+[smhd](\d+[smhd])?( ago)?\b", "", text)


def tell(demo: Demo) -> None:
    """Runs the story, and prints it."""
    for number, step in enumerate(demo.story(), 1):
        try:
            print(f"{number:2}  {step()}", flush=True)
        except (Failed, KeyError, IndexError, subprocess.TimeoutExpired) as error:
            raise Failed(f"{step.__name__}: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description="The story of a Deployment.")
    parser.add_argument("--runtime", choices=tuple(UP), default="process")
    parser.add_argument("--engine", default="", help="a container engine's URL")
    parser.add_argument("--store", default="", help="a store other than SQLite")
    parser.add_argument("--verbose", action="store_true", help="show every command")
    options = parser.parse_args()
    began = time.monotonic()
    engine = ""
    with tempfile.TemporaryDirectory(prefix="rollbook-demo-") as folder:
        demo = None
        try:
            if options.runtime == "container":
                engine = containers.address(options.engine)
                containers.load(engine, GOOD)
            demo = Demo(Path(folder), options.store, engine, verbose=options.verbose)
            demo.start()
            tell(demo)
        except (Failed, containers.Missing) as error:
            print(f"FAILED: {error}")
            if options.verbose and demo is not None:
                print((Path(folder) / "up.err").read_text())
            return 1
        finally:
            if demo is not None:
                demo.stop()
            if engine:
                containers.unload(engine, GOOD)
    print(f"done in {time.monotonic() - began:.0f} s: every step came out right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
