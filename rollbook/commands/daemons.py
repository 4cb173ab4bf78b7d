"""`up`, `control`, `api`, `kubelet`, `setup`: the processes, and all at once."""

from pathlib import Path
from typing import Final

import click

from rollbook import settings
from rollbook.commands import flags
from rollbook.commands import options as shared
from rollbook.failures import Failure
from rollbook.options import (
    ApiOptions,
    Checkpoints,
    Containers,
    ControlOptions,
    KubeletOptions,
    Metrics,
    Runtime,
    SetupOptions,
    Times,
    UpOptions,
)

_PATH: Final = click.Path(path_type=Path)
_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_SECONDS: Final = click.FloatRange(0, min_open=True)
_PORT: Final = click.IntRange(1, 65535)

_DATA: Final = click.option(
    "--data", type=_FOLDER, envvar=settings.DATA, default=".rollbook",
    show_default=True,
    help="The folder that everything of the cluster lies in.",
)  # fmt: skip
_STORE: Final = click.option(
    "--store", envvar=settings.STORE, default="", metavar="URL",
    help="The event store: sqlite:FILE or postgresql://…",
)  # fmt: skip
_RUNTIME: Final = click.option(
    "--runtime", type=click.Choice(["auto", "process", "container", "hollow"]),
    envvar=settings.RUNTIME, default="auto", show_default=True,
    help="What runs containers; auto: an engine if one answers, else processes.",
)  # fmt: skip
_API_SECONDS: Final = click.FloatRange(0, min_open=True)
_API_PORT: Final = click.option(
    "--api-port", type=_PORT, envvar=settings.API_PORT, default=None,
    help="The port of the Kubernetes API; 6443 if it is free, else a free one.",
)  # fmt: skip
_API_PORT_ALONE: Final = click.option(
    "--api-port", type=_PORT, envvar=settings.API_PORT, default=None,
    help="Serve the Kubernetes API over HTTPS on this port; otherwise it is not.",
)  # fmt: skip
_KEEP_PODS: Final = click.option(
    "--keep-pods", is_flag=True, envvar=settings.KEEP_PODS,
    help="Pods run on when everything else stops.",
)  # fmt: skip
_KEEP_PODS_ALONE: Final = click.option(
    "--keep-pods/--end-pods", default=True, show_default=True,
    envvar=settings.KEEP_PODS,
    help="Pods run on when the kubelet stops, and the next one goes on with them.",
)  # fmt: skip
_IMAGES: Final = click.option(
    "--images", type=_PATH, envvar=settings.IMAGES, default=None, metavar="DIR",
    help="The image catalogue; the one that comes along otherwise.",
)  # fmt: skip
_ENGINE: Final = click.option(
    "--engine", envvar=settings.ENGINE, default="", metavar="URL",
    help="Where Docker or Podman listens, as unix:///run/podman/podman.sock; it is "
    "looked for otherwise.",
)  # fmt: skip
_PRIVILEGED: Final = click.option(
    "--allow-privileged", is_flag=True, envvar=settings.ALLOW_PRIVILEGED,
    help="Containers may have power over this machine.",
)  # fmt: skip
_HOST_PATH: Final = click.option(
    "--allow-host-path", "host_paths", type=_PATH, multiple=True,
    envvar=settings.ALLOW_HOST_PATH, metavar="DIR",
    help="A hostPath may name this folder and what is below; give it several times.",
)  # fmt: skip
_NETWORK: Final = click.option(
    "--pod-network", "network", envvar=settings.POD_NETWORK, default="bridge",
    show_default=True, metavar="NAME", help="The engine's network that pods are in.",
)  # fmt: skip


_LISTEN: Final = click.option(
    "--listen", envvar=settings.LISTEN, default="127.0.0.1", show_default=True,
    metavar="ADDRESS", help="Where to listen.",
)  # fmt: skip


_HEARTBEAT: Final = click.option(
    "--heartbeat", type=_SECONDS, envvar=settings.HEARTBEAT,
    default=Times().heartbeat, show_default=True,
    help="Seconds between a kubelet's reports when it has nothing to say.",
)  # fmt: skip
_USAGE: Final = click.option(
    "--usage-interval", "usage", type=click.FloatRange(0), envvar=settings.USAGE,
    default=Times().usage, show_default=True,
    help="Seconds between two samples of what pods use; 0: none.",
)  # fmt: skip
_AUTOSCALE: Final = click.option(
    "--autoscale-interval", "autoscale", type=_SECONDS, envvar=settings.AUTOSCALE,
    default=Times().autoscale, show_default=True,
    help="Seconds between two looks at an autoscaler.",
)  # fmt: skip
_GRACE: Final = click.option(
    "--node-monitor-grace-period", "node_monitor_grace", type=_SECONDS,
    envvar=settings.NODE_MONITOR_GRACE, default=Times().node_monitor_grace,
    show_default=True, help="Seconds that a node may be silent until it is not ready.",
)  # fmt: skip
_TOLERATION: Final = click.option(
    "--default-toleration-seconds", "toleration", type=click.IntRange(0),
    envvar=settings.TOLERATION, default=Times().toleration, show_default=True,
    help="Seconds that pods stay on a node that is not ready.",
)  # fmt: skip
_EVERY: Final = click.option(
    "--checkpoint-every", type=_SECONDS, envvar=settings.CHECKPOINT_EVERY,
    default=Checkpoints().every, show_default=True,
    help="Seconds between two signed checkpoints of a log that grows.",
)  # fmt: skip
_WITNESS: Final = click.option(
    "--witness", "witnesses", type=_PATH, multiple=True, envvar=settings.WITNESS,
    metavar="FILE", help="Append each checkpoint here too: another disk, for example.",
)  # fmt: skip


METRICS_PORT: Final = click.option(
    "--metrics-port", type=click.IntRange(0, 65535), envvar=settings.METRICS_PORT,
    default=0, metavar="PORT",
    help="Serve /metrics, /livez and /readyz on this port; otherwise they are not.",
)  # fmt: skip
METRICS_LISTEN: Final = click.option(
    "--metrics-listen", envvar=settings.METRICS_LISTEN, default="127.0.0.1",
    show_default=True, metavar="ADDRESS", help="Where metrics are served.",
)  # fmt: skip
PROMETHEUS: Final = click.option(
    "--prometheus", envvar=settings.PROMETHEUS, default="", metavar="URL",
    help="The Prometheus that the monitor asks.",
)  # fmt: skip


@click.command(cls=flags.Command)
@_DATA
@click.option(
    "--nodes",
    type=click.IntRange(0),
    envvar=settings.NODES,
    default=3,
    show_default=True,
    help="How many local nodes.",
)
@_RUNTIME
@click.option(
    "--nats",
    envvar=settings.NATS,
    default="",
    metavar="URL",
    help="A NATS server that is there already.",
)
@_STORE
@click.option(
    "--nats-port",
    type=_PORT,
    envvar=settings.NATS_PORT,
    default=None,
    help="The port of the embedded NATS server; 4222 if it is free, else a free one.",
)
@_API_PORT
@_KEEP_PODS
@_IMAGES
@_ENGINE
@_PRIVILEGED
@_HOST_PATH
@_NETWORK
@click.option(
    "--restart/--no-restart", default=True, show_default=True,
    help="Start processes again that end by themselves.",
)  # fmt: skip
@_HEARTBEAT
@_USAGE
@_AUTOSCALE
@_GRACE
@_TOLERATION
@_EVERY
@_WITNESS
@click.option(
    "--metrics", is_flag=True, envvar=settings.METRICS,
    help="Every process serves metrics; DATA/prometheus.yml says where.",
)  # fmt: skip
@click.option(
    "--monitor", is_flag=True, envvar=settings.MONITOR,
    help="Start a monitor too: it measures for autoscalers and analyses.",
)  # fmt: skip
@click.option(
    "--monitor-config", type=_PATH, envvar=settings.MONITOR_CONFIG, default=None,
    metavar="FILE", help="What the monitor measures, as `rollbook monitor --config`.",
)  # fmt: skip
@PROMETHEUS
@shared.everywhere
@click.pass_context
def up(
    ctx: click.Context,
    data: Path,
    nodes: int,
    runtime: Runtime,
    nats: str,
    store: str,
    nats_port: int | None,
    api_port: int | None,
    keep_pods: bool,
    images: Path | None,
    engine: str,
    allow_privileged: bool,
    host_paths: tuple[Path, ...],
    network: str,
    restart: bool,
    heartbeat: float,
    usage: float,
    autoscale: float,
    node_monitor_grace: float,
    toleration: int,
    checkpoint_every: float,
    witnesses: tuple[Path, ...],
    metrics: bool,
    monitor: bool,
    monitor_config: Path | None,
    prometheus: str,
) -> None:
    """Run the whole system here, in the foreground; Ctrl-C stops it.

    It prints a line that starts with `ready` when it is.

    \b
    Examples:
      rollbook up
      rollbook up --data demo --nodes 5
      rollbook up --runtime hollow --nodes 100
    """
    from rollbook import up as system

    system.run(
        UpOptions(
            data=data, nodes=nodes, runtime=runtime, nats=nats, store=store,
            nats_port=nats_port, api_port=api_port, keep_pods=keep_pods,
            images=images, restart=restart, debug=shared.debug(ctx),
            containers=_containers(engine, allow_privileged, host_paths, network),
            metrics=metrics, monitor=monitor or bool(prometheus or monitor_config),
            prometheus=prometheus, monitor_config=monitor_config,
            times=Times(
                heartbeat=heartbeat, node_monitor_grace=node_monitor_grace,
                usage=usage, autoscale=autoscale,
                toleration=toleration,
            ),
            checkpoints=Checkpoints(every=checkpoint_every, witnesses=witnesses),
        )
    )  # fmt: skip


@click.command(cls=flags.Command)
@_STORE
@_AUTOSCALE
@_GRACE
@_TOLERATION
@_EVERY
@_WITNESS
@METRICS_PORT
@METRICS_LISTEN
@shared.everywhere
@click.pass_context
def control(
    ctx: click.Context,
    store: str,
    autoscale: float,
    node_monitor_grace: float,
    toleration: int,
    checkpoint_every: float,
    witnesses: tuple[Path, ...],
    metrics_port: int,
    metrics_listen: str,
) -> None:
    """Run the one writer: it decides commands and reconciles.

    A second one stands by until the first has gone.

    \b
    Examples:
      rollbook control --context data/control/context.toml
    """
    from rollbook import processes

    processes.run_control(
        ControlOptions(
            context=shared.context_file(ctx), store=store, debug=shared.debug(ctx),
            times=Times(
                node_monitor_grace=node_monitor_grace, toleration=toleration,
                autoscale=autoscale,
            ),
            checkpoints=Checkpoints(every=checkpoint_every, witnesses=witnesses),
            metrics=Metrics(listen=metrics_listen, port=metrics_port),
        )
    )  # fmt: skip


@click.command(cls=flags.Command)
@_STORE
@_LISTEN
@_API_PORT_ALONE
@click.option(
    "--api-socket", type=int, default=-1, hidden=True,
    help="A descriptor that listens there: whoever starts the process keeps the port.",
)  # fmt: skip
@METRICS_PORT
@METRICS_LISTEN
@shared.everywhere
@click.pass_context
def api(
    ctx: click.Context,
    store: str,
    listen: str,
    api_port: int | None,
    api_socket: int,
    metrics_port: int,
    metrics_listen: str,
) -> None:
    """Run the readers' side: questions over NATS, and the Kubernetes API.

    As many of them as wanted may run.

    \b
    Examples:
      rollbook api --context data/api/context.toml
      rollbook api --context data/api/context.toml --api-port 6443
    """
    from rollbook import processes

    processes.run_api(
        ApiOptions(
            context=shared.context_file(ctx), store=store, listen=listen,
            api_port=api_port, api_socket=api_socket, debug=shared.debug(ctx),
            metrics=Metrics(listen=metrics_listen, port=metrics_port),
        )
    )  # fmt: skip


@click.command(cls=flags.Command)
@click.option(
    "--node",
    envvar=settings.NODE,
    required=True,
    metavar="NAME",
    help="The node's name.",
)
@_RUNTIME
@click.option(
    "--data",
    type=_FOLDER,
    envvar=settings.DATA,
    default=None,
    metavar="DIR",
    help="Where pods' files and output lie; beside the context otherwise.",
)
@_KEEP_PODS_ALONE
@_IMAGES
@_ENGINE
@_PRIVILEGED
@_HOST_PATH
@_NETWORK
@click.option(
    "--hollow-nodes",
    type=click.IntRange(0),
    envvar=settings.HOLLOW_NODES,
    default=0,
    metavar="N",
    help="Play N nodes whose names begin with NAME; runs nothing.",
)
@_HEARTBEAT
@_USAGE
@METRICS_PORT
@METRICS_LISTEN
@shared.everywhere
@click.pass_context
def kubelet(
    ctx: click.Context,
    node: str,
    runtime: Runtime,
    data: Path | None,
    keep_pods: bool,
    images: Path | None,
    engine: str,
    allow_privileged: bool,
    host_paths: tuple[Path, ...],
    network: str,
    hollow_nodes: int,
    heartbeat: float,
    usage: float,
    metrics_port: int,
    metrics_listen: str,
) -> None:
    """Run a node's agent: it runs pods, and reports what it sees.

    \b
    Examples:
      rollbook kubelet --node worker-1
      rollbook kubelet --node hollow --hollow-nodes 1000
    """
    from rollbook import processes

    processes.run_kubelet(
        KubeletOptions(
            node=node, context=shared.context_file(ctx),
            runtime="hollow" if hollow_nodes else runtime, data=data,
            keep_pods=keep_pods, images=images, hollow_nodes=hollow_nodes,
            containers=_containers(engine, allow_privileged, host_paths, network),
            heartbeat=heartbeat, usage=usage, debug=shared.debug(ctx),
            metrics=Metrics(listen=metrics_listen, port=metrics_port),
        )
    )  # fmt: skip


@click.command(cls=flags.Command)
@_DATA
@click.option(
    "--nats-url",
    required=True,
    envvar=settings.NATS,
    metavar="URL",
    help="Where the others will reach the broker.",
)
@_LISTEN
@click.option(
    "--api-address", envvar=settings.API_ADDRESS, default="", metavar="HOST:PORT",
    help="Where clients will find the Kubernetes API: each person gets a kubeconfig.",
)  # fmt: skip
@click.option("--nodes", default="", metavar="A,B", help="The nodes' names.")
@click.option(
    "--user",
    "users",
    multiple=True,
    default=("admin",),
    show_default=True,
    metavar="NAME",
    help="A person; give it several times.",
)
@shared.everywhere
@click.pass_context
def setup(
    ctx: click.Context,
    data: Path,
    nats_url: str,
    listen: str,
    api_address: str,
    nodes: str,
    users: tuple[str, ...],
) -> None:
    """Write the broker's configuration, and a context for each process and person.

    What is there stays: secrets are drawn once.

    \b
    Examples:
      rollbook setup --data data --nats-url nats://nats:4222 --nodes worker-1,worker-2
      rollbook setup --data data --nats-url nats://nats:4222 --api-address api:6443
    """
    from rollbook import setups

    names = tuple(name.strip() for name in nodes.split(",") if name.strip())
    if len(set(names)) < len(names):
        raise Failure(f"error: --nodes names a node twice: {nodes}")
    setups.setup(
        SetupOptions(
            data=data, nats_url=nats_url, listen=listen, nodes=names, users=users,
            api_address=api_address, debug=shared.debug(ctx),
        )
    )  # fmt: skip


def _containers(
    engine: str, allow_privileged: bool, host_paths: tuple[Path, ...], network: str
) -> Containers:
    return Containers(
        engine=engine, allow_privileged=allow_privileged, host_paths=host_paths,
        network=network,
    )  # fmt: skip
