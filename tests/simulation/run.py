"""`make simulate`: many seeds on two cores, and a table of what was reached.

1. `SEEDS` is how many, `START` the first, `SEED` a single one (`SEED=7/1`: its plan in
   the first edition, see workload.py). Without any, new seeds are drawn, and printed.
2. A failure prints its seed, the command that replays it, and the shortest story that
   still fails in the same way. The exit status is 1 then, and also where a property
   was never reached in a thousand seeds or more.
"""

import argparse
import multiprocessing
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Final

from tests.simulation import properties, shrink, simulate, twins, workload
from tests.simulation.simulate import Outcome

WORKERS: Final = 2
PATIENCE: Final = 60
"""Seconds of the processor's time after which a seed is taken to hang: a machine that
is busy with other things has no hand in that."""
ENOUGH: Final = 1_000
"""From so many seeds on, a property that was never reached is a failure."""
RATIO: Final = 1_000.0
"""Simulated seconds for one of real time that must be reached at least."""


class Hangs(Exception):
    """A seed takes longer than any seed should."""


def outcome(seed: int, edition: int = workload.EDITION) -> Outcome:
    """What the plan of this seed comes to, and its twins; a hang is a failure."""
    return judge(workload.plan(seed, edition))


@simulate.quietly()
def judge(plan: workload.Plan) -> Outcome:
    """Runs one plan under a guard against hanging."""

    def alarm(_number: int, _frame: FrameType | None) -> None:
        raise Hangs(f"it takes more than {PATIENCE} s of the processor")

    before = signal.signal(signal.SIGPROF, alarm)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        return twins.compared(simulate.run(plan), plan)
    except Hangs as error:
        why = f"Hangs: {error}"
        return Outcome(seed=plan.seed, edition=plan.edition, failure=why)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def replay_command(found: Outcome) -> str:
    """What a person types to see it again."""
    edition = "" if found.edition == workload.EDITION else f"/{found.edition}"
    return f"make simulate SEED={found.seed}{edition}"


def explain(found: Outcome) -> str:
    """The failure, how to replay it, and the shortest story of it."""
    plan = workload.plan(found.seed, found.edition)
    signature = _signature(found)
    shortest = shrink.shrink(plan, lambda each: _signature(judge(each)) == signature)
    short = judge(shortest)
    return "\n".join(
        [
            f"seed {found.seed} fails: {found.failure}",
            f"  where:  {found.where}",
            f"  replay: {replay_command(found)}",
            f"  shortest story ({len(shortest.actions)} of {len(plan.actions)}):",
            shrink.story(shortest),
            f"  it fails: {short.failure}",
        ]
    )


def _signature(found: Outcome) -> str:
    """Two failures of one signature are taken for the same."""
    return found.where.split(" ← ")[0] + found.failure.split(":")[0]


def many(seeds: Sequence[int], workers: int = WORKERS) -> Iterator[Outcome]:
    """The outcomes of these seeds, in order, from so many processes."""
    if workers == 1 or len(seeds) == 1:
        yield from map(outcome, seeds)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(workers) as pool:
        yield from pool.imap(outcome, seeds, chunksize=8)


def table(found: Sequence[Outcome], seconds: float) -> str:
    """What was simulated, injected and reached."""
    simulated = sum(each.simulated for each in found)
    injected, delivered, reached = Counter[str](), Counter[str](), Counter[str]()
    for each in found:
        injected.update(each.injected)
        delivered.update(each.delivered)
        reached.update(each.reached)
    busy = sum(each.seconds for each in found) or 1.0
    lines = [
        f"seeds            {len(found)}, of which failed "
        f"{sum(bool(each.failure) for each in found)}",
        f"simulated time   {simulated / 86_400:.1f} days in {seconds:.0f} s "
        f"({simulated / busy:,.0f} × real time on one core)",
        f"events           {sum(each.events for each in found):,} in "
        f"{sum(each.steps for each in found):,} steps; "
        f"{sum(each.commands for each in found):,} commands; "
        f"{sum(each.restarts for each in found):,} restarts of control",
        "messages         "
        + ", ".join(f"{count:,} × {what}" for what, count in sorted(delivered.items())),
        "",
        "faults injected",
        *(f"  {count:>9,}  {what}" for what, count in sorted(injected.items())),
        "",
        "guards reached",
        *(f"  {count:>9,}  {what}" for what, count in _ordered(reached)),
    ]
    return "\n".join(lines)


def _ordered(reached: Counter[str]) -> list[tuple[str, int]]:
    ids = [*properties.PROPERTIES]

    def place(item: tuple[str, int]) -> tuple[int, str]:
        id_ = item[0].split()[0]
        return (ids.index(id_) if id_ in ids else len(ids), item[0])

    return sorted(reached.items(), key=place)


def unreached(found: Sequence[Outcome]) -> list[str]:
    """The checkers, and the properties, whose guard was never met."""
    reached = Counter[str]()
    for each in found:
        reached.update(each.reached)
    met = {name.split()[0] for name, count in reached.items() if count}
    missing = [name for name, count in reached.items() if not count]
    return missing + [id_ for id_ in properties.PROPERTIES if id_ not in met]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints everything; 1 if a property was violated or never reached."""
    parser = argparse.ArgumentParser(description="simulate Rollbook")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--start", type=int, default=None)
    parser.add_argument("--seed", default="", help="one seed, or seed/edition")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--stories", type=int, default=5, help="failures to shrink")
    asked = parser.parse_args(arguments)
    first = secrets.randbits(31) if asked.start is None else asked.start
    seeds = [*range(first, first + asked.seeds)]
    one, _, edition = asked.seed.partition("/")
    if one:
        seeds = [int(one)]
    say = sys.stdout.write
    say(f"seeds {seeds[0]} to {seeds[-1]}\n")
    sys.stdout.flush()
    started = time.perf_counter()
    if edition:
        found = [outcome(seeds[0], int(edition))]
    else:
        found = [*many(seeds, asked.workers)]
    say(table(found, time.perf_counter() - started) + "\n")
    failed = [each for each in found if each.failure]
    bad = bool(failed)
    if len(found) >= ENOUGH:
        missing = unreached(found)
        bad |= bool(missing)
        say(f"never reached: {', '.join(missing) or 'none'}\n")
    if not one:
        rolling, idle = simulate.ratio()
        bad |= min(rolling, idle) < RATIO
        say(
            f"5 nodes, 30 pods: {rolling:,.0f} × real time with a rolling update every "
            f"ten minutes, {idle:,.0f} × idle (at least {RATIO:,.0f} ×)\n"
        )
    by_signature: dict[str, list[Outcome]] = {}
    for each in failed:
        by_signature.setdefault(_signature(each), []).append(each)
    kinds = sorted(by_signature.values(), key=len, reverse=True)
    for kind in kinds[: asked.stories]:
        numbers = ", ".join(str(each.seed) for each in kind[:10])
        say(f"\n{len(kind)} seeds fail like this: {numbers}\n{explain(kind[0])}\n")
        sys.stdout.flush()
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
