"""What there is to ask for: `/api` and `/apis`, in the old form and the aggregated one.

1. Everything follows from `resources.RESOURCES`; the documents are made once.
2. A client that knows the aggregated form (apidiscovery.k8s.io, v2 or v2beta1) asks
   for it in Accept and needs two requests instead of one for each group.
3. Each document has an ETag, so that a client's second look costs nothing.
"""

import functools
import hashlib
from typing import Final

import msgspec

from gateway.kube import resources
from gateway.kube.resources import Resource, Subresource

JSON = dict[str, object]
AGGREGATED: Final = "g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
_VERSIONS: Final = ("v2", "v2beta1")


class Document(msgspec.Struct, frozen=True):
    """A document as it is sent, with its media type and its ETag."""

    body: bytes
    media_type: str
    etag: str


def wanted_form(accept: str) -> str:
    """`v2` or `v2beta1` for the aggregated form, whichever comes first; "" for none."""
    for part in accept.replace(" ", "").split(","):
        for version in _VERSIONS:
            if f"v={version}" in part.split(";") and "apidiscovery" in part:
                return version
    return ""


@functools.cache
def root(path: str, form: str) -> Document:
    """`/api` or `/apis`, aggregated in that version or ("") in the old form."""
    if form:
        return _made(_aggregated(path, form), form)
    return _made(_versions() if path == "api" else _group_list(), "")


@functools.cache
def index() -> Document:
    """`/`: all paths there are, as far as they are no objects."""
    found = {"/api", "/apis", "/openapi/v2", "/openapi/v3", "/version"}
    found |= {"/healthz", "/livez", "/readyz", "/api/v1"}
    for name, versions in resources.groups().items():
        found |= {f"/apis/{name}", *(f"/apis/{name}/{each}" for each in versions)}
    return _made({"paths": sorted(found)}, "")


@functools.cache
def group(name: str) -> Document | None:
    """`/apis/<group>`; None for a group that is not served."""
    versions = resources.groups().get(name)
    return _made(_group(name, versions), "") if versions else None


@functools.cache
def version(group_name: str, version_name: str) -> Document | None:
    """`/api/v1` and `/apis/<group>/<version>`; None for one that is not served."""
    found = resources.of_version(group_name, version_name)
    if not found:
        return None
    listed: list[JSON] = []
    for resource in found:
        listed.append(_resource(resource))
        listed.extend(_subresource(resource, each) for each in resource.subresources)
    return _made(
        {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": found[0].api_version,
            "resources": listed,
        },
        "",
    )


def _made(document: JSON, form: str) -> Document:
    body = msgspec.json.encode(document)
    media_type = "application/json"
    if form:
        media_type += ";" + AGGREGATED.format(version=form)
    return Document(body, media_type, f'"{hashlib.sha512(body).hexdigest().upper()}"')


def _versions() -> JSON:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _group_list() -> JSON:
    found = resources.groups()
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_bare_group(name, versions) for name, versions in found.items()],
    }


def _group(name: str, versions: tuple[str, ...]) -> JSON:
    return {"kind": "APIGroup", "apiVersion": "v1", **_bare_group(name, versions)}


def _bare_group(name: str, versions: tuple[str, ...]) -> JSON:
    listed = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resource(resource: Resource) -> JSON:
    found: JSON = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    }
    if resource.short_names:
        found["shortNames"] = resource.short_names
    if resource.categories:
        found["categories"] = resource.categories
    return found


def _subresource(resource: Resource, part: Subresource) -> JSON:
    found: JSON = {
        "name": f"{resource.plural}/{part.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": part.kind,
        "verbs": part.verbs,
    }
    if part.group:
        found |= {"group": part.group, "version": part.version}
    return found


def _aggregated(path: str, form: str) -> JSON:
    served = {"": ("v1",)} if path == "api" else resources.groups()
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{form}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name} if name else {},
                "versions": [_aggregated_version(name, each) for each in versions],
            }
            for name, versions in served.items()
        ],
    }


def _aggregated_version(group_name: str, version_name: str) -> JSON:
    found = resources.of_version(group_name, version_name)
    return {
        "version": version_name,
        "resources": [_aggregated_resource(each) for each in found],
        "freshness": "Current",
    }


def _aggregated_resource(resource: Resource) -> JSON:
    found: JSON = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    }
    if resource.short_names:
        found["shortNames"] = resource.short_names
    if resource.categories:
        found["categories"] = resource.categories
    if resource.subresources:
        found["subresources"] = [
            {
                "subresource": part.name,
                "responseKind": _kind(
                    part.group or resource.group,
                    part.version or resource.version,
                    part.kind,
                ),
                "verbs": part.verbs,
            }
            for part in resource.subresources
        ]
    return found


def _kind(group_name: str, version_name: str, kind: str) -> JSON:
    return {"group": group_name, "version": version_name, "kind": kind}
