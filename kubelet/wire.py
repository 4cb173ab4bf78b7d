"""A node's wire: one connection to the broker, and the nodes that use it.

1. A message that cannot be read is counted and logged; nothing else happens.
2. What is lost on the way is sent again by whoever needs an answer (agent.py).
"""

import asyncio
import logging
from collections import Counter
from typing import Final

import msgspec

from adapters import cancelling, nats_wire
from adapters.nats_wire import Msg
from domain import errors, protocol
from kubelet import logs_service, node, sessions

SYNC_TIMEOUT: Final = 60.0
"""As long as the longest wait before the next try (agent.SYNC_RETRY_LIMIT): what a
control that is late says is still the answer, as long as nothing newer was asked."""
VALUES_TIMEOUT: Final = 10.0
WATCH_SECONDS: Final = 0.2
PAYLOAD_SLACK: Final = 4096
FLUSH_EVERY: Final = 16

_log = logging.getLogger(__name__)


class Link:
    """One connection and the nodes that use it; implements `node.Wire`."""

    def __init__(
        self,
        login: str,
        client: nats_wire.Client,
        counters: nats_wire.Counters,
        nodes: dict[str, node.Node],
        totals: Counter[str],
    ) -> None:
        self._login = login
        self._client = client
        self._counters = counters
        self._nodes = nodes
        self._totals = totals
        self._mine: list[node.Node] = []
        self._outbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._encode = msgspec.json.Encoder().encode
        self._assignments = msgspec.json.Decoder(protocol.Assignment)
        self._replies = msgspec.json.Decoder(protocol.SyncReply)
        self._published = 0
        self._asked: dict[str, asyncio.Future[Msg]] = {}
        self._questions = 0

    async def serve(
        self,
        each: node.Node,
        logs: logs_service.LogsService,
        streams: sessions.SessionsService,
    ) -> None:
        """Subscribes for one node, then lets it sync."""
        self._mine.append(each)

        async def on_assignment(message: Msg) -> None:
            try:
                each.on_assignment(self._assignments.decode(message.data))
            except msgspec.MsgspecError as error:
                self._bad("assignment", error)

        async def on_request(message: Msg) -> None:
            try:
                match nats_wire.parse_node_request(message.subject):
                    case ("session", user, session):
                        streams.accept(user, session, message)
                    case ("grant",):
                        streams.grant(message.data)
                    case _:
                        logs.accept(message)
            except (msgspec.MsgspecError, errors.Rejected) as error:
                self._bad("request", error)

        await self._client.subscribe(
            nats_wire.assign_subject(each.name), cb=on_assignment
        )
        await self._client.subscribe(
            f"{nats_wire.node_subject(each.name)}.>", cb=on_request
        )
        if self._plays(each.name):
            inbox = nats_wire.inbox_prefix(nats_wire.node_login(each.name))
            await self._client.subscribe(f"{inbox}.>", cb=self._on_answer)
        await self._client.flush()  # the sync must not overtake the subscription
        each.on_connected()

    def send_report(self, name: str, report: protocol.Report) -> None:
        """See `node.Wire`."""
        data = self._encode(report)
        if len(data) > self._client.max_payload - PAYLOAD_SLACK:
            self._totals["report without notes"] += 1
            bare = [msgspec.structs.replace(pod, notes=()) for pod in report.pods]
            data = self._encode(msgspec.structs.replace(report, pods=tuple(bare)))
        self._outbox.put_nowait((nats_wire.report_subject(name), data))

    def send_sync(self, name: str, attempt: int, request: protocol.SyncRequest) -> None:
        """See `node.Wire`."""
        task = asyncio.get_running_loop().create_task(
            self._sync(name, attempt, request)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """For logs: waits for the wire now and then, so that memory stays bounded."""
        await self._client.publish(subject, data, headers=headers)
        self._published += 1
        if self._published % FLUSH_EVERY == 0:
            await self._client.flush()

    async def send(self, subject: str, data: bytes) -> None:
        """For sessions, which bound what is on its way themselves."""
        await self._client.publish(subject, data)

    async def write(self) -> None:
        """Publishes what the nodes have to report."""
        while True:
            subject, data = await self._outbox.get()
            try:
                await self._client.publish(subject, data)
            except nats_wire.TROUBLE as error:
                self._totals["report not sent"] += 1  # it will be repeated
                _log.debug("report not sent: %s", error)

    async def watch(self) -> None:
        """Tells the nodes when the connection is lost and when it is back.

        Raises `Permanent` when the broker has ended it for good.
        """
        connected, reconnects = True, self._counters.reconnects
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._client.is_closed:
                raise errors.Permanent(
                    "the NATS server has closed the connection for good: does it still "
                    "know this node?"
                )
            back = self._counters.reconnects != reconnects
            reconnects = self._counters.reconnects
            if connected and (back or not self._client.is_connected):
                connected = False
                for each in self._mine:
                    each.on_connection_lost()
            if not connected and self._client.is_connected:
                connected = True
                for each in self._mine:
                    each.on_connected()

    async def close(self) -> None:
        """Ends the connection."""
        await cancelling.end(*self._tasks)
        await nats_wire.close(self._client)

    async def _sync(
        self, name: str, attempt: int, request: protocol.SyncRequest
    ) -> None:
        each = self._nodes[name]
        subject = nats_wire.sync_subject(name)
        try:
            reply = await self._ask(name, subject, self._encode(request), SYNC_TIMEOUT)
            each.on_sync_reply(attempt, self._replies.decode(reply.data))
        except nats_wire.TROUBLE as error:
            each.on_sync_failed(attempt, "")
            _log.debug("sync of %s: %s", name, error)
        except msgspec.MsgspecError as error:
            self._bad("sync reply", error)
            each.on_sync_failed(attempt, str(error))

    async def fetch_values(
        self, node: str, request: protocol.ValuesRequest
    ) -> protocol.ValuesReply:
        """See `chores.Source`."""
        subject = nats_wire.values_subject(node)
        data = self._encode(request)
        try:
            reply = await self._ask(node, subject, data, VALUES_TIMEOUT)
            return msgspec.json.decode(reply.data, type=protocol.ValuesReply)
        except nats_wire.TROUBLE as error:
            raise ConnectionError(str(error) or "no answer") from error
        except msgspec.MsgspecError as error:
            self._bad("values", error)
            raise ConnectionError("an unreadable answer") from error

    async def _ask(
        self,
        name: str,
        subject: str,
        data: bytes,
        timeout: float,  # noqa: ASYNC109  # the library's too
    ) -> Msg:
        if not self._plays(name):
            return await self._client.request(subject, data, timeout=timeout)
        self._questions += 1
        inbox = nats_wire.inbox_prefix(nats_wire.node_login(name))
        reply = f"{inbox}.{self._questions}"
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._asked[reply] = answer
        try:
            await self._client.publish(subject, data, reply=reply)
            async with asyncio.timeout(timeout):
                found = await answer
            if not found.data:  # so the broker says that nobody listens
                raise ConnectionError(f"nobody answers at {subject}")
            return found
        finally:
            del self._asked[reply]

    async def _on_answer(self, message: Msg) -> None:
        answer = self._asked.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _plays(self, name: str) -> bool:
        """Whether this connection is not the node's own, whose inbox it has anyway."""
        return self._login != nats_wire.node_login(name)

    def _bad(self, what: str, error: Exception) -> None:
        self._totals[f"unreadable {what}"] += 1
        _log.warning("a message was left out: unreadable %s: %s", what, error)
