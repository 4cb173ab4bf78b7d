"""The schemas of what is served, made from the structs that manifests are read into.

1. A struct's docstring is the description; Kubernetes' merge keys and list types come
   from patching/schema.py, by the name of the field.
2. Names are Kubernetes': `io.k8s.api.apps.v1.Deployment`. Every kind says its group,
   version and kind, by which clients find it.
3. What is only read (status, Events) is told roughly: nobody writes it.
"""

import functools
import re
from typing import Final

import msgspec

from domain import metadata, node_manifest, objects, plain_manifests
from gateway.kube.patching import schema as merging
from gateway.kube.request import JSON
from gateway.kube.resources import Resource

PREFIX: Final = "#/components/schemas/"
KIND: Final = "x-kubernetes-group-version-kind"
INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_INT_OR_STRING: Final[JSON] = {
    "description": "A number, or a text such as 25%.",
    "format": "int-or-string",
    "oneOf": [{"type": "integer"}, {"type": "string"}],
}
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
_GROUPS: Final = {
    "": "io.k8s.api.core",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apps": "io.k8s.api.apps",
    "autoscaling": "io.k8s.api.autoscaling",
    "batch": "io.k8s.api.batch",
    "coordination.k8s.io": "io.k8s.api.coordination",
    "events.k8s.io": "io.k8s.api.events",
    "metrics.k8s.io": "io.k8s.metrics.pkg.apis.metrics",
    "networking.k8s.io": "io.k8s.api.networking",
    "authentication.k8s.io": "io.k8s.api.authentication",
    "authorization.k8s.io": "io.k8s.api.authorization",
}
_STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    "deployment": objects.DeploymentManifest,
    "replicaset": objects.ReplicaSetManifest,
    "pod": objects.PodManifest,
    "node": node_manifest.NodeManifest,
    **plain_manifests.BY_KIND,
}
_OF_META: Final = frozenset(
    {"ObjectMeta", "OwnerReference", "LabelSelector", "LabelSelectorRequirement"}
)
_OF_APPS: Final = frozenset(
    {"DeploymentSpec", "DeploymentStrategy", "ReplicaSetSpec", "RollingUpdate"}
)
_RENAMED: Final = {
    "RollingUpdate": "RollingUpdateDeployment",
    "AutoscalerSpec": "HorizontalPodAutoscalerSpec",
}
_SOURCE: Final = re.compile(r"\s*\((?:see )?spec [^)]*\)")
_WITH_STATUS: Final = frozenset(
    {"deployment", "replicaset", "pod", "node", "namespace", "horizontalpodautoscaler"}
)
_FORMATS: Final = {-(2**31): "int32", -(2**63): "int64"}
_DESCRIBED: Final[dict[str, str]] = {
    "apiVersion": "The group and version of this object's kind.",
    "kind": "What this object is.",
    "metadata": "Its names, labels and bookkeeping.",
    "spec": "What is asked for.",
    "status": "What was seen; it is only read.",
}


@functools.cache
def name_of(resource: Resource) -> str:
    """The name of a resource's schema."""
    return f"{_GROUPS[resource.group]}.{resource.version}.{resource.kind}"


@functools.cache
def components(served: tuple[Resource, ...]) -> dict[str, JSON]:
    """The schemas of these resources, and all that they refer to, by name."""
    found: dict[str, JSON] = {}
    for resource in served:
        found |= _of(resource)
    return dict(sorted(found.items()))


def _of(resource: Resource) -> dict[str, JSON]:
    struct = _STRUCTS.get(resource.own)
    if (resource.group, resource.version) == ("autoscaling", "v1"):
        struct = None
    _, found = msgspec.json.schema_components(
        [struct or metadata.ObjectMeta], ref_template=PREFIX + "{name}"
    )
    version = f"{_GROUPS[resource.group]}.{resource.version}"
    whole = _rough(resource)
    if struct is not None:
        whole = _cleaned(found.pop(struct.__name__), version, "")
    made = {
        _name(name, version): _cleaned(schema, version, "")
        for name, schema in found.items()
    }
    made[name_of(resource)] = _kind(resource, whole)
    if INT_OR_STRING in repr(made):
        made[INT_OR_STRING] = dict(_INT_OR_STRING)
    return made


def _name(struct: str, version: str) -> str:
    """The name of the schema of a struct; `version` is where it is used."""
    called = _RENAMED.get(struct, struct)
    if struct in _OF_META:
        return f"{_META}.{called}"
    if struct in _OF_APPS:
        return f"{_GROUPS['apps']}.v1.{called}"
    if "autoscaling" in version or "coordination" in version:
        return f"{version}.{called}"
    return f"{_GROUPS['']}.v1.{called}"


def _kind(resource: Resource, schema: JSON) -> JSON:
    """The schema of a whole object."""
    properties = schema["properties"]
    assert isinstance(properties, dict), "an object has fields"
    if resource.own in _WITH_STATUS:
        properties["status"] = {"type": "object"}
    for name, text in _DESCRIBED.items():
        if isinstance(properties.get(name), dict):
            properties[name] = {"description": text, **properties[name]}
    return {
        **schema,
        KIND: [
            {
                "group": resource.group,
                "version": resource.version,
                "kind": resource.kind,
            }
        ],
    }


def _cleaned(schema: object, version: str, field: str) -> JSON:
    """A schema in the words that clients of Kubernetes understand."""
    assert isinstance(schema, dict), "a schema is a map"
    if "anyOf" in schema:
        return _union(schema["anyOf"], version, field)
    if "$ref" in schema:
        target = str(schema["$ref"]).removeprefix(PREFIX)
        found: JSON = {"allOf": [{"$ref": PREFIX + _name(target, version)}]}
        return found | _merging(field, mapping=True)
    found = {}
    if "description" in schema:
        text = _SOURCE.sub("", str(schema["description"]))
        found["description"] = " ".join(text.split())
    if "type" in schema:
        found["type"] = schema["type"]
    if schema.get("type") == "integer":
        bound = schema.get("minimum", -(2**63))
        found["format"] = _FORMATS.get(bound, "int64")
    if "enum" in schema:
        found["enum"] = schema["enum"]
    if "items" in schema:
        found["items"] = _cleaned(schema["items"], version, "")
        found |= _merging(field, mapping=False)
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        found["additionalProperties"] = _cleaned(values, version, "")
    if "properties" in schema:
        found["properties"] = {
            name: _cleaned(each, version, name)
            for name, each in schema["properties"].items()
        }
        if schema.get("required"):
            found["required"] = schema["required"]
    return found


def _union(parts: list[JSON], version: str, field: str) -> JSON:
    """Null is what is absent; a number or a text is Kubernetes' IntOrString."""
    some = [each for each in parts if each.get("type") != "null"]
    if len(some) == 1:
        return _cleaned(some[0], version, field)
    types = {each.get("type") for each in some}
    if types == {"integer", "string"}:
        return {"allOf": [{"$ref": PREFIX + INT_OR_STRING}]}
    if types <= {"integer", "number", "string"}:
        return {"type": "string", "format": "int-or-string"}
    return {}


def _merging(field: str, *, mapping: bool) -> JSON:
    """How a list or a map is merged."""
    found: JSON = {}
    if mapping:
        return {"x-kubernetes-map-type": "atomic"} if field in merging.ATOMIC else found
    if field in merging.PATCH_KEYS:
        found["x-kubernetes-patch-merge-key"] = merging.PATCH_KEYS[field]
        found["x-kubernetes-patch-strategy"] = "merge"
    elif field in merging.PATCH_SETS:
        found["x-kubernetes-patch-strategy"] = "merge"
    if field in merging.LIST_KEYS:
        found["x-kubernetes-list-type"] = "map"
        found["x-kubernetes-list-map-keys"] = [*merging.LIST_KEYS[field]]
    elif field in merging.LIST_SETS:
        found["x-kubernetes-list-type"] = "set"
    elif field:
        found["x-kubernetes-list-type"] = "atomic"
    return found


def _rough(resource: Resource) -> JSON:
    """Rule 3; and autoscaling/v1, which is another form of v2."""
    text: JSON = {"type": "string"}
    properties: JSON = {
        "apiVersion": {**text},
        "kind": {**text},
        "metadata": {"allOf": [{"$ref": f"{PREFIX}{_META}.ObjectMeta"}]},
    }
    if resource.own == "event":
        about = "regarding" if resource.group else "involvedObject"
        what = "note" if resource.group else "message"
        properties |= {name: {**text} for name in ("reason", "type", what)}
        properties[about] = {"type": "object"}
    elif resource.own == "horizontalpodautoscaler":
        whole = {"type": "integer", "format": "int32"}
        names = ("minReplicas", "maxReplicas", "targetCPUUtilizationPercentage")
        spec: JSON = {name: {**whole} for name in names}
        reference = {name: {**text} for name in ("apiVersion", "kind", "name")}
        spec["scaleTargetRef"] = {"type": "object", "properties": reference}
        properties["spec"] = {"type": "object", "properties": spec}
    else:
        properties |= {"spec": {"type": "object"}, "status": {"type": "object"}}
    described = f"{resource.kind} of {resource.api_version}."
    return {"description": described, "type": "object", "properties": properties}
