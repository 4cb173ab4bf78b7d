"""`delete` (spec 6.11)."""

import click

from domain import errors
from rollbook import conditions, durations, printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import POD, Reference
from rollbook.session import Propagation

_FORCED = (
    "Warning: Immediate deletion does not wait for confirmation that the running "
    "resource has been terminated. The resource may continue to run on the cluster "
    "indefinitely."
)


@click.command(cls=flags.Command)
@click.argument(
    "words", nargs=-1, metavar="TYPE NAME…", shell_complete=common.complete_objects
)
@common.selecting
@click.option(
    "--cascade", type=click.Choice(["background", "orphan", "foreground"]),
    default="background", show_default=True,
    help="What becomes of what the object owns; `orphan` lets it run on.",
)  # fmt: skip
@click.option(
    "--grace-period",
    type=int,
    default=-1,
    help="Seconds that a pod has to end; -1 is the pod's own.",
)
@click.option("--now", is_flag=True, help="The same as --grace-period=1.")
@click.option(
    "--force", is_flag=True, help="With --grace-period=0: do not wait for the node."
)
@click.option(
    "--wait/--no-wait", default=True, show_default=True, help="Return when it is gone."
)
@click.option(
    "--timeout",
    default="0",
    metavar="DURATION",
    help="How long to wait; 0 is for ever.",
)
@click.option(
    "--ignore-not-found", is_flag=True, help="What is not there is no failure."
)
@common.changing
@options.namespaced
def delete(
    choice: common.Choice,
    cascade: Propagation,
    grace_period: int,
    now: bool,
    force: bool,
    wait: bool,
    timeout: str,
    ignore_not_found: bool,
    change: common.Change,
) -> None:
    """Delete objects by name, by selector, or those that files name.

    \b
    Examples:
      rollbook delete deployment nginx
      rollbook delete pods -l app=nginx --grace-period=5
      rollbook delete -f nginx-deployment.yaml --cascade=orphan
    """
    grace = _grace(grace_period, now=now, force=force)
    patience = durations.parse(timeout) or None
    lenient = ignore_not_found or bool(choice.selector) or choice.everything
    if force:
        printing.talk(_FORCED)

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            before = await cluster.find(reference) if wait else None
            try:
                if change.dry_run != "client":
                    await cluster.delete(
                        reference, propagation=cascade, grace=grace, **change.said
                    )
            except errors.Rejected as error:
                if error.reason == "NotFound" and lenient:
                    return
                raise
            operation = "force deleted" if force else "deleted"
            _told(change, reference, operation)
            if (
                wait
                and change.dry_run == "none"
                and not (force and reference.kind == POD)
            ):
                await _gone(cluster, reference, before, patience)

        found = await common.targets(
            cluster, choice, missing="error: You must provide one or more resources by "
            "argument or filename.",
        )  # fmt: skip
        if not found:
            printing.talk("No resources found")
        await common.each(found, one)

    common.run(work)


def _grace(seconds: int, *, now: bool, force: bool) -> int | None:
    """The seconds for a pod's end; 0 is 1 unless it is forced (spec 6.11)."""
    if now:
        if seconds >= 0:
            raise Failure(
                "error: --now and --grace-period cannot be specified together"
            )
        return 1
    if seconds < 0:
        return 0 if force else None
    return seconds if seconds or force else 1


def _told(change: common.Change, reference: Reference, operation: str) -> None:
    if change.output == "name":
        printing.say(str(reference))
        return
    if change.output:
        raise Failure(common.bad_format(change.output, "name"))
    where = f" from {reference.namespace} namespace" if reference.namespace else ""
    suffix = {"client": " (dry run)", "server": " (server dry run)"}.get(
        change.dry_run, ""
    )
    qualified = reference.kind.qualified
    printing.say(f'{qualified} "{reference.name}" {operation}{where}{suffix}')


async def _gone(
    cluster: Cluster,
    reference: Reference,
    before: dict[str, object] | None,
    seconds: float | None,
) -> None:
    """Wait until this very object is gone; another one of its name does not count."""
    uid = conditions.text_at(before, "metadata", "uid")

    def gone(found: conditions.Object | None) -> bool:
        return found is None or conditions.text_at(found, "metadata", "uid") != uid

    try:
        await cluster.wait_for(reference, gone, seconds=seconds)
    except TimeoutError:
        raise Failure(
            "error: timed out waiting for the condition on "
            f"{reference.kind.plural}/{reference.name}"
        ) from None
