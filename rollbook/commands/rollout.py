"""`rollout status | history | tag | undo | …` (spec 6.3-6.5, 6.8); tags are ours."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import click
from click.core import ParameterSource

from domain import errors, queries
from rollbook import durations, failures, printing, revisions, rollouts
from rollbook.client import Cluster
from rollbook.commands import common, flags, options, rollout_steps
from rollbook.failures import Failure
from rollbook.references import DEPLOYMENT, Reference

_MISSING: Final = "error: required resource not specified"
_WORDS: Final = click.argument(
    "words", nargs=-1, metavar="TYPE/NAME…", shell_complete=common.complete_objects
)


@click.group(cls=flags.Group)
@options.namespaced
def rollout() -> None:
    """Watch, pause, restart or undo the rollouts of Deployments.

    \b
    Examples:
      rollbook rollout status deployment/nginx
      rollbook rollout history deployment/nginx -o wide
      rollbook rollout undo deployment/nginx
    """


@rollout.command()
@_WORDS
@click.option(
    "-w",
    "--watch/--no-watch",
    default=True,
    help="Until it is done, or only how it is now; it watches if nothing is said.",
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
@common.past
@common.selecting
@options.namespaced
@click.pass_context
def status(
    ctx: click.Context,
    choice: common.Choice,
    watch: bool,
    timeout: str,
    revision: int,
    at: queries.Moment | None,
) -> None:
    """Show how far a rollout is, until it is done; with --at how far it was.

    A bar on a terminal, kubectl's lines elsewhere.

    \b
    Examples:
      rollbook rollout status deployment/nginx
      rollbook rollout status deployment/nginx --timeout=60s --watch=false
      rollbook rollout status deployment/nginx --at 10m
    """
    if at is not None:
        if ctx.get_parameter_source("watch") is ParameterSource.COMMANDLINE and watch:
            common.only_now(at, "--watch")
        watch = False
    if revision < 0:
        raise Failure(f"error: revision must be a positive integer: {revision}")
    patience = durations.parse(timeout) or None
    bar = watch and printing.is_terminal()
    color = options.color(ctx)

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "status viewer")
            if not watch:
                found = await cluster.get(reference, at=at)
                now = time.time() if at is None else None
                printing.say(rollouts.stage(found, revision=revision, now=now).text)
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

        found = await common.targets(cluster, choice, missing=_MISSING, at=at)
        if not found:
            common.nothing_found(cluster.namespace, everywhere=False)
        await common.each(found, one)

    common.run(work)


@rollout.command()
@_WORDS
@click.option(
    "--revision",
    default="0",
    metavar="N|TAG",
    help="This one in detail; with -o wide also what it changed.",
)
@click.option(
    "--diff",
    nargs=2,
    default=None,
    metavar="N|TAG M|TAG",
    help="What differs between the templates of two revisions.",
)
@click.option(
    "--all", "every", is_flag=True, help="Also those whose ReplicaSet is long gone."
)
@click.option(
    "-o",
    "--output",
    default="",
    metavar="FORMAT",
    help="wide adds when, who, from where, the result, how long and the tags; "
    "json, yaml.",
)
@common.past
@options.namespaced
@click.pass_context
def history(
    ctx: click.Context,
    words: tuple[str, ...],
    revision: str,
    diff: tuple[str, str] | None,
    every: bool,
    output: str,
    at: queries.Moment | None,
) -> None:
    """Show the revisions of a Deployment, with the cause of each.

    No revision is ever forgotten: --all shows those too whose ReplicaSet is gone, and
    each of them can be undone to.

    \b
    Examples:
      rollbook rollout history deployment/nginx
      rollbook rollout history deployment/nginx -o wide --all
      rollbook rollout history deployment/nginx --revision=2
      rollbook rollout history deployment/nginx --diff 2 3
    """
    one = revisions.which(revision)
    two = tuple(revisions.which(each) for each in diff or ())
    if output not in ("", "wide", "json", "yaml"):
        raise Failure(common.bad_format(output, "json,wide,yaml"))
    if two and (one or every or output):
        raise Failure("error: --diff shows the difference of two revisions only")
    color = printing.is_terminal() and options.color(ctx)

    async def work(cluster: Cluster) -> None:
        async def show(reference: Reference) -> None:
            _only_deployments(reference, "history viewer")
            if two:
                rows = await cluster.revisions(reference, *two, at=at)
                old, new = (_found(rows, each) for each in two)
                _print_diff(reference, old, new, color=color)
            elif one:
                rows = await cluster.revisions(
                    reference, one, before=output == "wide", at=at
                )
                _print_one(reference, rows, _found(rows, one), output, color=color)
            else:
                documents = output in ("json", "yaml")
                rows = await cluster.history(
                    reference, present=not every, templates=documents, at=at
                )
                _print_all(reference, rows, output)
                if not documents and not every:
                    _hint_at_older(rows)

        choice = common.Choice(words=words)
        found = await common.targets(cluster, choice, missing=_MISSING)
        await common.each(found, show)

    common.run(work)


def _found(
    rows: Sequence[queries.RevisionRow], which: int | str
) -> queries.RevisionRow:
    row = revisions.find(rows, which)
    if row is None:
        raise Failure("error: unable to find the specified revision")
    return row


def _print_all(
    reference: Reference, rows: Sequence[queries.RevisionRow], output: str
) -> None:
    if _print_documents(rows, output):
        return
    printing.say(f"{reference} ")
    for line in revisions.lines(rows, wide=output == "wide"):
        printing.say(line)
    printing.say("")


def _hint_at_older(rows: Sequence[queries.RevisionRow]) -> None:
    """Tell a person, and no script, that there are more than kubectl would list."""
    if rows and len(rows) < rows[-1].revision and printing.is_person_told():
        printing.talk("Revisions whose ReplicaSet is gone are listed by --all.")


def _print_one(
    reference: Reference,
    rows: Sequence[queries.RevisionRow],
    row: queries.RevisionRow,
    output: str,
    *,
    color: bool,
) -> None:
    """`row`, the last of `rows`; before it is the one that it came after."""
    if _print_documents([row], output):
        return
    printing.say(f"{reference} with revision #{row.revision}")
    printing.say(revisions.template(row))
    if output == "wide" and len(rows) > 1:
        _print_diff(reference, rows[0], row, color=color)


def _print_documents(rows: Sequence[queries.RevisionRow], output: str) -> bool:
    """Whether documents were asked for; they are printed then."""
    if output == "json":
        printing.say(printing.as_json([revisions.document(row) for row in rows]))
    elif output == "yaml":
        documents = [revisions.document(row) for row in rows]
        printing.write(printing.as_yaml(documents).encode())
    return output in ("json", "yaml")


def _print_diff(
    reference: Reference,
    old: queries.RevisionRow,
    new: queries.RevisionRow,
    *,
    color: bool,
) -> None:
    diff = revisions.difference(str(reference), old, new)
    for line in revisions.colored(diff) if color else diff:
        printing.say(line)


@rollout.command()
@_WORDS
@click.option(
    "--revision",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="This one; without it the current one.",
)
@click.option("--overwrite", is_flag=True, help="Move a tag from another revision.")
@click.option("--remove", is_flag=True, help="Take the tag away.")
@common.changing
@options.namespaced
def tag(
    words: tuple[str, ...],
    revision: int,
    overwrite: bool,
    remove: bool,
    change: common.Change,
) -> None:
    """Give a revision a name, to find it and to undo to it by.

    A name is a DNS label and stands for one revision of its Deployment.

    \b
    Examples:
      rollbook rollout tag deployment/nginx stable
      rollbook rollout tag deployment/nginx stable --revision=2 --overwrite
      rollbook rollout tag deployment/nginx stable --remove
      rollbook rollout undo deployment/nginx --to=stable
    """
    if len(words) < 2:
        raise Failure("error: a Deployment and a tag are required: TYPE/NAME TAG")
    *names, name = words
    done = "untagged" if remove else "tagged"

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "tagger")
            answer = None
            if change.dry_run != "client":
                asked = (
                    cluster.untag(reference, name, revision=revision, **change.said)
                    if remove
                    else cluster.tag(
                        reference,
                        name,
                        revision=revision,
                        overwrite=overwrite,
                        **change.said,
                    )
                )
                answer = await common.refusing(asked)
            unchanged = answer is not None and answer.result == "unchanged"
            operation = f"not {done}" if unchanged else done
            await common.done(cluster, change, reference, operation, answer)

        choice = common.Choice(words=tuple(names))
        found = await common.targets(cluster, choice, missing=_MISSING)
        await common.each(found, one)

    common.run(work)


@rollout.command()
@_WORDS
@click.option(
    "--to-revision",
    default="0",
    metavar="N|TAG",
    help="This one; 0 is the one before.",
)
@click.option("--to", "tagged", default="", metavar="TAG", help="The one of this tag.")
@common.changing
@options.namespaced
def undo(
    words: tuple[str, ...], to_revision: str, tagged: str, change: common.Change
) -> None:
    """Run the template of an earlier revision again, however old it is.

    \b
    Examples:
      rollbook rollout undo deployment/nginx
      rollbook rollout undo deployment/nginx --to-revision=2
      rollbook rollout undo deployment/nginx --to=stable
      rollbook rollout undo deployment/nginx --dry-run=client
    """
    if to_revision.startswith("-"):
        raise Failure(
            f"error: unable to find specified revision {to_revision} in history"
        )
    which: int | str = revisions.which(to_revision)
    if tagged and which:
        raise Failure("error: only one of --to and --to-revision may be given")
    which = tagged or which

    async def work(cluster: Cluster) -> None:
        async def one(reference: Reference) -> None:
            _only_deployments(reference, "rollbacker")
            if change.dry_run == "client":
                row = await _undone_to(cluster, reference, which)
                printing.say(f"{reference} {revisions.template(row)}\n (dry run)")
                return
            answer = await common.refusing(
                cluster.undo(
                    reference,
                    to_revision=which if isinstance(which, int) else 0,
                    to=which if isinstance(which, str) else "",
                    **change.said,
                ),
                f"failed restoring revision {which}: ",
            )
            operation = "rolled back"
            if answer.result == "unchanged":
                operation = answer.message or (
                    f"skipped rollback (current template already matches revision "
                    f"{which})"
                )
            await common.done(cluster, change, reference, operation, answer)

        found = await common.targets(
            cluster, common.Choice(words=words), missing=_MISSING
        )
        await common.each(found, one)

    common.run(work)


async def _undone_to(
    cluster: Cluster, reference: Reference, which: int | str
) -> queries.RevisionRow:
    """The revision that an undo goes to. Raises `Failure` as spec 6.8 says."""
    if which:
        row = revisions.find(await cluster.revisions(reference, which), which)
        if row is None:
            what = f'tag "{which}"' if isinstance(which, str) else f"revision {which}"
            raise Failure(f"error: unable to find specified {what} in history")
        return row
    rows = await cluster.revisions(reference, before=True)
    if len(rows) < 2:
        raise Failure(
            f'error: no rollout history found for deployment "{reference.name}"'
        )
    return rows[0]


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


for _verb in rollout_steps.VERBS:
    rollout.add_command(_verb)


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
