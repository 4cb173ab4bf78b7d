"""`metadata.managedFields`: shown with an object, and brought up to date by a write.

1. The manager is the query's `fieldManager`; a client that names none is known by the
   first part of its User-Agent, as in Kubernetes.
2. What the object looks like is compared with all defaults filled in, so that whoever
   creates an object owns those too; an applier owns what it applied and nothing else.
3. An object whose fields nobody has told of yet belongs to `before-first-apply` when
   it is applied for the first time: nothing of it is taken away unnoticed.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from domain import times
from domain.errors import Rejected
from gateway.kube import options
from gateway.kube.patching import fields, managers
from gateway.kube.patching.managers import Entry, Writer
from gateway.kube.request import JSON, Request

BEFORE_FIRST_APPLY: Final = "before-first-apply"
_SERVERS: Final = frozenset({"apiVersion", "kind", "status"})


def attach(document: JSON, listed: bytes | None) -> JSON:
    """The document with that list (of `ManagedFields.of`); itself where there is none.

    The metadata is copied, and nothing that was given is changed.
    """
    if not listed:
        return document
    metadata = document.get("metadata")
    about = dict(metadata) if isinstance(metadata, dict) else {}
    about["managedFields"] = msgspec.json.decode(listed)
    return {**document, "metadata": about}


def entries_of(listed: bytes | None) -> tuple[Entry, ...]:
    """The entries of a list; one that cannot be read has none."""
    try:
        return managers.decode(msgspec.json.decode(listed)) if listed else ()
    except (Rejected, msgspec.MsgspecError):
        return ()


def manager_of(request: Request) -> str:
    """The field manager's name (rule 1), which `options.check` has seen."""
    given = request.params.get("fieldManager", "")
    return given or request.agent.partition("/")[0][: options.MANAGER_MAX] or "unknown"


def writer_of(request: Request, api_version: str, now: float) -> Writer:
    """Who writes, as an entry names it."""
    return Writer(
        manager=manager_of(request),
        api_version=api_version,
        now=now,
        subresource=request.subresource,
    )


def base(entries: Sequence[Entry], metadata: Mapping[str, object]) -> Sequence[Entry]:
    """The entries that a write starts from: those in its document, if it has any.

    A list without entries is a reset; none at all means those that are there.
    Raises `Rejected` (BadRequest) for what is no such list.
    """
    written = metadata.get("managedFields")
    return entries if written is None else managers.decode(written)


def updated(
    entries: Sequence[Entry], old: JSON | None, new: JSON, writer: Writer
) -> bytes:
    """The list after a write that is not an apply; both documents with defaults."""
    before = _owned(old) if old is not None else None
    found = managers.updated(entries, before, _owned(new), writer)
    return encoded(found)


def news(entries: Sequence[Entry], listed: bytes) -> bytes | None:
    """The list, if it is another one than that of `entries`."""
    return None if listed == encoded(entries) else listed


def first_owner(live: JSON, writer: Writer) -> tuple[Entry, ...]:
    """Rule 3."""
    return (
        Entry(
            manager=BEFORE_FIRST_APPLY,
            operation="Update",
            api_version=writer.api_version,
            time=times.rfc3339_seconds(writer.now),
            owned=frozenset(fields.values_of(_owned(live))),
        ),
    )


def encoded(entries: Sequence[Entry]) -> bytes:
    """The list as JSON."""
    return msgspec.json.encode(managers.encode(entries))


def _owned(document: JSON) -> JSON:
    """The part of a document that can have owners."""
    return {key: value for key, value in document.items() if key not in _SERVERS}
