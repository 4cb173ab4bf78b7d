"""What readers ask and are answered: the messages of `rollbook.query.<verb>`.

1. Every answer names the position that it speaks for. `wait_for` makes the answer
   wait until that position is folded, so that a writer reads what it wrote.
2. A long list comes in pages: `continue_` of an answer is passed back in the next
   question, as in Kubernetes.
3. An answer with `error` has nothing else; the reason is Kubernetes'.
"""

from typing import Literal

import msgspec

from domain.protocol import Answer, Message

Kind = Literal["deployment", "replicaset", "pod", "node", "event"]
Format = Literal["table", "object", "name"]


class QueryError(Message, frozen=True, kw_only=True):
    """Why a question has no answer, in Kubernetes' words."""

    reason: str
    message: str
    code: int = 400


class Query(Message, frozen=True, kw_only=True):
    """What every question may say."""

    wait_for: int = 0


class GetQuery(Query, frozen=True, kw_only=True):
    """`get`: objects of one kind, one by name, or those that a selector picks.

    `namespace` "" is all of them. `field_selector` knows `metadata.name`,
    `metadata.namespace`, `spec.nodeName`, `status.phase`, `involvedObject.kind`,
    `involvedObject.name` with `=`, `==` and `!=`.
    """

    kind: Kind
    namespace: str = ""
    name: str = ""
    selector: str = ""
    field_selector: str = ""
    format: Format = "table"
    limit: int = 500
    continue_: str = ""


class Column(Message, frozen=True, kw_only=True):
    """A column of a table; one that is `wide` shows with `-o wide` only."""

    name: str
    wide: bool = False


class TableRow(Message, frozen=True, kw_only=True):
    """One object: its cells, in the order of the columns."""

    namespace: str
    name: str
    cells: tuple[str, ...]


class GetAnswer(Message, frozen=True, kw_only=True):
    """The objects: `rows` for a table or names, `items` as Kubernetes' JSON."""

    position: int = 0
    columns: tuple[Column, ...] = ()
    rows: tuple[TableRow, ...] = ()
    items: tuple[msgspec.Raw, ...] = ()
    continue_: str = ""
    error: QueryError | None = None


class DescribeQuery(Query, frozen=True, kw_only=True):
    """`describe`: one object with what surrounds it, as text for people."""

    kind: Kind
    namespace: str = ""
    name: str = ""


class DescribeAnswer(Message, frozen=True, kw_only=True):
    """The text, as kubectl lays it out (spec 6.12)."""

    position: int = 0
    text: str = ""
    error: QueryError | None = None


class HistoryQuery(Query, frozen=True, kw_only=True):
    """`history`: the revisions of a Deployment, oldest first."""

    namespace: str
    name: str


class RevisionRow(Message, frozen=True, kw_only=True):
    """One revision, for ever.

    `present`: its ReplicaSet still exists. `cause` is what the user wrote or, if
    nothing was written, what was changed. `template` is the Pod Template block as
    kubectl prints it (spec 6.4), literal tabs included.
    """

    revision: int
    cause: str
    when: float
    who: str
    from_: str
    result: str
    replicaset: str
    present: bool
    position: int
    template: str


class HistoryAnswer(Message, frozen=True, kw_only=True):
    """All revisions that the Deployment ever had."""

    position: int = 0
    revisions: tuple[RevisionRow, ...] = ()
    error: QueryError | None = None


class CommandQuery(Query, frozen=True, kw_only=True):
    """`command`: what became of a command, by its id."""

    id: str


class CommandAnswer(Message, frozen=True, kw_only=True):
    """The answer that the command was given; none while it was not decided."""

    position: int = 0
    answer: Answer | None = None
    error: QueryError | None = None


class LogQuery(Query, frozen=True, kw_only=True):
    """`log`: the events after a position, in order.

    `stream` is a stream's name (`deployment/default/nginx`) or a prefix that ends
    with `/`; `types` are event names (`PodCreated`).
    """

    after: int = 0
    until: int = 0
    limit: int = 200
    stream: str = ""
    types: tuple[str, ...] = ()


class LogRow(Message, frozen=True, kw_only=True):
    """One event as it stands in the log."""

    position: int
    stream: str
    version: int
    type: str
    at: str
    actor: str
    cause: int
    command: str
    event: msgspec.Raw


class LogAnswer(Message, frozen=True, kw_only=True):
    """The events; `last` is the position up to which the log was looked through."""

    position: int = 0
    last: int = 0
    events: tuple[LogRow, ...] = ()
    error: QueryError | None = None


class StatusQuery(Query, frozen=True, kw_only=True):
    """`status`: how far this reader is."""


class StatusAnswer(Message, frozen=True, kw_only=True):
    """`position` is folded, `committed` is the store's last; `unreadable` events
    were set aside. `counts` is the number of objects by kind, `counters` what control
    has refused or dropped since its start."""

    position: int = 0
    committed: int = 0
    unreadable: int = 0
    started_at: float = 0.0
    counts: dict[str, int] = {}
    counters: dict[str, int] = {}
    nodes_ready: int = 0
    control_heard_at: float = 0.0
    error: QueryError | None = None
