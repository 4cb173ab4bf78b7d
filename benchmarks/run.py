"""`make bench`: how fast Rollbook is, what it costs, and whether it was right.

    benchmarks/run.py [--pods 1000,5000] [--nodes 100] [--runs 1] [--json FILE]
                      [--store URL] [--require]

Each size, and each run, has a fresh system of real processes (benchmarks/system.py)
that goes through the same scenarios (scenario.py), whose log is checked (audit.py).
Exit status 1: a check of the log failed, or, with `--require`, a demand on the speed
did. What each figure means is in docs/benchmarks.md.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import report, scenario, system
from benchmarks.results import Run


def main() -> int:
    """Measures, prints, and returns the exit status."""
    options = _options()
    machine = system.machine()
    begun = time.monotonic()
    runs: list[Run] = []
    for number in range(1, options.runs + 1):
        for pods in options.pods:
            _say(f"run {number} of {options.runs}: {pods:,} pods on {options.nodes}")
            with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as folder:
                runs.append(
                    scenario.run(
                        Path(folder) / "data",
                        pods,
                        options.nodes,
                        options.store,
                        lambda text: _say(f"  {text}"),
                    )
                )
    seconds = time.monotonic() - begun
    store = options.store.partition(":")[0] or "sqlite"
    found = report.Report(
        machine=machine, store=store, seconds=seconds, runs=tuple(runs)
    )
    print(report.text(found))
    if options.json is not None:
        options.json.write_bytes(report.json(found))
    wrong = any(run.problems for run in runs)
    slow = not all(demand.met for demand in report.demands(found))
    return int(wrong or (options.require and slow))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Rollbook on this machine.")
    parser.add_argument(
        "--pods", type=_sizes, default=[1000, 5000], help="sizes, as 1000,5000"
    )
    parser.add_argument("--nodes", type=_positive, default=100, help="hollow nodes")
    parser.add_argument("--runs", type=_positive, default=1, help="medians of so many")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument(
        "--store", default="", help="an empty database instead of a fresh SQLite file"
    )
    parser.add_argument(
        "--require", action="store_true", help="fail when a demand on speed is not met"
    )
    options = parser.parse_args()
    room = options.nodes * scenario.PODS_PER_NODE
    if max(options.pods) * 5 // 4 + 1 > room:
        parser.error(
            f"{max(options.pods)} pods and a quarter more in a rolling update do not "
            f"fit on {options.nodes} nodes of {scenario.PODS_PER_NODE}: give --nodes"
        )
    if options.store:
        if options.runs * len(options.pods) > 1:
            parser.error("--store takes one size and one run: a log begins empty")
        if why := scenario.check_store(options.store):
            parser.error(why)
    return options


def _sizes(text: str) -> list[int]:
    return sorted({_positive(each) for each in text.split(",")})


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except system.Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
