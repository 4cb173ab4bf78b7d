"""`logs`: what containers have written."""

import click

from rollbook import conditions, durations, printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import POD, Reference, at, parse_reference


@click.command(cls=flags.Command)
@click.argument(
    "name",
    required=False,
    metavar="POD | TYPE/NAME",
    shell_complete=common.complete_objects,
)
@click.argument("inside", required=False, metavar="[CONTAINER]")
@click.option(
    "-l",
    "--selector",
    default="",
    help="The pods with such labels, one after the other.",
)
@click.option(
    "-c", "--container", default="", help="This container; the first otherwise."
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
@click.option("--timestamps", is_flag=True, help="Each line with its time.")
@options.namespaced
def logs(
    name: str | None,
    inside: str | None,
    selector: str,
    container: str,
    follow: bool,
    previous: bool,
    tail: int | None,
    since: str,
    timestamps: bool,
) -> None:
    """Print what a pod's container has written.

    \b
    Examples:
      rollbook logs nginx-5d78c9869d-4xk2v
      rollbook logs -f deploy/nginx --tail=20
      rollbook logs -l app=nginx --since=5m --timestamps
    """
    if not name and not selector:
        raise Failure(
            "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'."
        )
    if name and selector:
        raise Failure("error: only a selector (-l) or a POD name is allowed")
    seconds = durations.parse(since)
    # As with kubectl, a selector shows the ends, one pod everything.
    lines = tail if tail is not None else (10 if selector else -1)

    async def work(cluster: Cluster) -> None:
        pods = await _pods(cluster, name, selector)
        if not pods:
            common.nothing_found(cluster.namespace, everywhere=False)

        async def one(pod: Reference) -> None:
            wanted = container or inside or await _first_container(cluster, pod)
            pieces = cluster.logs(
                pod,
                container=wanted,
                follow=follow,
                tail=lines,
                since=seconds,
                timestamps=timestamps,
                previous=previous,
            )
            async for piece in pieces:
                printing.write(piece)

        await common.each(pods, one)

    common.run(work)


async def _pods(cluster: Cluster, name: str | None, selector: str) -> list[Reference]:
    """The pod itself, those of the selector, or the first of what owns pods."""
    if name is None:
        return await common.listed(cluster, POD, selector)
    reference = (
        parse_reference(name, cluster.namespace)
        if "/" in name
        else at(POD, name, cluster.namespace)
    )
    if reference.kind == POD:
        return [reference]
    owner = await cluster.get(reference)
    pods = await common.listed(cluster, POD, selector_of(owner))
    if not pods:
        raise Failure(f"error: no pods of {reference} were found")
    if len(pods) > 1:
        printing.talk(f"Found {len(pods)} pods, using {pods[0]}")
    return pods[:1]


def selector_of(owner: conditions.Object) -> str:
    """The selector of a Deployment or ReplicaSet, as `-l` takes it."""
    labels = conditions.map_at(owner, "spec", "selector", "matchLabels")
    parts = [f"{key}={value}" for key, value in sorted(labels.items())]
    for each in conditions.items_at(owner, "spec", "selector", "matchExpressions"):
        key = conditions.text_at(each, "key")
        values = ",".join(str(v) for v in conditions.items_at(each, "values"))
        match conditions.text_at(each, "operator"):
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    if not parts:
        raise Failure("error: this object selects no pods")
    return ",".join(parts)


async def _first_container(cluster: Cluster, pod: Reference) -> str:
    """The first one's name; says so where there are several."""
    found = await cluster.get(pod)
    containers = conditions.items_at(found, "spec", "containers")
    names = [conditions.text_at(each, "name") for each in containers]
    if len(names) > 1:
        printing.talk(f'Defaulted container "{names[0]}" out of: {", ".join(names)}')
    return names[0] if names else ""
