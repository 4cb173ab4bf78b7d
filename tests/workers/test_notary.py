"""Seals, their writer, and the notary (workers/{sealing,committing,notary}.py)."""

from pathlib import Path

import pytest

from adapters import checkpoints
from adapters.checkpoints import Checkpoint, PublicKey
from adapters.eventlog import Row
from adapters.memory_log import MemoryLog, MemoryStore
from domain import errors, seals
from domain.seals import Seal
from workers import notary, sealing

UID = "uid-1"
ORIGIN = checkpoints.origin_of(UID)


def rows(first: int, last: int) -> list[Row]:
    """The rows of a step."""
    return [
        Row(position, f"command/{position}", 1, "x.v1", b"{}")
        for position in range(first, last + 1)
    ]


def commit(log: MemoryLog, sealer: sealing.Sealer, step: list[Row]) -> None:
    """What control does with a step."""
    made = sealer.seals_for(step)
    log.append(step, (), made)
    sealer.committed(made)


def filled(store: MemoryStore) -> tuple[MemoryLog, sealing.Sealer]:
    """A log of three sealed steps."""
    log = MemoryLog(store)
    sealer = sealing.Sealer(log)
    for first, last in ((1, 1), (2, 9), (10, 12)):
        commit(log, sealer, rows(first, last))
    return log, sealer


def signed(folder: Path) -> list[Checkpoint]:
    """What the notary has signed, checked with its public key."""
    key: PublicKey = checkpoints.parse_key(
        (folder / checkpoints.PUBLIC_FILE).read_text()
    )
    text = (folder / checkpoints.NOTES_FILE).read_text()
    return [checkpoints.opened(note, key) for note in checkpoints.split(text)]


def root(log: MemoryLog, size: int) -> bytes:
    """The root of the tree of the first `size` events."""
    tree = seals.Tree()
    tree.extend(seals.leaf_hashes(log.read(0, size)))
    return tree.root()


# --- seals ------------------------------------------------------------------------


def test_each_step_has_its_seal_and_they_are_a_chain() -> None:
    """A seal is made of the digest before it and of its rows."""
    log, _ = filled(MemoryStore())

    found = log.read_seals(0, 10)

    assert [(each.first, each.last) for each in found] == [(1, 1), (2, 9), (10, 12)]
    former = seals.BEGINNING
    for each in found:
        step = log.read(each.first - 1, each.last - each.first + 1)
        assert each == seals.seal(former, step)
        former = each.digest


def test_a_restart_continues_the_chain() -> None:
    """The last seal in the store is all that is needed."""
    store = MemoryStore()
    log, _ = filled(store)
    log.close()
    log = MemoryLog(store)

    commit(log, sealing.Sealer(log), rows(13, 14))

    before, last = log.read_seals(9, 10)
    assert last == seals.seal(before.digest, rows(13, 14))


def test_what_an_older_version_wrote_is_sealed_with_the_next_step() -> None:
    """Rows without a seal are covered by one seal, in the same transaction."""
    log = MemoryLog()
    log.append(rows(1, 5))
    log.append(rows(6, 7))

    commit(log, sealing.Sealer(log), rows(8, 9))

    late, mine = log.read_seals(0, 10)
    assert late == seals.seal(seals.BEGINNING, rows(1, 7))
    assert mine == seals.seal(late.digest, rows(8, 9))


def test_a_step_without_events_has_no_seal() -> None:
    """Tracking alone is not a step of the log."""
    assert sealing.Sealer(MemoryLog()).seals_for([]) == []


def test_a_log_that_lost_its_end_is_not_continued() -> None:
    """Seals that speak of more than there is: committed events are gone."""
    store = MemoryStore()
    log, _ = filled(store)
    del store.rows[10:]

    with pytest.raises(errors.Permanent, match=r"ends at position 10.*position 12"):
        sealing.Sealer(log)


# --- checkpoints ------------------------------------------------------------------


def test_a_checkpoint_says_how_far_the_log_is_and_what_it_says(tmp_path: Path) -> None:
    """Size and root are those of the log; every witness gets the same note."""
    log, sealer = filled(MemoryStore())
    witness = tmp_path / "elsewhere" / "w"
    settings = notary.Settings(folder=tmp_path / "data", witnesses=(witness,))
    mine = notary.Notary(log, settings)

    note = mine.make(UID, sealer.tip)
    commit(log, sealer, rows(13, 20))
    later = mine.make(UID, sealer.tip)

    assert note is not None
    assert later is not None
    assert signed(settings.folder) == [
        Checkpoint(ORIGIN, 12, root(log, 12)),
        Checkpoint(ORIGIN, 20, root(log, 20)),
    ]
    kept = (settings.folder / checkpoints.NOTES_FILE).read_text()
    assert witness.read_text() == kept == f"{note}\n{later}"


def test_a_witness_that_is_away_misses_a_checkpoint(tmp_path: Path) -> None:
    """The others have it, and the next one is signed as ever."""
    log, sealer = filled(MemoryStore())
    away, there = tmp_path, tmp_path / "there"
    settings = notary.Settings(folder=tmp_path / "data", witnesses=(away, there))
    mine = notary.Notary(log, settings)

    first = mine.make(UID, sealer.tip)

    assert there.read_text() == first
    assert mine.make(UID, sealer.tip) is None


def test_nothing_new_nothing_signed(tmp_path: Path) -> None:
    """An idle cluster signs one checkpoint and no second one, also after a restart."""
    log, sealer = filled(MemoryStore())
    settings = notary.Settings(folder=tmp_path)
    mine = notary.Notary(log, settings)

    assert mine.make("", sealer.tip) is None
    assert mine.make(UID, None) is None
    assert mine.make(UID, sealer.tip) is not None
    assert mine.make(UID, sealer.tip) is None
    assert notary.Notary(log, settings).make(UID, sealer.tip) is None


@pytest.mark.parametrize("edge", ["kept", "lost", "damaged", "another's"])
def test_a_restart_continues_the_tree(tmp_path: Path, edge: str) -> None:
    """Whether the tree's edge was kept or not, the next root is that of the log."""
    log, sealer = filled(MemoryStore())
    settings = notary.Settings(folder=tmp_path)
    notary.Notary(log, settings).make(UID, sealer.tip)
    file = tmp_path / "notary.json"
    if edge == "lost":
        file.unlink()
    elif edge == "damaged":
        file.write_bytes(file.read_bytes()[:-9])
    elif edge == "another's":
        file.write_bytes(file.read_bytes().replace(b'"size":12', b'"size":20'))
    commit(log, sealer, rows(13, 5_000))

    notary.Notary(log, settings).make(UID, sealer.tip)

    assert signed(tmp_path)[-1] == Checkpoint(ORIGIN, 5_000, root(log, 5_000))


def change(store: MemoryStore, index: int) -> None:
    """Somebody changes a row in the store."""
    store.rows[index] = store.rows[index]._replace(state=b'{"forged":1}')


def reseal(store: MemoryStore) -> None:
    """And makes all seals anew, so that they fit."""
    former = seals.BEGINNING
    for number, each in enumerate(store.seals):
        made = seals.seal(former, store.rows[each.first - 1 : each.last])
        store.seals[number], former = made, made.digest


@pytest.mark.parametrize("resealed", [False, True])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_altered_is_not_signed(
    tmp_path: Path, resealed: bool, restarted: bool
) -> None:
    """Not before the first checkpoint, and not between two, with any seals."""
    store = MemoryStore()
    log, sealer = filled(store)
    settings = notary.Settings(folder=tmp_path)
    mine = notary.Notary(log, settings)
    mine.make(UID, sealer.tip)
    commit(log, sealer, rows(13, 20))
    change(store, 14)
    if resealed:
        reseal(store)
    if restarted:
        mine = notary.Notary(log, settings)

    with pytest.raises(notary.Altered, match="changed the store"):
        mine.make(UID, sealer.tip)

    assert [each.size for each in signed(tmp_path)] == [12]


def test_what_was_signed_and_then_rewritten_is_not_continued(tmp_path: Path) -> None:
    """A control that starts on a rewritten log does not sign it, whatever seals say."""
    store = MemoryStore()
    log, sealer = filled(store)
    settings = notary.Settings(folder=tmp_path)
    notary.Notary(log, settings).make(UID, sealer.tip)
    change(store, 3)
    reseal(store)
    log.close()
    log = MemoryLog(store)
    sealer = sealing.Sealer(log)
    commit(log, sealer, rows(13, 20))

    with pytest.raises(notary.Altered, match="not what was signed"):
        notary.Notary(log, settings).make(UID, sealer.tip)


def test_a_tip_that_is_not_in_the_store_is_not_signed(tmp_path: Path) -> None:
    """The writer remembers another seal than the store has."""
    log, sealer = filled(MemoryStore())
    assert sealer.tip is not None
    tip = Seal(sealer.tip.last, sealer.tip.first, bytes(32))

    with pytest.raises(notary.Altered, match="not what was committed"):
        notary.Notary(log, notary.Settings(folder=tmp_path)).make(UID, tip)
