"""Which command a change of an object is, and what is told of it.

1. A change that has a command of its own is sent as that: the log and the history then
   say `scale`, `pause` or `set-image`. Everything else is a `replace`.
2. The user's words for a change are what was written into `kubernetes.io/change-cause`
   by this very change. An annotation that was there before, or that a rollback brings
   back with a former template, says nothing about it.
3. A rollback is recognised by what kubectl sends: a JSON patch that puts back the
   template of a revision.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from domain import command, deployment, node, plain, podspec, replicaset, template
from domain import pod as pods
from domain.deployment import CHANGE_CAUSE
from domain.errors import Rejected
from domain.metadata import LAST_APPLIED
from gateway.kube.manifests import metadata_of, text_at
from gateway.kube.request import JSON, Request

RECORDED: Final = "kubectl "
"""How the words begin that `kubectl --record` writes: they are a command line."""
_POINTER: Final = "/metadata/annotations"
_CAUSE_POINTER: Final = f"{_POINTER}/{CHANGE_CAUSE.replace('/', '~1')}"


class Command(NamedTuple):
    """A verb of Rollbook's and its body."""

    verb: str
    body: msgspec.Struct


class Told(NamedTuple):
    """What goes along with a command: the user's words, and where it came from."""

    cause: str = ""
    source: str = ""


_CREATE: Final[dict[str, type[msgspec.Struct]]] = {
    "deployment": deployment.CreateDeployment,
    "replicaset": replicaset.CreateReplicaSet,
    "pod": pods.CreatePod,
}
_REPLACE: Final[dict[str, type[msgspec.Struct]]] = {
    "deployment": deployment.ReplaceDeployment,
    "replicaset": replicaset.ReplaceReplicaSet,
    "pod": pods.ReplacePod,
    "node": node.ReplaceNode,
}


def creation(own: str, manifest: JSON) -> Command:
    """The command that creates the object of this manifest."""
    return Command("create", _CREATE.get(own, plain.CreateObject)(manifest=manifest))


def scaling(own: str, replicas: int) -> Command:
    """The command that changes the number of pods, and nothing else."""
    kind = (
        deployment.ScaleDeployment
        if own == "deployment"
        else replicaset.ScaleReplicaSet
    )
    return Command("scale", kind(replicas=replicas))


def of(own: str, old: JSON, new: JSON) -> Command:
    """The command that makes `new` of `old`, two manifests with all defaults."""
    parts = _differing(old, new)
    about = _differing(metadata_of(old), metadata_of(new))
    found: Command | None = None
    if parts == {"metadata"} and len(about) == 1:
        found = _of_metadata(about.pop(), metadata_of(old), metadata_of(new))
    elif parts == {"spec"}:
        found = _of_spec(own, _part(old, "spec"), _part(new, "spec"))
    if found is not None:
        return found
    return Command(
        "replace", _REPLACE.get(own, plain.ReplaceObject)(manifest=_timeless(new))
    )


def rollback(
    old: JSON, new: JSON, revisions: Iterable[tuple[int, podspec.PodTemplateSpec]]
) -> Command | None:
    """The rollback that makes `new` of `old`, if it is one (rule 3).

    `revisions` are the numbers and templates that can be gone back to, the newest
    first. None where something beside the template and the change cause differs.
    """
    wanted = _template(new)
    if wanted == _template(old) or _differing(
        _without_template(old), _without_template(new)
    ):
        return None
    for revision, held in revisions:
        if held == wanted:
            return Command("undo", deployment.RollbackDeployment(to_revision=revision))
    return None


def is_rollback(request: Request, patch: object) -> bool:
    """Whether the patch has the shape of `kubectl rollout undo`."""
    if request.resource.own != "deployment" or not isinstance(patch, list):
        return False
    paths = [each.get("path") for each in patch if isinstance(each, dict)]
    return "/spec/template" in paths and set(paths) <= {"/spec/template", _POINTER}


def restored(old: JSON, new: JSON) -> JSON:
    """`new` with the change cause of `old`: a rollback does not write one."""
    annotations = dict(_part(metadata_of(new), "annotations"))
    was = _part(metadata_of(old), "annotations").get(CHANGE_CAUSE)
    annotations.pop(CHANGE_CAUSE, None)
    if was is not None:
        annotations[CHANGE_CAUSE] = was
    metadata = {**metadata_of(new), "annotations": annotations}
    if not annotations:
        del metadata["annotations"]
    return {**new, "metadata": metadata}


# --- what is told -------------------------------------------------------------------


def written_cause(patch: object) -> str:
    """The change cause that a patch writes; "" for none."""
    if isinstance(patch, dict):
        return text_at(patch, "metadata", "annotations", CHANGE_CAUSE)
    found = ""
    for each in patch if isinstance(patch, list) else ():
        if not isinstance(each, dict) or each.get("op") not in ("add", "replace"):
            continue
        value = each.get("value")
        if each.get("path") == _CAUSE_POINTER and isinstance(value, str):
            found = value
        elif each.get("path") == _POINTER and isinstance(value, dict):
            found = text_at(value, CHANGE_CAUSE)
    return found


def changed_cause(old: JSON | None, new: JSON) -> str:
    """The change cause of a whole document, if it is not the one that was there."""
    now = text_at(new, "metadata", "annotations", CHANGE_CAUSE)
    was = text_at(old or {}, "metadata", "annotations", CHANGE_CAUSE)
    return now if now != was else ""


def told(request: Request, cause: str) -> Told:
    """What is told of a change whose written cause is `cause`.

    The source is the command line where kubectl has recorded one, else what kubectl
    says of itself, else the program's name and version.
    """
    if cause.startswith(RECORDED):
        return Told(cause, cause)
    return Told(cause, request.command or request.agent.partition(" ")[0])


# --- one part that differs ----------------------------------------------------------


def _of_metadata(part: str, old: JSON, new: JSON) -> Command | None:
    if part not in ("labels", "annotations"):
        return None
    before, after = _part(old, part), _part(new, part)
    changes: dict[str, str | None] = {
        key: str(value) for key, value in after.items() if before.get(key) != value
    }
    changes |= {key: None for key in before if key not in after}
    if LAST_APPLIED in changes:
        return None
    if part == "labels":
        return Command("label", command.LabelObject(changes=changes, overwrite=True))
    return Command("annotate", command.AnnotateObject(changes=changes, overwrite=True))


def _of_spec(own: str, old: JSON, new: JSON) -> Command | None:
    differing = _differing(old, new)
    if len(differing) != 1:
        return None
    match own, differing.pop():
        case "deployment" | "replicaset", "replicas":
            replicas = new.get("replicas")
            return scaling(own, replicas) if isinstance(replicas, int) else None
        case "deployment", "paused":
            if new.get("paused"):
                return Command("pause", deployment.PauseDeployment())
            return Command("resume", deployment.ResumeDeployment())
        case "deployment" | "replicaset", "template":
            images = _changed_images(_template({"spec": old}), _template({"spec": new}))
            if images is None:
                return None
            if own == "replicaset":
                body = replicaset.SetReplicaSetImage(images=images)
                return Command("set-image", body)
            return Command("set-image", deployment.SetImage(images=images))
        case "pod", "containers" | "initContainers":
            whole = [_template({"spec": {"template": {"spec": s}}}) for s in (old, new)]
            images = _changed_images(*whole)
            if images is None:
                return None
            return Command("set-image", pods.SetPodImage(images=images))
        case "node", "unschedulable":
            if new.get("unschedulable"):
                return Command("cordon", node.CordonNode())
            return Command("uncordon", node.UncordonNode())
        case _:
            return None


def _changed_images(
    old: podspec.PodTemplateSpec, new: podspec.PodTemplateSpec
) -> dict[str, str] | None:
    """The images that are others, by container, if that is all that differs."""
    before = _images(old)
    changed = {
        name: image
        for name, image in _images(new).items()
        if before.get(name, image) != image
    }
    try:
        if not changed or template.set_images(old, changed) != new:
            return None
    except Rejected:
        return None
    return changed


def _images(held: podspec.PodTemplateSpec) -> dict[str, str]:
    containers: Sequence[podspec.Container] = (
        *held.spec.init_containers,
        *held.spec.containers,
    )
    return {each.name: each.image for each in containers}


def _template(manifest: JSON) -> podspec.PodTemplateSpec:
    found = _part(manifest, "spec").get("template")
    return template.without_hash(msgspec.convert(found, podspec.PodTemplateSpec))


def _without_template(manifest: JSON) -> JSON:
    """Beside the template and the change cause."""
    spec = {k: v for k, v in _part(manifest, "spec").items() if k != "template"}
    metadata = dict(metadata_of(manifest))
    annotations = dict(_part(metadata, "annotations"))
    annotations.pop(CHANGE_CAUSE, None)
    return {
        **manifest,
        "spec": spec,
        "metadata": {**metadata, "annotations": annotations},
    }


def _timeless(manifest: JSON) -> JSON:
    """Without what names a version of the object: the command carries that itself."""
    gone = ("generateName",)
    metadata = {k: v for k, v in metadata_of(manifest).items() if k not in gone}
    return {**manifest, "metadata": metadata}


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> set[str]:
    """The keys whose values differ; an empty part is the same as none."""
    return {
        key
        for key in old.keys() | new.keys()
        if (old.get(key) or None) != (new.get(key) or None)
        or (key == "replicas" and old.get(key) != new.get(key))
    }


def _part(document: Mapping[str, object], key: str) -> JSON:
    found = document.get(key)
    return found if isinstance(found, dict) else {}
