"""`annotate` and `label`."""

from collections.abc import Mapping
from typing import Final

import click
import msgspec

from rollbook import conditions, printing
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import Reference

_LIST: Final = click.option("--list", "listing", is_flag=True, help="Only print them.")
_OVERWRITE: Final = click.option(
    "--overwrite", is_flag=True, help="Replace a value that is there."
)
_WORDS: Final = click.argument(
    "words", nargs=-1, metavar="TYPE NAME… KEY=VALUE… KEY-…",
    shell_complete=common.complete_objects,
)  # fmt: skip


@click.command(cls=flags.Command)
@_WORDS
@_OVERWRITE
@_LIST
@common.selecting
@common.changing
@options.namespaced
def annotate(
    choice: common.Choice,
    overwrite: bool,
    listing: bool,
    change: common.Change,
) -> None:
    """Set annotations, or remove them (KEY-).

    \b
    Examples:
      rollbook annotate deployment/nginx team=web
      rollbook annotate deployment/nginx kubernetes.io/change-cause="image updated"
      rollbook annotate deployment nginx team-
    """
    choice, changes = _changes_of(choice, "annotation")
    if not changes and not listing:
        raise Failure("error: at least one annotation update is required")

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            if listing:
                await _list(cluster, reference, "annotations")
                return
            answer = None
            if change.dry_run != "client":
                answer = await common.refusing(
                    cluster.annotate(
                        reference, changes, overwrite=overwrite, **change.said
                    )
                )
            await common.done(cluster, change, reference, "annotated", answer)

        await common.each(await common.targets(cluster, choice), one)

    common.run(work)


@click.command(cls=flags.Command)
@_WORDS
@_OVERWRITE
@_LIST
@common.selecting
@common.changing
@options.namespaced
def label(
    choice: common.Choice,
    overwrite: bool,
    listing: bool,
    change: common.Change,
) -> None:
    """Set labels, or remove them (KEY-).

    \b
    Examples:
      rollbook label deployment nginx tier=web
      rollbook label pods -l app=nginx canary=true --overwrite
      rollbook label node worker-1 disk-
    """
    choice, changes = _changes_of(choice, "label")
    if not changes and not listing:
        raise Failure("error: at least one label update is required")

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            if listing:
                await _list(cluster, reference, "labels")
                return
            before = await cluster.get(reference)
            for key in absent(changes, conditions.map_at(before, "metadata", "labels")):
                printing.talk(f'label "{key}" not found.')
            answer = None
            if change.dry_run != "client":
                answer = await common.refusing(
                    cluster.label(
                        reference, changes, overwrite=overwrite, **change.said
                    )
                )
            unchanged = answer is not None and answer.result == "unchanged"
            operation = "not labeled" if unchanged else operation_of(changes)
            await common.done(cluster, change, reference, operation, answer)

        await common.each(await common.targets(cluster, choice), one)

    common.run(work)


def split_changes(
    words: tuple[str, ...], in_files: bool, what: str
) -> tuple[tuple[str, ...], dict[str, str | None]]:
    """The resources, and the changes behind them: `key=value`, or `key-` to remove.

    Raises `Failure` with kubectl's words for a mistake.
    """
    both = f"error: can not both modify and remove a {what} in the same command"
    resources: list[str] = []
    changes: dict[str, str | None] = {}
    for word in words:
        removes = word.endswith("-") and "=" not in word  # no name ends like that
        if "=" in word:
            key, _, value = word.partition("=")
            if not key:
                raise Failure(f"error: invalid {what} spec: {word}")
            if changes.get(key, value) != value:
                raise Failure(both)
            changes[key] = value
        elif removes and (resources or in_files):
            if word[:-1] in changes:
                raise Failure(both)
            changes[word[:-1]] = None
        elif changes:
            raise Failure(
                f"error: all resources must be specified before {what} changes: {word}"
            )
        else:
            resources.append(word)
    return tuple(resources), changes


def operation_of(changes: Mapping[str, str | None]) -> str:
    """`unlabeled` where labels were only removed, else `labeled`."""
    return "labeled" if any(v is not None for v in changes.values()) else "unlabeled"


def absent(
    changes: Mapping[str, str | None], present: Mapping[str, object]
) -> list[str]:
    """The keys to be removed that are not there."""
    return [
        key for key, value in changes.items() if value is None and key not in present
    ]


def _changes_of(
    choice: common.Choice, what: str
) -> tuple[common.Choice, dict[str, str | None]]:
    resources, changes = split_changes(choice.words, bool(choice.files), what)
    return msgspec.structs.replace(choice, words=resources), changes


async def _list(cluster: Cluster, reference: Reference, field: str) -> None:
    found = conditions.map_at(await cluster.get(reference), "metadata", field)
    for key, value in sorted(found.items()):
        printing.say(f"{key}={value}")
