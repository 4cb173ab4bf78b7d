"""Who named whom as owner: the references that manifests gave (domain/owners.py).

1. Only objects whose manifest named owners are here. The pods that a ReplicaSet makes
   are not, and an event of theirs costs one look at an empty dictionary.
2. `dependents` is the same the other way round: the objects that name an object as
   owner, by its key, of whatever uid. It can be rebuilt from `by_object`.
"""

from collections.abc import Mapping

from domain import owners, pod, replicaset
from domain.events import Event


class Kept:
    """The kept references of ReplicaSets and pods; `evolve` and `forget` change it."""

    __slots__ = ("by_object", "dependents")

    def __init__(self, by_object: Mapping[str, owners.References] = {}) -> None:
        self.by_object: dict[str, owners.References] = {}
        self.dependents: dict[str, dict[str, None]] = {}
        for key, references in by_object.items():
            self._set(key, references)

    def of(self, key: str) -> owners.References:
        """The references that were named for an object; those of rule 1 are none."""
        return self.by_object.get(key, ())

    def is_controlled(self, key: str) -> bool:
        """Something that the manifest named controls the object (rule I7)."""
        return owners.is_controlled(self.of(key))

    def dependents_of(self, key: str) -> tuple[str, ...]:
        """The objects that name the object `key` as owner, of whatever uid."""
        return tuple(self.dependents.get(key, ()))

    def evolve(self, key: str, event: Event, owner_uid: str) -> None:
        """Afterwards the references of `key` are those after the event.

        `owner_uid` is the uid of the object's controller before it.
        """
        match event:
            case pod.PodOwnersChanged() | replicaset.ReplicaSetOwnersChanged():
                self._set(key, event.references)
            case pod.PodAdopted() | replicaset.ReplicaSetAdopted():
                kept = self.of(key)
                self._set(key, owners.adopted(kept, event.owner, event.owner_uid))
            case pod.PodReleased() | replicaset.ReplicaSetReleased():
                self._set(key, owners.released(self.of(key), owner_uid))
            case _:
                pass

    def forget(self, key: str) -> None:
        """Afterwards nothing is kept of an object that is gone."""
        self._set(key, ())

    def _set(self, key: str, references: owners.References) -> None:
        for owner in self._owners(key):
            mine = self.dependents[owner]
            del mine[key]
            if not mine:
                del self.dependents[owner]
        if not references:
            self.by_object.pop(key, None)
            return
        self.by_object[key] = references
        for owner in self._owners(key):
            self.dependents.setdefault(owner, {})[key] = None

    def _owners(self, key: str) -> set[str]:
        """The keys that the object's references name; a set: each once."""
        namespace = key.split("/", 2)[1]
        named = (owners.key_of(each, namespace) for each in self.of(key))
        return {owner for owner in named if owner is not None}
