"""Who manages which fields of an object: the newest list that a command has brought.

1. The list is the api's business: control keeps it with the command that brought it
   (`CommandAccepted`), and decides nothing by it. Here it is found by object.
2. It ends with its object: another one of the same name begins without.
3. A command that says nothing of it, one of Rollbook's own command line, leaves it as
   it is.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from domain import deployment, names, node, plain, pod, protocol, replicaset
from domain.command import CommandAccepted
from domain.events import Event, Recorded

ENDS: Final[frozenset[type[Event]]] = frozenset(
    {
        deployment.DeploymentDeleted,
        replicaset.ReplicaSetDeleted,
        pod.PodRemoved,
        node.NodeRemoved,
        plain.ObjectDeleted,
    }
)
"""The events after which an object is not there any more."""

_NOTHING: Final = "_"


class ManagedFields:
    """The lists, as JSON, by the key of their object."""

    def __init__(self, items: Iterable[tuple[str, bytes]] = ()) -> None:
        self._lists = dict(items)

    def of(self, key: str) -> bytes | None:
        """The list of an object as JSON, or None where nobody has told one."""
        return self._lists.get(key)

    def items(self) -> Iterator[tuple[str, bytes]]:
        """All of them, for a snapshot: `ManagedFields(items)` is the same again."""
        return iter(self._lists.items())

    def evolve(self, recorded: Recorded) -> None:
        """Afterwards the event is part of what is known."""
        event = recorded.event
        if isinstance(event, CommandAccepted):
            if event.managed_fields is protocol.NO_MANAGED_FIELDS:
                return
            key = key_of(event.subject)
            if key:
                self._lists[key] = bytes(event.managed_fields)
        elif type(event) in ENDS:
            self._lists.pop(recorded.stream, None)


def key_of(subject: str) -> str:
    """The object that `rollbook.cmd.<user>.<namespace>.<kind>.<name>.<verb>` names."""
    tokens = subject.split(".")
    if len(tokens) != 7:
        return ""
    namespace, kind, name = (
        "" if token == _NOTHING else _text(token) for token in tokens[3:6]
    )
    return names.key(kind, namespace, name)


def _text(token: str) -> str:
    try:
        return names.unescape(token)
    except ValueError:
        return ""  # a token that no name has: nothing is kept under it
