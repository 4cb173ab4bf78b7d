"""`cp`: files and folders, into a container and out of it."""

from pathlib import Path

import click

from rollbook import streaming, streaming_copy, streaming_targets
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import POD, at


@click.command(cls=flags.Command)
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@click.option(
    "-c", "--container", default="", help="This container; the first otherwise."
)
@options.namespaced
def cp(source: str, target: str, container: str) -> None:
    """Copy a file or a folder into a container, or out of it.

    One of both is [NAMESPACE/]POD:PATH. The container needs tar; without it single
    files can be copied if it has a shell and cat.

    \b
    Examples:
      rollbook cp ./index.html web-1:/srv/index.html
      rollbook cp web-1:/var/log ./log -c web
      rollbook cp staging/web-1:/etc/hosts .
    """
    there, here = _place(source), _place(target)
    if (there is None) == (here is None):
        raise Failure(
            "error: one of src or dest must be a remote file specification"
            if there is None
            else "error: one of src or dest must be a local file specification"
        )
    pod, path = there or here or ("", "")
    if not path or not (target if there is not None else source):
        raise Failure("error: filepath can not be empty")

    async def work(cluster: Cluster) -> None:
        namespace, _, name = pod.rpartition("/")
        found = await cluster.get(at(POD, name, namespace or cluster.namespace))
        place = streaming_copy.Place(
            pod=streaming_targets.named(found),
            node=streaming.node_of(found),
            container=streaming_targets.container_of(found, container),
        )
        if there is not None:
            await streaming_copy.download(cluster, place, path, Path(target))
        else:
            await streaming_copy.upload(cluster, Path(source), place, path)

    common.run(work)


def _place(text: str) -> tuple[str, str] | None:
    """[NAMESPACE/]POD and PATH; None for a path of this machine."""
    pod, colon, path = text.partition(":")
    if not colon or pod.startswith((".", "/")) or pod.count("/") > 1:
        return None
    if not pod.rpartition("/")[2]:
        raise Failure(
            "error: filespec must match the canonical format: "
            "[[namespace/]pod:]file/path"
        )
    return pod, path
