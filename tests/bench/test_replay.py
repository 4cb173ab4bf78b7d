"""The benchmark of replays measures what it says."""

import pathlib

from adapters import eventstore
from benchmarks import replay


def test_the_log_is_written_and_measured(tmp_path: pathlib.Path) -> None:
    """A log of at least so many events, whose pods are those that were asked for."""
    store = f"sqlite://{tmp_path}/log.db"
    log = eventstore.open_log(store)
    replay.Writer(log, pods=500, nodes=5).write(2_000)
    last = log.last_position()
    log.close()

    said = "\n".join(replay.measure(store))

    assert last >= 2_000
    assert f"a start without a snapshot: {last} events" in said
    assert "snapshot of 500 pods" in said
    assert "a start with a snapshot" in said
