"""What a revision was asked for by: a change of the template, or of a ReplicaSet.

1. A Deployment's own change asks for the revision that follows it.
2. Nobody has to change a Deployment for another revision to begin: its ReplicaSet may
   be given another template, be deleted, or be let go (spec 2.4). Then that asks, in
   the name of whoever did it, with what was done as the cause: the request before is
   used up, and nothing of it says anything of this revision.
3. Of a ReplicaSet that came to be the Deployment's by itself only the start is known.
"""

from typing import Final

import msgspec

from domain import deployment, replicaset
from domain.events import Event, Recorded

_DONE: Final[dict[type[Event], str]] = {
    replicaset.ReplicaSetTemplateChanged: "was given another template",
    replicaset.ReplicaSetDeletionRequested: "was deleted",
    replicaset.ReplicaSetDeleted: "was deleted",
    replicaset.ReplicaSetReleased: "was let go",
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The last change that asks for a revision: who asked, and why."""

    position: int
    at: float
    who: str
    written: str
    rolled_back_to: int = 0
    command: str = ""
    annotated: str = ""
    """The annotation with the cause, which may be left from another change."""


def made(
    recorded: Recorded, written: str, annotated: str, rolled_back_to: int = 0
) -> Request:
    """What the event asks for; `written` is what its author says of it."""
    return Request(
        position=recorded.position,
        at=recorded.timestamp,
        who=recorded.actor,
        written=written,
        rolled_back_to=rolled_back_to,
        command=recorded.command_id,
        annotated=annotated,
    )


def disturbed(former: Request, recorded: Recorded) -> Request:
    """What follows for a Deployment from an event of the ReplicaSet that it runs: most
    events ask for nothing (rule 2)."""
    done = _DONE.get(type(recorded.event))
    if done is None:
        return former
    name = recorded.stream.rpartition("/")[2]
    return made(recorded, f"ReplicaSet {name} {done}", former.annotated)


def started(former: Request, used: int, recorded: Recorded) -> Request:
    """The request of the revision that starts; `used` is the position of the one that
    the revision before it had (rule 3)."""
    event = recorded.event
    if former.position != used or not isinstance(event, deployment.RevisionStarted):
        return former
    written = f"the same template, with ReplicaSet {event.replicaset}"
    return made(recorded, written, former.annotated)
