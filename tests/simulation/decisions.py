"""What a decision is (S16), and what an end state is: for comparing two runs.

1. A decision is an event by which control wants something, written without what
   depends on the path: positions, times, uids, and the random part of a pod's name.
   A ReplicaSet is named by its Deployment and the revision that it began with (a
   restart writes the time into the template, and so into the hash); pods are counted
   by the ReplicaSet that they belong to.
2. Sizes are compared by how far each ReplicaSet was scaled up in all, and down in all:
   3→2→0 is 3→0, and 3→4→0 is neither.
3. Declared equal, and left out: what was observed (`PodReported`, availability, a
   node's registration and description, that it is ready), accounts of silent reports,
   repeated attempts to place a pod (`PodUnschedulable`), and what an autoscaler says of
   its looks (`AutoscalerConditionsChanged`): proposals are forgotten by a restart.
"""

from collections import Counter
from typing import Final

import msgspec

from domain import (
    active_check,
    analysis_run,
    autoscaler,
    command,
    deployment,
    node,
    pod,
    replicaset,
)
from domain.events import Event, Recorded
from projections.cluster import Cluster
from tests.support.cluster import SimCluster

DECLARED_EQUAL: Final[tuple[type[Event], ...]] = (
    command.ClusterFounded,
    pod.PodReported,
    pod.PodBecameAvailable,
    active_check.PodChecked,
    pod.PodUnschedulable,
    node.NodeRegistered,
    node.NodeChanged,
    node.NodeBecameReady,
    node.ReportsCounted,
    autoscaler.AutoscalerConditionsChanged,
)

EndState = dict[str, object]


def decisions(sim: SimCluster) -> Counter[str]:
    """The decisions of a run as a multiset."""
    found: Counter[str] = Counter()
    owners: dict[str, str] = {}
    names = replicasets(sim)
    for recorded in sim.events:
        event, stream = recorded.event, recorded.stream
        if isinstance(event, pod.PodCreated):
            owners[stream] = names.get(event.owner, stream)
        elif isinstance(event, pod.PodAdopted):
            owners[stream] = names[event.owner]
        if isinstance(event, DECLARED_EQUAL):
            continue
        if isinstance(event, replicaset.ReplicaSetScaled):
            way = "up" if event.after > event.before else "down"
            found[f"{names[stream]} scaled {way}, pods"] += abs(
                event.after - event.before
            )
            continue
        subject = owners.get(stream, names.get(stream, stream))
        found[f"{subject} {_told(recorded)}"] += 1
    return +found


def replicasets(sim: SimCluster) -> dict[str, str]:
    """What each ReplicaSet that ever was is called when runs are compared."""
    return {
        recorded.stream: f"{recorded.event.owner}#{recorded.event.revision}"
        for recorded in sim.events
        if isinstance(recorded.event, replicaset.ReplicaSetCreated)
    }


def _told(recorded: Recorded) -> str:
    """The event in words that do not depend on the path."""
    event = recorded.event
    name = type(event).__name__
    match event:
        case command.CommandAccepted() | command.CommandRejected():
            return f"{name} {event.answer.result} {event.answer.reason}"
        case (
            deployment.RevisionStarted()
            | deployment.RolloutCompleted()
            | deployment.RolloutStalled()
        ):
            return f"{name} {event.revision}"
        case replicaset.ReplicaSetCreated():
            return f"{name} revision {event.revision}"
        case replicaset.ReplicaSetRevised():
            return f"{name} revision {event.revision}"
        case pod.PodTerminationRequested():
            return f"{name} {event.reason}"
        case analysis_run.MeasurementTaken():
            word = "passed" if event.passed else event.bound or "no number"
            return f"{name} {event.revision}/{event.round} {event.check} {word}"
        case analysis_run.AnalysisEnded():
            return f"{name} {event.revision}/{event.round} {event.verdict}"
        case deployment.DeploymentRolledBack():
            return f"{name} to {event.to_revision}"
        case autoscaler.AutoscalerRescaled():
            return f"{name} {event.before} to {event.after}"
        case deployment.DeploymentScaled():
            return f"{name} {event.before} to {event.after}"
        case _:
            return name


def difference(one: Counter[str], other: Counter[str]) -> str:
    """In words; empty if they are equal."""
    lines = [f"{count} × {what} too few" for what, count in (one - other).items()]
    lines += [f"{count} × {what} too many" for what, count in (other - one).items()]
    return "; ".join(lines)


def end_state(sim: SimCluster) -> EndState:
    """What is there in the end, without what depends on the path."""
    cluster: Cluster = sim.cluster
    names = replicasets(sim)
    pods: Counter[tuple[str, str, str, bool]] = Counter()
    for held in cluster.actual.pods.values():
        pods[names.get(held.owner, ""), held.stage, held.phase, held.ready] += 1
    return {
        "deployments": {
            key: (held.replicas, held.revision, held.generation, held.spec.paused)
            for key, held in cluster.desired.deployments.items()
        },
        "replicasets": {
            names[key]: (held.replicas, held.revision, held.owner)
            for key, held in cluster.desired.replicasets.items()
        },
        "history": {
            key: [(each.revision, each.result, each.completed)
                  for each in held.revisions]
            for key, held in cluster.rollouts.by_key.items()
        },
        "pods": dict(pods),
        "nodes": {
            name: (use.ready, use.node.cordoned)
            for name, use in cluster.actual.nodes.items()
        },
        "running": sum(len(each.pods) for each in sim.nodes.values()),
    }  # fmt: skip


def unlike(one: EndState, other: EndState) -> str:
    """The first part in which two end states differ, in words; empty if they agree."""
    for name, value in one.items():
        if value != other[name]:
            return f"{name}: {_text(value)} became {_text(other[name])}"
    return ""


def _text(value: object) -> str:
    if isinstance(value, dict):
        value = {str(key): each for key, each in value.items()}
    return msgspec.json.encode(value).decode()
