"""`diff`: what differs between two states, object by object and field by field.

1. Only objects that may differ are compared: those with events between the two
   positions, the owners that count them, and the pods on a node that changed. The work
   is proportional to what has happened, not to what there is.
2. What is compared is the object's JSON. The resourceVersion is left out: it says that
   something happened, and the rest says what.
3. Of a Secret's data names and sizes are told, never values; nor what was applied last,
   which has them too.
4. An item of a list is known by its name or, where it has none, by its type; lists of
   other things are compared place by place.
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from adapters.eventlog import EventLog
from domain import names, node, plain, queries
from domain.errors import Rejected
from gateway import listing
from gateway.views.scene import JSON, Scene

PAGE_MAX: Final = 5_000
PAGE_ROWS: Final = 2_000
ENVELOPE_BYTES: Final = 128
"""What an object or a field needs besides its texts, at most."""
_ORDER: Final = ("deployment", "replicaset", "pod", "node", *plain.KINDS)
_SOURCES: Final[dict[str, listing.Source[Any]]] = {
    "deployment": listing.DEPLOYMENTS,
    "replicaset": listing.REPLICASETS,
    "pod": listing.PODS,
    "node": listing.NODES,
    **listing.PLAIN,
}
_SECRET: Final = re.compile(r"(data|stringData)\b|.*last-applied-configuration")
_encode = msgspec.json.Encoder().encode

Change = Literal["created", "deleted", "changed", "replaced"]


def check(asked: queries.DiffQuery) -> None:
    """Raises `Rejected` for a question that makes no sense."""
    if asked.limit < 0:
        raise Rejected("BadRequest", f"limit: {asked.limit} is negative")
    if asked.name and not asked.kind:
        raise Rejected("BadRequest", "kind: a name alone is no object, say its kind")
    cluster_wide = asked.kind in names.CLUSTER_KINDS
    if asked.name and not cluster_wide and not asked.namespace:
        raise Rejected("BadRequest", "namespace: an object is in one, say which")
    if asked.continue_ and asked.continue_.partition("/")[0] not in _ORDER:
        text = f"continue: {asked.continue_!r} is not what an answer gave"
        raise Rejected("BadRequest", f"{text}: begin without it")


def key_of(asked: queries.DiffQuery) -> str:
    """The one object that is asked for; "" for several."""
    if not asked.name:
        return ""
    return listing.key_of(asked.kind, asked.namespace, asked.name)


def touched(log: EventLog, after: int, until: int) -> list[str]:
    """The objects with events behind `after` up to `until`; it blocks."""
    found: dict[str, None] = {}
    while after < until:
        rows = log.read(after, min(PAGE_ROWS, until - after))
        if not rows:
            break
        for row in rows:
            silent = row.topic == node.ReportsCounted.TOPIC
            if not silent and row.stream.partition("/")[0] in _ORDER:
                found[row.stream] = None
        after = rows[-1].position
    return list(found)


def answer(
    old: Scene,
    new: Scene,
    candidates: Iterable[str],
    asked: queries.DiffQuery,
    bytes_max: int,
) -> queries.DiffAnswer:
    """The differences among `candidates` and whoever depends on them."""
    limit = min(asked.limit or PAGE_MAX, PAGE_MAX)
    changes: list[queries.ObjectDifference] = []
    room, more, last = bytes_max, False, ""
    for key in _in_order(_with_dependents(old, new, candidates), asked):
        found = _difference(old, new, key)
        if found is None:
            continue
        size = _size(found)
        if len(changes) == limit or (size > room and changes):
            more = True
            break
        if size > room:
            found = msgspec.structs.replace(found, fields=())
        changes.append(found)
        room, last = room - size, key
    return queries.DiffAnswer(
        position=max(old.cluster.position, new.cluster.position),
        before=old.cluster.position,
        after=new.cluster.position,
        changes=tuple(changes),
        continue_=last if more else "",
    )


# --- which objects ----------------------------------------------------------------


def _with_dependents(old: Scene, new: Scene, candidates: Iterable[str]) -> set[str]:
    """Rule 1: whose status follows from these is compared too."""
    found = set(candidates)
    states = (old.cluster, new.cluster)
    for cluster in states:
        for key in [each for each in found if each.startswith("node/")]:
            use = cluster.actual.nodes.get(key.partition("/")[2])
            found.update(use.pods if use is not None else ())
    for cluster in states:
        pods = (cluster.actual.pods.get(each) for each in list(found))
        found.update(held.owner for held in pods if held is not None and held.owner)
    for cluster in states:
        sets = (cluster.desired.replicasets.get(each) for each in list(found))
        found.update(held.owner for held in sets if held is not None and held.owner)
        owners = (cluster.desired.deployments.get(each) for each in list(found))
        for owner in owners:  # a Deployment that is being deleted shows in what it owns
            if owner is not None and owner.deletion_at:
                found.update(held.key for held in cluster.desired.owned_by(owner.key))
    return found


def _in_order(found: Iterable[str], asked: queries.DiffQuery) -> list[str]:
    after = _place(asked.continue_) if asked.continue_ else None
    one = key_of(asked)
    wanted = [
        key
        for key in found
        if (not asked.kind or key.startswith(f"{asked.kind}/"))
        and (not one or key == one)
        and (not asked.namespace or _in_namespace(key, asked.namespace))
        and (after is None or _place(key) > after)
    ]
    return sorted(wanted, key=_place)


def _in_namespace(key: str, namespace: str) -> bool:
    kind, found, _ = _split(key)
    return kind in names.CLUSTER_KINDS or found == namespace


def _place(key: str) -> tuple[int, str, str]:
    kind, _, _ = key.partition("/")
    _, namespace, name = _split(key)
    return _ORDER.index(kind), namespace, name


def _split(key: str) -> tuple[str, str, str]:
    kind, _, rest = key.partition("/")
    namespace, _, name = rest.rpartition("/")
    return kind, namespace, name


# --- one object -------------------------------------------------------------------


def _difference(old: Scene, new: Scene, key: str) -> queries.ObjectDifference | None:
    before, after = _document(old, key), _document(new, key)
    change: Change = "changed"
    fields: list[queries.FieldDifference] = []
    if before is None and after is None:
        return None
    if before is None:
        change = "created"
    elif after is None:
        change = "deleted"
    else:
        if before["metadata"] != after["metadata"]:
            change = "replaced" if _uid(before) != _uid(after) else "changed"
        fields = list(_fields(before, after, secret=key.startswith("secret/")))
        if not fields:
            return None
    kind, namespace, name = _split(key)
    return queries.ObjectDifference(
        kind=kind, namespace=namespace, name=name, change=change, fields=tuple(fields)
    )


def _document(at: Scene, key: str) -> JSON | None:
    kind, namespace, name = _split(key)
    source = _SOURCES[kind]
    held = source.find(at, namespace, name)
    if held is None:
        return None
    document = source.document(at, held)
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    metadata.pop("resourceVersion", None)
    return document


def _uid(document: JSON) -> object:
    metadata = document["metadata"]
    return metadata.get("uid") if isinstance(metadata, dict) else None


def _fields(
    before: JSON, after: JSON, *, secret: bool
) -> Iterator[queries.FieldDifference]:
    for path, old, new in different(before, after):
        if secret and _SECRET.match(path):
            old, new = sized(old), sized(new)
        yield queries.FieldDifference(
            path=path,
            before=msgspec.Raw(_encode(old)),
            after=msgspec.Raw(_encode(new)),
        )


def sized(value: object) -> object:
    """What is told of a secret value (rule 3); what is absent stays so."""
    if isinstance(value, dict):
        return {key: sized(each) for key, each in value.items()}
    if value is None:
        return None
    text = str(value).encode()
    with contextlib.suppress(binascii.Error):  # what was applied last is none
        text = base64.b64decode(text, validate=True)
    return f"{len(text)} bytes"


def different(
    before: object, after: object, path: str = ""
) -> Iterator[tuple[str, object, object]]:
    """(path, before, after) of the smallest parts that differ; None where it is not.

    A field that is null is one that is not there.
    """
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from different(before.get(key), after.get(key), path + _name(key))
        return
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        old, new = _by_name(before), _by_name(after)
        for key in dict.fromkeys([*old, *new]):
            yield from different(old.get(key), new.get(key), f"{path}[{key}]")
        return
    yield path.removeprefix("."), before, after


def _name(key: object) -> str:
    """A step of a path; a key with dots or slashes, as labels have, is in brackets."""
    text = str(key)
    plain = text.replace("-", "_").isidentifier()
    return f".{text}" if plain else f"['{text}']"


def _by_name(items: Iterable[object]) -> dict[str, object]:
    """Rule 4."""
    items = list(items)
    for field in ("name", "type", "key"):
        found = [each.get(field) if isinstance(each, dict) else None for each in items]
        if all(found) and len(set(map(str, found))) == len(found):
            return dict(zip(map(str, found), items, strict=True))
    return {str(index): each for index, each in enumerate(items)}


def _size(found: queries.ObjectDifference) -> int:
    fields = sum(
        len(each.path.encode()) + len(bytes(each.before)) + len(bytes(each.after))
        for each in found.fields
    )
    return fields + ENVELOPE_BYTES * (1 + len(found.fields))
