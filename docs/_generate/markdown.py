"""Pieces of Markdown: tables, wrapped text, examples, and marked regions.

A region stands between `<!-- generated: NAME -->` and `<!-- end -->`. What is around
it is written by hand, what is in it is not.
"""

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence

from docs._generate import structs

WIDTH = 88
NOTICE = "<!-- Written by docs/generate.py from the code: change that. -->"

_REGION = re.compile(
    r"(?P<head><!-- generated: (?P<name>.+?) -->\n)(?P<body>.*?)(?P<tail><!-- end -->)",
    re.DOTALL,
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; `|` inside a cell is escaped, a line break becomes a blank."""
    lines = [_row(head), _row(["---"] * len(head))]
    return "\n".join([*lines, *(_row([*map(_cell, row)]) for row in rows)])


def prose(text: str, *, indent: str = "") -> str:
    """`text` in lines of at most `WIDTH`; empty lines keep paragraphs apart."""
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n\n".join(
        textwrap.fill(
            " ".join(each.split()),
            WIDTH,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for each in paragraphs
    )


def example(name: str, data: bytes) -> str:
    """A JSON example of the struct `name`, which the marker names for the tests."""
    text = json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    return f"<!-- example: {name} -->\n\n```json\n{text}\n```"


def fields(kind: structs.Kind) -> str:
    """The table of a struct's fields; a sentence where it has none."""
    rows = structs.fields(kind)
    if not rows:
        return structs.NO_FIELDS
    told = any(row.words for row in rows)
    head = ["field", "type", "default", *(["meaning"] if told else [])]
    return table(
        head,
        (
            [
                f"`{row.name}`",
                row.type,
                f"`{row.default}`" if row.default else "required",
                *([row.words] if told else []),
            ]
            for row in rows
        ),
    )


def anchor(heading: str) -> str:
    """The #part of a heading, as code hosts make it."""
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.strip().replace(" ", "-")


def regions(text: str) -> list[str]:
    """The names of the marked regions of `text`."""
    return [found["name"] for found in _REGION.finditer(text)]


def fill(text: str, write: Callable[[str], str]) -> str:
    """`text` with each marked region written anew by `write(name)`."""

    def filled(found: re.Match[str]) -> str:
        body = write(found["name"])
        return found["head"] + (f"\n{body}\n\n" if body else "") + found["tail"]

    return _REGION.sub(filled, text)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
