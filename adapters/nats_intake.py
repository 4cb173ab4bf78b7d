"""Commands in: the one reader of the stream COMMANDS.

How the intake never loses a command, though one purge acknowledges many: the broker
numbers its deliveries to the one consumer 1, 2, 3 …  A number that is missing means
that a message was lost on the way, so nothing behind it may be handed out (the next
acknowledgement would cover the lost one too). The intake then throws its consumer
away, and a new one delivers again from the first message that is in the stream. What
had been handed out before is dropped when it comes again, by its stream sequence.
"""

import asyncio
import collections
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api

from adapters import nats_streams, nats_subjects
from domain import errors

REPLY_HEADER: Final = "Rollbook-Reply"

_CONSUMER: Final = "control"
_NEXT_SUBJECT: Final = f"$JS.API.CONSUMER.MSG.NEXT.{nats_streams.COMMANDS}.{_CONSUMER}"
_PULL_MESSAGES: Final = 2048
_PULL_BYTES: Final = 16 * 1024 * 1024
_PULL_SECONDS: Final = 5.0
_PULL_GRACE_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.2
_PULL_IS_OVER: Final = frozenset(
    {
        "Batch Completed",
        "Message Size Exceeds MaxBytes",
        "No Messages",
        "Request Timeout",
    }
)
"""How the broker ends a pull in the course of things. Whatever else it says (`Consumer
Deleted`, `Server Shutdown`, `Leadership Change`, …) is a reason to start anew."""

_log = logging.getLogger(__name__)


class RawCommand(msgspec.Struct, frozen=True, kw_only=True):
    """One message of COMMANDS, its data not decoded."""

    sequence: int
    """Its place in the stream; what `CommandIntake.ack` takes."""
    subject: str
    data: bytes
    headers: Mapping[str, str]
    target: nats_subjects.CommandSubject | None
    """Who asks, and for what; None if the subject is not one of a command."""
    command_id: str
    """The header `Nats-Msg-Id`, empty if there is none."""
    reply_to: str | None
    """Where the answer goes; None if none is wanted, or none may be sent there."""
    refusal: str | None
    """Why this cannot be a command of the user whom its subject names, else None.
    Such a message must be refused and counted, never decided."""


def refusal(command_id: str) -> str | None:
    """Why a message with this id cannot come from the user in its subject, else None.

    The broker itself publishes to any reply subject: a user may point the broker's
    own answers, or copies of events, at another user's command subject. Answers have
    no `Nats-Msg-Id`, and that of an event is a decimal number; a command's is neither.
    """
    if not command_id:
        return "the header Nats-Msg-Id is missing: it must carry the command's id"
    if command_id.isdecimal():
        return "the header Nats-Msg-Id must not be a number: use a UUID"
    return None


class CommandIntake:
    """The one reader of COMMANDS.

    `fetch` and `ack` never raise for trouble with the broker: `fetch` finds nothing,
    `ack` is made up for later, and `on_incident` is told in a sentence. They must not
    be called by two tasks at the same time.
    """

    def __init__(
        self, client: Client, *, on_incident: Callable[[str], None] = _log.warning
    ) -> None:
        self._client = client
        self._js = client.jetstream()
        self._on_incident = on_incident
        self._stream: nats_streams.StreamState | None = None
        self._handed = 0
        self._acked = 0
        self._purged = 0
        self._buffer: collections.deque[RawCommand] = collections.deque()
        self._arrival = asyncio.Event()
        self._subscription: Subscription | None = None
        self._inbox = ""
        # What is known of the present consumer and of the pull that it works on.
        self._open = False
        self._connection = -1
        self._delivered = 0
        self._pulls = 0
        self._wanted = 0
        self._pull_deadline = 0.0

    @property
    def stream(self) -> nats_streams.StreamState | None:
        """COMMANDS as it was when the intake last looked, None before the start."""
        return self._stream

    async def start(self) -> nats_streams.StreamState:
        """Afterwards commands flow, from the first that was not acknowledged.

        Ends the consumer of whoever read before. Raises `Transient` if the broker does
        not answer.
        """
        try:
            await self._reopen()
        except nats_streams.TROUBLE as error:
            raise nats_streams.transient(error) from error
        assert self._stream is not None, "an open intake knows its stream"
        return self._stream

    async def fetch(  # the time is a wait, not a guard
        self,
        maximum: int,
        timeout: float,  # noqa: ASYNC109  # a wait that may end empty
    ) -> list[RawCommand]:
        """Up to `maximum` commands in the order of the stream.

        Returns as soon as there is one, with all that has arrived by then; the empty
        list after `timeout` seconds without one. Each is handed out once in the life
        of this object, and again by the next one unless it was acknowledged.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        await asyncio.sleep(0)  # lets in what has arrived while the caller was busy
        while True:
            await self._keep_flowing(deadline)
            if self._buffer or (remaining := deadline - loop.time()) <= 0:
                break
            self._arrival.clear()
            patience = max(self._pull_deadline - loop.time(), _RETRY_SECONDS)
            try:
                async with asyncio.timeout(min(remaining, patience)):
                    await self._arrival.wait()
            except TimeoutError:
                continue
        count = min(maximum, len(self._buffer))
        commands = [self._buffer.popleft() for _ in range(count)]
        if commands:
            self._handed = commands[-1].sequence
        return commands

    async def ack(self, last: int) -> None:
        """Afterwards the commands up to and including sequence `last` are gone.

        One request, however many there are. Call it only when all that they caused is
        committed. If it does not get through, the next one, or the next connection,
        makes up for it; until then the log recognises what comes again.
        """
        self._acked = max(self._acked, min(last, self._handed))
        if self._current():
            try:
                await self._purge()
            except nats_streams.TROUBLE as error:
                why = nats_streams.sentence(error)
                self._doubt(f"an acknowledgement did not get through: {why}")

    async def stop(self) -> None:
        """Afterwards nothing arrives any more; what was not acknowledged stays."""
        self._open = False
        self._buffer.clear()
        await self._unsubscribe()

    # --- the consumer: made, fed with pulls, thrown away at the slightest doubt

    def _current(self) -> bool:
        """Whether the consumer is the one that we made, over the same connection."""
        return (
            self._open
            and self._client.is_connected
            and self._connection == self._client.stats["reconnects"]
        )

    def _doubt(self, why: str) -> None:
        if self._open:
            self._open = False
            self._on_incident(f"reading COMMANDS anew: {why}")
        self._arrival.set()

    async def _keep_flowing(self, deadline: float) -> None:
        """See to it that a pull is waiting at the broker, or wait a little."""
        loop = asyncio.get_running_loop()
        if not self._client.is_connected:
            self._doubt("the connection is lost")
            await asyncio.sleep(max(0.0, min(_RETRY_SECONDS, deadline - loop.time())))
            return
        if self._open and not self._current():
            self._doubt("the connection was lost")
        if self._open and self._wanted and loop.time() > self._pull_deadline:
            self._doubt("the broker has forgotten a pull")
        try:
            if not self._open:
                await self._reopen()
            if not self._wanted and len(self._buffer) < _PULL_MESSAGES:
                await self._pull()
        except (*nats_streams.TROUBLE, errors.Transient) as error:
            _log.debug("reading COMMANDS: %s", nats_streams.sentence(error))
            self._open = False
            await asyncio.sleep(max(0.0, min(_RETRY_SECONDS, deadline - loop.time())))

    async def _reopen(self) -> None:
        connection = self._client.stats["reconnects"]
        before = self._stream
        self._stream = await nats_streams.ensure(self._js, nats_streams.COMMANDS_CONFIG)
        if before is not None and (
            what := nats_streams.went_back(before, self._stream)
        ):
            # Other messages have these sequences now: ours say nothing about them.
            self._handed = self._acked = self._purged = 0
            self._on_incident(what)
        if self._acked > self._purged:
            await self._purge()
        try:
            await self._js.delete_consumer(nats_streams.COMMANDS, _CONSUMER)
        except nats.js.errors.APIError as error:
            if error.err_code not in nats_streams.MISSING_ERRORS:
                raise
        # What is still on its way from the old consumer goes to the old inbox.
        await self._unsubscribe()
        self._inbox = self._client.new_inbox()
        self._subscription = await self._client.subscribe(
            f"{self._inbox}.*", cb=self._on_message
        )
        self._buffer.clear()
        self._delivered = self._wanted = 0
        await self._js.add_consumer(
            nats_streams.COMMANDS,
            api.ConsumerConfig(
                name=_CONSUMER,
                durable_name=_CONSUMER,
                ack_policy=api.AckPolicy.NONE,
                deliver_policy=api.DeliverPolicy.ALL,
            ),
        )
        self._connection, self._open = connection, True

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._client.is_closed:
            with contextlib.suppress(nats.errors.BadSubscriptionError):
                await subscription.unsubscribe()

    async def _pull(self) -> None:
        loop = asyncio.get_running_loop()
        self._pulls += 1
        self._wanted = _PULL_MESSAGES
        self._pull_deadline = loop.time() + _PULL_SECONDS + _PULL_GRACE_SECONDS
        request = {
            "batch": _PULL_MESSAGES,
            "max_bytes": _PULL_BYTES,
            "expires": int(_PULL_SECONDS * 1e9),
        }
        await self._client.publish(
            _NEXT_SUBJECT,
            json.dumps(request).encode(),
            reply=f"{self._inbox}.{self._pulls}",
        )

    async def _on_message(self, message: Msg) -> None:
        if not message.reply:
            self._on_status(message)
            return
        # $JS.ACK.<stream>.<consumer>.<times>.<stream seq>.<delivery seq>.<time>.<left>
        tokens = message.reply.split(".")
        sequence, delivery = int(tokens[5]), int(tokens[6])
        if not self._open:
            return
        if delivery != self._delivered + 1:
            self._doubt(
                f"delivery {self._delivered + 1} was lost, {delivery} came instead"
            )
            return
        self._delivered = delivery
        self._wanted -= 1
        if sequence > self._handed:
            self._buffer.append(_raw_command(sequence, message))
            self._arrival.set()

    def _on_status(self, message: Msg) -> None:
        """The broker ends a pull: it has expired, is full, or its consumer is gone."""
        headers = message.headers or {}
        status = headers.get("Status")
        if status is None or message.subject != f"{self._inbox}.{self._pulls}":
            return
        self._wanted = 0
        description = headers.get("Description", "")
        if description not in _PULL_IS_OVER:
            self._doubt(f"the broker says {status} {description}")
        self._arrival.set()

    async def _purge(self) -> None:
        acked = self._acked
        if acked > self._purged:
            await self._js.purge_stream(nats_streams.COMMANDS, seq=acked + 1)
            self._purged = acked


def _raw_command(sequence: int, message: Msg) -> RawCommand:
    headers = message.headers or {}
    command_id = headers.get(nats_streams.ID_HEADER, "")
    target: nats_subjects.CommandSubject | None = None
    try:
        target = nats_subjects.parse_command_subject(message.subject)
        wrong = refusal(command_id)
    except errors.Rejected as error:
        wrong = error.message
    return RawCommand(
        sequence=sequence,
        subject=message.subject,
        data=message.data,
        headers=headers,
        target=target,
        command_id=command_id,
        reply_to=_reply_to(message.subject, headers.get(REPLY_HEADER)),
        refusal=wrong,
    )


def _reply_to(subject: str, wanted: str | None) -> str | None:
    """`wanted` if it is an inbox of the user in `subject`, which may be malformed
    behind the user: whoever sent it shall hear so."""
    tokens = subject.split(".", 3)
    if wanted is None or tokens[:2] != ["rollbook", "cmd"] or len(tokens) < 4:
        return None
    try:
        user = nats_subjects.unescape_token(tokens[2])
    except errors.Rejected:
        return None
    return wanted if nats_subjects.safe_reply(user, wanted) else None
