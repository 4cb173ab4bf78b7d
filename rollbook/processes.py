"""The processes by themselves: control, api and kubelet, from options to running.

1. Each reads its context (who it is, where the broker and the store are), says one
   line that starts with `ready` on standard output when it works, and ends with
   status 0 on TERM or INT.
2. What keeps it from working is one sentence on standard error and status 1.
3. Every message goes to standard error, one line each, with its time.
"""

import asyncio
import importlib.metadata
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapters import context as contexts
from adapters import nats_wire, parentage
from adapters.context import Context
from domain.errors import Permanent
from rollbook import choosing, health, settings
from rollbook.options import (
    ApiOptions,
    ControlOptions,
    KubeletOptions,
    MonitorOptions,
    Times,
)

if TYPE_CHECKING:
    from workers import state

BEAT_SECONDS: Final = 4.0
assert BEAT_SECONDS * 3 < health.STALE_SECONDS, "one late beat is no illness"

TLS: Final = "tls"
"""The folder of the api's certificates."""


def version() -> str:
    """The version of the installed distribution."""
    return importlib.metadata.version("rollbook")


def run_control(options: ControlOptions) -> None:
    """Runs the one writer until TERM or INT; a second one stands by meanwhile.

    Raises `Permanent` if it must stop.
    """
    from workers import control, main, notary

    context = _context(options.context)
    told = control.ControlSettings(
        nats_url=context.nats_url,
        user=context.user,
        secret=context.secret,
        store_url=options.store or context.store_url,
        version=version(),
        writer=writer_settings(options.times),
        checkpoints=notary.Settings(
            folder=_data_folder(options.context, context),
            witnesses=options.checkpoints.witnesses,
            every=options.checkpoints.every,
        ),
        metrics_listen=options.metrics.listen,
        metrics_port=options.metrics.port,
    )
    life = _Life("control", options.context)
    _serve(life, lambda stop: main.run(told, stop, life.ready, life.progress))


def run_api(options: ApiOptions) -> None:
    """Runs the readers' side until TERM or INT."""
    from gateway import main as gateway

    context = _context(options.context)
    told = gateway.ApiSettings(
        nats_url=context.nats_url,
        user=context.user,
        secret=context.secret,
        store_url=options.store or context.store_url,
        version=version(),
        listen=options.listen,
        api_port=options.api_port or 0,
        api_address=context.api_address,
        api_socket=options.api_socket,
        tls_folder=_tls_folder(options.context, context),
        metrics_listen=options.metrics.listen,
        metrics_port=options.metrics.port,
    )
    life = _Life("api", options.context)
    _serve(
        life,
        lambda stop: gateway.run(
            told, stop=stop, ready=life.ready, progress=life.progress
        ),
    )


def run_kubelet(options: KubeletOptions) -> None:
    """Runs the agent of one node, or of many hollow ones, until TERM or INT."""
    from kubelet import container_settings
    from kubelet import main as kubelet

    given = options.containers
    choice = choosing.choose(options.runtime, os.environ, given.engine)
    assert choice.runtime != "auto", "that is what was chosen from"
    context = _context(options.context)
    supervisor = os.environ.get(parentage.SUPERVISOR, "")
    data = options.data or Path(context.data_folder or ".rollbook") / options.node
    own = {context.user: context.secret}
    told = kubelet.KubeletSettings(
        node=options.node,
        url=context.nats_url,
        user=context.user,
        secret=context.secret,
        secrets=own if not options.hollow_nodes else _secrets(options, context),
        data=data,
        runtime=choice.runtime,
        engine=given.engine,
        rules=container_settings.Rules(
            allow_privileged=given.allow_privileged,
            host_paths=tuple(str(path.absolute()) for path in given.host_paths),
            network=given.network,
        ),
        nodes=options.hollow_nodes,
        prefix=f"{options.node}-",
        images=(options.images,) if options.images is not None else (),
        heartbeat=options.heartbeat,
        usage_interval=options.usage,
        keep_pods=options.keep_pods,
        supervisor=int(supervisor) if supervisor.isdecimal() else 0,
        metrics_listen=options.metrics.listen,
        metrics_port=options.metrics.port,
    )
    life = _Life(f"kubelet/{options.node}", options.context)

    def ready() -> None:
        if choice.why:
            logging.info("runtime %s: %s", choice.runtime, choice.why)
        life.ready()

    _serve(life, lambda stop: kubelet.run(told, stop=stop, ready=ready))


def run_monitor(options: MonitorOptions) -> None:
    """Measures what the cluster wants to know until TERM or INT."""
    from gateway.monitoring import configuration
    from gateway.monitoring import main as monitor

    context = _context(options.context)
    told = monitor.MonitorSettings(
        nats_url=context.nats_url,
        user=context.user,
        secret=context.secret,
        configuration=configuration.load(options.config, options.prometheus),
        metrics_listen=options.metrics.listen,
        metrics_port=options.metrics.port,
    )
    life = _Life("monitor", options.context)
    _serve(life, lambda stop: monitor.run(told, stop, life.ready))


def writer_settings(times: Times) -> "state.Settings":
    """The writer's settings with these times of node failure."""
    from domain.plans import node_health
    from workers import state

    return state.Settings(
        health=node_health.Config(
            monitor_grace=times.node_monitor_grace,
            startup_grace=max(60.0, times.node_monitor_grace),
            toleration_seconds=times.toleration,
        ),
        autoscale_every=times.autoscale,
    )


def role_context(data: Path, login: str) -> Path:
    """Where the context of a role lies under a cluster's data folder."""
    return data / login / "context.toml"


def _secrets(options: KubeletOptions, context: Context) -> dict[str, str]:
    """The logins of hollow nodes: their contexts lie beside the one that was given."""
    data = Path(context.data_folder)
    found = {}
    for number in range(options.hollow_nodes):
        login = nats_wire.node_login(f"{options.node}-{number}")
        path = role_context(data, login)
        if not path.exists():
            raise Permanent(
                f"{path} is missing: `rollbook setup --nodes …` makes the login of "
                f"each hollow node"
            )
        found[login] = contexts.load_context(str(path), os.environ).secret
    return found


def _data_folder(explicit: str | None, context: Context) -> Path:
    """The cluster's folder; where it is on another machine, that of the context."""
    folder = Path(context.data_folder or ".rollbook")
    file = explicit or settings.text(os.environ, settings.CONTEXT)
    return Path(file).expanduser().parent if file and not folder.is_dir() else folder


def _tls_folder(explicit: str | None, context: Context) -> Path:
    """Where the api's certificates lie: beside its context, where `setup` has made
    some there, and else in the cluster's folder."""
    file = explicit or settings.text(os.environ, settings.CONTEXT)
    beside = Path(file).expanduser().parent / TLS if file else None
    if beside is not None and beside.is_dir():
        return beside
    return _data_folder(explicit, context) / TLS


def _context(explicit: str | None) -> Context:
    return contexts.load_context(explicit, os.environ)


class _Life:
    """A process's signs of life: the ready line, and a pulse beside its context."""

    def __init__(self, name: str, context: str | None) -> None:
        self.name = name
        file = context or settings.text(os.environ, settings.CONTEXT)
        self._folder = Path(file).expanduser().parent if file else None
        self._position = self._committed = 0
        self._works = asyncio.Event()

    def ready(self) -> None:
        """It works: the supervisor waits for this line."""
        self._works.set()
        print(f"ready {self.name}", flush=True)  # noqa: T201  # for the supervisor

    def progress(self, position: int, committed: int) -> None:
        """How far it is, and the last position that it knows of."""
        self._position, self._committed = position, committed

    async def beat(self) -> None:
        """Leaves a pulse every few seconds, for `rollbook status --process`.

        Not before it works: a control that stands by must not cover up, in a folder
        that both have, that the working one is ill.
        """
        await self._works.wait()
        while self._folder is not None:
            pulse = health.Pulse(
                process=self.name,
                at=time.time(),
                position=self._position,
                committed=self._committed,
            )
            try:
                health.beat(self._folder, pulse)
            except OSError as error:
                logging.warning("cannot leave a pulse: %s", error)
            await asyncio.sleep(BEAT_SECONDS)


def _serve(life: _Life, run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s {life.name} %(levelname)s %(message)s",
    )
    parentage.end_with_supervisor(os.environ)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        beating = asyncio.create_task(life.beat())
        try:
            await run(stop)
        finally:
            beating.cancel()

    asyncio.run(main())
