"""`taint`: what a node does not want."""

import click
import msgspec

from domain.podspec import Taint
from rollbook import conditions, tainting
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import NODE, Reference, at, find_kind


@click.command(cls=flags.Command)
@click.argument(
    "words",
    nargs=-1,
    metavar="nodes NAME… KEY=VALUE:EFFECT… KEY:EFFECT-…",
    shell_complete=common.complete_objects,
)
@click.option("-l", "--selector", default="", help="The nodes with such labels.")
@click.option("--all", "everything", is_flag=True, help="All nodes.")
@click.option("--overwrite", is_flag=True, help="Replace a value that is there.")
@common.changing
@options.everywhere
def taint(
    words: tuple[str, ...],
    selector: str,
    everything: bool,
    overwrite: bool,
    change: common.Change,
) -> None:
    """Set taints of nodes, or remove them (KEY:EFFECT- or KEY-).

    The effects are NoSchedule, PreferNoSchedule and NoExecute; the last one also ends
    the pods that do not tolerate it.

    \b
    Examples:
      rollbook taint nodes worker-1 disk=slow:NoSchedule
      rollbook taint node worker-1 maintenance:NoExecute --overwrite
      rollbook taint nodes worker-1 disk:NoSchedule- maintenance-
    """
    resources, specs = tainting.split(words)
    names = _names(resources, selector, everything=everything)
    wanted = tainting.parse(specs)

    async def work(cluster: Cluster) -> None:
        async def one(node: Reference) -> None:
            held = conditions.items_at(await cluster.get(node), "spec", "taints")
            present = msgspec.convert(held, type=list[Taint])
            found = tainting.change(node.name, present, wanted, overwrite=overwrite)
            answer = None
            if change.dry_run != "client":
                answer = await cluster.taint(node, found.taints, **change.said)
            await common.done(cluster, change, node, found.operation, answer)

        nodes = [at(NODE, name, "") for name in names]
        if selector or everything:
            nodes = await common.listed(cluster, NODE, selector)
        await common.each(nodes, one)

    common.run(work)


def _names(
    resources: tuple[str, ...], selector: str, *, everything: bool
) -> tuple[str, ...]:
    """The nodes' names. Raises `Failure` with kubectl's words for a mistake."""
    if not resources:
        raise Failure(
            "error: one or more resources must be specified as <resource> <name>"
        )
    if find_kind(resources[0]) is not NODE:
        raise Failure(
            f"error: invalid resource type {resources[0]}, only node(s) is supported"
        )
    if everything and selector:
        raise Failure(
            "error: setting 'all' parameter with a non empty selector is prohibited"
        )
    if not (everything or selector) and len(resources) < 2:
        raise Failure(
            "error: at least one resource name must be specified since 'all' parameter "
            "is not set"
        )
    return resources[1:]
