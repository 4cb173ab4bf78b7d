"""Every environment variable that Rollbook reads, and what each one does.

1. `ENVIRONMENT` is the whole list: a variable that is not in it has no effect, and the
   documents and the compose file are checked against it.
2. An option of the command line wins over its variable, a variable over the default.
3. An empty variable is the same as none.
"""

from collections.abc import Mapping
from typing import Final

CONTEXT: Final = "ROLLBOOK_CONTEXT"
NAMESPACE: Final = "ROLLBOOK_NAMESPACE"
TIMEOUT: Final = "ROLLBOOK_TIMEOUT"
DEBUG: Final = "ROLLBOOK_DEBUG"
DATA: Final = "ROLLBOOK_DATA"
NODES: Final = "ROLLBOOK_NODES"
RUNTIME: Final = "ROLLBOOK_RUNTIME"
NATS: Final = "ROLLBOOK_NATS"
STORE: Final = "ROLLBOOK_STORE"
NATS_PORT: Final = "ROLLBOOK_NATS_PORT"
API_PORT: Final = "ROLLBOOK_API_PORT"
API_ADDRESS: Final = "ROLLBOOK_API_ADDRESS"
LISTEN: Final = "ROLLBOOK_LISTEN"
NODE: Final = "ROLLBOOK_NODE"
KEEP_PODS: Final = "ROLLBOOK_KEEP_PODS"
IMAGES: Final = "ROLLBOOK_IMAGES"
ENGINE: Final = "ROLLBOOK_ENGINE"
ALLOW_PRIVILEGED: Final = "ROLLBOOK_ALLOW_PRIVILEGED"
ALLOW_HOST_PATH: Final = "ROLLBOOK_ALLOW_HOST_PATH"
POD_NETWORK: Final = "ROLLBOOK_POD_NETWORK"
HOLLOW_NODES: Final = "ROLLBOOK_HOLLOW_NODES"
HEARTBEAT: Final = "ROLLBOOK_HEARTBEAT"
USAGE: Final = "ROLLBOOK_USAGE_INTERVAL"
AUTOSCALE: Final = "ROLLBOOK_AUTOSCALE_INTERVAL"
NODE_MONITOR_GRACE: Final = "ROLLBOOK_NODE_MONITOR_GRACE_PERIOD"
TOLERATION: Final = "ROLLBOOK_DEFAULT_TOLERATION_SECONDS"
CHECKPOINT_EVERY: Final = "ROLLBOOK_CHECKPOINT_EVERY"
WITNESS: Final = "ROLLBOOK_WITNESS"
METRICS: Final = "ROLLBOOK_METRICS"
METRICS_PORT: Final = "ROLLBOOK_METRICS_PORT"
METRICS_LISTEN: Final = "ROLLBOOK_METRICS_LISTEN"
MONITOR: Final = "ROLLBOOK_MONITOR"
MONITOR_CONFIG: Final = "ROLLBOOK_MONITOR_CONFIG"
PROMETHEUS: Final = "ROLLBOOK_PROMETHEUS"
NO_COLOR: Final = "NO_COLOR"

ENVIRONMENT: Final[dict[str, str]] = {
    CONTEXT: "the context's file, as --context FILE",
    NAMESPACE: "the namespace of commands that name none, as -n",
    TIMEOUT: "how many seconds a command is tried before it is given up (30)",
    DEBUG: "1 shows a traceback where something went wrong, as --debug",
    DATA: "the folder that everything of a cluster lies in, as --data",
    NODES: "how many local nodes `rollbook up` starts, as --nodes",
    RUNTIME: "what runs containers: auto, process, container or hollow, as --runtime",
    NATS: "the URL of a NATS server that is there already, as --nats",
    STORE: "the URL of the event store, sqlite:… or postgresql:…, as --store",
    NATS_PORT: "the port of the embedded NATS server, as --nats-port",
    API_PORT: "the port of the HTTP API, as --api-port",
    API_ADDRESS: "where clients find the Kubernetes API, as --api-address",
    LISTEN: "the address that servers listen on, as --listen",
    NODE: "the node that a kubelet serves, as --node",
    KEEP_PODS: "1 lets pods run on when their kubelet stops, 0 ends them with it",
    IMAGES: "the folder of the image catalogue, as --images",
    ENGINE: "where the container engine listens, as --engine; else DOCKER_HOST is read",
    ALLOW_PRIVILEGED: "1 allows containers that have power over the machine, as "
    "--allow-privileged",
    ALLOW_HOST_PATH: "folders that a hostPath may name, with colons between them, as "
    "--allow-host-path",
    POD_NETWORK: "the engine's network that pods are in, as --pod-network",
    HOLLOW_NODES: "how many hollow nodes one kubelet plays, as --hollow-nodes",
    HEARTBEAT: "how often a kubelet reports at least, in seconds, as --heartbeat",
    USAGE: "how often it is sampled what pods use, in seconds, 0 for never, as "
    "--usage-interval",
    AUTOSCALE: "how often each autoscaler is looked at, in seconds, as "
    "--autoscale-interval",
    NODE_MONITOR_GRACE: "how many seconds a node may be silent, as "
    "--node-monitor-grace-period",
    TOLERATION: "how many seconds pods stay on a node that is not ready, as "
    "--default-toleration-seconds",
    CHECKPOINT_EVERY: "how often the log is signed, in seconds, as --checkpoint-every",
    WITNESS: "one more file that each signed checkpoint is appended to, as --witness",
    METRICS: "1 lets every process of `rollbook up` serve metrics, as --metrics",
    METRICS_PORT: "the port of /metrics, /livez and /readyz, as --metrics-port",
    METRICS_LISTEN: "the address that metrics are served on, as --metrics-listen",
    MONITOR: "1 starts a monitor with `rollbook up`, as --monitor",
    MONITOR_CONFIG: "the file that says what a monitor measures, as --config",
    PROMETHEUS: "the URL of the Prometheus that a monitor asks, as --prometheus",
    NO_COLOR: "anything: no colours on the terminal, as --no-color",
}

COMMAND_SECONDS: Final = 30.0


def text(environment: Mapping[str, str], name: str, default: str = "") -> str:
    """The value of a variable of `ENVIRONMENT`, or `default` where it is not set."""
    assert name in ENVIRONMENT, f"{name} must be listed in ENVIRONMENT"
    return environment.get(name) or default


def flag(environment: Mapping[str, str], name: str) -> bool:
    """Whether a variable is set to something that means yes."""
    return text(environment, name).lower() not in ("", "0", "no", "false", "off")


def seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    """A number of seconds. Raises `Permanent` where the variable holds none."""
    value = text(environment, name)
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        from domain import errors  # `rollbook --help` need not wait for it

        raise errors.Permanent(
            f"{name}={value} is not a number of seconds above 0: correct or unset it"
        )
    return number
