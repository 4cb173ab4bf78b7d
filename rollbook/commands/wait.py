"""`wait`: until objects are so."""

import click

from rollbook import conditions, durations, printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import Reference

_WEEK_SECONDS = 7 * 24 * 3600.0


@click.command(cls=flags.Command)
@click.argument(
    "words", nargs=-1, metavar="TYPE/NAME…", shell_complete=common.complete_objects
)
@click.option(
    "--for",
    "wanted",
    default="",
    metavar="WHAT",
    help="delete, create, condition=NAME[=STATUS] or jsonpath={.path}[=VALUE].",
)
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="0 looks once; below 0 is a week.",
)
@common.selecting
@options.namespaced
def wait(
    choice: common.Choice,
    wanted: str,
    timeout: str,
) -> None:
    """Wait until objects are as asked: they have a condition or a value, or are gone.

    \b
    Examples:
      rollbook wait --for=condition=Available deployment/nginx --timeout=60s
      rollbook wait --for=delete pod -l app=nginx
      rollbook wait --for=jsonpath='{.status.phase}'=Running pod/nginx-5d78c9869d-4xk2v
    """
    if not wanted:
        raise Failure("error: you must specify what to wait for with --for")
    condition = conditions.parse(wanted)
    leaving = wanted.lower() in ("delete", "create")
    seconds = durations.parse(timeout)
    patience = _WEEK_SECONDS if seconds < 0 else seconds

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            # What is not there is an error, unless just that is waited for.
            before = await (cluster.find if leaving else cluster.get)(reference)
            if before is None and wanted.lower() == "delete":
                return
            try:
                if not condition(before):
                    if patience == 0:
                        raise TimeoutError
                    await cluster.wait_for(reference, condition, seconds=patience)
            except TimeoutError:
                raise Failure(
                    "error: timed out waiting for the condition on "
                    f"{reference.kind.plural}/{reference.name}"
                ) from None
            printing.say(f"{reference} condition met")

        found = await common.targets(cluster, choice)
        if not found and wanted.lower() != "delete":
            raise Failure("error: no matching resources found")
        await common.each(found, one)

    common.run(work)
