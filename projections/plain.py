"""Which plain objects there are: ConfigMaps, Secrets, namespaces and their like.

1. A fold: see projections/desired.py, rule 1.
2. Objects are found by key, and listed by kind and namespace without a look at any
   other; a cluster without such objects pays nothing for them.
3. With the first event of the log the namespaces of `plain.FIRST_NAMESPACES` are there.
"""

from collections.abc import Iterator
from typing import Final

from domain import ids, plain
from domain.events import Event, IllegalTransition, Recorded
from domain.plain import PlainObject

EVENTS: Final[frozenset[type[Event]]] = frozenset(
    {
        plain.ObjectCreated,
        plain.ObjectReplaced,
        plain.ObjectDeletionRequested,
        plain.ObjectDeleted,
        *plain.OF_AUTOSCALERS,
    }
)


class Plain:
    """The plain objects at a position; `evolve` and `found` change it."""

    def __init__(self) -> None:
        self.objects: dict[str, PlainObject] = {}
        self.last_versions: dict[str, int] = {}
        """Of streams whose object is gone: one of the same name goes on from there."""
        self.terminating: dict[str, None] = {}
        """The keys of the namespaces that are on their way out."""
        self.set_aside = 0
        self._index: dict[str, dict[str, dict[str, None]]] = {}

    # --- questions ------------------------------------------------------------------

    def of(self, kind: str, namespace: str = "") -> Iterator[PlainObject]:
        """The objects of a kind, those of all namespaces where none is given; within
        a namespace in order of creation."""
        spaces = self._index.get(kind, {})
        if namespace:
            found = iter(spaces.get(namespace, ()))
        else:
            found = (key for keys in spaces.values() for key in keys)
        return (self.objects[key] for key in found)

    def namespace(self, name: str) -> PlainObject | None:
        """The namespace of that name, if it is there."""
        return self.objects.get(f"namespace/{name}")

    # --- the fold -------------------------------------------------------------------

    def found(self, uid: str, recorded: Recorded) -> None:
        """Afterwards the namespaces of rule 3 are there; `uid` is the cluster's."""
        for name in plain.FIRST_NAMESPACES:
            held = plain.first_namespace(
                name,
                uid=ids.uid_at(f"{uid}:namespace:{name}", recorded.position),
                at=recorded.timestamp,
                position=recorded.position,
            )
            self.objects.setdefault(held.key, held)
            self._keys_beside(held)[held.key] = None

    def evolve(self, recorded: Recorded) -> None:
        """Afterwards the event is part of what is kept."""
        key = recorded.stream
        before = self.objects.get(key)
        try:
            after = plain.evolve(before, recorded)
        except (IllegalTransition, ValueError):
            self.set_aside += 1
            return
        if after is None:
            assert before is not None, "nothing but an object can go"
            del self.objects[key]
            self.terminating.pop(key, None)
            self._forget(before)
            self.last_versions[key] = recorded.version
            return
        self.objects[key] = after
        if before is None:
            self._keys_beside(after)[key] = None
            self.last_versions.pop(key, None)
        elif after.stage == plain.DELETING and after.kind == plain.NAMESPACE:
            self.terminating[key] = None

    def _keys_beside(self, held: PlainObject) -> dict[str, None]:
        """The keys of the objects of its kind in its namespace."""
        spaces = self._index.setdefault(held.kind, {})
        return spaces.setdefault(held.namespace, {})

    def _forget(self, held: PlainObject) -> None:
        spaces = self._index[held.kind]
        keys = spaces[held.namespace]
        del keys[held.key]
        if not keys:
            del spaces[held.namespace]
            if not spaces:
                del self._index[held.kind]
