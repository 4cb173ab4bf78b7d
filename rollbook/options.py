"""What the processes are started with: one struct for each of them.

The command line (rollbook/commands/daemons.py) fills them in from options and
environment variables; rollbook/up.py and rollbook/processes.py act on them.
"""

from pathlib import Path
from typing import Literal

import msgspec

Runtime = Literal["process", "container", "hollow"]


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


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True):
    """How often the log is signed, in seconds, and where else that is kept."""

    every: float = 60.0
    witnesses: tuple[Path, ...] = ()


class UpOptions(Options, frozen=True, kw_only=True):
    """`rollbook up`: everything in one command."""

    data: Path
    nodes: int = 3
    runtime: Runtime = "process"
    nats: str = ""
    """A server that is there already; empty starts an embedded one."""
    store: str = ""
    """Empty is a SQLite file under `data`."""
    nats_port: int | None = None
    """None is the standard port if it is free, else a free one."""
    api_port: int | None = None
    """None is the standard port if it is free, else a free one."""
    keep_pods: bool = False
    images: Path | None = None
    """None is the catalogue that comes along."""
    restart: bool = True
    """Processes that end by themselves are started again."""
    times: Times = Times()
    checkpoints: Checkpoints = Checkpoints()


class ControlOptions(Options, frozen=True, kw_only=True):
    """`rollbook control`: the one writer."""

    context: str | None = None
    """A file; None searches for it (adapters/context.py)."""
    store: str = ""
    """Empty is what the context says."""
    times: Times = Times()
    checkpoints: Checkpoints = Checkpoints()


class ApiOptions(Options, frozen=True, kw_only=True):
    """`rollbook api`: the readers' side."""

    context: str | None = None
    store: str = ""
    listen: str = "127.0.0.1"
    api_port: int | None = None
    """None serves no Kubernetes API."""


class KubeletOptions(Options, frozen=True, kw_only=True):
    """`rollbook kubelet`: the agent of one node, or of many hollow ones."""

    node: str
    """With `hollow_nodes` above 0, the beginning of their names."""
    context: str | None = None
    runtime: Runtime = "process"
    data: Path | None = None
    """Where pods' files and output lie; None is beside the context."""
    keep_pods: bool = False
    images: Path | None = None
    hollow_nodes: int = 0
    heartbeat: float = 10.0


class SetupOptions(Options, frozen=True, kw_only=True):
    """`rollbook setup`: the broker's configuration and one context per role."""

    data: Path
    nats_url: str
    listen: str = "127.0.0.1"
    nodes: tuple[str, ...] = ()
    users: tuple[str, ...] = ("admin",)
