"""`pods/log`: what a container has written, as its node tells it over NATS.

1. It is asked for as the user, over the user's own connection: who may read logs is
   the broker's decision.
2. The pod and its container are looked up here, so that what is wrong is said in the
   API server's words before anything is streamed.
"""

import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

import msgspec

from adapters import nats_wire
from adapters.exchange import Reply as Message
from domain import errors, times
from domain.pod import Pod
from gateway.kube import kinds, routes
from gateway.kube.logins import Logins
from gateway.kube.objects import Objects
from gateway.kube.request import Request
from gateway.kube.server import Stream
from gateway.kube.statuses import Failure
from gateway.views.scene import TemplateView

SECONDS: Final = 10.0
"""So long a node may say nothing, unless its output is followed."""
PART: Final = "Rollbook-Part"
END: Final = "Rollbook-End"
ERROR: Final = "Rollbook-Error"


class Logs:
    """Reads logs for users; every method runs in one loop."""

    def __init__(
        self,
        objects: Objects,
        logins: Logins,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._objects = objects
        self._logins = logins
        self._now = now

    async def read(self, request: Request) -> Stream:
        """The output as text. Raises `Rejected`, or `Failure` where there is none."""
        params = request.params
        state = await self._objects.current()
        kind = kinds.of(request.resource)
        held: Pod | None = kind.find(state.scene, request.namespace, request.name)
        if held is None:
            raise errors.not_found("pods", request.name)
        view = state.scene.template(held.template)
        container = container_of(held, view, params.get("container", ""))
        if not held.node:
            text = f"pod {held.name} does not have a host assigned"
            raise Failure(400, "BadRequest", text)
        asked = {
            "namespace": held.namespace,
            "name": held.name,
            "container": container,
            "tail": _count(params, "tailLines", -1),
            "sinceSeconds": self._since(params),
            "timestamps": routes.is_true(params.get("timestamps")),
            "previous": routes.is_true(params.get("previous")),
            "follow": routes.is_true(params.get("follow")),
        }
        limit = _count(params, "limitBytes", 0)
        exchange = await self._logins.exchange(request.user)
        replies = exchange.stream(
            nats_wire.node_subject(held.node, "logs"),
            msgspec.json.encode(asked),
            seconds=SECONDS,
            patient=bool(asked["follow"]),
        )
        # Without output there is no stream: what is wrong is then an answer of its own.
        try:
            first = await anext(replies)
        except BaseException:
            await replies.aclose()
            raise
        if ERROR in first.headers:
            await replies.aclose()
            raise Failure(400, "BadRequest", first.headers[ERROR])
        return Stream(_pieces(first, replies, limit), "text/plain")

    def _since(self, params: Mapping[str, str]) -> float:
        if "sinceTime" in params:
            try:
                return max(0.001, self._now() - times.parse(params["sinceTime"]))
            except ValueError as error:
                text = f"sinceTime: {params['sinceTime']!r} is no time"
                raise Failure(400, "BadRequest", text) from error
        return float(_count(params, "sinceSeconds", 0))


async def _pieces(
    first: Message, replies: AsyncGenerator[Message, None], limit: int
) -> AsyncGenerator[bytes, None]:
    """The output up to its end; at most `limit` bytes, unless that is 0."""
    room = limit or None
    async with contextlib.aclosing(replies):
        message = first
        while True:
            data = message.data if room is None else message.data[:room]
            if data:
                yield data
            if room is not None:
                room -= len(data)
            if END in message.headers or ERROR in message.headers or room == 0:
                return
            message = await anext(replies)


def container_of(held: Pod, view: TemplateView, name: str) -> str:
    """The container that is meant; the first where none is named."""
    spec = view.spec
    known = [each.name for each in (*spec.init_containers, *spec.containers)]
    if name:
        if name not in known:
            text = f"container {name} is not valid for pod {held.name}"
            raise Failure(400, "BadRequest", text)
        return name
    if len(spec.containers) > 1 or spec.init_containers:
        names = " ".join(each.name for each in spec.containers)
        text = (
            f"a container name must be specified for pod {held.name}, choose one of: "
            f"[{names}]"
        )
        if spec.init_containers:
            inits = " ".join(each.name for each in spec.init_containers)
            text += f" or one of the init containers: [{inits}]"
        raise Failure(400, "BadRequest", text)
    return known[0] if known else ""


def _count(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > 12:
        raise Failure(400, "BadRequest", f"{name}: {text!r} must be a number from 0 on")
    return int(text)
