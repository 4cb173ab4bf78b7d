"""kubectl's JSONPath templates, as much of them as people use.

1. A template is text with expressions in braces: `{.metadata.name}`, `{.items[*]}`,
   `{.status.conditions[?(@.type=="Ready")].status}`, `{"\\n"}`, and
   `{range .items[*]}…{end}`. Braces around a single expression may be left away.
2. Several values of one expression are separated by a blank. What is not there is
   nothing, not an error, as with `kubectl get`.
3. A dot in a key is escaped: `{.metadata.annotations.kubernetes\\.io/change-cause}`.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rollbook.failures import Failure

Step = Callable[[object], Iterator[object]]

_STEP: Final = re.compile(
    r"""\.?\[\?\(\s*@(?P<path>\.[^=!]+?)\s*(?P<op>==|!=)\s*(?P<literal>[^)]+?)\s*\)\]
      | \.?\[(?P<star>\*)\] | \.(?P<dot_star>\*)
      | \.?\[(?P<index>-?\d+)\]
      | \.?\[(?P<start>-?\d*):(?P<stop>-?\d*)\]
      | \.?\['(?P<quoted>[^']+)'\]
      | \.(?P<key>(?:\\.|[^.\[\]\\])+)""",
    re.VERBOSE,
)
_PIECE: Final = re.compile(r"""\{((?:"(?:\\.|[^"\\])*"|'[^']*'|[^{}"'])*)\}""")


def render(template: str, document: object) -> str:
    """The text of `template` for `document`. Raises `Failure` for a bad template."""
    pieces = list(_pieces(template))
    text, rest = _render(pieces, document)
    if rest:
        raise _wrong(template, "there is an {end} without a {range}")
    return text


def find(expression: str, document: object) -> list[object]:
    """The values at one path, for example `{.status.replicas}` or `.status.replicas`.

    Raises `Failure` for a bad path.
    """
    values = [document]
    for step in _steps(expression.strip().removeprefix("{").removesuffix("}").strip()):
        values = [found for value in values for found in step(value)]
    return values


def shown(value: object) -> str:
    """A value as a template shows it: a text as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pieces(template: str) -> Iterator[tuple[bool, str]]:
    """(is an expression, its text), in order."""
    if "{" not in template and template.strip()[:1] in (".", "$", "@", "["):
        yield True, template.strip()
        return
    position = 0
    for found in _PIECE.finditer(template):
        yield from _literal(template, template[position : found.start()])
        yield True, found[1].strip()
        position = found.end()
    yield from _literal(template, template[position:])


def _literal(template: str, text: str) -> Iterator[tuple[bool, str]]:
    if "{" in text or "}" in text:
        raise _wrong(template, "a brace is not closed")
    if text:
        yield False, text


def _render(
    pieces: Sequence[tuple[bool, str]], document: object
) -> tuple[str, Sequence[tuple[bool, str]]]:
    """The text up to an `{end}` of ours, and the pieces from that `{end}` on."""
    texts: list[str] = []
    while pieces:
        (is_expression, text), following = pieces[0], pieces[1:]
        if is_expression and text == "end":
            return "".join(texts), pieces
        if is_expression and text.startswith("range "):
            # The body is looked through once more for nobody, to find where it ends.
            values = find(text.removeprefix("range "), document)
            texts += [_render(following, value)[0] for value in values]
            _, rest = _render(following, None)
            if not rest:
                raise _wrong(text, "a {range} has no {end}")
            following = rest[1:]
        elif is_expression and text[:1] in ('"', "'"):
            texts.append(_unquoted(text))
        elif is_expression:
            texts.append(" ".join(shown(value) for value in find(text, document)))
        else:
            texts.append(text)
        pieces = following
    return "".join(texts), ()


def _steps(path: str) -> Iterator[Step]:
    rest = path.removeprefix("$").removeprefix("@")
    if rest in ("", "."):
        return
    if rest[0] not in ".[":
        rest = f".{rest}"
    while rest:
        found = _STEP.match(rest)
        if found is None:
            raise _wrong(path, f'"{rest}" is not understood')
        yield _step(found)
        rest = rest[found.end() :]


def _step(found: re.Match[str]) -> Step:
    if found["path"]:
        path, equal, wanted = found["path"], found["op"] == "==", found["literal"]
        literal = _unquoted(wanted) if wanted[0] in "\"'" else wanted
        return lambda value: (
            each
            for each in _members(value)
            if ([shown(it) for it in find(path, each)] == [literal]) is equal
        )
    if found["star"] or found["dot_star"]:
        return _members
    if found["index"] is not None:
        place = int(found["index"])
        return lambda value: iter(_sliced(value, place, place + 1 or None))
    if found["start"] is not None:
        start, stop = (int(found[x]) if found[x] else None for x in ("start", "stop"))
        return lambda value: iter(_sliced(value, start, stop))
    key = found["quoted"] or re.sub(r"\\(.)", r"\1", found["key"])
    return lambda value: (
        iter([value[key]]) if isinstance(value, dict) and key in value else iter(())
    )


def _members(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        return iter(value.values())
    return iter(value) if isinstance(value, list) else iter(())


def _sliced(value: object, start: int | None, stop: int | None) -> list[object]:
    return value[start:stop] if isinstance(value, list) else []


def _unquoted(text: str) -> str:
    try:
        inner = text[1:-1]
        return str(json.loads(f'"{inner}"' if text[0] == '"' else json.dumps(inner)))
    except ValueError:
        raise _wrong(text, "the text is not quoted as it should be") from None


def _wrong(template: str, why: str) -> Failure:
    return Failure(f"error: error parsing jsonpath {template}, {why}")
