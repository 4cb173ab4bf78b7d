"""What is due: alarms that ring, and what the clock alone makes happen.

A firing is recorded as the event that it causes, by the actor `timer` or the
controller that waited for it, so that a replay needs no clock. An alarm that has
nothing to say any more says nothing.
"""

from collections.abc import Iterable

import msgspec

from domain import events, names, node, pod
from domain.node import Node
from domain.plans import garbage, node_health
from domain.pod import Pod
from domain.podspec import Toleration
from projections.tallies import NodeUse
from workers import autoscaling, checking, intake
from workers.state import State


def ring(state: State) -> None:
    """Afterwards every alarm that was due has been looked at."""
    look_at_nodes = bool(state.dirty_nodes)
    while state.dirty_nodes:
        state.dirty_nodes.pop()
    for kind, key in state.timers.due(state.now):
        match kind:
            case "available":
                _available(state, key)
            case "checked":
                checking.look(state, key)
            case "progress" | "steps":
                held = state.cluster.desired.deployments.get(key)
                if held is not None:
                    state.dirty_deployments.add(key, held.position)
            case "autoscale":
                autoscaling.look(state, key)
            case "heartbeat":
                look_at_nodes |= _silent(state, key)
            case "evict":
                look_at_nodes = True
            case "collect":
                _collect(state)
            case "count":
                _count(state, key)
    if look_at_nodes:
        judge_nodes(state)


def _available(state: State, key: str) -> None:
    """The pod has been ready for its minReadySeconds (spec 3.1)."""
    held = state.cluster.actual.pods.get(key)
    if held is None or not held.ready or not held.active:
        return
    owner = state.cluster.desired.replicasets.get(held.owner)
    if owner is None or held.ready_seconds >= owner.min_ready_seconds:
        return
    at = held.ready_at + owner.min_ready_seconds
    if at > state.now:
        state.timers.set("available", key, at)
        return
    event = pod.PodBecameAvailable(seconds=owner.min_ready_seconds)
    state.emit(key, event, actor=events.TIMER, cause=held.position)


def _silent(state: State, name: str) -> bool:
    """The node was not heard for the grace time; else the alarm is set anew."""
    heard = state.heard.get(name)
    if heard is None or name not in state.cluster.actual.nodes:
        return False
    since = max(heard.at, state.health.restarted_at or 0.0)
    at = since + state.settings.health.monitor_grace
    if at < state.now:
        return True
    state.timers.set("heartbeat", name, at + node_health.TICK)
    return False


def _count(state: State, name: str) -> None:
    if name not in state.cluster.actual.nodes:
        return
    intake.count_silent(state, name)
    every = state.settings.count_reports_every
    state.timers.set("count", name, state.now + every)


# --- nodes ------------------------------------------------------------------------


class _BoundPod(msgspec.Struct, frozen=True):
    """The view that eviction takes of a pod (node_health.PodView)."""

    key: str
    tolerations: tuple[Toleration, ...]
    bound_at: float
    terminating: bool


def judge_nodes(state: State) -> None:
    """Carries out what follows from the nodes' silence (spec 4.5 to 4.7)."""
    actual = state.cluster.actual
    found = node_health.plan(
        [_node_facts(state, use) for use in actual.node_list],
        state.health,
        state.now,
        pods=lambda name: _bound_pods(state, name),
        config=state.settings.health,
    )
    state.health = found.health
    for change in found.unready:
        silent = change.status == "Unknown"
        state.emit(
            names.node_key(change.node),
            node.NodeBecameUnready(
                status=change.status, reason=change.reason, message=change.message
            ),
            actor=events.TIMER if silent else events.NODE_CONTROLLER,
            cause=0 if silent else actual.nodes[change.node].node.health_position,
        )
    for name in found.ready:
        position = actual.nodes[name].node.health_position
        _judged(state, name, node.NodeBecameReady(), position)
    for name in found.spared:
        position = actual.nodes[name].node.health_position
        _judged(state, name, node.NodeSpared(), position)
    for name in found.lost:
        position = actual.nodes[name].node.health_position
        _judged(state, name, node.NodeLost(), position)
    for evicted in found.evict:
        _evict(state, evicted)
    if found.wake_at is not None:
        state.timers.set("evict", "", max(found.wake_at, state.now + node_health.TICK))


def _judged(state: State, name: str, event: events.Event, cause: int) -> None:
    actor = events.NODE_CONTROLLER
    state.emit(names.node_key(name), event, actor=actor, cause=cause)


def _evict(state: State, evicted: node_health.Evict) -> None:
    held = state.cluster.actual.pods[evicted.pod]
    at = state.cluster.actual.nodes[evicted.node].node
    cause = at.health_position
    why = f"node {at.name} was not heard for longer than the pod tolerates"
    if not at.lost_at:
        why = f"node {at.name} has a taint that the pod does not tolerate any longer"
    own = state.cluster.desired.templates[held.template].grace
    for event in pod.terminate(
        held,
        why=why,
        reason=evicted.reason,
        grace=pod.grace_of(held, None, own),
        now=state.now,
    ):
        state.emit(held.key, event, actor=events.NODE_CONTROLLER, cause=cause)


def _node_facts(state: State, use: NodeUse) -> node_health.NodeFacts:
    held: Node = use.node
    heard = state.heard.get(held.name)
    first = held.stage == node.STARTING
    # One that was not heard since this writer's start has said nothing to it; its
    # silence counts from that start (`restarted_at`).
    fresh = heard is not None and heard.at > 0.0
    return node_health.NodeFacts(
        name=held.name,
        registered_at=held.created_at,
        heartbeat_at=heard.at if heard is not None and fresh else held.changed_at,
        reported="True" if fresh and not first else None,
        status=held.status,
        reason="" if first else held.reason,
        changed_at=held.changed_at,
        lost_at=held.lost_at or None,
        cordoned=held.cordoned,
        labels=use.labels,
        taints=(*held.info.taints, *held.taints),
    )


def _bound_pods(state: State, name: str) -> Iterable[_BoundPod]:
    actual, templates = state.cluster.actual, state.cluster.desired.templates
    for key in actual.nodes[name].pods:
        held: Pod = actual.pods[key]
        if not held.terminal:
            yield _BoundPod(
                key,
                templates[held.template].template.spec.tolerations,
                held.scheduled_at,
                held.stage == pod.TERMINATING,
            )


# --- garbage ----------------------------------------------------------------------


def _collect(state: State) -> None:
    """Removes the pods that nobody else will ever remove (spec 4.8)."""
    actual = state.cluster.actual
    keys = {**actual.stranded, **_out_of_service(state)}
    if len(actual.ended) > garbage.TERMINATED_MAX:
        keys.update(actual.ended)
    if not keys:
        return
    found = garbage.plan(
        [_garbage_facts(actual.pods[key]) for key in keys],
        {
            use.name: garbage.NodeFacts(ready=use.ready, taints=use.taints)
            for use in actual.node_list
        },
        state.missing,
        state.now,
    )
    state.missing = dict(found.missing)
    actor = events.POD_COLLECTOR
    for removal in (
        *found.orphaned,
        *found.out_of_service,
        *found.unscheduled,
        *found.terminated,
    ):
        held = actual.pods[removal.pod]
        cause = held.position
        if removal.fail:
            failed = pod.PodFailed(reason=removal.reason, message=removal.message)
            state.emit(held.key, failed, actor=actor, cause=cause)
        removed = pod.PodRemoved(why=removal.message)
        state.emit(held.key, removed, actor=actor, cause=cause)
    if found.wake_at is not None:
        state.timers.set("collect", "", found.wake_at)


def _out_of_service(state: State) -> dict[str, None]:
    """The terminating pods of nodes that are said to be out of service for good."""
    actual = state.cluster.actual
    keys: dict[str, None] = {}
    for use in actual.node_list:
        if not use.ready and any(
            taint.key == garbage.OUT_OF_SERVICE for taint in use.taints
        ):
            for key in use.pods:
                if actual.pods[key].stage == pod.TERMINATING:
                    keys[key] = None
    return keys


def _garbage_facts(held: Pod) -> garbage.PodFacts:
    return garbage.PodFacts(
        key=held.key,
        node=held.node,
        phase=held.phase,
        created_at=held.created_at,
        terminating=held.stage == pod.TERMINATING,
        evicted=held.seen is not None and held.seen.reason == "Evicted",
    )
