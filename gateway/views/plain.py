"""Plain objects as JSON, as rows and as text: ConfigMaps, Secrets, namespaces, …"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from domain import plain, plain_manifests, times
from domain.ages import age
from domain.plain import PlainObject
from gateway.views import autoscalers, podtemplates, scene
from gateway.views.podtemplates import Lines, annotation_lines, label_lines
from gateway.views.scene import JSON, NONE, Scene

_NAME: Final = ("NAME", False)
_AGE: Final = ("AGE", False)
COLUMNS: Final[Mapping[str, tuple[tuple[str, bool], ...]]] = {
    "configmap": (_NAME, ("DATA", False), _AGE),
    "secret": (_NAME, ("TYPE", False), ("DATA", False), _AGE),
    "serviceaccount": (_NAME, ("SECRETS", False), _AGE),
    "lease": (_NAME, ("HOLDER", False), _AGE),
    "namespace": (_NAME, ("STATUS", False), _AGE),
    "horizontalpodautoscaler": (
        _NAME,
        ("REFERENCE", False),
        ("TARGETS", False),
        ("MINPODS", False),
        ("MAXPODS", False),
        ("REPLICAS", False),
        _AGE,
    ),
}
"""Kubernetes' columns of each kind (spec 6.2)."""


def cells(at: Scene, held: PlainObject) -> tuple[str, ...]:
    """The row, as long as its kind's `COLUMNS`."""
    return (held.name, *_middle(at, held), age(held.created_at, at.now))


def document(at: Scene, held: PlainObject) -> JSON:
    """The object as its API serves it, with a status where its kind has one."""
    struct = plain_manifests.BY_KIND[held.kind]()
    metadata = scene.metadata(
        name=held.name,
        namespace=held.namespace,
        uid=held.uid,
        position=held.position,
        created_at=held.created_at,
        labels=held.labels,
        annotations=held.annotations,
        generate_name=held.generate_name,
    )
    if held.owner_references:
        metadata["ownerReferences"] = msgspec.to_builtins(held.owner_references)
    if held.finalizers:
        metadata["finalizers"] = [*held.finalizers]
    if held.stage == plain.DELETING:
        metadata["deletionTimestamp"] = times.rfc3339_seconds(held.deletion_at)
        if held.kind != plain.NAMESPACE:
            metadata["deletionGracePeriodSeconds"] = 0
    found: JSON = {
        "apiVersion": struct.api_version,
        "kind": struct.kind,
        "metadata": metadata,
        **held.content,
    }
    if held.kind == plain.NAMESPACE:
        found["status"] = {"phase": phase(held)}
    elif held.kind == "horizontalpodautoscaler":
        found["status"] = autoscalers.status(at, held)
    return found


def phase(held: PlainObject) -> str:
    """`Active`, or `Terminating` for a namespace that is on its way out."""
    return "Terminating" if held.stage == plain.DELETING else "Active"


def holder(held: PlainObject) -> str:
    """Who holds a lease; empty while nobody does."""
    return str(_map(held.content.get("spec")).get("holderIdentity", ""))


def data_count(held: PlainObject) -> int:
    """How many keys a ConfigMap or a Secret has."""
    kept = (held.content.get("data"), held.content.get("binaryData"))
    return sum(len(_map(each)) for each in kept)


def described(at: Scene, held: PlainObject) -> Lines:
    """The body of `describe`; values of Secrets are told by their size alone."""
    yield f"Name:\t{held.name}"
    if held.namespace:
        yield f"Namespace:\t{held.namespace}"
    yield from label_lines("Labels", held.labels)
    yield from annotation_lines("Annotations", held.annotations)
    match held.kind:
        case "configmap":
            yield from _config_lines(held)
        case "secret":
            yield from _secret_lines(held)
        case "namespace":
            yield f"Status:\t{phase(held)}"
            yield from ("", "No resource quota.", "", "No LimitRange resource.", "")
        case "serviceaccount":
            pull = _names(held.content.get("imagePullSecrets"))
            yield f"Image pull secrets:\t{', '.join(pull) or NONE}"
            mounted = _names(held.content.get("secrets"))
            yield f"Mountable secrets:\t{', '.join(mounted) or NONE}"
            yield f"Tokens:\t{NONE}"
        case "horizontalpodautoscaler":
            yield f"CreationTimestamp:\t{podtemplates.moment(held.created_at)}"
            yield from autoscalers.lines(at, held)
        case _:
            yield f"Creation Timestamp:\t{podtemplates.moment(held.created_at)}"
            yield "Spec:"
            spec = _map(held.content.get("spec"))
            yield from (f"  {_spaced(key)}:\t{spec[key]}" for key in sorted(spec))


# --- rows -------------------------------------------------------------------------


def _middle(at: Scene, held: PlainObject) -> tuple[str, ...]:
    """The cells between the name and the age."""
    content = held.content
    match held.kind:
        case "configmap":
            return (str(data_count(held)),)
        case "secret":
            return str(content.get("type", "")), str(data_count(held))
        case "serviceaccount":
            return (str(len(_maps(content.get("secrets")))),)
        case "lease":
            return (holder(held),)
        case "namespace":
            return (phase(held),)
        case _:
            return autoscalers.row(at, held)


# --- texts ------------------------------------------------------------------------


def _config_lines(held: PlainObject) -> Lines:
    yield from ("", "Data", "====")
    data = _map(held.content.get("data"))
    for key in sorted(data):
        yield from (f"{key}:", "----", *str(data[key]).split("\n"), "")
    yield from ("", "BinaryData", "====")
    binary = _map(held.content.get("binaryData"))
    yield from (f"{key}: {_size(binary[key])} bytes" for key in sorted(binary))
    yield ""


def _secret_lines(held: PlainObject) -> Lines:
    yield from ("", f"Type:\t{held.content.get('type', '')}", "", "Data", "====")
    data = _map(held.content.get("data"))
    yield from (f"{key}:\t{_size(data[key])} bytes" for key in sorted(data))
    yield ""


def _size(text: object) -> int:
    try:
        return len(base64.b64decode(str(text)))
    except (binascii.Error, ValueError):
        return 0


def _spaced(name: str) -> str:
    """`holderIdentity` as `Holder Identity`."""
    words = "".join(f" {each}" if each.isupper() else each for each in name)
    return f"{words[:1].upper()}{words[1:]}"


def _names(found: object) -> list[str]:
    return [str(each.get("name", "")) for each in _maps(found)]


def _maps(found: object) -> list[JSON]:
    if not isinstance(found, Iterable):
        return []
    return [each for each in found if isinstance(each, dict)]


def _map(found: object) -> JSON:
    return found if isinstance(found, dict) else {}
