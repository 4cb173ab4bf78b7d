"""`apply -f`: make objects what files say."""

from collections.abc import Awaitable, Callable
from typing import Final

import click

from domain import errors
from domain.protocol import Answer
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.failures import Failure

NO_FILES: Final = "error: must specify one of -f and -k"


@click.command(cls=flags.Command)
@common.from_files
@common.changing
@options.namespaced
def apply(files: tuple[str, ...], recursive: bool, change: common.Change) -> None:
    """Make objects what files say: create them, or change what differs.

    What an earlier apply has set and the file leaves out now is removed; what others
    have set stays.

    \b
    Examples:
      rollbook apply -f nginx-deployment.yaml
      rollbook apply -f manifests/ --cause "new release"
      cat web.yaml | rollbook apply -f -
    """
    if not files:
        raise Failure(NO_FILES)
    manifests = common.load(files, recursive=recursive)

    async def work(cluster: Cluster) -> None:
        async def one(pair: tuple[str, Object]) -> None:
            await _apply(cluster, pair[0], pair[1], change)

        await common.each(manifests, one)

    common.run(work)


def send_files(
    files: tuple[str, ...],
    recursive: bool,
    change: common.Change,
    send: Callable[[Cluster, Object], Awaitable[Answer]],
    *,
    doing: str,
    done: str,
) -> None:
    """Send each object of the files, past failures, and say `done` of it.

    A refusal is told with its file and what was being done: `creating`.
    """
    if not files:
        raise Failure(NO_FILES)
    manifests = common.load(files, recursive=recursive)

    async def work(cluster: Cluster) -> None:
        async def one(pair: tuple[str, Object]) -> None:
            source, manifest = pair
            reference = common.named_by(cluster, source, manifest)
            answer = None
            try:
                if change.dry_run != "client":
                    answer = await send(cluster, manifest)
            except errors.Rejected as error:
                raise located(error, f'error when {doing} "{source}": ') from error
            await common.done(cluster, change, reference, done, answer)

        await common.each(manifests, one)

    common.run(work)


async def _apply(
    cluster: Cluster, source: str, manifest: Object, change: common.Change
) -> None:
    reference = common.named_by(cluster, source, manifest)
    existed = await cluster.find(reference) is not None
    if change.dry_run == "client":
        operation = "configured" if existed else "created"
        await common.done(cluster, change, reference, operation)
        return
    try:
        answer = await cluster.apply(manifest, **change.said)
    except errors.Rejected as error:
        doing = "patching" if existed else "creating"
        raise located(error, f'error when {doing} "{source}": ') from error
    operation = "configured" if existed else "created"
    if answer.result == "unchanged":
        operation = "unchanged"
    await common.done(cluster, change, reference, operation, answer)


def located(error: errors.Rejected, doing: str) -> errors.Rejected:
    """The same refusal, its message behind what was being done when it came."""
    if error.reason == "Invalid" and error.causes:
        return error
    return errors.Rejected(error.reason, doing + error.message, causes=error.causes)
