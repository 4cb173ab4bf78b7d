"""`rollout promote | abort | configure`: rollouts that are watched (rollbook's own)."""

import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from domain import analysis, errors
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import DEPLOYMENT, Reference

_MISSING: Final = "error: required resource not specified"
_WORDS: Final = click.argument(
    "words", nargs=-1, metavar="TYPE/NAME…", shell_complete=common.complete_objects
)


@click.command(cls=flags.Command)
@_WORDS
@click.option("--full", is_flag=True, help="Leave out all steps that are left.")
@common.changing
@options.namespaced
def promote(words: tuple[str, ...], full: bool, change: common.Change) -> None:
    """End the step at which a rollout waits.

    One that its analysis has paused goes on; the analysis is left out.

    \b
    Examples:
      rollbook rollout promote deployment/web
      rollbook rollout promote deployment/web --full
    """

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "promoter")
            answer = None
            if change.dry_run != "client":
                asked = cluster.promote(reference, full=full, **change.said)
                answer = await common.refusing(asked)
            unchanged = answer is not None and answer.result == "unchanged"
            operation = "not promoted" if unchanged else "promoted"
            await common.done(cluster, change, reference, operation, answer)

        await common.each(await _targets(cluster, words), one)

    common.run(work)


@click.command(cls=flags.Command)
@_WORDS
@common.changing
@options.namespaced
def abort(words: tuple[str, ...], change: common.Change) -> None:
    """Give a rollout up: back to the last revision that was complete, without steps.

    \b
    Examples:
      rollbook rollout abort deployment/web
      rollbook rollout abort deployment/web --cause="customers complain"
    """

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "aborter")
            answer = None
            if change.dry_run != "client":
                asked = cluster.abort(reference, **change.said)
                answer = await common.refusing(asked)
            await common.done(cluster, change, reference, "aborted", answer)

        await common.each(await _targets(cluster, words), one)

    common.run(work)


@click.command(cls=flags.Command)
@_WORDS
@click.option(
    "--auto-rollback",
    "triggers",
    metavar="LIST",
    help='What rolls back: deadline, crashes=N, analysis. "" takes it away.',
)
@click.option(
    "--steps",
    metavar="LIST",
    help='Where it holds: 10%, pause 5m, analyse, 50%, pause. "" takes it away.',
)
@click.option(
    "--analysis",
    "checks",
    metavar="FILE",
    help='A YAML or JSON file of checks; - is standard input. "" takes it away.',
)
@common.changing
@options.namespaced
def configure(
    words: tuple[str, ...],
    triggers: str | None,
    steps: str | None,
    checks: str | None,
    change: common.Change,
) -> None:
    """Say how the rollouts of a Deployment are watched, by its annotations.

    What is not given stays as it is. Without any of this a Deployment rolls out as
    Kubernetes does it.

    \b
    Examples:
      rollbook rollout configure deployment/web --auto-rollback=deadline,crashes=5
      rollbook rollout configure deployment/web --steps="10%, pause 5m, 50%, pause"
      rollbook rollout configure deployment/web --analysis=checks.yaml
      rollbook rollout configure deployment/web --steps=""
    """
    given = (
        (analysis.AUTO_ROLLBACK, triggers),
        (analysis.STEPS, steps),
        (analysis.ANALYSIS, None if checks is None else _read(checks)),
    )
    changes = {name: text or None for name, text in given if text is not None}
    if not changes:
        raise Failure("error: give one of --auto-rollback, --steps and --analysis")

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "configurer")
            answer = None
            if change.dry_run != "client":
                answer = await common.refusing(
                    cluster.annotate(reference, changes, overwrite=True, **change.said)
                )
            unchanged = answer is not None and answer.result == "unchanged"
            operation = "not configured" if unchanged else "configured"
            await common.done(cluster, change, reference, operation, answer)

        await common.each(await _targets(cluster, words), one)

    common.run(work)


VERBS: Final = (promote, abort, configure)


def _read(path: str) -> str:
    """The checks of a file as compact JSON; "" for no path. Raises `Failure`."""
    if not path:
        return ""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        found = analysis.parse_analysis(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"error: cannot read {path}: {error}") from error
    except analysis.Wrong as error:
        raise Failure(f"error: {path}: {error}") from error
    return msgspec.json.encode(found if found.on_failure else found.checks).decode()


async def _targets(cluster: Cluster, words: tuple[str, ...]) -> list[Reference]:
    choice = common.Choice(words=words)
    return list(await common.targets(cluster, choice, missing=_MISSING))


def _only_deployments(reference: Reference, what: str) -> None:
    if reference.kind != DEPLOYMENT:
        raise errors.Permanent(
            f'no {what} has been implemented for "{reference.kind.title}"'
        )
