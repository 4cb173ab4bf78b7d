"""JSON Schemas (draft 2020-12): one file for each message, command body and event.

1. A file stands by itself, but for the template of pods: it has many parts, so it has
   a file of its own that the others refer to.
2. An event's schema is that of the message on the wire. The document in the store is
   the same without its first four fields.
"""

from typing import Final

import msgspec

from docs._generate import structs, wire
from domain import catalogue, podspec, protocol

JSON = dict[str, object]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SHARED: Final = podspec.PodTemplateSpec
_DEFS: Final = "#/$defs/"


def messages() -> list[structs.Kind]:
    """The structs that have a file: what channels carry, answers, bodies."""
    found: dict[structs.Kind, None] = {}
    for channel in wire.channels():
        found |= dict.fromkeys((*channel.carries, *channel.answers))
    found |= dict.fromkeys(wire.bodies())
    return list(found)


def documents() -> dict[str, str]:
    """The files by their names."""
    wire_kinds: list[structs.Kind] = [*messages(), SHARED]
    kinds = [(kind.__name__, schema_kind(kind)) for kind in wire_kinds]
    kinds += [(kind.__name__, wire.published(kind)) for kind in catalogue.EVENTS]
    files = {f"{name}.json": _file(kind) for name, kind in kinds}
    assert len(files) == len(kinds), "two messages share a name"
    return files


def schema_kind(kind: structs.Kind) -> structs.Kind:
    """The struct to take the schema of: one whose defaults a schema can show."""
    whole = wire.command_message() if kind is protocol.CommandMessage else kind
    return structs.without_raw_defaults(whole)


def any_json(kind: type) -> JSON:
    """What a schema says of the one type that stands for any JSON."""
    if kind is object:
        return {"description": "any JSON"}
    raise NotImplementedError


def encode(document: JSON) -> str:
    """A document as text, its keys in their order."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _file(kind: structs.Kind) -> str:
    kind = structs.without_raw_defaults(kind)
    schema = msgspec.json.schema(kind, schema_hook=any_json)
    definitions = dict(schema.get("$defs", {}))
    own = definitions.pop(kind.__name__)
    needed = _reachable(own, definitions, stop=kind is not SHARED)
    document: JSON = {"$schema": DIALECT, **own}
    if needed:
        document["$defs"] = {name: definitions[name] for name in sorted(needed)}
    text = encode(document)
    # A definition that refers to the whole refers to the root of the file.
    text = text.replace(f'"{_DEFS}{kind.__name__}"', '"#"')
    if kind is not SHARED:
        shared = SHARED.__name__
        text = text.replace(f'"{_DEFS}{shared}"', f'"{shared}.json"')
    return text


def _reachable(start: object, definitions: JSON, *, stop: bool) -> set[str]:
    """The definitions that `start` needs; those of the shared one are its own."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in references(waiting.pop(), _DEFS):
            if name in found or name not in definitions:
                continue
            if stop and name == SHARED.__name__:
                continue
            found.add(name)
            waiting.append(definitions[name])
    return found


def references(node: object, prefix: str) -> list[str]:
    """What the `$ref`s below `node` name, without their prefix."""
    if isinstance(node, list):
        return [name for each in node for name in references(each, prefix)]
    if not isinstance(node, dict):
        return []
    found = [name for each in node.values() for name in references(each, prefix)]
    target = node.get("$ref")
    if isinstance(target, str) and target.startswith(prefix):
        found.append(target.removeprefix(prefix))
    return found
