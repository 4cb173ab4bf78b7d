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
    ControlOptions,
    KubeletOptions,
    Runtime,
    SetupOptions,
    Times,
    UpOptions,
)

_PATH: Final = click.Path(path_type=Path)
_SECONDS: Final = click.FloatRange(0, min_open=True)
_PORT: Final = click.IntRange(1, 65535)

_DATA: Final = click.option(
    "--data", type=_PATH, envvar=settings.DATA, default=".rollbook", show_default=True,
    help="The folder that everything of the cluster lies in.",
)  # fmt: skip
_STORE: Final = click.option(
    "--store", envvar=settings.STORE, default="", metavar="URL",
    help="The event store: sqlite:FILE or postgresql://…",
)  # fmt: skip
_RUNTIME: Final = click.option(
    "--runtime", type=click.Choice(["process", "container", "hollow"]),
    envvar=settings.RUNTIME, default="process", show_default=True,
    help="What runs containers.",
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
    help="Pods run on when their kubelet stops.",
)  # fmt: skip
_IMAGES: Final = click.option(
    "--images", type=_PATH, envvar=settings.IMAGES, default=None, metavar="DIR",
    help="The image catalogue; the one that comes along otherwise.",
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
@click.option(
    "--restart/--no-restart", default=True, show_default=True,
    help="Start processes again that end by themselves.",
)  # fmt: skip
@_HEARTBEAT
@_GRACE
@_TOLERATION
@_EVERY
@_WITNESS
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
    restart: bool,
    heartbeat: float,
    node_monitor_grace: float,
    toleration: int,
    checkpoint_every: float,
    witnesses: tuple[Path, ...],
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
            times=Times(
                heartbeat=heartbeat, node_monitor_grace=node_monitor_grace,
                toleration=toleration,
            ),
            checkpoints=Checkpoints(every=checkpoint_every, witnesses=witnesses),
        )
    )  # fmt: skip


@click.command(cls=flags.Command)
@_STORE
@_GRACE
@_TOLERATION
@_EVERY
@_WITNESS
@shared.everywhere
@click.pass_context
def control(
    ctx: click.Context,
    store: str,
    node_monitor_grace: float,
    toleration: int,
    checkpoint_every: float,
    witnesses: tuple[Path, ...],
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
            times=Times(node_monitor_grace=node_monitor_grace, toleration=toleration),
            checkpoints=Checkpoints(every=checkpoint_every, witnesses=witnesses),
        )
    )  # fmt: skip


@click.command(cls=flags.Command)
@_STORE
@_LISTEN
@_API_PORT_ALONE
@shared.everywhere
@click.pass_context
def api(ctx: click.Context, store: str, listen: str, api_port: int | None) -> None:
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
            api_port=api_port, debug=shared.debug(ctx),
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
    type=_PATH,
    envvar=settings.DATA,
    default=None,
    metavar="DIR",
    help="Where pods' files and output lie; beside the context otherwise.",
)
@_KEEP_PODS
@_IMAGES
@click.option(
    "--hollow-nodes",
    type=click.IntRange(0),
    envvar=settings.HOLLOW_NODES,
    default=0,
    metavar="N",
    help="Play N nodes whose names begin with NAME; runs nothing.",
)
@_HEARTBEAT
@shared.everywhere
@click.pass_context
def kubelet(
    ctx: click.Context,
    node: str,
    runtime: Runtime,
    data: Path | None,
    keep_pods: bool,
    images: Path | None,
    hollow_nodes: int,
    heartbeat: float,
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
            heartbeat=heartbeat, debug=shared.debug(ctx),
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
    nodes: str,
    users: tuple[str, ...],
) -> None:
    """Write the broker's configuration, and a context for each process and person.

    What is there stays: secrets are drawn once.

    \b
    Examples:
      rollbook setup --data data --nats-url nats://nats:4222 --nodes worker-1,worker-2
    """
    from rollbook import up as system

    names = tuple(name.strip() for name in nodes.split(",") if name.strip())
    if len(set(names)) < len(names):
        raise Failure(f"error: --nodes names a node twice: {nodes}")
    system.setup(
        SetupOptions(
            data=data, nats_url=nats_url, listen=listen, nodes=names, users=users,
            debug=shared.debug(ctx),
        )
    )  # fmt: skip
