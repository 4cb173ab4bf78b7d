"""What goes to standard output: tables, objects as JSON or YAML, names (spec 6.1).

1. Data goes to standard output and nothing else does; talk goes to standard error.
2. A table has upper-case headers, each column as wide as its widest cell and three
   blanks (at least six characters), the last column unpadded. The history has two.
3. YAML is imported only when something is printed as YAML.
"""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

import click
import msgspec

PADDING: Final = 3
HISTORY_PADDING: Final = 2
_COLUMN_WIDTH_MIN: Final = 6
NONE: Final = "<none>"


def table(
    headers: Sequence[str] | None,
    rows: Sequence[Sequence[str]],
    *,
    padding: int = PADDING,
    widths: Sequence[int] = (),
) -> list[str]:
    """The lines of a table; without `headers` only its rows.

    `widths` are those of what was printed above: a column never gets narrower.
    """
    lines = [*([headers] if headers is not None else []), *rows]
    wide = column_widths(lines, padding=padding, widths=widths)
    return [_line(cells, wide) for cells in lines]


def column_widths(
    lines: Sequence[Sequence[str]],
    *,
    padding: int = PADDING,
    widths: Sequence[int] = (),
) -> list[int]:
    """How wide each column is, its padding included."""
    count = max((len(cells) for cells in lines), default=0)
    return [
        max(
            [_COLUMN_WIDTH_MIN, *widths[index : index + 1]]
            + [_width(cells[index]) + padding for cells in lines if index < len(cells)]
        )
        for index in range(count)
    ]


def as_json(document: object) -> str:
    """The document as JSON, indented by four, as kubectl prints it."""
    return msgspec.json.format(msgspec.json.encode(document), indent=4).decode()


def as_yaml(document: object) -> str:
    """The document as YAML, keys sorted, as kubectl prints it; ends with a newline."""
    import yaml

    text_tag = "tag:yaml.org,2002:str"

    class Dumper(yaml.SafeDumper):
        """Writes a text of several lines as a block, and never an alias."""

        def ignore_aliases(self, _data: object) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        style = "|" if "\n" in value else None
        known = dumper.yaml_implicit_resolvers.get(value[:1], [])
        if any(pattern.match(value) for _, pattern in known):
            style = '"'  # else it would be read back as a number, a time or a boolean
        return dumper.represent_scalar(text_tag, value, style=style)

    Dumper.add_representer(str, text)
    plain = msgspec.to_builtins(document)
    dumped = yaml.dump(
        plain, Dumper=Dumper, default_flow_style=False, allow_unicode=True, width=2**31
    )
    return str(dumped)


def as_list(items: Iterable[object]) -> dict[str, object]:
    """Several objects as the one that kubectl prints."""
    return {
        "apiVersion": "v1",
        "items": list(items),
        "kind": "List",
        "metadata": {"resourceVersion": ""},
    }


def say(text: str) -> None:
    """Print one or several lines of data."""
    click.echo(text)


def talk(text: str) -> None:
    """Tell something that is not data, on standard error."""
    click.echo(text, err=True)


def write(data: bytes) -> None:
    """Print bytes as they are: a container's output need not be text."""
    click.echo(data, nl=False)


def is_terminal() -> bool:
    """Whether a person watches standard output."""
    return sys.stdout.isatty()


def is_person_told() -> bool:
    """Whether a person reads standard error."""
    return sys.stderr.isatty()


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell + " " * (width - _width(cell))
        for cell, width in zip(cells[:-1], widths, strict=False)
    ]
    return "".join([*padded, *cells[-1:]])


def _width(text: str) -> int:
    """How many places a terminal needs for `text`."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(each)
        else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )
