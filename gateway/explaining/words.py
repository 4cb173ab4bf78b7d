"""What happened, in one clause: the words for every event of the catalogue.

1. A clause names its object first and stands behind "because" as well as by itself.
2. It is told from the event alone and, where it says what changed, from one earlier
   event of the same stream (`compared_with`). Without that it says less, never wrong.
3. An event of a type that has no words is told by its name; the tests see to it that
   there is none.
"""

from collections.abc import Callable
from typing import Final, TypeVar, cast

from domain import (
    active_check,
    analysis_run,
    autoscaler,
    command,
    deployment,
    node,
    plain,
    pod,
    replicaset,
)
from domain.events import Event, Recorded
from gateway.explaining import (
    phrases,
    words_analysis,
    words_autoscalers,
    words_commands,
    words_deployments,
    words_nodes,
    words_objects,
    words_pods,
    words_replicasets,
)

E = TypeVar("E", bound=Event)
Teller = Callable[[Recorded, Event, Event | None], str]


def tell(recorded: Recorded, earlier: Event | None = None) -> str:
    """The event as one clause without a full stop; `earlier` as in `compared_with`."""
    teller = _WORDS.get(type(recorded.event))
    if teller is None:
        return f"{phrases.thing(recorded.stream)}: {type(recorded.event).__name__}"
    return teller(recorded, recorded.event, earlier)


def compared_with(event: Event) -> tuple[type[Event], ...]:
    """The types of which the last earlier event of the stream makes better words."""
    return _COMPARED.get(type(event), ())


def told_types() -> frozenset[type[Event]]:
    """The types of events that have words."""
    return frozenset(_WORDS)


def lost(stream: str, kind: str) -> str:
    """The clause for an event that cannot be read."""
    return (
        f"{phrases.thing(stream)}: an event of the type {kind} that this version "
        "cannot read"
    )


def _row(
    kind: type[E], teller: Callable[[Recorded, E, Event | None], str]
) -> tuple[type[Event], Teller]:
    """A row of the table; the types of its two halves belong together."""
    return kind, cast(Teller, teller)


_DEPLOYMENT_TEMPLATES: Final[tuple[type[Event], ...]] = (
    deployment.DeploymentCreated,
    deployment.DeploymentTemplateChanged,
    deployment.DeploymentRolledBack,
)
_COMPARED: Final[dict[type[Event], tuple[type[Event], ...]]] = {
    deployment.DeploymentTemplateChanged: _DEPLOYMENT_TEMPLATES,
    deployment.DeploymentRolledBack: _DEPLOYMENT_TEMPLATES,
    deployment.DeploymentConfigured: (
        deployment.DeploymentCreated,
        deployment.DeploymentConfigured,
    ),
    deployment.RolloutStalled: (
        deployment.DeploymentCreated,
        deployment.DeploymentConfigured,
    ),
    deployment.DeploymentLabelled: (
        deployment.DeploymentCreated,
        deployment.DeploymentLabelled,
    ),
    deployment.DeploymentAnnotated: (
        deployment.DeploymentCreated,
        deployment.DeploymentAnnotated,
    ),
    replicaset.ReplicaSetTemplateChanged: (
        replicaset.ReplicaSetCreated,
        replicaset.ReplicaSetTemplateChanged,
    ),
    replicaset.ReplicaSetLabelled: (
        replicaset.ReplicaSetCreated,
        replicaset.ReplicaSetLabelled,
    ),
    replicaset.ReplicaSetAnnotated: (
        replicaset.ReplicaSetCreated,
        replicaset.ReplicaSetConfigured,
        replicaset.ReplicaSetAnnotated,
    ),
    replicaset.ReplicaSetRecovered: (replicaset.ReplicaSetFailed,),
    replicaset.ReplicaSetReleased: (
        replicaset.ReplicaSetCreated,
        replicaset.ReplicaSetAdopted,
    ),
    pod.PodReported: (pod.PodReported,),
    pod.PodLabelled: (pod.PodLabelled,),
    pod.PodAnnotated: (pod.PodAnnotated,),
    pod.PodReleased: (pod.PodCreated, pod.PodAdopted),
    pod.PodScheduled: (pod.PodUnschedulable,),
    autoscaler.AutoscalerConditionsChanged: (autoscaler.AutoscalerConditionsChanged,),
    node.NodeChanged: (node.NodeRegistered, node.NodeChanged),
    node.NodeLabelled: (node.NodeLabelled,),
    node.NodeAnnotated: (node.NodeAnnotated,),
    node.NodeTainted: (node.NodeTainted,),
    plain.ObjectReplaced: (plain.ObjectCreated, plain.ObjectReplaced),
}

_WORDS: Final[dict[type[Event], Teller]] = dict(
    (
        _row(command.ClusterFounded, words_commands.founded),
        _row(command.CommandAccepted, words_commands.accepted),
        _row(command.CommandRejected, words_commands.rejected),
        _row(deployment.DeploymentCreated, words_deployments.created),
        _row(deployment.DeploymentTemplateChanged, words_deployments.template),
        _row(deployment.DeploymentRolledBack, words_deployments.rolled_back),
        _row(deployment.DeploymentRollbackDeclined, words_deployments.declined),
        _row(deployment.DeploymentScaled, words_deployments.scaled),
        _row(deployment.DeploymentConfigured, words_deployments.configured),
        _row(deployment.DeploymentPaused, words_deployments.paused),
        _row(deployment.DeploymentResumed, words_deployments.resumed),
        _row(deployment.DeploymentAnnotated, words_deployments.annotated),
        _row(deployment.DeploymentLabelled, words_deployments.labelled),
        _row(deployment.DeploymentDeletionRequested, words_deployments.deleting),
        _row(deployment.DeploymentDeleted, words_deployments.deleted),
        _row(deployment.RevisionStarted, words_deployments.started),
        _row(deployment.RolloutCompleted, words_deployments.completed),
        _row(deployment.RolloutStalled, words_deployments.stalled),
        _row(deployment.HashCollided, words_deployments.collided),
        _row(analysis_run.RolloutStepReached, words_analysis.step_reached),
        _row(analysis_run.RolloutPromoted, words_analysis.promoted),
        _row(analysis_run.RolloutAborted, words_analysis.aborted),
        _row(analysis_run.MeasurementTaken, words_analysis.measured),
        _row(analysis_run.AnalysisEnded, words_analysis.ended),
        _row(deployment.RevisionTagged, words_deployments.tagged),
        _row(deployment.RevisionUntagged, words_deployments.untagged),
        _row(replicaset.ReplicaSetCreated, words_replicasets.created),
        _row(replicaset.ReplicaSetScaled, words_replicasets.scaled),
        _row(replicaset.ReplicaSetRevised, words_replicasets.revised),
        _row(replicaset.ReplicaSetConfigured, words_replicasets.configured),
        _row(replicaset.ReplicaSetTemplateChanged, words_replicasets.template),
        _row(replicaset.ReplicaSetFailed, words_replicasets.failed),
        _row(replicaset.ReplicaSetRecovered, words_replicasets.recovered),
        _row(replicaset.ReplicaSetAdopted, words_replicasets.adopted),
        _row(replicaset.ReplicaSetReleased, words_replicasets.released),
        _row(replicaset.ReplicaSetOwnersChanged, words_replicasets.owners),
        _row(replicaset.ReplicaSetLabelled, words_replicasets.labelled),
        _row(replicaset.ReplicaSetAnnotated, words_replicasets.annotated),
        _row(replicaset.ReplicaSetDeletionRequested, words_replicasets.deleting),
        _row(replicaset.ReplicaSetDeleted, words_replicasets.deleted),
        _row(pod.PodCreated, words_pods.created),
        _row(pod.PodScheduled, words_pods.scheduled),
        _row(pod.PodUnschedulable, words_pods.unschedulable),
        _row(pod.PodReported, words_pods.reported),
        _row(pod.PodBecameAvailable, words_pods.available),
        _row(active_check.PodChecked, words_pods.checked),
        _row(pod.PodTerminationRequested, words_pods.terminating),
        _row(pod.PodRemoved, words_pods.removed),
        _row(pod.PodFailed, words_pods.failed),
        _row(pod.PodAdopted, words_pods.adopted),
        _row(pod.PodReleased, words_pods.released),
        _row(pod.PodOwnersChanged, words_pods.owners),
        _row(pod.PodLabelled, words_pods.labelled),
        _row(pod.PodAnnotated, words_pods.annotated),
        _row(pod.PodConfigured, words_pods.configured),
        _row(node.NodeRegistered, words_nodes.registered),
        _row(node.NodeChanged, words_nodes.changed),
        _row(node.NodeBecameReady, words_nodes.ready),
        _row(node.NodeBecameUnready, words_nodes.unready),
        _row(node.NodeLost, words_nodes.lost),
        _row(node.NodeSpared, words_nodes.spared),
        _row(node.NodeCordoned, words_nodes.cordoned),
        _row(node.NodeUncordoned, words_nodes.uncordoned),
        _row(node.NodeLabelled, words_nodes.labelled),
        _row(node.NodeAnnotated, words_nodes.annotated),
        _row(node.NodeTainted, words_nodes.tainted),
        _row(node.NodeRemoved, words_nodes.removed),
        _row(node.ReportsCounted, words_nodes.counted),
        _row(plain.ObjectCreated, words_objects.created),
        _row(plain.ObjectReplaced, words_objects.replaced),
        _row(plain.ObjectDeletionRequested, words_objects.deleting),
        _row(plain.ObjectDeleted, words_objects.deleted),
        _row(autoscaler.AutoscalerRescaled, words_autoscalers.rescaled),
        _row(autoscaler.AutoscalerConditionsChanged, words_autoscalers.changed),
    )
)
