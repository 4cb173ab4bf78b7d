"""What deciding about a manifest has in common, whatever its kind.

1. A manifest names the object that its command was sent to, or names nothing. A name
   is never made here: a retry of the command must mean the same object.
2. `apply` merges three ways (domain/apply.py): what was applied last is remembered in
   an annotation of the object, where kubectl remembers it too.
3. Annotations whose only news is the spelling of what was applied last are no change.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from domain import apply, objects, owners, validation
from domain.errors import Rejected, invalid
from domain.events import Event
from domain.metadata import LAST_APPLIED, ObjectMeta

M = TypeVar("M", bound=objects.Manifest)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when a command was given: what a decision may not make up itself.

    `uid` is for an object that the command creates; `cause` is what the user wrote.
    """

    namespace: str
    name: str
    now: float
    uid: str
    cause: str = ""


def decode(raw: Mapping[str, object], asked: Asked, kind: type[M]) -> M:
    """The manifest of that kind, with the name and the namespace that were asked for.

    Raises `Rejected` (BadRequest) for another kind, name or namespace.
    """
    manifest = objects.decode_manifest(raw)
    if not isinstance(manifest, kind):
        wanted = kind.__name__.removesuffix("Manifest")
        raise Rejected("BadRequest", f"{manifest.kind} is not a {wanted}")
    meta = manifest.metadata
    if not asked.name and meta.generate_name:
        raise Rejected(
            "BadRequest",
            "metadata.name: resource name may not be empty: whoever sends the command "
            f"makes a name of the generateName {meta.generate_name}",
        )
    if (meta.name or asked.name) != asked.name:
        raise Rejected(
            "BadRequest",
            f"the name of the object ({meta.name}) does not match the name on the "
            f"subject ({asked.name})",
        )
    if (meta.namespace or asked.namespace) != asked.namespace:
        raise Rejected(
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent "
            "on the request",
        )
    named = msgspec.structs.replace(meta, name=asked.name, namespace=asked.namespace)
    return msgspec.structs.replace(manifest, metadata=named)


def remembered(raw: Mapping[str, object]) -> dict[str, str]:
    """The annotation by which the next `apply` knows what this one said."""
    text = msgspec.json.encode(_without_status(raw), order="sorted").decode()
    return {LAST_APPLIED: text}


def applied(live: M, raw: Mapping[str, object], asked: Asked) -> M:
    """What applying `raw` makes of the `live` object (rule 2), without any defaults."""
    merged = apply.merge(
        _last_applied(live.metadata.annotations),
        as_json(live),
        _without_status(raw),
    )
    return with_annotations(decode(merged, asked, type(live)), remembered(raw))


def with_annotations(manifest: M, extra: Mapping[str, str]) -> M:
    """The manifest with these annotations too."""
    meta = manifest.metadata
    annotations = {**meta.annotations, **extra}
    named = msgspec.structs.replace(meta, annotations=annotations)
    return msgspec.structs.replace(manifest, metadata=named)


def annotations_differ(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """The annotations differ in more than rule 3 overlooks."""
    if LAST_APPLIED in new and LAST_APPLIED not in old:
        return True
    return {**old, LAST_APPLIED: ""} != {**new, LAST_APPLIED: ""}


def metadata_of(
    namespace: str,
    name: str,
    labels: dict[str, str],
    annotations: dict[str, str],
    owner_references: owners.References = (),
) -> ObjectMeta:
    """The metadata of a live object, as far as a manifest has it."""
    return ObjectMeta(
        namespace=namespace,
        name=name,
        labels=labels,
        annotations=annotations,
        owner_references=owner_references,
    )


class OwnerEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The events by which a kind of object tells that its owners changed."""

    released: Callable[[], Event]
    changed: Callable[[owners.References], Event]
    adopted: Callable[[str, str], Event]


def owned(found: owners.Change, tell: OwnerEvents) -> list[Event]:
    """What is told of a change of owners, in the order of `owners.Change`."""
    events: list[Event] = []
    if found.release:
        events.append(tell.released())
    if found.keep is not None:
        events.append(tell.changed(found.keep))
    if found.adopt is not None:
        events.append(tell.adopted(*found.adopt))
    return events


def check_scale(name: str, replicas: int, expected: int | None, wanted: int) -> None:
    """A Scale may be set to `wanted` while the object is of size `replicas`.

    Raises `Rejected`: Conflict where another size was `expected`, Invalid for a size
    that no object has.
    """
    if expected is not None and expected != replicas:
        raise Rejected(
            "Conflict", f"Expected replicas to be {expected}, was {replicas}"
        )
    errors = validation.scale_errors(wanted)
    if errors:
        raise invalid("Scale.autoscaling", name, errors)


def as_json(value: msgspec.Struct) -> dict[str, object]:
    """The struct as a reader of its JSON gets it: lists, not tuples."""
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, object])


def _without_status(raw: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in raw.items() if key != "status"}


def _last_applied(annotations: Mapping[str, str]) -> dict[str, object] | None:
    """What was applied last; unreadable text counts as nothing, as in kubectl."""
    try:
        return msgspec.json.decode(
            annotations.get(LAST_APPLIED, ""), type=dict[str, object]
        )
    except msgspec.DecodeError:
        return None
