"""`what-if`: what a rollout would have been like with another spec (a simulation)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from domain import ages, catalogue, errors, queries
from domain.events import Recorded
from rollbook import printing, what_if
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import DEPLOYMENT, parse_reference

EVENTS_MAX: Final = 1_000_000
"""A longer log does not fit: the whole of it is folded here, in memory."""
_TENTHS_BELOW: Final = 120.0
_TOPICS: Final = {kind.__name__: kind.TOPIC for kind in catalogue.EVENTS}


@click.command("what-if", cls=flags.Command)
@click.argument("target", metavar="deployment/NAME")
@click.option(
    "--from",
    "start",
    type=int,
    required=True,
    metavar="POSITION",
    help="Where the log is forked, for example the position of the change that started "
    "a rollout; what came later is simulated.",
)
@click.option(
    "--to",
    "end",
    type=int,
    default=0,
    metavar="POSITION",
    help="Where looking ends; by default where the rollout was complete.",
)
@click.option(
    "--patch",
    required=True,
    metavar="PATCH|FILE",
    help="A merge patch of the Deployment, JSON or YAML, or a file of one.",
)
@click.option("-o", "--output", default="", metavar="FORMAT", help="json or yaml.")
@options.namespaced
def command(target: str, start: int, end: int, patch: str, output: str) -> None:
    """Simulate a rollout of the past with another strategy, or another spec.

    The log is forked at --from in memory, the patch applied there, and the shipped
    controllers play on with the pods' timing as it was recorded. Nothing of it reaches
    the cluster. The same without the patch shows how far the simulation is from what
    happened.

    \b
    Examples:
      rollbook what-if deployment/nginx --from 120 --patch \\
        '{"spec":{"strategy":{"rollingUpdate":{"maxSurge":"50%"}}}}'
      rollbook what-if deployment/nginx --from 120 --patch faster.yaml -o json
    """
    run(target, start=start, end=end, patch=patch, output=output)


def run(target: str, *, start: int, end: int, patch: str, output: str) -> None:
    """Print the comparison; `replay --what-if` calls this with its own options.

    Raises `Failure` for a patch or a format that is none, `Rejected` for what
    `what_if.compare` refuses.
    """
    if output not in ("", "json", "yaml"):
        raise Failure(common.bad_format(output, "json,yaml"))
    change = parse_patch(patch)

    async def work(cluster: Cluster) -> what_if.Comparison:
        reference = parse_reference(target, cluster.namespace)
        if reference.kind != DEPLOYMENT:
            raise Failure(f"error: {reference} is not a Deployment")
        log = await _whole(cluster)
        return what_if.compare(log, reference.key, change, fork=start, until=end)

    try:
        found = common.run(work)
    except errors.Rejected as error:
        if error.causes:
            raise
        raise Failure(f"error: {error.message}") from error
    if output == "json":
        printing.say(printing.as_json(found))
    elif output == "yaml":
        printing.write(printing.as_yaml(found).encode())
    else:
        for line in lines(found):
            printing.say(line)


def parse_patch(text: str) -> dict[str, object]:
    """The merge patch that `text` is, or that is in the file of this name.

    Raises `Failure` where it is no map, or changes anything but `spec`.
    """
    import yaml

    if not text.lstrip().startswith("{") and "\n" not in text and ": " not in text:
        try:
            text = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise Failure(
                f"error: --patch: {text} is neither a patch nor a file that can be "
                f"read: {error.strerror}"
            ) from error
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise Failure(f"error: --patch is neither JSON nor YAML: {said}") from error
    if not isinstance(found, dict):
        raise Failure("error: --patch must be a map, for example {spec: {replicas: 5}}")
    others = [str(name) for name in found if name != "spec"]
    if others or not isinstance(found.get("spec"), dict):
        named = f", not {', '.join(others)}" if others else ""
        raise Failure(f"error: --patch must change fields of spec{named}")
    # Through JSON, so that dates and other kinds of YAML are what a manifest has.
    plain: dict[str, object] = msgspec.json.decode(msgspec.json.encode(found))
    return plain


def lines(found: what_if.Comparison) -> list[str]:
    """The table for people, and what it is made of."""
    columns = (found.recorded, found.simulated, found.changed)

    def row(name: str, cells: Sequence[str]) -> list[str]:
        return [name, *cells]

    rows = [
        row("until complete", [_time(each) for each in columns]),
        row("most pods above replicas", [str(each.surge) for each in columns]),
        row("fewest available", [str(each.available) for each in columns]),
        row("pods created", [str(each.pods_created) for each in columns]),
        row("pods ended", [str(each.pods_ended) for each in columns]),
        row("events", [str(each.events) for each in columns]),
    ]
    headers = [
        found.deployment.partition("/")[2].upper(),
        "RECORDED",
        "SIMULATED AS IT WAS",
        "SIMULATED WITH THE CHANGE",
    ]
    return [
        *printing.table(headers, rows),
        "",
        f"Recorded are the positions {found.fork + 1} to {found.until}. The other "
        "columns are simulations: the",
        "shipped controllers, and pods that start and end as quickly as the log has it "
        f"({found.starts_known} starts,",
        f"{found.ends_known} ends). How far the second column is from the first is the "
        "error of the model.",
    ]


def _time(figures: what_if.Figures) -> str:
    if figures.seconds is None:
        return "stalled" if figures.stalled else "never"
    if figures.seconds < _TENTHS_BELOW:
        return f"{figures.seconds:.1f}s"
    return ages.human(figures.seconds)


async def _whole(cluster: Cluster) -> list[Recorded]:
    """The log from its first event. Raises `Failure` where it cannot be simulated."""
    position = (await cluster.status()).position
    if position > EVENTS_MAX:
        raise Failure(
            f"error: the log has {position} events, more than the {EVENTS_MAX} that "
            "can be simulated"
        )
    return [_decoded(row) async for row in cluster.log()]


def _decoded(row: queries.LogRow) -> Recorded:
    stored = catalogue.Stored(
        at=row.at,
        actor=row.actor,
        event=row.event,  # type: ignore[type-var]  # bytes that are decoded below
        cause=row.cause,
        command=row.command,
    )
    topic = _TOPICS.get(row.type, row.type)
    state = msgspec.json.encode(stored)
    return catalogue.decode(row.position, row.stream, row.version, topic, state)
