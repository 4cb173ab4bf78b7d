"""`describe` (spec 6.12): the server lays the text out."""

import click

from domain import queries
from rollbook import printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import Reference, parse_selection


@click.command(cls=flags.Command)
@click.argument(
    "words", nargs=-1, metavar="TYPE [NAME…]", shell_complete=common.complete_objects
)
@click.option(
    "-l", "--selector", default="", help="Those with such labels: app=web,tier!=db."
)
@common.past
@options.namespaced
def describe(words: tuple[str, ...], selector: str, at: queries.Moment | None) -> None:
    """Show objects with what surrounds them: conditions, owners, events.

    \b
    Examples:
      rollbook describe deployment nginx
      rollbook describe pods -l app=nginx
      rollbook describe node worker-1
      rollbook describe pod web-1 --at '2026-11-23 06:18'
    """
    if not words:
        raise Failure("error: You must specify the type of resource to describe.")

    async def work(cluster: Cluster) -> None:
        selection = parse_selection(words, cluster.namespace)
        references = list(selection.references)
        for kind in selection.kinds:
            references += await common.listed(cluster, kind, selector, at=at)
        if not references:
            scoped = any(kind.namespaced for kind in selection.kinds)
            common.nothing_found(cluster.namespace, everywhere=not scoped)
        printed: list[Reference] = []

        async def one(reference: Reference) -> None:
            text = await cluster.describe(reference, at=at)
            between = "\n\n" if printed else ""
            printing.write((between + text.rstrip("\n") + "\n").encode())
            printed.append(reference)

        await common.each(references, one)

    common.run(work)
