"""The state machines: every transition table of the domain, drawn.

1. A table is found by its name, `TRANSITIONS`, in the modules of the catalogue.
2. Each event has a letter of its own; arrows between the same two stages share a line.
"""

import inspect
import sys
from types import ModuleType
from typing import Final, NamedTuple

from docs._generate import markdown, structs
from domain import catalogue, events

Table = dict[str, dict[type[events.Event], str]]

# What a table cannot say: where the code decides between stages.
NOTES: Final[dict[str, str]] = {
    "deployment": "One that is created with `paused: true` starts as `paused`.",
    "object": "One that is `deleting` waits for its last finalizer; a namespace also "
    "until nothing is left in it.",
}


class Machine(NamedTuple):
    """One object's table; `kind` is the first word of its streams."""

    kind: str
    module: ModuleType
    table: Table

    @property
    def title(self) -> str:
        """The name of the struct that holds the state, with its capitals."""
        names = (name for name in vars(self.module) if name.lower() == self.kind)
        return next(names, self.kind.capitalize())


def machines() -> list[Machine]:
    """The machines in the order of the catalogue."""
    modules = dict.fromkeys(kind.__module__ for kind in catalogue.EVENTS)
    found = []
    for name in modules:
        table = getattr(sys.modules[name], "TRANSITIONS", None)
        if table is not None:
            kind = next(k for k in catalogue.EVENTS if k.__module__ == name)
            found.append(
                Machine(kind.TOPIC.partition(".")[0], sys.modules[name], table)
            )
    return found


def home(kind: type[events.Event]) -> str:
    """The kind of the machine in which an event that has stages moves something."""
    return next(
        machine.kind
        for machine in machines()
        for row in machine.table.values()
        if kind in row
    )


def stages(kind: type[events.Event]) -> list[tuple[str, str]]:
    """The transitions (before, after) of an event; none for one without a table."""
    return [
        (before, row[kind])
        for machine in machines()
        for before, row in machine.table.items()
        if kind in row
    ]


def document() -> str:
    """docs/states.md."""
    parts = [markdown.NOTICE, "# States", markdown.prose(_INTRODUCTION)]
    for machine in machines():
        parts += _machine(machine)
    return "\n\n".join(parts) + "\n"


def letters(table: Table) -> dict[type[events.Event], str]:
    """A letter for each event of a table, in the order in which they stand there."""
    kinds = dict.fromkeys(kind for row in table.values() for kind in row)
    return {kind: _letter(number) for number, kind in enumerate(kinds)}


_INTRODUCTION: Final = """
What may happen to each object, and when. The pictures are drawn from the transition
tables that the code runs on (`TRANSITIONS` in `domain/`): an arrow that is not here
cannot happen. The letters on the arrows are explained below each picture.

Every stream starts at `absent`, and comes back there when its object is gone: making it
again continues the same stream with a new `uid`.
"""


def _machine(machine: Machine) -> list[str]:
    docstring = inspect.getdoc(machine.module) or ""
    title = machine.title
    path = machine.module.__name__.replace(".", "/") + ".py"
    lettered = letters(machine.table)
    parts = [
        f"## {title}",
        markdown.prose(f"{docstring.partition(chr(10))[0]} (`{path}`)"),
        f"```mermaid\n{_picture(machine.table, lettered)}\n```",
    ]
    if machine.kind in NOTES:
        parts.append(markdown.prose(NOTES[machine.kind]))
    return [*parts, _legend(machine.table, lettered)]


def _picture(table: Table, lettered: dict[type[events.Event], str]) -> str:
    first = next(iter(table))
    arrows: dict[tuple[str, str], list[str]] = {}
    for before, row in table.items():
        for kind, after in row.items():
            arrows.setdefault((before, after), []).append(lettered[kind])
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    for (before, after), marks in arrows.items():
        lines.append(f"    {before} --> {after} : {' '.join(sorted(marks))}")
    return "\n".join(lines)


def _legend(table: Table, lettered: dict[type[events.Event], str]) -> str:
    rows = []
    for kind, letter in lettered.items():
        moves = [
            f"{before} → {row[kind]}" if before != row[kind] else f"{before} stays"
            for before, row in table.items()
            if kind in row
        ]
        link = f"[{kind.__name__}](events.md#{markdown.anchor(kind.__name__)})"
        rows.append([letter, link, "; ".join(moves), structs.summary(kind)])
    return markdown.table(["", "event", "from → to", "what happened"], rows)


def _letter(number: int) -> str:
    head, tail = divmod(number, 26)
    return (chr(ord("a") + head - 1) if head else "") + chr(ord("a") + tail)
