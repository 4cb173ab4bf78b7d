"""Shell completion: the scripts, and the names of live objects.

A completion never fails and never waits long: without a cluster there are no names.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import ShellComplete, get_completion_class

from rollbook.commands import options

if TYPE_CHECKING:
    from rollbook.client import Cluster

_SECONDS: Final = 1.5
_VARIABLE: Final = "_ROLLBOOK_COMPLETE"
_OF_PODS: Final = frozenset({"logs", "exec", "attach"})
"""Verbs whose first word is a pod's name; `TYPE/NAME` is one too."""


def script(main: click.Command, shell: str) -> str:
    """The script that a shell reads: `bash`, `zsh` or `fish`."""
    kind = get_completion_class(shell)
    assert kind is not None, f"click completes {shell}"
    # The base's `source`: bash's own runs the bash that is on the PATH to judge it.
    return ShellComplete.source(kind(main, {}, "rollbook", _VARIABLE))


def objects(ctx: click.Context, words: Sequence[str], incomplete: str) -> list[str]:
    """Completions of `incomplete` behind `words`: kinds, names, or `TYPE/NAME`."""
    from rollbook import references

    word, slash, prefix = incomplete.partition("/")
    if slash:
        kind = references.find_kind(word)
        if kind is None:
            return []
        names = _names(ctx, kind.name)
        return [f"{word}/{name}" for name in names if name.startswith(prefix)]
    if words:
        kind = references.find_kind(words[0])
        names = _names(ctx, kind.name) if kind is not None else []
        return [n for n in names if n.startswith(incomplete) and n not in words]
    if ctx.info_name in _OF_PODS:
        return [name for name in _names(ctx, "pod") if name.startswith(incomplete)]
    return [k.plural for k in references.KINDS if k.plural.startswith(incomplete)] or [
        f"{kind.short}/"
        for kind in references.KINDS
        if kind.short == incomplete and incomplete
    ]


def namespaces(ctx: click.Context, incomplete: str) -> list[str]:
    """The namespaces that have Deployments or pods."""

    async def work(cluster: "Cluster") -> list[str]:
        found = {"default"}
        for kind in ("deployment", "pod"):
            table = await cluster.table(kind, namespace="", format="name")
            found |= {row.namespace for row in table.rows}
        return sorted(found)

    return [name for name in _asked(ctx, work) if name.startswith(incomplete)]


def _names(ctx: click.Context, kind: str) -> list[str]:
    async def work(cluster: "Cluster") -> list[str]:
        return [row.name for row in (await cluster.table(kind, format="name")).rows]

    return _asked(ctx, work)


def _asked(
    ctx: click.Context, work: "Callable[[Cluster], Awaitable[list[str]]]"
) -> list[str]:
    from rollbook import client

    async def inside() -> list[str]:
        async with (
            asyncio.timeout(_SECONDS),
            client.connect(
                options.context_file(ctx), namespace=options.namespace(ctx)
            ) as cluster,
        ):
            return await work(cluster)

    # Whatever goes wrong, a shell's line editor is no place to tell it.
    with (
        contextlib.suppress(Exception),
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stderr(nowhere),
    ):
        return asyncio.run(inside())
    return []
