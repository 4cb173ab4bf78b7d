"""A real struct of each kind, to show what a message looks like.

1. An example is built from the struct's own fields: one that is required is filled
   in, one with a default only where `VALUES` has something to show.
2. `VALUES` goes by `Struct.field`, else by the field's name alone. A value that does
   not fit the type of the field is passed over, and a plain one of that type taken.
3. Every example goes through the struct's decoder before it is shown.
"""

from typing import Final, TypeVar

import msgspec
from msgspec import inspect as types

from docs._generate import structs
from domain import catalogue, events, objects, times

T = TypeVar("T", bound=msgspec.Struct)
JSON = dict[str, object]

OTHER_UID: Final = "1b4e28ba-2fa1-81d2-a83f-0016d3cca427"
UID: Final = "7c9e6679-7425-80de-a44b-1f9d3a6c2e51"
NOW: Final = "2026-11-23T06:18:47.000123Z"
AT: Final = times.parse(NOW)
_LABELS: Final[JSON] = {"app": "nginx"}
_TEMPLATE: Final[JSON] = {
    "metadata": {"labels": _LABELS},
    "spec": {
        "containers": [
            {
                "name": "nginx",
                "image": "nginx:1.9.1",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
            }
        ]
    },
}
MANIFEST: Final[JSON] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "nginx", "labels": _LABELS},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": _LABELS},
        "template": _TEMPLATE,
    },
}
_REPLICASET: Final[JSON] = {**MANIFEST, "kind": "ReplicaSet"}
_POD: Final[JSON] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "nginx", "labels": _LABELS},
    "spec": _TEMPLATE["spec"],
}

_CONFIGMAP: Final[JSON] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "nginx", "labels": _LABELS},
    "data": {"color": "blue"},
}
_NODE: Final[JSON] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "worker-1", "labels": {"disk": "ssd"}},
    "spec": {"unschedulable": True},
}

# A whole struct where its parts alone would make a poor one.
_USED: Final = ["nginx", 250_000_000, 67_108_864]
SPECIMENS: Final[JSON] = {
    "ContainerUsage": _USED,
    "PodUsage": ["default", "nginx-5d4f-x7k2p", UID, [_USED]],
    "PodTemplateSpec": _TEMPLATE,
    "LabelSelector": {"matchLabels": _LABELS},
    "DeploymentStrategy": {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    },
    "OwnerReference": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "nightly",
        "uid": OTHER_UID,
        "controller": False,
        "blockOwnerDeletion": False,
    },
    "Taint": {"key": "disk", "value": "slow", "effect": "NoSchedule"},
    "FieldError": {
        "reason": "FieldValueInvalid",
        "message": "Invalid value: -1: must be greater than or equal to 0",
        "field": "spec.replicas",
    },
}

VALUES: Final[JSON] = {
    "after": 4,
    "Answer.position": 42,
    "Answer.revision": 2,
    "Answer.name": "nginx",
    "CommandRejected.answer": {
        "id": "0d9f1c4e-scale",
        "result": "rejected",
        "position": 41,
        "name": "nginx",
        "reason": "Invalid",
        "code": 422,
        "message": 'Deployment.apps "nginx" is invalid: spec.replicas: '
        "Invalid value: -1: must be greater than or equal to 0",
        "causes": [SPECIMENS["FieldError"]],
    },
    "AutoscalerConditionsChanged.conditions": [
        {
            "type": "ScalingActive",
            "status": "False",
            "reason": "InvalidSelector",
            "message": "the HPA target's scale is missing a selector",
        }
    ],
    "AutoscalerRescaled.reason": "cpu resource utilization (percentage of request) "
    "above target",
    "AutoscalerRescaled.target": "deployment/default/nginx",
    "annotations": {"kubernetes.io/change-cause": "a newer server"},
    "answer": {"id": "0d9f1c4e-scale", "result": "accepted", "position": 42},
    "Assignment.confirmed": 17,
    "Assignment.from_position": 37,
    "Assignment.to_position": 42,
    "templates": {"12": _TEMPLATE},
    "Assignment.stop": [
        {"namespace": "default", "name": "nginx-84cb-q9zw4", "uid": OTHER_UID}
    ],
    "at": NOW,
    "actor": "user/admin",
    "before": 3,
    "body": {"replicas": 4},
    "CommandMessage.body": {"replicas": 4},
    "boot_id": "b3f0a1",
    "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
    "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
    "CommandMessage.cause": "more visitors on Mondays",
    "CreateObject.manifest": _CONFIGMAP,
    "ApplyObject.manifest": _CONFIGMAP,
    "ReplaceObject.manifest": _CONFIGMAP,
    "ReplacePod.manifest": _POD,
    "ReplaceNode.manifest": _NODE,
    "change_cause": "more visitors on Mondays",
    "changes": {"tier": "front", "old": None},
    "CreateReplicaSet.manifest": _REPLICASET,
    "ApplyReplicaSet.manifest": _REPLICASET,
    "ReplaceReplicaSet.manifest": _REPLICASET,
    "CreatePod.manifest": _POD,
    "ApplyPod.manifest": _POD,
    "GetAnswer.columns": [{"name": "NAME"}, {"name": "DESIRED"}],
    "GetAnswer.rows": [
        {"namespace": "default", "name": "nginx", "cells": ["nginx", "3"]}
    ],
    "collision_count": 1,
    "container": "nginx",
    "count": 30,
    "content": {"data": {"color": "blue"}},
    "counts": {"deployment": 1, "pod": 3},
    "created_at": AT,
    "DeploymentRollbackDeclined.message": "Unable to find last revision.",
    "DescribeQuery.name": "nginx",
    "DescribeQuery.namespace": "default",
    "GetQuery.namespace": "default",
    "GetQuery.selector": "app=nginx",
    "LogAnswer.last": 42,
    "MetricMessage.value": "50",
    "SetResources.limits": {"memory": "256Mi"},
    "DescribeAnswer.text": "Name:                   nginx\nNamespace:  …",
    "events": [
        {
            "position": 42,
            "stream": "deployment/default/nginx",
            "version": 5,
            "type": "DeploymentScaled",
            "at": NOW,
            "actor": "user/admin",
            "cause": 41,
            "command": "0d9f1c4e-scale",
            "event": {"before": 3, "after": 4},
        }
    ],
    "first_sequence": 18,
    "last_sequence": 47,
    "from_": "1",
    "id": "0d9f1c4e-scale",
    "images": {"nginx": "nginx:1.9.1"},
    "incarnation": 2,
    "kind": "deployment",
    "labels": _LABELS,
    "LogQuery.after": 41,
    "LogQuery.stream": "deployment/default/nginx",
    "manifest": MANIFEST,
    "message": "the message for people",
    "min_ready_seconds": 0,
    "name": "nginx",
    "namespace": "default",
    "node": "worker-1",
    "NodeBecameUnready.message": "Kubelet stopped posting node status.",
    "NodeBecameUnready.reason": "NodeStatusUnknown",
    "own": _TEMPLATE,
    "owner": "deployment/default/nginx",
    "owner_uid": UID,
    "PodCreated.owner": "replicaset/default/nginx-5d4f",
    "PodAdopted.owner": "replicaset/default/nginx-5d4f",
    "PodCreated.template": 12,
    "PodCreated.labels": None,
    "PodCreated.annotations": None,
    "PodCreated.own": None,
    "PodFailed.message": "PodGC: node no longer exists",
    "PodFailed.reason": "DeletionByPodGC",
    "PodRun.labels": None,
    "PodRun.template": "12",
    "PodTerminationRequested.reason": "ScaledDown",
    "PodUnschedulable.message": "0/3 nodes are available: 3 Insufficient cpu.",
    "position": 42,
    "progress_deadline_seconds": 600,
    "replicas": 4,
    "replicaset": "nginx-5d4f",
    "ReplicaSetScaled.why": "Scaled up replica set nginx-5d4f from 3 to 4",
    "ReplicaSetDeleted.why": "its revision is older than the history limit",
    "Report.pods": [
        {
            "namespace": "default",
            "name": "nginx-5d4f-x7k2p",
            "uid": UID,
            "phase": "Running",
            "ready": True,
            "ip": "127.0.1.7",
            "containers": [
                {
                    "name": "nginx",
                    "state": "running",
                    "ready": True,
                    "started": True,
                    "startedAt": AT,
                }
            ],
        }
    ],
    "result": "accepted",
    "revision": 2,
    "revision_history_limit": 10,
    "RevisionRow.result": "complete",
    "HistoryAnswer.revisions": [
        {
            "revision": 2,
            "cause": "image nginx=nginx:1.7.9 → nginx:1.9.1",
            "when": AT,
            "who": "admin",
            "from": "revision 1",
            "took": 2.25,
            "tags": ["stable"],
            "result": "complete",
            "replicaset": "nginx-5d4f",
            "present": True,
            "position": 42,
            "template": "  Containers:\n   nginx:\n    Image:\tnginx:1.9.1\n",
        }
    ],
    "run": [
        {
            "namespace": "default",
            "name": "nginx-5d4f-x7k2p",
            "uid": UID,
            "template": "12",
            "createdAt": AT,
        }
    ],
    "seen": {
        "phase": "Running",
        "ready": True,
        "ip": "127.0.1.7",
        "containers": [{"name": "nginx", "state": "running", "ready": True}],
    },
    "sequence": 17,
    "status": "Unknown",
    "stream": "deployment/default/nginx",
    "StatusAnswer.committed": 42,
    "StatusAnswer.nodes_ready": 3,
    "SyncReply.stop": [],
    "subject": "rollbook.cmd.admin.default.deployment.nginx.scale",
    "to_revision": 1,
    "tag": "stable",
    "type": "DeploymentScaled",
    "uid": UID,
    "LogsRequest.name": "nginx-5d4f-x7k2p",
    "LogsRequest.tail": 20,
    "version": 5,
    "ClusterFounded.version": "0.1.0",
    "who": "admin",
    "why": "it is not wanted any more",
    "AnalysisEnded.why": "error-rate 0.31 > 0.05 in 3 of 3 measurements",
    "AnalysisEnded.verdict": "fail",
    "MeasurementTaken.check": "error-rate",
    "MeasurementTaken.value": 0.31,
    "MeasurementTaken.bound": "> 0.05",
    "RolloutStepReached.text": "pause 5m",
    "RolloutStepReached.step": 2,
    "RolloutStepReached.steps": 5,
    "passing": False,
    "detail": "http://10.1.0.7:80/healthz answers with 500, 3 times in a row",
    "PodToCheck.check": {"path": "/healthz", "port": 80},
    "Measurement.check": "error-rate",
    "Measurement.value": 0.31,
    "Wanted.check": "error-rate",
    "Wanted.source": {
        "name": "error-rate",
        "prometheus": "rate(http_errors[1m])",
        "max": 0.05,
    },
}


def of(kind: type[T]) -> T:
    """An example of `kind`."""
    return msgspec.json.decode(msgspec.json.encode(_built(kind)), type=kind)


def encoded(kind: structs.Kind) -> bytes:
    """An example of `kind` as it stands on the wire."""
    return msgspec.json.encode(of(kind))


def stream(kind: type[events.Event]) -> str:
    """The stream that the example of an event belongs to."""
    thing = kind.TOPIC.partition(".")[0]
    return {
        "autoscaler": "horizontalpodautoscaler/default/nginx",
        "cluster": "cluster/rollbook",
        "command": "command/0d9f1c4e-scale",
        "node": "node/worker-1",
        "object": "configmap/default/nginx",
        "pod": "pod/default/nginx-5d4f-x7k2p",
        "replicaset": "replicaset/default/nginx-5d4f",
    }.get(thing, f"{thing}/default/nginx")


def actor(kind: type[events.Event]) -> str:
    """Who brings the example of an event about; others may too."""
    own = _ACTORS.get(kind.__name__)
    return own or _ACTORS.get(kind.TOPIC.partition(".")[0], events.user_actor("admin"))


def stored(kind: type[events.Event]) -> bytes:
    """The document that the store keeps for the example of an event."""
    by_user = actor(kind).startswith("user/")
    first = kind.TOPIC.startswith(("command.", "cluster.")) or not (
        by_user or actor(kind).startswith(("controller/", events.SCHEDULER))
    )
    return catalogue.encode(
        events.Recorded(
            position=42,
            stream=stream(kind),
            version=5,
            timestamp=AT,
            actor=actor(kind),
            cause=0 if first else 41,
            command_id="0d9f1c4e-scale" if by_user else "",
            event=of(kind),
        )
    )


def _built(kind: structs.Kind) -> object:
    if (specimen := SPECIMENS.get(kind.__name__)) is not None:
        return specimen
    if kind is objects.DeploymentSpec:
        manifest = objects.decode_manifest(MANIFEST)
        assert isinstance(manifest, objects.DeploymentManifest)
        return objects.default_deployment(manifest).spec
    told = types.type_info(kind)
    assert isinstance(told, types.StructType)
    built: JSON = {}
    annotated = {each.name: each.type for each in msgspec.structs.fields(kind)}
    for field in told.fields:
        found = _value(kind, field, annotated[field.name])
        if found is not msgspec.UNSET:
            built[field.encode_name] = found
    return built


def _value(kind: structs.Kind, field: types.Field, wanted: object) -> object:
    own = f"{kind.__name__}.{field.name}"
    for key in (own, field.name):
        shown = key == own or field.required or field.name in _WORTH_SHOWING
        if key in VALUES and shown and _fits(VALUES[key], wanted):
            return VALUES[key]
    return _plain(field.type) if field.required else msgspec.UNSET


# By the kind of the object, and by the event where it is another one.
_ACTORS: Final[dict[str, str]] = {
    "autoscaler": events.AUTOSCALER,
    "cluster": events.SYSTEM,
    "replicaset": events.DEPLOYMENT_CONTROLLER,
    "pod": events.REPLICASET_CONTROLLER,
    "node": events.node_actor("worker-1"),
    "RevisionStarted": events.DEPLOYMENT_CONTROLLER,
    "RolloutCompleted": events.DEPLOYMENT_CONTROLLER,
    "HashCollided": events.DEPLOYMENT_CONTROLLER,
    "RolloutStalled": events.TIMER,
    "RolloutStepReached": events.TIMER,
    "MeasurementTaken": events.MONITOR,
    "AnalysisEnded": events.DEPLOYMENT_CONTROLLER,
    "ReplicaSetLabelled": events.user_actor("admin"),
    "ReplicaSetTemplateChanged": events.user_actor("admin"),
    "ReplicaSetDeletionRequested": events.user_actor("admin"),
    "ReplicaSetAnnotated": events.user_actor("admin"),
    "PodScheduled": events.SCHEDULER,
    "PodUnschedulable": events.SCHEDULER,
    "PodReported": events.node_actor("worker-1"),
    "PodRemoved": events.node_actor("worker-1"),
    "PodBecameAvailable": events.TIMER,
    "PodChecked": events.MONITOR,
    "PodFailed": events.POD_COLLECTOR,
    "PodOwnersChanged": events.user_actor("admin"),
    "ReplicaSetOwnersChanged": events.user_actor("admin"),
    "PodLabelled": events.user_actor("admin"),
    "PodConfigured": events.user_actor("admin"),
    "PodAnnotated": events.user_actor("admin"),
    "NodeBecameUnready": events.TIMER,
    "NodeLost": events.NODE_CONTROLLER,
    "NodeSpared": events.NODE_CONTROLLER,
    "NodeCordoned": events.user_actor("admin"),
    "NodeUncordoned": events.user_actor("admin"),
    "NodeLabelled": events.user_actor("admin"),
    "NodeAnnotated": events.user_actor("admin"),
    "NodeTainted": events.user_actor("admin"),
    "NodeRemoved": events.user_actor("admin"),
}

# Fields with a default that are worth showing wherever they are.
_WORTH_SHOWING: Final = frozenset(
    {"change_cause", "owner", "owner_uid", "labels", "position", "run", "templates"}
    | {"replicas", "events", "counts", "container", "answer", "to_revision"}
)


def _fits(value: object, wanted: object) -> bool:
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=wanted)
    except msgspec.ValidationError:
        return False
    return True


def _plain(told: types.Type) -> object:
    """A value of a type, for a field that `VALUES` does not know."""
    match told:
        case types.StructType():
            return _built(told.cls)
        case types.LiteralType():
            return told.values[0]
        case types.UnionType():
            return _plain(told.types[0])
        case types.VarTupleType():
            return [_plain(told.item_type)]
        case types.Metadata():
            return _plain(told.type)
        case types.IntType() | types.FloatType():
            return 1
        case types.StrType():
            return "text"
        case types.BoolType():
            return True
        case _:
            return {}
