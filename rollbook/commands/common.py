"""What verbs that talk to a cluster share: running, selecting, telling."""

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Literal, TypeVar, cast

import click
import msgspec

from domain import errors
from domain.protocol import Answer
from rollbook import client, failures, moments, printing, references, settings
from rollbook.client import Cluster
from rollbook.commands import options
from rollbook.failures import Failure
from rollbook.references import Kind, Reference, parse_selection
from rollbook.session import Said

T = TypeVar("T")
DryRun = Literal["none", "client", "server"]

SOME_NAME: Final = (
    "error: one or more resources must be specified as <resource> <name> or "
    "<resource>/<name>"
)
_SUFFIXES: Final = {"none": "", "client": " (dry run)", "server": " (server dry run)"}
_PATIENCE_SECONDS: Final = 1.5
"""How long a person waits for a broker in silence."""
RECORD_WARNING: Final = (
    "Flag --record has been deprecated, --record will be removed in the future"
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What every verb that changes something may be told."""

    cause: str = ""
    dry_run: DryRun = "none"
    output: str = ""

    @property
    def said(self) -> Said:
        """The same for the client."""
        return Said(cause=self.cause, dry_run=self.dry_run == "server")


def run(work: Callable[[Cluster], Awaitable[T]]) -> T:
    """The result of `work`, done with the cluster that the command line names."""
    ctx = click.get_current_context()
    seconds = settings.seconds(os.environ, settings.TIMEOUT, settings.COMMAND_SECONDS)

    async def connected() -> T:
        waiting = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, _say_waiting)
        try:
            async with client.connect(
                options.context_file(ctx),
                namespace=options.namespace(ctx),
                seconds=seconds,
                source=options.command_line(ctx),
            ) as cluster:
                waiting.cancel()
                return await work(cluster)
        finally:
            waiting.cancel()

    return asyncio.run(connected())


def _say_waiting() -> None:
    """Tell a person, and no script, that nobody has answered yet."""
    if printing.is_person_told():
        printing.talk("The cluster does not answer yet; Ctrl-C gives up.")


def changing(function: Callable[..., None]) -> Callable[..., None]:
    """`--cause`, `--record`, `--dry-run` and `-o`, as the argument `change`."""

    @functools.wraps(function)
    def wrapped(
        cause: str, record: bool, dry_run: DryRun, output: str, **rest: object
    ) -> None:
        ctx = click.get_current_context()
        if record:
            printing.talk(RECORD_WARNING)
            cause = cause or options.recorded(ctx)
        change = Change(cause=cause, dry_run=dry_run, output=output)
        function(change=change, **rest)

    decorated: Callable[..., None] = wrapped
    for option in (
        click.option(
            "-o", "--output", default="", metavar="FORMAT",
            shell_complete=complete_formats("name", "json", "yaml"),
            help="name, json or yaml instead of the sentence.",
        ),
        click.option(
            "--dry-run", type=click.Choice(["none", "client", "server"]),
            default="none", is_flag=False, flag_value="client",
            help="Only say what would be done; `server` lets the server judge it.",
        ),
        click.option(
            "--record", is_flag=True, help="Deprecated: the command line is the cause.",
        ),
        click.option(
            "--cause", default="", metavar="TEXT",
            help="What the change is for; `rollout history` shows it.",
        ),
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated


def from_files(function: Callable[..., None]) -> Callable[..., None]:
    """`-f` and `-R` of verbs that make objects: the arguments of `load`."""
    recursive = click.option(
        "-R", "--recursive", is_flag=True, help="Folders in folders too."
    )
    files = click.option(
        "-f", "--filename", "files", multiple=True, metavar="FILE",
        help="A file or a folder of manifests; - is standard input.",
    )  # fmt: skip
    return files(recursive(function))


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What the words and options of a command line say about its objects."""

    words: tuple[str, ...] = ()
    selector: str = ""
    everything: bool = False
    files: tuple[str, ...] = ()
    recursive: bool = False


def selecting(function: Callable[..., None]) -> Callable[..., None]:
    """`-l`, `--all`, `-f` and `-R`, with the words as the argument `choice`."""

    @functools.wraps(function)
    def wrapped(
        words: tuple[str, ...],
        selector: str,
        everything: bool,
        files: tuple[str, ...],
        recursive: bool,
        **rest: object,
    ) -> None:
        choice = Choice(
            words=words, selector=selector, everything=everything,
            files=files, recursive=recursive,
        )  # fmt: skip
        function(choice=choice, **rest)

    decorated: Callable[..., None] = wrapped
    for option in (
        click.option("-R", "--recursive", is_flag=True, help="Folders in folders too."),
        click.option(
            "-f", "--filename", "files", multiple=True, metavar="FILE",
            help="Manifests that name the objects; - is standard input.",
        ),
        click.option("--all", "everything", is_flag=True, help="All of the type."),
        click.option(
            "-l", "--selector", default="", metavar="SELECTOR",
            help="Those with such labels: app=web,tier!=db.",
        ),
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated


def past(function: Callable[..., None]) -> Callable[..., None]:
    """`--at`, as the argument `at`: a moment, or None for now."""
    option = click.option(
        "--at", type=moments.WHEN, default=None, metavar="WHEN",
        help="The state of then: a position, a time, or how long ago (5m).",
    )  # fmt: skip
    return option(function)


def only_now(at: object, switch: str) -> None:
    """Refuse `--at` beside a switch that speaks of what is to come."""
    if at is not None:
        text = f"--at shows one moment of the past, {switch} what is to come: give one"
        raise click.UsageError(text)


async def targets(
    cluster: Cluster,
    choice: Choice,
    *,
    missing: str = SOME_NAME,
    at: moments.When | None = None,
) -> list[Reference]:
    """The objects that are meant, in the order of the command line; at `at` there.

    Raises `Failure(missing)` if it names none, and kubectl's words for other mistakes.
    """
    if choice.files:
        manifests = load(choice.files, recursive=choice.recursive)
        return [named_by(cluster, *each) for each in manifests]
    selection = parse_selection(choice.words, cluster.namespace)
    if selection.references:
        if choice.selector or choice.everything:
            raise Failure(
                "error: name cannot be provided when a selector or --all is specified"
            )
        return list(selection.references)
    if not selection.kinds:
        raise Failure(missing)
    if not (choice.selector or choice.everything):
        raise Failure("error: resource(s) were provided, but no name was specified")
    return [
        reference
        for kind in selection.kinds
        for reference in await listed(cluster, kind, choice.selector, at=at)
    ]


async def listed(
    cluster: Cluster,
    kind: Kind,
    selector: str = "",
    fields: str = "",
    *,
    at: moments.When | None = None,
) -> list[Reference]:
    """The objects of a kind, by name."""
    table = await cluster.table(
        kind, selector=selector, field_selector=fields, format="name", at=at
    )
    return [references.at(kind, row.name, row.namespace) for row in table.rows]


def load(
    files: Sequence[str], *, recursive: bool = False
) -> list[tuple[str, client.Object]]:
    """(source, manifest) of every object in the files. Raises `Failure`."""
    from rollbook import manifests

    stdin = sys.stdin.read() if manifests.STDIN in files else ""
    try:
        loaded = manifests.load_files(files, recursive=recursive, stdin=stdin)
    except errors.Rejected as error:
        raise Failure(f"error: {error.message}") from error
    if not loaded:
        raise Failure("error: no objects passed: the files are empty")
    return [(each.source, each.raw) for each in loaded]


def named_by(cluster: Cluster, source: str, manifest: client.Object) -> Reference:
    """The object that the manifest from the file `source` is about. Raises `Failure`
    for one of no kind that there is."""
    try:
        return cluster.of_manifest(manifest)
    except errors.Rejected as error:
        text = f'error: unable to recognize "{source}": {error.message}'
        raise Failure(text) from None


async def each(references: Iterable[T], act: Callable[[T], Awaitable[None]]) -> None:
    """Do it for each, past failures; then raise the failure, or all of them as one."""
    failed: list[Exception] = []
    for reference in references:
        try:
            await act(reference)
        except errors.RollbookError as error:
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if (together := failures.together(failed)) is not None:
        raise together


async def done(
    cluster: Cluster,
    change: Change,
    reference: Reference,
    operation: str,
    answer: Answer | None = None,
) -> None:
    """Say what was done, with the server's warnings on standard error (spec 6.1)."""
    if answer is not None:
        for warning in answer.warnings:
            printing.talk(f"Warning: {warning}")
        if answer.name and answer.name != reference.name:
            reference = references.at(reference.kind, answer.name, reference.namespace)
    match change.output:
        case "":
            printing.say(f"{reference} {operation}{_SUFFIXES[change.dry_run]}")
        case "name":
            printing.say(str(reference))
        case "json":
            printing.say(printing.as_json(await cluster.get(reference)))
        case "yaml":
            printing.write(printing.as_yaml(await cluster.get(reference)).encode())
        case other:
            raise Failure(bad_format(other, "json,name,yaml"))


def bad_format(given: str, allowed: str) -> str:
    """kubectl's words for an unknown `-o`."""
    return (
        f'error: unable to match a printer suitable for the output format "{given}", '
        f"allowed formats are: {allowed}"
    )


def nothing_found(namespace: str, *, everywhere: bool) -> None:
    """Say that a list is empty, on standard error (spec 6.2)."""
    where = "" if everywhere else f" in {namespace} namespace."
    printing.talk(f"No resources found{where}")


async def refusing(work: Awaitable[T], doing: str = "") -> T:
    """The result of `work`; a refusal as a verb says it that kubectl would look up."""
    try:
        return await work
    except errors.Rejected as error:
        raise failures.plain(error, doing) from error


def complete_objects(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[str]:
    """Shell completion of `TYPE NAME` and `TYPE/NAME`."""
    from rollbook import completion

    given = cast("tuple[str, ...] | str | None", ctx.params.get(param.name or "")) or ()
    words = (given,) if isinstance(given, str) else given
    return completion.objects(ctx, words, incomplete)


def complete_names(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[str]:
    """Shell completion of the NAME behind an argument `kind`."""
    from rollbook import completion

    return completion.objects(ctx, (str(ctx.params.get("kind", "")),), incomplete)


def complete_formats(
    *names: str,
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Shell completion of an `-o` that takes these."""
    return lambda _ctx, _param, incomplete: [
        name for name in names if name.startswith(incomplete)
    ]
