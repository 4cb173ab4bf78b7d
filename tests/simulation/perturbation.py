"""`make perturb`: every single point of every story, each compared with no fault.

1. A crash after every event and at four moments of every step; every message of every
   wire lost, and repeated. The points are counted in the undisturbed run.
2. A perturbed run must come to the same end state and the same multiset of decisions
   (decisions.py), and its fault must have happened.
3. A point that differs prints its story, kind and number, and the command for it.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tests.simulation import decisions, simulate
from tests.simulation.stories import KINDS, STORIES, Story, Target, told

WORKERS: Final = 2


class Cell(NamedTuple):
    """One story under one kind of fault: the points, and what differed."""

    story: str
    kind: str
    points: int
    compared: int
    failures: tuple[str, ...]


def cells(every: int = 1, story: str = "") -> list[tuple[str, str, int]]:
    """The work: each story and kind, taking every n-th point."""
    names = [each.__name__ for each in STORIES]
    chosen = [name for name in names if story in ("", name)]
    return [(name, kind, every) for name in chosen for kind in KINDS]


@simulate.quietly()
def perturb(work: tuple[str, str, int]) -> Cell:
    """All points (or every n-th) of one story under one kind of fault."""
    name, kind, every = work
    story = _story(name)
    calm = told(story)
    wanted = decisions.decisions(calm)
    end = decisions.end_state(calm)
    points = calm.points[kind]
    failures = []
    numbers = range(1 + (len(name) + len(kind)) % every, points + 1, every)
    for number in numbers:
        why = ""
        try:
            sim = told(story, Target(kind, number))
            if sim.struck != 1:
                why = "the fault did not happen"
            why = why or decisions.difference(wanted, decisions.decisions(sim))
            why = why or decisions.unlike(end, decisions.end_state(sim))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if why:
            failures.append(f"{name}, {kind} {number}: {why}")
    return Cell(name, kind, points, len(numbers), tuple(failures))


def _story(name: str) -> Story:
    return next(each for each in STORIES if each.__name__ == name)


def all_cells(
    every: int = 1, workers: int = WORKERS, story: str = ""
) -> Iterator[Cell]:
    """Every cell, in order, from so many processes."""
    work = cells(every, story)
    if workers == 1:
        yield from map(perturb, work)
        return
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        yield from pool.imap(perturb, work, chunksize=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; 1 if a point differs."""
    parser = argparse.ArgumentParser(description="perturb every point")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--story", default="")
    parser.add_argument("--workers", type=int, default=WORKERS)
    asked = parser.parse_args(arguments)
    started = time.perf_counter()
    say = sys.stdout.write
    form = "{:<20} {:<22} {:>7} {:>9}  {}\n"
    say(form.format("story", "kind", "points", "compared", "result"))
    failures: list[str] = []
    points = compared = 0
    for cell in all_cells(asked.every, asked.workers, asked.story):
        result = f"{len(cell.failures)} differ" if cell.failures else "equal"
        say(form.format(cell.story, cell.kind, cell.points, cell.compared, result))
        sys.stdout.flush()
        failures += cell.failures
        points += cell.points
        compared += cell.compared
    seconds = time.perf_counter() - started
    share = 100 * compared / points if points else 0
    say(
        f"{compared} of {points} points ({share:.0f} %) in {seconds:.0f} s; "
        f"{len(failures)} differ from the undisturbed run\n"
    )
    for failure in failures:
        say(f"  {failure}\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
