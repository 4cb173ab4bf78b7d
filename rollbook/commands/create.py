"""`create -f` and `create deployment` (spec 6.9)."""

import random
import re
from collections.abc import Awaitable
from typing import Final

import click

from domain import errors
from domain.names import suffix
from domain.protocol import Answer
from rollbook.client import Cluster, Object
from rollbook.commands import common, create_plain, flags, options
from rollbook.commands.apply import send_files
from rollbook.failures import Failure
from rollbook.references import DEPLOYMENT, at

_TAG: Final = re.compile(r"(:[^:/@]*)?(@.*)?$")


@click.group(cls=flags.Group, invoke_without_command=True)
@common.from_files
@common.changing
@options.namespaced
@click.pass_context
def create(
    ctx: click.Context, files: tuple[str, ...], recursive: bool, change: common.Change
) -> None:
    """Create objects from files, or one object from the words that describe it.

    \b
    Examples:
      rollbook create -f nginx-deployment.yaml
      rollbook create deployment web --image=nginx:1.9.1 --replicas=3
      rollbook create configmap web --from-literal=color=blue
      rollbook create namespace shop
    """
    if ctx.invoked_subcommand is not None:
        return

    def send(cluster: Cluster, manifest: Object) -> Awaitable[Answer]:
        return cluster.create(manifest, **change.said)

    send_files(files, recursive, change, send, doing="creating", done="created")


@create.command()
@click.argument("words", nargs=-1, metavar="NAME [-- COMMAND…]")
@click.option(
    "--image",
    "images",
    multiple=True,
    help="An image; give it once for each container.",
)
@click.option(
    "--replicas", type=int, default=1, show_default=True, help="How many pods."
)
@click.option("--port", type=int, default=None, help="The first container's port.")
@common.changing
@options.namespaced
def deployment(
    words: tuple[str, ...],
    images: tuple[str, ...],
    replicas: int,
    port: int | None,
    change: common.Change,
) -> None:
    """Create a Deployment from its images.

    \b
    Examples:
      rollbook create deployment web --image=nginx:1.9.1
      rollbook create deployment web --image=nginx:1.9.1 --replicas=3 --port=8080
      rollbook create deployment job --image=busybox -- sleep 1000
    """
    name, command = words[:1], words[1:]
    if not images:
        raise Failure('error: required flag(s) "image" not set')
    if not name:
        raise Failure(
            "error: exactly one NAME is required, got 0\n"
            "See 'rollbook create deployment -h' for help and examples"
        )
    if len(images) > 1 and command:
        raise Failure("error: cannot specify multiple --image options and command")
    manifest = deployment_manifest(name[0], images, replicas, port, command)

    async def work(cluster: Cluster) -> None:
        reference = at(DEPLOYMENT, name[0], cluster.namespace)
        answer = None
        try:
            if change.dry_run != "client":
                answer = await cluster.create(manifest, **change.said)
        except errors.Rejected as error:
            raise Failure(
                f"error: failed to create deployment: {error.message}"
            ) from error
        await common.done(cluster, change, reference, "created", answer)

    common.run(work)


def deployment_manifest(
    name: str,
    images: tuple[str, ...],
    replicas: int,
    port: int | None,
    command: tuple[str, ...],
) -> Object:
    """The Deployment that kubectl makes of these words (spec 6.9)."""
    labels = {"app": name}
    containers: list[Object] = [
        {"name": container_name(image), "image": image} for image in images
    ]
    if command:
        containers[0]["command"] = list(command)
    if port is not None:
        containers[0]["ports"] = [{"containerPort": port}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": containers},
            },
        },
    }


def container_name(image: str) -> str:
    """The last part of the image's path; a random end where it had to be changed."""
    last = _TAG.sub("", image).rpartition("/")[2]
    name = last.replace("_", "-").replace(".", "-")
    return name if name == last else f"{name}-{suffix(random.Random())}"  # noqa: S311  # a name


create.add_command(deployment, "deploy")
create.add_command(create_plain.namespace)
create.add_command(create_plain.namespace, "ns")
create.add_command(create_plain.serviceaccount)
create.add_command(create_plain.serviceaccount, "sa")
create.add_command(create_plain.configmap)
create.add_command(create_plain.configmap, "cm")
create.add_command(create_plain.secret)
