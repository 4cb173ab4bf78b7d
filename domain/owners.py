"""Whom an object belongs to: ownerReferences (spec 1.6, 2.4, 3.3).

1. The controller that Rollbook itself looks after is a fact of its own, `owner` and
   `owner_uid` of a ReplicaSet or a pod. It is shown as a reference and not kept as one:
   what a controller creates has no kept references, and costs nothing here.
2. Kept are the references that a manifest named, in its order. Where the controller of
   rule 1 is among them, its entry keeps its place, and is not shown twice.
3. Adopting adds the controller behind the others, or upgrades its entry in its place;
   releasing removes its entry alone (spec 3.3).
4. An object that anything else controls belongs to that: it is nobody's to adopt (I7).
5. A reference means the object of that kind, name and uid in the same namespace. Of a
   kind that is not kept here nothing is known, and so it is taken to be there.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from domain import names
from domain.metadata import OwnerReference

References = tuple[OwnerReference, ...]

KINDS: Final[dict[tuple[str, str], str]] = {
    ("apps/v1", "Deployment"): "deployment",
    ("apps/v1", "ReplicaSet"): "replicaset",
    ("v1", "Pod"): "pod",
    ("v1", "Node"): "node",
}
"""The kinds of which it is known whether an object of them is there."""

_CONTROLLERS: Final = {"deployment": "Deployment", "replicaset": "ReplicaSet"}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision must see of an object's owners.

    `references` are the kept ones, `owner` and `owner_uid` the controller of rule 1.
    `uid_of` tells the uid of the living object of a key, "" where there is none.
    """

    references: References = ()
    owner: str = ""
    owner_uid: str = ""
    uid_of: Callable[[str], str] = lambda _key: ""

    @property
    def shown(self) -> References:
        """All references of the object, as a manifest has them."""
        return shown(self.references, self.owner, self.owner_uid)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of an object's owners, to be told in this order.

    `release`: its controller is none any more. `keep`: the references to keep now;
    None for those that are kept. `adopt`: the key and the uid of its new controller.
    """

    release: bool = False
    keep: References | None = None
    adopt: tuple[str, str] | None = None


def change(
    standing: Standing, wanted: References, *, namespace: str, controller: str
) -> Change:
    """What must happen so that an object's references are those `wanted`.

    `controller` is the kind of key that can control it (`deployment`, `replicaset`).
    """
    if wanted == standing.shown:
        return Change()
    named = next((each for each in wanted if each.controller), None)
    stays = named is not None and named.uid == standing.owner_uid
    adopt = None
    if named is not None and not stays:
        key = key_of(named, namespace) or ""
        if key.startswith(f"{controller}/") and standing.uid_of(key) == named.uid:
            adopt = (key, named.uid)
    return Change(
        release=bool(standing.owner) and not stays,
        keep=wanted,
        adopt=adopt,
    )


def shown(references: References, owner: str, uid: str) -> References:
    """The kept references and that of the controller, if there is one (rule 2)."""
    if not owner or any(each.uid == uid for each in references):
        return references
    return (*references, controller_reference(owner, uid))


def adopted(references: References, owner: str, uid: str) -> References:
    """The kept references once `owner` controls the object (rule 3).

    An entry that says so already is left as it is, without blockOwnerDeletion too.
    """
    return tuple(
        controller_reference(owner, uid)
        if each.uid == uid and not each.controller
        else each
        for each in references
    )


def released(references: References, uid: str) -> References:
    """The kept references without those to the object of that uid."""
    return tuple(each for each in references if each.uid != uid)


def is_controlled(references: References) -> bool:
    """One of the references is the controller's."""
    return any(each.controller for each in references)


def controller_reference(owner: str, uid: str) -> OwnerReference:
    """The reference of a controller to what it controls (spec 2.4)."""
    kind, _, name = names.split_key(owner)
    return OwnerReference(
        api_version="apps/v1",
        kind=_CONTROLLERS[kind],
        name=name,
        uid=uid,
        controller=True,
        block_owner_deletion=True,
    )


def key_of(reference: OwnerReference, namespace: str) -> str | None:
    """The key of the object that the reference means; None for a foreign kind."""
    kind = KINDS.get((reference.api_version, reference.kind))
    if kind is None:
        return None
    if kind == "node":
        return names.node_key(reference.name)
    return f"{kind}/{namespace}/{reference.name}"
