"""`archive`: the beginning of the log in compressed files, and out of the store."""

import os
import time
from pathlib import Path
from typing import Final

import click

from adapters import context as contexts
from rollbook import archiving, durations, printing, settings, stores
from rollbook.archiving import Outcome
from rollbook.commands import common, flags, options, verify
from rollbook.failures import Failure

_PATH: Final = click.Path(path_type=Path, file_okay=False)


@click.command(cls=flags.Command)
@click.option(
    "--store",
    envvar=settings.STORE,
    default="",
    metavar="URL",
    help="The event store; that of the context otherwise.",
)
@click.option(
    "--to",
    "folder",
    type=_PATH,
    required=True,
    metavar="FOLDER",
    help="Where the archive lies; one that is there is continued.",
)
@click.option(
    "--until",
    type=click.IntRange(1),
    default=None,
    metavar="POSITION",
    help="Only up to there.",
)
@click.option(
    "--older-than",
    "age",
    default="",
    metavar="AGE",
    help="Only what is older: 30d, 12h.",
)
@click.option(
    "--remove",
    is_flag=True,
    help="Then take it out of the store; control must be stopped.",
)
@click.option(
    "-o", "--output", default="table", metavar="FORMAT", help="table or json."
)
@options.everywhere
@click.pass_context
def archive(
    ctx: click.Context,
    store: str,
    folder: Path,
    until: int | None,
    age: str,
    remove: bool,
    output: str,
) -> None:
    """Write the log into compressed files, and continue them later.

    What was written is read back and compared with the log's seals. With --remove the
    store no longer holds it, but knows where it is: history, why, --at and verify go on
    as before while the archive is where it was.

    \b
    Examples:
      rollbook archive --to /backup/rollbook
      rollbook archive --to /backup/rollbook --older-than 30d --remove
      rollbook verify --archive /backup/rollbook
    """
    if output not in ("table", "json"):
        raise Failure(common.bad_format(output, "json"))
    if until is not None and age:
        raise Failure("error: --until and --older-than: one of both, not both")
    seconds = durations.parse(age) if age else None
    if seconds is not None and seconds < 0:
        raise Failure(f"error: --older-than {age}: it must not be negative")
    done = archiving.run(
        _store(ctx, store),
        folder,
        until=until,
        before=None if seconds is None else time.time() - seconds,
        remove=remove,
        progress=verify.progress(),
    )
    if output == "json":
        printing.say(printing.as_json(_document(done)))
    else:
        for line in _lines(done, remove):
            printing.say(line)


def _store(ctx: click.Context, store: str) -> str:
    """The URL that was named, or that of the context."""
    if store:
        return store
    found = contexts.load_context(options.context_file(ctx), os.environ)
    return stores.needed(found)


def _document(done: Outcome) -> dict[str, object]:
    return {
        "first": done.first,
        "last": done.last,
        "added": [
            {
                "file": each.file,
                "first": each.first,
                "last": each.last,
                "bytes": each.bytes,
                "sha256": each.sha256,
            }
            for each in done.segments
        ],
        "removed": done.removed,
        "storeBeginsAt": done.kept_from,
    }


def _lines(done: Outcome, remove: bool) -> list[str]:
    said = []
    if done.segments:
        first, last = done.segments[0].first, done.segments[-1].last
        count = len(done.segments)
        rate = done.events / max(done.write_seconds, 1e-6)
        said.append(
            f"archived positions {first}–{last} in {count} "
            f"segment{'s' if count > 1 else ''}: {done.bytes:,} bytes, "
            f"{done.bytes / done.events:.1f} an event, {rate:,.0f} events/s"
        )
    elif done.last:
        said.append(f"nothing to add: the archive holds positions 1–{done.last}")
    else:
        said.append("nothing to archive yet")
    if done.removed:
        said.append(
            f"removed {done.removed:,} events from the store, which begins at position "
            f"{done.kept_from} now"
        )
        if done.not_shrunk:
            said.append(f"its file is as large as before: {done.not_shrunk}")
    elif remove:
        said.append("nothing to remove from the store")
    return said
