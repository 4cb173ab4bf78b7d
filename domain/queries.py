"""What readers ask and are answered: the messages of `rollbook.query.<verb>`.

1. Every answer names the position that it speaks for. `wait_for` makes the answer
   wait until that position is folded, so that a writer reads what it wrote.
2. A long list comes in pages: `continue_` of an answer is passed back in the next
   question, as in Kubernetes.
3. An answer with `error` has nothing else; the reason is Kubernetes'.
"""

from typing import Final, Literal

import msgspec

from domain.protocol import Answer, Message

Kind = Literal[
    "deployment",
    "replicaset",
    "pod",
    "node",
    "event",
    "configmap",
    "secret",
    "serviceaccount",
    "lease",
    "namespace",
    "horizontalpodautoscaler",
]
Format = Literal["table", "object", "name"]
NOTHING: Final = msgspec.Raw(b"null")
"""A document that is not there."""


class QueryError(Message, frozen=True, kw_only=True):
    """Why a question has no answer, in Kubernetes' words."""

    reason: str
    message: str
    code: int = 400


class Moment(Message, frozen=True, kw_only=True):
    """A moment of the past: one of both, either a position of the log or a time.

    `position` is from 1 to the last one; exactly the events up to it count, even if it
    is in the middle of a step. `time` is seconds since the epoch and means the last
    step at or before it.
    """

    position: int | None = None
    time: float | None = None


class Query(Message, frozen=True, kw_only=True):
    """What every question may say.

    `at` asks for the state of then: the answer's `position` is the one that is meant,
    and ages count to that moment. Without it the state is the present one.
    """

    wait_for: int = 0
    at: Moment | None = None


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


RevisionResult = Literal[
    "in progress",
    "paused",
    "stalled",
    "complete",
    "superseded",
    "rolled back",
]


class HistoryQuery(Query, frozen=True, kw_only=True):
    """`history`: the revisions of a Deployment, oldest first, in pages.

    `revisions` asks for these only, by number (0 is the current one) or by tag, and
    `before` adds the one in front of each; `present` asks for those only whose
    ReplicaSet still exists. Without `templates` the rows come without their templates,
    which is many times quicker.
    """

    namespace: str
    name: str
    revisions: tuple[int | str, ...] = ()
    before: bool = False
    present: bool = False
    templates: bool = True
    limit: int = 200
    continue_: str = ""


class RevisionRow(Message, frozen=True, kw_only=True):
    """One revision, for ever.

    `present`: its ReplicaSet still exists. `cause` is what the user wrote or, if
    nothing was written, what was changed; `command` is the id of the command that
    asked for it. `took` is how many seconds after `when` it was complete, stalled or
    superseded; none while it was neither. `template` is the Pod Template block as
    kubectl prints it (spec 6.4), literal tabs included, `pod_template` the same as
    Kubernetes' JSON.
    """

    revision: int
    cause: str
    when: float
    who: str
    from_: str
    result: RevisionResult
    replicaset: str
    present: bool
    position: int
    template: str = ""
    pod_template: msgspec.Raw = NOTHING
    took: float | None = None
    tags: tuple[str, ...] = ()
    command: str = ""


class HistoryAnswer(Message, frozen=True, kw_only=True):
    """A page of revisions, or those that were asked for and that there are.

    `current` is the Deployment's revision now, 0 for none; `total` is how many it
    ever had.
    """

    position: int = 0
    revisions: tuple[RevisionRow, ...] = ()
    current: int = 0
    total: int = 0
    continue_: str = ""
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


class WhyQuery(Query, frozen=True, kw_only=True):
    """`why`: the causes of an object's changes, or of the event at `about`.

    `stream` is the object (`pod/default/web-1`); `uid` one of several that had its
    name, the last by default. `all` asks for every change, the newest `limit` of them.
    """

    stream: str = ""
    about: int = 0
    uid: str = ""
    all: bool = False
    limit: int = 20


class WhyLink(Message, frozen=True, kw_only=True):
    """One event of a chain: a row of the log, told in `words`."""

    position: int
    stream: str
    type: str
    at: str
    actor: str
    cause: int
    words: str


class WhyChain(Message, frozen=True, kw_only=True):
    """Events, newest first, each the cause of the one before it.

    `title` says what it answers. `shared`: further events with the first one's cause.
    The last link is of `root`: `command`, `report`, `timer` or `system`; `joins` is
    set instead where the chain goes on at that position of an earlier chain, and
    `open` where it was too long. `wish` is what had been asked for by then, where the
    chain itself does not lead to a command.
    """

    title: str
    links: tuple[WhyLink, ...]
    root: str = ""
    shared: tuple[WhyLink, ...] = ()
    joins: int = 0
    open: int = 0
    wish: tuple[WhyLink, ...] = ()


class WhyLife(Message, frozen=True, kw_only=True):
    """One of the objects that had this name, from its creation to its end (0: none)."""

    uid: str
    created: int
    ended: int = 0


class WhyAnswer(Message, frozen=True, kw_only=True):
    """What the object is, what it waits for, and why it is so.

    `now` is the answerer's clock, seconds since the epoch: ages count from it.
    `earlier` are the objects that had the name before, newest first; `more` says that
    there are older changes than those that were asked for.
    """

    position: int = 0
    now: float = 0.0
    stream: str = ""
    uid: str = ""
    present: bool = False
    sentence: str = ""
    waits: tuple[str, ...] = ()
    chains: tuple[WhyChain, ...] = ()
    earlier: tuple[WhyLife, ...] = ()
    more: bool = False
    error: QueryError | None = None


class DiffQuery(Query, frozen=True, kw_only=True):
    """`diff`: the objects that differ between two moments, in pages.

    `kind` "" is all of them, `namespace` "" is every one, `name` is one object.
    `before` may be the later moment: what has been deleted was created then, going
    back. `at` is not for this question.
    """

    before: Moment
    after: Moment
    kind: Literal[
        "",
        "deployment",
        "replicaset",
        "pod",
        "node",
        "configmap",
        "secret",
        "serviceaccount",
        "lease",
        "namespace",
        "horizontalpodautoscaler",
    ] = ""
    namespace: str = ""
    name: str = ""
    limit: int = 500
    continue_: str = ""


class FieldDifference(Message, frozen=True, kw_only=True):
    """One field that differs; null is a field that is not there.

    `path` is as in `spec.template.spec.containers[nginx].image`: what has a name, or a
    type as conditions have, stands under it in a list.
    """

    path: str
    before: msgspec.Raw = NOTHING
    after: msgspec.Raw = NOTHING


class ObjectDifference(Message, frozen=True, kw_only=True):
    """One object that differs; `replaced` is another one of the same name.

    `fields` are those of its JSON that differ, but for `metadata.resourceVersion`; of
    an object that was created or deleted none is listed.
    """

    kind: str
    namespace: str
    name: str
    change: Literal["created", "deleted", "changed", "replaced"]
    fields: tuple[FieldDifference, ...] = ()


class DiffAnswer(Message, frozen=True, kw_only=True):
    """The objects that differ, by kind, namespace and name.

    `before` and `after` are the positions of the two moments, and `position` is the
    later one.
    """

    position: int = 0
    before: int = 0
    after: int = 0
    changes: tuple[ObjectDifference, ...] = ()
    continue_: str = ""
    error: QueryError | None = None


class DigestQuery(Query, frozen=True, kw_only=True):
    """`digest`: one hash of all that this reader has folded, for `rollbook verify`."""


class DigestAnswer(Message, frozen=True, kw_only=True):
    """The digest at `position`; only digests of the same `code` can be compared."""

    position: int = 0
    digest: str = ""
    code: str = ""
    error: QueryError | None = None


class UsageQuery(Query, frozen=True, kw_only=True):
    """`usage`: what pods or nodes use now, of those that a selector picks.

    `namespace` "" is all of them, `name` one object. `at` is not for this question:
    nobody keeps what was used.
    """

    kind: Literal["pod", "node"] = "pod"
    namespace: str = ""
    name: str = ""
    selector: str = ""
    limit: int = 2_000
    continue_: str = ""


class UsageOfContainer(Message, frozen=True, kw_only=True):
    """CPU in billionths of a core, on average over the window; memory in bytes."""

    name: str
    cpu: int
    memory: int


class UsageRow(Message, frozen=True, kw_only=True):
    """What one pod (or node: the pods on it together, without `containers`) used in
    the `window` seconds before `at`."""

    namespace: str
    name: str
    at: float
    window: float
    cpu: int
    memory: int
    containers: tuple[UsageOfContainer, ...] = ()


class UsageAnswer(Message, frozen=True, kw_only=True):
    """The rows by namespace and name; objects of which nothing is known yet have none.

    `total` is how many objects were asked about.
    """

    position: int = 0
    rows: tuple[UsageRow, ...] = ()
    total: int = 0
    continue_: str = ""
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
