"""What the monitor asks the cluster, over NATS: what is wanted, and which pods to read.

A question that is not answered raises `Transient`; nothing here waits for long.
"""

from typing import Final, TypeVar

import msgspec

from adapters import nats_wire
from domain import errors, queries
from domain.queries import GetAnswer, GetQuery
from domain.wanted import (
    ChecksAnswer,
    ChecksQuery,
    PodToCheck,
    Wanted,
    WantedAnswer,
    WantedQuery,
)
from gateway.monitoring import scraping
from gateway.monitoring.scraping import Place

ASK_SECONDS: Final = 10.0
PAGES_MAX: Final = 1_000

A = TypeVar("A", GetAnswer, WantedAnswer, ChecksAnswer)


class _Reference(msgspec.Struct, frozen=True):
    name: str = ""


class _PodsMetric(msgspec.Struct, frozen=True):
    metric: _Reference = _Reference()


class _HpaMetric(msgspec.Struct, frozen=True):
    type: str = ""
    pods: _PodsMetric | None = None


class _HpaSpec(msgspec.Struct, frozen=True):
    metrics: tuple[_HpaMetric, ...] = ()


class _HpaMetadata(msgspec.Struct, frozen=True):
    namespace: str = ""


class _Hpa(msgspec.Struct, frozen=True):
    metadata: _HpaMetadata = _HpaMetadata()
    spec: _HpaSpec = _HpaSpec()


_HPA: Final = msgspec.json.Decoder(_Hpa)


class Cluster:
    """The cluster as one connection can ask about it."""

    def __init__(self, client: nats_wire.Client) -> None:
        self._client = client

    async def wanted(self) -> tuple[Wanted, ...]:
        """The measurements that are due now or later."""
        found = await self._ask("wanted", WantedQuery(), WantedAnswer)
        return found.wanted

    async def checks(self) -> list[PodToCheck]:
        """The pods that an active check is asked for."""
        found: list[PodToCheck] = []
        more = ""
        for _ in range(PAGES_MAX):
            page = await self._ask("checks", ChecksQuery(after=more), ChecksAnswer)
            found += page.pods
            more = page.more
            if not more:
                break
        return found

    async def pods_metrics(self) -> frozenset[tuple[str, str]]:
        """The metrics of pods that autoscalers name, each with its namespace."""
        found: set[tuple[str, str]] = set()
        for each in await self._all("horizontalpodautoscaler", "", ""):
            try:
                held = _HPA.decode(each)
            except msgspec.MsgspecError:
                continue  # what it asks for cannot be known
            for metric in held.spec.metrics:
                if metric.type == "Pods" and metric.pods is not None:
                    found.add((held.metadata.namespace, metric.pods.metric.name))
        return frozenset(found)

    async def places(self, namespace: str) -> list[Place]:
        """The pods of a namespace ("": of all) that ask to be read."""
        found = []
        for each in await self._all("pod", namespace, "status.phase=Running"):
            try:
                at = scraping.place(each)
            except msgspec.MsgspecError:
                continue
            if at is not None:
                found.append(at)
        return found

    async def _all(
        self, kind: queries.Kind, namespace: str, field_selector: str
    ) -> list[msgspec.Raw]:
        items: list[msgspec.Raw] = []
        more = ""
        for _ in range(PAGES_MAX):
            question = GetQuery(
                kind=kind,
                namespace=namespace,
                field_selector=field_selector,
                format="object",
                continue_=more,
            )
            found = await self._ask("get", question, GetAnswer)
            items += found.items
            more = found.continue_
            if not more:
                break
        return items

    async def _ask(self, verb: str, question: queries.Query, kind: type[A]) -> A:
        subject = nats_wire.query_subject(verb)
        try:
            reply = await self._client.request(
                subject, msgspec.json.encode(question), timeout=ASK_SECONDS
            )
            found = msgspec.json.decode(reply.data, type=kind)
        except nats_wire.TROUBLE as error:
            raise errors.Transient(f"no reader answers {verb}: {error}") from error
        except msgspec.MsgspecError as error:
            text = f"what came as an answer to {verb} is none: {error}"
            raise errors.Transient(text) from error
        if found.error is not None:
            raise errors.Transient(f"{verb}: {found.error.message}")
        return found
