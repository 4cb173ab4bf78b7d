"""`rollbook up`: the whole system from one command.

1. Here everything is wired together: the embedded broker, control, api and kubelets,
   each a process of its own, each with a login that may do its own part only.
2. Everything lies under the data folder; two folders are two clusters.
3. A process that ends by itself is started again, with growing pauses; a kubelet goes
   on with the pods that it left. A Ctrl-C ends all of them, kubelets first (their pods
   get their grace), the broker last.
4. `ready …` is said once every process works; then what to type next.
"""

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import msgspec

from adapters import cancelling, nats_wire, parentage, private_files
from adapters.context import Context, load_context, write_context
from adapters.nats_server import EmbeddedServer
from domain.errors import Permanent
from rollbook import choosing, setups
from rollbook.options import UpOptions
from rollbook.processes import TLS, role_context
from rollbook.scraping import FILE, Ports
from rollbook.setups import KUBECONFIG, LISTEN, NATS

USER: Final = "admin"
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 45.0
STORE: Final = "rollbook.db"
PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before a process is started again; the last one repeats."""
STABLE_SECONDS: Final = 1.0
"""A process that worked this long after it was ready starts with the first pause."""


def run(options: UpOptions) -> None:
    """Runs the system in the foreground until TERM or INT; nothing is left behind.

    Raises `Permanent` where a part cannot run; then nothing is left running either.
    """
    engine = options.containers.engine
    choice = choosing.choose(options.runtime, os.environ, engine)
    options = msgspec.structs.replace(options, runtime=choice.runtime)
    data = options.data.resolve()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(data):
        try:
            asyncio.run(_Supervisor(options, data, choice.why).run())
        finally:
            # Everything has ended: a second signal must not look like a failure.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One `up` per data folder. Raises `Permanent` while another one runs."""
    with (data / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Permanent(
                f"another `rollbook up` runs on {data}: stop it, or give this one "
                "another folder with --data"
            ) from None
        yield


class _Child:
    """One process that is watched over; `name` is also that of its log file."""

    def __init__(
        self, name: str, arguments: list[str], data: Path, sockets: Sequence[int]
    ) -> None:
        """It is given `sockets`, descriptors that it finds under the same numbers."""
        self.name = name
        self.sockets = sockets
        self.arguments = arguments
        self.log = data / "logs" / f"{name}.log"
        self.process: asyncio.subprocess.Process | None = None
        self.ready_at = float("inf")
        self.ends = 0

    async def start(self) -> None:
        """Afterwards it runs and has said that it is ready. Raises `Permanent`."""
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        self.ready_at = float("inf")
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, parentage.SUPERVISOR: str(os.getpid())},
                pass_fds=self.sockets,
                # Ctrl-C reaches the supervisor alone, which stops all in order.
                start_new_session=True,
            )
        stdout = self.process.stdout
        assert stdout is not None, "it is a pipe"
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await stdout.readline()
        except TimeoutError:
            line = b""
        if not line.startswith(b"ready"):
            await self.stop()
            raise Permanent(
                f"{self.name} did not become ready: {self._last_words()} "
                f"(its log is {self.log})"
            )
        self.ready_at = time.monotonic()

    async def stop(self) -> None:
        """Afterwards it has ended: TERM, and KILL after its time."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "it said nothing"


class _Supervisor:
    """The wiring of one cluster on this machine."""

    def __init__(self, options: UpOptions, data: Path, why: str) -> None:
        self._why = why
        self._options = options
        self._data = data
        self._store = options.store or f"sqlite://{data}/{STORE}"
        self._server: EmbeddedServer | None = None
        # Held from now on, whatever becomes of the api: its port stays its own.
        self._api_socket = setups.listening(options.api_port)
        self._api_port: int = self._api_socket.getsockname()[1]
        self._children: list[_Child] = []
        self._ports = Ports()
        self._stop = asyncio.Event()
        self._has_log = not options.store and (data / STORE).exists()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        try:
            url = await self._broker()
            self._kubeconfig()
            self._make_children()
            if self._options.metrics:
                self._ports.write(self._data, LISTEN)
            if await self._start_all():
                self._note_processes()
                self._say_ready(url)
                await self._watch()
        finally:
            click.echo("stopping", err=True)
            await self._stop_all()
            self._api_socket.close()

    # --- wiring ---------------------------------------------------------------------

    @property
    def _address(self) -> str:
        """Where the Kubernetes API is found."""
        return f"{LISTEN}:{self._api_port}"

    def _nodes(self) -> list[str]:
        hollow = self._options.runtime == "hollow"
        prefix, first = ("hollow-", 0) if hollow else ("worker-", 1)
        return [f"{prefix}{first + number}" for number in range(self._options.nodes)]

    async def _broker(self) -> str:
        """The broker's URL, with a context for every role; starts one if none is
        given."""
        if self._options.nats:
            path = self._data / "context.toml"
            if not path.exists():
                raise Permanent(
                    f"{path} is missing: `rollbook setup --data {self._data} "
                    f"--nats-url {self._options.nats} --nodes …` makes the logins for "
                    "a broker that is there already"
                )
            return self._options.nats
        server = EmbeddedServer(
            self._data / NATS,
            nodes=self._nodes(),
            users=(USER,),
            port=self._options.nats_port,
        )
        self._server = server
        await server.start()
        for login, credential in server.configuration.credentials.items():
            context = Context(
                nats_url=server.url,
                user=login,
                secret=credential.secret,
                store_url=self._store if login in ("control", "api") else "",
                api_address=self._address if login == USER else "",
                data_folder=str(self._data),
            )
            path = role_context(self._data, login)
            if login == USER:
                path = self._data / "context.toml"
            write_context(path, context)
        return server.url

    def _kubeconfig(self) -> None:
        """Afterwards `kubectl` can log in as the user of `context.toml`, which says
        where the API is."""
        path = self._data / "context.toml"
        context = load_context(str(path), {})
        found = msgspec.structs.replace(context, api_address=self._address)
        if found != context:  # `setup` cannot know the port
            write_context(path, found)
        setups.write_kubeconfig(self._data / KUBECONFIG, found, self._data / TLS)

    def _make_children(self) -> None:
        options = self._options
        times = options.times
        self._child(
            "control",
            *("control", "--context", self._context("control")),
            *("--store", self._store),
            *("--node-monitor-grace-period", str(times.node_monitor_grace)),
            *("--default-toleration-seconds", str(times.toleration)),
            *("--autoscale-interval", str(times.autoscale)),
            *("--checkpoint-every", str(options.checkpoints.every)),
            *(f"--witness={path.absolute()}" for path in options.checkpoints.witnesses),
            *self._metrics("control"),
        )
        self._child(
            "api",
            *("api", "--context", self._context("api"), "--store", self._store),
            *("--listen", LISTEN, "--api-port", str(self._api_port)),
            *("--api-socket", str(self._api_socket.fileno())),
            *self._metrics("api"),
            sockets=(self._api_socket.fileno(),),
        )
        if options.monitor:
            self._child("monitor", *self._monitor())
        if options.runtime == "hollow":
            if options.nodes:
                login = nats_wire.node_login("hollow-0")
                self._child(
                    "hollow",
                    *("kubelet", "--node", "hollow", "--runtime", "hollow"),
                    *("--hollow-nodes", str(options.nodes)),
                    *("--context", self._context(login)),
                    *self._kubelet_options("hollow"),
                )
            return
        for name in self._nodes():
            login = nats_wire.node_login(name)
            self._child(
                name,
                *("kubelet", "--node", name, "--runtime", options.runtime),
                *("--context", self._context(login)),
                *self._kubelet_options(name),
            )

    def _kubelet_options(self, name: str) -> list[str]:
        options = self._options
        found = ["--data", str(self._data / "pods" / name)]
        found += ["--heartbeat", str(options.times.heartbeat)]
        found += ["--usage-interval", str(options.times.usage)]
        found.append("--keep-pods" if options.keep_pods else "--end-pods")
        if options.images is not None:
            found += ["--images", str(options.images)]
        if options.containers.engine:
            found += ["--engine", options.containers.engine]
        if options.containers.allow_privileged:
            found.append("--allow-privileged")
        found += ["--pod-network", options.containers.network]
        for path in options.containers.host_paths:
            found += ["--allow-host-path", str(path.absolute())]
        return found + self._metrics(name)

    def _metrics(self, name: str) -> list[str]:
        """Where a process serves its metrics, if it is to."""
        if not self._options.metrics:
            return []
        port = str(self._ports.take(name))
        return ["--metrics-listen", LISTEN, "--metrics-port", port]

    def _monitor(self) -> list[str]:
        found = ["monitor", "--context", self._context("monitor")]
        if self._options.prometheus:
            found += ["--prometheus", self._options.prometheus]
        if self._options.monitor_config is not None:
            found += ["--config", str(self._options.monitor_config.absolute())]
        return found + self._metrics("monitor")

    def _context(self, login: str) -> str:
        return str(role_context(self._data, login))

    def _child(self, name: str, *arguments: str, sockets: Sequence[int] = ()) -> None:
        command = [*_console_script(), *arguments]
        self._children.append(_Child(name, command, self._data, sockets))

    # --- running --------------------------------------------------------------------

    def _note_processes(self) -> None:
        """Who runs as what, for `rollbook status` and for people: processes.json."""
        pids = {
            child.name: child.process.pid
            for child in self._children
            if child.process is not None and child.process.returncode is None
        }
        pids["up"] = os.getpid()
        if self._server is not None and self._server.pid is not None:
            pids[NATS] = self._server.pid
        # In one step: whoever reads it while something is started again sees a whole.
        text = json.dumps(pids, indent=2) + "\n"
        private_files.write(self._data / "processes.json", text.encode())

    async def _start_all(self) -> bool:
        """Whether all started before a stop was asked for. Control comes first: it
        makes the store that api reads. Where that is there already, both load it at the
        same time."""
        stopping = asyncio.create_task(self._stop.wait())
        both = 2 if self._has_log else 1
        first, rest = self._children[:both], self._children[both:]
        try:
            for group in (first, rest):
                starting = asyncio.create_task(_start_together(group))
                await asyncio.wait(
                    [stopping, starting], return_when=asyncio.FIRST_COMPLETED
                )
                if not starting.done():
                    await cancelling.end(starting)
                    return False
                starting.result()
            return not self._stop.is_set()
        finally:
            stopping.cancel()

    async def _watch(self) -> None:
        """Starts again what ends by itself, until a stop is asked for."""
        jobs = [asyncio.create_task(self._keep(child)) for child in self._children]
        if self._server is not None:
            jobs.append(asyncio.create_task(self._keep_server(self._server)))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait(
                [stopping, *jobs], return_when=asyncio.FIRST_COMPLETED
            )
            for job in done:
                job.result()
        finally:
            await cancelling.end(stopping, *jobs)

    async def _keep(self, child: _Child) -> None:
        while True:
            assert child.process is not None, "it was started before"
            status = await child.process.wait()
            if not self._options.restart:
                click.echo(f"{child.name} has ended ({status})", err=True)
                await self._stop.wait()
                return
            if time.monotonic() - child.ready_at > STABLE_SECONDS:
                child.ends = 0
            pause = PAUSES[min(child.ends, len(PAUSES) - 1)]
            child.ends += 1
            click.echo(
                f"{child.name} has ended ({status}): starting it again", err=True
            )
            await asyncio.sleep(pause)
            try:
                await child.start()
                self._note_processes()
            except Permanent as error:
                click.echo(f"error: {error}", err=True)

    async def _keep_server(self, server: EmbeddedServer) -> None:
        while True:
            status = await server.wait()
            click.echo(f"nats-server has ended ({status}): starting it again", err=True)
            try:
                await server.start()
                self._note_processes()
            except Permanent as error:
                click.echo(f"error: {error}", err=True)
                await asyncio.sleep(PAUSES[-1])

    async def _stop_all(self) -> None:
        kubelets = [child for child in self._children if child.name not in _CORE]
        core = [child for child in self._children if child.name in _CORE]
        await asyncio.gather(*(child.stop() for child in kubelets))
        await asyncio.gather(*(child.stop() for child in core))
        if self._server is not None:
            await self._server.stop()

    def _say_ready(self, url: str) -> None:
        nodes = self._nodes()
        described = f"{len(nodes)} {self._options.runtime} node" + "s" * (
            len(nodes) != 1
        )
        context = self._data / "context.toml"
        default = Path.cwd() / ".rollbook" / "context.toml"
        flag = "" if context == default else f" --context {context}"
        click.echo(f"ready: nats {url}, store {self._store}, {described}")
        if self._why:
            click.echo(f"  runtime  {self._options.runtime}: {self._why}")
        click.echo(f"  context  {context}")
        click.echo(f"  kubectl  KUBECONFIG={self._data / KUBECONFIG}")
        click.echo(f"  logs     {self._data / 'logs'}")
        click.echo(f"  signed   {self._data / 'checkpoints'}: rollbook verify")
        if self._options.metrics:
            ports = self._ports.by_process.items()
            told = ", ".join(f"{name} {LISTEN}:{port}" for name, port in ports)
            click.echo(f"  metrics  {told}")
            click.echo(f"           prometheus --config.file={self._data / FILE}")
        click.echo("  try      " + f"rollbook{flag} apply -f examples/nginx.yaml")
        click.echo("           " + f"rollbook{flag} get deployments")
        click.echo("  stop     Ctrl-C")
        sys.stdout.flush()


async def _start_together(children: list[_Child]) -> None:
    await asyncio.gather(*(child.start() for child in children))


_CORE: Final = frozenset({"control", "api", "monitor"})


def _console_script() -> list[str]:
    script = Path(sys.executable).with_name("rollbook")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-P", "-c", "from rollbook.cli import main; main()"]
