"""`autoscale` (spec 6.10)."""

import re
from typing import Final

import click

from domain import errors, quantities
from rollbook import printing
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import AUTOSCALER, DEPLOYMENT, REPLICASET, Reference, at

_DEPRECATED: Final = (
    "Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource "
    "quantity format (e.g., '70%' for utilization or '500m' for milliCPU)."
)
_PERCENT: Final = re.compile(r"([0-9]+)%")
_BARE: Final = {"cpu": "m", "memory": "Mi"}
"""The unit of a bare number."""


@click.command(cls=flags.Command)
@click.argument(
    "words", nargs=-1, metavar="TYPE NAME…", shell_complete=common.complete_objects
)
@click.option("--min", "least", type=int, default=-1, help="The fewest pods; 1 if not.")
@click.option("--max", "most", type=int, default=-1, help="The most pods.")
@click.option("--cpu", default="", metavar="80%|500m", help="Of what is requested.")
@click.option("--memory", default="", metavar="70%|200Mi", help="The same of memory.")
@click.option(
    "--cpu-percent", type=int, default=-1, help="Deprecated: use --cpu=80%.",
)  # fmt: skip
@click.option("--name", default="", help="Its name; that of the target if not given.")
@common.selecting
@common.changing
@options.namespaced
def autoscale(
    choice: common.Choice,
    least: int,
    most: int,
    cpu: str,
    memory: str,
    cpu_percent: int,
    name: str,
    change: common.Change,
) -> None:
    """Let the number of pods follow what they use.

    \b
    Examples:
      rollbook autoscale deployment/web --min=2 --max=10 --cpu=80%
      rollbook autoscale deployment web --max=5 --cpu=500m --memory=200Mi
    """
    if cpu_percent >= 0:
        printing.talk(_DEPRECATED)
        if cpu:
            raise Failure("error: --cpu-percent and --cpu are mutually exclusive")
        cpu = f"{cpu_percent}%"
    if most < 1:
        raise Failure(
            "error: --max=MAXPODS is required and must be at least 1, max: "
            f"{max(most, 0)}"
        )
    if most < least:
        raise Failure(
            "error: --max=MAXPODS must be larger or equal to --min=MINPODS, max: "
            f"{most}, min: {least}"
        )
    metrics = [
        metric(resource, text)
        for resource, text in (("cpu", cpu), ("memory", memory))
        if text
    ]

    async def work(cluster: Cluster) -> None:
        async def one(target: Reference) -> None:
            if target.kind not in (DEPLOYMENT, REPLICASET):
                raise Failure(
                    f"error: cannot autoscale a {target.kind.title}: could not find "
                    "a scale of it"
                )
            made = manifest(target, name or target.name, least, most, metrics)
            about = at(AUTOSCALER, name or target.name, target.namespace)
            await _create(cluster, made, about, change, has_percent="%" in cpu)

        found = await common.targets(cluster, choice)
        if not found:
            raise Failure("error: no objects passed to autoscale")
        await common.each(found, one)

    common.run(work)


async def _create(
    cluster: Cluster,
    made: Object,
    about: Reference,
    change: common.Change,
    *,
    has_percent: bool,
) -> None:
    if change.dry_run == "client":
        await common.done(cluster, change, about, "created", None)
        return
    try:
        answer = await cluster.create(
            made,
            cause=change.cause,
            dry_run=change.dry_run == "server",
            namespace=about.namespace,
        )
    except errors.Rejected as error:
        if error.reason == "AlreadyExists" and not has_percent:
            raise Failure(
                "error: failed to create autoscaling/v2 HPA and the configuration is "
                "incompatible with autoscaling/v1: empty input"
            ) from error
        raise
    await common.done(cluster, change, about, "autoscaled", answer)


def metric(resource: str, text: str) -> Object:
    """The metric that `--cpu=text` or `--memory=text` means. Raises `Failure`."""
    found = _PERCENT.fullmatch(text)
    if found is not None and int(found[1]) > 0:
        target: Object = {
            "type": "Utilization", "averageUtilization": int(found[1]),
        }  # fmt: skip
    elif "%" in text:
        raise Failure(f"error: invalid percentage value: {text.replace('%', '')}")
    else:
        quantity = f"{text}{_BARE[resource]}" if text.isdecimal() else text
        try:
            positive = quantities.parse(quantity) > 0
        except ValueError:
            positive = False
        if not positive:
            raise Failure(f"error: invalid resource {resource} value: {text}")
        target = {"type": "AverageValue", "averageValue": quantity}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


def manifest(
    target: Reference, name: str, least: int, most: int, metrics: list[Object]
) -> Object:
    """The autoscaler of a target; what is not said the server fills in."""
    spec: Object = {
        "scaleTargetRef": {
            "apiVersion": target.kind.api_version,
            "kind": target.kind.title,
            "name": target.name,
        },
        "maxReplicas": most,
    }
    if least > 0:
        spec["minReplicas"] = least
    if metrics:
        spec["metrics"] = metrics
    return {
        "apiVersion": AUTOSCALER.api_version,
        "kind": AUTOSCALER.title,
        "metadata": {"name": name, "namespace": target.namespace},
        "spec": spec,
    }
