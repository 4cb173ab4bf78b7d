"""Who manages which fields: `metadata.managedFields`, and server-side apply.

1. A write that is not an apply makes its manager the owner of what it changed; a
   field whose value it changed has no other owner afterwards.
2. An apply says all that its manager wants. What it wants otherwise than another
   owner has set is a conflict, unless the values agree (both own the field then) or
   the apply is forced (the other loses it).
3. What the manager applied before and leaves out now is removed, unless somebody
   else owns it too.
4. An entry is one manager, operation and subresource; one that owns nothing goes.

Source: Kubernetes' enhancement 555 (server-side apply) and its field set algebra.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from domain import times
from domain.errors import FieldError, Rejected
from gateway.kube.patching import fields, schema
from gateway.kube.patching.fields import JSON, FieldSet, Path

Operation = Literal["Apply", "Update"]
FORM: Final = "FieldsV1"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One manager's fields; `time` is RFC 3339 as it was written."""

    manager: str
    operation: Operation
    api_version: str
    time: str
    owned: FieldSet
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Two entries of one identity are one."""
        return _identity(self, self.operation)


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes: the field manager, in which version of the API, and when."""

    manager: str
    api_version: str
    now: float
    subresource: str = ""


def decode(listed: object) -> tuple[Entry, ...]:
    """The entries of `metadata.managedFields`; None or an empty list have none.

    Raises `Rejected` (BadRequest) for anything else.
    """
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise Rejected("BadRequest", "metadata.managedFields: a list was expected")
    return tuple(_entry(each) for each in listed if each)


def encode(entries: Iterable[Entry]) -> list[JSON]:
    """The entries as they stand in the object; the last written come last."""
    found: list[JSON] = []
    for entry in sorted(entries, key=_order):
        shown: JSON = {
            "manager": entry.manager,
            "operation": entry.operation,
            "apiVersion": entry.api_version,
            "time": entry.time,
            "fieldsType": FORM,
            "fieldsV1": fields.encode(entry.owned),
        }
        if entry.subresource:
            shown["subresource"] = entry.subresource
        found.append(shown)
    return found


def updated(
    entries: Sequence[Entry], old: JSON | None, new: JSON, writer: Writer
) -> tuple[Entry, ...]:
    """The entries after `writer` made `new` of `old` (rule 1)."""
    was = fields.values_of(old) if old is not None else {}
    now = fields.values_of(new)
    changed = {path for path, value in now.items() if _differs(was, path, value)}
    held = fields.containers_of(old) if old is not None else frozenset()
    made = fields.containers_of(new) - held
    gone = frozenset(was) - frozenset(now)
    if not changed and not made and not gone:
        return tuple(entries)
    mine = _identity(writer, "Update")
    result: list[Entry] = []
    before: FieldSet = frozenset()
    for entry in entries:
        if entry.identity == mine:
            before = entry.owned
        else:
            result.append(_replaced(entry, entry.owned - changed - gone))
    owned = (before - gone) | changed | made
    if owned != before:
        result.append(_entry_of(writer, "Update", frozenset(owned)))
    else:
        result.extend(entry for entry in entries if entry.identity == mine)
    return tuple(entry for entry in result if entry.owned)


def applied(
    entries: Sequence[Entry],
    live: JSON | None,
    config: JSON,
    writer: Writer,
    force: bool,
) -> tuple[JSON, tuple[Entry, ...]]:
    """The object and its entries after `writer` applied `config` (rules 2 and 3).

    The object is without the defaults that it is given later. Raises `Rejected`
    (Conflict) that names each field and its owner.
    """
    wanted = fields.values_of(config)
    owned = frozenset(wanted)
    if live is None:
        return config, (_entry_of(writer, "Apply", owned),)
    mine = _identity(writer, "Apply")
    has = fields.values_of(live)
    fought = {path for path, value in wanted.items() if _differs(has, path, value)}
    others = [entry for entry in entries if entry.identity != mine]
    if not force:
        _refuse_conflicts(others, fought)
    before = next((e.owned for e in entries if e.identity == mine), frozenset())
    others = [_replaced(entry, entry.owned - fought) for entry in others]
    kept = frozenset().union(*(entry.owned for entry in others))
    left = before - owned
    dropped = {path for path in left if not _owned_by(kept | owned, path)}
    merged = _merged(fields.remove(live, dropped), config)
    entry = next((e for e in entries if e.identity == mine and e.owned == owned), None)
    unchanged = entry is not None and not fought and not dropped
    mine_now = entry if unchanged and entry else _entry_of(writer, "Apply", owned)
    return merged, tuple(e for e in (*others, mine_now) if e.owned)


def _refuse_conflicts(others: Sequence[Entry], fought: Iterable[Path]) -> None:
    found = [
        (entry, path)
        for entry in others
        for path in sorted(fought)
        if path in entry.owned
    ]
    if not found:
        return
    causes = tuple(
        FieldError(
            reason="FieldManagerConflict",
            field=fields.pretty(path),
            message=f"conflict {_owner(entry)}",
        )
        for entry, path in found
    )
    raise Rejected("Conflict", _conflict_text(found), causes=causes)


def _conflict_text(found: Sequence[tuple[Entry, Path]]) -> str:
    if len(found) == 1:
        entry, path = found[0]
        where = fields.pretty(path)
        return f"Apply failed with 1 conflict: conflict {_owner(entry)}: {where}"
    lines = [f"Apply failed with {len(found)} conflicts:"]
    for owner in dict.fromkeys(entry.identity for entry, _ in found):
        held = [(e, p) for e, p in found if e.identity == owner]
        word = "conflict" if len(held) == 1 else "conflicts"
        lines[-1] += f" {word} {_owner(held[0][0])}:"
        lines.extend(f"- {fields.pretty(path)}" for _, path in held)
    return "\n".join(lines)


def _owner(entry: Entry) -> str:
    text = f'with "{entry.manager}"'
    if entry.subresource:
        text += f' with subresource "{entry.subresource}"'
    if entry.operation == "Update":
        text += f" using {entry.api_version}"
    return text


def _merged(live: JSON, config: JSON) -> JSON:
    """`live` with all that `config` says; items of keyed lists are merged by keys."""
    result = dict(live)
    for key, value in config.items():
        held = result.get(key)
        if value is None:
            continue
        if isinstance(value, dict) and isinstance(held, dict):
            atomic = key in schema.ATOMIC
            result[key] = value if atomic else _merged(held, value)
        elif fields.is_objects(key, value) and fields.is_objects(key, held):
            assert isinstance(value, list), "is_objects has seen to that"
            assert isinstance(held, list), "is_objects has seen to that"
            result[key] = _merged_items(key, held, value)
        elif key in schema.LIST_SETS and isinstance(held, list):
            assert isinstance(value, list), "the types were checked before"
            result[key] = held + [item for item in value if item not in held]
        else:
            result[key] = value
    return result


def _merged_items(name: str, held: list[JSON], wanted: list[JSON]) -> list[JSON]:
    """In the order of the apply, others where they were, in front or behind."""
    live = {fields.item_step(name, item): item for item in held}
    result = []
    for item in wanted:
        was = live.pop(fields.item_step(name, item), {})
        result.append(_merged(was, item))
    return result + list(live.values())


def _differs(was: Mapping[Path, object], path: Path, value: object) -> bool:
    return path not in was or was[path] != value


def _owned_by(owned: FieldSet, path: Path) -> bool:
    """Whether somebody owns this field, or something in it."""
    return any(other[: len(path)] == path for other in owned)


def _identity(
    writer: "Writer | Entry", operation: Operation
) -> tuple[str, str, str, str]:
    """An applier stays the same in every version of the API."""
    version = writer.api_version if operation == "Update" else ""
    return writer.manager, operation, version, writer.subresource


def _entry_of(writer: Writer, operation: Operation, owned: FieldSet) -> Entry:
    return Entry(
        manager=writer.manager,
        operation=operation,
        api_version=writer.api_version,
        time=times.rfc3339_seconds(writer.now),
        owned=owned,
        subresource=writer.subresource,
    )


def _replaced(entry: Entry, owned: FieldSet) -> Entry:
    if owned == entry.owned:
        return entry
    return msgspec.structs.replace(entry, owned=owned)


def _order(entry: Entry) -> tuple[bool, str, str]:
    return entry.operation == "Update", entry.time, entry.manager


def _entry(listed: object) -> Entry:
    where = "metadata.managedFields"
    if not isinstance(listed, dict):
        raise Rejected("BadRequest", f"{where}: an item is not an object")
    operation = listed.get("operation")
    if operation not in ("Apply", "Update"):
        raise Rejected(
            "BadRequest", f"{where}.operation: must be `Apply` or `Update`: {operation}"
        )
    if listed.get("fieldsType", FORM) != FORM:
        raise Rejected("BadRequest", f"{where}.fieldsType: must be `{FORM}`")
    text = {
        name: listed.get(name, "")
        for name in ("manager", "apiVersion", "time", "subresource")
    }
    for name, value in text.items():
        if not isinstance(value, str):
            raise Rejected("BadRequest", f"{where}.{name}: must be a string")
    return Entry(
        manager=str(text["manager"]),
        operation="Apply" if operation == "Apply" else "Update",
        api_version=str(text["apiVersion"]),
        time=str(text["time"]),
        owned=fields.decode(listed.get("fieldsV1") or {}),
        subresource=str(text["subresource"]),
    )
