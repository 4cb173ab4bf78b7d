"""A command in the log, the commands that every kind knows, and the table of verbs.

1. Every command is in the log, the refused ones too, as one event of the stream
   `command/<id>`. The store's unique key on (stream, version) makes the same id
   have one effect and one answer, at any distance in time (S3).
2. A verb is a token of the subject; `VERBS` says which struct its body is.
"""

from typing import Final

import msgspec

from domain import analysis_run, deployment, node, plain, pod, pod_sessions, replicaset
from domain.events import Event
from domain.protocol import NO_MANAGED_FIELDS, Answer


class LabelObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Set or (None) remove labels; an existing other value needs `overwrite`."""

    changes: dict[str, str | None]
    overwrite: bool = False


class AnnotateObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Set or (None) remove annotations; another existing value needs `overwrite`."""

    changes: dict[str, str | None]
    overwrite: bool = False


Command = (
    deployment.CreateDeployment
    | deployment.ApplyDeployment
    | deployment.ReplaceDeployment
    | deployment.ScaleDeployment
    | deployment.SetImage
    | deployment.SetResources
    | deployment.PauseDeployment
    | deployment.ResumeDeployment
    | deployment.RestartDeployment
    | deployment.RollbackDeployment
    | analysis_run.PromoteRollout
    | analysis_run.AbortRollout
    | deployment.TagRevision
    | deployment.DeleteDeployment
    | replicaset.CreateReplicaSet
    | replicaset.ApplyReplicaSet
    | replicaset.ReplaceReplicaSet
    | replicaset.ScaleReplicaSet
    | replicaset.SetReplicaSetImage
    | replicaset.DeleteReplicaSet
    | pod.CreatePod
    | pod.ApplyPod
    | pod.ReplacePod
    | pod.SetPodImage
    | pod.DeletePod
    | pod.EvictPod
    | pod_sessions.ExecPod
    | pod_sessions.AttachPod
    | node.CordonNode
    | node.UncordonNode
    | node.TaintNode
    | node.ReplaceNode
    | node.DeleteNode
    | plain.CreateObject
    | plain.ApplyObject
    | plain.ReplaceObject
    | plain.DeleteObject
    | LabelObject
    | AnnotateObject
)

VERBS: Final[dict[tuple[str, str], type[Command]]] = {
    ("deployment", "create"): deployment.CreateDeployment,
    ("deployment", "apply"): deployment.ApplyDeployment,
    ("deployment", "replace"): deployment.ReplaceDeployment,
    ("deployment", "scale"): deployment.ScaleDeployment,
    ("deployment", "set-image"): deployment.SetImage,
    ("deployment", "set-resources"): deployment.SetResources,
    ("deployment", "pause"): deployment.PauseDeployment,
    ("deployment", "resume"): deployment.ResumeDeployment,
    ("deployment", "restart"): deployment.RestartDeployment,
    ("deployment", "undo"): deployment.RollbackDeployment,
    ("deployment", "promote"): analysis_run.PromoteRollout,
    ("deployment", "abort"): analysis_run.AbortRollout,
    ("deployment", "tag"): deployment.TagRevision,
    ("deployment", "delete"): deployment.DeleteDeployment,
    ("deployment", "label"): LabelObject,
    ("deployment", "annotate"): AnnotateObject,
    ("replicaset", "create"): replicaset.CreateReplicaSet,
    ("replicaset", "apply"): replicaset.ApplyReplicaSet,
    ("replicaset", "replace"): replicaset.ReplaceReplicaSet,
    ("replicaset", "scale"): replicaset.ScaleReplicaSet,
    ("replicaset", "set-image"): replicaset.SetReplicaSetImage,
    ("replicaset", "delete"): replicaset.DeleteReplicaSet,
    ("replicaset", "label"): LabelObject,
    ("replicaset", "annotate"): AnnotateObject,
    ("pod", "create"): pod.CreatePod,
    ("pod", "apply"): pod.ApplyPod,
    ("pod", "replace"): pod.ReplacePod,
    ("pod", "set-image"): pod.SetPodImage,
    ("pod", "delete"): pod.DeletePod,
    ("pod", "evict"): pod.EvictPod,
    ("pod", "exec"): pod_sessions.ExecPod,
    ("pod", "attach"): pod_sessions.AttachPod,
    ("pod", "label"): LabelObject,
    ("pod", "annotate"): AnnotateObject,
    ("node", "cordon"): node.CordonNode,
    ("node", "uncordon"): node.UncordonNode,
    ("node", "taint"): node.TaintNode,
    ("node", "replace"): node.ReplaceNode,
    ("node", "delete"): node.DeleteNode,
    ("node", "label"): LabelObject,
    ("node", "annotate"): AnnotateObject,
    **{
        (kind, verb): body
        for kind in plain.KINDS
        for verb, body in (
            ("create", plain.CreateObject),
            ("apply", plain.ApplyObject),
            ("replace", plain.ReplaceObject),
            ("delete", plain.DeleteObject),
            ("label", LabelObject),
            ("annotate", AnnotateObject),
        )
    },
}


class CommandAccepted(Event, frozen=True, kw_only=True):
    """The command was carried out, or found to be so already; this is its answer."""

    TOPIC = "command.accepted.v1"
    subject: str
    body: msgspec.Raw
    answer: Answer
    change_cause: str = ""
    source: str = ""
    agent: str = ""
    field_manager: str = ""
    managed_fields: msgspec.Raw = NO_MANAGED_FIELDS


class CommandRejected(Event, frozen=True, kw_only=True):
    """The command was refused and changed nothing; this is its answer."""

    TOPIC = "command.rejected.v1"
    subject: str
    body: msgspec.Raw
    answer: Answer
    change_cause: str = ""
    source: str = ""
    agent: str = ""
    field_manager: str = ""


class ClusterFounded(Event, frozen=True, kw_only=True):
    """The first event of every log: which cluster this is."""

    TOPIC = "cluster.founded.v1"
    uid: str
    version: str
