"""Manifests of the kinds that are served: what is kept of a document, and defaults.

1. A manifest is a document without its status and without what the server writes into
   it (uid, resourceVersion, times, annotations that are derived from the state).
2. `cleaned` drops what no field of the kind is; what that was is told.
3. `complete` is what control makes of a manifest: with every default filled in.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from domain import decoding, node_manifest, objects, plain_defaults, plain_manifests
from domain.errors import Rejected
from gateway.kube import autoscaling
from gateway.kube.request import JSON
from gateway.kube.resources import Resource

Manifest = objects.Manifest | node_manifest.NodeManifest

_STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    "deployment": objects.DeploymentManifest,
    "replicaset": objects.ReplicaSetManifest,
    "pod": objects.PodManifest,
    "node": node_manifest.NodeManifest,
    **plain_manifests.BY_KIND,
}
_KEPT_METADATA: Final = (
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
)
_DERIVED_PREFIX: Final = "deployment.kubernetes.io/"
"""Annotations of Deployments and ReplicaSets by which Kubernetes keeps its books: they
are derived from the state, and are nobody's to write (spec 2.5)."""


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that can be decoded, and the paths of fields that it does not have."""

    manifest: JSON
    unknown: tuple[str, ...] = ()


def stored_version(resource: Resource, document: JSON) -> JSON:
    """The document in the version that is kept: autoscaling/v1 is shown, not kept."""
    if resource.own == autoscaling.KIND and resource.version == "v1":
        return autoscaling.to_v2(document)
    return document


def cleaned(resource: Resource, document: JSON) -> Cleaned:
    """What is kept of a document of that kind, in the version that is kept.

    Raises `Rejected` (BadRequest) that names each value of a wrong type.
    """
    body = stored_version(resource, document)
    body = {key: value for key, value in body.items() if key != "status"}
    found, findings = decoding.cleaned(body, _STRUCTS[resource.own])
    if findings.wrong:
        raise Rejected("BadRequest", not_handled(resource, ", ".join(findings.wrong)))
    metadata = _object(found, "metadata")
    kept: JSON = {key: metadata[key] for key in _KEPT_METADATA if metadata.get(key)}
    if resource.own in ("deployment", "replicaset") and "annotations" in kept:
        annotations = {
            key: value
            for key, value in _object(kept, "annotations").items()
            if not key.startswith(_DERIVED_PREFIX)
        }
        kept["annotations"] = annotations
        if not annotations:
            del kept["annotations"]
    manifest = {**found, "metadata": kept}
    return Cleaned(manifest=manifest, unknown=tuple(findings.unknown))


def complete(resource: Resource, manifest: JSON) -> JSON:
    """The manifest with all defaults. Raises `Rejected` where a default cannot be."""
    struct = msgspec.convert(manifest, _STRUCTS[resource.own])
    about: JSON = {"apiVersion": resource.api_version, "kind": resource.kind}
    # The version that is kept is the manifest's own, which it has by default.
    return stored_version(resource, about) | as_json(_default(struct))


def as_json(value: object) -> JSON:
    """The object as JSON has it: lists and maps, and no other types."""
    return msgspec.json.decode(msgspec.json.encode(value), type=JSON)


def not_handled(resource: Resource, why: str) -> str:
    """Kubernetes' sentence for a body that cannot be decoded."""
    kind = resource.kind
    return (
        f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {why}'
    )


def metadata_of(document: JSON) -> JSON:
    """The object's metadata, empty where it has none."""
    return _object(document, "metadata")


def text_at(document: JSON, *path: str) -> str:
    """The text at a path of maps; "" where there is none."""
    value: object = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


_DEFAULTS: Final[dict[type[msgspec.Struct], Callable[..., msgspec.Struct]]] = {
    objects.DeploymentManifest: objects.default_deployment,
    objects.ReplicaSetManifest: objects.default_replicaset,
    objects.PodManifest: objects.default_pod,
}


def _default(struct: msgspec.Struct) -> msgspec.Struct:
    fill = _DEFAULTS.get(type(struct))
    if fill is not None:
        return fill(struct)
    if isinstance(struct, plain_manifests.PlainManifest):
        return plain_defaults.default(struct)
    return struct


def _object(document: JSON, key: str) -> JSON:
    found = document.get(key)
    return found if isinstance(found, dict) else {}
