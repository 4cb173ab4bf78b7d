"""The answer to a write: the object, or for a dry run what it would be.

A dry run shows the object with everything that would be filled in. What only the event
itself gives, a version, is left out of a new object and stays that of an old one.
"""

import uuid
from typing import Final

import msgspec

from domain import times
from domain.protocol import Answer
from gateway.kube import autoscaling, forms
from gateway.kube.manifests import metadata_of
from gateway.kube.request import JSON, Reply, Request
from gateway.kube.tables import partial

_WITH_GENERATION: Final = frozenset({"deployment", "replicaset"})
_GIVEN: Final = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def would_be(
    request: Request, manifest: JSON, managed: bytes, live: JSON | None, now: float
) -> JSON:
    """The object that `manifest`, complete, would make: of `live`, or a new one."""
    own = request.resource.own
    metadata: JSON = {k: v for k, v in metadata_of(manifest).items() if v}
    if live is None:
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = times.rfc3339_seconds(now)
        if own in _WITH_GENERATION:
            metadata["generation"] = 1
    else:
        was = metadata_of(live)
        metadata |= {key: was[key] for key in _GIVEN if key in was}
        derived = _derived(was)
        if derived:
            annotations = metadata.get("annotations")
            assert isinstance(annotations, dict | None), "a manifest is typed"
            metadata["annotations"] = {**(annotations or {}), **derived}
        generation = was.get("generation")
        if isinstance(generation, int) and live.get("spec") != manifest.get("spec"):
            metadata["generation"] = generation + 1
    metadata["managedFields"] = msgspec.json.decode(managed)
    document: JSON = {**manifest, "metadata": metadata}
    status = live.get("status") if live is not None else {}
    if status is not None and own not in ("configmap", "secret", "lease"):
        document["status"] = status
    if own == autoscaling.KIND and request.resource.version == "v1":
        return autoscaling.to_v1(document)
    return document


def reply(
    request: Request,
    code: int,
    document: JSON,
    answer: Answer,
    warnings: tuple[str, ...] = (),
) -> Reply:
    """The object in the form that was asked for, with all warnings."""
    form = forms.wanted(request.accept, request.params)
    if form.shape == "metadata":
        document = partial(metadata_of(document), f"{forms.META}/{form.version}")
    return Reply(code=code, document=document, warnings=(*warnings, *answer.warnings))


def _derived(metadata: JSON) -> JSON:
    """The annotations that the state gives the object, which no manifest has."""
    annotations = metadata.get("annotations")
    if not isinstance(annotations, dict):
        return {}
    return {k: v for k, v in annotations.items() if k.startswith("deployment.kube")}
