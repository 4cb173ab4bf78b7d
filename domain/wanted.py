"""What `rollbook monitor` asks the cluster for, and is told to measure: two of the
queries of domain/queries.py, and the items of their answers."""

from domain.active_check import ActiveCheck
from domain.analysis import Check
from domain.protocol import Message
from domain.queries import Query, QueryError


class Target(Message, frozen=True, kw_only=True):
    """A ready pod of the revision, where an active check or a metric needs pods."""

    name: str
    ip: str
    node: str


class Wanted(Message, frozen=True, kw_only=True):
    """The next measurement of one check.

    `source` is the check as the annotation has it (domain/analysis.py). It is due at
    `due_at`, seconds since the epoch; `taken` measurements of this round are in the
    log. Answered by one `protocol.Measurement` with `number` = `taken` + 1.
    """

    namespace: str
    deployment: str
    uid: str
    revision: int
    round: int
    check: str
    source: Check
    taken: int
    due_at: float
    replicaset: str
    targets: tuple[Target, ...] = ()


class PodToCheck(Message, frozen=True, kw_only=True):
    """A pod that its node says is ready, and whose Deployment asks for `check`;
    `failing` is what control holds of it. Answered by `protocol.PodCheck`."""

    namespace: str
    name: str
    uid: str
    ip: str
    check: ActiveCheck
    failing: bool = False


class WantedQuery(Query, frozen=True, kw_only=True):
    """`wanted`: what `rollbook monitor` is to measure now, of all Deployments."""


class ChecksQuery(Query, frozen=True, kw_only=True):
    """`checks`: the pods that an active check is asked for, a page behind `after`."""

    after: str = ""


class ChecksAnswer(Message, frozen=True, kw_only=True):
    """`more` is the `after` of the next page; "" if this is the last."""

    pods: tuple[PodToCheck, ...] = ()
    more: str = ""
    error: QueryError | None = None


class WantedAnswer(Message, frozen=True, kw_only=True):
    """One for each check whose round is not over, by Deployment and check."""

    position: int = 0
    wanted: tuple[Wanted, ...] = ()
    error: QueryError | None = None
