"""`rollout status | history | undo | pause | resume | restart` (spec 6.3-6.5, 6.8)."""

import asyncio
from collections.abc import Sequence
from typing import Final

import click

from domain import errors, queries, times
from rollbook import durations, failures, printing, rollouts
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import DEPLOYMENT, Reference

_MISSING: Final = "error: required resource not specified"
_WORDS: Final = click.argument(
    "words", nargs=-1, metavar="TYPE/NAME…", shell_complete=common.complete_objects
)


@click.group(cls=flags.Group)
def rollout() -> None:
    """Watch, pause, restart or undo the rollouts of Deployments."""


@rollout.command()
@_WORDS
@click.option(
    "-w",
    "--watch/--no-watch",
    default=True,
    show_default=True,
    help="Until it is done.",
)
@click.option(
    "--timeout",
    default="0",
    metavar="DURATION",
    help="Give up after so long; 0 is never.",
)
@click.option(
    "--revision", type=int, default=0, help="Fail if another revision is rolled out."
)
@common.selecting
@options.namespaced
@click.pass_context
def status(
    ctx: click.Context,
    choice: common.Choice,
    watch: bool,
    timeout: str,
    revision: int,
) -> None:
    """Show how far a rollout is, until it is done.

    A bar on a terminal, kubectl's lines elsewhere.

    \b
    Examples:
      rollbook rollout status deployment/nginx
      rollbook rollout status deployment/nginx --timeout=60s --watch=false
    """
    if revision < 0:
        raise Failure(f"error: revision must be a positive integer: {revision}")
    patience = durations.parse(timeout) or None
    bar = watch and printing.is_terminal()
    color = options.color(ctx)

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "status viewer")
            if not watch:
                found = await cluster.get(reference)
                printing.say(rollouts.stage(found, revision=revision).text)
                return
            stages = cluster.rollout(reference, revision=revision)
            try:
                async with asyncio.timeout(patience):
                    if bar:
                        from rollbook import progress

                        await progress.draw(reference.name, stages, color=color)
                        return
                    async for stage in stages:
                        printing.say(stage.text)
            except TimeoutError:
                raise Failure("error: timed out waiting for the condition") from None

        found = await common.targets(cluster, choice, missing=_MISSING)
        if not found:
            common.nothing_found(cluster.namespace, everywhere=False)
        await common.each(found, one)

    common.run(work)


@rollout.command()
@_WORDS
@click.option("--revision", type=int, default=0, help="This one in detail.")
@click.option(
    "--all", "every", is_flag=True, help="Also those whose ReplicaSet is long gone."
)
@click.option(
    "-o",
    "--output",
    default="",
    metavar="FORMAT",
    help="wide adds when, who, from where and the result; json, yaml.",
)
@options.namespaced
def history(words: tuple[str, ...], revision: int, every: bool, output: str) -> None:
    """Show the revisions of a Deployment, with the cause of each.

    No revision is ever forgotten: --all shows those too whose ReplicaSet is gone, and
    each of them can be undone to.

    \b
    Examples:
      rollbook rollout history deployment/nginx
      rollbook rollout history deployment/nginx -o wide --all
      rollbook rollout history deployment/nginx --revision=2
    """
    if revision < 0:
        raise Failure(f"error: revision must be a positive integer: {revision}")
    if output not in ("", "wide", "json", "yaml"):
        raise Failure(common.bad_format(output, "json,wide,yaml"))

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "history viewer")
            rows = await cluster.history(reference)
            if revision:
                rows = tuple(row for row in rows if row.revision == revision)
                if not rows:
                    raise Failure("error: unable to find the specified revision")
            elif not every:
                rows = tuple(row for row in rows if row.present)
            _print_history(reference, rows, output, detailed=bool(revision))

        choice = common.Choice(words=words)
        found = await common.targets(cluster, choice, missing=_MISSING)
        await common.each(found, one)

    common.run(work)


def _print_history(
    reference: Reference,
    rows: Sequence[queries.RevisionRow],
    output: str,
    *,
    detailed: bool,
) -> None:
    if output == "json":
        printing.say(printing.as_json(rows))
    elif output == "yaml":
        printing.write(printing.as_yaml(rows).encode())
    elif detailed:
        printing.say(f"{reference} with revision #{rows[0].revision}")
        printing.say(template(rows[0]))
    else:
        printing.say(f"{reference} ")
        for line in history_lines(rows, wide=output == "wide"):
            printing.say(line)
        printing.say("")


def history_lines(
    rows: Sequence[queries.RevisionRow], *, wide: bool = False
) -> list[str]:
    """The table of spec 6.4; `wide` adds when, who, from where, and what came of it."""
    if not rows:
        return ["No rollout history found."]
    headers = ["REVISION", "CHANGE-CAUSE"]
    cells = [[str(row.revision), row.cause or printing.NONE] for row in rows]
    if wide:
        headers += ["WHEN", "WHO", "FROM", "RESULT"]
        for row, line in zip(rows, cells, strict=True):
            when = times.rfc3339_seconds(row.when) if row.when else printing.NONE
            line += [when]
            line += [each or printing.NONE for each in (row.who, row.from_, row.result)]
    return printing.table(headers, cells, padding=printing.HISTORY_PADDING)


def template(row: queries.RevisionRow) -> str:
    """The Pod Template block, which ends with an end of line."""
    text = row.template.rstrip("\n") + "\n"
    return text if text.startswith("Pod Template:") else f"Pod Template:\n{text}"


@rollout.command()
@_WORDS
@click.option(
    "--to-revision", type=int, default=0, help="This one; 0 is the one before."
)
@common.changing
@options.namespaced
def undo(words: tuple[str, ...], to_revision: int, change: common.Change) -> None:
    """Run the template of an earlier revision again, however old it is.

    \b
    Examples:
      rollbook rollout undo deployment/nginx
      rollbook rollout undo deployment/nginx --to-revision=2
      rollbook rollout undo deployment/nginx --dry-run=client
    """
    if to_revision < 0:
        raise Failure(
            f"error: unable to find specified revision {to_revision} in history"
        )

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "rollbacker")
            if change.dry_run == "client":
                rows = await cluster.history(reference)
                row = undone_to(reference, rows, to_revision)
                printing.say(f"{reference} {template(row)}\n (dry run)")
                return
            answer = await common.refusing(
                cluster.undo(reference, to_revision=to_revision, **change.said),
                f"failed restoring revision {to_revision}: ",
            )
            operation = "rolled back"
            if answer.result == "unchanged":
                operation = answer.message or (
                    "skipped rollback (current template already matches revision "
                    f"{to_revision})"
                )
            await common.done(cluster, change, reference, operation, answer)

        found = await common.targets(
            cluster, common.Choice(words=words), missing=_MISSING
        )
        await common.each(found, one)

    common.run(work)


def undone_to(
    reference: Reference, rows: Sequence[queries.RevisionRow], revision: int
) -> queries.RevisionRow:
    """The revision that an undo goes to. Raises `Failure` as spec 6.8 says."""
    by_number = {row.revision: row for row in rows}
    if revision:
        if revision not in by_number:
            raise Failure(
                f"error: unable to find specified revision {revision} in history"
            )
        return by_number[revision]
    present = sorted(row.revision for row in rows if row.present)
    if len(present) < 2:
        raise Failure(
            f'error: no rollout history found for deployment "{reference.name}"'
        )
    return by_number[present[-2]]


def _simple(verb: str, done: str, doing: str, help_text: str, example: str) -> None:
    """Declare one of the verbs that only name what they act on."""

    @rollout.command(verb, help=f"{help_text}\n\n\b\nExamples:\n  {example}")
    @_WORDS
    @common.selecting
    @common.changing
    @options.namespaced
    def command(
        choice: common.Choice,
        change: common.Change,
    ) -> None:

        async def work(cluster: Cluster) -> None:
            acts = {
                "pause": cluster.pause,
                "resume": cluster.resume,
                "restart": cluster.restart,
            }

            async def one(reference: Reference) -> None:
                if reference.kind != DEPLOYMENT:
                    raise Failure(
                        f'error: {reference.kind.resource} "{reference.name}" '
                        f"{doing} is not supported"
                    )
                answer = None
                if change.dry_run != "client":
                    try:
                        answer = await acts[verb](reference, **change.said)
                    except errors.Rejected as error:
                        raise _refused(reference, error) from error
                await common.done(cluster, change, reference, done, answer)

            found = await common.targets(cluster, choice, missing=_MISSING)
            await common.each(found, one)

        common.run(work)


_simple(
    "pause", "paused", "pausing",
    "Start no rollout until resumed; changes are collected.",
    "rollbook rollout pause deployment/nginx",
)  # fmt: skip
_simple(
    "resume", "resumed", "resuming",
    "Roll out what was changed since the pause.",
    "rollbook rollout resume deployment/nginx",
)  # fmt: skip
_simple(
    "restart", "restarted", "restarting",
    "Replace all pods by new ones, as a rolling update.",
    "rollbook rollout restart deployment/nginx",
)  # fmt: skip


def _refused(reference: Reference, error: errors.Rejected) -> Exception:
    """kubectl's words: it makes a patch, and tells of it (spec 6.5)."""
    if error.message.startswith("if restart has already been triggered"):
        return Failure(
            f"error: failed to create patch for {reference.name}: {error.message}"
        )
    return failures.plain(error, "failed to patch: ")


def _only_deployments(reference: Reference, what: str) -> None:
    if reference.kind != DEPLOYMENT:
        raise errors.Permanent(
            f'no {what} has been implemented for "{reference.kind.title}"'
        )
