"""Text whose cells end with tabs, aligned as kubectl aligns it.

1. A cell ends with a tab; what follows a line's last tab is not a cell and is never
   padded. A column is a run of neighbouring lines that all have a cell there.
2. A column is as wide as its widest cell and two blanks.
"""

from typing import Final

PADDING: Final = 2


def align(text: str) -> str:
    """`text` with its tabs as blanks; the number of lines stays."""
    lines = [line.split("\t") for line in text.split("\n")]
    shown: list[str] = []
    _column(lines, 0, len(lines), [], shown)
    return "\n".join(shown)


def _column(
    lines: list[list[str]], start: int, end: int, widths: list[int], shown: list[str]
) -> None:
    """Lays out lines `start` to `end`, whose first columns have these widths."""
    column = len(widths)
    at = start
    while at < end:
        if column >= len(lines[at]) - 1:
            at += 1
            continue
        _write(lines[start:at], widths, shown)
        start, width = at, 0
        while at < end and column < len(lines[at]) - 1:
            width = max(width, len(lines[at][column]) + PADDING)
            at += 1
        _column(lines, start, at, [*widths, width], shown)
        start = at
    _write(lines[start:end], widths, shown)


def _write(lines: list[list[str]], widths: list[int], shown: list[str]) -> None:
    for cells in lines:
        padded = [
            cell.ljust(widths[index]) if index < len(widths) else cell
            for index, cell in enumerate(cells[:-1])
        ]
        shown.append("".join([*padded, cells[-1]]))
