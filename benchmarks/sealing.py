"""What seals and checkpoints cost, and how fast a log is examined.

    benchmarks/sealing.py [--events 500000] [--folder DIR]

1. An append to SQLite with its seal and without, in steps of 1, 30 and 1,000 events:
   both in turn on the same disk, medians of many. The wall clock waits for the disk,
   and the difference of two syncs is mostly noise; the processor's time is not.
2. What the notary pays behind the commit: the tree over the events.
3. An examination (`rollbook verify --quick`, and with each event read and folded).
"""

import argparse
import gc
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from adapters import eventlog, eventstore
from adapters.eventlog import Row
from domain import catalogue, seals, times
from domain.events import Recorded
from domain.node import ReportsCounted
from domain.seals import Seal
from rollbook import examining
from rollbook.verdicts import Report
from rollbook.verifying import Examination

SIZES: Final = {1: 1_500, 30: 600, 1_000: 80}
"""Events in a step, and how many steps are measured."""
BEGIN: Final = 1_700_000_000.0


def main() -> int:
    """Measures and prints; 0 unless the examination finds something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        print("append to SQLite, microseconds a step (medians): the wall clock without")
        print("and with a seal; the processor without, with, and for the seal alone")
        for size, repeats in SIZES.items():
            _appends(Path(folder), size, repeats)
        _tree()
        report = _examined(Path(folder), chosen.events)
    for each in report.verdicts:
        print(f"  {each.status:<8}{each.name}: {each.text}")
    rate = report.events / report.check_seconds
    print(f"examined: {report.events:,} events, {rate:,.0f} events/s")
    return 0 if report.good else 1


def _appends(folder: Path, size: int, repeats: int) -> None:
    plain = eventstore.open_log(f"sqlite://{folder}/plain-{size}.db")
    sealed = eventstore.open_log(f"sqlite://{folder}/sealed-{size}.db")
    wall: dict[str, list[float]] = {"plain": [], "sealed": []}
    cpu: dict[str, list[float]] = {"plain": [], "sealed": [], "seal": []}
    former = seals.BEGINNING
    gc.collect()
    for rows in itertools.islice(steps(size), repeats):
        began, busy = time.perf_counter(), time.thread_time()
        plain.append(rows)
        between, busy_between = time.perf_counter(), time.thread_time()
        seal = seals.seal(former, rows)
        busy_made = time.thread_time()
        sealed.append(rows, (), [seal])
        ended, busy_ended = time.perf_counter(), time.thread_time()
        former = seal.digest
        wall["plain"].append(between - began)
        wall["sealed"].append(ended - between)
        cpu["plain"].append(busy_between - busy)
        cpu["seal"].append(busy_made - busy_between)
        cpu["sealed"].append(busy_ended - busy_between)
    plain.close()
    sealed.close()
    waited = {key: statistics.median(each) * 1e6 for key, each in wall.items()}
    used = {key: statistics.median(each) * 1e6 for key, each in cpu.items()}
    print(
        f"  {size:>6} events: {waited['plain']:>7.0f} {waited['sealed']:>7.0f};"
        f" {used['plain']:>7.0f} {used['sealed']:>7.0f} {used['seal']:>7.1f}:"
        f" {used['sealed'] / used['plain'] - 1:+.1%} of the processor,"
        f" {(used['sealed'] - used['plain']) / waited['plain']:+.1%} of the append"
    )


def _tree() -> None:
    rows = next(steps(100_000))
    tree = seals.Tree()
    began = time.thread_time()
    tree.extend(seals.leaf_hashes(rows))
    tree.root()
    spent = (time.thread_time() - began) / len(rows) * 1e6
    print(f"tree: {spent:.2f} microseconds of the processor an event, later")


def _examined(folder: Path, events: int) -> Report:
    url = f"sqlite://{folder}/log.db"
    log = eventstore.open_log(url, check_versions=False)
    _fill(log, events)
    log.close()
    log = eventstore.open_log(url, read_only=True)
    end = examining.end_of(log)
    gc.disable()
    began, busy = time.perf_counter(), time.process_time()
    examination = Examination(examining.seals_of(log, 0, end))
    reading = examining.examine(log, examination, end)
    whole, used = time.perf_counter() - began, time.process_time() - busy
    gc.enable()
    log.close()
    print(f"with the reading of the rows: {end / whole:,.0f} events/s by the clock,")
    print(f"{end / used:,.0f} events/s of the processor")
    return examination.report([reading])


def _fill(log: eventlog.EventLog, events: int) -> None:
    former = seals.BEGINNING
    written = 0
    made = steps(30)
    while written < events:
        # One transaction holds many steps: filling is not what is measured.
        rows: list[Row] = []
        sealed: list[Seal] = []
        for step in itertools.islice(made, 300):
            seal = seals.seal(former, step)
            former = seal.digest
            sealed.append(seal)
            rows += step
        log.append(rows, (), sealed)
        written += len(rows)


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


if __name__ == "__main__":
    sys.exit(main())
