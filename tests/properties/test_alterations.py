"""Whatever is altered in a stored log is found, and the place is named.

1. The log is a real one: the steps of a simulated cluster, sealed as they were taken,
   with checkpoints in the hands of a witness, the newest of them at the log's end.
2. An alteration is what somebody with write access to the database can do: bits of any
   column, rows exchanged, taken out or put in with the others moved up, the end cut
   off with or without its seals, seals changed or taken out, or everything from a
   place on rewritten with seals that fit.
3. Found means that the report is not good. Located means that a finding names positions
   that contain the altered one, within the step where seals tell (between two
   checkpoints where only these do), and that what is called good lies before it and
   reaches at least to the checkpoint before it.

`ROLLBOOK_ALTERATIONS=10000 pytest tests/properties/test_alterations.py` tries more.
"""

import os
from collections import Counter
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Final, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from adapters.checkpoints import Checkpoint, Signer, opened, origin_of
from domain import seals
from domain.seals import Seal, Stored
from rollbook.folding import Folding
from rollbook.verdicts import Report
from rollbook.verifying import Examination, Signed
from tests.support.cluster import SimCluster, manifest

COUNT: Final = int(os.environ.get("ROLLBOOK_ALTERATIONS", "1000"))
ROWS_PER_PAGE: Final = 97
"""Pages that end within steps, as real ones do."""


class Store(NamedTuple):
    """What lies in the database: rows and seals, by position."""

    rows: list[Stored]
    sealed: list[Seal]


class Altered(NamedTuple):
    """A store that was altered, and the positions that must be named.

    `first` to `last` is how far a finding may reach to be called a place.
    """

    store: Store
    position: int
    first: int
    last: int


@cache
def original() -> tuple[Store, tuple[Signed, ...]]:
    """The log of a cluster with a rollout, a bad one, an undo and thirty scalings."""
    sim = SimCluster(3)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=40)})
    sim.settle()
    sim.broken.add("app:2")
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    sim.settle()
    sim.ask("deployment", "web", "undo", {})
    sim.ask("deployment", "nothing", "scale", {"replicas": 9})
    sim.settle()
    for replicas in range(41, 71):
        sim.ask("deployment", "web", "scale", {"replicas": replicas})
        sim.settle()
    rows: list[Stored] = [*sim.log]
    sealed = seal_all(rows, [len(step.events) for step in sim.steps if step.events])
    signer = Signer(ed25519.Ed25519PrivateKey.generate())
    origin = origin_of(sim.cluster.uid)
    sizes = [sealed[len(sealed) * part // 5 - 1].last for part in (1, 2, 3, 4, 5)]
    notes = [signer.sign(Checkpoint(origin, size, root(rows[:size]))) for size in sizes]
    key = signer.public_key(origin)
    signed = tuple(
        Signed(f"checkpoint {number}", opened(note, key))
        for number, note in enumerate(notes, 1)
    )
    return Store(rows, sealed), signed


def root(rows: list[Stored]) -> bytes:
    """The root of the tree over these rows."""
    tree = seals.Tree()
    tree.extend(seals.leaf_hashes(rows))
    return tree.root()


def seal_all(rows: list[Stored], lengths: list[int]) -> list[Seal]:
    """The seals of these rows, cut into steps of these lengths."""
    found: list[Seal] = []
    former, start = seals.BEGINNING, 0
    for length in lengths:
        found.append(seals.seal(former, rows[start : start + length]))
        former, start = found[-1].digest, start + length
    return found


def examined(
    store: Store, signed: tuple[Signed, ...], folding: Folding | None = None
) -> Report:
    """What an examination of the store says."""
    examination = Examination(iter(store.sealed), signed, folding=folding)
    for start in range(0, len(store.rows), ROWS_PER_PAGE):
        examination.page(store.rows[start : start + ROWS_PER_PAGE])
    return examination.report()


# --- alterations ------------------------------------------------------------------


def flip_in_row(dice: Random, was: Store) -> Altered:
    """One bit of one column of one row."""
    index, column = dice.randrange(len(was.rows)), dice.randrange(5)
    row: list[object] = list(was.rows[index])
    row[column] = flipped(dice, row[column])
    rows: list[Stored] = [*was.rows]
    rows[index] = tuple(row)  # type: ignore[assignment]  # a damaged value may have any type
    if len({each[0] for each in rows}) < len(rows):
        return flip_in_row(dice, was)  # the key of the table does not allow it
    rows.sort(key=lambda each: each[0])
    return located(Store(rows, was.sealed), was, index + 1)


def exchange(dice: Random, was: Store) -> Altered:
    """Two rows change places; each place keeps its position."""
    one, other = sorted(dice.sample(range(len(was.rows)), 2))
    rows = [*was.rows]
    rows[one], rows[other] = rows[other], rows[one]
    return located(Store(renumbered(rows), was.sealed), was, one + 1)


def take_out(dice: Random, was: Store) -> Altered:
    """One row is deleted; those behind it stay, or move up."""
    index = dice.randrange(len(was.rows))
    rows = was.rows[:index] + was.rows[index + 1 :]
    if dice.random() < 0.5:
        rows = renumbered(rows)
    return located(Store(rows, was.sealed), was, index + 1)


def put_in(dice: Random, was: Store) -> Altered:
    """A copy of some row, or a forged one, is put in; those behind it move up."""
    index = dice.randrange(len(was.rows) + 1)
    forged = [*dice.choice(was.rows)]
    if dice.random() < 0.5:
        forged[1], forged[2] = "pod/default/forged", 1
    rows = renumbered([*was.rows[:index], tuple(forged), *was.rows[index:]])  # type: ignore[list-item]  # as above
    if index == len(was.rows):
        end = len(rows)
        return Altered(Store(rows, was.sealed), end, end, end)
    return located(Store(rows, was.sealed), was, index + 1)


def cut_off(dice: Random, was: Store) -> Altered:
    """The last rows are deleted, and the seals stay."""
    left = dice.randrange(len(was.rows))
    found = located(Store(was.rows[:left], was.sealed), was, left + 1)
    return found._replace(last=len(was.rows))


def cut_off_with_seals(dice: Random, was: Store) -> Altered:
    """The last steps are deleted together with their seals."""
    left = dice.randrange(1, len(was.sealed))
    last = was.sealed[left - 1].last
    store = Store(was.rows[:last], was.sealed[:left])
    return Altered(store, last + 1, signed_before(last + 1) + 1, len(was.rows))


def flip_in_seal(dice: Random, was: Store) -> Altered:
    """One bit of one column of one seal."""
    index, column = dice.randrange(len(was.sealed)), dice.randrange(3)
    seal: list[object] = list(was.sealed[index])
    seal[column] = flipped(dice, seal[column])
    sealed = [*was.sealed]
    altered = Seal(*seal)  # type: ignore[arg-type]  # a damaged value may have any type
    sealed[index] = altered
    if len({each.last for each in sealed}) < len(sealed):
        return flip_in_seal(dice, was)
    place = was.sealed[index]
    # A seal that names another end names another step: it is that one that is told.
    return Altered(
        Store(was.rows, sorted(sealed)),
        place.last,
        place.first,
        max(place.last, altered.last),
    )


def take_out_seal(dice: Random, was: Store) -> Altered:
    """One seal is deleted."""
    index = dice.randrange(len(was.sealed))
    sealed = was.sealed[:index] + was.sealed[index + 1 :]
    return located(Store(was.rows, sealed), was, was.sealed[index].first)


def exchange_digests(dice: Random, was: Store) -> Altered:
    """Two seals exchange what they say."""
    one, other = sorted(dice.sample(range(len(was.sealed)), 2))
    sealed = [*was.sealed]
    sealed[one] = was.sealed[one]._replace(digest=was.sealed[other].digest)
    sealed[other] = was.sealed[other]._replace(digest=was.sealed[one].digest)
    return located(Store(was.rows, sealed), was, was.sealed[one].first)


def rewrite(dice: Random, was: Store) -> Altered:
    """A row's content is changed, and all seals are made anew: they fit."""
    index = dice.randrange(len(was.rows))
    position, stream, version, topic, state = was.rows[index]
    place = dice.randrange(len(state) + 1)
    forged = state[:place] + b" " + state[place:]
    rows = [*was.rows]
    rows[index] = (position, stream, version, topic, forged)
    lengths = [seal.last - seal.first + 1 for seal in was.sealed]
    store = Store(rows, seal_all(rows, lengths))
    before, after = signed_before(index + 1), signed_from(index + 1)
    return Altered(store, index + 1, before + 1, after)


def rewrite_the_end(dice: Random, was: Store) -> Altered:
    """The last steps are replaced by fewer ones, with seals that fit."""
    left = dice.randrange(1, len(was.sealed) - 1)
    kept = was.sealed[left - 1].last
    rows = renumbered(was.rows[:kept] + was.rows[was.sealed[left].last :])
    lengths = [seal.last - seal.first + 1 for seal in was.sealed]
    store = Store(rows, seal_all(rows, lengths[:left] + lengths[left + 1 :]))
    before, after = signed_before(kept + 1), signed_from(kept + 1)
    return Altered(store, kept + 1, before + 1, after)


Alteration = Callable[[Random, Store], Altered]
ALTERATIONS: Final[tuple[Alteration, ...]] = (
    flip_in_row,
    exchange,
    take_out,
    put_in,
    cut_off,
    cut_off_with_seals,
    flip_in_seal,
    take_out_seal,
    exchange_digests,
    rewrite,
    rewrite_the_end,
)


def signed_before(position: int) -> int:
    """The size of the last checkpoint that does not speak of `position`; 0 if none."""
    sizes = [each.checkpoint.size for each in original()[1] if each.checkpoint]
    return max((size for size in sizes if size < position), default=0)


def signed_from(position: int) -> int:
    """The size of the first checkpoint that speaks of `position`."""
    sizes = [each.checkpoint.size for each in original()[1] if each.checkpoint]
    return min(size for size in sizes if size >= position)


def located(store: Store, was: Store, position: int) -> Altered:
    """The place is the step that `position` belonged to."""
    seal = next(each for each in was.sealed if each.last >= position)
    return Altered(store, position, seal.first, seal.last)


def renumbered(rows: list[Stored]) -> list[Stored]:
    """The rows at positions 1, 2, 3 …"""
    return [(position, *row[1:]) for position, row in enumerate(rows, 1)]


def flipped(dice: Random, value: object) -> object:
    """The value with one of its bits changed."""
    if isinstance(value, int):
        return value ^ (1 << dice.randrange(16))
    data = bytearray(value.encode() if isinstance(value, str) else bytes(value))  # type: ignore[call-overload]  # the columns are numbers, texts and bytes
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    if isinstance(value, bytes):
        return bytes(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return bytes(data)


# --- promises ---------------------------------------------------------------------


def wrong(number: int) -> str:
    """Why alteration `number` was not found or not located; empty if it was."""
    dice = Random(number)
    was, signed = original()
    alter = ALTERATIONS[number % len(ALTERATIONS)]
    made = alter(dice, was)
    if made.store == was:
        return ""
    report = examined(made.store, signed)
    told = f"{alter.__name__} {number} at {made.position}"
    if report.good:
        return f"{told} was not found"
    findings = [each for verdict in report.verdicts for each in verdict.findings]
    named = any(
        made.first <= each.first <= made.position <= each.last <= made.last
        for each in findings
    )
    if not named:
        return f"{told} ({made.first}–{made.last}) was not located: {findings}"
    if report.good_up_to >= made.position:
        return f"{told}: the log is called good up to {report.good_up_to}"
    if report.good_up_to < signed_before(made.first):
        return f"{told}: the log is called bad from {report.good_up_to + 1} on"
    return ""


def test_the_log_as_it_was_written_is_good() -> None:
    """Nothing is found where nothing was altered, and every check was done."""
    store, signed = original()

    folding = Folding()
    report = examined(store, signed, folding)

    assert report.good, report
    assert report.good_up_to == len(store.rows) > 100
    assert {each.name for each in report.verdicts if each.status == "skipped"} == {
        "live state"
    }


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda each: each.__name__)
def test_every_alteration_is_found_and_located(alteration: Alteration) -> None:
    """Not one of `COUNT` random alterations is missed, and each place is named."""
    offset = ALTERATIONS.index(alteration)
    numbers = range(offset, COUNT, len(ALTERATIONS))

    assert [text for number in numbers if (text := wrong(number))] == []


def test_no_witness_no_proof_of_a_rewriting() -> None:
    """What seals cannot tell is told by nobody but a checkpoint: it is said so."""
    was, _ = original()
    rewritten = rewrite(Random(1), was).store

    report = examined(rewritten, ())

    assert report.good
    assert {each.name for each in report.verdicts if each.status == "skipped"} == {
        "checkpoints"
    }


def test_an_altered_seal_is_told_from_an_altered_event() -> None:
    """The next seal still says what the altered one said before."""
    was, _ = original()
    middle = len(was.sealed) // 2
    sealed = [*was.sealed]
    sealed[middle] = sealed[middle]._replace(digest=bytes(32))

    report = examined(Store(was.rows, sealed), ())

    found = [each for verdict in report.verdicts for each in verdict.findings]
    assert [(each.first, each.last) for each in found] == [
        (was.sealed[middle].first, was.sealed[middle].last)
    ]
    assert "the seal was altered, not the events" in found[0].text


if __name__ == "__main__":
    tried = Counter(ALTERATIONS[number % len(ALTERATIONS)] for number in range(COUNT))
    missed = [text for number in range(COUNT) if (text := wrong(number))]
    for each, times in tried.items():
        print(f"{each.__name__:<20} {times:>6}")  # noqa: T201  # a person started it
    print(f"{COUNT - len(missed)} of {COUNT} were found and located", *missed, sep="\n")  # noqa: T201  # as above
