"""Commands as the user who asked: sent, answered, and seen in the state.

1. A command goes over the user's own connection to the broker (`logins`), so that the
   broker says who may do what.
2. What was committed is waited for: who asks next sees it. A dry run leaves nothing to
   wait for.
3. A precondition that does not hold is `Stale`, so that a patch can be tried again; a
   refusal of any other kind is the answer.
4. Nobody's word in time is 504: the change may still come.
"""

import uuid
from typing import Final

import msgspec

from adapters import nats_subjects
from adapters.exchange import Unanswered, rejection
from domain import protocol
from domain.errors import Rejected
from domain.protocol import Answer, CommandMessage, Preconditions
from gateway.kube import managing, statuses
from gateway.kube.commands import Command, Told
from gateway.kube.logins import Logins
from gateway.kube.request import Request
from gateway.kube.statuses import Failure
from gateway.reader import Reader

ANSWER_SECONDS: Final = 25.0
"""Less than the 32 s after which kubectl gives up: it is told what happened."""
FOLD_SECONDS: Final = 10.0
NOTHING_TOLD: Final = Told()


class Stale(Exception):
    """The object was changed after it was read; `position` is where that is known."""

    def __init__(self, refused: Rejected, position: int) -> None:
        super().__init__(refused.message)
        self.refused = refused
        self.position = position


class Commander:
    """Sends commands for whoever asks; every method runs in one loop."""

    def __init__(
        self,
        logins: Logins,
        reader: Reader,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        fold_seconds: float = FOLD_SECONDS,
    ) -> None:
        self._logins = logins
        self._reader = reader
        self._answer_seconds = answer_seconds
        self._fold_seconds = fold_seconds

    async def send(
        self,
        request: Request,
        name: str,
        command: Command,
        *,
        told: Told = NOTHING_TOLD,
        managed: bytes | None = None,
        preconditions: Preconditions | None = None,
        dry_run: bool | None = None,
    ) -> Answer:
        """The answer of control to a command about the object `name`.

        Raises `Stale` where the preconditions do not hold, and `Failure` for any other
        refusal, and where nobody answers in time.
        """
        resource, user = request.resource, request.user
        subject = nats_subjects.command_subject(
            user.name, request.namespace, resource.own, name, command.verb
        )
        dry = request.dry_run if dry_run is None else dry_run
        message = CommandMessage(
            id=str(uuid.uuid4()),
            body=msgspec.Raw(msgspec.json.encode(command.body)),
            cause=told.cause,
            source=told.source,
            dry_run=dry,
            agent=request.agent,
            field_manager=managing.manager_of(request),
            managed_fields=(
                protocol.NO_MANAGED_FIELDS if managed is None else msgspec.Raw(managed)
            ),
            preconditions=preconditions,
            namespace_must_exist=True,
        )
        exchange = await self._logins.exchange(user)
        try:
            answer = await exchange.command(
                subject, message, seconds=self._answer_seconds
            )
        except Unanswered as error:
            raise timeout(str(error)) from error
        if answer.result == "rejected":
            refused = rejection(answer)
            if refused.reason == "Conflict" and preconditions is not None:
                raise Stale(refused, answer.position if not dry else 0)
            raise statuses.of_rejected(refused, resource, name)
        if not dry:
            await self.seen(answer.position)
        return answer

    async def seen(self, position: int) -> None:
        """Afterwards the state is that of `position` at least. Raises `Failure` 504."""
        if not await self._reader.wait_for(position, self._fold_seconds):
            raise timeout(
                f"the change is recorded at position {position}, and this api is at "
                f"{self._reader.position} still"
            )


def timeout(why: str) -> Failure:
    """The 504 of a request that took too long."""
    return Failure(
        504,
        "Timeout",
        f"Timeout: request did not complete within requested timeout - {why}",
        details={},
    )
