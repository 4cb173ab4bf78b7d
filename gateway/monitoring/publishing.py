"""Values of custom metrics: asked of Prometheus, read from pods, and published.

1. Each query of the monitor's file is a task of its own, and so is the reading of pods:
   a Prometheus that does not answer keeps no pod from being read.
2. Pods are read for what somebody wants: an autoscaler's metric of type Pods, a check's
   `metric`, or a metric of the file. Nobody wants, nobody is asked.
3. What is not a finite number is left out and counted.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from domain.errors import Transient
from domain.protocol import MetricMessage
from gateway.monitoring.configuration import Metric, Scrape, Scraped
from gateway.monitoring.measured import Numbers, Unmeasured, finite
from gateway.monitoring.prometheus import Prometheus, Sample
from gateway.monitoring.scraping import Place, Scraper, Value
from gateway.monitoring.values import Values

LABELS_MAX: Final = 32
SAMPLES_MAX: Final = 1_000
"""So many samples of one query are published; a query with more is a mistake."""
_log = logging.getLogger(__name__)

Say = Callable[[str, str, MetricMessage], Awaitable[None]]
"""To the namespace and the metric that it is about; never raises."""
Wants = Callable[[], Awaitable[frozenset[tuple[str, str]]]]
"""The metrics of pods that are wanted now, each with its namespace."""
Places = Callable[[str], Awaitable[list[Place]]]
"""The pods of a namespace ("": of all) that ask to be read."""


class Queries:
    """The metrics of the file: `run` one of them until it is cancelled."""

    def __init__(
        self, prometheus: Prometheus, say: Say, values: Values, numbers: Numbers
    ) -> None:
        self._prometheus = prometheus
        self._say = say
        self._values = values
        self._numbers = numbers

    async def run(self, metric: Metric) -> None:
        """Publishes the metric at its interval, for ever."""
        told = ""
        while True:
            begin = time.monotonic()
            try:
                await self._publish(metric)
                self._numbers.done["prometheus", "ok"] += 1
                told = ""
            except Unmeasured as error:
                self._numbers.done["prometheus", "failed"] += 1
                if str(error) != told:
                    _log.warning("metric %s: %s", metric.name, error)
                    told = str(error)
            took = time.monotonic() - begin
            self._numbers.seconds["prometheus"].observe(took)
            await asyncio.sleep(max(0.1, metric.seconds - took))

    async def _publish(self, metric: Metric) -> None:
        found = await self._prometheus.samples(metric.query)
        if not found:
            raise Unmeasured("its query has no result")
        if len(found) > (SAMPLES_MAX if metric.type != "object" else 1):
            raise Unmeasured(f"its query has {len(found)} results: aggregate them")
        for sample in found:
            try:
                said = message(metric, sample)
            except Unmeasured:
                self._numbers.done["prometheus", "garbage"] += 1
                continue
            # A float again: it was made from one.
            value = float(said.value)
            labels = str(sorted(said.labels.items()))
            self._values.set(
                metric.namespace, metric.name, said.pod, value, time.time(), labels
            )
            await self._say(metric.namespace, metric.name, said)


def message(metric: Metric, sample: Sample) -> MetricMessage:
    """What is published of a sample. Raises `Unmeasured` for what is no number, and
    for a sample of pods that names none."""
    value = finite(sample.value)
    at = round(finite(sample.at, "its time"), 6)
    if metric.type == "pods":
        pod = sample.labels.get(metric.pod_label, "")
        if not pod:
            raise Unmeasured(f"a sample has no label {metric.pod_label}")
        return MetricMessage(value=value, pod=pod, at=at)
    if metric.type == "object":
        return MetricMessage(value=value, object=metric.object, at=at)
    labels = [(k, v) for k, v in sorted(sample.labels.items()) if k != "__name__"]
    return MetricMessage(value=value, labels=dict(labels[:LABELS_MAX]), at=at)


class Scraping:
    """The reading of pods: `run` until it is cancelled."""

    def __init__(
        self,
        scrape: Scrape,
        scraper: Scraper,
        places: Places,
        wants: Wants,
        say: Say,
        values: Values,
        numbers: Numbers,
    ) -> None:
        self._scrape = scrape
        self._scraper = scraper
        self._places = places
        self._wants = wants
        self._say = say
        self._values = values
        self._numbers = numbers

    async def run(self) -> None:
        """Reads the pods at the interval, for ever."""
        told = ""
        while True:
            begin = time.monotonic()
            try:
                await self._round()
                told = ""
            except Transient as error:
                if str(error) != told:
                    _log.info("no pods are read: %s", error)
                    told = str(error)
            self._values.tidy(time.time())
            took = time.monotonic() - begin
            await asyncio.sleep(max(0.1, self._scrape.seconds - took))

    async def _round(self) -> None:
        wanted = await self._wants()
        known = {each.name: each for each in self._scrape.metrics}
        by_namespace: dict[str, dict[str, Scraped]] = {}
        for namespace, name in wanted:
            one = known.get(name) or Scraped(name=name)
            by_namespace.setdefault(namespace, {})[name] = one
        if known:  # the file's metrics are wanted of all pods
            places = await self._places("")
        else:
            found = [await self._places(each) for each in sorted(by_namespace)]
            places = [place for each in found for place in each]
        self._scraper.keep(places)
        await asyncio.gather(
            *(
                self._read(
                    place, {**known, **by_namespace.get(place.namespace, {})}.values()
                )
                for place in places
            )
        )

    async def _read(self, place: Place, wanted: Iterable[Scraped]) -> None:
        wanted = list(wanted)
        begin = time.monotonic()
        try:
            series = frozenset(each.source for each in wanted)
            said = await self._scraper.answer(place, series)
        except Unmeasured as error:
            self._numbers.done["scrape", "failed"] += 1
            _log.debug("pod %s: %s", place.pod, error)
            return
        finally:
            self._numbers.seconds["scrape"].observe(time.monotonic() - begin)
        self._numbers.done["scrape", "ok"] += 1
        now = round(time.time(), 6)
        for value in self._scraper.values(place, said, wanted, now):
            await self._told(value)

    async def _told(self, value: Value) -> None:
        at = value.namespace, value.metric
        self._values.set(*at, value.pod, value.value, value.at)
        await self._say(
            *at, MetricMessage(value=value.value, pod=value.pod, at=value.at)
        )
