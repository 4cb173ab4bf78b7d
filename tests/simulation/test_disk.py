"""The simulated disk: what was synced is there after a crash, and nothing in halves."""

import pytest

from adapters.eventlog import Row, Tracking
from domain.errors import Transient
from tests.simulation.disk import DiskLog, DiskStore, Unsynced


def row(position: int) -> Row:
    """A row of a stream of its own."""
    return Row(position, f"pod/default/{position}", 1, "topic", b"state")


@pytest.mark.parametrize(("fate", "left"), [("lost", 2), ("torn", 2), ("kept", 4)])
def test_what_was_not_synced_is_there_whole_or_not_at_all(
    fate: Unsynced, left: int
) -> None:
    """An unsynced transaction is lost, torn or kept; the synced ones before it stay."""
    disk = DiskStore()
    log = DiskLog(disk)
    log.append([row(1), row(2)], [Tracking("a", 1)])
    log.write([row(3), row(4)], [Tracking("a", 2)])

    disk.crash(fate)

    assert [each.position for each in disk.rows] == [*range(1, left + 1)]
    assert disk.tracking == {"a": 1 if left == 2 else 2}
    again = DiskLog(disk)
    again.append([row(left + 1)], [Tracking("a", 3)])
    assert again.last_position() == left + 1


@pytest.mark.parametrize(("doubt", "left"), [("written", 1), ("not written", 0)])
def test_an_append_in_doubt_was_written_or_not(doubt: str, left: int) -> None:
    """`Transient` says that the writer must ask; the next append is in no doubt."""
    disk = DiskStore()
    log = DiskLog(disk)
    disk.doubt = "written" if doubt == "written" else "not written"

    with pytest.raises(Transient):
        log.append([row(1)])

    assert log.last_position() == left
    log.append([row(left + 1)])
    assert log.last_position() == left + 1


def test_the_synced_log_survives_every_crash() -> None:
    """Any number of crashes between appends loses nothing."""
    disk = DiskStore()

    for position in range(1, 20):
        DiskLog(disk).append([row(position)])
        disk.crash("lost")

    assert [each.position for each in disk.rows] == [*range(1, 20)]
