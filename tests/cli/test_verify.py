"""`rollbook verify`: a clear verdict for every store, and proofs of single events.

The log is that of a simulated cluster, stored in a file, sealed and signed as control
does it. That every alteration is found: tests/properties/test_alterations.py.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adapters import checkpoints, eventstore
from adapters.context import Context, write_context
from domain import seals
from rollbook import examining
from rollbook.cli import main
from tests.support import ports
from tests.support.cluster import SimCluster, manifest
from tests.support.system import running
from workers import committing, notary, sealing

CHECKS = (
    *("store", "positions", "versions", "seals", "checkpoints", "causes", "times"),
    *("actors", "events", "folding", "live state"),
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a cluster that was stopped; not to be changed."""
    folder = tmp_path_factory.mktemp("verify") / "data"
    sim = SimCluster(2)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=4)})
    sim.settle()
    log = eventstore.open_log(f"sqlite://{folder}/rollbook.db")
    sealer = sealing.Sealer(log)
    signer = notary.Notary(log, notary.Settings(folder=folder))
    for step in sim.steps:
        rows, tracking = committing.rows_of(step)
        made = sealer.seals_for(rows)
        log.append(rows, tracking, made)
        sealer.committed(made)
        signer.make(sim.cluster.uid, sealer.tip)
    log.close()
    context = Context(
        nats_url=f"nats://127.0.0.1:{ports.free_port()}",
        user="admin",
        secret="x",
        data_folder=str(folder),
    )
    write_context(folder / "context.toml", context)
    return folder


@pytest.fixture
def data(stored: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    folder = tmp_path / "data"
    shutil.copytree(stored, folder)
    text = (folder / "context.toml").read_text().replace(str(stored), str(folder))
    (folder / "context.toml").write_text(text)
    return folder


def verify(folder: Path, *words: str) -> Result:
    """What the command line says."""
    context = ("--context", str(folder / "context.toml"))
    found = CliRunner().invoke(main, ["verify", *context, *words])
    assert "Traceback" not in found.output
    assert found.exception is None or isinstance(found.exception, SystemExit)
    return found


def lines(found: Result) -> dict[str, str]:
    """The verdict of each check."""
    split = [line.split(None, 1) for line in found.stdout.splitlines()]
    return {
        name: each[0]
        for each in split
        for name in CHECKS
        if len(each) == 2 and each[0] in ("ok", "FAILED", "-")
        if each[1].startswith(f"{name} ")
    }


def sql(folder: Path, *statements: str) -> None:
    """Somebody with write access to the database."""
    with sqlite3.connect(folder / "rollbook.db") as database:
        for each in statements:
            database.execute(each)
    database.close()


def test_a_good_log_is_called_good(stored: Path) -> None:
    """One line for each check, exit status 0; what cannot be compared is said."""
    found = verify(stored)

    assert found.exit_code == 0, found.output
    assert lines(found) == {**dict.fromkeys(CHECKS, "ok"), "live state": "-"}
    assert "nothing runs at nats://127.0.0.1" in found.stdout
    assert "events/s" in found.stdout
    assert "the log is good, positions 1–" in found.stdout


def test_it_is_found_without_a_context(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is named is enough; then nothing signed is compared unless named."""
    store = f"sqlite://{stored}/rollbook.db"
    runner = CliRunner(env={"HOME": str(tmp_path)})
    notes = stored / checkpoints.NOTES_FILE
    key = stored / checkpoints.PUBLIC_FILE

    monkeypatch.chdir(tmp_path)
    bare = runner.invoke(main, ["verify", "--store", store, "--quick"])
    named = ["--checkpoint", str(notes), "--public-key", str(key)]
    whole = runner.invoke(main, ["verify", "--store", store, *named])

    assert (bare.exit_code, whole.exit_code) == (0, 0), bare.output + whole.output
    assert lines(bare)["checkpoints"] == "-"
    assert lines(whole)["checkpoints"] == "ok"


def test_json_says_the_same(data: Path) -> None:
    """For programs: a document with `good`, the positions and every verdict."""
    sql(data, "UPDATE stored_events SET state = X'7B7D' WHERE notification_id = 9")

    found = verify(data, "-o", "json")

    document = json.loads(found.stdout)
    assert found.exit_code == 1
    assert document["good"] is False
    assert [each["name"] for each in document["verdicts"]] == list(CHECKS)
    told = next(each for each in document["verdicts"] if each["name"] == "seals")
    assert told["findings"][0]["first"] <= 9 <= told["findings"][0]["last"]


def scribble(folder: Path) -> None:
    """A page of the file is overwritten."""
    with (folder / "rollbook.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xaa" * 4096)


def no_database(folder: Path) -> None:
    """The file is another one."""
    (folder / "rollbook.db").write_bytes(b"something else, and long enough" * 200)


def forge_a_note(folder: Path) -> None:
    """Somebody changes a size in the file of checkpoints."""
    path = folder / checkpoints.NOTES_FILE
    first, _, rest = path.read_text().partition("\n")
    path.write_text(f"{first}\n9{rest}")


def run(*statements: str) -> Callable[[Path], None]:
    """Damage by SQL."""
    return lambda folder: sql(folder, *statements)


ROW = "UPDATE stored_events SET"
AT = "WHERE notification_id ="


@pytest.mark.parametrize(
    ("damage", "failed", "sentence"),
    [
        (run(f"{ROW} state = X'00' {AT} 12"), "seals", "does not fit its seal"),
        (run(f"{ROW} topic = 'pod.x.v9' {AT} 12"), "events", "unknown topic"),
        (run(f"{ROW} state = 7 {AT} 12"), "actors", "position 12 holds no document"),
        (run(f"{ROW} originator_version = 'x' {AT} 12"), "versions", "to x"),
        (run(f"{ROW} originator_id = CAST(X'FF' AS TEXT) {AT} 12"), "store", "12 can"),
        (run(f"{ROW} notification_id = -4 {AT} 12"), "positions", "at position -4"),
        (run(f"DELETE FROM stored_events {AT} 12"), "positions", "12 is missing"),
        (
            run("DELETE FROM stored_events WHERE notification_id > 12"),
            "seals",
            "the log ends at 12",
        ),
        (
            run(
                "DELETE FROM stored_events WHERE notification_id > "
                "(SELECT last FROM step_seals ORDER BY last LIMIT 1 OFFSET 3)",
                "DELETE FROM step_seals WHERE last > "
                "(SELECT last FROM step_seals ORDER BY last LIMIT 1 OFFSET 3)",
            ),
            "checkpoints",
            "its end was cut off",
        ),
        (run("DELETE FROM stored_events"), "seals", "the log ends at 0"),
        (run("DROP TABLE step_seals"), "seals", "without a seal"),
        (run("UPDATE step_seals SET digest = 'x'"), "seals", "without a seal"),
        (run("UPDATE step_seals SET first = -1.5"), "seals", "not one of a step"),
        (run("DROP TABLE stored_events"), "store", "cannot be"),
        (scribble, "store", "damaged"),
        (no_database, "store", "not a SQLite database"),
        (forge_a_note, "checkpoints", "its signature is not good"),
    ],
)
def test_a_damaged_store_has_a_clear_verdict(
    data: Path, damage: Callable[[Path], None], failed: str, sentence: str
) -> None:
    """Exit status 1, the check that fails, and a sentence; never a traceback."""
    damage(data)

    found = verify(data)

    assert found.exit_code == 1
    assert lines(found)[failed] == "FAILED", found.stdout
    assert sentence in found.stdout
    assert "the log is NOT good" in found.stdout


def test_a_long_log_is_examined_by_two_processes(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folds while the other looks at the file and the rows: the same verdicts."""
    monkeypatch.setattr(examining, "TWO_HALVES", 1)
    good = verify(data)
    sql(data, f"{ROW} state = CAST(state || ' ' AS BLOB) {AT} 9")
    altered = verify(data)
    scribble(data)
    damaged = verify(data)

    assert good.exit_code == 0, good.output
    assert lines(good) == {**dict.fromkeys(CHECKS, "ok"), "live state": "-"}
    assert altered.exit_code == damaged.exit_code == 1
    assert lines(altered)["seals"] == lines(altered)["checkpoints"] == "FAILED"
    assert lines(altered)["events"] == lines(altered)["folding"] == "ok"
    assert lines(damaged)["store"] == "FAILED"
    assert "damaged" in damaged.stdout
    assert "events" not in lines(damaged), "nothing is said of what was not examined"


def test_a_rewriting_is_found_by_the_witness_alone(data: Path, tmp_path: Path) -> None:
    """All seals fit, the data folder's own checkpoints are gone; the witness's are
    not."""
    witness = tmp_path / "witness"
    key = tmp_path / "key"
    (data / checkpoints.NOTES_FILE).rename(witness)
    shutil.copy(data / checkpoints.PUBLIC_FILE, key)
    sql(
        data,
        f"{ROW} state = CAST(state || ' ' AS BLOB) {AT} 9",
        "DROP TABLE step_seals",
    )
    log = eventstore.open_log(f"sqlite://{data}/rollbook.db")
    last = log.last_position()
    log.close()
    with sqlite3.connect(data / "rollbook.db") as database:
        moved = database.execute(
            "SELECT notification_id, originator_id, originator_version, topic, state "
            "FROM stored_events ORDER BY 1"
        ).fetchall()
        made = seals.seal(seals.BEGINNING, moved)
        database.execute("INSERT INTO step_seals VALUES (?, ?, ?)", made)
    database.close()

    alone = verify(data, "--quick")
    named = verify(
        data, "--quick", "--checkpoint", str(witness), "--public-key", str(key)
    )

    assert made.last == last
    assert lines(alone)["seals"] == "ok"
    assert lines(alone)["checkpoints"] == "-"
    assert lines(named)["checkpoints"] == "FAILED"
    assert "stands something else than was signed" in named.stdout


def test_from_a_position_on(stored: Path) -> None:
    """Only the steps from there on; what needs the whole log is not done."""
    found = verify(stored, "--from", "20")

    assert found.exit_code == 0, found.stdout
    assert lines(found)["seals"] == "ok"
    assert lines(found)["checkpoints"] == "-"
    assert "positions 1–" not in found.stdout


def test_a_proof_is_checked_without_the_log(stored: Path, tmp_path: Path) -> None:
    """The proof shows the event; it needs the public key and nothing else."""
    proof = tmp_path / "9.tlog-proof"
    proof.write_text(verify(stored, "--proof", "9").stdout)
    key = tmp_path / "key"
    shutil.copy(stored / checkpoints.PUBLIC_FILE, key)

    found = CliRunner().invoke(
        main, ["verify", "--check-proof", str(proof), "--public-key", str(key)]
    )

    assert found.exit_code == 0, found.output
    assert "the event is in the log rollbook/simulated, signed at" in found.stdout
    assert "\n9  " in found.stdout


@pytest.mark.parametrize(
    ("line", "old", "new", "why"),
    [
        (0, "c2sp", "c3sp", "this is not a proof"),
        (1, "extra l", "extra k", "cannot be read"),
        (2, "index 8", "index 7", "its event of 8"),
        (3, "", "AAAA", "not in the log that was signed|hash"),
    ],
)
def test_a_forged_proof_is_refused(
    stored: Path, tmp_path: Path, line: int, old: str, new: str, why: str
) -> None:
    """Exit status 1 and what is wrong with it."""
    text = verify(stored, "--proof", "9").stdout.split("\n")
    text[line] = new + text[line][4:] if not old else text[line].replace(old, new)
    proof = tmp_path / "forged"
    proof.write_text("\n".join(text))

    found = verify(stored, "--check-proof", str(proof))

    assert found.exit_code == 1
    assert any(each in found.stderr for each in why.split("|")), found.stderr


def test_no_proof_without_a_checkpoint(stored: Path) -> None:
    """What was not signed yet cannot be proved; it is said what to do."""
    found = verify(stored, "--proof", "99999")

    assert found.exit_code == 1
    assert "there is no position 99999: the log ends at" in found.stderr


def test_no_proof_of_what_was_not_signed_yet(data: Path) -> None:
    """The log is longer than its last checkpoint; it is said when there is one."""
    notes = list(checkpoints.split((data / checkpoints.NOTES_FILE).read_text()))
    (data / checkpoints.NOTES_FILE).write_text(notes[0])
    signed = checkpoints.parse_body(notes[0].partition("\n\n")[0] + "\n").size

    found = verify(data, "--proof", str(signed + 1))

    assert found.exit_code == 1
    assert f"no checkpoint speaks of position {signed + 1} yet" in found.stderr


@pytest.mark.e2e
def test_a_running_cluster_is_examined_and_compared(tmp_path: Path) -> None:
    """While the system runs, and after it: seals, checkpoints, and the live state."""
    options = ("--nodes", "2", "--runtime", "hollow", "--checkpoint-every", "1")
    witness = tmp_path / "witness"
    with running(tmp_path / "c", *options, "--witness", str(witness)) as system:
        system.cli("create", "deployment", "web", "--image=nginx:1.9.1")
        system.cli("rollout", "status", "deployment/web", "--timeout=180s")
        alive = system.cli("verify")
    after = CliRunner().invoke(
        main,
        [
            *("verify", "--context", str(system.context)),
            *("--checkpoint", str(witness)),
        ],
    )

    assert "the api has folded the same at position" in alive
    assert after.exit_code == 0, after.output
    assert lines(after) == {**dict.fromkeys(CHECKS, "ok"), "live state": "-"}
    notes = list(checkpoints.split(witness.read_text()))
    last = checkpoints.parse_body(notes[-1].partition("\n\n")[0] + "\n")
    assert f"positions 1–{last.size}\n" in after.stdout, "the end was signed"
