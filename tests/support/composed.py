"""What docker-compose.yml starts, as plain processes of this machine.

1. Commands, environment, order and health checks are those of the file. Only what a
   container would have of its own is replaced: hosts and ports, and the folder /data.
2. Each service sees under its /data what it mounts, and nothing else: links to one
   folder per volume.
3. The database is not started here; the test brings the URL of a store.
4. There is no container engine, as in a service's container.
"""

import contextlib
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from adapters import nats_server
from tests import test_compose
from tests.support.ports import free_port
from tests.support.system import SCRIPT, eventually

SERVICES: Final[dict[str, dict[str, Any]]] = test_compose.SERVICES
STOP_SECONDS: Final = 60.0
DATABASE: Final = "postgres"


class Composed:
    """The services in `folder`, over the store at `store`."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        self.store = store
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._port, self._monitor_port = free_port(), free_port()
        self._api_port = free_port()
        self._metrics_ports = {name: free_port() for name in SERVICES}
        self._done: set[str] = set()
        for name, service in SERVICES.items():
            self._mount(name, service)

    def up(self) -> None:
        """Afterwards every service runs and is well, or has done its work."""
        wanted = [name for name, it in SERVICES.items() if "profiles" not in it]
        for name in wanted:
            self._start(name)
        for name in wanted:
            self._await_health(name)

    def start(self, name: str, process: str = "") -> subprocess.Popen[bytes]:
        """One more process of a service; what it says goes into a log file.

        A second one has a page of metrics of its own, as it has in its container.
        """
        process = process or name
        own = {"ROLLBOOK_METRICS_PORT": str(free_port())} if process != name else {}
        with self._log(process).open("ab") as log:
            started = subprocess.Popen(
                self._command(name, SERVICES[name]["command"]),
                env={**self.environment(name), **own},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes[process] = started
        return started

    def run(self, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """`docker compose run --rm NAME WORDS`, or the service's own command."""
        return subprocess.run(
            self._command(name, words or SERVICES[name]["command"]),
            env=self.environment(name),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def cli(self, *words: str) -> str:
        """What `rollbook WORDS` prints; it must succeed."""
        done = self.run("cli", *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def said(self, process: str) -> str:
        """What a process has said on standard output and standard error."""
        return self._log(process).read_text()

    def is_well(self, name: str) -> bool:
        """What the health check of the service says."""
        kind, *words = SERVICES[name]["healthcheck"]["test"]
        assert kind == "CMD"
        if words[0] == "rollbook":
            return self.run(name, *words[1:]).returncode == 0
        assert words[0] == "wget", words
        try:
            with urllib.request.urlopen(self._local(name, words[-1]), timeout=5):
                return True
        except OSError:
            return False

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a service's processes."""
        given = SERVICES[name].get("environment", {})
        own = {key: self._local(name, value) for key, value in given.items()}
        return {**os.environ, "DOCKER_HOST": f"unix://{self.folder}/none", **own}

    def stop(self) -> dict[str, int]:
        """Afterwards nothing runs; the exit status of each process.

        Last started, first stopped, as its dependents are.
        """
        for process in reversed(self.processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return {name: each.returncode for name, each in self.processes.items()}

    # --- helpers --------------------------------------------------------------------

    def _start(self, name: str) -> None:
        if name in self._done or name == DATABASE:
            return
        self._done.add(name)
        service = SERVICES[name]
        for other, wait in service.get("depends_on", {}).items():
            self._start(other)
            if wait["condition"] == "service_healthy":
                self._await_health(other)
        if service["restart"] == "no":
            done = self.run(name)
            assert done.returncode == 0, f"{name}: {done.stderr}"
        else:
            self.start(name)

    def _await_health(self, name: str) -> None:
        if "healthcheck" in SERVICES[name] and name != DATABASE:
            eventually(lambda: self._lives(name) and self.is_well(name), name)

    def _lives(self, name: str) -> bool:
        status = self.processes[name].poll()
        if status is not None:
            raise RuntimeError(f"{name} has ended ({status}): {self.said(name)}")
        return True

    def _command(self, name: str, words: "list[str] | tuple[str, ...]") -> list[str]:
        ours = SERVICES[name]["image"] == "rollbook"
        program = SCRIPT if ours else nats_server.find_binary()
        return [str(program), *(self._local(name, word) for word in words)]

    def _local(self, name: str, text: str) -> str:
        """A word of the file with this machine's hosts, ports and folders."""
        if text.startswith("postgresql://"):
            assert f"@{DATABASE}/" in text
            return self.store
        for there, here in (
            ("nats://nats:4222", f"nats://127.0.0.1:{self._port}"),
            ("0.0.0.0", "127.0.0.1"),
            ("=api:6443", f"=localhost:{self._api_port}"),
            ("6443", str(self._api_port)),
            ("8222", str(self._monitor_port)),
            ("9640", str(self._metrics_ports[name])),
            ("/data", str(self.folder / "services" / name / "data")),
        ):
            text = text.replace(there, here)
        return text

    def _mount(self, name: str, service: dict[str, Any]) -> None:
        root = self.folder / "services" / name
        root.mkdir(parents=True)
        for mount in service.get("volumes", []):
            volume, target = mount.split(":")[:2]
            there = self.folder / "volumes" / volume
            there.mkdir(parents=True, exist_ok=True)
            here = root / target.removeprefix("/")
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(there)

    def _log(self, process: str) -> Path:
        return self.folder / f"{process}.log"


@contextlib.contextmanager
def composed(folder: Path, store: str) -> Iterator[Composed]:
    """The services, all started and well; all are gone afterwards."""
    system = Composed(folder, store)
    try:
        system.up()
        yield system
    finally:
        system.stop()
