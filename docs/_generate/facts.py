"""docs/events.md: every event that may stand in the log."""

import inspect
from typing import Final

from docs._generate import emitters, examples, machines, markdown, structs
from domain import catalogue, events, names, plain

_INTRODUCTION: Final = """
Every event that may stand in the log, from the list `EVENTS` in `domain/catalogue.py`.
The store keeps one JSON document for each; an example stands below each event. Fields
that have their default are left out. The same document, with `position`, `stream`,
`version` and `type` in front, is published on NATS: see [nats.md](nats.md#events). The
JSON Schemas are in `docs/schemas/`, one file for each event.
"""
_ENVELOPE: Final = """
Around each fact stands an envelope: when (`at`, RFC 3339 in UTC, of the writer's
clock), by whom (`actor`), why (`cause`, the position of the event that made this one
necessary; 0, left out, begins a chain) and for which `command`.
"""
_KINDS: Final = ", ".join(f"`{kind}`" for kind in plain.KINDS)
_OBJECTS: Final = f"""
The kind is one of {_KINDS}. A namespace has the stream
`{names.namespace_key("<name>")}`.
"""


def document() -> str:
    """docs/events.md."""
    parts = [
        markdown.NOTICE,
        "# Events",
        markdown.prose(_INTRODUCTION),
        markdown.prose(_ENVELOPE),
        "An actor is one of:",
        markdown.table(["actor", "who"], _actors()),
        "An event is made by functions of these modules:",
        markdown.table(["module", "what it is"], _modules()),
        "## All events",
        markdown.table(
            ["event", "topic", "what happened"], map(_row, catalogue.EVENTS)
        ),
    ]
    thing = ""
    for kind in catalogue.EVENTS:
        if (now := kind.TOPIC.partition(".")[0]) != thing:
            thing = now
            parts += [f"## Stream {thing}", f"The stream is `{stream(thing)}`."]
            if thing == "object":
                parts.append(markdown.prose(_OBJECTS))
        parts += _event(kind)
    kinds = [each for kind in catalogue.EVENTS for each in structs.parts(kind)]
    parts += ["## Parts", "What the fields above are made of."]
    for part in sorted(set(kinds), key=lambda each: each.__name__):
        if part.__module__.startswith("domain.") and _is_ours(part):
            parts += [f"### {part.__name__}", *_words(part), markdown.fields(part)]
    return "\n\n".join(parts) + "\n"


def stream(thing: str) -> str:
    """The pattern of the streams of a kind of object."""
    if thing == "object":
        return names.key("<kind>", "<namespace>", "<name>")
    make = getattr(names, f"{thing}_key", None)
    if make is None:
        return f"{thing}/rollbook"
    return str(make(*(f"<{each}>" for each in inspect.signature(make).parameters)))


def _is_ours(part: structs.Kind) -> bool:
    """Whether a part is told here; the parts of a pod's template are Kubernetes'."""
    return part.__module__ in ("domain.protocol", "domain.errors", "domain.objects")


def _actors() -> list[list[str]]:
    rows = [
        [f"`{events.user_actor('<user>')}`", "a person or a program, by their login"],
        [f"`{events.node_actor('<node>')}`", "the kubelet of a node"],
    ]
    for name, value in vars(events).items():
        if name.isupper() and isinstance(value, str):
            rows.append([f"`{value}`", name.lower().replace("_", " ")])
    return rows


def _modules() -> list[list[str]]:
    found = {each.path for rows in emitters.emitters().values() for each in rows}
    return [[f"`{path}`", emitters.module_words(path)] for path in sorted(found)]


def _row(kind: type[events.Event]) -> list[str]:
    link = f"[{kind.__name__}](#{markdown.anchor(kind.__name__)})"
    return [link, f"`{kind.TOPIC}`", structs.summary(kind)]


def _words(kind: type) -> list[str]:
    return [markdown.prose(text)] if (text := structs.words(kind)) else []


def _event(kind: type[events.Event]) -> list[str]:
    moves = [
        f"{before} → {after}" if before != after else f"{before} (stays)"
        for before, after in machines.stages(kind)
    ]
    facts = [f"- topic `{kind.TOPIC}`"]
    if moves:
        link = f"[stages](states.md#{markdown.anchor(machines.home(kind))})"
        facts.append(f"- {link}: {', '.join(moves)}")
    for each in emitters.emitters()[kind.__name__]:
        words = f": {each.words}" if each.words else ""
        told = f"- made by `{each.function}` in `{each.path}`{words}"
        facts.append(markdown.prose(told, indent="  "))
    if not emitters.emitters()[kind.__name__]:
        facts.append("- made by nothing at present; it can be read")
    return [
        f"### {kind.__name__}",
        *_words(kind),
        "\n".join(facts),
        markdown.fields(kind),
        markdown.example(f"stored {kind.__name__}", examples.stored(kind)),
    ]
