"""What seals cost when a step is appended: `sealing`.

1. An append to SQLite with its seal and without, in steps of 1, 30 and 1,000 events:
   both in turn on the same disk, medians of many.
2. The wall clock waits for the disk, and the difference of two syncs is mostly noise.
   So the share is what the processor does more, of what an append takes by the clock.
"""

import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from adapters import eventstore
from adapters.eventlog import Row
from domain import catalogue, seals, times
from domain.events import Recorded
from domain.node import ReportsCounted

SIZES: Final = {1: 1_500, 30: 600, 1_000: 80}
"""Events in a step, and how many steps are measured."""
BEGIN: Final = 1_700_000_000.0


def sealing(folder: str | None = None, share: float = 1.0) -> dict[str, float]:
    """What a seal adds to an append, in percent of the append, by events in a step.

    `share` of the usual number of steps is measured, in a folder within `folder`.
    """
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for size, repeats in SIZES.items():
            appended, extra = _appends(Path(place), size, max(3, int(repeats * share)))
            figures[f"append_{size}"] = appended * 1000
            figures[f"sealed_{size}"] = extra / appended * 100
    figures["tree"] = _tree()
    return figures


def _appends(folder: Path, size: int, repeats: int) -> tuple[float, float]:
    """The seconds of an append by the clock, and those of the processor for a seal."""
    plain = eventstore.open_log(f"sqlite://{folder}/plain-{size}.db")
    sealed = eventstore.open_log(f"sqlite://{folder}/sealed-{size}.db")
    waited: list[float] = []
    busy_plain: list[float] = []
    busy_sealed: list[float] = []
    former = seals.BEGINNING
    gc.collect()
    for rows in itertools.islice(steps(size), repeats):
        began, busy = time.perf_counter(), time.thread_time()
        plain.append(rows)
        waited.append(time.perf_counter() - began)
        between = time.thread_time()
        seal = seals.seal(former, rows)
        sealed.append(rows, (), [seal])
        busy_plain.append(between - busy)
        busy_sealed.append(time.thread_time() - between)
        former = seal.digest
    plain.close()
    sealed.close()
    extra = statistics.median(busy_sealed) - statistics.median(busy_plain)
    return statistics.median(waited), extra


def _tree() -> float:
    """Microseconds of the processor for an event in the tree, behind the commit."""
    rows = next(steps(100_000))
    tree = seals.Tree()
    began = time.thread_time()
    tree.extend(seals.leaf_hashes(rows))
    tree.root()
    return (time.thread_time() - began) / len(rows) * 1e6


def steps(size: int) -> Iterator[Sequence[Row]]:
    """Steps of a log of nodes that count their reports; each of one instant."""
    position = 0
    versions: dict[str, int] = {}
    for number in itertools.count(1):
        at = times.grid(BEGIN + number / 1000)
        rows = []
        for _ in range(size):
            position += 1
            name = f"worker-{position % 5_000:04d}.eu-west-1.compute.internal"
            stream = f"node/{name}"
            versions[stream] = version = versions.get(stream, 0) + 1
            event = ReportsCounted(
                incarnation=1,
                first_sequence=version * 30,
                last_sequence=version * 30 + 29,
                count=30,
            )
            recorded = Recorded(
                position, stream, version, at, f"node/{name}", 0, "", event
            )
            document = catalogue.encode(recorded)
            rows.append(Row(position, stream, version, event.TOPIC, document))
        yield rows
