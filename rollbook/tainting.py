"""Taints as kubectl's `taint` writes them, and what they make of those of a node.

1. `key=value:Effect` and `key:Effect` set a taint, `key:Effect-` and `key-` remove one,
   or all of that key.
2. Key and effect together are one taint: setting it again changes its value, which
   must be allowed.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from domain import syntax
from domain.podspec import Taint
from rollbook.failures import Failure

EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a command line asks for; one to remove may leave its effect open."""

    add: tuple[Taint, ...] = ()
    remove: tuple[Taint, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All taints of the node afterwards, and kubectl's word for what was done."""

    taints: tuple[Taint, ...]
    operation: Literal["tainted", "untainted", "modified"]


def split(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The resources, and the taints behind them. Raises `Failure` for another order."""
    resources: list[str] = []
    taints: list[str] = []
    for word in words:
        if "=" in word or ":" in word or word.endswith("-"):
            taints.append(word)
        elif taints:
            raise Failure(
                f"error: all resources must be specified before taint changes: {word}"
            )
        else:
            resources.append(word)
    return tuple(resources), tuple(taints)


def parse(words: Sequence[str]) -> Change:
    """What the words ask for (rule 1). Raises `Failure` with kubectl's words."""
    if not words:
        raise Failure("error: at least one taint update is required")
    add: list[Taint] = []
    remove: list[Taint] = []
    for word in words:
        if word.endswith("-"):
            remove.append(_taint(word[:-1], word))
            continue
        taint = _taint(word, word)
        if not taint.effect:
            raise Failure(f"error: invalid taint spec: {word}")
        if any(_is_same(taint, other) for other in add):
            raise Failure(
                f"error: duplicated taints with the same key and effect: {_text(taint)}"
            )
        add.append(taint)
    both = [
        f"{gone.key}={gone.effect}"
        for taint in add
        for gone in remove
        if gone.key == taint.key and gone.effect in ("", taint.effect)
    ]
    if both:
        raise Failure(
            "error: can not both modify and remove the following taint(s) in the same "
            f"command: {', '.join(both)}"
        )
    return Change(add=tuple(add), remove=tuple(remove))


def change(
    node: str, present: Sequence[Taint], wanted: Change, *, overwrite: bool
) -> Outcome:
    """What `wanted` makes of the taints that the node has.

    Raises `Failure` for a taint that is there already, unless `overwrite`, and for one
    to be removed that is not there.
    """
    again = [each.key for each in wanted.add if _is_in(each, present)]
    if again and not overwrite:
        raise Failure(
            f"error: node {node} already has {','.join(again)} taint(s) with same "
            "effect(s) and --overwrite is false"
        )
    missing = [
        f'error: taint "{_text(gone)}" not found'
        for gone in wanted.remove
        if not any(_removes(gone, each) for each in present)
    ]
    if missing:
        raise Failure("\n".join(missing))
    kept = [
        each
        for each in present
        if not _is_in(each, wanted.add)
        and not any(_removes(gone, each) for gone in wanted.remove)
    ]
    operation: Literal["tainted", "untainted", "modified"] = "tainted"
    if overwrite or (wanted.add and wanted.remove):
        operation = "modified"
    elif wanted.remove:
        operation = "untainted"
    return Outcome(taints=(*wanted.add, *kept), operation=operation)


def _taint(text: str, word: str) -> Taint:
    pair, colon, effect = text.partition(":")
    key, equals, value = pair.partition("=")
    if ":" in effect or "=" in value or (colon and not effect):
        raise Failure(f"error: invalid taint spec: {word}")
    if colon and effect not in EFFECTS:
        raise Failure(
            f"error: invalid taint effect: {effect}, unsupported taint effect"
        )
    said = [*syntax.qualified_name(key), *syntax.label_value(value)]
    if said or (equals and not colon):
        why = f", {'; '.join(said)}" if said else ""
        raise Failure(f"error: invalid taint spec: {word}{why}")
    return Taint(key=key, value=value, effect=effect)


def _is_same(one: Taint, other: Taint) -> bool:
    return (one.key, one.effect) == (other.key, other.effect)


def _is_in(one: Taint, others: Iterable[Taint]) -> bool:
    return any(_is_same(one, each) for each in others)


def _removes(gone: Taint, each: Taint) -> bool:
    return gone.key == each.key and gone.effect in ("", each.effect)


def _text(taint: Taint) -> str:
    head = f"{taint.key}={taint.value}" if taint.value else taint.key
    return f"{head}:{taint.effect}" if taint.effect else head
