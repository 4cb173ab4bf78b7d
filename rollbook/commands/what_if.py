"""`replay --what-if`: what a rollout would have been like with another spec.

1. The log is read from --from on, to --to or to where the first rollout behind --from
   is complete; the state before it comes from the nearest snapshot where the store can
   be read (rollbook/beginnings.py).
2. What is a simulation is called so, and its error stands beside it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from domain import ages, deployment, errors, queries
from domain.events import Recorded
from projections import cluster as projection
from rollbook import beginnings, printing, stores, telling, what_if
from rollbook.client import Cluster
from rollbook.commands import common, options
from rollbook.commands.log import start
from rollbook.failures import Failure
from rollbook.references import DEPLOYMENT, parse_reference

EVENTS_MAX: Final = 1_000_000
"""More events than these behind the fork are not simulated: they stay in memory."""
_TENTHS_BELOW: Final = 120.0


def run(
    target: str, *, since: str, to: queries.Moment | None, patch: str, output: str
) -> None:
    """Print the comparison of what happened to `target` from `since` on.

    Raises `Failure` for a patch or a format that is none, `Rejected` for what
    `what_if.compare` refuses, and click's `UsageError` for what is missing.
    """
    if not target or not since:
        text = "--what-if needs a Deployment and --from: where the log is forked"
        raise click.UsageError(text)
    if output not in ("", "json", "yaml"):
        raise Failure(common.bad_format(output, "json,yaml"))
    change = parse_patch(patch)
    store = stores.of_file(options.context_file(click.get_current_context()))

    async def work(cluster: Cluster) -> what_if.Comparison:
        reference = parse_reference(target, cluster.namespace)
        if reference.kind != DEPLOYMENT:
            raise Failure(f"error: {reference} is not a Deployment")
        base = await _forked(cluster, since, store)
        behind = await _behind(cluster, base, reference.key, to)
        return what_if.compare(base, behind, reference.key, change)

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


async def _forked(cluster: Cluster, since: str, store: str) -> projection.Cluster:
    """The state before the step of the first event that --from means."""
    position = await start(cluster, since) + 1
    last = (await cluster.status()).position
    if position > last:
        raise Failure(f"error: --from: nothing is behind it, the log ends at {last}")
    return await beginnings.before(cluster, position, store)


async def _behind(
    cluster: Cluster, base: projection.Cluster, key: str, to: queries.Moment | None
) -> list[Recorded]:
    """The events behind the fork, as far as rule 1 says."""
    found: list[Recorded] = []
    completed_at = 0.0
    async for row in cluster.log(after=base.position, at=to):
        each = telling.recorded(row)
        if each is None:
            raise Failure(
                f"error: position {row.position} cannot be read by this version, so "
                "nothing behind it can be simulated: say --to"
            )
        if completed_at and each.timestamp != completed_at:
            break
        found.append(each)
        if len(found) > EVENTS_MAX:
            raise Failure(
                f"error: more than {EVENTS_MAX} events are behind --from, and the "
                "rollout is not complete: say --to"
            )
        completes = isinstance(each.event, deployment.RolloutCompleted)
        if to is None and completes and each.stream == key:
            completed_at = each.timestamp
    if not found:
        raise Failure(f"error: --to is not behind --from, position {base.position}")
    return found


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
                f"error: --what-if: {text} is neither a patch nor a file that can be "
                f"read: {error.strerror}"
            ) from error
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise Failure(f"error: --what-if is neither JSON nor YAML: {said}") from error
    if not isinstance(found, dict):
        raise Failure(
            "error: --what-if must be a map, for example {spec: {replicas: 5}}"
        )
    others = [str(name) for name in found if name != "spec"]
    if others or not isinstance(found.get("spec"), dict):
        named = f", not {', '.join(others)}" if others else ""
        raise Failure(f"error: --what-if must change fields of spec{named}")
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
        found.deployment.partition("/")[2],
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
    if figures.seconds < 1.0:
        return f"{figures.seconds * 1000.0:.0f}ms"
    if figures.seconds < _TENTHS_BELOW:
        return f"{figures.seconds:.1f}s"
    return ages.human(figures.seconds)
