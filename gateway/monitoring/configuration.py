"""The monitor's file, YAML or TOML: what it measures beside what is asked of it.

    prometheus: http://127.0.0.1:9090
    tokenFile: /etc/rollbook/prometheus-token
    metrics:                        # asked of Prometheus, published for autoscalers
    - name: queue_length
      namespace: default
      query: sum(rabbitmq_queue_messages{queue="work"})
    scrape:                         # read from pods with prometheus.io/scrape: "true"
      interval: 15s
      metrics:
      - name: http_requests_per_second
        series: http_requests_total
        rate: true
    commands:                       # what a check may name, and nothing else
      smoke: {argv: [/usr/local/bin/smoke-test], timeout: 20s}

1. A field that is not known is an error: a misspelt one would be silently without
   effect.
2. What runs is in this file alone. An annotation can name a command, never bring one.
"""

import re
from pathlib import Path
from typing import Final, Literal

import msgspec

from domain import analysis
from domain.errors import Permanent

METRICS_MAX: Final = 1_000
BYTES_MAX: Final = 1024 * 1024
INTERVAL_MAX: Final = 50
"""Seconds: the writer forgets a value after a minute."""
_INTERVAL: Final = f"a duration like 15s, from 1s to {INTERVAL_MAX}s"
_METRIC: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:.\-/]{0,252}", re.A)


class Part(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
):
    """The base of all parts of the file."""


class Metric(Part, frozen=True, kw_only=True):
    """A query whose answer is published as the metric `name` of `namespace`.

    `type` says what its samples are: one `external` value each (with its labels), the
    values of `pods` (the pod is in the label `podLabel`), or that of one `object`.
    """

    name: str
    query: str
    namespace: str = "default"
    type: Literal["external", "pods", "object"] = "external"
    interval: str = "30s"
    object: str = ""
    pod_label: str = "pod"

    @property
    def seconds(self) -> float:
        """The interval in seconds."""
        return float(analysis.seconds(self.interval) or 0)


class Scraped(Part, frozen=True, kw_only=True):
    """A metric that pods serve: the sum of the samples of `series` (default: `name`);
    with `rate` how fast that grows, in units per second."""

    name: str
    series: str = ""
    rate: bool = False

    @property
    def source(self) -> str:
        """The series in the pods' answers."""
        return self.series or self.name


class Scrape(Part, frozen=True, kw_only=True):
    """How pods are asked; metrics that an autoscaler or a check names come besides."""

    interval: str = "15s"
    metrics: tuple[Scraped, ...] = ()

    @property
    def seconds(self) -> float:
        """The interval in seconds."""
        return float(analysis.seconds(self.interval) or 0)


class Command(Part, frozen=True, kw_only=True):
    """A program; the last line that it writes is the measured number."""

    argv: tuple[str, ...]
    timeout: str = "10s"

    @property
    def seconds(self) -> float:
        """So long it may take, in seconds."""
        return float(analysis.seconds(self.timeout) or 0)


class Configuration(Part, frozen=True, kw_only=True):
    """The whole file; see the top of this one."""

    prometheus: str = ""
    token_file: Path | None = None
    metrics: tuple[Metric, ...] = ()
    scrape: Scrape = Scrape()
    commands: dict[str, Command] = {}


def load(path: Path | None, prometheus: str = "") -> Configuration:
    """What the file says; `prometheus` wins over what it says of that.

    Raises `Permanent` with the field and what is wrong with it.
    """
    found = Configuration() if path is None else _read(path)
    if prometheus:
        found = msgspec.structs.replace(found, prometheus=prometheus)
    if wrong := _wrong(found):
        where = f"{path}: " if path is not None else ""
        raise Permanent(f"{where}{wrong}")
    return found


def _read(path: Path) -> Configuration:
    decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.yaml.decode
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Permanent(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > BYTES_MAX:
        raise Permanent(f"{path} has more than {BYTES_MAX} bytes")
    try:
        return decode(data or b"{}", type=Configuration)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise Permanent(f"{path} is not a monitor's file: {said}") from error


def _wrong(found: Configuration) -> str:
    """What is wrong, with its field; empty if nothing is."""
    url = found.prometheus
    if url and not url.startswith(("http://", "https://")):
        return f"prometheus: {url!r} is no URL: write http://HOST:PORT"
    if found.metrics and not url:
        return "metrics: they need prometheus, here or as --prometheus"
    if len(found.metrics) + len(found.scrape.metrics) > METRICS_MAX:
        return f"metrics: more than {METRICS_MAX}"
    for index, metric in enumerate(found.metrics):
        if wrong := _wrong_metric(metric):
            return f"metrics[{index}].{wrong}"
    if not 1 <= found.scrape.seconds <= INTERVAL_MAX:
        return f"scrape.interval: {_INTERVAL}"
    for index, scraped in enumerate(found.scrape.metrics):
        if not (_METRIC.fullmatch(scraped.name) and _METRIC.fullmatch(scraped.source)):
            return f"scrape.metrics[{index}].name: {scraped.name!r} is no metric's name"
    for name, command in found.commands.items():
        if not command.argv or not command.argv[0]:
            return f"commands.{name}.argv: it needs a program"
        if not 1 <= command.seconds <= 600:
            return f"commands.{name}.timeout: a duration like 10s, from 1s to 10m"
    return ""


def _wrong_metric(metric: Metric) -> str:
    if not _METRIC.fullmatch(metric.name):
        return f"name: {metric.name!r} is no metric's name"
    if not metric.query.strip():
        return "query: it is empty"
    if not 1 <= metric.seconds <= INTERVAL_MAX:
        return f"interval: {_INTERVAL}"
    if (metric.type == "object") != bool(metric.object):
        return "object: KIND/NAME, for type object alone"
    if metric.object and metric.object.count("/") != 1:
        return "object: write KIND/NAME, as in ingress/main"
    return ""
