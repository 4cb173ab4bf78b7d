"""The system under measurement: the real broker, store and processes, in a folder.

1. Control and api are started as a user would start them, over a store with full
   durability and a broker with permissions. Hollow kubelets are processes of their
   own, thousands of nodes in each (hollow.py).
2. Roles: `control`, `api`, `nats`, `kubelets` (all of them together) and `bench` (this
   process). What a role costs counts over all its lives.
3. What is started here is stopped here, whatever happens; nothing else is touched.
"""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import psutil

from adapters import (
    certificates,
    eventstore,
    nats_server,
    nats_wire,
    parentage,
    private_files,
)
from adapters import context as contexts
from gateway.kube import kubeconfig, logins
from rollbook import processes
from rollbook.bench import hollow

CONTROL: Final = "control"
API: Final = "api"
NATS: Final = "nats"
KUBELETS: Final = "kubelets"
BENCH: Final = "bench"
ROLES: Final = (CONTROL, API, NATS, KUBELETS, BENCH)
SYSTEM: Final = (CONTROL, API, NATS)
"""What a cluster costs beside its nodes, and beside who measures it."""
USER: Final = "admin"
NODE: Final = "worker-1"
"""The node that is a real one."""
NODES_PER_HOST: Final = 2_500
READY_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 30.0
_KIB: Final = 1024
_TAIL: Final = 1_500
_LOOPBACK: Final = "127.0.0.1"


class Failure(Exception):
    """The benchmark cannot go on; the text says why."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How large the cluster is and how patient. Seconds; `room` is pods per node."""

    nodes: int
    room: int = 110
    store: str = ""
    """Empty is SQLite in the folder."""
    heartbeat: float = 10.0
    usage: float = 0.0
    """How often kubelets sample what pods use; 0 is never."""
    grace: float = 50.0
    toleration: int = 300
    apart: int = 0
    """So many of the nodes are in a process of their own, which can be killed."""
    kube: bool = False
    """The api serves the Kubernetes API too."""
    engine: str = ""
    """The container engine of the one node, which is a real one then."""

    def hosts(self) -> dict[str, int]:
        """The processes of hollow kubelets, and how many nodes each plays."""
        if self.engine:
            return {}
        rest, found = self.nodes - self.apart, {}
        count = max(1, -(-rest // NODES_PER_HOST))
        for number in range(count):
            found[f"n{number}"] = rest // count + (number < rest % count)
        if self.apart:
            found["apart"] = self.apart
        return found


class Child:
    """One process that says `ready` once it works."""

    def __init__(self, role: str, name: str, command: list[str], log: Path) -> None:
        self.role = role
        self.name = name
        self.process: asyncio.subprocess.Process | None = None
        self._command = command
        self._log = log

    @property
    def pid(self) -> int:
        """Of the process that runs; 0 for none."""
        running = self.process is not None and self.process.returncode is None
        return self.process.pid if self.process is not None and running else 0

    async def start(self) -> float:
        """Seconds from its start until it was ready. Raises `Failure`."""
        begun = time.perf_counter()
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=_environment(),
                # Ctrl-C reaches the benchmark alone, which stops all.
                start_new_session=True,
            )
        stdout = self.process.stdout
        assert stdout is not None, "it is a pipe"
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                line = await stdout.readline()
        if not line.startswith(b"ready"):
            raise Failure(f"{self.name} did not become ready: {self.last_words()}")
        return time.perf_counter() - begun

    async def stop(self, number: int = signal.SIGTERM) -> None:
        """Afterwards it has ended."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def tell(self, line: str) -> None:
        """Writes a line to its standard input."""
        assert self.process is not None, "it was started"
        assert self.process.stdin is not None, "it is a pipe"
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()

    def last_words(self) -> str:
        """The end of what it wrote on standard error."""
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")[-_TAIL:].strip()
        return ""


class System:
    """One cluster in `folder`."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder = folder.absolute()
        self.shape = shape
        self.embedded = not shape.store
        self.store = shape.store or f"sqlite://{self.folder}/rollbook.db"
        self.children: dict[str, Child] = {}
        self.api_url = ""
        """Of the Kubernetes API; there is one from `start` on, if it is served."""
        self._server: nats_server.EmbeddedServer | None = None
        self._watched: dict[int, tuple[str, psutil.Process]] = {}
        self._cpu: dict[int, float] = {}
        self._peak: dict[int, int] = {}

    @property
    def server(self) -> nats_server.EmbeddedServer:
        """The broker; there is one from `start` on."""
        assert self._server is not None, "the system was started"
        return self._server

    async def start(self) -> None:
        """Afterwards every process works and every node has its list."""
        private_files.make_folder(self.folder)
        (self.folder / "logs").mkdir(exist_ok=True)
        hosts = self.shape.hosts()
        names = {name: hollow.node_names(name, count) for name, count in hosts.items()}
        self._server = nats_server.EmbeddedServer(
            self.folder / NATS,
            users=(USER,),
            nodes=(NODE,) if self.shape.engine else (),
            hosts=names,
            port=nats_server.free_port(),
        )
        await self._server.start()
        self._watch(NATS, self._server.pid or 0)
        self._watch(BENCH, os.getpid())
        real = (nats_wire.node_login(NODE),) if self.shape.engine else ()
        for role in (CONTROL, API, USER, *real):
            contexts.write_context(self._context(role), self.context(role))
        self._define(hosts)
        await self.begin(CONTROL)
        rest = [name for name in self.children if name != CONTROL]
        await asyncio.gather(*(self.begin(name) for name in rest))

    async def stop(self) -> None:
        """Afterwards nothing of it runs."""
        self.measure()
        kubelets = [each for each in self.children.values() if each.role == KUBELETS]
        others = [each for each in self.children.values() if each.role != KUBELETS]
        await asyncio.gather(*(each.stop() for each in kubelets))
        await asyncio.gather(*(each.stop() for each in others))
        if self._server is not None:
            await self._server.stop()

    async def begin(self, name: str) -> float:
        """Starts a process again, or for the first time; seconds until it is ready."""
        child = self.children[name]
        seconds = await child.start()
        self._watch(child.role, child.pid)
        return seconds

    async def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """Ends one process by a signal."""
        self.measure()
        await self.children[name].stop(number)

    def context(self, role: str) -> contexts.Context:
        """How `role` reaches the broker and the store."""
        server = self.server
        return contexts.Context(
            nats_url=server.url,
            user=role,
            secret=server.credential(role).secret,
            store_url=self.store if role != USER else "",
            data_folder=str(self.folder),
        )

    def api_token(self) -> str:
        """The bearer token of the user at the Kubernetes API."""
        return logins.token(USER, self.server.credential(USER).secret)

    def api_trust(self) -> ssl.SSLContext:
        """What knows the Kubernetes API by its certificate."""
        files = certificates.prepare(self.folder / "tls", kubeconfig.hosts(_LOOPBACK))
        return ssl.create_default_context(cafile=str(files.authority))

    def host(self, node: str) -> Child:
        """The process that plays this node."""
        return self.children[node.rpartition("-")[0]]

    def ended(self) -> list[str]:
        """The processes that have ended by themselves."""
        return [name for name, child in self.children.items() if not child.pid]

    def trouble(self) -> str:
        """What the processes said last."""
        told = {name: child.last_words() for name, child in self.children.items()}
        return "\n".join(f"--- {name}\n{text}" for name, text in told.items() if text)

    # --- what it costs --------------------------------------------------------------

    def measure(self) -> None:
        """Notes what the processes have used, before one of them ends."""
        for pid, (_, process) in list(self._watched.items()):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._cpu[pid] = times.user + times.system
                size = _high_water(pid) or process.memory_info().rss
                self._peak[pid] = max(size, self._peak.get(pid, 0))

    def cpu(self) -> dict[str, float]:
        """CPU seconds, user and system, of each role since it began."""
        self.measure()
        found = dict.fromkeys(ROLES, 0.0)
        for pid, seconds in self._cpu.items():
            found[self._watched[pid][0]] += seconds
        return found

    def peak_memory(self) -> dict[str, int]:
        """Bytes at its peak of each role: of one life, the largest; of processes that
        run side by side, their sum."""
        self.measure()
        found = dict.fromkeys(ROLES, 0)
        for pid, size in self._peak.items():
            role = self._watched[pid][0]
            together = found[role] + size
            found[role] = together if role == KUBELETS else max(found[role], size)
        return found

    def store_bytes(self) -> int:
        """The store's files after a checkpoint; 0 where they are not ours.

        Only while nothing runs: the last writer that closes a log folds it together.
        """
        if not self.embedded:
            return 0
        eventstore.open_log(self.store).close()
        return sum(each.stat().st_size for each in self.folder.glob("rollbook.db*"))

    def relay_bytes(self) -> int:
        """The folder of the stream EVENTS. Only while nothing runs."""
        folders = (self.folder / NATS).glob("**/streams/EVENTS")
        files = (each for folder in folders for each in folder.rglob("*"))
        return sum(each.stat().st_size for each in files if each.is_file())

    # --- helpers --------------------------------------------------------------------

    def _define(self, hosts: dict[str, int]) -> None:
        shape, script = self.shape, processes_script()
        self._child(
            CONTROL,
            CONTROL,
            [
                *script,
                *(CONTROL, "--context", str(self._context(CONTROL))),
                *("--store", self.store),
                *("--node-monitor-grace-period", str(shape.grace)),
                *("--default-toleration-seconds", str(shape.toleration)),
            ],
        )
        self._child(
            API,
            API,
            [
                *(*script, API, "--context", str(self._context(API))),
                *("--store", self.store),
                *self._kube(),
            ],
        )
        if shape.engine:
            context = self._context(nats_wire.node_login(NODE))
            options = ["--node", NODE, "--context", str(context), "--end-pods"]
            options += ["--runtime", "container", "--engine", shape.engine]
            options += ["--data", str(self.folder / NODE)]
            options += ["--heartbeat", str(shape.heartbeat), "--usage-interval", "0"]
            self._child(KUBELETS, NODE, [*script, "kubelet", *options])
        for name, count in hosts.items():
            login = nats_wire.node_login(name)
            settings = hollow.HostSettings(
                url=self.server.url,
                name=name,
                secret=self.server.credential(login).secret,
                nodes=count,
                room=shape.room,
                heartbeat=shape.heartbeat,
                usage=shape.usage,
            )
            file = self.folder / f"{name}.json"
            private_files.write(file, msgspec.json.encode(settings))
            code = "from rollbook.bench.hollow import main; main()"
            self._child(KUBELETS, name, [sys.executable, "-P", "-c", code, str(file)])

    def _kube(self) -> list[str]:
        if not self.shape.kube:
            return []
        port = nats_server.free_port()
        self.api_url = f"https://{_LOOPBACK}:{port}"
        return ["--listen", _LOOPBACK, "--api-port", str(port)]

    def _child(self, role: str, name: str, command: list[str]) -> None:
        log = self.folder / "logs" / f"{name}.log"
        self.children[name] = Child(role, name, command, log)

    def _context(self, role: str) -> Path:
        return processes.role_context(self.folder, role)

    def _watch(self, role: str, pid: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._watched[pid] = (role, psutil.Process(pid))


def processes_script() -> list[str]:
    """How `rollbook` is called with this interpreter."""
    script = Path(sys.executable).with_name("rollbook")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-P", "-c", "from rollbook.cli import main; main()"]


def _environment() -> dict[str, str]:
    """What is measured does not depend on who measures it."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ROLLBOOK_")
    }
    return {**own, parentage.SUPERVISOR: str(os.getpid())}


def _high_water(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * _KIB
    return 0
