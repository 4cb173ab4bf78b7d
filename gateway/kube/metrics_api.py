"""`metrics.k8s.io/v1beta1`: what pods and nodes use now, as `kubectl top` asks for it.

It is read only and never from the past: the numbers are those of `rollbook.query.usage`
(gateway/usage.py). An object of which nothing was measured yet is not there.
"""

import math
from collections.abc import Callable
from typing import Final

from domain import errors, queries, times
from gateway import usage
from gateway.kube.objects import Objects
from gateway.kube.request import JSON, Reply, Request
from gateway.kube.statuses import Failure
from gateway.live_readings import LiveReadings

GROUP: Final = "metrics.k8s.io"


class Metrics:
    """Answers requests of the group; every method runs in one loop."""

    def __init__(self, objects: Objects, live: Callable[[], LiveReadings]) -> None:
        self._objects = objects
        self._live = live

    async def answer(self, request: Request) -> Reply:
        """One object or a list. Raises `Rejected`, or `Failure` 400."""
        if request.params.get("fieldSelector"):
            text = "fieldSelector: metrics are picked by labels only"
            raise Failure(400, "BadRequest", text)
        resource = request.resource
        asked = queries.UsageQuery(
            kind="node" if resource.plural == "nodes" else "pod",
            namespace=request.namespace,
            name=request.name,
            selector=request.params.get("labelSelector", ""),
            limit=0,
        )
        state = await self._objects.current()
        found = usage.answer(state.scene, self._live(), asked)
        items = [_document(resource.kind, resource.api_version, r) for r in found.rows]
        if request.name:
            if not items:
                what = f"{resource.kind.lower()}.{resource.group}"
                named = f"{request.namespace}/{request.name}".removeprefix("/")
                raise errors.not_found(what, named)
            return Reply(document=items[0])
        return Reply(
            document={
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": {},
                "items": items,
            }
        )


def _document(kind: str, api_version: str, row: queries.UsageRow) -> JSON:
    metadata: JSON = {
        "name": row.name,
        "creationTimestamp": times.rfc3339(math.floor(row.at)),
    }
    if row.namespace:
        metadata["namespace"] = row.namespace
    found: JSON = {
        "kind": kind,
        "apiVersion": api_version,
        "metadata": metadata,
        "timestamp": times.rfc3339(math.floor(row.at)),
        "window": f"{row.window:.3f}s",
    }
    if kind == "NodeMetrics":
        found["usage"] = _usage(row.cpu, row.memory)
    else:
        found["containers"] = [
            {"name": each.name, "usage": _usage(each.cpu, each.memory)}
            for each in row.containers
        ]
    return found


def _usage(cpu: int, memory: int) -> JSON:
    """Quantities: billionths of a core, and bytes."""
    return {"cpu": f"{cpu}n", "memory": f"{math.ceil(memory / 1024)}Ki"}
