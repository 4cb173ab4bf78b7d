"""Deliberately wrong variants of the shipped code, each of which must be noticed.

1. A mutant replaces one function or constant of the core by a subtly wrong one, for as
   long as its context lasts, and names the property that it breaks.
2. The scripts are shown it first, then the state machine with a bounded number of
   examples. A mutant that none of them notices survives: a check is missing.
3. `python tests/properties/mutants.py` prints the table and exits with 1 if one
   survives.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from domain import deployment_decisions, node, objects, pod, replicaset, template
from domain.errors import Conflict
from domain.plans import (
    history,
    node_health,
    placement,
    replicas,
    rolling,
    rollout,
    scaling,
)
from projections import actual, desired, rollouts
from tests.properties.scripts import SCRIPTS
from workers import decisions, due, intake, outbox, reconcilers, state

EXAMPLES: Final = 40
NOTICED: Final = (AssertionError, Conflict)
"""What a checker, an assertion of the core or the store says. Anything else is a
mutant that is broken rather than wrong, and ends the run."""

Change = tuple[object, str, object]


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


def _surge_rounds_down() -> Change:
    right = objects.int_or_percent

    def wrong(value: Any, total: int, *, round_up: bool) -> int:
        del round_up
        return right(value, total, round_up=False)

    return objects, "int_or_percent", wrong


def _unavailable_rounds_up() -> Change:
    right = objects.int_or_percent

    def wrong(value: Any, total: int, *, round_up: bool) -> int:
        del round_up
        return right(value, total, round_up=True)

    return objects, "int_or_percent", wrong


def _new_unavailable_left_out() -> Change:
    right = rolling.shrink_old

    def wrong(wish: Any, new: Any, old: Any) -> Any:
        return right(wish, msgspec.structs.replace(new, available=new.replicas), old)

    return rolling, "shrink_old", wrong


def _unhealthy_first_skipped() -> Change:
    def wrong(_wish: Any, active: Any, _spare: int) -> rolling.Shrunk:
        sizes = tuple(each.replicas for each in active)
        return rolling.Shrunk(writes=(), sizes=sizes, trusted=True)

    return rolling, "remove_unavailable", wrong


def _budget_too_large() -> Change:
    right = rolling.remove_available

    def wrong(wish: Any, active: Any, sizes: Any, available: int) -> Any:
        return right(wish, active, sizes, available + 1)

    return rolling, "remove_available", wrong


def _surge_exceeded() -> Change:
    def wrong(wish: Any, new: Any, old: Any) -> int:
        del new, old
        return int(wish.replicas)

    return rolling, "new_size", wrong


def _old_revision_number_again() -> Change:
    return history, "next_revision", lambda old: max([*old, 1])


def _undo_restores_the_newest() -> Change:
    right = decisions._revisions

    def wrong(held: Any, key: str) -> Any:
        found = dict(right(held, key))
        return {number: found[max(found)] for number in found}

    return decisions, "_revisions", wrong


def _undo_takes_the_last_but_first() -> Change:
    def wrong(revisions: Any, to_revision: int, *, deployment: str) -> int:
        del deployment
        return to_revision or min(revisions)

    return history, "rollback_target", wrong


def _template_compared_by_name() -> Change:
    def wrong(one: Any, other: Any) -> bool:
        return [c.name for c in one.spec.containers] == [
            c.name for c in other.spec.containers
        ]

    return template, "equal_ignoring_hash", wrong


def _template_compared_with_hash() -> Change:
    return template, "equal_ignoring_hash", lambda one, other: one == other


def _desired_never_refreshed() -> Change:
    right = replicaset._change

    def wrong(held: Any, event: Any, *rest: Any) -> dict[str, object]:
        change: dict[str, object] = right(held, event, *rest)
        change.pop("desired", None)
        change.pop("maximum", None)
        return change

    return replicaset, "_change", wrong


def _scaling_never_recognised() -> Change:
    return scaling, "is_scaling_event", lambda replicas, sets: False


def _rest_to_the_smallest() -> Change:
    right = scaling._in_proportion

    def wrong(wish: Any, active: Any) -> Any:
        writes = list(right(wish, active))
        if len(writes) > 1 and writes[-1].after > 0:
            first, last = writes[0], writes[-1]
            replace = msgspec.structs.replace
            writes[0] = replace(first, after=first.after + 1)
            writes[-1] = replace(last, after=last.after - 1)
        return tuple(writes)

    return scaling, "_in_proportion", wrong


def _recreate_does_not_wait() -> Change:
    return rollout, "_old_pods_running", lambda old: False


def _recreate_ignores_terminating() -> Change:
    def wrong(old: Any) -> bool:
        return any(each.status_replicas > 0 for each in old)

    return rollout, "_old_pods_running", wrong


def _late_report_believed() -> Change:
    right = intake._report

    def wrong(held: Any, out: Any, item: Any) -> None:
        use = held.cluster.actual.nodes.get(item.node)
        if use is not None:
            report = msgspec.json.decode(item.data, type=intake.Report)
            report = msgspec.structs.replace(
                report, incarnation=use.node.incarnation, sequence=10**6
            )
            held.heard[item.node].last = 0
            item = msgspec.structs.replace(item, data=msgspec.json.encode(report))
        right(held, out, item)

    return intake, "_report", wrong


def _command_executed_twice() -> Change:
    right = intake._command

    def wrong(held: Any, out: Any, item: Any) -> None:
        held.answers.clear()
        right(held, out, msgspec.structs.replace(item, known=None))

    return intake, "_command", wrong


def _pod_bound_twice() -> Change:
    right = reconcilers.place_waiting

    def wrong(held: Any, bound: int) -> bool:
        waiting = [*held.cluster.actual.waiting]
        done = right(held, bound)
        for key in waiting:
            found = held.cluster.actual.pods[key]
            if found.node and found.stage == pod.BOUND:
                held.cluster.actual.pods[key] = msgspec.structs.replace(
                    found, stage=pod.PENDING
                )
                again = pod.PodScheduled(node=found.node)
                held.emit(key, again, actor="scheduler", cause=found.position)
                break
        return done

    return reconcilers, "place_waiting", wrong


def _node_overcommitted() -> Change:
    def wrong(needs: Any, held: Any) -> tuple[str, ...]:
        del needs
        return () if held.ready and not held.unschedulable else ("not ready",)

    return placement, "lacks", wrong


def _cordon_ignored() -> Change:
    right = placement.lacks

    def wrong(needs: Any, held: Any) -> tuple[str, ...]:
        found = right(needs, held)
        return () if found == placement._UNSCHEDULABLE else found

    return placement, "lacks", wrong


def _free_not_reduced() -> Change:
    return actual.Actual, "_occupy", lambda self, held, sign: None


def _terminating_counts() -> Change:
    right = actual.Actual._count

    def wrong(self: Any, held: Any, sign: int) -> None:
        if held.stage == pod.TERMINATING and held.ready:
            held = msgspec.structs.replace(held, stage=pod.BOUND)
        right(self, held, sign)

    return actual.Actual, "_count", wrong


def _removed_pod_returns() -> Change:
    right = intake._pod_status

    def wrong(held: Any, out: Any, name: str, report: Any, status: Any) -> None:
        key = f"pod/{status.namespace}/{status.name}"
        if key not in held.cluster.actual.pods and not status.removed:
            back = pod.PodCreated(uid=status.uid, template=8)
            held.emit(key, back, actor=f"node/{name}", cause=0)
        right(held, out, name, report, status)

    return intake, "_pod_status", wrong


def _eviction_when_nobody_is_heard() -> Change:
    def wrong(facts: Any, health: Any, now: float, config: Any) -> Any:
        zone = node_health.Zone(state="Normal", rate=config.rate, next_at=now)
        del facts
        return msgspec.structs.replace(health, zones={"": zone}, suspended=False)

    return node_health, "_zones", wrong


def _eviction_at_once() -> Change:
    return node_health, "eviction_time", lambda tolerations, taints, start: start


def _silence_is_forgotten() -> Change:
    return actual.Actual, "_silence", lambda self, held, now: None


def _every_node_believed() -> Change:
    right = intake._pod_status

    def wrong(held: Any, out: Any, name: str, report: Any, status: Any) -> None:
        key = f"pod/{status.namespace}/{status.name}"
        found = held.cluster.actual.pods.get(key)
        if found is not None and found.uid == status.uid and found.node:
            seen = intake.PodObservation(phase=status.phase, ready=status.ready)
            event = pod.PodReported(
                incarnation=report.incarnation, sequence=report.sequence, seen=seen
            )
            if found.node != name:
                held.emit(key, event, actor=f"node/{name}", cause=0)
                return
        right(held, out, name, report, status)

    return intake, "_pod_status", wrong


def _cause_missing() -> Change:
    right = reconcilers.reconcile_replicaset

    def wrong(held: Any, key: str, cause: int) -> None:
        del cause
        right(held, key, 0)

    return reconcilers, "reconcile_replicaset", wrong


def _failed_pod_counts() -> Change:
    right = actual.Actual._count

    def wrong(self: Any, held: Any, sign: int) -> None:
        if held.phase == "Failed" and sign > 0:
            held = msgspec.structs.replace(held, phase="Running")
        right(self, held, sign)

    return actual.Actual, "_count", wrong


def _available_too_early() -> Change:
    return actual.Actual, "is_available", lambda self, held: held.ready and held.active


def _alarm_rings_early() -> Change:
    def wrong(held: Any, key: str) -> None:
        found = held.cluster.actual.pods.get(key)
        if found is not None and found.ready and not found.available:
            became = pod.PodBecameAvailable()
            held.emit(key, became, actor="timer", cause=found.position)

    return due, "_available", wrong


def _history_takes_the_living() -> Change:
    return history, "_is_spent", lambda old: True


def _history_takes_nothing() -> Change:
    return history, "expired", lambda old, limit: ()


def _second_replicaset() -> Change:
    return desired.Desired, "new_replicaset", lambda self, owner: None


def _victims_the_wrong_way_round() -> Change:
    right = replicas.victims

    def wrong(pods: Any, count: int, *, related: Any, now: float) -> Any:
        ranked = right(pods, len(pods) - 1, related=related, now=now)
        last = [each for each in pods if each not in ranked]
        return tuple([*last, *reversed(ranked)][:count])

    return replicas, "victims", wrong


def _one_pod_too_many() -> Change:
    right = replicas.plan

    def wrong(active: int, wanted: int, **rest: Any) -> Any:
        return right(active, wanted + (active < wanted), **rest)

    return replicas, "plan", wrong


def _paused_rolls_on() -> Change:
    right = reconcilers._deployment_facts

    def wrong(held: Any, owner: Any) -> Any:
        return msgspec.structs.replace(right(held, owner), paused=False)

    return reconcilers, "_deployment_facts", wrong


def _replay_forgets_revisions() -> Change:
    right = rollouts.Rollouts._start

    def wrong(self: Any, owner: Any, rollout_: Any, event: Any, now: float) -> None:
        right(self, owner, rollout_, event, now)
        if len(rollout_.revisions) > 3:
            del rollout_.revisions[0]

    return rollouts.Rollouts, "_start", wrong


def _emitted_but_not_folded() -> Change:
    right = state.State.replay

    def wrong(self: Any, recorded: Any) -> None:
        if isinstance(recorded.event, node.NodeCordoned):
            quiet = node.ReportsCounted(
                incarnation=1, first_sequence=1, last_sequence=1, count=1
            )
            recorded = msgspec.structs.replace(recorded, event=quiet)
        right(self, recorded)

    return state.State, "replay", wrong


def _readiness_time_not_counted_anew() -> Change:
    return actual.Actual, "recount", lambda self, key: None


def _stop_is_not_said() -> Change:
    right = outbox.Outbox._follow

    def wrong(self: Any, recorded: Any) -> None:
        if not isinstance(recorded.event, pod.PodTerminationRequested):
            right(self, recorded)

    return outbox.Outbox, "_follow", wrong


def _delete_leaves_the_pods() -> Change:
    return reconcilers, "_collect_pods", lambda held, key, cause: None


def _steals_replicasets() -> Change:
    right = desired.Desired.loose_replicasets
    del right
    return (
        desired.Desired,
        "loose_replicasets",
        lambda self: [each for each in self.replicasets.values() if each.replicas],
    )


def _validation_forgotten() -> Change:
    def wrong(held: Any, command: Any) -> list[Any]:
        after = command.replicas
        if after == held.replicas:
            return []
        scaled = deployment_decisions.d.DeploymentScaled
        return [scaled(before=held.replicas, after=max(after, 0) + 1)]

    return deployment_decisions, "_scale", wrong


MUTANTS: Final[Sequence[Mutant]] = (
    Mutant("maxSurge rounded down", "I1", _surge_rounds_down),
    Mutant("maxUnavailable rounded up", "S6", _unavailable_rounds_up),
    Mutant("new unavailable pods left out", "S6", _new_unavailable_left_out),
    Mutant("unhealthy pods not first", "L1", _unhealthy_first_skipped),
    Mutant("one healthy pod too many removed", "S6", _budget_too_large),
    Mutant("surge exceeded", "S7", _surge_exceeded),
    Mutant("undo reuses the old number", "S10", _old_revision_number_again),
    Mutant("undo restores another template", "S10", _undo_restores_the_newest),
    Mutant("undo goes to the first revision", "S10", _undo_takes_the_last_but_first),
    Mutant("templates compared by name", "S10", _template_compared_by_name),
    Mutant("templates compared with hash", "I4", _template_compared_with_hash),
    Mutant("desired size never refreshed", "S9", _desired_never_refreshed),
    Mutant("scaling never recognised", "S9", _scaling_never_recognised),
    Mutant("rounding to the smallest", "S9", _rest_to_the_smallest),
    Mutant("Recreate does not wait", "S9", _recreate_does_not_wait),
    Mutant("Recreate ignores terminating", "S9", _recreate_ignores_terminating),
    Mutant("late report believed", "S8", _late_report_believed),
    Mutant("command executed twice", "S3", _command_executed_twice),
    Mutant("pod bound twice", "S8", _pod_bound_twice),
    Mutant("node overcommitted", "S15", _node_overcommitted),
    Mutant("cordon ignored", "S15", _cordon_ignored),
    Mutant("free room not reduced", "S15", _free_not_reduced),
    Mutant("terminating pods count", "I5", _terminating_counts),
    Mutant("removed pod returns", "S8", _removed_pod_returns),
    Mutant("eviction though nobody is heard", "L4", _eviction_when_nobody_is_heard),
    Mutant("eviction without toleration", "L4", _eviction_at_once),
    Mutant("pods of a silent node stay ready", "I5", _silence_is_forgotten),
    Mutant("any node is believed", "S13", _every_node_believed),
    Mutant("cause missing", "S14", _cause_missing),
    Mutant("failed pod stays counted", "I5", _failed_pod_counts),
    Mutant("available before its time", "I5", _available_too_early),
    Mutant("availability alarm not checked", "S6", _alarm_rings_early),
    Mutant("history takes what is not empty", "I12", _history_takes_the_living),
    Mutant("history takes nothing", "I12", _history_takes_nothing),
    Mutant("second ReplicaSet of a template", "I4", _second_replicaset),
    Mutant("victims the wrong way round", "S6", _victims_the_wrong_way_round),
    Mutant("one pod too many", "I8", _one_pod_too_many),
    Mutant("paused rolls on", "I10", _paused_rolls_on),
    Mutant("replay forgets a revision", "S10", _replay_forgets_revisions),
    Mutant("replay forgets a cordon", "S4", _emitted_but_not_folded),
    Mutant("not counted anew", "I5", _readiness_time_not_counted_anew),
    Mutant("kubelet is not told to stop", "L1", _stop_is_not_said),
    Mutant("deletion leaves the pods", "L1", _delete_leaves_the_pods),
    Mutant("owned ReplicaSets are stolen", "I7", _steals_replicasets),
    Mutant("scaled by one too many", "L7", _validation_forgotten),
)


def main() -> int:
    """Prints the table; 1 if the code as it is fails, or a mutant survives."""
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
