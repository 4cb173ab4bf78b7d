"""`rollbook.node.<node>.logs`: a container's output over NATS.

1. The request is the JSON of `LogsRequest`. The answer is a sequence of messages to
   the request's reply subject: chunks of whole lines with the header `Rollbook-Part: n`
   (1, 2, 3 …), then an empty one with `Rollbook-End: 1`. An error is one empty message
   with the header `Rollbook-Error`, and it is the last.
2. Answers go to inboxes only: whoever asks names the subject of the answer, and must
   not borrow this node's permissions to publish, say, a report.
3. `follow` ends with the container, at the latest after `FOLLOW_MAX` seconds; the end
   message comes then too, and the asker may ask again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

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
Find = Callable[[str, str], tuple[str, tuple[str, ...]] | None]
"""From namespace and name to the uid of the pod and its containers' names."""


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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        found = self._find(wanted.namespace, wanted.name)
        if found is None:
            raise LookupError(
                f'pod "{wanted.name}" in namespace "{wanted.namespace}" is not here'
            )
        uid, names = found
        container = wanted.container or names[0]
        if not wanted.container and len(names) > 1:
            raise LookupError(
                f"a container name must be specified for pod {wanted.name}, choose one "
                f"of: [{' '.join(names)}]"
            )
        if container not in names:
            raise LookupError(
                f"container {container} is not valid for pod {wanted.name}"
            )
        since = self._clock() - wanted.since_seconds if wanted.since_seconds else 0.0
        options = runtime.LogOptions(
            tail=wanted.tail,
            since=since,
            timestamps=wanted.timestamps,
            previous=wanted.previous,
            follow=wanted.follow,
        )
        part = 0
        try:
            async with asyncio.timeout(FOLLOW_MAX if wanted.follow else None):
                async for chunk in self._runtime.logs(uid, container, options):
                    part += 1
                    await self._publish(request.reply, chunk, {PART: str(part)})
        except TimeoutError:
            _log.info("logs: followed %s for long enough", wanted.name)
        await self._publish(request.reply, b"", {END: "1"})
