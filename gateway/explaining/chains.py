"""From an event to what began it, one cause at a time.

1. The log has one cause for each event: the one that made it necessary at that moment
   (ARCHITECTURE.md, Causes). A chain shows that one and makes up no other.
2. A chain that ends at a report or a timer says what triggered a change, not what it
   was for. The newest wish for the same object by then is shown beside it, apart,
   because the log does not tie the two (`wish`). What the writer decided by itself of
   what shall be there, a rollback or a pause, stands in the place of a wish.
3. Causes strictly decrease, so a chain ends; one longer than `LINKS_MAX` is cut and
   says where.
"""

from collections.abc import Iterable
from typing import Final, Literal

from domain import deployment, events, pod, replicaset, times
from domain.events import Event, Recorded
from domain.queries import WhyChain, WhyLink
from gateway.explaining import history
from gateway.explaining.history import History

LINKS_MAX: Final = 50
WISH_LOOK_BACK: Final = 1_000
"""So many events of a Deployment are looked through for what was asked of it."""

Root = Literal["", "command", "report", "timer", "system"]

_WISHES: Final[tuple[type[Event], ...]] = (
    deployment.DeploymentCreated,
    deployment.DeploymentTemplateChanged,
    deployment.DeploymentRolledBack,
    deployment.DeploymentScaled,
    deployment.DeploymentConfigured,
    deployment.DeploymentPaused,
    deployment.DeploymentResumed,
    deployment.DeploymentDeletionRequested,
    deployment.DeploymentDeleted,
    replicaset.ReplicaSetCreated,
    replicaset.ReplicaSetScaled,
    replicaset.ReplicaSetTemplateChanged,
    replicaset.ReplicaSetConfigured,
    replicaset.ReplicaSetDeletionRequested,
    replicaset.ReplicaSetDeleted,
)
_DECIDED: Final = (deployment.DeploymentRolledBack, deployment.DeploymentPaused)
"""Of `_WISHES` those that count whoever made them (rule 2)."""
_PLANNED: Final = (
    events.DEPLOYMENT_CONTROLLER,
    events.REPLICASET_CONTROLLER,
    events.TIMER,
)


def follow(at: History, head: Recorded) -> tuple[list[Recorded], int]:
    """The chain from `head` down, and the position where it was cut (0: it was not)."""
    chain = [head]
    while chain[-1].cause:
        found = at.event(chain[-1].cause)
        if found is None or len(chain) >= LINKS_MAX:
            return chain, chain[-1].cause
        chain.append(found)
    return chain, 0


def root_of(last: Recorded) -> Root:
    """What a chain ends in; "" for an event that has a cause or cannot be placed."""
    if last.cause:
        return ""
    if last.stream.startswith("command/"):
        return "command"
    if last.actor.startswith("node/") or last.actor == events.MONITOR:
        return "report"
    if last.actor == events.TIMER:
        return "timer"
    return "system" if last.actor == events.SYSTEM else ""


class Chains:
    """The chains of one answer: what an earlier one has told is not told again."""

    def __init__(self, at: History) -> None:
        self._at = at
        self._told: set[int] = set()
        self.made: list[WhyChain] = []

    def add(self, title: str, head: Recorded, shared: Iterable[Recorded] = ()) -> None:
        """Afterwards the chain from `head` is told, unless it was.

        `shared` are further events that have the cause of `head`.
        """
        others = [each for each in shared if each.position not in self._told]
        if head.position in self._told:
            return
        chain, cut = follow(self._at, head)
        new = [each for each in chain if each.position not in self._told]
        joins = chain[len(new)].position if len(new) < len(chain) else 0
        wish = () if joins or cut else self._wish(chain)
        self._told |= {each.position for each in (*new, *others, *wish)}
        self.made.append(
            WhyChain(
                title=title,
                links=tuple(self.link(each) for each in new),
                root="" if joins or cut else root_of(chain[-1]),
                shared=tuple(self.link(each) for each in others),
                joins=joins,
                open=cut,
                wish=tuple(self.link(each) for each in wish),
            )
        )

    def link(self, recorded: Recorded) -> WhyLink:
        """The event as a link, in words."""
        return WhyLink(
            position=recorded.position,
            stream=recorded.stream,
            type=history.type_name(recorded),
            at=times.rfc3339(recorded.timestamp),
            actor=recorded.actor,
            cause=recorded.cause,
            words=self._at.words(recorded),
        )

    def _wish(self, chain: list[Recorded]) -> list[Recorded]:
        """Rule 2: the newest wish for what the chain is about, down to its command."""
        if root_of(chain[-1]) not in ("report", "timer"):
            return []
        planned = next((each for each in chain if each.actor in _PLANNED), None)
        if planned is None or planned.stream.startswith("node/"):
            return []
        stream = self._wished(planned)
        if not stream:
            return []
        before = planned.position + 1
        for found in self._at.backwards(stream, before, WISH_LOOK_BACK):
            asked = found.actor not in _PLANNED or isinstance(found.event, _DECIDED)
            if asked and isinstance(found.event, _WISHES):
                wish = follow(self._at, found)[0]
                held = {each.position for each in chain}
                return [] if wish[0].position in held | self._told else wish
        return []

    def _wished(self, planned: Recorded) -> str:
        """The stream of whatever a person would have asked for: the Deployment, or
        the ReplicaSet that belongs to none."""
        stream = planned.stream
        if stream.startswith("pod/"):
            stream = self._owner(stream, planned.position) or ""
        if stream.startswith("replicaset/"):
            return self._owner(stream, planned.position) or stream
        return stream

    def _owner(self, stream: str, position: int) -> str:
        """The owner that the object had at `position`; "" for none."""
        for found in self._at.backwards(stream, position + 1):
            event = found.event
            if isinstance(event, pod.PodReleased | replicaset.ReplicaSetReleased):
                return ""
            if isinstance(
                event,
                pod.PodCreated
                | pod.PodAdopted
                | replicaset.ReplicaSetCreated
                | replicaset.ReplicaSetAdopted,
            ):
                return event.owner
        return ""
