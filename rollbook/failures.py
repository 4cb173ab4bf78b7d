"""What a person reads when something is refused or fails: kubectl's words (spec 6.1).

1. What the server refuses reads `Error from server (<Reason>): <message>`; an object
   that breaks rules reads `The Deployment "web" is invalid: …`, with one line for each
   cause where there are several.
2. kubectl looks some rules up by itself (a container that is not there, a pause of
   what is paused) and says `error: <text>`. Here the server knows them; the verbs
   concerned turn its BadRequest and Conflict, and a NotFound that is not about the
   object itself, into those words.
3. Everything else is one sentence behind `error: `.
"""

import re
from collections.abc import Sequence
from typing import Final

from domain import errors


class Failure(errors.RollbookError):
    """What the command line says on standard error, word for word; exit status 1."""


def describe(error: Exception, doing: str = "") -> str:
    """The text for standard error.

    `doing` is what kubectl puts before the server's message, for example
    `error when creating "f.yaml": `.
    """
    if isinstance(error, Failure):
        return str(error)
    if isinstance(error, errors.Rejected):
        if error.reason == "Invalid" and error.causes:
            return _invalid(error)
        return f"Error from server ({error.reason}): {doing}{error.message}"
    text = str(error) or type(error).__name__
    return text if text.startswith("error: ") else f"error: {text}"


def plain(error: errors.Rejected, doing: str = "") -> Failure | errors.Rejected:
    """`error` as a verb says it whose rules kubectl looks up by itself (rule 2).

    An invalid object is told behind `doing`, as kubectl tells of a refused patch.
    """
    missing = error.reason == "NotFound" and not error.message.endswith(" not found")
    if error.reason in _LOOKED_UP or missing:
        return Failure(f"error: {error.message}")
    if error.reason == "Invalid" and doing:
        return Failure(f"error: {doing}{error.message}")
    return error


def together(failures: Sequence[Exception]) -> Failure | None:
    """Several failures as one, a line for each, or None where there are none."""
    if not failures:
        return None
    return Failure("\n".join(describe(each) for each in failures))


_LOOKED_UP: Final = frozenset({"BadRequest", "Conflict"})
_HEAD: Final = re.compile(r'(?P<kind>[A-Za-z]+)(?:\.[A-Za-z0-9.-]+)? "(?P<name>[^"]*)"')


def _invalid(error: errors.Rejected) -> str:
    found = _HEAD.match(error.message)
    head = (
        f'The {found["kind"]} "{found["name"]}" is invalid: '
        if found
        else "The request is invalid: "
    )
    texts = list(dict.fromkeys(str(cause) for cause in error.causes))
    if len(texts) == 1:
        return head + texts[0]
    return "\n".join([head, *(f"* {text}" for text in texts)])
