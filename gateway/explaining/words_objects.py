"""The words for plain objects: ConfigMaps, Secrets, namespaces (see words.py).

Of their content only names are told, never values: one may be a Secret's.
"""

from collections.abc import Iterator

from domain import plain
from domain.events import Event, Recorded
from gateway.explaining import phrases

_LABELS = ("labels", "annotations")
"""The parts of an object that are told with their keys."""


def created(
    recorded: Recorded, _event: plain.ObjectCreated, _earlier: Event | None
) -> str:
    return f"{phrases.thing(recorded.stream)} was created"


def replaced(
    recorded: Recorded, event: plain.ObjectReplaced, earlier: Event | None
) -> str:
    """Which parts are others now; of labels and data, which keys."""
    name = phrases.thing(recorded.stream)
    parts = phrases.listed([*_parts(event, earlier)])
    return f"{name} was changed: {parts}" if parts else f"{name} was written again"


def deleting(
    recorded: Recorded, _event: plain.ObjectDeletionRequested, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    if recorded.stream.startswith(f"{plain.NAMESPACE}/"):
        return f"{name} is to go, with all that is in it"
    return f"{name} is to go, and waits for its finalizers"


def deleted(
    recorded: Recorded, event: plain.ObjectDeleted, _earlier: Event | None
) -> str:
    return f"{phrases.thing(recorded.stream)} was deleted{phrases.behind(event.why)}"


def _parts(event: plain.ObjectReplaced, earlier: Event | None) -> Iterator[str]:
    if event.finalizers is not None:
        yield "its finalizers"
    if event.content is not None:
        yield from _content(event.content, getattr(earlier, "content", None))
    for name in _LABELS:
        now, before = getattr(event, name), getattr(earlier, name, None)
        if now is not None:
            yield f"{name} {_keys(now, before)}".rstrip()
    if event.owner_references is not None:
        yield "its owners"


def _content(now: plain.Content, before: plain.Content | None) -> Iterator[str]:
    """The fields that differ; all there are where nothing is known of before."""
    known = before or {}
    for field in dict.fromkeys((*now, *known)):
        value, former = now.get(field), known.get(field)
        if value == former:
            continue
        if field in ("data", "stringData", "binaryData"):
            keys = _keys(_map(value), _map(former) if before is not None else None)
            yield f"{field} {keys}".rstrip()
        else:
            yield field


def _keys(now: dict[str, str], before: dict[str, str] | None) -> str:
    told = phrases.changes(before, now, hidden=now)
    return f"({told})" if told not in ("none", "nothing") else ""


def _map(value: object) -> dict[str, str]:
    return value if isinstance(value, dict) else {}
