"""What every part of the client stands on: one connection, names, commands, questions.

The rules are those of rollbook/client.py.
"""

import time
import uuid
from collections.abc import Mapping
from typing import Literal, TypedDict, TypeVar, Unpack

import msgspec

from adapters import nats_wire
from adapters.exchange import Exchange, rejection
from domain import errors, protocol, queries
from domain.protocol import Answer, CommandMessage
from rollbook import conditions, moments, settings
from rollbook.references import (
    Reference,
    at,
    find_kind,
    kind_like,
    parse_reference,
)

Object = dict[str, object]
Manifest = Mapping[str, object]
Target = str | Reference
Propagation = Literal["background", "orphan", "foreground"]


class Said(TypedDict, total=False):
    """What every command may say (rule 4)."""

    cause: str
    source: str
    dry_run: bool
    namespace: str
    seconds: float
    command_id: str


Q = TypeVar("Q", bound=queries.Query)
M = TypeVar("M", bound=protocol.Message)


class Session:
    """One user's connection to one cluster."""

    def __init__(
        self,
        client: nats_wire.Client,
        user: str,
        *,
        namespace: str = "default",
        seconds: float = settings.COMMAND_SECONDS,
        source: str = "",
    ) -> None:
        self.client = client
        self.exchange = Exchange(client)
        self.user = user
        self.namespace = namespace
        self.seconds = seconds
        self.position = 0
        """Reads wait until this position is folded (rule 3)."""
        self.source = source

    async def start(self) -> None:
        """Afterwards answers arrive; `connect` has done it."""
        await self.exchange.start()

    async def command(
        self, verb: str, target: Target, body: msgspec.Struct, **said: Unpack[Said]
    ) -> Answer:
        """Any command of `domain.command.VERBS`: its answer, once it is committed.

        The same message is sent again until it is answered. Raises `Rejected`, or
        `exchange.Unanswered` when `seconds` were not enough.
        """
        reference = self.reference(target, said.get("namespace"))
        subject = nats_wire.command_subject(
            self.user, reference.namespace, reference.kind.name, reference.name, verb
        )
        message = CommandMessage(
            id=said.get("command_id") or str(uuid.uuid4()),
            body=msgspec.Raw(msgspec.json.encode(body)),
            cause=said.get("cause", ""),
            source=said.get("source", self.source),
            dry_run=said.get("dry_run", False),
        )
        answer = await self.exchange.command(
            subject, message, seconds=said.get("seconds", self.seconds)
        )
        self.position = max(self.position, answer.position)
        if answer.result == "rejected":
            raise rejection(answer)
        return answer

    # --- names

    def reference(self, target: Target, namespace: str | None = None) -> Reference:
        """The object that `target` names (rule 1). Raises `Failure` for no object."""
        if isinstance(target, Reference):
            return target
        return parse_reference(target, namespace or self.namespace)

    def of_manifest(
        self, manifest: Manifest, namespace: str | None = None
    ) -> Reference:
        """What object a manifest is about. Raises `Rejected` for an unknown kind."""
        name = conditions.text_at(manifest, "metadata", "name")
        within = conditions.text_at(manifest, "metadata", "namespace")
        title = conditions.text_at(manifest, "kind")
        version = conditions.text_at(manifest, "apiVersion")
        for field, value in (("apiVersion", version), ("kind", title)):
            if not value:
                text = f"{field} is missing: every object needs apiVersion and kind"
                raise errors.Rejected("BadRequest", text)
        kind = find_kind(title)
        if kind is None or kind.api_version != version:
            text = f'no matches for kind "{title}" in version "{version}"'
            if (meant := kind or kind_like(title)) is not None:
                text += f", did you mean {meant.title} in {meant.api_version}?"
            raise errors.Rejected("BadRequest", text)
        return at(kind, name, within or namespace or self.namespace)

    async def ask(
        self, verb: str, question: Q, answer: type[M], at: moments.When | None = None
    ) -> M:
        """The answer to a question, for a position that this client has written to.

        `at` asks for the state of then (rollbook/moments.py). Raises `Rejected`, or
        `Transient` when nobody answered in time.
        """
        question = msgspec.structs.replace(question, wait_for=self.position)
        if at is not None:
            moment = moments.parse(at, time.time())
            question = msgspec.structs.replace(question, at=moment)
        return await self.exchange.ask(verb, question, answer, seconds=self.seconds)

    async def get(
        self,
        target: Target,
        *,
        namespace: str | None = None,
        at: moments.When | None = None,
    ) -> Object:
        """One object, as it is or was; `Rejected` (NotFound) if there is none."""
        reference = self.reference(target, namespace)
        question = queries.GetQuery(
            kind=reference.kind.asked,
            namespace=reference.namespace,
            name=reference.name,
            format="object",
        )
        answer = await self.ask("get", question, queries.GetAnswer, at)
        if not answer.items:
            raise errors.not_found(reference.kind.resource, reference.name)
        return msgspec.json.decode(answer.items[0], type=Object)

    async def find(
        self,
        target: Target,
        *,
        namespace: str | None = None,
        at: moments.When | None = None,
    ) -> Object | None:
        """One object, as it is or was, or None if there is none."""
        try:
            return await self.get(target, namespace=namespace, at=at)
        except errors.Rejected as error:
            if error.reason != "NotFound":
                raise
            return None
