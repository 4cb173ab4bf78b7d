"""Deliberately wrong variants of the shipped code, each of which must be noticed.

1. A mutant replaces one function or constant of the core by a subtly wrong one, for as
   long as its context lasts, and names the property that it breaks.
2. The scripts are shown it first, then the state machine with a bounded number of
   examples. A mutant that none of them notices survives: a check is missing.
3. `python tests/properties/mutants.py` prints the table and exits with 1 if one
   survives.
"""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from domain.errors import Conflict
from tests.properties import (
    scripts,
    scripts_checked,
    scripts_listeners,
    scripts_lost,
    scripts_owners,
    scripts_watched,
)
from tests.properties import wrong_checked as checked
from tests.properties import wrong_classics as classics
from tests.properties import wrong_owners as owners
from tests.properties import wrong_plans as plans
from tests.properties import wrong_subscribers as subscribers
from tests.properties import wrong_watched as watched
from tests.properties import wrong_writer as writer
from tests.properties.wrong_plans import Change

SCRIPTS: Final = (
    *scripts.SCRIPTS,
    *scripts_lost.SCRIPTS,
    *scripts_listeners.SCRIPTS,
    *scripts_owners.SCRIPTS,
    *scripts_watched.SCRIPTS,
    *scripts_checked.SCRIPTS,
)
EXAMPLES: Final = 40
NOTICED: Final = (AssertionError, Conflict)
"""What a checker, an assertion of the core or the store says. Anything else is a
mutant that is broken rather than wrong, and ends the run."""


class Mutant(NamedTuple):
    """A wrong variant: what is replaced by what, and the property that breaks."""

    name: str
    property: str
    change: Callable[[], Change]


class Verdict(NamedTuple):
    """Who noticed a mutant, in how many seconds; nobody if `killer` is empty."""

    killer: str
    sentence: str
    seconds: float


@contextlib.contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """The code is wrong inside, and as it was afterwards."""
    target, name, wrong = mutant.change()
    right = vars(target)[name]
    setattr(target, name, wrong)
    try:
        yield
    finally:
        setattr(target, name, right)


def scripted() -> tuple[str, str]:
    """The first script that notices something, and its sentence; empty if none."""
    for script in SCRIPTS:
        try:
            script()
        except NOTICED as error:
            return script.__name__, str(error).split("\n")[0]
    return "", ""


def judge(mutant: Mutant, *, examples: int = EXAMPLES) -> Verdict:
    """Shows the mutant to the scripts and, if they see nothing, to the machine."""
    started = time.monotonic()
    with applied(mutant):
        killer, sentence = scripted()
        if not killer and examples:
            killer, sentence = _machine(examples)
    return Verdict(killer, sentence, time.monotonic() - started)


def _machine(examples: int) -> tuple[str, str]:
    from tests.properties.test_state_machine import Cluster

    bounded = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Cluster, settings=bounded)
    except NOTICED as error:
        return "state machine", str(error).split("\n")[0]
    return "", ""


# --- the mutants ------------------------------------------------------------------

MUTANTS: Final[Sequence[Mutant]] = (
    Mutant("maxSurge rounded down", "I1", plans.surge_rounds_down),
    Mutant("maxUnavailable rounded up", "S6", plans.unavailable_rounds_up),
    Mutant("new unavailable pods left out", "S6", plans.new_unavailable_left_out),
    Mutant("unhealthy pods not first", "L1", plans.unhealthy_first_skipped),
    Mutant("one healthy pod too many removed", "S6", plans.budget_too_large),
    Mutant("surge exceeded", "S7", plans.surge_exceeded),
    Mutant("undo reuses the old number", "S10", plans.old_revision_number_again),
    Mutant("undo restores another template", "S10", writer.undo_restores_the_newest),
    Mutant(
        "undo goes to the first revision",
        "S10",
        plans.undo_takes_the_first,
    ),
    Mutant("templates compared by name", "S10", plans.template_compared_by_name),
    Mutant("templates compared with hash", "I4", plans.template_compared_with_hash),
    Mutant("desired size never refreshed", "S9", plans.desired_never_refreshed),
    Mutant("scaling never recognised", "S9", plans.scaling_never_recognised),
    Mutant("rounding to the smallest", "S9", plans.rest_to_the_smallest),
    Mutant("Recreate does not wait", "S9", plans.recreate_does_not_wait),
    Mutant("Recreate ignores terminating", "S9", plans.recreate_ignores_terminating),
    Mutant("late report believed", "S8", writer.late_report_believed),
    Mutant("command executed twice", "S3", writer.command_executed_twice),
    Mutant("pod bound twice", "S8", writer.pod_bound_twice),
    Mutant("node overcommitted", "S15", plans.node_overcommitted),
    Mutant("cordon ignored", "S15", plans.cordon_ignored),
    Mutant("free room not reduced", "S15", writer.free_not_reduced),
    Mutant("terminating pods count", "I5", writer.terminating_counts),
    Mutant("removed pod returns", "S8", writer.removed_pod_returns),
    Mutant(
        "eviction though nobody is heard",
        "L4",
        plans.eviction_of_all,
    ),
    Mutant("eviction without toleration", "L4", plans.eviction_at_once),
    Mutant("pods of a silent node stay ready", "I5", writer.silence_is_forgotten),
    Mutant("any node is believed", "S13", writer.every_node_believed),
    Mutant("cause missing", "S14", writer.cause_missing),
    Mutant("failed pod stays counted", "I5", writer.failed_pod_counts),
    Mutant("available before its time", "I5", writer.available_too_early),
    Mutant("availability alarm not checked", "S6", writer.alarm_rings_early),
    Mutant("history takes what is not empty", "I12", plans.history_takes_the_living),
    Mutant("history takes nothing", "I12", plans.history_takes_nothing),
    Mutant("second ReplicaSet of a template", "I4", writer.second_replicaset),
    Mutant("victims the wrong way round", "S6", plans.victims_the_wrong_way_round),
    Mutant("one pod too many", "I8", plans.one_pod_too_many),
    Mutant("paused rolls on", "I10", writer.paused_rolls_on),
    Mutant("replay forgets a revision", "S10", writer.replay_forgets_revisions),
    Mutant("replay forgets a cordon", "S4", writer.emitted_but_not_folded),
    Mutant("not counted anew", "I5", writer.readiness_time_not_counted_anew),
    Mutant("kubelet is not told to stop", "L1", writer.stop_is_not_said),
    Mutant("deletion leaves the pods", "L1", writer.delete_leaves_the_pods),
    Mutant("owned ReplicaSets are stolen", "I7", writer.steals_replicasets),
    Mutant("scaled by one too many", "L7", writer.validation_forgotten),
    Mutant("stale view (Sieve)", "I8", classics.stale_view_creates_again),
    Mutant("stale view of nodes (Sieve)", "L4", classics.stale_view_of_nodes),
    Mutant("cut between writes (Sieve)", "S2", classics.cut_between_two_writes),
    Mutant("ending not observed (Sieve)", "L1", classics.transition_not_observed),
    Mutant("removal not observed (Sieve)", "L1", classics.removal_not_observed),
    Mutant("recovery not observed (Sieve)", "L1", classics.readiness_not_observed),
    Mutant("silent revert (nomad#10337)", "S10", classics.silent_revert),
    Mutant("refusal not recorded", "S3", classics.refusal_not_recorded),
    Mutant("lost report confirmed", "L1", classics.lost_report_confirmed),
    Mutant("heartbeat says nothing", "L1", classics.heartbeat_says_nothing),
    Mutant("full report takes all", "S8", classics.full_report_takes_all),
    Mutant("removed pod runs on", "L4", classics.removed_pod_runs_on),
    Mutant("lost publish believed", "L6", subscribers.lost_publish_believed),
    Mutant("relay starts at the end", "L6", subscribers.relay_starts_at_the_end),
    Mutant("handed rows begin anywhere", "L6", subscribers.handed_rows_begin_anywhere),
    Mutant("stream not fenced", "L6", subscribers.stream_not_fenced),
    Mutant("event before not named", "L6", subscribers.event_before_not_named),
    Mutant("half steps shown", "L6", subscribers.half_steps_shown),
    Mutant("bookmark too far", "L6", subscribers.bookmark_too_far),
    Mutant("replaced writer speaks", "S12", subscribers.replaced_writer_speaks),
    Mutant("last changed is youngest", "I11", owners.last_changed_is_youngest),
    Mutant(
        "foreign controller overlooked", "I7", owners.foreign_controllers_overlooked
    ),
    Mutant("rollback asked for again", "S11", owners.request_stays),
    Mutant("pause forgets the stall", "I10", owners.pause_forgets_the_stall),
    Mutant("recommendations forgotten", "A2", watched.recommendations_forgotten),
    Mutant("first size forgotten", "A2", watched.first_size_forgotten),
    Mutant("silent pods are idle", "A2", watched.silent_pods_are_idle),
    Mutant("fewest pods forgotten", "A1", watched.bounds_forgotten),
    Mutant("old usage believed", "A2", watched.old_usage_believed),
    Mutant("missing metric is zero", "A2", watched.missing_metric_asks_for_nothing),
    Mutant("rollback twice", "S11", watched.rollback_forgets_that_it_is_one),
    Mutant("rollback to what failed", "S11", watched.back_to_any_revision),
    Mutant("any measurement believed", "S11", watched.any_measurement_believed),
    Mutant("hold ends with a promotion", "S11", watched.hold_ends_with_a_promotion),
    Mutant(
        "full promotion of one step", "S11", watched.promotion_in_full_is_of_one_step
    ),
    Mutant("promotion not seen", "S11", watched.promotion_not_seen),
    Mutant("anybody's check believed", "S17", checked.anybodys_check_believed),
    Mutant("failing is for ever", "S17", checked.failing_is_for_ever),
    Mutant("report lifts the check", "S17", checked.report_lifts_the_check),
    Mutant("back is available at once", "S17", checked.back_is_available_at_once),
    Mutant("said again is an event", "S17", checked.said_again_is_an_event),
)


def main() -> int:
    """Prints the table; 1 if the code as it is fails, or a mutant survives."""
    logging.disable(logging.CRITICAL)  # what is refused is said to a log: not here
    killer, sentence = scripted()
    if killer:
        sys.stdout.write(f"the code as it is fails {killer}: {sentence}\n")
        return 1
    form = "{:<34} {:<5} {:<20} {:>6}  {}\n"
    head = form.format("mutant", "prop.", "noticed by", "s", "verdict")
    sys.stdout.write(head)
    survivors = 0
    for mutant in MUTANTS:
        found = judge(mutant)
        survivors += not found.killer
        verdict = found.sentence[:90] if found.killer else "SURVIVED"
        name, law = mutant.name, mutant.property
        line = form.format(name, law, found.killer, f"{found.seconds:.2f}", verdict)
        sys.stdout.write(line)
        sys.stdout.flush()
    sys.stdout.write(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} were noticed\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
