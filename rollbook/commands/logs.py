"""`logs`: what containers have written."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

import click
import msgspec

from adapters import cancelling
from domain import times
from rollbook import durations, printing, streaming_targets
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import POD, Reference

FOLLOWED_MAX: Final = 5


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of each container, and how they are shown."""

    follow: bool
    previous: bool
    tail: int
    since: float
    timestamps: bool
    prefix: bool


class _Source(msgspec.Struct, frozen=True):
    """One container of one pod."""

    pod: Reference
    container: str

    @property
    def prefix(self) -> bytes:
        """What stands before its lines with `--prefix`."""
        return f"[{self.pod}/{self.container}] ".encode()


@click.command(cls=flags.Command)
@click.argument(
    "name",
    required=False,
    metavar="POD | TYPE/NAME",
    shell_complete=common.complete_objects,
)
@click.argument("inside", required=False, metavar="[CONTAINER]")
@click.option(
    "-l", "--selector", default="", help="The pods with such labels, one by one."
)
@click.option(
    "-c", "--container", default="", help="This container; the first otherwise."
)
@click.option(
    "--all-containers", is_flag=True, help="Every container, init containers first."
)
@click.option(
    "--all-pods", is_flag=True, help="Every pod of what owns pods; implies --prefix."
)
@click.option(
    "-f", "--follow", is_flag=True, help="Then print what is written, until Ctrl-C."
)
@click.option(
    "-p", "--previous", is_flag=True, help="Of the run before the last restart."
)
@click.option(
    "--tail", type=int, default=None, help="The last lines only; -1 is all of them."
)
@click.option(
    "--since", default="0", metavar="DURATION", help="Not what is older: 5s, 2m, 3h."
)
@click.option(
    "--since-time", default="", metavar="TIME", help="Not what is older: RFC 3339."
)
@click.option("--timestamps", is_flag=True, help="Each line with its time.")
@click.option("--prefix", is_flag=True, help="Each line with its pod and container.")
@click.option(
    "--max-log-requests",
    "most",
    type=click.IntRange(min=1),
    default=FOLLOWED_MAX,
    help="How many containers may be followed at once.",
)
@options.namespaced
def logs(
    name: str | None,
    inside: str | None,
    selector: str,
    container: str,
    all_containers: bool,
    all_pods: bool,
    follow: bool,
    previous: bool,
    tail: int | None,
    since: str,
    since_time: str,
    timestamps: bool,
    prefix: bool,
    most: int,
) -> None:
    """Print what the containers of a pod, or of several, have written.

    \b
    Examples:
      rollbook logs nginx-5d78c9869d-4xk2v
      rollbook logs -f deploy/nginx --tail=20
      rollbook logs -l app=nginx --since=5m --timestamps
      rollbook logs deploy/nginx --all-pods --all-containers -f
    """
    container = container or inside or ""
    _check(name, selector, container, tail, all_containers=all_containers)
    wanted = _Wanted(
        follow=follow,
        previous=previous,
        # As with kubectl, a selector shows the ends, one pod everything.
        tail=tail if tail is not None else (10 if selector else -1),
        since=_since(since, since_time),
        timestamps=timestamps,
        prefix=prefix or all_pods,
    )

    async def work(cluster: Cluster) -> None:
        pods = await _pods(cluster, name, selector, every=all_pods)
        if not pods:
            common.nothing_found(cluster.namespace, everywhere=False)
        sources = [
            _Source(streaming_targets.named(found), each)
            for found in pods
            for each in _containers(found, container, every=all_containers)
        ]
        if not follow or len(sources) == 1:
            await common.each(sources, lambda each: _print(cluster, each, wanted))
            return
        if len(sources) > most:
            raise Failure(
                f"error: you are attempting to follow {len(sources)} log streams, but "
                f"maximum allowed concurrency is {most}, use --max-log-requests to "
                "increase the limit"
            )
        await _together(cluster, sources, wanted)

    common.run(work)


def _check(
    name: str | None,
    selector: str,
    container: str,
    tail: int | None,
    *,
    all_containers: bool,
) -> None:
    """Raises `Failure` for words that do not go together."""
    if not name and not selector:
        raise Failure(
            "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'."
        )
    if name and selector:
        raise Failure("error: only a selector (-l) or a POD name is allowed")
    if container and all_containers:
        raise Failure(
            "error: --all-containers=true should not be specified with container name "
            f"{container}"
        )
    if tail is not None and tail < -1:
        raise Failure("error: --tail must be greater than or equal to -1")


def _since(duration: str, moment: str) -> float:
    """How many seconds back; 0 for all."""
    seconds = durations.parse(duration)
    if not moment:
        return seconds
    if seconds:
        raise Failure("error: only one of --since-time / --since may be used")
    try:
        return max(0.001, time.time() - times.parse(moment))
    except ValueError as error:
        text = f'error: --since-time: "{moment}" is no time, write 2026-03-01T12:00:00Z'
        raise Failure(text) from error


async def _pods(
    cluster: Cluster, name: str | None, selector: str, *, every: bool
) -> Sequence[Object]:
    """The pod itself, those of the selector, or of what owns pods the first or all."""
    if name is None:
        return await cluster.list(POD, selector=selector)
    reference = streaming_targets.reference_of(cluster, name)
    if reference.kind == POD:
        return [await cluster.get(reference)]
    owner = await cluster.get(reference)
    owned = streaming_targets.selector_of(owner)
    pods = await cluster.list(POD, selector=owned, namespace=reference.namespace)
    if not pods:
        raise Failure(f"error: no pods of {reference} were found")
    if every or len(pods) == 1:
        return pods
    printing.talk(f"Found {len(pods)} pods, using {streaming_targets.named(pods[0])}")
    return pods[:1]


def _containers(found: Object, wanted: str, *, every: bool) -> Sequence[str]:
    if every:
        return streaming_targets.containers_of(found, init=True)
    return [streaming_targets.container_of(found, wanted)]


async def _together(
    cluster: Cluster, sources: Sequence[_Source], wanted: _Wanted
) -> None:
    """All at once; raises what ended the first that failed."""
    tasks = [asyncio.create_task(_print(cluster, each, wanted)) for each in sources]
    try:
        for done in asyncio.as_completed(tasks):
            await done
    finally:
        await cancelling.end(*tasks)


async def _print(cluster: Cluster, source: _Source, wanted: _Wanted) -> None:
    pieces = cluster.logs(
        source.pod,
        container=source.container,
        follow=wanted.follow,
        tail=wanted.tail,
        since=wanted.since,
        timestamps=wanted.timestamps,
        previous=wanted.previous,
    )
    async for piece in _prefixed(pieces, source.prefix if wanted.prefix else b""):
        printing.write(piece)


async def _prefixed(
    pieces: AsyncIterator[bytes], prefix: bytes
) -> AsyncIterator[bytes]:
    """The pieces, which are whole lines, each line behind the prefix."""
    async for piece in pieces:
        if prefix and piece:
            lines = piece[:-1].replace(b"\n", b"\n" + prefix)
            yield prefix + lines + piece[-1:]
        else:
            yield piece
