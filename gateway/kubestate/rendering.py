"""Many objects as text for Prometheus: families of lines, made piece by piece.

1. A family's lines come in one block (the format asks for it), so the objects are gone
   through once for each family. What an object's lines have in common is made once.
2. A piece is at most `PIECE_LINES` lines and what one object adds: whoever writes the
   pieces lets others work between them. That is how ten thousand pods are rendered
   without a stop.
3. Names and labels are kube-state-metrics'; families that are about what Rollbook does
   not have are left out rather than served with zeros.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple, TypeVar

T = TypeVar("T")
Kind = Literal["gauge", "counter"]
Form = Literal["text", "openmetrics"]
Lines = Callable[[T, list[str]], None]
PIECE_LINES: Final = 2_000
ROWS_AT_ONCE: Final = 500
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Family(NamedTuple):
    """One metric of one kind of object: `lines` appends what a row has of it.

    `name` is the name of the samples; a counter's ends with `_total`.
    """

    name: str
    told: str
    lines: Callable[..., None]
    kind: Kind = "gauge"

    def head(self, form: Form) -> str:
        """The lines in front of the samples."""
        name = self.name
        if form == "openmetrics":
            name = name.removesuffix("_total") if self.kind == "counter" else name
        return f"# HELP {name} {self.told}\n# TYPE {name} {self.kind}"


def quoted(value: str) -> str:
    """`value` as it stands between the quotes of a label."""
    if value.isalnum():
        return value
    return value.translate(_ESCAPES)


def number(value: float) -> str:
    """A sample's value; whole numbers without a fraction."""
    return str(int(value)) if value == int(value) else repr(value)


def statuses(name: str, head: str, extra: str, status: str, out: list[str]) -> None:
    """One line for each status of a condition: 1 for the one that it has."""
    for each in ("true", "false", "unknown"):
        value = 1 if each == status else 0
        out.append(f'{name}{{{head}{extra},status="{each}"}} {value}')


async def rows(make: Callable[[T], object], held: Iterable[T]) -> list[object]:
    """A row for each object; the loop runs now and then."""
    found: list[object] = []
    for index, each in enumerate(held):
        if index % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
            await asyncio.sleep(0)
        found.append(make(each))
    return found


async def pieces(
    families: Sequence[Family], held: Sequence[object], form: Form
) -> AsyncIterator[bytes]:
    """The families' blocks, in pieces; nothing of a family without samples."""
    out: list[str] = []
    for family in families:
        begin = len(out)
        out.append(family.head(form))
        lines, empty = family.lines, True
        for row in held:
            lines(row, out)
            if len(out) >= PIECE_LINES:
                yield ("\n".join(out) + "\n").encode()
                out.clear()
                empty = False
        if empty and len(out) == begin + 1:
            out.pop()
    if out:
        yield ("\n".join(out) + "\n").encode()
