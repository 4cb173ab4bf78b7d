"""Readers of the Kubernetes API in one process: what a client asks and is told."""

import itertools
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec

from adapters.eventlog import Row
from domain import catalogue
from gateway.kube import forms, resources
from gateway.kube.changes import Changes
from gateway.kube.objects import Objects
from gateway.kube.request import Request, User
from gateway.kube.resources import Resource
from gateway.kube.watches import Watches
from gateway.past import Past
from gateway.reader import Reader
from tests.gateway.support import Written

USER = User(name="ann", secret="s")
GROUPS = {"deployments": "apps", "replicasets": "apps"}
AUTHORITY = "-----BEGIN CERTIFICATE-----\n"
Told = dict[str, Any]


def resource(plural: str) -> Resource:
    """The resource of that name."""
    found = resources.find(GROUPS.get(plural, ""), "v1", plural)
    assert found is not None
    return found


class Api:
    """One reader of a log, with all that reads and watches objects on top of it."""

    def __init__(self, written: Written, now: float = 1_700_000_000.0) -> None:
        self.reader: Reader = written.reader()
        self.past = Past(self.reader.log)
        self.now = now
        self.changes = Changes(managed=self._managed, authority=AUTHORITY, now=self._n)
        self.objects = Objects(
            self.reader, self.past, self.changes, now=self._n, wait_seconds=0.01
        )
        self.watches = Watches(self.reader, self.past, self.changes, self.objects)

    def _n(self) -> float:
        return self.now

    def _managed(self, of: str) -> bytes | None:
        return self.reader.managed.of(of)

    async def fold(self) -> None:
        """Afterwards the log is folded; later events are followed."""
        await self.reader.catch_up()
        self.changes.start(self.reader.position)
        self.reader.observer = self.changes

    async def watch(
        self, plural: str, namespace: str = "", accept: str = "", **params: str
    ) -> AsyncGenerator[bytes, None]:
        """The stream of a watch; all values are the query's."""
        request = Request(
            user=USER,
            verb="watch",
            resource=resource(plural),
            namespace=namespace,
            params={"watch": "1", **params},
            accept=accept,
        )
        return await self.watches.watch(request, forms.wanted(accept, params))

    async def list(
        self, plural: str, namespace: str = "", accept: str = "", **params: str
    ) -> Told:
        """The answer to a list."""
        request = Request(
            user=USER,
            verb="list",
            resource=resource(plural),
            namespace=namespace,
            params=params,
            accept=accept,
        )
        data = await self.objects.list(request, forms.wanted(accept, params))
        return msgspec.json.decode(data, type=dict[str, Any])

    async def get(self, plural: str, namespace: str, name: str, **params: str) -> Told:
        """The answer to a get."""
        request = Request(
            user=USER,
            verb="get",
            resource=resource(plural),
            namespace=namespace,
            name=name,
            params=params,
        )
        shown = await self.objects.get(request, forms.WHOLE)
        return msgspec.json.decode(shown.raw, type=dict[str, Any])

    def close(self) -> None:
        """Afterwards no thread works on."""
        self.past.close()


def steps(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows of each step: they share a timestamp."""
    for _, some in itertools.groupby(
        rows, key=lambda r: catalogue.decode(*r).timestamp
    ):
        yield [*some]


def decoded(piece: bytes) -> list[Told]:
    """The events of a piece of a stream."""
    return [msgspec.json.decode(line) for line in piece.splitlines()]


async def taken(stream: AsyncGenerator[bytes, None]) -> list[Told]:
    """All events of a stream that ends by itself."""
    return [each async for piece in stream for each in decoded(piece)]


def version(event: Told) -> int:
    """The version that an event of a watch carries."""
    return int(event["object"]["metadata"]["resourceVersion"])


def key(found: Told) -> tuple[str, str]:
    """Namespace and name of an object."""
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]
