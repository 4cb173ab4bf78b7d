"""`-o custom-columns=HEADER:PATH,…`: a table of one's own, as kubectl prints it.

1. A column is a header, a colon and a JSONPath; commas part columns, wherever they are.
2. Several values of a path have commas between them; none, or null, is `<none>`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rollbook import jsonpath, printing
from rollbook.failures import Failure

FORMAT: Final = "custom-columns="


class Column(NamedTuple):
    """One column: what stands above it, and the path of its values."""

    header: str
    path: str


def parse(output: str) -> tuple[Column, ...]:
    """The columns of an `-o`. Raises `Failure` with kubectl's words."""
    spec = output.removeprefix(FORMAT)
    if not spec:
        raise Failure(
            "error: custom-columns format specified but no custom columns given"
        )
    return tuple(_column(part) for part in spec.split(","))


def lines(
    columns: Sequence[Column], found: Sequence[object], *, headers: bool = True
) -> list[str]:
    """The table of the objects, a line for each."""
    rows = [[_cell(column, each) for column in columns] for each in found]
    return printing.table([each.header for each in columns] if headers else None, rows)


def _column(part: str) -> Column:
    header, colon, path = part.partition(":")
    if not colon or ":" in path or not path:
        raise Failure(
            f"error: unexpected custom-columns spec: {part}, expected "
            "<header>:<json-path-expr>"
        )
    path = path.removeprefix("{").removesuffix("}")
    column = Column(header, path if path.startswith((".", "[")) else f".{path}")
    jsonpath.find(column.path, {})
    return column


def _cell(column: Column, found: object) -> str:
    values = [each for each in jsonpath.find(column.path, found) if each is not None]
    return ",".join(map(jsonpath.shown, values)) or printing.NONE
