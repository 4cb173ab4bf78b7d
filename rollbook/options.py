"""What the processes are started with: one struct for each of them.

The command line (rollbook/commands/daemons.py) fills them in from options and
environment variables; rollbook/up.py and rollbook/processes.py act on them.
"""

from pathlib import Path
from typing import Literal

import msgspec

Runtime = Literal["auto", "process", "container", "hollow"]
"""`auto` is chosen at the start: rollbook/choosing.py."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What every process may be told."""

    debug: bool = False


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """The times of node failure, in seconds, Kubernetes' by default (spec 4.5)."""

    node_monitor_grace: float = 50.0
    """How long a node may be silent before it is not ready."""
    toleration: int = 300
    """How long pods that say nothing of it stay on a node that is not ready."""
    heartbeat: float = 10.0
    """How often a kubelet reports when it has nothing to say."""
    usage: float = 15.0
    """How often it is sampled what pods use; 0 is never."""
    autoscale: float = 15.0
    """How often each autoscaler is looked at."""


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True):
    """How often the log is signed, in seconds, and where else that is kept."""

    every: float = 60.0
    witnesses: tuple[Path, ...] = ()


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Where a process serves its metrics; port 0 is nowhere."""

    listen: str = "127.0.0.1"
    port: int = 0


class Containers(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine runs containers, and what they may do to this machine."""

    engine: str = ""
    """A URL; empty looks for one (adapters/engine.py)."""
    allow_privileged: bool = False
    host_paths: tuple[Path, ...] = ()
    """The folders that a `hostPath` may name, with all that is below."""
    network: str = "bridge"
    """The engine's network that pods are in."""


class UpOptions(Options, frozen=True, kw_only=True):
    """`rollbook up`: everything in one command."""

    data: Path
    nodes: int = 3
    runtime: Runtime = "auto"
    nats: str = ""
    """A server that is there already; empty starts an embedded one."""
    store: str = ""
    """Empty is a SQLite file under `data`."""
    nats_port: int | None = None
    """None is the standard port if it is free, else a free one."""
    api_port: int | None = None
    """None is the standard port if it is free, else a free one."""
    keep_pods: bool = False
    """Pods run on when everything else stops."""
    images: Path | None = None
    """None is the catalogue that comes along."""
    containers: Containers = Containers()
    restart: bool = True
    """Processes that end by themselves are started again."""
    times: Times = Times()
    checkpoints: Checkpoints = Checkpoints()
    metrics: bool = False
    """Every process serves its metrics."""
    monitor: bool = False
    prometheus: str = ""
    """The URL of a Prometheus that the monitor asks."""
    monitor_config: Path | None = None


class ControlOptions(Options, frozen=True, kw_only=True):
    """`rollbook control`: the one writer."""

    context: str | None = None
    """A file; None searches for it (adapters/context.py)."""
    store: str = ""
    """Empty is what the context says."""
    times: Times = Times()
    checkpoints: Checkpoints = Checkpoints()
    metrics: Metrics = Metrics()


class ApiOptions(Options, frozen=True, kw_only=True):
    """`rollbook api`: the readers' side."""

    context: str | None = None
    store: str = ""
    listen: str = "127.0.0.1"
    api_port: int | None = None
    """None serves no Kubernetes API."""
    api_socket: int = -1
    """A descriptor that listens on that port already; -1 is none."""
    metrics: Metrics = Metrics()


class KubeletOptions(Options, frozen=True, kw_only=True):
    """`rollbook kubelet`: the agent of one node, or of many hollow ones."""

    node: str
    """With `hollow_nodes` above 0, the beginning of their names."""
    context: str | None = None
    runtime: Runtime = "auto"
    data: Path | None = None
    """Where pods' files and output lie; None is beside the context."""
    keep_pods: bool = True
    """Pods run on when the kubelet stops, and the next one goes on with them."""
    images: Path | None = None
    containers: Containers = Containers()
    hollow_nodes: int = 0
    heartbeat: float = 10.0
    usage: float = 15.0
    metrics: Metrics = Metrics()


class MonitorOptions(Options, frozen=True, kw_only=True):
    """`rollbook monitor`: measures what the cluster wants to know."""

    context: str | None = None
    config: Path | None = None
    prometheus: str = ""
    metrics: Metrics = Metrics()


class SetupOptions(Options, frozen=True, kw_only=True):
    """`rollbook setup`: the broker's configuration and one context per role."""

    data: Path
    nats_url: str
    api_address: str = ""
    """`host:port` where clients find the Kubernetes API; empty writes no kubeconfig."""
    listen: str = "127.0.0.1"
    nodes: tuple[str, ...] = ()
    users: tuple[str, ...] = ("admin",)
