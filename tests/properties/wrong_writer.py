"""Wrong variants of the projections and of the writer.

Their names and the properties that they break are in mutants.py. Each function gives
the module or class, the name of what is replaced in it, and what replaces it. What is
right is looked up when the mutant is applied.
"""

from typing import Any

import msgspec

from domain import deployment, deployment_decisions, node, pod, protocol
from projections import actual, desired, rollouts
from tests.properties.wrong_plans import Change
from workers import (
    due,
    intake,
    loading,
    outbox,
    placing,
    reconcilers,
    revisions,
)


def undo_restores_the_newest() -> Change:
    right = revisions.revisions

    def wrong(held: Any, key: str) -> Any:
        found = dict(right(held, key))
        return {number: found[max(found)] for number in found}

    return revisions, "revisions", wrong


def late_report_believed() -> Change:
    right = intake._report

    def wrong(held: Any, out: Any, item: Any) -> None:
        use = held.cluster.actual.nodes.get(item.node)
        if use is not None:
            report = msgspec.json.decode(item.data, type=protocol.Report)
            report = msgspec.structs.replace(
                report, incarnation=use.node.incarnation, sequence=10**6
            )
            held.heard[item.node].last = 0
            item = msgspec.structs.replace(item, data=msgspec.json.encode(report))
        right(held, out, item)

    return intake, "_report", wrong


def command_executed_twice() -> Change:
    right = intake._command

    def wrong(held: Any, out: Any, item: Any) -> None:
        held.answers.clear()
        right(held, out, msgspec.structs.replace(item, known=None))

    return intake, "_command", wrong


def pod_bound_twice() -> Change:
    right = placing.place_waiting

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

    return placing, "place_waiting", wrong


def free_not_reduced() -> Change:
    return actual.Actual, "_occupy", lambda _self, _held, _sign: None


def terminating_counts() -> Change:
    right = actual.Actual._count

    def wrong(self: Any, held: Any, sign: int) -> None:
        if held.stage == pod.TERMINATING and held.ready:
            held = msgspec.structs.replace(held, stage=pod.BOUND)
        right(self, held, sign)

    return actual.Actual, "_count", wrong


def removed_pod_returns() -> Change:
    right = intake._pod_status

    def wrong(held: Any, out: Any, name: str, report: Any, status: Any) -> None:
        key = f"pod/{status.namespace}/{status.name}"
        if key not in held.cluster.actual.pods and not status.removed:
            back = pod.PodCreated(uid=status.uid, template=8)
            held.emit(key, back, actor=f"node/{name}", cause=0)
        right(held, out, name, report, status)

    return intake, "_pod_status", wrong


def silence_is_forgotten() -> Change:
    return actual.Actual, "_silence", lambda _self, _held, _now: None


def every_node_believed() -> Change:
    right = intake._pod_status

    def wrong(held: Any, out: Any, name: str, report: Any, status: Any) -> None:
        key = f"pod/{status.namespace}/{status.name}"
        found = held.cluster.actual.pods.get(key)
        if found is not None and found.uid == status.uid and found.node:
            seen = protocol.PodObservation(phase=status.phase, ready=status.ready)
            event = pod.PodReported(
                incarnation=report.incarnation, sequence=report.sequence, seen=seen
            )
            if found.node != name:
                held.emit(key, event, actor=f"node/{name}", cause=0)
                return
        right(held, out, name, report, status)

    return intake, "_pod_status", wrong


def cause_missing() -> Change:
    right = reconcilers.reconcile_replicaset

    def wrong(held: Any, key: str, cause: int) -> None:
        del cause
        right(held, key, 0)

    return reconcilers, "reconcile_replicaset", wrong


def failed_pod_counts() -> Change:
    right = actual.Actual._count

    def wrong(self: Any, held: Any, sign: int) -> None:
        if held.phase == "Failed" and sign > 0:
            held = msgspec.structs.replace(held, phase="Running")
        right(self, held, sign)

    return actual.Actual, "_count", wrong


def available_too_early() -> Change:
    """Ready is available, in the counts that the hot path keeps."""

    def wrong(state: Any, _enough: float) -> bool:
        return bool(state.ready)

    return actual, "_is_available", wrong


def alarm_rings_early() -> Change:
    def wrong(held: Any, key: str) -> None:
        found = held.cluster.actual.pods.get(key)
        if found is not None and found.ready and not found.ready_seconds:
            became = pod.PodBecameAvailable(seconds=1)
            held.emit(key, became, actor="timer", cause=found.position)

    return due, "_available", wrong


def second_replicaset() -> Change:
    return desired.Desired, "new_replicaset", lambda _self, _owner: None


def paused_rolls_on() -> Change:
    right = reconcilers._deployment_facts

    def wrong(held: Any, owner: Any) -> Any:
        return msgspec.structs.replace(right(held, owner), paused=False)

    return reconcilers, "_deployment_facts", wrong


def replay_forgets_revisions() -> Change:
    right = rollouts.Rollouts._start

    def wrong(self: Any, owner: Any, rollout_: Any, event: Any, now: float) -> None:
        right(self, owner, rollout_, event, now)
        if len(rollout_.revisions) > 3:
            del rollout_.revisions[0]

    return rollouts.Rollouts, "_start", wrong


def emitted_but_not_folded() -> Change:
    right = loading.replay

    def wrong(held: Any, rows: Any) -> None:
        for row in rows:
            if row.topic == node.NodeCordoned.TOPIC:
                held.cluster.skip(row.position, row.stream, row.version)
            else:
                right(held, [row])

    return loading, "replay", wrong


def readiness_time_not_counted_anew() -> Change:
    return actual.Actual, "recount", lambda _self, _key: None


def stop_is_not_said() -> Change:
    right = outbox.Outbox._follow

    def wrong(self: Any, recorded: Any) -> None:
        if not isinstance(recorded.event, pod.PodTerminationRequested):
            right(self, recorded)

    return outbox.Outbox, "_follow", wrong


def delete_leaves_the_pods() -> Change:
    return reconcilers, "_collect_pods", lambda _held, _key, _cause: None


def steals_replicasets() -> Change:
    right = desired.Desired.loose_replicasets
    del right
    return (
        desired.Desired,
        "loose_replicasets",
        lambda self: [each for each in self.replicasets.values() if each.replicas],
    )


def validation_forgotten() -> Change:
    def wrong(held: Any, command: Any) -> list[Any]:
        after = command.replicas
        if after == held.replicas:
            return []
        scaled = deployment.DeploymentScaled
        return [scaled(before=held.replicas, after=max(after, 0) + 1)]

    return deployment_decisions, "_scale", wrong
