"""Which checker looks after which property, and how often each was reached."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from tests.properties import (
    active_check_checkers,
    checkers,
    count_checkers,
    log_checkers,
    rollout_checkers,
    subscriber_checkers,
    watched_checkers,
)
from tests.properties.checking import Checker
from tests.simulation import final_checkers, system_checkers

TWINS: Final = "tests/simulation/twins.py"

PROPERTIES: Final[dict[str, tuple[type[Checker], ...]]] = {
    "S1": (log_checkers.DenseLog,),
    "S2": (log_checkers.AtomicSteps,),
    "S3": (log_checkers.OnceOnly,),
    "S4": (log_checkers.Replay,),
    "S5": (system_checkers.Unchanged,),
    "S6": (rollout_checkers.LeastAvailable, rollout_checkers.Victims),
    "S7": (rollout_checkers.SizeLimit,),
    "S8": (log_checkers.Identity, log_checkers.Terminal, log_checkers.Incarnations),
    "S9": (rollout_checkers.Recreate, rollout_checkers.Proportion),
    "S10": (rollout_checkers.Revisions,),
    "S11": (
        system_checkers.NoSelfRollback,
        system_checkers.RequestedRollbacks,
        watched_checkers.AutomaticRollbacks,
        watched_checkers.Rounds,
        watched_checkers.PromotedHolds,
    ),
    "S12": (system_checkers.ReplacedWriters, system_checkers.SilencedWriters),
    "S13": (log_checkers.OwnWord,),
    "S14": (log_checkers.Causes, log_checkers.Compensation),
    "S15": (count_checkers.Capacity,),
    "S16": (),
    "S17": active_check_checkers.SUITE,
    "I1": (system_checkers.SizesAndSurge,),
    "I2": (system_checkers.SecuredPods,),
    "I3": (system_checkers.RecreatedPods,),
    "I4": (rollout_checkers.OneReplicaSet,),
    "I5": (count_checkers.Tallies, count_checkers.Statuses, count_checkers.Silence),
    "I6": (system_checkers.Generations,),
    "I7": (count_checkers.Ownership, system_checkers.OneController),
    "I8": (count_checkers.Sizes,),
    "I9": (count_checkers.Collisions,),
    "I10": (rollout_checkers.Paused,),
    "I11": (checkers.Idle,),
    "I12": (rollout_checkers.History,),
    "I13": (final_checkers.SameAgain,),
    "I14": (final_checkers.CrashChangesNothing,),
    "L1": (checkers.ActualIsDesired, checkers.Orphans),
    "L2": (final_checkers.Answered,),
    "L3": (final_checkers.RolloutsEnd,),
    "L4": (checkers.NodesObey, count_checkers.Eviction, final_checkers.NothingLeft),
    "L5": (final_checkers.SetAside,),
    "L6": subscriber_checkers.SUITE,
    "L7": (final_checkers.PathForgotten,),
    "A1": (watched_checkers.Bounds, watched_checkers.OneSize),
    "A2": (watched_checkers.MeasuredDown,),
    "A3": (final_checkers.ComesToRest,),
}
"""A1 to A3 are of autoscalers (watched_checkers.py). S16 has no checker that looks on:
two runs are compared (twins.py)."""


def reached(looked_on: Iterable[Checker]) -> dict[str, int]:
    """How often the guard of each checker was met, as `S6 Victims`."""
    counts: Counter[str] = Counter()
    names = {kind: id_ for id_, kinds in PROPERTIES.items() for kind in kinds}
    for each in looked_on:
        id_ = names.get(type(each), each.id)
        counts[f"{id_} {type(each).__name__}"] += each.reached
    return dict(counts)
