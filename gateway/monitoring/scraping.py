"""Metrics that pods serve themselves: who asks to be read, and what they say.

1. A pod asks with annotations: `prometheus.io/scrape: "true"`, and where it differs
   `prometheus.io/port`, `prometheus.io/path` and `prometheus.io/scheme`.
2. Only the series that somebody wants are looked at: of all other lines nothing but
   the beginning is compared.
3. A pod's answer is bounded in time and size. What cannot be read is its own trouble.
4. A rate is that of two scrapes; a counter that went back has none until the next.
"""

import asyncio
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from gateway.monitoring.bodies import body
from gateway.monitoring.checks import host
from gateway.monitoring.configuration import Scraped
from gateway.monitoring.measured import Unmeasured

SCRAPE_SECONDS: Final = 5.0
AT_ONCE: Final = 32
ANSWER_BYTES: Final = 4 * 1024 * 1024
PREFIX: Final = "prometheus.io/"
_ACCEPT: Final = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.A)


class Place(NamedTuple):
    """Where a pod serves its metrics."""

    namespace: str
    pod: str
    uid: str
    url: str


class Value(NamedTuple):
    """A pod's value of a metric, at `at`, seconds since the epoch."""

    namespace: str
    pod: str
    metric: str
    value: float
    at: float


# --- who asks to be read ----------------------------------------------------------


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None


class _Port(msgspec.Struct, frozen=True, rename="camel"):
    container_port: int = 0


class _Container(msgspec.Struct, frozen=True):
    ports: tuple[_Port, ...] = ()


class _Spec(msgspec.Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[_Condition, ...] = ()


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()
    status: _Status = _Status()


_POD: Final = msgspec.json.Decoder(_Pod)


def place(document: msgspec.Raw) -> Place | None:
    """Where this pod (Kubernetes' JSON) is to be read; None if it is not, or not now.

    A pod on its way out or not ready is left out: its numbers say nothing of a load.
    """
    held = _POD.decode(document)
    asked = held.metadata.annotations
    ready = any(
        c.type == "Ready" and c.status == "True" for c in held.status.conditions
    )
    if asked.get(f"{PREFIX}scrape") != "true" or not ready or not held.status.pod_ip:
        return None
    if held.metadata.deletion_timestamp:
        return None
    scheme = asked.get(f"{PREFIX}scheme", "http")
    ports = [p.container_port for c in held.spec.containers for p in c.ports]
    port = asked.get(f"{PREFIX}port") or str(ports[0] if ports else 80)
    path = asked.get(f"{PREFIX}path") or "/metrics"
    if scheme not in ("http", "https") or not (port.isascii() and port.isdecimal()):
        return None
    path = path if path.startswith("/") else f"/{path}"
    return Place(
        held.metadata.namespace,
        held.metadata.name,
        held.metadata.uid,
        f"{scheme}://{host(held.status.pod_ip)}:{port}{path}",
    )


# --- what they say ----------------------------------------------------------------


def read(text: str, wanted: frozenset[str]) -> dict[str, float]:
    """The sum of the samples of each wanted series; those that are not there, or of
    which a sample is not finite, are missing. Raises ValueError for what is no text
    of metrics."""
    lines = [line for line in text.split("\n") if _name(line) in wanted]
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            if sample.name in wanted:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return {name: value for name, value in sums.items() if math.isfinite(value)}


def _name(line: str) -> str:
    match = _NAME.match(line)
    return match[0] if match is not None else ""


class Scraper:
    """Reads pods; keeps the counters of the last scrape, for rates."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._room = asyncio.Semaphore(AT_ONCE)
        self._last: dict[tuple[str, str], tuple[float, float]] = {}
        """Value and time by (uid of the pod, series)."""

    async def answer(self, at: Place, wanted: frozenset[str]) -> dict[str, float]:
        """What one pod says of these series. Raises `Unmeasured`."""
        try:
            async with (
                self._room,
                asyncio.timeout(SCRAPE_SECONDS),
                self._session.get(
                    at.url, headers={"Accept": _ACCEPT}, allow_redirects=False
                ) as answer,
            ):
                if answer.status != 200:
                    raise Unmeasured(f"{at.url} answers with {answer.status}")
                data = await body(answer, ANSWER_BYTES)
            return await asyncio.to_thread(read, data.decode("utf-8"), wanted)
        except TimeoutError:
            text = f"{at.url} did not answer within {SCRAPE_SECONDS:g} s"
            raise Unmeasured(text) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unmeasured(f"{at.url} cannot be read: {error}") from error

    def values(
        self,
        at: Place,
        said: Mapping[str, float],
        wanted: Iterable[Scraped],
        now: float,
    ) -> list[Value]:
        """The values of the wanted metrics, from what the pod has said at `now`."""
        found = []
        for metric in wanted:
            value = said.get(metric.source)
            if value is None:
                continue
            if metric.rate:
                rate = self._rate((at.uid, metric.source), value, now)
                if rate is None:
                    continue
                value = rate
            found.append(Value(at.namespace, at.pod, metric.name, value, now))
        return found

    def keep(self, places: Sequence[Place]) -> None:
        """Forgets the counters of all other pods."""
        uids = {each.uid for each in places}
        self._last = {key: it for key, it in self._last.items() if key[0] in uids}

    def _rate(self, key: tuple[str, str], value: float, now: float) -> float | None:
        before, self._last[key] = self._last.get(key), (value, now)
        if before is None or value < before[0] or now <= before[1]:
            return None
        return (value - before[0]) / (now - before[1])
