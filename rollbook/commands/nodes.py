"""`cordon`, `uncordon` and `drain`."""

from typing import Literal

import click

from domain import errors
from rollbook import draining, durations, printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import NODE, Reference, at


def _complete(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[str]:
    from rollbook import completion

    return completion.objects(ctx, ("node",), incomplete)


_NAMES = click.argument("names", nargs=-1, metavar="NODE…", shell_complete=_complete)
_SELECTOR = click.option(
    "-l", "--selector", default="", help="The nodes with such labels."
)


async def _nodes(
    cluster: Cluster, names: tuple[str, ...], selector: str
) -> list[Reference]:
    if selector and not names:
        return await common.listed(cluster, NODE, selector)
    return [at(NODE, name.removeprefix("node/"), "") for name in names]


def _some(verb: str, names: tuple[str, ...], selector: str) -> None:
    if not names and not selector:
        raise Failure(
            f"error: USAGE: {verb} NODE [flags]\n"
            f"See 'rollbook {verb} -h' for help and examples"
        )


def _mark(
    verb: Literal["cordon", "uncordon"],
    names: tuple[str, ...],
    selector: str,
    change: common.Change,
) -> None:
    _some(verb, names, selector)

    async def work(cluster: Cluster) -> None:
        act = {"cordon": cluster.cordon, "uncordon": cluster.uncordon}[verb]

        async def one(node: Reference) -> None:
            answer = await act(node, **change.said)
            already = "already " if answer.result == "unchanged" else ""
            await common.done(cluster, change, node, f"{already}{verb}ed", answer)

        await common.each(await _nodes(cluster, names, selector), one)

    common.run(work)


@click.command(cls=flags.Command)
@_NAMES
@_SELECTOR
@common.changing
@options.everywhere
def cordon(names: tuple[str, ...], selector: str, change: common.Change) -> None:
    """Let nodes take no new pods; those that they have stay.

    \b
    Examples:
      rollbook cordon worker-1
    """
    _mark("cordon", names, selector, change)


@click.command(cls=flags.Command)
@_NAMES
@_SELECTOR
@common.changing
@options.everywhere
def uncordon(names: tuple[str, ...], selector: str, change: common.Change) -> None:
    """Let nodes take pods again.

    \b
    Examples:
      rollbook uncordon worker-1
    """
    _mark("uncordon", names, selector, change)


@click.command(cls=flags.Command)
@_NAMES
@_SELECTOR
@click.option("--force", is_flag=True, help="Also pods that nothing would replace.")
@click.option(
    "--delete-emptydir-data",
    is_flag=True,
    help="Also pods whose emptyDir would be lost.",
)
@click.option("--ignore-daemonsets", is_flag=True, hidden=True)
@click.option(
    "--grace-period",
    type=int,
    default=-1,
    help="Seconds that a pod has to end; -1 is the pod's own.",
)
@click.option("--pod-selector", default="", help="Only the pods with such labels.")
@click.option(
    "--timeout",
    default="0",
    metavar="DURATION",
    help="Give up after so long; 0 is never.",
)
@options.everywhere
def drain(
    names: tuple[str, ...],
    selector: str,
    force: bool,
    delete_emptydir_data: bool,
    ignore_daemonsets: bool,  # noqa: ARG001  # there are none; scripts pass it
    grace_period: int,
    pod_selector: str,
    timeout: str,
) -> None:
    """Move all pods away from nodes: cordon them, evict the pods, wait.

    \b
    Examples:
      rollbook drain worker-1
      rollbook drain worker-1 --force --delete-emptydir-data --timeout=5m
    """
    _some("drain", names, selector)
    patience = durations.parse(timeout) or None
    grace = None if grace_period < 0 else grace_period

    async def work(cluster: Cluster) -> None:
        pending: list[tuple[Reference, str]] = []
        for node in await _nodes(cluster, names, selector):
            try:
                async for step in cluster.drain(
                    node,
                    force=force,
                    delete_emptydir_data=delete_emptydir_data,
                    selector=pod_selector,
                    grace=grace,
                    seconds=patience,
                ):
                    _tell(step)
                printing.say(f"{node} drained")
            except draining.Refused as error:
                pending.append((node, str(error)))
            except TimeoutError:
                pending.append((node, f"global timeout reached: {timeout}"))
            except errors.Transient as error:
                pending.append((node, str(error)))
        _tell_pending(pending)

    common.run(work)


def _tell(step: draining.Step) -> None:
    match step.what:
        case "cordoned" | "already cordoned":
            printing.say(f"{step.reference} {step.what}")
        case "warning":
            printing.talk(f"Warning: {step.text}")
        case "evicting":
            pod = step.reference
            printing.say(f"evicting pod {pod.namespace}/{pod.name}")
        case "evicted":
            printing.say(f"{step.reference} evicted")


def _tell_pending(pending: list[tuple[Reference, str]]) -> None:
    """What kubectl says about nodes that could not be drained; then the failure."""
    if not pending:
        return
    for node, why in pending:
        printing.talk(
            f'error: unable to drain node "{node.name}" due to error: {why}, '
            "continuing command..."
        )
    printing.talk("There are pending nodes to be drained:")
    for node, _ in pending:
        printing.talk(f" {node.name}")
    raise Failure("\n".join(f"error: {why}" for _, why in pending))
