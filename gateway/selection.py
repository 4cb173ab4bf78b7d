"""Field selectors: `metadata.name=web,status.phase!=Running`.

Each kind knows a few fields (`FIELDS`); any other is refused by name. Values are
compared as text.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from domain.deployment import Deployment
from domain.errors import Rejected
from domain.node import Node
from domain.plain import PlainObject
from domain.pod import Pod
from domain.replicaset import ReplicaSet
from gateway.views import happenings
from projections.happenings import Happening

Selectable = Deployment | ReplicaSet | Pod | Node | Happening | PlainObject
T = TypeVar("T", bound=Selectable)
Fields = dict[str, Callable[[T], str]]


class Term(NamedTuple):
    """One sentence about one field."""

    field: str
    value: str
    equal: bool


DEPLOYMENT: Final[Fields[Deployment]] = {
    "metadata.name": lambda held: held.name,
    "metadata.namespace": lambda held: held.namespace,
}
REPLICASET: Final[Fields[ReplicaSet]] = {
    "metadata.name": lambda held: held.name,
    "metadata.namespace": lambda held: held.namespace,
}
POD: Final[Fields[Pod]] = {
    "metadata.name": lambda held: held.name,
    "metadata.namespace": lambda held: held.namespace,
    "spec.nodeName": lambda held: held.node,
    "status.phase": lambda held: held.phase,
}
NODE: Final[Fields[Node]] = {
    "metadata.name": lambda held: held.name,
    "spec.unschedulable": lambda held: "true" if held.cordoned else "false",
}
PLAIN: Final[Fields[PlainObject]] = {
    "metadata.name": lambda held: held.name,
    "metadata.namespace": lambda held: held.namespace,
}
SECRET: Final[Fields[PlainObject]] = {
    **PLAIN,
    "type": lambda held: str(held.content.get("type", "")),
}
EVENT: Final[Fields[Happening]] = {
    "metadata.name": lambda held: held.event_name,
    "metadata.namespace": happenings.namespace,
    "involvedObject.kind": lambda held: held.kind,
    "involvedObject.name": lambda held: held.name,
    "involvedObject.namespace": lambda held: held.namespace,
    "involvedObject.uid": lambda held: held.uid,
    "reason": lambda held: held.reason,
    "type": lambda held: held.type,
}


def parse(text: str) -> tuple[Term, ...]:
    """The sentences of a field selector; an empty text has none.

    Raises `Rejected` (BadRequest) that quotes what was not understood.
    """
    return tuple(_term(text, part.strip()) for part in text.split(",") if part.strip())


def predicate(terms: tuple[Term, ...], fields: Fields[T], kind: str) -> "Predicate[T]":
    """Whether all sentences hold for an object.

    Raises `Rejected` (BadRequest) for a field that the kind does not know.
    """
    chosen: list[tuple[Callable[[T], str], str, bool]] = []
    for term in terms:
        known = fields.get(term.field)
        if known is None:
            raise Rejected(
                "BadRequest",
                f"field label not supported: {term.field}: a {kind} can be selected "
                f"by {', '.join(fields)}",
            )
        chosen.append((known, term.value, term.equal))
    return lambda held: all(
        (field(held) == value) == equal for field, value, equal in chosen
    )


Predicate = Callable[[T], bool]


def _term(text: str, part: str) -> Term:
    for operator in ("!=", "==", "="):
        field, found, value = part.partition(operator)
        if found and field.strip():
            return Term(field.strip(), value.strip(), operator != "!=")
    raise Rejected(
        "BadRequest",
        f'invalid field selector "{text}": "{part}" is not understood; write for '
        "example metadata.name=web or status.phase!=Running",
    )
