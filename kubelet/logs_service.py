"""`rollbook.node.<node>.logs`: a container's output over NATS.

1. The request is the JSON of `LogsRequest`. The answer is a sequence of messages to
   the request's reply subject: chunks of whole lines with the header `Rollbook-Part: n`
   (1, 2, 3 …), then an empty one with `Rollbook-End: 1`. An error is one empty message
   with the header `Rollbook-Error`, and it is the last.
2. Answers go to inboxes only: whoever asks names the subject of the answer, and must
   not borrow this node's permissions to publish, say, a report.
3. A container without output is refused with the API server's words (what kubectl
   shows): the pod by its name, and what the container waits for.
4. `follow` ends with the container, at the latest after `FOLLOW_MAX` seconds; the end
   message comes then too, and the asker may ask again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from adapters import cancelling
from domain import protocol
from kubelet import runtime

PART: Final = "Rollbook-Part"
END: Final = "Rollbook-End"
ERROR: Final = "Rollbook-Error"
FOLLOW_MAX: Final = 3600.0
CONCURRENT_MAX: Final = 64

_log = logging.getLogger(__name__)


class LogsRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which container, and which of its lines; `container` "" means the only one."""

    namespace: str
    name: str
    container: str = ""
    tail: int = -1
    since_seconds: float = 0.0
    timestamps: bool = False
    previous: bool = False
    follow: bool = False


class Request(Protocol):
    """What this needs of a NATS message."""

    @property
    def reply(self) -> str:
        """Where the answer goes."""

    @property
    def data(self) -> bytes:
        """The JSON."""


Publish = Callable[[str, bytes, dict[str, str]], Awaitable[None]]
Find = Callable[[str, str], protocol.PodStatus | None]
"""From namespace and name to the pod as its node sees it."""

_WAITING_FOR: Final = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}
"""What is said in place of these reasons; others are said as they are."""


class LogsService:
    """Answers requests for one node; at most `CONCURRENT_MAX` at a time."""

    def __init__(
        self,
        ports: runtime.Runtime,
        find: Find,
        publish: Publish,
        clock: Callable[[], float],
    ) -> None:
        self._runtime = ports
        self._find = find
        self._publish = publish
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._decoder = msgspec.json.Decoder(LogsRequest)

    def accept(self, request: Request) -> None:
        """Starts to answer; never raises."""
        if not request.reply.startswith("_INBOX."):
            _log.warning("logs: no answer to %r: not an inbox", request.reply)
            return
        task = asyncio.get_running_loop().create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends all answers."""
        await cancelling.end(*self._tasks)

    async def _answer(self, request: Request) -> None:
        try:
            if len(self._tasks) > CONCURRENT_MAX:
                raise LookupError("too many logs are being read on this node")
            await self._stream(request)
        except (LookupError, msgspec.MsgspecError, OSError) as error:
            text = str(error.args[0] if error.args else error).replace("\n", " ")
            await self._publish(request.reply, b"", {ERROR: text})

    async def _stream(self, request: Request) -> None:
        wanted = self._decoder.decode(request.data)
        pod = self._find(wanted.namespace, wanted.name)
        if pod is None:
            raise LookupError(
                f'pod "{wanted.name}" in namespace "{wanted.namespace}" is not here'
            )
        container = choose(pod, wanted.container)
        if text := refusal(pod.name, container, previous=wanted.previous):
            raise LookupError(text)
        since = self._clock() - wanted.since_seconds if wanted.since_seconds else 0.0
        options = runtime.LogOptions(
            tail=wanted.tail,
            since=since,
            timestamps=wanted.timestamps,
            # One that waits for its next run has none but that which was the last.
            previous=wanted.previous and container.state != "waiting",
            follow=wanted.follow,
        )
        part = 0
        try:
            async with asyncio.timeout(FOLLOW_MAX if wanted.follow else None):
                async for chunk in self._runtime.logs(pod.uid, container.name, options):
                    part += 1
                    await self._publish(request.reply, chunk, {PART: str(part)})
        except TimeoutError:
            _log.info("logs: followed %s for long enough", wanted.name)
        except LookupError as error:
            raise LookupError(
                f'container "{container.name}" in pod "{pod.name}" has no logs'
            ) from error
        await self._publish(request.reply, b"", {END: "1"})


def choose(pod: protocol.PodStatus, name: str) -> protocol.ContainerStatus:
    """The container of that name; the only one for the empty name.

    Raises `LookupError` if there is none, or if there are several to choose from.
    """
    containers = pod.containers + pod.init_containers
    if not containers:
        raise LookupError(f'pod "{pod.name}" is waiting to start - no logs yet')
    if not name and len(containers) > 1:
        names = " ".join(each.name for each in containers)
        raise LookupError(
            f"a container name must be specified for pod {pod.name}, choose one of: "
            f"[{names}]"
        )
    for container in containers:
        if container.name == (name or containers[0].name):
            return container
    raise LookupError(f"container {name} is not valid for pod {pod.name}")


def refusal(pod: str, container: protocol.ContainerStatus, *, previous: bool) -> str:
    """Why a container has no output to show, in kubectl's words; empty if it has."""
    called = f'container "{container.name}" in pod "{pod}"'
    if previous and container.last is None:
        return f"previous terminated {called} not found"
    if container.state == "waiting" and container.last is None:
        reason = _WAITING_FOR.get(container.reason, container.reason)
        return f"{called} is waiting to start" + (
            f": {reason}" if reason else " - no logs yet"
        )
    return ""
