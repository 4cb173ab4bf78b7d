"""`verify`: does the log still say what was committed and signed?"""

import asyncio
import gc
import os
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import click
import msgspec

from adapters import checkpoints, eventstore
from adapters import context as contexts
from adapters.archive_log import ArchivedLog
from adapters.checkpoints import Damaged, PublicKey
from adapters.eventlog import EventLog
from domain import errors, queries, seals
from projections import digests
from rollbook import (
    archiving,
    examining,
    printing,
    proofs,
    settings,
    stores,
    verdicts,
    verifying,
)
from rollbook.commands import flags, options
from rollbook.failures import Failure
from rollbook.folding import Folding
from rollbook.verdicts import Report
from rollbook.verifying import Examination, Signed

LIVE_SECONDS: Final = 10.0
KNOCK_SECONDS: Final = 3.0
_PATH: Final = click.Path(path_type=Path)


class Place(NamedTuple):
    """Where the log is, and where the word of its signer is."""

    store: str
    notes: Path | None
    key: Path | None


@click.command(cls=flags.Command)
@click.option(
    "--store",
    envvar=settings.STORE,
    default="",
    metavar="URL",
    help="The event store; that of the context otherwise.",
)
@click.option(
    "--from",
    "first",
    type=click.IntRange(1),
    default=1,
    metavar="POSITION",
    help="Only from the step of this position on.",
)
@click.option(
    "--checkpoint",
    "notes",
    type=_PATH,
    default=None,
    metavar="FILE",
    help="Checkpoints that were kept elsewhere; the data folder's otherwise.",
)
@click.option(
    "--public-key",
    "key",
    type=_PATH,
    default=None,
    metavar="FILE",
    help="The signer's public key; the data folder's otherwise.",
)
@click.option(
    "--archive",
    "folder",
    type=_PATH,
    default=None,
    metavar="FOLDER",
    help="An archive, alone; with --store, together with the store it was taken from.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Do not read and fold each event, only hash it.",
)
@click.option(
    "--proof",
    type=click.IntRange(1),
    default=None,
    metavar="POSITION",
    help="Print the proof that this event is in the log, and nothing else.",
)
@click.option(
    "--check-proof",
    type=_PATH,
    default=None,
    metavar="FILE",
    help="Check such a proof, without the log.",
)
@click.option(
    "-o", "--output", default="table", metavar="FORMAT", help="table or json."
)
@options.everywhere
@click.pass_context
def verify(
    ctx: click.Context, store: str, first: int, notes: Path | None, key: Path | None,
    folder: Path | None, quick: bool, proof: int | None, check_proof: Path | None,
    output: str,
) -> None:  # fmt: skip
    """Examine the whole log: seals, signatures, causes, and what it folds to.

    It only reads, and works while the system runs as well as when it is stopped. Exit
    status 0 if all is good, 1 if anything is not.

    \b
    Examples:
      rollbook verify
      rollbook verify --checkpoint witness.txt --public-key checkpoint.pub
      rollbook verify --proof 42 > 42.tlog-proof
      rollbook verify --check-proof 42.tlog-proof --public-key checkpoint.pub
      rollbook verify --archive /backup/rollbook
    """
    if output not in ("table", "json"):
        from rollbook.commands import common

        raise Failure(common.bad_format(output, "json"))
    if check_proof is not None:
        _check_proof(check_proof, _key(key or _place(ctx, "", None, None).key))
        return
    if folder is not None:
        store = archiving.url_of(folder, store)
    place = _place(ctx, store, notes, key)
    if proof is not None:
        printing.write(_proof(place, proof).encode())
        return
    report = _examined(ctx, place, first, quick)
    if output == "json":
        document = {"good": report.good, **msgspec.to_builtins(report)}
        printing.say(printing.as_json(document))
    else:
        for line in verdicts.lines(report):
            printing.say(line)
    ctx.exit(0 if report.good else 1)


# --- where things are -------------------------------------------------------------


def _place(
    ctx: click.Context, store: str, notes: Path | None, key: Path | None
) -> Place:
    """What was named, and for the rest what the context says."""
    folder: Path | None = None
    try:
        found = contexts.load_context(options.context_file(ctx), os.environ)
    except errors.Permanent:
        if not store:
            raise
    else:
        folder = Path(found.data_folder) if found.data_folder else None
        store = store or stores.needed(found)
    return Place(
        store,
        notes or _there(folder, checkpoints.NOTES_FILE),
        key or _there(folder, checkpoints.PUBLIC_FILE),
    )


def _there(folder: Path | None, name: str) -> Path | None:
    path = folder / name if folder is not None else None
    return path if path is not None and path.is_file() else None


def _key(path: Path | None) -> PublicKey:
    if path is None:
        raise Failure("error: there is no public key: say --public-key FILE")
    try:
        return checkpoints.parse_key(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"error: the public key {path}: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise Failure(f"error: {path} cannot be read: {error.strerror}") from error


def _signed(place: Place) -> list[tuple[Signed, str]]:
    """The checkpoints of the file, each with its note."""
    if place.notes is None:
        return []
    key = _key(place.key)
    found = []
    for number, note in enumerate(checkpoints.split(_text(place.notes)), 1):
        where = f"checkpoint {number} of {place.notes}"
        try:
            signed = Signed(where, checkpoints.opened(note, key))
        except Damaged as error:
            signed = Signed(where, None, str(error))
        found.append((signed, note))
    return found


# --- the examination --------------------------------------------------------------


def _examined(ctx: click.Context, place: Place, first: int, quick: bool) -> Report:
    signed = [each for each, _ in _signed(place)]
    try:
        log = eventstore.open_log(place.store, read_only=True)
    except errors.Permanent as error:
        return examining.failed(f"it cannot be opened: {error}")
    gc.disable()  # a pass makes no cycles, and the folded state is large
    try:
        report = _read(ctx, place.store, log, signed, first, quick)
        return archiving.with_archive(report, log)
    finally:
        gc.enable()
        log.close()


def _read(
    ctx: click.Context, store: str, log: EventLog, signed: list[Signed], first: int,
    quick: bool,
) -> Report:  # fmt: skip
    try:
        signed = archiving.spoken_of(log, signed)
        end = examining.end_of(log)
        after, former = examining.before(log, first)
    except errors.Permanent as error:
        refused = examining.refusal(store)
        return refused or examining.failed(f"it cannot be read: {error}")
    folding = Folding() if after == 0 and not quick else None
    if folding is not None and end >= examining.TWO_HALVES:
        report = examining.beside_folding(store, signed, folding, end, progress())
        if not report.events:
            return report
        if verifying.is_dense(report):
            _compare(ctx, log, folding)
        return verifying.with_folding(report, folding)
    refused = examining.refusal(store)
    if refused is not None:
        return refused
    examination = Examination(
        examining.seals_of(log, after, end),
        signed if after == 0 else (),
        first=after + 1,
        former=former,
        folding=folding,
    )
    reading = examining.examine(
        log, examination, end, after=after or examining.LOWEST, progress=progress()
    )
    if folding is not None and not folding.given_up and not examination.positions.count:
        _compare(ctx, log, folding)
    return examination.report([reading])


def _compare(ctx: click.Context, log: EventLog, folding: Folding) -> None:
    """Asks a running api what it has folded, and folds up to there."""
    if isinstance(log, ArchivedLog):
        folding.live.skipped = "not compared: an archive ends before the present"
        return
    file = options.context_file(ctx)

    async def ask() -> queries.DigestAnswer:
        await _knock(contexts.load_context(file, os.environ).nats_url)
        # Only now: what speaks with the broker takes longer than a knock.
        from rollbook import client

        async with client.connect(file, seconds=LIVE_SECONDS) as cluster:
            cluster.position = folding.cluster.position
            return await cluster.ask(
                "digest", queries.DigestQuery(), queries.DigestAnswer
            )

    try:
        answer = asyncio.run(ask())
    except errors.RollbookError as error:
        folding.live.skipped = f"not compared: {str(error).partition(chr(10))[0]}"
        return
    if answer.code != digests.code():
        folding.live.skipped = "not compared: the api is another version of Rollbook"
        return
    folding.up_to(log, answer.position)
    if folding.cluster.position == answer.position and not folding.readable.count:
        if folding.digest() == answer.digest:
            folding.compared_at = answer.position
            return
        text = f"the api says something else at position {answer.position}: restart it"
        folding.live.find(1, 0, text)


async def _knock(url: str) -> None:
    """Raises `Transient` at once where nothing listens: a client would go on trying."""
    at = urllib.parse.urlsplit(url)
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            _, writer = await asyncio.open_connection(at.hostname, at.port or 4222)
    except (OSError, TimeoutError) as error:
        raise errors.Transient(f"nothing runs at {url}") from error
    writer.close()


def progress() -> Callable[[int, int], None] | None:
    """Tells on a terminal how far it is."""
    if not sys.stderr.isatty():
        return None

    def tell(done: int, end: int) -> None:
        last = "\n" if done >= end else ""
        share = 100 * done // max(end, 1)
        click.echo(
            f"\r{done:,} of {end:,} events ({share} %){last}", nl=False, err=True
        )

    return tell


# --- proofs -----------------------------------------------------------------------


def _proof(place: Place, position: int) -> str:
    fitting = [
        (each.checkpoint.size, note)
        for each, note in _signed(place)
        if each.checkpoint is not None and each.checkpoint.size >= position
    ]
    if not fitting:
        _check_reached(place.store, position)
        raise Failure(
            f"error: no checkpoint speaks of position {position} yet: one is signed "
            "every minute, and at the message `rollbook.checkpoint.request`"
        )
    size, note = max(fitting)
    log = eventstore.open_log(place.store, read_only=True)
    try:
        leaves: list[bytes] = []
        row = None
        while len(leaves) < size:
            rows = log.read(len(leaves), min(examining.PAGE, size - len(leaves)))
            if not rows:
                raise Failure(f"error: the log ends before its checkpoint at {size}")
            if rows[0].position <= position <= rows[-1].position:
                row = rows[position - rows[0].position]
            leaves += seals.leaf_hashes(rows)
    finally:
        log.close()
    assert row is not None, "the checkpoint speaks of it"
    text = proofs.write(row, leaves, note)
    try:
        proofs.check(text, _key(place.key))
    except Damaged as error:
        raise Failure(f"error: {error}. `rollbook verify` says more") from error
    return text


def _check_reached(store: str, position: int) -> None:
    log = eventstore.open_log(store, read_only=True)
    try:
        last = log.last_position()
    finally:
        log.close()
    if position > last:
        raise Failure(f"error: there is no position {position}: the log ends at {last}")


def _check_proof(path: Path, key: PublicKey) -> None:
    try:
        proved = proofs.check(_text(path), key)
    except Damaged as error:
        raise Failure(f"error: {path}: {error}") from error
    position, stream, version, topic, state = proved.row
    signed = proved.checkpoint
    printing.say(f"the event is in the log {signed.origin}, signed at {signed.size}")
    printing.say(f"{position}  {stream}  version {version}  {topic}")
    printing.say(state.decode(errors="backslashreplace"))
