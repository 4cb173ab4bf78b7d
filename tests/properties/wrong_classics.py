"""Wrong variants that other orchestrators really had, made here on purpose.

1. Sieve's three classes (OSDI '22): acting on a stale view, being cut in between two
   writes, and missing a transition that nobody tells twice.
2. kubernetes#129795: extra pods, created again from a view that lags behind.
3. nomad#10337: reverting to what runs already is a silent no-op.

Each function gives what is replaced, as in wrong_plans.py.
"""

from typing import Any

import msgspec

from adapters.memory_log import MemoryLog
from domain import ids, names, node, pod, protocol
from tests.properties.wrong_plans import Change
from workers import decisions, due, intake, marking, outbox, reconcilers


def stale_view_creates_again() -> Change:
    """Sieve, stale state; kubernetes#129795: the pods just created are not seen."""
    right = reconcilers.reconcile_replicaset

    def wrong(held: Any, key: str, cause: int) -> None:
        before = held.cluster.position
        right(held, key, cause)
        owner = held.cluster.desired.replicasets.get(key)
        fresh = held.cluster.position - before
        if owner is None or not fresh or held.cluster.position % 3:
            return
        name = ids.name_at(f"{owner.name}-", held.cluster.position + 1)
        again = pod.PodCreated(
            uid=held.uid_after(0),
            template=owner.template,
            owner=owner.key,
            owner_uid=owner.uid,
        )
        stream = names.pod_key(owner.namespace, name)
        held.emit(stream, again, actor="controller/replicaset", cause=cause)

    return reconcilers, "reconcile_replicaset", wrong


def stale_view_of_nodes() -> Change:
    """Sieve, stale state: readiness of a node is what it was when it registered."""
    return due, "judge_nodes", lambda _held: None


def cut_between_two_writes() -> Change:
    """Sieve, intermediate state: a step's events are not one transaction."""
    right = MemoryLog.append

    def wrong(self: Any, rows: Any, tracking: Any = ()) -> None:
        half = rows[: max(1, len(rows) // 2)] if len(rows) > 6 else rows
        right(self, half, tracking)

    return MemoryLog, "append", wrong


def transition_not_observed() -> Change:
    """Sieve, unobserved state: nobody looks when a pod is asked to end."""
    marks = {
        kind: mark
        for kind, mark in marking._MARKS.items()
        if kind is not pod.PodTerminationRequested
    }
    return marking, "_MARKS", marks


def removal_not_observed() -> Change:
    """Sieve, unobserved state: nobody looks when a pod's last trace is gone."""
    marks = {
        kind: mark
        for kind, mark in marking._MARKS.items()
        if kind is not pod.PodRemoved
    }
    return marking, "_MARKS", marks


def readiness_not_observed() -> Change:
    """Sieve, unobserved state: nobody looks when a node is well again."""
    gone = (node.NodeBecameReady, node.NodeUncordoned, node.NodeRegistered)
    marks = {kind: mark for kind, mark in marking._MARKS.items() if kind not in gone}
    return marking, "_MARKS", marks


def silent_revert() -> Change:
    """nomad#10337: nobody is told that there was nothing to revert."""
    right = decisions.decide

    def wrong(held: Any, at: Any, message: Any) -> Any:
        return msgspec.structs.replace(right(held, at, message), message="")

    return decisions, "decide", wrong


def refusal_not_recorded() -> Change:
    """A refused command leaves no trace (S3: the same id could come out otherwise)."""
    right = intake._record

    def wrong(held: Any, item: Any, message: Any, answer: Any, kind: Any) -> Any:
        if answer.result == "rejected":
            return None
        return right(held, item, message, answer, kind)

    return intake, "_record", wrong


def lost_report_confirmed() -> Change:
    """A later report confirms an earlier one that was lost (bug B1)."""
    right = outbox.Outbox.confirm

    def wrong(self: Any, name: str, sequence: int) -> None:
        for number in range(1, sequence + 1):
            right(self, name, number)

    return outbox.Outbox, "confirm", wrong


def heartbeat_says_nothing() -> Change:
    """A node that has missed what it was told is not noticed (bug B3)."""
    return intake, "_is_behind", lambda _held, _name, _report: False


def full_report_takes_all() -> Change:
    """A full report judges pods that its node had not been told of yet."""

    def wrong(held: Any, out: Any, name: str, report: protocol.Report) -> None:
        del out
        named = {names.pod_key(each.namespace, each.name) for each in report.pods}
        for key in [*held.cluster.actual.nodes[name].pods]:
            if key not in named:
                intake._removed(held, name, held.cluster.actual.pods[key])

    return intake, "_missing", wrong


def removed_pod_runs_on() -> Change:
    """What is removed by force is not told to its node (bug B6)."""
    return outbox.Outbox, "_forget", lambda _self, _recorded, _gone: None
