"""Revisions for people: the table of a history, one in detail, what differs, documents.

1. A table without `wide` is kubectl's (spec 6.4); `wide` adds when, who, from where,
   what came of it, how long that took, and the tags.
2. Templates are compared as YAML, the form in which people write them. The label
   `pod-template-hash` follows from the rest and is no difference.
3. `which` is a revision as a person names it: a number or a tag.
"""

import difflib
from collections.abc import Iterator, Sequence
from typing import Final

import click
import msgspec

from domain import ages, metadata, queries, times
from rollbook import printing
from rollbook.failures import Failure

CONTEXT_LINES: Final = 3
_TENTHS_BELOW: Final = 10.0
"""Seconds; what takes longer is told as ages are."""
_COLORS: Final = {"+": "green", "-": "red", "@": "cyan"}


def which(text: str) -> int | str:
    """What `text` names: a number, or a tag. Raises `Failure` for a negative one."""
    number = text.removeprefix("-")
    if not (number.isascii() and number.isdecimal()):
        return text
    if number != text:
        raise Failure(f"error: revision must be a positive integer: {text}")
    return int(text)


def find(
    rows: Sequence[queries.RevisionRow], wanted: int | str
) -> queries.RevisionRow | None:
    """The revision with this number or tag, if it is among `rows`."""
    for row in rows:
        if wanted == row.revision or wanted in row.tags:
            return row
    return None


def lines(rows: Sequence[queries.RevisionRow], *, wide: bool = False) -> list[str]:
    """The table of rule 1."""
    if not rows:
        return ["No rollout history found."]
    headers = ["REVISION", "CHANGE-CAUSE"]
    cells = [[str(row.revision), row.cause or printing.NONE] for row in rows]
    if wide:
        headers += ["WHEN", "WHO", "FROM", "RESULT", "TOOK", "TAG"]
        for row, line in zip(rows, cells, strict=True):
            when = times.rfc3339_seconds(row.when) if row.when else ""
            tags = ",".join(row.tags)
            told = (when, row.who, row.from_, row.result, took(row), tags)
            line += [each or printing.NONE for each in told]
    return printing.table(headers, cells, padding=printing.HISTORY_PADDING)


def took(row: queries.RevisionRow) -> str:
    """`80ms`, `1.5s`, `42s`, `2m5s`; empty while it is neither complete nor over."""
    if row.took is None:
        return ""
    if row.took < 1.0:
        return f"{row.took * 1000.0:.0f}ms"
    if row.took < _TENTHS_BELOW:
        return f"{row.took:.1f}s"
    return ages.human(row.took)


def template(row: queries.RevisionRow) -> str:
    """The Pod Template block, which ends with an end of line."""
    text = row.template.rstrip("\n") + "\n"
    return text if text.startswith("Pod Template:") else f"Pod Template:\n{text}"


def difference(
    name: str, old: queries.RevisionRow, new: queries.RevisionRow
) -> list[str]:
    """The templates' differences as a unified diff; no lines where there is none."""
    found = difflib.unified_diff(
        _yaml(old).splitlines(),
        _yaml(new).splitlines(),
        f"{name} revision {old.revision}",
        f"{name} revision {new.revision}",
        n=CONTEXT_LINES,
        lineterm="",
    )
    return list(found)


def colored(diff: Sequence[str]) -> Iterator[str]:
    """The lines of a diff in the colours that people know from their tools."""
    for line in diff:
        if line.startswith(("---", "+++")):
            yield click.style(line, bold=True)
        else:
            color = _COLORS.get(line[:1])
            yield click.style(line, fg=color) if color else line


def document(row: queries.RevisionRow) -> dict[str, object]:
    """Everything that is known of a revision, for programs; instants are RFC 3339."""
    return {
        "revision": row.revision,
        "cause": row.cause,
        "when": times.rfc3339(row.when),
        "who": row.who,
        "from": row.from_,
        "result": row.result,
        "took": row.took,
        "tags": list(row.tags),
        "replicaset": row.replicaset,
        "present": row.present,
        "position": row.position,
        "command": row.command,
        "template": msgspec.json.decode(row.pod_template),
    }


def _yaml(row: queries.RevisionRow) -> str:
    found = msgspec.json.decode(row.pod_template)
    if isinstance(found, dict):
        about = found.get("metadata")
        labels = about.get("labels") if isinstance(about, dict) else None
        if isinstance(labels, dict):
            labels.pop(metadata.HASH_LABEL, None)
    return printing.as_yaml(found)
