"""`rollbook archive`, and what reads the log afterwards; `rollbook log` into files.

The log is that of a simulated cluster, stored in a file and sealed as control does it.
"""

import contextlib
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from adapters import archive_segment, eventstore
from adapters.archive import Archive
from adapters.eventlog import EventLog, Row
from domain import queries
from domain.protocol import Answer
from gateway import past_folding
from projections import digests, snapshots
from rollbook import archiving, exporting
from rollbook.cli import main
from rollbook.failures import Failure
from tests.support.cluster import SimCluster, manifest
from workers import committing, loading, sealing
from workers.state import Settings, State


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store; not to be changed."""
    folder = tmp_path_factory.mktemp("archive") / "data"
    sim = SimCluster(2)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=4)})
    sim.settle()
    with contextlib.closing(eventstore.open_log(url_in(folder))) as log:
        sealer = sealing.Sealer(log)
        for step in sim.steps:
            rows, tracking = committing.rows_of(step)
            made = sealer.seals_for(rows)
            log.append(rows, tracking, made)
            sealer.committed(made)
    return folder


@pytest.fixture
def data(stored: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(stored, tmp_path / "data"))


def url_in(folder: Path) -> str:
    """The store of a folder."""
    return f"sqlite://{folder}/rollbook.db"


def run(*words: str) -> Result:
    """What the command line says; never a traceback."""
    found = CliRunner(env={"HOME": "/nonexistent"}).invoke(main, list(words))
    assert "Traceback" not in found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)
    return found


def archived(data: Path, *words: str) -> Result:
    """`rollbook archive` of a folder's store into its folder `archive`."""
    place = ("--store", url_in(data), "--to", str(data / "archive"))
    return run("archive", *place, *words)


def everything(log: EventLog) -> list[Row]:
    """All rows of a log."""
    return log.read(0, log.last_position())


def test_an_archive_is_made_and_verified(data: Path) -> None:
    """One command writes it, `verify` calls it good, and the store is as before."""
    with contextlib.closing(eventstore.open_log(url_in(data), read_only=True)) as log:
        rows = everything(log)

    made = archived(data)
    checked = run("verify", "--archive", str(data / "archive"))

    assert made.exit_code == 0, made.output
    assert f"archived positions 1–{len(rows)} in 1 segment" in made.stdout
    assert checked.exit_code == 0, checked.output
    assert "ok     archive      each byte is what was written" in checked.stdout
    with contextlib.closing(eventstore.open_log(url_in(data), read_only=True)) as log:
        assert everything(log) == rows
    assert "nothing to add" in archived(data).stdout


def test_rows_are_taken_out_and_nobody_can_tell(data: Path) -> None:
    """With --remove the file keeps its last step; every reader goes on as before."""
    with contextlib.closing(eventstore.open_log(url_in(data), read_only=True)) as log:
        rows = everything(log)
        before = past_folding.whole(log, 20)

    taken = archived(data, "--remove")
    checked = run("verify", "--store", url_in(data))

    assert taken.exit_code == 0, taken.output
    assert "events from the store, which begins at position" in taken.stdout
    assert count(data) < 10
    assert checked.exit_code == 0, checked.output
    assert "and it fits the store" in checked.stdout
    with contextlib.closing(eventstore.open_log(url_in(data), read_only=True)) as log:
        assert everything(log) == rows
        after = past_folding.whole(log, 20)
    digest = digests.digest(snapshots.cut(before.cluster))
    assert digests.digest(snapshots.cut(after.cluster)) == digest


def count(data: Path) -> int:
    """How many rows the file itself has."""
    with contextlib.closing(sqlite3.connect(data / "rollbook.db")) as database:
        found: int = database.execute("SELECT count(*) FROM stored_events").fetchone()[
            0
        ]
    return found


def test_the_writer_starts_without_the_archive(data: Path) -> None:
    """The snapshot and the store are enough: the same state, with the folder away."""
    whole = State(Settings())
    with contextlib.closing(eventstore.open_log(url_in(data))) as log:
        loading.load(whole, log)
    archived(data, "--remove")
    (data / "archive").rename(data / "elsewhere")

    state = State(Settings())
    with contextlib.closing(eventstore.open_log(url_in(data))) as log:
        loading.load(state, log)

    assert digests.digest(snapshots.cut(state.cluster)) == digests.digest(
        snapshots.cut(whole.cluster)
    )


def test_an_archived_command_is_not_done_again(data: Path) -> None:
    """S3: its answer is found in the archive; and where that is away, it is refused."""
    with contextlib.closing(eventstore.open_log(url_in(data))) as log:
        commands = [
            r.stream for r in everything(log) if r.stream.startswith("command/")
        ]
        known = loading.answers(log, commands)
    archived(data, "--remove")

    with contextlib.closing(eventstore.open_log(url_in(data))) as log:
        assert loading.answers(log, ["command/new", *commands]) == known
        (data / "archive").rename(data / "elsewhere")
        refused = loading.answers(log, ["command/new", *commands])

    assert set(refused) == set(commands)
    assert {(each.result, each.code) for each in refused.values()} == {
        ("rejected", 500)
    }
    assert all(isinstance(each, Answer) for each in refused.values())


def test_removal_waits_for_the_writer(data: Path) -> None:
    """While control has the store nothing is taken out, and the message says so."""
    with contextlib.closing(eventstore.open_log(url_in(data))):
        refused = archived(data, "--remove")
        allowed = archived(data)

    assert refused.exit_code == 1
    assert "control runs" in refused.output
    assert allowed.exit_code == 0, allowed.output


def test_no_snapshot_no_removal(data: Path) -> None:
    """An event that cannot be read keeps the state from being kept, so nothing goes."""
    with contextlib.closing(eventstore.open_log(url_in(data))) as log:
        sealer = sealing.Sealer(log)
        at = log.last_position() + 1
        for position in (at, at + 1):
            row = Row(position, "strange", position - at + 1, "strange.v1", b"{}")
            log.append([row], seals=sealer.seals_for([row]))
            sealer = sealing.Sealer(log)
    before = count(data)

    refused = archived(data, "--remove")

    assert refused.exit_code == 1
    assert "nothing removed" in refused.output
    assert count(data) == before
    assert Archive(data / "archive").last == before - 1


def test_until_and_older_than(data: Path) -> None:
    """Only what was asked for, in whole steps; an age counts from now."""
    young = archived(data, "--older-than", "100000d")
    part = archived(data, "--until", "12")
    rest = archived(data, "--older-than", "1d", "--remove")

    assert "nothing to archive yet" in young.stdout
    assert "archived positions 1–" in part.stdout
    assert "removed" in rest.stdout
    assert run("verify", "--store", url_in(data)).exit_code == 0


def test_json(data: Path) -> None:
    """For programs: what the archive holds, what was added, where the store begins."""
    document = json.loads(archived(data, "--remove", "-o", "json").stdout)

    assert document["first"] == 1
    assert document["removed"] == document["last"] == document["storeBeginsAt"] - 1
    assert document["added"][0]["file"].startswith("segment-")


def damage(folder: Path) -> None:
    """A byte of a block is flipped."""
    path = next(folder.glob("*.rbk"))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def cut(folder: Path) -> None:
    """The end of a file is missing."""
    path = next(folder.glob("*.rbk"))
    path.write_bytes(path.read_bytes()[:-100])


def lose_manifest(folder: Path) -> None:
    """The manifest is gone; all else is there."""
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        pytest.param(damage, "a block is damaged", id="a flipped byte"),
        pytest.param(cut, "it was cut off", id="a truncated segment"),
        pytest.param(lose_manifest, "manifest.json: it is missing", id="no manifest"),
        pytest.param(shutil.rmtree, "no such folder", id="no folder"),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with the store"])
def test_verify_names_what_is_damaged(
    data: Path, harm: Callable[[Path], None], text: str, alone: bool
) -> None:
    """Exit status 1, the file and the positions; the examination goes on behind it."""
    archived(data, "--remove")
    folder = data / "archive"
    harm(folder)

    place = ["--archive", str(folder)] if alone else ["--store", url_in(data)]
    found = run("verify", *place)

    assert found.exit_code == 1
    assert text in found.output
    assert "altered" not in found.output, "nobody is accused of what is missing"
    if not alone:
        assert "FAILED archive" in found.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--until", "3", "--older-than", "1d"], "one of both"),
        (["--until", "999999"], "the log ends at position"),
        (["--older-than", "soon"], "invalid duration"),
        (["-o", "xml"], "json"),
    ],
)
def test_bad_input(data: Path, words: list[str], text: str) -> None:
    """What makes no sense is refused with what would, and nothing is written."""
    found = archived(data, *words)

    assert found.exit_code != 0
    assert text in found.output
    assert not list((data / "archive").glob("*.rbk"))


def test_a_foreign_archive(data: Path, tmp_path: Path) -> None:
    """Another cluster's folder is never continued."""
    archived(data)
    address = f"sqlite://{tmp_path}/two.db"
    with contextlib.closing(eventstore.open_log(address)) as log:
        sealer = sealing.Sealer(log)
        row = Row(1, "strange", 1, "strange.v1", b"{}")
        log.append([row], seals=sealer.seals_for([row]))

    found = run("archive", "--store", address, "--to", str(data / "archive"))

    assert found.exit_code == 1
    assert "name another folder" in found.output


def test_interrupted_removal_goes_on(data: Path) -> None:
    """Segments are taken out one by one: what is left is taken the next time."""
    archiving.run(url_in(data), data / "archive", rows=10)
    archived(data, "--remove", "--until", "15")
    first = count(data)

    archived(data, "--remove")

    assert count(data) < first
    assert run("verify", "--store", url_in(data)).exit_code == 0


# --- the log for other programs ---------------------------------------------------


def log_rows(number: int) -> list[queries.LogRow]:
    """Rows as the api answers them."""
    return [
        queries.LogRow(
            position=position,
            stream="pod/default/web",
            version=position,
            type="PodStarted",
            at="2026-11-23T20:00:00.000001Z",
            actor="node/worker-1",
            cause=0,
            command="",
            event=msgspec.Raw(b'{"n": 1}'),
        )
        for position in range(1, number + 1)
    ]


def test_parquet_has_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions are numbers, times are times, batches are row groups; mode 0600."""
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(exporting, "BATCH_ROWS", 10)
    path = tmp_path / "log.parquet"

    with exporting.begun(None, "", path) as sink:
        for row in log_rows(25):
            sink.add(row)
        assert not path.exists()

    table = parquet.read_table(path)
    assert parquet.ParquetFile(path).num_row_groups == 3
    assert table.column("position").to_pylist() == [*range(1, 26)]
    assert table.column("at").to_pylist()[0].microsecond == 1
    assert table.column("event").to_pylist()[0] == '{"n":1}'
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_failed_export_leaves_no_file(tmp_path: Path) -> None:
    """A file is there when it is complete, or not at all."""
    path = tmp_path / "log.json"

    def broken(row: queries.LogRow) -> str:
        raise KeyError(row.position)

    with pytest.raises(KeyError), exporting.begun(broken, "", path) as sink:
        sink.add(log_rows(1)[0])

    assert list(tmp_path.iterdir()) == []


def test_lines_stand_below_their_header(tmp_path: Path) -> None:
    """Text goes to a file as it would to the terminal."""
    path = tmp_path / "log.csv"

    with exporting.begun(lambda row: str(row.position), "position", path) as sink:
        for row in log_rows(2):
            sink.add(row)

    assert path.read_text() == "position\n1\n2\n"


def test_parquet_without_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with (
        pytest.raises(Failure, match=r"pip install 'rollbook\[parquet\]'"),
        exporting.begun(None, "", tmp_path / "log.parquet"),
    ):
        pass

    assert list(tmp_path.iterdir()) == []


def test_an_export_to_nowhere(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with (
        pytest.raises(Failure, match="cannot be written"),
        exporting.begun(str, "", tmp_path / "none" / "log.csv"),
    ):
        pass


def test_names_sort_as_positions() -> None:
    """`ls` shows segments in their order."""
    assert archive_segment.name(9, 10) < archive_segment.name(100, 1_000)


def test_an_archive_that_was_moved(data: Path) -> None:
    """Naming its new folder once is enough: the store remembers where it is now."""
    archived(data, "--remove")
    moved = data / "elsewhere"
    (data / "archive").rename(moved)
    place = ["--store", url_in(data)]

    lost = run("verify", *place)
    named = run("verify", *place, "--archive", str(moved))
    told = run("archive", *place, "--to", str(moved), "--remove")
    after = run("verify", *place)

    assert [each.exit_code for each in (lost, named, told, after)] == [1, 0, 0, 0]
    assert "no such folder" in lost.output


def test_a_copy_is_made_through_the_store(data: Path) -> None:
    """Another folder gets the whole log, also what the store no longer has."""
    archived(data, "--remove")

    run("archive", "--store", url_in(data), "--to", str(data / "copy"))

    assert Archive(data / "copy").first == 1
    assert run("verify", "--archive", str(data / "copy")).exit_code == 0
