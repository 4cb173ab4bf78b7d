"""How the objects of each resource are found, selected and shown.

1. What a resource's objects look like follows from the state alone (gateway/views);
   only `resourceVersion` comes from elsewhere (changes.py).
2. `key` is the object's key everywhere in Rollbook: `pod/<ns>/<name>`.
3. Fields that a selector may name are those of the API server for that kind.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from domain import labels, names
from domain.deployment import Deployment
from domain.labels import LabelSelector
from domain.plain import PlainObject
from domain.replicaset import ReplicaSet
from gateway import derived, listing, selection
from gateway.kube import autoscaling, causes, resources, tables
from gateway.kube.forms import Form, Shown
from gateway.kube.resources import Resource
from gateway.kube.statuses import Failure
from gateway.kube.tables import Table
from gateway.selection import Term
from gateway.views import happenings
from gateway.views import plain as plain_views
from gateway.views.scene import JSON, Scene
from projections.happenings import Happening

Held = Any
"""A Deployment, ReplicaSet, Pod, Node, Happening or PlainObject, as its kind says."""
DERIVED: Final = frozenset({"deployment", "replicaset"})
"""What changes when others do: its status is counted from its pods."""
_encode = msgspec.json.Encoder().encode


class Kind(NamedTuple):
    """One resource's objects; all functions are pure."""

    resource: Resource
    table: Table
    fields: Mapping[str, Callable[[Held], str]]
    all: Callable[[Scene, str], Iterable[Held]]
    """Those of a namespace, of all where it is empty; in no order."""
    find: Callable[[Scene, str, str], Held | None]
    key: Callable[[Held], tuple[str, str]]
    """Namespace and name: lists are in this order."""
    labels: Callable[[Scene, Held], Mapping[str, str]]
    document: Callable[[Scene, Held], JSON]

    @property
    def own(self) -> str:
        """Rollbook's word for it."""
        return self.resource.own

    def object_key(self, namespace: str, name: str) -> str:
        """Rule 2."""
        return names.key(self.own, namespace, name)

    def shown(
        self,
        at: Scene,
        held: Held,
        position: int,
        form: Form,
        managed: bytes | None = None,
    ) -> Shown:
        """The object as it goes out, at its version `position`; `managed` is the list
        of its managed fields, as JSON."""
        found = self.document(at, held)
        metadata = found["metadata"]
        assert isinstance(metadata, dict), "every object has metadata"
        metadata["resourceVersion"] = str(position)
        if managed:
            metadata["managedFields"] = msgspec.Raw(managed)
        cells = tuple(self.table.cells(at, held)) if form.shape == "table" else ()
        return Shown(_encode(found), metadata, position, cells)


class Picked(NamedTuple):
    """What a request selects: a namespace ("" for all), labels and fields."""

    namespace: str
    selector: LabelSelector | None
    fields: Callable[[Held], bool] | None
    name: str = ""
    """The one name that the fields allow; "" for any."""

    @property
    def everything(self) -> bool:
        """Neither labels nor fields are asked for."""
        return self.selector is None and self.fields is None

    def matches(self, held: Held, its_labels: Mapping[str, str]) -> bool:
        """Labels and fields are as asked for; the namespace is not looked at."""
        if self.fields is not None and not self.fields(held):
            return False
        return self.selector is None or labels.matches(self.selector, its_labels)


def picked(kind: Kind, namespace: str, params: Mapping[str, str]) -> Picked:
    """What the parameters select. Raises `Rejected` or `Failure` 400."""
    selector = labels.parse_selector(params.get("labelSelector", ""))
    terms = selection.parse(params.get("fieldSelector", ""))
    chosen = [(_field(kind, each), each.value, each.equal) for each in terms]
    called = [t.value for t in terms if t.field == "metadata.name" and t.equal]

    def fields(held: Held) -> bool:
        return all((get(held) == value) == equal for get, value, equal in chosen)

    return Picked(
        namespace,
        None if labels.is_empty(selector) else selector,
        fields if chosen else None,
        called[0] if called else "",
    )


def of(resource: Resource) -> Kind:
    """How the objects of `resource` are found and shown."""
    return _KINDS[resource.group, resource.version, resource.plural]


def derived_version(at: Scene, held: Held) -> int:
    """The position of the last event that is known to have changed the object.

    For what has not changed since the api's start: pods that are gone are not in it.
    """
    position: int = held.position
    if isinstance(held, Deployment):
        owned = at.cluster.desired.owned_by(held.key)
        return max([position, *(derived_version(at, each) for each in owned)])
    if isinstance(held, ReplicaSet):
        pods = at.cluster.actual.pods_of(held.key)
        return max([position, *(each.position for each in pods)])
    return position


def _field(kind: Kind, term: Term) -> Callable[[Held], str]:
    found = kind.fields.get(term.field)
    if found is not None:
        return found
    if kind.resource.group:
        text = (
            f'"{term.field}" is not a known field selector: only "metadata.name", '
            '"metadata.namespace"'
        )
    else:
        text = f"field label not supported: {term.field}"
    raise Failure(400, "BadRequest", text)


# --- the kinds --------------------------------------------------------------------


def _listed(resource: Resource, source: Any, fields: Mapping[str, Any]) -> Kind:
    """A kind that `rollbook get` knows as well."""
    cluster_wide = not resource.namespaced

    def everything(at: Scene, namespace: str) -> Iterable[Held]:
        found: Iterable[Held] = source.all(at)
        if not namespace or cluster_wide:
            return found
        return (held for held in found if source.key(held)[0] == namespace)

    return Kind(
        resource=resource,
        table=tables.of(resource.own),
        fields=fields,
        all=everything,
        find=source.find,
        key=source.key,
        labels=source.labels,
        document=_OTHERS.get((resource.group, resource.own), source.document),
    )


def _plain(resource: Resource) -> Kind:
    """ConfigMaps, Secrets, namespaces and their like."""
    own = resource.own

    def find(at: Scene, namespace: str, name: str) -> Held | None:
        return derived.held(at, names.key(own, namespace, name))

    def everything(at: Scene, namespace: str) -> Iterable[Held]:
        yield from at.cluster.plain.of(own, namespace)
        yield from derived.of(at, own, namespace)

    fields: dict[str, Callable[[Held], str]] = {**_METADATA}
    if own == "secret":
        fields["type"] = lambda held: str(held.content.get("type", "Opaque"))
    if own == "namespace":
        fields["status.phase"] = plain_views.phase
    return Kind(
        resource=resource,
        table=tables.of(own),
        fields=fields,
        all=everything,
        find=find,
        key=lambda held: (held.namespace, held.name),
        labels=lambda _at, held: held.labels,
        document=(
            _older_autoscaler
            if (resource.group, resource.version) == ("autoscaling", "v1")
            else plain_views.document
        ),
    )


def _older_autoscaler(at: Scene, held: PlainObject) -> JSON:
    """The autoscaler as autoscaling/v1 tells it."""
    return autoscaling.to_v1(plain_views.document(at, held))


def _newer_event(at: Scene, held: Happening) -> JSON:
    """The line as events.k8s.io tells it."""
    found = happenings.document(at, held)
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": found["metadata"],
        "eventTime": None,
        "reportingController": found["reportingComponent"],
        "reportingInstance": found["reportingInstance"],
        "action": "",
        "reason": found["reason"],
        "regarding": found["involvedObject"],
        "note": found["message"],
        "type": found["type"],
        "deprecatedSource": found["source"],
        "deprecatedFirstTimestamp": found["firstTimestamp"],
        "deprecatedLastTimestamp": found["lastTimestamp"],
        "deprecatedCount": found["count"],
    }


_OTHERS: Final[Mapping[tuple[str, str], Callable[[Scene, Held], JSON]]] = {
    ("events.k8s.io", "event"): _newer_event,
    ("apps", "replicaset"): causes.document,
}
"""Objects that look different here than for `rollbook get`."""
_METADATA: Final[Mapping[str, Callable[[Held], str]]] = {
    "metadata.name": lambda held: held.name,
    "metadata.namespace": lambda held: held.namespace,
}
_POD: Final[Mapping[str, Callable[[Held], str]]] = {
    **selection.POD,
    "status.podIP": lambda held: held.seen.ip if held.seen is not None else "",
}
_EVENT: Final[Mapping[str, Callable[[Held], str]]] = {
    **selection.EVENT,
    "involvedObject.apiVersion": lambda held: happenings.API_VERSIONS.get(
        held.kind, "v1"
    ),
    "involvedObject.resourceVersion": lambda _held: "",
    "involvedObject.fieldPath": happenings.subobject,
    "reportingComponent": lambda held: held.source,
    "source": lambda held: held.source,
}
_REGARDING: Final = {
    field.replace("involvedObject", "regarding"): get for field, get in _EVENT.items()
}
_SOURCES: Final[dict[str, tuple[Any, Mapping[str, Any]]]] = {
    "deployment": (listing.DEPLOYMENTS, selection.DEPLOYMENT),
    "replicaset": (listing.REPLICASETS, selection.REPLICASET),
    "pod": (listing.PODS, _POD),
    "node": (listing.NODES, selection.NODE),
    "event": (listing.EVENTS, {**_REGARDING, **_EVENT}),
}


def _made(resource: Resource) -> Kind:
    known = _SOURCES.get(resource.own)
    return _listed(resource, *known) if known is not None else _plain(resource)


_KINDS: Final[dict[tuple[str, str, str], Kind]] = {
    (each.group, each.version, each.plural): _made(each)
    for each in resources.RESOURCES
    if each.own
}
