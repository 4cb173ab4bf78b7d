"""The scenarios about long logs: what is made, what is read, and that it is right."""

from pathlib import Path

import pytest

from adapters import eventstore
from domain import seals
from rollbook.bench import longlogs, making, readings, results, revisions, sealed

EVENTS = 2_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a log that was made; it is only read."""
    url = f"sqlite://{tmp_path_factory.mktemp('made')}/log.db"
    log = eventstore.open_log(url)
    making.write(log, EVENTS, pods=500, nodes=5)
    log.close()
    return url


def test_a_log_is_made_by_sealed_steps(store: str) -> None:
    """At least so many events, and a chain of seals that fits them to the last one."""
    log = eventstore.open_log(store, read_only=True)
    last = log.last_position()
    former, end = seals.BEGINNING, 0
    for seal in log.read_seals(0, last):
        rows = log.read(end, seal.last - end)
        assert seals.seal(former, rows) == seal
        former, end = seal.digest, seal.last
    assert end == last >= EVENTS
    log.close()


def test_a_replay_is_measured_whole_and_from_a_snapshot(store: str) -> None:
    """The snapshot is the measurement's own: the store is as it was."""
    found = readings.replay(store)
    assert found["events"] >= EVENTS
    assert found["replay_rate"] > 0
    assert found["snapshot_start"] > 0
    assert 0 < found["tail_events"] <= found["events"]
    folder = Path(store.removeprefix("sqlite://")).parent
    assert not [*folder.glob("*.snapshots/*")]


def test_the_past_is_asked_for_objects_of_every_kind(store: str) -> None:
    """One and all, and each question is answered."""
    found = readings.past(store, questions=4, whole=2)
    kinds = ("pod", "node", "replicaset", "deployment", "deployment_full", "whole")
    for kind in kinds:
        assert 0 < found[f"at_{kind}_p50"] <= found[f"at_{kind}_p99"]


def test_a_history_is_asked_in_every_way() -> None:
    """Each kind of question has its figures."""
    found = revisions.history(30, 2)
    assert found.pop("revisions") == 30
    assert len(found) == 12
    assert min(found.values()) > 0


def test_a_seal_is_measured_beside_an_append(tmp_path: Path) -> None:
    """For steps of each size; nothing stays behind."""
    found = sealed.sealing(str(tmp_path), share=0.0)
    assert {f"append_{size}" for size in sealed.SIZES} <= found.keys()
    assert not [*tmp_path.iterdir()]


@pytest.mark.asyncio
async def test_an_examination_is_the_command_itself(store: str, tmp_path: Path) -> None:
    """As a user types it; a good log has no problems."""
    good = await longlogs.measure("verify", longlogs.Place(store, tmp_path))
    assert good.problems == ()
    assert good.figures["verify_rate"] > 0


def test_every_figure_has_a_name(store: str) -> None:
    """What is not in the list of figures would be measured and never printed."""
    found = {**readings.replay(store), **readings.past(store, questions=1, whole=1)}
    printed = set(results.FIGURES)
    assert set(found) <= printed
