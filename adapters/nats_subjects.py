"""The names on the wire: subjects, inboxes, logins. Pure; no connection is needed.

1. Identity is in the subject (the user of a command, the node of a report), because
   the broker can prove a subject and nothing else.
2. A token is escaped so that every name, whatever is in it, is exactly one token.
   An empty name (the namespace of a cluster-scoped object) is the token `_`.
3. Everybody has a private inbox and may subscribe to no other, so nobody reads
   another's answers. The inbox names the class (`user`, `node`), so that one
   permission with a wildcard says "the inboxes of all users".
4. The broker checks whom a message is *published* by, but not where its *reply*
   subject points: whoever answers at a subject named by somebody else must ask
   `safe_reply` first, or they lend that person their own permissions.

`adapters/nats_server.py` turns these names into permissions: change both together.
"""

import functools
import re
from typing import Final, NamedTuple

from domain import errors, names

CONTROL: Final = "control"
API: Final = "api"
MONITOR: Final = "monitor"
COMMITTED: Final = "rollbook.committed"
"""Control says `{"position": N}` here after each commit; it wakes the readers."""
LIVE: Final = "rollbook.live"
"""Control says here what is measured: what pods use, what autoscalers see."""
CHECKPOINT: Final = "rollbook.checkpoint"
"""Control publishes each signed checkpoint here, a note of C2SP as text."""
CHECKPOINT_REQUEST: Final = "rollbook.checkpoint.request"
"""A user's message here asks for a checkpoint now; it comes where all come."""

MAX_SUBJECT_BYTES: Final = 1024
"""The broker ends a connection whose protocol line exceeds 4096 bytes, and that line
holds the subject and the reply subject: a long name must be refused before it."""

_EMPTY: Final = "_"
_EMPTY_ESCAPED: Final = "%5F"
_NODE_LOGIN: Final = "node-"
_PLAIN: Final = re.compile(r"[a-z0-9-]+")
"""A token as it is: of a million pods' names, `escape_token` need not keep each."""
_TOKENS: Final = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


class CommandSubject(NamedTuple):
    """What the subject of a command says, and what the broker vouches for: `user`."""

    user: str
    namespace: str
    """Empty for a cluster-scoped object."""
    kind: str
    name: str
    verb: str


@functools.lru_cache(maxsize=4096)
def escape_token(name: str) -> str:
    """`name` as one subject token; `unescape_token` gives it back exactly."""
    if name == "":
        return _EMPTY
    return _EMPTY_ESCAPED if name == _EMPTY else names.escape(name)


def unescape_token(token: str) -> str:
    """The name behind `token`.

    Raises `Rejected` (BadRequest) unless `token` is exactly what `escape_token`
    writes: one name must never have two subjects.
    """
    if token in (_EMPTY, _EMPTY_ESCAPED):
        return "" if token == _EMPTY else _EMPTY
    try:
        if name := names.unescape(token):
            return name
    except ValueError:
        pass
    raise errors.Rejected(
        "BadRequest",
        f"{token!r} is not a subject token: a name's dots, blanks, percent signs and "
        "wildcards are written %XX, and no name at all is written _",
    )


def command_subject(user: str, namespace: str, kind: str, name: str, verb: str) -> str:
    """Where `user` publishes a command. Raises `Rejected` if the names are too long."""
    return _subject("rollbook.cmd", user, namespace, kind, name, verb)


def parse_command_subject(subject: str) -> CommandSubject:
    """The parts of a command's subject. Raises `Rejected` if it is not one."""
    tokens = subject.split(".")
    if len(tokens) != 7 or tokens[:2] != ["rollbook", "cmd"]:
        raise errors.Rejected(
            "BadRequest",
            f"subject {subject!r} is not one of a command: it must be "
            "rollbook.cmd.<user>.<namespace>.<kind>.<name>.<verb>",
        )
    return CommandSubject(*map(unescape_token, tokens[2:]))


def report_subject(node: str) -> str:
    """Where `node` reports what it sees."""
    return _subject("rollbook.report", node)


def assign_subject(node: str) -> str:
    """Where control tells `node` what to run."""
    return _subject("rollbook.assign", node)


def sync_subject(node: str) -> str:
    """Where `node` asks for its full list."""
    return _subject("rollbook.sync", node)


def values_subject(node: str) -> str:
    """Where `node` asks for what ConfigMaps and Secrets hold."""
    return _subject("rollbook.values", node)


def parse_node_subject(subject: str) -> str:
    """The node of a `rollbook.{report,assign,sync,values}.<node>` subject, else
    `Rejected`."""
    tokens = subject.split(".")
    if len(tokens) != 3 or tokens[1] not in ("report", "assign", "sync", "values"):
        raise errors.Rejected(
            "BadRequest", f"subject {subject!r} is not one of a node's"
        )
    return unescape_token(tokens[2])


def event_subject(namespace: str, kind: str, name: str, event: str) -> str:
    """Where a committed event is published; `event` is the name of its class."""
    token = name if _PLAIN.fullmatch(name) else escape_token(name)
    return _fitting(f"{_events_of(namespace, kind)}.{token}.{event}")


@functools.lru_cache(maxsize=4096)
def _events_of(namespace: str, kind: str) -> str:
    return f"rollbook.event.{escape_token(namespace)}.{escape_token(kind)}"


def metric_subject(user: str, namespace: str, metric: str) -> str:
    """Where `user` publishes values of a metric (`protocol.MetricMessage`)."""
    return _subject("rollbook.metric", user, namespace, metric)


def parse_metric_subject(subject: str) -> tuple[str, str, str]:
    """The user, the namespace and the metric of such a subject, else `Rejected`."""
    tokens = subject.split(".")
    if len(tokens) != 5 or tokens[:2] != ["rollbook", "metric"]:
        raise errors.Rejected(
            "BadRequest",
            f"subject {subject!r} is not one of a metric: it must be "
            "rollbook.metric.<user>.<namespace>.<metric>",
        )
    user, namespace, metric = map(unescape_token, tokens[2:])
    return user, namespace, metric


def measurement_subject(namespace: str, name: str) -> str:
    """Where the monitor says what it measured of a Deployment
    (`protocol.Measurement`)."""
    return _subject("rollbook.measurement", namespace, name)


def parse_measurement_subject(subject: str) -> tuple[str, str]:
    """The namespace and the Deployment of such a subject, else `Rejected`."""
    tokens = subject.split(".")
    if len(tokens) != 4 or tokens[:2] != ["rollbook", "measurement"]:
        raise errors.Rejected(
            "BadRequest", f"subject {subject!r} is not one of a measurement"
        )
    return unescape_token(tokens[2]), unescape_token(tokens[3])


def check_subject(namespace: str, name: str) -> str:
    """Where the monitor says how the active check of a pod goes
    (`protocol.PodCheck`)."""
    return _subject("rollbook.check", namespace, name)


def parse_check_subject(subject: str) -> tuple[str, str]:
    """The namespace and the pod of such a subject, else `Rejected`."""
    tokens = subject.split(".")
    if len(tokens) != 4 or tokens[:2] != ["rollbook", "check"]:
        raise errors.Rejected(
            "BadRequest", f"subject {subject!r} is not one of an active check"
        )
    return unescape_token(tokens[2]), unescape_token(tokens[3])


def query_subject(*tokens: str) -> str:
    """Where a query is asked, for example `query_subject("get")`."""
    return _subject("rollbook.query", *tokens)


def node_subject(node: str, *verb: str) -> str:
    """Where `node` serves `verb`, for example `logs`; without one, what all begin
    with."""
    return _subject("rollbook.node", node, *verb)


def session_subject(user: str, node: str, session: str) -> str:
    """Where `user` sends what belongs to a session with a container on `node`."""
    return _subject("rollbook.node", node, "session", user, session)


def parse_node_request(subject: str) -> tuple[str, ...]:
    """What is asked of a node: `("logs",)`, `("grant",)`, or `("session", user, id)`.

    Raises `Rejected` for any other subject below the node's.
    """
    tokens = subject.split(".")
    asked = tuple(tokens[3:])
    if tokens[:2] == ["rollbook", "node"]:
        if asked in (("logs",), ("grant",)):
            return asked
        if len(asked) == 3 and asked[0] == "session":
            return "session", unescape_token(asked[1]), unescape_token(asked[2])
    raise errors.Rejected("BadRequest", f"a node serves nothing at {subject!r}")


def node_login(node: str) -> str:
    """The name with which the agent of `node` logs in to the broker."""
    return f"{_NODE_LOGIN}{node}"


def is_reserved_login(user: str) -> bool:
    """Whether a person may *not* be called `user`: a part of the system is."""
    return user in ("", CONTROL, API, MONITOR) or user.startswith(_NODE_LOGIN)


def inbox_prefix(login: str) -> str:
    """The private inbox of `login`, without a trailing dot (nats-py's form)."""
    if login in (CONTROL, API):
        return f"_INBOX.{login}"
    if login.startswith(_NODE_LOGIN):
        return f"_INBOX.node.{escape_token(login.removeprefix(_NODE_LOGIN))}"
    return f"_INBOX.user.{escape_token(login)}"


def safe_reply(user: str, reply_subject: str) -> bool:
    """Whether an answer for `user` may be sent to `reply_subject`.

    Only below that user's own inbox: anywhere else the answer would be published
    with our permissions on behalf of somebody who lacks them.
    """
    if is_reserved_login(user) or len(reply_subject) > MAX_SUBJECT_BYTES:
        return False
    return (
        reply_subject.startswith(inbox_prefix(user) + ".")
        and _TOKENS.fullmatch(reply_subject) is not None
    )


def _subject(prefix: str, *parts: str) -> str:
    return _fitting(".".join((prefix, *map(escape_token, parts))))


def _fitting(subject: str) -> str:
    if len(subject) > MAX_SUBJECT_BYTES:
        raise errors.Rejected(
            "BadRequest",
            f"a subject of {len(subject)} bytes is too long: the names in it may have "
            f"{MAX_SUBJECT_BYTES} bytes together",
        )
    return subject
