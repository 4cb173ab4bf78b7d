"""Questions, commands and their answers over one connection to the broker.

1. A command has one id for all its life. It is published, and answered at our inbox;
   without an answer in time it is looked up by its id, and if nobody knows it, the
   same message is published again. So it has one effect, however often it was sent,
   and its answer is learnt although it was lost (the log keeps it, S3).
2. A question changes nothing and is simply asked again.
3. A broker that is away is waited for, within the time that the caller allows.
4. Every answer comes to one inbox of this connection, by a token of its own.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Final, Protocol, TypeVar, cast

import msgspec

from adapters import nats_wire
from domain import errors, protocol, queries
from domain.protocol import Answer, CommandMessage

ID_HEADER: Final = "Nats-Msg-Id"
REPLY_HEADER: Final = "Rollbook-Reply"

ANSWER_SECONDS: Final = 2.0
"""How long a command's answer is waited for before it is looked up and sent again."""
_QUESTION_SECONDS: Final = 5.0
_UNSERVED_SECONDS: Final = 5.0
"""How long nobody may serve questions: a restart of the api takes less."""
_AGAIN: Final = frozenset({"ServiceUnavailable", "Timeout", "TooManyRequests"})
"""The reasons for which a question is asked again."""
_PAUSE_SECONDS: Final = 0.25
_CONNECTED_SECONDS: Final = 0.02


class Reply(msgspec.Struct, frozen=True):
    """A message that came to our inbox."""

    data: bytes
    headers: Mapping[str, str]


class Unanswered(errors.Transient):
    """Nobody said in time what became of a command: it may still be carried out."""

    def __init__(self, message: str, *, command_id: str) -> None:
        super().__init__(message)
        self.command_id = command_id


class Unserved(errors.Transient):
    """Nobody serves this subject at the moment."""


class Mailbox:
    """A subject of our inbox, and what has arrived there."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.arrived: asyncio.Queue[Reply] = asyncio.Queue()

    async def next(self, seconds: float | None) -> Reply:
        """The next message; None waits without end.

        Raises `Unserved`, or `Transient` if none comes in time.
        """
        try:
            async with asyncio.timeout(seconds):
                reply = await self.arrived.get()
        except TimeoutError:
            raise errors.Transient(f"no answer within {seconds:.1f} s") from None
        if reply.headers.get("Status") == "503":
            raise Unserved("nobody serves it")
        return reply


class Incoming(Protocol):
    """What is read of a message from the broker."""

    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def headers(self) -> dict[str, str] | None: ...


class _AckError(msgspec.Struct, frozen=True):
    code: int = 0
    description: str = ""


class _Ack(msgspec.Struct, frozen=True):
    """JetStream's word on keeping a message. No answer to a command has its keys."""

    stream: str = ""
    error: _AckError | None = None


A = TypeVar("A", bound=protocol.Message)


class _Answered(Protocol):
    @property
    def error(self) -> queries.QueryError | None: ...


class Exchange:
    """Asks and commands over `client`; made by `start`, ended by `stop`."""

    def __init__(self, client: nats_wire.Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._mailboxes: dict[str, Mailbox] = {}
        self._tokens = itertools.count(1)

    async def start(self) -> None:
        """Afterwards answers arrive."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_message)

    async def command(
        self, subject: str, message: CommandMessage, *, seconds: float
    ) -> Answer:
        """What became of the command, by rule 1.

        Raises `Unanswered` when nobody has said so within `seconds`, and `Rejected`
        when the command is too large to be sent.
        """
        payload = msgspec.json.encode(message)
        if len(payload) > self._client.max_payload:
            raise _too_large(len(payload), self._client.max_payload)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        trouble = ""
        with self.mailbox() as mailbox:
            headers = {ID_HEADER: message.id, REPLY_HEADER: mailbox.subject}
            while (remaining := deadline - loop.time()) > 0:
                patience = min(ANSWER_SECONDS, remaining)
                try:
                    await self.publish(
                        subject, payload, mailbox.subject, patience, headers
                    )
                    return await self._answer(mailbox, patience)
                except errors.Transient as error:
                    trouble = str(error)
                if (answer := await self._look_up(message.id)) is not None:
                    return answer
                await asyncio.sleep(min(_PAUSE_SECONDS, remaining))
        raise Unanswered(
            f"the command {message.id} was not answered within {seconds:g} s "
            f"({trouble}): is `rollbook control` running? The command may still be "
            "carried out once it is",
            command_id=message.id,
        )

    async def ask(
        self, verb: str, question: queries.Query, answer: type[A], *, seconds: float
    ) -> A:
        """The answer to a question at `rollbook.query.<verb>`.

        Raises `Rejected` with the server's reason, and `Transient` when nobody has
        answered within `seconds`.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            remaining = start + seconds - loop.time()
            try:
                return await self._ask_once(verb, question, answer, remaining)
            except Unserved as error:
                if loop.time() - start > min(seconds, _UNSERVED_SECONDS):
                    raise errors.Transient(
                        "nobody answers questions: is `rollbook api` running?"
                    ) from error
            except errors.Transient as error:
                if loop.time() - start > seconds:
                    raise errors.Transient(
                        f"the question `{verb}` was not answered within {seconds:g} s: "
                        f"{error}"
                    ) from error
            await asyncio.sleep(_PAUSE_SECONDS)

    async def stream(
        self, subject: str, payload: bytes, *, seconds: float, patient: bool = False
    ) -> AsyncGenerator[Reply, None]:
        """Every message that comes in answer to one request, within `seconds` each.

        `patient` waits for any of them without end. Never ends by itself: the caller
        knows the last one. Raises `Unserved`, or `Transient` if the next is too late.
        """
        with self.mailbox() as mailbox:
            await self.publish(subject, payload, mailbox.subject, seconds)
            while True:
                yield await mailbox.next(None if patient else seconds)

    @contextlib.contextmanager
    def mailbox(self) -> Iterator[Mailbox]:
        """A subject of our own, for as long as the block lasts."""
        token = str(next(self._tokens))
        mailbox = Mailbox(f"{self._inbox}.{token}")
        self._mailboxes[token] = mailbox
        try:
            yield mailbox
        finally:
            del self._mailboxes[token]

    async def publish(
        self,
        subject: str,
        payload: bytes,
        reply: str,
        seconds: float,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Publish once the broker is there. Raises `Transient` if it is not in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._client.is_connected:
            if self._client.is_closed:
                raise errors.Permanent("the NATS server has ended the connection")
            if loop.time() >= deadline:
                raise errors.Transient("the connection to the NATS server is lost")
            await asyncio.sleep(_CONNECTED_SECONDS)
        await self._client.publish(subject, payload, reply=reply, headers=headers)

    async def _answer(self, mailbox: Mailbox, seconds: float) -> Answer:
        """The first answer; JetStream's acknowledgement comes to the same place."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            reply = await mailbox.next(deadline - loop.time())
            ack = _decoded(reply.data, _Ack)
            if ack.error is not None:
                if ack.error.code == 400:
                    raise errors.Rejected("BadRequest", ack.error.description)
                raise errors.Transient(f"JetStream: {ack.error.description}")
            if not ack.stream:
                return _decoded(reply.data, Answer)

    async def _look_up(self, command_id: str) -> Answer | None:
        question = queries.CommandQuery(id=command_id)
        try:
            found = await self._ask_once(
                "command", question, queries.CommandAnswer, ANSWER_SECONDS
            )
        except (errors.Transient, errors.Rejected):
            return None
        return found.answer

    async def _ask_once(
        self, verb: str, question: queries.Query, answer: type[A], seconds: float
    ) -> A:
        payload = msgspec.json.encode(question)
        subject = nats_wire.query_subject(verb)
        patience = min(_QUESTION_SECONDS, max(seconds, 0.0))
        with self.mailbox() as mailbox:
            await self.publish(subject, payload, mailbox.subject, patience)
            reply = await mailbox.next(patience)
        if text := reply.headers.get("Nats-Service-Error"):
            raise errors.Transient(text)
        answered = _decoded(reply.data, answer)
        refused = cast(_Answered, answered).error
        if refused is not None:
            raise _refusal(refused)
        return answered

    async def _on_message(self, message: Incoming) -> None:
        mailbox = self._mailboxes.get(message.subject.rpartition(".")[2])
        if mailbox is not None:
            mailbox.arrived.put_nowait(Reply(message.data, message.headers or {}))


def rejection(answer: Answer) -> errors.Rejected:
    """The error that a rejected command raises."""
    reason = cast(errors.Reason, answer.reason or "BadRequest")
    return errors.Rejected(reason, answer.message, causes=answer.causes)


D = TypeVar("D", bound=msgspec.Struct)


def _decoded(data: bytes, kind: type[D]) -> D:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise errors.Permanent(
            f"the answer is not one that this version understands: {error}"
        ) from error


def _refusal(error: queries.QueryError) -> errors.RollbookError:
    if error.reason in _AGAIN:
        return errors.Transient(error.message)
    if error.reason not in errors.CODES:
        return errors.Permanent(f"{error.reason}: {error.message}")
    return errors.Rejected(error.reason, error.message)


def _too_large(size: int, limit: int) -> errors.Rejected:
    return errors.Rejected(
        "RequestEntityTooLarge",
        f"the command has {size} bytes, and the NATS server takes at most {limit}",
    )
