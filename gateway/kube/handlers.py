"""Which part answers a request: reading, watching, reviews and logs here, the rest by
whoever writes.

Without a writer every change is 405.
"""

from typing import Final, Protocol

import msgspec

from domain import errors, labels
from domain.ages import age
from domain.deployment import Deployment
from domain.replicaset import ReplicaSet
from gateway.kube import forms, kinds, metrics_api, statuses, tables
from gateway.kube.forms import Shown
from gateway.kube.logs import Logs
from gateway.kube.objects import Objects, asked_state
from gateway.kube.request import Reply, Request
from gateway.kube.reviews import Reviews
from gateway.kube.server import Socket, Stream
from gateway.kube.streams import ACTIONS, Streams
from gateway.kube.watches import Watches

JSON = dict[str, object]
_SCALED: Final = "autoscaling/v1"


class Writer(Protocol):
    """What answers the requests that change something."""

    async def handle(self, request: Request) -> Reply:
        """The answer, when what was changed can be read. Raises `Failure` or
        `Rejected`."""


class Handlers:
    """Answers requests about objects; every method runs in one loop."""

    def __init__(
        self,
        objects: Objects,
        watches: Watches,
        reviews: Reviews,
        logs: Logs,
        streams: Streams,
        metrics: metrics_api.Metrics,
        writer: Writer | None = None,
    ) -> None:
        self._objects = objects
        self._watches = watches
        self._reviews = reviews
        self._logs = logs
        self._streams = streams
        self._metrics = metrics
        self.writer = writer

    async def handle(self, request: Request) -> Reply | Stream | Socket:
        """The answer. Raises `Failure` or `Rejected`."""
        if request.resource.group == metrics_api.GROUP:
            return await self._metrics.answer(request)
        if not request.resource.own:
            return self._reviews.answer(request)
        if request.subresource in ACTIONS:
            return await self._streams.open(request)
        match request.verb:
            case "get" if request.subresource == "log":
                return await self._logs.read(request)
            case "get" if request.subresource == "scale":
                return await self._scale(request)
            case "get":
                form = forms.wanted(request.accept, request.params)
                shown = await self._objects.get(request, form)
                kind = kinds.of(request.resource)
                return Reply(document=forms.one(form, kind.table, shown))
            case "list":
                form = forms.wanted(request.accept, request.params)
                return Reply(document=await self._objects.list(request, form))
            case "watch":
                form = forms.wanted(request.accept, request.params)
                return Stream(await self._watches.watch(request, form))
            case _:
                if self.writer is None:
                    raise statuses.plain(405)
                return await self.writer.handle(request)

    async def _scale(self, request: Request) -> Reply:
        """The Scale of a Deployment or a ReplicaSet."""
        form = forms.wanted(request.accept, request.params)
        kind = kinds.of(request.resource)
        key = kind.object_key(request.namespace, request.name)
        asked = asked_state(request.params, listing=False)
        state = await self._objects.state(asked, key)
        held = kind.find(state.scene, request.namespace, request.name)
        if held is None:
            raise errors.not_found(request.resource.qualified, request.name)
        document = kind.document(state.scene, held)
        version = state.version(key, held)
        shown = scale(held, document, version, state.scene.now)
        return Reply(document=forms.one(form, tables.SCALE, shown))


def scale(
    held: Deployment | ReplicaSet, document: JSON, version: int, now: float
) -> Shown:
    """The Scale of an object, `document` as it is at `version`."""
    about, status = document["metadata"], document["status"]
    assert isinstance(about, dict), "every object has metadata"
    assert isinstance(status, dict), "what can be scaled has a status"
    kept = ("name", "namespace", "uid", "creationTimestamp")
    metadata = {name: about[name] for name in kept if name in about}
    selector = held.spec.selector if isinstance(held, Deployment) else held.selector
    there = status.get("replicas", 0)
    shown: JSON = {"replicas": there}
    if text := labels.format_selector(selector):
        shown["selector"] = text
    metadata["resourceVersion"] = str(version)
    found: JSON = {
        "kind": "Scale",
        "apiVersion": _SCALED,
        "metadata": metadata,
        "spec": {"replicas": held.replicas},
        "status": shown,
    }
    cells = (held.name, held.replicas, there, age(held.created_at, now))
    return Shown(msgspec.json.encode(found), metadata, version, cells)
