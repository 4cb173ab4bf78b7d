"""The objects that every namespace has: ServiceAccount `default`, the authority's file.

1. Nothing is recorded of them: they follow from their namespace, come and go with it,
   and carry its position and its time.
2. An object of that name that was really created stands in their place while it is
   there.
3. Their uids are made as all others are (domain/ids.py), from the namespace's uid.
"""

from collections.abc import Iterator
from typing import Final

from domain import ids, names, plain
from domain.plain import PlainObject
from gateway.views.scene import Scene
from projections.cluster import Cluster, Held

NAMES: Final = {"configmap": "kube-root-ca.crt", "serviceaccount": "default"}
"""The kinds, and what the one of each namespace is called."""
_AUTHORITY: Final = "ca.crt"


def standing(cluster: Cluster, namespace: str) -> tuple[str, ...]:
    """The keys of a namespace's objects that no real one stands in for (rule 2).

    Of a namespace that is not there, those that it would have.
    """
    keys = (names.key(own, namespace, name) for own, name in NAMES.items())
    return tuple(key for key in keys if key not in cluster.plain.objects)


def is_derived(cluster: Cluster, key: str) -> bool:
    """Whether the object of this key is there, and only derived."""
    own, _, rest = key.partition("/")
    if own not in NAMES:
        return False
    namespace, _, name = rest.partition("/")
    return (
        name == NAMES[own]
        and key not in cluster.plain.objects
        and cluster.plain.namespace(namespace) is not None
    )


def held(at: Scene, key: str) -> Held | None:
    """The object of this key, recorded or derived."""
    found = at.cluster.held(key)
    if found is None and is_derived(at.cluster, key):
        own, namespace, _ = names.split_key(key)
        beside = at.cluster.plain.namespace(namespace)
        assert beside is not None, "what is derived has a namespace"
        return _made(at, own, beside)
    return found


def plain_object(at: Scene, key: str) -> PlainObject | None:
    """The plain object of this key, recorded or derived."""
    found = held(at, key)
    return found if isinstance(found, PlainObject) else None


def of(at: Scene, own: str, namespace: str) -> Iterator[PlainObject]:
    """The derived objects of a kind in a namespace, in all of them where it is ""."""
    if own not in NAMES:
        return
    every = at.cluster.plain.of(plain.NAMESPACE)
    one = at.cluster.plain.namespace(namespace)
    for beside in every if not namespace else (one,) if one is not None else ():
        if is_derived(at.cluster, names.key(own, beside.name, NAMES[own])):
            yield _made(at, own, beside)


def _made(at: Scene, own: str, beside: PlainObject) -> PlainObject:
    """The object of the namespace `beside`; its version 0 says: nothing recorded."""
    name = NAMES[own]
    is_file = own == "configmap"
    return PlainObject(
        kind=own,
        namespace=beside.name,
        name=name,
        uid=ids.uid_at(f"{beside.uid}:{own}:{name}", 0),
        stage=plain.PRESENT,
        created_at=beside.created_at,
        version=0,
        position=beside.position,
        content={"data": {_AUTHORITY: at.authority}} if is_file else {},
    )
