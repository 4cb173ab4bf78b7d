"""The subjects of the wire and what travels on each: who sends, who listens.

1. A subject is made by the functions of adapters/nats_subjects.py, with `{name}` in
   the place of each name, so that it cannot differ from the code's.
2. Verbs, questions and events are not listed here: they come from the tables of the
   code (`command.VERBS`, the structs of domain/queries.py and domain/wanted.py,
   `catalogue.EVENTS`).
"""

import re
from functools import cache
from typing import Final

import msgspec

from adapters import nats_intake, nats_publisher, nats_streams, nats_subjects
from docs._generate import examples, structs
from domain import catalogue, command, events, protocol, queries, wanted
from kubelet import logs_service

CONTROL: Final = "control"
API: Final = "api"
KUBELET: Final = "kubelet"
MONITOR: Final = "monitor"
USER: Final = "user"


_Field = tuple[str, object] | tuple[str, object, object]


class Published(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A committed event: its place in the log, then the document that the store keeps.

    `event` is the fact itself, the struct that `type` names (docs/events.md).
    """

    position: int
    stream: str
    version: int
    type: str
    at: str
    actor: str
    event: msgspec.Raw
    cause: int = 0
    command: str = ""


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """`rollbook.committed`: the log reaches up to `position`."""

    position: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A header of a message."""

    name: str
    words: str
    required: bool = False


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A subject, or a family of subjects that differ in names."""

    key: str
    title: str
    subject: str
    publisher: str
    subscribers: tuple[str, ...]
    carries: tuple[structs.Kind, ...]
    """The structs of the payload: one, or any of several."""
    answers: tuple[structs.Kind, ...] = ()
    answer_headers: tuple[Header, ...] = ()
    headers: tuple[Header, ...] = ()
    stream: str = ""
    """The JetStream stream that keeps the messages."""
    reply_header: str = ""
    """The header that says where the answer goes, where NATS' own reply does not."""
    raw_answer: bool = False
    """The answer is plain bytes, not JSON."""
    text: str = ""
    """What the payload is, where it is text and not JSON; `carries` is empty then."""

    @property
    def exchange(self) -> str:
        """How a message travels."""
        if self.stream and self.answers:
            return f"JetStream stream `{self.stream}`, with an answer"
        if self.stream:
            return f"JetStream stream `{self.stream}`"
        if self.answers or self.raw_answer:
            return "request and reply"
        return "publish"


def questions() -> dict[str, tuple[structs.Kind, structs.Kind]]:
    """The verbs of queries, each with its question and its answer.

    `XQuery` is answered with `XAnswer`; its docstring begins with its verb.
    """
    found: dict[str, tuple[structs.Kind, structs.Kind]] = {}
    for module in (queries, wanted):
        for name, kind in vars(module).items():
            if _is_struct(kind) and issubclass(kind, queries.Query):
                stem = name.removesuffix("Query")
                told = re.match(r"`([\w-]+)`", structs.words(kind))
                if stem and told:
                    found[told[1]] = kind, getattr(module, f"{stem}Answer")
    return found


def channels() -> tuple[Channel, ...]:
    """Every subject of Rollbook's own."""
    return (
        _COMMAND,
        _EVENT,
        _COMMITTED,
        _CHECKPOINT,
        _CHECKPOINT_REQUEST,
        *(_query(verb, *kinds) for verb, kinds in questions().items()),
        _SYNC,
        _VALUES,
        _REPORT,
        _MEASUREMENT,
        _CHECK,
        _METRIC,
        _LIVE,
        _ASSIGN,
        _LOGS,
        _GRANT,
        _SESSION,
    )


@cache
def published(kind: type[events.Event]) -> structs.Kind:
    """The struct of one kind of event as it is published."""
    fields = [
        _field(each, kind if each.name == "event" else each.type)
        for each in msgspec.structs.fields(Published)
    ]
    return msgspec.defstruct(
        f"Published{kind.__name__}",
        fields,
        namespace={"__doc__": structs.words(kind)},
        omit_defaults=True,
        kw_only=True,
    )


@cache
def command_message(kind: structs.Kind | None = None) -> structs.Kind:
    """The struct of a command with the body of one verb; of any verb without it."""
    whole = protocol.CommandMessage
    nothing: object = msgspec.field(default_factory=dict)
    body: _Field = ("body", msgspec.Raw, nothing)
    if kind is not None:
        needed = any(each.required for each in msgspec.structs.fields(kind))
        body = ("body", kind) if needed else ("body", kind, nothing)
    fields = [
        body if each.name == "body" else _field(each, each.type)
        for each in msgspec.structs.fields(whole)
    ]
    return msgspec.defstruct(
        whole.__name__ if kind is None else f"{kind.__name__}Message",
        fields,
        namespace={"__doc__": structs.words(whole if kind is None else kind)},
        rename="camel",
        omit_defaults=True,
        kw_only=True,
    )


def bodies() -> list[structs.Kind]:
    """The structs of commands, each once, in the order of the table of verbs."""
    return list(dict.fromkeys(command.VERBS.values()))


def covers(pattern: str, subject: str) -> bool:
    """Whether every subject that `subject` stands for is one of `pattern`'s."""
    wanted, given = pattern.split("."), subject.split(".")
    for number, each in enumerate(wanted):
        if each == ">":
            return len(given) > number
        if number >= len(given) or each not in ("*", given[number]):
            return False
    return len(wanted) == len(given)


def example(kind: structs.Kind) -> bytes:
    """An example of a struct of the wire, encoded."""
    if kind is Published:
        shown = (each for each in catalogue.EVENTS if each.__name__.endswith("Scaled"))
        return published_example(next(shown, catalogue.EVENTS[0]))
    return examples.encoded(kind)


def published_example(kind: type[events.Event]) -> bytes:
    """An example of an event as the relay publishes it (workers/relay.py)."""
    stored = examples.stored(kind)
    head = msgspec.json.encode(
        {
            "position": 42,
            "stream": examples.stream(kind),
            "version": 5,
            "type": kind.__name__,
        }
    )
    return head[:-1] + b"," + stored[1:]


def _field(field: msgspec.structs.FieldInfo, kind: object) -> _Field:
    """A field for `defstruct`, of the type `kind`."""
    if field.required:
        return field.name, kind
    if field.default is msgspec.NODEFAULT:
        factory: object = msgspec.field(default_factory=field.default_factory)
        return field.name, kind, factory
    return field.name, kind, field.default


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


_ID: Final = nats_streams.ID_HEADER

_COMMAND: Final = Channel(
    key="command",
    title="Commands",
    subject=nats_subjects.command_subject(
        "{user}", "{namespace}", "{kind}", "{name}", "{verb}"
    ),
    publisher=USER,
    subscribers=(CONTROL,),
    carries=(protocol.CommandMessage,),
    answers=(protocol.Answer,),
    stream=nats_streams.COMMANDS,
    reply_header=nats_intake.REPLY_HEADER,
    headers=(
        Header(
            name=_ID,
            words="the command's id, the same as in the message; never a number",
            required=True,
        ),
        Header(
            name=nats_intake.REPLY_HEADER,
            words="where the answer goes: a subject below the user's own inbox; "
            "without it no answer is sent",
        ),
    ),
)
_EVENT: Final = Channel(
    key="event",
    title="Events",
    subject=nats_subjects.event_subject("{namespace}", "{kind}", "{name}", "{event}"),
    publisher=CONTROL,
    subscribers=(USER,),
    carries=(Published,),
    stream=nats_streams.EVENTS,
    headers=(
        Header(name=_ID, words="the event's position in the log", required=True),
        Header(
            name=nats_publisher.OMITTED_HEADER,
            words="the size in bytes of an event that does not fit into a message; "
            "the message has no data then",
        ),
    ),
)
_COMMITTED: Final = Channel(
    key="committed",
    title="Wake-ups",
    subject=nats_subjects.COMMITTED,
    publisher=CONTROL,
    subscribers=(API, USER),
    carries=(Committed,),
)
_CHECKPOINT: Final = Channel(
    key="checkpoint",
    title="Checkpoints",
    subject=nats_subjects.CHECKPOINT,
    publisher=CONTROL,
    subscribers=(USER,),
    carries=(),
    text="a signed note of C2SP",
    stream=nats_streams.CHECKPOINTS,
)
_CHECKPOINT_REQUEST: Final = Channel(
    key="checkpoint.request",
    title="Requests for a checkpoint",
    subject=nats_subjects.CHECKPOINT_REQUEST,
    publisher=USER,
    subscribers=(CONTROL,),
    carries=(),
    text="nothing: it is not looked at",
)
_SYNC: Final = Channel(
    key="sync",
    title="Syncs",
    subject=nats_subjects.sync_subject("{node}"),
    publisher=KUBELET,
    subscribers=(CONTROL,),
    carries=(protocol.SyncRequest,),
    answers=(protocol.SyncReply,),
)
_VALUES: Final = Channel(
    key="values",
    title="Values",
    subject=nats_subjects.values_subject("{node}"),
    publisher=KUBELET,
    subscribers=(CONTROL,),
    carries=(protocol.ValuesRequest,),
    answers=(protocol.ValuesReply,),
)
_REPORT: Final = Channel(
    key="report",
    title="Reports",
    subject=nats_subjects.report_subject("{node}"),
    publisher=KUBELET,
    subscribers=(CONTROL,),
    carries=(protocol.Report,),
)
_MEASUREMENT: Final = Channel(
    key="measurement",
    title="Measurements",
    subject=nats_subjects.measurement_subject("{namespace}", "{name}"),
    publisher=MONITOR,
    subscribers=(CONTROL,),
    carries=(protocol.Measurement,),
)
_CHECK: Final = Channel(
    key="check",
    title="Active checks",
    subject=nats_subjects.check_subject("{namespace}", "{name}"),
    publisher=MONITOR,
    subscribers=(CONTROL,),
    carries=(protocol.PodCheck,),
)
_METRIC: Final = Channel(
    key="metric",
    title="Values of metrics",
    subject=nats_subjects.metric_subject("{user}", "{namespace}", "{metric}"),
    publisher=USER,
    subscribers=(CONTROL,),
    carries=(protocol.MetricMessage,),
)
_LIVE: Final = Channel(
    key="live",
    title="What is measured",
    subject=nats_subjects.LIVE,
    publisher=CONTROL,
    subscribers=(API, USER),
    carries=(protocol.Live,),
)
_ASSIGN: Final = Channel(
    key="assign",
    title="Assignments",
    subject=nats_subjects.assign_subject("{node}"),
    publisher=CONTROL,
    subscribers=(KUBELET,),
    carries=(protocol.Assignment,),
)
_LOGS: Final = Channel(
    key="logs",
    title="Output of containers",
    subject=nats_subjects.node_subject("{node}", "logs"),
    publisher=USER,
    subscribers=(KUBELET,),
    carries=(logs_service.LogsRequest,),
    raw_answer=True,
    answer_headers=(
        Header(name=logs_service.PART, words="1, 2, 3 …: whole lines of output"),
        Header(name=logs_service.END, words="1: this message is empty and the last"),
        Header(
            name=logs_service.ERROR,
            words="why there is no (more) output: this message is empty and the last",
        ),
    ),
)


_GRANT: Final = Channel(
    key="grant",
    title="Grants",
    subject=nats_subjects.node_subject("{node}", "grant"),
    publisher=CONTROL,
    subscribers=(KUBELET,),
    carries=(protocol.Grant,),
)
_SESSION: Final = Channel(
    key="session",
    title="Sessions with containers",
    subject=nats_subjects.session_subject("{user}", "{node}", "{session}"),
    publisher=USER,
    subscribers=(KUBELET,),
    carries=(),
    text="frames of adapters/session_link.py (25 bytes and a payload), both ways: the "
    "node's come to the reply subject, which is below the user's own inbox",
)


def _query(verb: str, question: structs.Kind, answer: structs.Kind) -> Channel:
    return Channel(
        key=f"query.{verb}",
        title=f"Question `{verb}`",
        subject=nats_subjects.query_subject(verb),
        publisher=USER,
        subscribers=(API,),
        carries=(question,),
        answers=(answer,),
        answer_headers=(
            Header(
                name="Nats-Service-Error",
                words="the question could not be answered at all",
            ),
        ),
    )
