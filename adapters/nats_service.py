"""A service on the broker: `nats micro ls` finds it, and any user may ask it.

1. Each verb is an endpoint of the NATS service API at `rollbook.query.<verb>`.
   Instances share a queue group: each question is answered by one of them.
2. A question is answered in a task of its own: one that waits holds up no other.
3. An answer that cannot be sent (the broker is away, nobody says where to) is
   counted; the asker asks again.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import nats.errors
from nats import micro
from nats.micro.request import Request
from nats.micro.service import Service

from adapters import cancelling, nats_wire

NAME: Final = "rollbook"
DESCRIPTION: Final = "Answers questions about the cluster from its committed log."

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_log = logging.getLogger(__name__)

Answer = Callable[[str, bytes], Awaitable[bytes]]
"""From a verb and a question to the answer; never raises."""


class Endpoints:
    """The endpoints of one service on one connection; made by `serve`."""

    def __init__(self, answer: Answer, service: Service) -> None:
        self.unsent = 0
        """Answers that could not be sent."""
        self._answer = answer
        self._service = service
        self._tasks: set[asyncio.Task[None]] = set()

    def handler(self, verb: str) -> Callable[[Request], Awaitable[None]]:
        """What takes the questions of one verb."""

        async def handle(request: Request) -> None:
            task = asyncio.create_task(self._respond(verb, request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return handle

    async def close(self) -> None:
        """Afterwards nothing is taken any more, and what was taken has ended."""
        with contextlib.suppress(nats.errors.Error, OSError):
            await self._service.stop()
        await cancelling.end(*self._tasks)

    async def _respond(self, verb: str, request: Request) -> None:
        found = await self._answer(verb, request.data)
        try:
            await request.respond(found)
        except (nats.errors.Error, OSError, ValueError) as error:
            self.unsent += 1
            _log.info("an answer to %s was not sent: %s", verb, error)


async def serve(
    client: nats_wire.Client, verbs: Iterable[str], answer: Answer, version: str = ""
) -> Endpoints:
    """Afterwards the questions of every verb are answered, until `close`.

    `version` is shown to tools, its first three numbers.
    """
    found = _VERSION.match(version)
    service = await micro.add_service(
        client,
        name=NAME,
        version=found[0] if found else "0.0.0",
        description=DESCRIPTION,
    )
    endpoints = Endpoints(answer, service)
    for verb in verbs:
        await service.add_endpoint(
            name=verb,
            subject=nats_wire.query_subject(verb),
            handler=endpoints.handler(verb),
        )
    await client.flush()
    return endpoints
