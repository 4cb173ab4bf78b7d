"""Plain objects: what is kept, versioned and shown, and needs no more than that.

1. ConfigMaps, Secrets, ServiceAccounts, Leases, HorizontalPodAutoscalers and
   namespaces are one struct and four events; the stream says of which kind. What an
   autoscaler does are events of its own (domain/autoscaler.py) in the same stream.
2. `content` is the object's JSON beside `apiVersion`, `kind` and `metadata`, as its
   manifest struct (domain/plain_manifests.py) writes it.
3. `ObjectReplaced` holds only what has changed: a label costs no copy of the content.
4. An object with finalizers goes in two steps: asked for, and gone once the last of
   them is taken away. So does a namespace, which goes once nothing is in it, too.
   Every other plain object goes at once.
5. The namespaces of `FIRST_NAMESPACES` are there from the first event of the log on
   (projections/plain.py); of them nothing is recorded until something changes them.
6. The values of Secrets are in the log as they are: who may read the log reads them.
"""

from typing import Final

import msgspec

from domain import autoscaler, names, owners
from domain.events import Event, Recorded, next_stage

Content = dict[str, object]

NAMESPACE: Final = "namespace"
KINDS: Final[dict[str, tuple[str, str]]] = {
    "configmap": ("configmaps", "ConfigMap"),
    "secret": ("secrets", "Secret"),
    "serviceaccount": ("serviceaccounts", "ServiceAccount"),
    "lease": ("leases.coordination.k8s.io", "Lease.coordination.k8s.io"),
    "horizontalpodautoscaler": (
        "horizontalpodautoscalers.autoscaling",
        "HorizontalPodAutoscaler.autoscaling",
    ),
    NAMESPACE: ("namespaces", "Namespace"),
}
"""The plain kinds: the resource and the kind as messages name them (spec 1.2, 1.3)."""

FIRST_NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")
"""The namespaces that are always there; none of them can be deleted."""
NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""The label by which every namespace can be selected; its value is the name."""
FINALIZER: Final = "kubernetes"

# --- commands ---------------------------------------------------------------------


class CreateObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Keep this object."""

    manifest: dict[str, object]


class ApplyObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Make the object what this manifest says; merged as a Deployment's is."""

    manifest: dict[str, object]


class ReplaceObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Put this manifest in the place of the object.

    Refused as a conflict if it carries a resourceVersion that is not current.
    """

    manifest: dict[str, object]


class DeleteObject(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """Remove the object; a namespace with all that is in it."""

    uid: str = ""


# --- events -----------------------------------------------------------------------


class ObjectCreated(Event, frozen=True, kw_only=True):
    """It is kept from now on."""

    TOPIC = "object.created.v1"
    uid: str
    content: Content
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: owners.References = ()
    generate_name: str = ""
    finalizers: tuple[str, ...] = ()


class ObjectReplaced(Event, frozen=True, kw_only=True):
    """It is this now; what is absent stays as it was (rule 3)."""

    TOPIC = "object.replaced.v1"
    content: Content | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: owners.References | None = None
    finalizers: tuple[str, ...] | None = None


class ObjectDeletionRequested(Event, frozen=True, kw_only=True):
    """It goes when its last finalizer does. A namespace takes nothing new, and goes
    when nothing is left in it, too."""

    TOPIC = "object.deletion-requested.v1"


class ObjectDeleted(Event, frozen=True, kw_only=True):
    """It is gone."""

    TOPIC = "object.deleted.v1"
    why: str


# --- state and transition table ---------------------------------------------------

OF_AUTOSCALERS: Final[tuple[type[Event], ...]] = (
    autoscaler.AutoscalerRescaled,
    autoscaler.AutoscalerConditionsChanged,
)
"""The events of domain/autoscaler.py, which stand in its object's stream."""

ABSENT: Final = "absent"
PRESENT: Final = "present"
DELETING: Final = "deleting"

TRANSITIONS: Final[dict[str, dict[type[Event], str]]] = {
    ABSENT: {ObjectCreated: PRESENT},
    PRESENT: {
        **dict.fromkeys(OF_AUTOSCALERS, PRESENT),
        ObjectReplaced: PRESENT,
        ObjectDeletionRequested: DELETING,
        ObjectDeleted: ABSENT,
    },
    DELETING: {ObjectReplaced: DELETING, ObjectDeleted: ABSENT},
}


class PlainObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A plain object as the log tells it; `namespace` is empty for a namespace.

    `position` is that of its last event, `version` that event's number in the stream;
    `deletion_at` is when its deletion was asked for, 0 while it was not.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    stage: str
    created_at: float
    version: int
    position: int
    content: Content
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: owners.References = ()
    deletion_at: float = 0.0
    generate_name: str = ""
    finalizers: tuple[str, ...] = ()
    scaling: autoscaler.Progress | None = None
    """What became of an autoscaler; None before its first decision, and of others."""

    @property
    def key(self) -> str:
        """The stream of the object."""
        return names.key(self.kind, self.namespace, self.name)


# --- evolve -----------------------------------------------------------------------


def first_namespace(name: str, *, uid: str, at: float, position: int) -> PlainObject:
    """One of the namespaces of rule 5, as it is while nothing was recorded of it."""
    return PlainObject(
        kind=NAMESPACE,
        namespace="",
        name=name,
        uid=uid,
        stage=PRESENT,
        created_at=at,
        version=0,
        position=position,
        content=namespace_content(),
        labels={NAME_LABEL: name},
    )


def namespace_content() -> Content:
    """What every namespace has beside its metadata."""
    return {"spec": {"finalizers": [FINALIZER]}}


def evolve(held: PlainObject | None, recorded: Recorded) -> PlainObject | None:
    """The object after the event; None once it is gone.

    Raises `IllegalTransition`, and changes nothing, where the table has no entry.
    """
    event = recorded.event
    stage = next_stage(TRANSITIONS, held.stage if held else ABSENT, type(event))
    if held is None:
        assert isinstance(event, ObjectCreated)
        kind, namespace, name = names.split_key(recorded.stream)
        return PlainObject(
            kind=kind,
            namespace=namespace,
            name=name,
            uid=event.uid,
            stage=stage,
            created_at=recorded.timestamp,
            version=recorded.version,
            position=recorded.position,
            content=event.content,
            labels=event.labels,
            annotations=event.annotations,
            owner_references=event.owner_references,
            generate_name=event.generate_name,
            finalizers=event.finalizers,
        )
    if stage == ABSENT:
        return None
    return msgspec.structs.replace(
        held,
        stage=stage,
        version=recorded.version,
        position=recorded.position,
        **_change(held, recorded),
    )


def _change(held: PlainObject, recorded: Recorded) -> dict[str, object]:
    event = recorded.event
    if isinstance(event, OF_AUTOSCALERS):
        progress = held.scaling or autoscaler.Progress(asked=held.position)
        return {"scaling": autoscaler.evolve(progress, recorded)}
    if isinstance(event, ObjectDeletionRequested):
        return {"deletion_at": recorded.timestamp}
    assert isinstance(event, ObjectReplaced), "the table has no other"
    said = {
        "content": event.content,
        "labels": event.labels,
        "annotations": event.annotations,
        "owner_references": event.owner_references,
        "finalizers": event.finalizers,
        "scaling": _asked_anew(held.scaling, recorded.position),
    }
    return {field: value for field, value in said.items() if value is not None}


def _asked_anew(
    scaling: autoscaler.Progress | None, position: int
) -> autoscaler.Progress | None:
    """What an autoscaler does from now on, it does because of this change."""
    if scaling is None:
        return None
    return msgspec.structs.replace(scaling, asked=position)
