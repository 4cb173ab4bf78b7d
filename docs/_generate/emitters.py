"""Which functions make which events, found in the syntax of the code.

A function makes an event if it calls the event's class, or hands the class to a call
that is no mere question about types.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from domain import catalogue

ROOT: Final = Path(__file__).parent.parent.parent
FOLDERS: Final = ("domain", "workers")
_QUESTIONS: Final = frozenset({"isinstance", "issubclass", "fromkeys"})


class Emitter(NamedTuple):
    """A function that makes an event: where it is, its name, what it says of itself."""

    path: str
    function: str
    words: str


@cache
def emitters() -> dict[str, tuple[Emitter, ...]]:
    """By the name of the event, in the order of paths and of lines."""
    names = {kind.__name__ for kind in catalogue.EVENTS}
    found: dict[str, dict[Emitter, None]] = {name: {} for name in names}
    for path in sorted(_sources()):
        tree = ast.parse(path.read_text("utf-8"))
        where = path.relative_to(ROOT).as_posix()
        for function in _functions(tree):
            words = (ast.get_docstring(function) or "").partition("\n\n")[0]
            emitter = Emitter(where, function.name, " ".join(words.split()))
            for name in _made(function):
                if name in names:
                    found[name][emitter] = None
    return {name: tuple(rows) for name, rows in found.items()}


def module_words(path: str) -> str:
    """The first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8"))) or ""
    return docstring.partition("\n")[0]


def _sources() -> Iterator[Path]:
    own = ROOT / "domain/catalogue.py"
    for folder in FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*.py") if path != own)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions and methods of a module; what is inside them belongs to them."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            waiting = [*node.body, *waiting]


def _made(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or _name(node.func) in _QUESTIONS:
            continue
        yield _name(node.func)
        yield from map(_name, node.args)


def _name(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""
