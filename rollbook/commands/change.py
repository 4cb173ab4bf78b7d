"""`scale` and `set` (spec 6.6, 6.7)."""

import click
import msgspec

from rollbook import conditions, durations
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import Reference


@click.command(cls=flags.Command)
@click.argument(
    "words", nargs=-1, metavar="TYPE NAME…", shell_complete=common.complete_objects
)
@click.option("--replicas", type=int, default=None, help="How many pods shall run.")
@click.option(
    "--current-replicas",
    type=int,
    default=-1,
    help="Only if it is at this size; -1 is any.",
)
@click.option(
    "--timeout",
    default="0",
    metavar="DURATION",
    help="Wait so long until it has that many pods; 0 does not wait.",
)
@common.selecting
@common.changing
@options.namespaced
def scale(
    choice: common.Choice,
    replicas: int | None,
    current_replicas: int,
    timeout: str,
    change: common.Change,
) -> None:
    """Change how many pods a Deployment or a ReplicaSet runs.

    \b
    Examples:
      rollbook scale deployment nginx --replicas=4
      rollbook scale deploy/web deploy/api --replicas=2
      rollbook scale deployment nginx --current-replicas=4 --replicas=2
    """
    if replicas is None:
        raise Failure('error: required flag(s) "replicas" not set')
    if replicas < 0:
        raise Failure(
            "error: The --replicas=COUNT flag is required, and COUNT must be greater "
            "than or equal to 0"
        )
    if current_replicas < -1:
        raise Failure(
            "error: The --current-replicas must specify an integer of -1 or greater"
        )
    expected = None if current_replicas == -1 else current_replicas
    patience = durations.parse(timeout)

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            answer = None
            if change.dry_run != "client":
                answer = await common.refusing(
                    cluster.scale(
                        reference, replicas, current_replicas=expected, **change.said
                    )
                )
            if patience > 0 and change.dry_run == "none":
                await _synced(cluster, reference, replicas, patience)
            await common.done(cluster, change, reference, "scaled", answer)

        found = await common.targets(cluster, choice)
        if not found:
            raise Failure("error: no objects passed to scale")
        await common.each(found, one)

    common.run(work)


async def _synced(
    cluster: Cluster, reference: Reference, replicas: int, seconds: float
) -> None:
    def synced(found: conditions.Object | None) -> bool:
        return conditions.number(found, "status", "replicas") == replicas

    try:
        await cluster.wait_for(reference, synced, seconds=seconds)
    except TimeoutError:
        raise Failure(
            f'error: timed out waiting for "{reference.name}" to be synced'
        ) from None


@click.group("set", cls=flags.Group)
@options.namespaced
def set_() -> None:
    """Change images or resources.

    \b
    Examples:
      rollbook set image deployment/nginx nginx=nginx:1.9.1
      rollbook set resources deployment/nginx --limits=cpu=200m,memory=512Mi
    """


@set_.command()
@click.argument(
    "words",
    nargs=-1,
    metavar="TYPE/NAME… CONTAINER=IMAGE…",
    shell_complete=common.complete_objects,
)
@common.selecting
@common.changing
@options.namespaced
def image(
    choice: common.Choice,
    change: common.Change,
) -> None:
    """Run other images.

    A Deployment rolls out a new revision at once. A ReplicaSet gives the images to the
    pods that it creates from now on, and a pod's containers start anew in their place.

    \b
    Examples:
      rollbook set image deployment/nginx nginx=nginx:1.9.1
      rollbook set image deploy/web web=web:2 log=fluent:3 --cause "release 2"
      rollbook set image deploy/web '*=registry/all:7'
      rollbook set image pod/web-1 web=web:2
    """
    resources, images = split_images(choice.words)
    if choice.selector and choice.everything:
        raise Failure("error: cannot set --all and --selector at the same time")
    choice = msgspec.structs.replace(choice, words=resources)

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            if change.dry_run == "client":
                await common.done(cluster, change, reference, "image updated")
                return
            answer = await common.refusing(
                cluster.set_image(reference, images, **change.said),
                "failed to patch image update to pod template: ",
            )
            if answer.result != "unchanged":
                await common.done(cluster, change, reference, "image updated", answer)

        found = await common.targets(cluster, choice)
        await common.each(found, one)

    common.run(work)


def split_images(words: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The resources, and the image of each container (spec 6.7)."""
    resources: list[str] = []
    images: dict[str, str] = {}
    for word in words:
        name, equals, image_name = word.partition("=")
        if equals:
            if not name or not image_name:
                raise Failure(f'error: invalid image pair "{word}": write name=image')
            images[name] = image_name
        elif images:
            raise Failure(
                f"error: all resources must be specified before image changes: {word}"
            )
        else:
            resources.append(word)
    if not images:
        raise Failure("error: at least one image update is required")
    if "*" in images and len(images) > 1:
        raise Failure(
            "error: all containers are already specified by *, but saw more than one "
            "container_name=container_image pairs"
        )
    return tuple(resources), images


@set_.command()
@click.argument(
    "words", nargs=-1, metavar="TYPE/NAME…", shell_complete=common.complete_objects
)
@click.option(
    "-c",
    "--containers",
    default="*",
    show_default=True,
    help="These containers only: a,b.",
)
@click.option("--limits", default="", help="cpu=200m,memory=512Mi")
@click.option("--requests", default="", help="cpu=100m,memory=256Mi")
@common.selecting
@common.changing
@options.namespaced
def resources(
    choice: common.Choice,
    containers: str,
    limits: str,
    requests: str,
    change: common.Change,
) -> None:
    """Give containers limits and requests: a new revision, rolled out at once.

    \b
    Examples:
      rollbook set resources deployment/nginx -c=nginx --limits=cpu=200m,memory=512Mi
      rollbook set resources deploy/web --requests=cpu=100m
    """
    if not limits and not requests:
        raise Failure(
            "error: you must specify an update to requests or limits (in the form of "
            "--requests/--limits)"
        )
    named = () if containers in ("", "*") else tuple(containers.lstrip("=").split(","))
    wanted, asked = quantities(limits), quantities(requests)
    operation = "resource requirements updated"

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            if change.dry_run == "client":
                await common.done(cluster, change, reference, operation)
                return
            answer = await common.refusing(
                cluster.set_resources(
                    reference,
                    containers=named,
                    limits=wanted,
                    requests=asked,
                    **change.said,
                ),
                "failed to patch resources update to pod template ",
            )
            if answer.result != "unchanged":
                await common.done(cluster, change, reference, operation, answer)

        await common.each(await common.targets(cluster, choice), one)

    common.run(work)


def quantities(text: str) -> dict[str, str]:
    """`cpu=200m,memory=512Mi` as a map. Raises `Failure`."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, _, quantity = part.partition("=")
        if not name or not quantity:
            raise Failure(
                f"error: invalid argument syntax {part}, expected <resource>=<value>"
            )
        found[name] = quantity
    return found
